//! What the person at three in the morning does: look, steer the work, find out what happened.

use std::{fs, path::Path};

use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection};
use starscreen_projections::Models;
use starscreen_tests::{Account, Client, Ended, Resume, TestApp};

use crate::product_binary;

fn json_of(ended: Ended) -> Value {
    let text = ended.succeeded().stdout;
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("no JSON ({error}): {text}"))
}

async fn execute(database: &Path, sql: &str) -> u64 {
    let mut connection = SqliteConnection::connect(&format!("sqlite:{}", database.display())).await.unwrap();
    let done = sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    done.rows_affected()
}

/// The lines of a doctor that ended with 1 which say what is not in order.
fn faults(ended: &Ended) -> Vec<String> {
    assert_eq!(ended.status.code(), Some(1), "{}{}", ended.stdout, ended.stderr);
    ended.stdout.lines().filter(|line| line.starts_with("not ok")).map(str::to_owned).collect()
}

async fn scored(account: &Account) -> (String, String) {
    let job = account.ready_job().await;
    let candidate = account.take_in(&job, &Resume::unique()).await;
    account.until_candidate_is(&job, &candidate, "SCORED").await;
    (job, candidate)
}

#[tokio::test]
async fn a_paused_lane_waits_over_a_restart_until_it_is_resumed() {
    let app = TestApp::start(&product_binary());
    let account = app.client().account().await;
    let job = account.ready_job().await;
    let said = app.operate(&["queue", "pause", "extract", "--reason", "disk is being moved"]).succeeded().stdout;
    assert_eq!(said, "extract: paused: disk is being moved; `starscreen queue resume extract` lets it go on\n");
    let candidate = account.take_in(&job, &Resume::unique()).await;

    app.stop();
    app.start_again();

    assert_eq!(account.candidate(&job, &candidate).await["status"], "UPLOADED");
    let stats = json_of(app.operate(&["queue", "stats", "extract", "--json"]));
    assert_eq!((&stats[0]["ready"], &stats[0]["attempts"]), (&json!(1), &json!(0)), "{stats}");
    assert_eq!(stats[0]["paused"]["reason"], "disk is being moved");
    assert_eq!(stats[0]["paused"]["until"], Value::Null);
    assert_eq!(app.operate(&["queue", "length", "extract"]).succeeded().stdout, "1\n");
    let items = json_of(app.operate(&["queue", "list", "extract", "--json"]));
    assert_eq!(
        (&items[0]["subject"], &items[0]["task"], &items[0]["state"]),
        (&json!(candidate), &json!("extract_text"), &json!("ready"))
    );
    assert_eq!(json_of(app.operate(&["queue", "active", "--json"])), json!([]));
    let again = app.operate(&["queue", "pause", "extract", "--reason", "another"]).succeeded().stdout;
    assert_eq!(again, "extract: was paused already: disk is being moved\n");

    assert_eq!(app.operate(&["queue", "resume", "extract"]).succeeded().stdout, "extract: goes on\n");
    account.until_candidate_is(&job, &candidate, "SCORED").await;
    assert_eq!(app.operate(&["queue", "resume", "extract"]).succeeded().stdout, "extract: was not paused\n");
}

