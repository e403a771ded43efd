//! The table `subscriptions` and its reads.

use chrono::{DateTime, Utc};
use sea_query::{Expr, ExprTrait, Query};
use starscreen_domain::TenantId;

use crate::{
    ReadModelError,
    column::text_enum,
    db::{Db, Scope},
    row::{Row, row},
};

text_enum! {
    /// As Stripe spells it.
    pub enum SubscriptionState {
        Active = "active",
    }
}

row! {
    /// A tenant's subscription.
    pub struct SubscriptionRow in "subscriptions" {
        pub tenant_id: TenantId,
        /// Code name in lower case.
        pub plan: String,
        pub plan_display: String,
        pub status: SubscriptionState,
        /// Candidates a billing period may take; `None`: no limit, metered.
        pub monthly_limit: Option<u32>,
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
