//! A job is deleted while a slow model scores its resumes: what the model says afterwards counts for nothing.

use std::{collections::BTreeSet, time::Duration};

use starscreen_tests::{Kind, Lives, ModelServer, Reply, Resume, TestApp};
use uuid::Uuid;

use crate::product_binary;

const RESUMES: usize = 10;
/// Calls in hand at a time; the other resumes wait for their turn.
const AT_ONCE: usize = 4;
/// Long after the deletion.
const ANSWERS_AFTER: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_deleted_job_is_scored_and_its_slots_stay_used() {
    let model = ModelServer::start();
    let base_url = model.base_url();
    let app = TestApp::start_with(
        &product_binary(),
        &[
            ("OPENAI_API_KEY", "sk-test-0123456789abcdef"),
            ("OPENAI_BASE_URL", &base_url),
            ("OPENAI_TIMEOUT_SECONDS", "6"),
            ("STARSCREEN_WORKERS_SCORE_PARALLEL", &AT_ONCE.to_string()),
            ("STARSCREEN_PLANS_FREE_MONTHLY_LIMIT", "100"),
        ],
    );
    let account = app.client().account().await;
    let (job, other_job) = (account.ready_job().await, account.ready_job().await);
    model.next(Kind::Evaluation, &[Reply::Hang]); // until the product gives up
    model.always(Kind::Evaluation, &[Reply::GoodAfter(ANSWERS_AFTER)]);
    let mut candidates = BTreeSet::new();
    for _ in 0..RESUMES {
        candidates.insert(account.take_in(&job, &Resume::unique()).await);
    }
    let look = async || {
        let read = account.candidates(&job).await.iter().filter(|row| row["status"] == "PARSED").count();
        let asked = model.asked_for(Kind::Evaluation).len();
        if (read, asked) == (RESUMES, AT_ONCE) { Ok(()) } else { Err(format!("{read} are read, {asked} calls")) }
    };
    app.log().until("every place is taken by a call, and the other resumes wait", look).await;

    account.delete(&format!("jobs/{job}")).send().await.expect(204);

    app.settled().await; // the calls in hand have come to their end, too
    assert_eq!(model.asked_for(Kind::Evaluation).len(), AT_ONCE, "the model was asked about who is deleted");
    let history = app.events().all().await;
    let after = history.iter().skip_while(|stored| stored.event_type != "JobDeleted");
    let scored = after.filter(|stored| stored.event_type == "CandidateScored").count();
    assert_eq!(scored, 0, "scores after the deletion");
    let ids: Vec<Uuid> = candidates.iter().map(|id| id.parse().unwrap()).collect();
    let lives = Lives::of(history);
    lives.check(&ids);
    for id in &ids {
        assert!(lives.deleted(*id), "{:#?}", lives.candidates[id]);
        account.get(&format!("jobs/{job}/candidates/{id}")).send().await.problem(404, "not_found");
    }
    account.get(&format!("jobs/{job}")).send().await.problem(404, "not_found");
    app.events().ledgers().await.values().next().unwrap().check(&ids, &lives);
    assert_eq!(account.subscription().await["candidates_used_this_month"], RESUMES);

    // The next job does not notice.
    model.always(Kind::Evaluation, &[Reply::Good]);
    let next = account.take_in(&other_job, &Resume::unique()).await;
    account.until_candidate_is(&other_job, &next, "SCORED").await;
    account.get("/health/detailed").send().await.expect(200);
    assert!(!app.log().text().contains("panicked"), "{}", app.log().tail());
}
