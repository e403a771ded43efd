//! What a caller reads when something is wrong: RFC 9457 problems with a sentence to act on.
//!
//! `detail` is also what clients of the former API read. `type` leads to the page of the code, which this server
//! serves itself (docs/errors).

use std::error::Error;

use axum::{
    Json,
    extract::rejection::{FormRejection, JsonRejection, PathRejection, QueryRejection},
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use starscreen_commands::{
    CommandError,
    ports::{ObjectsError, VaultError},
};
use starscreen_domain::{
    email_claim::EmailClaimError, job::JobError, subscription::SubscriptionError, usage::UsageError,
};
use starscreen_projections::ReadModelError;
use utoipa::ToSchema;

/// Seconds a client should wait before it tries an unavailable store again.
const RETRY_AFTER_SECONDS: &str = "2";

/// Every kind of problem. Each has its page in docs/errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    NotAuthenticated,
    InvalidToken,
    IncorrectLogin,
    EmailTaken,
    InvalidRequest,
    NotFound,
    MethodNotAllowed,
    UnsupportedFile,
    FileTooLarge,
    QuotaExhausted,
    PaymentRequired,
    PaymentDeclined,
    InvalidPlan,
    InvalidWebhook,
    IdempotencyKeyReused,
    Conflict,
    Unavailable,
    Internal,
}

impl Code {
    pub const ALL: [Code; 18] = [
        Code::NotAuthenticated,
        Code::InvalidToken,
        Code::IncorrectLogin,
        Code::EmailTaken,
        Code::InvalidRequest,
        Code::NotFound,
        Code::MethodNotAllowed,
        Code::UnsupportedFile,
        Code::FileTooLarge,
        Code::QuotaExhausted,
        Code::PaymentRequired,
        Code::PaymentDeclined,
        Code::InvalidPlan,
        Code::InvalidWebhook,
        Code::IdempotencyKeyReused,
        Code::Conflict,
        Code::Unavailable,
        Code::Internal,
    ];

    /// Name in `type` and of the page.
    pub fn name(self) -> &'static str {
        self.facts().0
    }

    fn facts(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Self::NotAuthenticated => ("not_authenticated", StatusCode::UNAUTHORIZED, "Not authenticated"),
            Self::InvalidToken => ("invalid_token", StatusCode::UNAUTHORIZED, "Invalid token"),
            Self::IncorrectLogin => ("incorrect_login", StatusCode::UNAUTHORIZED, "Incorrect login"),
            Self::EmailTaken => ("email_taken", StatusCode::BAD_REQUEST, "Email already registered"),
            Self::InvalidRequest => ("invalid_request", StatusCode::UNPROCESSABLE_ENTITY, "Invalid request"),
            Self::NotFound => ("not_found", StatusCode::NOT_FOUND, "Not found"),
            Self::MethodNotAllowed => ("method_not_allowed", StatusCode::METHOD_NOT_ALLOWED, "Method not allowed"),
            Self::UnsupportedFile => ("unsupported_file", StatusCode::BAD_REQUEST, "Unsupported file"),
            Self::FileTooLarge => ("file_too_large", StatusCode::PAYLOAD_TOO_LARGE, "File too large"),
            Self::QuotaExhausted => ("quota_exhausted", StatusCode::PAYMENT_REQUIRED, "Monthly limit reached"),
            Self::PaymentRequired => ("payment_required", StatusCode::PAYMENT_REQUIRED, "Payment required"),
            Self::PaymentDeclined => ("payment_declined", StatusCode::BAD_REQUEST, "Payment declined"),
            Self::InvalidPlan => ("invalid_plan", StatusCode::BAD_REQUEST, "Invalid plan"),
            Self::InvalidWebhook => ("invalid_webhook", StatusCode::BAD_REQUEST, "Invalid webhook"),
            Self::IdempotencyKeyReused => {
                ("idempotency_key_reused", StatusCode::UNPROCESSABLE_ENTITY, "Idempotency key reused")
            }
            Self::Conflict => ("conflict", StatusCode::CONFLICT, "Conflict"),
            Self::Unavailable => ("unavailable", StatusCode::SERVICE_UNAVAILABLE, "Temporarily unavailable"),
            Self::Internal => ("internal", StatusCode::INTERNAL_SERVER_ERROR, "Internal error"),
        }
    }
}

