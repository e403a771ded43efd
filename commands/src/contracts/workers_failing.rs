//! Workers, when something fails: the port, the model's answer, the worker itself.

use std::time::Duration;

use starscreen_domain::{
    CandidateId, Event,
    candidate::{CandidateEvent, Status},
    job::{Job, ReviseJob, RubricStatus},
    work::Lane,
};

use super::{
    Store,
    crew::{AT_MOST, Crew, hurry, until_all_is_done, upload},
    scripted::{Scripted, Step},
    stage::{self, Tenant, history, until},
    workers::{failure_code, story},
};
use crate::{candidate, db::Scope, job, operations, work::LaneCount, workers::HOLD};

const BRIEF: Duration = Duration::from_millis(1);

/// A tenant with one slot and a job that has its rubric.
async fn ready(store: &Store, ports: &Scripted) -> (Tenant, starscreen_domain::JobId) {
    let tenant = stage::tenant(store, Some(1)).await;
    let job = stage::job(store, &tenant).await;
    let crew = Crew::at_work(store, ports);
    until_all_is_done(store).await;
    crew.stop().await;
    (tenant, job)
}

/// Whoever asks for a pause decides when the next try is: twenty of them are no failure.
pub async fn a_busy_model_is_asked_again_and_nobody_fails(store: Store) {
    let ports = Scripted::default();
    let (tenant, job) = ready(&store, &ports).await;
    ports.llm.grades.then(std::iter::repeat_n(Step::Busy(BRIEF), 20));
    let crew = Crew::at_work(&store, &ports);

    let id = upload(&store, &ports, &tenant, job, "Ada built engines.").await;
    until_all_is_done(&store).await;

    assert_eq!(stage::candidate(&store, &tenant, id).await.status, Status::Scored);
    assert_eq!(ports.llm.grades.calls(), 21);
    crew.stop().await;
}

pub async fn a_model_that_is_down_for_a_day_fails_the_candidate_at_last(store: Store) {
    let ports = Scripted::default();
    let (tenant, job) = ready(&store, &ports).await;
    for out in [Step::Down, Step::Out(BRIEF)] {
        ports.llm.grades.always(out);
        let before = ports.llm.grades.calls();
        let crew = Crew::at_work(&store, &ports);
        let id = upload(&store, &ports, &tenant, job, "Bob kept notes.").await;
        until("the model is asked", async || (ports.llm.grades.calls() > before).then_some(())).await;
        until("the item to come back", async || {
            (store.queue.count(Lane::Score).await.unwrap().leased == 0).then_some(())
        })
        .await;
        crew.stop().await;
        assert_eq!(stage::candidate(&store, &tenant, id).await.status, Status::Parsed, "an outage fails nobody");
        a_day_passes(&store).await;
        let crew = Crew::at_work(&store, &ports);
        until_all_is_done(&store).await;

        assert_eq!(failure_code(&store, id).await.unwrap(), "scoring_unavailable");
        assert_eq!(story(&store, id).await[4..], ["ScoringRequested", "ScoringFailed", "SlotReleased"]);
        assert_eq!(stage::usage(&store, &tenant).await.used(), 0);
        crew.stop().await;
    }
}

/// Tries are for answers that cannot be used.
pub async fn failures_of_the_system_use_up_no_tries(store: Store) {
    let ports = Scripted::default();
    let (tenant, job) = ready(&store, &ports).await;
    ports.llm.grades.then(std::iter::repeat_n(Step::Down, 15));
    ports.llm.grades.then([Step::Refuses]);
    let crew = Crew::at_work(&store, &ports);
    let id = upload(&store, &ports, &tenant, job, "Ada built engines.").await;
    until_all_is_done(&store).await;
    assert_eq!(stage::candidate(&store, &tenant, id).await.status, Status::Scored);
    assert_eq!(ports.llm.grades.calls(), 17);
    crew.stop().await;
}

/// However long the queue is: one call a pause, and no item is worn.
pub async fn an_outage_pauses_the_lane_and_ends_by_itself(store: Store) {
    const WAIT: Duration = Duration::from_millis(400);
    let ports = Scripted::default();
    let tenant = stage::tenant(&store, Some(30)).await;
    let job = stage::job(&store, &tenant).await;
    ports.llm.grades.always(Step::Out(WAIT));
    let crew = Crew::at_work(&store, &ports);
    for _ in 0..30 {
        upload(&store, &ports, &tenant, job, "Ada built engines.").await;
    }
    until("the queue", async || (ready_in(&store, Lane::Score).await >= 25).then_some(())).await;
    let before = ports.llm.grades.calls();
    tokio::time::sleep(WAIT * 5).await;
    let calls = ports.llm.grades.calls() - before;
    assert!((1..=6).contains(&calls), "{calls} calls in five pauses");
    let state = operations::lane_state(&store.queue, Lane::Score).await.unwrap();
    let pause = store.queue.pause_of(Lane::Score).await.unwrap().unwrap();
    assert_eq!((pause.reason.as_str(), state.attempts), ("the model is unavailable: as the script says", 0));

    ports.llm.grades.always(Step::Answers);
    until_all_is_done(&store).await;
    assert_eq!(store.queue.pause_of(Lane::Score).await.unwrap(), None);
    crew.stop().await;
}

