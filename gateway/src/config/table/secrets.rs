//! What tokens are signed and personal data is sealed with.

use secrecy::SecretString;

use super::{ROW, Setting, path, set};
use crate::config::values;

/// Shortest secret that tokens may be signed with, in bytes: as long as what HMAC-SHA256 makes of it.
const MIN_SECRET_BYTES: usize = 32;

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        key: "tokens.secret",
        variable: "SECRET_KEY",
        about: "What tokens are signed with, 32 bytes or more (openssl rand -hex 32). Without it one is made at first \
            start and kept in the data directory.",
        allowed: "it must have at least 32 bytes; make one with openssl rand -hex 32, or unset it to have one made",
        optional: true,
        secret: true,
        set: |draft, found| {
            let secret = (found.text.len() >= MIN_SECRET_BYTES).then(|| SecretString::from(found.text));
            set(&mut draft.settings.tokens.secret, secret.map(Some))
        },
    },
    Setting {
        key: "tokens.algorithm",
        variable: "ALGORITHM",
        about: "How tokens are signed; HS256 is the only one.",
        allowed: "the only algorithm allowed is HS256",
        set: |_, found| (found.text == "HS256").then_some(()),
        ..ROW
    },
    Setting {
        key: "tokens.access_minutes",
        variable: "ACCESS_TOKEN_EXPIRE_MINUTES",
        about: "How long an access token is good for, in minutes.",
        allowed: "it must be a whole number of minutes from 1 to 10080",
        set: |draft, found| set(&mut draft.settings.tokens.access_minutes, values::number(found.text, 1..=10_080)),
        ..ROW
    },
    Setting {
        key: "tokens.refresh_days",
        variable: "REFRESH_TOKEN_EXPIRE_DAYS",
        about: "How long one stays signed in without signing in again, in days.",
        allowed: "it must be a whole number of days from 1 to 365",
        set: |draft, found| set(&mut draft.settings.tokens.refresh_days, values::number(found.text, 1..=365)),
        ..ROW
    },
    Setting {
        key: "keys.master",
        variable: "STARSCREEN_MASTER_KEY",
        about: "The key over all keys that personal data is sealed with, 32 bytes in base64 (openssl rand -base64 32). \
            Without it one is made at first start and kept in the data directory. Lose it, and the personal data is \
            lost.",
        allowed: "it must be 32 bytes in base64; make one with openssl rand -base64 32",
        optional: true,
        secret: true,
        set: |draft, found| {
            let key = crate::data_dir::is_master_key(found.text).then(|| SecretString::from(found.text));
            set(&mut draft.settings.keys.master, key.map(Some))
        },
    },
    Setting {
        key: "keys.master_file",
        variable: "STARSCREEN_MASTER_KEY_FILE",
        about: "A file that holds the master key, where a secret store puts one.",
        allowed: "it must be a path",
        optional: true,
        set: |draft, found| {
            let path = path(&draft.working_dir, found.text);
            set(&mut draft.settings.keys.master_file, Some(Some(path)))
        },
        ..ROW
    },
];
