//! The description of the interface: what clients were promised stays.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::{Value, json};
use starscreen_tests::{Home, Shared};

use crate::product_binary;

static SERVER: Shared = Shared::new();

const UPDATE: &str = "STARSCREEN_UPDATE_SNAPSHOTS";

/// The operations of the former API that this version has, by its paths.
const FORMER: &[&str] = &[
    "GET /api/v1/health",
    "GET /api/v1/health/detailed",
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
    "POST /api/v1/jobs/{job_id}/candidates/bulk-upload-zip",
    "GET /api/v1/jobs/{job_id}/candidates/{candidate_id}",
    "DELETE /api/v1/jobs/{job_id}/candidates/{candidate_id}",
    "GET /api/v1/jobs/{job_id}/candidates/",
    "GET /api/v1/jobs/{job_id}/candidates/{candidate_id}/file",
    "GET /api/v1/jobs/{job_id}/candidates/{candidate_id}/evaluation",
    "GET /api/v1/subscriptions/current",
    "POST /api/v1/subscriptions/create",
    "POST /api/v1/subscriptions/portal",
    "POST /api/v1/subscriptions/cancel",
    "POST /api/v1/subscriptions/upgrade",
    "POST /api/v1/webhooks/stripe",
];

/// Every place at which two documents differ, with what each says there.
fn differences(agreed: &Value, served: &Value, at: &str, found: &mut Vec<String>) {
    if let (Value::Object(agreed), Value::Object(served)) = (agreed, served) {
        let keys: BTreeSet<&String> = agreed.keys().chain(served.keys()).collect();
        for key in keys {
            let [agreed, served] = [agreed, served].map(|object| object.get(key).unwrap_or(&Value::Null));
            differences(agreed, served, &format!("{at} → {key}"), found);
        }
    } else if agreed != served {
        found.push(format!("{at}: agreed on was {agreed}, served is {served}"));
    }
}

#[tokio::test]
async fn the_description_is_the_one_that_was_agreed_on() {
    let app = SERVER.app(&product_binary());
    let mut served = app.client().get("/openapi.json").send().await.expect(200).json();
    served["info"]["version"] = Value::Null; // changes with every version
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/openapi.json");
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&path, serde_json::to_string_pretty(&served).unwrap() + "\n").unwrap();
    }
    let agreed = serde_json::from_str(&fs::read_to_string(&path).unwrap_or_default()).unwrap_or_default();
    let mut found = vec![];
    differences(&agreed, &served, "openapi", &mut found);
    assert!(
        found.is_empty(),
        "the interface differs from tests/e2e/openapi.json:\n{}\nIf that is meant, run this test once with {UPDATE}=1 and \
         commit the file; clients depend on it, so say it in the changelog.",
        found.join("\n")
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
        // It answers, if only that nobody is signed in or that Stripe's secret is not set: neither 404 nor 405, nor a
        // redirect that would lose the body.
        let id = "00000000-0000-7000-8000-000000000000";
        let path = path.replace("{job_id}", id).replace("{candidate_id}", id);
        let status = client.call(&method.parse().unwrap(), &path).send().await.status;
        assert!([200, 401, 422, 503].contains(&status), "{operation} answers {status}");
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
fn a_difference_is_shown_with_its_place() {
    let seen = |agreed: Value, served: Value| {
        let mut found = vec![];
        differences(&agreed, &served, "openapi", &mut found);
        found
    };
    let agreed = json!({ "paths": { "/a": { "get": 1 }, "/b": [1, 2] } });
    assert_eq!(seen(agreed.clone(), agreed.clone()), [""; 0]);
    let served = json!({ "paths": { "/b": [1], "/c": {} } });
    assert_eq!(
        seen(agreed, served),
        [
            "openapi → paths → /a: agreed on was {\"get\":1}, served is null",
            "openapi → paths → /b: agreed on was [1,2], served is [1]",
            "openapi → paths → /c: agreed on was null, served is {}",
        ]
    );
}
