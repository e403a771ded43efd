//! What operators and auditors see where the store is PostgreSQL.

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use starscreen_projections::Models;
use starscreen_tests::{Account, Client, Database, Ended, Form, Home, Nats, Resume, Server};

use crate::{product_binary, stores::database};

/// The product in processes of its own, each by its name.
struct Parts {
    gateway: Server,
    relay: Option<Server>,
    _projector: Server,
    _worker: Server,
    home: Home,
    database: Database,
    environment: Vec<(String, String)>,
}

impl Parts {
    fn start(environment: &[(&str, &str)]) -> Self {
        let (home, database) = (Home::new(&product_binary()), database());
        let mut all = vec![("DATABASE_URL", database.url.as_str())];
        all.extend(environment);
        let relay = Some(home.run_on(&["relay"], &all));
        let projector = home.run_on(&["projector"], &all);
        let worker = home.run_on(&["worker"], &all);
        let gateway = home.serve_as(&["gateway"], &all);
        let environment = all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { gateway, relay, _projector: projector, _worker: worker, home, database, environment }
    }

    fn client(&self) -> Client {
        Client::of(&self.gateway, self.home.log())
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        let environment: Vec<(&str, &str)> =
            self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.home.run(arguments, &environment)
    }

    /// Waits until the health page says so, and returns it.
    async fn until_health(&self, account: &Account, status: &str) -> Value {
        let look = async || match account.get("health/detailed").send().await.json() {
            page if page["status"] == status => Ok(page),
            page => Err(page.to_string()),
        };
        self.home.log().until(&format!("the health page says {status}"), look).await
    }

    async fn sql(&self, sql: &str) -> Vec<sqlx::postgres::PgRow> {
        let mut connection = PgConnection::connect(&self.database.url).await.unwrap();
        sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut connection).await.unwrap()
    }

    /// `Err` says what is left to do.
    async fn settled(&self) {
        let sql = "SELECT (SELECT count(*) FROM write.work WHERE lane <> 'clock') + (SELECT count(*) FROM write.events)
            - (SELECT min(position) FROM read.projection)";
        let look = async || match self.sql(sql).await[0].get::<i64, _>(0) {
            0 => Ok(()),
            left => Err(format!("{left} events or items are left")),
        };
        self.home.log().until("everything is done and seen", look).await;
    }
}

#[tokio::test]
async fn a_doctor_and_the_health_page_tell_that_nobody_leads() {
    let mut parts = Parts::start(&[]);
    let account = parts.client().account().await;
    let job = account.ready_job().await;
    account.take_in(&job, &Resume::unique()).await;
    parts.settled().await;
    let said = parts.run(&["doctor"]).succeeded().stdout;
    assert!(said.lines().all(|line| line.starts_with("ok      ")), "{said}");
    for line in
        ["ok      relay: process ", "ok      append-only: ", "ok      candidate_status: is live, 0 events behind"]
    {
        assert!(said.lines().any(|said| said.starts_with(line)), "no line {line:?} in\n{said}");
    }
    account.get("health/detailed").send().await.expect(200);

    parts.relay.take().unwrap().kill();
    let unhealthy = async || match account.get("health/detailed").send().await {
        answer if answer.status == 503 => Ok(answer.json()),
        answer => Err(answer.text()),
    };
    let told: Value = parts.home.log().until("the health page tells of it", unhealthy).await;
    assert_eq!(told["checks"]["database"]["detail"], "no relay leads, so what is written is not seen");
    let said = parts.run(&["doctor"]);
    assert!(!said.status.success());
    let fault = said.stdout.lines().find(|line| line.starts_with("not ok  relay: process ")).unwrap();
    assert!(fault.contains("has said nothing for ") && fault.contains("start `starscreen relay`"), "{fault}");
    let created = account.post("jobs").json(&json!({ "title": "Baker", "description": "Bakes bread." }));
    let answer = created.send().await.expect(201);
    assert_eq!(answer.header("starscreen-read-model"), "behind", "it is taken all the same, and the answer says so");
}

/// What of a doctor is not in order.
fn faults(ended: &Ended) -> Vec<&str> {
    assert_eq!(ended.status.code(), Some(1), "{}{}", ended.stdout, ended.stderr);
    ended.stdout.lines().filter_map(|line| line.strip_prefix("not ok  ")).collect()
}

