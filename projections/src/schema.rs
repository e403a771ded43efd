//! The schema `read` on PostgreSQL: which migrations there are, which are in, and bringing them in or out.
//!
//! Servers never migrate, they check: one that is older or newer than the schema says so and does not start. Going down
//! loses nothing that a rebuild does not bring back. The embedded store's file is migrated when it is opened.

use chrono::{DateTime, Utc};
use sqlx::{Connection, Executor, PgConnection, postgres::PgConnectOptions};

use crate::ReadModelError;

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

/// All steps, in order; versions count from 1.
pub const KNOWN: &[Migration] = &[migration!(1, "0001_read_models"), migration!(2, "0002_usage_entries")];

const ROLES: &str = include_str!("../migrations/postgres/roles.sql");
/// No two migrate at once.
const LOCK: &str = "SELECT pg_advisory_lock(hashtextextended('read.schema', 0))";
const PREPARE: &str = "
    CREATE TABLE IF NOT EXISTS read.schema_migrations (
        version BIGINT PRIMARY KEY,
        name TEXT NOT NULL,
        applied_at TIMESTAMPTZ NOT NULL DEFAULT now()
    );
    GRANT USAGE ON SCHEMA read TO starscreen_gateway, starscreen_projector, starscreen_operator;
    GRANT SELECT ON read.schema_migrations TO starscreen_gateway, starscreen_projector, starscreen_operator";

/// A step that is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    pub version: i64,
    pub name: String,
    pub applied_at: DateTime<Utc>,
}

/// Brings in what is missing, and answers what that was.
///
/// # Errors
/// [`ReadModelError::NewerSchema`], or when the database refuses; each step is in as a whole or not at all.
pub async fn up(url: &str) -> Result<Vec<Migration>, ReadModelError> {
    let mut connection = connect(url).await?;
    connection.execute(LOCK).await?;
    connection.execute(ROLES).await?;
    // Asked for first: `IF NOT EXISTS` wants the right to create, which whoever comes later need not have.
    if !schema_exists(&mut connection).await? {
        connection.execute("CREATE SCHEMA IF NOT EXISTS read AUTHORIZATION starscreen_owner").await?;
    }
    connection.execute("SET ROLE starscreen_owner").await?;
    connection.execute(PREPARE).await?;
    let mut brought = vec![];
    for migration in missing(version(&mut connection).await?)? {
        let mut tx = connection.begin().await?;
        tx.execute(migration.up).await?;
        sqlx::query("INSERT INTO schema_migrations (version, name) VALUES ($1, $2)")
            .bind(migration.version)
            .bind(migration.name)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        brought.push(*migration);
    }
    connection.close().await?;
    Ok(brought)
}

/// Takes out the last `steps` steps, and answers which. What was in the read models is projected again after `up`.
///
/// # Errors
/// As [`up`].
pub async fn down(url: &str, steps: usize) -> Result<Vec<Migration>, ReadModelError> {
    let mut connection = connect(url).await?;
    connection.execute(LOCK).await?;
    let found = version(&mut connection).await?;
    missing(found)?;
    if found > 0 {
        connection.execute("SET ROLE starscreen_owner").await?;
    }
    let mut taken = vec![];
    for migration in KNOWN.iter().rev().filter(|migration| migration.version <= found).take(steps) {
        let mut tx = connection.begin().await?;
        tx.execute(migration.down).await?;
        sqlx::query("DELETE FROM schema_migrations WHERE version = $1")
            .bind(migration.version)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        taken.push(*migration);
    }
    connection.close().await?;
    Ok(taken)
}

/// The steps that are in, the first first.
///
/// # Errors
/// When the database cannot be asked.
pub async fn history(url: &str) -> Result<Vec<Applied>, ReadModelError> {
    let mut connection = connect(url).await?;
    let mut applied = vec![];
    if table_exists(&mut connection).await? {
        let rows: Vec<(i64, String, DateTime<Utc>)> =
            sqlx::query_as("SELECT version, name, applied_at FROM schema_migrations ORDER BY version")
                .fetch_all(&mut connection)
                .await?;
        applied.extend(rows.into_iter().map(|(version, name, applied_at)| Applied { version, name, applied_at }));
    }
    connection.close().await?;
    Ok(applied)
}

/// The version of the schema; 0 before the first step.
///
/// # Errors
/// When the database cannot be asked.
pub async fn current(url: &str) -> Result<i64, ReadModelError> {
    let mut connection = connect(url).await?;
    let found = version(&mut connection).await?;
    connection.close().await?;
    Ok(found)
}

/// Whether the schema is the one that this program was made for.
pub(crate) async fn check(url: &str) -> Result<(), ReadModelError> {
    let found = current(url).await?;
    if missing(found)?.is_empty() { Ok(()) } else { Err(ReadModelError::OlderSchema { found, known: KNOWN.len() }) }
}

fn missing(found: i64) -> Result<&'static [Migration], ReadModelError> {
    let done = usize::try_from(found).unwrap_or_default();
    KNOWN.get(done..).ok_or(ReadModelError::NewerSchema { found, known: KNOWN.len() })
}

/// As whoever logs in: the roles may not be there yet.
async fn connect(url: &str) -> Result<PgConnection, ReadModelError> {
    let options: PgConnectOptions = url.parse()?;
    let options = options.application_name("starscreen_migrate").options([("search_path", "read")]);
    Ok(PgConnection::connect_with(&options).await?)
}

async fn schema_exists(connection: &mut PgConnection) -> Result<bool, ReadModelError> {
    let exists = sqlx::query_as("SELECT to_regnamespace('read') IS NOT NULL");
    let (exists,): (bool,) = exists.fetch_one(connection).await?;
    Ok(exists)
}

async fn table_exists(connection: &mut PgConnection) -> Result<bool, ReadModelError> {
    let exists = sqlx::query_as("SELECT to_regclass('read.schema_migrations') IS NOT NULL");
    let (exists,): (bool,) = exists.fetch_one(connection).await?;
    Ok(exists)
}

async fn version(connection: &mut PgConnection) -> Result<i64, ReadModelError> {
    if !table_exists(connection).await? {
        return Ok(0);
    }
    let newest = sqlx::query_as("SELECT COALESCE(max(version), 0) FROM schema_migrations");
    let (version,): (i64,) = newest.fetch_one(connection).await?;
    Ok(version)
}

/// Changes with every text of the schema.
#[cfg(feature = "contracts")]
pub(crate) fn fingerprint(hasher: &mut impl std::hash::Hasher) {
    use std::hash::Hash;
    (ROLES, PREPARE).hash(hasher);
    for migration in KNOWN {
        migration.up.hash(hasher);
    }
}
