//! The table `monthly_usage` and its reads.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sea_query::{Expr, ExprTrait, Order, Query, SelectStatement};
use starscreen_domain::{TenantId, UsageId};

use crate::{
    ReadModelError,
    column::Column,
    db::{Db, Scope},
    row::{Row, row},
};

row! {
    /// A tenant's billing period.
    pub struct MonthlyUsageRow in "monthly_usage" {
        pub usage_id: UsageId,
        pub tenant_id: TenantId,
        pub period_start: DateTime<Utc>,
        /// First moment after the period.
        pub period_end: DateTime<Utc>,
        pub plan: String,
        /// Candidates the period may take; `None`: no limit, metered.
        pub monthly_limit: Option<u32>,
        /// Of a metered plan: candidates that its base price pays for.
        pub included: Option<u32>,
        /// Slots of candidates that are on their way.
        pub reserved: i64,
        /// Slots used for good.
        pub committed: i64,
        /// Sum of corrections.
        pub adjusted: i64,
        /// Slots given back.
        pub released: i64,
        /// Reserved, committed and adjusted, never below 0.
        pub used: i64,
        /// Candidates over the included ones, as they were billed.
        pub metered: i64,
        /// What comes later is an entry of a later period.
        pub closed: bool,
        pub updated_at: DateTime<Utc>,
        /// Of the last event that changed the row.
        pub position: u64,
    }
}

/// Reads of the table; the tenant comes first in each.
#[derive(Clone, Copy)]
pub struct MonthlyUsageQuery<'a>(pub(crate) &'a Db);

impl MonthlyUsageQuery<'_> {
    /// The period that holds `at`; `None`: nothing was used in it yet.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn current(self, tenant: TenantId, at: DateTime<Utc>) -> Result<Option<MonthlyUsageRow>, ReadModelError> {
        let statement = of_tenant(tenant)
            .and_where(Expr::col("period_start").lte(at.into_value()))
            .and_where(Expr::col("period_end").gt(at.into_value()))
            .limit(1)
            .to_owned();
        Ok(self.0.first(Scope::Tenant(tenant), &statement).await?)
    }

    /// One period; `None`: it was never opened, or is another tenant's.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn get(self, tenant: TenantId, usage: UsageId) -> Result<Option<MonthlyUsageRow>, ReadModelError> {
        let statement = of_tenant(tenant).and_where(Expr::col("usage_id").eq(usage.0)).to_owned();
        Ok(self.0.first(Scope::Tenant(tenant), &statement).await?)
    }

    /// All periods, newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn list(self, tenant: TenantId) -> Result<Vec<MonthlyUsageRow>, ReadModelError> {
        Ok(self.0.all(Scope::Tenant(tenant), &of_tenant(tenant)).await?)
    }

    /// Tenants with metered candidates in periods that begin after `since`, and how many; for who may see all.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn metered_since(self, since: DateTime<Utc>) -> Result<Vec<(TenantId, i64)>, ReadModelError> {
        let statement = Query::select()
            .columns(MonthlyUsageRow::COLUMNS.iter().copied())
            .from(MonthlyUsageRow::TABLE)
            .and_where(Expr::col("metered").ne(0))
            .and_where(Expr::col("period_start").gt(since.into_value()))
            .order_by("tenant_id", Order::Asc)
            .to_owned();
        let rows: Vec<MonthlyUsageRow> = self.0.all(Scope::All, &statement).await?;
        let mut metered: BTreeMap<TenantId, i64> = BTreeMap::new();
        for row in rows {
            let sum = metered.entry(row.tenant_id).or_default();
            *sum = sum.saturating_add(row.metered);
        }
        Ok(metered.into_iter().collect())
    }
}

fn of_tenant(tenant: TenantId) -> SelectStatement {
    Query::select()
        .columns(MonthlyUsageRow::COLUMNS.iter().copied())
        .from(MonthlyUsageRow::TABLE)
        .and_where(Expr::col("tenant_id").eq(tenant.0))
        .order_by("period_start", Order::Desc)
        .to_owned()
}
