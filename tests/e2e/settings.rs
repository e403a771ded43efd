//! What an operator sets, by file, `.env` or environment, and what is said to one who errs.

use std::{fs, net::TcpListener};

use starscreen_tests::{Home, TestApp};

use crate::product_binary;

const LISTEN: (&str, &str) = ("STARSCREEN_LISTEN", "127.0.0.1:0");
/// 32 bytes.
const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn home() -> Home {
    Home::new(&product_binary())
}

/// What the server says when it does not start with this environment.
#[track_caller]
fn refusal(environment: &[(&str, &str)]) -> String {
    let home = home();
    let mut with_port = vec![LISTEN];
    with_port.extend(environment);
    let said = home.run(&[], &with_port).refused();
    assert!(!home.data().join("write.db").exists(), "a server that refuses to start makes nothing");
    said
}

#[test]
fn a_second_server_on_one_directory_is_told_who_has_it() {
    let app = TestApp::start(&product_binary());
    let refused = app.home().run(&[], &[LISTEN]).refused();
    assert!(refused.contains("is in use by another server"), "{refused}");
    assert!(refused.contains(&app.process_id().to_string()) && refused.contains("STARSCREEN_DATA_DIR"), "{refused}");
    // One that was killed leaves no lock behind.
    app.kill();
    app.start_again();
}

#[test]
fn a_taken_port_is_named_with_its_setting() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let refused = home().run(&[], &[("STARSCREEN_LISTEN", &address)]).refused();
    let port = listener.local_addr().unwrap().port();
    assert!(refused.contains(&format!("port {port} is taken")) && refused.contains("STARSCREEN_LISTEN"), "{refused}");
}

#[test]
fn a_wrong_value_refuses_with_key_value_and_what_is_allowed() {
    for (name, value, allowed) in [
        ("STARSCREEN_LISTEN", "localhost", "it must be an IP address and a port, such as 127.0.0.1:8000"),
        ("STARSCREEN_RATE_LIMITS", "maybe", "it must be on or off"),
        ("STARSCREEN_LOG", "loud", "it must be levels and target=level"),
        ("LOG_LEVEL", "chatty", "it must be off, error, warn, info, debug or trace"),
        ("ACCESS_TOKEN_EXPIRE_MINUTES", "0", "it must be a whole number of minutes from 1 to 10080"),
        ("ALGORITHM", "RS256", "the only algorithm allowed is HS256"),
        ("BACKEND_CORS_ORIGINS", "app.example.com", "it must be a list of origins"),
        ("STARSCREEN_PLANS_FREE_MONTHLY_LIMIT", "few", "it must be a whole number of candidates, or unlimited"),
        ("OPENAI_TEMPERATURE", "9", "it must be a number from 0 to 2"),
    ] {
        let refused = refusal(&[(name, value)]);
        assert!(refused.contains(&format!("{name} is \"{value}\" (environment), but {allowed}")), "{refused}");
    }
    // All at once, so that one start finds them all.
    let refused = refusal(&[("STARSCREEN_RATE_LIMITS", "maybe"), ("OPENAI_TEMPERATURE", "9")]);
    assert!(refused.contains("STARSCREEN_RATE_LIMITS") && refused.contains("OPENAI_TEMPERATURE"), "{refused}");
}

#[test]
fn servers_are_refused_where_they_cannot_be_used() {
    let database = refusal(&[("DATABASE_URL", "mysql://user:secret@localhost/starscreen")]);
    assert!(database.contains("DATABASE_URL") && database.contains("postgres://"), "{database}");
    assert!(!database.contains("secret"), "a password is shown: {database}");
    let nats = refusal(&[("NATS_URL", "nats://localhost:4222")]);
    assert!(nats.contains("NATS_URL is set without DATABASE_URL"), "{nats}");
}

#[test]
fn a_short_secret_is_refused_without_showing_it() {
    let refused = refusal(&[("SECRET_KEY", &SECRET[1..])]);
    assert!(refused.contains("SECRET_KEY is wrong (environment, value not shown)"), "{refused}");
    assert!(refused.contains("at least 32 bytes") && !refused.contains(&SECRET[1..]), "{refused}");
    home().serve(&[("SECRET_KEY", SECRET)]);
}

#[test]
fn an_unknown_key_warns_and_changes_nothing() {
    let home = home();
    fs::write(home.work().join("starscreen.toml"), "listne = \"127.0.0.1:1\"\n").unwrap();
    let server = home.serve(&[("STARSCREEN_DATADIR", "elsewhere")]);
    let log = home.log().text();
    assert!(log.contains("has the unknown key listne, which has no effect"), "{log}");
    assert!(log.contains("has the unknown setting STARSCREEN_DATADIR, which has no effect"), "{log}");
    assert!(home.data().join("write.db").exists());
    server.stop(&home.log());
}

