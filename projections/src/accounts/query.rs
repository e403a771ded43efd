//! The table `accounts` and its reads.

use chrono::{DateTime, Utc};
use sea_query::{Expr, ExprTrait, Query};
use starscreen_domain::{TenantId, UserId};

use crate::{
    ReadModelError,
    db::{Db, Scope},
    row::{Row, row},
};

row! {
    /// A tenant and its user. What is erased is blank.
    pub struct AccountRow in "accounts" {
        pub tenant_id: TenantId,
        pub user_id: UserId,
        pub email: String,
        pub full_name: Option<String>,
        pub company_name: Option<String>,
        pub is_active: bool,
        pub is_verified: bool,
        pub is_admin: bool,
        pub created_at: DateTime<Utc>,
        /// Of the last event that changed the row.
        pub position: u64,
    }
}

/// Reads of the table; the tenant comes first in each.
#[derive(Clone, Copy)]
pub struct AccountsQuery<'a>(pub(crate) &'a Db);

impl AccountsQuery<'_> {
    /// # Errors
    /// When the database cannot be read.
    pub async fn get(self, tenant: TenantId, user: UserId) -> Result<Option<AccountRow>, ReadModelError> {
        let statement = Query::select()
            .columns(AccountRow::COLUMNS.iter().copied())
            .from(AccountRow::TABLE)
            .and_where(Expr::col("tenant_id").eq(tenant.0))
            .and_where(Expr::col("user_id").eq(user.0))
            .to_owned();
        Ok(self.0.first(Scope::Tenant(tenant), &statement).await?)
    }
}
