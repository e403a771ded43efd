//! Files in a bucket: the product on a store that speaks the interface of S3, and what happens when that fails.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use starscreen_tests::{ACCESS_KEY, Account, Answer, BUCKET, Ended, Fault, ObjectServer, Resume, SECRET_KEY, TestApp};
use uuid::Uuid;

use crate::product_binary;

const PREFIX: &str = "some/where/";
/// Older than what the sweep leaves alone.
const OLD: Duration = Duration::from_hours(2);
/// The time-out of the harness' environment, and something for a busy machine.
const BOUND: Duration = Duration::from_secs(4);

fn environment<'a>(set: &'a [(&'static str, String)], more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let set = set.iter().map(|(name, value)| (*name, value.as_str()));
    set.filter(|(name, _)| more.iter().all(|(other, _)| other != name)).chain(more.iter().copied()).collect()
}

fn app(store: &ObjectServer, more: &[(&str, &str)]) -> TestApp {
    TestApp::start_with(&product_binary(), &environment(&store.environment(), more))
}

fn direct(store: &ObjectServer) -> TestApp {
    app(store, &[("STARSCREEN_OBJECTS_DIRECT_UPLOADS", "on")])
}

/// What lies in the bucket of a candidate.
fn files_of(store: &ObjectServer, account: &Account, candidate: &str) -> Vec<String> {
    let prefix = format!("{PREFIX}{}/{candidate}/", account.tenant());
    store.names().into_iter().filter_map(|name| name.strip_prefix(&prefix).map(str::to_owned)).collect()
}

fn incoming(store: &ObjectServer) -> Vec<String> {
    store.names().into_iter().filter(|name| name.starts_with(&format!("{PREFIX}incoming/"))).collect()
}

fn holds(content: &[u8], wanted: &[u8]) -> bool {
    content.windows(wanted.len()).any(|window| window == wanted)
}

async fn file(account: &Account, job: &str, candidate: &str) -> Answer {
    account.get(&format!("jobs/{job}/candidates/{candidate}/file")).send().await
}

/// The store fails: the caller is told to come back, in time, and no slot is used.
async fn is_refused(account: &Account, job: &str) {
    let asked = Instant::now();
    let refused = account.upload(job, &Resume::unique()).send().await;
    refused.problem(503, "unavailable");
    assert_eq!(refused.header("retry-after"), "2");
    assert!(asked.elapsed() < BOUND, "it took {:?}", asked.elapsed());
    assert_eq!(account.subscription().await["candidates_used_this_month"], 0);
    assert!(account.candidates(job).await.is_empty());
}

#[tokio::test]
async fn the_product_works_with_its_files_in_a_bucket() {
    let store = ObjectServer::start();
    let app = app(&store, &[("STARSCREEN_OBJECTS_ENCRYPTION", "AES256")]);
    let account = app.client().account().await;
    let job = account.ready_job().await;
    let resume = Resume::fixture("p00_single.pdf");
    let candidate = account.take_in(&job, &resume).await;
    let seen = account.until_candidate_is(&job, &candidate, "SCORED").await;
    assert!(seen["resume_text"].as_str().unwrap().len() > 100);
    assert_eq!(file(&account, &job, &candidate).await.expect(200).body, resume.content);
    assert_eq!(files_of(&store, &account, &candidate), ["file", "text"]);
    let text = seen["resume_text"].as_str().unwrap().lines().find(|line| line.len() > 20).unwrap().as_bytes();
    for name in store.names() {
        let content = store.content(&name).unwrap();
        assert!(!holds(&content, b"%PDF") && !holds(&content, text), "{name} can be read in the bucket");
    }
    let served = store.served();
    assert!(served.iter().all(|request| request.status < 300), "{served:?}");
    for put in served.iter().filter(|request| request.method == Method::PUT) {
        assert_eq!(put.headers["x-amz-server-side-encryption"], "AES256", "{}", put.path);
    }
    assert!(!app.home().data().join("objects").exists(), "files are in the bucket, and nowhere else");
    assert!(!app.log().text().contains(SECRET_KEY));
    let healthy = app.client().get("health/detailed").send().await.expect(200).json();
    assert_eq!(healthy["checks"]["storage"]["status"], "healthy");
}

#[tokio::test]
async fn a_store_that_is_down_is_told_as_503_and_needs_no_restart() {
    let store = ObjectServer::start();
    let app = app(&store, &[]);
    let account = app.client().account().await;
    let job = account.ready_job().await;
    store.stop();
    is_refused(&account, &job).await;
    let told = app.client().get("health/detailed").send().await.expect(503).json();
    assert_eq!(told["checks"]["storage"]["status"], "unhealthy", "{told}");
    store.start_again();
    assert!(store.names().is_empty());
    let candidate = account.take_in(&job, &Resume::unique()).await;
    account.until_candidate_is(&job, &candidate, "SCORED").await;
    store.stop();
    file(&account, &job, &candidate).await.problem(503, "unavailable");
    store.start_again();
    file(&account, &job, &candidate).await.expect(200);
}

#[tokio::test]
async fn a_store_that_fails_or_hangs_leaves_nothing_half_done() {
    let store = ObjectServer::start();
    let app = app(&store, &[]);
    let account = app.client().account().await;
    let job = account.ready_job().await;
    for fault in [Fault::Status(500), Fault::Status(503), Fault::Hang] {
        store.fault(&[Method::PUT], fault, None);
        is_refused(&account, &job).await;
        store.heal();
    }
    assert!(store.names().is_empty(), "{:?}", store.names());
    // Once is not worth a word to anybody.
    store.fault(&[Method::PUT], Fault::Status(500), Some(1));
    store.fault(&[Method::PUT], Fault::Slow(Duration::from_millis(300)), Some(1));
    // Workers come back to it.
    store.fault(&[Method::GET], Fault::Status(500), Some(5));
    let candidate = account.take_in(&job, &Resume::unique()).await;
    account.until_candidate_is(&job, &candidate, "SCORED").await;
}

#[tokio::test]
async fn a_file_that_nobody_knows_of_is_swept_and_the_others_are_not() {
    let store = ObjectServer::start();
    let app = direct(&store);
    let account = app.client().account().await;
    let job = account.ready_job().await;
    // Stored, but the server is not told so: nobody's, since the upload is refused.
    store.fault(&[Method::PUT], Fault::HangAfterwards, None);
    is_refused(&account, &job).await;
    store.heal();
    let [orphan] = &store.names()[..] else { panic!("one file is left: {:?}", store.names()) };
    let candidate = account.take_in(&job, &Resume::unique()).await;
    account.until_candidate_is(&job, &candidate, "SCORED").await;
    let young = format!("{PREFIX}{}/{}/file", account.tenant(), Uuid::now_v7());
    let sent = format!("{PREFIX}incoming/{}/{}", account.tenant(), Uuid::now_v7());
    let sent_just_now = format!("{PREFIX}incoming/{}/{}", account.tenant(), Uuid::now_v7());
    let somebody_elses = "some/whereelse/file".to_owned();
    let not_ours = format!("{PREFIX}a note");
    for name in [&sent, &somebody_elses, &not_ours] {
        store.put(name, b"old", OLD);
    }
    for name in [&young, &sent_just_now] {
        store.put(name, b"young", Duration::ZERO);
    }
    let mine: Vec<String> = store.names().into_iter().filter(|name| name.contains(&candidate)).collect();
    for name in mine.iter().chain([orphan]) {
        store.put(name, &store.content(name).unwrap(), OLD);
    }
    app.stop();
    app.start_again();
    let swept = async || match store.names().iter().find(|name| [orphan, &sent].contains(name)) {
        Some(left) => Err(format!("{left} is there")),
        None => Ok(()),
    };
    app.log().until("the old files of nobody are gone", swept).await;
    let mut left = [mine, vec![young, sent_just_now, somebody_elses, not_ours]].concat();
    left.sort();
    assert_eq!(store.names(), left);
    file(&account, &job, &candidate).await.expect(200);
}

#[tokio::test]
async fn a_bucket_that_is_gone_is_no_file_that_is_gone() {
    let store = ObjectServer::start();
    let mut app = app(&store, &[]);
    app.may_be_unfinished();
    let account = app.client().account().await;
    let job = account.ready_job().await;
    let candidate = account.take_in(&job, &Resume::unique()).await;
    account.until_candidate_is(&job, &candidate, "SCORED").await;
    store.remove_bucket();
    file(&account, &job, &candidate).await.problem(503, "unavailable");
    account.upload(&job, &Resume::unique()).send().await.problem(503, "unavailable");
}

/// The doctor's line about objects, and that it is not in order.
fn fault(ended: &Ended) -> String {
    assert!(!ended.status.success(), "{}", ended.stdout);
    assert!(!ended.stdout.contains(SECRET_KEY) && !ended.stderr.contains(SECRET_KEY));
    let line = ended.stdout.lines().find(|line| line.contains("objects:")).unwrap().to_owned();
    assert!(line.starts_with("not ok"), "{line}");
    line
}

#[tokio::test]
async fn a_doctor_says_what_the_store_refuses() {
    let store = ObjectServer::start();
    let app = app(&store, &[("STARSCREEN_OBJECTS_SECRET_KEY", "another secret")]);
    let account = app.client().account().await;
    let job = account.ready_job().await;
    is_refused(&account, &job).await;
    assert!(store.names().is_empty());
    let log = app.log().text();
    assert!(log.contains("the store refuses the key (SignatureDoesNotMatch)"), "{}", app.log().tail());
    for secret in [SECRET_KEY, "another secret", "tell-nobody", "StringToSign"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    let set = store.environment();
    let doctor = |more: &[(&str, &str)]| app.home().run(&["doctor"], &environment(&set, more));
    let said = doctor(&[]).stdout;
    let line = format!("ok      objects: bucket {BUCKET} can be written, read and listed");
    assert!(said.lines().any(|said| said == line), "{said}");
    assert!(store.names().is_empty(), "the doctor leaves nothing behind");
    let said = fault(&doctor(&[("STARSCREEN_OBJECTS_SECRET_KEY", "another secret")]));
    assert!(said.contains("SignatureDoesNotMatch") && said.contains("STARSCREEN_OBJECTS_SECRET_KEY"), "{said}");
    let said = fault(&doctor(&[("STARSCREEN_OBJECTS_ACCESS_KEY", "AKIASOMEBODY")]));
    assert!(said.contains("InvalidAccessKeyId") && !said.contains(ACCESS_KEY), "{said}");
    let said = fault(&doctor(&[("STARSCREEN_OBJECTS_REGION", "mars-1")]));
    assert!(said.contains("AuthorizationHeaderMalformed") && said.contains("STARSCREEN_OBJECTS_REGION"), "{said}");
    let said = fault(&doctor(&[("STARSCREEN_OBJECTS_URL", "s3://nowhere")]));
    assert!(said.contains("no such bucket") && said.contains("STARSCREEN_OBJECTS_URL"), "{said}");
    store.stop();
    let said = fault(&doctor(&[]));
    assert!(said.contains("cannot be reached") && said.contains("STARSCREEN_OBJECTS_ENDPOINT"), "{said}");
}

#[tokio::test]
async fn a_key_is_also_found_where_aws_own_programs_look() {
    let store = ObjectServer::start();
    let set = store.environment();
    let keys = ["STARSCREEN_OBJECTS_ACCESS_KEY", "STARSCREEN_OBJECTS_SECRET_KEY"];
    let mut environment: Vec<(&str, &str)> = environment(&set, &[]);
    environment.retain(|(name, _)| !keys.contains(name));
    environment.extend([("AWS_ACCESS_KEY_ID", ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", SECRET_KEY)]);
    let app = TestApp::start_with(&product_binary(), &environment);
    let account = app.client().account().await;
    let job = account.ready_job().await;
    let candidate = account.take_in(&job, &Resume::unique()).await;
    account.until_candidate_is(&job, &candidate, "SCORED").await;
}

/// Where to send a file.
async fn slot(account: &Account, job: &str) -> Value {
    account.post(&format!("jobs/{job}/candidates/uploads")).send().await.expect(201).json()
}

/// Sends a file to a slot as a program would that knows nothing of us.
async fn send(slot: &Value, content: &[u8]) -> u16 {
    send_to(slot["url"].as_str().unwrap(), slot, content).await
}

async fn send_to(url: &str, slot: &Value, content: &[u8]) -> u16 {
    let mut request = reqwest::Client::new().put(url).body(content.to_vec());
    for (name, value) in slot["headers"].as_object().unwrap() {
        request = request.header(name, value.as_str().unwrap());
    }
    request.send().await.unwrap().status().as_u16()
}

async fn complete(account: &Account, job: &str, slot: &Value, file_name: &str) -> Answer {
    let upload = slot["upload_id"].as_str().unwrap();
    let path = format!("jobs/{job}/candidates/uploads/{upload}/complete");
    account.post(&path).json(&json!({ "file_name": file_name, "first_name": "Alex" })).send().await
}

#[tokio::test]
async fn a_file_that_was_sent_past_the_server_is_taken_in_like_any_other() {
    let store = ObjectServer::start();
    let app = app(&store, &[("STARSCREEN_OBJECTS_DIRECT_UPLOADS", "on"), ("STARSCREEN_OBJECTS_ENCRYPTION", "AES256")]);
    let account = app.client().account().await;
    let job = account.ready_job().await;
    let resume = Resume::unique();
    let slot = slot(&account, &job).await;
    assert_eq!((slot["method"].as_str(), slot["max_bytes"].as_u64()), (Some("PUT"), Some(10_485_760)));
    assert_eq!(send(&slot, &resume.content).await, 200);
    assert_eq!(store.served().last().unwrap().headers["x-amz-server-side-encryption"], "AES256");
    assert_eq!(incoming(&store).len(), 1);
    let taken = complete(&account, &job, &slot, "resume.docx").await.expect(200).json();
    assert_eq!(taken["status"], "UPLOADED");
    assert_eq!(incoming(&store), Vec::<String>::new());
    let candidate = taken["candidate_id"].as_str().unwrap();
    let seen = account.until_candidate_is(&job, candidate, "SCORED").await;
    assert_eq!((&seen["original_filename"], &seen["first_name"]), (&json!("resume.docx"), &json!("Alex")));
    assert_eq!(file(&account, &job, candidate).await.expect(200).body, resume.content);
    assert_eq!(files_of(&store, &account, candidate), ["file", "text"]);
    for name in store.names() {
        assert!(!holds(&store.content(&name).unwrap(), &resume.content[..64]), "{name} is not sealed");
    }
    // Once more is the same, whoever asks how often; but not with other words.
    assert_eq!(complete(&account, &job, &slot, "resume.docx").await.expect(200).json(), taken);
    complete(&account, &job, &slot, "other.docx").await.problem(422, "idempotency_key_reused");
    account.until_used(1).await;
}

#[tokio::test]
async fn a_sent_file_is_taken_in_once_however_often_it_is_asked_for() {
    let store = ObjectServer::start();
    let app = direct(&store);
    let account = app.client().account().await;
    let job = account.ready_job().await;
    for round in 1..=3 {
        let slot = slot(&account, &job).await;
        assert_eq!(send(&slot, &Resume::unique().content).await, 200);
        let calls = (0..8).map(|_| complete(&account, &job, &slot, "resume.docx"));
        let answers = futures::future::join_all(calls).await;
        let taken: std::collections::BTreeSet<String> =
            answers.into_iter().map(|answer| answer.expect(200).json()["candidate_id"].to_string()).collect();
        assert_eq!(taken.len(), 1, "{taken:?}");
        account.until_used(round).await;
    }
    account.settled_candidates(&job, 3).await;
    app.settled().await;
    assert_eq!(store.names().len(), 3 * 2, "no copies are left: {:?}", store.names());
}

#[tokio::test]
async fn a_sent_file_is_checked_before_it_is_taken_in() {
    let store = ObjectServer::start();
    let limits = [("STARSCREEN_OBJECTS_DIRECT_UPLOADS", "on"), ("STARSCREEN_UPLOADS_MAX_FILE_BYTES", "20000")];
    let app = app(&store, &limits);
    let account = app.client().account().await;
    let job = account.ready_job().await;
    let too_large = vec![b'%'; 20_001];
    let cases: [(&[u8], &str, u16, &str); 4] = [
        (b"just text", "resume.pdf", 400, "unsupported_file"),
        (b"MZ\x90", "resume.exe", 400, "unsupported_file"),
        (b"", "resume.pdf", 400, "unsupported_file"),
        (&too_large, "resume.pdf", 413, "file_too_large"),
    ];
    for (content, name, status, code) in cases {
        let slot = slot(&account, &job).await;
        assert_eq!(send(&slot, content).await, 200);
        complete(&account, &job, &slot, name).await.problem(status, code);
        assert_eq!(store.names(), Vec::<String>::new(), "nothing of {name} stays");
        complete(&account, &job, &slot, name).await.problem(404, "not_found");
    }
    // Nothing was sent, or the name is too long: it may still be completed.
    let slot = slot(&account, &job).await;
    complete(&account, &job, &slot, "resume.docx").await.problem(404, "not_found");
    let resume = Resume::unique();
    assert_eq!(send(&slot, &resume.content).await, 200);
    complete(&account, &job, &slot, &"a".repeat(256)).await.problem(422, "invalid_request");
    // Nor is it lost when the store fails meanwhile.
    store.fault(&[Method::PUT], Fault::Status(500), None);
    complete(&account, &job, &slot, "resume.docx").await.problem(503, "unavailable");
    store.heal();
    account.until_used(0).await;
    complete(&account, &job, &slot, "resume.docx").await.expect(200);
    account.settled_candidates(&job, 1).await;
}

#[tokio::test]
async fn an_address_opens_one_place_for_its_tenant_and_for_a_time() {
    let store = ObjectServer::start();
    let app = direct(&store);
    let (owner, stranger) = (app.client().account().await, app.client().account().await);
    let (job, strangers) = (owner.ready_job().await, stranger.ready_job().await);
    let slot = slot(&owner, &job).await;
    let url = slot["url"].as_str().unwrap();
    let another = url.replace(slot["upload_id"].as_str().unwrap(), &Uuid::now_v7().to_string());
    assert_eq!(send_to(&another, &slot, b"x").await, 403);
    assert_eq!(reqwest::get(url).await.unwrap().status(), 403, "it is for sending only");
    store.is_ahead(Duration::from_mins(16));
    assert_eq!(send(&slot, b"x").await, 403, "it has expired");
    store.is_ahead(Duration::ZERO);
    assert!(store.names().is_empty());
    assert_eq!(send(&slot, &Resume::unique().content).await, 200);
    complete(&stranger, &strangers, &slot, "resume.docx").await.problem(404, "not_found");
    complete(&stranger, &job, &slot, "resume.docx").await.problem(404, "not_found");
    owner.post(&format!("jobs/{strangers}/candidates/uploads")).send().await.problem(404, "not_found");
    complete(&owner, &job, &slot, "resume.docx").await.expect(200);
    owner.settled_candidates(&job, 1).await;
}

#[tokio::test]
async fn files_are_sent_past_the_server_only_where_that_is_allowed() {
    let store = ObjectServer::start();
    for app in [app(&store, &[]), TestApp::start(&product_binary())] {
        let account = app.client().account().await;
        let job = account.ready_job().await;
        let refused = account.post(&format!("jobs/{job}/candidates/uploads")).send().await.problem(409, "conflict");
        assert!(refused.contains("candidates/upload"), "{refused}");
    }
}
