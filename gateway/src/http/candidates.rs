//! Candidates: upload, rank, read, download, explain, delete.

use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};
use starscreen_commands::{self as commands, ports::ObjectsError};
use starscreen_domain::{CandidateId, JobId, TenantId, candidate::Quote, score::Score};
use starscreen_projections::candidate_status::{self, CandidateStatusRow};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    App,
    caller::{Caller, Request, json_hash},
    error::{ApiError, Problem},
    extract::{Path, Query},
    form::UploadForm,
    listing::{Listing, Paging},
    upload::{Taken, take_in},
    visible::{self, Visible},
};

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(upload))
        .route("/jobs/{job_id}/candidates", post(upload))
        .routes(routes!(show, delete))
        .routes(routes!(file))
        .routes(routes!(evaluation))
        .route("/jobs/{job_id}/candidates/{candidate_id}/analysis", axum::routing::get(evaluation))
}

/// The form of an upload.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form; it is read part by part")]
pub struct UploadBody {
    /// PDF or DOCX, 10 MB at most.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    first_name: Option<String>,
    last_name: Option<String>,
    email: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct CandidateUploadResponse {
    pub candidate_id: Uuid,
    pub job_id: Uuid,
    #[schema(example = "UPLOADED")]
    pub status: String,
    /// The work item that reads the file.
    pub task_id: String,
    pub message: String,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum CandidateStatus {
    Uploaded,
    Processing,
    Parsed,
    Scored,
    Failed,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct CandidateListResponse {
    pub id: Uuid,
    pub job_id: Uuid,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub email: Option<String>,
    pub phone: Option<String>,
    pub location: Option<String>,
    pub linkedin_url: Option<String>,
    pub github_url: Option<String>,
    pub portfolio_url: Option<String>,
    pub other_urls: Option<Vec<String>>,
    pub original_filename: String,
    /// UPLOADED, PROCESSING, PARSED, SCORED or FAILED.
    pub status: String,
    /// Why it failed and what to do.
    pub error_message: Option<String>,
    /// Mean of the category scores by importance, 0 to 100 with one decimal.
    pub score: Option<f64>,
    /// Why a person should look at this candidate; empty when nothing is in doubt. `text_cut_short`: the resume is longer
    /// than what was read and scored of it, its first 100,000 characters or 20 pages. `hidden_text:HOW`: the file has text that no
    /// reader sees. `ungraded_category:ID`, `unverified_quote:ID`, `unsupported_category:ID`: a category was not graded,
    /// or the words that its grade rests on do not stand in the resume, so it has no score.
    pub needs_review: Vec<String>,
    pub created_at: DateTime<Utc>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct CandidateResponse {
    #[serde(flatten)]
    pub listed: CandidateListResponse,
    /// The visible text of the resume.
    pub resume_text: Option<String>,
    /// Always null; for old clients.
    pub anonymized_text: Option<String>,
    /// Text that is in the file but not seen by a reader, if there is some. It does not count for the score.
    #[schema(value_type = Option<Object>, example = json!({"findings": [{"technique": "white_text", "characters": 120}],
        "share_permille": 41}))]
    pub hidden_text: Option<Value>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct EvaluationResponse {
    pub match_score: Option<f64>,
    /// By category name, in the rubric's order.
    #[schema(value_type = Object, example = json!({"Welding": {"score": 82, "importance": 5, "reasoning": "…",
        "evidence": [{"quote": "TIG and MIG welding", "start": 120, "end": 139}]}}))]
    #[serde(serialize_with = "in_order")]
    pub category_scores: Vec<(String, Value)>,
    pub summary: String,
    pub pros: Vec<String>,
    pub cons: Vec<String>,
    pub interview_questions: Vec<String>,
    pub needs_review: Vec<String>,
    /// What graded; a name that begins with `offline-` is no language model.
    pub model: String,
    pub prompt_version: String,
    pub rubric_version: u32,
    pub created_at: DateTime<Utc>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListCandidates {
    #[param(inline)]
    pub status: Option<CandidateStatus>,
    /// Leaves out candidates below it, and those without a score.
    #[param(value_type = Option<f64>, minimum = 0, maximum = 100)]
    pub min_score: Option<String>,
    /// Leaves out candidates above it, and those without a score.
    #[param(value_type = Option<f64>, minimum = 0, maximum = 100)]
    pub max_score: Option<String>,
}

