//! The tests' own tool: what it promises to notice, it notices.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use sqlx::{Connection, SqliteConnection};
use starscreen_tests::{Home, Resume, TestApp};

use crate::product_binary;

async fn execute(database: &std::path::Path, sql: &'static str) {
    let mut connection = SqliteConnection::connect(&format!("sqlite:{}", database.display())).await.unwrap();
    sqlx::query(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

fn message(panic: Box<dyn std::any::Any + Send>) -> String {
    *panic.downcast::<String>().unwrap_or_else(|_| Box::new("no text".to_owned()))
}

#[tokio::test]
async fn a_work_item_that_nobody_does_fails_the_test_that_left_it() {
    let mut app = TestApp::start(&product_binary());
    app.settle_at_most(Duration::from_secs(1));
    let item = "INSERT INTO work (id, lane, urgent, tenant_id, subject, task, correlation_id, causation_id,
        created_at_ms, free_at_ms, attempts)
        VALUES (zeroblob(16), 'mail', 0, zeroblob(16), zeroblob(16), '\"send\"', zeroblob(16), zeroblob(16), 0, 0, 0)";
    execute(&app.home().data().join("write.db"), item).await;
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(app)));
    assert!(message(dropped.unwrap_err()).contains("1 work items: mail \"send\" waiting"));
}

#[tokio::test]
async fn an_event_that_is_set_aside_fails_the_test_that_left_it() {
    let mut app = TestApp::start(&product_binary());
    app.settle_at_most(Duration::from_secs(1));
    app.settled().await;
    execute(
        &app.home().data().join("read.db"),
        "INSERT INTO parked VALUES ('jobs', 1, zeroblob(16), 'JobCreated', '', 1)",
    )
    .await;
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(app)));
    let message = message(dropped.unwrap_err());
    assert!(message.contains("jobs is live at 0 of 0 with 1 events parked"), "{message}");
}

#[tokio::test]
async fn a_server_that_was_killed_is_found_again_by_clients_made_before() {
    let app = TestApp::start(&product_binary());
    let client = app.client();
    let account = client.account().await;
    app.kill();
    assert!(client.get("/health").try_send().await.is_err());
    app.start_again();
    assert_eq!(account.get("auth/me").send().await.expect(200).json(), account.user);
}

#[test]
fn a_wait_that_is_in_vain_tells_what_was_seen_last_and_the_log() {
    let app = TestApp::start(&product_binary());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut looks = 0;
    let waited = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(app.log().until_at_most(Duration::from_millis(100), "pigs fly", async || {
            looks += 1;
            Err::<(), _>(format!("look {looks}: they walk"))
        }));
    }));
    let message = message(waited.unwrap_err());
    assert!(
        message.contains("until pigs fly; last seen: look ") && message.contains("starscreen listens"),
        "{message}"
    );
    assert!(looks > 1);
}

#[test]
fn a_directory_is_gone_with_its_home() {
    let home = Home::new(&product_binary());
    let work = home.work();
    assert!(work.is_dir());
    drop(home);
    assert!(!work.exists());
}

#[test]
fn a_document_made_here_differs_from_every_other() {
    assert_ne!(Resume::unique().content, Resume::unique().content);
}
