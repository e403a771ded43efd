//! How events are distributed over NATS.

use secrecy::SecretString;

use super::{ROW, Setting, set};
use crate::config::values;

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        key: "nats.max_bytes",
        variable: "STARSCREEN_NATS_MAX_BYTES",
        about: "Largest size of the events on NATS, in bytes; the oldest go first. The server sets it aside at once.",
        allowed: "it must be a whole number of bytes from 1048576 (1 MB)",
        set: |draft, found| set(&mut draft.settings.nats.max_bytes, values::number(found.text, 1 << 20..=1 << 50)),
        ..ROW
    },
    Setting {
        key: "nats.max_age_days",
        variable: "STARSCREEN_NATS_MAX_AGE_DAYS",
        about: "How long events stay on NATS, in days. They stay in the database for ever.",
        allowed: "it must be a whole number of days from 1 to 36500",
        set: |draft, found| set(&mut draft.settings.nats.max_age_days, values::number(found.text, 1..=36_500)),
        ..ROW
    },
    Setting {
        key: "nats.replicas",
        variable: "STARSCREEN_NATS_REPLICAS",
        about: "Servers of a NATS cluster that keep the events.",
        allowed: "it must be 1, 3 or 5",
        set: |draft, found| {
            let odd = values::number(found.text, 1..=5_usize).filter(|replicas| replicas % 2 == 1);
            set(&mut draft.settings.nats.replicas, odd)
        },
        ..ROW
    },
    Setting {
        key: "nats.callout_seed",
        variable: "STARSCREEN_NATS_CALLOUT_SEED",
        about: "What analytics clients' permits are signed with (`starscreen analytics key` makes one). Without it none \
            is let in.",
        allowed: "it must be the seed of an account key, which begins with SA",
        optional: true,
        secret: true,
        set: |draft, found| {
            let seed = found.text.starts_with("SA").then(|| SecretString::from(found.text));
            set(&mut draft.settings.nats.callout_seed, seed.map(Some))
        },
    },
    Setting {
        key: "nats.callout_password",
        variable: "STARSCREEN_NATS_CALLOUT_PASSWORD",
        about: "Password of the user callout of nats.conf.",
        optional: true,
        secret: true,
        set: |draft, found| set(&mut draft.settings.nats.callout_password, Some(Some(found.text.into()))),
        ..ROW
    },
    Setting {
        key: "nats.sys_password",
        variable: "STARSCREEN_NATS_SYS_PASSWORD",
        about: "Password of the user sys of nats.conf.",
        optional: true,
        secret: true,
        set: |draft, found| set(&mut draft.settings.nats.sys_password, Some(Some(found.text.into()))),
        ..ROW
    },
];
