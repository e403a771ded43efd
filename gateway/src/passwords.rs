//! Passwords: which are allowed, and how they are kept.
//!
//! Argon2id with OWASP's parameters costs about 30 ms of a core and 19 MiB on purpose, so only few run at the same time
//! and only so many may wait: a flood of logins slows logins down, nothing else.

use std::{fmt, sync::Arc};

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::{self, Output, ParamsString, PasswordHash, Salt, SaltString},
};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// What is reserved for each hash, in blocks of 1 KiB: more than it touches. The C library of Linux gives back at once
/// only what is larger than 32 MiB; smaller memory stays with the thread that had it, and each thread had 19 MiB.
const RESERVED_BLOCKS: usize = 33 * 1024;

const MIN_CHARS: usize = 8;
/// Longest password in bytes; the hash takes any length, a request should not.
pub const MAX_BYTES: usize = 1_024;
const SPECIAL: &str = "!@#$%^&*(),.?\":{}|<>";

/// Calls that may wait for each running one before further ones are turned away: about a second's worth.
const WAITING_PER_PLACE: usize = 32;

/// A hash that no password has, checked where there is no user, so that an answer's time tells nothing.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c3RhcnNjcmVlbiBub2JvZA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Hashes and checks passwords, a bounded number at a time.
#[derive(Clone)]
pub struct Passwords {
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
}

#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    #[error("too many people are signing in at this moment; try again in a few seconds")]
    Busy,
    #[error("the password cannot be hashed: {0}")]
    Hash(argon2::password_hash::Error),
    #[error("the system gives no randomness")]
    NoRandomness,
    #[error("the password check was cut off")]
    CutOff,
}

impl Passwords {
    /// At most `parallel` hashes at the same time, each on a thread and 19 MiB of its own.
    pub fn new(parallel: usize) -> Self {
        let parallel = parallel.max(1);
        Self {
            running: Arc::new(Semaphore::new(parallel)),
            admitted: Arc::new(Semaphore::new(parallel * (WAITING_PER_PLACE + 1))),
        }
    }

    /// A new hash, to be stored as it is.
    ///
    /// # Errors
    /// [`PasswordError::Busy`] or when the system has no randomness or memory.
    pub async fn hash(&self, password: SecretString) -> Result<String, PasswordError> {
        self.run(move || {
            let salt = new_salt()?;
            hashed(password.expose_secret(), salt.as_salt()).map_err(PasswordError::Hash)
        })
        .await
    }

    /// Whether `password` is the one that `hash` was made of.
    ///
    /// # Errors
    /// [`PasswordError::Busy`], or when the stored hash is none.
    pub async fn verify(&self, password: SecretString, hash: String) -> Result<bool, PasswordError> {
        if password.expose_secret().len() > MAX_BYTES {
            return Ok(false); // nobody has one, whoever is asked for
        }
        self.run(move || {
            let hash = PasswordHash::new(&hash).map_err(PasswordError::Hash)?;
            is_of(password.expose_secret(), &hash).map_err(PasswordError::Hash)
        })
        .await
    }

    /// Takes as long as [`Passwords::verify`] for a user that does not exist, and is never true.
    ///
    /// # Errors
    /// As [`Passwords::verify`].
    pub async fn verify_nobody(&self, password: SecretString) -> Result<(), PasswordError> {
        self.verify(password, NOBODY.to_owned()).await.map(drop)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().map_err(|_| PasswordError::Busy)?;
        let place = Arc::clone(&self.running).acquire_owned().await.map_err(|_| PasswordError::CutOff)?;
        // The thread keeps its places even if the caller is gone: it runs on all the same.
        let held: [OwnedSemaphorePermit; 2] = [admitted, place];
        let task = tokio::task::spawn_blocking(move || {
            let outcome = work();
            drop(held);
            outcome
        });
        task.await.map_err(|_| PasswordError::CutOff)?
    }
}

fn hashed(password: &str, salt: Salt<'_>) -> Result<String, password_hash::Error> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(argon2.params())?,
        salt: Some(salt),
        hash: Some(output(&argon2, password, salt)?),
    };
    Ok(hash.to_string())
}

