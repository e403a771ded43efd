//! Jobs: create, list, read, revise, delete.

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use starscreen_commands as commands;
use starscreen_domain::{
    JobId,
    job::{CreateJob, ReviseJob},
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    App,
    caller::{Caller, Request, json_hash},
    error::{ApiError, Problem},
    extract::{Json, Path, Query},
    listing::{Listing, Paging},
    visible::{self, Visible},
};

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(show, revise, delete))
}

#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct JobCreateRequest {
    #[schema(min_length = 1, max_length = 200, example = "Warehouse shift lead")]
    pub title: String,
    /// The rubric is drawn up from these words.
    #[schema(min_length = 10, max_length = 15000)]
    pub description: String,
    pub location: Option<String>,
    #[serde(default)]
    pub work_authorization_required: bool,
    /// Accepted for old clients; nothing is posted.
    #[serde(default)]
    pub post_to_linkedin: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct JobCreateResponse {
    pub job_id: Uuid,
    pub status: String,
    pub message: String,
}

/// Fields that are absent or null stay as they are.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct JobUpdateRequest {
    #[schema(min_length = 1, max_length = 200)]
    pub title: Option<String>,
    #[schema(min_length = 10, max_length = 15000)]
    pub description: Option<String>,
    pub location: Option<String>,
    pub work_authorization_required: Option<bool>,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum JobStatus {
    Pending,
    Processing,
    Completed,
    Failed,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct JobResponse {
    pub id: Uuid,
    pub title: String,
    pub description: String,
    pub location: Option<String>,
    pub work_authorization_required: bool,
    /// Of the rubric: PENDING, PROCESSING, COMPLETED or FAILED.
    pub status: String,
    pub error_message: Option<String>,
    /// The rubric, once it is ready, with the model that drew it up.
    #[schema(value_type = Option<Object>)]
    pub job_config: Option<Value>,
    /// Always empty: postings to other sites are not offered.
    #[schema(value_type = Vec<Object>)]
    pub external_postings: Vec<Value>,
    pub created_at: DateTime<Utc>,
    pub updated_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListJobs {
    #[param(inline)]
    pub status: Option<JobStatus>,
}

/// Creates a job. Its rubric follows within moments (with a language model: seconds).
#[utoipa::path(post, path = "/jobs", operation_id = "createJob", tag = "Jobs", request_body = JobCreateRequest, security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request answer the same")),
    responses((status = 201, body = JobCreateResponse), (status = 401, body = Problem), (status = 422, body = Problem)))]
#[tracing::instrument(name = "http.jobs.create", skip_all, fields(tenant.id = %caller.tenant))]
async fn create(
    caller: Caller,
    State(app): State<App>,
    request: Request,
    Json(body): Json<JobCreateRequest>,
) -> Result<Response, ApiError> {
    let context = request.context(caller, || json_hash("POST", "/jobs", &body));
    let command = CreateJob {
        title: body.title.trim().to_owned(),
        description: body.description,
        location: location(body.location)?,
        work_authorization_required: body.work_authorization_required,
        created_by: caller.user,
    };
    let created = commands::job::create(&app.bus, context, JobId(Uuid::now_v7()), command).await?;
    let seen = Visible::wait(&app, &[visible::JOBS], created.place).await;
    let body = JobCreateResponse {
        job_id: created.output.job.0,
        status: "PENDING".to_owned(),
        message: "Job created successfully. Its scoring rubric is being drawn up.".to_owned(),
    };
    Ok((StatusCode::CREATED, seen, axum::Json(body)).into_response())
}

/// The tenant's jobs, newest first.
#[utoipa::path(get, path = "/jobs", operation_id = "listJobs", tag = "Jobs", params(Paging, ListJobs), security(("bearer" = [])),
    responses((status = 200, body = Vec<JobResponse>), (status = 401, body = Problem), (status = 422, body = Problem)))]
async fn list(
    caller: Caller,
    State(app): State<App>,
    Query(paging): Query<Paging>,
    Query(query): Query<ListJobs>,
) -> Result<Response, ApiError> {
    let wanted = starscreen_projections::jobs::ListJobs {
        status: query.status.map(status_name),
        skip: paging.skip()?,
        limit: paging.limit()?,
        after: paging.after()?,
    };
    let page = app.reads.jobs().list(caller.tenant, wanted).await?;
    Ok(Listing::new(page, answer).into_response())
}

