use std::fs;

use secrecy::ExposeSecret;
use starscreen_commands::ports::Prices;
use starscreen_domain::subscription::Interval;

use super::*;
use crate::data_dir::ScratchDir;

const SECRET: &str = "3f1e0c9b7a5d42688ac1e2f3049586b7c8d9eaf0b1c2d3e4f5061728394a5b6c";

/// A working directory with the files that a test puts there.
struct Given {
    scratch: ScratchDir,
    environment: Vec<(String, String)>,
}

fn nothing() -> Given {
    Given { scratch: ScratchDir::new(), environment: vec![] }
}

impl Given {
    fn file(self, name: &str, text: &str) -> Self {
        fs::write(self.scratch.path().join(name), text).unwrap();
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    fn load(&self) -> Result<(Settings, Vec<Warning>), ConfigError> {
        let working_dir = self.scratch.path().to_owned();
        Settings::load(&LoadOptions { working_dir, environment: self.environment.clone() })
    }

    fn settings(&self) -> Settings {
        self.load().unwrap().0
    }

    fn refusal(&self) -> String {
        self.load().unwrap_err().to_string()
    }

    fn warnings(&self) -> Vec<String> {
        self.load().unwrap().1.iter().map(ToString::to_string).collect()
    }
}

fn described<'a>(settings: &'a Settings, key: &str) -> &'a Described {
    settings.describe().iter().find(|described| described.key == key).unwrap()
}

fn exposed(secret: Option<&SecretString>) -> Option<&str> {
    secret.map(ExposeSecret::expose_secret)
}

#[test]
fn nothing_has_to_be_set() {
    let given = nothing();
    let (settings, warnings) = given.load().unwrap();
    assert_eq!(warnings, []);
    assert_eq!(settings.listen, "127.0.0.1:8000".parse().unwrap());
    assert_eq!(settings.data_dir, given.scratch.path().join("data"));
    assert_eq!((settings.tokens.access_minutes, settings.tokens.refresh_days), (30, 7));
    assert!(settings.tokens.secret.is_none() && settings.openai.api_key.is_none() && settings.keys.master.is_none());
    assert_eq!(settings.uploads.max_file_bytes, 10 * 1024 * 1024);
    assert_eq!((settings.openai.model.as_str(), settings.openai.temperature), ("gpt-4o", 0.2));
    assert!(settings.rate_limits && !settings.log.json && settings.cors_origins.is_empty());
    assert!(settings.log.filter.starts_with("info,") && settings.log.filter.contains("sqlx=warn"));
}

#[test]
fn the_plans_are_those_of_the_price_list() {
    let settings = nothing().settings();
    let plans: Vec<(&str, Option<u32>)> =
        settings.plans.iter().map(|plan| (plan.code.as_str(), plan.monthly_limit)).collect();
    assert_eq!(
        plans,
        [
            ("free", Some(5)),
            ("starter", Some(100)),
            ("small_business", Some(250)),
            ("professional", Some(1_000)),
            ("enterprise", None),
        ]
    );
    let enterprise = settings.plan("ENTERPRISE").unwrap();
    assert!(enterprise.metered());
    assert_eq!(enterprise.terms().display_name, "Enterprise");
    assert!(!settings.plan("Small_Business").unwrap().metered());
    assert!(settings.plan("platinum").is_none());
}

