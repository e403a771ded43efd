//! What the product leans on stops, stands still or dies: callers are told at once, nothing is half-written, and all
//! goes on by itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use futures::future::join_all;
use serde_json::json;
use starscreen_tests::{Account, Answer, Call, Form, PASSWORD, Postgres, Resume, answered};
use tokio::{task::block_in_place, time::sleep};
use uuid::Uuid;

use crate::apart::Apart;

/// Nobody waits longer for the answer that there is none.
const TOLD_WITHIN: Duration = Duration::from_secs(2);
/// After an outage, until everything can be done again.
const BACK_WITHIN: Duration = Duration::from_secs(5);
const OUTAGE: Duration = Duration::from_secs(6);
const CLIENTS: usize = 4;

/// Clients that upload all the time, each under keys, until they are told to stop. A 503 is asked again.
struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<tokio::task::JoinHandle<Vec<Uuid>>>,
}

impl Load {
    fn start(account: &Account, job: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let clients = (0..CLIENTS).map(|client| {
            let (account, job, stop) = (account.clone(), job.to_owned(), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut told = vec![];
                while !stop.load(Ordering::Relaxed) {
                    let (resume, key) = (Resume::unique(), format!("client-{client}-{}", told.len()));
                    let answer = answered(&[200], || account.upload(&job, &resume).key(&key)).await.json();
                    told.push(answer["candidate_id"].as_str().unwrap().parse().unwrap());
                    sleep(Duration::from_millis(20)).await; // as clients do
                }
                told
            })
        });
        let clients = clients.collect();
        Self { stop, clients }
    }

    /// Of all candidates that they were told of.
    async fn end(self) -> Vec<Uuid> {
        self.stop.store(true, Ordering::Relaxed);
        join_all(self.clients).await.into_iter().flat_map(|told| told.unwrap()).collect()
    }
}

type Ask = Box<dyn Fn() -> Call + Send + Sync>;

/// A request of each kind, with what it answers when all is well.
fn requests(account: &Account, job: &str, candidate: &str, round: usize) -> Vec<(&'static str, u16, Ask)> {
    let get = |path: String| -> Ask {
        let account = account.clone();
        Box::new(move || account.get(&path))
    };
    let post = |path: &str, key: &str, call: fn(Call) -> Call| -> Ask {
        let (account, path, key) = (account.clone(), path.to_owned(), format!("{key}-{round}"));
        Box::new(move || call(account.post(&path)).key(&key))
    };
    let login = json!({ "email": account.email, "password": PASSWORD });
    let refresh = json!({ "refresh_token": account.refresh_token });
    let renamed = json!({ "title": format!("Engineer {round}") });
    let (renames, rename) = (account.clone(), format!("jobs/{job}"));
    let stranger = account.nobody();
    // Another one each time: without a key, nobody knows what became of a request that was answered by 503.
    let register = move || {
        let email = format!("someone-{}@example.com", Uuid::new_v4().simple());
        stranger.post("auth/register").json(&json!({ "email": email, "password": PASSWORD,
            "full_name": "Robin Recruiter", "company_name": "Example Ltd" }))
    };
    let nobody = |path: &'static str, body: serde_json::Value| -> Ask {
        let nobody = account.nobody();
        Box::new(move || nobody.post(path).json(&body))
    };
    let (uploader, upload, resume) = (account.clone(), job.to_owned(), Resume::unique());
    vec![
        ("list jobs", 200, get("jobs".to_owned())),
        ("job", 200, get(format!("jobs/{job}"))),
        ("list candidates", 200, get(format!("jobs/{job}/candidates"))),
        ("candidate", 200, get(format!("jobs/{job}/candidates/{candidate}"))),
        ("file", 200, get(format!("jobs/{job}/candidates/{candidate}/file"))),
        ("evaluation", 200, get(format!("jobs/{job}/candidates/{candidate}/evaluation"))),
        ("subscription", 200, get("subscriptions/current".to_owned())),
        ("me", 200, get("auth/me".to_owned())),
        ("sign in", 200, nobody("auth/login", login)),
        ("refresh", 200, nobody("auth/refresh", refresh)),
        ("register", 201, Box::new(register)),
        (
            "create a job",
            201,
            post("jobs", "job", |call| {
                call.json(&json!({ "title": "Engineer", "description": "Builds services with Rust and PostgreSQL" }))
            }),
        ),
        ("rename a job", 200, Box::new(move || renames.put(&rename).json(&renamed))),
        ("upload", 200, Box::new(move || uploader.upload(&upload, &resume).key(&format!("upload-{round}")))),
        (
            "upload an archive",
            200,
            post(&format!("jobs/{job}/candidates/bulk-upload-zip"), "zip", |call| {
                call.form(&Form::of(&Resume::new("resumes.zip", Resume::fixture("bulk_mixed.zip").content)))
            }),
        ),
    ]
}

/// How long each kind of request waited at most for being told that it cannot be answered.
type Waits = BTreeMap<&'static str, Duration>;

#[track_caller]
fn told_to_come_back(what: &str, answer: &Answer) {
    assert_eq!(answer.status, 503, "{what}: {}", answer.text());
    let detail = answer.problem(503, "unavailable");
    assert!(!detail.is_empty(), "{what}");
    assert!(answer.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0), "{what}: {detail}");
}

