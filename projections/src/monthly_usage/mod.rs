//! What each billing period has used of its limit: one row a tenant and period.
//!
//! Counts only: that every commit and release has its reservation is the rule of the aggregate.

mod query;
#[cfg(test)]
mod tests;

pub use query::{MonthlyUsageQuery, MonthlyUsageRow};

use starscreen_domain::{Event, Recorded, UsageId, usage::UsageEvent};
use uuid::Uuid;

use crate::projector::Projector;

pub struct MonthlyUsage;

impl Projector for MonthlyUsage {
    type Row = MonthlyUsageRow;
    const NAME: &'static str = "monthly_usage";
    const VERSION: u32 = 2; // metered plans, closed periods
    const READS: &'static [&'static str] = &["usage"];

    fn key(event: &Recorded<Event>) -> Option<Uuid> {
        matches!(event.payload, Event::Usage(_)).then_some(event.aggregate_id)
    }

    fn fold(row: Option<MonthlyUsageRow>, event: &Recorded<Event>) -> Option<MonthlyUsageRow> {
        let change = match &event.payload {
            Event::Usage(change) => change,
            Event::Account(_)
            | Event::EmailClaim(_)
            | Event::Job(_)
            | Event::Candidate(_)
            | Event::Subscription(_)
            | Event::Customer(_)
            | Event::Webhook(_) => {
                return row;
            }
        };
        let mut row = match change {
            UsageEvent::PeriodOpened { period, plan, limit, included } => MonthlyUsageRow {
                usage_id: UsageId(event.aggregate_id),
                tenant_id: event.tenant_id?,
                period_start: period.start,
                period_end: period.end,
                plan: plan.clone(),
                monthly_limit: *limit,
                included: *included,
                reserved: 0,
                committed: 0,
                adjusted: 0,
                released: 0,
                used: 0,
                metered: 0,
                closed: false,
                updated_at: event.metadata.occurred_at,
                position: event.position,
            },
            UsageEvent::LimitChanged { .. }
            | UsageEvent::SlotsReserved { .. }
            | UsageEvent::SlotCommitted { .. }
            | UsageEvent::SlotReleased { .. }
            | UsageEvent::UsageAdjusted { .. }
            | UsageEvent::OverageMetered { .. }
            | UsageEvent::MeteringGivenUp { .. }
            | UsageEvent::MeteringRetried { .. }
            | UsageEvent::UsageThresholdReached { .. }
            | UsageEvent::PeriodClosed { .. } => row?,
        };
        row.apply(change);
        row.used = (row.reserved + row.committed + row.adjusted).max(0);
        row.updated_at = event.metadata.occurred_at;
        row.position = event.position;
        Some(row)
    }
}

impl MonthlyUsageRow {
    fn apply(&mut self, change: &UsageEvent) {
        match change {
            UsageEvent::PeriodOpened { .. }
            | UsageEvent::MeteringGivenUp { .. }
            | UsageEvent::MeteringRetried { .. }
            | UsageEvent::UsageThresholdReached { .. } => {}
            UsageEvent::LimitChanged { plan, limit, included } => {
                self.plan.clone_from(plan);
                self.monthly_limit = *limit;
                self.included = *included;
            }
            UsageEvent::SlotsReserved { candidates } => {
                self.reserved += i64::try_from(candidates.len()).unwrap_or(i64::MAX);
            }
            UsageEvent::SlotCommitted { candidate: _ } => {
                self.reserved -= 1;
                self.committed += 1;
            }
            UsageEvent::SlotReleased { candidate: _, reason: _ } => {
                self.reserved -= 1;
                self.released += 1;
            }
            UsageEvent::UsageAdjusted { delta, reason: _ } => self.adjusted += i64::from(*delta),
            UsageEvent::OverageMetered { quantity, at: _ } => self.metered = self.metered.saturating_add(*quantity),
            UsageEvent::PeriodClosed { used: _ } => self.closed = true,
        }
    }
}
