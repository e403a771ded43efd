//! Compares the ledger with the payment provider now and then and tells of it in the log. It changes nothing, so any number
//! of workers may do it.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use starscreen_commands::{
    CommandError, WriteSide,
    catalog::Catalog,
    ports::Payments,
    reconcile::{Reconciled, Sides, TenantChecked, Verdict, customers, reconcile},
};
use starscreen_domain::TenantId;
use tokio::sync::watch;

/// The first run comes after this part of the pause between runs: who was away for a while has to send first.
const FIRST_AFTER: u32 = 12;
/// A billing period and the days that it takes late entries.
pub const LONGEST_PERIOD: TimeDelta = TimeDelta::days(31 + 3);

/// What the last run found, for whoever measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    pub at: DateTime<Utc>,
    pub checked: usize,
    pub drifting: usize,
    /// Those of whom it could not be told, and those who were left out.
    pub unknown: usize,
}

impl Figures {
    pub fn of(found: &Reconciled, at: DateTime<Utc>) -> Self {
        Self {
            at,
            checked: found.tenants.len(),
            drifting: found.count(Verdict::Drift),
            unknown: found.count(Verdict::CannotTell) + found.left_out,
        }
    }
}

/// Compares now and then, for as long as the process runs; the figures of the last run are in `told`.
pub async fn run(
    write: &WriteSide,
    catalog: &Catalog,
    payments: &Arc<dyn Payments>,
    pause: Duration,
    told: &watch::Sender<Option<Figures>>,
) {
    tokio::time::sleep(pause / FIRST_AFTER).await;
    loop {
        match once(write, catalog, payments.as_ref(), None, None).await {
            Ok(found) => {
                found.tenants.iter().for_each(tell);
                let figures = Figures::of(&found, Utc::now());
                tracing::info!(
                    tenants = figures.checked,
                    drifting = figures.drifting,
                    unknown = figures.unknown,
                    "the ledger was compared with the payment provider"
                );
                told.send_replace(Some(figures));
            }
            Err(error) => {
                tracing::warn!(error = %error, "the ledger could not be compared with the payment provider");
            }
        }
        tokio::time::sleep(pause).await;
    }
}

fn tell(checked: &TenantChecked) {
    for period in checked.periods.iter().filter(|period| period.verdict == Verdict::Drift) {
        tracing::warn!(
            tenant.id = %checked.tenant,
            period = %period.from,
            ours = period.ours,
            theirs = period.theirs,
            unsent = period.unsent,
            given_up = period.given_up,
            "metered usage differs from what the payment provider has"
        );
    }
    if !checked.differences.is_empty() && checked.waiting == 0 {
        tracing::warn!(
            tenant.id = %checked.tenant,
            differences = checked.differences.join("; "),
            "the subscription differs from what the payment provider has"
        );
    }
    for fault in &checked.faults {
        tracing::error!(tenant.id = %checked.tenant, fault, "something at the payment provider needs a person");
    }
    if let (Some(reason), Some(_)) = (&checked.unknown, &checked.customer) {
        tracing::warn!(tenant.id = %checked.tenant, reason, "it cannot be told whether the payment provider agrees");
    }
}

/// One tenant, or all who are customers.
///
/// # Errors
/// When the customers cannot be read.
pub async fn once(
    write: &WriteSide,
    catalog: &Catalog,
    payments: &dyn Payments,
    tenant: Option<TenantId>,
    period: Option<DateTime<Utc>>,
) -> Result<Reconciled, CommandError> {
    let tenants = match tenant {
        Some(tenant) => vec![tenant],
        None => customers(&write.queue).await?,
    };
    let sides = Sides { bus: &write.bus, log: &write.log, queue: &write.queue, catalog, payments };
    Ok(reconcile(&sides, &tenants, period, Utc::now()).await)
}
