//! Every process and every server killed again and again, one at a time or all at once, or stopped until others have
//! taken over and then let go on, while clients write: nothing acknowledged is lost, nothing is projected twice, history
//! keeps its order, and no limit is overshot.
//!
//! The number of kills and the seed come from `STARSCREEN_TESTS_KILLS` and `STARSCREEN_TESTS_SEED`.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io::{Cursor, Write},
    mem::discriminant,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use futures::future::join_all;
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};
use starscreen_domain::{Event, usage::UsageEvent};
use starscreen_tests::{Account, Answer, Call, Fleet, Form, Lives, PATIENCE, Resume, Stored, seeded};
use uuid::Uuid;
use zip::{ZipWriter, write::SimpleFileOptions};

use crate::product_binary;

/// Plans of the tenants; the first two have a limit that is reached.
const PLANS: [&str; 4] = ["free", "starter", "enterprise", "enterprise"];
const CLIENTS_A_TENANT: usize = 2;
const KILLS: usize = 60;
const KILLS_VARIABLE: &str = "STARSCREEN_TESTS_KILLS";
/// Between two kills, in milliseconds.
const BETWEEN_KILLS: std::ops::Range<u64> = 50..1_000;
/// Before a victim is started again, in milliseconds.
const BEFORE_A_START: std::ops::Range<u64> = 0..400;
/// Between two requests of a client, in milliseconds: as many as can be scored meanwhile on a machine that is shared.
const BETWEEN_REQUESTS: std::ops::Range<u64> = 10..200;
/// One in so many kills is of everything.
const ALL_ONE_IN: u32 = 12;
/// One in so many victims is not killed but stopped for a while.
const FROZEN_ONE_IN: u32 = 3;
/// Victims by kind: the kind is drawn first, so that servers die as often as gateways do.
const KINDS: [&str; 6] = ["gateway", "relay", "projector", "worker", "postgres", "nats"];
/// A living gateway answers within this time, whatever is dead behind it.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// After the faults stop.
const SETTLED_WITHIN: Duration = Duration::from_mins(1);

/// How long a victim is stopped, in milliseconds: where another can take over, for longer than that takes. A worker's
/// items are given to others after 15 s.
fn freeze_of(kind: &str) -> std::ops::Range<u64> {
    match kind {
        "worker" => 15_500..18_000,
        "relay" | "projector" => 1_500..4_000,
        _ => 200..2_000,
    }
}

fn kills() -> usize {
    std::env::var(KILLS_VARIABLE).ok().map_or(KILLS, |kills| kills.parse().unwrap())
}

/// A candidate that a client was told of.
struct Candidate {
    id: Uuid,
    job: usize,
    deleted: bool,
    readable: bool,
    /// How its request went, try by try.
    story: Vec<String>,
}

struct Job {
    id: Uuid,
    deleted: bool,
}

/// One request after the other, each repeated at either gateway under the same key until it is acknowledged.
struct Client {
    name: String,
    at: [Account; 2],
    random: StdRng,
    over: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
    start: Instant,
    jobs: Vec<Job>,
    candidates: Vec<Candidate>,
    /// Requests that the plan did not allow.
    refused: usize,
    /// Somebody was refused by the smallest plan; its clients go on until then.
    full: Option<Arc<AtomicBool>>,
    tries: usize,
    /// The request that took longest, try by try.
    slowest: (Duration, Vec<String>),
}

impl Client {
    async fn go_on(mut self) -> Self {
        self.create_job("first job").await;
        let mut number = 0;
        while !self.over.load(Ordering::SeqCst) || self.full.as_ref().is_some_and(|full| !full.load(Ordering::SeqCst)) {
            let key = format!("{}, request {number}", self.name);
            number += 1;
            match self.random.random_range(0..100) {
                0..64 => self.upload(&key).await,
                64..74 => self.upload_archive(&key).await,
                74..88 => self.delete_candidate().await,
                88..96 => self.create_job(&key).await,
                _ => self.delete_job().await,
            }
            let pause = Duration::from_millis(self.random.random_range(BETWEEN_REQUESTS));
            tokio::time::sleep(pause).await; // the pace of a person
        }
        self
    }

