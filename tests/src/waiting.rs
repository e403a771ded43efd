//! Waiting by looking: for as long as it takes, but never for longer than a limit.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How long a test waits for anything.
pub const AT_MOST: Duration = Duration::from_secs(30);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(15);
/// Lines of the log in a failure.
const TAIL_LINES: usize = 40;

/// The server's log, to be shown when a test fails.
#[derive(Clone, Debug)]
pub struct Log(PathBuf);

impl Log {
    pub(crate) fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.0).unwrap_or_default()).into_owned()
    }

    pub fn tail(&self) -> String {
        let text = self.text();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }

    /// Looks until `look` finds what it looks for; its `Err` says what is there instead.
    pub async fn until<T>(&self, what: &str, look: impl AsyncFnMut() -> Result<T, String>) -> T {
        self.until_at_most(AT_MOST, what, look).await
    }

    /// As [`Log::until`], for what takes longer on a busy machine.
    pub async fn until_at_most<T>(
        &self,
        at_most: Duration,
        what: &str,
        mut look: impl AsyncFnMut() -> Result<T, String>,
    ) -> T {
        let start = Instant::now();
        loop {
            match look().await {
                Ok(found) => return found,
                Err(seen) if start.elapsed() > at_most => {
                    panic!("waited {at_most:?} until {what}; last seen: {seen}\nthe log ends with:\n{}", self.tail())
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// As [`Log::until`], where there is no runtime.
    pub fn until_blocking<T>(&self, what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
        let start = Instant::now();
        loop {
            match look() {
                Ok(found) => return found,
                Err(seen) if start.elapsed() > AT_MOST => {
                    panic!("waited {AT_MOST:?} until {what}; last seen: {seen}\nthe log ends with:\n{}", self.tail())
                }
                Err(_) => std::thread::sleep(PAUSE),
            }
        }
    }
}
