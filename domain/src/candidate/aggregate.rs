use serde::{Deserialize, Serialize};

use super::{
    CandidateCommand, CandidateError, CandidateEvent, DeleteCandidate, FailExtraction, FailScoring, HiddenText,
    RecordScore, RecordText, RetryCandidate, RetryFrom, ScoreCandidate, UploadResume,
};
use crate::{
    AttemptId, JobId, UsageId,
    score::{Importance, Score, weighted_total},
};

type Decision = Result<Vec<CandidateEvent>, CandidateError>;

/// Where a candidate stands. The wire spells it in upper case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// Nothing was uploaded under this id.
    #[default]
    Unknown,
    Uploaded,
    Processing,
    Parsed,
    Scored,
    Failed,
}

/// What rules and workers need to know of one candidate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    pub status: Status,
    pub deleted: bool,
    pub job_id: Option<JobId>,
    pub usage_id: Option<UsageId>,
    pub blob_key: String,
    pub file_kind: String,
    pub text_key: Option<String>,
    /// Version of the rubric by which a score is wanted and not there yet.
    pub requested: Option<u32>,
    /// Version of the rubric of the last score.
    pub scored_by: Option<u32>,
    last_attempt: Option<AttemptId>,
    /// The file goes on after the text that is scored.
    cut_short: bool,
    /// Techniques by which text was hidden in the file.
    hidden: Vec<String>,
}

/// Scoring is asked for by the rubric at hand, or awaited.
fn score_by(rubric_version: Option<u32>) -> CandidateEvent {
    match rubric_version {
        Some(rubric_version) => CandidateEvent::ScoringRequested { rubric_version },
        None => CandidateEvent::ScoringAwaited {},
    }
}

/// Hidden characters in thousandths of all, rounded up: one hidden word is never none.
fn hidden_share(hidden: &[HiddenText], visible_characters: u64) -> u32 {
    let hidden = hidden.iter().fold(0_u64, |sum, finding| sum.saturating_add(finding.characters));
    let all = hidden.saturating_add(visible_characters).max(1);
    u32::try_from((u128::from(hidden) * 1000).div_ceil(u128::from(all))).unwrap_or(1000)
}

impl Candidate {
    /// Decides what `command` changes, without changing anything.
    ///
    /// # Errors
    /// A [`CandidateError`] when a rule forbids the command.
    pub fn decide(&self, command: CandidateCommand) -> Decision {
        match command {
            CandidateCommand::UploadResume(command) => self.upload(command),
            CandidateCommand::StartExtraction(_) => self.start_extraction(),
            CandidateCommand::RecordText(command) => self.record_text(command),
            CandidateCommand::FailExtraction(command) => self.fail_extraction(command),
            CandidateCommand::ScoreCandidate(command) => self.request_score(&command),
            CandidateCommand::RecordScore(command) => self.record_score(command),
            CandidateCommand::FailScoring(command) => self.fail_scoring(command),
            CandidateCommand::RetryCandidate(command) => self.retry(&command),
            CandidateCommand::DeleteCandidate(command) => self.delete(&command),
        }
    }

    fn upload(&self, command: UploadResume) -> Decision {
        if self.status != Status::Unknown {
            return Err(CandidateError::AlreadyUploaded);
        }
        let UploadResume {
            job_id,
            usage_id,
            blob_key,
            file_kind,
            size_bytes,
            content_hash,
            file_name,
            given,
            uploaded_by,
        } = command;
        Ok(vec![CandidateEvent::ResumeUploaded {
            job_id,
            usage_id,
            blob_key,
            file_kind,
            size_bytes,
            content_hash,
            file_name,
            given,
            uploaded_by,
        }])
    }

    fn start_extraction(&self) -> Decision {
        self.require_present()?;
        if self.status != Status::Uploaded {
            return Ok(vec![]); // begun before: a later try is the same beginning
        }
        Ok(vec![CandidateEvent::ExtractionStarted {}])
    }

    fn record_text(&self, command: RecordText) -> Decision {
        self.require_present()?;
        if !matches!(self.status, Status::Uploaded | Status::Processing) {
            return Ok(vec![]); // done before: the same command twice is once
        }
        let RecordText { text_key, characters, pages, found, cut_short, hidden, rubric_version } = command;
        let mut events = vec![CandidateEvent::TextExtracted { text_key, characters, pages, found, cut_short }];
        if !hidden.is_empty() {
            let share_permille = hidden_share(&hidden, characters);
            events.push(CandidateEvent::HiddenTextDetected { findings: hidden, share_permille });
        }
        events.push(score_by(rubric_version));
        Ok(events)
    }

    fn fail_extraction(&self, FailExtraction { failure }: FailExtraction) -> Decision {
        self.require_present()?;
        if !matches!(self.status, Status::Uploaded | Status::Processing) {
            return Ok(vec![]);
        }
        Ok(vec![CandidateEvent::ExtractionFailed { failure }])
    }

    fn request_score(&self, command: &ScoreCandidate) -> Decision {
        self.require_present()?;
        if self.status == Status::Failed {
            return Err(CandidateError::Failed);
        }
        if self.text_key.is_none() {
            return Err(CandidateError::NotParsed);
        }
        let done = if command.again { self.requested } else { self.requested.max(self.scored_by) };
        if done >= Some(command.rubric_version) {
            return Ok(vec![]); // asked for or done by this rubric already
        }
        Ok(vec![CandidateEvent::ScoringRequested { rubric_version: command.rubric_version }])
    }