    /// The answer, which has one of `statuses`, and how it was come by.
    async fn until_acknowledged(&mut self, statuses: &[u16], ask: impl Fn(&Account) -> Call) -> (Answer, Vec<String>) {
        let (first, mut story) = (Instant::now(), vec![]);
        let gateway = self.random.random_range(0..self.at.len());
        for number in 0.. {
            let account = &self.at[(gateway + number) % self.at.len()];
            self.tries += 1;
            let asked = self.start.elapsed();
            let outcome = tokio::time::timeout(ANSWER_WITHIN, ask(account).try_send()).await;
            let told = match &outcome {
                Ok(Ok(answer)) => format!("{} {}", answer.status, answer.text()),
                Ok(Err(error)) => format!("{error:?}"),
                Err(_) => "no answer".to_owned(),
            };
            story.push(format!("{asked:.1?} to {:.1?}: {} says {told}", self.start.elapsed(), account.address()));
            match outcome {
                Ok(Ok(answer)) if answer.status == 503 => {
                    assert!(!answer.header("retry-after").is_empty(), "when to come back is not said: {story:#?}");
                }
                Ok(Ok(answer)) => {
                    assert!(statuses.contains(&answer.status), "{}: {story:#?}", self.name);
                    self.acknowledged.fetch_add(1, Ordering::SeqCst);
                    if first.elapsed() > self.slowest.0 {
                        self.slowest = (first.elapsed(), story.clone());
                    }
                    return (answer, story);
                }
                Ok(Err(_)) => {}
                Err(tokio::time::error::Elapsed { .. }) => panic!("{}: a gateway hangs: {story:#?}", self.name),
            }
            assert!(first.elapsed() < PATIENCE, "{}: nobody acknowledges: {story:#?}", self.name);
            tokio::time::sleep(Duration::from_millis(20 * (number as u64 + 1).min(20))).await; // as a client would
        }
        unreachable!("gateways are asked for ever")
    }

    fn a_living_job(&mut self) -> usize {
        let living: Vec<usize> = (0..self.jobs.len()).filter(|job| !self.jobs[*job].deleted).collect();
        *living.choose(&mut self.random).unwrap()
    }

    async fn create_job(&mut self, key: &str) {
        let body =
            json!({ "title": "Engineer", "description": "Builds services with Rust, PostgreSQL and Kubernetes" });
        let key = format!("{}: job {key}", self.name);
        let (answer, _) = self.until_acknowledged(&[201], |at| at.post("jobs").json(&body).key(&key)).await;
        self.jobs.push(Job { id: id_in(&answer.json(), "job_id"), deleted: false });
    }

    async fn upload(&mut self, key: &str) {
        let job = self.a_living_job();
        let (resume, readable) = match self.random.random_range(0..10) {
            0 => (Resume::fixture(&format!("p{:02}_single.pdf", self.random.random_range(0..16))), true),
            1 => (Resume::fixture("truncated.pdf"), false),
            _ => (Resume::unique(), true),
        };
        let id = self.jobs[job].id.to_string();
        let (answer, story) = self.until_acknowledged(&[200, 402], |at| at.upload(&id, &resume).key(key)).await;
        if answer.status == 402 {
            self.note_refusal();
            return;
        }
        let id = id_in(&answer.json(), "candidate_id");
        self.candidates.push(Candidate { id, job, deleted: false, readable, story });
    }

    fn note_refusal(&mut self) {
        self.refused += 1;
        if let Some(full) = &self.full {
            full.store(true, Ordering::SeqCst);
        }
    }