/// The body of every answer that is an error (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// Leads to a page that explains the problem and its remedies.
    #[serde(rename = "type")]
    #[schema(example = "/errors/quota_exhausted")]
    pub page: String,
    pub title: &'static str,
    pub status: u16,
    /// A sentence a person can act on.
    pub detail: String,
    /// Fields at fault, for an invalid request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

/// One field at fault.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FieldError {
    /// Where it is: `body`, `query` or `path`, then the name.
    pub loc: Vec<String>,
    pub msg: String,
}

#[derive(Debug)]
pub struct ApiError {
    code: Code,
    detail: String,
    errors: Vec<FieldError>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl ApiError {
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let mut headers = vec![];
        match code {
            Code::NotAuthenticated | Code::InvalidToken | Code::IncorrectLogin => {
                headers.push((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
            }
            Code::Unavailable => {
                headers.push((header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS)));
            }
            Code::EmailTaken
            | Code::InvalidRequest
            | Code::NotFound
            | Code::MethodNotAllowed
            | Code::UnsupportedFile
            | Code::FileTooLarge
            | Code::QuotaExhausted
            | Code::PaymentRequired
            | Code::PaymentDeclined
            | Code::InvalidPlan
            | Code::InvalidWebhook
            | Code::IdempotencyKeyReused
            | Code::Conflict
            | Code::Internal => {}
        }
        Self { code, detail: detail.into(), errors: vec![], headers }
    }

    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(Code::NotFound, detail)
    }

    /// An invalid request with the field at fault: `at` is `body`, `query` or `path`.
    pub fn invalid(at: &str, field: &str, message: impl Into<String>) -> Self {
        let msg = message.into();
        let loc = [at, field].into_iter().filter(|part| !part.is_empty()).map(str::to_owned).collect();
        let detail = if field.is_empty() { msg.clone() } else { format!("{field}: {msg}") };
        Self { errors: vec![FieldError { loc, msg }], ..Self::new(Code::InvalidRequest, detail) }
    }

