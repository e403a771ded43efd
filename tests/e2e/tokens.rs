//! Tokens: only one that is ours, whole, in force and for this use opens anything.

use serde_json::json;
use starscreen_tests::{Shared, TestApp};

use crate::product_binary;

static SERVER: Shared = Shared::new();

/// The token with one character of a part changed to another that is allowed there.
fn tampered(token: &str, part: usize) -> String {
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    let middle = parts[part].len() / 2;
    let other = if &parts[part][middle..=middle] == "A" { "B" } else { "A" };
    parts[part].replace_range(middle..=middle, other);
    parts.join(".")
}

#[tokio::test]
async fn without_a_token_one_is_not_authenticated() {
    let app = SERVER.app(&product_binary());
    let client = app.client();
    let missing = client.get("auth/me").send().await;
    assert_eq!(missing.problem(401, "not_authenticated"), "Not authenticated");
    assert_eq!(missing.header("www-authenticate"), "Bearer");
    for header in ["Basic dXNlcjpwYXNz", "Bearer", "Bearer ", "token"] {
        let refused = client.get("auth/me").header("authorization", header).send().await;
        assert_eq!(refused.problem(401, "not_authenticated"), "Not authenticated", "{header}");
    }
}

#[tokio::test]
async fn a_refresh_token_is_never_an_access_token_nor_the_other_way_round() {
    let app = SERVER.app(&product_binary());
    let account = app.client().account().await;
    for path in ["auth/me", "jobs", "subscriptions/current"] {
        let refused = app.client().with_bearer(&account.refresh_token).get(path).send().await;
        assert_eq!(refused.problem(401, "invalid_token"), "Could not validate credentials");
    }
    let body = json!({ "refresh_token": account.access_token });
    let refused = app.client().post("auth/refresh").json(&body).send().await;
    assert_eq!(refused.problem(401, "invalid_token"), "Invalid or expired refresh token");
}

#[tokio::test]
async fn a_token_that_was_changed_is_refused_wherever_it_was_changed() {
    let app = SERVER.app(&product_binary());
    let account = app.client().account().await;
    let unsigned = account.access_token.rsplit_once('.').unwrap().0;
    // {"alg":"none"}
    let none = format!("eyJhbGciOiJub25lIn0.{}.", unsigned.split_once('.').unwrap().1);
    let mut wrong: Vec<String> = (0..3).map(|part| tampered(&account.access_token, part)).collect();
    wrong.extend([format!("{unsigned}."), unsigned.to_owned(), none, "x".repeat(10_000)]);
    for token in wrong {
        let refused = app.client().with_bearer(&token).get("auth/me").send().await;
        assert_eq!(refused.problem(401, "invalid_token"), "Could not validate credentials", "{token}");
        assert_eq!(refused.header("www-authenticate"), "Bearer");
        let body = json!({ "refresh_token": token });
        let refused = app.client().post("auth/refresh").json(&body).send().await;
        assert_eq!(refused.problem(401, "invalid_token"), "Invalid or expired refresh token", "{token}");
    }
    account.get("auth/me").send().await.expect(200);
}

#[tokio::test]
async fn a_token_of_another_installation_opens_nothing() {
    let (app, other) = (SERVER.app(&product_binary()), TestApp::start(&product_binary()));
    let account = other.client().account().await;
    let refused = app.client().with_bearer(&account.access_token).get("auth/me").send().await;
    refused.problem(401, "invalid_token");
}
