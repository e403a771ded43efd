//! `starscreen queue`: what is to be done, lane by lane, and who decides about it.

use std::{
    io::{IsTerminal, Write, stderr, stdout},
    time::Duration,
};

use clap::Subcommand;
use serde_json::{Value, json};
use starscreen_commands::{
    CommandError,
    operations::{self, Dead, Item, LaneState, Redriven},
    workers::purge::{Purged, purge},
};
use starscreen_domain::work::Lane;
use uuid::Uuid;

use super::{
    OperatorError, open,
    table::{Table, age, or_dash, say, say_json, time},
};
use crate::{
    config::Settings,
    http::chain,
    roles::{BILLING_PLACES, CLOCK_PLACES, Opened, WEBHOOK_PLACES},
};

const REDRAW: Duration = Duration::from_secs(1);
/// Clears a terminal and goes to its first line.
const CLEAR: &str = "\x1b[H\x1b[2J";
/// Dead items taken up in one run.
const AT_ONCE: u32 = 10_000;

#[derive(Subcommand)]
pub enum QueueCommand {
    /// Lists work items, the oldest first
    List {
        /// extract, rubric, score, react, clock, billing or webhook; all without
        lane: Option<Lane>,
        #[arg(long, default_value_t = 50)]
        limit: u32,
        #[arg(long)]
        json: bool,
    },
    /// Lists the items that workers have in hand
    Active {
        lane: Option<Lane>,
        #[arg(long)]
        json: bool,
    },
    /// Tells what each lane does and how many of its items are worked on at the same time
    Registered {
        #[arg(long)]
        json: bool,
    },
    /// Counts the items of each lane: ready, in hand, waiting, dead; with ages, tries and pauses
    Stats {
        lane: Option<Lane>,
        /// Draws anew every second until it is stopped
        #[arg(long, conflicts_with = "json")]
        watch: bool,
        #[arg(long)]
        json: bool,
    },
    /// Counts the items that are not done
    Length {
        lane: Option<Lane>,
        #[arg(long)]
        json: bool,
    },
    /// Ends every item of a lane as failed, to be redriven or not; needs --yes
    Purge {
        lane: Lane,
        /// Without it nothing is changed, and what would be is told
        #[arg(long)]
        yes: bool,
    },
    /// Gives no more items of a lane away until it is resumed, over restarts too; what is in hand is finished
    Pause {
        lane: Lane,
        /// Shown wherever the lane is shown
        #[arg(long, default_value = "paused by an operator")]
        reason: String,
    },
    /// Gives items of a lane away again
    Resume { lane: Lane },
    /// Lists work that was given up or purged
    Dead {
        lane: Option<Lane>,
        #[arg(long, default_value_t = 50)]
        limit: u32,
        #[arg(long)]
        json: bool,
    },
    /// Takes up dead work again: all, that of a lane, or that of one subject
    Redrive {
        /// A lane, or the id of a candidate, a job, a notice or a metered entry: a subject that `dead` lists
        what: Option<String>,
    },
}

/// # Errors
/// An [`OperatorError`] that says what is in the way.
pub async fn run(settings: &Settings, command: QueueCommand) -> Result<(), OperatorError> {
    if let QueueCommand::Registered { json } = command {
        registered(settings, json);
        return Ok(());
    }
    let opened = open(settings).await?;
    let outcome = with_store(&opened, command).await;
    opened.close().await;
    outcome
}

async fn with_store(opened: &Opened, command: QueueCommand) -> Result<(), OperatorError> {
    let queue = &opened.write.queue;
    match command {
        QueueCommand::Registered { .. } => {} // needs no store
        QueueCommand::List { lane, limit, json } => {
            show_items(&operations::items(queue, lane, false, limit).await?, "no work is waiting", json);
        }
        QueueCommand::Active { lane, json } => {
            show_items(&operations::items(queue, lane, true, u32::MAX).await?, "no item is in hand", json);
        }
        QueueCommand::Stats { lane, watch: true, .. } => watch(opened, lane).await?,
        QueueCommand::Stats { lane, json, .. } => {
            let states = states(opened, lane).await?;
            if json {
                say_json(&states.iter().map(state_json).collect::<Vec<_>>());
            } else {
                say(stats(&states));
            }
        }
        QueueCommand::Length { lane, json } => length(&states(opened, lane).await?, lane, json),
        QueueCommand::Purge { lane, yes } => end_all(opened, lane, yes).await?,
        QueueCommand::Pause { lane, reason } => pause(opened, lane, &reason).await?,
        QueueCommand::Resume { lane } => {
            let was = queue.resume(lane).await.map_err(CommandError::from)?;
            say(format_args!("{lane}: {}", if was { "goes on" } else { "was not paused" }));
        }
        QueueCommand::Dead { lane, limit, json } => {
            show_dead(&operations::dead(queue, lane, None, limit).await?, json);
        }
        QueueCommand::Redrive { what } => redrive(opened, what.as_deref()).await?,
    }
    Ok(())
}

