//! The embedded store: one file, one writer, readers beside it.

use std::{path::Path, time::Duration};

use sqlx::{
    AssertSqlSafe, Connection, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::Db;
use crate::ReadModelError;

const READERS: u32 = 4;
/// How long a writer waits for another process (an operator verb) to finish its transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/sqlite/0001_read_models.sql"),
    include_str!("../../migrations/sqlite/0002_hidden_text.sql"),
    include_str!("../../migrations/sqlite/0003_usage_entries.sql"),
];

impl Db {
    /// Opens the file of the embedded store, and creates or upgrades it. Not durable on every commit: a lost tail is
    /// projected again.
    pub(crate) async fn open_sqlite(path: &Path) -> Result<Self, ReadModelError> {
        Self::open(path, Schema::Upgrade).await
    }

    /// The same without upgrading: for who works beside a server that may be of an older version.
    pub(crate) async fn open_current_sqlite(path: &Path) -> Result<Self, ReadModelError> {
        Self::open(path, Schema::Current).await
    }

    async fn open(path: &Path, schema: Schema) -> Result<Self, ReadModelError> {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory).map_err(ReadModelError::Directory)?;
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(BUSY_TIMEOUT);
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .after_release(|connection, _| Box::pin(at_rest(connection)))
            .connect_with(options.clone())
            .await?;
        migrate(&writer, schema).await?;
        let readers = SqlitePoolOptions::new().max_connections(READERS).connect_with(options.read_only(true)).await?;
        Ok(Self::Sqlite { readers, writer })
    }
}

/// Whether the connection can be used again. SQLite ends a transaction by itself when the disk is full or fails; the
/// rollback that sqlx then sends is refused, and it would believe for ever that the transaction is still open.
async fn at_rest(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    if connection.is_in_transaction() {
        connection.ping().await?; // a rollback that was sent is carried out before this is answered
    }
    Ok(!connection.is_in_transaction())
}

/// What is done about the schema of an older version.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Schema {
    Upgrade,
    /// Nothing, since that version's server may still run: it is refused. A file that is new gets its schema.
    Current,
}

/// Brings the schema up to date; `user_version` counts the migrations that are in.
async fn migrate(writer: &SqlitePool, schema: Schema) -> Result<(), ReadModelError> {
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
    let (found,): (i64,) = sqlx::query_as("PRAGMA user_version").fetch_one(&mut *tx).await?;
    let done = usize::try_from(found).unwrap_or(usize::MAX);
    if done > MIGRATIONS.len() {
        return Err(ReadModelError::NewerFile { found, known: MIGRATIONS.len() });
    }
    if schema == Schema::Current && (1..MIGRATIONS.len()).contains(&done) {
        return Err(ReadModelError::OlderFile { found, known: MIGRATIONS.len() });
    }
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(done) {
        sqlx::raw_sql(*migration).execute(&mut *tx).await?;
        let mark = format!("PRAGMA user_version = {}", index + 1);
        sqlx::raw_sql(AssertSqlSafe(mark)).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ReadModels,
        contracts::{fixtures::*, log::Log},
        jobs::{Jobs, ListJobs},
    };

    fn temporary() -> std::path::PathBuf {
        std::env::temp_dir().join(format!("starscreen-projections-{}", uuid::Uuid::now_v7()))
    }

    #[tokio::test]
    async fn a_deleted_file_rebuilds_itself() {
        let (directory, log) = (temporary(), Log::of([(TENANT, JOB.0, job_created("Engineer"))]));
        let path = directory.join("read.db");
        for _ in 0..2 {
            let models = ReadModels::open(&path).await.unwrap();
            let running = start(&models, &log, None);
            until_seen(&models, "jobs", 1).await;
            assert_eq!(rows::<Jobs>(&models.db).await, expected::<Jobs>(&log));
            assert_eq!(models.jobs().list(TENANT, ListJobs::default()).await.unwrap().total, 1);
            drop(running);
            models.close().await;
            std::fs::remove_file(&path).unwrap();
        }
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[tokio::test]
    async fn a_file_of_a_newer_version_is_refused() {
        let directory = temporary();
        let path = directory.join("read.db");
        let Db::Sqlite { writer, .. } = Db::open_sqlite(&path).await.unwrap() else { unreachable!("it is a file") };
        sqlx::raw_sql("PRAGMA user_version = 99").execute(&writer).await.unwrap();
        writer.close().await;
        let refused = ReadModels::open(&path).await;
        assert!(matches!(refused, Err(ReadModelError::NewerFile { found: 99, .. })));
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[tokio::test]
    async fn a_file_of_an_older_version_is_left_to_its_server() {
        let directory = temporary();
        let path = directory.join("read.db");
        ReadModels::open_current(&path).await.unwrap().close().await;
        let Db::Sqlite { writer, .. } = Db::open_sqlite(&path).await.unwrap() else { unreachable!("it is a file") };
        sqlx::raw_sql("PRAGMA user_version = 1").execute(&writer).await.unwrap();
        writer.close().await;
        for _ in 0..2 {
            let refused = ReadModels::open_current(&path).await;
            assert!(matches!(refused, Err(ReadModelError::OlderFile { found: 1, .. })));
        }
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[tokio::test]
    async fn projectors_go_on_after_a_transaction_that_a_full_disk_has_ended() {
        let (directory, log) = (temporary(), Log::of([(TENANT, JOB.0, job_created("Engineer"))]));
        let models = ReadModels::open(&directory.join("read.db")).await.unwrap();
        let _running = start(&models, &log, None);
        until_seen(&models, "jobs", 1).await;
        let Db::Sqlite { writer, .. } = &models.db else { unreachable!("it is a file") };
        let mut ended = writer.begin_with("BEGIN IMMEDIATE").await.unwrap();
        sqlx::raw_sql("ROLLBACK").execute(&mut *ended).await.unwrap(); // as SQLite does by itself, unknown to sqlx
        drop(ended);
        log.add(TENANT, uuid::Uuid::now_v7(), job_created("Baker"));
        until_seen(&models, "jobs", 2).await;
        assert_eq!(rows::<Jobs>(&models.db).await, expected::<Jobs>(&log));
        std::fs::remove_dir_all(directory).unwrap();
    }
}
