use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What a plan meant when the tenant agreed to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanTerms {
    /// Code name in lower case, such as `small_business`.
    pub code: String,
    pub display_name: String,
    /// Candidates a billing period may take; `None`: no limit.
    pub monthly_limit: Option<u32>,
    /// Of a metered plan: candidates of a billing period that are paid for by its base price.
    pub included: Option<u32>,
    pub price: Option<Price>,
}

/// In the smallest unit of its currency, such as cents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    pub amount: u32,
    /// Lower case, such as `usd`.
    pub currency: String,
    pub interval: Interval,
    /// For each candidate over the included ones.
    pub overage: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interval {
    #[default]
    Monthly,
    Annual,
}

impl PlanTerms {
    /// The same plan, paid in the same interval, whatever else was agreed.
    pub fn is_same_plan_as(&self, other: &Self) -> bool {
        let interval = |plan: &Self| plan.price.as_ref().map_or(Interval::Monthly, |price| price.interval);
        self.code == other.code && interval(self) == interval(other)
    }

    /// Takes fewer candidates a period than `other`.
    pub fn takes_less_than(&self, other: &Self) -> bool {
        match (self.monthly_limit, other.monthly_limit) {
            (Some(own), Some(others)) => own < others,
            (Some(_), None) => true,
            (None, _) => false,
        }
    }
}

/// Lower case on the wire, as Stripe spells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionStatus {
    #[default]
    Active,
    Trialing,
    /// An invoice is not paid; for a time of grace everything still works.
    PastDue,
    Unpaid,
    Paused,
    Incomplete,
    IncompleteExpired,
    Canceled,
    /// One that a newer provider has and this version does not know: nobody is locked out for it.
    #[serde(other)]
    Unknown,
}

impl SubscriptionStatus {
    /// As the provider spells it.
    pub fn of(text: &str) -> Self {
        match text {
            "active" => Self::Active,
            "trialing" => Self::Trialing,
            "past_due" => Self::PastDue,
            "unpaid" => Self::Unpaid,
            "paused" => Self::Paused,
            "incomplete" => Self::Incomplete,
            "incomplete_expired" => Self::IncompleteExpired,
            "canceled" => Self::Canceled,
            _ => Self::Unknown,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Trialing => "trialing",
            Self::PastDue => "past_due",
            Self::Unpaid => "unpaid",
            Self::Paused => "paused",
            Self::Incomplete => "incomplete",
            Self::IncompleteExpired => "incomplete_expired",
            Self::Canceled => "canceled",
            Self::Unknown => "unknown",
        }
    }

    /// What is paid with it is over for good.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Canceled | Self::IncompleteExpired)
    }

    /// Its plan is the tenant's, paid up or owed.
    pub fn holds_plan(self) -> bool {
        match self {
            Self::Active | Self::Trialing | Self::PastDue | Self::Unpaid | Self::Paused | Self::Unknown => true,
            Self::Incomplete | Self::IncompleteExpired | Self::Canceled => false,
        }
    }
}

/// The tenant's subscription as the payment provider has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paid {
    /// The provider's id of it.
    pub id: String,
    /// The provider's id of its base price.
    pub price: String,
    pub status: SubscriptionStatus,
    /// It ends with the time that is paid for.
    pub cancel_at_period_end: bool,
    /// End of the time that is paid for.
    pub period_end: Option<DateTime<Utc>>,
    /// Who pays for it there; `None`: the linked customer.
    #[serde(default)]
    pub customer: Option<String>,
}

/// A state of ours that the payment provider has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// Number of its last event.
    pub revision: u64,
    /// The plan in force in it.
    pub paid_for: PlanTerms,
    /// The plan of the price that is invoiced next.
    pub told: PlanTerms,
}

/// A plan that comes into force later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheduled {
    pub plan: PlanTerms,
    pub effective_at: DateTime<Utc>,
}

/// An order and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub id: Uuid,
    pub plan: PlanTerms,
    pub price: String,
    pub payment_method: String,
    pub outcome: OrderOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrderOutcome {
    Pending,
    Accepted,
    Declined { code: Option<String>, reason: String },
}

/// Decisions of ours that were taken back, because they could not be paid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declined {
    /// Revisions of the first and the last of them.
    pub first: u64,
    pub last: u64,
    /// Name of the plan that stays.
    pub stays: String,
}
