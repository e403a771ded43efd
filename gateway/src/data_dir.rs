//! The directory that holds everything of an embedded installation, and who may use it.
//!
//! One server a directory: two would both believe that they alone write. The secrets in it are made once, at first
//! start, and never again, since data sealed under a lost master key cannot be read by anybody.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};

use aws_lc_rs::{hmac, rand};
use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{
    ExposeSecret, SecretBox, SecretSlice, SecretString,
    zeroize::{Zeroize, Zeroizing},
};

use crate::config::KeySettings;

const LOCK: &str = "lock";
const MASTER_KEY: &str = "master.key";
pub const WRITE_DB: &str = "write.db";
pub const READ_DB: &str = "read.db";
const MASTER_CHECK: &str = "master.check";
const JWT_SECRET: &str = "jwt.secret";

/// Bytes of the master key and of a generated token secret.
const SECRET_BYTES: usize = 32;

/// The key that all others are wrapped by or derived from.
pub type MasterKey = SecretBox<[u8; SECRET_BYTES]>;

/// An open data directory. A server's holds the lock until it is dropped.
#[derive(Debug)]
pub struct DataDir {
    root: PathBuf,
    used: Use,
}

#[derive(Debug)]
enum Use {
    /// Alone, by a server whose store is in it.
    Alone(#[expect(dead_code, reason = "held, and let go of when dropped")] File),
    /// With other servers, whose store is elsewhere.
    Shared,
    /// By an operator verb, beside a server that may be running.
    Beside,
}

#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    #[error("data directory {} is in use by another server{}; stop it, or set STARSCREEN_DATA_DIR to another directory",
        path.display(), pid.map(|pid| format!(" (process {pid})")).unwrap_or_default())]
    InUse { path: PathBuf, pid: Option<u32> },
    #[error("there is no data directory {}; start the server once, or set STARSCREEN_DATA_DIR", path.display())]
    NotThere { path: PathBuf },
    #[error("{} cannot be used", path.display())]
    Unusable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is missing, but there is data that was sealed with it: restore it from your backup, or give the key \
        with STARSCREEN_MASTER_KEY; a new one could never open that data", path.display())]
    MasterKeyMissing { path: PathBuf },
    #[error("the master key in {origin} is not 32 bytes in base64")]
    NotAMasterKey { origin: String },
    #[error("the master key in {origin} is not the one that the data in {} is sealed with", path.display())]
    OtherMasterKey { origin: String, path: PathBuf },
    #[error("{} is not 32 bytes in base64; delete it to have another made, which signs everybody out", path.display())]
    NotASecret { path: PathBuf },
    #[error("the system gives no randomness")]
    NoRandomness,
}

impl DataDir {
    /// Opens the directory for a server, making it if need be, and keeps others out.
    ///
    /// # Errors
    /// [`DataDirError::InUse`] names the other server; or when the directory cannot be made or written.
    pub fn lock(root: &Path) -> Result<Self, DataDirError> {
        create_dir(root).map_err(|source| unusable(root, source))?;
        let lock = take_lock(root)?;
        Ok(Self { root: root.to_owned(), used: Use::Alone(lock) })
    }

