use serde::{Deserialize, Serialize};

use super::CategoryScore;
use crate::{AttemptId, JobId, Sealed, UsageId, UserId, score::Total};

/// One fact in a candidate's history. To change a meaning, add a variant; to change a shape, raise the version and add
/// an upcaster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum CandidateEvent {
    /// The file is stored and holds a slot of the tenant's billing period.
    ResumeUploaded {
        job_id: JobId,
        /// Period whose slot this candidate holds; a later release goes back to it.
        usage_id: UsageId,
        /// Where the encrypted file lies.
        blob_key: String,
        /// `pdf`, `docx` or `doc`, by content and name together.
        file_kind: String,
        size_bytes: u64,
        /// Keyed hash of the content, the same for the same bytes within a tenant.
        content_hash: String,
        file_name: Sealed,
        /// What the uploader said of the person: JSON of [`super::Contact`].
        given: Option<Sealed>,
        uploaded_by: UserId,
    },
    /// A worker has begun to read the file (once, however often it is tried).
    ExtractionStarted {},
    /// The visible text is stored and ready to score.
    TextExtracted {
        text_key: String,
        characters: u64,
        pages: u32,
        /// Contact data found in the text: JSON of [`super::Contact`].
        found: Option<Sealed>,
        /// The file goes on after the text: it was too long to be read to its end. A person should look.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        cut_short: bool,
    },
    /// The file has text that no person would see. It was kept out of what is scored; a person should look.
    HiddenTextDetected {
        findings: Vec<HiddenText>,
        /// Hidden characters in thousandths of all characters.
        share_permille: u32,
    },
    /// The file gives no text; its slot is free again.
    ExtractionFailed {
        failure: Failure,
    },
    /// The text is ready but the job's rubric is not; scoring is asked for as soon as it is.
    ScoringAwaited {},
    /// A score by this version of the rubric is wanted; the scoring consumer calls the model.
    ScoringRequested {
        rubric_version: u32,
    },
    /// Each category has a score or none. `total` is their weighted mean, computed here, not by the model.
    /// `evaluation` holds reasons and quotes, which speak of a person, so they are sealed.
    CandidateScored {
        attempt: AttemptId,
        rubric_version: u32,
        prompt_version: String,
        model: String,
        categories: Vec<CategoryScore>,
        total: Option<Total>,
        /// Why a person should look; empty when nothing is in doubt.
        needs_review: Vec<String>,
        evaluation: Sealed,
        /// Contact data that the model found and the text has: JSON of [`super::Contact`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        found: Option<Sealed>,
    },
    /// No score can be had. An older score stands; without one the candidate has failed and its slot is free again.
    ScoringFailed {
        failure: Failure,
    },
    /// A failed candidate is tried again, from the step that failed, on a slot of this period.
    CandidateRetried {
        usage_id: UsageId,
        from: RetryFrom,
    },
    CandidateDeleted {
        reason: DeletionReason,
    },
}

/// Text that no person would see, by the way it was hidden. The text itself is kept nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HiddenText {
    /// Such as `same_colour`, `off_page` or `zero_width`.
    pub technique: String,
    pub characters: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryFrom {
    Extraction,
    Scoring,
}

/// Why a step ended for good: a stable code and a sentence that tells the person what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub code: String,
    pub sentence: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeletionReason {
    Requested,
    JobDeleted,
}

crate::event::event_types! { CandidateEvent {
    ResumeUploaded: "1",
    ExtractionStarted: "1",
    TextExtracted: "1",
    HiddenTextDetected: "1",
    ExtractionFailed: "1",
    ScoringAwaited: "1",
    ScoringRequested: "1",
    CandidateScored: "1",
    ScoringFailed: "1",
    CandidateRetried: "1",
    CandidateDeleted: "1",
} }

impl CandidateEvent {
    pub(crate) fn sealed_mut(&mut self) -> Vec<(&'static str, &mut Sealed)> {
        match self {
            Self::ResumeUploaded { file_name, given, .. } => {
                let mut sealed = vec![("file_name", file_name)];
                sealed.extend(given.as_mut().map(|given| ("given", given)));
                sealed
            }
            Self::TextExtracted { found, .. } => found.as_mut().map(|found| ("found", found)).into_iter().collect(),
            Self::CandidateScored { evaluation, found, .. } => {
                let mut sealed = vec![("evaluation", evaluation)];
                sealed.extend(found.as_mut().map(|found| ("found", found)));
                sealed
            }
            Self::ExtractionStarted {}
            | Self::HiddenTextDetected { .. }
            | Self::ExtractionFailed { .. }
            | Self::ScoringAwaited {}
            | Self::ScoringRequested { .. }
            | Self::ScoringFailed { .. }
            | Self::CandidateRetried { .. }
            | Self::CandidateDeleted { .. } => vec![],
        }
    }
}
