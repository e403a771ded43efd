//! The child's side: puts limits on itself, reads one file from stdin, prints one line of JSON.
//!
//! The limits come first and can only be lowered, so whatever a hostile file makes of the readers below, it has little
//! memory, little time, no file and no socket.

use std::io::{self, Read, Write};
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use rlimit::Resource;

use super::{Answer, Extracted, ExtractionFailure, docx, pdf};

const MEMORY_LIMIT_BYTES: u64 = 512 << 20;
const CPU_LIMIT_SECONDS: u64 = 5;
/// Uploads are smaller; a longer stream is cut, not trusted.
const MAX_FILE_BYTES: u64 = 32 << 20;

/// Exit code when the child could not protect itself or speak to the parent: not the file's fault.
const NOT_READY: u8 = 70;

/// Runs the hidden verb `extract-child <kind>` (kind `pdf` or `docx`) and returns the exit code of the process.
///
/// Call it before any thread is started: threads reserve address space, and that is limited here.
pub fn run(kind: &str) -> ExitCode {
    // A panic's message may quote the file, and nothing of a resume may reach a log.
    panic::set_hook(Box::new(|_| {}));
    match limit_resources().and_then(|()| read_stdin()).and_then(|bytes| answer(kind, bytes)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(NOT_READY),
    }
}

fn limit_resources() -> io::Result<()> {
    for (resource, limit) in [
        (Resource::AS, MEMORY_LIMIT_BYTES),
        (Resource::CPU, CPU_LIMIT_SECONDS),
        (Resource::CORE, 0),   // a core dump would be a copy of the resume
        (Resource::FSIZE, 0),  // stdout is a pipe and not a file
        (Resource::NOFILE, 0), // the three pipes stay open; nothing else opens, so there is no network either
    ] {
        if resource == Resource::AS && cfg!(target_os = "macos") {
            continue; // maps more than this before it starts; only developers run it there
        }
        // The hard limit of CPU time is one second later: the soft one is told apart by its own signal.
        let hard = if resource == Resource::CPU { limit + 1 } else { limit };
        let (_, allowed) = resource.get()?; // where the machine is stricter than we are, it stays so
        resource.set(limit.min(allowed), hard.min(allowed))?;
    }
    Ok(())
}

fn read_stdin() -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::stdin().lock().take(MAX_FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn answer(kind: &str, bytes: Vec<u8>) -> io::Result<()> {
    // Budgets are caught close to their cause; what gets here is a reader stumbling over the file.
    let result = panic::catch_unwind(AssertUnwindSafe(|| extract(kind, bytes)))
        .unwrap_or(Ok(Err(ExtractionFailure::BrokenFile)))?;
    let mut line = serde_json::to_vec(&Answer::from(result))?;
    line.push(b'\n');
    let mut stdout = io::stdout().lock();
    stdout.write_all(&line)?;
    stdout.flush()
}

fn extract(kind: &str, bytes: Vec<u8>) -> io::Result<Result<Extracted, ExtractionFailure>> {
    match kind {
        "pdf" => Ok(pdf::extract(bytes)),
        "docx" => Ok(docx::extract(&bytes)),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "unknown kind of file")),
    }
}
