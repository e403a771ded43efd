//! Workers, when the ports do what they should: every upload ends scored or failed, and every item ends.

use std::sync::Arc;

use starscreen_domain::{
    CandidateId, Event,
    candidate::{Candidate, CandidateEvent, Evaluation, Status, UploadResume},
    job::{Job, ReviseJob, RubricStatus},
    usage::{ReserveSlots, Usage, UsageEvent},
    work::Lane,
};
use tokio::sync::Notify;

use super::{
    Store,
    crew::{Crew, until_all_is_done, upload},
    scripted::{Scripted, ScriptedKey, Step},
    stage::{self, Tenant, history, until, within_patience},
};
use crate::{
    candidate::billing_period,
    job,
    ports::{Objects, SubjectKey},
};

/// The candidate's events by name, and its slot's.
pub async fn story(store: &Store, id: CandidateId) -> Vec<String> {
    let of_slot = |event: &UsageEvent| match event {
        UsageEvent::SlotsReserved { candidates } => candidates.contains(&id),
        UsageEvent::SlotCommitted { candidate } | UsageEvent::SlotReleased { candidate, .. } => *candidate == id,
        UsageEvent::PeriodOpened { .. }
        | UsageEvent::LimitChanged { .. }
        | UsageEvent::UsageAdjusted { .. }
        | UsageEvent::OverageMetered { .. }
        | UsageEvent::MeteringGivenUp { .. }
        | UsageEvent::MeteringRetried { .. }
        | UsageEvent::UsageThresholdReached { .. }
        | UsageEvent::PeriodClosed { .. } => false,
    };
    let mut told = vec![];
    for event in history(&store.log).await {
        let concerns = match &event.payload {
            Event::Candidate(_) => event.aggregate_id == id.0,
            Event::Usage(change) => of_slot(change),
            Event::Account(_)
            | Event::EmailClaim(_)
            | Event::Job(_)
            | Event::Subscription(_)
            | Event::Customer(_)
            | Event::Webhook(_) => false,
        };
        if concerns {
            told.push(event.payload.event_type());
        }
    }
    told
}

pub async fn failure_code(store: &Store, id: CandidateId) -> Option<String> {
    history(&store.log).await.into_iter().filter(|event| event.of_candidate() == Some(id.0)).find_map(|event| {
        match event.payload {
            Event::Candidate(
                CandidateEvent::ExtractionFailed { failure } | CandidateEvent::ScoringFailed { failure },
            ) => Some(failure.code),
            _ => None,
        }
    })
}

async fn status(store: &Store, tenant: &Tenant, id: CandidateId) -> Status {
    stage::candidate(store, tenant, id).await.status
}

async fn until_status(store: &Store, tenant: &Tenant, id: CandidateId, wanted: Status) {
    until("the candidate's status", async || (status(store, tenant, id).await == wanted).then_some(())).await;
}

const SCORED: &[&str] = &[
    "SlotsReserved",
    "ResumeUploaded",
    "ExtractionStarted",
    "TextExtracted",
    "ScoringRequested",
    "CandidateScored",
    "SlotCommitted",
];

pub async fn an_upload_is_scored(store: Store) {
    let ports = Scripted::default();
    let crew = Crew::at_work(&store, &ports);
    let tenant = stage::tenant(&store, Some(5)).await;
    let job = stage::job(&store, &tenant).await;
    until_all_is_done(&store).await;

    let id = upload(&store, &ports, &tenant, job, "Ada built engines.").await;
    until_all_is_done(&store).await;

    assert_eq!(story(&store, id).await, SCORED);
    assert_eq!((ports.extractor.script.calls(), ports.llm.grades.calls()), (1, 1), "each port is asked once");
    assert_eq!(stage::usage(&store, &tenant).await.used(), 1);
    let events = history(&store.log).await;
    let uploaded = events.iter().find(|event| event.of_candidate() == Some(id.0)).unwrap();
    let scored = events.iter().rfind(|event| event.of_candidate() == Some(id.0)).unwrap();
    assert_eq!(scored.metadata.correlation_id, uploaded.metadata.correlation_id, "one request set it all in motion");
    assert_eq!(scored.metadata.actor.to_string(), "worker:score");
    crew.stop().await;
}

