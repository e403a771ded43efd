//! What the plans hold and cost, one set of keys a plan.

use super::{Found, ROW, Setting, set};
use crate::config::values;

const MONEY: &str = "it must be an amount such as 20 or 0.25, without a currency";
const PRICE: &str = "it must be a price's id, such as price_1Mo";

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        key: "plans.*.display_name",
        variable: "STARSCREEN_PLANS_*_DISPLAY_NAME",
        about: "The plan's name as people read it.",
        allowed: "it must have 1 to 64 characters",
        set: |draft, found| set(&mut draft.plan(found.plan).display_name, values::label(found.text).map(Some)),
        ..ROW
    },
    Setting {
        key: "plans.*.monthly_limit",
        variable: "STARSCREEN_PLANS_*_MONTHLY_LIMIT",
        about: "Candidates that a billing period may take, or \"unlimited\".",
        allowed: "it must be a whole number of candidates, or unlimited",
        set: |draft, found| set(&mut draft.plan(found.plan).monthly_limit, values::limit(found.text).map(Some)),
        ..ROW
    },
    // Before the next, whose variable would match it too.
    Setting {
        key: "plans.*.overage_price",
        variable: "STARSCREEN_PLANS_*_OVERAGE_PRICE",
        about: "What each candidate over the included ones costs.",
        allowed: MONEY,
        optional: true,
        set: |draft, found| set(&mut draft.plan(found.plan).money.overage_price, values::money(found.text).map(Some)),
        ..ROW
    },
    Setting {
        key: "plans.*.price",
        variable: "STARSCREEN_PLANS_*_PRICE",
        about: "What the plan costs each month. Charged is what Stripe's price says.",
        allowed: MONEY,
        optional: true,
        set: |draft, found| set(&mut draft.plan(found.plan).money.price, values::money(found.text).map(Some)),
        ..ROW
    },
    Setting {
        key: "plans.*.price_annual",
        variable: "STARSCREEN_PLANS_*_PRICE_ANNUAL",
        about: "What the plan costs each year; without it it is not offered by the year.",
        allowed: MONEY,
        optional: true,
        set: |draft, found| set(&mut draft.plan(found.plan).money.price_annual, values::money(found.text).map(Some)),
        ..ROW
    },
    Setting {
        key: "plans.*.included",
        variable: "STARSCREEN_PLANS_*_INCLUDED",
        about: "Of an unlimited plan: candidates of a billing period that its price pays for; others are metered.",
        allowed: "it must be a whole number of candidates",
        optional: true,
        set: |draft, found| set(&mut draft.plan(found.plan).money.included, found.text.parse().ok().map(Some)),
        ..ROW
    },
    Setting {
        key: "plans.*.price_id_usage",
        variable: "STRIPE_PRICE_ID_*_USAGE",
        about: "Stripe's price for each candidate over the included ones.",
        allowed: PRICE,
        optional: true,
        set: |draft, found| set(&mut draft.plan(found.plan).money.price_id_usage, price(found).map(Some)),
        ..ROW
    },
    Setting {
        key: "plans.*.price_id_annual",
        variable: "STRIPE_PRICE_ID_*_ANNUAL",
        about: "Stripe's price of the plan, each year.",
        allowed: PRICE,
        optional: true,
        set: |draft, found| set(&mut draft.plan(found.plan).money.price_id_annual, price(found).map(Some)),
        ..ROW
    },
    // After the two before, which its variable would match too.
    Setting {
        key: "plans.*.price_id",
        variable: "STRIPE_PRICE_ID_*",
        about: "Stripe's price of the plan, each month.",
        allowed: PRICE,
        optional: true,
        set: |draft, found| set(&mut draft.plan(found.plan).money.price_id, price(found).map(Some)),
        ..ROW
    },
];

fn price(found: &Found<'_>) -> Option<String> {
    found.text.starts_with("price_").then(|| found.text.to_owned())
}