#[tokio::test]
async fn a_purged_resume_fails_with_its_reason_and_is_scored_after_a_redrive() {
    let app = TestApp::start(&product_binary());
    let account = app.client().account().await;
    let job = account.ready_job().await;
    app.operate(&["queue", "pause", "extract"]).succeeded();
    let candidate = account.take_in(&job, &Resume::unique()).await;
    account.until_used(1).await;

    let asked = app.operate(&["queue", "purge", "extract"]).refused();
    assert!(asked.contains("this would end 1 items of lane extract as FAILED"), "{asked}");
    assert_eq!(account.candidate(&job, &candidate).await["status"], "UPLOADED", "nothing without --yes");
    let said = app.operate(&["queue", "purge", "extract", "--yes"]).succeeded().stdout;
    assert!(
        said.starts_with("extract: 1 ended as failed with code purged, 0 were no longer wanted, 0 are in hand"),
        "{said}"
    );

    let failed = account.until_candidate_is(&job, &candidate, "FAILED").await;
    let sentence = "An operator took this resume out of the queue before it was read. It can be tried again.";
    assert_eq!(failed["error_message"], sentence);
    account.until_used(0).await;
    let dead = json_of(app.operate(&["queue", "dead", "extract", "--json"]));
    assert_eq!((&dead[0]["subject"], &dead[0]["code"]), (&json!(candidate), &json!("purged")), "{dead}");
    let table = app.operate(&["queue", "dead"]).succeeded().stdout;
    assert!(table.contains(&candidate) && table.starts_with("lane"), "{table}");
    let lines = faults(&app.operate(&["doctor"]));
    assert!(
        lines.iter().any(|line| line.starts_with("not ok  lane extract: paused: paused by an operator")),
        "{lines:?}"
    );

    app.operate(&["queue", "resume", "extract"]).succeeded();
    assert_eq!(
        faults(&app.operate(&["doctor"])),
        ["not ok  lane extract: 1 items were given up or purged; see `starscreen queue dead extract`, then \
          `starscreen queue redrive extract`"]
    );
    let said = app.operate(&["queue", "redrive", &candidate]).succeeded().stdout;
    assert_eq!(said, "1 are tried again, 0 needed nothing any more, 0 stay dead\n");
    account.until_candidate_is(&job, &candidate, "SCORED").await;
    account.until_used(1).await;
    assert_eq!(app.operate(&["queue", "dead"]).succeeded().stdout, "nothing is dead\n");
    let history = json_of(app.operate(&["audit", "history", &candidate, "--json"]));
    let failed = history.as_array().unwrap().iter().find(|event| event["event_type"] == "ExtractionFailed").unwrap();
    assert_eq!(failed["actor"], "operator");
}

#[tokio::test]
async fn our_own_reactions_cannot_be_purged_and_what_is_unknown_is_refused() {
    let app = TestApp::start(&product_binary());
    let said = app.operate(&["queue", "purge", "react", "--yes"]).refused();
    assert!(said.contains("lane react cannot be purged: its items are the product's own follow-ups"), "{said}");
    let said = app.operate(&["queue", "list", "celery"]).refused();
    assert!(
        said.contains("\"celery\" is no lane; there are extract, rubric, score, react, clock, billing and webhook"),
        "{said}"
    );
    app.operate(&["queue", "redrive", "celery"]).refused();
    assert_eq!(app.operate(&["queue", "redrive"]).succeeded().stdout, "nothing is dead there\n");
    assert_eq!(app.operate(&["queue", "list"]).succeeded().stdout, "no work is waiting\n");
}

#[tokio::test]
async fn lanes_are_described_and_counted_for_people_and_for_programs() {
    let app = TestApp::start(&product_binary());
    let lanes = json_of(app.operate(&["queue", "registered", "--json"]));
    let names: Vec<&Value> = lanes.as_array().unwrap().iter().map(|lane| &lane["lane"]).collect();
    assert_eq!(names, ["extract", "rubric", "score", "react", "clock", "billing", "webhook"]);
    assert!(lanes.as_array().unwrap().iter().all(|lane| lane["places"].as_u64().unwrap() > 0));
    let table = app.operate(&["queue", "registered"]).succeeded().stdout;
    assert_eq!(table.lines().count(), 8, "{table}");
    let stats = app.operate(&["queue", "stats"]).succeeded().stdout;
    let heads: Vec<&str> = stats.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(heads[..8], ["lane", "ready", "leased", "waiting", "dead", "oldest", "tries", "paused"]);
    assert_eq!(json_of(app.operate(&["queue", "stats", "--json"])).as_array().unwrap().len(), 7);
    assert_eq!(
        json_of(app.operate(&["queue", "length", "--json"])),
        json!({ "extract": 0, "rubric": 0, "score": 0, "react": 0, "clock": 0, "billing": 0, "webhook": 0 })
    );
}

#[tokio::test]
async fn a_doctor_finds_nothing_wrong_with_a_healthy_installation() {
    let app = TestApp::start(&product_binary());
    scored(&app.client().account().await).await;
    app.settled().await;
    let said = app.operate(&["doctor"]).succeeded().stdout;
    assert!(said.lines().all(|line| line.starts_with("ok      ")), "{said}");
    let running = format!("ok      server: runs as process {}", app.process_id());
    for line in [
        running.as_str(),
        "ok      append-only: events cannot be changed or deleted",
        "ok      master key: opens what is stored",
        "ok      candidate_status: is live, 0 events behind",
        "ok      objects: can be written and read",
        "ok      lane score: 0 ready, 0 in hand, 0 waiting",
        "ok      language model: offline scorer: OPENAI_API_KEY is not set",
    ] {
        assert!(said.lines().any(|said| said == line), "no line {line:?} in\n{said}");
    }
    let told = json_of(app.operate(&["doctor", "--json"]));
    assert_eq!(told["ok"], true);
    assert_eq!(told["checks"].as_array().unwrap().len(), said.lines().count());
    app.stop();
    let said = app.operate(&["doctor"]).succeeded().stdout;
    assert!(said.lines().any(|line| line == "ok      server: does not run"), "{said}");
    app.start_again();
}

