//! Tenants whose programs may read their events on NATS. Only over PostgreSQL.

use starscreen_domain::TenantId;

use crate::{
    db::{Db, Scope},
    write_side::WriteSide,
};

/// One tenant's grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredGrant {
    pub token_hash: Vec<u8>,
    pub granted_at_ms: i64,
    /// Events up to this position are not given.
    pub after: u64,
}

#[derive(Clone)]
pub struct Grants(Db);

impl Grants {
    pub fn new(write: &WriteSide) -> Self {
        Self(write.db.clone())
    }

    /// In the place of the tenant's former one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put(&self, tenant: TenantId, grant: StoredGrant) -> Result<(), sqlx::Error> {
        const SQL: &str = "INSERT INTO analytics_grants (tenant_id, token_hash, granted_at_ms, after_position)
            VALUES ($1, $2, $3, $4)
            ON CONFLICT (tenant_id) DO UPDATE SET token_hash = excluded.token_hash,
                granted_at_ms = excluded.granted_at_ms, after_position = excluded.after_position";
        let after = i64::try_from(grant.after).unwrap_or(i64::MAX);
        let values = vec![tenant.0.into(), grant.token_hash.into(), grant.granted_at_ms.into(), after.into()];
        let mut tx = self.0.begin(Scope::All).await?;
        tx.execute(SQL, values).await?;
        tx.commit().await
    }

    /// # Errors
    /// When the database fails.
    pub async fn find(&self, tenant: TenantId) -> Result<Option<StoredGrant>, sqlx::Error> {
        const SQL: &str = "SELECT token_hash, granted_at_ms, after_position FROM analytics_grants WHERE tenant_id = $1";
        let rows: Vec<(Vec<u8>, i64, i64)> = self.0.fetch(Scope::All, SQL, vec![tenant.0.into()]).await?;
        Ok(rows.into_iter().next().map(|(token_hash, granted_at_ms, after)| StoredGrant {
            token_hash,
            granted_at_ms,
            after: after.unsigned_abs(),
        }))
    }

    /// Whether there was one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn delete(&self, tenant: TenantId) -> Result<bool, sqlx::Error> {
        let mut tx = self.0.begin(Scope::All).await?;
        let touched = tx.execute("DELETE FROM analytics_grants WHERE tenant_id = $1", vec![tenant.0.into()]).await?;
        tx.commit().await?;
        Ok(touched > 0)
    }
}
