//! `starscreen billing`: whether Stripe has what the ledger has.

use chrono::{DateTime, Utc};
use clap::Subcommand;
use serde_json::{Value, json};
use starscreen_commands::reconcile::{PeriodChecked, Reconciled, TenantChecked, Verdict};
use starscreen_domain::{TenantId, subscription::Subscription};

use super::{
    OperatorError,
    audit::moment,
    ledger, open,
    table::{say, say_json, time},
};
use crate::{
    config::Settings,
    reconcile,
    roles::{Opened, stripe_payments},
};

#[derive(Subcommand)]
pub enum BillingCommand {
    /// Compares metered usage and subscriptions with Stripe, and changes nothing; exit code 1 when they differ, or when
    /// Stripe does not answer
    Reconcile {
        /// Id of a tenant, or the e-mail address of its account; all customers without
        whose: Option<String>,
        /// Only the period that the end of this day lies in, or this time; the running one and the one before without
        #[arg(long, value_parser = moment)]
        period: Option<DateTime<Utc>>,
        #[arg(long)]
        json: bool,
    },
}

/// False: there is a difference, or it cannot be told.
///
/// # Errors
/// An [`OperatorError`] that says what is in the way.
pub async fn run(settings: &Settings, command: BillingCommand) -> Result<bool, OperatorError> {
    let BillingCommand::Reconcile { whose, period, json } = command;
    let opened = open(settings).await?;
    let outcome = reconciled(settings, &opened, whose.as_deref(), period).await;
    opened.close().await;
    let (found, unbilled) = outcome?;
    if json {
        say_json(&as_json(&found, &unbilled));
    } else {
        print(&found, &unbilled);
    }
    Ok(found.left_out == 0 && found.count(Verdict::Drift) == 0 && !found.tenants.iter().any(could_not_ask))
}

/// Of a tenant that is no customer there is nothing to ask.
fn could_not_ask(tenant: &TenantChecked) -> bool {
    tenant.verdict() == Verdict::CannotTell && tenant.customer.is_some()
}

/// Metered candidates of a tenant that nobody bills for them.
struct Unbilled {
    tenant: TenantId,
    metered: i64,
}

async fn reconciled(
    settings: &Settings,
    opened: &Opened,
    whose: Option<&str>,
    period: Option<DateTime<Utc>>,
) -> Result<(Reconciled, Vec<Unbilled>), OperatorError> {
    let payments = stripe_payments(settings, crate::outbound::stripe::TIMEOUT)?.ok_or_else(|| {
        OperatorError::Usage("there is nothing to compare with: STRIPE_API_KEY is not set".to_owned())
    })?;
    let tenant = match whose {
        Some(whose) => Some(known(opened, ledger::tenant(opened, whose).await?).await?),
        None => None,
    };
    let found = reconcile::once(&opened.write, &settings.catalog(), &payments, tenant, period).await?;
    let mut unbilled = vec![];
    if tenant.is_none() {
        let since = period.unwrap_or_else(Utc::now) - reconcile::LONGEST_PERIOD;
        for (tenant, metered) in opened.reads.monthly_usage().metered_since(since).await? {
            if !found.tenants.iter().any(|checked| checked.tenant == tenant) {
                unbilled.push(Unbilled { tenant, metered });
            }
        }
    }
    Ok((found, unbilled))
}

async fn known(opened: &Opened, tenant: TenantId) -> Result<TenantId, OperatorError> {
    let subscription: Subscription = opened.write.bus.read(tenant, tenant).await?;
    let unknown = || OperatorError::Usage(format!("tenant {tenant} has no subscription"));
    subscription.anchor.map(|_| tenant).ok_or_else(unknown)
}

fn print(found: &Reconciled, unbilled: &[Unbilled]) {
    for tenant in &found.tenants {
        let customer = tenant.customer.as_deref().unwrap_or("no customer");
        say(format_args!("{} ({customer}): {}", tenant.tenant, name(tenant.verdict())));
        for period in &tenant.periods {
            say(format_args!("  {}", usage(period)));
        }
        for difference in &tenant.differences {
            say(format_args!("  {difference}"));
        }
        if tenant.customer_is_gone && tenant.faults.is_empty() {
            say("  the customer was deleted at the payment provider; to pay again, another has to be linked");
        }
        for fault in &tenant.faults {
            say(format_args!("  {fault}"));
        }
        if !tenant.differences.is_empty() && tenant.waiting > 0 {
            say(format_args!("  {} messages and notices are on their way, so look again", tenant.waiting));
        }
        if let Some(unknown) = &tenant.unknown {
            say(format_args!("  {unknown}"));
        }
    }
    for Unbilled { tenant, metered } in unbilled {
        say(format_args!("{tenant} (no customer): {metered} metered candidates are billed to nobody"));
    }
    if found.left_out > 0 {
        say(format_args!("{} more were not asked about", found.left_out));
    }
    let count = |verdict| found.count(verdict);
    say(format_args!(
        "{} compared: {} ok, {} with entries on their way, {} differ, {} cannot be told; nothing was changed",
        found.tenants.len(),
        count(Verdict::Ok),
        count(Verdict::OnItsWay),
        count(Verdict::Drift),
        count(Verdict::CannotTell)
    ));
}

/// Whole minutes, as Stripe counts.
fn usage(period: &PeriodChecked) -> String {
    let PeriodChecked { from, to, ours, theirs, unsent, given_up, given_up_quantity, young, verdict } = period;
    let mut parts =
        vec![format!("{} to {}: {}; {ours} here", time(*from), time(*to), name(*verdict)), format!("{theirs} there")];
    if *unsent > 0 {
        parts.push(format!("{unsent} entries not sent yet"));
    }
    if *given_up > 0 {
        let only = if ours - given_up_quantity == *theirs { ", which is all that differs" } else { "" };
        parts.push(format!(
            "{given_up} entries over {given_up_quantity} candidates that Stripe refused and that were given up{only}: see \
             `starscreen queue dead billing`"
        ));
    }
    if *young > 0 && *verdict == Verdict::OnItsWay {
        parts.push(format!("{young} entries so young that Stripe may not have counted them"));
    }
    parts.join(", ")
}

fn name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "ok",
        Verdict::OnItsWay => "on its way",
        Verdict::CannotTell => "cannot tell",
        Verdict::Drift => "drift",
    }
}

fn as_json(found: &Reconciled, unbilled: &[Unbilled]) -> Value {
    let tenant = |tenant: &TenantChecked| {
        json!({
            "tenant_id": tenant.tenant, "customer": tenant.customer, "customer_is_gone": tenant.customer_is_gone, "verdict": tenant.verdict(),
            "periods": tenant.periods, "differences": tenant.differences, "waiting": tenant.waiting, "faults": tenant.faults,
            "unknown": tenant.unknown,
        })
    };
    let nobodys = |Unbilled { tenant, metered }: &Unbilled| json!({ "tenant_id": tenant, "metered": metered });
    json!({
        "tenants": found.tenants.iter().map(tenant).collect::<Vec<_>>(), "left_out": found.left_out,
        "ok": found.count(Verdict::Ok), "on_its_way": found.count(Verdict::OnItsWay),
        "drift": found.count(Verdict::Drift), "cannot_tell": found.count(Verdict::CannotTell),
        "unbilled": unbilled.iter().map(nobodys).collect::<Vec<_>>(),
    })
}
