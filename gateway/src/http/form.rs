//! The form of an upload, come whole before it is looked at: a client that hangs up in the middle leaves nothing behind,
//! one that sends too much still gets its answer, and memory is only for what is there.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{DefaultBodyLimit, FromRequest, Multipart, Request, multipart::Field},
    http::{HeaderMap, header},
};
use starscreen_domain::{JobId, candidate::Contact};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{
    App,
    arriving::Arrived,
    caller::request_hash,
    error::{ApiError, Code},
};
use crate::outbound::extract::{FileKind, RefusedFile, sniff};

/// What the parts of a form may need besides the file.
const FORM_OVERHEAD_BYTES: usize = 64 * 1024;
const MAX_FIELD_CHARS: usize = 200;
/// Longest file name of the common file systems.
const MAX_FILE_NAME_CHARS: usize = 255;
/// Bytes of files that are in memory at the same time, in clear and encrypted; the next waits.
const MEMORY_BYTES: usize = 64 << 20;
const PERMIT_BYTES: usize = 64 * 1024;
/// Longest wait for a place in memory.
const MAX_WAIT: Duration = Duration::from_secs(20);

/// Memory that all uploads share.
#[derive(Clone)]
pub struct UploadMemory(Arc<Semaphore>);

impl Default for UploadMemory {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MEMORY_BYTES / PERMIT_BYTES)))
    }
}

impl UploadMemory {
    pub(super) async fn reserve(&self, bytes: usize) -> Result<OwnedSemaphorePermit, ApiError> {
        let permits = u32::try_from(bytes.min(MEMORY_BYTES).div_ceil(PERMIT_BYTES)).unwrap_or(1);
        match timeout(MAX_WAIT, Arc::clone(&self.0).acquire_many_owned(permits)).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => {
                Err(ApiError::new(Code::Unavailable, "Too many uploads come in at this moment. Please try again."))
            }
        }
    }
}

/// A form with one file.
pub struct UploadForm {
    pub file_name: String,
    content_type: String,
    pub content: Vec<u8>,
    pub given: Contact,
    /// Of every part: name, file name and SHA-256 of its content. The boundary between parts varies and is left out.
    parts: Vec<(String, String, Vec<u8>)>,
    _memory: OwnedSemaphorePermit,
}

/// What is said about a file, within the bounds of a form.
pub(super) struct Described {
    file_name: String,
    given: Contact,
}

impl Described {
    pub(super) fn try_new(file_name: &str, given: [Option<&str>; 3]) -> Result<Self, ApiError> {
        if is_too_long(file_name) {
            let message = format!("must have at most {MAX_FILE_NAME_CHARS} characters");
            return Err(ApiError::invalid("body", "file_name", message));
        }
        let [first_name, last_name, email] = given;
        let field = |name, value: Option<&str>| text(name, value.unwrap_or_default().as_bytes());
        let given = Contact {
            first_name: field("first_name", first_name)?,
            last_name: field("last_name", last_name)?,
            email: field("email", email)?,
            ..Contact::default()
        };
        Ok(Self { file_name: file_name.to_owned(), given })
    }
}

impl FromRequest<App> for UploadForm {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let max_file_bytes = usize::try_from(app.settings.uploads.max_file_bytes).unwrap_or(usize::MAX);
        let max_bytes = max_file_bytes.saturating_add(FORM_OVERHEAD_BYTES);
        let (head, body) = request.into_parts();
        let declared = declared_bytes(&head.headers);
        let body = Arrived::whole(body, declared, max_bytes, &app.settings.data_dir).await?;
        let body = body.ok_or_else(|| too_large(max_file_bytes))?;
        let bytes = body.bytes;
        let memory = app.upload_memory.reserve(2 * bytes).await?;
        let mut request = Request::from_parts(head, body.into_body().await?);
        DefaultBodyLimit::disable().apply(&mut request); // it has its size
        let mut form = Multipart::from_request(request, app)
            .await
            .map_err(|rejection| ApiError::invalid("body", "", rejection.body_text()))?;
        let mut file = None;
        let mut given = Contact::default();
        let mut parts = vec![];
        while let Some(mut part) =
            form.next_field().await.map_err(|error| ApiError::invalid("body", "", error.body_text()))?
        {
            let name = part.name().unwrap_or_default().to_owned();
            let file_name = file_name(&part);
            let content_type = part.content_type().unwrap_or_default().to_owned();
            let mut content = Vec::with_capacity(if name == "file" { bytes } else { 0 });
            while let Some(chunk) =
                part.chunk().await.map_err(|error| ApiError::invalid("body", "", error.body_text()))?
            {
                content.extend_from_slice(&chunk);
            }
            let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &content);
            parts.push((name.clone(), file_name.clone(), digest.as_ref().to_vec()));
            match name.as_str() {
                "file" if file.is_some() => {
                    return Err(ApiError::invalid("body", "file", "must be one file; send a request for each resume"));
                }
                "file" => file = Some((file_name, content_type, content)),
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
            return Err(too_large(max_file_bytes));
        }
        if is_too_long(&file_name) {
            let message = format!("must have a name of at most {MAX_FILE_NAME_CHARS} characters");
            return Err(ApiError::invalid("body", "file", message));
        }
        Ok(Self { file_name, content_type, content, given, parts, _memory: memory })
    }
}

