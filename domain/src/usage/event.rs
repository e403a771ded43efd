use serde::{Deserialize, Serialize};

use crate::{CandidateId, period::Period};

/// One entry of the ledger of a tenant's billing period.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum UsageEvent {
    /// The first entry. `limit`: candidates the period may take; `None`: no limit, metered.
    PeriodOpened {
        period: Period,
        plan: String,
        limit: Option<u32>,
    },
    /// In force from here on. What is used already stays, even above the new limit.
    LimitChanged {
        plan: String,
        limit: Option<u32>,
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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseReason {
    ExtractionFailed,
    ScoringFailed,
}

crate::event::event_types! { UsageEvent {
    PeriodOpened: "1",
    LimitChanged: "1",
    SlotsReserved: "1",
    SlotCommitted: "1",
    SlotReleased: "1",
    UsageAdjusted: "1",
} }
