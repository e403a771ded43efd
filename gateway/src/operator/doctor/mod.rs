//! `starscreen doctor`: what is in order and what is not, a line each, with what to do.

pub mod broker;
mod servers;
mod stripe;

use std::{
    borrow::Cow,
    fs::{File, TryLockError},
    path::Path,
    time::Duration,
};

use serde::Serialize;
use serde_json::json;
use starscreen_commands::{
    WriteSide,
    db::OpenError,
    operations::{self, LaneState},
    ports::{ObjectsError, Vault},
};
use starscreen_projections::{ProjectionStatus, ProjectorStatus, ReadModelError, ReadModels};

use super::{
    machine::{LEAST_FREE_BYTES, free_bytes, others_may_look, probe},
    queue::pause_text,
    table::{age, say, say_json, time},
};
use crate::{
    config::{Bucket, ConfigError, Settings, Warning},
    data_dir::DataDir,
    http::chain,
    outbound::{
        keys::Keys,
        objects::{ObjectFiles, StoreError},
        openai::{Listed, OpenAi, OpenAiOptions},
    },
    roles::SOURCE,
};

/// How far a read model may be behind before somebody should look.
pub const MOST_BEHIND: u64 = 1_000;
/// An item that waits longer without a reason is stuck.
const LONGEST_WAIT: chrono::TimeDelta = chrono::TimeDelta::minutes(30);
/// How long a model server may take to say that it is there.
const MODEL_PATIENCE: Duration = Duration::from_secs(10);

/// One thing looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    pub name: Cow<'static, str>,
    pub ok: bool,
    pub found: String,
    /// What helps, where something is not in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

fn fine(name: impl Into<Cow<'static, str>>, found: impl Into<String>) -> Check {
    Check { name: name.into(), ok: true, found: found.into(), remedy: None }
}

fn wrong(name: impl Into<Cow<'static, str>>, found: impl Into<String>, remedy: impl Into<String>) -> Check {
    Check { name: name.into(), ok: false, found: found.into(), remedy: Some(remedy.into()) }
}

/// Looks at everything, and prints it. False: something is not in order.
pub async fn run(loaded: Result<(Settings, Vec<Warning>), ConfigError>, as_json: bool) -> bool {
    let checks = look(loaded).await;
    let healthy = checks.iter().all(|check| check.ok);
    if as_json {
        say_json(&json!({ "ok": healthy, "checks": checks }));
        return healthy;
    }
    for Check { name, ok, found, remedy } in &checks {
        let state = if *ok { "ok    " } else { "not ok" };
        let remedy = remedy.as_ref().map_or_else(String::new, |remedy| format!("; {remedy}"));
        say(format_args!("{state}  {name}: {found}{remedy}"));
    }
    healthy
}

async fn look(loaded: Result<(Settings, Vec<Warning>), ConfigError>) -> Vec<Check> {
    let (settings, warnings) = match loaded {
        Ok(loaded) => loaded,
        Err(error) => return vec![wrong("settings", chain(&error), "correct it; the server does not start with it")],
    };
    let mut checks = vec![about_settings(&warnings), about_plans(&settings)];
    if settings.database.url.is_some() {
        servers::look(&settings, &mut checks).await;
        checks.extend([about_model(&settings).await, stripe::about(&settings).await]);
        return checks;
    }
    let dir = match DataDir::beside(&settings.data_dir) {
        Ok(dir) => dir,
        Err(error) => {
            checks.push(wrong("data directory", error.to_string(), "nothing else can be looked at"));
            return checks;
        }
    };
    let (server, runs) = about_server(&dir);
    checks.extend([about_directory(dir.root()), about_disk(dir.root()), server]);
    let write = about_write_store(&dir, &mut checks).await;
    checks.push(about_master_key(&settings, &dir, write.as_ref()).await);
    if let Some(write) = &write {
        about_history(write, &mut checks).await;
        about_read_models(&dir, write, runs, &mut checks).await;
    }
    checks.push(about_objects(&settings, &dir).await);
    if let Some(write) = &write {
        about_work(write, runs, &mut checks).await;
        write.close().await;
    }
    checks.extend([about_model(&settings).await, stripe::about(&settings).await]);
    checks
}