async fn states(opened: &Opened, lane: Option<Lane>) -> Result<Vec<LaneState>, OperatorError> {
    let queue = &opened.write.queue;
    Ok(match lane {
        Some(lane) => vec![operations::lane_state(queue, lane).await?],
        None => operations::lane_states(queue).await?,
    })
}

fn registered(settings: &Settings, json: bool) {
    let workers = &settings.workers;
    let lanes = Lane::ALL.map(|lane| match lane {
        Lane::Extract => {
            (lane, workers.extract_parallel, "reads the text out of a resume's file, in a process with limits")
        }
        Lane::Rubric => {
            (lane, workers.rubric_parallel, "draws up a job's rubric from its description, by the language model")
        }
        Lane::Score => (lane, workers.score_parallel, "grades a resume by its job's rubric, by the language model"),
        Lane::React => (
            lane,
            workers.react_parallel,
            "follows up: scores who waited for a rubric, deletes a deleted job's candidates",
        ),
        Lane::Clock => (
            lane,
            CLOCK_PLACES,
            "does what is due at a time: closes billing periods, changes plans, asks for a look at subscriptions",
        ),
        Lane::Billing => (lane, BILLING_PLACES, "tells the payment provider of plans, orders and metered usage"),
        Lane::Webhook => (lane, WEBHOOK_PLACES, "follows what the payment provider tells"),
    });
    if json {
        let lanes = lanes.map(|(lane, places, does)| json!({ "lane": lane, "places": places, "does": does }));
        return say_json(&lanes);
    }
    let mut table = Table::new(&["lane", "places", "does"]);
    for (lane, places, does) in lanes {
        table.row([lane.to_string(), places.to_string(), does.to_owned()]);
    }
    table.print();
}

fn show_items(items: &[Item], none: &str, json: bool) {
    if json {
        return say_json(&items.iter().map(item_json).collect::<Vec<_>>());
    }
    let mut table = Table::new(&["lane", "task", "state", "age", "tries", "subject", "tenant", "urgent", "last error"]);
    for item in items {
        table.row([
            item.lane.clone(),
            item.task.clone(),
            item.state.name().to_owned(),
            age(item.asked_at),
            item.attempts.to_string(),
            item.subject.to_string(),
            item.tenant.to_string(),
            if item.urgent { "yes" } else { "no" }.to_owned(),
            item.last_error.clone().unwrap_or_default(),
        ]);
    }
    if table.is_empty() {
        say(none);
    } else {
        table.print();
    }
}

fn item_json(item: &Item) -> Value {
    json!({
        "id": item.id, "lane": item.lane, "task": item.task, "state": item.state.name(), "tenant_id": item.tenant,
        "subject": item.subject, "urgent": item.urgent, "attempts": item.attempts, "asked_at": time(item.asked_at),
        "free_at": time(item.free_at), "last_error": item.last_error,
    })
}

fn stats(states: &[LaneState]) -> String {
    let mut table =
        Table::new(&["lane", "ready", "leased", "waiting", "dead", "oldest", "tries", "paused", "last error"]);
    for state in states {
        table.row([
            state.lane.to_string(),
            state.count.ready.to_string(),
            state.count.leased.to_string(),
            state.count.waiting.to_string(),
            state.dead.to_string(),
            or_dash(state.oldest.map(age)),
            state.attempts.to_string(),
            or_dash(state.pause.as_ref().map(pause_text)),
            state.last_error.clone().unwrap_or_default(),
        ]);
    }
    table.text()
}

/// Why, and until when.
pub fn pause_text(pause: &starscreen_commands::work::LanePause) -> String {
    match pause.until_ms.and_then(chrono::DateTime::from_timestamp_millis) {
        Some(until) => format!("{} (tries again at {})", pause.reason, until.format("%H:%M:%S")),
        None => format!("{} (until it is resumed)", pause.reason),
    }
}

fn state_json(state: &LaneState) -> Value {
    json!({
        "lane": state.lane, "ready": state.count.ready, "leased": state.count.leased, "waiting": state.count.waiting,
        "dead": state.dead, "oldest_at": state.oldest.map(time), "attempts": state.attempts,
        "last_error": state.last_error,
        "paused": state.pause.as_ref().map(|pause| json!({
            "reason": pause.reason,
            "since": chrono::DateTime::from_timestamp_millis(pause.since_ms).map(time),
            "until": pause.until_ms.and_then(chrono::DateTime::from_timestamp_millis).map(time),
        })),
    })
}

async fn watch(opened: &Opened, lane: Option<Lane>) -> Result<(), OperatorError> {
    let terminal = stdout().is_terminal();
    loop {
        let states = states(opened, lane).await?;
        let begin = if terminal { CLEAR } else { "" };
        let shown = write!(stdout(), "{begin}{}\n{}\n\n", time(chrono::Utc::now()), stats(&states));
        if shown.and_then(|()| stdout().flush()).is_err() {
            return Ok(()); // who reads has seen enough
        }
        tokio::time::sleep(REDRAW).await;
    }
}

