//! Where files and texts lie: in a directory, or in a bucket of S3 or of a store that speaks its interface.

mod incoming;
mod s3;

use std::{io, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt};
use object_store::{
    ObjectStore, ObjectStoreExt, PutPayload,
    local::LocalFileSystem,
    path::{Path as Location, PathPart},
    signer::Signer,
};
use starscreen_commands::ports::{Objects, ObjectsError};
use uuid::Uuid;

use crate::{config::ObjectsSettings, data_dir::create_dir};

pub use incoming::{Fetched, INCOMING, Slot};
pub use s3::StoreError;

const MAX_NAME_BYTES: usize = 64;
/// How often a directory may be removed from under a file that is being made.
const MAX_SWEPT_AWAY: usize = 8;

/// Objects in any store that the `object_store` crate knows.
pub struct ObjectFiles {
    store: Arc<dyn ObjectStore>,
    /// What the names of all our objects begin with.
    root: Location,
    /// How long one call may take; a directory is waited for.
    patience: Option<Duration>,
    /// Lets clients send files straight to the store.
    doors: Option<Doors>,
}

/// What a client needs to send a file past us.
struct Doors {
    signer: Arc<dyn Signer>,
    /// What it has to send along, so that the store encrypts.
    headers: Vec<(&'static str, String)>,
}

impl ObjectFiles {
    /// In the bucket of the settings, or else in `directory`. A bucket is not asked yet: a server starts without it.
    ///
    /// # Errors
    /// When the directory cannot be made, or the settings cannot be used.
    pub fn open(settings: &ObjectsSettings, directory: &Path) -> Result<Self, ObjectsError> {
        match &settings.bucket {
            None => Self::in_directory(directory),
            Some(bucket) => s3::open(settings, bucket),
        }
    }

    /// Under `root`, which is made if need be. What is put there is whole and on disk, or not there.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn in_directory(root: &Path) -> Result<Self, ObjectsError> {
        create_dir(root).map_err(unavailable)?;
        let store = LocalFileSystem::new_with_prefix(root).map_err(unavailable)?;
        let store = Arc::new(store.with_fsync(true).with_automatic_cleanup(true));
        Ok(Self { store, root: Location::default(), patience: None, doors: None })
    }

    /// Keys of objects that were written before `time`: files and texts, and what clients sent past us.
    ///
    /// # Errors
    /// When the store cannot be listed.
    pub async fn older_than(&self, time: DateTime<Utc>) -> Result<Vec<String>, ObjectsError> {
        let mut found = self.store.list(Some(&self.root)).map_err(|error| self.failure(error)).boxed();
        let mut old = vec![];
        while let Some(object) = found.try_next().await? {
            if object.last_modified < time {
                old.extend(self.key_of(&object.location));
            }
        }
        Ok(old)
    }

    /// Whether the store can be listed, without listing all of it.
    ///
    /// # Errors
    /// When it cannot.
    pub async fn try_listing(&self) -> Result<(), ObjectsError> {
        self.within(async { self.store.list(Some(&self.root)).try_next().await.map(drop) }).await
    }

    /// The key of an object, if it is ours.
    fn key_of(&self, location: &Location) -> Option<String> {
        let parts: Vec<PathPart<'_>> = location.prefix_match(&self.root)?.collect();
        let key = parts.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join("/");
        (is_key(&key) || incoming::is_key(&key)).then_some(key)
    }

    /// Keys are ours alone, `tenant/subject/name`; nothing that comes from outside ever becomes one.
    fn location(&self, key: &str) -> Result<Location, ObjectsError> {
        if !is_key(key) && !incoming::is_key(key) {
            return Err(not_a_key(key));
        }
        Ok(self.root.parts().chain(key.split('/').map(PathPart::from)).collect())
    }

    /// Waits for `call` as long as one may take.
    async fn within<T>(&self, call: impl Future<Output = Result<T, object_store::Error>>) -> Result<T, ObjectsError> {
        let Some(patience) = self.patience else { return call.await.map_err(|error| self.failure(error)) };
        match tokio::time::timeout(patience, call).await {
            Ok(done) => done.map_err(|error| self.failure(error)),
            Err(_) => Err(unavailable(StoreError::Slow { waited_seconds: patience.as_secs() })),
        }
    }

    fn failure(&self, error: object_store::Error) -> ObjectsError {
        match s3::told(&error) {
            Some(told) if self.patience.is_some() => unavailable(told),
            _ if matches!(error, object_store::Error::NotFound { .. }) => ObjectsError::Missing,
            _ => unavailable(error),
        }
    }
}

#[async_trait]
impl Objects for ObjectFiles {
    async fn put(&self, key: &str, content: Vec<u8>) -> Result<(), ObjectsError> {
        let location = self.location(key)?;
        let content = PutPayload::from(content);
        for _ in 0..MAX_SWEPT_AWAY {
            match self.within(self.store.put(&location, content.clone())).await {
                Err(ObjectsError::Unavailable(error)) if was_swept_away(error.as_ref()) => {}
                outcome => return outcome.map(drop),
            }
        }
        self.within(self.store.put(&location, content)).await.map(drop)
    }

    async fn get(&self, key: &str) -> Result<Vec<u8>, ObjectsError> {
        let location = self.location(key)?;
        let found = self.within(async { self.store.get(&location).await?.bytes().await }).await?;
        Ok(found.into())
    }

