//! What is logged, and how.

use super::{ROW, Setting, set};
use crate::config::values;

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        key: "log.level",
        variable: "LOG_LEVEL",
        about: "How much is logged: off, error, warn, info, debug or trace; libraries say less.",
        allowed: "it must be off, error, warn, info, debug or trace",
        set: |draft, found| set(&mut draft.log_level, values::level(found.text)),
        ..ROW
    },
    Setting {
        key: "log.filter",
        variable: "STARSCREEN_LOG",
        about: "What is logged in full detail, such as info,starscreen=debug,sqlx=warn; wins over the level.",
        allowed: "it must be levels and target=level, divided by commas, such as info,starscreen=debug; levels are \
            off, error, warn, info, debug and trace",
        optional: true,
        set: |draft, found| set(&mut draft.log_filter, values::filter(found.text).map(Some)),
        ..ROW
    },
    Setting {
        key: "log.json",
        variable: "JSON_LOGS",
        about: "Whether each line of the log is a JSON object instead of text.",
        allowed: "it must be on or off",
        set: |draft, found| set(&mut draft.settings.log.json, values::switch(found.text)),
        ..ROW
    },
];
