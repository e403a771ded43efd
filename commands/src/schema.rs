//! The write schema on PostgreSQL: which migrations there are, which are in, and bringing them in or out.
//!
//! Servers never migrate, they check: a role that is older or newer than the schema says so and does not start.

use chrono::{DateTime, Utc};
use sqlx::{Connection, Executor, PgConnection, Row, postgres::PgConnectOptions};

use crate::db::OpenError;

/// One step of the schema.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    pub version: i64,
    pub name: &'static str,
    up: &'static str,
    down: &'static str,
}

macro_rules! migration {
    ($version:literal, $name:literal) => {
        Migration {
            version: $version,
            name: $name,
            up: include_str!(concat!("../migrations/postgres/", $name, ".up.sql")),
            down: include_str!(concat!("../migrations/postgres/", $name, ".down.sql")),
        }
    };
}

/// In order, without a gap.
pub const MIGRATIONS: &[Migration] = &[
    migration!(1, "0001_write"),
    migration!(2, "0002_distribution"),
    migration!(3, "0003_payments"),
    migration!(4, "0004_receipts_end"),
];

/// A migration that is in.
#[derive(Clone, Debug)]
pub struct Applied {
    pub version: i64,
    pub name: String,
    pub applied_at: DateTime<Utc>,
}

#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    #[error("PostgreSQL refuses")]
    Database(#[from] sqlx::Error),
    #[error(
        "the write schema holds {events} events, which migration {name} down would lose; back up and drop them yourself if you mean it"
    )]
    WouldLoseEvents { name: &'static str, events: i64 },
    #[error("the write schema is at {found}, and this program knows only {known}; use the newer program")]
    TooNew { found: i64, known: usize },
}

/// Whoever migrates makes others wait; no two do it at once.
const LOCK: i64 = 0x5354_4152_0001;

/// Roles are of the whole server: another database may make them at the same moment.
const ROLES: &str = include_str!("../migrations/postgres/roles.sql");

const TABLE: &str = "CREATE TABLE IF NOT EXISTS write.schema_migrations (
    version    BIGINT      PRIMARY KEY,
    name       TEXT        NOT NULL,
    applied_at TIMESTAMPTZ NOT NULL DEFAULT now()
)";

/// Brings in what is missing; returns the names.
///
/// # Errors
/// [`SchemaError`]; each migration is in as a whole or not at all.
pub async fn up(url: &str) -> Result<Vec<&'static str>, SchemaError> {
    let mut connection = migrating(url).await?;
    connection.execute(sqlx::raw_sql(ROLES)).await?;
    connection.execute("CREATE SCHEMA IF NOT EXISTS write AUTHORIZATION starscreen_owner").await?;
    connection.execute("SET ROLE starscreen_owner").await?;
    connection.execute(TABLE).await?;
    connection
        .execute(
            "GRANT USAGE ON SCHEMA write TO starscreen_gateway, starscreen_worker, starscreen_projector,
                starscreen_sequencer, starscreen_operator;
            GRANT SELECT ON write.schema_migrations TO PUBLIC",
        )
        .await?;
    let found = version(&mut connection).await?;
    let done = usize::try_from(found).unwrap_or(0);
    if done > MIGRATIONS.len() {
        return Err(SchemaError::TooNew { found, known: MIGRATIONS.len() });
    }
    let mut applied = vec![];
    for migration in &MIGRATIONS[done..] {
        let mut tx = connection.begin().await?;
        sqlx::raw_sql(migration.up).execute(&mut *tx).await?;
        sqlx::query("INSERT INTO schema_migrations (version, name) VALUES ($1, $2)")
            .bind(migration.version)
            .bind(migration.name)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        applied.push(migration.name);
    }
    connection.close().await?;
    Ok(applied)
}

/// Takes out the last `steps` migrations; returns their names.
///
/// # Errors
/// [`SchemaError::WouldLoseEvents`] where events would be gone; nothing is taken out then.
pub async fn down(url: &str, steps: usize) -> Result<Vec<&'static str>, SchemaError> {
    let mut connection = migrating(url).await?;
    let found = if exists(&mut connection).await? { version(&mut connection).await? } else { 0 };
    let done = usize::try_from(found).unwrap_or(0);
    if done > MIGRATIONS.len() {
        return Err(SchemaError::TooNew { found, known: MIGRATIONS.len() });
    }
    connection.execute("SET ROLE starscreen_owner").await?;
    let mut removed = vec![];
    let leaving: Vec<&Migration> = MIGRATIONS[..done].iter().rev().take(steps).collect();
    if let Some(migration) = leaving.iter().find(|migration| migration.down.contains("events")) {
        let (events,): (i64,) = sqlx::query_as("SELECT COUNT(*) FROM events").fetch_one(&mut connection).await?;
        if events > 0 {
            return Err(SchemaError::WouldLoseEvents { name: migration.name, events });
        }
    }
    for migration in leaving {
        let mut tx = connection.begin().await?;
        sqlx::raw_sql(migration.down).execute(&mut *tx).await?;
        sqlx::query("DELETE FROM schema_migrations WHERE version = $1")
            .bind(migration.version)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        removed.push(migration.name);
    }
    connection.close().await?;
    Ok(removed)
}

/// The migrations that are in, the first first.
///
/// # Errors
/// When PostgreSQL cannot be asked.
pub async fn history(url: &str) -> Result<Vec<Applied>, SchemaError> {
    let mut connection = connect(url).await?;
    if !exists(&mut connection).await? {
        return Ok(vec![]);
    }
    let rows = sqlx::query("SELECT version, name, applied_at FROM schema_migrations ORDER BY version")
        .fetch_all(&mut connection)
        .await?;
    let applied = rows.iter().map(|row| {
        Ok(Applied {
            version: row.try_get("version")?,
            name: row.try_get("name")?,
            applied_at: row.try_get("applied_at")?,
        })
    });
    Ok(applied.collect::<Result<_, sqlx::Error>>()?)
}

/// Whether the schema is the one that this program was made for.
///
/// # Errors
/// [`OpenError::TooOld`] or [`OpenError::TooNew`].
pub async fn check(url: &str) -> Result<(), OpenError> {
    let mut connection = connect(url).await?;
    let found = if exists(&mut connection).await? { version(&mut connection).await? } else { 0 };
    connection.close().await?;
    match usize::try_from(found).unwrap_or(0) {
        done if done > MIGRATIONS.len() => Err(OpenError::TooNew { found, known: MIGRATIONS.len() }),
        done if done < MIGRATIONS.len() => Err(OpenError::TooOld { found, known: MIGRATIONS.len() }),
        _ => Ok(()),
    }
}

async fn connect(url: &str) -> Result<PgConnection, sqlx::Error> {
    let options: PgConnectOptions = url.parse()?;
    PgConnection::connect_with(&options.application_name("starscreen migrate").options([("search_path", "write")]))
        .await
}

async fn migrating(url: &str) -> Result<PgConnection, sqlx::Error> {
    let mut connection = connect(url).await?;
    sqlx::query("SELECT pg_advisory_lock($1)").bind(LOCK).execute(&mut connection).await?;
    Ok(connection)
}

async fn exists(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let row =
        sqlx::query("SELECT to_regclass('write.schema_migrations') IS NOT NULL AS there").fetch_one(connection).await?;
    row.try_get("there")
}

async fn version(connection: &mut PgConnection) -> Result<i64, sqlx::Error> {
    let row =
        sqlx::query("SELECT COALESCE(MAX(version), 0) AS version FROM schema_migrations").fetch_one(connection).await?;
    row.try_get("version")
}