async fn ready_in(store: &Store, lane: Lane) -> u64 {
    let count = store.queue.count(lane).await.unwrap();
    count.ready + count.waiting
}

/// A pause that nobody can try the end of would stay in everybody's sight.
pub async fn a_pause_ends_with_the_last_item(store: Store) {
    let ports = Scripted::default();
    let (tenant, job) = ready(&store, &ports).await;
    ports.llm.grades.always(Step::Forbids);
    let crew = Crew::at_work(&store, &ports);
    stage::change_plan(&store, &tenant, Some(2)).await;
    let gone = upload(&store, &ports, &tenant, job, "Ada built engines.").await;
    until("the pause", async || store.queue.pause_of(Lane::Score).await.unwrap()).await;
    let other = upload(&store, &ports, &tenant, job, "Bob kept notes.").await;
    until("two items", async || (ready_in(&store, Lane::Score).await == 2).then_some(())).await;
    candidate::delete(&store.bus, tenant.context(), job, gone).await.unwrap();
    let mut tx = store.db.begin(Scope::All).await.unwrap();
    tx.execute("UPDATE work SET free_at_ms = 0 WHERE subject = $1", vec![gone.0.into()]).await.unwrap();
    tx.execute("UPDATE work SET free_at_ms = 9e15 WHERE subject = $1", vec![other.0.into()]).await.unwrap();
    tx.execute("UPDATE lane_pauses SET until_ms = 1", vec![]).await.unwrap();
    tx.commit().await.unwrap();
    until("the deleted candidate's item is done", async || (ready_in(&store, Lane::Score).await == 1).then_some(()))
        .await;
    assert!(store.queue.pause_of(Lane::Score).await.unwrap().is_some(), "nobody has asked the model");

    candidate::delete(&store.bus, tenant.context(), job, other).await.unwrap();
    until_all_is_done(&store).await;
    let ended = async || store.queue.pause_of(Lane::Score).await.unwrap().is_none().then_some(());
    until("the end of the pause", ended).await;
    crew.stop().await;
}

/// A proxy that refuses one text must not stop the others, and the text's candidate must come to an end.
pub async fn a_refusal_of_one_resume_is_its_own_fault(store: Store) {
    let ports = Scripted::default();
    let (tenant, job) = ready(&store, &ports).await;
    stage::change_plan(&store, &tenant, Some(20)).await;
    *ports.llm.forbidden.lock().unwrap() = Some("DROP TABLE");
    let crew = Crew::at_work(&store, &ports);
    let mut refused = None;
    for tries in 1..=10_u64 {
        let good = upload(&store, &ports, &tenant, job, "Ada built engines.").await;
        until("a score", async || {
            (stage::candidate(&store, &tenant, good).await.status == Status::Scored).then_some(())
        })
        .await;
        match refused {
            None => refused = Some(upload(&store, &ports, &tenant, job, "Bob knows DROP TABLE.").await),
            Some(_) => hurry(&store).await,
        }
        until("a refusal", async || {
            let state = operations::lane_state(&store.queue, Lane::Score).await.unwrap();
            assert_eq!(state.pause, None, "the others are held up");
            let ended = tries == 10 && state.count == LaneCount::default();
            (ended || state.count.waiting == 1 && state.attempts == tries).then_some(())
        })
        .await;
    }
    until_all_is_done(&store).await;
    assert_eq!(failure_code(&store, refused.unwrap()).await.unwrap(), "scoring_unavailable");
    crew.stop().await;
}