/// Takes in one resume. Answers at once; the score follows. Also at `/jobs/{job_id}/candidates`.
#[utoipa::path(post, path = "/jobs/{job_id}/candidates/upload", operation_id = "uploadCandidate", tag = "Candidates",
    request_body(content = UploadBody, content_type = "multipart/form-data"), security(("bearer" = [])),
    params(("job_id" = Uuid, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request answer the same")),
    responses((status = 200, body = CandidateUploadResponse), (status = 400, body = Problem),
        (status = 401, body = Problem), (status = 402, body = Problem), (status = 404, body = Problem),
        (status = 413, body = Problem), (status = 422, body = Problem)))]
#[tracing::instrument(name = "http.candidates.upload", skip_all, fields(tenant.id = %caller.tenant, job.id = %job))]
async fn upload(
    caller: Caller,
    State(app): State<App>,
    request: Request,
    Path(job): Path<Uuid>,
    form: UploadForm,
) -> Result<Response, ApiError> {
    let job = JobId(job);
    let context = request.context(caller, || form.hash(job));
    let taken = take_in(app.clone(), caller, job, context, form).await?;
    Ok(accepted(&app, taken).await)
}

/// The answer about a resume that was taken in, once it can be seen.
pub async fn accepted(app: &App, taken: Taken) -> Response {
    let seen = Visible::wait(app, &[visible::CANDIDATES, visible::USAGE], taken.place).await;
    let left = match taken.uploaded.remaining {
        Some(remaining) => format!("{remaining} candidates remaining this month"),
        None => "no monthly limit".to_owned(),
    };
    let answer = CandidateUploadResponse {
        candidate_id: taken.uploaded.candidate.0,
        job_id: taken.uploaded.job.0,
        status: "UPLOADED".to_owned(),
        task_id: taken.uploaded.task.to_string(),
        message: format!("Resume uploaded successfully. Processing started. ({left})"),
    };
    (seen, axum::Json(answer)).into_response()
}

/// The job's candidates, best score first; those without a score follow in the order of their upload.
#[utoipa::path(get, path = "/jobs/{job_id}/candidates", operation_id = "listCandidates", tag = "Candidates", security(("bearer" = [])),
    params(("job_id" = Uuid, Path), Paging, ListCandidates),
    responses((status = 200, body = Vec<CandidateListResponse>), (status = 401, body = Problem),
        (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn list(
    caller: Caller,
    State(app): State<App>,
    Path(job): Path<Uuid>,
    Query(paging): Query<Paging>,
    Query(query): Query<ListCandidates>,
) -> Result<Response, ApiError> {
    let job = JobId(job);
    if !app.reads.jobs().exists(caller.tenant, job).await? {
        return Err(ApiError::not_found("Job not found"));
    }
    let wanted = candidate_status::ListCandidates {
        status: query.status.map(status_row),
        min_score: tenths("min_score", query.min_score.as_deref())?,
        max_score: tenths("max_score", query.max_score.as_deref())?,
        skip: paging.skip()?,
        limit: paging.limit()?,
        after: paging.after()?,
    };
    let page = app.reads.candidate_status().list(caller.tenant, job, wanted).await?;
    Ok(Listing::new(page, listed).into_response())
}

/// One candidate with the text of the resume.
#[utoipa::path(get, path = "/jobs/{job_id}/candidates/{candidate_id}", operation_id = "getCandidate", tag = "Candidates", security(("bearer" = [])),
    params(("job_id" = Uuid, Path), ("candidate_id" = Uuid, Path)),
    responses((status = 200, body = CandidateResponse), (status = 401, body = Problem), (status = 404, body = Problem)))]
async fn show(
    caller: Caller,
    State(app): State<App>,
    Path((job, candidate)): Path<(Uuid, Uuid)>,
) -> Result<axum::Json<CandidateResponse>, ApiError> {
    let row = find(&app, caller, job, candidate).await?;
    let text = match &row.text_key {
        Some(text_key) => stored(&app, caller.tenant, candidate, text_key, "text").await?,
        None => None,
    };
    let resume_text = text.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let hidden_text = row.hidden_text.clone();
    Ok(axum::Json(CandidateResponse { listed: listed(row), resume_text, anonymized_text: None, hidden_text }))
}

