use std::{sync::Arc, time::Duration};

use super::{Store, fixtures::*, log::Log};
use crate::{
    Models, ProjectorStatus, ReadModelError, ReadModels, candidate_status::CandidateStatus, jobs::Jobs,
    monthly_usage::MonthlyUsage, projector::Projector,
};

const USAGE: &str = "monthly_usage";

/// Slots reserved one by one, so that an event folded twice, or not at all, shows in the count.
fn counted(events: u64) -> Arc<Log> {
    let log = Log::new();
    log.add(TENANT, usage(1).0, period_opened(0, None));
    for _ in 1..events {
        log.add(TENANT, usage(1).0, slots_reserved(1));
    }
    log
}

async fn state(models: &ReadModels, name: &str) -> (ProjectorStatus, u64, Option<String>) {
    let all = models.status().await.unwrap();
    let found = all.into_iter().find(|projection| projection.name == name).unwrap();
    (found.status, found.position, found.error)
}

async fn until_status(models: &ReadModels, name: &str, status: ProjectorStatus) {
    until(&format!("{name} is {status}"), async || state(models, name).await.0 == status).await;
}

pub async fn every_projector_catches_up_and_then_is_live(store: Store) {
    let log = counted(5);
    log.add(TENANT, JOB.0, job_created("Engineer"));
    log.add(TENANT, candidate(1).0, uploaded());
    let models = store.open().await;
    let _running = start(&models, &log, None);
    for name in Models::NAMES {
        until_status(&models, name, ProjectorStatus::Live).await;
        assert_eq!(state(&models, name).await, (ProjectorStatus::Live, 7, None));
    }
    assert_eq!(rows::<MonthlyUsage>(&models.db).await, expected::<MonthlyUsage>(&log));
    assert_eq!(rows::<Jobs>(&models.db).await, expected::<Jobs>(&log));
    assert_eq!(rows::<CandidateStatus>(&models.db).await, expected::<CandidateStatus>(&log));

    log.add(TENANT, candidate(1).0, candidate_deleted());
    until_seen(&models, CandidateStatus::NAME, 8).await;
    assert!(rows::<CandidateStatus>(&models.db).await.is_empty());
}

pub async fn only_the_named_projector_is_started(store: Store) {
    let log = counted(3);
    let models = store.open().await;
    let _running = start(&models, &log, Some(USAGE));
    until_status(&models, USAGE, ProjectorStatus::Live).await;
    assert_eq!(state(&models, "jobs").await, (ProjectorStatus::Booting, 0, None));
    let (_keep, shutdown) = tokio::sync::watch::channel(false);
    let unknown = models.start(Arc::clone(&log) as _, Arc::new(super::log::TestOpener), Some("job"), &shutdown);
    assert!(matches!(unknown, Err(ReadModelError::UnknownProjector(name)) if name == "job"));
}

pub async fn they_stop_when_asked(store: Store) {
    let log = counted(3);
    let models = store.open().await;
    let (stop, shutdown) = tokio::sync::watch::channel(false);
    let running = models.start(Arc::clone(&log) as _, Arc::new(super::log::TestOpener), None, &shutdown).unwrap();
    until_status(&models, USAGE, ProjectorStatus::Live).await;
    stop.send(true).unwrap();
    tokio::time::timeout(Duration::from_secs(5), running.stopped()).await.unwrap().unwrap();
}

pub async fn a_projector_killed_between_two_events_repeats_and_skips_nothing(store: Store) {
    let log = counted(400);
    log.slow_down(7);
    let models = store.open().await;
    let mut kills = 0;
    while state(&models, USAGE).await.1 < 400 {
        let running = start(&models, &log, Some(USAGE));
        let from = state(&models, USAGE).await.1;
        until("it moves", async || state(&models, USAGE).await.1 > from).await;
        tokio::time::sleep(Duration::from_micros(700 * (kills % 12))).await;
        drop(running); // in the middle of whatever it does
        kills += 1;
    }
    assert!(kills > 5, "it was killed {kills} times");
    assert_eq!(rows::<MonthlyUsage>(&models.db).await, expected::<MonthlyUsage>(&log));
}

