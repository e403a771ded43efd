//! The main job, from registration to a ranked list with its evidence, on real files.

use serde_json::{Value, json};
use starscreen_tests::{Account, Form, PASSWORD, Resume, Shared, TestApp};
use uuid::Uuid;

use crate::product_binary;

static SERVER: Shared = Shared::new();

const TITLE: &str = "Platform engineer";
const DESCRIPTION: &str = "We run our own platform and look for an engineer who keeps it fast.\n\
    Requirements:\n\
    - several years of experience with Rust and Python\n\
    - PostgreSQL and AWS in production\n\
    - React for the occasional dashboard\n\
    Nice to have: a degree in computer science.\n\
    You will review code, mentor colleagues and be on call.";

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().unwrap_or_else(|| panic!("no list: {value}")).iter().map(|text| text.as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_recruiter_reads_a_ranked_list_with_evidence() {
    let app = SERVER.app(&product_binary());
    let client = app.client();
    let email = format!("Robin-{}@Example.com", Uuid::new_v4().simple());
    let account = client.register(&email).await;

    check_sign_in(&account).await;

    // Describes a job and gets a rubric.
    let job = account.create_job(TITLE, DESCRIPTION).await;
    let described = account.until_job_is(&job, "COMPLETED").await;
    assert_eq!((&described["title"], &described["description"]), (&json!(TITLE), &json!(DESCRIPTION)));
    let rubric = &described["job_config"];
    assert!(rubric["model"].as_str().unwrap().starts_with("offline-"), "{rubric}");
    let categories = rubric["categories"].as_array().unwrap_or_else(|| panic!("no categories: {rubric}"));
    assert!((4..=8).contains(&categories.len()), "{rubric}");
    for category in categories {
        assert!((1..=5).contains(&category["importance"].as_u64().unwrap()), "{category}");
        assert!(!category["description"].as_str().unwrap().is_empty(), "{category}");
        assert!(!texts(&category["examples_of_evidence"]).is_empty(), "{category}");
    }

    // Uploads resumes. p00 holds every skill of the job, p11 one of them; what was given of a person stays.
    let given =
        Form::of(&Resume::fixture("p11_header.docx")).field("first_name", "Given").field("email", "given@example.com");
    let (strong_pdf, strong_docx) = (
        account.take_in(&job, &Resume::fixture("p00_two_column.pdf")).await,
        account.take_in(&job, &Resume::fixture("p00_plain.docx")).await,
    );
    let accepted = account.post(&format!("jobs/{job}/candidates/upload")).form(&given).send().await.expect(200).json();
    assert_eq!((&accepted["status"], &accepted["job_id"]), (&json!("UPLOADED"), &json!(job)));
    let message = accepted["message"].as_str().unwrap();
    assert!(message.ends_with("(2 candidates remaining this month)"), "{message}");
    assert!(accepted["task_id"].as_str().unwrap().parse::<Uuid>().is_ok());
    let weak = accepted["candidate_id"].as_str().unwrap().to_owned();
    for candidate in [&strong_pdf, &strong_docx, &weak] {
        account.until_candidate_is(&job, candidate, "SCORED").await;
    }

    // Reads the ranking.
    let ranking = account.get(&format!("jobs/{job}/candidates")).send().await.expect(200);
    assert_eq!(ranking.header("x-total-count"), "3");
    let ranking = ranking.json();
    let scores: Vec<f64> = ranking.as_array().unwrap().iter().map(|row| row["score"].as_f64().unwrap()).collect();
    assert!(scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
    assert!(scores.iter().all(|score| (0.0..=100.0).contains(score)), "{scores:?}");
    let last = ranking.as_array().unwrap().last().unwrap();
    assert_eq!(last["id"], json!(weak), "the resume without the skills is not ranked below: {ranking}");
    assert!(scores[1] > scores[2] + 10.0, "{scores:?}");
    assert_eq!((&last["first_name"], &last["email"]), (&json!("Given"), &json!("given@example.com")));
    let first = account.candidate(&job, &strong_pdf).await;
    assert_eq!((&first["first_name"], &first["last_name"]), (&json!("Chris"), &json!("Curtis")));
    assert_eq!(first["email"], "person0@example.com");
    assert_eq!(first["original_filename"], "p00_two_column.pdf");
    assert_eq!(first["phone"].as_str().unwrap().replace(['-', ' '], ""), "+15550100");

    // Filters it.
    let filtered = async |name: &str, value: &str| {
        let answer = account.get(&format!("jobs/{job}/candidates")).query(name, value).send().await.expect(200).json();
        answer.as_array().unwrap().len()
    };
    assert_eq!((filtered("status", "SCORED").await, filtered("status", "FAILED").await), (3, 0));
    let between = format!("{:.1}", f64::midpoint(scores[1], scores[2]));
    assert_eq!((filtered("min_score", &between).await, filtered("max_score", &between).await), (2, 1));

    // Reads why, by either name.
    let evaluation = account.evaluation(&job, &strong_pdf).await;
    let alias = account.get(&format!("jobs/{job}/candidates/{strong_pdf}/analysis")).send().await.expect(200).json();
    assert_eq!(alias, evaluation);
    assert_eq!(evaluation["match_score"], first_row(&ranking, &strong_pdf)["score"]);
    assert!(evaluation["model"].as_str().unwrap().starts_with("offline-"), "{evaluation}");
    assert_eq!(evaluation["rubric_version"], 1);
    assert!(!evaluation["summary"].as_str().unwrap().is_empty());
    assert!(texts(&evaluation["pros"]).len() >= 3 && texts(&evaluation["cons"]).len() >= 3, "{evaluation}");
    assert_eq!(texts(&evaluation["interview_questions"]).len(), 3);
    assert_eq!(evaluation["category_scores"].as_object().unwrap().len(), categories.len());
    check_arithmetic(&evaluation);
    let quotes = check_quotes(&evaluation, first["resume_text"].as_str().unwrap());
    assert!(quotes >= 3, "{quotes} quotes in {evaluation}");

    // Downloads what was uploaded, to the byte.
    let file = account.get(&format!("jobs/{job}/candidates/{strong_pdf}/file")).send().await.expect(200);
    assert_eq!(file.header("content-type"), "application/pdf");
    assert_eq!(
        file.header("content-disposition"),
        "attachment; filename=\"p00_two_column.pdf\"; filename*=UTF-8''p00_two_column.pdf"
    );
    assert!(file.body == Resume::fixture("p00_two_column.pdf").content, "the file differs from the one uploaded");

    // Deletes a candidate: gone at once, everywhere, and its slot stays used.
    account.delete(&format!("jobs/{job}/candidates/{weak}")).send().await.expect(204);
    let gone = format!("Candidate {weak} not found for job {job}");
    for what in ["", "/file", "/evaluation", "/analysis"] {
        let answer = account.get(&format!("jobs/{job}/candidates/{weak}{what}")).send().await;
        assert_eq!(answer.problem(404, "not_found"), gone);
    }
    let again = account.delete(&format!("jobs/{job}/candidates/{weak}")).send().await;
    assert_eq!(again.problem(404, "not_found"), gone);
    assert_eq!(account.candidates(&job).await.len(), 2);
    let subscription = account.subscription().await;
    assert_eq!(subscription["plan"], "free");
    assert_eq!(
        (&subscription["candidates_used_this_month"], &subscription["remaining_candidates"]),
        (&json!(3), &json!(2))
    );
    assert_eq!(subscription["usage_percentage"], 60.0);
}

/// Signs in: by JSON under either name, and by the form that Swagger's Authorize sends.
async fn check_sign_in(account: &Account) {
    let client = account.nobody();
    for name in ["username", "email"] {
        let answer = client.post("auth/login").json(&json!({ name: account.email, "password": PASSWORD })).send().await;
        let answer = answer.expect(200).json();
        assert_eq!(answer["token_type"], "bearer");
        assert_eq!(answer["user"], account.user);
    }
    let email = account.email.to_lowercase(); // the address is one, however it is written
    let form =
        format!("grant_type=password&username={}&password={}", email.replace('@', "%40"), PASSWORD.replace('!', "%21"));
    let signed_in = client.post("auth/login").body("application/x-www-form-urlencoded", form).send().await;
    let account_by_form = client.with_bearer(signed_in.expect(200).json()["access_token"].as_str().unwrap());
    let me = account_by_form.get("auth/me").send().await.expect(200).json();
    assert_eq!(me, account.user);
    assert_eq!((&me["full_name"], &me["company_name"]), (&json!("Robin Recruiter"), &json!("Example Ltd")));
}

fn first_row<'a>(list: &'a Value, id: &str) -> &'a Value {
    list.as_array().unwrap().iter().find(|row| row["id"] == id).unwrap()
}