    fn record_score(&self, command: RecordScore) -> Decision {
        self.require_present()?;
        if self.text_key.is_none() {
            return Err(CandidateError::NotParsed);
        }
        if self.last_attempt == Some(command.attempt) {
            return Ok(vec![]);
        }
        if self.requested != Some(command.rubric_version) {
            return Err(CandidateError::Superseded);
        }
        let RecordScore {
            attempt,
            rubric_version,
            prompt_version,
            model,
            categories,
            mut needs_review,
            evaluation,
            found,
        } = command;
        let scores: Vec<(Importance, Score)> =
            categories.iter().filter_map(|category| category.score.map(|score| (category.importance, score))).collect();
        let cut = self.cut_short.then(|| "text_cut_short".to_owned());
        let hidden = self.hidden.iter().map(|technique| format!("hidden_text:{technique}"));
        let ungraded = categories.iter().filter(|category| category.score.is_none());
        let ungraded = ungraded.map(|category| format!("unsupported_category:{}", category.category_id));
        for reason in cut.into_iter().chain(hidden).chain(ungraded) {
            if !needs_review.contains(&reason) {
                needs_review.push(reason);
            }
        }
        Ok(vec![CandidateEvent::CandidateScored {
            attempt,
            rubric_version,
            prompt_version,
            model,
            total: weighted_total(&scores),
            categories,
            needs_review,
            evaluation,
            found,
        }])
    }

    fn fail_scoring(&self, FailScoring { rubric_version, failure }: FailScoring) -> Decision {
        self.require_present()?;
        match self.status {
            Status::Unknown | Status::Uploaded | Status::Processing => Err(CandidateError::NotParsed),
            Status::Failed => Ok(vec![]),
            Status::Scored if self.requested.is_none() => Ok(vec![]), // answered or given up before
            // Who gives up on an older request must not end a newer one that is still under way.
            Status::Parsed | Status::Scored if self.requested != rubric_version => Err(CandidateError::Superseded),
            // A score that stands is not lost because a newer one cannot be had: see `evolve`.
            Status::Parsed | Status::Scored => Ok(vec![CandidateEvent::ScoringFailed { failure }]),
        }
    }

    fn retry(&self, command: &RetryCandidate) -> Decision {
        self.require_present()?;
        if self.status != Status::Failed {
            return Err(CandidateError::NotFailed);
        }
        let usage_id = command.usage_id;
        if self.text_key.is_none() {
            return Ok(vec![CandidateEvent::CandidateRetried { usage_id, from: RetryFrom::Extraction }]);
        }
        let retried = CandidateEvent::CandidateRetried { usage_id, from: RetryFrom::Scoring };
        Ok(vec![retried, score_by(command.rubric_version)])
    }

    fn delete(&self, command: &DeleteCandidate) -> Decision {
        self.require_present()?;
        Ok(vec![CandidateEvent::CandidateDeleted { reason: command.reason }])
    }

    /// Whether the slot of the billing period is still only reserved.
    pub fn holds_reserved_slot(&self) -> bool {
        !self.deleted
            && self.scored_by.is_none()
            && matches!(self.status, Status::Uploaded | Status::Processing | Status::Parsed)
    }

    fn require_present(&self) -> Result<(), CandidateError> {
        if self.status == Status::Unknown {
            return Err(CandidateError::NotUploaded);
        }
        if self.deleted {
            return Err(CandidateError::Deleted);
        }
        Ok(())
    }

    fn evolve(&mut self, event: CandidateEvent) {
        match event {
            CandidateEvent::ResumeUploaded { job_id, usage_id, blob_key, file_kind, .. } => {
                self.status = Status::Uploaded;
                self.job_id = Some(job_id);
                self.usage_id = Some(usage_id);
                self.blob_key = blob_key;
                self.file_kind = file_kind;
            }
            CandidateEvent::ExtractionStarted {} => self.status = Status::Processing,
            CandidateEvent::TextExtracted { text_key, cut_short, .. } => {
                self.status = Status::Parsed;
                self.text_key = Some(text_key);
                self.cut_short = cut_short;
            }
            CandidateEvent::HiddenTextDetected { findings, .. } => {
                self.hidden = findings.into_iter().map(|finding| finding.technique).collect();
            }
            CandidateEvent::ScoringAwaited {} => {}
            CandidateEvent::ScoringRequested { rubric_version } => self.requested = Some(rubric_version),
            CandidateEvent::CandidateScored { attempt, rubric_version, .. } => {
                self.status = Status::Scored;
                self.scored_by = Some(rubric_version);
                self.requested = None;
                self.last_attempt = Some(attempt);
            }
            CandidateEvent::ExtractionFailed { .. } => self.status = Status::Failed,
            CandidateEvent::ScoringFailed { .. } => {
                if self.status != Status::Scored {
                    self.status = Status::Failed;
                }
                self.requested = None;
            }
            CandidateEvent::CandidateRetried { usage_id, from } => {
                self.usage_id = Some(usage_id);
                self.status = match from {
                    RetryFrom::Extraction => Status::Uploaded,
                    RetryFrom::Scoring => Status::Parsed,
                };
            }
            CandidateEvent::CandidateDeleted { .. } => self.deleted = true,
        }
    }
}

crate::event::aggregate!(Candidate, "candidate", CandidateCommand, CandidateEvent, CandidateError);