    /// Opens the directory for one of several servers, making it if need be: their store is PostgreSQL.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn share(root: &Path) -> Result<Self, DataDirError> {
        create_dir(root).map_err(|source| unusable(root, source))?;
        Ok(Self { root: root.to_owned(), used: Use::Shared })
    }

    /// Opens the directory for an operator verb, which works beside a running server.
    ///
    /// # Errors
    /// [`DataDirError::NotThere`] when there is none: a verb makes nothing.
    pub fn beside(root: &Path) -> Result<Self, DataDirError> {
        if !root.is_dir() {
            return Err(DataDirError::NotThere { path: root.to_owned() });
        }
        Ok(Self { root: root.to_owned(), used: Use::Beside })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Makes the file, if need be, and lets nobody but its owner read it.
    ///
    /// # Errors
    /// When it can be neither made nor changed.
    pub fn keep_private(&self, name: &str) -> Result<(), DataDirError> {
        let file = self.root.join(name);
        keep_private(&file).map_err(|source| unusable(&file, source))
    }

    /// The truth; losing it is losing everything.
    pub fn write_db(&self) -> PathBuf {
        self.root.join(WRITE_DB)
    }

    /// Rebuilds itself when it is deleted.
    pub fn read_db(&self) -> PathBuf {
        self.root.join(READ_DB)
    }

    pub fn objects(&self) -> PathBuf {
        self.root.join("objects")
    }

    /// The master key: as configured, else from the directory; made there at first start.
    ///
    /// # Errors
    /// When it is missing though there is data, is not a key, or is not the one that the data is sealed with.
    pub fn master_key(&self, configured: &KeySettings) -> Result<MasterKey, DataDirError> {
        let (key, origin) = self.find_master_key(configured)?;
        self.check_master_key(&key, origin)?;
        Ok(key)
    }

    /// What tokens are signed with: as configured, else from the directory; made there at first start.
    ///
    /// # Errors
    /// When the file is damaged or cannot be made.
    pub fn token_secret(&self, configured: Option<&SecretString>) -> Result<SecretSlice<u8>, DataDirError> {
        if let Some(secret) = configured {
            return Ok(SecretSlice::from(secret.expose_secret().as_bytes().to_vec()));
        }
        let path = self.root.join(JWT_SECRET);
        let secret = match self.read_secret(&path)? {
            Some(text) => decode(&text).ok_or(DataDirError::NotASecret { path })?,
            None => self.make_secret(&path)?,
        };
        Ok(SecretSlice::from(secret.expose_secret().to_vec()))
    }
}

/// Secrets: found, or made where that loses nothing.
impl DataDir {
    fn find_master_key(&self, configured: &KeySettings) -> Result<(MasterKey, String), DataDirError> {
        if let Some(text) = &configured.master {
            let origin = "STARSCREEN_MASTER_KEY".to_owned();
            return match decode(text.expose_secret()) {
                Some(key) => Ok((key, origin)),
                None => Err(DataDirError::NotAMasterKey { origin }),
            };
        }
        let path = configured.master_file.clone().unwrap_or_else(|| self.root.join(MASTER_KEY));
        let origin = path.display().to_string();
        match self.read_secret(&path)? {
            Some(text) => match decode(&text) {
                Some(key) => Ok((key, origin)),
                None => Err(DataDirError::NotAMasterKey { origin }),
            },
            None if configured.master_file.is_some() => {
                Err(unusable(&path, io::Error::new(io::ErrorKind::NotFound, "the file is not there")))
            }
            None if self.has_data() => Err(DataDirError::MasterKeyMissing { path }),
            None => Ok((self.make_secret(&path)?, origin)),
        }
    }

    /// A wrong key would do harm before anybody noticed: new data under a second key, addresses claimed twice.
    fn check_master_key(&self, key: &MasterKey, origin: String) -> Result<(), DataDirError> {
        let path = self.root.join(MASTER_CHECK);
        let fingerprint = fingerprint(key);
        match read_if_there(&path).map_err(|source| unusable(&path, source))? {
            Some(known) if known.trim() == fingerprint => Ok(()),
            Some(_) => Err(DataDirError::OtherMasterKey { origin, path: self.root.clone() }),
            None if matches!(self.used, Use::Alone(_)) => {
                write_new(&path, &format!("{fingerprint}\n")).map_err(|source| unusable(&path, source))
            }
            None => Ok(()),
        }
    }

    fn has_data(&self) -> bool {
        self.write_db().exists() || self.root.join(MASTER_CHECK).exists()
    }

    fn read_secret(&self, path: &Path) -> Result<Option<Zeroizing<String>>, DataDirError> {
        let text = read_if_there(path).map_err(|source| unusable(path, source))?;
        if text.is_some() && path.starts_with(&self.root) && others_can_read(path) {
            tracing::warn!("{} can be read by other users of this machine; run chmod 600 on it", path.display());
        }
        Ok(text.map(Zeroizing::new))
    }

