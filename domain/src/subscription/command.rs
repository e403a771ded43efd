use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Paid, PlanTerms, Reached};

#[derive(Clone, Debug)]
pub enum SubscriptionCommand {
    StartSubscription(StartSubscription),
    ChangePlan(ChangePlan),
    SchedulePlanChange(SchedulePlanChange),
    WithdrawPlanChange(WithdrawPlanChange),
    ApplyScheduledChange(ApplyScheduledChange),
    LinkCustomer(LinkCustomer),
    ReplaceCustomer(ReplaceCustomer),
    OrderPlan(OrderPlan),
    DeclineOrder(DeclineOrder),
    NoteProviderInformed(NoteProviderInformed),
    DeclinePlanChange(DeclinePlanChange),
    RecordProviderState(RecordProviderState),
}

#[derive(Clone, Debug)]
pub struct StartSubscription {
    pub plan: PlanTerms,
    pub anchor: DateTime<Utc>,
}

/// At once.
#[derive(Clone, Debug)]
pub struct ChangePlan {
    pub plan: PlanTerms,
    pub reason: String,
}

#[derive(Clone, Debug)]
pub struct SchedulePlanChange {
    pub plan: PlanTerms,
    pub effective_at: DateTime<Utc>,
    pub reason: String,
}

/// Stays with the plan in force.
#[derive(Clone, Debug)]
pub struct WithdrawPlanChange {
    pub reason: String,
}

/// What was scheduled for `at` or before comes into force.
#[derive(Clone, Debug)]
pub struct ApplyScheduledChange {
    pub at: DateTime<Utc>,
}

#[derive(Clone, Debug)]
pub struct LinkCustomer {
    pub customer: String,
}

/// Another customer is the tenant's from now on, as when the one before was deleted there.
#[derive(Clone, Debug)]
pub struct ReplaceCustomer {
    pub customer: String,
    pub reason: String,
}

/// The first paid plan. It comes into force when the provider has it.
#[derive(Clone, Debug)]
pub struct OrderPlan {
    pub order: Uuid,
    pub plan: PlanTerms,
    /// The provider's id of the plan's base price.
    pub price: String,
    pub payment_method: String,
}

#[derive(Clone, Debug)]
pub struct DeclineOrder {
    pub order: Uuid,
    pub code: Option<String>,
    pub reason: String,
}

/// Of the state after the event number `revision`; what was decided since is still to be told.
#[derive(Clone, Debug)]
pub struct NoteProviderInformed {
    pub revision: u64,
    /// That state; `None`: there was nothing there that could have it.
    pub reached: Option<Reached>,
}

/// The plan in force is not paid for: back to the one that is.
#[derive(Clone, Debug)]
pub struct DeclinePlanChange {
    /// Of the state that was not paid for; what was decided since stands.
    pub revision: u64,
    pub reason: String,
}

/// What the provider said when it was asked in the state of event number `revision`.
#[derive(Clone, Debug)]
pub struct RecordProviderState {
    pub revision: u64,
    pub paid: Option<Paid>,
    /// What its price means now; `None`: a price that is not on offer any more.
    pub plan: Option<PlanTerms>,
    /// The plan of those who do not pay.
    pub free: PlanTerms,
    pub at: DateTime<Utc>,
    /// End of the running billing period.
    pub period_end: DateTime<Utc>,
    /// How long an unpaid invoice is borne from now on.
    pub grace_until: DateTime<Utc>,
}

macro_rules! into_command {
    ($($command:ident),*) => {$(
        impl From<$command> for SubscriptionCommand {
            fn from(command: $command) -> Self {
                Self::$command(command)
            }
        }
    )*};
}

into_command!(
    StartSubscription,
    ChangePlan,
    SchedulePlanChange,
    WithdrawPlanChange,
    ApplyScheduledChange,
    LinkCustomer,
    ReplaceCustomer,
    OrderPlan,
    DeclineOrder,
    NoteProviderInformed,
    DeclinePlanChange,
    RecordProviderState
);
