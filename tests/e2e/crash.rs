//! SIGKILL of the whole process at random points while uploads run: nothing acknowledged is lost, nothing is done
//! twice.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use serde_json::json;
use starscreen_projections::Models;
use starscreen_tests::{Account, Lives, Resume, TestApp, answered, kill_again_and_again, seeded};
use uuid::Uuid;

use crate::product_binary;

const KILLS: usize = 20;
const TENANTS: usize = 4;
const UPLOADS_A_TENANT: usize = 30;

/// What a client was told: its key, and the candidate it was given.
type Acknowledged = Vec<(String, String)>;

/// Uploads one after the other, each under its own key; in the middle the job is revised, so that a new rubric scores
/// all of them again.
async fn upload_all(account: Account, job: String, resumes: Vec<Resume>, count: Arc<AtomicUsize>) -> Acknowledged {
    let text = json!({ "description": "Keeps the books: payroll, bookkeeping and PostgreSQL" });
    let mut acknowledged = vec![];
    for (number, resume) in resumes.iter().enumerate() {
        if number == UPLOADS_A_TENANT / 2 {
            answered(&[200], || account.put(&format!("jobs/{job}")).json(&text)).await; // saying the same twice is once
        }
        let key = format!("upload-{number}");
        let answer = answered(&[200], || account.upload(&job, resume).key(&key)).await.json();
        count.fetch_add(1, Ordering::SeqCst);
        acknowledged.push((key, answer["candidate_id"].as_str().unwrap().to_owned()));
    }
    acknowledged
}

fn resumes(tenant: usize) -> Vec<Resume> {
    (0..UPLOADS_A_TENANT)
        .map(|number| match number % 10 {
            3 => Resume::fixture(&format!("p{:02}_single.pdf", (number + tenant) % 16)),
            6 => Resume::fixture("legacy.doc"),
            9 => Resume::fixture("truncated.pdf"),
            _ => Resume::unique(),
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_while_uploads_run_lose_nothing_and_double_nothing() {
    let mut random = seeded();
    let app = TestApp::start(&product_binary());
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let (mut accounts, mut clients) = (vec![], vec![]);
    for tenant in 0..TENANTS {
        let account = app.client().account().await;
        app.operate(&["admin", "change-plan", &account.email, "enterprise"]).succeeded();
        // A rubric is drawn up beside the first uploads, so that kills hit it too.
        let job = account.create_job("Engineer", "Builds services with Rust, PostgreSQL and Kubernetes on AWS").await;
        accounts.push((account.clone(), job.clone()));
        clients.push((account, job, resumes(tenant)));
    }
    let clients = clients
        .into_iter()
        .map(|(account, job, resumes)| tokio::spawn(upload_all(account, job, resumes, Arc::clone(&acknowledged))));
    let clients: Vec<_> = clients.collect();
    kill_again_and_again(&app, &mut random, KILLS, &acknowledged, TENANTS * UPLOADS_A_TENANT).await;
    let told: Vec<Acknowledged> = join_all(clients).await.into_iter().map(Result::unwrap).collect();

    let look = async || app.unfinished().await;
    app.log().until_at_most(Duration::from_mins(2), "everything asked for is done and seen", look).await;
    let lives = Lives::of(app.events().all().await);
    let names: Vec<Uuid> = told.iter().flatten().map(|(_, id)| id.parse().unwrap()).collect();
    assert_eq!(names.len(), TENANTS * UPLOADS_A_TENANT);
    lives.check(&names);
    for ((account, job), told) in accounts.iter().zip(&told) {
        check_tenant(&app, &lives, account, job, told).await;
    }
    let rebuilt = app.operate(&["rebuild", "--all", "--diff"]).succeeded();
    assert_eq!(rebuilt.stdout.matches(", 0 rows differed").count(), Models::NAMES.len(), "{}", rebuilt.stdout);
}

/// The tenant finds what it was told of, each at its end, and no slot is lost or held.
async fn check_tenant(app: &TestApp, lives: &Lives, account: &Account, job: &str, told: &Acknowledged) {
    let (mut scored, mut failed) = (0, 0);
    for (key, id) in told {
        let candidate = account.candidate(job, id).await;
        match candidate["status"].as_str().unwrap() {
            "SCORED" => scored += 1,
            "FAILED" => failed += 1,
            _ => panic!("{key}: {candidate}"),
        }
        account.get(&format!("jobs/{job}/candidates/{id}/file")).send().await.expect(200);
    }
    assert_eq!((scored, failed), (UPLOADS_A_TENANT * 8 / 10, UPLOADS_A_TENANT * 2 / 10));
    let ledgers = app.events().ledgers().await;
    let ledger = ledgers.values().find(|ledger| ledger.tenant.0 == account.tenant()).unwrap();
    let taken: Vec<Uuid> = told.iter().map(|(_, id)| id.parse().unwrap()).collect();
    ledger.check(&taken, lives);
    assert_eq!(account.subscription().await["candidates_used_this_month"], scored);
}