#[tokio::test]
async fn a_doctor_names_each_fault_and_its_remedy() {
    let mut app = TestApp::start(&product_binary());
    app.may_be_unfinished();
    scored(&app.client().account().await).await;
    app.settled().await;
    let data = app.home().data();

    execute(&data.join("read.db"), "INSERT INTO parked VALUES ('jobs', 1, zeroblob(16), 'JobCreated', '', 1)").await;
    assert_eq!(
        faults(&app.operate(&["doctor"])),
        [
            "not ok  jobs: 1 events are set aside; see the log for the reason; when it is mended, run `starscreen replay jobs`"
        ]
    );
    execute(&data.join("read.db"), "DELETE FROM parked").await;

    app.operate(&["queue", "pause", "score", "--reason", "no credit"]).succeeded();
    assert_eq!(
        faults(&app.operate(&["doctor"])),
        [
            "not ok  lane score: paused: no credit (until it is resumed); run `starscreen queue resume score` to let it go on"
        ]
    );
    let told = app.operate(&["doctor", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&told.stdout).unwrap()["ok"], false);
    app.operate(&["queue", "resume", "score"]).succeeded();

    execute(&data.join("write.db"), "DROP TRIGGER events_are_never_changed").await;
    assert_eq!(
        faults(&app.operate(&["doctor"])),
        ["not ok  append-only: trigger events_are_never_changed is missing; somebody altered write.db: find out who, \
          and compare it with your backup"]
    );
    let trigger = "CREATE TRIGGER events_are_never_changed BEFORE UPDATE ON events
        BEGIN SELECT RAISE(ABORT, 'events are append-only'); END";
    execute(&data.join("write.db"), trigger).await;
    app.stop();

    // A directory that nobody may write would not stop root, under whom tests may run.
    fs::rename(data.join("objects"), data.join("objects.away")).unwrap();
    fs::write(data.join("objects"), "").unwrap();
    let lines = faults(&app.operate(&["doctor"]));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("not ok  objects: the object store is unavailable"), "{lines:?}");
    assert!(lines[0].ends_with("objects a directory that the server may write"), "{lines:?}");
    fs::remove_file(data.join("objects")).unwrap();
    fs::rename(data.join("objects.away"), data.join("objects")).unwrap();

    fs::rename(data.join("master.key"), data.join("master.away")).unwrap();
    let lines = faults(&app.operate(&["doctor"]));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("not ok  master key: ") && lines[0].contains("master.key is missing"), "{lines:?}");
    fs::rename(data.join("master.away"), data.join("master.key")).unwrap();

    let unknown = app.home().run(&["doctor"], &[("STARSCREEN_LISTENN", "127.0.0.1:1")]);
    let lines = faults(&unknown);
    assert!(
        lines.len() == 1 && lines[0].starts_with("not ok  settings: ") && lines[0].contains("STARSCREEN_LISTENN"),
        "{lines:?}"
    );
    let wrong = faults(&app.home().run(&["doctor"], &[("STARSCREEN_LISTEN", "nowhere")]));
    assert!(wrong.len() == 1 && wrong[0].starts_with("not ok  settings: "), "{wrong:?}");
    app.operate(&["doctor"]).succeeded();
}

async fn health(client: &Client, path: &str, status: u16) -> Value {
    let look = async || {
        let answer = client.get(path).send().await;
        if answer.status == status { Ok(answer.json()) } else { Err(answer.text()) }
    };
    client.log().until(&format!("{path} answers {status}"), look).await
}

