//! Use cases of subscriptions and their ledger.

use serde::{Deserialize, Serialize};
use starscreen_domain::{
    UsageId,
    subscription::{ChangePlan, PlanTerms, Subscription},
    usage::{AdjustUsage, ChangeLimit, PeriodTerms, Usage},
};

use crate::{
    bus::{Bus, Committed, Context},
    candidate::billing_period,
    error::CommandError,
};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PlanChange {
    pub from: PlanTerms,
    pub to: PlanTerms,
    /// Slots used in the running period, which a lower limit does not take back.
    pub used: u32,
}

/// Changes the plan at once; the new limit enters the running period's ledger in the same commit, so an upload that
/// runs beside it sees one or the other, never a mix.
///
/// # Errors
/// [`starscreen_domain::subscription::SubscriptionError::NotStarted`] without a subscription.
pub async fn change_plan(
    bus: &Bus,
    context: Context,
    plan: PlanTerms,
    reason: String,
) -> Result<Committed<PlanChange>, CommandError> {
    let (tenant, at) = (context.tenant, context.at);
    bus.commit(context.in_turn(), move |unit| {
        let (plan, reason) = (plan.clone(), reason.clone());
        Box::pin(async move {
            let from = unit.state::<Subscription>(tenant).await?.plan;
            unit.decide::<Subscription>(tenant, ChangePlan { plan: plan.clone(), reason }).await?;
            let (usage_id, terms) = billing_period(unit, tenant, at).await?;
            let next_period = unit.state::<Subscription>(tenant).await?.period(terms.period.end)?;
            unit.decide::<Usage>(usage_id, ChangeLimit { terms: terms.clone() }).await?;
            // An upload may have opened the next period while this command was on its way over the boundary.
            let next_id = UsageId::of(tenant, &next_period);
            if unit.state::<Usage>(next_id).await?.period.is_some() {
                unit.decide::<Usage>(next_id, ChangeLimit { terms: PeriodTerms { period: next_period, ..terms } })
                    .await?;
            }
            let used = unit.state::<Usage>(usage_id).await?.used();
            Ok(PlanChange { from, to: plan, used })
        })
    })
    .await
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Adjusted {
    pub used: u32,
    pub limit: Option<u32>,
}

/// Corrects the running period by an entry with its reason.
///
/// # Errors
/// A [`starscreen_domain::usage::UsageError`] without a reason or below zero.
pub async fn adjust_usage(
    bus: &Bus,
    context: Context,
    delta: i32,
    reason: String,
) -> Result<Committed<Adjusted>, CommandError> {
    let (tenant, at) = (context.tenant, context.at);
    bus.commit(context.in_turn(), move |unit| {
        let reason = reason.clone();
        Box::pin(async move {
            let (usage_id, terms): (_, PeriodTerms) = billing_period(unit, tenant, at).await?;
            unit.decide::<Usage>(usage_id, AdjustUsage { terms, delta, reason }).await?;
            let usage = unit.state::<Usage>(usage_id).await?;
            Ok(Adjusted { used: usage.used(), limit: usage.limit })
        })
    })
    .await
}
