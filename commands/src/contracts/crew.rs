//! A crew of workers over a store, and the patience to watch it.

use std::time::Duration;

use starscreen_domain::{CandidateId, JobId, work::Lane};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    scripted::Scripted,
    stage::{self, Tenant, until},
};
use crate::{
    candidate,
    db::Scope,
    workers::{HOLD, LaneSettings, Workers},
    write_side::WriteSide,
};

pub const LEASE: Duration = Duration::from_mins(1);
/// What one try may take.
pub const AT_MOST: Duration = Duration::from_mins(1);

/// Workers of every lane.
pub struct Crew {
    shutdown: CancellationToken,
    tracker: TaskTracker,
}

impl Crew {
    pub fn at_work(write: &WriteSide, ports: &Scripted) -> Self {
        Self::with(write, ports, AT_MOST, HOLD)
    }

    pub fn with(write: &WriteSide, ports: &Scripted, at_most: Duration, hold: Duration) -> Self {
        let (shutdown, tracker) = (CancellationToken::new(), TaskTracker::new());
        let settings = LaneSettings { parallel: 4, at_most, hold };
        for lane in Lane::ALL {
            workers(write, ports).start(lane, settings, shutdown.clone(), &tracker);
        }
        Self { shutdown, tracker }
    }

    /// Returns when every worker has put down its work.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.tracker.close();
        tokio::time::timeout(stage::PATIENCE, self.tracker.wait()).await.expect("workers stop when they are told to");
    }
}

pub fn workers(write: &WriteSide, ports: &Scripted) -> Workers {
    Workers::new(write.bus.clone(), write.queue.clone(), ports.ports())
}

/// Uploads a resume with this text.
pub async fn upload(write: &WriteSide, ports: &Scripted, tenant: &Tenant, job: JobId, text: &str) -> CandidateId {
    let upload = stage::an_upload(tenant, job);
    ports.store_file(upload.candidate.0, &upload.command.blob_key, text).await;
    candidate::upload_resume(&write.bus, tenant.context(), upload).await.unwrap().output.candidate
}

/// Ends all pauses between tries: contracts do not wait for minutes.
pub async fn hurry(write: &WriteSide) {
    let mut tx = write.db.begin(Scope::All).await.unwrap();
    tx.execute("UPDATE work SET free_at_ms = 0 WHERE lease IS NULL AND lane <> 'clock'", vec![]).await.unwrap();
    tx.commit().await.unwrap();
    for lane in Lane::ALL {
        write.queue.wake(lane);
    }
}

/// Items of all lanes that nobody has finished, but for what is not due yet.
pub async fn unfinished(write: &WriteSide) -> u64 {
    let mut items = 0;
    for lane in Lane::ALL.into_iter().filter(|lane| *lane != Lane::Clock) {
        let count = write.queue.count(lane).await.unwrap();
        items += count.ready + count.leased + count.waiting;
    }
    items
}

/// Returns when every item has ended, pauses cut short.
pub async fn until_all_is_done(write: &WriteSide) {
    until("the end of all work", async || {
        hurry(write).await;
        (unfinished(write).await == 0).then_some(())
    })
    .await;
}
