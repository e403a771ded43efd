//! What an operator can set, and where each value came from.
//!
//! The commented default file, a file of the operator's own, `.env` and the environment are laid over one another, the
//! later ones winning. All of it goes through one table, so that what is parsed, what is called unknown and
//! what is shown can never differ. A wrong value refuses to start: a server that runs with half of what was asked for
//! is found out too late.

mod dotenv;
mod error;
mod layers;
mod plans;
mod table;
#[cfg(test)]
mod tests;
mod values;

use std::{net::SocketAddr, path::PathBuf};

use chrono::TimeDelta;
use secrecy::{ExposeSecret, SecretString};
use starscreen_commands::catalog::Catalog;

use layers::Origin;

pub use error::{ConfigError, Warning, WrongValue};
pub use layers::LoadOptions;
pub use plans::{Plan, PlanMoney, Plans};
pub use table::Described;

/// The defaults, with every key explained; also the documentation of them.
pub const DEFAULT_FILE: &str = include_str!("../../../starscreen.default.toml");

/// Everything that can be set, checked and in the units it is used in.
#[derive(Clone, Debug)]
pub struct Settings {
    pub listen: SocketAddr,
    pub data_dir: PathBuf,
    pub database: DatabaseSettings,
    pub nats: NatsSettings,
    /// `None`: metrics are told to nobody.
    pub metrics_listen: Option<SocketAddr>,
    /// Accepted and kept; there are no limits yet.
    pub rate_limits: bool,
    /// Origins whose pages may call the API from a browser, as browsers write them, or `*`.
    pub cors_origins: Vec<String>,
    /// Where people find the web pages; links in mails begin with it.
    pub frontend_url: String,
    pub log: LogSettings,
    pub tokens: TokenSettings,
    pub keys: KeySettings,
    pub objects: ObjectsSettings,
    pub uploads: UploadSettings,
    pub workers: WorkerSettings,
    pub openai: OpenAiSettings,
    pub stripe: StripeSettings,
    pub plans: Plans,
    described: Vec<Described>,
}

#[derive(Clone, Debug)]
pub struct DatabaseSettings {
    /// `None`: the store is embedded.
    pub url: Option<SecretString>,
    /// Of one process, at most.
    pub connections: u32,
}

#[derive(Clone, Debug, Default)]
pub struct NatsSettings {
    /// `None`: events are read from the database.
    pub url: Option<SecretString>,
    pub max_bytes: u64,
    pub max_age_days: u32,
    pub replicas: usize,
    /// `None`: no analytics client is let in.
    pub callout_seed: Option<SecretString>,
    pub callout_password: Option<SecretString>,
    pub sys_password: Option<SecretString>,
}

#[derive(Clone, Debug)]
pub struct LogSettings {
    /// Directives as `tracing_subscriber::EnvFilter` reads them.
    pub filter: String,
    /// One JSON object a line instead of text.
    pub json: bool,
}

#[derive(Clone, Debug)]
pub struct TokenSettings {
    pub access_minutes: u32,
    pub refresh_days: u32,
    /// `None`: one is made at first start and kept in the data directory.
    pub secret: Option<SecretString>,
}

/// Where the master key comes from; without either, from the data directory.
#[derive(Clone, Debug, Default)]
pub struct KeySettings {
    /// 32 bytes in base64.
    pub master: Option<SecretString>,
    /// A file that holds the same.
    pub master_file: Option<PathBuf>,
}

/// Where files and texts lie.
#[derive(Clone, Debug)]
pub struct ObjectsSettings {
    /// `None`: in the data directory.
    pub bucket: Option<Bucket>,
    /// `None`: AWS.
    pub endpoint: Option<String>,
    /// `None`: the same for clients.
    pub public_endpoint: Option<String>,
    pub region: String,
    /// `None`: what AWS' own programs would find.
    pub access_key: Option<String>,
    pub secret_key: Option<SecretString>,
    pub allow_http: bool,
    pub encryption: Encryption,
    /// `None`: the account's own.
    pub kms_key: Option<String>,
    /// Of one call, all tries together.
    pub timeout_seconds: u64,
    pub direct_uploads: bool,
}

/// A bucket and what all names in it begin with, which may be nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    pub name: String,
    pub prefix: String,
}

/// What the store is asked to encrypt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    None,
    Aes256,
    Kms,
}

