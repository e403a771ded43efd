//! The parent's side: starts the child, hands it the file, waits a bounded time, and says what its end means.
//!
//! The parent never looks into the file itself, so no file can take the gateway down with it.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;

use super::{Answer, CHILD_VERB, Extracted, ExtractionFailure, FileKind};

/// The child limits its own CPU time to half of this; the rest is for a busy machine.
const WALL_LIMIT: Duration = Duration::from_secs(10);
/// Ten times the longest text that the child may send.
const MAX_ANSWER_BYTES: u64 = 4 << 20;

/// Signals by number, the same on every Unix that we run on but for one.
mod signal {
    pub const ILLEGAL_INSTRUCTION: i32 = 4;
    pub const ABORT: i32 = 6;
    #[cfg(target_os = "linux")]
    pub const BUS_ERROR: i32 = 7;
    #[cfg(not(target_os = "linux"))]
    pub const BUS_ERROR: i32 = 10;
    pub const ARITHMETIC: i32 = 8;
    pub const SEGMENTATION_FAULT: i32 = 11;
    pub const CPU_TIME: i32 = 24;
}

/// Why there is no text.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// The file's fault, so final.
    #[error(transparent)]
    File(#[from] ExtractionFailure),
    /// Ours, so worth another try.
    #[error("the extraction child is not available")]
    Unavailable(#[source] io::Error),
}

/// Extracts text in child processes of our own binary, a bounded number of them at a time.
#[derive(Debug)]
pub struct Extractor {
    executable: PathBuf,
    slots: Semaphore,
}

impl Extractor {
    /// `executable` is our own binary, whose hidden verb [`CHILD_VERB`] calls [`run_child`](super::run_child).
    pub fn new(executable: PathBuf, max_parallel: usize) -> Self {
        Self { executable, slots: Semaphore::new(max_parallel.max(1)) }
    }

    /// Reads the text of one file. Dropping the future kills the child.
    ///
    /// # Errors
    /// [`ExtractError::File`] when the file cannot be read, now or ever; [`ExtractError::Unavailable`] when the child
    /// could not do its work.
    #[tracing::instrument(name = "extract.file", skip_all, fields(file.kind = %kind, file.size_bytes = bytes.len()))]
    pub async fn extract(&self, kind: FileKind, bytes: &[u8]) -> Result<Extracted, ExtractError> {
        if kind == FileKind::Doc {
            return Err(ExtractionFailure::LegacyDoc.into());
        }
        let _slot = self.slots.acquire().await.map_err(|closed| ExtractError::Unavailable(io::Error::other(closed)))?;
        let child = self.start(kind).map_err(ExtractError::Unavailable)?;
        match tokio::time::timeout(WALL_LIMIT, converse(child, bytes)).await {
            Ok(ended) => {
                let (status, output) = ended.map_err(ExtractError::Unavailable)?;
                conclude(status, &output)
            }
            // The child limits its own CPU time, so it was the machine that gave it none.
            Err(_elapsed) => {
                Err(ExtractError::Unavailable(io::Error::other("the extraction child got no time to work")))
            }
        }
    }

    fn start(&self, kind: FileKind) -> io::Result<Child> {
        Command::new(&self.executable)
            .args([CHILD_VERB, &kind.to_string()])
            .env_clear() // no secret of ours is within a file's reach
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null()) // may quote the resume
            .process_group(0) // Ctrl-C is for us: we end our children ourselves
            .kill_on_drop(true)
            .spawn()
    }
}

/// Writes the file and reads the answer at once, since a child that answers early stops reading.
async fn converse(mut child: Child, bytes: &[u8]) -> io::Result<(ExitStatus, Vec<u8>)> {
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // A child that died leaves a broken pipe; how it died says more than this error.
            let _ = stdin.write_all(bytes).await;
        }
    };
    let read = async {
        let mut output = Vec::new();
        if let Some(stdout) = stdout {
            stdout.take(MAX_ANSWER_BYTES).read_to_end(&mut output).await?;
        }
        Ok::<_, io::Error>(output)
    };
    let ((), output) = tokio::join!(write, read);
    Ok((child.wait().await?, output?))
}

/// What the child's end and last words mean.
fn conclude(status: ExitStatus, output: &[u8]) -> Result<Extracted, ExtractError> {
    match status.signal() {
        Some(signal::CPU_TIME) => return Err(ExtractionFailure::TimedOut.into()),
        // Rust aborts when memory runs out, and a stack that overflows ends in either.
        Some(signal::ABORT | signal::SEGMENTATION_FAULT) => return Err(ExtractionFailure::TooComplex.into()),
        Some(signal::BUS_ERROR | signal::ILLEGAL_INSTRUCTION | signal::ARITHMETIC) => {
            return Err(ExtractionFailure::Crashed.into());
        }
        // Somebody ended it, the kernel short of memory or a person: no fault of the file.
        Some(signal) => {
            let ended = format!("the extraction child was ended by signal {signal}");
            return Err(ExtractError::Unavailable(io::Error::other(ended)));
        }
        None => {}
    }
    if !status.success() {
        return Err(ExtractError::Unavailable(io::Error::other(format!("the extraction child ended with {status}"))));
    }
    match serde_json::from_slice(output) {
        Ok(Answer::Extracted(extracted)) => Ok(extracted),
        Ok(Answer::Failed { code }) => Err(code.into()),
        Err(_) => Err(ExtractionFailure::Crashed.into()), // the error would quote the answer, so it is dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn killed_by(signal: i32) -> ExitStatus {
        ExitStatus::from_raw(signal)
    }

    fn failure_of(status: ExitStatus, output: &[u8]) -> ExtractionFailure {
        match conclude(status, output) {
            Err(ExtractError::File(failure)) => failure,
            other => panic!("not a failure of the file: {other:?}"),
        }
    }

    #[test]
    fn a_signal_says_which_limit_was_hit() {
        assert_eq!(failure_of(killed_by(24), b""), ExtractionFailure::TimedOut);
        assert_eq!(failure_of(killed_by(6), b""), ExtractionFailure::TooComplex);
        assert_eq!(failure_of(killed_by(4), b""), ExtractionFailure::Crashed);
    }

    #[test]
    fn an_answer_that_is_no_answer_is_a_crash() {
        assert_eq!(failure_of(ExitStatus::from_raw(0), b"{\"outcome\":"), ExtractionFailure::Crashed);
    }

    #[test]
    fn a_child_that_was_not_ready_is_worth_another_try() {
        assert!(matches!(conclude(ExitStatus::from_raw(70 << 8), b""), Err(ExtractError::Unavailable(_))));
    }

    #[tokio::test]
    async fn a_missing_executable_is_our_fault_and_a_doc_is_the_files() {
        let extractor = Extractor::new(PathBuf::from("/nonexistent/starscreen"), 1);
        let missing = extractor.extract(FileKind::Pdf, b"%PDF-").await;
        assert!(matches!(missing, Err(ExtractError::Unavailable(_))));
        let legacy = extractor.extract(FileKind::Doc, b"").await;
        assert!(matches!(legacy, Err(ExtractError::File(ExtractionFailure::LegacyDoc))));
    }
}
