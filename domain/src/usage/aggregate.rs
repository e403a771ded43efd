use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{
    AdjustUsage, ChangeLimit, ClosePeriod, CommitSlot, GiveUpMetering, PeriodTerms, ReleaseReason, ReleaseSlot,
    ReserveSlots, RetryMetering, UsageCommand, UsageEvent,
};
use crate::{CandidateId, EventId, period::Period};

type Decision = Result<Vec<UsageEvent>, UsageError>;

/// Shares of the limit, in percent, that are worth an event of their own.
const THRESHOLDS: [u8; 3] = [70, 90, 100];

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
    #[error("the billing period is closed")]
    Closed,
    #[error("the billing period has not ended")]
    NotOver,
    #[error("the metered entry was not given up")]
    MeteringNotGivenUp,
}

/// What one entry bills.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metered {
    pub quantity: i64,
    pub at: DateTime<Utc>,
}

/// The balance of one billing period.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    pub period: Option<Period>,
    pub plan: String,
    pub limit: Option<u32>,
    /// Candidates that the base price of a metered plan pays for.
    pub included: Option<u32>,
    /// Candidates over the included ones, as they were billed.
    pub metered: i64,
    /// Of these, entries that the payment provider refuses.
    pub given_up: BTreeMap<EventId, Metered>,
    pub closed: bool,
    reserved: BTreeSet<CandidateId>,
    committed: BTreeSet<CandidateId>,
    /// Wider than one correction, so that no number of them runs over.
    adjusted: i64,
    /// Shares that were told, each of its limit, in percent.
    thresholds: BTreeSet<(u8, u32)>,
}

impl Usage {
    /// Decides what `command` changes, without changing anything.
    ///
    /// # Errors
    /// A [`UsageError`] when a rule forbids the command.
    pub fn decide(&self, command: UsageCommand) -> Decision {
        // A closed period takes no entry more; what becomes of its metered ones may come out later.
        let is_entry = !matches!(
            command,
            UsageCommand::ClosePeriod(_) | UsageCommand::GiveUpMetering(_) | UsageCommand::RetryMetering(_)
        );
        if self.closed && is_entry {
            return Err(UsageError::Closed);
        }
        match command {
            UsageCommand::ReserveSlots(command) => self.reserve(command),
            UsageCommand::CommitSlot(command) => self.commit(&command),
            UsageCommand::ReleaseSlot(command) => self.release(&command),
            UsageCommand::ChangeLimit(command) => Ok(self.change_limit(command)),
            UsageCommand::AdjustUsage(command) => self.adjust(command),
            UsageCommand::ClosePeriod(command) => self.close(&command),
            UsageCommand::GiveUpMetering(command) => Ok(self.give_up_metering(command)),
            UsageCommand::RetryMetering(command) => self.retry_metering(command),
        }
    }

    /// Slots reserved, committed and added by corrections.
    pub fn used(&self) -> u32 {
        let slots = i64::try_from(self.reserved.len() + self.committed.len()).unwrap_or(i64::MAX);
        u32::try_from(slots.saturating_add(self.adjusted).max(0)).unwrap_or(u32::MAX)
    }

    /// Slots that are used for good, corrections included: what a metered plan bills.
    pub fn billable(&self) -> i64 {
        i64::try_from(self.committed.len()).unwrap_or(i64::MAX).saturating_add(self.adjusted)
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
        let used = self.used().saturating_add(u32::try_from(candidates.len()).unwrap_or(u32::MAX));
        events.push(UsageEvent::SlotsReserved { candidates });
        events.extend(self.crossed(limit, used, limit));
        Ok(events)
    }

    /// Shares that are reached with `used` of `limit`, the one in force from now on, and were not with what is used now of
    /// the limit `before`. So a larger limit lets a share be told again, when it is reached of that.
    fn crossed(&self, before: Option<u32>, used: u32, limit: Option<u32>) -> Vec<UsageEvent> {
        let Some(limit) = limit else { return vec![] };
        let is_new = |percent: &u8| {
            reaches(*percent, used, Some(limit))
                && !reaches(*percent, self.used(), before)
                && !self.thresholds.contains(&(*percent, limit))
        };
        let told = |percent| UsageEvent::UsageThresholdReached { percent, used, limit };
        THRESHOLDS.into_iter().filter(is_new).map(told).collect()
    }

    /// What `change` of the billable usage adds to what is over the included candidates of a metered plan.
    fn overage(&self, change: i64, included: Option<u32>, at: DateTime<Utc>) -> Option<UsageEvent> {
        let included = i64::from(included?);
        let over = |billable: i64| billable.saturating_sub(included).max(0);
        let quantity = over(self.billable().saturating_add(change)) - over(self.billable());
        let quantity = quantity.max(-self.metered); // nothing is given back that was not billed
        // What comes after the end of the period is billed with it.
        let at = self.period.map_or(at, |period| at.min(period.end - TimeDelta::seconds(1)));
        (quantity != 0).then_some(UsageEvent::OverageMetered { quantity, at })
    }

