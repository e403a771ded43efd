use chrono::{DateTime, Utc};

use super::ReleaseReason;
use crate::{CandidateId, EventId, period::Period, subscription::PlanTerms};

#[derive(Clone, Debug)]
pub enum UsageCommand {
    ReserveSlots(ReserveSlots),
    CommitSlot(CommitSlot),
    ReleaseSlot(ReleaseSlot),
    ChangeLimit(ChangeLimit),
    AdjustUsage(AdjustUsage),
    ClosePeriod(ClosePeriod),
    GiveUpMetering(GiveUpMetering),
    RetryMetering(RetryMetering),
}

/// What opens a period when nothing has happened in it yet.
#[derive(Clone, Debug)]
pub struct PeriodTerms {
    pub period: Period,
    pub plan: String,
    pub limit: Option<u32>,
    /// Of a metered plan.
    pub included: Option<u32>,
}

impl PeriodTerms {
    pub fn new(period: Period, plan: &PlanTerms) -> Self {
        Self { period, plan: plan.code.clone(), limit: plan.monthly_limit, included: plan.included }
    }
}

/// Reserves a slot for as many of `candidates` as fit, in their order; refused only when none does.
#[derive(Clone, Debug)]
pub struct ReserveSlots {
    pub terms: PeriodTerms,
    pub candidates: Vec<CandidateId>,
}

#[derive(Clone, Debug)]
pub struct CommitSlot {
    pub candidate: CandidateId,
    pub at: DateTime<Utc>,
}

#[derive(Clone, Debug)]
pub struct ReleaseSlot {
    pub candidate: CandidateId,
    pub reason: ReleaseReason,
}

/// Brings a new plan's limit into the running period, in the commit that changes the plan.
#[derive(Clone, Debug)]
pub struct ChangeLimit {
    pub terms: PeriodTerms,
}

#[derive(Clone, Debug)]
pub struct AdjustUsage {
    pub terms: PeriodTerms,
    /// Added to what is used; negative gives slots back.
    pub delta: i32,
    pub reason: String,
    pub at: DateTime<Utc>,
}

/// Takes no more entries; open reservations end.
#[derive(Clone, Debug)]
pub struct ClosePeriod {
    pub at: DateTime<Utc>,
}

/// Notes that a metered entry of this period could not be billed.
#[derive(Clone, Debug)]
pub struct GiveUpMetering {
    pub entry: EventId,
    pub quantity: i64,
    pub at: DateTime<Utc>,
    pub reason: String,
}

/// Has a metered entry sent again that was given up.
#[derive(Clone, Copy, Debug)]
pub struct RetryMetering {
    pub entry: EventId,
}

macro_rules! into_command {
    ($($command:ident),*) => {$(
        impl From<$command> for UsageCommand {
            fn from(command: $command) -> Self {
                Self::$command(command)
            }
        }
    )*};
}

into_command!(
    ReserveSlots,
    CommitSlot,
    ReleaseSlot,
    ChangeLimit,
    AdjustUsage,
    ClosePeriod,
    GiveUpMetering,
    RetryMetering
);
