//! Lists: a plain array as old clients expect it, with the total and the next cursor in headers.

use axum::{
    Json,
    http::{HeaderName, HeaderValue},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use starscreen_projections::{Cursor, Page};
use utoipa::IntoParams;

use super::error::ApiError;

const MAX_LIMIT: i64 = 100;
const TOTAL: HeaderName = HeaderName::from_static("x-total-count");
const NEXT: HeaderName = HeaderName::from_static("x-next-cursor");

/// Numbers are read as text, so that a wrong one is named in the answer.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Paging {
    /// Entries to pass over; for deep pages prefer `cursor`.
    #[param(value_type = Option<u64>, default = 0)]
    skip: Option<String>,
    /// Entries in the answer, 1 to 100.
    #[param(value_type = Option<u64>, default = 100, maximum = 100)]
    limit: Option<String>,
    /// `X-Next-Cursor` of the page before.
    cursor: Option<String>,
}

impl Paging {
    /// Of a list that is not paged by numbers.
    pub fn by_cursor(limit: Option<String>, cursor: Option<String>) -> Self {
        Self { skip: None, limit, cursor }
    }

    pub fn skip(&self) -> Result<u64, ApiError> {
        let skip = number("skip", self.skip.as_deref(), 0)?;
        u64::try_from(skip).map_err(|_| ApiError::invalid("query", "skip", "must not be negative"))
    }

    /// Capped at 100, as the former API did.
    pub fn limit(&self) -> Result<u64, ApiError> {
        let limit = number("limit", self.limit.as_deref(), MAX_LIMIT)?.min(MAX_LIMIT);
        u64::try_from(limit)
            .ok()
            .filter(|limit| *limit > 0)
            .ok_or_else(|| ApiError::invalid("query", "limit", "must be at least 1"))
    }

    pub fn after(&self) -> Result<Option<Cursor>, ApiError> {
        self.cursor
            .as_deref()
            .map(|text| {
                text.parse().map_err(|_| ApiError::invalid("query", "cursor", "is not a cursor that this list gave"))
            })
            .transpose()
    }
}

fn number(name: &str, text: Option<&str>, default: i64) -> Result<i64, ApiError> {
    text.map_or(Ok(default), |text| {
        text.parse().map_err(|_| ApiError::invalid("query", name, "must be a whole number"))
    })
}

pub struct Listing<T> {
    items: Vec<T>,
    total: u64,
    next: Option<Cursor>,
}

impl<T> Listing<T> {
    pub fn new<R>(page: Page<R>, answer: impl Fn(R) -> T) -> Self {
        Self { items: page.rows.into_iter().map(answer).collect(), total: page.total, next: page.next }
    }
}

impl<T: Serialize> IntoResponse for Listing<T> {
    fn into_response(self) -> Response {
        let mut response = Json(self.items).into_response();
        response.headers_mut().insert(TOTAL, HeaderValue::from(self.total));
        if let Some(next) = self.next.and_then(|next| HeaderValue::from_str(&next.to_string()).ok()) {
            response.headers_mut().insert(NEXT, next);
        }
        response
    }
}
