//! Why a file cannot be read, as a code for programs and a sentence for the person who uploaded it.
//!
//! A failure of the file is final: the same file fails again, so the sentence says what to do instead.

use serde::{Deserialize, Serialize};

/// A failure of the file itself; trying again is useless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum ExtractionFailure {
    #[error("the file is a Word document of the format before 2007")]
    LegacyDoc,
    #[error("the file is protected by a password")]
    PasswordProtected,
    #[error("the file holds pictures of pages, and no text")]
    ScannedImage,
    #[error("the file is damaged")]
    BrokenFile,
    #[error("the file holds no text")]
    NoText,
    #[error("the file needs more memory or steps than a resume may")]
    TooComplex,
    #[error("the file needs more time than a resume may")]
    TimedOut,
    #[error("reading the file crashed")]
    Crashed,
}

impl ExtractionFailure {
    /// Stable name, as the API and the events carry it.
    pub const fn code(self) -> &'static str {
        match self {
            Self::LegacyDoc => "legacy_doc",
            Self::PasswordProtected => "password_protected",
            Self::ScannedImage => "scanned_image",
            Self::BrokenFile => "broken_file",
            Self::NoText => "no_text",
            Self::TooComplex => "too_complex",
            Self::TimedOut => "timed_out",
            Self::Crashed => "crashed",
        }
    }

    /// What happened and what the person can do about it.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::LegacyDoc => {
                "This is a Word document in the old .doc format. Save it as .docx or PDF and upload it again."
            }
            Self::PasswordProtected => "This file is protected by a password. Remove the password and upload it again.",
            Self::ScannedImage => {
                "This file holds pictures of pages and no text. Upload the original document, or a scan with the text \
                 typed out."
            }
            Self::BrokenFile => {
                "This file is damaged or incomplete. Export it again as PDF or DOCX and upload the new file."
            }
            Self::NoText => {
                "There is no readable text in this file. Check that it is the right one and export it again."
            }
            Self::TooComplex => {
                "This file is far more complex than a resume needs. Export it as a plain PDF and upload that."
            }
            Self::TimedOut => "Reading this file took too long. Export it as a plain PDF and upload that.",
            Self::Crashed => "This file could not be read. Export it again as PDF or DOCX and upload the new file.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ExtractionFailure::{
        BrokenFile, Crashed, LegacyDoc, NoText, PasswordProtected, ScannedImage, TimedOut, TooComplex,
    };

    #[test]
    fn code_is_what_the_child_prints() {
        for failure in [LegacyDoc, PasswordProtected, ScannedImage, BrokenFile, NoText, TooComplex, TimedOut, Crashed] {
            assert_eq!(serde_json::to_value(failure).unwrap(), failure.code());
        }
    }
}
