//! What operators do to the work: nothing is lost by it, and nothing is done twice.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use starscreen_domain::{
    CandidateId, JobId,
    candidate::Status,
    job::{Job, ReviseJob, RubricStatus},
    usage::UsageError,
    work::Lane,
};

use super::{
    Store,
    crew::{Crew, LEASE, until_all_is_done, upload},
    scripted::{Scripted, Step},
    stage::{self, Tenant},
    workers::{failure_code, story},
};
use crate::{
    CommandError, job,
    operations::{self, Dead, Redriven},
    work::{LaneCount, Tried},
    workers::purge::{PurgeError, Purged, purge},
};

/// A tenant with this many slots, a job that has its rubric, and nobody at work.
async fn ready(store: &Store, ports: &Scripted, slots: u32) -> (Tenant, JobId) {
    let tenant = stage::tenant(store, Some(slots)).await;
    let job = stage::job(store, &tenant).await;
    let crew = Crew::at_work(store, ports);
    until_all_is_done(store).await;
    crew.stop().await;
    (tenant, job)
}

async fn purge_lane(store: &Store, lane: Lane) -> Purged {
    purge(&store.bus, &store.queue, lane, |_| {}).await.unwrap()
}

async fn dead(store: &Store) -> Vec<Dead> {
    operations::dead(&store.queue, None, None, 100).await.unwrap()
}

async fn redrive_all(store: &Store) -> Vec<Redriven> {
    let mut all = dead(store).await;
    all.sort_by_key(|dead| dead.lane != Lane::Rubric.name());
    let mut outcomes = vec![];
    for dead in &all {
        outcomes.push(operations::redrive(&store.bus, &store.queue, dead).await.unwrap());
    }
    outcomes
}

async fn status(store: &Store, tenant: &Tenant, id: CandidateId) -> Status {
    stage::candidate(store, tenant, id).await.status
}

pub async fn a_pause_holds_over_restarts_whatever_workers_say(store: Store) {
    let ports = Scripted::default();
    let (tenant, job) = ready(&store, &ports, 5).await;
    store.queue.pause(Lane::Extract, "moving house", None).await.unwrap();
    upload(&store, &ports, &tenant, job, "Ada built engines.").await;

    let soon = Utc::now() + TimeDelta::milliseconds(1);
    store.queue.pause(Lane::Extract, "the model refuses", Some(soon)).await.unwrap();
    store.queue.mended(Lane::Extract).await.unwrap();
    store.queue.end_all_leases().await.unwrap();
    let again = store.beside().await;

    let pause = operations::lane_state(&again.queue, Lane::Extract).await.unwrap().pause.unwrap();
    assert_eq!((pause.reason.as_str(), pause.until_ms), ("moving house", None));
    assert!(again.queue.claim(Lane::Extract, 5, LEASE).await.unwrap().is_empty(), "a paused lane gives nothing away");
    assert!(again.queue.resume(Lane::Extract).await.unwrap());
    assert!(!again.queue.resume(Lane::Extract).await.unwrap(), "it was resumed before");
    assert_eq!(store.queue.claim(Lane::Extract, 5, LEASE).await.unwrap().len(), 1);
    assert!(operations::lane_state(&store.queue, Lane::Extract).await.unwrap().pause.is_none());
}

pub async fn a_refusals_pause_shows_its_reason_while_it_holds(store: Store) {
    let until = Utc::now() + TimeDelta::milliseconds(150);
    store.queue.pause(Lane::Score, "no credit", Some(until)).await.unwrap();
    let state = operations::lane_state(&store.queue, Lane::Score).await.unwrap();
    assert_eq!(state.pause.unwrap().reason, "no credit");
    stage::until("the end of the pause", async || {
        let state = operations::lane_state(&store.queue, Lane::Score).await.unwrap();
        state.pause.is_none().then_some(())
    })
    .await;
}

