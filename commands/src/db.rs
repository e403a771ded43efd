//! The write side's database handle: one SQL text for every back end, chosen at run time.
//!
//! Statements are fixed texts with `$n` parameters that `SQLite` and `PostgreSQL` both read; this file is the only one
//! that knows which of them is behind it.

use std::{path::Path, time::Duration};

use sea_query::{Value, Values};
use sea_query_sqlx::SqlxValues;
use sqlx::{
    AssertSqlSafe, Connection, FromRow, Sqlite, SqliteConnection, SqlitePool, Transaction,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};

/// Readers beside the one writer.
const MAX_READERS: u32 = 6;
/// How long a writer waits for another process (an operator verb) to finish its transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Statements a connection keeps prepared: the writer has one for each number of rows.
const MAX_PREPARED: usize = 256;

const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/0001_write.sql"),
    include_str!("../migrations/0002_operations.sql"),
    include_str!("../migrations/0003_outages.sql"),
];

/// Where the write side keeps its tables.
#[derive(Clone)]
pub enum Db {
    Sqlite {
        readers: SqlitePool,
        /// One connection: `SQLite` has one writer at a time anyway, and waiting here is fair and cheap.
        writer: SqlitePool,
    },
}

/// A write transaction. Dropping it rolls back.
pub enum Tx {
    Sqlite(Transaction<'static, Sqlite>),
}

/// A row that every back end can give.
pub trait Row: for<'r> FromRow<'r, SqliteRow> + Send + Unpin {}

impl<T: for<'r> FromRow<'r, SqliteRow> + Send + Unpin> Row for T {}

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

    /// # Errors
    /// When the database cannot be read.
    pub async fn fetch<T: Row>(&self, sql: &'static str, values: Vec<Value>) -> Result<Vec<T>, sqlx::Error> {
        match self {
            Self::Sqlite { readers, .. } => {
                sqlx::query_as_with(sql, SqlxValues(Values(values))).fetch_all(readers).await
            }
        }
    }

    /// Begins a write transaction; waits for the writers before it.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn begin(&self) -> Result<Tx, sqlx::Error> {
        match self {
            Self::Sqlite { writer, .. } => Ok(Tx::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?)),
        }
    }

    pub async fn close(&self) {
        match self {
            Self::Sqlite { readers, writer } => {
                readers.close().await;
                writer.close().await;
            }
        }
    }
}

impl Tx {
    /// # Errors
    /// When the database cannot be read.
    pub async fn fetch<T: Row>(&mut self, sql: &str, values: Vec<Value>) -> Result<Vec<T>, sqlx::Error> {
        match self {
            Self::Sqlite(tx) => {
                sqlx::query_as_with(AssertSqlSafe(sql), SqlxValues(Values(values))).fetch_all(&mut **tx).await
            }
        }
    }

    /// Runs a statement and counts the rows it touched.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn execute(&mut self, sql: &str, values: Vec<Value>) -> Result<u64, sqlx::Error> {
        match self {
            Self::Sqlite(tx) => Ok(sqlx::query_with(AssertSqlSafe(sql), SqlxValues(Values(values)))
                .execute(&mut **tx)
                .await?
                .rows_affected()),
        }
    }

    /// Inserts rows of equal width as few statements as the bind limit allows.
    ///
    /// # Errors
    /// When the database refuses one of them.
    pub async fn insert(&mut self, table: &str, columns: &[&str], rows: Vec<Vec<Value>>) -> Result<(), sqlx::Error> {
        const MAX_BINDS: usize = 32_000; // SQLite takes 32,766, PostgreSQL 65,535
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let chunk: Vec<Vec<Value>> = rows.by_ref().take(MAX_BINDS / columns.len()).collect();
            let sql = insert_text(table, columns, chunk.len());
            self.execute(&sql, chunk.into_iter().flatten().collect()).await?;
        }
        Ok(())
    }

    /// Returns when the transaction is on disk.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(tx) => tx.commit().await,
        }
    }
}

/// `?` and not `$n`: `SQLite` looks a name up among all before it, so that a statement of thousands would take seconds.
fn insert_text(table: &str, columns: &[&str], rows: usize) -> String {
    let row = format!("({})", vec!["?"; columns.len()].join(", "));
    format!("INSERT INTO {table} ({}) VALUES {}", columns.join(", "), vec![row.as_str(); rows].join(", "))
}

/// Whether the connection can be used again. `SQLite` ends a transaction by itself when the disk is full or fails; the
/// rollback that sqlx then sends is refused, and it would believe for ever that the transaction is still open.
async fn at_rest(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    if connection.is_in_transaction() {
        connection.ping().await?; // a rollback that was sent is carried out before this is answered
    }
    Ok(!connection.is_in_transaction())
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the write store cannot be opened")]
    Database(#[from] sqlx::Error),
    #[error("the write store was written by a newer version (schema {found}, this program knows {known})")]
    TooNew { found: i64, known: usize },
    #[error(
        "the write store is of an older version (schema {found}, this program knows {known}); \
         start this version's server, which brings it up to date"
    )]
    TooOld { found: i64, known: usize },
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
        return Err(OpenError::TooOld { found, known: MIGRATIONS.len() });
    }
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(done) {
        sqlx::raw_sql(*migration).execute(&mut *tx).await?;
        let mark = format!("PRAGMA user_version = {}", index + 1);
        sqlx::raw_sql(AssertSqlSafe(mark)).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    Ok(())
}
