//! Every setting there is, a file a section: what is read, what is unknown and what is shown comes from here.

mod callers;
mod draft;
mod files;
mod log;
mod model;
mod nats;
mod plans;
mod secrets;
mod server;
mod stripe;
mod workers;

use std::path::{Component, Path, PathBuf};

use draft::Draft;

use super::{
    ConfigError, Settings, WrongValue,
    layers::{Layers, Origin},
};

/// Names the operator's own file, so it cannot stand in one.
pub(super) const CONFIG_VARIABLE: &str = "STARSCREEN_CONFIG";

/// One row of the table. In `key` and `variable`, `*` stands for the code of a plan.
pub(super) struct Setting {
    pub key: &'static str,
    pub variable: &'static str,
    /// What it is for, as the default file says it too.
    pub about: &'static str,
    /// What a refusal says behind "but".
    pub allowed: &'static str,
    /// May be without a value.
    pub optional: bool,
    /// Its value is never shown.
    pub secret: bool,
    set: fn(&mut Draft, &Found<'_>) -> Option<()>,
}

/// A value on its way into the settings.
pub(super) struct Found<'a> {
    text: &'a str,
    /// The plan's code, where the key has one.
    plan: &'a str,
}

/// One setting as it is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    pub key: String,
    /// The environment variable that sets it.
    pub variable: String,
    /// Of a secret only whether there is one.
    pub value: String,
    pub origin: String,
    pub about: &'static str,
}

const ROW: Setting =
    Setting { key: "", variable: "", about: "", allowed: "", optional: false, secret: false, set: |_, _| Some(()) };

/// In the order in which they are shown.
const SECTIONS: &[&[Setting]] = &[
    server::SETTINGS,
    nats::SETTINGS,
    callers::SETTINGS,
    log::SETTINGS,
    secrets::SETTINGS,
    files::SETTINGS,
    workers::SETTINGS,
    model::SETTINGS,
    stripe::SETTINGS,
    plans::SETTINGS,
];

/// Every setting there is.
pub(super) fn settings() -> impl Iterator<Item = &'static Setting> {
    SECTIONS.iter().copied().flatten()
}

/// Older names of variables that set the same.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("FREE_TIER_CANDIDATE_LIMIT", "STARSCREEN_PLANS_FREE_MONTHLY_LIMIT"),
    ("STRIPE_PRICE_ID_ENTERPRISE_BASE", "STRIPE_PRICE_ID_ENTERPRISE"),
];

fn set<T>(place: &mut T, value: Option<T>) -> Option<()> {
    *place = value?;
    Some(())
}

/// Relative paths begin where the settings do.
fn path(working_dir: &Path, text: &str) -> PathBuf {
    working_dir.join(text).components().filter(|part| *part != Component::CurDir).collect()
}

/// The setting that a key of a file means, and the key with the plan's code in lower case.
pub(super) fn by_key(key: &str) -> Option<(&'static Setting, String)> {
    settings().filter(|setting| setting.variable != CONFIG_VARIABLE).find_map(|setting| {
        let code = starred(setting.key, key)?;
        Some((setting, setting.key.replace('*', &code)))
    })
}

/// The setting that a variable means, and its key.
pub(super) fn by_variable(name: &str) -> Option<(&'static Setting, String)> {
    let name = OTHER_NAMES.iter().find(|(other, _)| *other == name).map_or(name, |(_, ours)| ours);
    settings().find_map(|setting| {
        let code = starred(setting.variable, name)?;
        Some((setting, setting.key.replace('*', &code)))
    })
}

/// What stands for `*` in lower case, nothing where there is none. `None`: another name.
fn starred(pattern: &str, name: &str) -> Option<String> {
    let Some((before, after)) = pattern.split_once('*') else {
        return (pattern == name).then(String::new);
    };
    let code = name.strip_prefix(before)?.strip_suffix(after)?.to_ascii_lowercase();
    let plain = (1..=32).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    plain.then_some(code)
}

/// The plan's code in a key.
fn plan_of(setting: &Setting, key: &str) -> String {
    starred(setting.key, key).unwrap_or_default()
}

/// Checks every value and puts it where it belongs.
pub(super) fn settle(working_dir: &Path, layers: &Layers) -> Result<Settings, ConfigError> {
    let mut draft = Draft::new(working_dir);
    let mut wrong = Vec::new();
    for (key, value) in layers {
        let Some((setting, _)) = by_key(key) else { continue }; // the own file's name; it was read already
        let found = Found { text: &value.text, plan: &plan_of(setting, key) };
        if found.text.is_empty() {
            continue; // only what may be without a value gets here empty
        }
        if (setting.set)(&mut draft, &found).is_none() {
            wrong.push(WrongValue {
                name: value.name.clone(),
                origin: value.origin.to_string(),
                value: (!setting.secret).then(|| value.text.clone()),
                allowed: setting.allowed.to_owned(),
            });
        }
    }
    if !wrong.is_empty() {
        return Err(ConfigError::Wrong(wrong));
    }
    draft.finish(describe(layers))
}

fn describe(layers: &Layers) -> Vec<Described> {
    let mut described = Vec::new();
    for setting in settings() {
        let keys: Vec<String> = if setting.key.contains('*') {
            layers.keys().filter(|key| starred(setting.key, key).is_some()).cloned().collect()
        } else {
            vec![setting.key.to_owned()]
        };
        for key in keys {
            let value = layers.get(&key);
            let is_set = value.is_some_and(|value| !value.text.is_empty());
            described.push(Described {
                variable: setting.variable.replace('*', &plan_of(setting, &key).to_ascii_uppercase()),
                value: match value {
                    Some(_) if is_set && setting.secret => "set, not shown".to_owned(),
                    Some(value) if is_set => value.text.clone(),
                    _ => "not set".to_owned(),
                },
                origin: value.map_or(&Origin::Default, |value| &value.origin).to_string(),
                about: setting.about,
                key,
            });
        }
    }
    described
}