#[tokio::test]
async fn health_tells_what_is_wrong_and_nothing_of_tenants() {
    let mut app = TestApp::start(&product_binary());
    app.may_be_unfinished();
    let account = app.client().account().await;
    let (_, candidate) = scored(&account).await;
    app.settled().await;
    let client = app.client();
    for path in ["/health/ready", "/api/v1/health/ready", "/health/detailed", "/api/v1/health/detailed"] {
        let told = health(&client, path, 200).await;
        assert_eq!(told["status"], "healthy", "{path}: {told}");
        assert!(told["timestamp"].is_string() && told["checks"]["database"]["status"] == "healthy", "{path}: {told}");
        for secret in
            [&account.email, &account.tenant().to_string(), &candidate, &app.home().data().display().to_string()]
        {
            assert!(!told.to_string().contains(secret.as_str()), "{path}: {told}");
        }
    }
    let told = health(&client, "/health/detailed", 200).await;
    let parts: Vec<&String> = told["checks"].as_object().unwrap().keys().collect();
    assert_eq!(parts, ["database", "disk", "read_models", "storage", "work"]);

    app.operate(&["queue", "pause", "score", "--reason", "key sk-live-123 refused"]).succeeded();
    let told = health(&client, "/health/detailed", 503).await;
    assert_eq!(told["checks"]["work"]["detail"], "lane score is paused: an operator said so");
    assert_eq!(told["status"], "unhealthy");
    health(&client, "/health/ready", 200).await; // requests can be answered all the same
    app.operate(&["queue", "resume", "score"]).succeeded();
    health(&client, "/health/detailed", 200).await;

    let read_db = app.home().data().join("read.db");
    execute(&read_db, "INSERT INTO parked VALUES ('jobs', 1, zeroblob(16), 'JobCreated', '', 1)").await;
    let told = health(&client, "/health/detailed", 503).await;
    assert_eq!(told["checks"]["read_models"]["detail"], "jobs has set 1 events aside");
    execute(&read_db, "DELETE FROM parked").await;

    let objects = app.home().data().join("objects");
    fs::rename(&objects, objects.with_extension("away")).unwrap();
    fs::write(&objects, "").unwrap();
    let told = health(&client, "/health/detailed", 503).await;
    assert_eq!(told["checks"]["storage"]["detail"], "files cannot be written");
    fs::remove_file(&objects).unwrap();
    fs::rename(objects.with_extension("away"), &objects).unwrap();
    health(&client, "/health/detailed", 200).await;
}

#[tokio::test]
async fn the_history_of_a_candidate_has_every_event_and_no_word_about_the_person() {
    let app = TestApp::start(&product_binary());
    let account = app.client().account().await;
    let (_, candidate) = scored(&account).await;
    scored(&account).await; // another, of the same period
    let told = json_of(app.operate(&["audit", "history", &candidate, "--json"]));
    let names: Vec<&str> = told.as_array().unwrap().iter().map(|event| event["event_type"].as_str().unwrap()).collect();
    let expected = [
        "SlotsReserved",
        "ResumeUploaded",
        "ExtractionStarted",
        "TextExtracted",
        "ScoringRequested",
        "CandidateScored",
        "SlotCommitted",
    ];
    assert_eq!(names, expected);
    let positions: Vec<u64> =
        told.as_array().unwrap().iter().map(|event| event["position"].as_u64().unwrap()).collect();
    assert!(positions.is_sorted(), "{positions:?}");
    assert_eq!(told[3]["actor"], "worker:extract");
    let table = app.operate(&["audit", "history", &candidate]).succeeded().stdout;
    assert_eq!(table.lines().count(), 8, "{table}");
    for word in ["Alex", "example.com", "+1 555"] {
        assert!(!table.contains(word) && !told.to_string().contains(word), "{table}");
    }
    let unknown = app.operate(&["audit", "history", "0198c0de-0000-7000-8000-000000000002"]).refused();
    assert!(unknown.contains("there is no candidate 0198c0de"), "{unknown}");
}