#[tokio::test]
async fn operators_are_told_that_nats_is_away_and_callers_notice_nothing() {
    let nats = Nats::private("");
    let parts = Parts::start(&[("NATS_URL", &nats.url())]);
    let account = parts.client().account().await;
    let job = account.ready_job().await;
    let candidate = account.take_in(&job, &Resume::unique()).await;
    account.until_candidate_is(&job, &candidate, "SCORED").await;
    parts.settled().await;
    parts.until_health(&account, "healthy").await;
    let all_is_well = async || {
        let ended = parts.run(&["doctor"]);
        if ended.status.success() { Ok(ended.stdout) } else { Err(ended.stdout) }
    };
    let said = parts.home.log().until("the doctor finds nothing wrong", all_is_well).await;
    for line in [
        "ok      nats: version 2.",
        "ok      events stream: holds positions 1 to ",
        "ok      distribution: published up to ",
        "ok      consumer projector_candidate_status: is ",
        "ok      consumer projector_monthly_usage: is ",
    ] {
        assert!(said.lines().any(|said| said.starts_with(line)), "no line {line:?} in\n{said}");
    }

    nats.stop();
    let page = parts.until_health(&account, "degraded").await;
    let told = &page["checks"]["distribution"];
    assert!(told["detail"].as_str().unwrap().starts_with("NATS does not answer; "), "{told}");
    assert_eq!(told["parts"][0]["blocked_by"], "unreachable");
    for page in ["health/ready", "health/detailed"] {
        assert_eq!(account.get(page).send().await.expect(200).json()["status"], "degraded", "{page}");
    }
    let ended = parts.run(&["doctor"]);
    let names: Vec<&str> = faults(&ended).iter().map(|fault| fault.split_once(':').unwrap().0).collect();
    assert_eq!(names, ["nats", "distribution"], "{}", ended.stdout);
    assert!(ended.stdout.contains("blocked by unreachable: NATS does not answer"), "{}", ended.stdout);
    let candidate = account.take_in(&job, &Resume::unique()).await;
    account.until_candidate_is(&job, &candidate, "SCORED").await;
    let waits = async || match account.get("health/detailed").send().await.json() {
        page if page["checks"]["distribution"]["parts"][0]["behind"].as_u64() > Some(0) => Ok(()),
        page => Err(page.to_string()),
    };
    parts.home.log().until("the page tells how many events wait", waits).await;

    nats.start();
    let page = parts.until_health(&account, "healthy").await;
    assert_eq!(page["checks"]["distribution"]["detail"], "every event is published");
    parts.home.log().until("the doctor finds nothing wrong", all_is_well).await;
}

#[tokio::test]
async fn a_nats_without_room_is_told_loudly_once_and_says_what_to_do() {
    let nats = Nats::private("jetstream { max_file_store: 1GB }");
    let parts = Parts::start(&[("NATS_URL", &nats.url()), ("STARSCREEN_NATS_MAX_BYTES", "10737418240")]);
    let account = parts.client().account().await;
    let job = account.ready_job().await;
    let candidate = account.take_in(&job, &Resume::unique()).await;
    account.until_candidate_is(&job, &candidate, "SCORED").await;
    let page = parts.until_health(&account, "degraded").await;
    let detail = page["checks"]["distribution"]["detail"].as_str().unwrap();
    assert!(detail.starts_with("NATS has no room for the events; "), "{detail}");
    let ended = parts.run(&["doctor"]);
    let told = faults(&ended).into_iter().find(|fault| fault.starts_with("distribution: ")).unwrap();
    for words in ["blocked by space: ", "10737418240 bytes", "lower STARSCREEN_NATS_MAX_BYTES, or raise max_file_store"]
    {
        assert!(told.contains(words), "no {words:?} in {told}");
    }
    assert!(faults(&ended).contains(&"events stream: is missing; the relay makes it: see distribution"), "{ended:?}");

    nats.stop();
    nats.configure("jetstream { max_file_store: 20GB }");
    nats.start();
    parts.until_health(&account, "healthy").await;
    let log = parts.home.log().text();
    let alarms: Vec<&str> = log.lines().filter(|line| line.contains("alarm: events are not distributed")).collect();
    assert_eq!(alarms.len(), 1, "{alarms:#?}");
    assert!(alarms[0].contains("ERROR") && alarms[0].contains("max_file_store"), "{}", alarms[0]);
}

