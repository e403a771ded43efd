//! `starscreen migrate`: the schema of PostgreSQL, up to date, back, and as it is.

use std::{fs, path::Path};

use clap::Subcommand;
use secrecy::ExposeSecret;
use serde_json::json;
use starscreen_commands::schema as write;
use starscreen_projections::schema as read;

use super::{
    OperatorError,
    table::{Table, say, say_json, time},
};
use crate::config::Settings;

#[derive(Subcommand)]
pub enum MigrateCommand {
    /// Brings in every migration that is missing
    Up,
    /// Takes the last migrations of each schema out; refused where events would be lost
    Down {
        #[arg(default_value_t = 1)]
        steps: usize,
    },
    /// Lists the migrations that are in, and when they came
    History {
        #[arg(long)]
        json: bool,
    },
    /// Tells which migration each schema is at, and which this program knows
    Current {
        #[arg(long)]
        json: bool,
    },
    /// Writes the files of a new migration, up and down, for whoever develops this program
    New {
        /// What it does, such as `add_candidate_source`
        name: String,
    },
}

/// # Errors
/// An [`OperatorError`] that says what is in the way.
pub async fn run(settings: &Settings, command: &MigrateCommand) -> Result<(), OperatorError> {
    match command {
        MigrateCommand::Up => up(settings).await,
        MigrateCommand::Down { steps } => down(settings, *steps).await,
        MigrateCommand::History { json } => history(settings, *json).await,
        MigrateCommand::Current { json } => current(settings, *json).await,
        MigrateCommand::New { name } => new(name),
    }
}

fn url(settings: &Settings) -> Result<&str, OperatorError> {
    settings.database.url.as_ref().map(ExposeSecret::expose_secret).ok_or(OperatorError::NothingToMigrate)
}

/// Brings both schemas up to date.
///
/// # Errors
/// An [`OperatorError`] that says what is in the way; each migration is in as a whole or not at all.
pub async fn up(settings: &Settings) -> Result<(), OperatorError> {
    let url = url(settings)?;
    let write = write::up(url).await?;
    let read = read::up(url).await?;
    for name in &write {
        say(format_args!("write: {name} is in"));
    }
    for migration in &read {
        say(format_args!("read: {} is in", migration.name));
    }
    Ok(())
}

async fn down(settings: &Settings, steps: usize) -> Result<(), OperatorError> {
    let url = url(settings)?;
    for name in write::down(url, steps).await? {
        say(format_args!("write: {name} is out"));
    }
    for migration in read::down(url, steps).await? {
        say(format_args!("read: {} is out", migration.name));
    }
    Ok(())
}

async fn history(settings: &Settings, as_json: bool) -> Result<(), OperatorError> {
    let url = url(settings)?;
    let (write, read) = (write::history(url).await?, read::history(url).await?);
    let write = write.into_iter().map(|applied| ("write", applied.version, applied.name, applied.applied_at));
    let read = read.into_iter().map(|applied| ("read", applied.version, applied.name, applied.applied_at));
    let applied = write.chain(read);
    if as_json {
        let objects = applied.map(|(schema, version, name, at)| {
            json!({ "schema": schema, "version": version, "name": name, "applied_at": at })
        });
        say_json(&objects.collect::<Vec<_>>());
        return Ok(());
    }
    let mut table = Table::new(&["schema", "version", "name", "applied at"]);
    for (schema, version, name, at) in applied {
        table.row([schema.to_owned(), version.to_string(), name, time(at)]);
    }
    table.print();
    Ok(())
}

async fn current(settings: &Settings, as_json: bool) -> Result<(), OperatorError> {
    let url = url(settings)?;
    let write = write::history(url).await?.pop().map(|applied| (applied.version, applied.name));
    let read = read::history(url).await?.pop().map(|applied| (applied.version, applied.name));
    let schemas = [("write", write, write::MIGRATIONS.len()), ("read", read, read::KNOWN.len())];
    if as_json {
        let objects = schemas.map(|(schema, at, known)| {
            let (version, name) = at.unzip();
            json!({ "schema": schema, "version": version.unwrap_or(0), "name": name, "known": known })
        });
        say_json(&objects);
        return Ok(());
    }
    for (schema, at, known) in schemas {
        let at = at.map_or_else(|| "empty".to_owned(), |(version, name)| format!("at {version} ({name})"));
        say(format_args!("{schema}: {at}; this program knows {known}"));
    }
    Ok(())
}

/// Numbers it behind those that are there, in the schema whose folder stands below the working directory.
fn new(name: &str) -> Result<(), OperatorError> {
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_') {
        return Err(OperatorError::Usage("a migration's name has small letters, digits and _".to_owned()));
    }
    let directory = Path::new("commands/migrations/postgres");
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| OperatorError::NewMigration { path, source }
    };
    let there = fs::read_dir(directory).map_err(failed(directory))?.flatten();
    let last = there.filter_map(|entry| entry.file_name().to_str()?.get(..4)?.parse::<u32>().ok()).max().unwrap_or(0);
    for way in ["up", "down"] {
        let path = directory.join(format!("{:04}_{name}.{way}.sql", last + 1));
        fs::write(&path, "-- Runs as starscreen_owner, in one transaction.\n").map_err(failed(&path))?;
        say(format_args!("{}", path.display()));
    }
    say("add it to MIGRATIONS in commands/src/schema.rs");
    Ok(())
}
