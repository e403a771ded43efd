//! Whether the payment provider has what our ledger has. It looks and tells, and changes nothing on either side: a
//! difference that heals itself would hide what made it.
//!
//! Usage is compared by the time of its entries in whole minutes, as the provider counts. So an entry that came late,
//! after the end of its period, is looked for where the provider has it.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use serde::Serialize;
use starscreen_domain::{
    Event, EventId, TenantId, UsageId,
    customer::CustomerEvent,
    period::Period,
    subscription::{Paid, PlanTerms, Subscription},
    usage::{Usage, UsageEvent},
    work::{Lane, Task},
};
use uuid::Uuid;

use crate::{
    bus::Bus,
    catalog::{Catalog, FREE},
    db::Scope,
    error::CommandError,
    payments::{Said, holding, subscriptions_of},
    ports::{PaidSubscription, Payments, PaymentsError},
    store::Log,
    upcast::upcast,
    work::WorkQueue,
};

/// How long the provider may take to count what it was told.
const COUNTED_WITHIN: TimeDelta = TimeDelta::minutes(10);
/// Looks at what changes while it is looked at.
const AT_MOST: usize = 3;

/// What is compared, and with whom.
pub struct Sides<'a> {
    pub bus: &'a Bus,
    pub log: &'a Log,
    pub queue: &'a WorkQueue,
    pub catalog: &'a Catalog,
    pub payments: &'a dyn Payments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Ok,
    /// It differs by no more than what is on its way.
    OnItsWay,
    CannotTell,
    Drift,
}

/// Metered usage from `from` up to, not including, `to`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PeriodChecked {
    /// Of the billing period, to the whole minute before.
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    pub ours: i64,
    pub theirs: i64,
    /// Entries that were not sent yet.
    pub unsent: usize,
    /// Entries that the provider refuses and that were given up.
    pub given_up: usize,
    /// Candidates that these bill.
    pub given_up_quantity: i64,
    /// Entries that are so young that the provider may not have counted them.
    pub young: usize,
    pub verdict: Verdict,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TenantChecked {
    pub tenant: TenantId,
    pub customer: Option<String>,
    /// It was deleted there. Of whoever pays nothing that is no fault.
    pub customer_is_gone: bool,
    pub periods: Vec<PeriodChecked>,
    /// In what the subscription there is another than the one that is known here.
    pub differences: Vec<String>,
    /// Work and notices that may still change that.
    pub waiting: u64,
    /// What no notice changes and a person has to put right there, with what to do.
    pub faults: Vec<String>,
    /// Why it could not be looked at, or not at all of it.
    pub unknown: Option<String>,
}

impl TenantChecked {
    fn of(tenant: TenantId) -> Self {
        Self {
            tenant,
            customer: None,
            customer_is_gone: false,
            periods: vec![],
            differences: vec![],
            waiting: 0,
            faults: vec![],
            unknown: None,
        }
    }

    /// The worst of all that was compared.
    pub fn verdict(&self) -> Verdict {
        let subscription = match (self.differences.is_empty(), self.waiting) {
            _ if !self.faults.is_empty() => Verdict::Drift,
            (true, _) => Verdict::Ok,
            (false, 0) => Verdict::Drift,
            (false, _) => Verdict::OnItsWay,
        };
        let unknown = if self.unknown.is_some() { Verdict::CannotTell } else { Verdict::Ok };
        self.periods.iter().map(|period| period.verdict).fold(subscription.max(unknown), Ord::max)
    }
}

/// One run.
#[derive(Clone, Debug, Default)]
pub struct Reconciled {
    pub tenants: Vec<TenantChecked>,
    /// Tenants that were not asked about, because the provider did not answer.
    pub left_out: usize,
}

impl Reconciled {
    pub fn count(&self, verdict: Verdict) -> usize {
        self.tenants.iter().filter(|tenant| tenant.verdict() == verdict).count()
    }
}

/// Everybody who is a customer of the payment provider.
///
/// # Errors
/// When the database fails.
pub async fn customers(queue: &WorkQueue) -> Result<Vec<TenantId>, CommandError> {
    const SQL: &str = "SELECT event_type, event_version, CAST(payload AS TEXT) FROM events
        WHERE aggregate_type = 'customer' ORDER BY aggregate_id, sequence";
    let rows: Vec<(String, String, String)> = queue.db().fetch(Scope::All, SQL, vec![]).await?;
    let mut tenants = vec![];
    for (event_type, version, payload) in rows {
        let read = serde_json::from_str(&payload).and_then(|payload| {
            let (_, payload) = upcast(&event_type, &version, payload);
            serde_json::from_value::<CustomerEvent>(payload)
        });
        let CustomerEvent::CustomerClaimed { tenant_id, .. } =
            read.map_err(|error| CommandError::Unreadable(std::sync::Arc::new(error)))?;
        tenants.push(tenant_id);
    }
    tenants.sort_unstable();
    tenants.dedup();
    Ok(tenants)
}

