//! Which events ask for which work: everything that calls somebody else, and every reaction of ours.
//!
//! The append writes the work item beside the event that asks for it, so nothing is asked for and forgotten.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Event,
    candidate::{CandidateEvent, RetryFrom},
    job::JobEvent,
};

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
            CandidateEvent::ResumeUploaded { .. }
            | CandidateEvent::CandidateRetried { from: RetryFrom::Extraction, .. } => Task::ExtractText,
            CandidateEvent::ScoringAwaited {} => Task::AwaitRubric,
            CandidateEvent::ScoringRequested { .. } => Task::Score,
            CandidateEvent::ExtractionStarted {}
            | CandidateEvent::TextExtracted { .. }
            | CandidateEvent::HiddenTextDetected { .. }
            | CandidateEvent::CandidateRetried { from: RetryFrom::Scoring, .. }
            | CandidateEvent::ExtractionFailed { .. }
            | CandidateEvent::CandidateScored { .. }
            | CandidateEvent::ScoringFailed { .. }
            | CandidateEvent::CandidateDeleted { .. } => return None,
        },
        Event::Job(event) => match event {
            JobEvent::JobCreated { .. }
            | JobEvent::RubricRetried {}
            | JobEvent::JobRevised { rubric_outdated: true, .. } => Task::DrawUpRubric,
            JobEvent::RubricRecorded { .. } => Task::ScoreWaiting,
            JobEvent::RubricFailed { .. } => Task::FailWaiting,
            JobEvent::JobDeleted {} => Task::DeleteCandidates,
            JobEvent::JobRevised { rubric_outdated: false, .. } | JobEvent::RubricStarted {} => return None,
        },
        Event::Account(_) | Event::EmailClaim(_) | Event::Subscription(_) | Event::Usage(_) => return None,
    };
    Some(Asked { subject, task })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        fixtures::job,
        samples::{self, Sample},
    };

    #[test]
    fn every_event_asks_for_the_work_that_is_written_here_and_no_other() {
        for sample in samples::all() {
            let asked = match sample.event_type.as_str() {
                "ResumeUploaded" => Some(Task::ExtractText),
                "CandidateRetried" if sample.payload["CandidateRetried"]["from"] == json!("extraction") => {
                    Some(Task::ExtractText)
                }
                "ScoringAwaited" => Some(Task::AwaitRubric),
                "ScoringRequested" => Some(Task::Score),
                "JobCreated" | "RubricRetried" => Some(Task::DrawUpRubric),
                "JobRevised" if sample.payload["JobRevised"]["rubric_outdated"] == json!(true) => {
                    Some(Task::DrawUpRubric)
                }
                "RubricRecorded" => Some(Task::ScoreWaiting),
                "RubricFailed" => Some(Task::FailWaiting),
                "JobDeleted" => Some(Task::DeleteCandidates),
                _ => None,
            };
            let subject = job().0;
            let asked = asked.map(|task| Asked { subject, task });
            assert_eq!(asked_by(subject, &sample.event()), asked, "{}", sample.file);
        }
    }

    #[test]
    fn only_a_revision_of_the_text_asks_for_a_new_rubric() {
        let revised = |outdated: bool| {
            let mut sample: Sample =
                samples::all().into_iter().find(|sample| sample.event_type == "JobRevised").unwrap();
            sample.payload["JobRevised"]["rubric_outdated"] = json!(outdated);
            asked_by(job().0, &sample.event()).map(|asked| asked.task)
        };
        assert_eq!(revised(true), Some(Task::DrawUpRubric));
        assert_eq!(revised(false), None);
    }

    #[test]
    fn tasks_are_stored_under_stable_names_in_their_lanes() {
        let stored = [
            (Task::ExtractText, "extract_text", Lane::Extract),
            (Task::DrawUpRubric, "draw_up_rubric", Lane::Rubric),
            (Task::Score, "score", Lane::Score),
            (Task::ScoreWaiting, "score_waiting", Lane::React),
            (Task::AwaitRubric, "await_rubric", Lane::React),
            (Task::FailWaiting, "fail_waiting", Lane::React),
            (Task::DeleteCandidates, "delete_candidates", Lane::React),
        ];
        for (task, name, lane) in stored {
            assert_eq!(serde_json::to_value(&task).unwrap(), json!(name));
            assert_eq!(serde_json::from_value::<Task>(json!(name)).unwrap(), task);
            assert_eq!(task.lane(), lane);
        }
    }

    #[test]
    fn lanes_are_read_by_the_name_they_are_written_by() {
        for lane in Lane::ALL {
            assert_eq!(lane.to_string().parse(), Ok(lane));
            assert_eq!(serde_json::to_value(lane).unwrap(), json!(lane.name()));
        }
    }

    #[test]
    fn an_unknown_lane_is_told_which_there_are() {
        let refusal = "scores".parse::<Lane>().unwrap_err().to_string();
        assert_eq!(refusal, "\"scores\" is no lane; there are extract, rubric, score and react");
        assert!(Lane::ALL.iter().all(|lane| refusal.contains(lane.name())));
    }
}
