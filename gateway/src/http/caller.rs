//! Who calls. A handler that takes a [`Caller`] is for signed-in users; without it there is no tenant to ask about.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::Utc;
use starscreen_commands::{Context, Idempotency};
use starscreen_domain::{Actor, TenantId, UserId};

use super::{
    App,
    error::{ApiError, Code},
};

/// Longest idempotency key taken.
const MAX_KEY_CHARS: usize = 255;

/// A signed-in user.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    pub tenant: TenantId,
    pub user: UserId,
}

impl FromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let Some(header) = parts.headers.get(header::AUTHORIZATION) else {
            return Err(ApiError::new(Code::NotAuthenticated, "Not authenticated"));
        };
        let token = header.to_str().ok().and_then(bearer);
        let Some(token) = token else { return Err(ApiError::new(Code::NotAuthenticated, "Not authenticated")) };
        let access = app
            .tokens
            .verify_access(token, Utc::now())
            .map_err(|_| ApiError::new(Code::InvalidToken, "Could not validate credentials"))?;
        Ok(Self { tenant: access.subject.tenant_id, user: access.subject.user_id })
    }
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim()).filter(|token| !token.is_empty())
}

/// What a request says about itself, for the envelope of its events.
pub struct Request {
    pub traceparent: Option<String>,
    pub idempotency_key: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Request {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let traceparent = text(&parts.headers, "traceparent").filter(|value| is_traceparent(value));
        let idempotency_key = text(&parts.headers, "idempotency-key");
        let sent = parts.headers.get_all("idempotency-key").iter().count();
        let usable = idempotency_key.as_ref().is_some_and(|key| (1..=MAX_KEY_CHARS).contains(&key.chars().count()));
        if sent > 1 || sent == 1 && !usable {
            // A key that is passed over would take the same request in twice.
            let message = format!("must be sent once, with 1 to {MAX_KEY_CHARS} ASCII characters");
            return Err(ApiError::invalid("header", "Idempotency-Key", message));
        }
        Ok(Self { traceparent, idempotency_key })
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// `version-trace-parent-flags` in lower-case hexadecimal (W3C Trace Context).
fn is_traceparent(value: &str) -> bool {
    let lengths: Vec<usize> = value.split('-').map(str::len).collect();
    lengths == [2, 32, 16, 2] && value.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f' | '-'))
}

impl Request {
    /// The context of a command of this caller; `request_hash` says what the request was, for its idempotency key.
    pub fn context(&self, caller: Caller, request_hash: impl FnOnce() -> String) -> Context {
        Context {
            traceparent: self.traceparent.clone(),
            idempotency: self.idempotency_key.clone().map(|key| Idempotency { key, request_hash: request_hash() }),
            ..Context::new(caller.tenant, Actor::User(caller.user), Utc::now())
        }
    }
}

/// SHA-256 over parts that cannot run into each other.
pub fn request_hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut digest = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for part in parts {
        digest.update(&(part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    URL_SAFE_NO_PAD.encode(digest.finish())
}

/// The hash of a request whose body is JSON.
pub fn json_hash<T: serde::Serialize>(method: &str, path: &str, body: &T) -> String {
    let body = serde_json::to_vec(body).unwrap_or_default(); // our own request types always serialise
    request_hash([method.as_bytes(), path.as_bytes(), body.as_slice()])
}
