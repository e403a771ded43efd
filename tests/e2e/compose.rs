//! compose.yaml: every command line and every setting of it is one of the program's, and together they are the product.
//!
//! No container runs here: the same commands run with the same settings as processes, with other hosts and ports.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde_json::Value;
use starscreen::{
    cli,
    config::{LoadOptions, Settings, is_setting},
};
use starscreen_domain::work::Lane;
use starscreen_tests::{Client, Home, Nats, Postgres, PostgresOptions, Resume, Server};

use crate::product_binary;

/// Values of the example that somebody has to give.
const GIVEN: &str = "p0123456789abcdef";

/// One service that runs our image.
#[derive(Debug)]
struct Service {
    name: String,
    command: Vec<String>,
    environment: BTreeMap<String, String>,
    replicas: u64,
    whole: Value,
}

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn compose() -> Value {
    serde_saphyr::from_str(&read("compose.yaml")).unwrap()
}

/// Names and values of .env.example.
fn example() -> BTreeMap<String, String> {
    let text = read(".env.example");
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| line.split_once('=').unwrap()).map(|(name, value)| (name.into(), value.into())).collect()
}

/// The example after somebody has set what must be set.
fn filled_in() -> BTreeMap<String, String> {
    let must_be_set = |name: &str| name.ends_with("_PASSWORD");
    let fill = |(name, value): (String, String)| {
        let value = if must_be_set(&name) && value.is_empty() { GIVEN.to_owned() } else { value };
        (name, value)
    };
    example().into_iter().map(fill).collect()
}

/// Puts values in the place of `${NAME}`, `${NAME:-default}` and `${NAME:?what to do}`, as Compose does.
fn interpolated(text: &str, variables: &BTreeMap<String, String>) -> Result<String, String> {
    let Some((before, rest)) = text.split_once("${") else { return Ok(text.to_owned()) };
    let (expression, after) = rest.split_once('}').ok_or("a brace is not closed")?;
    let at = expression.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(expression.len());
    let (name, operator) = expression.split_at(at);
    let value = variables.get(name).filter(|value| !value.is_empty());
    let value = match (value, operator.get(..2), operator.get(2..)) {
        (Some(value), ..) => value.clone(),
        (None, Some(":-"), Some(default)) => default.to_owned(),
        (None, Some(":?"), Some(reason)) => return Err(reason.to_owned()),
        (None, ..) => String::new(),
    };
    Ok(format!("{before}{value}{}", interpolated(after, variables)?))
}

