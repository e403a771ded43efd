//! Figures, not checks: `cargo test --release -p starscreen-projections speed -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use super::{fixtures::*, log::Log};
use crate::{RebuildOptions, candidate_status::CandidateStatus, projector::Projector};

const CANDIDATES: u128 = 40_000;
/// Candidates whose events come in together; the fewer, the more events of a batch fold into one row.
const WAVES: [u128; 2] = [100, CANDIDATES];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes long; prints events a second"]
async fn rebuilding_by_batch_size() {
    for wave in WAVES {
        rebuild_in_waves(wave).await;
    }
}

async fn rebuild_in_waves(size: u128) {
    let (directory, log) = (Directory::new(), Log::new());
    for wave in 0..CANDIDATES / size {
        let steps = [
            uploaded_for(&person("Ada", "ada@example.org")),
            extraction_started(),
            text_extracted(Some(&person("Ada", "ada@example.org"))),
            scoring_requested(),
            scored(Some(500)),
        ];
        for step in steps {
            for number in 0..size {
                log.add(TENANT, candidate(wave * size + number).0, step.clone());
            }
        }
    }
    let models = directory.open().await;
    for (name, batch) in
        [("candidate_status", 500), ("candidate_status", 5_000), ("evaluations", 5_000), ("jobs", 5_000)]
    {
        let from = source(&log);
        let options = RebuildOptions { batch, diff: false };
        let rebuilt = models.rebuild(name, from.feed, from.opener, options, |_| {}).await.unwrap();
        let per_second = events / rebuilt.seconds;
        println!("waves of {size}: {name}, batch {batch}: {per_second:.0} events/s ({} events)", rebuilt.position);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes long; prints milliseconds"]
async fn waiting_for_ones_own_write() {
    let (directory, log) = (Directory::new(), Log::new());
    let models = directory.open().await;
    let _running = start(&models, &log, None);
    until_seen(&models, CandidateStatus::NAME, 0).await;
    let mut taken: Vec<Duration> = vec![];
    for number in 0..500 {
        let begun = Instant::now();
        let position = log.add(TENANT, candidate(number).0, uploaded());
        assert!(models.wait_for(&[CandidateStatus::NAME], position, Duration::from_secs(5)).await);
        taken.push(begun.elapsed());
    }
    taken.sort();
    println!("own write seen after: p50 {:?}, p99 {:?}", taken[250], taken[495]);
}