#[tokio::test]
async fn what_was_known_at_a_time_is_replayed_from_the_log() {
    let app = TestApp::start(&product_binary());
    let account = app.client().account().await;
    let (job, candidate) = scored(&account).await;
    let seen = account.candidate(&job, &candidate).await;
    let history = json_of(app.operate(&["audit", "history", &candidate, "--json"]));
    let recorded = |name: &str| {
        let event = history.as_array().unwrap().iter().find(|event| event["event_type"] == name).unwrap();
        event["recorded_at"].as_str().unwrap().to_owned()
    };
    account.delete(&format!("jobs/{job}/candidates/{candidate}")).send().await.expect(204);
    app.settled().await;

    let as_of = |time: &str, noun: &str, id: &str| json_of(app.operate(&["audit", "as-of", time, noun, id, "--json"]));
    let parsed = as_of(&recorded("TextExtracted"), "candidate", &candidate);
    assert_eq!(parsed["read_models"]["candidate_status"][0]["status"], "PARSED", "{parsed}");
    assert_eq!(parsed["read_models"]["evaluations"], Value::Null);
    let scored = as_of(&recorded("CandidateScored"), "candidate", &candidate);
    assert_eq!(scored["read_models"]["candidate_status"][0]["status"], "SCORED");
    assert_eq!(scored["read_models"]["candidate_status"][0]["first_name"], seen["first_name"]);
    assert!(scored["read_models"]["evaluations"][0]["match_score"].is_number());
    let ranking = as_of(&recorded("CandidateScored"), "job", &job);
    assert_eq!(ranking["read_models"]["jobs"][0]["title"], "Backend engineer");
    assert_eq!(ranking["read_models"]["candidate_status"][0]["candidate_id"], json!(candidate));
    let tenant = account.tenant().to_string();
    let usage = as_of(&recorded("TextExtracted"), "tenant", &tenant);
    assert_eq!(usage["read_models"]["monthly_usage"][0]["reserved"], 1, "{usage}");
    assert_eq!(usage["read_models"]["accounts"][0]["email"], json!(account.email));
    let later = as_of("2999-12-31", "candidate", &candidate);
    assert_eq!(later["read_models"], json!({}), "it was deleted");
    let before = app.operate(&["audit", "as-of", "2020-01-01", "candidate", &candidate]).succeeded().stdout;
    assert!(before.contains("position 0") && before.contains("nothing was known of it then"), "{before}");
    let text = app.operate(&["audit", "as-of", &recorded("CandidateScored"), "candidate", &candidate]).succeeded();
    assert!(text.stdout.contains("candidate_status\n") && text.stdout.contains("SCORED"), "{}", text.stdout);
    app.operate(&["audit", "as-of", "yesterday", "candidate", &candidate]).refused();
}

#[tokio::test]
async fn a_row_that_was_tampered_with_is_found_by_a_replay() {
    let app = TestApp::start(&product_binary());
    let account = app.client().account().await;
    let (_, candidate) = scored(&account).await;
    scored(&account).await;
    app.settled().await;
    let read_db = app.home().data().join("read.db");
    let before = app.read_models().dump().await;

    let same = app.operate(&["audit", "replay", "--diff"]).succeeded();
    assert_eq!(same.stdout.matches(": 0 differences at position ").count(), Models::NAMES.len(), "{}", same.stdout);
    assert!(same.stderr.contains(" events ("), "no progress was shown: {}", same.stderr);
    let told = json_of(app.operate(&["audit", "replay", "--diff", "--json"]));
    assert_eq!(told["equal"], true);
    assert!(told["read_models"].as_array().unwrap().iter().all(|model| model["compared"] == true), "{told}");
    assert_eq!(app.read_models().dump().await, before, "an audit changes nothing");

    let id = candidate.replace('-', "").to_uppercase();
    let sql = format!("UPDATE candidate_status SET score = 1000, sort_score = 1000 WHERE hex(candidate_id) = '{id}'");
    assert_eq!(execute(&read_db, &sql).await, 1);
    let tampered = app.read_models().dump().await;
    let found = app.operate(&["audit", "replay", "--diff"]);
    assert_eq!(found.status.code(), Some(1), "{}", found.stdout);
    let line = found.stdout.lines().find(|line| line.starts_with("candidate_status: ")).unwrap();
    assert!(line.starts_with("candidate_status: 1 differences at position "), "{line}");
    assert!(line.contains("1 rows changed, 0 only live, 0 only in the log") && line.contains(&candidate), "{line}");
    assert_eq!(app.read_models().dump().await, tampered, "it is reported, not put right");
    let sql = "SELECT (SELECT COUNT(*) FROM candidate_status__next), COUNT(*) FROM projection";
    let left: Vec<(i64, i64)> = app.read_models().rows(sql).await;
    assert_eq!(left, [(0, i64::try_from(Models::NAMES.len()).unwrap())], "nothing is left behind");

    app.operate(&["rebuild", "candidate_status"]).succeeded();
    app.operate(&["audit", "replay", "candidate_status", "--diff"]).succeeded();
}

