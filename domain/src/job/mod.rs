//! A job: an opening and the weighted rubric by which its resumes are graded.
//!
//! The rubric is versioned: a score names the version it was given by, so a revised job never mixes two yardsticks
//! unnoticed.

mod aggregate;
mod command;
mod error;
mod event;
mod rubric;
#[cfg(test)]
mod tests;

pub use aggregate::{Job, RubricStatus};
pub use command::{CreateJob, DeleteJob, FailRubric, JobCommand, RecordRubric, RetryRubric, ReviseJob, StartRubric};
pub use error::JobError;
pub use event::JobEvent;
pub use rubric::{BackgroundPatterns, Category, EducationPreferences, InvalidRubric, Rubric};