    async fn delete(&self, key: &str) -> Result<(), ObjectsError> {
        let location = self.location(key)?;
        match self.within(self.store.delete(&location)).await {
            Ok(()) | Err(ObjectsError::Missing) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// The directory was removed, as an empty one, between its making and the file's: by whoever deleted its last file.
fn was_swept_away(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::NotFound) {
            return true;
        }
        cause = error.source();
    }
    false
}

fn is_key(key: &str) -> bool {
    let parts: Vec<&str> = key.split('/').collect();
    matches!(parts[..], [tenant, subject, name] if is_id(tenant) && is_id(subject) && is_name(name))
}

/// As we write ids, so that no two keys mean one object.
fn is_id(text: &str) -> bool {
    Uuid::try_parse(text).is_ok_and(|id| id.hyphenated().to_string() == text)
}

fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    (1..=MAX_NAME_BYTES).contains(&text.len()) && text.bytes().all(allowed)
}

fn not_a_key(key: &str) -> ObjectsError {
    unavailable(io::Error::new(io::ErrorKind::InvalidInput, format!("{key:?} is not a key of ours")))
}

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> ObjectsError {
    ObjectsError::Unavailable(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_dir::ScratchDir;

    const TENANT: &str = "0198c0de-0000-7000-8000-000000000001";
    const CANDIDATE: &str = "0198c0de-0000-7000-8000-000000000002";

    fn key(name: &str) -> String {
        format!("{TENANT}/{CANDIDATE}/{name}")
    }

    fn files(scratch: &ScratchDir) -> ObjectFiles {
        ObjectFiles::in_directory(&scratch.path().join("data/objects")).unwrap()
    }

    #[tokio::test]
    async fn what_was_put_is_there_after_a_restart() {
        let scratch = ScratchDir::new();
        files(&scratch).put(&key("file"), b"first".to_vec()).await.unwrap();
        files(&scratch).put(&key("text"), b"text".to_vec()).await.unwrap();
        files(&scratch).put(&key("file"), b"second".to_vec()).await.unwrap();
        assert_eq!(files(&scratch).get(&key("file")).await.unwrap(), b"second");
        assert_eq!(files(&scratch).get(&key("text")).await.unwrap(), b"text");
        let lies = scratch.path().join("data/objects").join(key("file"));
        assert_eq!(std::fs::read(lies).unwrap(), b"second");
    }

    #[tokio::test]
    async fn what_is_not_there_is_missing() {
        let scratch = ScratchDir::new();
        assert!(matches!(files(&scratch).get(&key("file")).await, Err(ObjectsError::Missing)));
    }

    #[tokio::test]
    async fn what_was_deleted_is_missing_and_may_be_deleted_again() {
        let scratch = ScratchDir::new();
        let files = files(&scratch);
        files.put(&key("file"), vec![]).await.unwrap();
        assert_eq!(files.get(&key("file")).await.unwrap(), b"");
        files.delete(&key("file")).await.unwrap();
        files.delete(&key("file")).await.unwrap();
        assert!(matches!(files.get(&key("file")).await, Err(ObjectsError::Missing)));
        let root = scratch.path().join("data/objects");
        assert_eq!(std::fs::read_dir(&root).unwrap().count(), 0, "no empty directories stay");
        files.put(&key("file"), b"again".to_vec()).await.unwrap();
    }

    #[tokio::test]
    async fn candidates_of_one_tenant_come_and_go_at_the_same_time() {
        let scratch = ScratchDir::new();
        let files = files(&scratch);
        let lives = (0..64_u128).map(|number| {
            let (files, key) = (&files, format!("{TENANT}/{}/file", Uuid::from_u128(number)));
            async move {
                for _ in 0..4 {
                    files.put(&key, vec![7; 1_000]).await.unwrap();
                    assert_eq!(files.get(&key).await.unwrap().len(), 1_000);
                    files.delete(&key).await.unwrap();
                }
            }
        });
        futures::future::join_all(lives).await;
    }

    #[tokio::test]
    async fn nothing_but_our_own_keys_is_a_path() {
        let scratch = ScratchDir::new();
        let outside = scratch.path().join("data/outside");
        let files = files(&scratch);
        std::fs::write(&outside, "secret").unwrap();
        let upper = TENANT.to_uppercase();
        let wrong = [
            String::new(),
            "../outside".to_owned(),
            "/etc/passwd".to_owned(),
            key(""),
            key(".."),
            key("."),
            key("file.pdf"),
            key("File"),
            key("fi le"),
            key("file\0"),
            key("file#1"),
            key("résumé"),
            key("a/b"),
            key(&"a".repeat(65)),
            format!("{TENANT}/../file"),
            format!("{TENANT}//file"),
            format!("../{CANDIDATE}/file"),
            format!("{upper}/{CANDIDATE}/file"),
            format!("{}/{CANDIDATE}/file", TENANT.replace('-', "")),
            format!("{{{TENANT}}}/{CANDIDATE}/file"),
            format!("{TENANT}\\..\\..\\outside"),
            format!("{TENANT}/%2e%2e/file"),
            format!("/{TENANT}/{CANDIDATE}/file"),
        ];
        for key in wrong {
            assert!(matches!(files.get(&key).await, Err(ObjectsError::Unavailable(_))), "get {key:?}");
            assert!(matches!(files.put(&key, vec![]).await, Err(ObjectsError::Unavailable(_))), "put {key:?}");
            assert!(matches!(files.delete(&key).await, Err(ObjectsError::Unavailable(_))), "delete {key:?}");
        }
        assert_eq!(std::fs::read(outside).unwrap(), b"secret");
    }
}
