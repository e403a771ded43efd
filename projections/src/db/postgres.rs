//! PostgreSQL: several processes, each acting in a role that may do no more than it has to.

use std::{fmt, sync::Arc, time::Duration};

use sea_query::{PostgresQueryBuilder, SelectStatement};
use sea_query_sqlx::SqlxBinder;
use sqlx::{
    AssertSqlSafe, Connection, FromRow, PgConnection, PgPool, PgTransaction,
    postgres::{PgConnectOptions, PgPoolOptions, PgRow},
};
use tokio::time::timeout;

use super::{Db, Scope};
use crate::{ReadModelError, schema};

/// A connection that lay idle this long is tried before it is used: the server may have been restarted.
const TRIED_AFTER_IDLE: Duration = Duration::from_secs(1);
/// Statements that a connection keeps prepared.
const MAX_PREPARED: usize = 256;

/// Where PostgreSQL is, and as whom to act there.
#[derive(Clone)]
pub struct PostgresOptions {
    /// `postgres://user:password@host:port/database`; its user has to be a member of the role.
    pub url: String,
    pub role: Role,
    /// Connections at most; who runs projectors takes one more.
    pub max_connections: u32,
}

/// Roles of the database, one for each kind of process. What each may touch is in the migrations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Reads, and sees the tenant that a transaction names and no other.
    Gateway,
    Projector,
    /// What a projector may, at an operator's leisure: rebuilds, replays, pauses.
    Operator,
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Self::Gateway => "starscreen_gateway",
            Self::Projector => "starscreen_projector",
            Self::Operator => "starscreen_operator",
        }
    }

    /// After this long without an answer the server is as good as down. Callers of the gateway are told so while they
    /// still listen.
    fn patience(self) -> Duration {
        match self {
            Self::Gateway => Duration::from_millis(1_500),
            Self::Projector | Self::Operator => Duration::from_secs(30),
        }
    }

    fn settings(self) -> [(&'static str, &'static str); 4] {
        match self {
            Self::Gateway => [
                ("statement_timeout", "2s"),
                ("lock_timeout", "2s"),
                ("idle_in_transaction_session_timeout", "5s"),
                ("synchronous_commit", "off"),
            ],
            Self::Projector => [
                ("statement_timeout", "60s"),
                ("lock_timeout", "10s"),
                // A process that was stopped in the middle of a transaction holds up who takes over.
                ("idle_in_transaction_session_timeout", "1s"),
                // A tail lost in a power cut is projected again: rows and checkpoint are lost together.
                ("synchronous_commit", "off"),
            ],
            Self::Operator => [
                ("statement_timeout", "15min"), // comparing and indexing large tables
                ("lock_timeout", "10s"),
                ("idle_in_transaction_session_timeout", "1s"),
                ("synchronous_commit", "on"), // a pause is the word of a person
            ],
        }
    }
}

impl PostgresOptions {
    fn connect_options(&self) -> Result<PgConnectOptions, sqlx::Error> {
        Ok(self
            .url
            .parse::<PgConnectOptions>()?
            .application_name(self.role.name())
            .statement_cache_capacity(MAX_PREPARED)
            .options([("search_path", "read"), ("role", self.role.name())])
            .options(self.role.settings()))
    }
}

