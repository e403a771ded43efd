//! Many resumes in one archive: each file gets its answer, and the limit holds.

use std::{
    collections::BTreeSet,
    fs,
    io::{Cursor, Write},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use starscreen_tests::{Account, Answer, Call, Form, Resume, Shared, TestApp};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use crate::product_binary;

static SERVER: Shared = Shared::new();

fn zip(files: &[(&str, &[u8])]) -> Resume {
    let mut writer = ZipWriter::new(Cursor::new(vec![]));
    for (name, content) in files {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    archive(writer.finish().unwrap().into_inner())
}

fn archive(content: Vec<u8>) -> Resume {
    Resume { file_name: "resumes.zip".to_owned(), media_type: "application/zip", content }
}

fn of_resumes(count: usize) -> Resume {
    let resumes: Vec<Resume> = (0..count).map(|_| Resume::unique()).collect();
    let files: Vec<(&str, &[u8])> = resumes.iter().map(|r| (r.file_name.as_str(), r.content.as_slice())).collect();
    zip(&files)
}

fn upload(account: &Account, job: &str, archive: &Resume) -> Call {
    account.post(&format!("jobs/{job}/candidates/bulk-upload-zip")).form(&Form::of(archive))
}

fn names(answer: &Value, status: &str) -> Vec<String> {
    let results = answer["results"].as_array().unwrap().iter().filter(|result| result["status"] == status);
    results.map(|result| result["file_name"].as_str().unwrap().to_owned()).collect()
}

fn reason<'a>(answer: &'a Value, file_name: &str) -> &'a str {
    let results = answer["results"].as_array().unwrap();
    results.iter().find(|result| result["file_name"] == file_name).unwrap()["reason"].as_str().unwrap()
}

fn counts(answer: &Value) -> [&Value; 4] {
    ["processed_count", "skipped_count", "limit_reached", "remaining_candidates"].map(|field| &answer[field])
}

/// Files stored for the account's candidates, and temporary ones.
fn stored(app: &TestApp, account: &Account) -> (usize, usize) {
    let entries = |path| fs::read_dir(path).map_or(0, Iterator::count);
    let data = app.home().data();
    (entries(data.join("objects").join(account.tenant().to_string())), entries(data.join("tmp")))
}

