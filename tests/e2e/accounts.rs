//! Accounts: who may register, and how one signs in.

use futures::future::join_all;
use serde_json::{Value, json};
use starscreen_tests::{PASSWORD, Shared, TestApp};
use uuid::Uuid;

use crate::product_binary;

static SERVER: Shared = Shared::new();

fn address() -> String {
    format!("person-{}@example.com", Uuid::new_v4().simple())
}

#[tokio::test]
async fn a_registration_answers_the_user_and_tokens_that_work() {
    let app = SERVER.app(&product_binary());
    let email = address();
    let body = json!({ "email": email, "password": PASSWORD, "full_name": "  Robin Recruiter ", "company_name": "" });
    let answer = app.client().post("auth/register").json(&body).send().await.expect(201);
    assert_eq!(answer.header("cache-control"), "no-store");
    let answer = answer.json();
    assert_eq!(answer["token_type"], "bearer");
    let user = &answer["user"];
    assert_eq!(
        (&user["email"], &user["full_name"], &user["company_name"]),
        (&json!(email), &json!("Robin Recruiter"), &Value::Null)
    );
    assert_eq!(
        (&user["is_active"], &user["is_verified"], &user["is_admin"]),
        (&json!(true), &json!(false), &json!(false))
    );
    for id in ["id", "tenant_id"] {
        assert_eq!(user[id].as_str().unwrap().parse::<Uuid>().unwrap().get_version_num(), 7);
    }
    assert!(user["created_at"].as_str().unwrap().ends_with('Z'), "{user}");
    let account = app.client().with_bearer(answer["access_token"].as_str().unwrap());
    assert_eq!(&account.get("auth/me").send().await.expect(200).json(), user);
    let subscription = account.get("subscriptions/current").send().await.expect(200).json();
    assert_eq!(
        (&subscription["plan"], &subscription["status"], &subscription["monthly_candidate_limit"]),
        (&json!("free"), &json!("active"), &json!(5))
    );
    assert!(subscription["current_period_end"].as_i64().unwrap() > 1_700_000_000_000, "{subscription}");
}

#[tokio::test]
async fn an_address_is_registered_once_however_it_is_written() {
    let app = SERVER.app(&product_binary());
    let account = app.client().account().await;
    for email in [account.email.clone(), account.email.to_uppercase(), format!("  {} ", account.email)] {
        let body = json!({ "email": email, "password": PASSWORD });
        let refused = app.client().post("auth/register").json(&body).send().await;
        assert_eq!(refused.problem(400, "email_taken"), "Email already registered");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_eight_who_register_one_address_at_once_one_gets_it() {
    let app = SERVER.app(&product_binary());
    let body = json!({ "email": address(), "password": PASSWORD });
    let calls = (0..8).map(|_| tokio::spawn(app.client().post("auth/register").json(&body).send()));
    let answers = join_all(calls).await;
    let mut statuses: Vec<u16> = answers.into_iter().map(|answer| answer.unwrap().status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 400, 400, 400, 400, 400, 400, 400]);
}

/// A hash takes 19 MiB. They are of the moment, and go back to the system.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_memory_of_password_hashes_is_given_back() {
    let app = TestApp::start(&product_binary());
    app.settled().await;
    let before = app.memory_kb("VmRSS");
    join_all((0..12).map(|_| async { app.client().account().await })).await;
    app.settled().await;
    let kept = app.memory_kb("VmRSS").saturating_sub(before);
    assert!(kept < 16 << 10, "{kept} kB more than before");
}

#[tokio::test]
async fn a_weak_password_or_a_wrong_address_is_refused_by_name() {
    let app = SERVER.app(&product_binary());
    for (email, password, field, sentence) in [
        ("not an address", PASSWORD, "email", "email: is not a valid email address"),
        ("a@b", PASSWORD, "email", "email: is not a valid email address"),
        ("a@example.com", "Sh0rt!", "password", "password: password must have at least 8 characters"),
        ("a@example.com", "ALL-UPPER-7", "password", "password: password must have a lower-case letter"),
        ("a@example.com", "all-lower-7", "password", "password: password must have an upper-case letter"),
        ("a@example.com", "No-Digits-Here!", "password", "password: password must have a digit"),
        ("a@example.com", "NoSpecial77", "password", "password: password must have one of !@#$%^&*(),.?\":{}|<>"),
    ] {
        let body = json!({ "email": email, "password": password });
        let refused = app.client().post("auth/register").json(&body).send().await;
        assert_eq!(refused.problem(422, "invalid_request"), sentence);
        assert_eq!(refused.json()["errors"][0]["loc"], json!(["body", field]));
    }
}

#[tokio::test]
async fn every_character_of_a_long_password_counts() {
    let app = SERVER.app(&product_binary());
    let client = app.client();
    let (email, password) = (address(), format!("Aa1!{}", "x".repeat(200)));
    client.post("auth/register").json(&json!({ "email": email, "password": password })).send().await.expect(201);
    let login = |password: &str| client.post("auth/login").json(&json!({ "username": email, "password": password }));
    login(&password).send().await.expect(200);
    let almost = format!("{}y", &password[..password.len() - 1]); // the same in its first 72 bytes, where bcrypt stops
    login(&almost).send().await.problem(401, "incorrect_login");
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_address_are_answered_alike() {
    let app = SERVER.app(&product_binary());
    let account = app.client().account().await;
    for (email, password) in [(account.email.as_str(), "Wrong-Horse-7"), ("nobody@example.com", PASSWORD), ("", "")] {
        let body = json!({ "username": email, "password": password });
        let refused = app.client().post("auth/login").json(&body).send().await;
        assert_eq!(refused.problem(401, "incorrect_login"), "Incorrect email or password");
        assert_eq!(refused.header("www-authenticate"), "Bearer");
    }
}

#[tokio::test]
async fn a_refresh_gives_new_tokens_and_leaves_the_old_ones() {
    let app = SERVER.app(&product_binary());
    let account = app.client().account().await;
    let body = json!({ "refresh_token": account.refresh_token });
    let refreshed = app.client().post("auth/refresh").json(&body).send().await.expect(200).json();
    assert_eq!(refreshed["user"], Value::Null);
    assert_ne!(refreshed["access_token"], account.access_token.as_str());
    let renewed = account.with_bearer(refreshed["access_token"].as_str().unwrap());
    assert_eq!(renewed.get("auth/me").send().await.expect(200).json(), account.user);
    account.get("auth/me").send().await.expect(200);
    let body = json!({ "refresh_token": refreshed["refresh_token"] });
    app.client().post("auth/refresh").json(&body).send().await.expect(200);
}

#[tokio::test]
async fn an_account_is_there_after_a_restart_and_its_tokens_stay_good() {
    let app = starscreen_tests::TestApp::start(&product_binary());
    let account = app.client().account().await;
    app.stop();
    app.start_again();
    assert_eq!(account.get("auth/me").send().await.expect(200).json(), account.user);
    let body = json!({ "username": account.email, "password": PASSWORD });
    app.client().post("auth/login").json(&body).send().await.expect(200);
}