    async fn upload_archive(&mut self, key: &str) {
        let job = self.a_living_job();
        let files = (0..self.random.random_range(1..5)).map(|_| Resume::unique());
        let archive = Resume::new("resumes.zip", archive(&files.collect::<Vec<_>>()));
        let path = format!("jobs/{}/candidates/bulk-upload-zip", self.jobs[job].id);
        let ask = |at: &Account| at.post(&path).form(&Form::of(&archive)).key(key);
        let (answer, story) = self.until_acknowledged(&[200, 402], ask).await;
        if answer.status == 402 {
            self.note_refusal();
            return;
        }
        for result in answer.json()["results"].as_array().unwrap() {
            if result["status"] == "accepted" {
                let id = id_in(result, "candidate_id");
                self.candidates.push(Candidate { id, job, deleted: false, readable: true, story: story.clone() });
            } else {
                self.note_refusal(); // the plan allowed a part of it
            }
        }
    }

    /// When the answer to the first try was lost, the second finds nothing.
    async fn delete_candidate(&mut self) {
        let living: Vec<usize> =
            (0..self.candidates.len()).filter(|candidate| !self.candidates[*candidate].deleted).collect();
        let Some(chosen) = living.choose(&mut self.random) else { return };
        let candidate = &mut self.candidates[*chosen];
        candidate.deleted = true;
        let path = format!("jobs/{}/candidates/{}", self.jobs[candidate.job].id, candidate.id);
        let (_, story) = self.until_acknowledged(&[204, 404], |at| at.delete(&path)).await;
        self.candidates[*chosen].story.extend(story);
    }

    /// With all its candidates. One job is always left.
    async fn delete_job(&mut self) {
        let job = self.a_living_job();
        if self.jobs.iter().filter(|job| !job.deleted).count() < 2 {
            return;
        }
        self.jobs[job].deleted = true;
        let path = format!("jobs/{}", self.jobs[job].id);
        let (_, story) = self.until_acknowledged(&[204, 404], |at| at.delete(&path)).await;
        for candidate in self.candidates.iter_mut().filter(|candidate| candidate.job == job) {
            candidate.deleted = true;
            candidate.story.extend(story.clone());
        }
    }
}

fn id_in(answer: &Value, key: &str) -> Uuid {
    answer[key].as_str().unwrap_or_else(|| panic!("{key}: {answer}")).parse().unwrap()
}