/// Compares `tenants`, one after the other; `period`: only the billing period that holds this time, else the running
/// one and the one before. Whoever cannot be asked is not asked about everybody.
pub async fn reconcile(
    sides: &Sides<'_>,
    tenants: &[TenantId],
    period: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Reconciled {
    let mut reconciled = Reconciled::default();
    for (at, tenant) in tenants.iter().enumerate() {
        let mut checked = TenantChecked::of(*tenant);
        let outcome = sides.check(&mut checked, period, now).await;
        let is_closed = matches!(
            outcome,
            Err(Failure::Payments(PaymentsError::Unavailable { .. } | PaymentsError::Refused { .. }))
        );
        checked.unknown = checked.unknown.or(outcome.err().map(|failure| failure.to_string()));
        reconciled.tenants.push(checked);
        if is_closed {
            reconciled.left_out = tenants.len() - at - 1;
            break;
        }
    }
    reconciled
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error(transparent)]
    Payments(#[from] PaymentsError),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Command(error.into())
    }
}

/// One entry of the ledger that is billed.
#[derive(Clone, Copy, Debug)]
struct Entry {
    id: EventId,
    quantity: i64,
    at: DateTime<Utc>,
    recorded_at: DateTime<Utc>,
    /// The provider refuses it.
    given_up: bool,
}

