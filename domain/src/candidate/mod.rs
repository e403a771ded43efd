//! A candidate: one resume uploaded for one job, on its way from file to text to score.
//!
//! `UPLOADED → PROCESSING → PARSED → SCORED`, or `FAILED` with a reason that a person can act on. Rules here keep a
//! repeated result from counting twice and a late one from overwriting what came after.

mod aggregate;
mod command;
mod error;
mod evaluation;
mod event;
mod quote;
#[cfg(test)]
mod tests;

pub use aggregate::{Candidate, Status};
pub use command::{
    CandidateCommand, DeleteCandidate, FailExtraction, FailScoring, RecordScore, RecordText, RetryCandidate,
    ScoreCandidate, StartExtraction, UploadResume,
};
pub use error::CandidateError;
pub use evaluation::{CategoryGrade, CategoryScore, Contact, Evaluation};
pub use event::{CandidateEvent, DeletionReason, Failure, HiddenText, RetryFrom};
pub use quote::{Quote, QuoteFinder, locate_quote};
