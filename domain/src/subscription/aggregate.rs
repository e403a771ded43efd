use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::period::Period;

/// What a plan meant when the tenant agreed to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanTerms {
    /// Code name in lower case, such as `small_business`.
    pub code: String,
    pub display_name: String,
    /// Candidates a billing period may take; `None`: no limit, metered.
    pub monthly_limit: Option<u32>,
}

/// One fact in the history of a tenant's subscription.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum SubscriptionEvent {
    /// Billing periods are counted from `anchor`.
    SubscriptionStarted { plan: PlanTerms, anchor: DateTime<Utc> },
    /// In force at once; the running period's limit changes in the same commit.
    PlanChanged { from: String, plan: PlanTerms, reason: String },
}

crate::event::event_types! { SubscriptionEvent {
    SubscriptionStarted: "1",
    PlanChanged: "1",
} }

#[derive(Clone, Debug)]
pub enum SubscriptionCommand {
    StartSubscription(StartSubscription),
    ChangePlan(ChangePlan),
}

#[derive(Clone, Debug)]
pub struct StartSubscription {
    pub plan: PlanTerms,
    pub anchor: DateTime<Utc>,
}

#[derive(Clone, Debug)]
pub struct ChangePlan {
    pub plan: PlanTerms,
    pub reason: String,
}

impl From<StartSubscription> for SubscriptionCommand {
    fn from(command: StartSubscription) -> Self {
        Self::StartSubscription(command)
    }
}

impl From<ChangePlan> for SubscriptionCommand {
    fn from(command: ChangePlan) -> Self {
        Self::ChangePlan(command)
    }
}

/// A broken rule. The caller's fault, so never a 5xx.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubscriptionError {
    #[error("the subscription has already started")]
    AlreadyStarted,
    #[error("there is no subscription")]
    NotStarted,
}

/// Lower case on the wire, as Stripe spells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionStatus {
    #[default]
    Active,
}

/// What rules need to know of one subscription.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Subscription {
    pub anchor: Option<DateTime<Utc>>,
    pub plan: PlanTerms,
    pub status: SubscriptionStatus,
}

impl Subscription {
    /// Decides what `command` changes, without changing anything.
    ///
    /// # Errors
    /// A [`SubscriptionError`] when a rule forbids the command.
    pub fn decide(&self, command: SubscriptionCommand) -> Result<Vec<SubscriptionEvent>, SubscriptionError> {
        match command {
            SubscriptionCommand::StartSubscription(command) => self.start(command),
            SubscriptionCommand::ChangePlan(command) => self.change_plan(command),
        }
    }

    /// The billing period that holds `at`.
    ///
    /// # Errors
    /// [`SubscriptionError::NotStarted`] before there is an anchor to count from.
    pub fn period(&self, at: DateTime<Utc>) -> Result<Period, SubscriptionError> {
        self.anchor.map(|anchor| Period::holding(anchor, at)).ok_or(SubscriptionError::NotStarted)
    }

    fn start(&self, command: StartSubscription) -> Result<Vec<SubscriptionEvent>, SubscriptionError> {
        if self.anchor.is_some() {
            return Err(SubscriptionError::AlreadyStarted);
        }
        let StartSubscription { plan, anchor } = command;
        Ok(vec![SubscriptionEvent::SubscriptionStarted { plan, anchor }])
    }

    fn change_plan(&self, command: ChangePlan) -> Result<Vec<SubscriptionEvent>, SubscriptionError> {
        if self.anchor.is_none() {
            return Err(SubscriptionError::NotStarted);
        }
        if self.plan == command.plan {
            return Ok(vec![]);
        }
        let ChangePlan { plan, reason } = command;
        Ok(vec![SubscriptionEvent::PlanChanged { from: self.plan.code.clone(), plan, reason }])
    }

    fn evolve(&mut self, event: SubscriptionEvent) {
        match event {
            SubscriptionEvent::SubscriptionStarted { plan, anchor } => {
                self.plan = plan;
                self.anchor = Some(anchor);
            }
            SubscriptionEvent::PlanChanged { plan, .. } => self.plan = plan,
        }
    }
}

crate::event::aggregate!(Subscription, "subscription", SubscriptionCommand, SubscriptionEvent, SubscriptionError);