#[tokio::test]
async fn every_file_of_a_mixed_archive_gets_its_answer() {
    let app = SERVER.app(&product_binary());
    let account = app.client().account().await;
    let job = account.ready_job().await;
    let mixed = archive(Resume::fixture("bulk_mixed.zip").content);
    let answer = upload(&account, &job, &mixed).send().await.expect(200).json();
    assert_eq!(answer["job_id"], json!(job));
    assert_eq!(names(&answer, "accepted"), ["p00_single.pdf", "p01_two_column.pdf", "p02_header.docx", "legacy.doc"]);
    assert_eq!(names(&answer, "skipped"), ["not_a_pdf.pdf", "notes.txt", "evil.pdf", "P00_SINGLE.PDF"]);
    assert!(reason(&answer, "not_a_pdf.pdf").contains("its content is neither PDF nor Word"), "{answer}");
    assert!(reason(&answer, "notes.txt").contains("Only PDF and DOCX files can be read"), "{answer}");
    for twin in ["evil.pdf", "P00_SINGLE.PDF"] {
        assert_eq!(reason(&answer, twin), "The archive has the same file twice; it is taken in once.");
    }
    assert_eq!(counts(&answer), [&json!(4), &json!(4), &json!(false), &json!(1)]);
    let message = answer["message"].as_str().unwrap();
    assert_eq!(
        message,
        "Batch of 4 resumes uploaded successfully. Processing started. (1 candidates remaining this month)"
    );
    let list = account.settled_candidates(&job, 4).await;
    let of = |field: &str| list.iter().map(|row| row[field].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>();
    let ids: BTreeSet<String> = answer["results"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|result| result["candidate_id"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(of("id"), ids);
    assert_eq!(of("original_filename"), names(&answer, "accepted").into_iter().collect());
    assert_eq!(list.iter().filter(|row| row["status"] == "SCORED").count(), 3);
    account.until_used(3).await; // the old Word file gave its slot back
}

#[tokio::test]
async fn what_does_not_fit_is_named_and_nothing_is_kept_of_it() {
    let app = SERVER.app(&product_binary());
    let account = app.client().account().await;
    let job = account.ready_job().await;
    account.take_in(&job, &Resume::unique()).await;
    let answer = upload(&account, &job, &of_resumes(7)).send().await.expect(200).json();
    assert_eq!(counts(&answer), [&json!(4), &json!(3), &json!(true), &json!(0)]);
    for left_out in names(&answer, "skipped") {
        assert!(reason(&answer, &left_out).starts_with("Monthly candidate limit reached."), "{answer}");
    }
    account.settled_candidates(&job, 5).await;
    assert_eq!(stored(&app, &account), (5, 0));
    let refused = upload(&account, &job, &of_resumes(2)).send().await;
    assert_eq!(
        refused.problem(402, "quota_exhausted"),
        "Monthly candidate limit reached (5/5). Please upgrade your plan or wait for next billing cycle."
    );
    assert_eq!(stored(&app, &account), (5, 0));
    assert_eq!(account.subscription().await["candidates_used_this_month"], 5);
}

#[tokio::test]
async fn the_same_archive_again_is_the_same_answer() {
    let app = SERVER.app(&product_binary());
    let account = app.client().account().await;
    let job = account.ready_job().await;
    let seven = of_resumes(7);
    let first = upload(&account, &job, &seven).key("zip-1").send().await.expect(200).json();
    let again = upload(&account, &job, &seven).key("zip-1").send().await.expect(200).json(); // with another boundary
    assert_eq!(again, first);
    account.settled_candidates(&job, 5).await;
    assert_eq!(upload(&account, &job, &seven).key("zip-1").send().await.expect(200).json(), first);
    let renamed = Resume { file_name: "others.zip".to_owned(), ..seven.clone() };
    for other in [renamed, of_resumes(7)] {
        upload(&account, &job, &other).key("zip-1").send().await.problem(422, "idempotency_key_reused");
    }
    assert_eq!(stored(&app, &account), (5, 0));
    assert_eq!(account.candidates(&job).await.len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_archive_many_times_at_once_is_taken_in_once() {
    let app = SERVER.app(&product_binary());
    let account = app.client().account().await;
    let job = account.ready_job().await;
    let three = of_resumes(3);
    let calls = (0..6).map(|_| tokio::spawn(upload(&account, &job, &three).key("at once").send()));
    let answers: Vec<Answer> =
        futures::future::join_all(calls).await.into_iter().map(|answer| answer.unwrap().expect(200)).collect();
    for answer in &answers {
        assert_eq!(answer.json(), answers[0].json());
    }
    account.settled_candidates(&job, 3).await;
    assert_eq!(stored(&app, &account), (3, 0));
    assert_eq!(account.subscription().await["candidates_used_this_month"], 3);
}

#[tokio::test]
async fn names_of_files_are_nowhere_in_clear() {
    let app = TestApp::start(&product_binary());
    let account = app.client().account().await;
    let job = account.ready_job().await;
    let resume = Resume::unique();
    let canary = "Zebedee-Canary-Smith.docx";
    let one = zip(&[(canary, &resume.content), ("Zebedee-Canary-Twin.docx", &resume.content)]);
    upload(&account, &job, &one).key("canary").send().await.expect(200);
    account.settled_candidates(&job, 1).await;
    app.stop();
    for name in ["write.db", "write.db-wal"] {
        let content = fs::read(app.home().data().join(name)).unwrap_or_default();
        assert!(!content.windows(14).any(|window| window == b"Zebedee-Canary"), "{name} has the name of a file");
    }
    assert!(!app.log().tail().contains("Zebedee"), "the log has the name of a file");
}

#[tokio::test]
async fn what_is_no_archive_is_refused_with_what_to_do() {
    let app = SERVER.app(&product_binary());
    let account = app.client().account().await;
    let job = account.ready_job().await;
    let sentence = async |file: Resume| upload(&account, &job, &file).send().await.problem(400, "unsupported_file");
    assert_eq!(
        sentence(Resume::fixture("p00_single.pdf")).await,
        "File must be a ZIP archive. Received: application/pdf"
    );
    let invalid = "Invalid ZIP file. Pack the resumes into a new ZIP archive and upload that.";
    assert_eq!(sentence(archive(Resume::fixture("p00_single.pdf").content)).await, invalid);
    assert_eq!(sentence(archive(vec![])).await, invalid);
    let whole = of_resumes(2).content;
    assert_eq!(sentence(archive(whole[..whole.len() - 30].to_vec())).await, invalid);
    let nothing = "Invalid ZIP file. There is no file in it. Pack the resumes into a new ZIP archive.";
    assert_eq!(sentence(zip(&[])).await, nothing);
    assert_eq!(sentence(zip(&[("__MACOSX/._a.pdf", b"x")])).await, nothing);
    let without = account.post(&format!("jobs/{job}/candidates/bulk-upload-zip")).form(&Form::new().field("a", "b"));
    assert_eq!(without.send().await.problem(422, "invalid_request"), "file: is required");
    let unknown = upload(&account, "0198c0de-0000-7000-8000-000000000001", &of_resumes(1)).send().await;
    unknown.problem(404, "not_found");
    assert_eq!(stored(&app, &account), (0, 0));
    // Good archives of nothing but other files are answered file by file.
    let answer = upload(&account, &job, &zip(&[("a.txt", b"a"), ("b.exe", b"b")])).send().await.expect(200).json();
    assert_eq!(counts(&answer), [&json!(0), &json!(2), &json!(false), &json!(5)]);
}

/// A file of zeros among good ones.
fn bomb(bytes: usize) -> Resume {
    let good = Resume::unique();
    let mut writer = ZipWriter::new(Cursor::new(vec![]));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    writer.start_file(good.file_name.as_str(), options).unwrap();
    writer.write_all(&good.content).unwrap();
    writer.start_file("bomb.pdf", options).unwrap();
    for _ in 0..bytes >> 20 {
        writer.write_all(&vec![0; 1 << 20]).unwrap();
    }
    archive(writer.finish().unwrap().into_inner())
}

#[tokio::test]
async fn hostile_archives_are_refused_at_once_and_leave_nothing() {
    let app = TestApp::start(&product_binary());
    let account = app.client().account().await;
    let job = account.ready_job().await;
    upload(&account, &job, &of_resumes(1)).send().await.expect(200);
    account.settled_candidates(&job, 1).await;
    let before = app.memory_kb("VmHWM");
    let mut many = ZipWriter::new(Cursor::new(vec![]));
    for number in 0..20_000 {
        many.start_file(format!("{number}.pdf"), SimpleFileOptions::default()).unwrap();
    }
    let many = archive(many.finish().unwrap().into_inner());
    for (hostile, sentence) in [
        (bomb(25 << 20), "The ZIP archive unpacks to more than it may"),
        (bomb(500 << 20), "The ZIP archive unpacks to more than it may"),
        (many, "The ZIP archive has more than 1000 entries."),
    ] {
        let begin = Instant::now();
        let refused = upload(&account, &job, &hostile).send().await.problem(413, "file_too_large");
        let taken = begin.elapsed();
        assert!(refused.starts_with(sentence), "{refused}");
        assert!(taken < Duration::from_secs(2), "refused only after {taken:?}");
    }
    let grown = app.memory_kb("VmHWM").saturating_sub(before);
    assert!(grown < 64 << 10, "memory grew by {grown} kB");
    assert_eq!(stored(&app, &account), (1, 0));
    assert_eq!(account.subscription().await["candidates_used_this_month"], 1);
}

#[tokio::test]
async fn an_archive_of_more_than_a_hundred_megabytes_is_refused() {
    let app = SERVER.app(&product_binary());
    let account = app.client().account().await;
    let job = account.ready_job().await;
    let huge = archive([b"PK\x03\x04".to_vec(), vec![0; 100 << 20]].concat());
    let refused = upload(&account, &job, &huge).send().await.problem(413, "file_too_large");
    assert_eq!(refused, "The ZIP archive is too large. It may have at most 100 MB. Split it into several.");
    assert_eq!(stored(&app, &account), (0, 0));
    // A single resume keeps its own bound.
    account.upload(&job, &Resume::new("huge.pdf", vec![b' '; 11 << 20])).send().await.expect(413);
}
