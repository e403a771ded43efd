//! What the write side asks of the payment provider. It is told what was decided here, and asked how its own
//! subscriptions stand; it decides nothing about plans and quotas.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use starscreen_domain::{EventId, TenantId};
use uuid::Uuid;

/// The payment provider. Amounts are in the smallest unit of their currency.
///
/// `key` makes a call that is repeated one call, within the provider's bounds (Stripe: 24 hours at least); after that
/// the caller finds what it did by [`Payments::subscriptions`].
#[async_trait]
pub trait Payments: Send + Sync {
    /// Makes the tenant's customer, which bears the tenant's id in its metadata.
    ///
    /// # Errors
    /// A [`PaymentsError`] that says whether another try can help; so with all others.
    async fn create_customer(&self, tenant: TenantId, email: Option<&str>, key: Uuid) -> Result<String, PaymentsError>;

    /// The tenant in the metadata of a customer; `None`: it is deleted, unknown, or none of ours.
    async fn tenant_of(&self, customer: &str) -> Result<Option<TenantId>, PaymentsError>;

    /// Whether the customer was deleted there, or never was one of this account's.
    async fn is_gone(&self, customer: &str) -> Result<bool, PaymentsError>;

    /// All subscriptions of the customer, ended ones too, the newest first.
    async fn subscriptions(&self, customer: &str) -> Result<Vec<PaidSubscription>, PaymentsError>;

    /// Subscribes at once; `payment_method` is attached to the customer and becomes its default first.
    async fn subscribe(
        &self,
        order: &Order,
        payment_method: &str,
        key: Uuid,
    ) -> Result<PaidSubscription, PaymentsError>;

    /// Gives the subscription other prices. With `prorate` the difference is invoiced at once, without it the new price
    /// counts from the next invoice.
    async fn change_prices(
        &self,
        subscription: &PaidSubscription,
        prices: &Prices,
        prorate: bool,
        key: Uuid,
    ) -> Result<PaidSubscription, PaymentsError>;

    /// Ends the subscription with its paid time, or takes that back.
    async fn set_cancel_at_period_end(
        &self,
        subscription: &str,
        cancel: bool,
        key: Uuid,
    ) -> Result<PaidSubscription, PaymentsError>;

    /// Ends the subscription now.
    async fn cancel(&self, subscription: &str, key: Uuid) -> Result<PaidSubscription, PaymentsError>;

    /// Address of a hosted page where the order can be paid.
    async fn checkout(&self, order: &Order, key: Uuid) -> Result<String, PaymentsError>;

    /// Closes the pages of [`Payments::checkout`] that the customer can still pay on. What is just being paid there is
    /// left to be: it shows in [`Payments::subscriptions`] afterwards.
    async fn close_checkouts(&self, customer: &str) -> Result<(), PaymentsError>;

    /// Address of a hosted page where the customer sees invoices and payment methods.
    async fn portal(&self, customer: &str) -> Result<String, PaymentsError>;

    /// What changing to `prices` now would cost. Changes nothing.
    async fn preview(&self, subscription: &PaidSubscription, prices: &Prices) -> Result<Preview, PaymentsError>;

    /// Adds to the customer's metered usage, once for each entry of our ledger (for a day or so; the caller does not
    /// repeat what was taken).
    async fn record_usage(&self, usage: &MeteredUsage) -> Result<(), PaymentsError>;

    /// Sum of the customer's metered usage from `from` up to, not including, `to`; the provider counts whole minutes.
    async fn recorded_usage(
        &self,
        customer: &str,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Result<i64, PaymentsError>;
}

/// Ids of prices at the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prices {
    pub base: String,
    /// Of the metered item, where the plan has one.
    pub usage: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    pub tenant: TenantId,
    pub customer: String,
    pub prices: Prices,
    /// What our periods are counted from. The provider's begin with ours: on its day of the month and at its time, in UTC,
    /// and on the last day of a month that is too short.
    pub anchor: DateTime<Utc>,
}

/// A subscription as the provider has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaidSubscription {
    pub id: String,
    pub customer: String,
    /// As the provider spells it, known here or not: `active`, `past_due`, `paused`…
    pub status: String,
    pub items: Vec<PaidItem>,
    pub cancel_at_period_end: bool,
    /// End of the time that is paid for; of the item with the base price.
    pub period_end: Option<DateTime<Utc>>,
    pub created: DateTime<Utc>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaidItem {
    pub id: String,
    pub price: String,
    pub metered: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// Invoiced at once; negative: a credit.
    pub amount_due: i64,
    /// Lower case, such as `usd`.
    pub currency: String,
    pub lines: Vec<PreviewLine>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviewLine {
    pub description: String,
    pub amount: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeteredUsage {
    /// The entry of our ledger.
    pub entry: EventId,
    pub customer: String,
    /// Candidates over the included ones; negative where a correction takes some back.
    pub quantity: i64,
    pub at: DateTime<Utc>,
}

#[derive(Debug, thiserror::Error)]
pub enum PaymentsError {
    /// Busy, down or cut off: try again, not before the time it asked for. The call may have happened.
    #[error("the payment provider is unavailable: {reason}")]
    Unavailable { reason: String, retry_after: Option<Duration> },
    /// It refuses for a reason that only an operator mends: a bad key, a missing permission, an unknown price.
    #[error("the payment provider refuses to work: {reason}")]
    Refused { reason: String },
    /// The customer was deleted there, or is none of this account's. An operator links another.
    #[error("the payment provider does not have this customer, or not any more")]
    CustomerGone,
    /// It refuses this call: a declined card, an unknown payment method.
    #[error("the payment provider declines: {reason}")]
    Declined {
        /// The provider's, such as `card_declined`.
        code: Option<String>,
        /// For the customer to read; holds no personal data.
        reason: String,
    },
}
