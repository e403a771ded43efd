//! The table `subscriptions` and its reads.

use chrono::{DateTime, Utc};
use sea_query::{Expr, ExprTrait, Query};
use starscreen_domain::{
    TenantId,
    subscription::{Interval, SubscriptionStatus},
};

use crate::{
    ReadModelError,
    db::{Db, Scope},
    row::{Row, row},
};

row! {
    /// A tenant's subscription.
    pub struct SubscriptionRow in "subscriptions" {
        pub tenant_id: TenantId,
        /// Code name in lower case.
        pub plan: String,
        pub plan_display: String,
        /// As Stripe spells it.
        pub status: SubscriptionStatus,
        /// How long everything still works although an invoice is not paid.
        pub grace_until: Option<DateTime<Utc>>,
        /// Candidates a billing period may take; `None`: no limit, metered.
        pub monthly_limit: Option<u32>,
        /// Of a metered plan: candidates of a billing period that are paid for by its base price.
        pub included: Option<u32>,
        /// In the smallest unit of the currency, as was agreed; `None`: nothing is paid.
        pub price_amount: Option<u32>,
        /// Lower case, such as `usd`.
        pub price_currency: Option<String>,
        pub price_interval: Option<Interval>,
        /// For each candidate over the included ones.
        pub price_overage: Option<u32>,
        /// Code name of the plan that comes into force at `scheduled_at`.
        pub scheduled_plan: Option<String>,
        pub scheduled_plan_display: Option<String>,
        pub scheduled_at: Option<DateTime<Utc>>,
        /// The payment provider's id of the tenant; kept for ever.
        pub customer: Option<String>,
        /// The subscription as the payment provider has it; `None` in all five: there is none.
        pub paid_id: Option<String>,
        /// The provider's id of its base price.
        pub paid_price: Option<String>,
        pub paid_status: Option<SubscriptionStatus>,
        pub paid_cancel_at_period_end: Option<bool>,
        /// End of the time that is paid for.
        pub paid_period_end: Option<DateTime<Utc>>,
        /// Billing periods are counted from here.
        pub anchor: DateTime<Utc>,
        pub started_at: DateTime<Utc>,
        pub updated_at: DateTime<Utc>,
        /// Of the last event that changed the row.
        pub position: u64,
    }
}

/// Reads of the table; the tenant comes first in each.
#[derive(Clone, Copy)]
pub struct SubscriptionsQuery<'a>(pub(crate) &'a Db);

impl SubscriptionsQuery<'_> {
    /// # Errors
    /// When the database cannot be read.
    pub async fn get(self, tenant: TenantId) -> Result<Option<SubscriptionRow>, ReadModelError> {
        let statement = Query::select()
            .columns(SubscriptionRow::COLUMNS.iter().copied())
            .from(SubscriptionRow::TABLE)
            .and_where(Expr::col("tenant_id").eq(tenant.0))
            .to_owned();
        Ok(self.0.first(Scope::Tenant(tenant), &statement).await?)
    }
}
