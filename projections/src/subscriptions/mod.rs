//! What each tenant has agreed to: one row a tenant.

mod query;
#[cfg(test)]
mod tests;

pub use query::{SubscriptionRow, SubscriptionState, SubscriptionsQuery};

use starscreen_domain::{Event, Recorded, TenantId, subscription::SubscriptionEvent};
use uuid::Uuid;

use crate::projector::Projector;

pub struct Subscriptions;

impl Projector for Subscriptions {
    type Row = SubscriptionRow;
    const NAME: &'static str = "subscriptions";
    const VERSION: u32 = 1;
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
        match change {
            SubscriptionEvent::SubscriptionStarted { plan, anchor } => Some(SubscriptionRow {
                tenant_id: TenantId(event.aggregate_id),
                plan: plan.code.clone(),
                plan_display: plan.display_name.clone(),
                status: SubscriptionState::Active,
                monthly_limit: plan.monthly_limit,
                anchor: *anchor,
                started_at: event.metadata.occurred_at,
                updated_at: event.metadata.occurred_at,
                position: event.position,
            }),
            SubscriptionEvent::PlanChanged { plan, from: _, reason: _ } => row.map(|row| SubscriptionRow {
                plan: plan.code.clone(),
                plan_display: plan.display_name.clone(),
                monthly_limit: plan.monthly_limit,
                updated_at: event.metadata.occurred_at,
                position: event.position,
                ..row
            }),
        }
    }
}
