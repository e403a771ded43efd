//! Once more: what failed is tried again, what is scored is scored again, and the month is counted right.

use serde_json::json;
use starscreen_tests::{Account, Call, Resume, Shared};

use crate::product_binary;

static SERVER: Shared = Shared::new();

fn again(account: &Account, job: &str, candidate: &str, what: &str) -> Call {
    account.post(&format!("jobs/{job}/candidates/{candidate}/{what}"))
}

#[tokio::test]
async fn a_failed_candidate_is_tried_again_and_takes_a_slot_again() {
    let app = SERVER.app(&product_binary());
    let account = app.client().account().await;
    let job = account.ready_job().await;
    let candidate = account.take_in(&job, &Resume::fixture("legacy.doc")).await;
    account.until_candidate_is(&job, &candidate, "FAILED").await;
    account.until_used(0).await;
    let answer = again(&account, &job, &candidate, "retry").key("retry").send().await.expect(200).json();
    assert_eq!((&answer["candidate_id"], &answer["job_id"]), (&json!(candidate), &json!(job)));
    assert_eq!(
        answer["message"],
        "The candidate is tried again and counts as one of this month's candidates again. (4 candidates remaining \
         this month)"
    );
    assert_eq!(answer["remaining_candidates"], 4);
    assert_eq!(again(&account, &job, &candidate, "retry").key("retry").send().await.expect(200).json(), answer);
    // The file is what it was: it fails again, and gives the slot back again.
    app.settled().await;
    account.until_candidate_is(&job, &candidate, "FAILED").await;
    account.until_used(0).await;
    let history = app.events().of_tenant(account.tenant()).await;
    let count = |name: &str| history.iter().filter(|stored| stored.event_type == name).count();
    assert_eq!((count("SlotsReserved"), count("SlotReleased"), count("CandidateRetried")), (2, 2, 1));
}

#[tokio::test]
async fn what_has_not_failed_is_not_tried_again() {
    let app = SERVER.app(&product_binary());
    let account = app.client().account().await;
    let job = account.ready_job().await;
    let candidate = account.take_in(&job, &Resume::unique()).await;
    account.until_candidate_is(&job, &candidate, "SCORED").await;
    again(&account, &job, &candidate, "retry").send().await.problem(409, "conflict");
    account.post(&format!("jobs/{job}/retry-rubric")).send().await.problem(409, "conflict");
    let unknown = again(&account, &job, &job, "retry").send().await.problem(404, "not_found");
    assert_eq!(unknown, format!("Candidate {job} not found for job {job}"));
    assert_eq!(account.subscription().await["candidates_used_this_month"], 1);
}

#[tokio::test]
async fn without_room_nothing_is_tried_again() {
    let app = SERVER.app(&product_binary());
    let account = app.client().account().await;
    let job = account.ready_job().await;
    let failed = account.take_in(&job, &Resume::fixture("legacy.doc")).await;
    account.until_candidate_is(&job, &failed, "FAILED").await;
    account.until_used(0).await;
    for _ in 0..5 {
        account.take_in(&job, &Resume::unique()).await;
    }
    let refused = again(&account, &job, &failed, "retry").send().await;
    assert_eq!(
        refused.problem(402, "quota_exhausted"),
        "Monthly candidate limit reached (5/5). Please upgrade your plan or wait for next billing cycle."
    );
    assert_eq!(account.candidate(&job, &failed).await["status"], "FAILED");
}

#[tokio::test]
async fn a_score_is_made_again_at_no_cost() {
    let app = SERVER.app(&product_binary());
    let account = app.client().account().await;
    let job = account.ready_job().await;
    let candidate = account.take_in(&job, &Resume::unique()).await;
    let before = account.until_candidate_is(&job, &candidate, "SCORED").await;
    let answer = again(&account, &job, &candidate, "rescore").key("rescore").send().await.expect(202).json();
    assert_eq!(again(&account, &job, &candidate, "rescore").key("rescore").send().await.expect(202).json(), answer);
    app.settled().await;
    let history = app.events().of_tenant(account.tenant()).await;
    let scores = history.iter().filter(|stored| stored.event_type == "CandidateScored").count();
    assert_eq!(scores, 2);
    assert_eq!(account.candidate(&job, &candidate).await["score"], before["score"]);
    assert_eq!(account.subscription().await["candidates_used_this_month"], 1);
    let failed = account.take_in(&job, &Resume::fixture("legacy.doc")).await;
    account.until_candidate_is(&job, &failed, "FAILED").await;
    again(&account, &job, &failed, "rescore").send().await.problem(409, "conflict");
}

#[tokio::test]
async fn hidden_text_is_shown_to_who_decides() {
    let app = SERVER.app(&product_binary());
    let account = app.client().account().await;
    let job = account.ready_job().await;
    let clean = account.take_in(&job, &Resume::fixture("p00_single.pdf")).await;
    assert_eq!(account.until_candidate_is(&job, &clean, "SCORED").await["hidden_text"], json!(null));
    let hiding = account.take_in(&job, &Resume::fixture("inj_white.docx")).await;
    let seen = account.until_candidate_is(&job, &hiding, "SCORED").await;
    let finding = &seen["hidden_text"]["findings"][0];
    assert!(finding["characters"].as_u64().is_some_and(|characters| characters > 0), "{seen}");
    assert!(finding["technique"].as_str().is_some_and(|technique| !technique.is_empty()), "{seen}");
    assert!(seen["hidden_text"]["share_permille"].as_u64().is_some_and(|share| share > 0), "{seen}");
    let reasons = seen["needs_review"].as_array().unwrap();
    assert!(reasons.iter().any(|reason| reason.as_str().unwrap().starts_with("hidden_text:")), "{seen}");
}
