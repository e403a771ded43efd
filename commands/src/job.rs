//! Use cases of jobs.

use serde::{Deserialize, Serialize};
use starscreen_domain::{
    JobId,
    job::{CreateJob, DeleteJob, Job, JobError, RetryRubric, ReviseJob},
};

use crate::{
    bus::{Bus, Committed, Context, Unit},
    candidate::require_good_standing,
    error::CommandError,
};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Created {
    pub job: JobId,
}

/// Creates a job; its rubric follows.
///
/// # Errors
/// A [`JobError`] for a title or description out of bounds,
/// [`starscreen_domain::subscription::SubscriptionError::NotInGoodStanding`], or when the store fails.
pub async fn create(
    bus: &Bus,
    context: Context,
    job: JobId,
    command: CreateJob,
) -> Result<Committed<Created>, CommandError> {
    bus.commit(context, move |unit| {
        let command = command.clone();
        Box::pin(async move {
            require_good_standing(unit).await?;
            unit.decide::<Job>(job, command).await?;
            Ok(Created { job })
        })
    })
    .await
}

/// Changes a job; a new title or description asks for a new rubric, by which its candidates are then scored again.
///
/// # Errors
/// [`CommandError::NotFound`] for an unknown job, a [`JobError`] for a broken rule.
pub async fn revise(
    bus: &Bus,
    context: Context,
    job: JobId,
    command: ReviseJob,
) -> Result<Committed<()>, CommandError> {
    bus.commit(context, move |unit| {
        let command = command.clone();
        Box::pin(async move {
            unit.decide::<Job>(job, command).await.map_err(absent)?;
            Ok(())
        })
    })
    .await
}

/// Deletes a job; its candidates follow by events of their own.
///
/// # Errors
/// [`CommandError::NotFound`] for an unknown job.
pub async fn delete(bus: &Bus, context: Context, job: JobId) -> Result<Committed<()>, CommandError> {
    bus.commit(context, move |unit| {
        Box::pin(async move {
            unit.decide::<Job>(job, DeleteJob).await.map_err(absent)?;
            Ok(())
        })
    })
    .await
}

/// The job, if the tenant has it.
pub(crate) async fn present(unit: &mut Unit, id: JobId) -> Result<Job, CommandError> {
    let job = unit.state::<Job>(id).await?;
    if job.created && !job.deleted { Ok(job) } else { Err(CommandError::NotFound("job")) }
}

fn absent(error: CommandError) -> CommandError {
    match error {
        CommandError::Job(JobError::NotCreated | JobError::Deleted) => CommandError::NotFound("job"),
        error => error,
    }
}

/// Tries a rubric that failed again. Its candidates that failed with it are retried by themselves.
///
/// # Errors
/// [`CommandError::NotFound`] for an unknown job, [`JobError::RubricNotFailed`].
pub async fn retry_rubric(bus: &Bus, context: Context, job: JobId) -> Result<Committed<()>, CommandError> {
    bus.commit(context, move |unit| {
        Box::pin(async move {
            unit.decide::<Job>(job, RetryRubric).await.map_err(absent)?;
            unit.redrive(job);
            Ok(())
        })
    })
    .await
}
