//! Read your writes: a command's answer waits until the read models have it, for a bounded time.

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use axum::{
    http::{HeaderName, HeaderValue},
    response::{IntoResponseParts, ResponseParts},
};

use starscreen_commands::append::Place;
use starscreen_projections::{
    Projector, accounts::Accounts, candidate_status::CandidateStatus, evaluations::Evaluations, jobs::Jobs,
    monthly_usage::MonthlyUsage, subscriptions::Subscriptions,
};

use super::App;

pub const ACCOUNTS: &str = Accounts::NAME;
pub const CANDIDATES: &str = CandidateStatus::NAME;
pub const EVALUATIONS: &str = Evaluations::NAME;
pub const JOBS: &str = Jobs::NAME;
pub const SUBSCRIPTIONS: &str = Subscriptions::NAME;
pub const USAGE: &str = MonthlyUsage::NAME;

/// Longest wait of an answer; then it goes out all the same and says so.
pub const AT_MOST: Duration = Duration::from_millis(500);
const BEHIND: HeaderName = HeaderName::from_static("starscreen-read-model");

/// Whether what the command wrote can be read already; in the answer a header when it cannot.
pub struct Visible(bool);

impl Visible {
    /// By the caller's own look.
    pub fn of(is_visible: bool) -> Self {
        Self(is_visible)
    }

    pub async fn wait(app: &App, models: &[&'static str], place: Place) -> Self {
        let begun = Instant::now();
        let visible = match app.log.position(place, AT_MOST).await {
            Ok(Some(0)) => true,
            Ok(Some(position)) => app.reads.wait_for(models, position, AT_MOST.saturating_sub(begun.elapsed())).await,
            Ok(None) | Err(_) => false, // the command stands, whatever becomes of the look at it
        };
        if !visible {
            tracing::warn!(event.place = ?place, "read models are behind; the answer says so");
        }
        Self(visible)
    }
}

impl IntoResponseParts for Visible {
    type Error = Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Infallible> {
        if !self.0 {
            parts.headers_mut().insert(BEHIND, HeaderValue::from_static("behind"));
        }
        Ok(parts)
    }
}