    /// Only a server makes secrets, and only under a lock: nobody else makes one at the same time.
    fn make_secret(&self, path: &Path) -> Result<MasterKey, DataDirError> {
        let _making = match self.used {
            Use::Alone(_) => None,
            Use::Shared => {
                let lock = path.with_added_extension("lock");
                let failed = |source| unusable(&lock, source);
                let file = OpenOptions::new().write(true).create(true).truncate(false).open(&lock).map_err(failed)?;
                file.lock().map_err(failed)?;
                if let Some(text) = self.read_secret(path)? {
                    return decode(&text).ok_or_else(|| DataDirError::NotASecret { path: path.to_owned() });
                }
                Some(file)
            }
            Use::Beside => {
                let never = io::Error::new(io::ErrorKind::NotFound, "start the server once to have it made");
                return Err(unusable(path, never));
            }
        };
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        rand::fill(&mut *secret).map_err(|_| DataDirError::NoRandomness)?;
        let text = Zeroizing::new(STANDARD.encode(*secret) + "\n");
        write_new(path, &text).map_err(|source| unusable(path, source))?;
        Ok(MasterKey::init_with_mut(|key| key.copy_from_slice(&*secret)))
    }
}

/// The lock is the operating system's, so a killed server leaves none behind; the number in the file is for people.
fn take_lock(root: &Path) -> Result<File, DataDirError> {
    let path = root.join(LOCK);
    let failed = |source| unusable(&path, source);
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder); // where content is locked too it stays unknown
            return Err(DataDirError::InUse { path: root.to_owned(), pid: holder.trim().parse().ok() });
        }
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    file.set_len(0).and_then(|()| file.rewind()).map_err(failed)?;
    writeln!(file, "{}", std::process::id()).and_then(|()| file.flush()).map_err(failed)?;
    Ok(file)
}

fn unusable(path: &Path, source: io::Error) -> DataDirError {
    DataDirError::Unusable { path: path.to_owned(), source }
}

/// Whether `text` is a master key as it can be configured.
pub fn is_master_key(text: &str) -> bool {
    decode(text).is_some()
}

/// Exactly 32 bytes, or nothing. White space around them is forgiven: files end with a new line.
fn decode(text: &str) -> Option<MasterKey> {
    let mut bytes = STANDARD.decode(text.trim()).ok()?;
    let secret = <&[u8; SECRET_BYTES]>::try_from(bytes.as_slice()).ok();
    let secret = secret.map(|secret| MasterKey::init_with_mut(|key| key.copy_from_slice(secret)));
    bytes.zeroize();
    secret
}

/// Tells keys apart without telling anything about them.
pub fn fingerprint(key: &MasterKey) -> String {
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.expose_secret()), b"starscreen master key check v1");
    STANDARD.encode(&mac.as_ref()[..16])
}

fn read_if_there(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a file that was not there, whole or not at all, and on disk when this returns. Needs the directory's lock.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    if path.exists() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let draft = path.with_added_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let _ = fs::remove_file(&draft); // of a start that was cut short
    let mut file = options.open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    sync_parent(path)
}

#[cfg(unix)]
fn keep_private(file: &Path) -> io::Result<()> {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let file = fs::OpenOptions::new().append(true).create(true).mode(0o600).open(file)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))
}

#[cfg(not(unix))]
fn keep_private(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Makes a directory that only its owner can look into, with all above it; on disk when this returns.
///
/// # Errors
/// When it cannot be made.
pub fn create_dir(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !dir.is_dir()).collect();
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)?;
    missing.into_iter().try_for_each(sync_parent)
}

#[cfg(unix)]
fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