/// By the parameters that the hash was made with. Outputs are compared in constant time.
fn is_of(password: &str, hash: &PasswordHash<'_>) -> Result<bool, password_hash::Error> {
    let (Some(salt), Some(expected)) = (hash.salt, hash.hash) else { return Ok(false) };
    let version = hash.version.map(Version::try_from).transpose()?.unwrap_or_default();
    let argon2 = Argon2::new(hash.algorithm.try_into()?, version, Params::try_from(hash)?);
    Ok(output(&argon2, password, salt)? == expected)
}

fn output(argon2: &Argon2<'_>, password: &str, salt: Salt<'_>) -> Result<Output, password_hash::Error> {
    let mut buffer = [0; Salt::MAX_LENGTH];
    let salt = salt.decode_b64(&mut buffer)?;
    let mut memory = Vec::with_capacity(argon2.params().block_count().max(RESERVED_BLOCKS));
    memory.resize(argon2.params().block_count(), Block::default());
    let length = argon2.params().output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
    Output::init_with(length, |out| {
        Ok(argon2.hash_password_into_with_memory(password.as_bytes(), salt, out, &mut memory)?)
    })
}

fn new_salt() -> Result<SaltString, PasswordError> {
    let mut bytes = [0; Salt::RECOMMENDED_LENGTH];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| PasswordError::NoRandomness)?;
    SaltString::encode_b64(&bytes).map_err(PasswordError::Hash)
}

/// What a password has to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordRule {
    Length,
    NotTooLong,
    LowerCase,
    UpperCase,
    Digit,
    Special,
}

impl fmt::Display for PasswordRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => write!(f, "password must have at least {MIN_CHARS} characters"),
            Self::NotTooLong => write!(f, "password must have at most {MAX_BYTES} bytes"),
            Self::LowerCase => f.write_str("password must have a lower-case letter"),
            Self::UpperCase => f.write_str("password must have an upper-case letter"),
            Self::Digit => f.write_str("password must have a digit"),
            Self::Special => write!(f, "password must have one of {SPECIAL}"),
        }
    }
}