fn archive(files: &[Resume]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(vec![]));
    for file in files {
        archive.start_file(file.file_name.as_str(), SimpleFileOptions::default()).unwrap();
        archive.write_all(&file.content).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// Shows the ends of all logs when the test fails.
struct Witness(Arc<Fleet>);

impl Drop for Witness {
    fn drop(&mut self) {
        if thread::panicking() {
            println!("killed and frozen: {:?}\nended: {:#?}", self.0.faults(), self.0.ended_by_themselves());
            println!("{}", self.0.logs());
        }
    }
}

/// Kills `count` times: a random one, or all. Some are stopped for a while instead.
fn kill_again_and_again(fleet: &Fleet, random: &mut StdRng, count: usize) {
    for _ in 0..count {
        thread::sleep(Duration::from_millis(random.random_range(BETWEEN_KILLS))); // the random point, not a wait
        let running = fleet.running();
        if random.random_range(0..ALL_ONE_IN) == 0 {
            for victim in running {
                fleet.kill(victim, Duration::from_millis(random.random_range(BEFORE_A_START)));
            }
            continue;
        }
        let kind = KINDS.choose(random).unwrap();
        let of_kind: Vec<&str> = running.iter().copied().filter(|name| name.starts_with(kind)).collect();
        // One of two, so that the other can take over; and a server, which nobody takes over.
        let may_freeze = of_kind.len() == fleet.names().iter().filter(|name| name.starts_with(kind)).count();
        let among = if of_kind.is_empty() { running } else { of_kind };
        let Some(victim) = among.choose(random).copied() else { continue };
        if may_freeze && random.random_range(0..FROZEN_ONE_IN) == 0 {
            fleet.freeze(victim, Duration::from_millis(random.random_range(freeze_of(kind))));
        } else {
            fleet.kill(victim, Duration::from_millis(random.random_range(BEFORE_A_START)));
        }
    }
}

/// Tries again while servers are down.
fn change_plan(fleet: &Fleet, account: &Account, plan: &str) {
    let start = Instant::now();
    loop {
        let ended = fleet.operate(&["admin", "change-plan", &account.email, plan]);
        if ended.status.success() {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "{}{}", ended.stdout, ended.stderr);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn kills_of_every_process_and_server_lose_nothing_and_double_nothing() {
    let mut random = seeded();
    let fleet = Arc::new(Fleet::start(&product_binary(), &[]));
    let _witness = Witness(Arc::clone(&fleet));
    let [gateway, _] = fleet.clients();
    let mut accounts = vec![];
    for plan in PLANS {
        let account = gateway.account().await;
        change_plan(&fleet, &account, plan);
        accounts.push(account);
    }
    let (over, acknowledged, start) = (Arc::default(), Arc::default(), Instant::now());
    let full: Arc<AtomicBool> = Arc::default();
    let clients: Vec<_> = (0..PLANS.len() * CLIENTS_A_TENANT)
        .map(|number| Client {
            name: format!("client {number}"),
            at: fleet.at_both(&accounts[number % PLANS.len()]),
            random: StdRng::seed_from_u64(random.random()),
            over: Arc::clone(&over),
            acknowledged: Arc::clone(&acknowledged),
            start,
            jobs: vec![],
            candidates: vec![],
            refused: 0,
            full: (number % PLANS.len() == 0).then(|| Arc::clone(&full)),
            tries: 0,
            slowest: (Duration::ZERO, vec![]),
        })
        .map(|client| tokio::spawn(client.go_on()))
        .collect();
    let killer = {
        let (fleet, account) = (Arc::clone(&fleet), accounts[0].clone());
        tokio::task::spawn_blocking(move || {
            let done = AtomicBool::new(false);
            thread::scope(|scope| {
                scope.spawn(|| {
                    while !full.load(Ordering::SeqCst) && !done.load(Ordering::SeqCst) {
                        thread::sleep(Duration::from_millis(20)); // looks again
                    }
                    if !done.load(Ordering::SeqCst) {
                        change_plan(&fleet, &account, "starter"); // more room, for which the tenant's clients race
                    }
                });
                kill_again_and_again(&fleet, &mut random, kills());
                done.store(true, Ordering::SeqCst);
            });
        })
    };
    killer.await.unwrap();
    over.store(true, Ordering::SeqCst);
    let faults_took = start.elapsed();
    let stopped = Instant::now();
    let clients: Vec<Client> = join_all(clients).await.into_iter().map(Result::unwrap).collect();
    let look = async || fleet.unfinished().await;
    gateway.log().until_at_most(SETTLED_WITHIN, "everything asked for is done and seen", look).await;
    let settled = stopped.elapsed();
    assert!(settled < SETTLED_WITHIN, "settled only after {settled:?}");

    let history = fleet.events().all().await;
    check_order(&history);
    check_limits(&history, &accounts, &clients);
    check_jobs(&history, &clients);
    check_candidates(&fleet, &history, &accounts, &clients).await;
    check_read_models(&fleet, &clients).await;
    check_stream(&fleet, &history).await;
    check_ends(&fleet.ended_by_themselves());
    let candidates: usize = clients.iter().map(|client| client.candidates.len()).sum();
    let tries: usize = clients.iter().map(|client| client.tries).sum();
    let (slowest, story) = &clients.iter().max_by_key(|client| client.slowest.0).unwrap().slowest;
    println!("the slowest request took {slowest:.1?} and {} tries", story.len());
    let refused: usize = clients.iter().map(|client| client.refused).sum();
    println!(
        "{} kills in {faults_took:.1?} (killed, frozen): {:?}; {} requests acknowledged in {tries} tries, {candidates} candidates, {refused} refused by \
        the plan, {} events; settled {settled:.1?} after the last; {} processes gave up for want of a server",
        kills(),
        fleet.faults(),
        acknowledged.load(Ordering::SeqCst),
        history.len(),
        fleet.ended_by_themselves().len(),
    );
}

/// Each stream's events have the same order in all of history.
fn check_order(history: &[Stored]) {
    let mut sequences: HashMap<_, i64> = HashMap::new();
    for stored in history {
        // A tenant's account and its subscription have the same id.
        let last = sequences.entry((discriminant(&stored.event), stored.aggregate_id)).or_default();
        *last += 1;
        assert_eq!(stored.sequence, *last, "out of order, at position {}: {stored:#?}", stored.position);
    }
}

/// At no point of history was more taken than the plan then in force allowed, and where clients were refused all of it
/// was taken.
fn check_limits(history: &[Stored], accounts: &[Account], clients: &[Client]) {
    let mut periods: BTreeMap<Uuid, (i64, Option<i64>)> = BTreeMap::new();
    let mut full = BTreeSet::new();
    for stored in history {
        let Event::Usage(event) = &stored.event else { continue };
        let (used, limit) = periods.entry(stored.aggregate_id).or_default();
        match event {
            UsageEvent::PeriodOpened { limit: given, .. } | UsageEvent::LimitChanged { limit: given, .. } => {
                *limit = given.map(i64::from);
            }
            UsageEvent::SlotsReserved { candidates } => {
                *used += i64::try_from(candidates.len()).unwrap();
                let allowed = limit.unwrap_or(i64::MAX);
                assert!(*used <= allowed, "{used} of {allowed} slots at position {}", stored.position);
                if *used == allowed {
                    full.insert(stored.tenant.unwrap().0);
                }
            }
            UsageEvent::SlotReleased { .. } => *used -= 1,
            UsageEvent::SlotCommitted { .. }
            | UsageEvent::OverageMetered { .. }
            | UsageEvent::MeteringGivenUp { .. }
            | UsageEvent::MeteringRetried { .. }
            | UsageEvent::UsageThresholdReached { .. }
            | UsageEvent::PeriodClosed { .. } => {}
            UsageEvent::UsageAdjusted { delta, .. } => *used += i64::from(*delta),
        }
    }
    for client in clients.iter().filter(|client| client.refused > 0) {
        let tenant = client.at[0].tenant();
        assert!(full.contains(&tenant), "{} was refused although there was room", client.name);
    }
    assert!(full.contains(&accounts[0].tenant()), "the smallest plan is reached");
}

fn check_jobs(history: &[Stored], clients: &[Client]) {
    let told: Vec<Uuid> = clients.iter().flat_map(|client| &client.jobs).map(|job| job.id).collect();
    let created = history.iter().filter(|stored| stored.event_type == "JobCreated").map(|stored| stored.aggregate_id);
    let (created, names): (BTreeSet<Uuid>, BTreeSet<Uuid>) = (created.collect(), told.iter().copied().collect());
    assert_eq!(names.len(), told.len(), "two requests were given one job");
    assert_eq!(created, names, "jobs that were created, and those that clients were told of");
}

async fn check_candidates(fleet: &Fleet, history: &[Stored], accounts: &[Account], clients: &[Client]) {
    let told: BTreeMap<Uuid, &Candidate> =
        clients.iter().flat_map(|client| &client.candidates).map(|candidate| (candidate.id, candidate)).collect();
    let of = |id: Uuid| -> Vec<String> {
        let events = history.iter().filter(|stored| stored.aggregate_id == id);
        events.map(|stored| format!("{} {}: {:?}", stored.position, stored.event_type, stored.event)).collect()
    };
    for (id, candidate) in &told {
        let events = of(*id);
        assert!(!events.is_empty(), "{id} was acknowledged and is lost: {:#?}", candidate.story);
        let deleted = events.iter().any(|event| event.contains("CandidateDeleted"));
        assert_eq!(deleted, candidate.deleted, "{id} is deleted or not: {events:#?}, {:#?}", candidate.story);
    }
    for stored in history.iter().filter(|stored| stored.event_type == "ResumeUploaded") {
        let id = stored.aggregate_id;
        assert!(told.contains_key(&id), "nobody was told of {id}: {:#?}", of(id));
    }
    let lives = Lives::of(history.to_vec());
    let names: Vec<Uuid> = clients.iter().flat_map(|client| &client.candidates).map(|candidate| candidate.id).collect();
    lives.check(&names);
    for (id, candidate) in &told {
        assert!(!(candidate.readable && lives.failed(*id)), "{id} can be read, and failed: {:#?}", of(*id));
    }
    let ledgers = fleet.events().ledgers().await;
    for account in accounts {
        let mine: Vec<&Client> = clients.iter().filter(|client| client.at[0].tenant() == account.tenant()).collect();
        let taken: Vec<Uuid> =
            mine.iter().flat_map(|client| &client.candidates).map(|candidate| candidate.id).collect();
        let ledger = ledgers.values().find(|ledger| ledger.tenant.0 == account.tenant()).unwrap();
        ledger.check(&taken, &lives);
        for at in fleet.at_both(account) {
            assert_eq!(at.subscription().await["candidates_used_this_month"], ledger.used());
        }
        for client in mine {
            for (Candidate { id, job, deleted, .. }, at) in client.candidates.iter().zip(client.at.iter().cycle()) {
                let path = format!("jobs/{}/candidates/{id}", client.jobs[*job].id);
                if *deleted {
                    at.get(&path).send().await.problem(404, "not_found");
                    continue;
                }
                let status = at.get(&path).send().await.expect(200).json()["status"].clone();
                assert_eq!(status, if lives.failed(*id) { "FAILED" } else { "SCORED" }, "{path}");
                at.get(&format!("{path}/file")).send().await.expect(200);
            }
        }
    }
}

/// What was projected is what history replays to, row by row.
async fn check_read_models(fleet: &Fleet, clients: &[Client]) {
    let replayed = fleet.operate(&["audit", "replay", "--diff"]).succeeded();
    assert_eq!(
        replayed.stdout.matches(": 0 differences").count(),
        starscreen_projections::Models::NAMES.len(),
        "{}",
        replayed.stdout
    );
    let living = clients.iter().flat_map(|client| &client.candidates).filter(|candidate| !candidate.deleted).count();
    let [(rows,)] = fleet.read_models().rows::<(i64,)>("SELECT COUNT(*) FROM candidate_status").await[..] else {
        unreachable!("a count is one row")
    };
    assert_eq!(rows, i64::try_from(living).unwrap(), "rows of candidates");
}

/// What was distributed is history, each event at the sequence that is its position.
async fn check_stream(fleet: &Fleet, history: &[Stored]) {
    let client = async_nats::connect(fleet.nats().url()).await.unwrap();
    let stream = async_nats::jetstream::new(client).get_stream("EVENTS").await.unwrap();
    let head = history.len() as u64;
    let look = async || {
        let state = stream.get_info().await.map_err(|error| error.to_string())?.state;
        let seen = (state.first_sequence, state.last_sequence, state.messages);
        if seen == (1, head, head) { Ok(()) } else { Err(format!("first, last, messages: {seen:?}")) }
    };
    fleet.clients()[0].log().until(&format!("all {head} events are on the stream"), look).await;
    for stored in history {
        let message = stream.get_raw_message(stored.position.unsigned_abs()).await.unwrap();
        let name = message.subject.rsplit('.').next().unwrap();
        assert_eq!(name, stored.event_type, "at position {}: {}", stored.position, message.subject);
    }
}

/// Who gives up says why, in one sentence, and not that all is well.
fn check_ends(ends: &[String]) {
    for end in ends {
        assert!(end.contains("exit status: ") && !end.contains("exit status: 101"), "no clean end: {end}");
        assert!(!end.contains("exit status: 0"), "it ended well, and nobody asked for it: {end}");
    }
}
