use std::sync::Arc;

use starscreen_domain::{Event, Recorded, usage::UsageEvent};
use tokio::sync::watch;
use uuid::Uuid;

use super::{
    Store,
    fixtures::*,
    log::{DAMAGED, Log},
};
use crate::{
    Parked, ProjectorStatus, ReadModels, Replayed,
    candidate_status::{CandidateStatus, Status},
    monthly_usage::{MonthlyUsage, MonthlyUsageRow},
    projector::Projector,
    runtime::{leader::Leading, parked::WAITS, runner::Runner, waiting::Checkpoints},
    usage_entries::UsageEntries,
};

const CANDIDATES: &str = "candidate_status";

async fn parked(models: &ReadModels, name: &str) -> Vec<(u64, String, u32)> {
    let all = models.parked(name, 0, 100).await.unwrap();
    all.into_iter().map(|Parked { position, reason, attempts, .. }| (position, reason, attempts)).collect()
}

async fn replay(models: &ReadModels, name: &str, log: &Arc<Log>) -> Replayed {
    let source = source(log);
    models.replay(name, source.feed, source.opener).await.unwrap()
}

/// Two candidates, event by event in turn; candidate 1 has the odd positions.
fn two_candidates() -> Arc<Log> {
    let log = Log::new();
    for event in [uploaded(), extraction_started(), text_extracted(None), scored(Some(500))] {
        log.add(TENANT, candidate(1).0, event.clone());
        log.add(TENANT, candidate(2).0, event);
    }
    log
}

pub async fn an_unreadable_event_is_parked_and_only_its_row_waits(store: Store) {
    let log = two_candidates();
    log.spoil(3);
    let models = store.open().await;
    let _running = start(&models, &log, Some(CANDIDATES));
    until_seen(&models, CANDIDATES, 8).await;
    let waits = || WAITS.to_owned();
    let reason = "written by a program of next year".to_owned();
    assert_eq!(parked(&models, CANDIDATES).await, [(3, reason, 1), (5, waits(), 0), (7, waits(), 0)]);
    let statuses: Vec<Status> = rows::<CandidateStatus>(&models.db).await.iter().map(|row| row.status).collect();
    assert_eq!(statuses, [Status::Uploaded, Status::Scored], "candidate 2 goes on");

    log.add(TENANT, candidate(1).0, scoring_failed());
    until_seen(&models, CANDIDATES, 9).await;
    assert_eq!(parked(&models, CANDIDATES).await.len(), 4, "what comes later waits as well");
    let all = models.status().await.unwrap();
    let status = all.iter().find(|projection| projection.name == CANDIDATES).unwrap();
    assert_eq!((status.parked, status.status), (4, ProjectorStatus::Live));
    let evaluations = all.iter().find(|projection| projection.name == "evaluations").unwrap();
    assert_eq!(evaluations.parked, 0, "each projector parks for itself");
}

pub async fn replay_after_the_fix_folds_what_waited_in_order(store: Store) {
    let log = two_candidates();
    log.spoil(3);
    let models = store.open().await;
    let _running = start(&models, &log, Some(CANDIDATES));
    until_seen(&models, CANDIDATES, 8).await;
    assert_eq!(replay(&models, CANDIDATES, &log).await, Replayed { folded: 0, rows_left: 1 }, "not mended yet");
    assert_eq!(parked(&models, CANDIDATES).await[0].2, 2, "it was tried twice");

    log.mend();
    assert_eq!(replay(&models, CANDIDATES, &log).await, Replayed { folded: 3, rows_left: 0 });
    assert_eq!(parked(&models, CANDIDATES).await, []);
    assert_eq!(rows::<CandidateStatus>(&models.db).await, expected::<CandidateStatus>(&log));

    log.add(TENANT, candidate(1).0, candidate_deleted());
    until_seen(&models, CANDIDATES, 9).await;
    assert_eq!(rows::<CandidateStatus>(&models.db).await.len(), 1, "the row lives again");
}

pub async fn replay_stops_at_the_next_event_that_cannot_be_folded(store: Store) {
    let log = two_candidates();
    log.spoil(3);
    log.spoil(7);
    log.add(TENANT, candidate(1).0, scoring_requested());
    let models = store.open().await;
    let _running = start(&models, &log, Some(CANDIDATES));
    until_seen(&models, CANDIDATES, 9).await;
    log.mend();
    log.spoil(7);
    assert_eq!(replay(&models, CANDIDATES, &log).await, Replayed { folded: 2, rows_left: 1 });
    let reason = "written by a program of next year".to_owned();
    assert_eq!(parked(&models, CANDIDATES).await, [(7, reason, 1), (9, WAITS.to_owned(), 0)]);
}

pub async fn an_unreadable_event_of_another_noun_parks_nothing(store: Store) {
    let log = two_candidates();
    log.spoil(3);
    let models = store.open().await;
    let _running = start(&models, &log, Some("jobs"));
    until_seen(&models, "jobs", 8).await;
    assert_eq!(parked(&models, "jobs").await, []);
}

pub async fn an_event_that_cannot_be_opened_is_parked(store: Store) {
    let log = Log::new();
    log.add(TENANT, candidate(1).0, uploaded_with(sealed(DAMAGED), None));
    log.add(TENANT, candidate(1).0, extraction_started());
    log.add(TENANT, candidate(2).0, uploaded());
    let models = store.open().await;
    let _running = start(&models, &log, Some(CANDIDATES));
    until_seen(&models, CANDIDATES, 3).await;
    let reason = "file_name cannot be opened".to_owned();
    assert_eq!(parked(&models, CANDIDATES).await, [(1, reason, 1), (2, WAITS.to_owned(), 0)]);
    assert_eq!(rows::<CandidateStatus>(&models.db).await.len(), 1);
}