/// The rules that a new password breaks, in the order they are told; none: it is allowed.
pub fn broken_rules(password: &SecretString) -> Vec<PasswordRule> {
    let password = password.expose_secret();
    let rules = [
        (PasswordRule::Length, password.chars().count() >= MIN_CHARS),
        (PasswordRule::NotTooLong, password.len() <= MAX_BYTES),
        (PasswordRule::LowerCase, password.chars().any(char::is_lowercase)),
        (PasswordRule::UpperCase, password.chars().any(char::is_uppercase)),
        (PasswordRule::Digit, password.chars().any(|c| c.is_ascii_digit())),
        (PasswordRule::Special, password.chars().any(|c| SPECIAL.contains(c))),
    ];
    rules.into_iter().filter(|(_, kept)| !kept).map(|(rule, _)| rule).collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn secret(text: &str) -> SecretString {
        SecretString::from(text)
    }

    fn rules(text: &str) -> Vec<PasswordRule> {
        broken_rules(&secret(text))
    }

    #[tokio::test]
    async fn a_password_is_known_by_its_hash_and_another_is_not() {
        let passwords = Passwords::new(2);
        let hash = passwords.hash(secret("Correct-Horse1!")).await.unwrap();
        assert!(passwords.verify(secret("Correct-Horse1!"), hash.clone()).await.unwrap());
        assert!(!passwords.verify(secret("Correct-Horse1?"), hash).await.unwrap());
    }

    #[tokio::test]
    async fn hashes_have_owasps_parameters_and_a_salt_of_their_own() {
        let passwords = Passwords::new(2);
        let first = passwords.hash(secret("Correct-Horse1!")).await.unwrap();
        assert!(first.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{first}");
        assert_ne!(first, passwords.hash(secret("Correct-Horse1!")).await.unwrap());
    }

    #[tokio::test]
    async fn what_lies_beyond_72_bytes_counts() {
        let passwords = Passwords::new(2);
        let long = "Aa1!".repeat(30);
        let hash = passwords.hash(secret(&long)).await.unwrap();
        assert!(passwords.verify(secret(&long), hash.clone()).await.unwrap());
        assert!(!passwords.verify(secret(&long[..119]), hash).await.unwrap());
    }

    #[tokio::test]
    async fn nobody_costs_what_somebody_costs() {
        let passwords = Passwords::new(1);
        let somebody = passwords.hash(secret("Correct-Horse1!")).await.unwrap();
        let work = |hash: &str| {
            let hash = PasswordHash::new(hash).unwrap();
            let output = hash.hash.map(|output| output.len());
            (
                hash.algorithm.to_string(),
                hash.version,
                hash.params.to_string(),
                hash.salt.map(|salt| salt.as_str().len()),
                output,
            )
        };
        assert_eq!(work(NOBODY), work(&somebody));
        let start = Instant::now();
        for _ in 0..10 {
            passwords.verify_nobody(secret("Wrong-Horse1!")).await.unwrap();
        }
        assert!(start.elapsed() > Duration::from_millis(50), "no machine does it so fast: it did nothing");
    }

    #[tokio::test]
    async fn a_flood_is_turned_away_and_does_not_wait_for_ever() {
        let passwords = Passwords::new(1);
        let calls = (0..200).map(|_| passwords.verify_nobody(secret("Wrong-Horse1!")));
        let outcomes = futures::future::join_all(calls).await;
        let busy = outcomes.iter().filter(|outcome| matches!(outcome, Err(PasswordError::Busy))).count();
        assert_eq!(busy, 200 - 1 - WAITING_PER_PLACE);
        passwords.verify_nobody(secret("Wrong-Horse1!")).await.unwrap();
    }

    #[tokio::test]
    async fn a_stored_hash_that_is_none_is_an_error_and_no_wrong_password() {
        let outcome = Passwords::new(1).verify(secret("Correct-Horse1!"), "plain".to_owned()).await;
        assert!(matches!(outcome, Err(PasswordError::Hash(_))));
    }

    #[test]
    fn each_rule_is_told_in_a_sentence() {
        let told = |text: &str| rules(text).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert!(told("Aa1!aaaa").is_empty());
        assert_eq!(told("Aa1!aaa"), ["password must have at least 8 characters"]);
        assert_eq!(told("AA1!AAAA"), ["password must have a lower-case letter"]);
        assert_eq!(told("aa1!aaaa"), ["password must have an upper-case letter"]);
        assert_eq!(told("Aab!aaaa"), ["password must have a digit"]);
        assert_eq!(told("Aa1;aaaa"), ["password must have one of !@#$%^&*(),.?\":{}|<>"]);
        assert_eq!(
            told(""),
            [
                "password must have at least 8 characters",
                "password must have a lower-case letter",
                "password must have an upper-case letter",
                "password must have a digit",
                "password must have one of !@#$%^&*(),.?\":{}|<>",
            ]
        );
    }

    #[test]
    fn the_longest_password_has_1024_bytes() {
        assert_eq!(rules(&"Aa1!".repeat(256)), []);
        assert_eq!(rules(&("Aa1!".repeat(256) + "a")), [PasswordRule::NotTooLong]);
    }

    #[tokio::test]
    async fn a_password_that_is_too_long_is_wrong_without_work() {
        let start = Instant::now();
        let passwords = Passwords::new(1);
        for _ in 0..1_000 {
            passwords.verify_nobody(secret(&"a".repeat(MAX_BYTES + 1))).await.unwrap();
        }
        assert!(start.elapsed() < Duration::from_secs(2));
    }

    #[test]
    fn every_special_character_of_the_old_rules_counts() {
        for special in SPECIAL.chars() {
            assert_eq!(rules(&format!("Aa1aaaa{special}")), []);
        }
        assert_eq!(SPECIAL.chars().count(), 20);
    }
}
