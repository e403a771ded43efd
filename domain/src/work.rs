//! Which events ask for which work: everything that calls somebody else, and every reaction of ours.
//!
//! The append writes the work item beside the event that asks for it, so nothing is asked for and forgotten.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Event, candidate::CandidateEvent, job::JobEvent};

/// A kind of work with workers of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// Text out of a resume file.
    Extract,
    /// A rubric out of a job description.
    Rubric,
    /// A score out of a resume text.
    Score,
    /// Our own follow-ups to events.
    React,
}

impl Lane {
    pub const ALL: [Lane; 4] = [Lane::Extract, Lane::Rubric, Lane::Score, Lane::React];

    pub fn name(self) -> &'static str {
        match self {
            Self::Extract => "extract",
            Self::Rubric => "rubric",
            Self::Score => "score",
            Self::React => "react",
        }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Lane {
    type Err = UnknownLane;

    fn from_str(text: &str) -> Result<Self, UnknownLane> {
        Self::ALL.into_iter().find(|lane| lane.name() == text).ok_or_else(|| UnknownLane(text.to_owned()))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no lane; there are extract, rubric, score and react")]
pub struct UnknownLane(String);

/// What a work item is to do. `subject` of the item names the aggregate it is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    ExtractText,
    DrawUpRubric,
    Score,
    /// The rubric of the job is ready: score whoever waits for it or has a score by an older one.
    ScoreWaiting,
    /// This candidate found no rubric: look again, it may have come in between.
    AwaitRubric,
    /// The job's rubric failed for good: fail whoever waits for it.
    FailWaiting,
    /// The job is gone: delete its candidates.
    DeleteCandidates,
}

impl Task {
    pub fn lane(&self) -> Lane {
        match self {
            Self::ExtractText => Lane::Extract,
            Self::DrawUpRubric => Lane::Rubric,
            Self::Score => Lane::Score,
            Self::ScoreWaiting | Self::AwaitRubric | Self::FailWaiting | Self::DeleteCandidates => Lane::React,
        }
    }
}

/// One piece of work an event asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub subject: Uuid,
    pub task: Task,
}

/// The work that `event` of aggregate `subject` asks for.
pub fn asked_by(subject: Uuid, event: &Event) -> Option<Asked> {
    let task = match event {
        Event::Candidate(event) => match event {
            CandidateEvent::ResumeUploaded { .. } => Task::ExtractText,
            CandidateEvent::ScoringAwaited {} => Task::AwaitRubric,
            CandidateEvent::ScoringRequested { .. } => Task::Score,
            CandidateEvent::ExtractionStarted {}
            | CandidateEvent::TextExtracted { .. }
            | CandidateEvent::ExtractionFailed { .. }
            | CandidateEvent::CandidateScored { .. }
            | CandidateEvent::ScoringFailed { .. }
            | CandidateEvent::CandidateDeleted { .. } => return None,
        },
        Event::Job(event) => match event {
            JobEvent::JobCreated { .. } | JobEvent::JobRevised { rubric_outdated: true, .. } => Task::DrawUpRubric,
            JobEvent::RubricRecorded { .. } => Task::ScoreWaiting,
            JobEvent::RubricFailed { .. } => Task::FailWaiting,
            JobEvent::JobDeleted {} => Task::DeleteCandidates,
            JobEvent::JobRevised { rubric_outdated: false, .. } | JobEvent::RubricStarted {} => return None,
        },
        Event::Account(_) | Event::EmailClaim(_) | Event::Subscription(_) | Event::Usage(_) => return None,
    };
    Some(Asked { subject, task })
}