/// Asks everything again and again, one of each kind at a time, for as long as the outage lasts.
async fn all_are_told(requests: &[(&'static str, u16, Ask)], outage: Duration) -> Waits {
    let end = Instant::now() + outage;
    let ask = async |(what, _, ask): &(&'static str, u16, Ask)| {
        let mut longest = Duration::ZERO;
        while Instant::now() < end {
            let begun = Instant::now();
            let answer = ask().send().await;
            longest = longest.max(begun.elapsed());
            told_to_come_back(what, &answer);
            sleep(Duration::from_millis(50)).await; // as clients do
        }
        (*what, longest)
    };
    join_all(requests.iter().map(ask)).await.into_iter().collect()
}

/// Until all kinds of requests are answered again; says how long that took and what came of each.
async fn all_are_answered(requests: &[(&'static str, u16, Ask)]) -> (Duration, BTreeMap<&'static str, Answer>) {
    let begun = Instant::now();
    let ask = async |(what, status, ask): &(&'static str, u16, Ask)| loop {
        let answer = ask().send().await;
        if answer.status == *status {
            return (*what, answer);
        }
        told_to_come_back(what, &answer);
        assert!(begun.elapsed() < 4 * BACK_WITHIN, "{what} is not answered: {}", answer.text());
        sleep(Duration::from_millis(20)).await;
    };
    let answers = join_all(requests.iter().map(ask)).await.into_iter().collect();
    (begun.elapsed(), answers)
}

/// Files of candidates, and of uploads of which nobody knows what became.
fn stored(objects: &PathBuf) -> BTreeSet<Uuid> {
    let mut found = BTreeSet::new();
    for tenant in fs::read_dir(objects).unwrap().map(|entry| entry.unwrap().path()) {
        for candidate in fs::read_dir(tenant).unwrap().map(|entry| entry.unwrap()) {
            if fs::read_dir(candidate.path()).unwrap().next().is_some() {
                found.insert(candidate.file_name().to_str().unwrap().parse().unwrap());
            }
        }
    }
    found
}

/// Makes all files old enough to be swept.
fn age(objects: &PathBuf) {
    let long_ago = SystemTime::now() - Duration::from_hours(2);
    let mut directories = vec![objects.clone()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap()) {
            if entry.file_type().unwrap().is_dir() {
                directories.push(entry.path());
            } else {
                File::options().append(true).open(entry.path()).unwrap().set_modified(long_ago).unwrap();
            }
        }
    }
}

/// Every candidate has its file, and after a sweep there is no other file.
async fn no_file_is_lost_and_none_is_left(apart: &Apart, account: &Account, job: &str, told: &[Uuid]) {
    for candidate in told {
        account.get(&format!("jobs/{job}/candidates/{candidate}/file")).send().await.expect(200);
    }
    let objects = apart.home().data().join("objects");
    let planted = objects.join(account.tenant().to_string()).join(Uuid::new_v4().to_string());
    fs::create_dir_all(&planted).unwrap();
    fs::write(planted.join("file"), "of a process that was killed").unwrap();
    let told: BTreeSet<Uuid> = told.iter().copied().collect();
    println!("{} files of uploads that came to nothing", (&stored(&objects) - &told).len() - 1);
    age(&objects);
    let _sweeps = apart.run(&["worker"]); // at its start
    let look = async || {
        let left = &stored(&objects) - &told;
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    };
    apart.home().log().until("all orphans are swept", look).await;
    assert_eq!(stored(&objects), told, "files of candidates are swept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_postgresql_everybody_is_told_at_once_and_all_goes_on_when_it_is_back() {
    type Change = fn(&Postgres);
    let faults: [(&str, Change, Change); 3] = [
        ("paused", |postgres| postgres.pause(), |postgres| postgres.resume()),
        ("stopped", |postgres| postgres.stop(), |postgres| postgres.start()),
        ("killed", |postgres| postgres.kill(), |postgres| postgres.start()),
    ];
    let apart = Apart::new(&[]);
    let _others = apart.run_all();
    let gateway = apart.gateway();
    let account = apart.account(&gateway).await;
    let job = account.ready_job().await;
    let candidate = account.take_in(&job, &Resume::unique()).await;
    account.until_candidate_is(&job, &candidate, "SCORED").await;
    apart.settled_within(BACK_WITHIN * 2).await;
    let mut told: Vec<Uuid> = vec![candidate.parse().unwrap()];
    for (round, (fault, begin, end)) in faults.into_iter().enumerate() {
        let requests = requests(&account, &job, &candidate, round);
        let load = Load::start(&account, &job);
        sleep(Duration::from_secs(1)).await; // so that it is at work in the middle of it
        block_in_place(|| begin(&apart.postgres));
        let waits = all_are_told(&requests, OUTAGE).await;
        account.nobody().get("/health").send().await.expect(200);
        account.nobody().get("/health/ready").send().await.expect(503);
        block_in_place(|| end(&apart.postgres));
        let (back, answers) = all_are_answered(&requests).await;
        let uploaded = answers["upload"].json()["candidate_id"].as_str().unwrap().to_owned();
        let scored = Instant::now();
        account.until_candidate_is(&job, &uploaded, "SCORED").await;
        let slowest = waits.iter().max_by_key(|(_, wait)| **wait).unwrap();
        println!("{fault}: told within {slowest:?}, back after {back:?}, work after {:?} more", scored.elapsed());
        let late: Waits = waits.into_iter().filter(|(_, wait)| *wait > TOLD_WITHIN).collect();
        assert!(late.is_empty(), "{fault}: {late:?}");
        assert!(back < BACK_WITHIN, "{fault}: back after {back:?}");
        told.push(uploaded.parse().unwrap());
        let entries = answers["upload an archive"].json();
        let accepted = entries["results"].as_array().unwrap().iter().filter_map(|entry| entry["candidate_id"].as_str());
        told.extend(accepted.map(|id| id.parse::<Uuid>().unwrap()));
        told.extend(load.end().await);
    }
    println!("{} candidates", told.len());
    apart.settled_within(Duration::from_mins(1)).await;
    apart.check(&told).await;
    no_file_is_lost_and_none_is_left(&apart, &account, &job, &told).await;
}