impl Db {
    /// Connects to PostgreSQL. Never migrates: `starscreen migrate up` does.
    pub(crate) async fn open_postgres(options: &PostgresOptions) -> Result<Self, ReadModelError> {
        schema::check(&options.url).await?;
        let connect_options = options.connect_options()?;
        let pool = PgPoolOptions::new()
            .max_connections(options.max_connections)
            .acquire_timeout(options.role.patience())
            .test_before_acquire(false)
            .before_acquire(|connection, known| {
                Box::pin(async move {
                    if known.idle_for > TRIED_AFTER_IDLE {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_with(connect_options.clone())
            .await?;
        Ok(Self::Postgres(Server {
            pool,
            session: Session(Arc::new(connect_options)),
            patience: options.role.patience(),
        }))
    }
}

/// Connections to a server, all acting in one role.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pool: PgPool,
    session: Session,
    patience: Duration,
}

/// Rows of statements that were run together.
pub(crate) struct Answers(Vec<Vec<PgRow>>);

impl Answers {
    pub(crate) fn all<T: for<'r> FromRow<'r, PgRow>>(&self, statement: usize) -> Result<Vec<T>, sqlx::Error> {
        self.0[statement].iter().map(T::from_row).collect()
    }
}

impl Server {
    /// Runs `statements` in one transaction that sees what `scope` names.
    pub(crate) async fn read(&self, scope: Scope, statements: &[&SelectStatement]) -> Result<Answers, sqlx::Error> {
        let reading = async {
            // One text of two statements is one round trip.
            let begin = match scope {
                Scope::Tenant(tenant) => format!("BEGIN READ ONLY; SET LOCAL starscreen.tenant = '{tenant}'"),
                Scope::All => "BEGIN READ ONLY".to_owned(),
            };
            let mut tx = self.begin_with(begin).await?;
            let mut answers = Vec::with_capacity(statements.len());
            for statement in statements {
                let (sql, values) = statement.build_sqlx(PostgresQueryBuilder);
                answers.push(sqlx::query_with(AssertSqlSafe(sql), values).fetch_all(&mut *tx).await?);
            }
            tx.commit().await?;
            Ok(Answers(answers))
        };
        timeout(self.patience, reading).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    pub(crate) async fn begin(&self) -> Result<PgTransaction<'static>, sqlx::Error> {
        self.begin_with("BEGIN".to_owned()).await
    }

    /// In a task of its own: sqlx 0.9 forgets a transaction whose beginning is cut off, and the next who gets the
    /// connection finds himself in it.
    async fn begin_with(&self, text: String) -> Result<PgTransaction<'static>, sqlx::Error> {
        let pool = self.pool.clone();
        let begun = tokio::spawn(async move { pool.begin_with(AssertSqlSafe(text)).await });
        begun.await.map_err(|_| sqlx::Error::WorkerCrashed)?
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }
}

/// How to get a connection of one's own beside the pool.
#[derive(Clone)]
pub(crate) struct Session(Arc<PgConnectOptions>);

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session") // the options hold the password
    }
}

impl Session {
    /// A session that the server ends when it has heard nothing for `silence`.
    pub(crate) async fn start(&self, silence: Duration) -> Result<PgConnection, sqlx::Error> {
        let options = PgConnectOptions::clone(&self.0).options([("idle_session_timeout", silence.as_millis())]);
        PgConnection::connect_with(&options).await
    }
}

pub(super) async fn hold(tx: &mut PgTransaction<'static>, name: &str) -> Result<(), sqlx::Error> {
    let lock = sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))").bind(format!("read.hold.{name}"));
    lock.execute(&mut **tx).await?;
    Ok(())
}

/// Whether this session leads `name` from now on. A session that ends leads no more.
pub(crate) async fn try_to_lead(session: &mut PgConnection, name: &str) -> Result<bool, sqlx::Error> {
    let lock =
        sqlx::query_as("SELECT pg_try_advisory_lock(hashtextextended($1, 0))").bind(format!("read.leads.{name}"));
    let (leads,): (bool,) = lock.fetch_one(session).await?;
    Ok(leads)
}

pub(crate) async fn lead_no_more(session: &mut PgConnection, name: &str) -> Result<(), sqlx::Error> {
    let unlock = sqlx::query("SELECT pg_advisory_unlock(hashtextextended($1, 0))").bind(format!("read.leads.{name}"));
    unlock.execute(session).await?;
    Ok(())
}

pub(super) async fn may_idle(tx: &mut PgTransaction<'static>, at_most: Duration) -> Result<(), sqlx::Error> {
    let setting = format!("SET LOCAL idle_in_transaction_session_timeout = {}", at_most.as_millis());
    sqlx::raw_sql(AssertSqlSafe(setting)).execute(&mut **tx).await?;
    Ok(())
}

/// What only the tables' owner may do. Who logs in has to be a member of it, as of his other roles. Readers queue behind
/// a rename that waits, so it does not wait for long; longer than a vacuum takes to give way, which is a second.
pub(super) fn as_owner(statements: &str) -> String {
    format!("SET LOCAL lock_timeout = '2s'; SET LOCAL ROLE starscreen_owner; {statements} RESET ROLE")
}
