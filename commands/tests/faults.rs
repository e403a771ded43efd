//! What the embedded store does when the machine fails it: an error, never a panic, and it goes on afterwards.

#![expect(clippy::unwrap_used, reason = "not only the tests themselves, also what they share")]

use std::time::Duration;

use sqlx::SqlitePool;
use starscreen_commands::{
    CommandError,
    append::{Append, AppendError, Place},
    contracts::{
        Store,
        append::{event, work},
        stage::{self, assert_gapless, at_once},
    },
    db::Db,
    job,
};
use starscreen_domain::{
    JobId, TenantId,
    work::{Lane, Task},
};
use uuid::Uuid;

fn writer(store: &Store) -> SqlitePool {
    match &store.db {
        Db::Sqlite { writer, .. } => writer.clone(),
        Db::Postgres { .. } => unreachable!("these stores are embedded"),
    }
}

async fn pragma(store: &Store, text: &'static str) {
    sqlx::raw_sql(text).execute(&writer(store)).await.unwrap();
}

fn large() -> Append {
    let tenant = TenantId(Uuid::now_v7());
    let mut event = event(tenant, Uuid::now_v7(), 1);
    event.metadata = event.metadata.replace("contract@1", &"x".repeat(100_000));
    Append { events: vec![event], work: vec![work(tenant, Task::ExtractText, false)], ..Append::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_an_error_and_the_writer_goes_on_when_there_is_room() {
    let store = Store::sqlite().await;
    pragma(&store, "PRAGMA max_page_count = 200").await; // 800 KB
    let outcomes = at_once(40, |_| {
        let writer = store.writer.clone();
        async move { writer.append(large()).await }
    })
    .await;
    for outcome in outcomes.iter().filter(|outcome| outcome.is_err()) {
        assert!(matches!(outcome, Err(AppendError::Unavailable(_))), "{outcome:?}");
    }
    let mut stored = outcomes.iter().filter(|outcome| outcome.is_ok()).count() as u64;
    let refused = loop {
        match store.writer.append(large()).await {
            Ok(_) => stored += 1,
            Err(refused) => break refused,
        }
        assert!(stored < 40, "the disk is never full");
    };
    assert!(matches!(refused, AppendError::Unavailable(_)), "{refused:?}");
    assert_eq!(store.log.head().await.unwrap(), stored);

    pragma(&store, "PRAGMA max_page_count = 1000000").await; // somebody made room

    assert_eq!(store.writer.append(large()).await.unwrap(), Place::At(stored + 1));
    assert_gapless(&store.log).await;
    let claimed = store.queue.claim(Lane::Extract, 100, Duration::from_mins(1)).await.unwrap();
    assert_eq!(claimed.len() as u64, stored + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_database_is_an_error_and_the_writer_goes_on_afterwards() {
    let store = Store::sqlite().await;
    let tenant = stage::tenant(&store, Some(5)).await;
    let job = stage::job(&store, &tenant).await;
    let head = store.log.head().await.unwrap();
    pragma(&store, "PRAGMA query_only = 1").await;

    let outcomes = at_once(20, |_| {
        let bus = store.bus.clone();
        async move { job::create(&bus, tenant.context(), JobId(Uuid::now_v7()), stage::create_job("Engineer")).await }
    })
    .await;
    for outcome in outcomes {
        assert!(matches!(outcome, Err(CommandError::Unavailable(_))), "{outcome:?}");
    }
    assert!(store.queue.claim(Lane::Rubric, 1, Duration::from_mins(1)).await.is_err());
    assert_eq!(store.log.head().await.unwrap(), head, "what is there can be read");

    pragma(&store, "PRAGMA query_only = 0").await;

    assert_eq!(store.queue.claim(Lane::Rubric, 1, Duration::from_mins(1)).await.unwrap().len(), 1);
    stage::upload(&store.bus, &tenant, job).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_cut_by_its_caller_leaves_the_connection_usable() {
    let store = Store::sqlite().await;
    for _ in 0..50 {
        let cut = tokio::spawn({
            let queue = store.queue.clone();
            async move { queue.end_all_leases().await }
        });
        tokio::task::yield_now().await;
        cut.abort();
    }
    store.writer.append(large()).await.unwrap();
}

#[tokio::test]
async fn a_store_of_a_newer_program_is_refused() {
    let store = Store::sqlite().await;
    pragma(&store, "PRAGMA user_version = 99").await;
    let path = store.path().unwrap();
    let refused = starscreen_commands::WriteSide::open(&path, "test@1").await;
    assert!(refused.is_err_and(|error| error.to_string().contains("schema 99")));
}

/// Its server may still run, and could not start again.
#[tokio::test]
async fn a_store_of_an_older_program_is_left_to_its_server() {
    let store = Store::sqlite().await;
    let path = store.path().unwrap();
    starscreen_commands::WriteSide::open_current(&path, "test@1").await.unwrap().close().await;
    pragma(&store, "PRAGMA user_version = 1").await;
    for _ in 0..2 {
        let refused = starscreen_commands::WriteSide::open_current(&path, "test@1").await;
        assert!(refused.is_err_and(|error| error.to_string().contains("older version (schema 1")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_opens_again_where_it_was_closed() {
    let store = Store::sqlite().await;
    let tenant = stage::tenant(&store, Some(5)).await;
    let head = store.log.head().await.unwrap();
    store.close().await;
    assert!(matches!(store.writer.append(large()).await, Err(AppendError::Stopped)));

    let again = store.beside().await;
    assert_eq!(*again.writer.head().borrow(), head);
    stage::job(&again, &tenant).await;
    assert_eq!(again.log.head().await.unwrap(), head + 1);
    again.close().await;
}
