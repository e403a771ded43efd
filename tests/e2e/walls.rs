//! Who may depend on whom, checked on what Cargo resolved, and a few habits, checked on the sources.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

const DOMAIN: &str = "starscreen-domain";
const COMMANDS: &str = "starscreen-commands";
const PROJECTIONS: &str = "starscreen-projections";
const GATEWAY: &str = "starscreen";
const TESTS: &str = "starscreen-tests";
const PRODUCT: [&str; 4] = [DOMAIN, COMMANDS, PROJECTIONS, GATEWAY];

/// All that the rules may use: nothing that reaches out, looks at a clock or rolls dice.
const DOMAIN_MAY_USE: &[&str] = &["base64", "chrono", "cqrs-es", "serde", "serde_json", "thiserror", "uuid"];
/// What the rules must not even reach through others. (cqrs-es has tokio for its macros; what else of it is compiled is
/// up to the others.)
const DOMAIN_NEVER_REACHES: &[&str] =
    &["async-nats", "aws-lc-rs", "axum", "hyper", "object_store", "rand", "reqwest", "sea-query", "sqlx", "tracing"];
/// Features by which a crate of the rules would look at a clock or roll dice.
const IMPURE_FEATURES: &[(&str, &[&str])] =
    &[("chrono", &["clock", "now", "default"]), ("uuid", &["v1", "v4", "v6", "v7", "rng-getrandom", "rng-rand"])];
/// Other people's systems: their crates are the gateway's alone.
const GATEWAY_ONLY: &[&str] = &[
    "argon2",
    "async-nats",
    "async-stripe",
    "aws-lc-rs",
    "axum",
    "clap",
    "hayro",
    "hayro-interpret",
    "hayro-syntax",
    "jsonwebtoken",
    "object_store",
    "quick-xml",
    "reqwest",
    "tower-http",
    "utoipa",
    "zip",
];
/// One implementation of TLS and of ciphers is enough, and none may need a system library.
const NOBODY_USES: &[&str] = &["native-tls", "openssl", "openssl-sys", "ring"];

/// One package with what it depends on, outside its own tests.
#[derive(Clone, Debug, Default)]
struct Package {
    depends_on: BTreeSet<String>,
    /// Features asked for by this package of what it depends on, `default` for those on by default.
    asks_for: BTreeMap<String, BTreeSet<String>>,
}

/// What Cargo resolved, by name. Versions do not matter to a wall.
#[derive(Clone, Debug)]
struct Graph {
    packages: BTreeMap<String, Package>,
    members: BTreeSet<String>,
}