/// The resume file as it was uploaded.
#[utoipa::path(get, path = "/jobs/{job_id}/candidates/{candidate_id}/file", operation_id = "downloadCandidateFile", tag = "Candidates",
    security(("bearer" = [])), params(("job_id" = Uuid, Path), ("candidate_id" = Uuid, Path)),
    responses((status = 200, content_type = "application/octet-stream"), (status = 401, body = Problem),
        (status = 404, body = Problem)))]
async fn file(
    caller: Caller,
    State(app): State<App>,
    Path((job, candidate)): Path<(Uuid, Uuid)>,
) -> Result<Response, ApiError> {
    let row = find(&app, caller, job, candidate).await?;
    let missing = || ApiError::not_found(format!("Resume file not found for candidate {candidate}"));
    let content = stored(&app, caller.tenant, candidate, &row.blob_key, "file").await?.ok_or_else(missing)?;
    let media_type = match row.file_kind.as_str() {
        "pdf" => "application/pdf",
        "docx" => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "doc" => "application/msword",
        _ => "application/octet-stream",
    };
    let disposition = HeaderValue::from_str(&attachment(&row.original_filename))
        .unwrap_or_else(|_| HeaderValue::from_static("attachment"));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (header::CONTENT_DISPOSITION, disposition),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
    ];
    Ok((headers, content).into_response())
}

/// How the score came about: each category with its reasons and the words of the resume behind them. Also at
/// `…/analysis`.
#[utoipa::path(get, path = "/jobs/{job_id}/candidates/{candidate_id}/evaluation", operation_id = "getCandidateEvaluation", tag = "Candidates",
    security(("bearer" = [])), params(("job_id" = Uuid, Path), ("candidate_id" = Uuid, Path)),
    responses((status = 200, body = EvaluationResponse), (status = 401, body = Problem), (status = 404, body = Problem)))]
async fn evaluation(
    caller: Caller,
    State(app): State<App>,
    Path((job, candidate)): Path<(Uuid, Uuid)>,
) -> Result<axum::Json<EvaluationResponse>, ApiError> {
    find(&app, caller, job, candidate).await?;
    let row = app.reads.evaluations().get(caller.tenant, CandidateId(candidate)).await?;
    let row = row.ok_or_else(|| ApiError::not_found(format!("Evaluation not found for candidate {candidate}")))?;
    let evaluation = row.evaluation.unwrap_or_default();
    let importance = |id: &str| row.categories.iter().find(|c| c.category_id == id).map(|c| c.importance.weight());
    let category_scores = evaluation
        .categories
        .iter()
        .map(|grade| {
            let evidence: Vec<Value> = grade.evidence.iter().map(quoted).collect();
            let entry = json!({
                "score": grade.score.map(Score::points),
                "importance": importance(&grade.category_id),
                "reasoning": grade.reasoning,
                "evidence": evidence,
            });
            (grade.name.clone(), entry)
        })
        .collect();
    Ok(axum::Json(EvaluationResponse {
        match_score: row.match_score.map(points),
        category_scores,
        summary: evaluation.summary,
        pros: evaluation.pros,
        cons: evaluation.cons,
        interview_questions: evaluation.interview_questions,
        needs_review: row.needs_review,
        model: row.model,
        prompt_version: row.prompt_version,
        rubric_version: row.rubric_version,
        created_at: row.created_at,
    }))
}

/// Deletes a candidate. Its slot stays used.
#[utoipa::path(delete, path = "/jobs/{job_id}/candidates/{candidate_id}", operation_id = "deleteCandidate", tag = "Candidates",
    security(("bearer" = [])), params(("job_id" = Uuid, Path), ("candidate_id" = Uuid, Path)),
    responses((status = 204), (status = 401, body = Problem), (status = 404, body = Problem)))]
#[tracing::instrument(name = "http.candidates.delete", skip_all, fields(
    tenant.id = %caller.tenant, job.id = %job, candidate.id = %candidate
))]
async fn delete(
    caller: Caller,
    State(app): State<App>,
    request: Request,
    Path((job, candidate)): Path<(Uuid, Uuid)>,
) -> Result<Response, ApiError> {
    let context = request.context(caller, || json_hash("DELETE", &format!("/candidates/{candidate}"), &()));
    let deleted = commands::candidate::delete(&app.bus, context, JobId(job), CandidateId(candidate)).await;
    let deleted = deleted.map_err(|error| match error {
        commands::CommandError::NotFound(_) => unknown(job, candidate),
        error => error.into(),
    })?;
    let models = [visible::CANDIDATES, visible::EVALUATIONS, visible::USAGE];
    let seen = Visible::wait(&app, &models, deleted.place).await;
    Ok((StatusCode::NO_CONTENT, seen, ()).into_response())
}

