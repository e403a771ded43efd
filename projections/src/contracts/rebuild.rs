use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::{Store, fixtures::*, log::Log};
use crate::{
    Diff, ProjectorStatus, ReadModelError, ReadModels, RebuildOptions, RebuildProgress, Rebuilt,
    candidate_status::{CandidateStatus, ListCandidates},
    monthly_usage::MonthlyUsage,
    projector::Projector,
    row::Row,
    runtime::{Side, checkpoint},
};

const CANDIDATES: &str = "candidate_status";

fn many_candidates(count: u128) -> Arc<Log> {
    let log = Log::new();
    for number in 0..count {
        log.add(TENANT, candidate(number).0, uploaded());
        log.add(TENANT, candidate(number).0, text_extracted(None));
        log.add(TENANT, candidate(number).0, scored(Some(500)));
    }
    log
}

async fn rebuild(models: &ReadModels, log: &Arc<Log>, options: RebuildOptions) -> Result<Rebuilt, ReadModelError> {
    let source = source(log);
    models.rebuild(CANDIDATES, source.feed, source.opener, options, |_| {}).await
}

pub async fn a_rebuild_without_anything_running_makes_the_table(store: Store) {
    let log = many_candidates(10);
    let models = store.open().await;
    let mut heard: Vec<RebuildProgress> = vec![];
    let from = source(&log);
    let options = RebuildOptions { batch: 7, diff: false };
    let rebuilt =
        models.rebuild(CANDIDATES, from.feed, from.opener, options, |progress| heard.push(progress)).await.unwrap();
    assert_eq!((rebuilt.projector, rebuilt.position, rebuilt.diff), (CANDIDATES, 30, None));
    assert_eq!(heard.iter().map(|progress| progress.done).collect::<Vec<_>>(), [7, 14, 21, 28, 30]);
    assert!(heard.iter().all(|progress| progress.head == 30 && progress.events_per_second > 0.0));
    assert_eq!(rows::<CandidateStatus>(&models.db).await, expected::<CandidateStatus>(&log));
    rebuild(&models, &log, options).await.unwrap();
    assert!(rows_on::<CandidateStatus>(&models.db, Side::Next).await.is_empty(), "what was replaced is gone");
    let status = models.status().await.unwrap().remove(0);
    assert_eq!((status.name, status.position, status.rebuilding), (CANDIDATES, 30, None));
}

pub async fn all_read_models_are_rebuilt_one_after_the_other(store: Store) {
    let log = many_candidates(3);
    log.add(TENANT, usage(1).0, period_opened(0, None));
    let models = store.open().await;
    let from = source(&log);
    let rebuilt = models.rebuild_all(from.feed, from.opener, RebuildOptions::default(), |_| {}).await.unwrap();
    let names: Vec<&str> = rebuilt.iter().map(|rebuilt| rebuilt.projector).collect();
    assert_eq!(names, crate::Models::NAMES);
    assert_eq!(rows::<MonthlyUsage>(&models.db).await, expected::<MonthlyUsage>(&log));
}

