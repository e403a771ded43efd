//! Every operation of the interface: nobody gets in without a token, and another tenant's things do not exist.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::{Value, json};
use starscreen_tests::{Account, Answer, Call, Client, Form, Resume, Shared};
use uuid::Uuid;

use crate::product_binary;

static SERVER: Shared = Shared::new();

/// Who may use an operation, and what of.
#[derive(Clone, Copy, PartialEq)]
enum Reach {
    /// Anybody.
    Public,
    /// A signed-in user, about what is their own without naming it.
    Own,
    /// A signed-in user, about what the path names.
    Named,
}
use Reach::{Named, Own, Public};

/// Every operation there is. A new one fails `every_operation_is_in_the_table` until somebody has thought about it.
const OPERATIONS: &[(&str, &str, Reach)] = &[
    ("POST", "/api/v1/auth/register", Public),
    ("POST", "/api/v1/auth/login", Public),
    ("POST", "/api/v1/auth/refresh", Public),
    ("GET", "/api/v1/auth/me", Own),
    ("POST", "/api/v1/jobs", Own),
    ("GET", "/api/v1/jobs", Own),
    ("GET", "/api/v1/jobs/{job_id}", Named),
    ("PUT", "/api/v1/jobs/{job_id}", Named),
    ("DELETE", "/api/v1/jobs/{job_id}", Named),
    ("GET", "/api/v1/jobs/{job_id}/candidates", Named),
    ("POST", "/api/v1/jobs/{job_id}/candidates/upload", Named),
    ("POST", "/api/v1/jobs/{job_id}/candidates/bulk-upload-zip", Named),
    ("POST", "/api/v1/jobs/{job_id}/candidates/uploads", Named),
    ("POST", "/api/v1/jobs/{job_id}/candidates/uploads/{upload_id}/complete", Named),
    ("POST", "/api/v1/jobs/{job_id}/candidates/{candidate_id}/retry", Named),
    ("POST", "/api/v1/jobs/{job_id}/candidates/{candidate_id}/rescore", Named),
    ("POST", "/api/v1/jobs/{job_id}/retry-rubric", Named),
    ("GET", "/api/v1/jobs/{job_id}/candidates/{candidate_id}", Named),
    ("DELETE", "/api/v1/jobs/{job_id}/candidates/{candidate_id}", Named),
    ("GET", "/api/v1/jobs/{job_id}/candidates/{candidate_id}/file", Named),
    ("GET", "/api/v1/jobs/{job_id}/candidates/{candidate_id}/evaluation", Named),
    ("GET", "/api/v1/subscriptions/current", Own),
    ("GET", "/api/v1/subscriptions/usage", Own),
    ("GET", "/api/v1/subscriptions/plans", Public),
    ("POST", "/api/v1/subscriptions/create", Own),
    ("POST", "/api/v1/subscriptions/checkout", Own),
    ("POST", "/api/v1/subscriptions/portal", Own),
    ("GET", "/api/v1/subscriptions/preview", Own),
    ("POST", "/api/v1/subscriptions/upgrade", Own),
    ("POST", "/api/v1/subscriptions/cancel", Own),
    ("POST", "/api/v1/webhooks/stripe", Public),
    ("GET", "/api/v1/health", Public),
    ("GET", "/api/v1/health/ready", Public),
    ("GET", "/api/v1/health/detailed", Public),
];

/// Second names of operations, which the description of the interface leaves out.
const ALIASES: &[(&str, &str, Reach)] = &[
    ("POST", "/api/v1/jobs/{job_id}/candidates", Named),
    ("GET", "/api/v1/jobs/{job_id}/candidates/{candidate_id}/analysis", Named),
    ("POST", "/stripe/webhook", Public),
    ("POST", "/api/v1/stripe/webhook", Public),
];

fn all() -> impl Iterator<Item = &'static (&'static str, &'static str, Reach)> {
    OPERATIONS.iter().chain(ALIASES)
}

/// A request that is in order but for who asks, and for what.
fn request(client: &Client, method: &str, path: &str, ids: &BTreeMap<&str, String>) -> Call {
    let mut named = path.to_owned();
    for (name, id) in ids {
        named = named.replace(&format!("{{{name}}}"), id);
    }
    let call = client.call(&method.parse::<Method>().unwrap(), &named);
    match (method, path) {
        ("POST", path) if path.ends_with("/complete") => call.json(&json!({ "file_name": "resume.pdf" })),
        ("POST", path) if path.contains("/candidates") => call.form(&Form::of(&Resume::unique())),
        ("GET", path) if path.ends_with("/preview") => call.query("new_tier", "starter"),
        ("POST" | "PUT", _) => {
            call.json(&json!({ "title": "Taken over", "description": "By somebody of another tenant" }))
        }
        _ => call,
    }
}

/// Status and body, with the ids of the request taken out.
fn without_ids(answer: &Answer, ids: &BTreeMap<&str, String>) -> (u16, String) {
    let mut text = answer.text();
    for (name, id) in ids {
        text = text.replace(id.as_str(), name);
    }
    (answer.status, text)
}

async fn candidate_of(account: &Account) -> BTreeMap<&'static str, String> {
    let job = account.ready_job().await;
    let candidate = account.take_in(&job, &Resume::unique()).await;
    account.until_candidate_is(&job, &candidate, "SCORED").await;
    BTreeMap::from([("candidate_id", candidate), ("job_id", job), ("upload_id", Uuid::now_v7().to_string())])
}

