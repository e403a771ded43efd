//! Uploads as real clients send them: too large, oddly named, twice in one form, and read by a child that dies.

use std::{collections::BTreeSet, fs, process::Command, time::Duration};

use starscreen_tests::{Account, Form, Resume, Shared, TestApp};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::product_binary;

static SERVER: Shared = Shared::new();

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_file_far_over_the_limit_is_answered_and_not_just_cut_off() {
    let app = SERVER.app(&product_binary());
    let account = app.client().account().await;
    let job = account.ready_job().await;
    for megabytes in [11, 15, 20, 40] {
        let large = Resume::new("large.pdf", [b"%PDF-1.7\n".to_vec(), vec![b'x'; megabytes << 20]].concat());
        let detail = account.upload(&job, &large).send().await.problem(413, "file_too_large");
        assert_eq!(detail, "The file is too large. A resume may have at most 10 MB.", "{megabytes} MB");
    }
    assert!(account.candidates(&job).await.is_empty());
}

#[tokio::test]
async fn a_form_with_two_files_is_refused_instead_of_losing_one() {
    let app = SERVER.app(&product_binary());
    let account = app.client().account().await;
    let job = account.ready_job().await;
    let form = Form::of(&Resume::unique()).file(&Resume::unique());
    let detail =
        account.post(&format!("jobs/{job}/candidates")).form(&form).send().await.problem(422, "invalid_request");
    assert!(detail.contains("one file"), "{detail}");
    assert!(account.candidates(&job).await.is_empty());
}

#[tokio::test]
async fn a_file_keeps_its_name_in_every_form_that_clients_write_it() {
    let app = SERVER.app(&product_binary());
    let account = app.client().account().await;
    let job = account.ready_job().await;
    let named = |disposition: &[u8]| {
        let head =
            [b"--b\r\nContent-Disposition: form-data; name=\"file\"; ".as_slice(), disposition, b"\r\n\r\n"].concat();
        [head, Resume::unique().content, b"\r\n--b--\r\n".to_vec()].concat()
    };
    for disposition in
        [b"filename*=UTF-8''Zo%C3%AB.docx".as_slice(), b"filename=\"Zo\xeb.docx\"", "filename=\"Zoë.docx\"".as_bytes()]
    {
        let call =
            account.post(&format!("jobs/{job}/candidates")).body("multipart/form-data; boundary=b", named(disposition));
        let candidate = call.send().await.expect(200).json()["candidate_id"].as_str().unwrap().to_owned();
        assert_eq!(account.candidate(&job, &candidate).await["original_filename"], "Zoë.docx");
    }
    let long = Resume { file_name: format!("{}.docx", "x".repeat(251)), ..Resume::unique() };
    account.upload(&job, &long).send().await.problem(422, "invalid_request");
}

/// A key that is passed over would take the same request in twice.
#[tokio::test]
async fn a_key_that_cannot_be_used_is_refused() {
    let app = SERVER.app(&product_binary());
    let account = app.client().account().await;
    account.post("jobs").key("").send().await.problem(422, "invalid_request");
    account.post("jobs").key(&"k".repeat(256)).send().await.problem(422, "invalid_request");
    let answer = raw(&account, b"Idempotency-Key: schl\xc3\xbcssel\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 422 "), "{answer}");
    let answer = raw(&account, b"Idempotency-Key: a\r\nIdempotency-Key: b\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 422 "), "{answer}");
}

/// Creates a job by hand, with these header lines.
async fn raw(account: &Account, headers: &[u8]) -> String {
    let body = r#"{"title":"By hand","description":"Created with a header that is not plain"}"#;
    let (address, token) = (account.address(), &account.access_token);
    let head = format!(
        "POST /api/v1/jobs HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(&address).await.unwrap();
    stream.write_all(&[head.as_bytes(), headers, b"\r\n", body.as_bytes()].concat()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_cursor_of_another_list_is_the_callers_mistake() {
    let app = SERVER.app(&product_binary());
    let account = app.client().account().await;
    let job = account.ready_job().await;
    account.ready_job().await;
    let page = account.get("jobs").query("limit", "1").send().await.expect(200);
    let cursor = page.header("x-next-cursor").to_owned();
    account.get("jobs").query("cursor", &cursor).send().await.expect(200);
    let path = format!("jobs/{job}/candidates");
    let detail = account.get(&path).query("cursor", &cursor).send().await.problem(422, "invalid_request");
    assert_eq!(detail, "cursor: is not a cursor that this list gave");
}

/// As the kernel does when memory is short, or a person who looks for what eats the processor.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_resume_whose_reader_is_killed_is_read_again() {
    let app = TestApp::start(&product_binary());
    let account = app.client().account().await;
    let job = account.ready_job().await;
    for number in 0..5 {
        account.take_in(&job, &Resume::fixture(&format!("p0{number}_two_column.pdf"))).await;
    }
    let mut killed = BTreeSet::new();
    let hunt = async {
        while killed.len() < 3 {
            for child in children(app.process_id()) {
                if Command::new("kill").args(["-9", &child]).status().unwrap().success() {
                    killed.insert(child);
                }
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let scored = account.settled_candidates(&job, 5);
    tokio::pin!(scored);
    let candidates = tokio::select! {
        () = hunt => scored.await,
        candidates = &mut scored => candidates, // faster than the hunter
    };
    assert!(!killed.is_empty(), "no child was ever seen, so nothing was tried");
    assert!(candidates.iter().all(|candidate| candidate["status"] == "SCORED"), "{candidates:#?}");
}

fn children(process: u32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let listed = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    listed.flat_map(|ids| ids.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
}