/// Directories cannot be synced here; the file system keeps its own order.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "it can fail where directories are synced")]
fn sync_parent(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn others_can_read(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn others_can_read(_: &Path) -> bool {
    false
}

/// A directory for one test, gone with it.
#[cfg(test)]
pub(crate) struct ScratchDir(PathBuf);

#[cfg(test)]
impl ScratchDir {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("starscreen-test-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

#[cfg(test)]
impl Drop for ScratchDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0); // what is left over lies in the temporary directory
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    const OTHER_KEY: &str = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";

    fn unset() -> KeySettings {
        KeySettings::default()
    }

    fn given(key: &str) -> KeySettings {
        KeySettings { master: Some(key.into()), master_file: None }
    }

    fn bytes(key: &MasterKey) -> [u8; 32] {
        *key.expose_secret()
    }

    #[test]
    fn a_second_server_is_told_which_directory_and_which_process() {
        let scratch = ScratchDir::new();
        let root = scratch.path().join("data");
        let first = DataDir::lock(&root).unwrap();
        let refusal = DataDir::lock(&root).unwrap_err().to_string();
        assert_eq!(
            refusal,
            format!(
                "data directory {} is in use by another server (process {}); stop it, or set STARSCREEN_DATA_DIR to \
                 another directory",
                root.display(),
                std::process::id()
            )
        );
        drop(first);
        DataDir::lock(&root).unwrap();
    }

    #[test]
    fn a_lock_file_left_behind_by_a_killed_server_locks_nobody_out() {
        let scratch = ScratchDir::new();
        fs::write(scratch.path().join("lock"), "4000000000\n").unwrap();
        let _first = DataDir::lock(scratch.path()).unwrap();
        let DataDirError::InUse { pid, .. } = DataDir::lock(scratch.path()).unwrap_err() else { panic!() };
        assert_eq!(pid, Some(std::process::id()));
    }

    #[test]
    fn an_operator_verb_works_beside_a_server_and_makes_nothing() {
        let scratch = ScratchDir::new();
        let root = scratch.path().join("data");
        let refusal = DataDir::beside(&root).unwrap_err();
        assert!(matches!(refusal, DataDirError::NotThere { .. }), "{refusal}");
        assert!(!root.exists());

        let server = DataDir::lock(&root).unwrap();
        let verb = DataDir::beside(&root).unwrap();
        assert!(verb.master_key(&unset()).is_err());
        assert!(verb.token_secret(None).is_err());
        assert_eq!(fs::read_dir(&root).unwrap().count(), 1, "the lock and nothing else");

        let key = server.master_key(&unset()).unwrap();
        assert_eq!(bytes(&verb.master_key(&unset()).unwrap()), bytes(&key));
    }

    #[test]
    fn the_master_key_is_made_once_and_stays() {
        let scratch = ScratchDir::new();
        let first = bytes(&DataDir::lock(scratch.path()).unwrap().master_key(&unset()).unwrap());
        let again = bytes(&DataDir::lock(scratch.path()).unwrap().master_key(&unset()).unwrap());
        assert_eq!(first, again);
        assert_ne!(first, [0; 32]);
        let text = fs::read_to_string(scratch.path().join("master.key")).unwrap();
        assert_eq!(STANDARD.decode(text.trim()).unwrap(), first);
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_what_is_made() {
        use std::os::unix::fs::PermissionsExt;
        let scratch = ScratchDir::new();
        let root = scratch.path().join("some/data");
        let dir = DataDir::lock(&root).unwrap();
        dir.master_key(&unset()).unwrap();
        dir.token_secret(None).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&root), 0o700);
        for file in ["master.key", "jwt.secret"] {
            assert_eq!(mode(&root.join(file)), 0o600, "{file}");
        }
    }

    #[test]
    fn a_lost_master_key_is_not_replaced_while_there_is_data() {
        let scratch = ScratchDir::new();
        let dir = DataDir::lock(scratch.path()).unwrap();
        fs::write(dir.write_db(), "").unwrap();
        let refusal = dir.master_key(&unset()).unwrap_err();
        assert!(matches!(refusal, DataDirError::MasterKeyMissing { .. }), "{refusal}");
        assert!(refusal.to_string().contains("restore it from your backup"), "{refusal}");
        assert!(!scratch.path().join("master.key").exists());

        fs::write(scratch.path().join("master.key"), KEY).unwrap();
        assert_eq!(bytes(&dir.master_key(&unset()).unwrap()), *b"0123456789abcdef0123456789abcdef");
    }

    #[test]
    fn a_key_from_elsewhere_is_not_written_down_but_remembered() {
        let scratch = ScratchDir::new();
        let dir = DataDir::lock(scratch.path()).unwrap();
        assert_eq!(bytes(&dir.master_key(&given(KEY)).unwrap()), *b"0123456789abcdef0123456789abcdef");
        assert!(!scratch.path().join("master.key").exists());

        let refusal = dir.master_key(&given(OTHER_KEY)).unwrap_err().to_string();
        assert!(refusal.starts_with("the master key in STARSCREEN_MASTER_KEY is not the one"), "{refusal}");
        let refusal = dir.master_key(&unset()).unwrap_err();
        assert!(matches!(refusal, DataDirError::MasterKeyMissing { .. }), "{refusal}");
        dir.master_key(&given(KEY)).unwrap();
    }

    #[test]
    fn a_file_may_hold_the_master_key_and_must_then_be_there() {
        let scratch = ScratchDir::new();
        let dir = DataDir::lock(&scratch.path().join("data")).unwrap();
        let file = scratch.path().join("secret");
        let in_file = KeySettings { master: None, master_file: Some(file.clone()) };
        assert!(dir.master_key(&in_file).is_err());
        fs::write(&file, format!("  {KEY}\n")).unwrap();
        assert_eq!(bytes(&dir.master_key(&in_file).unwrap()), *b"0123456789abcdef0123456789abcdef");
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_shown() {
        let scratch = ScratchDir::new();
        let dir = DataDir::lock(scratch.path()).unwrap();
        for text in ["", "short", &KEY[..40], "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWZn"] {
            let refusal = dir.master_key(&given(text)).unwrap_err();
            assert!(matches!(refusal, DataDirError::NotAMasterKey { .. }));
            assert!(text.is_empty() || !refusal.to_string().contains(text));
            fs::write(scratch.path().join("master.key"), text).unwrap();
            assert!(matches!(dir.master_key(&unset()), Err(DataDirError::NotAMasterKey { .. })), "{text}");
        }
    }

    #[test]
    fn a_start_that_was_cut_short_leaves_no_half_key() {
        let scratch = ScratchDir::new();
        fs::write(scratch.path().join("master.key.new"), "MDEy").unwrap();
        let dir = DataDir::lock(scratch.path()).unwrap();
        dir.master_key(&unset()).unwrap();
        assert!(!scratch.path().join("master.key.new").exists());
    }

    #[test]
    fn a_secret_is_never_written_over() {
        let scratch = ScratchDir::new();
        let path = scratch.path().join("jwt.secret");
        write_new(&path, "first").unwrap();
        assert_eq!(write_new(&path, "second").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "first");
    }

    #[test]
    fn the_token_secret_is_the_configured_one_or_made_once() {
        let scratch = ScratchDir::new();
        let dir = DataDir::lock(scratch.path()).unwrap();
        let configured = SecretString::from("0123456789abcdef0123456789abcdef0123");
        assert_eq!(dir.token_secret(Some(&configured)).unwrap().expose_secret(), configured.expose_secret().as_bytes());
        assert!(!scratch.path().join("jwt.secret").exists());

        let made = dir.token_secret(None).unwrap();
        assert_eq!(made.expose_secret().len(), 32);
        assert_eq!(dir.token_secret(None).unwrap().expose_secret(), made.expose_secret());

        fs::write(scratch.path().join("jwt.secret"), "?").unwrap();
        assert!(matches!(dir.token_secret(None), Err(DataDirError::NotASecret { .. })));
    }
}
