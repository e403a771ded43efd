//! The tenant's plan and what is left of its month.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use serde::Serialize;
use starscreen_commands::catalog::FREE;
use starscreen_domain::{period::Period, subscription::SubscriptionStatus};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    App,
    caller::Caller,
    error::{ApiError, Problem},
    plans::ScheduledChange,
};

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(current))
}

#[derive(Debug, Serialize, ToSchema)]
pub struct SubscriptionResponse {
    #[schema(example = "free")]
    pub plan: String,
    #[schema(example = "Free")]
    pub plan_display: String,
    #[schema(example = "active")]
    pub status: String,
    /// Candidates the billing period may take; null: no limit, metered.
    pub monthly_candidate_limit: Option<u32>,
    pub candidates_used_this_month: u32,
    /// Null: no limit.
    pub remaining_candidates: Option<u32>,
    /// In percent of the limit; 0 without one.
    pub usage_percentage: f64,
    /// End of the billing period, in milliseconds since 1970.
    pub current_period_end: Option<i64>,
    /// The paid plan ends with the time that is paid for.
    pub cancel_at_period_end: bool,
    /// What comes into force later, if anything.
    pub scheduled_change: Option<ScheduledChange>,
    /// How long everything still works although an invoice is not paid.
    pub grace_until: Option<DateTime<Utc>>,
    /// Whether something is paid for at the payment provider.
    pub paid: bool,
}

/// The plan, and what of it is used in the running billing period.
#[utoipa::path(get, path = "/subscriptions/current", operation_id = "getCurrentSubscription", tag = "Subscriptions", security(("bearer" = [])),
    responses((status = 200, body = SubscriptionResponse), (status = 401, body = Problem), (status = 404, body = Problem)))]
async fn current(caller: Caller, State(app): State<App>) -> Result<Json<SubscriptionResponse>, ApiError> {
    let subscription = app.reads.subscriptions().get(caller.tenant).await?;
    let subscription = subscription.ok_or_else(|| ApiError::not_found("No subscription found"))?;
    let now = Utc::now();
    let usage = app.reads.monthly_usage().current(caller.tenant, now).await?;
    let limit = usage.as_ref().map_or(subscription.monthly_limit, |usage| usage.monthly_limit);
    let used = usage.map_or(0, |usage| u32::try_from(usage.used.max(0)).unwrap_or(u32::MAX));
    let share = limit.filter(|limit| *limit > 0).map_or(0.0, |limit| f64::from(used) / f64::from(limit) * 100.0);
    Ok(Json(SubscriptionResponse {
        plan: subscription.plan,
        plan_display: subscription.plan_display,
        status: subscription.status.as_str().to_owned(),
        monthly_candidate_limit: limit,
        candidates_used_this_month: used,
        remaining_candidates: limit.map(|limit| limit.saturating_sub(used)),
        usage_percentage: (share * 10.0).round() / 10.0,
        current_period_end: Some(Period::holding(subscription.anchor, now).end.timestamp_millis()),
        cancel_at_period_end: subscription.scheduled_plan.as_deref() == Some(FREE),
        scheduled_change: subscription.scheduled_plan.zip(subscription.scheduled_at).map(|(plan, effective_date)| {
            let new_limit = app.settings.plan(&plan).and_then(|plan| plan.monthly_limit);
            ScheduledChange { new_plan: plan, new_limit, effective_date }
        }),
        grace_until: subscription.grace_until,
        paid: subscription.paid_status.is_some_and(SubscriptionStatus::holds_plan),
    }))
}