pub async fn readers_and_the_live_projector_go_on_while_it_is_rebuilt(store: Store) {
    let log = many_candidates(200);
    let models = store.open().await;
    let _running = start(&models, &log, Some(CANDIDATES));
    until_seen(&models, CANDIDATES, 600).await;

    let done = Arc::new(AtomicBool::new(false));
    let writing = tokio::spawn({
        let (log, done) = (Arc::clone(&log), Arc::clone(&done));
        async move {
            let mut number = 1_000;
            while !done.load(Ordering::SeqCst) {
                log.add(TENANT, candidate(number).0, uploaded());
                number += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    });
    let reading = tokio::spawn({
        let (models, done) = (models.clone(), Arc::clone(&done));
        async move {
            let mut most = 200;
            while !done.load(Ordering::SeqCst) {
                let page = models.candidate_status().list(TENANT, JOB, ListCandidates::default()).await.unwrap();
                assert!(page.total >= most, "{} rows after {most}: a reader saw less than before", page.total);
                assert_eq!(page.rows.len(), 100);
                most = page.total;
            }
        }
    });
    for batch in [7, 60, 5_000] {
        rebuild(&models, &log, RebuildOptions { batch, diff: true }).await.unwrap();
    }
    // Another process does it, with this one's projector at work.
    let other = store.open().await;
    let rebuilt = rebuild(&other, &log, RebuildOptions { batch: 50, diff: true }).await.unwrap();
    assert!(rebuilt.diff.unwrap().is_empty());
    done.store(true, Ordering::SeqCst);
    writing.await.unwrap();
    reading.await.unwrap();

    let head = log.events().len() as u64;
    until_seen(&models, CANDIDATES, head).await;
    assert_eq!(rows::<CandidateStatus>(&models.db).await, expected::<CandidateStatus>(&log));
}

pub async fn the_switch_never_takes_readers_back_to_an_earlier_position(store: Store) {
    for (batch, answers) in [(3, 8), (5_000, 2)] {
        let log = many_candidates(10);
        let models = store.open().await;
        let running = start(&models, &log, Some(CANDIDATES));
        until_seen(&models, CANDIDATES, 30).await;
        drop(running);
        log.let_head_lag(answers, 10); // until the rebuild believes that it is done, with the live one ahead
        let rebuilt = rebuild(&models, &log, RebuildOptions { batch, diff: false }).await.unwrap();
        assert_eq!(rebuilt.position, 30);
        assert_eq!(rows::<CandidateStatus>(&models.db).await, expected::<CandidateStatus>(&log));
    }
}

pub async fn a_comparison_counts_the_rows_that_differ(store: Store) {
    let log = many_candidates(10);
    let models = store.open().await;
    let running = start(&models, &log, Some(CANDIDATES));
    until_seen(&models, CANDIDATES, 30).await;
    drop(running);
    let same = rebuild(&models, &log, RebuildOptions { batch: 7, diff: true }).await.unwrap();
    assert_eq!(same.diff, Some(Diff { position: 30, ..Diff::default() }));

    let first = "SELECT candidate_id FROM candidate_status ORDER BY candidate_id LIMIT 3";
    store.sql(&format!("UPDATE candidate_status SET score = 1 WHERE candidate_id IN ({first})")).await;
    let last = "SELECT candidate_id FROM candidate_status ORDER BY candidate_id DESC LIMIT 1";
    store.sql(&format!("DELETE FROM candidate_status WHERE candidate_id IN ({last})")).await;
    let (all, id) = (<CandidateStatus as Projector>::Row::COLUMNS, store.new_id());
    let (columns, others) = (all.join(", "), all[1..].join(", "));
    let copies = format!("SELECT {id}, {others} FROM candidate_status ORDER BY candidate_id LIMIT 2");
    store.sql(&format!("INSERT INTO candidate_status ({columns}) {copies}")).await;
    for _ in 0..5 {
        log.add(TENANT, candidate(99).0, uploaded()); // not seen by the live one: no part of the comparison
    }
    let other = rebuild(&models, &log, RebuildOptions { batch: 7, diff: true }).await.unwrap();
    assert_eq!(other.diff, Some(Diff { position: 30, only_live: 2, only_rebuilt: 1, changed: 3 }));
    assert_eq!(other.position, 35);
    assert_eq!(rows::<CandidateStatus>(&models.db).await, expected::<CandidateStatus>(&log));
}

pub async fn two_rebuilds_do_not_get_in_each_others_way(store: Store) {
    let log = many_candidates(50);
    let models = store.open().await;
    log.slow_down(5);
    let first = tokio::spawn({
        let (models, log) = (models.clone(), Arc::clone(&log));
        async move { rebuild(&models, &log, RebuildOptions::default()).await }
    });
    until("the first rebuild has begun", async || models.status().await.unwrap()[0].rebuilding > Some(0)).await;
    let second = rebuild(&models, &log, RebuildOptions::default()).await;
    assert!(matches!(second, Err(ReadModelError::RebuildRunning(CANDIDATES))));
    first.await.unwrap().unwrap();
    assert_eq!(rows::<CandidateStatus>(&models.db).await, expected::<CandidateStatus>(&log));
}

pub async fn a_rebuild_that_was_killed_leaves_the_live_table_and_can_begin_again(store: Store) {
    let log = many_candidates(50);
    let models = store.open().await;
    let _running = start(&models, &log, Some(CANDIDATES));
    until_seen(&models, CANDIDATES, 150).await;
    log.slow_down(5);
    let killed = tokio::spawn({
        let (models, log) = (models.clone(), Arc::clone(&log));
        async move { rebuild(&models, &log, RebuildOptions::default()).await }
    });
    until("the rebuild has begun", async || models.status().await.unwrap()[0].rebuilding > Some(10)).await;
    killed.abort();
    let _ = killed.await;
    assert_eq!(rows::<CandidateStatus>(&models.db).await, expected::<CandidateStatus>(&log));
    store.sql("UPDATE projection SET updated_at = '2026-01-01T00:00:00+00:00' WHERE name LIKE '%__next'").await;
    rebuild(&models, &log, RebuildOptions::default()).await.unwrap();
    assert_eq!(rows::<CandidateStatus>(&models.db).await, expected::<CandidateStatus>(&log));
}

pub async fn what_a_killed_rebuild_has_left_is_swept_on_start(store: Store) {
    let log = many_candidates(5);
    let models = store.open().await;
    rebuild(&models, &log, RebuildOptions::default()).await.unwrap();
    store.sql("INSERT INTO candidate_status__next SELECT * FROM candidate_status").await;
    let _running = start(&models, &log, Some(CANDIDATES));
    until("the double is empty", async || rows_on::<CandidateStatus>(&models.db, Side::Next).await.is_empty()).await;
    assert_eq!(rows::<CandidateStatus>(&models.db).await, expected::<CandidateStatus>(&log));
}

pub async fn a_rebuild_that_fails_can_begin_again_at_once(store: Store) {
    let log = many_candidates(5);
    let models = store.open().await;
    log.fail(1);
    assert!(matches!(rebuild(&models, &log, RebuildOptions::default()).await, Err(ReadModelError::Feed(_))));
    rebuild(&models, &log, RebuildOptions::default()).await.unwrap();
    assert_eq!(rows::<CandidateStatus>(&models.db).await, expected::<CandidateStatus>(&log));
}

pub async fn a_changed_projector_rebuilds_its_table_on_start(store: Store) {
    let log = many_candidates(5);
    let models = store.open().await;
    let running = start(&models, &log, Some(CANDIDATES));
    until_seen(&models, CANDIDATES, 15).await;
    drop(running);
    store.sql("UPDATE candidate_status SET score = 1").await; // as an older fold had it
    store.sql("UPDATE projection SET version = 0").await;
    let _running = start(&models, &log, Some(CANDIDATES));
    until("the table is what the projector makes of history", async || {
        rows::<CandidateStatus>(&models.db).await == expected::<CandidateStatus>(&log)
    })
    .await;
    log.add(TENANT, candidate(1).0, candidate_deleted());
    until_seen(&models, CANDIDATES, 16).await;
    until("it is live", async || models.status().await.unwrap()[0].status == ProjectorStatus::Live).await;
}

pub async fn a_table_of_a_newer_projector_is_left_to_it_until_an_operator_takes_it_back(store: Store) {
    let log = many_candidates(5);
    let models = store.open().await;
    let running = start(&models, &log, Some(CANDIDATES));
    until_seen(&models, CANDIDATES, 15).await;
    drop(running);
    store.sql("UPDATE projection SET version = 99").await;
    let _running = start(&models, &log, Some(CANDIDATES));
    log.add(TENANT, candidate(1).0, candidate_deleted());
    assert!(!models.wait_for(&[CANDIDATES], 16, Duration::from_millis(500)).await);
    rebuild(&models, &log, RebuildOptions::default()).await.unwrap();
    log.add(TENANT, candidate(2).0, candidate_deleted());
    until_seen(&models, CANDIDATES, 17).await;
    assert_eq!(rows::<CandidateStatus>(&models.db).await, expected::<CandidateStatus>(&log));
}

pub async fn a_rebuild_that_counted_as_abandoned_gives_way_to_the_next(store: Store) {
    let log = many_candidates(100);
    let models = store.open().await;
    log.slow_down(1);
    let first = tokio::spawn({
        let (models, log) = (models.clone(), Arc::clone(&log));
        async move { rebuild(&models, &log, RebuildOptions::default()).await }
    });
    until("the first rebuild has begun", async || models.status().await.unwrap()[0].rebuilding > Some(3)).await;
    let mut tx = models.db.begin().await.unwrap();
    let again = checkpoint::restart::<CandidateStatus>(&mut tx).await.unwrap(); // as the next one begins
    tx.commit().await.unwrap();
    assert!(matches!(first.await.unwrap(), Err(ReadModelError::RebuildSuperseded(CANDIDATES))));
    let next = checkpoint::find(&models.db, Side::Next.name::<CandidateStatus>()).await.unwrap();
    assert_eq!(next, Some(again), "the one that gave way leaves the other's checkpoint alone");
}

pub async fn a_checkpoint_moves_only_for_who_knows_where_and_what_it_is(store: Store) {
    let models = store.open().await;
    let known = checkpoint::load::<CandidateStatus>(&models.db).await.unwrap();
    let advance = async |from: &checkpoint::Checkpoint, to| {
        let mut tx = models.db.begin().await.unwrap();
        let moved = checkpoint::advance(&mut tx, CANDIDATES, from, to).await.unwrap();
        tx.commit().await.unwrap();
        moved
    };
    let of_a_replaced_table = checkpoint::Checkpoint { generation: uuid::Uuid::nil(), ..known.clone() };
    assert!(!advance(&of_a_replaced_table, 5).await);
    assert!(advance(&known, 5).await);
    assert!(!advance(&known, 9).await, "somebody else has moved it");
}
