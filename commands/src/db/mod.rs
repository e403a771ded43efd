//! The write side's database handle: one SQL text for every back end, chosen at run time.
//!
//! Statements are fixed texts with `$n` parameters that `SQLite` and `PostgreSQL` both read; this module is the only
//! one that knows which of them is behind it.

mod postgres;
mod sqlite;

use std::{collections::BTreeSet, time::Duration};

use sea_query::{Value, Values};
use sea_query_sqlx::SqlxValues;
use sqlx::{
    AssertSqlSafe, FromRow, PgPool, Postgres, Sqlite, SqlitePool, Transaction, postgres::PgRow, sqlite::SqliteRow,
};
use starscreen_domain::TenantId;

use postgres::within;
pub use postgres::{PostgresOptions, Role};

/// Where the write side keeps its tables.
#[derive(Clone)]
pub enum Db {
    Sqlite {
        readers: SqlitePool,
        /// One connection: `SQLite` has one writer at a time anyway, and waiting here is fair and cheap.
        writer: SqlitePool,
    },
    Postgres {
        pool: PgPool,
        role: Role,
    },
}

/// Whose rows a statement may meet. PostgreSQL holds the gateway to it; other roles cross tenants by their nature.
#[derive(Clone, Debug)]
pub enum Scope {
    /// Rows of these tenants, and claims, which belong to none.
    Tenants(BTreeSet<TenantId>),
    All,
}

impl Scope {
    pub fn of(tenant: TenantId) -> Self {
        Self::Tenants(BTreeSet::from([tenant]))
    }
}

impl From<Option<TenantId>> for Scope {
    fn from(tenant: Option<TenantId>) -> Self {
        Self::Tenants(tenant.into_iter().collect())
    }
}

/// A write transaction. Dropping it rolls back.
pub enum Tx {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres { tx: Transaction<'static, Postgres>, patience: Duration },
}

/// A row that every back end can give.
pub trait Row: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

impl<T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin> Row for T {}

impl Db {
    /// # Errors
    /// When the database cannot be read.
    pub async fn fetch<T: Row>(
        &self,
        scope: Scope,
        sql: &'static str,
        values: Vec<Value>,
    ) -> Result<Vec<T>, sqlx::Error> {
        match self {
            Self::Sqlite { readers, .. } => {
                sqlx::query_as_with(sql, SqlxValues(Values(values))).fetch_all(readers).await
            }
            Self::Postgres { pool, role } if role.crosses_tenants() => {
                within(role.patience(), sqlx::query_as_with(sql, SqlxValues(Values(values))).fetch_all(pool)).await
            }
            Self::Postgres { .. } => {
                let mut tx = self.begin(scope).await?;
                let rows = tx.fetch(sql, values).await?;
                tx.commit().await?;
                Ok(rows)
            }
        }
    }

    /// Begins a write transaction; on `SQLite` it waits for the writers before it.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn begin(&self, scope: Scope) -> Result<Tx, sqlx::Error> {
        match self {
            Self::Sqlite { writer, .. } => Ok(Tx::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?)),
            Self::Postgres { pool, role } => {
                let begin = AssertSqlSafe(postgres::begin_text(*role, &scope));
                let patience = role.patience();
                Ok(Tx::Postgres { tx: postgres::begin(pool, begin, patience).await?, patience })
            }
        }
    }

    /// Whether positions are given by the append itself, and not by the sequencer afterwards.
    pub fn gives_positions(&self) -> bool {
        matches!(self, Self::Sqlite { .. })
    }

    pub async fn close(&self) {
        match self {
            Self::Sqlite { readers, writer } => {
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres { pool, .. } => pool.close().await,
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
            Self::Postgres { tx, patience } => {
                let statement = sqlx::query_as_with(AssertSqlSafe(sql), SqlxValues(Values(values)));
                within(*patience, statement.fetch_all(&mut **tx)).await
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
            Self::Postgres { tx, patience } => {
                let statement = sqlx::query_with(AssertSqlSafe(sql), SqlxValues(Values(values)));
                Ok(within(*patience, statement.execute(&mut **tx)).await?.rows_affected())
            }
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
            let places = match self {
                Self::Sqlite(_) => question_marks(columns.len(), chunk.len()),
                Self::Postgres { .. } => postgres::numbered(columns, chunk.len()),
            };
            let sql = format!("INSERT INTO {table} ({}) VALUES {places}", columns.join(", "));
            self.execute(&sql, chunk.into_iter().flatten().collect()).await?;
        }
        Ok(())
    }

    /// Returns when the transaction is on disk.
    ///
    /// # Errors
    /// When it could not be made durable, or, on a server that does not answer, perhaps was.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(tx) => tx.commit().await,
            Self::Postgres { tx, patience } => within(patience, tx.commit()).await,
        }
    }
}

/// `?` and not `$n`: `SQLite` looks a name up among all before it, so that a statement of thousands would take seconds.
fn question_marks(columns: usize, rows: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(", "));
    vec![row.as_str(); rows].join(", ")
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the write store cannot be opened")]
    Database(#[from] sqlx::Error),
    #[error("the write store was written by a newer version (schema {found}, this program knows {known})")]
    TooNew { found: i64, known: usize },
    #[error(
        "the write store's schema is older (schema {found}, this program needs {known}); run `starscreen migrate up`"
    )]
    TooOld { found: i64, known: usize },
    #[error(
        "the write store is of an older version (schema {found}, this program knows {known}); \
         start this version's server, which brings it up to date"
    )]
    OlderFile { found: i64, known: usize },
}
