//! The embedded store: one file, one writer, durable on every commit.

use std::{path::Path, time::Duration};

use sqlx::{
    AssertSqlSafe, Connection, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{Db, OpenError};

/// Readers beside the one writer.
const MAX_READERS: u32 = 6;
/// How long a writer waits for another process (an operator verb) to finish its transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Statements a connection keeps prepared: the writer has one for each number of rows.
const MAX_PREPARED: usize = 256;

const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/sqlite/0001_write.sql"),
    include_str!("../../migrations/sqlite/0002_operations.sql"),
    include_str!("../../migrations/sqlite/0003_history.sql"),
    include_str!("../../migrations/sqlite/0004_outages.sql"),
    include_str!("../../migrations/sqlite/0005_due_work.sql"),
    include_str!("../../migrations/sqlite/0006_receipts_end.sql"),
];

impl Db {
    /// Opens (and creates or upgrades) the file of the embedded store, durable on every commit.
    ///
    /// # Errors
    /// When the file cannot be opened, or was written by a newer version of this program.
    pub async fn open_sqlite(path: &Path) -> Result<Self, OpenError> {
        Self::open(path, Schema::Upgrade).await
    }

    /// The same without upgrading: for who works beside a server that may be of an older version.
    ///
    /// # Errors
    /// As [`Db::open_sqlite`], and when the file was written by an older version.
    pub async fn open_current_sqlite(path: &Path) -> Result<Self, OpenError> {
        Self::open(path, Schema::Current).await
    }

    async fn open(path: &Path, schema: Schema) -> Result<Self, OpenError> {
        // Connections live as long as the pool: reopened ones would have to prepare every statement again. They are not
        // tried before use: a file does not hang up.
        let pool = || SqlitePoolOptions::new().idle_timeout(None).max_lifetime(None).test_before_acquire(false);
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            .statement_cache_capacity(MAX_PREPARED);
        let writer = pool()
            .max_connections(1)
            .after_release(|connection, _| Box::pin(at_rest(connection)))
            .connect_with(options.clone())
            .await?;
        migrate(&writer, schema).await?;
        let readers = pool().max_connections(MAX_READERS).connect_with(options.read_only(true)).await?;
        Ok(Self::Sqlite { readers, writer })
    }
}

/// Whether the connection can be used again. `SQLite` ends a transaction by itself when the disk is full or fails; the
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
async fn migrate(writer: &SqlitePool, schema: Schema) -> Result<(), OpenError> {
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
    let (found,): (i64,) = sqlx::query_as("PRAGMA user_version").fetch_one(&mut *tx).await?;
    let done = usize::try_from(found).unwrap_or(usize::MAX);
    if done > MIGRATIONS.len() {
        return Err(OpenError::TooNew { found, known: MIGRATIONS.len() });
    }
    if schema == Schema::Current && (1..MIGRATIONS.len()).contains(&done) {
        return Err(OpenError::OlderFile { found, known: MIGRATIONS.len() });
    }
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(done) {
        sqlx::raw_sql(*migration).execute(&mut *tx).await?;
        let mark = format!("PRAGMA user_version = {}", index + 1);
        sqlx::raw_sql(AssertSqlSafe(mark)).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    Ok(())
}
