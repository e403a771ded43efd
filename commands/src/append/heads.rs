//! Where the log and the tenants' histories end, as the writer left them, on a store that gives positions itself.
//!
//! Others may append as well (an operator's verb beside the server). They take the very position that is next here, so
//! that an append on top of what is true no more fails by the log's own key; it is then done again after a fresh look.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use starscreen_domain::TenantId;
use uuid::Uuid;

use super::{Append, AppendError};
use crate::db::Tx;

/// Tenants whose heads are kept at most.
const MAX_TENANTS: usize = 10_000;
const LOG: &str = "SELECT NULL, COALESCE(MAX(position), 0) FROM events";

/// What the writer knows from its last commits.
#[derive(Default)]
pub(super) struct Heads {
    log: Option<i64>,
    tenants: HashMap<TenantId, i64>,
}

/// Heads that a transaction goes on from.
pub(super) struct Next {
    position: i64,
    tenants: BTreeMap<TenantId, i64>,
    /// The log's head where it was not asked for.
    believed: Option<i64>,
}

impl Heads {
    /// Of the log and of all tenants that the group writes for; what is not known is asked for.
    pub(super) async fn next(&mut self, tx: &mut Tx, group: &[Append]) -> Result<Next, AppendError> {
        let tenants: BTreeSet<TenantId> =
            group.iter().flat_map(|append| &append.events).filter_map(|event| event.tenant_id).collect();
        let mut unknown: BTreeSet<TenantId> =
            tenants.iter().filter(|tenant| !self.tenants.contains_key(tenant)).copied().collect();
        if let (Some(position), true) = (self.log, unknown.is_empty()) {
            let tenants = tenants.into_iter().map(|tenant| (tenant, self.tenants[&tenant])).collect();
            return Ok(Next { position, tenants, believed: Some(position) });
        }
        if self.log.is_none() {
            self.tenants.clear();
            unknown.clone_from(&tenants);
        }
        let mut asked = ask(tx, &unknown).await?;
        let position = asked.remove(&None).unwrap_or(0);
        if self.log.is_some_and(|known| known != position) {
            *self = Self::default();
            asked = ask(tx, &tenants).await?;
        }
        let head = |tenant: &TenantId| asked.get(&Some(*tenant)).or(self.tenants.get(tenant)).copied().unwrap_or(0);
        let tenants = tenants.iter().map(|tenant| (*tenant, head(tenant))).collect();
        Ok(Next { position, tenants, believed: None })
    }

    /// What is true once the transaction is committed.
    pub(super) fn are(&mut self, next: Next) {
        if self.tenants.len() + next.tenants.len() > MAX_TENANTS {
            self.tenants.clear();
        }
        self.log = Some(next.position);
        self.tenants.extend(next.tenants);
    }

    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

impl Next {
    /// The next place of the log, and of the tenant's own history.
    pub(super) fn take(&mut self, tenant: Option<TenantId>) -> (i64, Option<i64>) {
        self.position += 1;
        let tenant_position = tenant.map(|tenant| {
            let last = self.tenants.entry(tenant).or_default();
            *last += 1;
            *last
        });
        (self.position, tenant_position)
    }

    /// Where the log ends after all that was taken.
    pub(super) fn position(&self) -> u64 {
        self.position.unsigned_abs()
    }

    /// Whether the log did not end where it was believed to.
    pub(super) async fn is_outdated(&self, tx: &mut Tx) -> Result<bool, AppendError> {
        let Some(believed) = self.believed else { return Ok(false) };
        Ok(ask(tx, &BTreeSet::new()).await?.get(&None) != Some(&believed))
    }
}

/// In one question: a question costs more than its answer.
async fn ask(tx: &mut Tx, tenants: &BTreeSet<TenantId>) -> Result<BTreeMap<Option<TenantId>, i64>, AppendError> {
    // Filled up with repetitions, so that there are few texts to prepare.
    let places = if tenants.is_empty() { 0 } else { tenants.len().next_power_of_two() };
    let filled = tenants.iter().chain(tenants.last().into_iter().cycle()).take(places);
    let asked = filled.map(|tenant| tenant.0.into()).collect();
    let values = (1..=places).map(|place| format!("(${place})")).collect::<Vec<_>>().join(", ");
    let sql = match places {
        0 => LOG.to_owned(),
        _ => format!(
            "{LOG} UNION ALL
            SELECT asked.column1, COALESCE((SELECT MAX(tenant_position) FROM events WHERE tenant_id = asked.column1), 0)
            FROM (VALUES {values}) AS asked"
        ),
    };
    let heads: Vec<(Option<Uuid>, i64)> = tx.fetch(&sql, asked).await?;
    Ok(heads.into_iter().map(|(tenant, head)| (tenant.map(TenantId), head)).collect())
}