#[test]
fn the_guides_env_file_works_as_it_is() {
    let env = "OPENAI_API_KEY=sk-proj-abc\nOPENAI_MODEL=gpt-4o-mini\nOPENAI_TEMPERATURE=0\n\
        SECRET_KEY=3f1e0c9b7a5d42688ac1e2f3049586b7c8d9eaf0b1c2d3e4f5061728394a5b6c  # openssl\nALGORITHM=HS256\n\
        ACCESS_TOKEN_EXPIRE_MINUTES=15\nREFRESH_TOKEN_EXPIRE_DAYS=30\nSTRIPE_API_KEY=sk_test_1\n\
        STRIPE_WEBHOOK_SECRET=whsec_1\nSTRIPE_PRICE_ID_STARTER=price_1\nSTRIPE_PRICE_ID_SMALL_BUSINESS=price_2\n\
        STRIPE_PRICE_ID_PROFESSIONAL=price_3\nSTRIPE_PRICE_ID_ENTERPRISE_BASE=price_4\n\
        STRIPE_PRICE_ID_ENTERPRISE_USAGE=price_5\nFREE_TIER_CANDIDATE_LIMIT=10\n\
        BACKEND_CORS_ORIGINS=[\"http://localhost:3000\"]\nLOG_LEVEL=DEBUG\nJSON_LOGS=true\n\
        FRONTEND_URL=https://starscreen.example.com/\n";
    let (settings, warnings) = nothing().file(".env", env).load().unwrap();
    assert_eq!(warnings, []);
    assert_eq!(exposed(settings.openai.api_key.as_ref()), Some("sk-proj-abc"));
    assert_eq!((settings.openai.model.as_str(), settings.openai.temperature), ("gpt-4o-mini", 0.0));
    assert_eq!(exposed(settings.tokens.secret.as_ref()), Some(SECRET));
    assert_eq!((settings.tokens.access_minutes, settings.tokens.refresh_days), (15, 30));
    assert_eq!(exposed(settings.stripe.api_key.as_ref()), Some("sk_test_1"));
    assert_eq!(exposed(settings.stripe.webhook_secrets.first()), Some("whsec_1"));
    let catalog = settings.catalog();
    let paid = |code: &str| catalog.offer(code, Interval::Monthly).unwrap().prices.clone();
    let prices =
        |base: &str, usage: Option<&str>| Some(Prices { base: base.to_owned(), usage: usage.map(str::to_owned) });
    assert_eq!(paid("starter"), prices("price_1", None));
    assert_eq!(paid("small_business"), prices("price_2", None));
    assert_eq!(paid("professional"), prices("price_3", None));
    assert_eq!(paid("enterprise"), prices("price_4", Some("price_5")));
    assert_eq!(paid("free"), None);
    assert_eq!(settings.plan("FREE").unwrap().monthly_limit, Some(10));
    assert_eq!(settings.cors_origins, ["http://localhost:3000"]);
    assert!(settings.log.filter.starts_with("debug,") && settings.log.json);
    assert_eq!(settings.frontend_url, "https://starscreen.example.com");
}

#[test]
fn the_guides_placeholders_count_as_not_set() {
    let seed = "OPENAI_API_KEY=sk-proj-YOUR_KEY_HERE\nSECRET_KEY=YOUR_SECRET_KEY_HERE  # Generate with: openssl\n\
        STRIPE_API_KEY=sk_test_YOUR_KEY_HERE\nSTRIPE_WEBHOOK_SECRET=whsec_YOUR_SECRET_HERE\n\
        STRIPE_PRICE_ID_STARTER=price_...\n";
    let (settings, warnings) = nothing().file(".env", seed).load().unwrap();
    assert_eq!(warnings, []);
    assert!(settings.openai.api_key.is_none() && settings.tokens.secret.is_none());
    assert!(settings.stripe.api_key.is_none() && settings.stripe.webhook_secrets.is_empty());
    assert!(settings.plan("starter").unwrap().money.price_id.is_none());

    // docker run --env-file keeps the comment, which makes the placeholder long enough for a secret.
    let with_comment = "YOUR_SECRET_KEY_HERE  # Generate with: openssl rand -hex 32";
    assert!(nothing().variable("SECRET_KEY", with_comment).settings().tokens.secret.is_none());
}