pub async fn a_refusal_of_all_pauses_the_lane_and_fails_nobody(store: Store) {
    let ports = Scripted::default();
    let (tenant, job) = ready(&store, &ports).await;
    stage::change_plan(&store, &tenant, Some(3)).await;
    ports.llm.grades.always(Step::Forbids);
    let crew = Crew::at_work(&store, &ports);
    let mut ids = vec![];
    for _ in 0..3 {
        ids.push(upload(&store, &ports, &tenant, job, "Ada built engines.").await);
    }
    until("a refusal", async || store.queue.pause_of(Lane::Score).await.unwrap()).await;
    until("three items", async || (ready_in(&store, Lane::Score).await == 3).then_some(())).await;
    hurry(&store).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let state = operations::lane_state(&store.queue, Lane::Score).await.unwrap();
    assert!(state.pause.is_some() && state.attempts == 0 && ports.llm.grades.calls() <= 3, "{state:?}");
    ports.llm.grades.always(Step::Answers);
    assert!(store.queue.resume(Lane::Score).await.unwrap());
    until_all_is_done(&store).await;
    for id in ids {
        assert_eq!(stage::candidate(&store, &tenant, id).await.status, Status::Scored);
    }
    crew.stop().await;
}

pub async fn an_invented_quote_is_asked_for_once_more_and_then_put_before_a_person(store: Store) {
    let ports = Scripted::default();
    let (tenant, job) = ready(&store, &ports).await;
    ports.llm.grades.then([Step::Invents]);
    let crew = Crew::at_work(&store, &ports);
    let mended = upload(&store, &ports, &tenant, job, "Ada built engines.").await;
    until_all_is_done(&store).await;
    assert_eq!((ports.llm.grades.calls(), doubts(&store, mended).await.len()), (2, 0));

    stage::change_plan(&store, &tenant, Some(2)).await;
    ports.llm.grades.always(Step::Invents);
    let invented = upload(&store, &ports, &tenant, job, "Bob kept notes.").await;
    until_all_is_done(&store).await;
    assert_eq!(ports.llm.grades.calls(), 4);
    let doubts = doubts(&store, invented).await;
    assert!(doubts.contains(&"unverified_quote:engines".to_owned()), "{doubts:?}");
    crew.stop().await;
}

pub async fn a_broken_second_answer_leaves_the_first(store: Store) {
    let ports = Scripted::default();
    let (tenant, job) = ready(&store, &ports).await;
    ports.llm.grades.then([Step::Invents, Step::Refuses]);
    let crew = Crew::at_work(&store, &ports);
    let id = upload(&store, &ports, &tenant, job, "Ada built engines.").await;
    until_all_is_done(&store).await;
    assert_eq!(ports.llm.grades.calls(), 2);
    assert!(doubts(&store, id).await.contains(&"unverified_quote:engines".to_owned()));
    crew.stop().await;
}

async fn doubts(store: &Store, id: CandidateId) -> Vec<String> {
    let scored = history(&store.log).await.into_iter().filter(|event| event.of_candidate() == Some(id.0));
    let mut reviews = scored.filter_map(|event| match event.payload {
        Event::Candidate(CandidateEvent::CandidateScored { needs_review, .. }) => Some(needs_review),
        _ => None,
    });
    reviews.next().unwrap()
}

pub async fn an_unusable_rubric_is_drawn_up_again(store: Store) {
    let ports = Scripted::default();
    ports.llm.rubrics.then([Step::Floods, Step::Refuses]);
    let tenant = stage::tenant(&store, None).await;
    let job = stage::job(&store, &tenant).await;
    let crew = Crew::at_work(&store, &ports);
    until_all_is_done(&store).await;
    assert_eq!(store.bus.read::<Job>(tenant.id, job).await.unwrap().rubric_status, RubricStatus::Completed);

    ports.llm.rubrics.always(Step::Floods);
    let hopeless = stage::job(&store, &tenant).await;
    until_all_is_done(&store).await;

    let status = store.bus.read::<Job>(tenant.id, hopeless).await.unwrap().rubric_status;
    assert_eq!(status, RubricStatus::Failed, "it ends, and says so");
    crew.stop().await;
}

/// Its last try may come when the description is another one already.
pub async fn an_old_rubric_item_does_not_fail_a_new_description(store: Store) {
    let ports = Scripted::default();
    let tenant = stage::tenant(&store, None).await;
    let job = stage::job(&store, &tenant).await;
    let mut tx = store.db.begin(Scope::All).await.unwrap();
    tx.execute("UPDATE work SET attempts = 9", vec![]).await.unwrap();
    tx.commit().await.unwrap();
    let description = Some("Builds, runs and mends the engine.".to_owned());
    job::revise(&store.bus, tenant.context(), job, ReviseJob { description, ..ReviseJob::default() }).await.unwrap();
    ports.llm.rubrics.then([Step::Refuses, Step::Refuses]);
    let crew = Crew::at_work(&store, &ports);
    until_all_is_done(&store).await;
    assert_eq!(store.bus.read::<Job>(tenant.id, job).await.unwrap().rubric_status, RubricStatus::Completed);
    crew.stop().await;
}

