//! The schema on PostgreSQL: up and down, by whom it may be, and what a program says that meets another one.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use uuid::Uuid;

use super::{Store, fixtures::*, log::Log};
use crate::{PostgresOptions, ReadModelError, ReadModels, Role, jobs::Jobs, schema};

fn options(url: String) -> PostgresOptions {
    PostgresOptions { url, role: Role::Gateway, max_connections: 1 }
}

pub async fn up_and_down_and_up_again_and_everything_is_projected_anew(store: Store) {
    let (url, log) = (store.url(), Log::of([(TENANT, JOB.0, job_created("Engineer"))]));
    let all: Vec<&str> = schema::KNOWN.iter().map(|migration| migration.name).collect();
    let names = |migrations: Vec<schema::Migration>| -> Vec<&str> { migrations.iter().map(|one| one.name).collect() };
    for _ in 0..2 {
        let models = store.open().await;
        let running = start(&models, &log, None);
        until_seen(&models, "jobs", 1).await;
        assert_eq!(rows::<Jobs>(&models.db).await, expected::<Jobs>(&log));
        drop(running);
        models.close().await;
        let history = schema::history(&url).await.unwrap();
        assert_eq!(history.iter().map(|applied| applied.name.as_str()).collect::<Vec<_>>(), all);
        assert!(names(schema::up(&url).await.unwrap()).is_empty(), "nothing is brought in twice");
        assert_eq!(names(schema::down(&url, 99).await.unwrap()), all.iter().rev().copied().collect::<Vec<_>>());
        assert_eq!(schema::current(&url).await.unwrap(), 0);
        assert!(names(schema::down(&url, 1).await.unwrap()).is_empty());
        let refused = ReadModels::open_postgres(options(url.clone())).await.err().unwrap();
        assert!(matches!(refused, ReadModelError::OlderSchema { found: 0, .. }), "{refused:?}");
        assert!(refused.to_string().ends_with("run `starscreen migrate up`"));
        assert_eq!(names(schema::up(&url).await.unwrap()), all);
    }
}

pub async fn a_newer_schema_is_refused_by_all(store: Store) {
    store.sql("INSERT INTO schema_migrations (version, name) VALUES (99, '0099_of_next_year')").await;
    let refused = ReadModels::open_postgres(options(store.url())).await.err().unwrap();
    assert!(refused.to_string().contains("version 99") && refused.to_string().ends_with("update this program"));
    for refused in [schema::up(&store.url()).await, schema::down(&store.url(), 1).await] {
        assert!(matches!(refused, Err(ReadModelError::NewerSchema { found: 99, .. })));
    }
}

/// A fresh database, owned by a login that may create roles and nothing else, as a hosted server gives one.
pub async fn a_login_that_is_no_superuser_migrates_and_runs(store: Store) {
    let (login, database) =
        (format!("login_{}", Uuid::now_v7().simple()), format!("starscreen_{}", Uuid::now_v7().simple()));
    let mut admin = store.connect().await;
    for text in [
        format!("CREATE ROLE {login} LOGIN CREATEROLE PASSWORD 'secret'"),
        format!("CREATE DATABASE {database} OWNER {login}"),
    ] {
        admin.execute(AssertSqlSafe(text)).await.unwrap();
    }
    // The roles are there already, made by others: only who administers them can lend them.
    for role in ["owner", "gateway", "worker", "projector", "sequencer", "operator"] {
        admin.execute(AssertSqlSafe(format!("GRANT starscreen_{role} TO {login} WITH ADMIN OPTION"))).await.unwrap();
    }
    let url = with_login(&store.url(), &login, &database);
    let migrated = tokio::join!(schema::up(&url), schema::up(&url), schema::up(&url));
    let brought = [migrated.0, migrated.1, migrated.2].map(|one| one.unwrap().len());
    assert_eq!(brought.iter().sum::<usize>(), schema::KNOWN.len(), "one of three at once brings all in");
    let log = Log::of([(TENANT, JOB.0, job_created("Engineer"))]);
    let gateway = ReadModels::open_postgres(options(url.clone())).await.unwrap();
    let operator =
        gateway.open_postgres_beside(PostgresOptions { role: Role::Operator, ..options(url.clone()) }).await.unwrap();
    let from = source(&log);
    operator.rebuild_all(from.feed, from.opener, crate::RebuildOptions::default(), |_| {}).await.unwrap();
    assert!(gateway.jobs().exists(TENANT, JOB).await.unwrap());
    assert!(!gateway.jobs().exists(OTHER_TENANT, JOB).await.unwrap());
    gateway.close().await;
    operator.close().await;
    for text in [
        format!("DROP DATABASE {database} WITH (FORCE)"),
        format!("REASSIGN OWNED BY {login} TO CURRENT_USER"),
        format!("DROP OWNED BY {login}"),
        format!("DROP ROLE {login}"),
    ] {
        admin.execute(AssertSqlSafe(text)).await.unwrap();
    }
}

fn with_login(url: &str, login: &str, database: &str) -> String {
    let (_, place) = url.split_once("://").unwrap();
    let place = place.split_once('@').map_or(place, |(_, place)| place);
    let (host, _) = place.split_once('/').unwrap();
    format!("postgres://{login}:secret@{host}/{database}")
}

pub async fn databases_of_one_server_are_migrated_at_the_same_time(store: Store) {
    let mut admin = store.connect().await;
    let names: Vec<String> = (0..4).map(|_| format!("starscreen_{}", Uuid::now_v7().simple())).collect();
    for name in &names {
        admin.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
    }
    let base = store.url();
    let migrating: Vec<_> = names
        .iter()
        .map(|name| {
            let url = format!("{}/{name}", base.rsplit_once('/').unwrap().0);
            tokio::spawn(async move { schema::up(&url).await })
        })
        .collect();
    for migrated in migrating {
        assert_eq!(migrated.await.unwrap().unwrap().len(), schema::KNOWN.len());
    }
    for name in &names {
        admin.execute(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))).await.unwrap();
    }
    PgConnection::close(admin).await.unwrap();
}
