use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{CandidateId, EventId, period::Period};

/// One entry of the ledger of a tenant's billing period.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum UsageEvent {
    /// The first entry. `limit`: candidates the period may take; `None`: no limit. `included`: those of a metered plan
    /// that its base price pays for.
    PeriodOpened {
        period: Period,
        plan: String,
        limit: Option<u32>,
        included: Option<u32>,
    },
    /// In force from here on. What is used already stays, even above the new limit.
    LimitChanged {
        plan: String,
        limit: Option<u32>,
        included: Option<u32>,
    },
    /// One slot each; commits with the uploads.
    SlotsReserved {
        candidates: Vec<CandidateId>,
    },
    /// The candidate was scored, or deleted by its owner: the slot is used for good.
    SlotCommitted {
        candidate: CandidateId,
    },
    SlotReleased {
        candidate: CandidateId,
        reason: ReleaseReason,
    },
    /// A correction with its reason; who made it stands in the envelope.
    UsageAdjusted {
        delta: i32,
        reason: String,
    },
    /// The entry before it went over what a metered plan includes, or back under it: to be billed, once, under the id
    /// of this event.
    OverageMetered {
        quantity: i64,
        at: DateTime<Utc>,
    },
    /// The payment provider refuses for good what `entry`, an [`UsageEvent::OverageMetered`], bills. The balance stays.
    MeteringGivenUp {
        entry: EventId,
        quantity: i64,
        at: DateTime<Utc>,
        reason: String,
    },
    /// It is sent once more, as the entry that it is.
    MeteringRetried {
        entry: EventId,
        quantity: i64,
        at: DateTime<Utc>,
    },
    /// A share of the limit in force is reached that was not before. Once for each share and limit of a period: a larger
    /// limit is another to be reached.
    UsageThresholdReached {
        percent: u8,
        used: u32,
        limit: u32,
    },
    /// What comes later is an entry of a later period, but for what becomes of metered entries. Reservations that nothing
    /// has come of are released before.
    PeriodClosed {
        used: u32,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseReason {
    ExtractionFailed,
    ScoringFailed,
    /// Nothing had come of it when the period was closed.
    Expired,
}

crate::event::event_types! { UsageEvent {
    PeriodOpened: "1",
    LimitChanged: "1",
    SlotsReserved: "1",
    SlotCommitted: "1",
    SlotReleased: "1",
    UsageAdjusted: "1",
    OverageMetered: "1",
    MeteringGivenUp: "1",
    MeteringRetried: "1",
    UsageThresholdReached: "1",
    PeriodClosed: "1",
} }