/// The total is the mean of the categories by importance, to one decimal.
fn check_arithmetic(evaluation: &Value) {
    let (mut sum, mut weights) = (0, 0);
    for entry in evaluation["category_scores"].as_object().unwrap().values() {
        if let Some(score) = entry["score"].as_u64() {
            let importance = entry["importance"].as_u64().unwrap();
            sum += score * importance;
            weights += importance;
        }
    }
    let tenths = (sum * 20 / weights).div_ceil(2); // half up
    let total = evaluation["match_score"].as_f64().unwrap();
    assert!((total * 10.0 - f64::from(u32::try_from(tenths).unwrap())).abs() < 1e-6, "{tenths} tenths, not {total}");
}

/// Every quote stands in the text where it says it does; answers how many there are.
fn check_quotes(evaluation: &Value, resume_text: &str) -> usize {
    let text: Vec<char> = resume_text.chars().collect();
    let mut quotes = 0;
    for (name, entry) in evaluation["category_scores"].as_object().unwrap() {
        assert!(!entry["reasoning"].as_str().unwrap().is_empty(), "{name} has no reasoning");
        for evidence in entry["evidence"].as_array().unwrap() {
            let at = |end: &str| usize::try_from(evidence[end].as_u64().unwrap()).unwrap();
            let slice: String = text[at("start")..at("end")].iter().collect();
            assert_eq!(evidence["quote"], slice, "{name}");
            quotes += 1;
        }
    }
    quotes
}

