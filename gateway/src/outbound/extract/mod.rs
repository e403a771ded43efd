//! Reads the text of a resume out of a PDF or DOCX file, in a child process of our own binary.
//!
//! A resume is hostile until read: a few hundred bytes can cost gigabytes, and text that no person sees can speak to
//! the model behind their back. So the file is opened only in a child that has put limits on itself, and only what a
//! person would see comes back; of the rest, the technique and the amount.

use serde::{Deserialize, Serialize};

mod child;
mod docx;
mod extractor;
mod failure;
mod hidden;
mod layout;
mod pdf;
mod sniff;
mod text;

pub use child::run as run_child;
pub use extractor::{ExtractError, Extractor};
pub use failure::ExtractionFailure;
pub use hidden::{HiddenText, Technique};
pub use sniff::{FileKind, RefusedFile, sniff};

/// Hidden verb of our own binary; see [`run_child`].
pub const CHILD_VERB: &str = "extract-child";

/// Longest text kept of one resume. Real ones have 2,000 to 20,000 characters; the rest only costs tokens.
pub const MAX_TEXT_CHARS: usize = 100_000;

/// What a person would read in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extracted {
    /// Visible text in reading order, one line of the page a line, pages divided by a blank line.
    pub text: String,
    /// Pages that were read; 1 for DOCX, which has no pages before it is printed.
    pub pages: u32,
    /// What was left out because no person would see it, by technique.
    pub hidden: Vec<HiddenText>,
    /// The file goes on after what was read.
    pub truncated: bool,
}

/// The one line that the child prints.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum Answer {
    Extracted(Extracted),
    Failed { code: ExtractionFailure },
}

impl From<Result<Extracted, ExtractionFailure>> for Answer {
    fn from(result: Result<Extracted, ExtractionFailure>) -> Self {
        match result {
            Ok(extracted) => Self::Extracted(extracted),
            Err(code) => Self::Failed { code },
        }
    }
}
