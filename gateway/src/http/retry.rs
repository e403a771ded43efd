//! Once more: a candidate or a rubric that failed, or a score by the rubric of today.

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use starscreen_commands::{self as commands, CommandError};
use starscreen_domain::{CandidateId, JobId};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    App,
    caller::{Caller, Request, json_hash},
    candidates,
    error::{ApiError, Problem},
    extract::Path,
    visible::{self, Visible},
};

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(retry)).routes(routes!(rescore)).routes(routes!(retry_rubric))
}

#[derive(Debug, Serialize, ToSchema)]
pub struct RetryResponse {
    pub candidate_id: Uuid,
    pub job_id: Uuid,
    pub message: String,
    /// Left this month after this; null without a limit.
    pub remaining_candidates: Option<u32>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct RescoreResponse {
    pub candidate_id: Uuid,
    pub job_id: Uuid,
    pub message: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct RetryRubricResponse {
    pub job_id: Uuid,
    #[schema(example = "PENDING")]
    pub status: String,
    pub message: String,
}

/// Tries a FAILED candidate again, from the step that failed. Its slot was given back then, so it takes one anew.
#[utoipa::path(post, path = "/jobs/{job_id}/candidates/{candidate_id}/retry", operation_id = "retryCandidate",
    tag = "Candidates", security(("bearer" = [])), params(("job_id" = Uuid, Path), ("candidate_id" = Uuid, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request answer the same")),
    responses((status = 200, body = RetryResponse), (status = 401, body = Problem), (status = 402, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
#[tracing::instrument(name = "http.candidates.retry", skip_all, fields(
    tenant.id = %caller.tenant, job.id = %job, candidate.id = %candidate
))]
async fn retry(
    caller: Caller,
    State(app): State<App>,
    request: Request,
    Path((job, candidate)): Path<(Uuid, Uuid)>,
) -> Result<Response, ApiError> {
    let path = format!("/jobs/{job}/candidates/{candidate}/retry");
    let context = request.context(caller, || json_hash("POST", &path, &()));
    let retried = commands::candidate::retry(&app.bus, context, JobId(job), CandidateId(candidate)).await;
    let retried = retried.map_err(|error| unknown(error, job, candidate))?;
    let seen = Visible::wait(&app, &[visible::CANDIDATES, visible::USAGE], retried.place).await;
    let left = match retried.output.remaining {
        Some(remaining) => format!("{remaining} candidates remaining this month"),
        None => "no monthly limit".to_owned(),
    };
    let body = RetryResponse {
        candidate_id: candidate,
        job_id: job,
        message: format!("The candidate is tried again and counts as one of this month's candidates again. ({left})"),
        remaining_candidates: retried.output.remaining,
    };
    Ok((seen, axum::Json(body)).into_response())
}

/// Scores a candidate once more by the job's rubric. The old score stays until the new one is there; it costs nothing.
#[utoipa::path(post, path = "/jobs/{job_id}/candidates/{candidate_id}/rescore", operation_id = "rescoreCandidate",
    tag = "Candidates", security(("bearer" = [])), params(("job_id" = Uuid, Path), ("candidate_id" = Uuid, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request answer the same")),
    responses((status = 202, body = RescoreResponse), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
#[tracing::instrument(name = "http.candidates.rescore", skip_all, fields(
    tenant.id = %caller.tenant, job.id = %job, candidate.id = %candidate
))]
async fn rescore(
    caller: Caller,
    State(app): State<App>,
    request: Request,
    Path((job, candidate)): Path<(Uuid, Uuid)>,
) -> Result<Response, ApiError> {
    let path = format!("/jobs/{job}/candidates/{candidate}/rescore");
    let context = request.context(caller, || json_hash("POST", &path, &()));
    let asked = commands::candidate::rescore(&app.bus, context, JobId(job), CandidateId(candidate)).await;
    let asked = asked.map_err(|error| unknown(error, job, candidate))?;
    let seen = Visible::wait(&app, &[visible::CANDIDATES], asked.place).await;
    let body = RescoreResponse {
        candidate_id: candidate,
        job_id: job,
        message: "The candidate is being scored again. The present score stays until the new one is there.".to_owned(),
    };
    Ok((StatusCode::ACCEPTED, seen, axum::Json(body)).into_response())
}

/// Draws up a FAILED rubric again. Candidates that failed for want of it are retried one by one.
#[utoipa::path(post, path = "/jobs/{job_id}/retry-rubric", operation_id = "retryRubric", tag = "Jobs",
    security(("bearer" = [])), params(("job_id" = Uuid, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request answer the same")),
    responses((status = 202, body = RetryRubricResponse), (status = 401, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
#[tracing::instrument(name = "http.jobs.retry_rubric", skip_all, fields(tenant.id = %caller.tenant, job.id = %job))]
async fn retry_rubric(
    caller: Caller,
    State(app): State<App>,
    request: Request,
    Path(job): Path<Uuid>,
) -> Result<Response, ApiError> {
    let context = request.context(caller, || json_hash("POST", &format!("/jobs/{job}/retry-rubric"), &()));
    let asked = commands::job::retry_rubric(&app.bus, context, JobId(job)).await?;
    let seen = Visible::wait(&app, &[visible::JOBS], asked.place).await;
    let body = RetryRubricResponse {
        job_id: job,
        status: "PENDING".to_owned(),
        message:
            "The scoring rubric is being drawn up again. Candidates that failed without it can be retried when it \
            is ready."
                .to_owned(),
    };
    Ok((StatusCode::ACCEPTED, seen, axum::Json(body)).into_response())
}

fn unknown(error: CommandError, job: Uuid, candidate: Uuid) -> ApiError {
    match error {
        CommandError::NotFound(_) => candidates::unknown(job, candidate),
        error => error.into(),
    }
}
