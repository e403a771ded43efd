//! A server with a directory of its own that ends with the test process, also when that is killed.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::waiting::Log;

static DIRECTORIES: AtomicU32 = AtomicU32::new(0);

/// Who a server runs as, where it must not be root.
#[derive(Clone, Copy, Debug)]
pub(super) struct User {
    uid: u32,
    gid: u32,
}

/// The directory of a server, before it is started.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    user: Option<User>,
}

/// A server under its supervisor. Both end, and the directory goes, when dropped or when the test process ends.
#[derive(Debug)]
pub(super) struct Supervised {
    directory: PathBuf,
    talk: Mutex<Talk>,
    pid: AtomicU32,
}

#[derive(Debug)]
struct Talk {
    supervisor: Child,
    /// `None` when it is told to end.
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Directory {
    pub(super) fn new() -> Self {
        let number = DIRECTORIES.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("starscreen-server-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path); // of an earlier process with the same number
        fs::create_dir_all(&path).unwrap();
        Self { path, user: None }
    }

    /// For a program that refuses to run as root.
    pub(super) fn without_root(mut self) -> Self {
        self.user = if_root();
        self.give(&self.path);
        self
    }

    /// Writes a file that the server can read.
    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path.join(name);
        fs::write(&path, text).unwrap();
        self.give(&path);
        path
    }

    fn give(&self, path: &Path) {
        if let Some(User { uid, gid }) = self.user {
            chown(path, Some(uid), Some(gid)).unwrap();
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Goes when the test process ends.
    pub(super) fn keep_until_the_end(self) -> Supervised {
        self.supervise("KILL", Path::new("true"), &[])
    }

    /// `last_signal`: what the server gets when the test process is gone.
    pub(super) fn supervise(self, last_signal: &str, program: &Path, arguments: &[&str]) -> Supervised {
        let keep = if std::env::var_os("STARSCREEN_TESTS_KEEP").is_some() { "yes" } else { "no" };
        let mut command = Command::new("sh");
        command.args(["-c", include_str!("supervisor.sh"), "supervisor"]).arg(&self.path).args([keep, last_signal]);
        command.arg(program).args(arguments).current_dir(&self.path);
        // Not in the group of the test process, whose Ctrl+C is not for it.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        run_as(&mut command, self.user);
        let mut supervisor = command.spawn().expect("`sh` runs");
        let orders = supervisor.stdin.take();
        let answers = BufReader::new(supervisor.stdout.take().unwrap());
        Supervised {
            directory: self.path,
            talk: Mutex::new(Talk { supervisor, orders, answers }),
            pid: AtomicU32::new(0),
        }
    }
}

impl Supervised {
    pub(super) fn log(&self) -> Log {
        Log::at(&self.directory.join("log"))
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid.load(Ordering::SeqCst)
    }

    /// Starts the program and waits until `ready`, whose `Err` says what is missing.
    ///
    /// # Errors
    /// The program ended instead.
    pub(super) fn start(&self, what: &str, mut ready: impl FnMut() -> Result<(), String>) -> Result<(), String> {
        assert!(!self.runs(), "{what} runs already");
        self.pid.store(self.order("start").parse().unwrap(), Ordering::SeqCst);
        self.log().until_blocking(&format!("{what} is ready"), || match ready() {
            Ok(()) => Ok(Ok(())),
            Err(_) if !self.runs() => Ok(Err(format!("{what} ended:\n{}", self.log().tail()))),
            Err(missing) => Err(missing),
        })
    }

    pub(super) fn runs(&self) -> bool {
        self.order("runs") == "yes"
    }

    /// SIGKILL of the server with its children; nothing of it lives when this returns.
    pub(super) fn crash(&self) {
        self.order("crash");
    }

    /// SIGSTOP of the server with its children; all stand still when this returns.
    pub(super) fn freeze(&self) {
        self.order("freeze");
    }

    pub(super) fn resume(&self) {
        self.order("resume");
    }

    pub(super) fn signal(&self, signal: &str) {
        self.order(&format!("signal {signal}"));
    }

    /// Asks the server to end, and waits until it has.
    pub(super) fn stop(&self, what: &str, signal: &str) {
        self.signal(signal);
        self.log()
            .until_blocking(&format!("{what} stops"), || if self.runs() { Err("it runs".to_owned()) } else { Ok(()) });
    }

    fn order(&self, order: &str) -> String {
        let mut talk = self.talk.lock().unwrap_or_else(PoisonError::into_inner);
        let mut answer = String::new();
        writeln!(talk.orders.as_ref().unwrap(), "{order}").expect("the supervisor takes orders");
        talk.answers.read_line(&mut answer).unwrap();
        assert!(answer.ends_with('\n'), "the supervisor is gone");
        answer.trim().to_owned()
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        let talk = self.talk.get_mut().unwrap_or_else(PoisonError::into_inner);
        drop(talk.orders.take());
        let _ = talk.supervisor.wait(); // it has nobody to tell
        if std::env::var_os("STARSCREEN_TESTS_KEEP").is_some() {
            eprintln!("kept: {}", self.directory.display());
        }
    }
}

/// Whom to be instead when this process is root.
pub(super) fn if_root() -> Option<User> {
    static USER: OnceLock<Option<User>> = OnceLock::new();
    *USER.get_or_init(|| {
        let id = Command::new("id").arg("-u").output().expect("`id` runs");
        (id.stdout.trim_ascii() == b"0").then(nobody)
    })
}

fn nobody() -> User {
    let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut numbers = accounts
        .lines()
        .find_map(|line| line.strip_prefix("nobody:"))
        .into_iter()
        .flat_map(|rest| rest.split(':').skip(1).take(2).filter_map(|number| number.parse::<i64>().ok()));
    // Some systems write -2.
    let mut next = || numbers.next().map_or(65_534, |number| u32::try_from(number & 0xffff_ffff).unwrap());
    User { uid: next(), gid: next() }
}

pub(super) fn run_as(command: &mut Command, user: Option<User>) {
    if let Some(User { uid, gid }) = user {
        command.uid(uid).gid(gid);
    }
}