async fn find(app: &App, caller: Caller, job: Uuid, candidate: Uuid) -> Result<CandidateStatusRow, ApiError> {
    let row = app.reads.candidate_status().get(caller.tenant, JobId(job), CandidateId(candidate)).await?;
    row.ok_or_else(|| unknown(job, candidate))
}

pub fn unknown(job: Uuid, candidate: Uuid) -> ApiError {
    ApiError::not_found(format!("Candidate {candidate} not found for job {job}"))
}

/// A stored object in clear; `None` when it, or the key to it, is gone.
async fn stored(
    app: &App,
    tenant: TenantId,
    candidate: Uuid,
    object: &str,
    field: &str,
) -> Result<Option<Vec<u8>>, ApiError> {
    let Some(key) = app.vault.subject_key(tenant, candidate).await? else { return Ok(None) };
    match app.objects.get(object).await {
        Ok(sealed) => Ok(Some(key.open_bytes(field, &sealed)?)),
        Err(ObjectsError::Missing) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn listed(row: CandidateStatusRow) -> CandidateListResponse {
    CandidateListResponse {
        id: row.candidate_id.0,
        job_id: row.job_id.0,
        first_name: row.first_name,
        last_name: row.last_name,
        email: row.email,
        phone: row.phone,
        location: row.location,
        linkedin_url: row.linkedin_url,
        github_url: row.github_url,
        portfolio_url: row.portfolio_url,
        other_urls: Some(row.other_urls),
        original_filename: row.original_filename,
        status: row.status.as_str().to_owned(),
        error_message: row.error_message,
        score: row.score.map(points),
        needs_review: row.needs_review,
        created_at: row.uploaded_at,
    }
}

/// An object whose entries stay in their order.
fn in_order<S: Serializer>(entries: &[(String, Value)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(entries.iter().map(|(name, value)| (name, value)))
}

fn quoted(quote: &Quote) -> Value {
    json!({ "quote": quote.quote, "start": quote.start, "end": quote.end })
}

fn status_row(status: CandidateStatus) -> candidate_status::Status {
    match status {
        CandidateStatus::Uploaded => candidate_status::Status::Uploaded,
        CandidateStatus::Processing => candidate_status::Status::Processing,
        CandidateStatus::Parsed => candidate_status::Status::Parsed,
        CandidateStatus::Scored => candidate_status::Status::Scored,
        CandidateStatus::Failed => candidate_status::Status::Failed,
    }
}

/// Tenths to points with one decimal.
fn points(tenths: i64) -> f64 {
    f64::from(i32::try_from(tenths).unwrap_or(0)) / 10.0
}

/// Points as a caller writes them, to tenths.
fn tenths(name: &str, text: Option<&str>) -> Result<Option<i64>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    let points: f64 = text.parse().map_err(|_| ApiError::invalid("query", name, "must be a number"))?;
    if !(0.0..=100.0).contains(&points) {
        return Err(ApiError::invalid("query", name, "must be 0 to 100"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "0 to 1000")]
    Ok(Some((points * 10.0).round() as i64))
}

/// `Content-Disposition` with the name in ASCII and, exactly, in UTF-8 (RFC 6266, RFC 5987).
fn attachment(file_name: &str) -> String {
    let plain: String = file_name
        .chars()
        .map(|c| if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '/') || c == ' ' { c } else { '_' })
        .collect();
    let exact: String = file_name
        .bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect();
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{exact}")
}

#[cfg(test)]
mod tests {
    use super::{attachment, tenths};

    #[test]
    fn a_file_name_cannot_break_out_of_its_header() {
        let header = attachment("Zoë \"CV\"\r\nSet-Cookie: x.pdf");
        assert!(!header.contains('\r') && !header.contains('\n'));
        assert_eq!(header.matches('"').count(), 2);
        assert!(header.contains("filename*=UTF-8''Zo%C3%AB%20%22CV%22"), "{header}");
    }

    #[test]
    fn a_score_filter_is_read_in_tenths() {
        assert_eq!(tenths("min_score", Some("70")).unwrap(), Some(700));
        assert_eq!(tenths("min_score", Some("70.25")).unwrap(), Some(703));
        assert!(tenths("min_score", Some("101")).is_err());
        assert!(tenths("min_score", Some("NaN")).is_err());
    }
}
