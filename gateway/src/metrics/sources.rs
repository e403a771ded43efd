//! How far everybody is: read from the stores, or from a part of this process, when somebody asks.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use starscreen_commands::{
    distribution,
    operations::{self, LaneState},
    sequencer::SequencerStatus,
    store::Log,
    work::WorkQueue,
};
use starscreen_projections::ReadModels;
use tokio::{sync::watch, time::timeout};

use super::page::Page;
use crate::{
    http::chain,
    outbound::jetstream::{Blocker, JetStreamFeed, RelayStatus},
    reconcile::Figures,
};

/// A store that takes longer is left out; whoever asks waits ten seconds at most.
const PATIENCE: Duration = Duration::from_secs(3);

/// Something to read.
#[derive(Clone)]
pub enum Source {
    /// Who gives history its order, how much waits for it, and how much for distribution. Over PostgreSQL.
    Order {
        queue: WorkQueue,
        log: Log,
    },
    Work(WorkQueue),
    /// All read models, or only the one called so.
    ReadModels {
        reads: ReadModels,
        queue: WorkQueue,
        only: Option<String>,
    },
    Sequencer(watch::Receiver<SequencerStatus>),
    Relay(watch::Receiver<RelayStatus>),
    Feed {
        read_model: &'static str,
        feed: Arc<JetStreamFeed>,
    },
    /// What the last comparison with the payment provider found, if there was one.
    Reconciled(watch::Receiver<Option<Figures>>),
}

impl Source {
    /// A store that fails leaves its values out; its name then stands in `scrape_failed`.
    pub(super) async fn read(&self, page: &mut Page) {
        let (name, outcome) = match self {
            Self::Order { queue, log } => ("order", timeout(PATIENCE, order(queue, log, page)).await),
            Self::Work(queue) => ("work", timeout(PATIENCE, work(queue, page)).await),
            Self::ReadModels { reads, queue, only } => {
                ("read_models", timeout(PATIENCE, read_models(reads, queue, only.as_deref(), page)).await)
            }
            Self::Sequencer(status) => return sequencer(&status.borrow(), page),
            Self::Relay(status) => return relay(&status.borrow(), page),
            Self::Feed { read_model, feed } => return counters(read_model, feed, page),
            Self::Reconciled(found) => return reconciled(found.borrow().as_ref(), page),
        };
        let failed = match outcome {
            Ok(Ok(())) => false,
            Ok(Err(error)) => {
                tracing::debug!(metrics.source = name, error = %chain(error.as_ref()), "a source of metrics fails");
                true
            }
            Err(_elapsed) => true,
        };
        let help = "1 when the store did not answer, so that what it would tell is missing";
        page.gauge("scrape_failed", help, &[("source", name)], flag(failed));
    }
}

type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

async fn order(queue: &WorkQueue, log: &Log, page: &mut Page) -> Outcome {
    let head = operations::newest_position(queue).await?;
    page.gauge("log_position", "Newest position of history", &[], number(head));
    if let Some(leader) = operations::leader(queue, log).await? {
        let help = "Seconds since the leading sequencer was heard of; it speaks several times a second";
        page.gauge("sequencer_silent_seconds", help, &[], leader.silent_for.as_secs_f64());
        page.gauge("sequencer_lag_events", "Committed events without a position", &[], number(leader.waiting));
        let help = "Age of the oldest committed event without a position";
        page.gauge("sequencer_lag_seconds", help, &[], leader.waiting_for.as_secs_f64());
    }
    if let Some(told) = distribution::told(queue).await? {
        let help = "Seconds since the relay was heard of; it speaks every second";
        page.gauge("relay_silent_seconds", help, &[], told.silent_for.as_secs_f64());
        page.gauge("relay_lag_events", "Positions that are not on the stream", &[], number(told.lag));
        let help = "Age of the oldest position that is not on the stream";
        page.gauge("relay_lag_seconds", help, &[], told.lag_for.as_secs_f64());
        for blocker in Blocker::ALL {
            let blocks = told.told.blocked_by.as_deref() == Some(blocker.name());
            page.gauge(
                "relay_blocked",
                "1 for what keeps the relay from publishing",
                &[("by", blocker.name())],
                flag(blocks),
            );
        }
    }
    Ok(())
}

