//! Every setting there is, in one table: what is read, what is unknown and what is shown comes from here.

use std::{
    net::SocketAddr,
    path::{Component, Path, PathBuf},
};

use secrecy::SecretString;

use super::{
    ConfigError, DatabaseSettings, Encryption, KeySettings, LogSettings, NatsSettings, ObjectsSettings, OpenAiSettings,
    Settings, StripeSettings, TokenSettings, UploadSettings, WorkerSettings, WrongValue,
    layers::{Layers, Origin},
    plans::{self, Plans},
    values,
};

/// Names the operator's own file, so it cannot stand in one.
pub(super) const CONFIG_VARIABLE: &str = "STARSCREEN_CONFIG";

/// Shortest secret that tokens may be signed with, in bytes: as long as what HMAC-SHA256 makes of it.
const MIN_SECRET_BYTES: usize = 32;

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

/// The settings while their values come in.
pub(super) struct Draft {
    settings: Settings,
    working_dir: PathBuf,
    plans: Vec<plans::Draft>,
    log_filter: Option<String>,
    log_level: &'static str,
}

const ROW: Setting =
    Setting { key: "", variable: "", about: "", allowed: "", optional: false, secret: false, set: |_, _| Some(()) };

pub(super) const TABLE: &[Setting] = &[
    Setting {
        key: "config",
        variable: CONFIG_VARIABLE,
        about: "Your own file of settings, laid over the defaults; without it starscreen.toml, if there is one.",
        optional: true,
        ..ROW
    },
    Setting {
        key: "listen",
        variable: "STARSCREEN_LISTEN",
        about: "Address and port that the server listens on; 0.0.0.0:8000 lets other machines in.",
        allowed: "it must be an IP address and a port, such as 127.0.0.1:8000",
        set: |draft, found| set(&mut draft.settings.listen, found.text.parse::<SocketAddr>().ok()),
        ..ROW
    },
    Setting {
        key: "data_dir",
        variable: "STARSCREEN_DATA_DIR",
        about: "Directory of everything that is kept; one server a directory.",
        allowed: "it must be a path",
        set: |draft, found| {
            let path = path(&draft.working_dir, found.text);
            set(&mut draft.settings.data_dir, Some(path))
        },
        ..ROW
    },
    Setting {
        key: "database_url",
        variable: "DATABASE_URL",
        about: "PostgreSQL to keep everything in, such as postgres://user:password@host/database. Without it the store \
            is embedded, in the data directory.",
        allowed: "it must begin with postgres:// or postgresql://",
        optional: true,
        secret: true, // it may hold a password
        set: |draft, found| set(&mut draft.settings.database.url, values::database_url(found.text).map(Some)),
    },
    Setting {
        key: "database_connections",
        variable: "STARSCREEN_DATABASE_CONNECTIONS",
        about: "Connections to PostgreSQL that one process may use.",
        allowed: "it must be a whole number from 8 to 500",
        set: |draft, found| set(&mut draft.settings.database.connections, values::number(found.text, 8..=500)),
        ..ROW
    },
    Setting {
        key: "nats_url",
        variable: "NATS_URL",
        about: "NATS server to distribute events with, such as nats://user:password@host:4222. Needs PostgreSQL; \
            without it everybody reads the events there.",
        allowed: "it must begin with nats:// or tls://",
        optional: true,
        secret: true, // it may hold a password
        set: |draft, found| set(&mut draft.settings.nats.url, values::nats_url(found.text).map(Some)),
    },
    Setting {
        key: "metrics_listen",
        variable: "STARSCREEN_METRICS_LISTEN",
        about: "Address and port of GET /metrics for Prometheus, in every part, such as 127.0.0.1:9464. Without it \
            there is none. Whoever reaches it reads it: keep it from outside.",
        allowed: "it must be an IP address and a port, such as 127.0.0.1:9464",
        optional: true,
        set: |draft, found| set(&mut draft.settings.metrics_listen, found.text.parse::<SocketAddr>().ok().map(Some)),
        ..ROW
    },
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
    Setting {
        key: "objects.url",
        variable: "STARSCREEN_OBJECTS_URL",
        about: "Bucket of S3, or of any store that speaks its interface, to keep files in, such as s3://bucket/prefix. \
            Without it they are kept in the data directory, which several servers then have to share.",
        allowed: "it must be a bucket with or without a prefix, such as s3://starscreen-files/production",
        optional: true,
        set: |draft, found| set(&mut draft.settings.objects.bucket, values::bucket(found.text).map(Some)),
        ..ROW
    },
    Setting {
        key: "objects.endpoint",
        variable: "STARSCREEN_OBJECTS_ENDPOINT",
        about: "Where the store is, if not at AWS, such as https://minio.internal:9000.",
        allowed: "it must be an address such as https://minio.internal:9000",
        optional: true,
        set: |draft, found| set(&mut draft.settings.objects.endpoint, values::base_url(found.text).map(Some)),
        ..ROW
    },
    Setting {
        key: "objects.public_endpoint",
        variable: "STARSCREEN_OBJECTS_PUBLIC_ENDPOINT",
        about: "Where clients reach the store for direct uploads, if they cannot reach it where this server does.",
        allowed: "it must be an address such as https://files.example.com",
        optional: true,
        set: |draft, found| set(&mut draft.settings.objects.public_endpoint, values::base_url(found.text).map(Some)),
        ..ROW
    },
    Setting {
        key: "objects.region",
        variable: "STARSCREEN_OBJECTS_REGION",
        about: "The bucket's region; requests are signed with it.",
        allowed: "it must be a region such as eu-central-1",
        set: |draft, found| set(&mut draft.settings.objects.region, values::region(found.text)),
        ..ROW
    },
    Setting {
        key: "objects.access_key",
        variable: "STARSCREEN_OBJECTS_ACCESS_KEY",
        about: "Name of the key to the store. Without it the key is looked for where AWS' own programs do: \
            AWS_ACCESS_KEY_ID, a web identity, the role of the machine.",
        allowed: "it must be a name without spaces of 1 to 128 characters",
        optional: true,
        set: |draft, found| set(&mut draft.settings.objects.access_key, values::key_name(found.text).map(Some)),
        ..ROW
    },
    Setting {
        key: "objects.secret_key",
        variable: "STARSCREEN_OBJECTS_SECRET_KEY",
        about: "The secret that goes with the access key.",
        optional: true,
        secret: true,
        set: |draft, found| set(&mut draft.settings.objects.secret_key, Some(Some(found.text.into()))),
        ..ROW
    },
    Setting {
        key: "objects.allow_http",
        variable: "STARSCREEN_OBJECTS_ALLOW_HTTP",
        about: "Whether the store may be spoken to without TLS; only where nobody can listen.",
        allowed: "it must be on or off",
        set: |draft, found| set(&mut draft.settings.objects.allow_http, values::switch(found.text)),
        ..ROW
    },
    Setting {
        key: "objects.encryption",
        variable: "STARSCREEN_OBJECTS_ENCRYPTION",
        about: "What the store is asked to encrypt files with, which are encrypted before they get there in any case: \
            none, AES256 or aws:kms.",
        allowed: "it must be none, AES256 or aws:kms",
        set: |draft, found| set(&mut draft.settings.objects.encryption, values::encryption(found.text)),
        ..ROW
    },
    Setting {
        key: "objects.kms_key",
        variable: "STARSCREEN_OBJECTS_KMS_KEY",
        about: "Key of aws:kms, by its id or ARN; without it the account's own.",
        allowed: "it must be a key's id or ARN without spaces",
        optional: true,
        set: |draft, found| set(&mut draft.settings.objects.kms_key, values::kms_key(found.text).map(Some)),
        ..ROW
    },
    Setting {
        key: "objects.timeout_seconds",
        variable: "STARSCREEN_OBJECTS_TIMEOUT_SECONDS",
        about: "How long storing or fetching one file may take, all tries together; then callers are told to come back.",
        allowed: "it must be a whole number of seconds from 1 to 60",
        set: |draft, found| set(&mut draft.settings.objects.timeout_seconds, values::number(found.text, 1..=60)),
        ..ROW
    },
    Setting {
        key: "objects.direct_uploads",
        variable: "STARSCREEN_OBJECTS_DIRECT_UPLOADS",
        about: "Whether clients may send a file straight to the bucket. Until it is taken in, or for two hours, it then \
            lies there as it was sent, not encrypted by this server.",
        allowed: "it must be on or off",
        set: |draft, found| set(&mut draft.settings.objects.direct_uploads, values::switch(found.text)),
        ..ROW
    },
    Setting {
        key: "uploads.max_file_bytes",
        variable: "STARSCREEN_UPLOADS_MAX_FILE_BYTES",
        about: "Largest resume file, in bytes.",
        allowed: "it must be a whole number of bytes from 1024 to 33554432 (32 MB, what the reader of files takes)",
        set: |draft, found| {
            set(&mut draft.settings.uploads.max_file_bytes, values::number(found.text, 1_024..=33_554_432))
        },
        ..ROW
    },
    Setting {
        key: "workers.extract_parallel",
        variable: "STARSCREEN_WORKERS_EXTRACT_PARALLEL",
        about: "Resumes that are read at the same time; each takes a core and up to 512 MB.",
        allowed: PARALLEL,
        set: |draft, found| set(&mut draft.settings.workers.extract_parallel, parallel(found)),
        ..ROW
    },
    Setting {
        key: "workers.rubric_parallel",
        variable: "STARSCREEN_WORKERS_RUBRIC_PARALLEL",
        about: "Rubrics that the model draws up at the same time.",
        allowed: PARALLEL,
        set: |draft, found| set(&mut draft.settings.workers.rubric_parallel, parallel(found)),
        ..ROW
    },
    Setting {
        key: "workers.score_parallel",
        variable: "STARSCREEN_WORKERS_SCORE_PARALLEL",
        about: "Resumes that the model grades at the same time; your OpenAI rate limit is the bound.",
        allowed: PARALLEL,
        set: |draft, found| set(&mut draft.settings.workers.score_parallel, parallel(found)),
        ..ROW
    },
    Setting {
        key: "workers.react_parallel",
        variable: "STARSCREEN_WORKERS_REACT_PARALLEL",
        about: "Reactions (a deleted job's candidates, a rubric that is ready at last) at the same time.",
        allowed: PARALLEL,
        set: |draft, found| set(&mut draft.settings.workers.react_parallel, parallel(found)),
        ..ROW
    },
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
    Setting {
        key: "stripe.api_key",
        variable: "STRIPE_API_KEY",
        about: "Key of the Stripe API. Without it nothing is billed.",
        optional: true,
        secret: true,
        set: |draft, found| set(&mut draft.settings.stripe.api_key, Some(Some(found.text.into()))),
        ..ROW
    },
    Setting {
        key: "stripe.webhook_secret",
        variable: "STRIPE_WEBHOOK_SECRET",
        about: "What Stripe signs its webhooks with; several, divided by commas, while one takes the place of another.",
        optional: true,
        secret: true,
        set: |draft, found| set(&mut draft.settings.stripe.webhook_secrets, Some(values::secrets(found.text))),
        ..ROW
    },
    Setting {
        key: "stripe.base_url",
        variable: "STRIPE_BASE_URL",
        about: "Where Stripe's API is.",
        allowed: "it must be an address such as https://api.stripe.com",
        set: |draft, found| set(&mut draft.settings.stripe.base_url, values::base_url(found.text)),
        ..ROW
    },
    Setting {
        key: "stripe.meter_event_name",
        variable: "STRIPE_METER_EVENT_NAME",
        about: "Name of the events of the meter at Stripe that counts candidates over the included ones.",
        allowed: "it must be a name of 1 to 64 characters",
        set: |draft, found| set(&mut draft.settings.stripe.meter_event_name, values::label(found.text)),
        ..ROW
    },
    Setting {
        key: "stripe.currency",
        variable: "STRIPE_CURRENCY",
        about: "Currency of the plans' prices.",
        allowed: "it must be the three letters of a currency, such as usd",
        set: |draft, found| set(&mut draft.settings.stripe.currency, values::currency(found.text)),
        ..ROW
    },
    Setting {
        key: "stripe.grace_days",
        variable: "STRIPE_GRACE_DAYS",
        about: "How long everything still works when an invoice is not paid, in days.",
        allowed: "it must be a whole number of days from 0 to 90",
        set: |draft, found| set(&mut draft.settings.stripe.grace_days, values::number(found.text, 0..=90)),
        ..ROW
    },
    Setting {
        key: "plans.*.display_name",
        variable: "STARSCREEN_PLANS_*_DISPLAY_NAME",
        about: "The plan's name as people read it.",
        allowed: "it must have 1 to 64 characters",
        set: |draft, found| set(&mut draft.plan(found.plan).display_name, values::label(found.text).map(Some)),
        ..ROW
    },
    Setting {
        key: "plans.*.monthly_limit",
        variable: "STARSCREEN_PLANS_*_MONTHLY_LIMIT",
        about: "Candidates that a billing period may take, or \"unlimited\".",
        allowed: "it must be a whole number of candidates, or unlimited",
        set: |draft, found| set(&mut draft.plan(found.plan).monthly_limit, values::limit(found.text).map(Some)),
        ..ROW
    },
    // Before the next, whose variable would match it too.
    Setting {
        key: "plans.*.overage_price",
        variable: "STARSCREEN_PLANS_*_OVERAGE_PRICE",
        about: "What each candidate over the included ones costs.",
        allowed: MONEY,
        optional: true,
        set: |draft, found| set(&mut draft.plan(found.plan).money.overage_price, values::money(found.text).map(Some)),
        ..ROW
    },
    Setting {
        key: "plans.*.price",
        variable: "STARSCREEN_PLANS_*_PRICE",
        about: "What the plan costs each month. Charged is what Stripe's price says.",
        allowed: MONEY,
        optional: true,
        set: |draft, found| set(&mut draft.plan(found.plan).money.price, values::money(found.text).map(Some)),
        ..ROW
    },
    Setting {
        key: "plans.*.price_annual",
        variable: "STARSCREEN_PLANS_*_PRICE_ANNUAL",
        about: "What the plan costs each year; without it it is not offered by the year.",
        allowed: MONEY,
        optional: true,
        set: |draft, found| set(&mut draft.plan(found.plan).money.price_annual, values::money(found.text).map(Some)),
        ..ROW
    },
    Setting {
        key: "plans.*.included",
        variable: "STARSCREEN_PLANS_*_INCLUDED",
        about: "Of an unlimited plan: candidates of a billing period that its price pays for; others are metered.",
        allowed: "it must be a whole number of candidates",
        optional: true,
        set: |draft, found| set(&mut draft.plan(found.plan).money.included, found.text.parse().ok().map(Some)),
        ..ROW
    },
    Setting {
        key: "plans.*.price_id_usage",
        variable: "STRIPE_PRICE_ID_*_USAGE",
        about: "Stripe's price for each candidate over the included ones.",
        allowed: PRICE,
        optional: true,
        set: |draft, found| set(&mut draft.plan(found.plan).money.price_id_usage, price(found).map(Some)),
        ..ROW
    },
    Setting {
        key: "plans.*.price_id_annual",
        variable: "STRIPE_PRICE_ID_*_ANNUAL",
        about: "Stripe's price of the plan, each year.",
        allowed: PRICE,
        optional: true,
        set: |draft, found| set(&mut draft.plan(found.plan).money.price_id_annual, price(found).map(Some)),
        ..ROW
    },
    // After the two before, which its variable would match too.
    Setting {
        key: "plans.*.price_id",
        variable: "STRIPE_PRICE_ID_*",
        about: "Stripe's price of the plan, each month.",
        allowed: PRICE,
        optional: true,
        set: |draft, found| set(&mut draft.plan(found.plan).money.price_id, price(found).map(Some)),
        ..ROW
    },
];

