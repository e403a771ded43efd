//! Read your writes: waiting until read models have seen a position.

use std::{collections::BTreeMap, time::Duration};

use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use super::checkpoint;
use crate::{Models, db::Db};

/// How often the table is looked at for a projector that runs in another process.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Checkpoints of the projectors that run in this process; `None`: this one does not run here.
pub(crate) struct Checkpoints(BTreeMap<&'static str, watch::Sender<Option<u64>>>);

impl Checkpoints {
    pub(crate) fn new() -> Self {
        Self(Models::NAMES.iter().map(|name| (*name, watch::Sender::new(None))).collect())
    }

    /// Says that a projector of this process has committed `position`; `None`: that it stops.
    pub(crate) fn publish(&self, name: &str, position: Option<u64>) {
        if let Some(checkpoint) = self.0.get(name) {
            checkpoint.send_if_modified(|known| std::mem::replace(known, position) != position);
        }
    }

    /// Whether all of `names` have seen `position` within `at_most`.
    pub(crate) async fn wait_for(&self, db: &Db, names: &[&'static str], position: u64, at_most: Duration) -> bool {
        let all = async {
            for name in names {
                let Some(checkpoint) = self.0.get(name) else { return false };
                seen(db, name, checkpoint.subscribe(), position).await;
            }
            true
        };
        timeout(at_most, all).await.unwrap_or(false)
    }
}

async fn seen(db: &Db, name: &str, mut here: watch::Receiver<Option<u64>>, position: u64) {
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
        // An error is the same as not having seen it: the runner reports it, the caller runs out of time.
        if let Ok(Some(elsewhere)) = checkpoint::find(db, name).await
            && elsewhere.position >= position
        {
            return;
        }
        sleep(POLL_INTERVAL).await;
    }
}
