//! Once more, after a failure or because somebody wants it.

use starscreen_domain::{
    CandidateId, JobId,
    candidate::{CandidateError, Status},
    job::{Job, JobError, RubricStatus},
    usage::UsageError,
};
use uuid::Uuid;

use super::{
    Store,
    crew::{Crew, until_all_is_done, upload},
    scripted::{Scripted, Step},
    stage::{self, Tenant},
    workers::story,
};
use crate::{CommandError, candidate, job};

/// A candidate whose file had no text; the next one will have.
async fn failed(store: &Store, ports: &Scripted, tenant: &Tenant, job: JobId) -> CandidateId {
    ports.extractor.script.then([Step::Refuses]);
    let id = upload(store, ports, tenant, job, "Rust engineer").await;
    until_all_is_done(store).await;
    assert_eq!(stage::candidate(store, tenant, id).await.status, Status::Failed);
    id
}

pub async fn a_retry_takes_a_slot_again_and_ends_scored(store: Store) {
    let ports = Scripted::default();
    let crew = Crew::at_work(&store, &ports);
    let tenant = stage::tenant(&store, Some(5)).await;
    let job = stage::job(&store, &tenant).await;
    let id = failed(&store, &ports, &tenant, job).await;
    assert_eq!(stage::usage(&store, &tenant).await.used(), 0);

    let retried = candidate::retry(&store.bus, tenant.context(), job, id).await.unwrap();
    assert_eq!((retried.output.candidate, retried.output.remaining), (id, Some(4)));
    until_all_is_done(&store).await;

    let told = story(&store, id).await;
    assert_eq!(told.iter().filter(|event| *event == "SlotsReserved").count(), 2, "{told:?}");
    assert_eq!(told.last().map(String::as_str), Some("SlotCommitted"), "{told:?}");
    assert_eq!(stage::candidate(&store, &tenant, id).await.status, Status::Scored);
    assert_eq!(stage::usage(&store, &tenant).await.used(), 1);
    crew.stop().await;
}

pub async fn only_what_failed_is_retried_and_only_by_its_tenant(store: Store) {
    let ports = Scripted::default();
    let crew = Crew::at_work(&store, &ports);
    let tenant = stage::tenant(&store, Some(5)).await;
    let (job, other_job) = (stage::job(&store, &tenant).await, stage::job(&store, &tenant).await);
    let scored = upload(&store, &ports, &tenant, job, "Rust engineer").await;
    until_all_is_done(&store).await;
    let failed = failed(&store, &ports, &tenant, job).await;
    let used = stage::usage(&store, &tenant).await.used();

    let refused = candidate::retry(&store.bus, tenant.context(), job, scored).await.unwrap_err();
    assert!(matches!(refused, CommandError::Candidate(CandidateError::NotFailed)), "{refused:?}");
    let stranger = stage::tenant(&store, Some(5)).await;
    let strangers_job = stage::job(&store, &stranger).await;
    for (caller, of_job, id) in [
        (tenant, job, CandidateId(Uuid::now_v7())),
        (tenant, other_job, failed),
        (stranger, strangers_job, failed),
        (stranger, job, failed),
    ] {
        let refused = candidate::retry(&store.bus, caller.context(), of_job, id).await.unwrap_err();
        assert!(matches!(refused, CommandError::NotFound(_)), "{refused:?}");
        let refused = candidate::rescore(&store.bus, caller.context(), of_job, id).await.unwrap_err();
        assert!(matches!(refused, CommandError::NotFound(_)), "{refused:?}");
    }
    until_all_is_done(&store).await;
    assert_eq!(stage::usage(&store, &tenant).await.used(), used);
    crew.stop().await;
}

pub async fn without_a_free_slot_nothing_is_retried(store: Store) {
    let ports = Scripted::default();
    let crew = Crew::at_work(&store, &ports);
    let tenant = stage::tenant(&store, Some(1)).await;
    let job = stage::job(&store, &tenant).await;
    let id = failed(&store, &ports, &tenant, job).await;
    stage::upload(&store.bus, &tenant, job).await.unwrap();

    let refused = candidate::retry(&store.bus, tenant.context(), job, id).await.unwrap_err();

    assert!(matches!(refused, CommandError::Usage(UsageError::LimitReached { used: 1, limit: 1 })), "{refused:?}");
    assert_eq!(stage::candidate(&store, &tenant, id).await.status, Status::Failed);
    until_all_is_done(&store).await;
    crew.stop().await;
}