fn declared_bytes(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn is_too_long(file_name: &str) -> bool {
    file_name.chars().count() > MAX_FILE_NAME_CHARS
}

pub(super) fn too_large(max_file_bytes: usize) -> ApiError {
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

/// The name of the uploaded file in each of the forms that clients write it in.
fn file_name(part: &Field<'_>) -> String {
    let header = part.headers().get(header::CONTENT_DISPOSITION).map(|value| value.as_bytes().to_vec());
    let named = header.as_deref().and_then(|header| extended_name(header).or_else(|| latin_name(header)));
    part.file_name().map(str::to_owned).or(named).unwrap_or_default()
}

/// `filename*=UTF-8''…`, percent-encoded (RFC 5987).
fn extended_name(header: &[u8]) -> Option<String> {
    let header = std::str::from_utf8(header).ok()?;
    let (_, value) = header.split_once("filename*=")?;
    let value = value.split(';').next()?.trim().trim_matches('"');
    let (charset, rest) = value.split_once('\'')?;
    let (_, encoded) = rest.split_once('\'')?;
    if !charset.eq_ignore_ascii_case("utf-8") {
        return None;
    }
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let encoded = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| *first == b'%');
        bytes.push(encoded.unwrap_or(*first));
        rest = if encoded.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).ok()
}

/// `filename="…"` in bytes that are no UTF-8: each byte is a character, as old clients mean it.
fn latin_name(header: &[u8]) -> Option<String> {
    let header: String = header.iter().map(|byte| char::from(*byte)).collect();
    let (_, value) = header.split_once("filename=\"")?;
    value.split_once('"').map(|(name, _)| name.to_owned())
}

impl UploadForm {
    /// A file that came another way than in a form.
    pub(super) fn without_form(described: Described, content: Vec<u8>, memory: OwnedSemaphorePermit) -> Self {
        let Described { file_name, given } = described;
        Self { file_name, content_type: String::new(), content, given, parts: vec![], _memory: memory }
    }

    /// The same for the same request, whatever boundary the client drew between the parts.
    pub fn hash(&self, job: JobId) -> String {
        let path = format!("/jobs/{job}/candidates");
        let parts = self.parts.iter().flat_map(|(name, file, digest)| [name.as_bytes(), file.as_bytes(), digest]);
        request_hash([b"POST".as_slice(), path.as_bytes()].into_iter().chain(parts))
    }

    /// What the file is, by its content and its name together.
    pub fn kind(&self) -> Result<FileKind, ApiError> {
        sniff(&self.file_name, &self.content).map_err(|refused| {
            let detail = match refused {
                RefusedFile::UnsupportedType => {
                    format!("Only PDF, DOC, and DOCX files are supported. Received: {}", shown_type(&self.content_type))
                }
                RefusedFile::Empty | RefusedFile::ContentMismatch { .. } => refused.to_string(),
            };
            ApiError::new(Code::UnsupportedFile, detail)
        })
    }
}

/// A content type as sent, in plain characters.
pub fn shown_type(content_type: &str) -> String {
    let plain = |c: &char| c.is_ascii_graphic();
    let shown: String = content_type.chars().filter(plain).take(100).collect();
    if shown.is_empty() { "no content type".to_owned() } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_is_read_in_every_form_that_clients_write() {
        assert_eq!(
            extended_name(b"form-data; name=\"file\"; filename*=UTF-8''Zo%C3%AB%20CV.pdf").unwrap(),
            "Zoë CV.pdf"
        );
        assert_eq!(extended_name(b"form-data; filename*=utf-8'en'100%.pdf").unwrap(), "100%.pdf");
        assert_eq!(latin_name(b"form-data; name=\"file\"; filename=\"Zo\xeb.pdf\"").unwrap(), "Zoë.pdf");
        assert_eq!(extended_name(b"form-data; filename=\"plain.pdf\""), None);
    }
}