impl Graph {
    fn parse(metadata: &Value) -> Self {
        let list = |value: &Value| value.as_array().unwrap().clone();
        let mut names = BTreeMap::new();
        let mut packages: BTreeMap<String, Package> = BTreeMap::new();
        for package in list(&metadata["packages"]) {
            let name = package["name"].as_str().unwrap().to_owned();
            let entry = packages.entry(name.clone()).or_default();
            for dependency in list(&package["dependencies"]).iter().filter(|dependency| dependency["kind"] != "dev") {
                let features = entry.asks_for.entry(dependency["name"].as_str().unwrap().to_owned()).or_default();
                features
                    .extend(list(&dependency["features"]).iter().map(|feature| feature.as_str().unwrap().to_owned()));
                if dependency["uses_default_features"] == true {
                    features.insert("default".to_owned());
                }
            }
            names.insert(package["id"].as_str().unwrap().to_owned(), name);
        }
        for node in list(&metadata["resolve"]["nodes"]) {
            let package = packages.get_mut(&names[node["id"].as_str().unwrap()]).unwrap();
            for dependency in list(&node["deps"]) {
                if list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"] != "dev") {
                    package.depends_on.insert(names[dependency["pkg"].as_str().unwrap()].clone());
                }
            }
        }
        let members =
            list(&metadata["workspace_members"]).iter().map(|id| names[id.as_str().unwrap()].clone()).collect();
        Self { packages, members }
    }

    fn uses(&self, package: &str, dependency: &str) -> bool {
        self.packages[package].depends_on.contains(dependency)
    }

    /// Everything that `package` needs, through however many others.
    fn reaches(&self, package: &str) -> BTreeSet<&str> {
        let mut reached = BTreeSet::new();
        let mut open = vec![package];
        while let Some(next) = open.pop() {
            for dependency in self.packages.get(next).map(|package| &package.depends_on).into_iter().flatten() {
                if reached.insert(dependency.as_str()) {
                    open.push(dependency);
                }
            }
        }
        reached
    }

    /// Every wall that is crossed, a sentence each.
    fn crossed(&self) -> Vec<String> {
        let mut crossed = vec![];
        let expected: BTreeSet<String> = PRODUCT.iter().chain([&TESTS]).map(|name| (*name).to_owned()).collect();
        if self.members != expected {
            crossed.push(format!("the workspace has the members {:?}, not {expected:?}", self.members));
        }
        for dependency in &self.packages[DOMAIN].depends_on {
            if !DOMAIN_MAY_USE.contains(&dependency.as_str()) {
                crossed.push(format!("domain uses {dependency}"));
            }
        }
        let reached = self.reaches(DOMAIN);
        for dependency in DOMAIN_NEVER_REACHES.iter().filter(|dependency| reached.contains(*dependency)) {
            crossed.push(format!("domain reaches {dependency}"));
        }
        for (dependency, impure) in IMPURE_FEATURES {
            let features = self.packages[DOMAIN].asks_for.get(*dependency).into_iter().flatten();
            for feature in features.filter(|feature| impure.contains(&feature.as_str())) {
                crossed.push(format!("domain asks {dependency} for {feature}"));
            }
        }
        for (one, other) in [(COMMANDS, PROJECTIONS), (PROJECTIONS, COMMANDS)] {
            if self.reaches(one).contains(other) {
                crossed.push(format!("{one} reaches {other}"));
            }
        }
        for package in PRODUCT {
            for dependency in GATEWAY_ONLY.iter().filter(|_| package != GATEWAY) {
                if self.uses(package, dependency) {
                    crossed.push(format!("{package} uses {dependency}"));
                }
            }
            if self.reaches(package).contains(TESTS) {
                crossed.push(format!("{package} reaches the tests"));
            }
        }
        for dependency in NOBODY_USES {
            let users: Vec<&String> = self
                .packages
                .iter()
                .filter(|(_, package)| package.depends_on.contains(*dependency))
                .map(|(name, _)| name)
                .collect();
            if !users.is_empty() {
                crossed.push(format!("{dependency} is used by {users:?}"));
            }
        }
        crossed
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn resolved() -> Graph {
    let version = output(&std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned()), &["-vV"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let arguments = ["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", host];
    let mut graph = Graph::parse(&serde_json::from_str(&output(env!("CARGO"), &arguments)).unwrap());
    // What is only offered and never built (`crate?/feature`) stands in the metadata too.
    let tree = [
        "tree",
        "--workspace",
        "--prefix",
        "none",
        "--edges",
        "normal,build,dev",
        "--format",
        "{p}",
        "--locked",
        "--offline",
    ];
    let built: BTreeSet<String> =
        output(env!("CARGO"), &tree).lines().filter_map(|line| line.split(' ').next().map(str::to_owned)).collect();
    for package in graph.packages.values_mut() {
        package.depends_on.retain(|name| built.contains(name));
    }
    graph
}

#[test]
fn no_wall_is_crossed() {
    let graph = resolved();
    assert_eq!(graph.crossed(), [""; 0]);
    // The check looks at the real thing.
    assert!(graph.uses(GATEWAY, "axum") && graph.uses(COMMANDS, DOMAIN) && graph.uses(TESTS, GATEWAY));
    assert!(graph.reaches(GATEWAY).len() > 100);
    assert!(graph.packages[DOMAIN].asks_for["chrono"].contains("serde"));
}

/// A small graph without fault, as Cargo prints it.
fn sound() -> Value {
    let package = |name: &str, dependencies: &[&str]| {
        let dependencies: Vec<Value> = dependencies
            .iter()
            .map(|name| json!({ "name": name, "kind": null, "features": ["serde"], "uses_default_features": *name != "chrono" }))
            .collect();
        json!({ "id": format!("id of {name}"), "name": name, "dependencies": dependencies })
    };
    let packages = json!([
        package(DOMAIN, &["chrono", "serde"]),
        package(COMMANDS, &[DOMAIN]),
        package(PROJECTIONS, &[DOMAIN]),
        package(GATEWAY, &[COMMANDS, PROJECTIONS, "axum"]),
        package(TESTS, &[GATEWAY, DOMAIN]),
        package("chrono", &["serde"]),
        package("serde", &[]),
        package("axum", &[]),
        package("ring", &[]),
        package("rand", &[]),
        package("tokio", &[]),
    ]);
    let nodes: Vec<Value> = packages
        .as_array()
        .unwrap()
        .iter()
        .map(|package| {
            let deps: Vec<Value> = package["dependencies"]
                .as_array()
                .unwrap()
                .iter()
                .map(|dependency| edge(&dependency["name"], &Value::Null))
                .collect();
            json!({ "id": package["id"], "deps": deps })
        })
        .collect();
    let members: Vec<String> = PRODUCT.iter().chain([&TESTS]).map(|name| format!("id of {name}")).collect();
    json!({ "packages": packages, "resolve": { "nodes": nodes }, "workspace_members": members })
}

fn edge(to: &Value, kind: &Value) -> Value {
    json!({ "pkg": format!("id of {}", to.as_str().unwrap()), "dep_kinds": [{ "kind": kind }] })
}

fn entry<'a>(list: &'a mut Value, name: &str) -> &'a mut Value {
    let id = format!("id of {name}");
    list.as_array_mut().unwrap().iter_mut().find(|entry| entry["id"] == id.as_str()).unwrap()
}

