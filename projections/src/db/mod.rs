//! The read side's database handle: statements are built by sea-query, this module alone knows the back end.

mod postgres;
mod sqlite;

pub use postgres::{PostgresOptions, Role};
pub(crate) use postgres::{Server, Session, lead_no_more, try_to_lead};

use std::time::Duration;

use sea_query::{PostgresQueryBuilder, SelectStatement, SqliteQueryBuilder};
use sea_query_sqlx::SqlxBinder;
use sqlx::{
    AssertSqlSafe, FromRow, Postgres, Sqlite, SqlitePool, Transaction, postgres::PgRow, raw_sql, sqlite::SqliteRow,
};
use starscreen_domain::TenantId;

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
    Postgres(Server),
}

/// A write transaction. Dropping it rolls back.
pub(crate) enum Tx {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

/// Whose rows a read may see. PostgreSQL holds the gateway to it, whatever the statement says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scope {
    Tenant(TenantId),
    /// What belongs to no tenant, or what the role may see anyway.
    All,
}

/// A row that every back end can give.
pub trait Loaded: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

impl<T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin> Loaded for T {}

/// Whether a statement's text will come again and is worth keeping prepared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Text {
    Repeated,
    Once,
}

impl Db {
    pub(crate) async fn all<T: Loaded>(
        &self,
        scope: Scope,
        statement: &SelectStatement,
    ) -> Result<Vec<T>, sqlx::Error> {
        match self {
            Self::Sqlite { readers, .. } => {
                let (sql, values) = statement.build_sqlx(SqliteQueryBuilder);
                sqlx::query_as_with(AssertSqlSafe(sql), values).fetch_all(readers).await
            }
            Self::Postgres(server) => server.read(scope, &[statement]).await?.all(0),
        }
    }

    pub(crate) async fn first<T: Loaded>(
        &self,
        scope: Scope,
        statement: &SelectStatement,
    ) -> Result<Option<T>, sqlx::Error> {
        Ok(self.all(scope, statement).await?.into_iter().next())
    }

    /// The number that `count` gives, and the rows of `statement`.
    pub(crate) async fn counted<T: Loaded>(
        &self,
        scope: Scope,
        count: &SelectStatement,
        statement: &SelectStatement,
    ) -> Result<(u64, Vec<T>), sqlx::Error> {
        let (total, rows): (Vec<(i64,)>, Vec<T>) = match self {
            Self::Sqlite { .. } => (self.all(scope, count).await?, self.all(scope, statement).await?),
            Self::Postgres(server) => {
                let answers = server.read(scope, &[count, statement]).await?;
                (answers.all(0)?, answers.all(1)?)
            }
        };
        Ok((total.first().map_or(0, |(total,)| total.unsigned_abs()), rows))
    }

    /// Begins a write transaction. SQLite: after the writers before it. PostgreSQL: beside them, see [`Tx::hold`].
    pub(crate) async fn begin(&self) -> Result<Tx, sqlx::Error> {
        match self {
            Self::Sqlite { writer, .. } => Ok(Tx::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?)),
            Self::Postgres(server) => Ok(Tx::Postgres(server.begin().await?)),
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite { readers, writer } => {
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres(server) => server.close().await,
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
            Self::Postgres(tx) => {
                let (sql, values) = statement.build_sqlx(PostgresQueryBuilder);
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
            Self::Postgres(tx) => {
                let (sql, values) = statement.build_sqlx(PostgresQueryBuilder);
                let query = sqlx::query_with(AssertSqlSafe(sql), values).persistent(text == Text::Repeated);
                Ok(query.execute(&mut **tx).await?.rows_affected())
            }
        }
    }

    /// Nobody else gets past this with the same name until the transaction ends, even where there is no row to lock.
    /// On SQLite every write transaction is alone from its beginning.
    pub(crate) async fn hold(&mut self, name: &str) -> Result<(), sqlx::Error> {
        if let Self::Postgres(tx) = self {
            postgres::hold(tx, name).await?;
        }
        Ok(())
    }

    /// Lets the transaction wait for something else than the database, which by itself it may not for long: its locks
    /// hold up others.
    pub(crate) async fn may_idle(&mut self, at_most: Duration) -> Result<(), sqlx::Error> {
        if let Self::Postgres(tx) = self {
            postgres::may_idle(tx, at_most).await?;
        }
        Ok(())
    }

    /// Takes all rows out at once, however many.
    pub(crate) async fn empty(&mut self, table: &str) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(tx) => {
                raw_sql(AssertSqlSafe(format!("DELETE FROM \"{table}\""))).execute(&mut **tx).await?;
            }
            Self::Postgres(tx) => {
                // Making a new file of an empty one would cost every start a few milliseconds.
                let empty = format!(
                    "DO $$ BEGIN IF EXISTS (SELECT FROM \"{table}\") THEN TRUNCATE \"{table}\"; END IF; END $$"
                );
                raw_sql(AssertSqlSafe(empty)).execute(&mut **tx).await?;
            }
        }
        Ok(())
    }

    /// Gives two tables each other's names: instant however large they are, inside the transaction on every back end.
    pub(crate) async fn swap_tables(&mut self, one: &str, other: &str) -> Result<(), sqlx::Error> {
        let renames = format!(
            "ALTER TABLE \"{one}\" RENAME TO \"{one}__old\";
             ALTER TABLE \"{other}\" RENAME TO \"{one}\";
             ALTER TABLE \"{one}__old\" RENAME TO \"{other}\";"
        );
        match self {
            Self::Sqlite(tx) => {
                raw_sql(AssertSqlSafe(renames)).execute(&mut **tx).await?;
            }
            Self::Postgres(tx) => {
                raw_sql(AssertSqlSafe(postgres::as_owner(&renames))).execute(&mut **tx).await?;
            }
        }
        Ok(())
    }

    pub(crate) async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(tx) => tx.commit().await,
            Self::Postgres(tx) => tx.commit().await,
        }
    }
}

/// Whether a statement gave up because others held what it needed.
pub(crate) fn gave_up_waiting(error: &sqlx::Error) -> bool {
    const LOCK_NOT_AVAILABLE: &str = "55P03";
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == LOCK_NOT_AVAILABLE)
}
