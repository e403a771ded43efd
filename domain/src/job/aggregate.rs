use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::{CreateJob, FailRubric, JobCommand, JobError, JobEvent, RecordRubric, ReviseJob, Rubric};

type Decision = Result<Vec<JobEvent>, JobError>;

const TITLE_CHARS: RangeInclusive<usize> = 1..=200;
const DESCRIPTION_CHARS: RangeInclusive<usize> = 10..=15_000;

/// Where the rubric of the job's current text stands. The wire spells it in upper case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RubricStatus {
    #[default]
    Pending,
    Processing,
    Completed,
    Failed,
}

/// What rules and workers need to know of one job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Job {
    pub created: bool,
    pub deleted: bool,
    pub title: String,
    pub description: String,
    location: Option<String>,
    work_authorization_required: bool,
    pub rubric_status: RubricStatus,
    /// Times the text changed in a way that asks for a new rubric.
    pub revision: u32,
    /// Version of `rubric`, from 1; 0 while there is none.
    pub rubric_version: u32,
    pub rubric: Option<Rubric>,
}

impl Job {
    /// Decides what `command` changes, without changing anything.
    ///
    /// # Errors
    /// A [`JobError`] when a rule forbids the command.
    pub fn decide(&self, command: JobCommand) -> Decision {
        match command {
            JobCommand::CreateJob(command) => self.create(command),
            JobCommand::ReviseJob(command) => self.revise(command),
            JobCommand::StartRubric(_) => self.start_rubric(),
            JobCommand::RecordRubric(command) => self.record_rubric(command),
            JobCommand::FailRubric(command) => self.fail_rubric(command),
            JobCommand::RetryRubric(_) => self.retry_rubric(),
            JobCommand::DeleteJob(_) => self.delete(),
        }
    }

    /// The version by which to score now, once the rubric of the current text is ready.
    pub fn current_rubric(&self) -> Option<u32> {
        (self.rubric_status == RubricStatus::Completed).then_some(self.rubric_version)
    }

    fn create(&self, command: CreateJob) -> Decision {
        if self.created {
            return Err(JobError::AlreadyCreated);
        }
        check_text(&command.title, &command.description)?;
        let CreateJob { title, description, location, work_authorization_required, created_by } = command;
        Ok(vec![JobEvent::JobCreated { title, description, location, work_authorization_required, created_by }])
    }

    fn revise(&self, command: ReviseJob) -> Decision {
        self.require_present()?;
        let title = command.title.unwrap_or_else(|| self.title.clone());
        let description = command.description.unwrap_or_else(|| self.description.clone());
        let location = command.location.or_else(|| self.location.clone());
        let work_authorization_required =
            command.work_authorization_required.unwrap_or(self.work_authorization_required);
        check_text(&title, &description)?;
        let rubric_outdated = title != self.title || description != self.description;
        let same = !rubric_outdated
            && location == self.location
            && work_authorization_required == self.work_authorization_required;
        if same {
            return Ok(vec![]);
        }
        Ok(vec![JobEvent::JobRevised { title, description, location, work_authorization_required, rubric_outdated }])
    }

    fn start_rubric(&self) -> Decision {
        self.require_present()?;
        if self.rubric_status != RubricStatus::Pending {
            return Ok(vec![]);
        }
        Ok(vec![JobEvent::RubricStarted {}])
    }

    fn record_rubric(&self, command: RecordRubric) -> Decision {
        self.require_present()?;
        self.require_current(command.revision)?;
        if self.rubric_status == RubricStatus::Completed {
            return Ok(vec![]);
        }
        command.rubric.validate()?;
        let RecordRubric { rubric, model, prompt_version, .. } = command;
        Ok(vec![JobEvent::RubricRecorded { version: self.rubric_version + 1, rubric, model, prompt_version }])
    }

    fn fail_rubric(&self, command: FailRubric) -> Decision {
        self.require_present()?;
        self.require_current(command.revision)?;
        match self.rubric_status {
            RubricStatus::Pending | RubricStatus::Processing => {
                Ok(vec![JobEvent::RubricFailed { failure: command.failure }])
            }
            RubricStatus::Completed | RubricStatus::Failed => Ok(vec![]),
        }
    }

    fn retry_rubric(&self) -> Decision {
        self.require_present()?;
        if self.rubric_status != RubricStatus::Failed {
            return Err(JobError::RubricNotFailed);
        }
        Ok(vec![JobEvent::RubricRetried {}])
    }

    fn delete(&self) -> Decision {
        self.require_present()?;
        Ok(vec![JobEvent::JobDeleted {}])
    }

    fn require_present(&self) -> Result<(), JobError> {
        if !self.created {
            return Err(JobError::NotCreated);
        }
        if self.deleted {
            return Err(JobError::Deleted);
        }
        Ok(())
    }

    fn require_current(&self, revision: u32) -> Result<(), JobError> {
        if revision == self.revision { Ok(()) } else { Err(JobError::Superseded) }
    }

    fn evolve(&mut self, event: JobEvent) {
        match event {
            JobEvent::JobCreated { title, description, location, work_authorization_required, .. } => {
                self.created = true;
                self.title = title;
                self.description = description;
                self.location = location;
                self.work_authorization_required = work_authorization_required;
            }
            JobEvent::JobRevised { title, description, location, work_authorization_required, rubric_outdated } => {
                self.title = title;
                self.description = description;
                self.location = location;
                self.work_authorization_required = work_authorization_required;
                if rubric_outdated {
                    self.revision += 1;
                    self.rubric_status = RubricStatus::Pending;
                }
            }
            JobEvent::RubricStarted {} => self.rubric_status = RubricStatus::Processing,
            JobEvent::RubricRecorded { version, rubric, .. } => {
                self.rubric_status = RubricStatus::Completed;
                self.rubric_version = version;
                self.rubric = Some(rubric);
            }
            JobEvent::RubricFailed { .. } => self.rubric_status = RubricStatus::Failed,
            JobEvent::RubricRetried {} => self.rubric_status = RubricStatus::Pending,
            JobEvent::JobDeleted {} => self.deleted = true,
        }
    }
}

fn check_text(title: &str, description: &str) -> Result<(), JobError> {
    if !fits(title, &TITLE_CHARS) {
        return Err(JobError::TitleLength);
    }
    if !fits(description, &DESCRIPTION_CHARS) {
        return Err(JobError::DescriptionLength);
    }
    Ok(())
}

/// Blanks around the text do not make it long enough, but they are stored and so count against the maximum. NUL
/// characters are no text: no store keeps them.
fn fits(text: &str, allowed: &RangeInclusive<usize>) -> bool {
    let is_blank = |c: char| c.is_whitespace() || c == '\0';
    allowed.contains(&text.trim_matches(is_blank).chars().filter(|c| *c != '\0').count())
        && text.chars().count() <= *allowed.end()
}

crate::event::aggregate!(Job, "job", JobCommand, JobEvent, JobError);