pub async fn a_purged_resume_fails_frees_its_slot_and_can_be_redriven(store: Store) {
    let ports = Scripted::default();
    let (tenant, job) = ready(&store, &ports, 1).await;
    store.queue.pause(Lane::Extract, "stuck", None).await.unwrap(); // a paused lane can be purged
    let id = upload(&store, &ports, &tenant, job, "Ada built engines.").await;

    assert_eq!(purge_lane(&store, Lane::Extract).await, Purged { failed: 1, moot: 0, in_hand: 0 });

    assert_eq!(story(&store, id).await, ["SlotsReserved", "ResumeUploaded", "ExtractionFailed", "SlotReleased"]);
    assert_eq!(failure_code(&store, id).await.as_deref(), Some("purged"));
    assert_eq!(stage::usage(&store, &tenant).await.used(), 0);
    assert_eq!(store.queue.count(Lane::Extract).await.unwrap(), LaneCount::default());
    let buried = dead(&store).await;
    assert_eq!((buried.len(), buried[0].lane.as_str(), buried[0].subject), (1, "extract", id.0));
    assert_eq!(buried[0].code, "purged");

    store.queue.resume(Lane::Extract).await.unwrap();
    let crew = Crew::at_work(&store, &ports);
    assert_eq!(redrive_all(&store).await, [Redriven::Again]);
    until_all_is_done(&store).await;
    assert_eq!(status(&store, &tenant, id).await, Status::Scored);
    assert_eq!(stage::usage(&store, &tenant).await.used(), 1);
    assert!(dead(&store).await.is_empty());
    crew.stop().await;
}

pub async fn a_redrive_without_a_free_slot_leaves_it_dead(store: Store) {
    let ports = Scripted::default();
    let (tenant, job) = ready(&store, &ports, 1).await;
    upload(&store, &ports, &tenant, job, "Ada built engines.").await;
    purge_lane(&store, Lane::Extract).await;
    upload(&store, &ports, &tenant, job, "Bob kept notes.").await; // takes the slot that was freed

    let refused = operations::redrive(&store.bus, &store.queue, &dead(&store).await[0]).await;

    assert!(matches!(refused, Err(CommandError::Usage(UsageError::LimitReached { .. }))), "{refused:?}");
    assert_eq!(dead(&store).await.len(), 1, "it can be tried again later");
}

pub async fn a_purged_rubric_takes_who_waits_along_and_a_redrive_brings_all_back(store: Store) {
    let ports = Scripted::default();
    ports.llm.hold_rubrics();
    let tenant = stage::tenant(&store, Some(2)).await;
    store.queue.pause(Lane::Rubric, "stuck", None).await.unwrap();
    let crew = Crew::at_work(&store, &ports);
    let job = stage::job(&store, &tenant).await;
    let id = upload(&store, &ports, &tenant, job, "Ada built engines.").await;
    stage::until("the text", async || (status(&store, &tenant, id).await == Status::Parsed).then_some(())).await;

    assert_eq!(purge_lane(&store, Lane::Rubric).await.failed, 1);
    until_all_is_done(&store).await;

    assert_eq!(store.bus.read::<Job>(tenant.id, job).await.unwrap().rubric_status, RubricStatus::Failed);
    assert_eq!(failure_code(&store, id).await.as_deref(), Some("rubric_failed"));
    let lanes: Vec<String> = dead(&store).await.into_iter().map(|dead| dead.lane).collect();
    assert_eq!(lanes, ["rubric", "score"], "who waited for it is not lost");

    ports.llm.let_rubrics_go_on();
    store.queue.resume(Lane::Rubric).await.unwrap();
    assert_eq!(redrive_all(&store).await, [Redriven::Again, Redriven::Again]);
    until_all_is_done(&store).await;
    assert_eq!(status(&store, &tenant, id).await, Status::Scored);
    crew.stop().await;
}

pub async fn a_purged_score_leaves_an_older_one_and_is_redriven_without_a_slot(store: Store) {
    let ports = Scripted::default();
    let (tenant, job) = ready(&store, &ports, 1).await;
    let crew = Crew::at_work(&store, &ports);
    let id = upload(&store, &ports, &tenant, job, "Ada built engines.").await;
    until_all_is_done(&store).await;
    store.queue.pause(Lane::Score, "stuck", None).await.unwrap();
    let revision = ReviseJob { title: Some("Analyst".to_owned()), ..ReviseJob::default() };
    job::revise(&store.bus, tenant.context(), job, revision).await.unwrap();
    stage::until("the new request", async || (store.queue.count(Lane::Score).await.unwrap().ready == 1).then_some(()))
        .await;

    assert_eq!(purge_lane(&store, Lane::Score).await.failed, 1);
    assert_eq!(status(&store, &tenant, id).await, Status::Scored, "the score that stands is not lost");
    assert_eq!(stage::usage(&store, &tenant).await.used(), 1);

    store.queue.resume(Lane::Score).await.unwrap();
    assert_eq!(redrive_all(&store).await, [Redriven::Again]);
    until_all_is_done(&store).await;
    assert_eq!(stage::candidate(&store, &tenant, id).await.scored_by, Some(2));
    assert!(dead(&store).await.is_empty());
    crew.stop().await;
}

