//! A read side of its own for each contract, on either back end.

use std::{
    hash::{DefaultHasher, Hasher},
    path::PathBuf,
};

use sea_query::Query;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, postgres::PgConnectOptions, raw_sql};
use uuid::Uuid;

use crate::{Models, PostgresOptions, ReadModels, Role, db::Db, schema};

const MAX_CONNECTIONS: u32 = 8;

/// Empty read models, and ways to open them as one process or several.
pub struct Store(Place);

enum Place {
    /// Removed with the store.
    Directory(PathBuf),
    /// Dropped with the store.
    Database { server: String, name: String },
}

impl Store {
    /// The embedded store in a temporary directory of its own.
    #[expect(clippy::unused_async, reason = "stores are awaited, on whatever back end")]
    pub async fn sqlite() -> Self {
        Self(Place::Directory(std::env::temp_dir().join(format!("starscreen-projections-{}", Uuid::now_v7()))))
    }

    /// A database of its own on the server at `url`, whose user may create databases and roles. All are copies of one
    /// that is migrated once for each schema that there ever was.
    pub async fn postgres(url: &str) -> Self {
        let (server, name) = (url.to_owned(), format!("starscreen_read_{}", Uuid::now_v7().simple()));
        let template = template(&server).await;
        let mut connection = PgConnection::connect(&server).await.unwrap();
        let copy = format!("CREATE DATABASE {name} TEMPLATE {template}");
        connection.execute(AssertSqlSafe(copy)).await.unwrap();
        Self(Place::Database { server, name })
    }

    /// As a process that runs projectors opens it; several times, as several do.
    pub async fn open(&self) -> ReadModels {
        self.open_as(Role::Projector).await
    }

    /// In another role, where the back end has roles.
    pub async fn open_as(&self, role: Role) -> ReadModels {
        match &self.0 {
            Place::Directory(directory) => ReadModels::open(directory.join("read.db")).await.unwrap(),
            Place::Database { .. } => {
                let options = PostgresOptions { url: self.url(), role, max_connections: MAX_CONNECTIONS };
                ReadModels::open_postgres(options).await.unwrap()
            }
        }
    }

    /// Of the database on PostgreSQL.
    pub(crate) fn url(&self) -> String {
        match &self.0 {
            Place::Directory(_) => unreachable!("only contracts of PostgreSQL ask for a URL"),
            Place::Database { server, name } => url_of(server, name),
        }
    }

    /// Changes what is stored behind everybody's back, or asks for it.
    pub(crate) async fn sql(&self, text: &str) {
        match &self.0 {
            Place::Directory(directory) => {
                let url = format!("sqlite://{}", directory.join("read.db").display());
                let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
                raw_sql(AssertSqlSafe(text.to_owned())).execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
            Place::Database { .. } => {
                let mut connection = self.connect().await;
                raw_sql(AssertSqlSafe(text.to_owned())).execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
        }
    }

    /// A connection to PostgreSQL as the user of the server, whom no policy binds.
    pub(crate) async fn connect(&self) -> PgConnection {
        let options: PgConnectOptions = self.url().parse().unwrap();
        PgConnection::connect_with(&options.options([("search_path", "read")])).await.unwrap()
    }

    /// An expression for an id that no row has.
    pub(crate) fn new_id(&self) -> &'static str {
        match &self.0 {
            Place::Directory(_) => "randomblob(16)",
            Place::Database { .. } => "gen_random_uuid()",
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        match &self.0 {
            // What stays behind is in the system's temporary directory.
            Place::Directory(directory) => drop(std::fs::remove_dir_all(directory)),
            Place::Database { server, name } => {
                let (server, text) = (server.clone(), format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
                let dropping = std::thread::spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                    runtime
                        .block_on(async { PgConnection::connect(&server).await?.execute(AssertSqlSafe(text)).await })?;
                    Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
                });
                let dropped = dropping.join().unwrap();
                if !std::thread::panicking() {
                    dropped.unwrap();
                }
            }
        }
    }
}

/// As they were before the first event, for the next history.
pub(crate) async fn forget_all(db: &Db) {
    let mut tx = db.begin().await.unwrap();
    for name in Models::NAMES {
        tx.empty(name).await.unwrap();
        tx.empty(&format!("{name}__next")).await.unwrap();
    }
    for table in ["parked", "projection"] {
        tx.run(&Query::delete().from_table(table).to_owned(), crate::db::Text::Repeated).await.unwrap();
    }
    tx.commit().await.unwrap();
}

/// A migrated database to copy.
async fn template(server: &str) -> String {
    let mut hasher = DefaultHasher::new();
    schema::fingerprint(&mut hasher);
    let name = format!("starscreen_read_template_{:016x}", hasher.finish());
    let mut connection = PgConnection::connect(server).await.unwrap();
    connection.execute("SELECT pg_advisory_lock(hashtextextended('starscreen_read_template', 0))").await.unwrap();
    let exists = sqlx::query("SELECT FROM pg_database WHERE datname = $1").bind(&name).fetch_optional(&mut connection);
    if exists.await.unwrap().is_none() {
        let unfinished = format!("{name}_unfinished");
        for text in [format!("DROP DATABASE IF EXISTS {unfinished}"), format!("CREATE DATABASE {unfinished}")] {
            connection.execute(AssertSqlSafe(text)).await.unwrap();
        }
        schema::up(&url_of(server, &unfinished)).await.unwrap();
        let finish = format!("ALTER DATABASE {unfinished} RENAME TO {name}");
        connection.execute(AssertSqlSafe(finish)).await.unwrap();
    }
    connection.close().await.unwrap();
    name
}

/// `postgres://…/this?…` for another database of the same server.
fn url_of(server: &str, database: &str) -> String {
    let (address, parameters) = server.split_once('?').map_or((server, None), |(a, p)| (a, Some(p)));
    let scheme = address.find("://").map_or(0, |at| at + 3);
    let address = address[scheme..].find('/').map_or(address, |at| &address[..scheme + at]);
    parameters.map_or_else(|| format!("{address}/{database}"), |p| format!("{address}/{database}?{p}"))
}