pub async fn the_same_retry_again_takes_no_second_slot(store: Store) {
    let ports = Scripted::default();
    let crew = Crew::at_work(&store, &ports);
    let tenant = stage::tenant(&store, Some(5)).await;
    let job = stage::job(&store, &tenant).await;
    let id = failed(&store, &ports, &tenant, job).await;

    let first = candidate::retry(&store.bus, tenant.with_key("again", "hash"), job, id).await.unwrap();
    let again = candidate::retry(&store.bus, tenant.with_key("again", "hash"), job, id).await.unwrap();

    assert!(!first.replayed && again.replayed);
    assert_eq!(again.output.remaining, first.output.remaining);
    until_all_is_done(&store).await;
    assert_eq!(stage::usage(&store, &tenant).await.used(), 1);
    crew.stop().await;
}

pub async fn a_score_is_made_again_for_nothing(store: Store) {
    let ports = Scripted::default();
    let tenant = stage::tenant(&store, Some(5)).await;
    let job = stage::job(&store, &tenant).await;
    let waiting = upload(&store, &ports, &tenant, job, "Rust engineer").await;
    let refused = candidate::rescore(&store.bus, tenant.context(), job, waiting).await.unwrap_err();
    assert!(matches!(refused, CommandError::Candidate(CandidateError::NoRubric)), "{refused:?}");
    let crew = Crew::at_work(&store, &ports);
    until_all_is_done(&store).await;
    let failed = failed(&store, &ports, &tenant, job).await;
    let refused = candidate::rescore(&store.bus, tenant.context(), job, failed).await.unwrap_err();
    assert!(matches!(refused, CommandError::Candidate(CandidateError::Failed)), "{refused:?}");

    candidate::rescore(&store.bus, tenant.context(), job, waiting).await.unwrap();
    until_all_is_done(&store).await;

    let told = story(&store, waiting).await;
    let count = |name: &str| told.iter().filter(|event| *event == name).count();
    assert_eq!((count("CandidateScored"), count("SlotsReserved"), count("SlotCommitted")), (2, 1, 1), "{told:?}");
    assert_eq!(stage::usage(&store, &tenant).await.used(), 1);
    crew.stop().await;
}

pub async fn a_rubric_that_failed_is_drawn_up_again(store: Store) {
    let ports = Scripted::default();
    ports.llm.rubrics.always(Step::Refuses);
    let crew = Crew::at_work(&store, &ports);
    let tenant = stage::tenant(&store, Some(5)).await;
    let job = stage::job(&store, &tenant).await;
    let id = upload(&store, &ports, &tenant, job, "Rust engineer").await;
    until_all_is_done(&store).await;
    let rubric = async || store.bus.read::<Job>(tenant.id, job).await.unwrap().rubric_status;
    assert_eq!(rubric().await, RubricStatus::Failed);
    assert_eq!(stage::candidate(&store, &tenant, id).await.status, Status::Failed);

    ports.llm.rubrics.always(Step::Answers);
    job::retry_rubric(&store.bus, tenant.context(), job).await.unwrap();
    until_all_is_done(&store).await;
    assert_ne!(rubric().await, RubricStatus::Failed);
    let refused = job::retry_rubric(&store.bus, tenant.context(), job).await.unwrap_err();
    assert!(matches!(refused, CommandError::Job(JobError::RubricNotFailed)), "{refused:?}");

    candidate::retry(&store.bus, tenant.context(), job, id).await.unwrap();
    until_all_is_done(&store).await;
    assert_eq!(stage::candidate(&store, &tenant, id).await.status, Status::Scored);
    let stranger = stage::tenant(&store, None).await;
    let refused = job::retry_rubric(&store.bus, stranger.context(), job).await.unwrap_err();
    assert!(matches!(refused, CommandError::NotFound("job")), "{refused:?}");
    crew.stop().await;
}