fn about_settings(warnings: &[Warning]) -> Check {
    let said: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    if said.is_empty() {
        return fine("settings", "every value is allowed and known");
    }
    wrong("settings", said.join("; "), "correct or remove it; `starscreen config` shows what is in force")
}

fn about_plans(settings: &Settings) -> Check {
    let plans: Vec<&str> = settings.plans.iter().map(|plan| plan.code.as_str()).collect();
    if settings.plan("free").is_none() {
        return wrong("plans", "there is no plan \"free\"", "add [plans.free]: new accounts begin with it");
    }
    fine("plans", plans.join(", "))
}

fn about_directory(root: &Path) -> Check {
    let shown = root.display();
    if others_may_look(root) {
        return wrong("data directory", format!("{shown} is open to other users"), format!("run chmod 700 {shown}"));
    }
    fine("data directory", shown.to_string())
}

fn about_disk(root: &Path) -> Check {
    match free_bytes(root) {
        Ok(Some(free)) if free < LEAST_FREE_BYTES => wrong(
            "disk",
            format!("{} MB are free", free >> 20),
            "make room: uploads are refused when it is full; nothing that was acknowledged is lost",
        ),
        Ok(Some(free)) => fine("disk", format!("{} MB are free", free >> 20)),
        Ok(None) => fine("disk", "free space cannot be told on this system"),
        Err(error) => wrong("disk", error.to_string(), "check the data directory"),
    }
}

/// The check, and whether a server runs. Asks for its lock only for a moment, and shared, so that doctors do not
/// disturb one another.
fn about_server(dir: &DataDir) -> (Check, bool) {
    let path = dir.root().join("lock");
    let holder = || std::fs::read_to_string(&path).unwrap_or_default().trim().to_owned();
    match File::open(&path).map(|file| file.try_lock_shared()) {
        Ok(Err(TryLockError::WouldBlock)) => (fine("server", format!("runs as process {}", holder())), true),
        Ok(Err(TryLockError::Error(error))) => (wrong("server", error.to_string(), "check the file lock"), false),
        Ok(Ok(())) | Err(_) => (fine("server", "does not run"), false),
    }
}

async fn about_write_store(dir: &DataDir, checks: &mut Vec<Check>) -> Option<WriteSide> {
    let path = dir.write_db();
    if !path.is_file() {
        let remedy = "start the server once, or restore it from your backup";
        checks.push(wrong("write store", format!("{} is missing", path.display()), remedy));
        return None;
    }
    match WriteSide::open_current(&path, SOURCE).await {
        Ok(write) => Some(write),
        Err(error) => {
            let remedy = match error {
                OpenError::OlderFile { .. } => "nothing was looked at or changed, so the older version can go on",
                OpenError::TooNew { .. } => "use the newer version",
                OpenError::TooOld { .. } | OpenError::Database(_) => "restore it from your backup",
            };
            checks.push(wrong("write store", chain(&error), remedy));
            None
        }
    }
}

async fn about_history(write: &WriteSide, checks: &mut Vec<Check>) {
    let check = match operations::check_store(&write.queue).await {
        Ok(check) => check,
        Err(error) => {
            checks.push(wrong("write store", chain(&error), "stop the server and restore write.db from your backup"));
            return;
        }
    };
    checks.push(match check.damage.first() {
        None => fine("write store", format!("opens, its schema is current, it is whole; {} events", check.head)),
        Some(damage) => wrong("write store", damage.clone(), "stop the server and restore write.db from your backup"),
    });
    checks.push(if check.missing_triggers.is_empty() {
        fine("append-only", "events cannot be changed or deleted")
    } else {
        let missing = check.missing_triggers.join(", ");
        wrong(
            "append-only",
            format!("trigger {missing} is missing"),
            "somebody altered write.db: find out who, and compare it with your backup",
        )
    });
    checks.push(match check.ahead_of_clock {
        None => fine("clock", time(chrono::Utc::now())),
        Some(at) => wrong(
            "clock",
            format!("the newest event is from {}, later than now", time(at)),
            "set the clock of this machine",
        ),
    });
}

