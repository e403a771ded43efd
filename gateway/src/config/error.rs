use std::{fmt, io, path::PathBuf};

/// Why there are no settings to start with. No text in here holds a secret's value.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{what} {} cannot be read", path.display())]
    Unreadable {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{}:{line} is not TOML: {reason}", path.display())]
    NotToml { path: PathBuf, line: usize, reason: String },
    #[error("{}:{line} is not NAME=value: {reason}", path.display())]
    NotDotEnv { path: PathBuf, line: usize, reason: &'static str },
    /// All of them, so that one start finds them all.
    #[error("{}", Sentences(.0))]
    Wrong(Vec<WrongValue>),
    #[error("plan \"{code}\" has no {key}; every plan has a display_name and a monthly_limit")]
    IncompletePlan { code: String, key: &'static str },
    #[error(
        "NATS_URL is set without DATABASE_URL; events are distributed from PostgreSQL: set DATABASE_URL, or unset NATS_URL"
    )]
    NatsWithoutDatabase,
    /// Settings of the object store that do not go together.
    #[error("{0}")]
    Objects(&'static str),
}

/// One value that is not allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongValue {
    /// As it was set: a variable's name or a key of a file.
    pub name: String,
    /// Where it was set.
    pub origin: String,
    /// `None`: the value is a secret.
    pub value: Option<String>,
    /// What is allowed instead, or what to do.
    pub allowed: String,
}

impl fmt::Display for WrongValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, origin, value, allowed } = self;
        match value {
            Some(value) => write!(f, "{name} is {value:?} ({origin}), but {allowed}"),
            None => write!(f, "{name} is wrong ({origin}, value not shown): {allowed}"),
        }
    }
}

struct Sentences<'a>(&'a [WrongValue]);

impl fmt::Display for Sentences<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, wrong) in self.0.iter().enumerate() {
            let divider = if index == 0 { "" } else { "; " };
            write!(f, "{divider}{wrong}")?;
        }
        Ok(())
    }
}

/// Something that was set and has no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    #[error("{} has the unknown key {key}, which has no effect", path.display())]
    UnknownKey { path: PathBuf, key: String },
    #[error("{origin} has the unknown setting {name}, which has no effect")]
    UnknownVariable { origin: &'static str, name: String },
}
