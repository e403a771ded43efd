//! The monthly limit, exact to the candidate, however many come at once.

use futures::future::join_all;
use serde_json::json;
use starscreen_domain::TenantId;
use starscreen_tests::{Account, Ledger, Resume, TestApp};
use uuid::Uuid;

use crate::product_binary;

const LIMIT_REACHED: &str =
    "Monthly candidate limit reached (5/5). Please upgrade your plan or wait for next billing cycle.";

async fn ledger(app: &TestApp, account: &Account) -> Ledger {
    let tenant = TenantId(account.tenant());
    let mut ledgers: Vec<Ledger> = app.events().ledgers().await.into_values().filter(|l| l.tenant == tenant).collect();
    assert_eq!(ledgers.len(), 1, "one billing period");
    ledgers.remove(0)
}

type UsageRow = (Uuid, i64, i64, i64, i64, i64, Option<i64>);

/// The read model says what the events add up to.
async fn check_usage(app: &TestApp, account: &Account) -> Ledger {
    app.settled().await;
    let ledger = ledger(app, account).await;
    let sql = "SELECT tenant_id, reserved, committed, released, adjusted, used, monthly_limit FROM monthly_usage";
    let mut rows: Vec<UsageRow> = app.read_models().rows(sql).await;
    rows.retain(|(tenant, ..)| *tenant == account.tenant());
    let [(_, reserved, committed, released, adjusted, used, limit)] = rows[..] else { panic!("{rows:?}") };
    let count = |slots: usize| i64::try_from(slots).unwrap();
    assert_eq!(
        (reserved, committed, released, adjusted),
        (
            count(ledger.reserved.len() - ledger.committed.len() - ledger.released.len()),
            count(ledger.committed.len()),
            count(ledger.released.len()),
            i64::from(ledger.adjusted)
        )
    );
    assert_eq!(used, ledger.used());
    assert_eq!(limit, ledger.limit.map(i64::from));
    let shown = account.subscription().await;
    assert_eq!(shown["candidates_used_this_month"], json!(ledger.used()));
    assert_eq!(shown["monthly_candidate_limit"], json!(ledger.limit));
    ledger
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_uploads_at_once_exactly_the_five_that_are_left_are_taken() {
    let app = TestApp::start(&product_binary());
    let account = app.client().account().await;
    let job = account.ready_job().await;
    let resumes: Vec<Resume> = (0..64).map(|_| Resume::unique()).collect();
    let answers = join_all(resumes.iter().map(|resume| {
        let call = account.upload(&job, resume);
        async { tokio::spawn(call.send()).await.unwrap() }
    }))
    .await;
    let (taken, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert_eq!((taken.len(), refused.len()), (5, 59));
    for answer in refused {
        assert_eq!(answer.problem(402, "quota_exhausted"), LIMIT_REACHED);
    }
    for answer in taken {
        account.until_candidate_is(&job, answer.json()["candidate_id"].as_str().unwrap(), "SCORED").await;
    }
    let ledger = check_usage(&app, &account).await;
    assert_eq!((ledger.reserved.len(), ledger.committed.len(), ledger.used()), (5, 5, 5));
    assert_eq!(account.candidates(&job).await.len(), 5);
}

#[tokio::test]
async fn a_failed_resume_gives_its_slot_to_the_next() {
    let app = TestApp::start(&product_binary());
    let account = app.client().account().await;
    let job = account.ready_job().await;
    for _ in 0..4 {
        account.take_in(&job, &Resume::unique()).await;
    }
    let failing = account.take_in(&job, &Resume::fixture("legacy.doc")).await;
    account.until_candidate_is(&job, &failing, "FAILED").await;
    account.until_used(4).await;
    account.take_in(&job, &Resume::unique()).await;
    let refused = account.upload(&job, &Resume::unique()).send().await;
    assert_eq!(refused.problem(402, "quota_exhausted"), LIMIT_REACHED);
    let ledger = check_usage(&app, &account).await;
    assert_eq!((ledger.reserved.len(), ledger.released.len(), ledger.used()), (6, 1, 5));
}

#[tokio::test]
async fn a_plan_changed_beside_the_running_server_counts_for_the_next_upload() {
    let app = TestApp::start(&product_binary());
    let account = app.client().account().await;
    let job = account.ready_job().await;
    for _ in 0..5 {
        account.take_in(&job, &Resume::unique()).await;
    }
    account.upload(&job, &Resume::unique()).send().await.expect(402);
    let email = account.email.to_uppercase();
    let changed = app.operate(&["admin", "change-plan", &email, "PROFESSIONAL"]).succeeded();
    assert!(changed.stdout.contains("plan free → professional (monthly limit 1000, 5 used"), "{}", changed.stdout);
    let accepted = account.upload(&job, &Resume::unique()).send().await.expect(200).json();
    assert!(accepted["message"].as_str().unwrap().contains("(994 candidates remaining"), "{accepted}");
    let look = async || {
        let seen = account.subscription().await;
        if seen["plan"] == "professional" { Ok(seen) } else { Err(seen.to_string()) }
    };
    let shown = account.log().until("the new plan is shown", look).await;
    assert_eq!((&shown["plan"], &shown["plan_display"]), (&json!("professional"), &json!("Professional")));
    assert_eq!(shown["monthly_candidate_limit"], 1000);

    // A lower limit takes nothing back, and lets nothing more in.
    app.operate(&["admin", "change-plan", &account.email, "free", "--reason", "end of the trial"]).succeeded();
    let refused = account.upload(&job, &Resume::unique()).send().await;
    assert_eq!(refused.problem(402, "quota_exhausted"), LIMIT_REACHED.replace("5/5", "6/5"));

    // No limit at all.
    app.operate(&["admin", "change-plan", &account.email, "enterprise"]).succeeded();
    let accepted = account.upload(&job, &Resume::unique()).send().await.expect(200).json();
    assert!(accepted["message"].as_str().unwrap().contains("(no monthly limit)"), "{accepted}");
    let shown = account.subscription().await;
    assert_eq!((&shown["monthly_candidate_limit"], &shown["remaining_candidates"]), (&json!(null), &json!(null)));
    check_usage(&app, &account).await;
    let history = app.events().of_tenant(account.tenant()).await;
    let entries = history.iter().filter(|stored| stored.event_type == "PlanChanged").count();
    assert_eq!(entries, 3, "each change is an event");
}

#[tokio::test]
async fn a_correction_of_usage_is_an_entry_with_its_reason() {
    let app = TestApp::start(&product_binary());
    let account = app.client().account().await;
    let job = account.ready_job().await;
    for _ in 0..5 {
        account.take_in(&job, &Resume::unique()).await;
    }
    let corrected =
        app.operate(&["admin", "adjust-usage", &account.email, "-2", "--reason", "two files were ours"]).succeeded();
    assert!(corrected.stdout.contains("3 used of 5"), "{}", corrected.stdout);
    account.take_in(&job, &Resume::unique()).await;
    account.take_in(&job, &Resume::unique()).await;
    account.upload(&job, &Resume::unique()).send().await.expect(402);
    let ledger = check_usage(&app, &account).await;
    assert_eq!((ledger.adjusted, ledger.used()), (-2, 5));
    let below = app.operate(&["admin", "adjust-usage", &account.email, "-9", "--reason", "too much"]).refused();
    assert!(below.contains("the adjustment would make the usage negative"), "{below}");
}

#[tokio::test]
async fn an_operator_who_errs_is_told_and_nothing_is_changed() {
    let app = TestApp::start(&product_binary());
    let account = app.client().account().await;
    let before = app.events().head().await;
    let unknown_plan = app.operate(&["admin", "change-plan", &account.email, "platinum"]).refused();
    assert!(unknown_plan.contains("there is no plan \"platinum\""), "{unknown_plan}");
    assert!(unknown_plan.contains("free, starter, small_business, professional, enterprise"), "{unknown_plan}");
    let unknown_account = app.operate(&["admin", "change-plan", "nobody@example.com", "starter"]).refused();
    assert!(unknown_account.contains("no account has the e-mail address nobody@example.com"), "{unknown_account}");
    assert_eq!(app.events().head().await, before);
}
