//! Every answer that is an error: a problem with a sentence to act on and a page that explains it.

use std::collections::BTreeSet;

use serde_json::json;
use starscreen_tests::{Account, Call, Client, DECLINED_CARD, Form, PASSWORD, Resume, Shared, fixtures};
use uuid::Uuid;

use crate::{billing::Shop, product_binary};

static SERVER: Shared = Shared::new();

/// Problems that a caller cannot bring about: the server's own, and a race that it settles by itself.
const NOT_ON_DEMAND: &[&str] = &["conflict", "internal", "unavailable"];

fn pages() -> BTreeSet<String> {
    let folder = fixtures().join("../../docs/errors");
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    files.map(|file| file.unwrap().file_name().into_string().unwrap().replace(".md", "")).collect()
}

#[tokio::test]
async fn every_error_is_a_problem_with_its_status_and_sentence() {
    let shop = Shop::open_with(&[("STRIPE_GRACE_DAYS", "0")]);
    let app = &shop.app;
    let account = app.client().account().await;
    let job = account.ready_job().await;
    let taken = account.upload(&job, &Resume::unique()).key("taken");
    taken.send().await.expect(200);
    let nobody = account.nobody();
    let unknown = Uuid::now_v7();
    let large = Resume::new("large.pdf", [b"%PDF-1.7\n".as_slice(), &vec![b' '; 10 * 1024 * 1024]].concat());
    let register = |email: &str| nobody.post("auth/register").json(&json!({ "email": email, "password": PASSWORD }));
    let upload = |form: Form| account.post(&format!("jobs/{job}/candidates/upload")).form(&form);
    let file = |name: &str, content: &[u8]| upload(Form::of(&Resume::new(name, content.to_vec())));
    let cases: Vec<(Call, u16, &str, String)> = vec![
        (nobody.get("auth/me"), 401, "not_authenticated", "Not authenticated".into()),
        (account.with_bearer("x").get("auth/me"), 401, "invalid_token", "Could not validate credentials".into()),
        (
            nobody.post("auth/login").json(&json!({ "username": account.email, "password": "Wrong-Horse-7" })),
            401,
            "incorrect_login",
            "Incorrect email or password".into(),
        ),
        (register(&account.email), 400, "email_taken", "Email already registered".into()),
        (register("nobody"), 422, "invalid_request", "email: is not a valid email address".into()),
        (account.get(&format!("jobs/{unknown}")), 404, "not_found", "Job not found".into()),
        (
            account.get(&format!("jobs/{job}/candidates/{unknown}")),
            404,
            "not_found",
            format!("Candidate {unknown} not found for job {job}"),
        ),
        (account.upload(&unknown.to_string(), &Resume::unique()), 404, "not_found", format!("Job {unknown} not found")),
        (
            nobody.get("/nothing/here"),
            404,
            "not_found",
            "There is nothing at this path. The interface is described at /docs.".into(),
        ),
        (
            account.delete("jobs"),
            405,
            "method_not_allowed",
            "This path does not take this method. See /docs for those it does.".into(),
        ),
        (
            upload(Form::of(&Resume::new("notes.txt", b"text".to_vec()))),
            400,
            "unsupported_file",
            "Only PDF, DOC, and DOCX files are supported. Received: text/plain".into(),
        ),
        (
            upload(Form::of(&Resume::fixture("not_a_pdf.pdf"))),
            400,
            "unsupported_file",
            "The file is named .pdf, but its content is neither PDF nor Word. Save the resume as PDF or DOCX and upload \
             it again."
                .into(),
        ),
        (
            upload(Form::of(&Resume::fixture("pdf_named.docx"))),
            400,
            "unsupported_file",
            "The file is named .docx, but its content is a PDF. Save the resume as PDF or DOCX and upload it again.".into(),
        ),
        (upload(Form::of(&Resume::fixture("empty.pdf"))), 400, "unsupported_file", "The file is empty.".into()),
        (file("archive.zip", b"PK\x03\x04"), 400, "unsupported_file", "Only PDF, DOC, and DOCX files are supported. Received: text/plain".into()),
        (upload(Form::of(&large)), 413, "file_too_large", "The file is too large. A resume may have at most 10 MB.".into()),
        (upload(Form::new().field("first_name", "Alex")), 422, "invalid_request", "file: is required".into()),
        (
            upload(Form::of(&Resume::unique()).field("first_name", &"x".repeat(201))),
            422,
            "invalid_request",
            "first_name: must have at most 200 characters".into(),
        ),
        (
            account.upload(&job, &Resume::unique()).key("taken"),
            422,
            "idempotency_key_reused",
            "This Idempotency-Key was used for another request. Use a new key for a new request.".into(),
        ),
    ];
    let mut seen = BTreeSet::new();
    for (call, status, code, sentence) in cases {
        let answer = call.send().await;
        assert_eq!(answer.problem(status, code), sentence);
        seen.insert(code.to_owned());
    }
    for _ in 0..4 {
        account.take_in(&job, &Resume::unique()).await;
    }
    let exhausted = account.upload(&job, &Resume::unique()).send().await.problem(402, "quota_exhausted");
    assert_eq!(
        exhausted,
        "Monthly candidate limit reached (5/5). Please upgrade your plan or wait for next billing cycle."
    );
    seen.insert("quota_exhausted".to_owned());

    seen.extend(of_payments(&shop, &account, &nobody).await.map(str::to_owned));
    seen.extend(NOT_ON_DEMAND.iter().map(|code| (*code).to_owned()));
    assert_eq!(seen, pages(), "each problem needs a case here and a page in docs/errors");
}

