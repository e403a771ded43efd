//! The payment provider.

use super::{ROW, Setting, set};
use crate::config::values;

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        key: "stripe.api_key",
        variable: "STRIPE_API_KEY",
        about: "Key of the Stripe API. Without it nothing is billed.",
        optional: true,
        secret: true,
        set: |draft, found| set(&mut draft.settings.stripe.api_key, Some(Some(found.text.into()))),
        ..ROW
    },
    Setting {
        key: "stripe.webhook_secret",
        variable: "STRIPE_WEBHOOK_SECRET",
        about: "What Stripe signs its webhooks with; several, divided by commas, while one takes the place of another.",
        optional: true,
        secret: true,
        set: |draft, found| set(&mut draft.settings.stripe.webhook_secrets, Some(values::secrets(found.text))),
        ..ROW
    },
    Setting {
        key: "stripe.base_url",
        variable: "STRIPE_BASE_URL",
        about: "Where Stripe's API is.",
        allowed: "it must be an address such as https://api.stripe.com",
        set: |draft, found| set(&mut draft.settings.stripe.base_url, values::base_url(found.text)),
        ..ROW
    },
    Setting {
        key: "stripe.meter_event_name",
        variable: "STRIPE_METER_EVENT_NAME",
        about: "Name of the events of the meter at Stripe that counts candidates over the included ones.",
        allowed: "it must be a name of 1 to 64 characters",
        set: |draft, found| set(&mut draft.settings.stripe.meter_event_name, values::label(found.text)),
        ..ROW
    },
    Setting {
        key: "stripe.currency",
        variable: "STRIPE_CURRENCY",
        about: "Currency of the plans' prices.",
        allowed: "it must be the three letters of a currency, such as usd",
        set: |draft, found| set(&mut draft.settings.stripe.currency, values::currency(found.text)),
        ..ROW
    },
    Setting {
        key: "stripe.grace_days",
        variable: "STRIPE_GRACE_DAYS",
        about: "How long everything still works when an invoice is not paid, in days.",
        allowed: "it must be a whole number of days from 0 to 90",
        set: |draft, found| set(&mut draft.settings.stripe.grace_days, values::number(found.text, 0..=90)),
        ..ROW
    },
    Setting {
        key: "stripe.reconcile_seconds",
        variable: "STRIPE_RECONCILE_SECONDS",
        about: "How often workers compare the ledger with Stripe, in seconds.",
        allowed: "it must be a whole number of seconds from 1 to 86400",
        set: |draft, found| set(&mut draft.settings.stripe.reconcile_seconds, values::number(found.text, 1..=86_400)),
        ..ROW
    },
];
