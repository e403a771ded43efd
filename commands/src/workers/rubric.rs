//! From job description to rubric: the worker of the lane `rubric`.

use starscreen_domain::{
    JobId,
    candidate::Failure,
    job::{FailRubric, Job, RecordRubric, RubricStatus, StartRubric},
    work::Lane,
};

use super::{WorkError, Workers, again, dead, failure, on_behalf_of, report};
use crate::{
    bus::{Bus, Context},
    work::Claimed,
};

/// Tries before a job's rubric fails for good.
pub(super) const MAX_ATTEMPTS: u32 = 10;

impl Workers {
    pub(super) async fn draw_up_rubric(&self, item: &Claimed) -> Result<(), WorkError> {
        let id = JobId(item.subject);
        let job = self.bus.read::<Job>(item.tenant, id).await?;
        if job.deleted || matches!(job.rubric_status, RubricStatus::Completed | RubricStatus::Failed) {
            return self.done(item).await;
        }
        if job.rubric_status == RubricStatus::Pending {
            let begin = on_behalf_of(item);
            self.bus
                .commit(begin, move |unit| {
                    Box::pin(async move { unit.decide::<Job>(id, StartRubric).await.map(|_| ()) })
                })
                .await?;
        }
        let drawn = self.answer(Lane::Rubric, self.ports.llm.draw_up_rubric(&job.title, &job.description)).await?;
        drawn.rubric.validate().map_err(|error| again(&error))?; // the model's fault, so another try may help
        let command = RecordRubric {
            revision: job.revision,
            rubric: drawn.rubric,
            model: drawn.model,
            prompt_version: drawn.prompt_version,
        };
        self.bus
            .commit(report(item), move |unit| {
                let command = command.clone();
                Box::pin(async move { unit.decide::<Job>(id, command).await.map(|_| ()) })
            })
            .await?;
        Ok(())
    }

    pub(super) async fn give_up_rubric(&self, item: &Claimed) -> Result<(), WorkError> {
        if self.queue.is_asked_again(item).await.map_err(|error| again(&error))? {
            return self.done(item).await; // for another description, which has its own tries
        }
        let id = JobId(item.subject);
        let revision = self.bus.read::<Job>(item.tenant, id).await?.revision;
        let sentence = "No rubric could be drawn up for this job. Save the job's description again to retry.";
        self.fail_rubric(item, id, revision, failure("rubric_unavailable", sentence)).await
    }

    pub(super) async fn fail_rubric(
        &self,
        item: &Claimed,
        id: JobId,
        revision: u32,
        failure: Failure,
    ) -> Result<(), WorkError> {
        end_rubric(&self.bus, report(item), item, id, revision, failure).await
    }
}

/// Ends a job without a rubric.
pub(super) async fn end_rubric(
    bus: &Bus,
    context: Context,
    item: &Claimed,
    id: JobId,
    revision: u32,
    failure: Failure,
) -> Result<(), WorkError> {
    let grave = dead(item, &failure.code);
    bus.commit(context, move |unit| {
        let (grave, command) = (grave.clone(), FailRubric { revision, failure: failure.clone() });
        Box::pin(async move {
            if !unit.decide::<Job>(id, command).await?.is_empty() {
                unit.add_dead(grave);
            }
            Ok(())
        })
    })
    .await?;
    Ok(())
}
