//! One tenant's billing period and its slots: the ledger behind every quota decision.
//!
//! reserve → commit | release. The balance is a fold over entries; nothing is ever set, corrections are entries too. A
//! reservation commits together with the upload it is for, so parallel uploads cannot oversell.

mod aggregate;
mod command;
mod event;
#[cfg(test)]
mod tests;

pub use aggregate::{Metered, Usage, UsageError};
pub use command::{
    AdjustUsage, ChangeLimit, ClosePeriod, CommitSlot, GiveUpMetering, PeriodTerms, ReleaseSlot, ReserveSlots,
    RetryMetering, UsageCommand,
};
pub use event::{ReleaseReason, UsageEvent};
