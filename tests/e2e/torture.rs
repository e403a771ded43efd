//! All kinds of requests at once while the process is killed again and again, and clients that hang up in the middle:
//! nothing acknowledged is lost, nothing is done twice, no slot is lost or leaks.

use std::{
    collections::BTreeSet,
    fs,
    io::{Cursor, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::json;
use starscreen_tests::{
    Account, Form, Kind, Lives, ModelServer, Reply, Resume, TestApp, answered, kill_again_and_again, seeded,
};
use tokio::{io::AsyncWriteExt, net::TcpStream};
use uuid::Uuid;
use zip::{ZipWriter, write::SimpleFileOptions};

use crate::product_binary;

const TENANTS: usize = 4;
const REQUESTS_A_TENANT: usize = 40;
const KILLS: usize = 50;
/// Makes the run this many times longer.
const LONGER: &str = "STARSCREEN_TESTS_LONGER";
const HANG_UPS: usize = 30;
/// Meanwhile the language model answers in turn like this.
const MODEL_FAULTS: &[Reply] = &[
    Reply::Good,
    Reply::Good,
    Reply::BusyForMillis(40),
    Reply::GoodAfter(Duration::from_millis(30)),
    Reply::Status(500),
    Reply::Good,
    Reply::Cut,
    Reply::Good,
    Reply::Half,
    Reply::Good,
    Reply::Good,
];

fn longer() -> usize {
    std::env::var(LONGER).ok().and_then(|times| times.parse().ok()).unwrap_or(1)
}

/// What a client was told of, and what it then asked to delete.
#[derive(Default)]
struct Told {
    jobs: Vec<Job>,
    candidates: Vec<Candidate>,
}

struct Job {
    id: String,
    deleted: bool,
}

struct Candidate {
    id: Uuid,
    job: usize,
    deleted: bool,
}

/// A tenant's client: one request after the other, each repeated until it is answered.
struct Tormentor {
    account: Account,
    random: StdRng,
    acknowledged: Arc<AtomicUsize>,
    told: Told,
}

impl Tormentor {
    async fn go_on(mut self) -> (Account, Told) {
        self.create_job().await;
        for number in 0..REQUESTS_A_TENANT * longer() {
            let key = format!("request-{number}");
            match self.random.random_range(0..100) {
                0..60 => self.upload(&key).await,
                60..70 => self.upload_archive(&key).await,
                70..82 => self.delete_candidate().await,
                82..88 => self.create_job().await,
                88..94 => self.delete_job().await,
                _ => self.revise_job(number).await,
            }
            self.acknowledged.fetch_add(1, Ordering::SeqCst);
        }
        (self.account, self.told)
    }

    fn living_job(&mut self) -> usize {
        let living: Vec<usize> = (0..self.told.jobs.len()).filter(|job| !self.told.jobs[*job].deleted).collect();
        living[self.random.random_range(0..living.len())]
    }

    async fn create_job(&mut self) {
        let key = format!("job-{}", self.told.jobs.len());
        let body =
            json!({ "title": "Engineer", "description": "Builds services with Rust, PostgreSQL and Kubernetes" });
        let answer = answered(&[201], || self.account.post("jobs").json(&body).key(&key)).await.json();
        self.told.jobs.push(Job { id: answer["job_id"].as_str().unwrap().to_owned(), deleted: false });
    }

    /// A new rubric scores its candidates again. Saying the same twice is once.
    async fn revise_job(&mut self, number: usize) {
        let job = self.living_job();
        let path = format!("jobs/{}", self.told.jobs[job].id);
        let text = json!({ "description": format!("Keeps the books, edition {number}: payroll and PostgreSQL") });
        answered(&[200], || self.account.put(&path).json(&text)).await;
    }

    async fn upload(&mut self, key: &str) {
        let job = self.living_job();
        let resume = match self.random.random_range(0..10) {
            0 => Resume::fixture(&format!("p{:02}_single.pdf", self.random.random_range(0..16))),
            1 => Resume::fixture("legacy.doc"),
            2 => Resume::fixture("truncated.pdf"),
            _ => Resume::unique(),
        };
        let id = self.told.jobs[job].id.clone();
        let answer = answered(&[200], || self.account.upload(&id, &resume).key(key)).await.json();
        self.take_down(job, &answer["candidate_id"]);
    }

    async fn upload_archive(&mut self, key: &str) {
        let job = self.living_job();
        let files = (0..self.random.random_range(1..5)).map(|_| Resume::unique());
        let archive = Resume::new("resumes.zip", archive(&files.collect::<Vec<_>>()));
        let path = format!("jobs/{}/candidates/bulk-upload-zip", self.told.jobs[job].id);
        let answer = answered(&[200], || self.account.post(&path).form(&Form::of(&archive)).key(key)).await.json();
        for result in answer["results"].as_array().unwrap() {
            assert_eq!(result["status"], "accepted", "{answer}");
            self.take_down(job, &result["candidate_id"]);
        }
    }

    fn take_down(&mut self, job: usize, candidate: &serde_json::Value) {
        let id = candidate.as_str().unwrap().parse().unwrap();
        self.told.candidates.push(Candidate { id, job, deleted: false });
    }

    /// When the answer to the first try was lost, the second finds nothing.
    async fn delete_candidate(&mut self) {
        let living: Vec<usize> =
            (0..self.told.candidates.len()).filter(|candidate| !self.told.candidates[*candidate].deleted).collect();
        if living.is_empty() {
            return;
        }
        let candidate = &mut self.told.candidates[living[self.random.random_range(0..living.len())]];
        candidate.deleted = true;
        let path = format!("jobs/{}/candidates/{}", self.told.jobs[candidate.job].id, candidate.id);
        answered(&[204, 404], || self.account.delete(&path)).await;
    }

    /// With all its candidates. One job is always left.
    async fn delete_job(&mut self) {
        let job = self.living_job();
        if self.told.jobs.iter().filter(|job| !job.deleted).count() < 2 {
            return;
        }
        self.told.jobs[job].deleted = true;
        for candidate in self.told.candidates.iter_mut().filter(|candidate| candidate.job == job) {
            candidate.deleted = true;
        }
        let path = format!("jobs/{}", self.told.jobs[job].id);
        answered(&[204, 404], || self.account.delete(&path)).await;
    }
}

fn archive(files: &[Resume]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(vec![]));
    for file in files {
        archive.start_file(file.file_name.as_str(), SimpleFileOptions::default()).unwrap();
        archive.write_all(&file.content).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// An operator who changes plans beside the server, whether or not it runs at the moment. Every plan has room. Answers
/// how often it was done.
fn change_plans(app: &TestApp, accounts: &[Account], over: &AtomicBool, mut random: StdRng) -> usize {
    let mut changed = 0;
    let mut plans = ["enterprise", "professional"].iter().cycle();
    while !over.load(Ordering::SeqCst) {
        let account = &accounts[random.random_range(0..accounts.len())];
        let plan = plans.next().unwrap();
        let answer = app.operate(&["admin", "change-plan", &account.email, plan]).succeeded();
        assert!(answer.stdout.contains(&format!("→ {plan}")), "{}", answer.stdout);
        changed += usize::from(!answer.stdout.contains(&format!("{plan} → {plan}")));
        std::thread::sleep(Duration::from_millis(random.random_range(0..300))); // the pace of an operator
    }
    changed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn fifty_kills_under_mixed_load_lose_nothing_and_double_nothing() {
    let mut random = seeded();
    let model = ModelServer::start();
    model.always(Kind::Rubric, MODEL_FAULTS);
    model.always(Kind::Evaluation, MODEL_FAULTS);
    let key = ("OPENAI_API_KEY", "sk-test-0123456789abcdef");
    let app = TestApp::start_with(&product_binary(), &[key, ("OPENAI_BASE_URL", &model.base_url())]);
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let mut accounts = vec![];
    for _ in 0..TENANTS {
        let account = app.client().account().await;
        app.operate(&["admin", "change-plan", &account.email, "enterprise"]).succeeded();
        accounts.push(account);
    }
    let clients: Vec<_> = accounts
        .iter()
        .map(|account| {
            let random = StdRng::seed_from_u64(random.random());
            let acknowledged = Arc::clone(&acknowledged);
            let client = Tormentor { account: account.clone(), random, acknowledged, told: Told::default() };
            tokio::spawn(client.go_on())
        })
        .collect();
    let over = AtomicBool::new(false);
    let of_operator = StdRng::seed_from_u64(random.random());
    let all = TENANTS * REQUESTS_A_TENANT * longer();
    let (told, changed) = std::thread::scope(|scope| {
        let operator = scope.spawn(|| change_plans(&app, &accounts, &over, of_operator));
        let told = tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                kill_again_and_again(&app, &mut random, KILLS * longer(), &acknowledged, all).await;
                join_all(clients).await
            })
        });
        over.store(true, Ordering::SeqCst);
        (told, operator.join().unwrap())
    });
    let told: Vec<(Account, Told)> = told.into_iter().map(Result::unwrap).collect();

    let look = async || app.unfinished().await;
    app.log().until_at_most(Duration::from_mins(2), "everything asked for is done and seen", look).await;
    let history = app.events().all().await;
    let recorded = history.iter().filter(|stored| stored.event_type == "PlanChanged").count();
    assert_eq!(recorded, TENANTS + changed, "plans were changed as often as the operator was told");
    let lives = Lives::of(history);
    let names: Vec<Uuid> = told.iter().flat_map(|(_, told)| &told.candidates).map(|candidate| candidate.id).collect();
    lives.check(&names);
    for (account, told) in &told {
        check_tenant(&app, &lives, account, told).await;
    }
    let deleted = names.iter().filter(|candidate| lives.deleted(**candidate)).count();
    println!("{} candidates, {deleted} of them deleted, {changed} changes of plans", names.len());
    let rebuilt = app.operate(&["rebuild", "--all", "--diff"]).succeeded();
    assert_eq!(rebuilt.stdout.matches(", 0 rows differed").count(), 6, "{}", rebuilt.stdout);
}

