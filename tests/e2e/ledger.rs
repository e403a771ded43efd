//! The ledger of a billing period: the same entries for its tenant, for an auditor and in the log, and they add up.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use starscreen_tests::{Account, Resume, TestApp};

use crate::product_binary;

async fn usage(account: &Account, query: &str) -> Value {
    account.get(&format!("subscriptions/usage{query}")).send().await.expect(200).json()
}

fn entries(usage: &Value) -> &Vec<Value> {
    usage["entries"].as_array().unwrap()
}

fn kinds(usage: &Value) -> Vec<&str> {
    entries(usage).iter().map(|entry| entry["kind"].as_str().unwrap()).collect()
}

/// Four resumes of five, one of which cannot be read, and a correction.
async fn a_month(app: &TestApp) -> Account {
    let account = app.client().account().await;
    let job = account.ready_job().await;
    for _ in 0..3 {
        let candidate = account.take_in(&job, &Resume::unique()).await;
        account.until_candidate_is(&job, &candidate, "SCORED").await;
    }
    let failing = account.take_in(&job, &Resume::fixture("legacy.doc")).await;
    account.until_candidate_is(&job, &failing, "FAILED").await;
    account.until_used(3).await;
    app.operate(&["admin", "adjust-usage", &account.email, "-1", "--reason", "one file was ours"]).succeeded();
    app.settled().await;
    account
}

#[tokio::test]
async fn every_entry_is_shown_to_its_tenant_and_adds_up_to_what_is_used() {
    let app = TestApp::start(&product_binary());
    let account = a_month(&app).await;
    let shown = usage(&account, "").await;
    let expected = [
        ["opened"].as_slice(),
        &["reserved", "committed", "reserved", "committed", "reserved", "committed"],
        &["reserved", "threshold", "released", "adjusted"],
    ];
    assert_eq!(kinds(&shown), expected.concat(), "{shown}");
    let mut balance = 0;
    for entry in entries(&shown) {
        balance += entry["delta"].as_i64().unwrap();
        assert_eq!(entry["used"], balance, "{entry}");
    }
    for (name, value) in [
        ("plan", json!("free")),
        ("limit", json!(5)),
        ("used", json!(2)),
        ("reserved", json!(0)),
        ("committed", json!(3)),
        ("released", json!(1)),
        ("adjusted", json!(-1)),
        ("metered", json!(0)),
        ("closed", json!(false)),
        ("total_entries", json!(11)),
        ("next_cursor", Value::Null),
    ] {
        assert_eq!(shown[name], value, "{name} of {shown}");
    }
    let subscription = account.subscription().await;
    assert_eq!(subscription["candidates_used_this_month"], shown["used"]);
    let [.., reached, released, adjusted] = &entries(&shown)[..] else { panic!("{shown}") };
    assert_eq!((&reached["percent"], &reached["limit"], &reached["used"]), (&json!(70), &json!(5), &json!(4)));
    assert_eq!((&released["reason"], &released["candidates"]), (&json!("extraction_failed"), &json!(1)));
    assert_eq!((&adjusted["reason"], &adjusted["actor"]), (&json!("one file was ours"), &json!("operator")));
    assert_eq!(entries(&shown)[1]["actor"], json!(format!("user:{}", account.user["id"].as_str().unwrap())));

    let named: BTreeSet<&str> = entries(&shown).iter().filter_map(|entry| entry["candidate_id"].as_str()).collect();
    assert_eq!(named.len(), 4, "each candidate is named");
    let other = app.client().account().await;
    let others = usage(&other, "").await;
    assert_eq!((&others["plan"], &others["limit"], &others["total_entries"]), (&json!("free"), &json!(5), &json!(0)));
}

