//! Figures, for the bench.

use std::time::{Duration, Instant};

use super::{Store, fixtures::*, log::Log, store::forget_all};
use crate::RebuildOptions;

/// Events a second of a rebuild of the candidates, who have five events each, while `under_way` of them at a time are
/// on their way. More than fit in a batch: each event is a row written.
pub async fn rebuild(store: &Store, events: u64, under_way: u64, batch: usize) -> f64 {
    let log = Log::new();
    for first in (0..events / 5).step_by(usize::try_from(under_way).unwrap()) {
        for event in [uploaded(), extraction_started(), text_extracted(None), scoring_requested(), scored(Some(500))] {
            for number in first..first + under_way {
                log.add(TENANT, candidate(u128::from(number)).0, event.clone());
            }
        }
    }
    let (models, from) = (store.open().await, source(&log));
    let options = RebuildOptions { batch, diff: false };
    let rebuilt = models.rebuild("candidate_status", from.feed, from.opener, options, |_| {}).await.unwrap();
    #[expect(clippy::cast_precision_loss, reason = "a speed for people to read")]
    let events = events as f64;
    events / rebuilt.seconds
}

/// p50 and p99 from an event to the last of `waiters` that saw it through another process's projector.
pub async fn wait_elsewhere(store: &Store, waiters: usize) -> [Duration; 2] {
    let log = Log::new();
    let (here, there) = (store.open().await, store.open().await);
    forget_all(&here.db).await;
    let _running = start(&there, &log, Some("jobs"));
    log.add(TENANT, job(1).0, job_created("Engineer"));
    until_seen(&there, "jobs", 1).await;
    let mut took = vec![];
    for number in 0..200 {
        let begun = Instant::now();
        let position = log.add(TENANT, job(10 + number).0, job_created("Engineer"));
        let waiting = (0..waiters).map(|_| here.wait_for(&["jobs"], position, Duration::from_secs(5)));
        assert!(futures::future::join_all(waiting).await.into_iter().all(|seen| seen));
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    [took[took.len() / 2], took[took.len() * 99 / 100]]
}
