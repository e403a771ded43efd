//! The rules of Starscreen: what may happen, and what is then true.
//!
//! Pure on purpose: no I/O, no clock, no randomness. The same events give the same state on any machine and in any
//! year, so rules are tested in milliseconds and an auditor can replay history.

pub mod account;
pub mod candidate;
pub mod customer;
pub mod email_claim;
pub mod envelope;
pub mod event;
pub mod ids;
pub mod job;
pub mod period;
pub mod score;
pub mod sealed;
pub mod subscription;
pub mod usage;
pub mod webhook;
pub mod work;

#[cfg(test)]
mod arbitrary;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod samples;

pub use envelope::{Actor, Delivery, Metadata, Recorded};
pub use event::{Event, UnreadableEvent};
pub use ids::{
    AttemptId, CandidateId, ClaimId, CommandId, CustomerId, EventId, JobId, TenantId, UsageId, UserId, WebhookId,
};
pub use sealed::{Clear, Sealed};
