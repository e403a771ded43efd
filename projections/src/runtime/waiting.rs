//! Read your writes: waiting until read models have seen a position.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use tokio::{
    sync::{Mutex, watch},
    time::{sleep, timeout},
};

use super::checkpoint;
use crate::{Models, db::Db};

/// How old what was read of other processes' projectors may be, while somebody waits for them. A read is one short
/// query, whoever many wait; a NOTIFY would make the commits of all projectors wait for each other.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// How far projectors have come.
pub(crate) struct Checkpoints {
    /// Those that run in this process; `None`: this one does not run here.
    here: BTreeMap<&'static str, watch::Sender<Option<u64>>>,
    /// As they were read last, and when: whoever finds it too old reads again, for all who wait.
    elsewhere: Mutex<(Option<Instant>, HashMap<String, u64>)>,
}

impl Checkpoints {
    pub(crate) fn new() -> Self {
        Self {
            here: Models::NAMES.iter().map(|name| (*name, watch::Sender::new(None))).collect(),
            elsewhere: Mutex::default(),
        }
    }

    /// Says that a projector of this process has committed `position`; `None`: that it stops.
    pub(crate) fn publish(&self, name: &str, position: Option<u64>) {
        if let Some(checkpoint) = self.here.get(name) {
            checkpoint.send_if_modified(|known| std::mem::replace(known, position) != position);
        }
    }

    /// Whether all of `names` have seen `position` within `at_most`.
    pub(crate) async fn wait_for(&self, db: &Db, names: &[&'static str], position: u64, at_most: Duration) -> bool {
        let all = async {
            for name in names {
                let Some(checkpoint) = self.here.get(name) else { return false };
                self.seen(db, name, checkpoint.subscribe(), position).await;
            }
            true
        };
        timeout(at_most, all).await.unwrap_or(false)
    }

    async fn seen(&self, db: &Db, name: &str, mut here: watch::Receiver<Option<u64>>, position: u64) {
        loop {
            let known = *here.borrow_and_update();
            if known.is_some_and(|known| known >= position) {
                return;
            }
            if known.is_some() {
                // The sender lives as long as `Checkpoints`, so this only fails when nobody can be waiting.
                let _ = here.changed().await;
                continue;
            }
            if self.elsewhere(db, name).await.is_some_and(|elsewhere| elsewhere >= position) {
                return;
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Where the projector was a moment ago. What cannot be read was not seen: the runner reports it, the caller runs
    /// out of time.
    async fn elsewhere(&self, db: &Db, name: &str) -> Option<u64> {
        let mut known = self.elsewhere.lock().await;
        if known.0.is_none_or(|read_at| read_at.elapsed() >= POLL_INTERVAL) {
            let positions = checkpoint::positions(db).await.ok()?;
            *known = (Some(Instant::now()), positions);
        }
        known.1.get(name).copied()
    }
}
