//! What the product leans on stops, stands still or dies: callers are told at once, nothing is half-written, and all
//! goes on by itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::Write,
    os::unix::fs::{MetadataExt, chown},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use async_nats::jetstream;
use futures::future::join_all;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use starscreen::outbound::jetstream::event;
use starscreen_tests::{
    Account, Answer, Call, Form, Kind, Lives, ModelServer, Nats, PASSWORD, Postgres, PostgresOptions, Reply, Resume,
    Server, answered,
};
use tokio::{task::block_in_place, time::sleep};
use uuid::Uuid;

use crate::apart::Apart;

/// Nobody waits longer for the answer that there is none. Two seconds are promised, and 1.55 were seen; the rest is for a
/// machine that runs other tests beside.
const TOLD_WITHIN: Duration = Duration::from_secs(4);
/// After an outage, until everything can be done again: five seconds, and as above.
const BACK_WITHIN: Duration = Duration::from_secs(20);
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
        let load = Uuid::new_v4();
        let client = |client| {
            let (account, job, stop) = (account.clone(), job.to_owned(), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut told = vec![];
                while !stop.load(Ordering::Relaxed) {
                    let (resume, key) = (Resume::unique(), format!("{load}-{client}-{}", told.len()));
                    let answer = answered(&[200], || account.upload(&job, &resume).key(&key)).await.json();
                    told.push(answer["candidate_id"].as_str().unwrap().parse().unwrap());
                    sleep(Duration::from_millis(20)).await; // as clients do
                }
                told
            })
        };
        Self { clients: (0..CLIENTS).map(client).collect(), stop }
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
    let (owner, rename) = (account.clone(), format!("jobs/{job}"));
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
        ("rename a job", 200, Box::new(move || owner.put(&rename).json(&renamed))),
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
pub(crate) fn told_to_come_back(what: &str, answer: &Answer) {
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
fn stored(objects: &Path) -> BTreeSet<Uuid> {
    let mut found = BTreeSet::new();
    for tenant in fs::read_dir(objects).unwrap().map(|entry| entry.unwrap().path()) {
        for candidate in fs::read_dir(tenant).into_iter().flatten().flatten() {
            // What is swept at this moment is not there.
            if fs::read_dir(candidate.path()).is_ok_and(|mut files| files.next().is_some()) {
                found.insert(candidate.file_name().to_str().unwrap().parse().unwrap());
            }
        }
    }
    found
}

/// Makes all files old enough to be swept.
fn age(objects: &Path) {
    let long_ago = SystemTime::now() - Duration::from_hours(2);
    let mut directories = vec![objects.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
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

/// Room for a database and some hundred candidates.
const DISK_BYTES: u64 = 96 << 20;
const MAX_COMMANDS: usize = 5_000;

/// A small file system in memory that holds the tables, where this user may mount one. The log of PostgreSQL lies
/// elsewhere: when that is full the server ends itself, which is the same as killed.
struct Disk(PathBuf);

impl Disk {
    fn new() -> Option<Self> {
        let root = std::env::temp_dir().join(format!("starscreen-tests-{}-tables", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        let options = format!("size={DISK_BYTES}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&root).status();
        mounted.is_ok_and(|status| status.success()).then_some(Self(root))
    }

    fn tables(&self, postgres: &Postgres) -> PathBuf {
        let tables = self.0.join("tables");
        fs::create_dir(&tables).unwrap();
        let owner = fs::metadata(postgres.data()).unwrap();
        chown(&tables, Some(owner.uid()), Some(owner.gid())).unwrap();
        tables
    }

    fn fill(&self) {
        let mut ballast = File::create(self.0.join("ballast")).unwrap();
        for block in [1 << 20, 4 << 10, 1] {
            while ballast.write_all(&vec![1; block]).is_ok() {}
        }
    }

    fn free(&self) {
        fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status(); // it is in a temporary place
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_of_postgresql_is_told_and_all_goes_on_when_there_is_room() {
    let Some(disk) = Disk::new() else {
        // Without the right to mount a file system there is no disk that can be filled without harm to others.
        println!("NOT COVERED: this user may not mount a file system; PostgreSQL's full disk is tested as root only");
        return;
    };
    let postgres = Postgres::private(&PostgresOptions::default());
    let database = postgres.fresh_database(None);
    let tables = disk.tables(&postgres);
    for sql in [
        format!("CREATE TABLESPACE small LOCATION '{}'", tables.display()),
        format!("ALTER DATABASE {} SET TABLESPACE small", database.name),
    ] {
        let mut connection = PgConnection::connect(&postgres.url("postgres")).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
    let apart = Apart::over(postgres, database, Nats::private(""), &[]);
    let _others = apart.run_all();
    let gateway = apart.gateway();
    let account = apart.account(&gateway).await;
    let job = account.ready_job().await;
    let candidate = account.take_in(&job, &Resume::unique()).await;
    account.until_candidate_is(&job, &candidate, "SCORED").await;
    apart.settled_within(BACK_WITHIN * 2).await;
    let load = Load::start(&account, &job);
    sleep(Duration::from_secs(1)).await; // so that it is at work in the middle of it
    disk.fill();
    let mut longest = Duration::ZERO;
    for number in 0.. {
        let begun = Instant::now();
        let body =
            json!({ "title": "Engineer", "description": "Builds services with Rust and PostgreSQL. ".repeat(90) });
        let answer = account.post("jobs").json(&body).key(&format!("job-{number}")).send().await;
        longest = longest.max(begun.elapsed());
        if answer.status != 201 {
            println!("{number} jobs were created before nothing fitted any more");
            told_to_come_back("create a job", &answer);
            break;
        }
        assert!(number < MAX_COMMANDS, "the disk is not full");
    }
    account.get("jobs").send().await.expect(200);
    account.get(&format!("jobs/{job}/candidates/{candidate}/file")).send().await.expect(200);
    disk.free();
    let begun = Instant::now();
    let uploaded = answered(&[200], || account.upload(&job, &Resume::unique()).key("after")).await.json();
    println!("full: told within {longest:?}, back after {:?}", begun.elapsed());
    assert!(longest < TOLD_WITHIN && begun.elapsed() < BACK_WITHIN, "{longest:?}, {:?}", begun.elapsed());
    let mut told = load.end().await;
    told.extend([&candidate, uploaded["candidate_id"].as_str().unwrap()].map(|id| id.parse::<Uuid>().unwrap()));
    apart.settled_within(Duration::from_mins(1)).await;
    apart.check(&told).await;
    no_file_is_lost_and_none_is_left(&apart, &account, &job, &told).await;
}

/// From the first heartbeat that is missed.
const TAKES_OVER_WITHIN: Duration = Duration::from_secs(2);
const HEARTBEAT: Duration = Duration::from_millis(400);
const FREEZES: usize = 4;

/// Process and last sign of life of the sequencer that leads.
async fn leader(apart: &Apart) -> Option<(u32, f64)> {
    let mut connection = PgConnection::connect(apart.url()).await.unwrap();
    let sql = "SELECT process, extract(epoch FROM heartbeat_at)::float8 FROM write.leaders WHERE name = 'sequencer'";
    let row: Option<(String, f64)> = sqlx::query_as(sql).fetch_optional(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    row.map(|(process, at)| (process.trim_start_matches("process ").parse().unwrap(), at))
}

async fn stream_of(apart: &Apart) -> jetstream::stream::Stream {
    let context = jetstream::new(async_nats::connect(apart.nats.url()).await.unwrap());
    context.get_stream("EVENTS").await.unwrap()
}

/// Waits until the stream holds what the log holds: at each sequence the event with that position, and no other.
pub(crate) async fn the_stream_is_the_log(apart: &Apart) {
    let history = apart.events().all().await;
    let head = history.len() as u64;
    let look = async || {
        let Ok(mut stream) =
            jetstream::new(async_nats::connect(apart.nats.url()).await.unwrap()).get_stream("EVENTS").await
        else {
            return Err("there is no stream".to_owned());
        };
        let state = &stream.info().await.unwrap().state;
        let (first, last, messages) = (state.first_sequence, state.last_sequence, state.messages);
        if (first, last, messages) == (1, head, head) { Ok(()) } else { Err(format!("{first} to {last} of {head}")) }
    };
    apart.home().log().until("the stream has all", look).await;
    let stream = stream_of(apart).await;
    for stored in history {
        let position = stored.position.unsigned_abs();
        let message = stream.direct_get(position).await.unwrap();
        let event = event(&message.headers, &message.payload).unwrap();
        let ours = (position, stored.aggregate_id.to_string(), stored.sequence.unsigned_abs(), stored.event_type);
        assert_eq!((event.position, event.aggregate_id, event.sequence, event.event_type), ours);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_relay_is_replaced_within_two_seconds_and_does_no_harm_when_it_wakes() {
    let apart = Apart::new(&[]);
    let _others = [apart.run(&["projector"]), apart.run(&["worker"])];
    let relays = [apart.run(&["relay"]), apart.run(&["relay"])];
    let gateway = apart.gateway();
    let account = apart.account(&gateway).await;
    let job = account.ready_job().await;
    let load = Load::start(&account, &job);
    let mut times = vec![];
    for _ in 0..FREEZES {
        let (leads, _) = leader(&apart).await.unwrap();
        let relay: &Server = relays.iter().find(|relay| relay.process_id() == leads).unwrap();
        relay.freeze();
        let (_, last) = leader(&apart).await.unwrap();
        let look = async || match leader(&apart).await {
            Some((process, at)) if process != leads => Ok(at - last),
            other => Err(format!("{other:?}")),
        };
        let silent = apart.home().log().until("another leads", look).await;
        times.push(Duration::from_secs_f64(silent).saturating_sub(HEARTBEAT));
        sleep(Duration::from_millis(500)).await; // some work under the new one
        relay.resume(); // in the middle of whatever it did
    }
    println!("taken over after {times:?}");
    assert!(times.iter().all(|time| *time < TAKES_OVER_WITHIN), "{times:?}");
    let told = load.end().await;
    apart.settled_within(Duration::from_mins(1)).await;
    apart.check(&told).await;
    the_stream_is_the_log(&apart).await;
}

/// How long NATS is away; the full test is 120 s.
fn nats_is_away_for() -> Duration {
    let seconds = std::env::var("STARSCREEN_TESTS_NATS_DOWN_SECONDS").ok();
    Duration::from_secs(seconds.map_or(4, |seconds| seconds.parse().unwrap()))
}

/// Waits until what happens now is on the stream within a second.
async fn lags_less_than_a_second(apart: &Apart) {
    let look = async || {
        let head = apart.events().head().await.unsigned_abs();
        let begun = Instant::now();
        let published = async || {
            let last =
                match jetstream::new(async_nats::connect(apart.nats.url()).await.unwrap()).get_stream("EVENTS").await {
                    Ok(mut stream) => stream.info().await.unwrap().state.last_sequence,
                    Err(_) => 0,
                };
            if last >= head { Ok(()) } else { Err(format!("{last} of {head}")) }
        };
        apart.home().log().until("it is published", published).await;
        if begun.elapsed() < Duration::from_secs(1) { Ok(()) } else { Err(format!("{:?} late", begun.elapsed())) }
    };
    apart.home().log().until("the lag is under a second", look).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_nats_commands_are_taken_and_work_goes_on_and_nothing_is_missing_afterwards() {
    let apart = Apart::new(&[]);
    let _others = apart.run_all();
    let gateway = apart.gateway();
    let account = apart.account(&gateway).await;
    let job = account.ready_job().await;
    let load = Load::start(&account, &job);
    block_in_place(|| apart.nats.stop());
    let end = Instant::now() + nats_is_away_for();
    let (mut longest, mut told) = (Duration::ZERO, vec![]);
    while Instant::now() < end {
        let begun = Instant::now();
        let candidate = account.take_in(&job, &Resume::unique()).await;
        longest = longest.max(begun.elapsed());
        // A feed that is cut off notices it after two seconds; until then the answers say that they are behind.
        let look = async || {
            let seen = account.get(&format!("jobs/{job}/candidates/{candidate}")).send().await;
            if seen.status == 200 && seen.json()["status"] == "SCORED" { Ok(()) } else { Err(seen.text()) }
        };
        apart.home().log().until("work goes on without NATS", look).await;
        told.push(candidate.parse().unwrap());
    }
    block_in_place(|| apart.nats.start());
    let begun = Instant::now();
    lags_less_than_a_second(&apart).await;
    println!(
        "NATS stopped: {} scored, an upload took {longest:?} at most, drained after {:?}",
        told.len(),
        begun.elapsed()
    );
    assert!(longest < TOLD_WITHIN, "an upload took {longest:?}");

    // All of it is lost, twice: the files of a server that died, and the stream alone of one that lives.
    block_in_place(|| {
        apart.nats.kill();
        apart.nats.wipe();
        apart.nats.start();
    });
    let begun = Instant::now();
    lags_less_than_a_second(&apart).await;
    println!("NATS wiped: rebuilt after {:?}", begun.elapsed());
    let context = jetstream::new(async_nats::connect(apart.nats.url()).await.unwrap());
    context.delete_stream("EVENTS").await.unwrap();
    let begun = Instant::now();
    lags_less_than_a_second(&apart).await;
    println!("stream deleted: rebuilt after {:?}", begun.elapsed());
    told.extend(load.end().await);
    apart.settled_within(Duration::from_mins(1)).await;
    apart.check(&told).await;
    the_stream_is_the_log(&apart).await;
}

const RESUMES: usize = 12;
/// Items that a worker has in hand at a time.
const IN_HAND: usize = 3;
/// A lease, and the time to do the work of the dead one beside one's own.
const GOES_ON_WITHIN: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_worker_had_in_hand_is_done_by_the_other_and_once() {
    let model = ModelServer::start();
    let apart = Apart::new(&[
        ("OPENAI_API_KEY", "sk-test-0123456789abcdef"),
        ("OPENAI_BASE_URL", &model.base_url()),
        ("STARSCREEN_WORKERS_SCORE_PARALLEL", &IN_HAND.to_string()),
    ]);
    let _others = [
        apart.run(&["relay"]),
        apart.run(&["projector"]),
        apart.run(&["worker", "extract", "rubric", "react", "billing"]),
    ];
    let [victim, _other] = [apart.run(&["worker", "score"]), apart.run(&["worker", "score"])];
    let gateway = apart.gateway();
    let account = apart.account(&gateway).await;
    let job = account.ready_job().await;
    model.always(Kind::Evaluation, &[Reply::GoodAfter(Duration::from_millis(1_500))]);
    let mut told: Vec<Uuid> = vec![];
    for _ in 0..RESUMES {
        told.push(account.take_in(&job, &Resume::unique()).await.parse().unwrap());
    }
    let look = async || match model.asked_for(Kind::Evaluation).len() {
        asked if asked >= 2 * IN_HAND => Ok(()),
        asked => Err(format!("{asked} calls")),
    };
    apart.home().log().until("both workers have their hands full", look).await;
    let killed = Instant::now();
    victim.kill();
    // Another tenant's candidates do not wait until the leases of the dead are over.
    let (neighbour, other_job) = {
        let neighbour = apart.account(&gateway).await;
        let job = neighbour.ready_job().await;
        (neighbour, job)
    };
    let begun = Instant::now();
    let candidate = neighbour.take_in(&other_job, &Resume::unique()).await;
    neighbour.until_candidate_is(&other_job, &candidate, "SCORED").await;
    let neighbours = begun.elapsed();
    apart.settled_within(GOES_ON_WITHIN).await;
    let calls = model.asked_for(Kind::Evaluation).len();
    println!("all scored {:?} after the kill by {calls} calls; the neighbour after {neighbours:?}", killed.elapsed());
    assert!(calls <= RESUMES + 1 + IN_HAND, "{calls} calls for {RESUMES} candidates and one");
    let list = account.settled_candidates(&job, RESUMES).await;
    assert!(list.iter().all(|row| row["status"] == "SCORED"), "{list:#?}");
    told.push(candidate.parse().unwrap());
    Lives::of(apart.events().all().await).check(&told);
}
