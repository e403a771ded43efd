//! A directory to run the product in, and its processes there.

use std::{
    fs::{self, File, OpenOptions},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use crate::waiting::Log;

static HOMES: AtomicU32 = AtomicU32::new(0);

/// A working directory of its own; gone when dropped.
#[derive(Debug)]
pub struct Home {
    binary: PathBuf,
    root: PathBuf,
}

/// What a process that ended by itself left behind.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// A server that listens. Killed when dropped.
#[derive(Debug)]
pub struct Server {
    process: Child,
    pub address: SocketAddr,
}

impl Home {
    /// `binary`: the product.
    pub fn new(binary: &Path) -> Self {
        let number = HOMES.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("starscreen-tests-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&root); // of an earlier process with the same number
        fs::create_dir_all(root.join("work")).unwrap();
        Self { binary: binary.to_owned(), root }
    }

    /// The working directory of every process here.
    pub fn work(&self) -> PathBuf {
        self.root.join("work")
    }

    pub fn data(&self) -> PathBuf {
        self.work().join("data")
    }

    /// The log of the servers that ran here.
    pub fn log(&self) -> Log {
        Log::at(&self.root.join("log"))
    }

    fn command(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments).current_dir(self.work()).env_clear().envs(environment.iter().copied());
        command.stdin(Stdio::null());
        command
    }

    /// Runs the product with `arguments` to its end.
    pub fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Ended {
        let number = HOMES.fetch_add(1, Ordering::Relaxed);
        let [out, err] = ["out", "err"].map(|name| self.root.join(format!("{name}-{number}")));
        let mut process = self
            .command(arguments, environment)
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(&err).unwrap())
            .spawn()
            .unwrap();
        let kill_on_panic = KillOnDrop(&mut process);
        let status = Log::at(&err).until_blocking(&format!("`starscreen {}` ends", arguments.join(" ")), || {
            kill_on_panic.0.try_wait().unwrap().ok_or_else(|| "it runs".to_owned())
        });
        let text = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        Ended { status, stdout: text(&out), stderr: text(&err) }
    }

    /// Starts a server, on a port of the system's choice unless `environment` says otherwise, and waits until it
    /// listens.
    pub fn serve(&self, environment: &[(&str, &str)]) -> Server {
        self.serve_as(&[], environment)
    }

    /// The same by a verb, such as `gateway`.
    pub fn serve_as(&self, verb: &[&str], environment: &[(&str, &str)]) -> Server {
        let path = self.root.join("log");
        let begins_at = fs::metadata(&path).map_or(0, |log| usize::try_from(log.len()).unwrap());
        let mut server = self.run_on(verb, environment);
        server.address = self.log().until_blocking("the server listens", || {
            if let Some(status) = server.process.try_wait().unwrap() {
                panic!("the server ended with {status}:\n{}", self.log().tail());
            }
            let text = fs::read(&path).unwrap();
            address_in(&String::from_utf8_lossy(&text[begins_at..])).ok_or_else(|| "no address in the log".to_owned())
        });
        server
    }

    /// Starts a process that runs until it is stopped, and waits for nothing.
    pub fn run_on(&self, verb: &[&str], environment: &[(&str, &str)]) -> Server {
        let log = OpenOptions::new().create(true).append(true).open(self.root.join("log")).unwrap();
        let mut command = self.command(verb, &[("STARSCREEN_LISTEN", "127.0.0.1:0")]);
        command.envs(environment.iter().copied());
        let process = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        Server { process, address: SocketAddr::from(([127, 0, 0, 1], 0)) }
    }
}

/// The address in the sentence with which a server says that it listens.
fn address_in(log: &str) -> Option<SocketAddr> {
    let (_, rest) = log.split_once("starscreen listens on http://")?;
    let end = rest.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ':')))?;
    rest[..end].parse().ok()
}

impl Drop for Home {
    fn drop(&mut self) {
        if std::env::var_os("STARSCREEN_TESTS_KEEP").is_some() {
            eprintln!("kept: {}", self.root.display());
        } else {
            let _ = fs::remove_dir_all(&self.root); // a process that is still ending may hold it; it is in a temporary place
        }
    }
}

impl Ended {
    #[track_caller]
    #[expect(clippy::return_self_not_must_use, reason = "often the check is all")]
    pub fn succeeded(self) -> Self {
        assert!(self.status.success(), "it ended with {}:\n{}{}", self.status, self.stdout, self.stderr);
        self
    }

    /// What it said on its error output.
    #[track_caller]
    pub fn refused(self) -> String {
        assert!(!self.status.success(), "it ended well:\n{}{}", self.stdout, self.stderr);
        self.stderr
    }
}

impl Server {
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// SIGKILL: nothing of it runs any more when this returns.
    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// SIGSTOP: it lives, and does nothing.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    pub fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.process.id().to_string()]).status().unwrap();
        assert!(sent.success(), "the server cannot be sent SIG{name}");
    }

    /// Asks it to stop and waits until it has.
    pub fn stop(mut self, log: &Log) {
        self.signal("TERM");
        let status = log.until_blocking("the server stops", || {
            self.process.try_wait().unwrap().ok_or_else(|| "it runs".to_owned())
        });
        assert!(status.success(), "the server stopped with {status}:\n{}", log.tail());
    }

    pub(crate) fn runs(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill(); // it may have ended already
        let _ = self.process.wait();
    }
}

struct KillOnDrop<'a>(&'a mut Child);

impl Drop for KillOnDrop<'_> {
    fn drop(&mut self) {
        let _ = self.0.kill(); // it has ended, unless the test failed
        let _ = self.0.wait();
    }
}
