//! Where values come from, and which of them wins: default file < own file < `.env` < environment.

use std::{
    collections::BTreeMap,
    env, fmt, fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use super::{
    DEFAULT_FILE, dotenv,
    error::{ConfigError, Warning},
    table::{self, Setting},
    values::is_placeholder,
};

/// The operator's own file where `STARSCREEN_CONFIG` names none.
const OWN_FILE: &str = "starscreen.toml";
const PREFIX: &str = "STARSCREEN_";

/// What settings are made of, besides the files that it names.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// `starscreen.toml` and `.env` are looked for here, and relative paths begin here.
    pub working_dir: PathBuf,
    pub environment: Vec<(String, String)>,
}

impl LoadOptions {
    /// The directory and the environment of this process.
    ///
    /// # Errors
    /// When the working directory is gone.
    pub fn of_process() -> io::Result<Self> {
        // What is not Unicode cannot be one of ours but by mistake; the mistake then shows as a wrong value.
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        let environment = env::vars_os().map(|(name, value)| (text(name), text(value))).collect();
        Ok(Self { working_dir: env::current_dir()?, environment })
    }
}

#[derive(Clone, Debug)]
pub(super) enum Origin {
    Default,
    File(PathBuf),
    DotEnv,
    Environment,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::DotEnv => f.write_str(".env"),
            Self::Environment => f.write_str("environment"),
        }
    }
}

/// A value as it was set.
pub(super) struct Value {
    pub text: String,
    /// The name it was set by: a variable's, or the key.
    pub name: String,
    pub origin: Origin,
}

/// The values that won, by key.
pub(super) type Layers = BTreeMap<String, Value>;

pub(super) fn read(options: &LoadOptions) -> Result<(Layers, Vec<Warning>), ConfigError> {
    let mut layers = Layers::new();
    let mut warnings = Vec::new();
    lay_file(&mut layers, &mut warnings, DEFAULT_FILE, &Origin::Default)?;

    let dot_env_path = options.working_dir.join(".env");
    let dot_env = match read_if_there(".env file", &dot_env_path)? {
        Some(text) => dotenv::parse(&text).map_err(|(line, reason)| ConfigError::NotDotEnv {
            path: dot_env_path,
            line,
            reason,
        })?,
        None => vec![],
    };
    if let Some((path, text)) = own_file(options, &dot_env)? {
        lay_file(&mut layers, &mut warnings, &text, &Origin::File(path))?;
    }
    lay_variables(&mut layers, &mut warnings, &dot_env, &Origin::DotEnv);
    lay_variables(&mut layers, &mut warnings, &options.environment, &Origin::Environment);
    Ok((layers, warnings))
}

/// The file that `STARSCREEN_CONFIG` names must be there; `starscreen.toml` may be.
fn own_file(options: &LoadOptions, dot_env: &[(String, String)]) -> Result<Option<(PathBuf, String)>, ConfigError> {
    let named = |layer: &[(String, String)]| {
        layer.iter().rev().find(|(name, value)| name == table::CONFIG_VARIABLE && !value.is_empty()).cloned()
    };
    let Some((_, path)) = named(&options.environment).or_else(|| named(dot_env)) else {
        let path = options.working_dir.join(OWN_FILE);
        return Ok(read_if_there("configuration file", &path)?.map(|text| (path, text)));
    };
    let path = options.working_dir.join(path);
    let text = fs::read_to_string(&path);
    let text =
        text.map_err(|source| ConfigError::Unreadable { what: "configuration file", path: path.clone(), source })?;
    Ok(Some((path, text)))
}

fn read_if_there(what: &'static str, path: &Path) -> Result<Option<String>, ConfigError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ConfigError::Unreadable { what, path: path.to_owned(), source }),
    }
}

fn lay_file(layers: &mut Layers, warnings: &mut Vec<Warning>, text: &str, origin: &Origin) -> Result<(), ConfigError> {
    let path = match origin {
        Origin::File(path) => path.clone(),
        Origin::Default | Origin::DotEnv | Origin::Environment => PathBuf::from("starscreen.default.toml"),
    };
    // The error's own text shows the line, and there may be a secret in it.
    let table: toml::Table = toml::from_str(text).map_err(|error| ConfigError::NotToml {
        line: error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1),
        reason: error.message().to_owned(),
        path: path.clone(),
    })?;
    let mut found = Vec::new();
    flatten("", table, &mut found);
    for (key, text) in found {
        match table::by_key(&key) {
            Some((setting, key)) => {
                lay(layers, setting, key.clone(), Value { text, name: key, origin: origin.clone() });
            }
            None => warnings.push(Warning::UnknownKey { path: path.clone(), key }),
        }
    }
    Ok(())
}

/// Dotted keys and values as text, the form that the environment has them in.
fn flatten(prefix: &str, table: toml::Table, found: &mut Vec<(String, String)>) {
    for (name, value) in table {
        let key = format!("{prefix}{name}");
        match value {
            toml::Value::Table(table) => flatten(&format!("{key}."), table, found),
            toml::Value::String(text) => found.push((key, text)),
            toml::Value::Array(items) => found.push((key, serde_json::to_string(&items).unwrap_or_default())),
            other => found.push((key, other.to_string())),
        }
    }
}

fn lay_variables(layers: &mut Layers, warnings: &mut Vec<Warning>, variables: &[(String, String)], origin: &Origin) {
    // An older name first, so that where both are set ours wins.
    let mut variables: Vec<&(String, String)> = variables.iter().collect();
    variables.sort_by_key(|(name, _)| name.starts_with(PREFIX));
    for (name, text) in variables {
        match (table::by_variable(name), origin) {
            (Some((setting, key)), _) => {
                lay(layers, setting, key, Value { text: text.clone(), name: name.clone(), origin: origin.clone() });
            }
            (None, Origin::DotEnv) => {
                warnings.push(Warning::UnknownVariable { origin: ".env", name: name.clone() });
            }
            (None, Origin::Environment) if name.starts_with(PREFIX) => {
                warnings.push(Warning::UnknownVariable { origin: "the environment", name: name.clone() });
            }
            // The rest of the environment is other programs' affair.
            (None, Origin::Environment | Origin::Default | Origin::File(_)) => {}
        }
    }
}

/// An empty value takes away what was set below, where a setting may be without one; a placeholder sets nothing.
fn lay(layers: &mut Layers, setting: &Setting, key: String, value: Value) {
    let text = value.text.trim();
    if is_placeholder(text) || (text.is_empty() && !setting.optional) {
        return;
    }
    let text = text.to_owned();
    layers.insert(key, Value { text, ..value });
}