    fn commit(&self, command: &CommitSlot) -> Decision {
        self.require_reserved(command.candidate)?;
        let mut events = vec![UsageEvent::SlotCommitted { candidate: command.candidate }];
        events.extend(self.overage(1, self.included, command.at));
        Ok(events)
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
        if self.limit == terms.limit && self.plan == terms.plan && self.included == terms.included {
            return vec![];
        }
        let PeriodTerms { plan, limit, included, .. } = terms;
        let mut events = vec![UsageEvent::LimitChanged { plan, limit, included }];
        events.extend(self.crossed(self.limit, self.used(), limit));
        events
    }

    fn adjust(&self, command: AdjustUsage) -> Decision {
        if command.reason.trim().is_empty() {
            return Err(UsageError::ReasonMissing);
        }
        // What is only reserved may still be given back by itself.
        if command.delta < 0 && self.billable() + i64::from(command.delta) < 0 {
            return Err(UsageError::BelowZero);
        }
        let mut events = self.open(&command.terms);
        let (limit, included) =
            if events.is_empty() { (self.limit, self.included) } else { (command.terms.limit, command.terms.included) };
        let used = i64::from(self.used()).saturating_add(i64::from(command.delta));
        events.push(UsageEvent::UsageAdjusted { delta: command.delta, reason: command.reason });
        events.extend(self.overage(i64::from(command.delta), included, command.at));
        events.extend(self.crossed(limit, u32::try_from(used.max(0)).unwrap_or(u32::MAX), limit));
        Ok(events)
    }

    fn close(&self, command: &ClosePeriod) -> Decision {
        let Some(period) = self.period.filter(|_| !self.closed) else { return Ok(vec![]) };
        if command.at < period.end {
            return Err(UsageError::NotOver);
        }
        let expired = |candidate: &CandidateId| UsageEvent::SlotReleased {
            candidate: *candidate,
            reason: ReleaseReason::Expired,
        };
        let mut events: Vec<UsageEvent> = self.reserved.iter().map(expired).collect();
        let expired = u32::try_from(self.reserved.len()).unwrap_or(u32::MAX);
        events.push(UsageEvent::PeriodClosed { used: self.used().saturating_sub(expired) });
        Ok(events)
    }

    fn give_up_metering(&self, command: GiveUpMetering) -> Vec<UsageEvent> {
        let GiveUpMetering { entry, quantity, at, reason } = command;
        if self.given_up.contains_key(&entry) {
            return vec![];
        }
        vec![UsageEvent::MeteringGivenUp { entry, quantity, at, reason }]
    }

    fn retry_metering(&self, RetryMetering { entry }: RetryMetering) -> Decision {
        let Metered { quantity, at } = *self.given_up.get(&entry).ok_or(UsageError::MeteringNotGivenUp)?;
        Ok(vec![UsageEvent::MeteringRetried { entry, quantity, at }])
    }

    fn open(&self, terms: &PeriodTerms) -> Vec<UsageEvent> {
        if self.period.is_some() {
            return vec![];
        }
        let PeriodTerms { period, plan, limit, included } = terms.clone();
        vec![UsageEvent::PeriodOpened { period, plan, limit, included }]
    }

    fn has_slot(&self, candidate: CandidateId) -> bool {
        self.reserved.contains(&candidate) || self.committed.contains(&candidate)
    }

    fn require_reserved(&self, candidate: CandidateId) -> Result<(), UsageError> {
        if self.reserved.contains(&candidate) { Ok(()) } else { Err(UsageError::NotReserved) }
    }

    fn evolve(&mut self, event: UsageEvent) {
        match event {
            UsageEvent::PeriodOpened { period, plan, limit, included } => {
                self.period = Some(period);
                self.plan = plan;
                self.limit = limit;
                self.included = included;
            }
            UsageEvent::LimitChanged { plan, limit, included } => {
                self.plan = plan;
                self.limit = limit;
                self.included = included;
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
            UsageEvent::OverageMetered { quantity, .. } => self.metered = self.metered.saturating_add(quantity),
            UsageEvent::MeteringGivenUp { entry, quantity, at, .. } => {
                self.given_up.insert(entry, Metered { quantity, at });
            }
            UsageEvent::MeteringRetried { entry, .. } => {
                self.given_up.remove(&entry);
            }
            UsageEvent::UsageThresholdReached { percent, limit, .. } => {
                self.thresholds.insert((percent, limit));
            }
            UsageEvent::PeriodClosed { .. } => self.closed = true,
        }
    }
}

/// Nothing is a share of no limit, or of one that lets nothing in.
fn reaches(percent: u8, used: u32, limit: Option<u32>) -> bool {
    limit.is_some_and(|limit| limit > 0 && u64::from(used) * 100 >= u64::from(percent) * u64::from(limit))
}

crate::event::aggregate!(Usage, "usage", UsageCommand, UsageEvent, UsageError);
