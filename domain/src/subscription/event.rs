use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Paid, PlanTerms, Reached, SubscriptionStatus};

/// One fact in the history of a tenant's subscription.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum SubscriptionEvent {
    /// Billing periods are counted from `anchor`.
    SubscriptionStarted { plan: PlanTerms, anchor: DateTime<Utc> },
    /// In force at once; the running period's limit changes in the same commit. What was scheduled is off.
    PlanChanged {
        from: String,
        plan: PlanTerms,
        reason: String,
        /// The payment provider knows it already: it was changed there.
        #[serde(default)]
        by_provider: bool,
        /// What was decided before could not be paid, and is taken back by this.
        #[serde(default)]
        declined: bool,
    },
    /// The next period opens with it.
    PlanChangeScheduled {
        plan: PlanTerms,
        effective_at: DateTime<Utc>,
        reason: String,
        #[serde(default)]
        by_provider: bool,
    },
    /// What was scheduled does not come.
    PlanChangeWithdrawn {
        reason: String,
        #[serde(default)]
        by_provider: bool,
    },
    /// Kept for ever: whoever pays is known again after any pause.
    CustomerLinked { customer: String },
    /// What is told of the former one still concerns the tenant, for ever.
    CustomerReplaced { former: String, customer: String, reason: String },
    /// To be paid by `payment_method`, the provider's id of a card or the like.
    PlanOrdered { order: Uuid, plan: PlanTerms, price: String, payment_method: String },
    /// Nothing has changed by it.
    OrderDeclined { order: Uuid, code: Option<String>, reason: String },
    /// What was decided so far has reached the payment provider; with `part`, what was decided up to there.
    ProviderInformed {
        #[serde(default)]
        part: Option<Reached>,
    },
    /// What the payment provider says of the tenant's subscription; `None`: there is none any more.
    ProviderStateRecorded { paid: Option<Paid> },
    /// `grace_until`: how long everything still works although an invoice is not paid.
    StatusChanged { status: SubscriptionStatus, grace_until: Option<DateTime<Utc>> },
}

crate::event::event_types! { SubscriptionEvent {
    SubscriptionStarted: "1",
    PlanChanged: "1",
    PlanChangeScheduled: "1",
    PlanChangeWithdrawn: "1",
    CustomerLinked: "1",
    CustomerReplaced: "1",
    PlanOrdered: "1",
    OrderDeclined: "1",
    ProviderInformed: "1",
    ProviderStateRecorded: "1",
    StatusChanged: "1",
} }