pub async fn what_a_file_gives_is_sealed_and_stored(store: Store) {
    let ports = Scripted::default();
    let crew = Crew::at_work(&store, &ports);
    let tenant = stage::tenant(&store, None).await;
    let job = stage::job(&store, &tenant).await;
    let id = upload(&store, &ports, &tenant, job, "Ada built engines.").await;
    until_all_is_done(&store).await;

    let candidate = stage::candidate(&store, &tenant, id).await;
    let stored = ports.objects.get(candidate.text_key.as_ref().unwrap()).await.unwrap();
    assert_eq!(ScriptedKey(id.0).open_bytes("text", &stored).unwrap(), b"Ada built engines.");
    assert!(ScriptedKey(tenant.id.0).open_bytes("text", &stored).is_err(), "only the candidate's key opens it");
    for event in history(&store.log).await {
        match event.payload {
            Event::Candidate(CandidateEvent::CandidateScored { evaluation, total, categories, .. }) => {
                assert_eq!(total.unwrap().tenths(), 800);
                assert_eq!(categories.len(), 4);
                let clear = ScriptedKey(id.0).open_bytes("evaluation", &evaluation.data).unwrap();
                let evaluation: Evaluation = serde_json::from_slice(&clear).unwrap();
                let quotes: Vec<&str> =
                    evaluation.categories[0].evidence.iter().map(|quote| quote.quote.as_str()).collect();
                assert_eq!(quotes, ["Ada"], "what nobody wrote is no evidence");
            }
            Event::Candidate(CandidateEvent::TextExtracted { found, .. }) => {
                let clear = ScriptedKey(id.0).open_bytes("found", &found.unwrap().data).unwrap();
                assert!(String::from_utf8(clear).unwrap().contains("ada@example.org"));
            }
            _ => {}
        }
    }
    crew.stop().await;
}

pub async fn a_file_without_text_fails_and_frees_its_slot(store: Store) {
    let ports = Scripted::default();
    ports.extractor.script.always(Step::Refuses);
    let crew = Crew::at_work(&store, &ports);
    let tenant = stage::tenant(&store, Some(1)).await;
    let job = stage::job(&store, &tenant).await;

    let id = upload(&store, &ports, &tenant, job, "").await;
    until_all_is_done(&store).await;

    assert_eq!(
        story(&store, id).await,
        ["SlotsReserved", "ResumeUploaded", "ExtractionStarted", "ExtractionFailed", "SlotReleased"]
    );
    assert_eq!(failure_code(&store, id).await.unwrap(), "scanned_image");
    assert_eq!(stage::usage(&store, &tenant).await.used(), 0);
    upload(&store, &ports, &tenant, job, "").await; // the slot is free for another
    until_all_is_done(&store).await;
    crew.stop().await;
}

pub async fn a_late_rubric_scores_who_waited(store: Store) {
    let ports = Scripted::default();
    ports.llm.hold_rubrics();
    let crew = Crew::at_work(&store, &ports);
    let tenant = stage::tenant(&store, None).await;
    let job = stage::job(&store, &tenant).await;
    let waiting = [
        upload(&store, &ports, &tenant, job, "Ada built engines.").await,
        upload(&store, &ports, &tenant, job, "Bob kept notes.").await,
    ];
    for id in waiting {
        until_status(&store, &tenant, id, Status::Parsed).await;
    }
    until("the end of the reactions", async || {
        (store.queue.count(Lane::React).await.unwrap() == crate::work::LaneCount::default()).then_some(())
    })
    .await;

    ports.llm.let_rubrics_go_on();
    until_all_is_done(&store).await;

    for id in waiting {
        let told = story(&store, id).await;
        assert_eq!(told[4..], ["ScoringAwaited", "ScoringRequested", "CandidateScored", "SlotCommitted"], "{told:?}");
    }
    crew.stop().await;
}

pub async fn a_rubric_that_fails_for_good_fails_who_waited(store: Store) {
    let ports = Scripted::default();
    ports.llm.hold_rubrics();
    ports.llm.rubrics.always(Step::Refuses);
    let crew = Crew::at_work(&store, &ports);
    let tenant = stage::tenant(&store, Some(2)).await;
    let job = stage::job(&store, &tenant).await;
    let early = upload(&store, &ports, &tenant, job, "Ada built engines.").await;
    until_status(&store, &tenant, early, Status::Parsed).await;

    ports.llm.let_rubrics_go_on();
    until_all_is_done(&store).await;
    let late = upload(&store, &ports, &tenant, job, "Bob kept notes.").await;
    until_all_is_done(&store).await;

    assert_eq!(store.bus.read::<Job>(tenant.id, job).await.unwrap().rubric_status, RubricStatus::Failed);
    for id in [early, late] {
        assert_eq!(story(&store, id).await[4..], ["ScoringAwaited", "ScoringFailed", "SlotReleased"]);
        assert_eq!(failure_code(&store, id).await.unwrap(), "rubric_failed");
    }
    assert_eq!(stage::usage(&store, &tenant).await.used(), 0);
    crew.stop().await;
}

pub async fn a_revised_job_is_scored_again(store: Store) {
    let ports = Scripted::default();
    let crew = Crew::at_work(&store, &ports);
    let tenant = stage::tenant(&store, None).await;
    let job = stage::job(&store, &tenant).await;
    until_all_is_done(&store).await;
    let id = upload(&store, &ports, &tenant, job, "Ada built engines.").await;
    until_all_is_done(&store).await;

    let revision = ReviseJob { title: Some("Analyst".to_owned()), ..ReviseJob::default() };
    job::revise(&store.bus, tenant.context(), job, revision).await.unwrap();
    until_all_is_done(&store).await;

    let told = story(&store, id).await;
    assert_eq!(told[7..], ["ScoringRequested", "CandidateScored"], "{told:?}");
    assert_eq!(stage::candidate(&store, &tenant, id).await.scored_by, Some(2));
    assert_eq!(stage::usage(&store, &tenant).await.used(), 1, "one slot, however often it is scored");
    crew.stop().await;
}