#[test]
fn dot_env_is_read_from_the_working_directory_and_the_environment_wins() {
    let home = home();
    fs::write(home.work().join(".env"), "STARSCREEN_DATA_DIR=./from-dot-env\nSTARSCREEN_LISTEN=127.0.0.1:1\n").unwrap();
    let server = home.serve(&[]); // the harness sets STARSCREEN_LISTEN
    assert!(home.work().join("from-dot-env/write.db").exists());
    assert!(!home.data().exists());
    server.stop(&home.log());
    let shown = home.run(&["config"], &[]).succeeded().stdout;
    let line = shown.lines().find(|line| line.starts_with("listen")).unwrap_or_else(|| panic!("{shown}"));
    assert!(line.contains("127.0.0.1:1") && line.contains(".env"), "{line}");
}

#[test]
fn a_file_of_ones_own_is_named_by_starscreen_config() {
    let home = home();
    fs::write(home.work().join("mine.toml"), "data_dir = \"./from-file\"\n[plans.free]\nmonthly_limit = 7\n").unwrap();
    let server = home.serve(&[("STARSCREEN_CONFIG", "mine.toml")]);
    assert!(home.work().join("from-file/write.db").exists());
    server.stop(&home.log());
    let missing = refusal(&[("STARSCREEN_CONFIG", "nowhere.toml")]);
    assert!(missing.contains("nowhere.toml cannot be read"), "{missing}");
}

#[test]
fn the_log_says_who_grades_and_the_guides_placeholder_is_no_key() {
    let said = |environment: &[(&str, &str)]| {
        let home = home();
        home.serve(environment).stop(&home.log());
        home.log().text()
    };
    let base_url = ("OPENAI_BASE_URL", "http://models.internal:8080/secret-path/v1");
    let set = said(&[("OPENAI_API_KEY", "sk-proj-of-somebody"), base_url, ("OPENAI_MODEL", "own-model")]);
    assert!(set.contains("made by a language model") && set.contains("own-model"), "{set}");
    assert!(set.contains("models.internal") && !set.contains("secret-path"), "{set}");
    assert!(!set.contains("sk-proj-of-somebody") && !set.contains("WARN"), "{set}");
    for environment in [&[][..], &[("OPENAI_API_KEY", "sk-proj-YOUR_KEY_HERE"), base_url]] {
        let offline = said(environment);
        assert!(offline.contains("made offline, without a language model"), "{offline}");
    }
}

#[test]
fn an_address_or_key_that_no_call_could_use_refuses_to_start() {
    let key = ("OPENAI_API_KEY", "sk-test");
    for address in ["api.openai.com/v1", "ftp://models/v1", "http://models:99999/v1", "https://me:pw@models/v1"] {
        let refused = refusal(&[key, ("OPENAI_BASE_URL", address)]);
        assert!(
            refused.contains("OPENAI_BASE_URL") && refused.contains("such as https://api.openai.com/v1"),
            "{refused}"
        );
    }
    let refused = refusal(&[("OPENAI_API_KEY", "sk-te\u{7f}st")]);
    assert!(refused.contains("OPENAI_API_KEY has characters") && !refused.contains("sk-te"), "{refused}");
}

#[test]
fn without_certificate_authorities_only_a_model_in_clear_can_be_reached() {
    let nothing = [("SSL_CERT_FILE", "/dev/null"), ("OPENAI_API_KEY", "sk-test")];
    let refused = refusal(&nothing);
    assert!(refused.contains("ca-certificates") && refused.contains("SSL_CERT_FILE"), "{refused}");
    home().serve(&[nothing[0], nothing[1], ("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")]);
    home().serve(&nothing[..1]);
}

#[test]
fn settings_are_printed_without_their_secrets() {
    let shown =
        home().run(&["config"], &[("SECRET_KEY", SECRET), ("STRIPE_API_KEY", "sk_live_of_somebody")]).succeeded();
    assert!(!shown.stdout.contains(SECRET) && !shown.stdout.contains("sk_live_of_somebody"), "{}", shown.stdout);
    assert!(shown.stdout.contains("127.0.0.1:8000"), "{}", shown.stdout);
}

#[test]
fn the_old_names_of_the_guide_work_as_they_are() {
    let home = home();
    let guide = format!(
        "SECRET_KEY={SECRET}\nALGORITHM=HS256\nACCESS_TOKEN_EXPIRE_MINUTES=30\nREFRESH_TOKEN_EXPIRE_DAYS=7\n\
         OPENAI_API_KEY=sk-proj-YOUR_KEY_HERE\nOPENAI_MODEL=gpt-4o\nSTRIPE_API_KEY=sk_test_YOUR_KEY_HERE\n\
         STRIPE_PRICE_ID_STARTER=price_...\nLOG_LEVEL=INFO\nSTARSCREEN_RATE_LIMITS=off\n"
    );
    fs::write(home.work().join(".env"), guide).unwrap();
    home.serve(&[]).stop(&home.log());
    let log = home.log().text();
    assert!(!log.contains("WARN"), "{log}");
}

#[tokio::test]
async fn a_plan_is_data_that_an_operator_can_change() {
    let app = TestApp::start_with(&product_binary(), &[("STARSCREEN_PLANS_FREE_MONTHLY_LIMIT", "2")]);
    let account = app.client().account().await;
    assert_eq!(account.subscription().await["monthly_candidate_limit"], 2);
}

#[test]
fn an_operators_verb_without_a_data_directory_says_so() {
    let said = home().run(&["rebuild", "--all"], &[]).refused();
    assert!(said.contains("there is no data directory"), "{said}");
}
