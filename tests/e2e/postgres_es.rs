//! A program on stock postgres-es joins our store by its URL: it reaches our states, and what it appends is history.

use std::{
    collections::BTreeSet,
    path::Path,
    process::{Command, Output, Stdio},
};

use cqrs_es::{Aggregate, EventStore, persist::PersistedEventStore};
use serde_json::{Value, json};
use starscreen_commands::{
    WriteSide,
    db::{PostgresOptions, Role, Scope},
    store::{EventRepository, RawEvent},
};
use starscreen_domain::{
    Event,
    account::Account,
    candidate::Candidate,
    email_claim::EmailClaim,
    job::{Job, JobEvent},
    subscription::Subscription,
    usage::Usage,
};
use starscreen_tests::{Client, Database, Ended, Home, Resume, Server};
use uuid::Uuid;

use crate::{product_binary, stores::database};

const NOUNS: [&str; 6] = [Account::TYPE, Candidate::TYPE, EmailClaim::TYPE, Job::TYPE, Subscription::TYPE, Usage::TYPE];

/// The product over PostgreSQL, and its store for two kinds of programs.
struct Stage {
    /// Before the directory and the database, so that it is dropped first.
    server: Server,
    ours: WriteSide,
    home: Home,
    database: Database,
}

impl Stage {
    async fn start() -> Self {
        let (home, database) = (Home::new(&product_binary()), database());
        let server = home.serve(&[("DATABASE_URL", &database.url)]);
        let options = PostgresOptions { url: database.url.clone(), role: Role::Operator, max_connections: 2 };
        Self { server, ours: WriteSide::open_postgres(&options, "tests").await.unwrap(), home, database }
    }

    fn client(&self) -> Client {
        Client::of(&self.server, self.home.log())
    }

    fn operate(&self, arguments: &[&str]) -> Ended {
        self.home.run(arguments, &[("DATABASE_URL", &self.database.url)]).succeeded()
    }

    /// The whole history, when nothing is left to do and read models have seen everything.
    async fn history(&self) -> Vec<RawEvent> {
        const SQL: &str = "SELECT (SELECT COUNT(*) FROM work WHERE lane <> 'clock'),
            (SELECT COUNT(*) FROM events) - (SELECT MIN(position) FROM read.projection)";
        let look = async || {
            let left: Vec<(i64, i64)> = self.ours.db.fetch(Scope::All, SQL, vec![]).await.unwrap();
            if left == [(0, 0)] { Ok(()) } else { Err(format!("items and events: {left:?}")) }
        };
        self.home.log().until("everything is done and seen", look).await;
        self.ours.log.read_raw(0, 10_000).await.unwrap()
    }

    /// What our own repository makes of a stream.
    async fn ours(&self, stream: &str) -> Value {
        match stream.split_once('/').unwrap() {
            (Account::TYPE, id) => self.state::<Account>(id).await,
            (Candidate::TYPE, id) => self.state::<Candidate>(id).await,
            (EmailClaim::TYPE, id) => self.state::<EmailClaim>(id).await,
            (Job::TYPE, id) => self.state::<Job>(id).await,
            (Subscription::TYPE, id) => self.state::<Subscription>(id).await,
            (Usage::TYPE, id) => self.state::<Usage>(id).await,
            (unknown, _) => panic!("{unknown} is not known to the tests"),
        }
    }