/// What is refused where somebody pays, or does not.
async fn of_payments(shop: &Shop, account: &Account, nobody: &Client) -> [&'static str; 4] {
    let order = |card: &str| json!({ "tier": "starter", "payment_method_id": card });
    let declined = account.post("subscriptions/create").json(&order(DECLINED_CARD)).send().await;
    assert_eq!(declined.problem(400, "payment_declined"), "Your card was declined.");
    let invalid = account.post("subscriptions/upgrade").query("new_tier", "gold").send().await;
    assert_eq!(invalid.problem(400, "invalid_plan"), "Invalid tier: gold");
    let unsigned = nobody.post("webhooks/stripe").body("application/json", "{}").send().await;
    assert_eq!(unsigned.problem(400, "invalid_webhook"), "Missing Stripe signature");
    let debtor = shop.subscriber("starter").await;
    shop.stripe.set_status(&shop.subscription_of(&debtor), "past_due");
    shop.deliver().await;
    shop.until(&debtor, |seen| seen["status"] == "past_due").await;
    let unpaid = debtor.post("jobs").json(&json!({ "title": "Engineer", "description": "Builds services in Rust" }));
    let sentence = unpaid.send().await.problem(402, "payment_required");
    assert_eq!(sentence, "Subscription is past_due. Please update your payment method.");
    ["payment_declined", "invalid_plan", "invalid_webhook", "payment_required"]
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_and_said_where() {
    let app = SERVER.app(&product_binary());
    let account = app.client().account().await;
    let json = "application/json";
    for call in [
        account.post("jobs").body(json, "{"),
        account.post("jobs").body(json, "[]"),
        account.post("jobs").body(json, r#"{"title": "No description"}"#),
        account.post("jobs").body("text/plain", "{}"),
        account.post("auth/login").body(json, "{}"),
        account.post("auth/login").body("application/x-www-form-urlencoded", "username=only"),
        account.post("auth/refresh").body(json, "{}"),
        account.get("jobs/17"),
        account.get("jobs/not-an-id/candidates"),
        account.put("jobs/17").body(json, "{}"),
        account.get(&format!("jobs/{}/candidates/17/file", Uuid::now_v7())),
        account.post(&format!("jobs/{}/candidates/upload", Uuid::now_v7())).body(json, "{}"),
    ] {
        let answer = call.send().await;
        let sentence = answer.problem(422, "invalid_request");
        assert!(!sentence.is_empty());
        let place = answer.json()["errors"][0]["loc"][0].clone();
        assert!([json!("body"), json!("path")].contains(&place), "{}", answer.text());
    }
}

#[tokio::test]
async fn every_type_leads_to_a_page_that_says_what_to_do() {
    let app = SERVER.app(&product_binary());
    for code in pages() {
        let page = app.client().get(&format!("/errors/{code}")).send().await.expect(200);
        assert!(page.header("content-type").starts_with("text/markdown"));
        assert!(page.text().contains("## What to do"), "{code}");
    }
    app.client().get("/errors/no_such_problem").send().await.problem(404, "not_found");
}

#[tokio::test]
async fn an_answer_never_says_more_than_it_should() {
    let app = SERVER.app(&product_binary());
    let answer = app.client().get("auth/me").send().await;
    for (name, value) in
        [("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer"), ("x-frame-options", "DENY")]
    {
        assert_eq!(answer.header(name), value);
    }
    assert_eq!(answer.header("server"), "");
}