/// Names of variables in all texts below `value`.
fn variables(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            for part in text.split("${").skip(1) {
                let end = part.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap();
                found.insert(part[..end].to_owned());
            }
        }
        Value::Array(items) => items.iter().for_each(|item| variables(item, found)),
        Value::Object(entries) => entries.values().for_each(|item| variables(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn services() -> Vec<Service> {
    let values = filled_in();
    let compose = compose();
    let all = compose["services"].as_object().unwrap();
    let ours = all.iter().filter(|(_, service)| service["image"].as_str().unwrap().starts_with("starscreen:"));
    ours.map(|(name, service)| {
        let text = |value: &Value| interpolated(value.as_str().unwrap(), &values).unwrap();
        let environment = service["environment"].as_object().unwrap();
        Service {
            name: name.clone(),
            command: service["command"].as_array().unwrap().iter().map(text).collect(),
            environment: environment.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
            replicas: service["deploy"]["replicas"].as_u64().unwrap_or(1),
            whole: service.clone(),
        }
    })
    .collect()
}

impl Service {
    fn arguments(&self) -> Vec<&str> {
        self.command.iter().map(String::as_str).collect()
    }

    /// The same settings, on other hosts and ports; the same user of NATS.
    fn here(&self, database: &str, nats: &str, data: &str) -> BTreeMap<String, String> {
        let elsewhere = |(name, value): (&String, &String)| {
            let value = match name.as_str() {
                "DATABASE_URL" => database.to_owned(),
                "NATS_URL" => value.replace("nats:4222", nats),
                "STARSCREEN_DATA_DIR" => data.to_owned(),
                "STARSCREEN_LISTEN" => "127.0.0.1:0".to_owned(),
                _ => value.clone(),
            };
            (name.clone(), value)
        };
        self.environment.iter().map(elsewhere).collect()
    }
}

#[test]
fn every_command_line_is_one_of_the_programs() {
    for service in services() {
        cli::check(&service.arguments()).unwrap_or_else(|said| panic!("{}: {said}", service.name));
    }
}

#[test]
fn every_variable_is_a_setting_and_takes_its_value() {
    for Service { name, environment, .. } in services() {
        for variable in environment.keys() {
            assert!(is_setting(variable), "{name}: {variable}");
        }
        let environment = environment.into_iter().collect();
        let loaded = Settings::load(&LoadOptions { working_dir: "/nowhere".into(), environment });
        let (settings, warnings) = loaded.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(warnings, [], "{name}");
        assert!(settings.database.url.is_some(), "{name}");
        assert!(settings.nats.url.is_some() || name == "migrate", "{name}");
        assert_eq!(settings.data_dir, Path::new("/data"), "{name}");
    }
}

#[test]
fn together_they_are_the_whole_product() {
    let services = services();
    let running = |verb: &str| -> u64 {
        services.iter().filter(|service| service.command[0] == verb).map(|service| service.replicas).sum()
    };
    assert!(running("gateway") >= 2 && running("relay") >= 2, "one of them may stop");
    let arguments = |verb: &str| -> BTreeSet<String> {
        let of_verb = services.iter().filter(|service| service.command[0] == verb);
        of_verb.flat_map(|service| service.command[1..].iter().cloned()).collect()
    };
    let refusal = cli::check(&["projector", "?"]).unwrap_err();
    let (_, names) = refusal.split_once("there are ").unwrap();
    assert_eq!(arguments("projector"), names.split(", ").map(str::to_owned).collect());
    assert_eq!(arguments("worker"), Lane::ALL.iter().map(ToString::to_string).collect());
    assert_eq!(running("migrate"), 1);
}

#[test]
fn what_they_are_given_is_written_down_in_the_example() {
    let mut used = BTreeSet::new();
    variables(&compose(), &mut used);
    let explained: BTreeSet<String> = example().into_keys().collect();
    assert_eq!(used, explained, "left: compose.yaml, right: .env.example");
    // The file of the former system's guide goes on working.
    for name in ["OPENAI_API_KEY", "SECRET_KEY", "ALGORITHM", "STRIPE_API_KEY", "STRIPE_PRICE_ID_STARTER"] {
        assert!(used.contains(name), "{name}");
    }
    // And nobody starts with a password that everybody knows.
    let text = read("compose.yaml");
    for name in used.iter().filter(|name| name.ends_with("_PASSWORD")) {
        assert_eq!(example()[name], "", "{name}");
        assert!(text.matches(&format!("${{{name}")).count() == text.matches(&format!("${{{name}:?")).count(), "{name}");
    }
    assert!(interpolated("${A:?set A}", &BTreeMap::new()).is_err());
}

#[test]
fn what_fails_is_started_again_and_nothing_runs_as_whatever_is_newest() {
    let compose = compose();
    for (name, service) in compose["services"].as_object().unwrap() {
        let image = service["image"].as_str().unwrap();
        let (_, tag) = image.rsplit_once(':').unwrap_or_else(|| panic!("{name}: {image} has no version"));
        assert_ne!(tag, "latest", "{name}");
        let once = ["migrate", "nats-volume"].contains(&name.as_str());
        assert_eq!(service["restart"], if once { "no" } else { "unless-stopped" }, "{name}");
    }
    for name in ["postgres", "nats", "gateway"] {
        assert!(compose["services"][name]["healthcheck"]["test"].is_array(), "{name}");
    }
    let version = format!("starscreen:{}", env!("CARGO_PKG_VERSION"));
    for Service { name, whole, .. } in services() {
        assert_eq!(whole["image"], *version, "{name}");
        let waits_for = &whole["depends_on"];
        let expected = if name == "migrate" { "postgres" } else { "migrate" };
        let condition = if name == "migrate" { "service_healthy" } else { "service_completed_successfully" };
        assert_eq!(waits_for[expected]["condition"], condition, "{name}");
        assert_eq!(whole["read_only"], true, "{name}");
    }
    assert!(read("Dockerfile").contains("\nUSER 10001\n"), "the image runs as nobody special");
}

/// `-c name=value` of the database's command.
fn postgres_settings() -> Vec<(&'static str, String)> {
    let compose = compose();
    let command = compose["services"]["postgres"]["command"].as_array().unwrap().clone();
    let settings = command.iter().filter_map(|argument| argument.as_str()?.split_once('='));
    settings
        .map(|(name, value)| {
            assert_eq!(name, "max_connections");
            ("max_connections", value.to_owned())
        })
        .collect()
}

/// nats.conf with the variables of the container, in the place that the server would put them itself.
fn nats_configuration() -> String {
    let (compose, values) = (compose(), filled_in());
    let service = &compose["services"]["nats"];
    let mounted = service["volumes"][0].as_str().unwrap().split(':').nth(1).unwrap();
    assert_eq!(service["command"][2], mounted, "the file that is mounted is the one that is read");
    let mut configuration = read("nats.conf");
    for (name, value) in service["environment"].as_object().unwrap() {
        let value = interpolated(value.as_str().unwrap(), &values).unwrap();
        let before = configuration.len();
        configuration = configuration.replace(&format!("${name}"), &value);
        assert_ne!(configuration.len(), before, "nats.conf reads no {name}");
    }
    let left: Vec<&str> = configuration.split("$NATS_").skip(1).collect();
    assert!(left.is_empty(), "nobody gives NATS_{}", left[0].lines().next().unwrap());
    configuration
}

#[tokio::test]
async fn its_services_are_the_product_without_containers_too() {
    let postgres = Postgres::private(&PostgresOptions { settings: postgres_settings(), ..PostgresOptions::default() });
    let database = postgres.fresh_database(None);
    let nats = Nats::private(&nats_configuration());
    let nats_host = nats.url().replace("nats://", "");
    let home = Home::new(&product_binary());
    let data = home.data().display().to_string();
    let (mut migrations, parts): (Vec<Service>, Vec<Service>) =
        services().into_iter().partition(|service| service.name == "migrate");
    let migrate = migrations.remove(0);
    let here = |service: &Service| service.here(&database.url, &nats_host, &data);
    let pairs = |environment: &BTreeMap<String, String>| -> Vec<(String, String)> {
        environment.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    let environment = pairs(&here(&migrate));
    home.run(&migrate.arguments(), &borrowed(&environment)).succeeded();

    let (mut gateways, mut others): (Vec<Server>, Vec<Server>) = (vec![], vec![]);
    for service in &parts {
        let environment = pairs(&here(service));
        for _ in 0..service.replicas {
            match service.command[0].as_str() {
                "gateway" => gateways.push(home.serve_as(&service.arguments(), &borrowed(&environment))),
                _ => others.push(home.run_on(&service.arguments(), &borrowed(&environment))),
            }
        }
    }
    assert_eq!((gateways.len(), others.len()), (2, 14));

    // As a container's health check asks: 0 when it may be sent requests.
    let [one, other] = &gateways[..] else { panic!("two gateways") };
    for gateway in [one, other] {
        let address = gateway.address.to_string();
        let ready = async || {
            let asked = home.run(&["health"], &[("STARSCREEN_LISTEN", &address)]);
            if asked.status.success() { Ok(()) } else { Err(asked.stdout) }
        };
        home.log().until("the gateway is ready", ready).await;
    }
    let account = Client::of(one, home.log()).account().await;
    let job = account.ready_job().await;
    let candidate = account.take_in(&job, &Resume::unique()).await;
    account.until_candidate_is(&job, &candidate, "SCORED").await;
    let through_the_other = Client::of(other, home.log()).with_bearer(&account.access_token);
    let shown = through_the_other.get(&format!("jobs/{job}/candidates/{candidate}")).send().await.expect(200).json();
    assert_eq!(shown["status"], "SCORED");
    let file = through_the_other.get(&format!("jobs/{job}/candidates/{candidate}/file")).send().await;
    file.expect(200);

    // As somebody asks in a container, and with the rights of an operator.
    let relay = parts.iter().find(|service| service.name == "relay").unwrap();
    let mut as_operator = here(relay);
    let operator = format!("nats://operator:{}@{nats_host}", filled_in()["NATS_OPERATOR_PASSWORD"]);
    as_operator.insert("NATS_URL".to_owned(), operator);
    let gateway = here(parts.iter().find(|service| service.name == "gateway").unwrap());
    for (environment, line) in [
        (as_operator, "ok      consumer projector_monthly_usage: is "),
        (gateway, "ok      events stream: cannot be looked at by the user gateway; the user operator may"),
    ] {
        let environment = pairs(&environment);
        let all_is_well = async || {
            let asked = home.run(&["doctor"], &borrowed(&environment));
            if asked.status.success() { Ok(asked.stdout) } else { Err(asked.stdout) }
        };
        let said = home.log().until("the doctor finds nothing wrong", all_is_well).await;
        assert!(said.lines().any(|said| said.starts_with(line)), "no line {line:?} in\n{said}");
    }
    let health = Client::of(one, home.log()).get("health/detailed").send().await.expect(200).json();
    assert_eq!(health["status"], "healthy", "{health}");
    let log = home.log().text();
    assert!(!log.contains("has no effect"), "a setting is unknown:\n{log}");
    assert!(!log.contains("NATS refuses something"), "somebody may not do what it has to:\n{log}");
    for server in gateways.into_iter().chain(others) {
        server.stop(&home.log());
    }
}

fn borrowed(environment: &[(String, String)]) -> Vec<(&str, &str)> {
    environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

#[test]
fn a_health_check_fails_where_nobody_answers() {
    let home = Home::new(&product_binary());
    let asked = home.run(&["health", "http://127.0.0.1:9/health"], &[]);
    assert!(!asked.status.success() && asked.stdout.contains("127.0.0.1:9"), "{}{}", asked.stdout, asked.stderr);
}
