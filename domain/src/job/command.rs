use super::Rubric;
use crate::{UserId, candidate::Failure};

#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a command lives for one decision")]
pub enum JobCommand {
    CreateJob(CreateJob),
    ReviseJob(ReviseJob),
    StartRubric(StartRubric),
    RecordRubric(RecordRubric),
    FailRubric(FailRubric),
    RetryRubric(RetryRubric),
    DeleteJob(DeleteJob),
}

#[derive(Clone, Debug)]
pub struct CreateJob {
    pub title: String,
    pub description: String,
    pub location: Option<String>,
    pub work_authorization_required: bool,
    pub created_by: UserId,
}

/// Changes the fields that are given and keeps the others.
#[derive(Clone, Debug, Default)]
pub struct ReviseJob {
    pub title: Option<String>,
    pub description: Option<String>,
    pub location: Option<String>,
    pub work_authorization_required: Option<bool>,
}

#[derive(Clone, Debug)]
pub struct StartRubric;

#[derive(Clone, Debug)]
pub struct RecordRubric {
    /// How often the job had been revised when the work began: a rubric for an older text is refused.
    pub revision: u32,
    pub rubric: Rubric,
    pub model: String,
    pub prompt_version: String,
}

#[derive(Clone, Debug)]
pub struct FailRubric {
    pub revision: u32,
    pub failure: Failure,
}

/// Tries a rubric that failed again.
#[derive(Clone, Debug)]
pub struct RetryRubric;

#[derive(Clone, Debug)]
pub struct DeleteJob;

macro_rules! into_command {
    ($($command:ident),*) => {$(
        impl From<$command> for JobCommand {
            fn from(command: $command) -> Self {
                Self::$command(command)
            }
        }
    )*};
}

into_command!(CreateJob, ReviseJob, StartRubric, RecordRubric, FailRubric, RetryRubric, DeleteJob);