#[tokio::test]
async fn a_file_without_readable_text_fails_with_advice_and_frees_its_slot() {
    let app = SERVER.app(&product_binary());
    let account = app.client().account().await;
    let job = account.ready_job().await;
    for (file, advice) in [
        ("legacy.doc", "This is a Word document in the old .doc format. Save it as .docx or PDF and upload it again."),
        ("password.pdf", "This file is protected by a password. Remove the password and upload it again."),
        (
            "scanned_image_only.pdf",
            "This file holds pictures of pages and no text. Upload the original document, or a scan with the text typed out.",
        ),
        (
            "truncated.pdf",
            "This file is damaged or incomplete. Export it again as PDF or DOCX and upload the new file.",
        ),
    ] {
        let candidate = account.take_in(&job, &Resume::fixture(file)).await;
        let failed = account.until_candidate_is(&job, &candidate, "FAILED").await;
        assert_eq!(failed["error_message"], advice, "{file}");
        assert_eq!((&failed["score"], &failed["resume_text"]), (&Value::Null, &Value::Null), "{file}");
        account.until_used(0).await;
        let evaluation = account.get(&format!("jobs/{job}/candidates/{candidate}/evaluation")).send().await;
        assert_eq!(evaluation.problem(404, "not_found"), format!("Evaluation not found for candidate {candidate}"));
        account.get(&format!("jobs/{job}/candidates/{candidate}/file")).send().await.expect(200);
    }
    assert_eq!(account.subscription().await["remaining_candidates"], 5);
}

#[tokio::test]
async fn a_resume_that_comes_before_its_rubric_is_scored_all_the_same() {
    let app = SERVER.app(&product_binary());
    let account = app.client().account().await;
    let job = account.create_job(TITLE, DESCRIPTION).await;
    let candidate = account.take_in(&job, &Resume::unique()).await;
    account.until_candidate_is(&job, &candidate, "SCORED").await;
}