/// One candidate in each state, and then the job is gone.
pub async fn a_deleted_job_takes_its_candidates_along(store: Store) {
    let ports = Scripted::default();
    let tenant = stage::tenant(&store, Some(9)).await;
    let job = stage::job(&store, &tenant).await;
    let crew = Crew::at_work(&store, &ports);
    let scored = upload(&store, &ports, &tenant, job, "Ada built engines.").await;
    until_status(&store, &tenant, scored, Status::Scored).await;
    ports.extractor.script.then([Step::Refuses]);
    let failed = upload(&store, &ports, &tenant, job, "").await;
    until_status(&store, &tenant, failed, Status::Failed).await;
    let already_deleted = upload(&store, &ports, &tenant, job, "Ada built engines.").await;
    until_status(&store, &tenant, already_deleted, Status::Scored).await;
    crate::candidate::delete(&store.bus, tenant.context(), job, already_deleted).await.unwrap();
    ports.llm.grades.always(Step::Down);
    let parsed = upload(&store, &ports, &tenant, job, "Bob kept notes.").await;
    until_status(&store, &tenant, parsed, Status::Parsed).await;
    ports.extractor.script.always(Step::Down);
    let processing = upload(&store, &ports, &tenant, job, "Cyd wrote letters.").await;
    until_status(&store, &tenant, processing, Status::Processing).await;
    crew.stop().await;
    let uploaded = upload(&store, &ports, &tenant, job, "Dee drew tables.").await;
    assert_eq!(status(&store, &tenant, uploaded).await, Status::Uploaded);

    job::delete(&store.bus, tenant.context(), job).await.unwrap();
    let crew = Crew::at_work(&store, &ports);
    until_all_is_done(&store).await;

    for id in [scored, failed, already_deleted, parsed, processing, uploaded] {
        let told = story(&store, id).await;
        assert_eq!(told.iter().filter(|event| *event == "CandidateDeleted").count(), 1, "{told:?}");
        let ends = told.iter().filter(|event| ["SlotCommitted", "SlotReleased"].contains(&event.as_str())).count();
        assert_eq!(ends, 1, "a slot ends once: {told:?}");
    }
    assert_eq!(stage::usage(&store, &tenant).await.used(), 5, "deletion gives no slot back, failure does");
    crew.stop().await;
}

/// The upload had looked for its job before the deletion, and its commit came after the reaction to it.
pub async fn an_upload_after_the_deletion_of_its_job_is_deleted(store: Store) {
    let ports = Scripted::default();
    let tenant = stage::tenant(&store, Some(9)).await;
    let job = stage::job(&store, &tenant).await;
    let crew = Crew::at_work(&store, &ports);
    until_all_is_done(&store).await;
    let late = stage::an_upload(&tenant, job);
    let id = late.candidate;
    ports.store_file(id.0, &late.command.blob_key, "Ada built engines.").await;
    let (has_looked, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let uploading = tokio::spawn({
        let (bus, has_looked, go_on) = (store.bus.clone(), Arc::clone(&has_looked), Arc::clone(&go_on));
        async move {
            bus.commit(tenant.context(), move |unit| {
                let (has_looked, go_on) = (Arc::clone(&has_looked), Arc::clone(&go_on));
                let command = late.command.clone();
                Box::pin(async move {
                    crate::job::present(unit, job).await?;
                    has_looked.notify_one();
                    go_on.notified().await;
                    let (usage_id, terms) = billing_period(unit).await?;
                    unit.decide::<Usage>(usage_id, ReserveSlots { terms, candidates: vec![id] }).await?;
                    unit.decide::<Candidate>(id, UploadResume { usage_id, ..command }).await.map(|_| ())
                })
            })
            .await
        }
    });
    within_patience(has_looked.notified()).await;
    job::delete(&store.bus, tenant.context(), job).await.unwrap();
    until_all_is_done(&store).await;

    go_on.notify_one();
    uploading.await.unwrap().unwrap();
    until_all_is_done(&store).await;

    let told = story(&store, id).await;
    assert_eq!(told, ["SlotsReserved", "ResumeUploaded", "SlotCommitted", "CandidateDeleted"]);
    assert_eq!(ports.extractor.script.calls(), 0, "nobody reads a file that is not wanted");
    crew.stop().await;
}

pub async fn an_erased_person_ends_failed(store: Store) {
    let ports = Scripted::default();
    let tenant = stage::tenant(&store, Some(1)).await;
    let job = stage::job(&store, &tenant).await;
    let id = upload(&store, &ports, &tenant, job, "Ada built engines.").await;
    ports.vault.destroy(id.0);

    let crew = Crew::at_work(&store, &ports);
    until_all_is_done(&store).await;

    assert_eq!(failure_code(&store, id).await.unwrap(), "erased");
    assert_eq!(stage::usage(&store, &tenant).await.used(), 0);
    crew.stop().await;
}
