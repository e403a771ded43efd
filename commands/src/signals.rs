//! What processes over one PostgreSQL tell each other: that something was appended, and how far history has its order.
//!
//! Nothing is said inside an append: NOTIFY there makes all committing transactions queue up. It is said afterwards, by
//! a task of its own, once for all that was appended meanwhile. Who misses it looks for itself a little later.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use sqlx::{
    PgPool,
    postgres::{PgListener, PgPoolOptions},
};
use starscreen_domain::work::Lane;
use tokio::sync::{Notify, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{append::Wakes, db::PostgresOptions};

const APPENDED: &str = "starscreen_appended";
pub(crate) const SEQUENCED: &str = "starscreen_sequenced";
/// One connection listens, one speaks.
const CONNECTIONS: u32 = 2;
const RECONNECT: Duration = Duration::from_millis(500);

/// Speaks to, and hears, all processes over the same database.
#[derive(Clone)]
pub struct Signals {
    said: Arc<Said>,
    head: watch::Receiver<u64>,
}

#[derive(Default)]
struct Said {
    /// Lanes that have new work, a bit each, not said yet.
    lanes: AtomicU32,
    something: Notify,
    /// Somebody, here or elsewhere, has appended.
    appended: Notify,
    wakes: Arc<Wakes>,
}

impl Signals {
    pub(crate) fn start(
        options: &PostgresOptions,
        head: u64,
        stop: CancellationToken,
        tasks: &TaskTracker,
    ) -> Result<Self, sqlx::Error> {
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .max_lifetime(None)
            .idle_timeout(None)
            .connect_lazy_with(options.connect_options()?);
        let said = Arc::new(Said::default());
        let (announce, head) = watch::channel(head);
        tasks.spawn({
            let (said, pool, stop) = (Arc::clone(&said), pool.clone(), stop.clone());
            async move { stop.run_until_cancelled(speak(&said, &pool)).await }
        });
        tasks.spawn({
            let said = Arc::clone(&said);
            async move { stop.run_until_cancelled(listen(&said, &pool, &announce)).await }
        });
        Ok(Self { said, head })
    }

    /// Tells everybody of a commit, and of the lanes that have new work by it.
    pub(crate) fn appended(&self, lanes: impl Iterator<Item = Lane>) {
        let bits = lanes.fold(0, |bits, lane| bits | 1 << lane as u32);
        self.said.lanes.fetch_or(bits, Ordering::Relaxed);
        self.said.something.notify_one();
    }

    /// Returns when somebody has appended.
    pub(crate) async fn somebody_appended(&self) {
        self.said.appended.notified().await;
    }

    pub(crate) fn wakes(&self) -> Arc<Wakes> {
        Arc::clone(&self.said.wakes)
    }

    /// Newest position that was heard of.
    pub(crate) fn head(&self) -> watch::Receiver<u64> {
        self.head.clone()
    }
}

async fn speak(said: &Said, pool: &PgPool) {
    loop {
        said.something.notified().await;
        let bits = said.lanes.swap(0, Ordering::Relaxed);
        let lanes: Vec<&str> =
            Lane::ALL.into_iter().filter(|lane| bits & 1 << *lane as u32 != 0).map(Lane::name).collect();
        let spoken = sqlx::query("SELECT pg_notify($1, $2)").bind(APPENDED).bind(lanes.join(",")).execute(pool).await;
        if let Err(error) = spoken {
            tracing::debug!(error = %error, "a commit could not be announced; others look for themselves");
        }
    }
}

async fn listen(said: &Said, pool: &PgPool, head: &watch::Sender<u64>) {
    loop {
        if let Err(error) = hear(said, pool, head).await {
            tracing::debug!(error = %error, "announcements cannot be heard; they are looked for instead");
        }
        tokio::time::sleep(RECONNECT).await;
    }
}

async fn hear(said: &Said, pool: &PgPool, head: &watch::Sender<u64>) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen_all([APPENDED, SEQUENCED]).await?;
    loop {
        let Some(signal) = listener.try_recv().await? else { return Ok(()) }; // the connection was lost
        if signal.channel() == SEQUENCED {
            let newest = signal.payload().parse().unwrap_or(0);
            head.send_if_modified(|known| {
                let newer = *known < newest;
                *known = newest.max(*known);
                newer
            });
            continue;
        }
        said.appended.notify_one();
        for lane in signal.payload().split(',').filter_map(|name| name.parse::<Lane>().ok()) {
            said.wakes.wake(lane);
        }
    }
}