pub async fn an_extractor_that_is_down_fails_the_candidate_at_last(store: Store) {
    let ports = Scripted::default();
    let (tenant, job) = ready(&store, &ports).await;
    ports.extractor.script.always(Step::Down);
    let crew = Crew::at_work(&store, &ports);
    let id = upload(&store, &ports, &tenant, job, "Ada built engines.").await;
    until_all_is_done(&store).await;

    assert_eq!(failure_code(&store, id).await.unwrap(), "extraction_unavailable");
    assert_eq!(stage::usage(&store, &tenant).await.used(), 0);
    crew.stop().await;
}

/// For work whose system is down.
async fn a_day_passes(store: &Store) {
    let mut tx = store.db.begin(Scope::All).await.unwrap();
    let a_day_later = "UPDATE work SET failing_since_ms = failing_since_ms - 90000000, free_at_ms = 0";
    tx.execute(a_day_later, vec![]).await.unwrap();
    tx.commit().await.unwrap();
}

pub async fn an_object_store_that_is_down_fails_nobody_for_a_day(store: Store) {
    let ports = Scripted::default();
    let (tenant, job) = ready(&store, &ports).await;
    ports.objects.puts.then(vec![Step::Answers; 1]); // the file itself
    ports.objects.puts.then(vec![Step::Down; 12]);
    let crew = Crew::at_work(&store, &ports);
    let id = upload(&store, &ports, &tenant, job, "Ada built engines.").await;
    until_all_is_done(&store).await;
    assert_eq!(stage::candidate(&store, &tenant, id).await.status, Status::Scored, "twelve failures are none");

    stage::change_plan(&store, &tenant, Some(2)).await;
    ports.objects.puts.then(vec![Step::Answers; 1]);
    ports.objects.puts.always(Step::Down);
    let before = ports.objects.puts.calls();
    let id = upload(&store, &ports, &tenant, job, "Bob kept notes.").await;
    until("the text is put", async || (ports.objects.puts.calls() > before + 1).then_some(())).await;
    crew.stop().await;
    a_day_passes(&store).await;
    let crew = Crew::at_work(&store, &ports);
    until_all_is_done(&store).await;
    assert_eq!(failure_code(&store, id).await.unwrap(), "extraction_unavailable", "the text has no place to go");
    crew.stop().await;
}

pub async fn a_result_that_fits_no_event_fails_the_candidate_at_last(store: Store) {
    let ports = Scripted::default();
    let (tenant, job) = ready(&store, &ports).await;
    let crew = Crew::at_work(&store, &ports);
    ports.llm.grades.always(Step::Floods);
    let id = upload(&store, &ports, &tenant, job, "Ada built engines.").await;
    until_all_is_done(&store).await;
    assert_eq!(failure_code(&store, id).await.unwrap(), "scoring_unavailable");

    ports.extractor.script.always(Step::Floods);
    let id = upload(&store, &ports, &tenant, job, "Ada built engines.").await;
    until_all_is_done(&store).await;
    assert_eq!(failure_code(&store, id).await.unwrap(), "extraction_unavailable");
    assert_eq!(stage::usage(&store, &tenant).await.used(), 0);
    crew.stop().await;
}

/// More panics than the lanes have places: none of them is lost, and neither is an item.
pub async fn a_panic_is_one_failed_try(store: Store) {
    let ports = Scripted::default();
    let (tenant, job) = ready(&store, &ports).await;
    ports.extractor.script.then(vec![Step::Panics; 6]);
    ports.llm.grades.then(vec![Step::Panics; 6]);
    let crew = Crew::at_work(&store, &ports);
    let id = upload(&store, &ports, &tenant, job, "Ada built engines.").await;
    until_all_is_done(&store).await;
    let told = story(&store, id).await;
    assert_eq!(told.iter().filter(|event| *event == "CandidateScored").count(), 1, "{told:?}");

    stage::change_plan(&store, &tenant, Some(2)).await;
    ports.extractor.script.always(Step::Panics);
    let hostile = upload(&store, &ports, &tenant, job, "Bob kept notes.").await;
    until_all_is_done(&store).await;
    assert_eq!(failure_code(&store, hostile).await.unwrap(), "extraction_unavailable", "it does not panic for ever");
    crew.stop().await;
}

