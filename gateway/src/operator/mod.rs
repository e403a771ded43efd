//! What operators do from the command line. Works beside a running server.

pub mod audit;
pub mod billing;
pub mod customer;
pub mod distribution;
pub mod doctor;
pub mod health;
mod ledger;
pub mod machine;
pub mod migrate;
pub mod queue;
mod table;

use std::io::{IsTerminal, Write, stderr};

use chrono::Utc;
use serde_json::json;
use starscreen_commands::{
    CommandError, Context, account,
    subscription::{self, Correction},
    workers::purge::PurgeError,
};
use starscreen_domain::{Actor, TenantId};
use starscreen_projections::{Models, ReadModelError, RebuildOptions, RebuildProgress, Rebuilt};

use crate::{
    config::{Described, Plan, Settings},
    data_dir::DataDir,
    roles::{Opened, StartError},
};
use table::{say, say_json};

#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error(transparent)]
    ReadModel(#[from] ReadModelError),
    #[error(transparent)]
    Schema(#[from] starscreen_commands::schema::SchemaError),
    #[error("events are not distributed here: set NATS_URL")]
    NotDistributed,
    #[error(transparent)]
    Relay(#[from] crate::outbound::jetstream::RelayError),
    #[error(transparent)]
    Analytics(#[from] crate::outbound::jetstream::analytics::AnalyticsError),
    #[error("a key could not be made")]
    Issuer(#[from] crate::outbound::jetstream::analytics::IssuerError),
    #[error(
        "there is nothing to migrate without DATABASE_URL: an embedded store is brought up to date when it is opened"
    )]
    NothingToMigrate,
    #[error("{} cannot be written", path.display())]
    NewMigration { path: std::path::PathBuf, source: std::io::Error },
    #[error(transparent)]
    Purge(#[from] PurgeError),
    #[error("there is no plan \"{plan}\"; the settings have {known}")]
    UnknownPlan { plan: String, known: String },
    #[error("no account has the e-mail address {0}")]
    UnknownAccount(String),
    #[error("there is no read model \"{name}\"; there are {}", Models::NAMES.join(", "))]
    UnknownReadModel { name: String },
    /// What was asked for cannot be done, in its own words.
    #[error("{0}")]
    Usage(String),
}

async fn open(settings: &Settings) -> Result<Opened, StartError> {
    let dir = match settings.database.url {
        None => DataDir::beside(&settings.data_dir)?,
        Some(_) => DataDir::share(&settings.data_dir)?,
    };
    Opened::open(settings, &dir).await
}

/// The effective settings, one a line, or as JSON.
pub fn print_settings(settings: &Settings, as_json: bool) {
    if as_json {
        let all = settings.describe().iter().map(|Described { key, variable, value, origin, about }| {
            json!({ "key": key, "variable": variable, "value": value, "origin": origin, "about": about })
        });
        return say_json(&all.collect::<Vec<_>>());
    }
    for Described { key, variable, value, origin, .. } in settings.describe() {
        if !say(format_args!("{key} = {value}   # {variable}, from {origin}")) {
            return; // who reads has seen enough
        }
    }
}

/// Changes a plan at once.
///
/// # Errors
/// An [`OperatorError`] that says what is in the way; nothing is changed then.
pub async fn change_plan(settings: &Settings, email: &str, plan: &str, reason: String) -> Result<(), OperatorError> {
    let terms = settings.plan(plan).map(Plan::terms).ok_or_else(|| OperatorError::UnknownPlan {
        plan: plan.to_owned(),
        known: settings.plans.iter().map(|plan| plan.code.as_str()).collect::<Vec<_>>().join(", "),
    })?;
    let opened = open(settings).await?;
    let context = on_behalf_of(&opened, email).await?;
    let changed = subscription::change_plan(&opened.write.bus, context, terms, reason).await?.output;
    opened.close().await;
    let limit = changed.to.monthly_limit.map_or_else(|| "no limit".to_owned(), |limit| limit.to_string());
    say(format_args!(
        "{email}: plan {} → {} (monthly limit {limit}, {} used in the running period)",
        changed.from.code, changed.to.code, changed.used
    ));
    Ok(())
}

/// Corrects usage by an entry.
///
/// # Errors
/// An [`OperatorError`] that says what is in the way; nothing is changed then.
pub async fn correct_usage(
    settings: &Settings,
    email: &str,
    correction: Correction,
    reason: String,
) -> Result<(), OperatorError> {
    let opened = open(settings).await?;
    let context = on_behalf_of(&opened, email).await?;
    let adjusted = subscription::adjust_usage(&opened.write.bus, context, correction, reason).await?.output;
    opened.close().await;
    let limit = adjusted.limit.map_or_else(|| "no limit".to_owned(), |limit| limit.to_string());
    say(format_args!("{email}: {} used of {limit} in the running period", adjusted.used));
    Ok(())
}

async fn on_behalf_of(opened: &Opened, email: &str) -> Result<Context, OperatorError> {
    let holder = account::holder_of(&opened.write.bus, opened.vault.as_ref(), email).await?;
    let (tenant, _): (TenantId, _) = holder.ok_or_else(|| OperatorError::UnknownAccount(email.to_owned()))?;
    Ok(Context::new(tenant, Actor::Operator, Utc::now()))
}

/// Builds one read model, or all, anew from the first event and switches to it.
///
/// # Errors
/// An [`OperatorError`]; the read model is then as it was.
pub async fn rebuild(settings: &Settings, name: Option<&str>, batch: usize, diff: bool) -> Result<(), OperatorError> {
    known(name)?;
    let opened = open(settings).await?;
    let options = RebuildOptions { batch, diff };
    let (feed, keys) = (opened.feed.clone(), opened.vault.clone());
    let rebuilt = match name {
        Some(name) => vec![opened.reads.rebuild(name, feed, keys, options, show).await?],
        None => opened.reads.rebuild_all(feed, keys, options, show).await?,
    };
    opened.close().await;
    end_progress();
    for Rebuilt { projector, position, seconds, diff, .. } in rebuilt {
        let compared = diff.map_or_else(String::new, |diff| {
            let differing = diff.only_live + diff.only_rebuilt + diff.changed;
            format!(", {differing} rows differed at position {}", diff.position)
        });
        say(format_args!("{projector}: rebuilt to position {position} in {seconds:.1} s{compared}"));
    }
    Ok(())
}

/// Folds parked events again.
///
/// # Errors
/// An [`OperatorError`] that says what is in the way.
pub async fn replay(settings: &Settings, name: &str) -> Result<(), OperatorError> {
    known(Some(name))?;
    let opened = open(settings).await?;
    let replayed = opened.reads.replay(name, opened.feed.clone(), opened.vault.clone()).await?;
    opened.close().await;
    say(format_args!("{name}: {} parked events folded, {} rows still wait", replayed.folded, replayed.rows_left));
    Ok(())
}

pub fn known(name: Option<&str>) -> Result<(), OperatorError> {
    match name {
        Some(name) if !Models::NAMES.contains(&name) => Err(OperatorError::UnknownReadModel { name: name.to_owned() }),
        _ => Ok(()),
    }
}

/// One line that is written over on a terminal, a line each in a file.
fn show(progress: RebuildProgress) {
    let RebuildProgress { projector, done, head, events_per_second } = progress;
    let percent = (done * 100).checked_div(head).unwrap_or(100);
    let end = if stderr().is_terminal() { "\r" } else { "\n" };
    let _ = write!(stderr(), "{projector}: {done} of {head} events ({percent} %), {events_per_second:.0}/s{end}");
}

fn end_progress() {
    if stderr().is_terminal() {
        let _ = writeln!(stderr()); // the terminal may be gone; the work is done all the same
    }
}
