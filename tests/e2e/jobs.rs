//! Jobs: what they may say, how they are listed, and what becomes of their candidates.

use futures::{StreamExt, stream::FuturesUnordered};
use serde_json::{Value, json};
use starscreen_domain::{
    Event,
    candidate::{CandidateEvent, DeletionReason},
};
use starscreen_tests::{Resume, Shared};

use crate::product_binary;

static SERVER: Shared = Shared::new();

fn titles(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|job| job["title"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_job_is_answered_as_it_was_described() {
    let app = SERVER.app(&product_binary());
    let account = app.client().account().await;
    let body = json!({ "title": " Welder ", "description": "TIG and MIG welding of ship hulls, certified.",
        "location": "Kiel", "work_authorization_required": true, "post_to_linkedin": true });
    let created = account.post("jobs").json(&body).send().await.expect(201).json();
    assert_eq!(created["status"], "PENDING");
    let job = account.until_job_is(created["job_id"].as_str().unwrap(), "COMPLETED").await;
    assert_eq!((&job["title"], &job["location"]), (&json!("Welder"), &json!("Kiel")));
    assert_eq!((&job["work_authorization_required"], &job["external_postings"]), (&json!(true), &json!([])));
    assert_eq!((&job["description"], &job["error_message"]), (&body["description"], &Value::Null));
    for time in ["created_at", "updated_at"] {
        assert!(job[time].as_str().unwrap().ends_with('Z'), "{job}");
    }
}

#[tokio::test]
async fn a_title_and_a_description_have_their_bounds() {
    let app = SERVER.app(&product_binary());
    let account = app.client().account().await;
    let (title, description) =
        ("the title must have 1 to 200 characters", "the description must have 10 to 15000 characters");
    let post = |title: &str, description: &str| {
        account.post("jobs").json(&json!({ "title": title, "description": description }))
    };
    let valid = "Somebody who can weld";
    for (call, field, sentence) in [
        (post("", valid), "title", title),
        (post("   ", valid), "title", title),
        (post(&"t".repeat(201), valid), "title", title),
        (post("Welder", "too short"), "description", description),
        (post("Welder", &"d".repeat(15_001)), "description", description),
    ] {
        let refused = call.send().await;
        assert_eq!(refused.problem(422, "invalid_request"), format!("{field}: {sentence}"));
        assert_eq!(refused.json()["errors"][0]["loc"], json!(["body", field]));
    }
    // Characters, not bytes.
    post(&"ü".repeat(200), &"ü".repeat(15_000)).send().await.expect(201);
    post("t", "ten chars!").send().await.expect(201);
    let job = account.create_job("Welder", valid).await;
    let revise = async |body: Value| account.put(&format!("jobs/{job}")).json(&body).send().await;
    revise(json!({ "title": "" })).await.problem(422, "invalid_request");
    revise(json!({ "description": "short" })).await.problem(422, "invalid_request");
    assert_eq!(account.job(&job).await["title"], "Welder");
}

#[tokio::test]
async fn jobs_are_listed_newest_first_and_page_by_page() {
    let app = SERVER.app(&product_binary());
    let account = app.client().account().await;
    for number in 1..=5 {
        account.create_job(&format!("Job {number}"), "Work of some kind or other").await;
    }
    let all = account.get("jobs").send().await.expect(200);
    assert_eq!(all.header("x-total-count"), "5");
    assert_eq!(titles(&all.json()), ["Job 5", "Job 4", "Job 3", "Job 2", "Job 1"]);
    let skipped = account.get("jobs?skip=1&limit=2").send().await.expect(200).json();
    assert_eq!(titles(&skipped), ["Job 4", "Job 3"]);
    let (mut seen, mut cursor) = (vec![], String::new());
    loop {
        let call = account.get("jobs").query("limit", "2");
        let page = if cursor.is_empty() { call } else { call.query("cursor", &cursor) }.send().await.expect(200);
        seen.extend(titles(&page.json()).into_iter().map(str::to_owned));
        cursor = page.header("x-next-cursor").to_owned();
        if cursor.is_empty() {
            break;
        }
        // What comes in meanwhile is newer, and moves nothing.
        account.create_job("Late", "Work of some kind or other").await;
    }
    assert_eq!(seen, ["Job 5", "Job 4", "Job 3", "Job 2", "Job 1"]);
    for (query, sentence) in [
        ("skip=-1", "skip: must not be negative"),
        ("limit=0", "limit: must be at least 1"),
        ("limit=ten", "limit: must be a whole number"),
        ("cursor=guess", "cursor: is not a cursor that this list gave"),
    ] {
        let refused = account.get(&format!("jobs?{query}")).send().await;
        assert_eq!(refused.problem(422, "invalid_request"), sentence);
    }
    account.get("jobs?status=OPEN").send().await.problem(422, "invalid_request");
    account.get("jobs?limit=1000").send().await.expect(200);
    app.settled().await;
    let completed = account.get("jobs?status=COMPLETED").send().await.expect(200);
    let failed = account.get("jobs?status=FAILED").send().await.expect(200);
    assert_eq!(completed.header("x-total-count"), account.get("jobs").send().await.header("x-total-count"));
    assert_eq!(failed.header("x-total-count"), "0");
}

#[tokio::test]
async fn a_new_text_gets_a_new_rubric_and_scores_its_candidates_again() {
    let app = SERVER.app(&product_binary());
    let account = app.client().account().await;
    let job = account.ready_job().await;
    let candidate = account.take_in(&job, &Resume::fixture("p00_plain.docx")).await;
    account.until_candidate_is(&job, &candidate, "SCORED").await;
    let before = account.evaluation(&job, &candidate).await;
    let rubric = account.job(&job).await["job_config"].clone();

    // A new place changes nothing of that.
    let moved =
        account.put(&format!("jobs/{job}")).json(&json!({ "location": "Oslo" })).send().await.expect(200).json();
    assert_eq!((&moved["location"], &moved["status"]), (&json!("Oslo"), &json!("COMPLETED")));
    assert_eq!(moved["job_config"], rubric);

    let body =
        json!({ "title": "Nurse", "description": "A registered nurse for patient triage and wound care at night." });
    let revised = account.put(&format!("jobs/{job}")).json(&body).send().await.expect(200).json();
    assert_eq!((&revised["title"], &revised["location"]), (&json!("Nurse"), &json!("Oslo")));
    let look = async || {
        let seen = account.evaluation(&job, &candidate).await;
        if seen["rubric_version"] == 2 { Ok(seen) } else { Err(seen["rubric_version"].to_string()) }
    };
    let after = app.log().until("the candidate is scored by the second rubric", look).await;
    assert_ne!(account.job(&job).await["job_config"], rubric);
    assert!(after["match_score"].as_f64() < before["match_score"].as_f64(), "{after}");
    let listed = account.candidate(&job, &candidate).await;
    assert_eq!((&listed["status"], &listed["score"]), (&json!("SCORED"), &after["match_score"]));
    // Both scores stay in the history, and the slot is counted once.
    let scored = app.events().of_stream(&candidate).await;
    assert_eq!(scored.iter().filter(|event| *event == "CandidateScored").count(), 2);
    assert_eq!(account.subscription().await["candidates_used_this_month"], 1);
}

#[tokio::test]
async fn a_deleted_job_takes_its_candidates_along_by_events_of_their_own() {
    let app = SERVER.app(&product_binary());
    let account = app.client().account().await;
    let (job, kept) = (account.ready_job().await, account.ready_job().await);
    let mut candidates = vec![];
    for _ in 0..3 {
        candidates.push(account.take_in(&job, &Resume::unique()).await);
    }
    let other = account.take_in(&kept, &Resume::unique()).await;
    account.settled_candidates(&job, 3).await;
    account.delete(&format!("jobs/{job}")).send().await.expect(204);
    for call in [
        account.get(&format!("jobs/{job}")),
        account.delete(&format!("jobs/{job}")),
        account.put(&format!("jobs/{job}")).json(&json!({ "title": "Back" })),
        account.get(&format!("jobs/{job}/candidates")),
    ] {
        assert_eq!(call.send().await.problem(404, "not_found"), "Job not found");
    }
    let refused = account.upload(&job, &Resume::unique()).send().await;
    assert_eq!(refused.problem(404, "not_found"), format!("Job {job} not found"));
    app.settled().await;
    for candidate in &candidates {
        let path = format!("jobs/{job}/candidates/{candidate}");
        account.get(&path).send().await.problem(404, "not_found");
        account.get(&format!("{path}/evaluation")).send().await.problem(404, "not_found");
    }
    let history = app.events().of_tenant(account.tenant()).await;
    let deleted: Vec<String> = history
        .iter()
        .filter(|stored| {
            matches!(
                stored.event,
                Event::Candidate(CandidateEvent::CandidateDeleted { reason: DeletionReason::JobDeleted })
            )
        })
        .map(|stored| stored.aggregate_id.to_string())
        .collect();
    candidates.sort();
    assert_eq!(deleted, candidates);
    account.until_candidate_is(&kept, &other, "SCORED").await;
    assert_eq!(account.get("jobs").send().await.header("x-total-count"), "1");
    assert_eq!(account.subscription().await["candidates_used_this_month"], 4, "slots stay used");
}

/// An upload may land after the deletion has looked for candidates; whichever is first, nothing is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn uploads_beside_the_deletion_of_their_job_leave_no_orphan() {
    let app = SERVER.app(&product_binary());
    let account = app.client().account().await;
    app.operate(&["admin", "change-plan", &account.email, "enterprise"]).succeeded();
    let (mut taken, mut refused) = (vec![], 0);
    for _ in 0..6 {
        let job = account.create_job("Short-lived", "Deleted while resumes come in").await;
        let mut uploads: FuturesUnordered<_> =
            (0..12).map(|_| tokio::spawn(account.upload(&job, &Resume::unique()).send())).collect();
        let first = uploads.next().await.unwrap().unwrap().expect(200);
        let delete = tokio::spawn(account.delete(&format!("jobs/{job}")).send());
        let mut answers = vec![first];
        while let Some(answer) = uploads.next().await {
            answers.push(answer.unwrap());
        }
        delete.await.unwrap().expect(204);
        for answer in answers {
            match answer.status {
                200 => taken.push((job.clone(), answer.json()["candidate_id"].as_str().unwrap().to_owned())),
                _ => refused += usize::from(!answer.problem(404, "not_found").is_empty()),
            }
        }
    }
    println!("{} were taken in, {refused} came too late", taken.len());
    app.settled().await;
    for (job, candidate) in taken {
        account.get(&format!("jobs/{job}/candidates/{candidate}")).send().await.problem(404, "not_found");
        let events = app.events().of_stream(&candidate).await;
        assert_eq!(events.iter().filter(|event| *event == "CandidateDeleted").count(), 1, "{events:?}");
    }
}