#[test]
fn the_later_layer_wins() {
    let origin = |given: &Given| described(&given.settings(), "listen").origin.clone();
    let port = |given: &Given| given.settings().listen.port();
    let mut given = nothing();
    assert_eq!((port(&given), origin(&given).as_str()), (8_000, "default"));
    given = given.file("starscreen.toml", "listen = \"127.0.0.1:8001\"");
    assert_eq!(port(&given), 8_001);
    assert!(origin(&given).ends_with("starscreen.toml"));
    given = given.file(".env", "STARSCREEN_LISTEN=127.0.0.1:8002");
    assert_eq!((port(&given), origin(&given).as_str()), (8_002, ".env"));
    given = given.variable("STARSCREEN_LISTEN", "127.0.0.1:8003");
    assert_eq!((port(&given), origin(&given).as_str()), (8_003, "environment"));
}

#[test]
fn starscreen_config_names_the_file_instead() {
    let given = nothing()
        .file("starscreen.toml", "listen = \"127.0.0.1:8001\"")
        .file("mine.toml", "listen = \"127.0.0.1:8009\"")
        .file("others.toml", "listen = \"127.0.0.1:8010\"")
        .file(".env", "STARSCREEN_CONFIG=mine.toml");
    assert_eq!(given.settings().listen.port(), 8_009);
    let given = given.variable("STARSCREEN_CONFIG", "others.toml");
    assert_eq!(given.settings().listen.port(), 8_010);

    let refusal = nothing().variable("STARSCREEN_CONFIG", "nowhere.toml").refusal();
    assert!(
        refusal.starts_with("configuration file ") && refusal.ends_with("nowhere.toml cannot be read"),
        "{refusal}"
    );
}

/// The settings as Debug shows them, without their descriptions and the directory that differs with each test.
fn placed(given: &Given) -> String {
    let shown = format!("{:?}", given.settings());
    let (values, _) = shown.split_once("described").unwrap();
    values.replace(&given.scratch.path().display().to_string(), "")
}

