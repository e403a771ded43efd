//! What each tenant has agreed to: one row a tenant.

mod query;
#[cfg(test)]
mod tests;

pub use query::{SubscriptionRow, SubscriptionsQuery};

use chrono::{DateTime, Utc};
use starscreen_domain::{
    Event, Recorded, TenantId,
    subscription::{Paid, PlanTerms, SubscriptionEvent, SubscriptionStatus},
};
use uuid::Uuid;

use crate::projector::Projector;

pub struct Subscriptions;

impl Projector for Subscriptions {
    type Row = SubscriptionRow;
    const NAME: &'static str = "subscriptions";
    const VERSION: u32 = 2; // paid plans
    const READS: &'static [&'static str] = &["subscription"];

    fn key(event: &Recorded<Event>) -> Option<Uuid> {
        matches!(event.payload, Event::Subscription(_)).then_some(event.aggregate_id)
    }

    fn fold(row: Option<SubscriptionRow>, event: &Recorded<Event>) -> Option<SubscriptionRow> {
        let change = match &event.payload {
            Event::Subscription(change) => change,
            Event::Account(_)
            | Event::EmailClaim(_)
            | Event::Job(_)
            | Event::Candidate(_)
            | Event::Usage(_)
            | Event::Customer(_)
            | Event::Webhook(_) => {
                return row;
            }
        };
        let mut row = match change {
            SubscriptionEvent::SubscriptionStarted { plan, anchor } => SubscriptionRow::started(event, plan, *anchor),
            SubscriptionEvent::PlanChanged { .. }
            | SubscriptionEvent::PlanChangeScheduled { .. }
            | SubscriptionEvent::PlanChangeWithdrawn { .. }
            | SubscriptionEvent::CustomerLinked { .. }
            | SubscriptionEvent::CustomerReplaced { .. }
            | SubscriptionEvent::ProviderStateRecorded { .. }
            | SubscriptionEvent::StatusChanged { .. } => row?,
            // Between us and the payment provider: nothing that is shown changes.
            SubscriptionEvent::PlanOrdered { .. }
            | SubscriptionEvent::OrderDeclined { .. }
            | SubscriptionEvent::ProviderInformed { .. } => return row,
        };
        row.apply(change);
        row.updated_at = event.metadata.occurred_at;
        row.position = event.position;
        Some(row)
    }
}

impl SubscriptionRow {
    fn started(event: &Recorded<Event>, plan: &PlanTerms, anchor: DateTime<Utc>) -> Self {
        let mut row = Self {
            tenant_id: TenantId(event.aggregate_id),
            plan: String::new(),
            plan_display: String::new(),
            status: SubscriptionStatus::Active,
            grace_until: None,
            monthly_limit: None,
            included: None,
            price_amount: None,
            price_currency: None,
            price_interval: None,
            price_overage: None,
            scheduled_plan: None,
            scheduled_plan_display: None,
            scheduled_at: None,
            customer: None,
            paid_id: None,
            paid_price: None,
            paid_status: None,
            paid_cancel_at_period_end: None,
            paid_period_end: None,
            anchor,
            started_at: event.metadata.occurred_at,
            updated_at: event.metadata.occurred_at,
            position: event.position,
        };
        row.put_in_force(plan);
        row
    }

    fn apply(&mut self, change: &SubscriptionEvent) {
        match change {
            SubscriptionEvent::PlanChanged { plan, from: _, reason: _, by_provider: _, declined: _ } => {
                self.put_in_force(plan);
                self.schedule(None);
            }
            SubscriptionEvent::PlanChangeScheduled { plan, effective_at, reason: _, by_provider: _ } => {
                self.schedule(Some((plan, *effective_at)));
            }
            SubscriptionEvent::PlanChangeWithdrawn { reason: _, by_provider: _ } => self.schedule(None),
            SubscriptionEvent::CustomerLinked { customer }
            | SubscriptionEvent::CustomerReplaced { customer, former: _, reason: _ } => {
                self.customer = Some(customer.clone());
            }
            SubscriptionEvent::ProviderStateRecorded { paid } => self.record(paid.as_ref()),
            SubscriptionEvent::StatusChanged { status, grace_until } => {
                self.status = *status;
                self.grace_until = *grace_until;
            }
            SubscriptionEvent::SubscriptionStarted { .. }
            | SubscriptionEvent::PlanOrdered { .. }
            | SubscriptionEvent::OrderDeclined { .. }
            | SubscriptionEvent::ProviderInformed { .. } => {}
        }
    }

    fn put_in_force(&mut self, plan: &PlanTerms) {
        self.plan.clone_from(&plan.code);
        self.plan_display.clone_from(&plan.display_name);
        self.monthly_limit = plan.monthly_limit;
        self.included = plan.included;
        let price = plan.price.as_ref();
        self.price_amount = price.map(|price| price.amount);
        self.price_currency = price.map(|price| price.currency.clone());
        self.price_interval = price.map(|price| price.interval);
        self.price_overage = price.and_then(|price| price.overage);
    }

    fn schedule(&mut self, change: Option<(&PlanTerms, DateTime<Utc>)>) {
        self.scheduled_plan = change.map(|(plan, _)| plan.code.clone());
        self.scheduled_plan_display = change.map(|(plan, _)| plan.display_name.clone());
        self.scheduled_at = change.map(|(_, at)| at);
    }

    fn record(&mut self, paid: Option<&Paid>) {
        self.paid_id = paid.map(|paid| paid.id.clone());
        self.paid_price = paid.map(|paid| paid.price.clone());
        self.paid_status = paid.map(|paid| paid.status);
        self.paid_cancel_at_period_end = paid.map(|paid| paid.cancel_at_period_end);
        self.paid_period_end = paid.and_then(|paid| paid.period_end);
    }
}
