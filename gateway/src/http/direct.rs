//! Uploads past this server: a client asks where to send a file, sends it straight to the bucket, and asks to have it
//! taken in. Only then is it looked at, by the rules of every upload, encrypted and stored under its candidate.

use std::collections::BTreeMap;

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use starscreen_commands::{Context, Idempotency};
use starscreen_domain::{JobId, job::Job};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    App,
    caller::{Caller, Request, json_hash},
    candidates::{CandidateUploadResponse, accepted},
    error::{ApiError, Code, Problem},
    extract::{Json, Path},
    form::{Described, UploadForm, too_large},
    upload::{Taken, take_in, to_its_end, unknown_job},
};
use crate::outbound::objects::{Fetched, Slot};

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(open)).routes(routes!(complete))
}

/// Where to send one file, and how.
#[derive(Debug, Serialize, ToSchema)]
pub struct UploadSlot {
    pub upload_id: Uuid,
    #[schema(example = "PUT")]
    pub method: &'static str,
    /// Whoever has it can send one file there, until it expires. Needs no token.
    pub url: String,
    /// To be sent as they are.
    pub headers: BTreeMap<&'static str, String>,
    /// Nothing larger is taken in.
    pub max_bytes: u64,
    pub expires_at: DateTime<Utc>,
}

/// What is said about a file that was sent.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct CompleteUpload {
    #[schema(example = "resume.pdf")]
    pub file_name: String,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub email: Option<String>,
}

/// Gives out an address to send one resume to, straight to the bucket. Only where the operator allows it.
#[utoipa::path(post, path = "/jobs/{job_id}/candidates/uploads", operation_id = "openDirectUpload", tag = "Candidates",
    security(("bearer" = [])), params(("job_id" = Uuid, Path)),
    responses((status = 201, body = UploadSlot), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
#[tracing::instrument(name = "http.uploads.open", skip_all, fields(tenant.id = %caller.tenant, job.id = %job))]
async fn open(caller: Caller, State(app): State<App>, Path(job): Path<Uuid>) -> Result<Response, ApiError> {
    must_exist(&app, caller, JobId(job)).await?;
    let upload_id = Uuid::now_v7();
    let Some(Slot { url, headers, open_for }) = app.files.open_slot(caller.tenant, upload_id).await? else {
        return Err(ApiError::new(
            Code::Conflict,
            "This server does not let files be sent past it. Send the file in a form to \
             /api/v1/jobs/{job_id}/candidates/upload.",
        ));
    };
    let slot = UploadSlot {
        upload_id,
        method: "PUT",
        url,
        headers: headers.into_iter().collect(),
        max_bytes: app.settings.uploads.max_file_bytes,
        expires_at: Utc::now() + open_for,
    };
    Ok((StatusCode::CREATED, axum::Json(slot)).into_response())
}

/// Takes in a resume that was sent to the address of a slot, as an upload. A repeated request gives the same answer.
#[utoipa::path(post, path = "/jobs/{job_id}/candidates/uploads/{upload_id}/complete",
    operation_id = "completeDirectUpload", tag = "Candidates", security(("bearer" = [])),
    params(("job_id" = Uuid, Path), ("upload_id" = Uuid, Path)),
    responses((status = 200, body = CandidateUploadResponse), (status = 400, body = Problem),
        (status = 401, body = Problem), (status = 402, body = Problem), (status = 404, body = Problem),
        (status = 413, body = Problem), (status = 422, body = Problem)))]
#[tracing::instrument(name = "http.uploads.complete", skip_all, fields(
    tenant.id = %caller.tenant, job.id = %job, upload.id = %upload
))]
async fn complete(
    caller: Caller,
    State(app): State<App>,
    request: Request,
    Path((job, upload)): Path<(Uuid, Uuid)>,
    Json(body): Json<CompleteUpload>,
) -> Result<Response, ApiError> {
    // The upload is its own idempotency key: of two requests at the same time one takes it in, and both are told so.
    let path = format!("/jobs/{job}/candidates/uploads/{upload}");
    let idempotency = Idempotency { key: path.clone(), request_hash: json_hash("POST", &path, &body) };
    let context = Context { idempotency: Some(idempotency), ..request.context(caller, String::new) };
    let given = [body.first_name.as_deref(), body.last_name.as_deref(), body.email.as_deref()];
    let described = Described::try_new(&body.file_name, given)?;
    let taken = to_its_end(take_in_sent(app.clone(), caller, JobId(job), upload, context, described)).await?;
    Ok(accepted(&app, taken).await)
}

async fn take_in_sent(
    app: App,
    caller: Caller,
    job: JobId,
    upload: Uuid,
    context: Context,
    described: Described,
) -> Result<Taken, ApiError> {
    if let Some(before) = answered(&app, &context).await? {
        return Ok(before);
    }
    must_exist(&app, caller, job).await?;
    let max_bytes = app.settings.uploads.max_file_bytes;
    let max_len = usize::try_from(max_bytes).unwrap_or(usize::MAX);
    let memory = app.upload_memory.reserve(max_len).await?;
    let file = match app.files.fetch_incoming(caller.tenant, upload, max_bytes).await? {
        Fetched::Content(file) => file,
        Fetched::TooLarge => {
            app.files.discard_incoming(caller.tenant, upload).await;
            return Err(too_large(max_len));
        }
        Fetched::Nothing => {
            // Another request may have taken it in since.
            let before = answered(&app, &context).await?;
            return before.ok_or_else(|| {
                ApiError::not_found(format!(
                    "Upload {upload} not found: nothing was sent to its address, or it was not completed in time"
                ))
            });
        }
    };
    let form = UploadForm::without_form(described, file, memory);
    if let Err(refused) = form.kind() {
        app.files.discard_incoming(caller.tenant, upload).await;
        return Err(refused);
    }
    let taken = take_in(app.clone(), caller, job, context, form).await?;
    app.files.discard_incoming(caller.tenant, upload).await;
    Ok(taken)
}

/// What the same request was answered before.
async fn answered(app: &App, context: &Context) -> Result<Option<Taken>, ApiError> {
    let before = app.bus.answer(context).await?;
    Ok(before.map(|before| Taken { uploaded: before.output, place: before.place }))
}

async fn must_exist(app: &App, caller: Caller, job: JobId) -> Result<(), ApiError> {
    let state = app.bus.read::<Job>(caller.tenant, job).await?;
    if state.created && !state.deleted { Ok(()) } else { Err(unknown_job(job)) }
}