/// The sound graph with one more edge.
fn planted(from: &str, to: &str, kind: &Value) -> Vec<String> {
    let mut metadata = sound();
    let node = entry(&mut metadata["resolve"]["nodes"], from);
    node["deps"].as_array_mut().unwrap().push(edge(&Value::from(to), kind));
    Graph::parse(&metadata).crossed()
}

#[test]
fn every_crossing_of_a_wall_is_seen() {
    assert_eq!(Graph::parse(&sound()).crossed(), [""; 0]);
    for (from, to, seen) in [
        (DOMAIN, "tokio", "domain uses tokio"),
        ("serde", "rand", "domain reaches rand"),
        (COMMANDS, PROJECTIONS, "starscreen-commands reaches starscreen-projections"),
        (PROJECTIONS, COMMANDS, "starscreen-projections reaches starscreen-commands"),
        (COMMANDS, "axum", "starscreen-commands uses axum"),
        (PROJECTIONS, "axum", "starscreen-projections uses axum"),
        (GATEWAY, TESTS, "starscreen reaches the tests"),
        ("axum", "ring", "ring is used by [\"axum\"]"),
        (TESTS, "ring", "ring is used by [\"starscreen-tests\"]"),
    ] {
        assert_eq!(planted(from, to, &Value::Null), [seen], "{from} → {to}");
        assert_eq!(planted(from, to, &Value::from("build")), [seen], "{from} → {to}, to build it");
        assert_eq!(planted(from, to, &Value::from("dev")), [""; 0], "{from} → {to}, in its tests");
    }
    for (dependency, feature) in [("chrono", "clock"), ("chrono", "now")] {
        let mut metadata = sound();
        let domain = entry(&mut metadata["packages"], DOMAIN);
        let asked = domain["dependencies"].as_array_mut().unwrap();
        let asked = asked.iter_mut().find(|asked| asked["name"] == dependency).unwrap();
        asked["features"] = json!(["serde", feature]);
        assert_eq!(Graph::parse(&metadata).crossed(), [format!("domain asks {dependency} for {feature}")]);
    }
    let mut metadata = sound();
    metadata["workspace_members"].as_array_mut().unwrap().push(json!("id of serde"));
    assert!(Graph::parse(&metadata).crossed()[0].contains("the workspace has the members"));
}