pub async fn a_purge_leaves_what_is_in_hand_and_takes_what_waits(store: Store) {
    let ports = Scripted::default();
    let (tenant, job) = ready(&store, &ports, 5).await;
    let in_hand = upload(&store, &ports, &tenant, job, "Ada built engines.").await;
    let held = store.queue.claim(Lane::Extract, 1, LEASE).await.unwrap().remove(0);
    let waits = upload(&store, &ports, &tenant, job, "Bob kept notes.").await;
    let tried = store.queue.claim(Lane::Extract, 1, LEASE).await.unwrap().remove(0);
    store.queue.give_back(tried.lease, Duration::from_hours(1), "the disk was full", Tried::Counted).await.unwrap();

    assert_eq!(purge_lane(&store, Lane::Extract).await, Purged { failed: 1, moot: 0, in_hand: 1 });

    assert_eq!(status(&store, &tenant, waits).await, Status::Failed);
    assert_eq!(status(&store, &tenant, in_hand).await, Status::Uploaded);
    let buried = dead(&store).await;
    assert_eq!((buried.len(), buried[0].last_error.as_str()), (1, "the disk was full"));
    assert!(store.queue.complete(held.lease).await.unwrap(), "its worker was not disturbed");
}

pub async fn a_purge_beside_workers_ends_everything_once(store: Store) {
    let ports = Scripted::default();
    let (tenant, job) = ready(&store, &ports, 60).await;
    let mut all = vec![];
    for _ in 0..60 {
        all.push(upload(&store, &ports, &tenant, job, "Ada built engines.").await);
    }
    let crew = Crew::at_work(&store, &ports);
    let other = store.beside().await;
    let purged = purge(&other.bus, &other.queue, Lane::Extract, |_| {}).await.unwrap();
    until_all_is_done(&store).await;

    let mut failed = 0;
    for id in all {
        let told = story(&store, id).await;
        let ends = told.iter().filter(|name| matches!(name.as_str(), "ExtractionFailed" | "CandidateScored")).count();
        assert_eq!(ends, 1, "{told:?}");
        failed += u64::from(told.contains(&"ExtractionFailed".to_owned()));
    }
    assert_eq!(failed, purged.failed);
    assert_eq!(u64::from(stage::usage(&store, &tenant).await.used()), 60 - failed);
    assert_eq!(dead(&store).await.len() as u64, failed);
    crew.stop().await;
}

pub async fn our_own_reactions_are_not_purged(store: Store) {
    let ports = Scripted::default();
    let (tenant, job) = ready(&store, &ports, 1).await;
    job::delete(&store.bus, tenant.context(), job).await.unwrap();

    let refused = purge(&store.bus, &store.queue, Lane::React, |_| {}).await;

    assert!(matches!(refused, Err(PurgeError::OwnFollowUps(Lane::React))), "{refused:?}");
    assert_eq!(store.queue.count(Lane::React).await.unwrap().ready, 1, "it is still asked for");
}

pub async fn what_nobody_wants_any_more_is_settled_by_a_redrive(store: Store) {
    let ports = Scripted::default();
    let (tenant, job) = ready(&store, &ports, 1).await;
    let id = upload(&store, &ports, &tenant, job, "Ada built engines.").await;
    purge_lane(&store, Lane::Extract).await;
    crate::candidate::delete(&store.bus, tenant.context(), job, id).await.unwrap();

    assert_eq!(redrive_all(&store).await, [Redriven::Settled]);
    assert!(dead(&store).await.is_empty());
}

pub async fn what_is_given_up_is_dead_and_what_is_the_files_fault_is_not(store: Store) {
    let ports = Scripted::default();
    let (tenant, job) = ready(&store, &ports, 5).await;
    let crew = Crew::at_work(&store, &ports);
    ports.extractor.script.always(Step::Refuses);
    upload(&store, &ports, &tenant, job, "").await;
    until_all_is_done(&store).await;
    assert!(dead(&store).await.is_empty());
    ports.extractor.script.always(Step::Down);
    let id = upload(&store, &ports, &tenant, job, "Ada built engines.").await;
    until_all_is_done(&store).await;
    assert_eq!(dead(&store).await.iter().map(|dead| dead.subject).collect::<Vec<_>>(), [id.0]);
    crew.stop().await;
}