/// What was deleted is gone, the rest is there and whole, and each took one slot.
async fn check_tenant(app: &TestApp, lives: &Lives, account: &Account, told: &Told) {
    for Candidate { id, job, deleted } in &told.candidates {
        let path = format!("jobs/{}/candidates/{id}", told.jobs[*job].id);
        assert_eq!(lives.deleted(*id), *deleted, "{path}: {:#?}", lives.candidates[id]);
        if *deleted {
            account.get(&path).send().await.problem(404, "not_found");
            continue;
        }
        let status = account.get(&path).send().await.expect(200).json()["status"].clone();
        assert_eq!(status, if lives.failed(*id) { "FAILED" } else { "SCORED" }, "{path}");
        account.get(&format!("{path}/file")).send().await.expect(200);
    }
    let taken: Vec<Uuid> = told.candidates.iter().map(|candidate| candidate.id).collect();
    let ledgers = app.events().ledgers().await;
    let ledger = ledgers.values().find(|ledger| ledger.tenant.0 == account.tenant()).unwrap();
    ledger.check(&taken, lives);
    assert_eq!(account.subscription().await["candidates_used_this_month"], ledger.used());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_hangs_up_in_the_middle_leaves_nothing_or_a_whole_candidate() {
    let mut random = seeded();
    let app = TestApp::start(&product_binary());
    let account = app.client().account().await;
    app.operate(&["admin", "change-plan", &account.email, "enterprise"]).succeeded();
    let job = account.ready_job().await;
    let mut whole = 0;
    for number in 0..HANG_UPS {
        let bytes = account.upload_bytes(&job, &Resume::unique());
        // Every third is whole, and only the answer is not waited for.
        let sent = if number % 3 == 0 { bytes.len() } else { random.random_range(0..bytes.len()) };
        whole += usize::from(sent == bytes.len());
        let mut stream = TcpStream::connect(account.address()).await.unwrap();
        stream.write_all(&bytes[..sent]).await.unwrap();
        if random.random() {
            stream.set_zero_linger().unwrap(); // a reset instead of a farewell
        }
    }
    let last = account.take_in(&job, &Resume::unique()).await;
    account.until_candidate_is(&job, &last, "SCORED").await;
    let objects = app.home().data().join("objects").join(account.tenant().to_string());
    let entries = || -> BTreeSet<String> {
        let entries = fs::read_dir(&objects).into_iter().flatten();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let look = async || {
        let listed = account.candidates(&job).await;
        let there: BTreeSet<String> = listed.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect();
        let ended = listed.iter().all(|row| row["status"] == "SCORED");
        let seen = format!("{listed:?} and files of {:?}", entries());
        if ended && there == entries() { Ok(there) } else { Err(seen) }
    };
    let there = app.log().until("there are files of candidates and of nobody else", look).await;
    app.settled().await;
    assert!((1..=whole + 1).contains(&there.len()), "{} of {whole} whole uploads", there.len());
    println!("{} of {whole} whole uploads became candidates, and none of {}", there.len() - 1, HANG_UPS - whole);
    let lives = Lives::of(app.events().all().await);
    let names: Vec<Uuid> = there.iter().map(|id| id.parse().unwrap()).collect();
    lives.check(&names);
    app.events().ledgers().await.values().next().unwrap().check(&names, &lives);
    for id in there {
        account.get(&format!("jobs/{job}/candidates/{id}/file")).send().await.expect(200);
    }
}