fn length(states: &[LaneState], lane: Option<Lane>, json: bool) {
    let items = |state: &LaneState| state.count.ready + state.count.leased + state.count.waiting;
    if json {
        let lengths: serde_json::Map<String, Value> =
            states.iter().map(|state| (state.lane.to_string(), json!(items(state)))).collect();
        return say_json(&lengths);
    }
    for state in states {
        match lane {
            Some(_) => say(items(state)),
            None => say(format_args!("{} {}", state.lane, items(state))),
        };
    }
}

async fn end_all(opened: &Opened, lane: Lane, yes: bool) -> Result<(), OperatorError> {
    let queue = &opened.write.queue;
    if !yes && !matches!(lane, Lane::React | Lane::Clock | Lane::Billing) {
        let count = queue.count(lane).await.map_err(CommandError::from)?;
        return Err(OperatorError::Usage(format!(
            "this would end {} items of lane {lane} as FAILED (they can be redriven); run it again with --yes",
            count.ready + count.waiting
        )));
    }
    let terminal = stderr().is_terminal();
    let Purged { failed, moot, in_hand } = purge(&opened.write.bus, queue, lane, |purged| {
        if terminal {
            let _ = write!(stderr(), "{lane}: {} ended\r", purged.failed + purged.moot); // only to pass the time
        }
    })
    .await?;
    say(format_args!(
        "{lane}: {failed} ended as failed with code purged, {moot} were no longer wanted, {in_hand} are in hand and \
         were left; `starscreen queue redrive {lane}` takes them up again"
    ));
    Ok(())
}

async fn pause(opened: &Opened, lane: Lane, reason: &str) -> Result<(), OperatorError> {
    let queue = &opened.write.queue;
    let before = queue.pause_of(lane).await.map_err(CommandError::from)?;
    queue.pause(lane, reason, None).await.map_err(CommandError::from)?;
    match before.filter(|pause| pause.until_ms.is_none()) {
        Some(pause) => say(format_args!("{lane}: was paused already: {}", pause.reason)),
        None => say(format_args!("{lane}: paused: {reason}; `starscreen queue resume {lane}` lets it go on")),
    };
    Ok(())
}

fn show_dead(dead: &[Dead], json: bool) {
    if json {
        let dead: Vec<Value> = dead
            .iter()
            .map(|dead| {
                json!({
                    "id": dead.id, "lane": dead.lane, "tenant_id": dead.tenant, "subject": dead.subject,
                    "code": dead.code, "attempts": dead.attempts, "last_error": dead.last_error,
                    "died_at": time(dead.died_at),
                })
            })
            .collect();
        return say_json(&dead);
    }
    let mut table = Table::new(&["lane", "code", "age", "tries", "subject", "tenant", "last error"]);
    for dead in dead {
        table.row([
            dead.lane.clone(),
            dead.code.clone(),
            age(dead.died_at),
            dead.attempts.to_string(),
            dead.subject.to_string(),
            dead.tenant.to_string(),
            dead.last_error.clone(),
        ]);
    }
    if table.is_empty() {
        say("nothing is dead");
    } else {
        table.print();
    }
}

async fn redrive(opened: &Opened, what: Option<&str>) -> Result<(), OperatorError> {
    let (lane, subject) = match what {
        None => (None, None),
        Some(what) => match (what.parse::<Lane>(), what.parse::<Uuid>()) {
            (Ok(lane), _) => (Some(lane), None),
            (_, Ok(subject)) => (None, Some(subject)),
            (Err(error), Err(_)) => {
                return Err(OperatorError::Usage(format!(
                    "{error}; nor is it the id of a candidate, a job, a notice or a metered entry"
                )));
            }
        },
    };
    let mut dead = operations::dead(&opened.write.queue, lane, subject, AT_ONCE).await?;
    if dead.is_empty() {
        say("nothing is dead there");
        return Ok(());
    }
    dead.sort_by_key(|dead| dead.lane != Lane::Rubric.name()); // candidates need their job's rubric
    let (mut again, mut settled, mut refused) = (0, 0, vec![]);
    for dead in &dead {
        match operations::redrive(&opened.write.bus, &opened.write.queue, dead).await {
            Ok(Redriven::Again) => again += 1,
            Ok(Redriven::Settled) => settled += 1,
            Err(error) => refused.push(format!("{} {}: {}", dead.lane, dead.subject, chain(&error))),
        }
    }
    say(format_args!("{again} are tried again, {settled} needed nothing any more, {} stay dead", refused.len()));
    if refused.is_empty() {
        return Ok(());
    }
    Err(OperatorError::Usage(refused.join("; ")))
}