#[tokio::test]
async fn every_path_answers_with_and_without_a_slash_at_its_end() {
    let app = SERVER.app(&product_binary());
    let account = app.client().account().await;
    let body = json!({ "title": TITLE, "description": DESCRIPTION });
    let job = account.post("jobs/").json(&body).send().await.expect(201).json()["job_id"].as_str().unwrap().to_owned();
    let candidate = account.post(&format!("jobs/{job}/candidates/upload/")).form(&Form::of(&Resume::unique()));
    let candidate = candidate.send().await.expect(200).json()["candidate_id"].as_str().unwrap().to_owned();
    // The path that the former documentation gave.
    let other = account.post(&format!("jobs/{job}/candidates/")).form(&Form::of(&Resume::unique()));
    other.send().await.expect(200);
    account.until_candidate_is(&job, &candidate, "SCORED").await;
    account.settled_candidates(&job, 2).await;
    for path in [
        "jobs".to_owned(),
        format!("jobs/{job}"),
        format!("jobs/{job}/candidates"),
        format!("jobs/{job}/candidates/{candidate}"),
        format!("jobs/{job}/candidates/{candidate}/file"),
        format!("jobs/{job}/candidates/{candidate}/evaluation"),
        "auth/me".to_owned(),
        "subscriptions/current".to_owned(),
    ] {
        let plain = account.get(&path).send().await.expect(200);
        let slashed = account.get(&format!("{path}/")).send().await.expect(200);
        assert!(plain.body == slashed.body, "{path}");
    }
    let one = account.get("jobs/").query("limit", "1").send().await.expect(200).json();
    assert_eq!(one.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn health_is_told_to_everybody_at_both_places() {
    let app = SERVER.app(&product_binary());
    for path in ["/health", "health"] {
        let health = app.client().get(path).send().await.expect(200).json();
        assert_eq!(health["status"], "healthy");
        assert!(health["timestamp"].as_str().unwrap().ends_with('Z'), "{health}");
    }
}

#[tokio::test]
async fn the_documentation_is_served_and_needs_no_network() {
    let app = SERVER.app(&product_binary());
    let client = app.client();
    assert_eq!(client.get("/").send().await.header("location"), "/docs/");
    let page = client.get("/docs/").send().await.expect(200);
    assert!(page.header("content-type").starts_with("text/html"));
    let (mut seen, page) = (0, page.text());
    let is_file = |part: &&str| matches!(part.rsplit_once('.'), Some((_, "js" | "css")));
    for part in page.split(['"', '\'']).filter(is_file) {
        assert!(!part.contains("//"), "{part} comes from another host");
        client.get(&format!("/docs/{}", part.trim_start_matches("./"))).send().await.expect(200);
        seen += 1;
    }
    assert!(seen >= 2, "no scripts in {page}");
    let document = client.get("/openapi.json").send().await.expect(200).json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    assert_eq!(client.get("openapi.json").send().await.expect(200).json(), document);
}

#[tokio::test]
async fn only_pages_of_known_origins_may_call() {
    let origins = "https://app.example.com,http://localhost:3000";
    let app = TestApp::start_with(&product_binary(), &[("BACKEND_CORS_ORIGINS", origins)]);
    let client = app.client();
    let preflight = async |origin: &str| {
        let call = client.call(&reqwest::Method::OPTIONS, "jobs").header("origin", origin);
        let call = call.header("access-control-request-method", "POST");
        call.header("access-control-request-headers", "authorization,content-type,idempotency-key").send().await
    };
    let known = preflight("http://localhost:3000").await.expect(200);
    assert_eq!(known.header("access-control-allow-origin"), "http://localhost:3000");
    assert_eq!(known.header("access-control-allow-credentials"), "true");
    assert!(known.header("access-control-allow-methods").contains("POST"));
    assert!(known.header("access-control-allow-headers").contains("authorization"));
    assert_eq!(preflight("https://evil.example").await.header("access-control-allow-origin"), "");
    let answer = client.get("/health").header("origin", "https://app.example.com").send().await.expect(200);
    assert_eq!(answer.header("access-control-allow-origin"), "https://app.example.com");
    assert!(answer.header("access-control-expose-headers").contains("x-total-count"));
    // An error is readable by the page too.
    let refused = client.get("jobs").header("origin", "https://app.example.com").send().await.expect(401);
    assert_eq!(refused.header("access-control-allow-origin"), "https://app.example.com");
}