impl Sides<'_> {
    async fn check(
        &self,
        checked: &mut TenantChecked,
        period: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<(), Failure> {
        let tenant = checked.tenant;
        let subscription = self.bus.read::<Subscription>(tenant, tenant).await?;
        let Some(anchor) = subscription.anchor else {
            checked.unknown = Some("there is no such tenant".to_owned());
            return Ok(());
        };
        let running = Period::holding(anchor, period.unwrap_or(now));
        let periods = match period {
            Some(_) => vec![running],
            None => vec![before(anchor, running), running],
        };
        let Some(customer) = &subscription.customer else {
            let metered = self.metered(tenant, &periods).await?;
            checked.unknown = Some(format!("it is no customer there, so {metered} metered candidates are not billed"));
            return Ok(());
        };
        checked.customer = Some(customer.clone());
        checked.customer_is_gone = self.payments.is_gone(customer).await?;
        if checked.customer_is_gone && (subscription.paid.is_some() || subscription.plan.included.is_some()) {
            checked.faults.push(format!(
                "{customer} is deleted at the payment provider, and nobody pays for the plan {}; link another by \
                 `starscreen admin link-customer EMAIL CUSTOMER --replace --reason TEXT`, or give another plan",
                subscription.plan.code
            ));
        }
        for period in periods.into_iter().filter(|period| period.end > anchor && period.start <= now) {
            self.check_usage(checked, &subscription, period, now).await?;
        }
        self.check_subscription(checked, customer).await
    }

    /// Of the linked customer and those before it. One that is gone has none that could be asked for.
    async fn recorded_usage(
        &self,
        subscription: &Subscription,
        (from, to): (DateTime<Utc>, DateTime<Utc>),
    ) -> Result<i64, PaymentsError> {
        let mut recorded = 0_i64;
        for customer in subscription.customer.iter().chain(&subscription.former_customers) {
            match self.payments.recorded_usage(customer, from, to).await {
                Ok(theirs) => recorded = recorded.saturating_add(theirs),
                Err(PaymentsError::CustomerGone) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(recorded)
    }

    async fn metered(&self, tenant: TenantId, periods: &[Period]) -> Result<i64, CommandError> {
        let mut metered = 0_i64;
        for period in periods {
            let usage = self.bus.read::<Usage>(tenant, UsageId::of(tenant, period)).await?;
            metered = metered.saturating_add(usage.metered);
        }
        Ok(metered)
    }

    /// Where nothing is metered, nothing is asked.
    async fn check_usage(
        &self,
        checked: &mut TenantChecked,
        subscription: &Subscription,
        period: Period,
        now: DateTime<Utc>,
    ) -> Result<(), Failure> {
        let tenant = checked.tenant;
        let unsent = self.unsent(tenant).await?;
        let of_ledger = [before(subscription.anchor.unwrap_or(period.start), period), period];
        let mut is_metered = subscription.plan.included.is_some();
        for period in of_ledger {
            let usage = self.bus.read::<Usage>(tenant, UsageId::of(tenant, &period)).await?;
            is_metered |= usage.included.is_some() || usage.metered != 0;
        }
        if !is_metered {
            return Ok(());
        }
        let (from, to) = (minute(period.start), minute(period.end).min(minute(now) + TimeDelta::minutes(1)));
        let theirs = self.recorded_usage(subscription, (from, to)).await?;
        for _ in 0..AT_MOST {
            let metered = self.metered(tenant, &of_ledger).await?;
            let mut entries = vec![];
            for period in of_ledger {
                entries.extend(self.entries(tenant, period).await?);
            }
            if metered == entries.iter().map(|entry| entry.quantity).sum::<i64>() {
                checked.periods.push(compare(&entries, &unsent, (from, to), theirs, now));
                return Ok(());
            }
        }
        checked.unknown = Some("entries of the ledger wait for their place in history".to_owned());
        Ok(())
    }

    async fn entries(&self, tenant: TenantId, period: Period) -> Result<Vec<Entry>, CommandError> {
        let deliveries = self.log.of_aggregate("usage", UsageId::of(tenant, &period).0).await?;
        let mut entries: Vec<Entry> = vec![];
        for event in deliveries.into_iter().filter_map(|delivery| delivery.event.ok()) {
            let (id, recorded_at) = (event.event_id, event.recorded_at);
            let mut mark = |id, given_up| {
                entries.iter_mut().filter(|entry| entry.id == id).for_each(|entry| entry.given_up = given_up);
            };
            if let Event::Usage(UsageEvent::OverageMetered { quantity, at }) = event.payload {
                entries.push(Entry { id, quantity, at, recorded_at, given_up: false });
            } else if let Event::Usage(UsageEvent::MeteringGivenUp { entry, .. }) = event.payload {
                mark(entry, true);
            } else if let Event::Usage(UsageEvent::MeteringRetried { entry, .. }) = event.payload {
                mark(entry, false);
            }
        }
        Ok(entries)
    }

    /// Entries whose work item is not done; the provider may have them all the same.
    async fn unsent(&self, tenant: TenantId) -> Result<BTreeMap<Uuid, Task>, CommandError> {
        const SQL: &str = "SELECT causation_id, task FROM work WHERE lane = $1 AND tenant_id = $2";
        let values = vec![Lane::Billing.name().into(), tenant.0.into()];
        let rows: Vec<(Uuid, String)> = self.queue.db().fetch(Scope::All, SQL, values).await?;
        let task = |(cause, task): (Uuid, String)| match serde_json::from_str(&task).ok()? {
            Task::MeterAgain { entry, quantity, at } => Some((entry.0, Task::MeterAgain { entry, quantity, at })),
            task => Some((cause, task)),
        };
        Ok(rows.into_iter().filter_map(task).collect())
    }

    /// Asked again where something was decided meanwhile.
    async fn check_subscription(&self, checked: &mut TenantChecked, customer: &str) -> Result<(), Failure> {
        let tenant = checked.tenant;
        for _ in 0..AT_MOST {
            let before = self.bus.read::<Subscription>(tenant, tenant).await?;
            let theirs = subscriptions_of(self.payments, &before, customer).await?;
            let ours = self.bus.read::<Subscription>(tenant, tenant).await?;
            if ours.revision != before.revision {
                continue;
            }
            checked.differences = differences(&ours, &theirs, self.catalog);
            checked.faults.extend(paid_twice(customer, &theirs, self.catalog));
            if !checked.differences.is_empty() {
                let told = self.unsent(tenant).await?;
                let is_metered = |task: &&Task| matches!(task, Task::MeterOverage { .. } | Task::MeterAgain { .. });
                let told = told.values().filter(|task| !is_metered(task)).count();
                let noticed = self.queue.count(Lane::Webhook).await?;
                let noticed = noticed.ready + noticed.leased + noticed.waiting;
                checked.waiting = noticed + u64::try_from(told).unwrap_or(u64::MAX).max(u64::from(ours.untold));
            }
            return Ok(());
        }
        checked.unknown = Some("the subscription changes all the time".to_owned());
        Ok(())
    }
}

fn minute(at: DateTime<Utc>) -> DateTime<Utc> {
    at.duration_trunc(TimeDelta::minutes(1)).unwrap_or(at)
}

fn before(anchor: DateTime<Utc>, period: Period) -> Period {
    Period::holding(anchor, period.start - TimeDelta::nanoseconds(1))
}

/// What is on its way counts as any part of it: each item may have been done and not reported, each young entry counted
/// or not. What was given up is not on its way: it is to be billed, and is not.
fn compare(
    entries: &[Entry],
    unsent: &BTreeMap<Uuid, Task>,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    theirs: i64,
    now: DateTime<Utc>,
) -> PeriodChecked {
    let seconds = from.timestamp()..to.timestamp(); // the provider is told the second
    let mut found = PeriodChecked {
        from,
        to,
        ours: 0,
        theirs,
        unsent: 0,
        given_up: 0,
        given_up_quantity: 0,
        young: 0,
        verdict: Verdict::Ok,
    };
    let (mut lowest, mut highest) = (0_i64, 0_i64);
    for entry in entries.iter().filter(|entry| seconds.contains(&entry.at.timestamp())) {
        found.ours = found.ours.saturating_add(entry.quantity);
        let is_unsent = unsent.contains_key(&entry.id.0);
        let is_young = !is_unsent && !entry.given_up && entry.recorded_at > now - COUNTED_WITHIN;
        found.unsent += usize::from(is_unsent);
        if entry.given_up {
            found.given_up += 1;
            found.given_up_quantity = found.given_up_quantity.saturating_add(entry.quantity);
        }
        found.young += usize::from(is_young);
        if is_unsent || is_young {
            lowest = lowest.saturating_add(entry.quantity.min(0));
            highest = highest.saturating_add(entry.quantity.max(0));
        } else {
            lowest = lowest.saturating_add(entry.quantity);
            highest = highest.saturating_add(entry.quantity);
        }
    }
    found.verdict = match (theirs == found.ours, (lowest..=highest).contains(&theirs)) {
        (true, _) if found.unsent == 0 => Verdict::Ok,
        // To look again would not help.
        (false, _) if found.given_up > 0 => Verdict::Drift,
        (_, true) => Verdict::OnItsWay,
        (_, false) => Verdict::Drift,
    };
    found
}

/// In words, ours first.
fn differences(ours: &Subscription, theirs: &[PaidSubscription], catalog: &Catalog) -> Vec<String> {
    let there = Said::new(ours.revision, theirs, catalog).paid.filter(|paid| !paid.status.is_over());
    let mut told = vec![];
    match (&ours.paid, &there) {
        (None, None) => return told,
        (Some(here), None) => {
            told.push(format!("{} is {} here, and there is none there", here.id, here.status.as_str()));
        }
        (None, Some(there)) => {
            told.push(format!("{} is {} there, and none is known here", there.id, there.status.as_str()));
        }
        (Some(here), Some(there)) => told.extend(differing(here, there)),
    }
    let found = there.and_then(|there| theirs.iter().find(|subscription| subscription.id == there.id));
    told.extend(found.and_then(|found| paid_otherwise(&ours.plan, found, catalog)));
    told
}

fn differing(here: &Paid, there: &Paid) -> Vec<String> {
    let time = |at: Option<DateTime<Utc>>| at.map_or_else(|| "no time".to_owned(), |at| at.to_rfc3339());
    let compared = [
        ("the subscription", here.id.clone(), there.id.clone()),
        ("its status", here.status.as_str().to_owned(), there.status.as_str().to_owned()),
        ("its price", here.price.clone(), there.price.clone()),
        ("its end with the paid time", here.cancel_at_period_end.to_string(), there.cancel_at_period_end.to_string()),
        ("the end of the paid time", time(here.period_end), time(there.period_end)),
    ];
    let differs = compared.into_iter().filter(|(_, here, there)| here != there);
    differs.map(|(what, here, there)| format!("{what} is {here} here, {there} there")).collect()
}

/// More subscriptions than one hold a plan, as after two hosted pages that were paid at once.
fn paid_twice(customer: &str, theirs: &[PaidSubscription], catalog: &Catalog) -> Option<String> {
    let holding = holding(theirs);
    let counts = Said::new(0, theirs, catalog).paid.filter(|_| holding.len() > 1)?.id;
    let others: Vec<&str> = holding.iter().map(|held| held.id.as_str()).filter(|id| *id != counts).collect();
    let (number, others) = (holding.len(), others.join(", "));
    Some(format!(
        "{customer} pays for {number} subscriptions there: {counts} counts here; cancel {others} at the payment \
         provider and pay back what was charged for it"
    ))
}

/// Whether what is paid for there is another plan than the one in force here.
fn paid_otherwise(plan: &PlanTerms, there: &PaidSubscription, catalog: &Catalog) -> Option<String> {
    if !starscreen_domain::subscription::SubscriptionStatus::of(&there.status).holds_plan() {
        return None;
    }
    let paid = there.items.iter().find_map(|item| catalog.by_price(&item.price)).map(|offer| &offer.terms.code);
    if let Some(paid) = paid.filter(|paid| **paid != plan.code) {
        return Some(format!("the plan is {} here, {paid} is paid for there", plan.code));
    }
    if plan.code == FREE && !there.cancel_at_period_end {
        return Some("the plan is free here, and something is paid for there".to_owned());
    }
    let is_metered = there.items.iter().any(|item| item.metered);
    (plan.included.is_some() && !is_metered)
        .then(|| format!("the plan {} is metered, and nothing is metered by {} there", plan.code, there.id))
}
