//! The language model that draws up rubrics and grades resumes.

use super::{ROW, Setting, set};
use crate::config::values;

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        key: "openai.api_key",
        variable: "OPENAI_API_KEY",
        about: "Key of the OpenAI API. Without it rubrics and scores are made offline, from the words alone.",
        optional: true,
        secret: true,
        set: |draft, found| set(&mut draft.settings.openai.api_key, Some(Some(found.text.into()))),
        ..ROW
    },
    Setting {
        key: "openai.base_url",
        variable: "OPENAI_BASE_URL",
        about: "Where the API is; another address for any server that speaks it, such as a model of your own.",
        allowed: "it must be an address such as https://api.openai.com/v1",
        secret: true, // somebody's gateway has a token in it
        set: |draft, found| set(&mut draft.settings.openai.base_url, values::base_url(found.text)),
        ..ROW
    },
    Setting {
        key: "openai.model",
        variable: "OPENAI_MODEL",
        about: "The model that draws up rubrics and grades resumes.",
        allowed: "it must be a name of 1 to 64 characters",
        set: |draft, found| set(&mut draft.settings.openai.model, values::label(found.text)),
        ..ROW
    },
    Setting {
        key: "openai.temperature",
        variable: "OPENAI_TEMPERATURE",
        about: "How freely the model draws up rubrics, 0 to 2; the lower, the more alike are two. Resumes are graded at 0.",
        allowed: "it must be a number from 0 to 2",
        set: |draft, found| set(&mut draft.settings.openai.temperature, values::number(found.text, 0.0..=2.0)),
        ..ROW
    },
    Setting {
        key: "openai.timeout_seconds",
        variable: "OPENAI_TIMEOUT_SECONDS",
        about: "How long one answer of the model may take.",
        allowed: "it must be a whole number of seconds from 1 to 600",
        set: |draft, found| set(&mut draft.settings.openai.timeout_seconds, values::number(found.text, 1..=600)),
        ..ROW
    },
];