    async fn state<A: Aggregate + 'static>(&self, id: &str) -> Value {
        let store = PersistedEventStore::<_, A>::new_event_store(EventRepository::new(self.ours.db.clone()));
        let loaded = store.load_aggregate(id).await.unwrap();
        json!({ "stream": format!("{}/{id}", A::TYPE), "sequence": loaded.current_sequence, "state": loaded.aggregate })
    }

    /// Runs the program on postgres-es; Cargo builds it first.
    fn stock(&self, tenant: Option<Uuid>, arguments: &[&str]) -> Output {
        self.stock_command(tenant, arguments).output().unwrap()
    }

    fn stock_command(&self, tenant: Option<Uuid>, arguments: &[&str]) -> Command {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("postgres-es/Cargo.toml");
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("postgres-es");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["run", "--quiet", "--locked", "--manifest-path"]).arg(manifest);
        cargo.arg("--target-dir").arg(target).arg("--").args(arguments);
        cargo.env("DATABASE_URL", self.url(tenant));
        cargo
    }

    /// All that such a program is told.
    fn url(&self, tenant: Option<Uuid>) -> String {
        let mut url = reqwest::Url::parse(&self.database.url).unwrap();
        let tenant = tenant.map(|tenant| format!(" -c starscreen.tenant={tenant}")).unwrap_or_default();
        let session = format!("-c search_path=write -c role={}{tenant}", Role::Gateway.name());
        url.query_pairs_mut().append_pair("options", &session);
        url.into()
    }

    fn theirs(&self, tenant: Option<Uuid>, streams: &[String]) -> Vec<Value> {
        let arguments: Vec<&str> = ["load"].into_iter().chain(streams.iter().map(String::as_str)).collect();
        let loaded = self.stock(tenant, &arguments);
        assert!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
        let text = String::from_utf8(loaded.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Both kinds of programs reach the same states.
    async fn check_same(&self, tenant: Uuid, streams: &[String]) {
        let theirs = self.theirs(Some(tenant), streams);
        assert_eq!(theirs.len(), streams.len());
        for (stream, theirs) in streams.iter().zip(theirs) {
            assert_eq!(theirs, self.ours(stream).await);
            assert_ne!(theirs["sequence"], 0, "{theirs}");
        }
    }
}

fn streams(history: &[RawEvent]) -> Vec<String> {
    let streams: BTreeSet<String> =
        history.iter().map(|event| format!("{}/{}", event.aggregate_type, event.aggregate_id)).collect();
    streams.into_iter().collect()
}

#[tokio::test]
async fn stock_postgres_es_reaches_our_state_of_every_aggregate() {
    let stage = Stage::start().await;
    let account = stage.client().account().await;
    stage.operate(&["admin", "change-plan", &account.email, "starter"]);
    let job = account.ready_job().await;
    for resume in [Resume::unique(), Resume::fixture("truncated.pdf")] {
        account.take_in(&job, &resume).await;
    }
    account.settled_candidates(&job, 2).await;

    let streams = streams(&stage.history().await);
    let nouns: BTreeSet<&str> = streams.iter().filter_map(|stream| stream.split('/').next()).collect();
    assert_eq!(nouns, BTreeSet::from(NOUNS));
    stage.check_same(account.tenant(), &streams).await;
}

#[tokio::test]
async fn what_stock_postgres_es_appends_becomes_history_and_is_shown_like_ours() {
    let stage = Stage::start().await;
    let account = stage.client().account().await;
    let job = account.ready_job().await;
    let before = stage.history().await;

    let done = stage.stock(Some(account.tenant()), &["relocate", &job, "Utrecht"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let look = async || {
        let seen = account.job(&job).await;
        if seen["location"] == "Utrecht" { Ok(()) } else { Err(seen.to_string()) }
    };
    stage.home.log().until("the job is in Utrecht", look).await;

    // Exactly one event more, at the next place everywhere.
    let history = stage.history().await;
    assert_eq!(history[..before.len()], before);
    let [appended] = &history[before.len()..] else { panic!("{:#?}", &history[before.len()..]) };
    let next = |of: &dyn Fn(&RawEvent) -> Option<u64>| before.iter().filter_map(of).max().map(|last| last + 1);
    assert_eq!(Some(appended.position), next(&|event| Some(event.position)));
    assert_eq!(appended.tenant_position, next(&|event| event.tenant_position));
    assert_eq!(Some(appended.sequence), next(&|event| (event.aggregate_id == job).then_some(event.sequence)));
    assert_eq!(appended.tenant_id, Some(account.tenant()));
    let event = appended.delivery().event.unwrap_or_else(|unreadable| panic!("{unreadable:?}"));
    assert_eq!(event.metadata.source, "starscreen-postgres-es@0.1.0");
    assert_eq!(event.subject(), format!("starscreen.events.v1.{}.job.JobRevised", account.tenant()));

    // Both go on from there.
    let title = json!({ "title": "Platform engineer" });
    account.put(&format!("jobs/{job}")).json(&title).send().await.expect(200);
    account.until_job_is(&job, "COMPLETED").await;
    let done = stage.stock(Some(account.tenant()), &["relocate", &job, "Delft"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let streams = streams(&stage.history().await);
    stage.check_same(account.tenant(), &streams).await;
    let reached = stage.ours(&format!("{}/{job}", Job::TYPE)).await["state"].clone();
    assert_eq!((&reached["title"], &reached["location"]), (&json!("Platform engineer"), &json!("Delft")));
    let replayed = stage.operate(&["audit", "replay", "--diff"]).stdout;
    assert_eq!(
        replayed.matches(": 0 differences at position ").count(),
        starscreen_projections::Models::NAMES.len(),
        "{replayed}"
    );
}

#[tokio::test]
async fn commands_of_both_race_for_one_stream_and_none_is_lost_or_counted_twice() {
    let stage = Stage::start().await;
    let account = stage.client().account().await;
    let job = account.ready_job().await;
    let before = stage.history().await;

    let places: Vec<String> = (1..=300).map(|number| format!("Place {number}")).collect();
    let arguments: Vec<&str> = ["relocate", &job].into_iter().chain(places.iter().map(String::as_str)).collect();
    let mut racing = stage.stock_command(Some(account.tenant()), &arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut of_ours = 0;
    while racing.try_wait().unwrap().is_none() {
        let toggled = json!({ "work_authorization_required": of_ours % 2 == 0 });
        account.put(&format!("jobs/{job}")).json(&toggled).send().await.expect(200);
        of_ours += 1;
    }
    let raced = racing.wait_with_output().unwrap();
    assert!(raced.status.success(), "{raced:?}");
    let told = String::from_utf8(raced.stdout).unwrap();

    let history = stage.history().await;
    let appended = history[before.len()..].iter().map(|event| event.delivery().event.unwrap());
    let (theirs, ours): (Vec<_>, Vec<_>) = appended.partition(|event| event.metadata.source.contains("postgres-es"));
    let moved: Vec<&str> = theirs
        .iter()
        .map(|event| match &event.payload {
            Event::Job(JobEvent::JobRevised { location: Some(place), .. }) => place.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(moved, told.lines().collect::<Vec<&str>>());
    assert_eq!(ours.len(), of_ours);
    let (first, last) = (theirs[0].sequence, theirs[theirs.len() - 1].sequence);
    assert!(ours.iter().any(|event| (first..last).contains(&event.sequence)), "there was no race");
    stage.check_same(account.tenant(), &[format!("{}/{job}", Job::TYPE)]).await;
}

#[tokio::test]
async fn a_session_of_another_tenant_or_of_none_has_nothing_to_load_or_to_revise() {
    let stage = Stage::start().await;
    let (account, other) = (stage.client().account().await, stage.client().account().await);
    let job = account.ready_job().await;
    let before = stage.history().await;
    let of_account: Vec<RawEvent> =
        before.iter().filter(|event| event.tenant_id == Some(account.tenant())).cloned().collect();
    let streams = streams(&of_account);
    stage.check_same(account.tenant(), &streams).await;

    for session in [Some(other.tenant()), None] {
        for loaded in stage.theirs(session, &streams) {
            let noun = loaded["stream"].as_str().unwrap().split('/').next().unwrap();
            let unknown = stage.ours(&format!("{noun}/{}", Uuid::nil())).await;
            assert_eq!((&loaded["sequence"], &loaded["state"]), (&json!(0), &unknown["state"]), "{loaded}");
        }
        let refused = stage.stock(session, &["relocate", &job, "Elsewhere"]);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && said.contains("NotCreated"), "{said}");
    }
    assert_eq!(stage.history().await, before);
}
