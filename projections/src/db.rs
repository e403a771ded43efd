//! The read side's database handle: statements are built by sea-query, this file alone knows the back end.

use std::{path::Path, time::Duration};

use sea_query::{SelectStatement, SqliteQueryBuilder};
use sea_query_sqlx::SqlxBinder;
use sqlx::{
    AssertSqlSafe, FromRow, Sqlite, SqlitePool, Transaction,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};

use crate::ReadModelError;

const READERS: u32 = 4;
/// How long a writer waits for another process (an operator verb) to finish its transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
const MIGRATIONS: &[&str] =
    &[include_str!("../migrations/0001_read_models.sql"), include_str!("../migrations/0002_hidden_text.sql")];

/// SQLite takes 32,766 parameters in a statement, PostgreSQL 65,535.
pub(crate) const MAX_PARAMETERS: usize = 32_766;

/// Where the read side keeps its tables.
#[derive(Clone, Debug)]
pub(crate) enum Db {
    Sqlite {
        readers: SqlitePool,
        /// One connection: SQLite has one writer at a time anyway, and waiting here is fair and cheap.
        writer: SqlitePool,
    },
}

/// A write transaction. Dropping it rolls back.
pub(crate) enum Tx {
    Sqlite(Transaction<'static, Sqlite>),
}

/// A row that every back end can give.
pub trait Loaded: for<'r> FromRow<'r, SqliteRow> + Send + Unpin {}

impl<T: for<'r> FromRow<'r, SqliteRow> + Send + Unpin> Loaded for T {}

/// Whether a statement's text will come again and is worth keeping prepared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Text {
    Repeated,
    Once,
}

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
        let writer = SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await?;
        migrate(&writer, schema).await?;
        let readers = SqlitePoolOptions::new().max_connections(READERS).connect_with(options.read_only(true)).await?;
        Ok(Self::Sqlite { readers, writer })
    }

    pub(crate) async fn all<T: Loaded>(&self, statement: &SelectStatement) -> Result<Vec<T>, sqlx::Error> {
        match self {
            Self::Sqlite { readers, .. } => {
                let (sql, values) = statement.build_sqlx(SqliteQueryBuilder);
                sqlx::query_as_with(AssertSqlSafe(sql), values).fetch_all(readers).await
            }
        }
    }

    pub(crate) async fn first<T: Loaded>(&self, statement: &SelectStatement) -> Result<Option<T>, sqlx::Error> {
        match self {
            Self::Sqlite { readers, .. } => {
                let (sql, values) = statement.build_sqlx(SqliteQueryBuilder);
                sqlx::query_as_with(AssertSqlSafe(sql), values).fetch_optional(readers).await
            }
        }
    }

    /// Begins a write transaction; waits for the writers before it.
    pub(crate) async fn begin(&self) -> Result<Tx, sqlx::Error> {
        match self {
            Self::Sqlite { writer, .. } => Ok(Tx::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?)),
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite { readers, writer } => {
                readers.close().await;
                writer.close().await;
            }
        }
    }
}

impl Tx {
    pub(crate) async fn all<T: Loaded>(
        &mut self,
        statement: &SelectStatement,
        text: Text,
    ) -> Result<Vec<T>, sqlx::Error> {
        match self {
            Self::Sqlite(tx) => {
                let (sql, values) = statement.build_sqlx(SqliteQueryBuilder);
                let query = sqlx::query_as_with(AssertSqlSafe(sql), values).persistent(text == Text::Repeated);
                query.fetch_all(&mut **tx).await
            }
        }
    }

    /// Runs a statement and counts the rows it touched.
    pub(crate) async fn run(&mut self, statement: &impl SqlxBinder, text: Text) -> Result<u64, sqlx::Error> {
        match self {
            Self::Sqlite(tx) => {
                let (sql, values) = statement.build_sqlx(SqliteQueryBuilder);
                let query = sqlx::query_with(AssertSqlSafe(sql), values).persistent(text == Text::Repeated);
                Ok(query.execute(&mut **tx).await?.rows_affected())
            }
        }
    }

    /// `ALTER TABLE … RENAME`: instant however large the table, inside the transaction on every back end.
    pub(crate) async fn rename_table(&mut self, from: &str, to: &str) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(tx) => {
                let sql = format!("ALTER TABLE \"{from}\" RENAME TO \"{to}\"");
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut **tx).await?;
                Ok(())
            }
        }
    }

    pub(crate) async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(tx) => tx.commit().await,
        }
    }
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
        return Err(ReadModelError::NewerSchema { found, known: MIGRATIONS.len() });
    }
    if schema == Schema::Current && (1..MIGRATIONS.len()).contains(&done) {
        return Err(ReadModelError::OlderSchema { found, known: MIGRATIONS.len() });
    }
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(done) {
        sqlx::raw_sql(*migration).execute(&mut *tx).await?;
        let mark = format!("PRAGMA user_version = {}", index + 1);
        sqlx::raw_sql(AssertSqlSafe(mark)).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    Ok(())
}
