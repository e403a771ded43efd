//! The same over PostgreSQL: the database, who leads, read models, work.

use std::time::Duration;

use starscreen_commands::{db::OpenError, operations, operations::Leader};
use starscreen_projections::ReadModelError;

use super::{
    Check, about_directory, about_disk, about_history, about_objects, about_read_model, about_work, broker, fine, wrong,
};
use crate::{
    config::Settings,
    data_dir::DataDir,
    http::chain,
    roles::{Opened, StartError},
};

pub(super) async fn look(settings: &Settings, checks: &mut Vec<Check>) {
    let dir = match DataDir::share(&settings.data_dir) {
        Ok(dir) => dir,
        Err(error) => return checks.push(wrong("data directory", error.to_string(), "nothing else can be looked at")),
    };
    checks.extend([about_directory(dir.root()), about_disk(dir.root())]);
    let opened = match Opened::open(settings, &dir).await {
        Ok(opened) => opened,
        Err(error) => return checks.push(wrong("database", chain(&error), remedy(&error))),
    };
    about_history(&opened.write, checks).await;
    let runs = about_leader(&opened, checks).await;
    let head = operations::newest_position(&opened.write.queue).await.unwrap_or_default();
    match opened.reads.status().await {
        Ok(statuses) => checks.extend(statuses.iter().map(|status| about_read_model(status, head, runs))),
        Err(error) => checks.push(wrong("read models", chain(&error), "check the database's log")),
    }
    broker::look(settings, &opened, checks).await;
    checks.push(about_objects(settings, &dir).await);
    about_work(&opened.write, runs, checks).await;
    opened.close().await;
}

fn remedy(error: &StartError) -> &'static str {
    match error {
        StartError::WriteStore(OpenError::TooOld { .. })
        | StartError::ReadModels(ReadModelError::OlderSchema { .. }) => "run `starscreen migrate up`",
        StartError::WriteStore(OpenError::TooNew { .. })
        | StartError::ReadModels(ReadModelError::NewerSchema { .. }) => "use the newer version of this program",
        StartError::OtherMasterKey | StartError::DataDir(_) => {
            "give this machine the key that the data is sealed under"
        }
        _ => "check DATABASE_URL, and that PostgreSQL runs and can be reached from here",
    }
}

/// An event has its place within milliseconds of its commit, unless a transaction beside it does not end.
const LONGEST_WAIT_FOR_ORDER: Duration = Duration::from_secs(10);

fn waiting(leader: &Leader) -> String {
    match leader.waiting {
        0 => "0 events wait for their order".to_owned(),
        events => format!("{events} events wait for their order, the oldest for {} s", leader.waiting_for.as_secs()),
    }
}

/// Whether anybody gives history its order: without, commands are accepted and nobody sees what they did.
async fn about_leader(opened: &Opened, checks: &mut Vec<Check>) -> bool {
    const NAME: &str = "relay";
    const START: &str = "start `starscreen relay`, or `starscreen`, which has one in it";
    let (check, runs) = match operations::leader(&opened.write.queue, &opened.write.log).await {
        Ok(None) => (wrong(NAME, "none has ever run", START), false),
        Ok(Some(leader)) if leader.is_silent() => {
            let (silent, wait) = (leader.silent_for.as_secs(), waiting(&leader));
            (wrong(NAME, format!("{} has said nothing for {silent} s; {wait}", leader.process), START), false)
        }
        Ok(Some(leader)) if leader.waiting_for > LONGEST_WAIT_FOR_ORDER => {
            let found = format!("{} leads; {}", leader.process, waiting(&leader));
            (wrong(NAME, found, "its log names the transaction that is open: end it"), true)
        }
        Ok(Some(leader)) => (fine(NAME, format!("{} leads; {}", leader.process, waiting(&leader))), true),
        Err(error) => (wrong(NAME, chain(&error), "check the database's log"), false),
    };
    checks.push(check);
    runs
}