async fn work(queue: &WorkQueue, page: &mut Page) -> Outcome {
    for LaneState { lane, count, oldest, pause, dead, .. } in operations::lane_states(queue).await? {
        let lane = lane.name();
        for (state, count) in [("ready", count.ready), ("active", count.leased), ("waiting", count.waiting)] {
            let help = "Work items: ready to be taken, active in a worker's hands, waiting for another try";
            page.gauge("work_items", help, &[("lane", lane), ("state", state)], number(count));
        }
        page.gauge("work_dead", "Work items that were given up or purged", &[("lane", lane)], number(dead));
        let age = oldest.map_or(0.0, |at| (chrono::Utc::now() - at).as_seconds_f64().max(0.0));
        page.gauge("work_oldest_seconds", "Age of the oldest work item that is not done", &[("lane", lane)], age);
        page.gauge("work_paused", "1 while a lane gives nothing away", &[("lane", lane)], flag(pause.is_some()));
    }
    Ok(())
}

async fn read_models(reads: &ReadModels, queue: &WorkQueue, only: Option<&str>, page: &mut Page) -> Outcome {
    let head = operations::newest_position(queue).await?;
    for status in reads.status().await? {
        if only.is_some_and(|only| only != status.name) {
            continue;
        }
        let labels = [("read_model", status.name)];
        let behind = head.saturating_sub(status.position);
        page.gauge("projector_lag_events", "Positions that a read model has not seen", &labels, number(behind));
        page.gauge("projector_parked_events", "Events that a projector has set aside", &labels, number(status.parked));
        let help = "1 while a projector cannot bring its read model up to date";
        page.gauge("projector_failed", help, &labels, flag(status.error.is_some()));
    }
    Ok(())
}

fn sequencer(status: &SequencerStatus, page: &mut Page) {
    page.gauge("sequencer_leads", "1 where this process gives history its order", &[], flag(status.leads));
    let help = "1 while a transaction that does not end holds up history; the log names it";
    page.gauge("sequencer_blocked", help, &[], flag(status.blocked_by.is_some()));
}

fn relay(status: &RelayStatus, page: &mut Page) {
    page.gauge(
        "relay_published_position",
        "Newest position that this process saw on the stream",
        &[],
        number(status.published),
    );
    let help = "Alarms: how often the stream held what history does not";
    page.counter("relay_foreign_found", help, &[], status.foreign_found);
    page.counter("relay_streams_made", "How often the stream was made", &[], status.streams_made);
    page.counter(
        "relay_republished",
        "Positions published again because the stream lost them",
        &[],
        status.republished,
    );
}

fn reconciled(found: Option<&Figures>, page: &mut Page) {
    let Some(Figures { at, checked, drifting, unknown }) = found else { return };
    let help = "Tenants whose payments were compared with the provider's by the last run, by what it found";
    let alike = checked.saturating_sub(drifting + unknown);
    for (found, tenants) in [("alike", alike), ("drift", *drifting), ("unknown", *unknown)] {
        page.gauge("billing_reconciled", help, &[("found", found)], number(tenants as u64));
    }
    let help = "When payments were last compared with the provider's, in seconds since 1970";
    page.gauge("billing_reconciled_timestamp_seconds", help, &[], number(at.timestamp().unsigned_abs()));
}

fn counters(read_model: &'static str, feed: &JetStreamFeed, page: &mut Page) {
    let counters = feed.counters();
    for (way, count) in [("stream", &counters.streamed), ("healed", &counters.healed), ("log", &counters.from_log)] {
        let help = "Events that came to a projector: by the stream, by the log for a loss, by the log without NATS";
        let labels = [("read_model", read_model), ("way", way)];
        page.counter("feed_events", help, &labels, count.load(Ordering::Relaxed));
    }
}

fn flag(set: bool) -> f64 {
    if set { 1.0 } else { 0.0 }
}

/// Exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "Prometheus has no other numbers")]
fn number(count: u64) -> f64 {
    count as f64
}