pub async fn work_that_hangs_is_cut_and_tried_again(store: Store) {
    let ports = Scripted::default();
    let (tenant, job) = ready(&store, &ports).await;
    ports.extractor.script.then([Step::Hangs, Step::Hangs]);
    let crew = Crew::with(&store, &ports, Duration::from_millis(500), HOLD);
    let id = upload(&store, &ports, &tenant, job, "Ada built engines.").await;
    until_all_is_done(&store).await;

    assert_eq!(stage::candidate(&store, &tenant, id).await.status, Status::Scored);
    crew.stop().await;
}

/// However short the lease is, as long as its holder lives.
pub async fn work_that_takes_longer_than_its_lease_stays_with_who_has_it(store: Store) {
    const HOLD: Duration = Duration::from_millis(600);
    let ports = Scripted::default();
    ports.llm.hold_rubrics();
    let beside = store.beside().await;
    let crews = [Crew::with(&store, &ports, AT_MOST, HOLD), Crew::with(&beside, &ports, AT_MOST, HOLD)];
    let tenant = stage::tenant(&store, None).await;
    stage::job(&store, &tenant).await;
    let in_hand = async || (store.queue.count(Lane::Rubric).await.unwrap().leased == 1).then_some(());
    until("the item is in hand", in_hand).await;
    tokio::time::sleep(HOLD * 4).await;
    ports.llm.let_rubrics_go_on();
    until_all_is_done(&store).await;
    assert_eq!(ports.llm.rubrics.calls(), 1, "it was given to somebody else too");
    for crew in crews {
        crew.stop().await;
    }
    beside.close().await;
}

/// The process dies between the model's answer and the commit: nothing of it is left but a lease.
pub async fn a_worker_that_dies_leaves_its_items_to_others(store: Store) {
    let ports = Scripted::default();
    let (tenant, job) = ready(&store, &ports).await;
    let id = upload(&store, &ports, &tenant, job, "Ada built engines.").await;
    let beside = store.beside().await;
    let taken = beside.queue.claim(Lane::Extract, 4, Duration::from_millis(200)).await.unwrap();
    assert_eq!(taken.len(), 1);
    beside.close().await; // its holder is gone

    let crew = Crew::at_work(&store, &ports);
    until("the score", async || (stage::candidate(&store, &tenant, id).await.status == Status::Scored).then_some(()))
        .await;
    until_all_is_done(&store).await;

    let told = story(&store, id).await;
    assert_eq!(told.iter().filter(|event| *event == "CandidateScored").count(), 1, "{told:?}");
    crew.stop().await;
}

/// Two workers at one item, since the first took longer than its lease: one result.
pub async fn a_late_report_is_refused(store: Store) {
    let ports = Scripted::default();
    let (tenant, job) = ready(&store, &ports).await;
    let id = upload(&store, &ports, &tenant, job, "Ada built engines.").await;
    let late = store.queue.claim(Lane::Extract, 1, Duration::ZERO).await.unwrap().remove(0);
    let crew = Crew::at_work(&store, &ports);
    until_all_is_done(&store).await;
    let head = stage::head(&store.log).await;

    let context = crate::Context { completes: Some(late.lease), ..tenant.context() };
    let report = store
        .bus
        .commit(context, move |unit| {
            Box::pin(async move {
                let command =
                    starscreen_domain::job::ReviseJob { location: Some("late".to_owned()), ..Default::default() };
                unit.decide::<Job>(job, command).await.map(|_| ())
            })
        })
        .await;

    assert!(matches!(report, Err(crate::CommandError::LeaseLost)), "{report:?}");
    assert_eq!(stage::head(&store.log).await, head);
    assert_eq!(story(&store, id).await.iter().filter(|event| *event == "CandidateScored").count(), 1);
    crew.stop().await;
}

pub async fn workers_finish_their_items_before_they_stop(store: Store) {
    let ports = Scripted::default();
    let tenant = stage::tenant(&store, None).await;
    ports.llm.hold_rubrics();
    let job = stage::job(&store, &tenant).await;
    let crew = Crew::at_work(&store, &ports);
    until("a worker at the rubric", async || {
        (store.queue.count(Lane::Rubric).await.unwrap() == LaneCount { leased: 1, ..LaneCount::default() })
            .then_some(())
    })
    .await;
    let stopping = tokio::spawn(crew.stop());
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!stopping.is_finished(), "an item is still worked at");

    ports.llm.let_rubrics_go_on();
    stopping.await.unwrap();

    assert_eq!(store.bus.read::<Job>(tenant.id, job).await.unwrap().rubric_status, RubricStatus::Completed);
    assert_eq!(store.queue.count(Lane::Rubric).await.unwrap(), LaneCount::default());
    let reaction = store.queue.count(Lane::React).await.unwrap();
    assert!(reaction.leased == 0, "nothing new is taken: {reaction:?}");
}
