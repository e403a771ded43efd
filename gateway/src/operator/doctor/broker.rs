//! NATS beside PostgreSQL: whether it answers, what its user may, the stream, how far the relay is, and the consumers.

use std::time::Duration;

use starscreen_commands::distribution::{self, Distribution};
use starscreen_projections::Models;
use tokio::time::timeout;

use super::{Check, MOST_BEHIND, fine, wrong};
use crate::{
    config::Settings,
    http::chain,
    outbound::jetstream::{Blocker, Difference, Refusals, Topology, TopologyError, consumer_name},
    roles::{Opened, broker},
};

const NATS: &str = "nats";
const STREAM: &str = "events stream";
/// How long NATS may take to let somebody in.
const PATIENCE: Duration = Duration::from_secs(5);
/// From then on events that wait to be published should be looked at.
pub const LONGEST_LAG: Duration = Duration::from_secs(30);

pub(super) async fn look(settings: &Settings, opened: &Opened, checks: &mut Vec<Check>) {
    if settings.nats.url.is_none() {
        return checks.push(fine(NATS, "is not set up; read models and workers go by the database"));
    }
    let stream = match timeout(PATIENCE, broker::topology_now(settings)).await {
        Ok(Ok(Some((topology, refusals)))) => {
            checks.push(fine(NATS, greeting(settings, &topology)));
            Some((topology, refusals))
        }
        Ok(Ok(None)) => None,
        Ok(Err(error)) => {
            checks.push(unreachable(&chain(&error)));
            None
        }
        Err(_elapsed) => {
            checks.push(unreachable(&format!("nobody answers within {} s", PATIENCE.as_secs())));
            None
        }
    };
    checks.push(about_distribution(opened).await);
    if let Some((topology, refusals)) = stream {
        about_stream(settings, &topology, refusals, checks).await;
    }
}

fn unreachable(found: &str) -> Check {
    wrong(
        NATS,
        found,
        "check that it runs, NATS_URL and its password; meanwhile work goes on from the database, and nothing is lost",
    )
}

fn greeting(settings: &Settings, topology: &Topology) -> String {
    let server = topology.client().server_info();
    let user = broker::user(settings).map_or_else(String::new, |user| format!(", and lets {user} in"));
    format!("version {} answers{user}", server.version)
}

async fn about_stream(settings: &Settings, topology: &Topology, mut refusals: Refusals, checks: &mut Vec<Check>) {
    refusals.mark_unchanged();
    let looked = tokio::select! {
        biased;
        looked = topology.look() => looked,
        Ok(()) = refusals.changed() => {
            let user = broker::user(settings).unwrap_or_default();
            let found = format!("cannot be looked at by the user {user}; the user operator may");
            return checks.push(fine(STREAM, found));
        }
    };
    match looked {
        Ok(None) => checks.push(wrong(STREAM, "is missing", "the relay makes it: see distribution")),
        Ok(Some((state, differing))) => {
            let held = match state.first {
                first if first > state.last => format!("is empty; the next position is {first}"),
                first => format!("holds positions {first} to {}, {} MB", state.last, state.bytes >> 20),
            };
            checks.push(match differing.as_slice() {
                [] => fine(STREAM, format!("{held}, as the settings want it")),
                differing => wrong(
                    STREAM,
                    format!("{held}; {}", differences(differing)),
                    "start the relay again, which upgrades it; if it is right as it is, give this doctor the relay's \
                     settings",
                ),
            });
            about_consumers(topology, checks).await;
        }
        Err(error) => checks.push(wrong(STREAM, chain(&error), remedy(&error))),
    }
}

fn differences(differing: &[Difference]) -> String {
    let told = differing
        .iter()
        .map(|Difference { property, found, wanted }| format!("{property} is {found}, the settings say {wanted}"));
    told.collect::<Vec<_>>().join("; ")
}

fn remedy(error: &TopologyError) -> &'static str {
    match error {
        TopologyError::Unreachable { .. } => "check that JetStream is on, and that nats.conf lets the user look at it",
        _ => "see the relay's log",
    }
}

async fn about_consumers(topology: &Topology, checks: &mut Vec<Check>) {
    let consumers = match topology.consumers().await {
        Ok(consumers) => consumers,
        Err(error) => return checks.push(wrong("consumers", chain(&error), remedy(&error))),
    };
    for model in Models::NAMES {
        let wanted = consumer_name(model);
        let name = format!("consumer {wanted}");
        let Some(consumer) = consumers.iter().find(|consumer| consumer.name == wanted) else {
            checks.push(wrong(name, "is missing", format!("start `starscreen projector {model}`, which makes it")));
            continue;
        };
        let behind = consumer.pending + consumer.unacknowledged as u64;
        checks.push(if behind > MOST_BEHIND {
            wrong(
                name,
                format!("is {behind} events behind"),
                format!("see the line {model}, and whether `starscreen projector {model}` runs"),
            )
        } else {
            fine(name, format!("is {behind} events behind, at {}", consumer.acknowledged))
        });
    }
}

/// As the relay itself tells it in the database, so that it is known where NATS cannot be asked.
async fn about_distribution(opened: &Opened) -> Check {
    const NAME: &str = "distribution";
    let told = match distribution::told(&opened.write.queue).await {
        Ok(told) => told,
        Err(error) => return wrong(NAME, chain(&error), "check the database's log"),
    };
    let Some(Distribution { told, silent_for, lag, lag_for }) = &told else {
        return wrong(NAME, "no relay has distributed events yet", "start `starscreen relay` with NATS_URL");
    };
    let behind = format!("{lag} events wait to be published, the oldest for {} s", lag_for.as_secs());
    if silent_for > &distribution::SILENT_TOO_LONG {
        let found = format!("no relay has said anything for {} s; {behind}", silent_for.as_secs());
        return wrong(NAME, found, "start `starscreen relay` with NATS_URL; see the line relay, too");
    }
    if let Some(blocker) = &told.blocked_by {
        let error = told.error.as_deref().unwrap_or("it does not say why");
        let found = format!("blocked by {blocker}: {error}; {behind}");
        return wrong(NAME, found, Blocker::called(blocker).map_or("see the relay's log", what_to_do));
    }
    if *lag_for > LONGEST_LAG {
        return wrong(NAME, behind, "wait and look again; if it does not shrink, see the relay's log");
    }
    fine(NAME, format!("published up to {}; {behind}", told.published))
}

fn what_to_do(blocker: Blocker) -> &'static str {
    match blocker {
        Blocker::Unreachable => "see the line nats; what waits is published when it is back",
        Blocker::Space => "do what it says; what waits is published then",
        Blocker::Refused => "compare nats.conf with the one of this version, and look at the log of NATS",
        Blocker::Stream => "wait and look again; if it stays, run `starscreen relay rebuild-stream`",
        Blocker::Log => "check the database's log",
    }
}
