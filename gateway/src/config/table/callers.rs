//! Who may call, and where they come from.

use super::{ROW, Setting, set};
use crate::config::values;

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        key: "rate_limits",
        variable: "STARSCREEN_RATE_LIMITS",
        about: "Whether callers that ask too often are slowed down; accepted, but there are no limits yet.",
        allowed: "it must be on or off",
        set: |draft, found| set(&mut draft.settings.rate_limits, values::switch(found.text)),
        ..ROW
    },
    Setting {
        key: "frontend_url",
        variable: "FRONTEND_URL",
        about: "Where people find the web pages; links in mails begin with it.",
        allowed: "it must be an address such as https://starscreen.example.com",
        set: |draft, found| set(&mut draft.settings.frontend_url, values::url(found.text)),
        ..ROW
    },
    Setting {
        key: "cors_origins",
        variable: "BACKEND_CORS_ORIGINS",
        about: "Origins of web pages that may call the API, as a JSON list or divided by commas; * is any.",
        allowed: "it must be a list of origins such as https://app.example.com, in JSON or divided by commas, or *",
        optional: true,
        set: |draft, found| set(&mut draft.settings.cors_origins, values::origins(found.text)),
        ..ROW
    },
];
