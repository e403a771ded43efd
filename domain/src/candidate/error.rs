/// A broken rule. The caller's fault, so never a 5xx.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CandidateError {
    #[error("no resume was uploaded under this id")]
    NotUploaded,
    #[error("a resume was already uploaded under this id")]
    AlreadyUploaded,
    #[error("the candidate is deleted")]
    Deleted,
    #[error("resume text is not extracted yet, so there is nothing to score")]
    NotParsed,
    #[error("this result is for a request that a newer one has replaced")]
    Superseded,
    #[error("a candidate that failed can only be retried")]
    Failed,
    #[error("the job's rubric is not ready, so there is nothing to score by")]
    NoRubric,
    #[error("only a candidate that failed can be retried")]
    NotFailed,
}
