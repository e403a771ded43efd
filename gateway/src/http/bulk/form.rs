//! The form of a bulk upload, whose archive goes to a temporary file as it comes in.

use std::{fs::File, io};

use aws_lc_rs::digest;
use axum::extract::{
    FromRequest, Multipart, Request,
    multipart::{Field, MultipartError},
};
use starscreen_domain::JobId;
use tokio::io::AsyncWriteExt;

use crate::http::{
    App,
    arriving::{MAX_DRAIN_BYTES, Pace, temporary_file},
    caller::request_hash,
    error::{ApiError, Code},
    form::shown_type,
};

const MAX_ARCHIVE_BYTES: usize = 100 << 20;
/// With what the parts of a form may need besides the archive.
pub const MAX_BODY_BYTES: usize = MAX_ARCHIVE_BYTES + MAX_DRAIN_BYTES + (64 << 10);

/// An archive as it came in; a client that hangs up in the middle leaves nothing behind.
pub struct ArchiveForm {
    pub file: File,
    file_name: String,
    content_type: String,
    /// Of every part: name, file name and SHA-256 of its content. The boundary between parts varies and is left out.
    parts: Vec<(String, String, Vec<u8>)>,
}

impl FromRequest<App> for ArchiveForm {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let mut form = Multipart::from_request(request, app)
            .await
            .map_err(|rejection| ApiError::invalid("body", "", rejection.body_text()))?;
        let (mut archive, mut pace) = (None, Pace::default());
        let mut parts = vec![];
        while let Some(mut part) = in_time(&mut pace, form.next_field()).await? {
            let name = part.name().unwrap_or_default().to_owned();
            let file_name = part.file_name().unwrap_or_default().to_owned();
            let digest = if name == "file" {
                let content_type = part.content_type().unwrap_or_default().to_owned();
                let (file, digest) = receive(&mut part, &mut pace, app).await?;
                archive = Some((file, file_name.clone(), content_type));
                digest
            } else {
                pass_over(&mut part, &mut pace).await?
            };
            parts.push((name, file_name, digest));
        }
        let Some((file, file_name, content_type)) = archive else {
            return Err(ApiError::invalid("body", "file", "is required"));
        };
        Ok(Self { file, file_name, content_type, parts })
    }
}

async fn receive(part: &mut Field<'_>, pace: &mut Pace, app: &App) -> Result<(File, Vec<u8>), ApiError> {
    let unavailable = |error: io::Error| ApiError::unavailable(&error);
    let mut file = temporary_file(&app.settings.data_dir).await.map_err(unavailable)?;
    let mut digest = digest::Context::new(&digest::SHA256);
    let mut bytes = 0;
    while let Some(chunk) = in_time(pace, part.chunk()).await? {
        bytes += chunk.len();
        pace.came(chunk.len());
        if bytes > MAX_ARCHIVE_BYTES {
            drop(file);
            pass_over(part, pace).await?;
            return Err(too_large());
        }
        digest.update(&chunk);
        file.write_all(&chunk).await.map_err(unavailable)?;
    }
    file.flush().await.map_err(unavailable)?;
    Ok((file.into_std().await, digest.finish().as_ref().to_vec()))
}

async fn pass_over(part: &mut Field<'_>, pace: &mut Pace) -> Result<Vec<u8>, ApiError> {
    let mut digest = digest::Context::new(&digest::SHA256);
    while let Some(chunk) = in_time(pace, part.chunk()).await? {
        pace.came(chunk.len());
        digest.update(&chunk);
    }
    Ok(digest.finish().as_ref().to_vec())
}

async fn in_time<T>(pace: &mut Pace, part: impl Future<Output = Result<T, MultipartError>>) -> Result<T, ApiError> {
    pace.next(part).await?.map_err(|error| refusal(&error))
}

fn refusal(error: &MultipartError) -> ApiError {
    match error.status().as_u16() {
        413 => too_large(),
        _ => ApiError::invalid("body", "", error.body_text()),
    }
}

fn too_large() -> ApiError {
    let megabytes = MAX_ARCHIVE_BYTES >> 20;
    let detail = format!("The ZIP archive is too large. It may have at most {megabytes} MB. Split it into several.");
    ApiError::new(Code::FileTooLarge, detail)
}

impl ArchiveForm {
    /// The same for the same request, whatever boundary the client drew between the parts.
    pub fn hash(&self, job: JobId) -> String {
        let path = format!("/jobs/{job}/candidates/bulk-upload-zip");
        let parts = self.parts.iter().flat_map(|(name, file, digest)| [name.as_bytes(), file.as_bytes(), digest]);
        request_hash([b"POST".as_slice(), path.as_bytes()].into_iter().chain(parts))
    }

    /// Whether it is called an archive; whether it is one is seen when it is opened.
    pub fn check_name(&self) -> Result<(), ApiError> {
        let extension = self.file_name.rsplit_once('.').map(|(_, extension)| extension);
        if extension.is_some_and(|extension| extension.eq_ignore_ascii_case("zip")) {
            return Ok(());
        }
        let received = shown_type(&self.content_type);
        Err(ApiError::new(Code::UnsupportedFile, format!("File must be a ZIP archive. Received: {received}")))
    }
}