async fn about_master_key(settings: &Settings, dir: &DataDir, write: Option<&WriteSide>) -> Check {
    let master = match dir.master_key(&settings.keys) {
        Ok(master) => master,
        Err(error) => return wrong("master key", chain(&error), "nothing personal can be read without it"),
    };
    let file = dir.root().join("master.key");
    if file.is_file() && others_may_look(&file) {
        let found = format!("{} can be read by other users", file.display());
        return wrong("master key", found, format!("run chmod 600 {}", file.display()));
    }
    let Some(write) = write else { return fine("master key", "is there") };
    let opened = async {
        let Some((tenant, subject)) = operations::any_subject_with_key(&write.queue).await? else {
            return Ok("nothing is sealed yet");
        };
        Keys::new(&master, write.registry.clone())?.subject_key(tenant, subject).await?;
        Ok::<_, Box<dyn std::error::Error>>("opens what is stored")
    };
    match opened.await {
        Ok(found) => fine("master key", found),
        Err(error) => wrong("master key", chain(error.as_ref()), "restore the key that this data was sealed with"),
    }
}

async fn about_read_models(dir: &DataDir, write: &WriteSide, runs: bool, checks: &mut Vec<Check>) {
    if !dir.read_db().is_file() {
        let found = "read.db is missing";
        checks.push(if runs {
            wrong("read models", found, "start the server again: it rebuilds them")
        } else {
            fine("read models", format!("{found}; they are rebuilt at the next start"))
        });
        return;
    }
    let statuses = async {
        let reads = ReadModels::open_current(dir.read_db()).await?;
        let statuses = reads.status().await;
        reads.close().await;
        statuses
    };
    let head = operations::newest_position(&write.queue).await.unwrap_or_default();
    match statuses.await {
        Ok(statuses) => checks.extend(statuses.iter().map(|status| about_read_model(status, head, runs))),
        Err(error @ ReadModelError::OlderFile { .. }) => {
            checks.push(wrong("read models", chain(&error), "nothing was looked at or changed"));
        }
        Err(error) => checks.push(wrong(
            "read models",
            chain(&error),
            "stop the server, delete read.db and start it: they are rebuilt from the events",
        )),
    }
}

fn about_read_model(status: &ProjectionStatus, head: u64, runs: bool) -> Check {
    let name = status.name;
    let behind = head.saturating_sub(status.position);
    if let Some(error) = &status.error {
        return wrong(name, error.clone(), format!("mend it; if it stays, run `starscreen rebuild {name}`"));
    }
    if status.parked > 0 {
        let found = format!("{} events are set aside", status.parked);
        return wrong(
            name,
            found,
            format!("see the log for the reason; when it is mended, run `starscreen replay {name}`"),
        );
    }
    if status.position > head {
        let found = format!("is at {}, beyond the newest event {head}", status.position);
        return wrong(name, found, format!("it belongs to another history; run `starscreen rebuild {name}`"));
    }
    if runs && status.status == ProjectorStatus::Paused {
        return wrong(name, format!("is paused, {behind} events behind"), "let it go on");
    }
    if runs && behind > MOST_BEHIND {
        return wrong(
            name,
            format!("is {behind} events behind"),
            "wait and look again; if it does not move, see the log",
        );
    }
    fine(name, format!("is {}, {behind} events behind", status.status))
}

async fn about_objects(settings: &Settings, dir: &DataDir) -> Check {
    let name = "objects";
    let path = dir.objects();
    let probed = async {
        let objects = ObjectFiles::open(&settings.objects, &path)?;
        probe(&objects).await?;
        // The sweep finds by listing what was left behind.
        objects.try_listing().await
    };
    let outcome = probed.await;
    let Some(Bucket { name: bucket, .. }) = &settings.objects.bucket else {
        return match outcome {
            Ok(()) => fine(name, "can be written and read"),
            Err(error) => {
                let remedy = format!("make {} a directory that the server may write", path.display());
                wrong(name, chain(&error), remedy)
            }
        };
    };
    let Err(error) = outcome else { return fine(name, format!("bucket {bucket} can be written, read and listed")) };
    let ObjectsError::Unavailable(cause) = &error else { return wrong(name, chain(&error), "look again") };
    let remedy = match cause.downcast_ref::<StoreError>() {
        Some(StoreError::Refused { .. }) => {
            "check STARSCREEN_OBJECTS_ACCESS_KEY, STARSCREEN_OBJECTS_SECRET_KEY and STARSCREEN_OBJECTS_REGION; the key \
             must be allowed to put, get, delete and list"
        }
        Some(StoreError::NoBucket) => "make the bucket, or correct STARSCREEN_OBJECTS_URL",
        Some(StoreError::Slow { .. } | StoreError::Failed { .. } | StoreError::Unreachable) | None => {
            "check STARSCREEN_OBJECTS_ENDPOINT and the network; uploads are refused with 503 until it answers"
        }
    };
    wrong(name, format!("bucket {bucket}: {cause}"), remedy)
}