#[tokio::test]
async fn a_row_that_was_tampered_with_is_found_by_the_audit_of_usage() {
    let app = TestApp::start(&product_binary());
    let account = app.client().account().await;
    scored(&account).await;
    app.settled().await;
    let read_db = app.home().data().join("read.db");
    let audit = || app.operate(&["audit", "usage", &account.email]);
    assert!(audit().succeeded().stdout.ends_with("the read model agrees\n"));
    let tampering = [
        ("UPDATE usage_entries SET delta = 0 WHERE kind = 'reserved'", "usage_entries has position "),
        ("UPDATE usage_entries SET actor = 'user:nobody' WHERE kind = 'committed'", "usage_entries has position "),
        ("DELETE FROM usage_entries WHERE kind = 'committed'", "usage_entries lacks position "),
        ("UPDATE usage_entries SET position = 1 WHERE kind = 'opened'", ", the log has not"),
        ("UPDATE monthly_usage SET committed = 0, used = 0", "monthly_usage counts otherwise"),
    ];
    for (sql, found) in tampering {
        assert_eq!(execute(&read_db, sql).await, 1, "{sql}");
        let told = audit();
        assert_eq!(told.status.code(), Some(1), "{sql}: {}", told.stdout);
        let line = told.stdout.lines().find(|line| line.starts_with("the read model differs: ")).unwrap();
        assert!(line.contains(found), "{sql}: {line}");
        assert!(told.stdout.contains("used 1 of 5"), "the log counts: {}", told.stdout);
        for name in ["usage_entries", "monthly_usage"] {
            app.operate(&["rebuild", name]).succeeded();
        }
        assert!(audit().succeeded().stdout.ends_with("the read model agrees\n"), "after a rebuild");
    }
}

/// A model server that answers everything with this status line, and tells what it was sent.
fn model_server(status: &'static str) -> (String, std::sync::mpsc::Receiver<String>) {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}/v1", listener.local_addr().unwrap());
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map(Result::unwrap) {
            let (mut request, mut part) = (vec![], [0; 1024]);
            while !request.ends_with(b"\r\n\r\n") {
                let read = stream.read(&mut part).unwrap();
                request.extend(&part[..read]);
            }
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}");
            stream.write_all(answer.as_bytes()).unwrap();
            if tell.send(String::from_utf8(request).unwrap()).is_err() {
                return;
            }
        }
    });
    (base, told)
}

#[tokio::test]
async fn a_doctor_tries_the_key_of_the_language_model_and_never_shows_it() {
    let app = TestApp::start(&product_binary());
    let doctor = |base: &str| {
        app.home().run(&["doctor"], &[("OPENAI_API_KEY", "sk-secret-of-the-test"), ("OPENAI_BASE_URL", base)])
    };
    let (base, told) = model_server("200 OK");
    let said = doctor(&base).succeeded();
    let line = "ok      language model: gpt-4o at 127.0.0.1 takes the key";
    assert!(said.stdout.lines().any(|said| said == line), "{}", said.stdout);
    let (base, _told_too) = model_server("404 Not Found");
    let said = doctor(&base).succeeded().stdout;
    assert!(said.contains("ok      language model: 127.0.0.1 answers; it has no list of models"), "{said}");
    let request = told.recv().unwrap();
    assert!(request.starts_with("GET /v1/models ") && request.contains("Bearer sk-secret-of-the-test"), "{request}");

    let (base, _told) = model_server("401 Unauthorized");
    let ended = doctor(&base);
    assert!(!format!("{}{}", ended.stdout, ended.stderr).contains("sk-secret"), "{}", ended.stdout);
    assert_eq!(
        faults(&ended),
        ["not ok  language model: 127.0.0.1 refuses the key; set OPENAI_API_KEY to a valid key and start the server \
             again"]
    );
    for wrong in ["http://user:s3cret@127.0.0.1/v1", "http://127.0.0.1:1/s3cret/v1"] {
        let ended = doctor(wrong);
        let config = app.home().run(&["config"], &[("OPENAI_BASE_URL", wrong)]);
        let said = format!("{}{}{}{}", ended.stdout, ended.stderr, config.stdout, config.stderr);
        assert!(!said.contains("s3cret"), "{said}");
    }
    let lines = faults(&doctor("http://127.0.0.1:1/v1"));
    assert!(lines.len() == 1 && lines[0].contains("check the network and OPENAI_BASE_URL"), "{lines:?}");
}