#[test]
fn every_key_can_be_set_by_file_and_by_variable() {
    let examples = [
        ("listen", "0.0.0.0:9000"),
        ("data_dir", "/var/lib/starscreen"),
        ("rate_limits", "off"),
        ("frontend_url", "https://a.example"),
        ("cors_origins", "https://a.example,https://b.example"),
        ("log.level", "warn"),
        ("log.filter", "info,starscreen=debug"),
        ("log.json", "on"),
        ("tokens.secret", SECRET),
        ("tokens.algorithm", "HS256"),
        ("tokens.access_minutes", "5"),
        ("tokens.refresh_days", "1"),
        ("keys.master", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="),
        ("keys.master_file", "/run/secrets/master"),
        ("objects.url", "s3://files/production"),
        ("objects.endpoint", "https://minio.internal:9000"),
        ("objects.public_endpoint", "https://files.example.com"),
        ("objects.region", "eu-central-1"),
        ("objects.access_key", "AKIAEXAMPLE"),
        ("objects.secret_key", "hunter2"),
        ("objects.allow_http", "on"),
        ("objects.encryption", "AES256"),
        ("objects.kms_key", "arn:aws:kms:eu-central-1:1:key/2"),
        ("objects.timeout_seconds", "7"),
        ("uploads.max_file_bytes", "5000000"),
        ("workers.extract_parallel", "1"),
        ("workers.rubric_parallel", "2"),
        ("workers.score_parallel", "3"),
        ("workers.react_parallel", "5"),
        ("openai.api_key", "sk-1"),
        ("openai.base_url", "http://127.0.0.1:9999/v1"),
        ("openai.model", "gpt-5"),
        ("openai.temperature", "1.5"),
        ("openai.timeout_seconds", "90"),
        ("stripe.api_key", "sk_1"),
        ("stripe.webhook_secret", "whsec_1"),
        ("stripe.base_url", "http://127.0.0.1:12111"),
        ("stripe.meter_event_name", "candidates"),
        ("stripe.currency", "eur"),
        ("stripe.grace_days", "3"),
        ("stripe.reconcile_seconds", "600"),
        ("database_connections", "12"),
        ("metrics_listen", "127.0.0.1:9465"),
        ("nats.max_bytes", "1048577"),
        ("nats.max_age_days", "7"),
        ("nats.replicas", "3"),
        ("nats.callout_seed", "SAANDLKMXL6CUS3CP52WIXBEDN6YJ545GDKC65U5JZPPV6WH6ESWUA6YAI"),
        ("nats.callout_password", "callout"),
        ("nats.sys_password", "sys"),
        ("plans.free.display_name", "Trial"),
        ("plans.small_business.monthly_limit", "251"),
        ("plans.starter.price", "21"),
        ("plans.free.price_annual", "200.50"),
        ("plans.free.included", "7"),
        ("plans.free.overage_price", "0.25"),
        ("plans.free.price_id", "price_1"),
        ("plans.free.price_id_annual", "price_1"),
        ("plans.free.price_id_usage", "price_1"),
    ];
    let covered = |setting: &&table::Setting| {
        let shown = setting.key.replace('*', "");
        examples.iter().any(|(key, _)| {
            *key == setting.key || (shown != setting.key && shown.split("..").all(|part| key.contains(part)))
        })
    };
    let left: Vec<&str> = table::settings().filter(|setting| !covered(setting)).map(|setting| setting.key).collect();
    let elsewhere = ["config", "database_url", "nats_url", "objects.direct_uploads"];
    assert_eq!(left, elsewhere, "settings without an example here");

    for (key, value) in examples {
        let variable = described(&nothing().settings(), key).variable.clone();
        let by_file = nothing().file("starscreen.toml", &format!("{key} = {value:?}"));
        let by_variable = nothing().variable(&variable, value);
        for given in [by_file, by_variable] {
            let (settings, warnings) = given.load().unwrap();
            assert_eq!(warnings, [], "{key}");
            let described = described(&settings, key);
            assert_ne!(described.origin, "default", "{key}");
            let secret = table::settings().any(|setting| setting.key == key && setting.secret);
            assert_eq!(described.value, if secret { "set, not shown" } else { value });
            // Debug shows whether the value got where it belongs; of secrets that there is one.
            let changed = placed(&given);
            let before = placed(&nothing());
            assert!(changed != before || key == "tokens.algorithm", "{key} changes nothing");
        }
    }
}

#[test]
fn numbers_switches_and_lists_may_be_written_as_toml_has_them() {
    let own = "rate_limits = false\ncors_origins = [\"https://a.example\"]\n[openai]\ntemperature = 1\n\
        [plans.free]\nmonthly_limit = 1_000\n[plans.starter]\nmonthly_limit = \"unlimited\"";
    let settings = nothing().file("starscreen.toml", own).settings();
    assert!(!settings.rate_limits);
    assert_eq!(settings.cors_origins, ["https://a.example"]);
    assert_eq!(settings.openai.temperature.to_string(), "1");
    assert_eq!(settings.plan("free").unwrap().monthly_limit, Some(1_000));
    assert!(settings.plan("starter").unwrap().metered());
    assert_eq!(settings.plan("free").unwrap().display_name, "Free", "what a file leaves out stays");
}

#[test]
fn amounts_are_read_as_people_write_them() {
    let price = |text: &str| nothing().variable("STARSCREEN_PLANS_STARTER_PRICE", text).settings();
    let amount = |text: &str| price(text).plan("starter").unwrap().money.price;
    assert_eq!([amount("20"), amount("0.25"), amount("19.9")], [Some(2_000), Some(25), Some(1_990)]);
    for wrong in ["$20", "20.001", ".5", "-1", "20.", "1e3", "43000000"] {
        let refusal = nothing().variable("STARSCREEN_PLANS_STARTER_PRICE", wrong).refusal();
        assert!(refusal.contains("it must be an amount such as 20 or 0.25"), "{refusal}");
    }
}

#[test]
fn the_key_of_stripe_says_whether_money_is_moved() {
    for (key, livemode) in
        [("sk_live_1", Some(true)), ("rk_live_1", Some(true)), ("sk_test_1", Some(false)), ("other", None)]
    {
        assert_eq!(nothing().variable("STRIPE_API_KEY", key).settings().stripe.livemode(), livemode, "{key}");
    }
}

#[test]
fn a_plan_is_offered_by_the_year_where_it_has_a_price_for_it() {
    let settings = nothing().variable("STRIPE_PRICE_ID_STARTER_ANNUAL", "price_a").settings();
    let catalog = settings.catalog();
    let annual = catalog.offer("starter", Interval::Annual).unwrap();
    assert_eq!(annual.prices.as_ref().unwrap().base, "price_a");
    assert!(catalog.offer("small_business", Interval::Annual).is_none());
}

#[test]
fn what_is_metered_by_a_price_of_its_own_includes_nothing_unless_it_is_said() {
    let included = |given: Given| given.settings().plan("enterprise").unwrap().terms().included;
    assert_eq!(included(nothing()), None);
    let metered = || nothing().variable("STRIPE_PRICE_ID_ENTERPRISE_USAGE", "price_u");
    assert_eq!(included(metered()), Some(0));
    assert_eq!(included(metered().variable("STARSCREEN_PLANS_ENTERPRISE_INCLUDED", "500")), Some(500));
}

#[test]
fn a_plan_of_ones_own_is_another_table() {
    let own = "[plans.PILOT]\ndisplay_name = \"Pilot\"\nmonthly_limit = 20";
    let given = nothing().file("starscreen.toml", own).variable("STARSCREEN_PLANS_PILOT_MONTHLY_LIMIT", "30");
    let pilot = given.settings().plan("Pilot").cloned().unwrap();
    assert_eq!((pilot.code.as_str(), pilot.monthly_limit), ("pilot", Some(30)));

    let refusal = nothing().variable("STARSCREEN_PLANS_FRE_MONTHLY_LIMIT", "30").refusal();
    assert_eq!(refusal, "plan \"fre\" has no display_name; every plan has a display_name and a monthly_limit");
}

#[test]
fn an_older_name_yields_to_ours() {
    let given =
        nothing().variable("STARSCREEN_PLANS_FREE_MONTHLY_LIMIT", "7").variable("FREE_TIER_CANDIDATE_LIMIT", "10");
    assert_eq!(given.settings().plan("free").unwrap().monthly_limit, Some(7));
}

#[test]
fn an_empty_value_takes_away_what_was_set_below() {
    let given = nothing()
        .file(".env", "OPENAI_API_KEY=sk-1\nBACKEND_CORS_ORIGINS=*\nSTARSCREEN_LISTEN=127.0.0.1:8002")
        .variable("OPENAI_API_KEY", "")
        .variable("BACKEND_CORS_ORIGINS", "")
        .variable("STARSCREEN_LISTEN", "");
    let settings = given.settings();
    assert!(settings.openai.api_key.is_none() && settings.cors_origins.is_empty());
    assert_eq!(settings.listen.port(), 8_002, "what must have a value keeps the one below");
}

#[test]
fn a_wrong_value_is_refused_with_its_name_its_value_and_what_is_allowed() {
    let refusal = nothing().variable("STARSCREEN_LISTEN", "8000").refusal();
    assert_eq!(
        refusal,
        "STARSCREEN_LISTEN is \"8000\" (environment), but it must be an IP address and a port, such as 127.0.0.1:8000"
    );
    let wrong = [
        ("STARSCREEN_RATE_LIMITS", "maybe", "on or off"),
        ("ALGORITHM", "RS256", "HS256"),
        ("ALGORITHM", "none", "HS256"),
        ("ACCESS_TOKEN_EXPIRE_MINUTES", "0", "from 1 to 10080"),
        ("ACCESS_TOKEN_EXPIRE_MINUTES", "30m", "from 1 to 10080"),
        ("REFRESH_TOKEN_EXPIRE_DAYS", "366", "from 1 to 365"),
        ("OPENAI_TEMPERATURE", "2.1", "from 0 to 2"),
        ("LOG_LEVEL", "LOUD", "off, error, warn, info, debug or trace"),
        ("STARSCREEN_LOG", "inof", "target=level"),
        ("JSON_LOGS", "2", "on or off"),
        ("BACKEND_CORS_ORIGINS", "localhost:3000", "https://app.example.com"),
        ("FRONTEND_URL", "starscreen.example.com", "https://starscreen.example.com"),
        ("FREE_TIER_CANDIDATE_LIMIT", "-5", "unlimited"),
        ("STARSCREEN_WORKERS_SCORE_PARALLEL", "0", "from 1 to 64"),
        ("STARSCREEN_UPLOADS_MAX_FILE_BYTES", "10MB", "bytes"),
        ("STRIPE_PRICE_ID_STARTER", "prod_1", "price_1Mo"),
    ];
    for (name, value, allowed) in wrong {
        let refusal = nothing().variable(name, value).refusal();
        assert!(refusal.starts_with(&format!("{name} is {value:?} (environment), but ")), "{refusal}");
        assert!(refusal.contains(allowed), "{refusal}");
    }
}

#[test]
fn all_wrong_values_are_told_at_once() {
    let given = nothing().file("starscreen.toml", "[log]\njson = 3").file(".env", "ALGORITHM=ES256");
    let refusal = given.refusal();
    assert!(refusal.contains("log.json is \"3\"") && refusal.contains("ALGORITHM is \"ES256\" (.env)"), "{refusal}");
}

#[test]
fn a_wrong_secret_is_refused_and_never_shown() {
    let short = "hunter2-hunter2-hunter2-hunter2";
    for (name, value) in [
        ("SECRET_KEY", short),
        ("STARSCREEN_MASTER_KEY", short),
        ("DATABASE_URL", "mysql://me:hunter2@db/starscreen"),
        ("NATS_URL", "http://me:hunter2@nats:4222"),
    ] {
        for given in [nothing().variable(name, value), nothing().file(".env", &format!("{name}='{value}'"))] {
            let error = given.load().unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains(name) && !shown.contains("hunter2"), "{shown}");
        }
    }
}

