//! Whether what is sold can be paid for: Stripe's key, its prices and meter, and its webhooks.

use starscreen_commands::ports::PaymentsError;

use super::{Check, MODEL_PATIENCE, fine, wrong};
use crate::{
    config::{Plan, Settings},
    http::chain,
    outbound::stripe::Checked,
    roles::stripe_payments,
};

const NAME: &str = "stripe";

/// Asked as the server asks, by the same client; nothing is changed there.
pub(super) async fn about(settings: &Settings) -> Check {
    let payments = match stripe_payments(settings, MODEL_PATIENCE) {
        Ok(Some(payments)) => payments,
        Ok(None) => return fine(NAME, "not set up; plan changes by an operator only"),
        Err(error) => return wrong(NAME, chain(&error), "the server does not start with it"),
    };
    let prices: Vec<&str> = settings.plans.iter().flat_map(ids).collect();
    let host = payments.host();
    let checked = match payments.check(&prices).await {
        Ok(checked) => checked,
        Err(error) => {
            let remedy = match error {
                PaymentsError::Refused { .. } | PaymentsError::Declined { .. } | PaymentsError::CustomerGone => {
                    "set STRIPE_API_KEY to a key that may do what docs/operations.md lists, and start the server again"
                }
                PaymentsError::Unavailable { .. } => {
                    "check the network and STRIPE_BASE_URL; what is to be billed waits until it answers"
                }
            };
            return wrong(NAME, format!("{host}: {error}"), remedy);
        }
    };
    let mode = match settings.stripe.livemode() {
        Some(true) => "live",
        Some(false) => "test",
        None => "unknown",
    };
    let faults = faults(settings, &checked);
    if faults.is_empty() {
        return fine(NAME, format!("{host} takes the key ({mode} mode) and knows all {} prices", prices.len()));
    }
    let (found, remedies): (Vec<String>, Vec<&str>) = faults.into_iter().unzip();
    wrong(NAME, format!("{host} takes the key ({mode} mode); {}", found.join("; ")), remedies.join("; "))
}

fn ids(plan: &Plan) -> impl Iterator<Item = &str> {
    let money = &plan.money;
    [&money.price_id, &money.price_id_annual, &money.price_id_usage].into_iter().filter_map(Option::as_deref)
}

/// What is amiss, with what helps.
fn faults(settings: &Settings, checked: &Checked) -> Vec<(String, &'static str)> {
    let (plans, is_set) = (&settings.plans, !settings.stripe.webhook_secrets.is_empty());
    let unpriced: Vec<String> =
        plans.iter().filter(|plan| lacks_price_id(plan)).map(|plan| plan.code.clone()).collect();
    let is_metered = plans.iter().any(|plan| plan.money.price_id_usage.is_some());
    let meter = &settings.stripe.meter_event_name;
    let mut faults = vec![];
    for (is_fault, found, remedy) in [
        (
            !checked.unknown_prices.is_empty(),
            format!("it does not know {}", checked.unknown_prices.join(", ")),
            "correct STRIPE_PRICE_ID_…; test and live mode have prices of their own",
        ),
        (
            !checked.inactive_prices.is_empty(),
            format!("nobody can subscribe to {} any more", checked.inactive_prices.join(", ")),
            "make them active at Stripe, or name others",
        ),
        (
            is_metered && !checked.has_meter,
            format!("it has no active meter for events named {meter}"),
            "make it, or correct STRIPE_METER_EVENT_NAME; metered candidates wait until then",
        ),
        (
            !unpriced.is_empty(),
            format!("plans with a price and no price at Stripe: {}", unpriced.join(", ")),
            "set STRIPE_PRICE_ID_…, or take the price away from what is not sold",
        ),
        (
            !is_set,
            "webhooks are refused: there is no secret".to_owned(),
            "set STRIPE_WEBHOOK_SECRET; without it nobody hears of payments and of changes at Stripe",
        ),
    ] {
        if is_fault {
            faults.push((found, remedy));
        }
    }
    faults
}

/// Whether somebody could want it and not get it.
fn lacks_price_id(plan: &Plan) -> bool {
    let money = &plan.money;
    let costs = |amount: Option<u32>| amount.is_some_and(|amount| amount > 0);
    (costs(money.price) && money.price_id.is_none())
        || (costs(money.price_annual) && money.price_id_annual.is_none())
        || (costs(money.overage_price) && money.price_id_usage.is_none())
}
