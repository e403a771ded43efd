//! Where the product under test keeps everything, and in how many processes it runs.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, FromRow, PgConnection, SqliteConnection,
    postgres::{PgConnectOptions, PgRow},
    sqlite::{SqliteConnectOptions, SqliteRow},
};

use crate::servers::{Database, postgres};

/// What a [`TestApp`](crate::TestApp) runs on. All tests of a process run on the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// One process, one directory.
    Embedded,
    /// One process over PostgreSQL.
    Postgres,
    /// PostgreSQL and NATS, and a process for each part.
    Apart,
}

impl Backend {
    pub const VARIABLE: &str = "STARSCREEN_TEST_BACKEND";

    /// As the environment says; embedded when it says nothing.
    pub fn current() -> Self {
        match std::env::var(Self::VARIABLE).as_deref() {
            Err(_) | Ok("embedded") => Self::Embedded,
            Ok("postgres") => Self::Postgres,
            Ok("apart") => Self::Apart,
            Ok(other) => panic!("{} is {other}; there are embedded, postgres and apart", Self::VARIABLE),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Postgres => "postgres",
            Self::Apart => "apart",
        }
    }

    /// A migrated database for the product, where it is not embedded.
    pub(crate) fn database(self, binary: &Path) -> Option<Database> {
        static TEMPLATE: OnceLock<Database> = OnceLock::new();
        if self == Self::Embedded {
            return None;
        }
        let template = TEMPLATE.get_or_init(|| migrated(binary));
        Some(postgres().fresh_database(Some(&template.name)))
    }
}

/// A new database with the product's schemas in it.
pub fn migrated(binary: &Path) -> Database {
    let database = postgres().fresh_database(None);
    migrate(binary, &database);
    database
}

pub(crate) fn migrate(binary: &Path, database: &Database) {
    let directory = std::env::temp_dir().join(format!("starscreen-tests-migrate-{}", database.name));
    std::fs::create_dir_all(&directory).unwrap();
    let migrated = Command::new(binary)
        .args(["migrate", "up"])
        .current_dir(&directory)
        .env_clear()
        .env("DATABASE_URL", &database.url)
        .output()
        .unwrap();
    assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
    let _ = std::fs::remove_dir_all(directory); // it is in a temporary place
}

/// A store to look into, beside the server: a file, or a schema of a database.
#[derive(Clone, Debug)]
pub(crate) enum Store {
    File(PathBuf),
    Schema { url: String, name: &'static str },
}

/// A row that both can give.
pub trait Row: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

impl<T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin> Row for T {}

impl Store {
    pub(crate) fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// One connection, for one change that the product would make in time. Says how many rows it is.
    pub(crate) async fn change(&self, sql: &str) -> Result<u64, sqlx::Error> {
        match self {
            Self::File(path) => {
                let mut connection = SqliteConnectOptions::new().filename(path).connect().await?;
                let done = sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await;
                connection.close().await?;
                Ok(done?.rows_affected())
            }
            Self::Schema { url, name } => {
                let options: PgConnectOptions = url.parse()?;
                let mut connection = options.options([("search_path", name)]).connect().await?;
                let done = sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await;
                connection.close().await?;
                Ok(done?.rows_affected())
            }
        }
    }

    /// One connection, for one question.
    pub(crate) async fn rows<T: Row>(&self, sql: &str) -> Result<Vec<T>, sqlx::Error> {
        match self {
            Self::File(path) => {
                let options = SqliteConnectOptions::new().filename(path).read_only(true);
                let mut connection: SqliteConnection = options.disable_statement_logging().connect().await?;
                let rows = sqlx::query_as(AssertSqlSafe(sql)).fetch_all(&mut connection).await;
                connection.close().await?;
                rows
            }
            Self::Schema { url, name } => {
                let options: PgConnectOptions = url.parse()?;
                let options = options.options([("search_path", name)]).disable_statement_logging();
                let mut connection: PgConnection = options.connect().await?;
                let rows = sqlx::query_as(AssertSqlSafe(sql)).fetch_all(&mut connection).await;
                connection.close().await?;
                rows
            }
        }
    }
}
