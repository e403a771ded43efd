//! Read models are disposable: rebuilt from the events they are the same, row for row.

use std::collections::BTreeMap;

use serde_json::json;
use starscreen_projections::Models;
use starscreen_tests::{Form, Resume, TestApp};

use crate::product_binary;

type Tables = BTreeMap<String, Vec<String>>;

/// Something of everything: rubrics, revisions, scores, failures, deletions, plans, corrections, two tenants.
async fn mixed_history(app: &TestApp) {
    let (one, other) = (app.client().account().await, app.client().account().await);
    app.operate(&["admin", "change-plan", &one.email, "starter"]).succeeded();
    let job = one.ready_job().await;
    let (short_lived, revised) = (one.ready_job().await, one.ready_job().await);
    for name in ["p00_single.pdf", "p05_header.docx", "p06_two_column.pdf", "legacy.doc", "truncated.pdf"] {
        one.take_in(&job, &Resume::fixture(name)).await;
    }
    let given = Form::of(&Resume::unique()).field("first_name", "Zoë").field("email", "zoe@example.com");
    one.post(&format!("jobs/{job}/candidates")).form(&given).send().await.expect(200);
    let deleted = one.take_in(&job, &Resume::unique()).await;
    one.take_in(&short_lived, &Resume::unique()).await;
    one.take_in(&revised, &Resume::unique()).await;
    one.settled_candidates(&job, 7).await;
    one.delete(&format!("jobs/{job}/candidates/{deleted}")).send().await.expect(204);
    one.delete(&format!("jobs/{short_lived}")).send().await.expect(204);
    let text = json!({ "description": "Other work altogether: payroll, bookkeeping and the yearly accounts" });
    one.put(&format!("jobs/{revised}")).json(&text).send().await.expect(200);
    let job = other.ready_job().await;
    other.take_in(&job, &Resume::fixture("p09_plain.docx")).await;
    app.operate(&["admin", "adjust-usage", &other.email, "2", "--reason", "found on paper"]).succeeded();
    app.settled().await;
}

async fn check_mixed(app: &TestApp) -> Tables {
    let tables = app.read_models().dump().await;
    let counts: BTreeMap<&str, usize> = tables.iter().map(|(table, rows)| (table.as_str(), rows.len())).collect();
    let expected = [
        ("accounts", 2),
        ("candidate_status", 8),
        ("evaluations", 6),
        ("jobs", 3),
        ("monthly_usage", 2),
        ("subscriptions", 2),
        ("usage_entries", 23),
    ];
    assert_eq!(counts, BTreeMap::from(expected));
    tables
}

#[track_caller]
fn assert_same(before: &Tables, after: &Tables, how: &str) {
    for (table, rows) in before {
        let rebuilt = &after[table];
        let differing =
            rows.iter().filter(|row| !rebuilt.contains(row)).chain(rebuilt.iter().filter(|row| !rows.contains(row)));
        let differing: Vec<&String> = differing.collect();
        assert!(differing.is_empty() && rows.len() == rebuilt.len(), "{table} differs {how}: {differing:#?}");
    }
    assert_eq!(before.len(), after.len(), "tables {how}");
}

fn rebuild(app: &TestApp, batch: &str) {
    let rebuilt = app.operate(&["rebuild", "--all", "--batch", batch, "--diff"]).succeeded();
    assert_eq!(rebuilt.stdout.matches(", 0 rows differed").count(), Models::NAMES.len(), "{}", rebuilt.stdout);
    assert!(rebuilt.stderr.contains(" events ("), "no progress was shown: {}", rebuilt.stderr);
}

#[tokio::test]
async fn every_read_model_rebuilt_from_the_events_is_the_live_one_row_for_row() {
    let app = TestApp::start(&product_binary());
    mixed_history(&app).await;
    let live = check_mixed(&app).await;

    for batch in ["1", "5000"] {
        rebuild(&app, batch);
        app.settled().await;
        assert_same(&live, &app.read_models().dump().await, &format!("rebuilt by {batch} beside the server"));
    }
    // The server goes on with the rebuilt tables.
    let account = app.client().account().await;
    account.ready_job().await;
    app.settled().await;
    let live = app.read_models().dump().await;
    assert_eq!(live["accounts"].len(), 3);

    app.stop();
    for batch in ["1", "5000"] {
        rebuild(&app, batch);
        assert_same(&live, &app.read_models().dump().await, &format!("rebuilt by {batch} without a server"));
    }

    for name in ["read.db", "read.db-wal", "read.db-shm"] {
        let _ = std::fs::remove_file(app.home().data().join(name)); // the last two are there only after a crash
    }
    app.start_again();
    app.settled().await;
    assert_same(&live, &app.read_models().dump().await, "after the file was deleted");
    assert_eq!(account.get("auth/me").send().await.expect(200).json(), account.user);
}

#[tokio::test]
async fn one_read_model_is_rebuilt_by_name_and_an_unknown_one_is_refused() {
    let app = TestApp::start(&product_binary());
    app.client().account().await.ready_job().await;
    app.settled().await;
    let live = app.read_models().dump().await;
    let one = app.operate(&["rebuild", "jobs"]).succeeded();
    assert!(one.stdout.starts_with("jobs: rebuilt to position "), "{}", one.stdout);
    assert_eq!(one.stdout.lines().count(), 1);
    app.settled().await;
    assert_same(&live, &app.read_models().dump().await, "after one was rebuilt");
    let unknown = app.operate(&["rebuild", "candidates"]).refused();
    assert!(unknown.contains("there is no read model \"candidates\"; there are candidate_status, "), "{unknown}");
    app.operate(&["rebuild"]).refused();
}

#[test]
fn a_difference_of_one_value_is_seen() {
    let tables = |text: &str| Tables::from([("jobs".to_owned(), vec!["1 | 2".to_owned(), text.to_owned()])]);
    assert_same(&tables("3 | 4"), &tables("3 | 4"), "");
    for wrong in ["3 | 5", ""] {
        let compared = std::panic::catch_unwind(|| assert_same(&tables("3 | 4"), &tables(wrong), ""));
        assert!(compared.is_err());
    }
}