#[test]
fn servers_are_named_by_their_addresses_and_nats_needs_postgresql() {
    let url = |settings: Settings| settings.database.url.map(|url| url.expose_secret().to_owned());
    let as_python = "postgresql+asyncpg://me:it@db/starscreen";
    let given = nothing().variable("DATABASE_URL", as_python).variable("NATS_URL", "nats://nats:4222").settings();
    assert_eq!(given.nats.url.as_ref().map(ExposeSecret::expose_secret), Some("nats://nats:4222"));
    assert_eq!(url(given).as_deref(), Some("postgresql://me:it@db/starscreen"));
    let refusal = nothing().file("starscreen.toml", "nats_url = \"nats://nats:4222\"").refusal();
    assert!(refusal.contains("NATS_URL is set without DATABASE_URL"), "{refusal}");
    nothing().variable("DATABASE_URL", "").variable("NATS_URL", " ").load().unwrap();
}

#[test]
fn settings_of_the_object_store_go_together() {
    let bucket = || nothing().variable("STARSCREEN_OBJECTS_URL", "s3://files");
    let settings = bucket().variable("STARSCREEN_OBJECTS_DIRECT_UPLOADS", "on").settings();
    assert!(settings.objects.direct_uploads);
    let plain = "http://127.0.0.1:9000";
    bucket()
        .variable("STARSCREEN_OBJECTS_ENDPOINT", plain)
        .variable("STARSCREEN_OBJECTS_ALLOW_HTTP", "on")
        .load()
        .unwrap();
    let refused = [
        (nothing().variable("STARSCREEN_OBJECTS_DIRECT_UPLOADS", "on"), "without STARSCREEN_OBJECTS_URL"),
        (bucket().variable("STARSCREEN_OBJECTS_ACCESS_KEY", "AKIA"), "only one of"),
        (bucket().variable("STARSCREEN_OBJECTS_SECRET_KEY", "hunter2"), "only one of"),
        (bucket().variable("STARSCREEN_OBJECTS_ENDPOINT", plain), "STARSCREEN_OBJECTS_ALLOW_HTTP=on"),
        (bucket().variable("STARSCREEN_OBJECTS_PUBLIC_ENDPOINT", plain), "STARSCREEN_OBJECTS_ALLOW_HTTP=on"),
        (bucket().variable("STARSCREEN_OBJECTS_KMS_KEY", "arn:1"), "is not aws:kms"),
    ];
    for (given, reason) in refused {
        let refusal = given.refusal();
        assert!(refusal.contains(reason) && !refusal.contains("hunter2"), "{refusal}");
    }
}