async fn about_work(write: &WriteSide, runs: bool, checks: &mut Vec<Check>) {
    match operations::lane_states(&write.queue).await {
        Ok(states) => checks.extend(states.iter().map(|state| about_lane(state, runs))),
        Err(error) => checks.push(wrong("work", chain(&error), "see write store")),
    }
}

fn about_lane(state: &LaneState, runs: bool) -> Check {
    let name = match state.lane {
        starscreen_domain::work::Lane::Extract => "lane extract",
        starscreen_domain::work::Lane::Rubric => "lane rubric",
        starscreen_domain::work::Lane::Score => "lane score",
        starscreen_domain::work::Lane::React => "lane react",
        starscreen_domain::work::Lane::Clock => "lane clock",
        starscreen_domain::work::Lane::Billing => "lane billing",
        starscreen_domain::work::Lane::Webhook => "lane webhook",
    };
    let lane = state.lane;
    if let Some(pause) = &state.pause {
        let remedy = match pause.until_ms {
            Some(_) => "mend what it says; the lane goes on by itself".to_owned(),
            None => format!("run `starscreen queue resume {lane}` to let it go on"),
        };
        return wrong(name, format!("paused: {}", pause_text(pause)), remedy);
    }
    if state.dead > 0 {
        let found = format!("{} items were given up or purged", state.dead);
        return wrong(
            name,
            found,
            format!("see `starscreen queue dead {lane}`, then `starscreen queue redrive {lane}`"),
        );
    }
    let oldest = state.oldest.filter(|oldest| runs && chrono::Utc::now() - *oldest > LONGEST_WAIT);
    if let Some(oldest) = oldest {
        let error = state.last_error.as_deref().unwrap_or("it was not tried yet");
        let found = format!("an item has waited for {}: {error}", age(oldest));
        return wrong(name, found, format!("see `starscreen queue list {lane}` and the log"));
    }
    let count = state.count;
    fine(name, format!("{} ready, {} in hand, {} waiting", count.ready, count.leased, count.waiting))
}

/// Asked as the server asks, by the same client. A whole address may carry a secret, so only its host is told.
async fn about_model(settings: &Settings) -> Check {
    let name = "language model";
    let openai = &settings.openai;
    let Some(api_key) = openai.api_key.clone() else {
        return fine(name, "offline scorer: OPENAI_API_KEY is not set");
    };
    let options = OpenAiOptions {
        api_key,
        base_url: openai.base_url.clone(),
        model: openai.model.clone(),
        temperature: openai.temperature,
        timeout: MODEL_PATIENCE,
    };
    let client = match OpenAi::connect(options) {
        Ok(client) => client,
        Err(error) => return wrong(name, chain(&error), "the server does not start with it"),
    };
    let (host, model) = (client.host(), &openai.model);
    match client.models().await {
        Ok(Listed::Names(names)) if names.is_empty() || names.contains(model) => {
            fine(name, format!("{model} at {host} takes the key"))
        }
        Ok(Listed::Names(_)) => fine(name, format!("{host} takes the key; {model} is not in its list of models")),
        Ok(Listed::NoList) => fine(name, format!("{host} answers; it has no list of models, so the key is not tried")),
        Ok(Listed::KeyRefused) => wrong(
            name,
            format!("{host} refuses the key"),
            "set OPENAI_API_KEY to a valid key and start the server again",
        ),
        Ok(Listed::Answered(status)) => {
            wrong(name, format!("{host} answers {status}"), "check OPENAI_BASE_URL; work waits until it answers")
        }
        Err(error) => wrong(
            name,
            format!("{host}: {error}"),
            "check the network and OPENAI_BASE_URL; work waits until it answers",
        ),
    }
}
