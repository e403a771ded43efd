//! Openings and their rubrics, as the API shows them: one row a job.

mod query;
#[cfg(test)]
mod tests;

pub use query::{JobRow, JobStatus, JobsQuery, ListJobs};

use serde_json::{Value, json};
use starscreen_domain::{
    Event, JobId, Recorded,
    job::{JobEvent, Rubric},
};
use uuid::Uuid;

use crate::projector::Projector;

pub struct Jobs;

impl Projector for Jobs {
    type Row = JobRow;
    const NAME: &'static str = "jobs";
    const VERSION: u32 = 1;
    const READS: &'static [&'static str] = &["job"];

    fn key(event: &Recorded<Event>) -> Option<Uuid> {
        event.of_job().map(Uuid::from)
    }

    fn fold(row: Option<JobRow>, event: &Recorded<Event>) -> Option<JobRow> {
        let change = match &event.payload {
            Event::Job(change) => change,
            Event::Account(_)
            | Event::EmailClaim(_)
            | Event::Candidate(_)
            | Event::Subscription(_)
            | Event::Usage(_)
            | Event::Customer(_)
            | Event::Webhook(_) => return row,
        };
        let mut row = match change {
            JobEvent::JobCreated { title, description, location, work_authorization_required, created_by } => JobRow {
                job_id: JobId(event.aggregate_id),
                tenant_id: event.tenant_id?,
                title: title.clone(),
                description: description.clone(),
                location: location.clone(),
                work_authorization_required: *work_authorization_required,
                status: JobStatus::Pending,
                error_message: None,
                job_config: None,
                created_by: *created_by,
                created_at: event.metadata.occurred_at,
                updated_at: event.metadata.occurred_at,
                position: event.position,
            },
            JobEvent::JobDeleted {} => return None,
            JobEvent::JobRevised { .. }
            | JobEvent::RubricStarted {}
            | JobEvent::RubricRecorded { .. }
            | JobEvent::RubricRetried {}
            | JobEvent::RubricFailed { .. } => row?,
        };
        row.apply(change);
        row.updated_at = event.metadata.occurred_at;
        row.position = event.position;
        Some(row)
    }
}

impl JobRow {
    fn apply(&mut self, change: &JobEvent) {
        match change {
            JobEvent::JobCreated { .. } | JobEvent::JobDeleted {} => {}
            JobEvent::RubricRetried {} => {
                self.status = JobStatus::Pending;
                self.error_message = None;
            }
            JobEvent::JobRevised { title, description, location, work_authorization_required, rubric_outdated } => {
                self.title.clone_from(title);
                self.description.clone_from(description);
                self.location.clone_from(location);
                self.work_authorization_required = *work_authorization_required;
                if *rubric_outdated {
                    // The old rubric stays to be seen until the new one is there.
                    self.status = JobStatus::Pending;
                    self.error_message = None;
                }
            }
            JobEvent::RubricStarted {} => self.status = JobStatus::Processing,
            JobEvent::RubricRecorded { version, rubric, model, prompt_version } => {
                self.status = JobStatus::Completed;
                self.error_message = None;
                self.job_config = Some(job_config(rubric, *version, model, prompt_version));
            }
            JobEvent::RubricFailed { failure } => {
                self.status = JobStatus::Failed;
                self.error_message = Some(failure.sentence.clone());
            }
        }
    }
}

/// The rubric in the shape that clients of the former API know, and where it came from.
fn job_config(rubric: &Rubric, version: u32, model: &str, prompt_version: &str) -> Value {
    let mut config = json!(rubric);
    config["model"] = json!(model);
    config["prompt_version"] = json!(prompt_version);
    config["version"] = json!(version);
    config
}
