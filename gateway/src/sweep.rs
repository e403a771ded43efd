//! Removes files that belong to nobody: a process that was killed between storing a file and committing its upload
//! leaves one behind, encrypted by a key that died with it. And a client may send a file straight to the store and never
//! ask to have it taken in.

use std::time::Duration;

use chrono::Utc;
use starscreen_commands::{
    CommandError,
    ports::{Objects, ObjectsError},
    store::Registry,
};
use starscreen_domain::CandidateId;

use crate::outbound::objects::{INCOMING, ObjectFiles};

/// Younger files may be of uploads that are on their way.
const MIN_AGE: Duration = Duration::from_hours(1);
const PAUSE: Duration = Duration::from_hours(1);

#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error(transparent)]
    Objects(#[from] ObjectsError),
    #[error("the index of candidates cannot be read")]
    Index(#[from] CommandError),
}

/// Sweeps now and then, for as long as the process runs.
pub async fn run(objects: &ObjectFiles, registry: &Registry) {
    loop {
        match once(objects, registry, MIN_AGE).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "files without a candidate were removed"),
            Err(error) => tracing::warn!(error = %error, "files without a candidate could not be looked for"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn once(objects: &ObjectFiles, registry: &Registry, min_age: Duration) -> Result<usize, SweepError> {
    let mut removed = 0;
    for key in objects.older_than(Utc::now() - min_age).await? {
        let mut parts = key.split('/');
        let sent_past_us = parts.next() == Some(INCOMING); // and not taken in
        let Some(candidate) = parts.next().and_then(|id| id.parse::<CandidateId>().ok()) else { continue };
        if sent_past_us || !registry.candidate_exists(candidate).await.map_err(CommandError::from)? {
            objects.delete(&key).await?;
            removed += 1;
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use starscreen_commands::write_side::WriteSide;
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn a_file_without_a_candidate_is_removed_when_it_is_old() {
        let directory = std::env::temp_dir().join(format!("starscreen-sweep-{}", Uuid::now_v7()));
        std::fs::create_dir_all(&directory).unwrap();
        let write = WriteSide::open(&directory.join("write.db"), "test@1").await.unwrap();
        let objects = ObjectFiles::in_directory(&directory.join("objects")).unwrap();
        let key = format!("{}/{}/file", Uuid::now_v7(), Uuid::now_v7());
        objects.put(&key, vec![1]).await.unwrap();
        assert_eq!(once(&objects, &write.registry, MIN_AGE).await.unwrap(), 0);
        assert!(objects.get(&key).await.is_ok());
        assert_eq!(once(&objects, &write.registry, Duration::ZERO).await.unwrap(), 1);
        assert!(matches!(objects.get(&key).await, Err(ObjectsError::Missing)));
        write.close().await;
        std::fs::remove_dir_all(directory).unwrap();
    }
}
