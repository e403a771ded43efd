//! Whether Stripe sent a webhook: `Stripe-Signature: t=<seconds>,v1=<hex>[,v1=<hex>]`, an HMAC-SHA256 of `<t>.<body>`.
//!
//! The body is what came, byte for byte: one that was parsed and written again has another signature.

use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac};
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};

/// How far Stripe's clock and ours may be apart, or a delivery under way; either way.
pub const TOLERANCE_SECONDS: i64 = 300;
/// Longer than any that Stripe sends, with a signature for each secret of a rotation.
const MAX_HEADER_BYTES: usize = 2_048;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error("the webhook has no signature")]
    Missing,
    #[error("the webhook's signature is not of the form t=…,v1=…")]
    Malformed,
    #[error("the webhook is not signed with a secret of ours")]
    Mismatch,
    #[error("the webhook was signed more than {TOLERANCE_SECONDS} seconds ago")]
    Stale,
    #[error("the webhook was signed more than {TOLERANCE_SECONDS} seconds ahead of our time")]
    Future,
}

/// Whether one of `secrets` signed `body` about `now`. While a secret is rotated, Stripe signs with both and we know
/// both.
///
/// # Errors
/// A [`SignatureError`]; of a time only when the signature is right, so that it says something of Stripe's or our clock.
pub fn verify(
    header: Option<&str>,
    body: &[u8],
    secrets: &[SecretString],
    now: DateTime<Utc>,
) -> Result<(), SignatureError> {
    let Signature { timestamp, candidates } = Signature::parse(header.ok_or(SignatureError::Missing)?)?;
    let is_ours = |secret: &SecretString| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
        let mut mac = hmac::Context::with_key(&key);
        mac.update(timestamp.as_bytes());
        mac.update(b".");
        mac.update(body);
        let expected = mac.sign();
        candidates.iter().any(|candidate| verify_slices_are_equal(candidate, expected.as_ref()).is_ok())
    };
    // An empty key would be one that everybody knows.
    if !secrets.iter().filter(|secret| !secret.expose_secret().is_empty()).any(is_ours) {
        return Err(SignatureError::Mismatch);
    }
    let signed_at: i64 = timestamp.parse().map_err(|_| SignatureError::Malformed)?;
    let age = now.timestamp().saturating_sub(signed_at);
    if age > TOLERANCE_SECONDS {
        return Err(SignatureError::Stale);
    }
    if age < -TOLERANCE_SECONDS {
        return Err(SignatureError::Future);
    }
    Ok(())
}

struct Signature<'a> {
    /// As it is written, since it is signed so.
    timestamp: &'a str,
    candidates: Vec<[u8; 32]>,
}

impl<'a> Signature<'a> {
    /// Other schemes than `v1` are left out, as are fields that are not known yet.
    fn parse(header: &'a str) -> Result<Self, SignatureError> {
        if header.trim().is_empty() {
            return Err(SignatureError::Missing);
        }
        if header.len() > MAX_HEADER_BYTES {
            return Err(SignatureError::Malformed);
        }
        let mut timestamp = None;
        let mut candidates = Vec::new();
        for field in header.split(',') {
            match field.trim().split_once('=') {
                // Two times could be read in two ways.
                Some(("t", _)) if timestamp.is_some() => return Err(SignatureError::Malformed),
                Some(("t", value)) => timestamp = Some(value),
                Some(("v1", value)) => candidates.extend(unhex(value)),
                _ => {}
            }
        }
        let is_number = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match timestamp.filter(is_number) {
            Some(timestamp) if !candidates.is_empty() => Ok(Self { timestamp, candidates }),
            _ => Err(SignatureError::Malformed),
        }
    }
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = [0; 32];
    if text.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "whsec_test_secret";
    const SIGNED_AT: i64 = 1_492_774_577;
    const BODY: &str = r#"{"id":"evt_1"}"#;
    /// By another implementation (Python's hmac).
    const KNOWN: &str = "799c4ba7bb339f3c8601adfd112f0e477c930a268be1243d341abb8286501c2f";

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn secrets(texts: &[&str]) -> Vec<SecretString> {
        texts.iter().map(|text| SecretString::from(*text)).collect()
    }

