//! The settings while their values come in: every place blank, then filled, then looked at as a whole.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use super::Described;
use crate::config::{
    ConfigError, DatabaseSettings, Encryption, KeySettings, LogSettings, NatsSettings, ObjectsSettings, OpenAiSettings,
    Settings, StripeSettings, TokenSettings, UploadSettings, WorkerSettings,
    plans::{self, Plans},
};

pub(in crate::config) struct Draft {
    pub(super) settings: Settings,
    pub(super) working_dir: PathBuf,
    pub(super) plans: Vec<plans::Draft>,
    pub(super) log_filter: Option<String>,
    pub(super) log_level: &'static str,
}

impl Draft {
    /// Blank: the default file fills every place.
    pub(super) fn new(working_dir: &Path) -> Self {
        Self {
            settings: Settings {
                listen: SocketAddr::from(([127, 0, 0, 1], 0)),
                data_dir: PathBuf::new(),
                database: DatabaseSettings { url: None, connections: 0 },
                nats: NatsSettings::default(),
                metrics_listen: None,
                rate_limits: false,
                cors_origins: vec![],
                frontend_url: String::new(),
                log: LogSettings { filter: String::new(), json: false },
                tokens: TokenSettings { access_minutes: 0, refresh_days: 0, secret: None },
                keys: KeySettings::default(),
                objects: ObjectsSettings {
                    bucket: None,
                    endpoint: None,
                    public_endpoint: None,
                    region: String::new(),
                    access_key: None,
                    secret_key: None,
                    allow_http: false,
                    encryption: Encryption::None,
                    kms_key: None,
                    timeout_seconds: 0,
                    direct_uploads: false,
                },
                uploads: UploadSettings { max_file_bytes: 0 },
                workers: WorkerSettings {
                    extract_parallel: 0,
                    rubric_parallel: 0,
                    score_parallel: 0,
                    react_parallel: 0,
                },
                openai: OpenAiSettings {
                    api_key: None,
                    base_url: String::new(),
                    model: String::new(),
                    temperature: 0.0,
                    timeout_seconds: 0,
                },
                stripe: StripeSettings {
                    api_key: None,
                    webhook_secrets: vec![],
                    base_url: String::new(),
                    meter_event_name: String::new(),
                    currency: String::new(),
                    grace_days: 0,
                    reconcile_seconds: 0,
                },
                plans: Plans::default(),
                described: vec![],
            },
            working_dir: working_dir.to_owned(),
            plans: vec![],
            log_filter: None,
            log_level: "info",
        }
    }

    pub(super) fn plan(&mut self, code: &str) -> &mut plans::Draft {
        let at = self.plans.iter().position(|plan| plan.code == code).unwrap_or_else(|| {
            self.plans.push(plans::Draft { code: code.to_owned(), ..plans::Draft::default() });
            self.plans.len() - 1
        });
        &mut self.plans[at]
    }

    pub(super) fn finish(self, described: Vec<Described>) -> Result<Settings, ConfigError> {
        let Self { mut settings, plans, log_filter, log_level, .. } = self;
        settings.log.filter = log_filter.unwrap_or_else(|| crate::telemetry::default_filter(log_level));
        if settings.nats.url.is_some() && settings.database.url.is_none() {
            return Err(ConfigError::NatsWithoutDatabase);
        }
        if let Some(reason) = settings.objects.contradiction() {
            return Err(ConfigError::Objects(reason));
        }
        settings.plans = Plans::from_drafts(plans, &settings.stripe.currency)?;
        settings.described = described;
        Ok(settings)
    }
}
