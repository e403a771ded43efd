//! Taking in one resume: checked, encrypted, stored, and only then committed.

use starscreen_commands::{
    CommandError, Context,
    append::Place,
    candidate::{self, NewResume, Uploaded},
};
use starscreen_domain::{JobId, job::Job, usage::UsageError};

use super::{App, caller::Caller, error::ApiError, form::UploadForm};

/// A resume that was taken in, or had been before under the same key.
pub struct Taken {
    pub uploaded: Uploaded,
    pub place: Place,
}

/// Takes in one resume. Runs to its end whether or not the client still listens.
pub async fn take_in(
    app: App,
    caller: Caller,
    job: JobId,
    context: Context,
    form: UploadForm,
) -> Result<Taken, ApiError> {
    to_its_end(async move { take_in_attached(&app, caller, job, context, form).await }).await
}

/// Runs `task` to its end whether or not the client still listens.
pub async fn to_its_end<T: Send + 'static>(
    task: impl Future<Output = Result<T, ApiError>> + Send + 'static,
) -> Result<T, ApiError> {
    let span = tracing::Span::current();
    tokio::spawn(tracing::Instrument::instrument(task, span))
        .await
        .unwrap_or_else(|_| Err(ApiError::from(CommandError::Stopped)))
}

async fn take_in_attached(
    app: &App,
    caller: Caller,
    job: JobId,
    context: Context,
    form: UploadForm,
) -> Result<Taken, ApiError> {
    if let Some(before) = app.bus.answer::<Uploaded>(&context).await? {
        return Ok(Taken { uploaded: before.output, place: before.place });
    }
    let state = app.bus.read::<Job>(caller.tenant, job).await?;
    if !state.created || state.deleted {
        return Err(unknown_job(job));
    }
    let kind = form.kind()?;
    if let Some((used, limit)) = candidate::exhausted(&app.bus, caller.tenant, context.at).await? {
        // Decided again, and for good, in the commit; this spares the work for what cannot fit.
        return Err(CommandError::from(UsageError::LimitReached { used, limit }).into());
    }
    let resume = NewResume {
        job,
        file_name: form.file_name,
        file_kind: kind.to_string(),
        content: form.content,
        given: form.given,
        uploaded_by: caller.user,
    };
    let outcome = candidate::take_in(&app.bus, app.vault.as_ref(), app.objects.as_ref(), context, resume).await;
    match outcome {
        Ok(committed) => Ok(Taken { uploaded: committed.output, place: committed.place }),
        Err(CommandError::NotFound("job")) => Err(unknown_job(job)),
        Err(error) => Err(error.into()),
    }
}

pub fn unknown_job(job: JobId) -> ApiError {
    ApiError::not_found(format!("Job {job} not found"))
}
