use serde::{Deserialize, Serialize};

use super::Rubric;
use crate::{UserId, candidate::Failure};

/// One fact in a job's history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "events pass by one at a time")]
pub enum JobEvent {
    JobCreated {
        title: String,
        description: String,
        location: Option<String>,
        work_authorization_required: bool,
        created_by: UserId,
    },
    /// The opening as it reads from now on. `rubric_outdated`: title or description changed, a new rubric is wanted.
    JobRevised {
        title: String,
        description: String,
        location: Option<String>,
        work_authorization_required: bool,
        rubric_outdated: bool,
    },
    /// A worker has begun to draw up the rubric.
    RubricStarted {},
    /// The yardstick from now on; candidates scored by an older one are scored again.
    RubricRecorded { version: u32, rubric: Rubric, model: String, prompt_version: String },
    /// No rubric can be had; candidates that wait for it fail and free their slots.
    RubricFailed { failure: Failure },
    /// Another try at a rubric that had failed.
    RubricRetried {},
    /// Its candidates are deleted by events of their own.
    JobDeleted {},
}

crate::event::event_types! { JobEvent {
    JobCreated: "1",
    JobRevised: "1",
    RubricStarted: "1",
    RubricRecorded: "1",
    RubricFailed: "1",
    RubricRetried: "1",
    JobDeleted: "1",
} }
