//! Taking in one resume: the form is read whole, checked, encrypted, stored, and only then committed.

use axum::extract::{FromRequest, Multipart, Request as HttpRequest, multipart::MultipartError};
use starscreen_commands::{
    CommandError, Context,
    candidate::{self, NewResume, Uploaded},
};
use starscreen_domain::{JobId, candidate::Contact, job::Job, usage::UsageError};

use super::{
    App,
    caller::{Caller, request_hash},
    error::{ApiError, Code},
};
use crate::{
    config::Settings,
    outbound::extract::{FileKind, RefusedFile, sniff},
};

/// What the parts of a form may need besides the file.
const FORM_OVERHEAD_BYTES: usize = 64 * 1024;
const MAX_FIELD_CHARS: usize = 200;

pub fn max_body_bytes(settings: &Settings) -> usize {
    max_file_bytes(settings).saturating_add(FORM_OVERHEAD_BYTES)
}

fn max_file_bytes(settings: &Settings) -> usize {
    usize::try_from(settings.uploads.max_file_bytes).unwrap_or(usize::MAX)
}

/// The form of an upload, read whole: a client that hangs up in the middle leaves nothing behind.
pub struct UploadForm {
    file_name: String,
    content_type: String,
    content: Vec<u8>,
    given: Contact,
    /// Of every part: name, file name and SHA-256 of its content. The boundary between parts varies and is left out.
    parts: Vec<(String, String, Vec<u8>)>,
}

impl FromRequest<App> for UploadForm {
    type Rejection = ApiError;

    async fn from_request(request: HttpRequest, app: &App) -> Result<Self, ApiError> {
        let max_file_bytes = max_file_bytes(&app.settings);
        let too_large = || too_large(max_file_bytes);
        let refuse = |error: MultipartError| match error.status().as_u16() {
            413 => too_large(),
            _ => ApiError::invalid("body", "", error.body_text()),
        };
        let mut form = Multipart::from_request(request, app)
            .await
            .map_err(|rejection| ApiError::invalid("body", "", rejection.body_text()))?;
        let mut file = None;
        let mut given = Contact::default();
        let mut parts = vec![];
        while let Some(part) = form.next_field().await.map_err(refuse)? {
            let name = part.name().unwrap_or_default().to_owned();
            let file_name = part.file_name().unwrap_or_default().to_owned();
            let content_type = part.content_type().unwrap_or_default().to_owned();
            let content = part.bytes().await.map_err(refuse)?;
            let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &content);
            parts.push((name.clone(), file_name.clone(), digest.as_ref().to_vec()));
            match name.as_str() {
                "file" => file = Some((file_name, content_type, content.to_vec())),
                "first_name" => given.first_name = text("first_name", &content)?,
                "last_name" => given.last_name = text("last_name", &content)?,
                "email" => given.email = text("email", &content)?,
                _ => {} // unknown parts are passed over, as the former API did
            }
        }
        let Some((file_name, content_type, content)) = file else {
            return Err(ApiError::invalid("body", "file", "is required"));
        };
        if content.len() > max_file_bytes {
            return Err(too_large());
        }
        Ok(Self { file_name, content_type, content, given, parts })
    }
}

fn too_large(max_file_bytes: usize) -> ApiError {
    let megabytes = max_file_bytes / (1024 * 1024);
    ApiError::new(Code::FileTooLarge, format!("The file is too large. A resume may have at most {megabytes} MB."))
}

fn text(name: &str, content: &[u8]) -> Result<Option<String>, ApiError> {
    let text = std::str::from_utf8(content).map_err(|_| ApiError::invalid("body", name, "is not valid UTF-8"))?.trim();
    if text.chars().count() > MAX_FIELD_CHARS {
        return Err(ApiError::invalid("body", name, format!("must have at most {MAX_FIELD_CHARS} characters")));
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

impl UploadForm {
    /// The same for the same request, whatever boundary the client drew between the parts.
    pub fn hash(&self, job: JobId) -> String {
        let path = format!("/jobs/{job}/candidates");
        let parts = self.parts.iter().flat_map(|(name, file, digest)| [name.as_bytes(), file.as_bytes(), digest]);
        request_hash([b"POST".as_slice(), path.as_bytes()].into_iter().chain(parts))
    }

    fn kind(&self) -> Result<FileKind, ApiError> {
        sniff(&self.file_name, &self.content).map_err(|refused| {
            let detail = match refused {
                RefusedFile::UnsupportedType => {
                    format!("Only PDF, DOC, and DOCX files are supported. Received: {}", self.received())
                }
                RefusedFile::Empty | RefusedFile::ContentMismatch { .. } => refused.to_string(),
            };
            ApiError::new(Code::UnsupportedFile, detail)
        })
    }

    /// The content type as sent, in plain characters.
    fn received(&self) -> String {
        let plain = |c: &char| c.is_ascii_graphic();
        let shown: String = self.content_type.chars().filter(plain).take(100).collect();
        if shown.is_empty() { "no content type".to_owned() } else { shown }
    }
}

/// A resume that was taken in, or had been before under the same key.
pub struct Taken {
    pub uploaded: Uploaded,
    pub position: u64,
}

/// Takes in one resume. Runs to its end whether or not the client still listens.
pub async fn take_in(
    app: App,
    caller: Caller,
    job: JobId,
    context: Context,
    form: UploadForm,
) -> Result<Taken, ApiError> {
    let task = async move { take_in_attached(&app, caller, job, context, form).await };
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
        return Ok(Taken { uploaded: before.output, position: before.position });
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
        Ok(committed) => Ok(Taken { uploaded: committed.output, position: committed.position }),
        Err(CommandError::NotFound("job")) => Err(unknown_job(job)),
        Err(error) => Err(error.into()),
    }
}

pub fn unknown_job(job: JobId) -> ApiError {
    ApiError::not_found(format!("Job {job} not found"))
}