#[test]
fn a_secret_has_32_bytes_or_more() {
    assert!(nothing().variable("SECRET_KEY", &SECRET[..31]).refusal().contains("at least 32 bytes"));
    assert!(nothing().variable("SECRET_KEY", &SECRET[..32]).settings().tokens.secret.is_some());
}

#[test]
fn unknown_names_warn_and_the_rest_of_the_environment_does_not() {
    let own = "lisden = \"127.0.0.1:1\"\nconfig = \"a.toml\"\n[openai]\napi_kee = \"sk-1\"\n\
        [plan.free]\nmonthly_limit = 1";
    let given = nothing()
        .file("starscreen.toml", own)
        .file(".env", "OPENAI_API_KEE=sk-1\nREDIS_HOST=redis")
        .variable("STARSCREEN_LISDEN", "127.0.0.1:1")
        .variable("PATH", "/bin")
        .variable("OPENAI_ORGANISATION", "org-1");
    let path = given.scratch.path().join("starscreen.toml");
    let warnings = given.warnings();
    assert_eq!(
        warnings,
        [
            format!("{} has the unknown key config, which has no effect", path.display()),
            format!("{} has the unknown key lisden, which has no effect", path.display()),
            format!("{} has the unknown key openai.api_kee, which has no effect", path.display()),
            format!("{} has the unknown key plan.free.monthly_limit, which has no effect", path.display()),
            ".env has the unknown setting OPENAI_API_KEE, which has no effect".to_owned(),
            ".env has the unknown setting REDIS_HOST, which has no effect".to_owned(),
            "the environment has the unknown setting STARSCREEN_LISDEN, which has no effect".to_owned(),
        ]
    );
}

