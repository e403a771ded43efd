//! The time of day of processes under test, which stands still where a test puts it.
//!
//! Not by libfaketime: it reads a clock that a test moves without a lock, and ends a process of several threads that
//! reads it at a wrong moment; its variant with a lock is in no package for Python. The few lines of C here need what
//! Rust needs to link, and nothing else.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicU8, AtomicU32, Ordering},
};

use chrono::{DateTime, Utc};

const SOURCE: &str = include_str!("clock.c");
/// As in clock.c.
const SLOTS: u64 = 256;

static CLOCKS: AtomicU32 = AtomicU32::new(0);

/// A clock that only [`Clock::set`] moves, for any number of processes.
#[derive(Debug)]
pub struct Clock {
    directory: PathBuf,
    file: File,
    slot: AtomicU8,
}

impl Clock {
    pub fn stopped_at(at: DateTime<Utc>) -> Self {
        let number = CLOCKS.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("starscreen-clock-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&directory); // of an earlier process with the same number
        fs::create_dir_all(&directory).unwrap();
        let file = File::create(directory.join("clock")).unwrap();
        file.set_len(8 + SLOTS * 8).unwrap();
        let clock = Self { directory, file, slot: AtomicU8::new(0) };
        clock.set(at);
        clock.build();
        clock.check(at);
        clock
    }

    /// It is `at`, at once and for all processes.
    pub fn set(&self, at: DateTime<Utc>) {
        let slot = self.slot.fetch_add(1, Ordering::SeqCst) + 1;
        let nanoseconds = at.timestamp_nanos_opt().expect("before the year 2262").to_ne_bytes();
        self.file.write_all_at(&nanoseconds, 8 + u64::from(slot) * 8).unwrap();
        self.file.write_all_at(&[slot], 0).unwrap();
    }

    /// What a process needs to go by this clock.
    pub fn environment(&self) -> [(&'static str, String); 2] {
        let path = |name| self.directory.join(name).to_str().expect("it is text").to_owned();
        [("LD_PRELOAD", path("clock.so")), ("TEST_CLOCK", path("clock"))]
    }

    fn build(&self) {
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        fs::write(self.directory.join("clock.c"), SOURCE).unwrap();
        let built = Command::new(&compiler)
            .args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-o", "clock.so", "clock.c"])
            .current_dir(&self.directory)
            .output()
            .unwrap_or_else(|error| {
                panic!("no clock to test with: `{}` does not run: {error}\nSet CC to a C compiler.", compiler.display())
            });
        let said = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success(), "no clock to test with: `{}` fails:\n{said}", compiler.display());
    }

    /// Where a library cannot be loaded into a process, that process would go by the real time without a word.
    fn check(&self, at: DateTime<Utc>) {
        let date = Command::new("date").arg("+%s").env_clear().envs(self.environment()).output().unwrap();
        let (told, said) = (String::from_utf8_lossy(&date.stdout), String::from_utf8_lossy(&date.stderr));
        assert_eq!(
            told.trim(),
            at.timestamp().to_string(),
            "no clock to test with: `date` does not go by it, which takes Linux and programs that are linked \
             dynamically: {said}"
        );
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory); // it is in a temporary place
    }
}