    fn signature(secret: &str, timestamp: i64, body: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let tag = hmac::sign(&key, &[format!("{timestamp}.").as_bytes(), body].concat());
        tag.as_ref().iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        })
    }

    fn check(header: &str) -> Result<(), SignatureError> {
        verify(Some(header), BODY.as_bytes(), &secrets(&[SECRET]), at(SIGNED_AT))
    }

    #[test]
    fn a_known_signature_is_right() {
        assert_eq!(check(&format!("t={SIGNED_AT},v1={KNOWN}")), Ok(()));
        assert_eq!(check(&format!("t={SIGNED_AT}, v1={}", KNOWN.to_uppercase())), Ok(()));
        let among_others = format!("v0=ab,x,t={SIGNED_AT},v1={},v1={KNOWN},v2=cd", "0".repeat(64));
        assert_eq!(check(&among_others), Ok(()));
    }

    #[test]
    fn what_is_no_signature_is_told_apart_from_a_wrong_one() {
        assert_eq!(verify(None, b"", &secrets(&[SECRET]), at(0)), Err(SignatureError::Missing));
        assert_eq!(check(" "), Err(SignatureError::Missing));
        for malformed in [
            "t=1",
            "v1=ab",
            &format!("v1={KNOWN}"),
            &format!("t=,v1={KNOWN}"),
            &format!("t=-1,v1={KNOWN}"),
            &format!("t=+1,v1={KNOWN}"),
            &format!("t=1,t={SIGNED_AT},v1={KNOWN}"),
            &format!("t={SIGNED_AT},v0={KNOWN}"),
            &format!("t={SIGNED_AT},v1={}", &KNOWN[1..]),
            &format!("t={SIGNED_AT},v1=g{}", &KNOWN[1..]),
            &format!("t={SIGNED_AT},v1={KNOWN},{}", "x".repeat(MAX_HEADER_BYTES)),
        ] {
            assert_eq!(check(malformed), Err(SignatureError::Malformed), "{malformed}");
        }
        assert_eq!(check(&format!("t={SIGNED_AT},v1={}", "0".repeat(64))), Err(SignatureError::Mismatch));
        assert_eq!(check(&format!("t={},v1={KNOWN}", SIGNED_AT + 1)), Err(SignatureError::Mismatch));
        let endless = "9".repeat(30);
        let huge = format!("t={endless},v1={}", {
            let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
            let tag = hmac::sign(&key, format!("{endless}.{BODY}").as_bytes());
            tag.as_ref().iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
        });
        assert_eq!(check(&huge), Err(SignatureError::Malformed));
    }

    #[test]
    fn the_time_may_be_off_by_five_minutes_either_way() {
        let header = format!("t={SIGNED_AT},v1={KNOWN}");
        let after = |seconds| verify(Some(&header), BODY.as_bytes(), &secrets(&[SECRET]), at(SIGNED_AT + seconds));
        assert_eq!((after(300), after(-300)), (Ok(()), Ok(())));
        assert_eq!(after(301), Err(SignatureError::Stale));
        assert_eq!(after(-301), Err(SignatureError::Future));
    }

    #[test]
    fn a_secret_can_be_rotated() {
        let both = format!(
            "t={SIGNED_AT},v1={},v1={}",
            signature("new", SIGNED_AT, BODY.as_bytes()),
            signature("old", SIGNED_AT, BODY.as_bytes())
        );
        let knowing = |known: &[&str]| verify(Some(&both), BODY.as_bytes(), &secrets(known), at(SIGNED_AT));
        for known in [&["new"] as &[&str], &["old"], &["old", "new"], &["other", "old"]] {
            assert_eq!(knowing(known), Ok(()), "{known:?}");
        }
        for known in [&[] as &[&str], &["other"], &[""]] {
            assert_eq!(knowing(known), Err(SignatureError::Mismatch), "{known:?}");
        }
        let with_no_key = format!("t={SIGNED_AT},v1={}", signature("", SIGNED_AT, BODY.as_bytes()));
        let refused = verify(Some(&with_no_key), BODY.as_bytes(), &secrets(&[""]), at(SIGNED_AT));
        assert_eq!(refused, Err(SignatureError::Mismatch));
    }

    #[test]
    fn a_body_that_was_written_again_is_another_one() {
        let body = "{\n  \"id\": \"evt_1\",\n  \"b\": 1,\n  \"a\": 2\n}";
        let header = format!("t={SIGNED_AT},v1={}", signature(SECRET, SIGNED_AT, body.as_bytes()));
        let verified = |body: &str| verify(Some(&header), body.as_bytes(), &secrets(&[SECRET]), at(SIGNED_AT));
        assert_eq!(verified(body), Ok(()));
        let value: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(verified(&value.to_string()), Err(SignatureError::Mismatch));
        assert_eq!(verified(&serde_json::to_string_pretty(&value).unwrap()), Err(SignatureError::Mismatch));
    }

    proptest! {
        #[test]
        fn what_a_secret_of_ours_signed_is_taken_and_nothing_else(
            secret in "[!-~]{1,40}",
            other in "[!-~]{1,40}",
            body in proptest::collection::vec(any::<u8>(), 0..200),
            timestamp in 0_i64..4_000_000_000,
            flipped in any::<prop::sample::Index>(),
        ) {
            let header = format!("t={timestamp},v1={}", signature(&secret, timestamp, &body));
            let verified = |header: &str, body: &[u8], secret: &str| {
                verify(Some(header), body, &secrets(&[secret]), at(timestamp))
            };
            prop_assert_eq!(verified(&header, &body, &secret), Ok(()));
            if other != secret {
                prop_assert_eq!(verified(&header, &body, &other), Err(SignatureError::Mismatch));
            }
            if !body.is_empty() {
                let mut changed = body.clone();
                changed[flipped.index(body.len())] ^= 1;
                prop_assert_eq!(verified(&header, &changed, &secret), Err(SignatureError::Mismatch));
            }
            let moved = format!("t={},v1={}", timestamp + 1, signature(&secret, timestamp, &body));
            prop_assert_eq!(verified(&moved, &body, &secret), Err(SignatureError::Mismatch));
        }

        #[test]
        fn no_header_is_taken_by_chance(header in "\\PC*|(t=[0-9]{0,12},?|v1=[0-9a-f]{0,66},?){0,6}") {
            prop_assert!(check(&header).is_err());
        }
    }
}
