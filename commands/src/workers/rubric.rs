//! From job description to rubric: the worker of the lane `rubric`.

use starscreen_domain::{
    JobId,
    candidate::Failure,
    job::{FailRubric, Job, RecordRubric, RubricStatus, StartRubric},
};

use super::{WorkError, Workers, failure};
use crate::work::Claimed;

/// Tries before a job's rubric fails for good.
const MAX_ATTEMPTS: u32 = 10;

impl Workers {
    pub(super) async fn draw_up_rubric(&self, item: &Claimed) -> Result<(), WorkError> {
        let id = JobId(item.subject);
        let job = self.bus.read::<Job>(item.tenant, id).await?;
        if job.deleted || matches!(job.rubric_status, RubricStatus::Completed | RubricStatus::Failed) {
            return self.done(item).await;
        }
        if job.rubric_status == RubricStatus::Pending {
            let begin = self.on_behalf_of(item);
            self.bus
                .commit(begin, move |unit| {
                    Box::pin(async move { unit.decide::<Job>(id, StartRubric).await.map(|_| ()) })
                })
                .await?;
        }
        let revision = job.revision;
        match self.ports.llm.draw_up_rubric(&job.title, &job.description).await {
            Ok(drawn) => {
                let command = RecordRubric {
                    revision,
                    rubric: drawn.rubric,
                    model: drawn.model,
                    prompt_version: drawn.prompt_version,
                };
                self.bus
                    .commit(self.report(item), move |unit| {
                        let command = command.clone();
                        Box::pin(async move { unit.decide::<Job>(id, command).await.map(|_| ()) })
                    })
                    .await?;
                Ok(())
            }
            Err(error) if item.attempts + 1 >= MAX_ATTEMPTS => {
                tracing::error!(error = %error, job.id = %id, "the rubric is given up");
                let sentence = "No rubric could be drawn up for this job. Save the job's description again to retry.";
                self.fail_rubric(item, id, revision, failure("rubric_unavailable", sentence)).await
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn fail_rubric(&self, item: &Claimed, id: JobId, revision: u32, failure: Failure) -> Result<(), WorkError> {
        self.bus
            .commit(self.report(item), move |unit| {
                let command = FailRubric { revision, failure: failure.clone() };
                Box::pin(async move { unit.decide::<Job>(id, command).await.map(|_| ()) })
            })
            .await?;
        Ok(())
    }
}
