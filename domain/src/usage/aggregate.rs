use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{AdjustUsage, ChangeLimit, CommitSlot, PeriodTerms, ReleaseSlot, ReserveSlots, UsageCommand, UsageEvent};
use crate::{CandidateId, period::Period};

type Decision = Result<Vec<UsageEvent>, UsageError>;

/// A broken rule. The caller's fault, so never a 5xx.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    /// Shown to people as it is: clients of the former API know this sentence.
    #[error(
        "Monthly candidate limit reached ({used}/{limit}). Please upgrade your plan or wait for next billing cycle."
    )]
    LimitReached { used: u32, limit: u32 },
    #[error("the candidate already has a slot in this period")]
    AlreadyReserved,
    #[error("the candidate has no reserved slot in this period")]
    NotReserved,
    #[error("an adjustment needs a reason")]
    ReasonMissing,
    #[error("the adjustment would make the usage negative")]
    BelowZero,
}

/// The balance of one billing period.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    pub period: Option<Period>,
    pub plan: String,
    pub limit: Option<u32>,
    reserved: BTreeSet<CandidateId>,
    committed: BTreeSet<CandidateId>,
    /// Wider than one correction, so that no number of them runs over.
    adjusted: i64,
}

impl Usage {
    /// Decides what `command` changes, without changing anything.
    ///
    /// # Errors
    /// A [`UsageError`] when a rule forbids the command.
    pub fn decide(&self, command: UsageCommand) -> Decision {
        match command {
            UsageCommand::ReserveSlots(command) => self.reserve(command),
            UsageCommand::CommitSlot(command) => self.commit(&command),
            UsageCommand::ReleaseSlot(command) => self.release(&command),
            UsageCommand::ChangeLimit(command) => Ok(self.change_limit(command)),
            UsageCommand::AdjustUsage(command) => self.adjust(command),
        }
    }

    /// Slots reserved, committed and added by corrections.
    pub fn used(&self) -> u32 {
        let slots = i64::try_from(self.reserved.len() + self.committed.len()).unwrap_or(i64::MAX);
        u32::try_from(slots.saturating_add(self.adjusted).max(0)).unwrap_or(u32::MAX)
    }

    /// Slots left; `None`: no limit. A period that nothing has opened yet has the limit of its terms, not this one.
    pub fn remaining(&self) -> Option<u32> {
        self.limit.map(|limit| limit.saturating_sub(self.used()))
    }

    /// Whether the candidate has a slot of this period, reserved or committed.
    pub fn holds(&self, candidate: CandidateId) -> bool {
        self.reserved.contains(&candidate) || self.committed.contains(&candidate)
    }

    fn reserve(&self, command: ReserveSlots) -> Decision {
        let ReserveSlots { terms, mut candidates } = command;
        if candidates.iter().any(|candidate| self.has_slot(*candidate)) {
            return Err(UsageError::AlreadyReserved);
        }
        let mut named = BTreeSet::new();
        candidates.retain(|candidate| named.insert(*candidate)); // named twice is still one slot
        if candidates.is_empty() {
            return Ok(vec![]);
        }
        let mut events = self.open(&terms);
        // A limit in force is never replaced here: only ChangeLimit, in the commit of the plan change, does that.
        let limit = if events.is_empty() { self.limit } else { terms.limit };
        if let Some(limit) = limit {
            let remaining = limit.saturating_sub(self.used());
            if remaining == 0 {
                return Err(UsageError::LimitReached { used: self.used(), limit });
            }
            candidates.truncate(usize::try_from(remaining).unwrap_or(usize::MAX));
        }
        events.push(UsageEvent::SlotsReserved { candidates });
        Ok(events)
    }

    fn commit(&self, command: &CommitSlot) -> Decision {
        self.require_reserved(command.candidate)?;
        Ok(vec![UsageEvent::SlotCommitted { candidate: command.candidate }])
    }

    fn release(&self, command: &ReleaseSlot) -> Decision {
        self.require_reserved(command.candidate)?;
        Ok(vec![UsageEvent::SlotReleased { candidate: command.candidate, reason: command.reason }])
    }

    fn change_limit(&self, ChangeLimit { terms }: ChangeLimit) -> Vec<UsageEvent> {
        let opened = self.open(&terms);
        if !opened.is_empty() {
            return opened;
        }
        if self.limit == terms.limit && self.plan == terms.plan {
            return vec![];
        }
        vec![UsageEvent::LimitChanged { plan: terms.plan, limit: terms.limit }]
    }

    fn adjust(&self, command: AdjustUsage) -> Decision {
        if command.reason.trim().is_empty() {
            return Err(UsageError::ReasonMissing);
        }
        if i64::from(self.used()) + i64::from(command.delta) < 0 {
            return Err(UsageError::BelowZero);
        }
        let mut events = self.open(&command.terms);
        events.push(UsageEvent::UsageAdjusted { delta: command.delta, reason: command.reason });
        Ok(events)
    }

    fn open(&self, terms: &PeriodTerms) -> Vec<UsageEvent> {
        if self.period.is_some() {
            return vec![];
        }
        vec![UsageEvent::PeriodOpened { period: terms.period, plan: terms.plan.clone(), limit: terms.limit }]
    }

    fn has_slot(&self, candidate: CandidateId) -> bool {
        self.reserved.contains(&candidate) || self.committed.contains(&candidate)
    }

    fn require_reserved(&self, candidate: CandidateId) -> Result<(), UsageError> {
        if self.reserved.contains(&candidate) { Ok(()) } else { Err(UsageError::NotReserved) }
    }

    fn evolve(&mut self, event: UsageEvent) {
        match event {
            UsageEvent::PeriodOpened { period, plan, limit } => {
                self.period = Some(period);
                self.plan = plan;
                self.limit = limit;
            }
            UsageEvent::LimitChanged { plan, limit } => {
                self.plan = plan;
                self.limit = limit;
            }
            UsageEvent::SlotsReserved { candidates } => self.reserved.extend(candidates),
            UsageEvent::SlotCommitted { candidate } => {
                self.reserved.remove(&candidate);
                self.committed.insert(candidate);
            }
            UsageEvent::SlotReleased { candidate, .. } => {
                self.reserved.remove(&candidate);
            }
            UsageEvent::UsageAdjusted { delta, .. } => self.adjusted += i64::from(delta),
        }
    }
}

crate::event::aggregate!(Usage, "usage", UsageCommand, UsageEvent, UsageError);
