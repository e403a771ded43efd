//! PostgreSQL: many processes, each acting in a role that may do no more than it has to.

use std::{fmt::Write, time::Duration};

use sqlx::{
    AssertSqlSafe, Connection, PgPool, Postgres, Transaction,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use super::{Db, OpenError, Scope};
use crate::schema;

/// Longest wait for a free connection.
const ACQUIRE_WITHIN: Duration = Duration::from_millis(1_300);
/// A connection that lay idle this long is tried before it is used: the server may have been restarted.
const TRIED_AFTER_IDLE: Duration = Duration::from_secs(1);
/// Statements a connection keeps prepared.
const MAX_PREPARED: usize = 256;

/// Where PostgreSQL is, and as whom to act there.
#[derive(Clone)]
pub struct PostgresOptions {
    /// `postgres://user:password@host:port/database`; its user has to be a member of the role.
    pub url: String,
    pub role: Role,
    /// Connections at most.
    pub max_connections: u32,
}

/// Roles of the database, one for each kind of process. What each may touch is in the migrations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Sees the tenants that a transaction names, and no others.
    Gateway,
    Worker,
    Projector,
    Sequencer,
    Operator,
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Self::Gateway => "starscreen_gateway",
            Self::Worker => "starscreen_worker",
            Self::Projector => "starscreen_projector",
            Self::Sequencer => "starscreen_sequencer",
            Self::Operator => "starscreen_operator",
        }
    }

    pub(crate) fn crosses_tenants(self) -> bool {
        self != Self::Gateway
    }

    /// A server that does not answer within this time is as good as down. Callers of the gateway are told so while they
    /// still listen.
    pub(super) fn patience(self) -> Duration {
        match self {
            Self::Gateway => Duration::from_millis(1_500),
            Self::Worker | Self::Projector | Self::Sequencer | Self::Operator => Duration::from_secs(30),
        }
    }
}

impl PostgresOptions {
    /// Settings of a session that acts in the role.
    pub(crate) fn connect_options(&self) -> Result<PgConnectOptions, sqlx::Error> {
        Ok(self.session()?.options([("role", self.role.name())]))
    }

    /// The same as whoever logs in, for what needs the login's own rights.
    pub(crate) fn as_login(&self) -> Result<PgConnectOptions, sqlx::Error> {
        self.session()
    }

    fn session(&self) -> Result<PgConnectOptions, sqlx::Error> {
        Ok(self
            .url
            .parse::<PgConnectOptions>()?
            .application_name(self.role.name())
            .statement_cache_capacity(MAX_PREPARED)
            .options([
                ("search_path", "write"),
                ("statement_timeout", "30s"),
                ("lock_timeout", "5s"),
                // A transaction that is left open holds up the order of the whole log.
                ("idle_in_transaction_session_timeout", "10s"),
            ]))
    }
}

impl Db {
    /// Connects to PostgreSQL. Never migrates: `starscreen migrate up` does.
    ///
    /// # Errors
    /// When it cannot be reached, or its schema is older or newer than this program's.
    pub async fn open_postgres(options: &PostgresOptions) -> Result<Self, OpenError> {
        schema::check(&options.url).await?;
        let pool = PgPoolOptions::new()
            .max_connections(options.max_connections)
            .acquire_timeout(ACQUIRE_WITHIN)
            .test_before_acquire(false)
            .before_acquire(|connection, known| {
                Box::pin(async move {
                    if known.idle_for > TRIED_AFTER_IDLE {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_with(options.connect_options()?)
            .await?;
        Ok(Self::Postgres { pool, role: options.role })
    }
}

/// Begins a transaction that sees only what `scope` names. One text, so that it is one round trip.
pub(super) fn begin_text(role: Role, scope: &Scope) -> String {
    let mut text = String::from("BEGIN");
    if let (false, Scope::Tenants(tenants)) = (role.crosses_tenants(), scope) {
        text.push_str("; SET LOCAL starscreen.tenant = '");
        for (place, tenant) in tenants.iter().enumerate() {
            let _ = write!(text, "{}{tenant}", if place == 0 { "" } else { "," }); // writing to a String cannot fail
        }
        text.push('\'');
    }
    text
}

/// In a task of its own: a `begin` that is cut off leaves its connection in a transaction that sqlx knows nothing of.
pub(super) async fn begin(
    pool: &PgPool,
    text: AssertSqlSafe<String>,
    patience: Duration,
) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    let pool = pool.clone();
    let begun = tokio::spawn(async move { pool.begin_with(text).await });
    within(patience, async { begun.await.unwrap_or(Err(sqlx::Error::WorkerCrashed)) }).await
}

/// `($1, $2), ($3, $4)`, with the types of columns that a text does not turn into by itself.
pub(super) fn numbered(columns: &[&str], rows: usize) -> String {
    let mut text = String::with_capacity(rows * columns.len() * 6);
    let mut number = 0;
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for (place, column) in columns.iter().enumerate() {
            number += 1;
            let kind = if matches!(*column, "payload" | "metadata") { "::json" } else { "" };
            let _ = write!(text, "{}${number}{kind}", if place == 0 { "" } else { ", " }); // as above
        }
        text.push(')');
    }
    text
}

/// Cuts what a server that hangs would hold for ever. What was cut may have happened all the same.
pub(super) async fn within<T>(
    patience: Duration,
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    tokio::time::timeout(patience, answer).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}
