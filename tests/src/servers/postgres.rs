//! PostgreSQL: one server that all tests share, and servers of their own for tests that kill, stop or pause them.

use std::{fmt::Write, fs, ops::Deref, path::PathBuf, sync::OnceLock};

use reqwest::Url;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::{
    database::{Database, blocking},
    fetched::postgres_programs,
    ports::free_port,
    supervised::{Directory, Supervised},
};
use crate::waiting::Log;

/// How often another port is tried when somebody took it first.
const MAX_PORTS: usize = 5;

/// Starts the server; makes its files first where there are none. Arguments: programs, data, settings.
const RUN: &str = r#"
rm -f "$2/postmaster.pid" # of a server that was killed: its process number may be somebody else's by now
[ -e "$2/PG_VERSION" ] ||
    "$1/initdb" -D "$2" -U postgres -A trust -E UTF8 --locale=C --no-sync --no-instructions || exit
exec "$1/postgres" -D "$2" --config-file="$3"
"#;

/// A place for databases.
#[derive(Clone, Debug)]
pub struct Cluster {
    admin: Url,
    log: Option<Log>,
}

/// A server of a test's own, its superuser is `postgres`. It goes with its data when dropped or when the test process
/// ends. Its methods block, as those of [`TestApp`](crate::TestApp) do.
#[derive(Debug)]
pub struct Postgres {
    cluster: Cluster,
    server: Supervised,
    data: PathBuf,
}

/// How a server of a test's own is set up.
#[derive(Clone, Debug, Default)]
pub struct PostgresOptions {
    /// Waits for the disk. A killed process loses nothing without.
    pub fsync: bool,
    /// Lines of `postgresql.conf`; they come last.
    pub settings: Vec<(&'static str, String)>,
}

/// The server for ordinary tests: `STARSCREEN_TEST_POSTGRES`, the URL of a superuser, or one that this test process
/// starts at the first call and that ends with it.
pub fn postgres() -> &'static Cluster {
    static EXTERNAL: OnceLock<Option<Cluster>> = OnceLock::new();
    static SHARED: OnceLock<Postgres> = OnceLock::new();
    let external = EXTERNAL.get_or_init(|| {
        let url = std::env::var("STARSCREEN_TEST_POSTGRES").ok()?;
        let admin = Url::parse(&url).unwrap_or_else(|error| panic!("STARSCREEN_TEST_POSTGRES is no URL: {error}"));
        let cluster = Cluster { admin, log: None };
        cluster.execute("SELECT 1").unwrap_or_else(|error| panic!("STARSCREEN_TEST_POSTGRES: {error}"));
        Some(cluster)
    });
    external.as_ref().unwrap_or_else(|| SHARED.get_or_init(|| Postgres::private(&PostgresOptions::default())))
}

impl Cluster {
    /// Of the superuser.
    pub fn url(&self, database: &str) -> String {
        let mut url = self.admin.clone();
        url.set_path(database);
        url.into()
    }

    /// An empty database, or a copy of `template` when nobody is connected to that. Gone when dropped.
    pub fn fresh_database(&self, template: Option<&str>) -> Database {
        Database::create(self.clone(), template)
    }

    /// Of a server that the harness started.
    pub fn log(&self) -> Option<&Log> {
        self.log.as_ref()
    }

    /// Runs a statement as the superuser, in the maintenance database.
    pub(super) fn execute(&self, sql: &str) -> Result<(), sqlx::Error> {
        let sql = AssertSqlSafe(sql);
        blocking(async {
            let mut connection = PgConnection::connect(self.admin.as_str()).await?;
            sqlx::raw_sql(sql).execute(&mut connection).await?;
            connection.close().await
        })
    }
}

impl Postgres {
    /// Starts one.
    pub fn private(options: &PostgresOptions) -> Self {
        for _ in 0..MAX_PORTS {
            match Self::try_start(options, free_port()) {
                Err(error) if error.contains("Address already in use") => {}
                started => return started.unwrap_or_else(|error| panic!("{error}")),
            }
        }
        panic!("{MAX_PORTS} times somebody else took the free port")
    }

    fn try_start(options: &PostgresOptions, port: u16) -> Result<Self, String> {
        let directory = Directory::new().without_root();
        let data = directory.path().join("data");
        let settings = directory.write("server.conf", &settings(options, port));
        let [programs, data_path, settings] =
            [postgres_programs(), &data, &settings].map(|path| path.to_str().expect("paths are text"));
        let arguments = ["-c", RUN, "postgres", programs, data_path, settings];
        // QUIT: without a checkpoint, but it takes its shared memory with it.
        let server = directory.supervise("QUIT", "sh".as_ref(), &arguments);
        let admin = Url::parse(&format!("postgres://postgres@127.0.0.1:{port}/postgres")).expect("a URL");
        let postgres = Self { cluster: Cluster { admin, log: Some(server.log()) }, server, data };
        postgres.try_start_again()?;
        Ok(postgres)
    }

    /// Starts it again after [`Postgres::kill`] or [`Postgres::stop`], with the same port and data.
    pub fn start(&self) {
        self.try_start_again().unwrap_or_else(|error| panic!("{error}"));
    }

    fn try_start_again(&self) -> Result<(), String> {
        self.server.start("PostgreSQL", || self.ready())
    }

    /// As `pg_ctl` knows it.
    fn ready(&self) -> Result<(), String> {
        let status = fs::read_to_string(self.data.join("postmaster.pid")).map_err(|error| error.to_string())?;
        let lines: Vec<&str> = status.lines().map(str::trim).collect();
        let is_ready = lines.first() == Some(&self.pid().to_string().as_str()) && lines.get(7) == Some(&"ready");
        if is_ready { Ok(()) } else { Err(status) }
    }

    /// Where its files are.
    pub fn data(&self) -> &std::path::Path {
        &self.data
    }

    /// Of the postmaster.
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// As a power cut, but the operating system lives: SIGKILL of the postmaster and all its backends.
    pub fn kill(&self) {
        self.server.crash();
    }

    /// Disconnects clients, writes a checkpoint and ends.
    pub fn stop(&self) {
        self.server.stop("PostgreSQL", "INT");
    }

    /// The postmaster and all its backends stand still: connections stay, nobody answers.
    pub fn pause(&self) {
        self.server.freeze();
    }

    pub fn resume(&self) {
        self.server.resume();
    }
}

impl Deref for Postgres {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

fn settings(options: &PostgresOptions, port: u16) -> String {
    let fsync = if options.fsync { "on" } else { "off" };
    let mut text = format!(
        "listen_addresses = '127.0.0.1'\n\
        port = {port}\n\
        unix_socket_directories = ''\n\
        max_connections = 300\n\
        shared_buffers = 64MB\n\
        dynamic_shared_memory_type = mmap # in the data directory, where nothing is left when it is killed\n\
        fsync = {fsync}\n\
        full_page_writes = {fsync}\n\
        log_line_prefix = '%m [%p] %q%u@%d '\n\
        log_timezone = UTC\n\
        timezone = UTC\n"
    );
    for (name, value) in &options.settings {
        writeln!(text, "{name} = '{}'", value.replace('\'', "''")).expect("a string takes all");
    }
    text
}