/// Older names of variables that set the same.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("FREE_TIER_CANDIDATE_LIMIT", "STARSCREEN_PLANS_FREE_MONTHLY_LIMIT"),
    ("STRIPE_PRICE_ID_ENTERPRISE_BASE", "STRIPE_PRICE_ID_ENTERPRISE"),
];

const PARALLEL: &str = "it must be a whole number from 1 to 64";
const MONEY: &str = "it must be an amount such as 20 or 0.25, without a currency";
const PRICE: &str = "it must be a price's id, such as price_1Mo";

fn parallel(found: &Found<'_>) -> Option<usize> {
    values::number(found.text, 1..=64)
}

fn price(found: &Found<'_>) -> Option<String> {
    found.text.starts_with("price_").then(|| found.text.to_owned())
}

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
    let settings = TABLE.iter().filter(|setting| setting.variable != CONFIG_VARIABLE);
    settings.into_iter().find_map(|setting| {
        let code = starred(setting.key, key)?;
        Some((setting, setting.key.replace('*', &code)))
    })
}

/// The setting that a variable means, and its key.
pub(super) fn by_variable(name: &str) -> Option<(&'static Setting, String)> {
    let name = OTHER_NAMES.iter().find(|(other, _)| *other == name).map_or(name, |(_, ours)| ours);
    TABLE.iter().find_map(|setting| {
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
    for setting in TABLE {
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

impl Draft {
    /// Blank: the default file fills every place.
    fn new(working_dir: &Path) -> Self {
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

    fn plan(&mut self, code: &str) -> &mut plans::Draft {
        let at = self.plans.iter().position(|plan| plan.code == code).unwrap_or_else(|| {
            self.plans.push(plans::Draft { code: code.to_owned(), ..plans::Draft::default() });
            self.plans.len() - 1
        });
        &mut self.plans[at]
    }

    fn finish(self, described: Vec<Described>) -> Result<Settings, ConfigError> {
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
