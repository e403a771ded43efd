use super::{CategoryScore, DeletionReason, Failure, HiddenText};
use crate::{AttemptId, JobId, Sealed, UsageId, UserId};

#[derive(Clone, Debug)]
pub enum CandidateCommand {
    UploadResume(UploadResume),
    StartExtraction(StartExtraction),
    RecordText(RecordText),
    FailExtraction(FailExtraction),
    ScoreCandidate(ScoreCandidate),
    RecordScore(RecordScore),
    FailScoring(FailScoring),
    RetryCandidate(RetryCandidate),
    DeleteCandidate(DeleteCandidate),
}

/// Takes in a file that is already stored. Its slot is reserved in the same commit.
#[derive(Clone, Debug)]
pub struct UploadResume {
    pub job_id: JobId,
    pub usage_id: UsageId,
    pub blob_key: String,
    pub file_kind: String,
    pub size_bytes: u64,
    pub content_hash: String,
    pub file_name: Sealed,
    pub given: Option<Sealed>,
    pub uploaded_by: UserId,
}

#[derive(Clone, Debug)]
pub struct StartExtraction;

#[derive(Clone, Debug)]
pub struct RecordText {
    pub text_key: String,
    pub characters: u64,
    pub pages: u32,
    pub found: Option<Sealed>,
    /// The file goes on after the text.
    pub cut_short: bool,
    pub hidden: Vec<HiddenText>,
    /// The rubric at hand, if there is one: then scoring is asked for at once.
    pub rubric_version: Option<u32>,
}

#[derive(Clone, Debug)]
pub struct FailExtraction {
    pub failure: Failure,
}

/// Asks for a score by this version of the rubric.
#[derive(Clone, Debug)]
pub struct ScoreCandidate {
    pub rubric_version: u32,
    /// Even if it has a score by this version: a person wants a second look.
    pub again: bool,
}

#[derive(Clone, Debug)]
pub struct RecordScore {
    pub attempt: AttemptId,
    pub rubric_version: u32,
    pub prompt_version: String,
    pub model: String,
    pub categories: Vec<CategoryScore>,
    pub needs_review: Vec<String>,
    pub evaluation: Sealed,
    pub found: Option<Sealed>,
}

#[derive(Clone, Debug)]
pub struct FailScoring {
    /// The request that cannot be met; `None`: the rubric that the candidate waits for will not come.
    pub rubric_version: Option<u32>,
    pub failure: Failure,
}

/// Tries a failed candidate again. Its slot is reserved anew in the same commit.
#[derive(Clone, Debug)]
pub struct RetryCandidate {
    pub usage_id: UsageId,
    /// The rubric at hand, if there is one.
    pub rubric_version: Option<u32>,
}

#[derive(Clone, Debug)]
pub struct DeleteCandidate {
    pub reason: DeletionReason,
}

macro_rules! into_command {
    ($($command:ident),*) => {$(
        impl From<$command> for CandidateCommand {
            fn from(command: $command) -> Self {
                Self::$command(command)
            }
        }
    )*};
}

into_command!(
    UploadResume,
    StartExtraction,
    RecordText,
    FailExtraction,
    ScoreCandidate,
    RecordScore,
    FailScoring,
    RetryCandidate,
    DeleteCandidate
);
