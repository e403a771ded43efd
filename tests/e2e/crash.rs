//! SIGKILL of the whole process at random points while uploads run: nothing acknowledged is lost, nothing is done
//! twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::future::join_all;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::json;
use starscreen_domain::{Event, candidate::CandidateEvent, job::JobEvent};
use starscreen_tests::{Account, Answer, Call, Resume, TestApp};
use uuid::Uuid;

use crate::product_binary;

const KILLS: usize = 20;
const TENANTS: usize = 4;
const UPLOADS_A_TENANT: usize = 30;
/// A client that meets a dead server for longer than this has found a bug.
const PATIENCE: Duration = Duration::from_mins(1);

/// What a client was told: its key, and the candidate it was given.
type Acknowledged = Vec<(String, String)>;

/// Asks again and again until a living server has answered.
async fn answered(ask: impl Fn() -> Call) -> Answer {
    let start = Instant::now();
    loop {
        match ask().try_send().await {
            Ok(answer) if answer.status != 503 => return answer.expect(200),
            Ok(_) | Err(_) => assert!(start.elapsed() < PATIENCE, "nobody answers"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await; // as a client would, before it asks again
    }
}

/// Uploads one after the other, each under its own key; in the middle the job is revised, so that a new rubric scores
/// all of them again.
async fn upload_all(account: Account, job: String, resumes: Vec<Resume>, count: Arc<AtomicUsize>) -> Acknowledged {
    let text = json!({ "description": "Keeps the books: payroll, bookkeeping and PostgreSQL" });
    let mut acknowledged = vec![];
    for (number, resume) in resumes.iter().enumerate() {
        if number == UPLOADS_A_TENANT / 2 {
            answered(|| account.put(&format!("jobs/{job}")).json(&text)).await; // saying the same twice is once
        }
        let key = format!("upload-{number}");
        let answer = answered(|| account.upload(&job, resume).key(&key)).await.json();
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

/// Kills at random points, each some moments after a random number of uploads was acknowledged.
async fn kill_again_and_again(app: &TestApp, random: &mut StdRng, acknowledged: &AtomicUsize) {
    let mut thresholds: Vec<usize> =
        (0..KILLS).map(|_| random.random_range(0..TENANTS * UPLOADS_A_TENANT * 9 / 10)).collect();
    thresholds.sort_unstable();
    for threshold in thresholds {
        let look = async || {
            let seen = acknowledged.load(Ordering::SeqCst);
            if seen >= threshold { Ok(()) } else { Err(format!("{seen}")) }
        };
        app.log().until_at_most(PATIENCE, &format!("{threshold} uploads are acknowledged"), look).await;
        let moment = Duration::from_micros(random.random_range(0..150_000));
        tokio::time::sleep(moment).await; // the random point, not a wait for anything
        tokio::task::block_in_place(|| {
            app.kill();
            app.start_again();
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_while_uploads_run_lose_nothing_and_double_nothing() {
    let seed = std::env::var("STARSCREEN_TESTS_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| rand::rng().random());
    println!("STARSCREEN_TESTS_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
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
    kill_again_and_again(&app, &mut random, &acknowledged).await;
    let told: Vec<Acknowledged> = join_all(clients).await.into_iter().map(Result::unwrap).collect();

    let look = async || app.unfinished().await;
    app.log().until_at_most(Duration::from_mins(2), "everything asked for is done and seen", look).await;
    check_history(&app, &told).await;
    for ((account, job), told) in accounts.iter().zip(&told) {
        check_tenant(&app, account, job, told).await;
    }
    let rebuilt = app.operate(&["rebuild", "--all", "--diff"]).succeeded();
    assert_eq!(rebuilt.stdout.matches(", 0 rows differed").count(), 6, "{}", rebuilt.stdout);
}

/// Positions have no gap, and every candidate came once and came to one end.
async fn check_history(app: &TestApp, told: &[Acknowledged]) {
    let history = app.events().all().await;
    let mut tenant_positions: BTreeMap<_, i64> = BTreeMap::new();
    let mut candidates: BTreeMap<Uuid, Vec<CandidateEvent>> = BTreeMap::new();
    let mut rubrics: BTreeMap<Uuid, Vec<u32>> = BTreeMap::new();
    for (stored, expected) in history.into_iter().zip(1..) {
        assert_eq!(stored.position, expected, "positions have a gap");
        if let Some(tenant) = stored.tenant {
            let last = tenant_positions.entry(tenant).or_default();
            *last += 1;
            assert_eq!(stored.tenant_position, Some(*last), "positions of {tenant} have a gap");
        }
        match stored.event {
            Event::Candidate(event) => candidates.entry(stored.aggregate_id).or_default().push(event),
            Event::Job(JobEvent::RubricRecorded { version, .. }) => {
                rubrics.entry(stored.aggregate_id).or_default().push(version);
            }
            Event::Job(_) | Event::Account(_) | Event::EmailClaim(_) | Event::Subscription(_) | Event::Usage(_) => {}
        }
    }
    let told: BTreeSet<Uuid> = told.iter().flatten().map(|(_, id)| id.parse().unwrap()).collect();
    assert_eq!(told.len(), TENANTS * UPLOADS_A_TENANT, "two uploads were given one candidate");
    let there: BTreeSet<Uuid> = candidates.keys().copied().collect();
    let [lost, unheard] = [&told - &there, &there - &told];
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    assert!(unheard.is_empty(), "nobody was told of them: {unheard:?}");
    for (id, events) in candidates {
        check_candidate(id, &events, &rubrics);
    }
}

fn check_candidate(id: Uuid, events: &[CandidateEvent], rubrics: &BTreeMap<Uuid, Vec<u32>>) {
    let count = |wanted: fn(&CandidateEvent) -> bool| events.iter().filter(|event| wanted(event)).count();
    assert_eq!(count(|e| matches!(e, CandidateEvent::ResumeUploaded { .. })), 1, "{id}: {events:#?}");
    assert_eq!(count(|e| matches!(e, CandidateEvent::ExtractionStarted {})), 1, "{id}: {events:#?}");
    let extracted = count(|e| matches!(e, CandidateEvent::TextExtracted { .. }));
    let failed = count(|e| matches!(e, CandidateEvent::ExtractionFailed { .. }));
    assert_eq!(extracted + failed, 1, "{id}: {events:#?}");
    let (mut last_rubric, mut requested, mut scored) = (None, vec![], vec![]);
    for event in events {
        match event {
            CandidateEvent::ResumeUploaded { job_id, .. } => last_rubric = rubrics[&job_id.0].last(),
            CandidateEvent::ScoringRequested { rubric_version } => requested.push(rubric_version),
            CandidateEvent::CandidateScored { rubric_version, .. } => scored.push(rubric_version),
            CandidateEvent::ExtractionStarted {}
            | CandidateEvent::TextExtracted { .. }
            | CandidateEvent::ExtractionFailed { .. }
            | CandidateEvent::ScoringAwaited {} => {}
            CandidateEvent::ScoringFailed { .. } | CandidateEvent::CandidateDeleted { .. } => {
                panic!("{id}: {events:#?}")
            }
        }
    }
    // By each rubric once; an old one may be passed over when the new one comes first, the last one may not.
    for versions in [&requested, &scored] {
        assert!(versions.is_sorted_by(|a, b| a < b), "{id} twice by one rubric: {events:#?}");
    }
    assert!(scored.iter().all(|version| requested.contains(version)), "{id}: {events:#?}");
    let expected = last_rubric.filter(|_| extracted == 1);
    assert_eq!((requested.last().copied(), scored.last().copied()), (expected, expected), "{id}: {events:#?}");
}

/// The tenant finds what it was told of, each at its end, and no slot is lost or held.
async fn check_tenant(app: &TestApp, account: &Account, job: &str, told: &Acknowledged) {
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
    assert_eq!(
        (ledger.reserved.len(), ledger.committed.len(), ledger.released.len()),
        (scored + failed, scored, failed)
    );
    let ended: BTreeSet<_> = ledger.committed.iter().chain(&ledger.released).collect();
    assert_eq!(ended, ledger.reserved.iter().collect::<BTreeSet<_>>(), "a slot was ended that was not reserved");
    assert_eq!(ended.len(), ledger.reserved.len(), "a slot was reserved twice");
    assert_eq!(account.subscription().await["candidates_used_this_month"], scored);
}
