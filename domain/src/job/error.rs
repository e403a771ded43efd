use super::InvalidRubric;

/// A broken rule. The caller's fault, so never a 5xx.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    #[error("no job was created under this id")]
    NotCreated,
    #[error("a job was already created under this id")]
    AlreadyCreated,
    #[error("the job is deleted")]
    Deleted,
    #[error("the title must have 1 to 200 characters")]
    TitleLength,
    #[error("the description must have 10 to 15000 characters")]
    DescriptionLength,
    #[error("this rubric is for a text of the job that was revised since")]
    Superseded,
    #[error("only a rubric that failed can be retried")]
    RubricNotFailed,
    #[error(transparent)]
    Rubric(#[from] InvalidRubric),
}