impl ObjectsSettings {
    /// What does not go together.
    fn contradiction(&self) -> Option<&'static str> {
        let plain = |endpoint: &Option<String>| endpoint.as_ref().is_some_and(|url| url.starts_with("http://"));
        if self.bucket.is_none() {
            return self.direct_uploads.then_some(
                "STARSCREEN_OBJECTS_DIRECT_UPLOADS is on without STARSCREEN_OBJECTS_URL; clients can send files \
                 straight only to a bucket: set one, or turn it off",
            );
        }
        if self.access_key.is_some() != self.secret_key.is_some() {
            return Some(
                "only one of STARSCREEN_OBJECTS_ACCESS_KEY and STARSCREEN_OBJECTS_SECRET_KEY is set; set both, or \
                 neither to use what AWS' own programs find",
            );
        }
        if !self.allow_http && (plain(&self.endpoint) || plain(&self.public_endpoint)) {
            return Some(
                "the address of the object store begins with http://, which everybody on the way can read; use \
                 https://, or allow it with STARSCREEN_OBJECTS_ALLOW_HTTP=on where nobody can listen",
            );
        }
        (self.kms_key.is_some() && self.encryption != Encryption::Kms).then_some(
            "STARSCREEN_OBJECTS_KMS_KEY is set, but STARSCREEN_OBJECTS_ENCRYPTION is not aws:kms; set it so, or unset \
             the key",
        )
    }
}

#[derive(Clone, Debug)]
pub struct UploadSettings {
    pub max_file_bytes: u64,
}

/// Work items of each lane that are in hand at the same time.
#[derive(Clone, Debug)]
pub struct WorkerSettings {
    pub extract_parallel: usize,
    pub rubric_parallel: usize,
    pub score_parallel: usize,
    pub react_parallel: usize,
}

#[derive(Clone, Debug)]
pub struct OpenAiSettings {
    /// `None`: resumes are scored offline.
    pub api_key: Option<SecretString>,
    pub base_url: String,
    pub model: String,
    /// For rubrics, 0 to 2; lower repeats itself more.
    pub temperature: f32,
    /// Of one call.
    pub timeout_seconds: u64,
}

#[derive(Clone, Debug, Default)]
pub struct StripeSettings {
    pub api_key: Option<SecretString>,
    /// Those of a rotation; any of them is right.
    pub webhook_secrets: Vec<SecretString>,
    pub base_url: String,
    pub meter_event_name: String,
    /// Lower case.
    pub currency: String,
    pub grace_days: u32,
    pub reconcile_seconds: u64,
}

impl StripeSettings {
    /// Whether the key is one for real money; `None`: there is none, or it does not say.
    pub fn livemode(&self) -> Option<bool> {
        let key = self.api_key.as_ref()?.expose_secret();
        let is_of = |mode: &str| ["sk", "rk"].iter().any(|kind| key.starts_with(&format!("{kind}_{mode}_")));
        if is_of("live") { Some(true) } else { is_of("test").then_some(false) }
    }
}

/// Whether an environment variable of this name sets anything.
pub fn is_setting(variable: &str) -> bool {
    table::by_variable(variable).is_some()
}

impl Settings {
    /// Lays the layers over one another and checks every value; depends on nothing but `options` and the files it
    /// names.
    ///
    /// # Errors
    /// A [`ConfigError`] that says what is wrong, where it was set and what is allowed.
    pub fn load(options: &LoadOptions) -> Result<(Self, Vec<Warning>), ConfigError> {
        let (layers, warnings) = layers::read(options)?;
        let settings = table::settle(&options.working_dir, &layers)?;
        Ok((settings, warnings))
    }

    /// Every key with its value in force and where that was set; of secrets only whether they are set.
    pub fn describe(&self) -> &[Described] {
        &self.described
    }

    /// Whether anybody said what to log, instead of the defaults.
    pub fn sets_log(&self) -> bool {
        let default = Origin::Default.to_string();
        let said = |described: &&Described| described.key == "log.filter" || described.key == "log.level";
        self.described.iter().filter(said).any(|described| described.origin != default)
    }

    pub fn plan(&self, code: &str) -> Option<&Plan> {
        self.plans.get(code)
    }

    pub fn catalog(&self) -> Catalog {
        let offers = self.plans.iter().flat_map(Plan::offers).collect();
        Catalog { offers, grace: TimeDelta::days(self.stripe.grace_days.into()) }
    }
}
