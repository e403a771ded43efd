//! Use cases of subscriptions and their ledger. What the payment provider does about them is in [`crate::payments`].

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use starscreen_domain::{
    EventId, UsageId,
    subscription::{
        ApplyScheduledChange, ChangePlan, DeclinePlanChange, Interval, OrderPlan, PlanTerms, SchedulePlanChange,
        Scheduled, Subscription,
    },
    usage::{AdjustUsage, ChangeLimit, PeriodTerms, RetryMetering, Usage},
};
use uuid::Uuid;

use crate::{
    bus::{Bus, Committed, Context, Unit},
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
    bus.commit(context.in_turn(), move |unit| {
        let (plan, reason) = (plan.clone(), reason.clone());
        Box::pin(async move {
            let tenant = unit.tenant();
            let from = unit.state::<Subscription>(tenant).await?.plan;
            unit.decide::<Subscription>(tenant, ChangePlan { plan: plan.clone(), reason }).await?;
            bring_limit(unit).await?;
            let (usage_id, _) = billing_period(unit).await?;
            let used = unit.state::<Usage>(usage_id).await?.used();
            Ok(PlanChange { from, to: plan, used })
        })
    })
    .await
}

/// Brings the limit of the plan in force into the running period.
pub(crate) async fn bring_limit(unit: &mut Unit) -> Result<(), CommandError> {
    let tenant = unit.tenant();
    let (usage_id, terms) = billing_period(unit).await?;
    let next = unit.state::<Subscription>(tenant).await?.period(terms.period.end)?;
    unit.decide::<Usage>(usage_id, ChangeLimit { terms: terms.clone() }).await?;
    // An upload may have opened the next period while this command was on its way over the boundary.
    let next_id = UsageId::of(tenant, &next);
    if unit.state::<Usage>(next_id).await?.period.is_some() {
        unit.decide::<Usage>(next_id, ChangeLimit { terms: PeriodTerms { period: next, ..terms } }).await?;
    }
    Ok(())
}

/// What came of the wish for another plan.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Changed {
    /// In force now.
    pub plan: PlanTerms,
    /// `None`: it was changed at once, or nothing was to be changed.
    pub scheduled: Option<Scheduled>,
    /// Of the decision; 0 in answers that were stored without it.
    #[serde(default)]
    pub revision: u64,
}

/// Takes a paying tenant to another plan: at once when it takes more candidates, with the next period when it takes
/// fewer. Back to the plan in force takes back what was scheduled.
///
/// # Errors
/// [`starscreen_domain::subscription::SubscriptionError::NothingPaid`], or
/// [`starscreen_domain::subscription::SubscriptionError::NotInGoodStanding`].
pub async fn move_to_plan(bus: &Bus, context: Context, plan: PlanTerms) -> Result<Committed<Changed>, CommandError> {
    bus.commit(context.in_turn(), move |unit| {
        let plan = plan.clone();
        Box::pin(async move { move_to(unit, plan).await })
    })
    .await
}

async fn move_to(unit: &mut Unit, plan: PlanTerms) -> Result<Changed, CommandError> {
    let (tenant, at) = (unit.tenant(), unit.at());
    let before = unit.state::<Subscription>(tenant).await?;
    before.require_paid()?;
    before.require_good_standing(at)?;
    let reason = "asked for by the tenant".to_owned();
    if plan.takes_less_than(&before.plan) {
        let effective_at = end_of_paid_time(&before, at)?;
        unit.decide::<Subscription>(tenant, SchedulePlanChange { plan, effective_at, reason }).await?;
    } else {
        unit.decide::<Subscription>(tenant, ChangePlan { plan, reason }).await?;
        bring_limit(unit).await?;
    }
    changed(unit).await
}

/// When a smaller plan may begin: with the next period, and not before what is paid for a year is over.
fn end_of_paid_time(before: &Subscription, at: DateTime<Utc>) -> Result<DateTime<Utc>, CommandError> {
    let of_period = before.period(at)?.end;
    let is_annual = before.plan.price.as_ref().is_some_and(|price| price.interval == Interval::Annual);
    let paid_until = before.paid.as_ref().and_then(|paid| paid.period_end).filter(|_| is_annual);
    Ok(paid_until.filter(|end| *end > of_period).unwrap_or(of_period))
}