/// What a manifest lacks of the workspace's lints.
fn lax(name: &str, manifest: &str) -> Option<String> {
    let manifest: toml::Table = toml::from_str(manifest).unwrap();
    let inherits = manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool);
    (inherits != Some(true)).then(|| format!("{name} does not inherit the workspace's lints"))
}

#[test]
fn every_crate_keeps_the_workspaces_lints_and_they_forbid_unsafe_code() {
    let workspace: toml::Table = toml::from_str(&fs::read_to_string(root().join("Cargo.toml")).unwrap()).unwrap();
    assert_eq!(workspace["workspace"]["lints"]["rust"]["unsafe_code"].as_str(), Some("forbid"));
    let members = workspace["workspace"]["members"].as_array().unwrap();
    assert_eq!(members.len(), 5);
    for member in members {
        let path = root().join(member.as_str().unwrap()).join("Cargo.toml");
        assert_eq!(lax(member.as_str().unwrap(), &fs::read_to_string(path).unwrap()), None);
    }
    for wrong in ["[package]\nname = \"a\"", "[lints]\nworkspace = false", "[lints.rust]\nunsafe_code = \"allow\""] {
        assert!(lax("a", wrong).is_some());
    }
}

/// It cannot inherit what it is no member of.
#[test]
fn the_program_on_postgres_es_keeps_the_same_lints_and_its_lock_file_has_none_of_what_nobody_uses() {
    let read = |path| -> toml::Table { toml::from_str(&fs::read_to_string(root().join(path)).unwrap()).unwrap() };
    assert_eq!(read("tests/postgres-es/Cargo.toml")["lints"], read("Cargo.toml")["workspace"]["lints"]);
    let lock = read("tests/postgres-es/Cargo.lock");
    let locked: Vec<&str> =
        lock["package"].as_array().unwrap().iter().filter_map(|package| package["name"].as_str()).collect();
    assert!(locked.contains(&"postgres-es") && locked.contains(&DOMAIN));
    assert_eq!(NOBODY_USES.iter().find(|name| locked.contains(*name)), None);
    // And of what it brings, the product has nothing.
    let product = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    assert!(!product.contains("name = \"postgres-es\""));
}

/// Habits that a source breaks, with their lines. Tests may leave nothing out, the product nothing undone.
fn bad_habits(source: &str, is_product: bool) -> Vec<String> {
    let everywhere = [concat!("#[", "allow("), concat!("#![", "allow("), concat!("#[", "ignore")];
    let undone = [concat!("todo", "!("), concat!("unimplemented", "!("), concat!("dbg", "!(")];
    let banned: Vec<&str> = everywhere.into_iter().chain(undone.into_iter().filter(|_| is_product)).collect();
    let lines = source.lines().enumerate();
    let found = lines.filter(|(_, line)| banned.iter().any(|banned| line.contains(banned)));
    found.map(|(number, line)| format!("{}: {}", number + 1, line.trim())).collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn no_lint_is_silenced_no_test_is_left_out_and_nothing_is_left_undone() {
    let mut count = 0;
    for (folder, is_product) in
        [("domain", true), ("commands", true), ("projections", true), ("gateway", true), ("tests", false)]
    {
        let mut found = vec![];
        sources(&root().join(folder), &mut found);
        count += found.len();
        for path in found {
            let habits = bad_habits(&fs::read_to_string(&path).unwrap(), is_product);
            assert_eq!(habits, [""; 0], "{}", path.display());
        }
    }
    assert!(count > 100, "only {count} sources were read");
}

#[test]
fn bad_habits_are_seen() {
    for (source, is_product) in [
        (concat!("#[", "allow(dead_code)]"), true),
        (concat!("#![", "allow(clippy::all)]"), false),
        (concat!("    #[", "ignore = \"slow\"]"), false),
        (concat!("fn f() { ", "todo", "!() }"), true),
        (concat!("unimplemented", "!(\"later\")"), true),
        (concat!("dbg", "!(x)"), true),
    ] {
        assert_eq!(bad_habits(&format!("fn main() {{}}\n{source}"), is_product), [format!("2: {}", source.trim())]);
    }
    assert_eq!(bad_habits("#[expect(dead_code, reason = \"r\")]\nfn f() {}", true), [""; 0]);
}
