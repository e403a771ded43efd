//! Taking in an archive of resumes: streamed to a temporary file, looked through to its end, and only then stored file
//! by file and committed at once. What an archive was, or was not, is known before anything of it is kept.

mod form;
mod intake;

use axum::{
    extract::{DefaultBodyLimit, State},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use starscreen_commands::Context;
use starscreen_domain::JobId;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use self::{
    form::{ArchiveForm, MAX_BODY_BYTES},
    intake::{Taken, take_in_archive},
};
use super::{
    App,
    caller::{Caller, Request},
    error::{ApiError, Problem},
    extract::Path,
    upload::to_its_end,
    visible::{self, Visible},
};

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(bulk_upload)).layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
}

/// The form of a bulk upload.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form; it is read part by part")]
pub struct BulkUploadBody {
    /// ZIP, 100 MB and 1,000 entries at most; 20 MB for one file and 200 MB in all when unpacked.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct BulkUploadResponse {
    pub message: String,
    pub job_id: Uuid,
    /// Files that were taken in.
    pub processed_count: usize,
    /// Files that were not; `results` says why.
    pub skipped_count: usize,
    /// Some files were good but did not fit into the month.
    pub limit_reached: bool,
    /// Left this month after these; null without a limit.
    pub remaining_candidates: Option<u32>,
    /// Every file of the archive, in its order.
    pub results: Vec<BulkUploadResult>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct BulkUploadResult {
    /// Without its folder.
    pub file_name: String,
    pub status: BulkUploadStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidate_id: Option<Uuid>,
    /// Why it was skipped and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum BulkUploadStatus {
    Accepted,
    Skipped,
}

/// Takes in the resumes of a ZIP archive, as many as fit into the month. Answers when they are stored; scores follow,
/// after those of single uploads.
#[utoipa::path(post, path = "/jobs/{job_id}/candidates/bulk-upload-zip", operation_id = "bulkUploadCandidates",
    tag = "Candidates", request_body(content = BulkUploadBody, content_type = "multipart/form-data"),
    security(("bearer" = [])), params(("job_id" = Uuid, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request answer the same")),
    responses((status = 200, body = BulkUploadResponse), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 402, body = Problem), (status = 404, body = Problem), (status = 413, body = Problem),
        (status = 422, body = Problem)))]
#[tracing::instrument(name = "http.candidates.bulk_upload", skip_all, fields(
    tenant.id = %caller.tenant, job.id = %job
))]
async fn bulk_upload(
    caller: Caller,
    State(app): State<App>,
    request: Request,
    Path(job): Path<Uuid>,
    form: ArchiveForm,
) -> Result<Response, ApiError> {
    let job = JobId(job);
    let context = Context { urgent: false, ..request.context(caller, || form.hash(job)) };
    let intake = take_in_archive(app.clone(), caller, job, context, form);
    let taken = to_its_end(intake).await?;
    let seen = Visible::wait(&app, &[visible::CANDIDATES, visible::USAGE], taken.place).await;
    Ok((seen, axum::Json(answer(job, taken))).into_response())
}

fn answer(job: JobId, Taken { results, limit_reached, remaining, .. }: Taken) -> BulkUploadResponse {
    let processed_count = results.iter().filter(|result| result.status == BulkUploadStatus::Accepted).count();
    let skipped_count = results.len() - processed_count;
    let left = match remaining {
        Some(remaining) => format!("{remaining} candidates remaining this month"),
        None => "no monthly limit".to_owned(),
    };
    let resumes = if processed_count == 1 { "resume" } else { "resumes" };
    let message = match (processed_count, limit_reached) {
        (0, _) => format!("No resume of the archive could be taken in; see the reasons. ({left})"),
        (_, false) => {
            format!("Batch of {processed_count} {resumes} uploaded successfully. Processing started. ({left})")
        }
        (_, true) => format!(
            "Batch of {processed_count} {resumes} uploaded. Processing started. The others did not fit: the monthly \
             limit is reached. Please upgrade your plan or wait for next billing cycle."
        ),
    };
    BulkUploadResponse {
        message,
        job_id: job.0,
        processed_count,
        skipped_count,
        limit_reached,
        remaining_candidates: remaining,
        results,
    }
}