/// Ends what is paid with the time that is paid for; then the plan is `free`.
///
/// # Errors
/// [`starscreen_domain::subscription::SubscriptionError::NothingPaid`].
pub async fn cancel(bus: &Bus, context: Context, free: PlanTerms) -> Result<Committed<Changed>, CommandError> {
    bus.commit(context.in_turn(), move |unit| {
        let free = free.clone();
        Box::pin(async move {
            let (tenant, at) = (unit.tenant(), unit.at());
            let before = unit.state::<Subscription>(tenant).await?;
            let paid = before.require_paid()?;
            let effective_at = paid.period_end.filter(|end| *end > at).unwrap_or(before.period(at)?.end);
            let reason = "canceled by the tenant".to_owned();
            unit.decide::<Subscription>(tenant, SchedulePlanChange { plan: free, effective_at, reason }).await?;
            changed(unit).await
        })
    })
    .await
}

async fn changed(unit: &mut Unit) -> Result<Changed, CommandError> {
    let after = unit.state::<Subscription>(unit.tenant()).await?;
    Ok(Changed { plan: after.plan, scheduled: after.scheduled, revision: after.decided })
}

/// Lets what was scheduled and is due come into force.
pub(crate) async fn apply_scheduled(unit: &mut Unit) -> Result<(), CommandError> {
    let (tenant, at) = (unit.tenant(), unit.at());
    if !unit.decide::<Subscription>(tenant, ApplyScheduledChange { at }).await?.is_empty() {
        bring_limit(unit).await?;
    }
    Ok(())
}

/// Takes back a change that was not paid, and its limit with it.
pub(crate) async fn take_back(unit: &mut Unit, command: DeclinePlanChange) -> Result<(), CommandError> {
    let tenant = unit.tenant();
    if !unit.decide::<Subscription>(tenant, command).await?.is_empty() {
        bring_limit(unit).await?;
    }
    Ok(())
}

/// What came of the wish for a plan, whether or not one is paid for already.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Subscribed {
    /// The order's id.
    Ordered(Uuid),
    Changed,
}

/// Orders the first paid plan, which the lane `billing` places with the payment provider. Whoever pays already is taken
/// to the plan as by [`move_to_plan`].
///
/// # Errors
/// [`starscreen_domain::subscription::SubscriptionError::OrderPending`], or those of [`move_to_plan`].
pub async fn subscribe(bus: &Bus, context: Context, command: OrderPlan) -> Result<Committed<Subscribed>, CommandError> {
    bus.commit(context.in_turn(), move |unit| {
        let command = command.clone();
        Box::pin(async move {
            let (tenant, order) = (unit.tenant(), command.order);
            if unit.state::<Subscription>(tenant).await?.require_paid().is_ok() {
                move_to(unit, command.plan).await?;
                return Ok(Subscribed::Changed);
            }
            unit.decide::<Subscription>(tenant, command).await?;
            Ok(Subscribed::Ordered(order))
        })
    })
    .await
}

/// Used and limit after a correction.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Adjusted {
    pub used: u32,
    pub limit: Option<u32>,
}

/// A correction of the running period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Correction {
    /// Added to what is used; negative gives slots back.
    By(i32),
    /// Nothing is used for good afterwards. What is only reserved is given back, or used, by itself.
    Reset,
}

/// Corrects the running period by an entry with its reason.
///
/// # Errors
/// A [`starscreen_domain::usage::UsageError`] without a reason or below zero.
pub async fn adjust_usage(
    bus: &Bus,
    context: Context,
    correction: Correction,
    reason: String,
) -> Result<Committed<Adjusted>, CommandError> {
    bus.commit(context.in_turn(), move |unit| {
        let reason = reason.clone();
        Box::pin(async move {
            let at = unit.at();
            let (usage_id, terms) = billing_period(unit).await?;
            let used = unit.state::<Usage>(usage_id).await?.billable().max(0);
            let delta = match correction {
                Correction::By(delta) => delta,
                Correction::Reset => i32::try_from(used).map_or(i32::MIN, |used| -used),
            };
            if correction != Correction::Reset || delta != 0 {
                unit.decide::<Usage>(usage_id, AdjustUsage { terms, delta, reason, at }).await?;
            }
            let usage = unit.state::<Usage>(usage_id).await?;
            Ok(Adjusted { used: usage.used(), limit: usage.limit })
        })
    })
    .await
}

/// Has a metered entry of `period` billed that was given up, under the id that it has.
///
/// # Errors
/// [`starscreen_domain::usage::UsageError::MeteringNotGivenUp`].
pub async fn retry_metering(
    bus: &Bus,
    context: Context,
    period: UsageId,
    entry: EventId,
) -> Result<Committed<()>, CommandError> {
    bus.commit(context.in_turn(), move |unit| {
        Box::pin(async move {
            unit.decide::<Usage>(period, RetryMetering { entry }).await?;
            unit.redrive(entry);
            Ok(())
        })
    })
    .await
}
