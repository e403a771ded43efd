//! Removes files that belong to nobody: a process that was killed between storing a file and committing its upload
//! leaves one behind, encrypted by a key that died with it. And a client may send a file straight to the store and never
//! ask to have it taken in. Receipts of requests that nobody repeats any more go too.

use std::time::Duration;

use chrono::{DateTime, Utc};
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
/// A repeated request is answered from its receipt for so long: two days, so that it is one also where clocks differ.
const RECEIPTS_KEPT: Duration = Duration::from_hours(48);
/// Receipts that are removed in one transaction; others wait behind it where there is one writer.
const RECEIPTS_AT_ONCE: u32 = 500;

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
        match remove_old_receipts(registry, Utc::now()).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "old receipts of repeatable requests were removed"),
            Err(error) => tracing::warn!(error = %error, "old receipts could not be removed"),
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

async fn remove_old_receipts(registry: &Registry, now: DateTime<Utc>) -> Result<u64, CommandError> {
    let mut removed = 0;
    loop {
        match registry.remove_receipts(now - RECEIPTS_KEPT, RECEIPTS_AT_ONCE).await? {
            0 => return Ok(removed),
            more => removed += more,
        }
    }
}

#[cfg(test)]
mod tests {
    use starscreen_commands::{
        append::{Append, NewReceipt},
        write_side::WriteSide,
    };
    use starscreen_domain::TenantId;
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

    #[tokio::test]
    async fn receipts_are_kept_for_two_days_and_then_removed_in_small_parts() {
        let directory = std::env::temp_dir().join(format!("starscreen-receipts-{}", Uuid::now_v7()));
        std::fs::create_dir_all(&directory).unwrap();
        let write = WriteSide::open(&directory.join("write.db"), "test@1").await.unwrap();
        let tenant_id = TenantId(Uuid::now_v7());
        for number in 0..=RECEIPTS_AT_ONCE {
            let receipt = NewReceipt {
                tenant_id,
                key: number.to_string(),
                request_hash: "hash".to_owned(),
                answer: "null".to_owned(),
            };
            write.writer.append(Append { receipt: Some(receipt), ..Append::default() }).await.unwrap();
        }
        let written = Utc::now();
        assert_eq!(remove_old_receipts(&write.registry, written).await.unwrap(), 0);
        let almost = written + RECEIPTS_KEPT - Duration::from_mins(5);
        assert_eq!(remove_old_receipts(&write.registry, almost).await.unwrap(), 0);
        let after = written + RECEIPTS_KEPT + Duration::from_secs(1);
        assert_eq!(remove_old_receipts(&write.registry, after).await.unwrap(), u64::from(RECEIPTS_AT_ONCE) + 1);
        assert!(write.registry.receipt(tenant_id, "0").await.unwrap().is_none());
        write.close().await;
        std::fs::remove_dir_all(directory).unwrap();
    }
}
