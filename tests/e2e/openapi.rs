//! The description of the interface: what clients were promised stays.

use std::{collections::BTreeSet, fmt::Write, fs, path::Path};

use serde_json::Value;
use starscreen_tests::{Home, Shared};

use crate::product_binary;

static SERVER: Shared = Shared::new();

const UPDATE: &str = "STARSCREEN_UPDATE_SNAPSHOTS";

/// The operations of the former API that this version has, by its paths.
const FORMER: &[&str] = &[
    "GET /api/v1/health",
    "POST /api/v1/auth/register",
    "POST /api/v1/auth/login",
    "POST /api/v1/auth/refresh",
    "GET /api/v1/auth/me",
    "POST /api/v1/jobs/",
    "GET /api/v1/jobs/",
    "GET /api/v1/jobs/{job_id}",
    "PUT /api/v1/jobs/{job_id}",
    "DELETE /api/v1/jobs/{job_id}",
    "POST /api/v1/jobs/{job_id}/candidates/upload",
    "GET /api/v1/jobs/{job_id}/candidates/{candidate_id}",
    "DELETE /api/v1/jobs/{job_id}/candidates/{candidate_id}",
    "GET /api/v1/jobs/{job_id}/candidates/",
    "GET /api/v1/jobs/{job_id}/candidates/{candidate_id}/file",
    "GET /api/v1/jobs/{job_id}/candidates/{candidate_id}/evaluation",
    "GET /api/v1/subscriptions/current",
];

/// The document without what changes with every version.
fn lasting(mut document: Value) -> String {
    document["info"]["version"] = Value::from("any");
    serde_json::to_string_pretty(&document).unwrap() + "\n"
}

/// Lines that only one of two texts has, with their numbers.
fn differences(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let same_start = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let rest = old.len().min(new.len()) - same_start;
    let same_end = old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    let mut text = String::new();
    for (sign, lines) in [('-', &old), ('+', &new)] {
        for (number, line) in lines.iter().enumerate().take(lines.len() - same_end).skip(same_start) {
            let _ = writeln!(text, "{sign} {:>5} {line}", number + 1); // writing to a text cannot fail
        }
    }
    text
}

#[tokio::test]
async fn the_description_is_the_one_that_was_agreed_on() {
    let app = SERVER.app(&product_binary());
    let served = lasting(app.client().get("/openapi.json").send().await.expect(200).json());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/openapi.json");
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&path, &served).unwrap();
    }
    let agreed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        agreed == served,
        "the interface differs from tests/e2e/openapi.json:\n{}\nIf that is meant, run this test once with {UPDATE}=1 and \
         commit the file; clients depend on it, so say it in the changelog.",
        differences(&agreed, &served)
    );
}

#[tokio::test]
async fn the_program_prints_the_description_that_it_serves() {
    let app = SERVER.app(&product_binary());
    let served = app.client().get("/openapi.json").send().await.expect(200).json();
    let printed = Home::new(&product_binary()).run(&["openapi"], &[]).succeeded().stdout;
    assert_eq!(serde_json::from_str::<Value>(&printed).unwrap(), served);
}

#[tokio::test]
async fn every_path_of_the_former_interface_is_there() {
    let app = SERVER.app(&product_binary());
    let client = app.client();
    let document = client.get("/openapi.json").send().await.expect(200).json();
    for operation in FORMER {
        let (method, path) = operation.split_once(' ').unwrap();
        let described = &document["paths"][path.trim_end_matches('/')][method.to_lowercase()];
        assert!(described.is_object(), "{operation} is not described");
        // It answers, if only that nobody is signed in: neither 404 nor 405, nor a redirect that would lose the body.
        let id = "00000000-0000-7000-8000-000000000000";
        let path = path.replace("{job_id}", id).replace("{candidate_id}", id);
        let status = client.call(method.parse().unwrap(), &path).send().await.status;
        assert!([200, 401, 422].contains(&status), "{operation} answers {status}");
    }
}

#[tokio::test]
async fn every_operation_says_what_it_needs_and_what_can_go_wrong() {
    let app = SERVER.app(&product_binary());
    let document = app.client().get("/openapi.json").send().await.expect(200).json();
    let (mut ids, mut lacking) = (BTreeSet::new(), vec![]);
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let name = format!("{} {path}", method.to_uppercase());
            assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{name} has no summary");
            let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{name} has no operationId"));
            assert!(ids.insert(id.to_owned()), "operationId {id} is not unique");
            let needs_token = operation["security"].is_array();
            if needs_token && !operation["responses"]["401"].is_object() {
                lacking.push(name);
            }
        }
    }
    assert_eq!(lacking, [""; 0], "these need a token but do not say 401");
}

#[test]
fn a_difference_is_shown_by_its_lines() {
    assert_eq!(differences("a\nb\nc\n", "a\nx\ny\nc\n"), "-     2 b\n+     2 x\n+     3 y\n");
    assert_eq!(differences("a\n", "a\n"), "");
    assert_eq!(differences("a\na\n", "a\n"), "-     2 a\n");
}