/// The monthly usage before the fix: 13 brings bad luck.
struct Fragile;

impl Projector for Fragile {
    type Row = MonthlyUsageRow;
    const NAME: &'static str = MonthlyUsage::NAME;
    const VERSION: u32 = MonthlyUsage::VERSION;
    const READS: &'static [&'static str] = MonthlyUsage::READS;

    fn key(event: &Recorded<Event>) -> Option<Uuid> {
        MonthlyUsage::key(event)
    }

    fn fold(row: Option<MonthlyUsageRow>, event: &Recorded<Event>) -> Option<MonthlyUsageRow> {
        assert!(!matches!(&event.payload, Event::Usage(UsageEvent::UsageAdjusted { delta: 13, .. })), "bad luck");
        MonthlyUsage::fold(row, event)
    }
}

fn unlucky_period() -> Arc<Log> {
    let log = Log::new();
    for period in [1, 2] {
        log.add(TENANT, usage(period).0, period_opened(0, None));
    }
    log.add(TENANT, usage(1).0, slots_reserved(2));
    log.add(TENANT, usage(1).0, usage_adjusted(13));
    log.add(TENANT, usage(2).0, slots_reserved(7));
    log.add(TENANT, usage(1).0, slots_reserved(3));
    log
}

async fn run_fragile(models: &ReadModels, log: &Arc<Log>, position: u64) {
    let checkpoints = Arc::new(Checkpoints::new());
    let runner = Runner { db: models.db.clone(), source: source(log), checkpoints, leading: Leading::alone() };
    let (stop, shutdown) = watch::channel(false);
    let task = tokio::spawn(runner.run::<Fragile>(shutdown));
    until_seen(models, Fragile::NAME, position).await;
    stop.send(true).unwrap();
    task.await.unwrap();
}

pub async fn a_fold_that_panics_parks_the_event_and_keeps_what_was_folded_before(store: Store) {
    let log = unlucky_period();
    let models = store.open().await;
    run_fragile(&models, &log, 6).await;
    let reason = "monthly_usage panicked on it".to_owned();
    assert_eq!(parked(&models, Fragile::NAME).await, [(4, reason, 1), (6, WAITS.to_owned(), 0)]);
    let used: Vec<i64> = rows::<MonthlyUsage>(&models.db).await.iter().map(|row| row.used).collect();
    assert_eq!(used, [2, 7]);

    assert_eq!(replay(&models, MonthlyUsage::NAME, &log).await, Replayed { folded: 2, rows_left: 0 });
    assert_eq!(rows::<MonthlyUsage>(&models.db).await, expected::<MonthlyUsage>(&log));
}

pub async fn entries_that_could_not_be_read_are_replayed_into_rows_of_their_own(store: Store) {
    let log = unlucky_period();
    for position in [3, 4, 6] {
        log.spoil(position);
    }
    let models = store.open().await;
    let _running = start(&models, &log, Some(UsageEntries::NAME));
    until_seen(&models, UsageEntries::NAME, 6).await;
    let seen: Vec<u64> = rows::<UsageEntries>(&models.db).await.iter().map(|row| row.position).collect();
    assert_eq!(seen, [1, 2, 5]);
    let still = Replayed { folded: 0, rows_left: 1 };
    assert_eq!(replay(&models, UsageEntries::NAME, &log).await, still, "before the fix");
    assert_eq!(parked(&models, UsageEntries::NAME).await.len(), 3);
    log.mend();
    assert_eq!(replay(&models, UsageEntries::NAME, &log).await, Replayed { folded: 3, rows_left: 0 });
    assert_eq!(rows::<UsageEntries>(&models.db).await, expected::<UsageEntries>(&log));
    assert_eq!(parked(&models, UsageEntries::NAME).await, []);
}

pub async fn a_rebuild_with_the_fix_needs_no_replay(store: Store) {
    let log = unlucky_period();
    let models = store.open().await;
    run_fragile(&models, &log, 6).await;
    let source = source(&log);
    models
        .rebuild(MonthlyUsage::NAME, source.feed, source.opener, crate::RebuildOptions::default(), |_| {})
        .await
        .unwrap();
    assert_eq!(parked(&models, MonthlyUsage::NAME).await, []);
    assert_eq!(rows::<MonthlyUsage>(&models.db).await, expected::<MonthlyUsage>(&log));
}

pub async fn a_rebuild_parks_what_it_cannot_fold_and_replay_goes_on_from_there(store: Store) {
    let log = two_candidates();
    log.spoil(3);
    let models = store.open().await;
    let from = source(&log);
    models
        .rebuild(CANDIDATES, from.feed, from.opener, crate::RebuildOptions { batch: 2, diff: false }, |_| {})
        .await
        .unwrap();
    assert_eq!(parked(&models, CANDIDATES).await.len(), 3);
    log.mend();
    assert_eq!(replay(&models, CANDIDATES, &log).await, Replayed { folded: 3, rows_left: 0 });
    assert_eq!(rows::<CandidateStatus>(&models.db).await, expected::<CandidateStatus>(&log));
}