#[tokio::test]
async fn every_operation_is_in_the_table() {
    let app = SERVER.app(&product_binary());
    let document = app.client().get("/openapi.json").send().await.expect(200).json();
    let mut served = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys().filter(|key| key.as_str() != "parameters") {
            served.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    let known: BTreeSet<String> = OPERATIONS.iter().map(|(method, path, _)| format!("{method} {path}")).collect();
    assert_eq!(served, known, "tests/e2e/tenancy.rs must know every operation and who may use it");
}

#[tokio::test]
async fn nobody_gets_in_without_a_token() {
    let app = SERVER.app(&product_binary());
    let client = app.client();
    let ids = candidate_of(&client.account().await).await;
    for (method, path, reach) in all() {
        if *reach == Public {
            continue;
        }
        let refused = request(&client, method, path, &ids).send().await;
        assert_eq!(refused.problem(401, "not_authenticated"), "Not authenticated", "{method} {path}");
        assert_eq!(refused.header("www-authenticate"), "Bearer", "{method} {path}");
        let forged = request(&client.with_bearer("not.a.token"), method, path, &ids).send().await;
        assert_eq!(forged.problem(401, "invalid_token"), "Could not validate credentials", "{method} {path}");
        // Nor does an unfinished request tell whether there is anything at its path.
        let bare = client.call(&method.parse().unwrap(), &path.replace(['{', '}'], "")).send().await;
        bare.problem(401, "not_authenticated");
    }
}

#[tokio::test]
async fn what_is_public_asks_for_no_token() {
    let app = SERVER.app(&product_binary());
    for (method, path, _) in all().filter(|(_, _, reach)| *reach == Public) {
        let answer = request(&app.client(), method, path, &BTreeMap::new()).send().await;
        // Webhooks are let in by their signature, and this server has no secret to know one by.
        let expected: &[u16] = if path.contains("stripe") { &[503] } else { &[200, 422] };
        assert!(expected.contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.text());
    }
}

#[tokio::test]
async fn the_things_of_another_tenant_do_not_exist() {
    let app = SERVER.app(&product_binary());
    let (owner, stranger) = (app.client().account().await, app.client().account().await);
    let (ids, strangers) = (candidate_of(&owner).await, candidate_of(&stranger).await);
    app.settled().await;
    let history = async || {
        [app.events().of_tenant(owner.tenant()).await.len(), app.events().of_tenant(stranger.tenant()).await.len()]
    };
    let before = history().await;
    let evaluation = owner.evaluation(&ids["job_id"], &ids["candidate_id"]).await;
    for (method, path, _) in all().filter(|(_, _, reach)| *reach == Named) {
        let unknown: BTreeMap<&str, String> = ids.keys().map(|name| (*name, Uuid::now_v7().to_string())).collect();
        let mut pairs = vec![(ids.clone(), unknown.clone())];
        if path.contains("{candidate_id}") {
            // One's own job opens no door to another's candidate, nor the other way round.
            let mixed = |name: &'static str, id: &str| {
                let mut ids = strangers.clone();
                ids.insert(name, id.to_owned());
                ids
            };
            pairs.push((mixed("candidate_id", &ids["candidate_id"]), mixed("candidate_id", &unknown["candidate_id"])));
            pairs.push((mixed("job_id", &ids["job_id"]), mixed("job_id", &unknown["job_id"])));
        }
        for (foreign, unknown) in pairs {
            let answer = request(&stranger, method, path, &foreign).send().await;
            let nothing = request(&stranger, method, path, &unknown).send().await;
            nothing.problem(404, "not_found");
            assert_eq!(without_ids(&answer, &foreign), without_ids(&nothing, &unknown), "{method} {path}");
        }
    }
    assert_eq!(history().await, before, "somebody changed something");
    assert_eq!(owner.evaluation(&ids["job_id"], &ids["candidate_id"]).await, evaluation);
}

#[tokio::test]
async fn what_is_ones_own_is_never_anothers() {
    let app = SERVER.app(&product_binary());
    let (owner, stranger) = (app.client().account().await, app.client().account().await);
    let ids = candidate_of(&owner).await;
    for (method, path, _) in all().filter(|(method, _, reach)| *reach == Own && *method == "GET") {
        let answer = request(&stranger, method, path, &BTreeMap::new()).send().await;
        // Nobody can be asked what a plan costs here.
        let status = if path.ends_with("/preview") { 503 } else { 200 };
        let answer = answer.expect(status).text();
        for secret in ids.values().chain([&owner.email, &owner.tenant().to_string()]) {
            assert!(!answer.contains(secret.as_str()), "{method} {path} tells of another tenant: {answer}");
        }
    }
    assert_eq!(stranger.get("jobs").send().await.expect(200).json(), Value::Array(vec![]));
    assert_eq!(stranger.subscription().await["candidates_used_this_month"], 0);
    // A key that another tenant has used opens nothing of theirs.
    let resume = Resume::unique();
    let theirs = owner.upload(&ids["job_id"], &resume).key("one key").send().await.expect(200).json();
    let job = stranger.ready_job().await;
    let ours = stranger.upload(&job, &resume).key("one key").send().await.expect(200).json();
    assert_ne!(ours["candidate_id"], theirs["candidate_id"]);
    owner.settled_candidates(&ids["job_id"], 2).await;
}