#[tokio::test]
async fn the_entries_come_in_pages_and_by_the_day() {
    let app = TestApp::start(&product_binary());
    let account = a_month(&app).await;
    let whole = usage(&account, "").await;
    let (mut paged, mut cursor) = (vec![], String::new());
    loop {
        let page = usage(&account, &format!("?limit=3{cursor}")).await;
        assert!(entries(&page).len() <= 3 && page["used"] == whole["used"] && page["total_entries"] == 11, "{page}");
        paged.extend(entries(&page).clone());
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(&paged, entries(&whole), "balances go on from page to page");

    let today = whole["period_start"].as_str().unwrap()[..10].to_owned();
    let last = whole["period_end"].as_str().unwrap()[..10].to_owned();
    assert_eq!(usage(&account, &format!("?period={today}")).await, whole, "the day on which it begins");
    let next = usage(&account, &format!("?period={last}")).await;
    assert_eq!((&next["period_start"], &next["total_entries"]), (&whole["period_end"], &json!(0)));
    assert_eq!((&next["plan"], &next["used"]), (&Value::Null, &json!(0)));
    for wrong in ["period=march", "period=2026-02-30", "limit=0", "limit=all", "cursor=x"] {
        let refused = account.get(&format!("subscriptions/usage?{wrong}")).send().await;
        let sentence = refused.problem(422, "invalid_request");
        assert!(sentence.contains(wrong.split_once('=').unwrap().0), "{wrong}: {sentence}");
    }
}

#[tokio::test]
async fn an_auditor_sees_the_same_entries_in_the_log() {
    let app = TestApp::start(&product_binary());
    let account = a_month(&app).await;
    let shown = usage(&account, "").await;
    let told = app.operate(&["audit", "usage", &account.email.to_uppercase(), "--json"]).succeeded().stdout;
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["read_model"], &told["differences"]), (&json!("agrees"), &json!([])), "{told}");
    for name in ["plan", "limit", "used", "reserved", "committed", "released", "adjusted", "metered", "closed"] {
        assert_eq!(told[name], shown[name], "{name}");
    }
    assert_eq!(entries(&told).len(), 11);
    for (audited, shown) in entries(&told).iter().zip(entries(&shown)) {
        assert_eq!(audited["event_id"], shown["id"]);
        for name in ["kind", "delta", "used", "metered", "reason", "actor", "plan", "limit", "tenant_position"] {
            assert_eq!(audited[name], shown[name], "{name} of {audited}");
        }
        let candidates = audited["candidates"].as_array().unwrap();
        assert_eq!(candidates.len() as u64, shown["candidates"].as_u64().unwrap());
        assert!(shown["candidate_id"].is_null() || shown["candidate_id"] == candidates[0], "{audited}");
    }
    let today = shown["period_start"].as_str().unwrap()[..10].to_owned();
    let tenant = account.tenant().to_string();
    let text = app.operate(&["audit", "usage", &tenant, "--period", &today]).succeeded().stdout;
    assert!(text.contains("used 2 of 5: 0 reserved, 3 committed, -1 adjusted; 1 released"), "{text}");
    assert!(text.contains("operator") && text.contains("one file was ours"), "{text}");
    assert!(text.ends_with("the read model agrees\n"), "{text}");

    let before = app.operate(&["audit", "usage", &tenant, "--period", "2020-01-31"]).succeeded().stdout;
    assert!(before.contains("there is no entry in this period\nthe read model agrees"), "{before}");
    let unknown = app.operate(&["audit", "usage", "nobody@example.com"]).refused();
    assert!(unknown.contains("no account has the e-mail address nobody@example.com"), "{unknown}");
    let unknown = app.operate(&["audit", "usage", "0198c0de-0000-7000-8000-000000000002"]).refused();
    assert!(unknown.contains("tenant 0198c0de-0000-7000-8000-000000000002 has no subscription"), "{unknown}");
}

#[tokio::test]
async fn usage_is_reset_by_an_entry_and_nothing_is_lost() {
    let app = TestApp::start(&product_binary());
    let account = a_month(&app).await;
    let reset = app.operate(&["admin", "reset-usage", &account.email, "--reason", "a month for free"]).succeeded();
    assert!(reset.stdout.contains("0 used of 5 in the running period"), "{}", reset.stdout);
    account.until_used(0).await;
    app.settled().await;
    let shown = usage(&account, "").await;
    assert_eq!((&shown["used"], &shown["committed"], &shown["adjusted"]), (&json!(0), &json!(3), &json!(-3)));
    let last = entries(&shown).last().unwrap();
    assert_eq!((&last["kind"], &last["delta"], &last["used"]), (&json!("adjusted"), &json!(-2), &json!(0)));
    assert_eq!((&last["reason"], &last["actor"]), (&json!("a month for free"), &json!("operator")));
    let again = app.operate(&["admin", "reset-usage", &account.email, "--reason", "once more"]).succeeded();
    assert!(again.stdout.contains("0 used of 5"), "{}", again.stdout);
    app.settled().await;
    assert_eq!(usage(&account, "").await, shown, "there was nothing to reset");
    let missing = app.operate(&["admin", "reset-usage", &account.email]).refused();
    assert!(missing.contains("--reason"), "{missing}");
}