pub async fn two_processes_with_the_same_projector_fold_each_event_once(store: Store) {
    let log = counted(600);
    log.slow_down(5);
    let (one, two) = (store.open().await, store.open().await);
    let _running = (start(&one, &log, Some(USAGE)), start(&two, &log, Some(USAGE)));
    until_seen(&one, USAGE, 600).await;
    until_seen(&two, USAGE, 600).await;
    assert_eq!(rows::<MonthlyUsage>(&one.db).await, expected::<MonthlyUsage>(&log));
}

pub async fn a_jump_in_positions_is_a_loss_and_is_read_again(store: Store) {
    let log = counted(9);
    log.lose(5);
    let models = store.open().await;
    let _running = start(&models, &log, Some(USAGE));
    until_status(&models, USAGE, ProjectorStatus::Error).await;
    let (_, position, error) = state(&models, USAGE).await;
    assert_eq!(position, 4, "it stands before the gap");
    assert_eq!(error.unwrap(), "position 5 is missing from the history, which goes on at 6");
    log.mend();
    until_seen(&models, USAGE, 9).await;
    until_status(&models, USAGE, ProjectorStatus::Live).await;
    assert_eq!(rows::<MonthlyUsage>(&models.db).await, expected::<MonthlyUsage>(&log));
}

pub async fn a_history_out_of_reach_is_tried_again(store: Store) {
    let log = counted(9);
    log.fail(3);
    let models = store.open().await;
    let _running = start(&models, &log, Some(USAGE));
    until_status(&models, USAGE, ProjectorStatus::Error).await;
    let error = state(&models, USAGE).await.2.unwrap();
    assert_eq!(error, "the history is not available: the log is closed for cleaning");
    until_status(&models, USAGE, ProjectorStatus::Live).await;
    assert_eq!(state(&models, USAGE).await, (ProjectorStatus::Live, 9, None));
}

pub async fn a_shorter_history_is_reported_and_a_rebuild_helps(store: Store) {
    let log = counted(9);
    let models = store.open().await;
    let running = start(&models, &log, Some(USAGE));
    until_seen(&models, USAGE, 9).await;
    drop(running);
    log.truncate(4);
    let _running = start(&models, &log, Some(USAGE));
    until_status(&models, USAGE, ProjectorStatus::Error).await;
    assert!(state(&models, USAGE).await.2.unwrap().contains("belongs to another history"));
    let source = source(&log);
    models.rebuild(USAGE, source.feed, source.opener, crate::RebuildOptions::default(), |_| {}).await.unwrap();
    until_status(&models, USAGE, ProjectorStatus::Live).await;
    assert_eq!(rows::<MonthlyUsage>(&models.db).await, expected::<MonthlyUsage>(&log));
}

pub async fn a_paused_projector_stands_still_until_it_is_resumed(store: Store) {
    let log = counted(3);
    let models = store.open().await;
    let _running = start(&models, &log, Some(USAGE));
    until_seen(&models, USAGE, 3).await;
    models.pause(USAGE).await.unwrap();
    log.add(TENANT, usage(1).0, slots_reserved(1));
    assert!(!models.wait_for(&[USAGE], 4, Duration::from_millis(600)).await);
    assert_eq!(state(&models, USAGE).await.0, ProjectorStatus::Paused);
    models.resume(USAGE).await.unwrap();
    until_seen(&models, USAGE, 4).await;
    until_status(&models, USAGE, ProjectorStatus::Live).await;
}

pub async fn a_pause_while_nothing_comes_in_ends_live_again(store: Store) {
    let log = counted(3);
    let models = store.open().await;
    let _running = start(&models, &log, Some(USAGE));
    until_status(&models, USAGE, ProjectorStatus::Live).await;
    models.pause(USAGE).await.unwrap();
    models.resume(USAGE).await.unwrap(); // before it is even noticed
    until_status(&models, USAGE, ProjectorStatus::Live).await;
    models.pause(USAGE).await.unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(state(&models, USAGE).await.0, ProjectorStatus::Paused, "nothing but `resume` lifts it");
    models.resume(USAGE).await.unwrap();
    until_status(&models, USAGE, ProjectorStatus::Live).await;
}