#[test]
fn a_file_that_is_no_toml_is_refused_by_line_without_its_text() {
    let given = nothing().file("starscreen.toml", "listen = \"127.0.0.1:1\"\n[tokens]\nsecret = \"hunter2\n");
    let error = given.load().unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("starscreen.toml:3 is not TOML") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn an_env_file_that_cannot_be_read_is_refused_by_line_without_its_text() {
    let given = nothing().file(".env", "A=b\nSECRET_KEY='hunter2\n");
    let error = given.load().unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(shown.contains(".env:2 is not NAME=value") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn nothing_shows_a_secret() {
    let secrets = [
        ("SECRET_KEY", SECRET),
        ("OPENAI_API_KEY", "sk-proj-hunter2"),
        ("STRIPE_API_KEY", "sk_live_hunter2"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_hunter2"),
        ("STARSCREEN_MASTER_KEY", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="),
        ("STARSCREEN_OBJECTS_SECRET_KEY", "hunter2-of-s3"),
    ];
    let given = secrets.iter().fold(nothing(), |given, (name, value)| given.variable(name, value));
    let settings = given.settings();
    let shown = format!("{settings:?} {:?}", settings.describe());
    for (name, value) in secrets {
        assert!(!shown.contains(value), "{name}");
        let described = settings.describe().iter().find(|described| described.variable == name).unwrap();
        assert_eq!(described.value, "set, not shown", "{name}");
    }
    assert_eq!(described(&settings, "database_url").value, "not set");
}

#[test]
fn every_setting_is_described_once_and_plans_one_by_one() {
    let settings = nothing().settings();
    let keys: Vec<&str> = settings.describe().iter().map(|described| described.key.as_str()).collect();
    let unique: std::collections::BTreeSet<&str> = keys.iter().copied().collect();
    assert_eq!(keys.len(), unique.len());
    let each = table::settings().filter(|setting| setting.key.contains('*')).count();
    let of_plans = keys.iter().filter(|key| key.starts_with("plans.")).count();
    assert_eq!(keys.len() - of_plans, table::settings().count() - each);
    // The free plan has all of them in the default file; the others what they have.
    assert_eq!(keys.iter().filter(|key| key.starts_with("plans.free.")).count(), each);
    assert!(of_plans >= each + 4 * 2, "{of_plans}");
    let limit = described(&settings, "plans.small_business.monthly_limit");
    assert_eq!(
        (limit.variable.as_str(), limit.value.as_str()),
        ("STARSCREEN_PLANS_SMALL_BUSINESS_MONTHLY_LIMIT", "250")
    );
    assert_eq!(described(&settings, "config").value, "not set");
    let given = nothing().file("mine.toml", "").variable("STARSCREEN_CONFIG", "mine.toml");
    assert_eq!(described(&given.settings(), "config").value, "mine.toml");
}

/// Comment lines without their marks, one space between words.
fn comments(text: &str) -> String {
    let lines = text.lines().map(|line| line.strip_prefix('#').unwrap_or(line));
    lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_default_file_explains_every_key_with_its_variable_and_default() {
    let explained = comments(DEFAULT_FILE);
    for setting in table::settings().filter(|setting| setting.key != "config") {
        assert!(
            explained.contains(&format!("{} [{}", setting.about, setting.variable)),
            "starscreen.default.toml does not explain {} as the table does",
            setting.key
        );
    }
    assert!(explained.contains("STARSCREEN_CONFIG") && explained.contains("FREE_TIER_CANDIDATE_LIMIT"));

    let (layers, warnings) =
        layers::read(&LoadOptions { working_dir: "/nowhere".into(), environment: vec![] }).unwrap();
    assert_eq!(warnings, []);
    for setting in table::settings().filter(|setting| setting.key != "config" && !setting.key.contains('*')) {
        assert!(layers.contains_key(setting.key), "starscreen.default.toml has no {}", setting.key);
    }
}

#[test]
fn the_operations_guide_has_every_setting_with_its_default() {
    let guide = include_str!("../../../docs/operations.md");
    let settings = nothing().settings();
    for Described { key, variable, value, about, .. } in settings.describe() {
        let Some(row) = guide.lines().find(|line| line.starts_with(&format!("| `{variable}`"))) else {
            // Plans are many; one stands for all.
            assert!(key.starts_with("plans.") && !key.starts_with("plans.free"), "docs/operations.md lacks {variable}");
            continue;
        };
        assert!(row.contains(about.trim_end_matches('.')), "docs/operations.md explains {variable} otherwise: {row}");
        let shown = match value.as_str() {
            "not set" | "[]" => "–".to_owned(),
            "true" => "`on`".to_owned(),
            "false" => "`off`".to_owned(),
            value => format!("`{value}`"),
        };
        let default = row.split('|').nth(2).unwrap_or_default().trim();
        assert!(
            default == shown || value == "set, not shown" || key == "config" || key.starts_with("plans."),
            "{variable}: {default} is not {shown}"
        );
    }
}