/// One job, with its rubric when it is ready.
#[utoipa::path(get, path = "/jobs/{job_id}", operation_id = "getJob", tag = "Jobs", params(("job_id" = Uuid, Path)), security(("bearer" = [])),
    responses((status = 200, body = JobResponse), (status = 404, body = Problem)))]
async fn show(
    caller: Caller,
    State(app): State<App>,
    Path(job): Path<Uuid>,
) -> Result<axum::Json<JobResponse>, ApiError> {
    Ok(axum::Json(find(&app, caller, JobId(job)).await?))
}

/// Changes a job. A new title or description gets a new rubric, and its candidates are scored again by it.
#[utoipa::path(put, path = "/jobs/{job_id}", operation_id = "updateJob", tag = "Jobs", params(("job_id" = Uuid, Path)),
    request_body = JobUpdateRequest, security(("bearer" = [])),
    responses((status = 200, body = JobResponse), (status = 404, body = Problem), (status = 422, body = Problem)))]
#[tracing::instrument(name = "http.jobs.revise", skip_all, fields(tenant.id = %caller.tenant, job.id = %job))]
async fn revise(
    caller: Caller,
    State(app): State<App>,
    request: Request,
    Path(job): Path<Uuid>,
    Json(body): Json<JobUpdateRequest>,
) -> Result<Response, ApiError> {
    let context = request.context(caller, || json_hash("PUT", &format!("/jobs/{job}"), &body));
    let command = ReviseJob {
        title: body.title.map(|title| title.trim().to_owned()),
        description: body.description,
        location: location(body.location)?,
        work_authorization_required: body.work_authorization_required,
    };
    let revised = commands::job::revise(&app.bus, context, JobId(job), command).await?;
    let seen = Visible::wait(&app, &[visible::JOBS], revised.place).await;
    Ok((seen, axum::Json(find(&app, caller, JobId(job)).await?)).into_response())
}

/// Deletes a job and its candidates. Slots that the candidates used stay used.
#[utoipa::path(delete, path = "/jobs/{job_id}", operation_id = "deleteJob", tag = "Jobs", params(("job_id" = Uuid, Path)),
    security(("bearer" = [])), responses((status = 204), (status = 404, body = Problem)))]
#[tracing::instrument(name = "http.jobs.delete", skip_all, fields(tenant.id = %caller.tenant, job.id = %job))]
async fn delete(
    caller: Caller,
    State(app): State<App>,
    request: Request,
    Path(job): Path<Uuid>,
) -> Result<Response, ApiError> {
    let context = request.context(caller, || json_hash("DELETE", &format!("/jobs/{job}"), &()));
    let deleted = commands::job::delete(&app.bus, context, JobId(job)).await?;
    let seen = Visible::wait(&app, &[visible::JOBS], deleted.place).await;
    Ok((StatusCode::NO_CONTENT, seen, ()).into_response())
}

async fn find(app: &App, caller: Caller, job: JobId) -> Result<JobResponse, ApiError> {
    let row = app.reads.jobs().get(caller.tenant, job).await?;
    row.map(answer).ok_or_else(|| ApiError::not_found("Job not found"))
}

fn answer(row: starscreen_projections::jobs::JobRow) -> JobResponse {
    JobResponse {
        id: row.job_id.0,
        title: row.title,
        description: row.description,
        location: row.location,
        work_authorization_required: row.work_authorization_required,
        status: row.status.as_str().to_owned(),
        error_message: row.error_message,
        job_config: row.job_config,
        external_postings: vec![],
        created_at: row.created_at,
        updated_at: Some(row.updated_at),
    }
}

fn status_name(status: JobStatus) -> starscreen_projections::jobs::JobStatus {
    match status {
        JobStatus::Pending => starscreen_projections::jobs::JobStatus::Pending,
        JobStatus::Processing => starscreen_projections::jobs::JobStatus::Processing,
        JobStatus::Completed => starscreen_projections::jobs::JobStatus::Completed,
        JobStatus::Failed => starscreen_projections::jobs::JobStatus::Failed,
    }
}

const MAX_LOCATION_CHARS: usize = 200;

/// An empty text is no text.
fn location(text: Option<String>) -> Result<Option<String>, ApiError> {
    let text = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    if text.as_ref().is_some_and(|text| text.chars().count() > MAX_LOCATION_CHARS) {
        return Err(ApiError::invalid(
            "body",
            "location",
            format!("must have at most {MAX_LOCATION_CHARS} characters"),
        ));
    }
    Ok(text)
}
