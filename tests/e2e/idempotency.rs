//! The same request twice is once, as long as it says so by its `Idempotency-Key`.

use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::json;
use starscreen_tests::{Account, Form, Resume, Shared, TestApp};

use crate::product_binary;

static SERVER: Shared = Shared::new();

async fn reserved(app: &TestApp, account: &Account) -> usize {
    let ledgers = app.events().ledgers().await.into_values();
    ledgers.filter(|ledger| ledger.tenant.0 == account.tenant()).map(|ledger| ledger.reserved.len()).sum()
}

#[tokio::test]
async fn the_same_upload_twice_is_one_candidate_and_one_slot_with_the_same_answer() {
    let app = SERVER.app(&product_binary());
    let account = app.client().account().await;
    let job = account.ready_job().await;
    let resume = Resume::fixture("p00_single.pdf");
    let form = || Form::of(&resume).field("first_name", "Chris"); // with a boundary of its own each time
    let upload = |path: &str| account.post(&format!("jobs/{job}/{path}")).form(&form()).key("upload-1");
    let first = upload("candidates/upload").send().await.expect(200);
    let second = upload("candidates/upload").send().await.expect(200);
    assert_eq!(first.json(), second.json());
    let by_alias = upload("candidates").send().await.expect(200);
    assert_eq!(first.json(), by_alias.json());
    let list = account.settled_candidates(&job, 1).await;
    assert_eq!(list[0]["id"], first.json()["candidate_id"]);
    assert_eq!(reserved(&app, &account).await, 1);
    // Long after, when the candidate has moved on, the answer is still the one that was given.
    assert_eq!(upload("candidates/upload").send().await.expect(200).json(), first.json());
    assert_eq!(account.subscription().await["candidates_used_this_month"], 1);
}

#[tokio::test]
async fn a_key_is_good_for_one_request_only() {
    let app = SERVER.app(&product_binary());
    let account = app.client().account().await;
    let (job, other_job) = (account.ready_job().await, account.ready_job().await);
    let resume = Resume::unique();
    account.upload(&job, &resume).key("key").send().await.expect(200);
    let sentence = "This Idempotency-Key was used for another request. Use a new key for a new request.";
    let renamed = Resume { file_name: "renamed.docx".to_owned(), ..resume.clone() };
    let other_content = Resume { file_name: resume.file_name.clone(), ..Resume::unique() };
    for call in [
        account.upload(&job, &other_content),
        account.upload(&job, &renamed),
        account.upload(&other_job, &resume),
        account.post(&format!("jobs/{job}/candidates/upload")).form(&Form::of(&resume).field("first_name", "Alex")),
        account.post("jobs").json(&json!({ "title": "A job", "description": "With the key of an upload" })),
    ] {
        assert_eq!(call.key("key").send().await.problem(422, "idempotency_key_reused"), sentence);
    }
    assert_eq!((account.candidates(&job).await.len(), account.candidates(&other_job).await.len()), (1, 0));
    assert_eq!(reserved(&app, &account).await, 1);
    // The key of one tenant says nothing about another's.
    let neighbour = app.client().account().await;
    let job = neighbour.ready_job().await;
    neighbour.upload(&job, &resume).key("key").send().await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixteen_at_once_with_one_key_are_one() {
    let app = SERVER.app(&product_binary());
    let account = app.client().account().await;
    let job = account.ready_job().await;
    let resume = Resume::unique();
    let calls = (0..16).map(|_| tokio::spawn(account.upload(&job, &resume).key("all the same").send()));
    let answers = join_all(calls).await;
    let ids: BTreeSet<String> =
        answers.into_iter().map(|answer| answer.unwrap().expect(200).json()["candidate_id"].to_string()).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(account.settled_candidates(&job, 1).await.len(), 1);
    assert_eq!(reserved(&app, &account).await, 1);
}

#[tokio::test]
async fn a_job_is_created_once_for_a_key() {
    let app = SERVER.app(&product_binary());
    let account = app.client().account().await;
    let create = |title: &str| {
        let body = json!({ "title": title, "description": "Somebody who never does anything twice" });
        account.post("jobs").json(&body).key("job-1")
    };
    let first = create("Accountant").send().await.expect(201).json();
    assert_eq!(create("Accountant").send().await.expect(201).json(), first);
    create("Bookkeeper").send().await.problem(422, "idempotency_key_reused");
    let jobs = account.get("jobs").send().await.expect(200);
    assert_eq!(jobs.header("x-total-count"), "1");
}

#[tokio::test]
async fn what_was_refused_may_be_tried_again_with_its_key() {
    let app = SERVER.app(&product_binary());
    let account = app.client().account().await;
    let job = account.ready_job().await;
    for _ in 0..5 {
        account.take_in(&job, &Resume::unique()).await;
    }
    let resume = Resume::unique();
    account.upload(&job, &resume).key("sixth").send().await.expect(402);
    app.operate(&["admin", "change-plan", &account.email, "starter"]).succeeded();
    let answer = account.upload(&job, &resume).key("sixth").send().await.expect(200);
    assert_eq!(account.upload(&job, &resume).key("sixth").send().await.expect(200).json(), answer.json());

    // A receipt is looked at before the quota: what was accepted is accepted, though nothing more fits in.
    app.operate(&["admin", "change-plan", &account.email, "free"]).succeeded();
    assert_eq!(account.upload(&job, &resume).key("sixth").send().await.expect(200).json(), answer.json());
    account.upload(&job, &resume).key("seventh").send().await.expect(402);
    assert_eq!(reserved(&app, &account).await, 6);

    // A file of no use, an unknown job: nothing is kept of them either.
    app.operate(&["admin", "change-plan", &account.email, "starter"]).succeeded();
    account.upload(&job, &Resume::new("notes.txt", b"text".to_vec())).key("eighth").send().await.expect(400);
    account.upload(&job, &Resume::unique()).key("eighth").send().await.expect(200);
}

#[tokio::test]
async fn a_key_out_of_bounds_is_refused() {
    let app = SERVER.app(&product_binary());
    let account = app.client().account().await;
    let body = json!({ "title": "A job", "description": "Long enough to be one" });
    let longest = "k".repeat(255);
    account.post("jobs").json(&body).key(&longest).send().await.expect(201);
    let create = || account.post("jobs").json(&body);
    for call in [create().key(""), create().key(&"k".repeat(256)), create().key("one").key("two")] {
        let sentence = "Idempotency-Key: must be sent once, with 1 to 255 ASCII characters";
        assert_eq!(call.send().await.problem(422, "invalid_request"), sentence);
    }
}