    /// Our fault, or our store's: logged here, since the caller learns no more than that.
    pub fn unavailable(error: &(dyn Error + 'static)) -> Self {
        tracing::error!(error = %chain(error), "request failed: a store is unavailable");
        Self::new(
            Code::Unavailable,
            "The service cannot reach its storage right now. Nothing was changed; please try again.",
        )
    }

    /// The store may have taken the command in and not said so any more.
    fn unknown_outcome(error: &(dyn Error + 'static)) -> Self {
        tracing::error!(error = %chain(error), "request failed: a store is unavailable");
        Self::new(
            Code::Unavailable,
            "The service cannot reach its storage right now. Please try again; with an Idempotency-Key, a request that \
            was taken in after all is not taken in twice.",
        )
    }

    pub fn internal(error: &(dyn Error + 'static)) -> Self {
        tracing::error!(error = %chain(error), "request failed");
        Self::new(Code::Internal, "Something went wrong on our side. Nothing was changed; please try again later.")
    }
}

/// The error and what caused it, on one line. Some libraries' errors tell their cause themselves; it is not told twice.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let told = cause.to_string();
        if text != told && !text.ends_with(&format!(": {told}")) {
            text = format!("{text}: {told}");
        }
        source = cause.source();
    }
    text
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (name, status, title) = self.code.facts();
        let body = Problem {
            page: format!("/errors/{name}"),
            title,
            status: status.as_u16(),
            detail: self.detail,
            errors: self.errors,
        };
        let mut response = (status, Json(body)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response.headers_mut().extend(self.headers);
        response
    }
}

impl From<CommandError> for ApiError {
    fn from(error: CommandError) -> Self {
        match &error {
            CommandError::Usage(UsageError::LimitReached { .. }) => Self::new(Code::QuotaExhausted, error.to_string()),
            CommandError::EmailClaim(EmailClaimError::AlreadyClaimed) => {
                Self::new(Code::EmailTaken, "Email already registered")
            }
            CommandError::Job(JobError::TitleLength) => Self::invalid("body", "title", error.to_string()),
            CommandError::Job(JobError::DescriptionLength) => Self::invalid("body", "description", error.to_string()),
            CommandError::NotFound(what) => Self::not_found(format!("{} not found", capitalised(what))),
            CommandError::KeyReused => Self::new(
                Code::IdempotencyKeyReused,
                "This Idempotency-Key was used for another request. Use a new key for a new request.",
            ),
            CommandError::Subscription(SubscriptionError::NotInGoodStanding(_)) => {
                Self::new(Code::PaymentRequired, error.to_string())
            }
            CommandError::Subscription(SubscriptionError::NothingPaid) => Self::not_found(error.to_string()),
            CommandError::Account(_)
            | CommandError::Candidate(_)
            | CommandError::Customer(_)
            | CommandError::Webhook(_)
            | CommandError::EmailClaim(_)
            | CommandError::Job(_)
            | CommandError::Subscription(_)
            | CommandError::Usage(_) => Self::new(Code::Conflict, sentence(&error.to_string())),
            CommandError::Contended => Self::unavailable(&error),
            CommandError::Unavailable(_) | CommandError::Stopped => Self::unknown_outcome(&error),
            CommandError::LeaseLost | CommandError::EventTooLarge { .. } | CommandError::Unreadable(_) => {
                Self::internal(&error)
            }
        }
    }
}

impl From<ReadModelError> for ApiError {
    fn from(error: ReadModelError) -> Self {
        match error {
            ReadModelError::ForeignCursor => Self::invalid("query", "cursor", "is not a cursor that this list gave"),
            error => Self::unavailable(&error),
        }
    }
}

impl From<VaultError> for ApiError {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Unavailable(_) => Self::unavailable(&error),
            VaultError::NoKey(_) | VaultError::DoesNotOpen | VaultError::NoRandomness => Self::internal(&error),
        }
    }
}

impl From<ObjectsError> for ApiError {
    fn from(error: ObjectsError) -> Self {
        Self::unavailable(&error)
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        match rejection {
            JsonRejection::BytesRejection(_) => Self::new(Code::FileTooLarge, "The request body is too large."),
            rejection => Self::invalid("body", "", rejection.body_text()),
        }
    }
}

impl From<FormRejection> for ApiError {
    fn from(rejection: FormRejection) -> Self {
        Self::invalid("body", "", rejection.body_text())
    }
}

impl From<PathRejection> for ApiError {
    fn from(rejection: PathRejection) -> Self {
        Self::invalid("path", "", rejection.body_text())
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self::invalid("query", "", rejection.body_text())
    }
}

fn capitalised(word: &str) -> String {
    let mut characters = word.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

fn sentence(text: &str) -> String {
    format!("{}.", capitalised(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{told}")]
    struct Told {
        told: &'static str,
        source: Option<Box<Told>>,
    }

    fn told(words: &[&'static str]) -> String {
        let error = words.iter().rev().fold(None, |source, told| Some(Box::new(Told { told, source })));
        chain(error.unwrap().as_ref())
    }

    #[test]
    fn a_cause_is_told_once() {
        assert_eq!(told(&["a", "b", "c"]), "a: b: c");
        assert_eq!(told(&["a", "a", "b"]), "a: b", "an error that says what its cause says");
        assert_eq!(told(&["a", "b: c", "c"]), "a: b: c", "an error that ends with its cause");
        assert_eq!(told(&["it is no file", "file"]), "it is no file: file");
    }
}
