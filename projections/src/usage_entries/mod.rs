//! Every entry of the ledger behind a quota, as the tenant may see it: one row an event of a billing period.
//!
//! The balance is no column: it is the sum of the deltas up to an entry, and the query adds them up.

mod query;
#[cfg(test)]
mod tests;

pub use query::{EntryKind, UsageEntriesQuery, UsageEntry, UsageEntryRow};

use starscreen_domain::{
    Event, Recorded, UsageId,
    usage::{ReleaseReason, UsageEvent},
};
use uuid::Uuid;

use crate::projector::Projector;

pub struct UsageEntries;

impl Projector for UsageEntries {
    type Row = UsageEntryRow;
    const NAME: &'static str = "usage_entries";
    const VERSION: u32 = 1;
    const READS: &'static [&'static str] = &["usage"];

    fn key(event: &Recorded<Event>) -> Option<Uuid> {
        matches!(event.payload, Event::Usage(_)).then_some(event.event_id.0)
    }

    fn fold(row: Option<UsageEntryRow>, event: &Recorded<Event>) -> Option<UsageEntryRow> {
        match &event.payload {
            Event::Usage(change) => UsageEntryRow::of(event, change),
            Event::Account(_)
            | Event::EmailClaim(_)
            | Event::Job(_)
            | Event::Candidate(_)
            | Event::Subscription(_)
            | Event::Customer(_)
            | Event::Webhook(_) => row,
        }
    }
}

impl UsageEntryRow {
    fn of(event: &Recorded<Event>, change: &UsageEvent) -> Option<Self> {
        let mut row = Self {
            entry_id: event.event_id,
            tenant_id: event.tenant_id?,
            usage_id: UsageId(event.aggregate_id),
            kind: EntryKind::Opened,
            delta: 0,
            quantity: 0,
            candidates: 0,
            candidate: None,
            plan: None,
            monthly_limit: None,
            included: None,
            percent: None,
            reason: None,
            actor: event.metadata.actor.to_string(),
            occurred_at: event.metadata.occurred_at,
            tenant_position: event.tenant_position?,
            position: event.position,
        };
        row.enter(change);
        Some(row)
    }

    fn enter(&mut self, change: &UsageEvent) {
        match change {
            UsageEvent::PeriodOpened { plan, limit, included, period: _ } => {
                self.kind = EntryKind::Opened;
                (self.plan, self.monthly_limit, self.included) = (Some(plan.clone()), *limit, *included);
            }
            UsageEvent::LimitChanged { plan, limit, included } => {
                self.kind = EntryKind::LimitChanged;
                (self.plan, self.monthly_limit, self.included) = (Some(plan.clone()), *limit, *included);
            }
            UsageEvent::SlotsReserved { candidates } => {
                self.kind = EntryKind::Reserved;
                self.delta = i64::try_from(candidates.len()).unwrap_or(i64::MAX);
                self.candidates = u32::try_from(candidates.len()).unwrap_or(u32::MAX);
                self.candidate = if let [one] = candidates[..] { Some(one) } else { None };
            }
            UsageEvent::SlotCommitted { candidate } => {
                self.kind = EntryKind::Committed;
                (self.candidates, self.candidate) = (1, Some(*candidate));
            }
            UsageEvent::SlotReleased { candidate, reason } => {
                self.kind = EntryKind::Released;
                self.delta = -1;
                (self.candidates, self.candidate) = (1, Some(*candidate));
                self.reason = Some(release_reason(*reason).to_owned());
            }
            UsageEvent::UsageAdjusted { delta, reason } => {
                self.kind = EntryKind::Adjusted;
                self.delta = i64::from(*delta);
                self.reason = Some(reason.clone());
            }
            UsageEvent::OverageMetered { quantity, at: _ } => {
                self.kind = EntryKind::Metered;
                self.quantity = *quantity;
            }
            // Sums of quantities say what is to be billed, so these have none.
            UsageEvent::MeteringGivenUp { entry: _, quantity: _, at: _, reason } => {
                self.kind = EntryKind::MeteringGivenUp;
                self.reason = Some(reason.clone());
            }
            UsageEvent::MeteringRetried { .. } => self.kind = EntryKind::MeteringRetried,
            UsageEvent::UsageThresholdReached { percent, limit, used: _ } => {
                self.kind = EntryKind::Threshold;
                (self.percent, self.monthly_limit) = (Some(u32::from(*percent)), Some(*limit));
            }
            UsageEvent::PeriodClosed { used: _ } => self.kind = EntryKind::Closed,
        }
    }
}

/// As the event has it on the wire.
fn release_reason(reason: ReleaseReason) -> &'static str {
    match reason {
        ReleaseReason::ExtractionFailed => "extraction_failed",
        ReleaseReason::ScoringFailed => "scoring_failed",
        ReleaseReason::Expired => "expired",
    }
}