#[test]
fn verbs_that_list_speak_to_programs_too() {
    let (home, database, nats) = (Home::new(&product_binary()), database(), Nats::private(""));
    let url = nats.url();
    let environment = [("DATABASE_URL", database.url.as_str()), ("NATS_URL", url.as_str())];
    let json = |arguments: &[&str]| -> Value {
        let said = home.run(&[arguments, &["--json"]].concat(), &environment).succeeded().stdout;
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {said}"))
    };
    let applied = json(&["migrate", "history"]);
    assert_eq!((&applied[0]["schema"], &applied[0]["name"]), (&json!("write"), &json!("0001_write")));
    assert!(applied.as_array().unwrap().iter().any(|applied| applied["schema"] == "read"), "{applied}");
    let current = json(&["migrate", "current"]);
    assert_eq!(current.as_array().unwrap().len(), 2);
    assert!(current.as_array().unwrap().iter().all(|schema| schema["version"] == schema["known"]), "{current}");
    let settings = json(&["config"]);
    let found = settings.as_array().unwrap().iter().find(|setting| setting["key"] == "nats_url").unwrap();
    assert_eq!(found["variable"], "NATS_URL");
    assert!(!found["value"].as_str().unwrap().contains("127.0.0.1"), "it may hold a password: {found}");
    assert_eq!(json(&["queue", "list"]), json!([]));
    assert_eq!(json(&["queue", "dead"]), json!([]));
}

#[test]
fn a_database_that_cannot_be_reached_is_told_in_one_sentence_without_repetition() {
    let home = Home::new(&product_binary());
    let port = "postgres://nobody:hunter2@127.0.0.1:9/none";
    let known = database();
    let (host, _) = known.url.rsplit_once('/').unwrap();
    let no_such_database = format!("{host}/no_such_database");
    for (url, cause) in [(port, "refused"), (&no_such_database, "does not exist")] {
        for verb in [&["relay"][..], &["migrate", "up"], &["doctor"]] {
            let ended = home.run(verb, &[("DATABASE_URL", url)]);
            assert!(!ended.status.success());
            let said = format!("{}{}", ended.stdout, ended.stderr);
            let line = said.lines().find(|line| line.contains(cause)).unwrap_or_else(|| panic!("{verb:?}: {said}"));
            assert_eq!(line.matches(cause).count(), 1, "{verb:?}: {line}");
            assert!(!said.contains("hunter2"), "{said}");
        }
    }
}

#[tokio::test]
async fn a_row_that_was_tampered_with_is_found_by_a_replay() {
    let parts = Parts::start(&[]);
    let account = parts.client().account().await;
    let job = account.ready_job().await;
    let candidate = account.take_in(&job, &Resume::unique()).await;
    account.until_candidate_is(&job, &candidate, "SCORED").await;
    parts.settled().await;
    let same = parts.run(&["audit", "replay", "--diff"]).succeeded();
    assert_eq!(same.stdout.matches(": 0 differences at position ").count(), Models::NAMES.len(), "{}", same.stdout);

    parts.sql(&format!("UPDATE read.candidate_status SET score = 1000 WHERE candidate_id = '{candidate}'")).await;
    let found = parts.run(&["audit", "replay", "--diff"]);
    assert_eq!(found.status.code(), Some(1), "{}", found.stdout);
    let line = found.stdout.lines().find(|line| line.starts_with("candidate_status: ")).unwrap();
    assert!(line.starts_with("candidate_status: 1 differences at position ") && line.contains(&candidate), "{line}");

    parts.run(&["rebuild", "candidate_status"]).succeeded();
    parts.run(&["audit", "replay", "candidate_status", "--diff"]).succeeded();
}

#[tokio::test]
async fn the_write_schema_holds_no_personal_data_in_clear() {
    let parts = Parts::start(&[("STARSCREEN_LOG", "trace")]);
    let account = parts.client().register("canary.recruiter@quokka.example").await;
    let job = account.ready_job().await;
    let resume = Resume::docx(
        "Lebenslauf-Axolotl.docx",
        &["Applicantissima Axolotl", "applicantissima@narwhal.example", "Five years of flensing narwhals with Rust"],
    );
    let form = Form::of(&resume).field("first_name", "Givenella");
    let taken = account.post(&format!("jobs/{job}/candidates/upload")).form(&form).send().await.expect(200).json();
    account.until_candidate_is(&job, taken["candidate_id"].as_str().unwrap(), "SCORED").await;
    let canaries = ["quokka", "Axolotl", "Applicantissima", "narwhal", "Givenella"];
    let tables = "SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname IN ('write', 'read')";
    let mut seen_in_read_models = 0;
    for table in parts.sql(tables).await {
        let table: String = table.get(0);
        for row in parts.sql(&format!("SELECT t::text FROM {table} AS t")).await {
            let text: String = row.get(0);
            for canary in canaries {
                let holds = text.contains(canary) || text.contains(&hex(canary));
                assert!(!holds || table.starts_with("read."), "{table} holds {canary}");
                seen_in_read_models += usize::from(holds);
            }
        }
    }
    assert!(seen_in_read_models > 0, "the search finds nothing, not even where it is");
    let log = parts.home.log().text();
    assert!(canaries.iter().all(|canary| !log.contains(canary)), "the log tells");
}

/// As bytes are shown.
fn hex(text: &str) -> String {
    text.bytes().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}
