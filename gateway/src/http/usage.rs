//! The tenant's own ledger: every entry behind what a billing period has used.

use axum::extract::State;
use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use starscreen_domain::{UsageId, period::Period};
use starscreen_projections::{monthly_usage::MonthlyUsageRow, usage_entries::UsageEntry};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    App,
    caller::Caller,
    error::{ApiError, Problem},
    extract::Query,
    listing::Paging,
};

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(show))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct UsageQuery {
    /// A day such as 2026-03-14: the billing period that the end of this day (UTC) lies in. Without it, the running one.
    #[param(value_type = Option<String>, format = Date)]
    period: Option<String>,
    /// Entries in the answer, 1 to 100.
    #[param(value_type = Option<u64>, default = 100, maximum = 100)]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct UsageResponse {
    pub period_start: DateTime<Utc>,
    /// First moment after the period.
    pub period_end: DateTime<Utc>,
    /// Null: nothing was used in the period, which is not the running one.
    #[schema(example = "free")]
    pub plan: Option<String>,
    /// Candidates the period may take; null: no limit, metered.
    pub limit: Option<u32>,
    /// Of a metered plan: candidates that its base price pays for.
    pub included: Option<u32>,
    /// Reserved, committed and adjusted, never below 0.
    pub used: i64,
    /// Slots of candidates that are on their way.
    pub reserved: i64,
    /// Slots used for good.
    pub committed: i64,
    /// Slots given back.
    pub released: i64,
    /// Sum of corrections.
    pub adjusted: i64,
    /// Candidates over the included ones, as they are billed.
    pub metered: i64,
    /// What comes later counts in a later period.
    pub closed: bool,
    /// The first entry first.
    pub entries: Vec<UsageEntryResponse>,
    /// Of all pages.
    pub total_entries: u64,
    /// Null: this is the last page.
    pub next_cursor: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct UsageEntryResponse {
    pub id: Uuid,
    /// opened, `limit_changed`, reserved, committed, released, adjusted, metered, `metering_given_up`, `metering_retried`,
    /// threshold or closed.
    #[schema(example = "reserved")]
    pub kind: String,
    /// Added to what is used.
    pub delta: i64,
    /// What is used after this entry.
    pub used: u32,
    /// Added to what is billed over the included candidates.
    pub metered: i64,
    /// Candidates it is about. Of a reservation for many, each is named where it is committed or released.
    pub candidates: u32,
    /// The candidate it is about, when that is one.
    pub candidate_id: Option<Uuid>,
    /// In force from here on.
    pub plan: Option<String>,
    /// In force from here on, or what `percent` is of.
    pub limit: Option<u32>,
    /// In force from here on.
    pub included: Option<u32>,
    /// Share of the limit that is reached.
    pub percent: Option<u32>,
    /// Of a release, a correction or usage that could not be billed.
    pub reason: Option<String>,
    /// Who caused it: `kind` or `kind:id`, such as `user:…`, `worker:score` or `operator`.
    pub actor: String,
    pub occurred_at: DateTime<Utc>,
    /// Place in the tenant's history.
    pub tenant_position: u64,
}

/// What a billing period has used, and every entry that makes it up. Nothing is ever set or taken back: the entries add
/// up to what is used.
#[utoipa::path(get, path = "/subscriptions/usage", operation_id = "getUsage", tag = "Subscriptions", params(UsageQuery), security(("bearer" = [])),
    responses((status = 200, body = UsageResponse), (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
#[tracing::instrument(name = "http.subscriptions.usage", skip_all, fields(tenant.id = %caller.tenant))]
async fn show(
    caller: Caller,
    State(app): State<App>,
    Query(query): Query<UsageQuery>,
) -> Result<axum::Json<UsageResponse>, ApiError> {
    let paging = Paging::by_cursor(query.limit, query.cursor);
    let (limit, after) = (paging.limit()?, paging.after()?);
    let now = Utc::now();
    let at = query.period.as_deref().map_or(Ok(now), end_of_day)?;
    let subscription = app.reads.subscriptions().get(caller.tenant).await?;
    let subscription = subscription.ok_or_else(|| ApiError::not_found("No subscription found"))?;
    let period = Period::holding(subscription.anchor, at);
    let id = UsageId::of(caller.tenant, &period);
    let counts = app.reads.monthly_usage().get(caller.tenant, id).await?;
    let entries = app.reads.usage_entries().list(caller.tenant, id, limit, after).await?;
    let mut answer = UsageResponse {
        period_start: period.start,
        period_end: period.end,
        plan: None,
        limit: None,
        included: None,
        used: 0,
        reserved: 0,
        committed: 0,
        released: 0,
        adjusted: 0,
        metered: 0,
        closed: false,
        entries: entries.rows.into_iter().map(UsageEntryResponse::from).collect(),
        total_entries: entries.total,
        next_cursor: entries.next.map(|cursor| cursor.to_string()),
    };
    match counts {
        Some(counts) => answer.count(counts),
        // The first entry will open it with these terms.
        None if period.contains(now) => {
            answer.plan = Some(subscription.plan);
            answer.limit = subscription.monthly_limit;
            answer.included = subscription.included;
        }
        None => {}
    }
    Ok(axum::Json(answer))
}

/// A period that begins in the middle of a day is found by that day.
fn end_of_day(text: &str) -> Result<DateTime<Utc>, ApiError> {
    let invalid = || ApiError::invalid("query", "period", "must be a day such as 2026-03-14");
    let day: NaiveDate = text.parse().map_err(|_| invalid())?;
    let next = day.checked_add_days(Days::new(1)).ok_or_else(invalid)?;
    Ok(next.and_time(NaiveTime::MIN).and_utc() - TimeDelta::microseconds(1))
}

impl UsageResponse {
    fn count(&mut self, counts: MonthlyUsageRow) {
        self.period_start = counts.period_start;
        self.period_end = counts.period_end;
        self.plan = Some(counts.plan);
        self.limit = counts.monthly_limit;
        self.included = counts.included;
        self.used = counts.used;
        self.reserved = counts.reserved;
        self.committed = counts.committed;
        self.released = counts.released;
        self.adjusted = counts.adjusted;
        self.metered = counts.metered;
        self.closed = counts.closed;
    }
}

impl From<UsageEntry> for UsageEntryResponse {
    fn from(entry: UsageEntry) -> Self {
        let used = entry.used();
        let row = entry.row;
        Self {
            id: row.entry_id.0,
            kind: row.kind.as_str().to_owned(),
            delta: row.delta,
            used,
            metered: row.quantity,
            candidates: row.candidates,
            candidate_id: row.candidate.map(|candidate| candidate.0),
            plan: row.plan,
            limit: row.monthly_limit,
            included: row.included,
            percent: row.percent,
            reason: row.reason,
            actor: row.actor,
            occurred_at: row.occurred_at,
            tenant_position: row.tenant_position,
        }
    }
}
