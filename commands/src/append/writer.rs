//! The writer task: one a process, the only one that appends.

use std::sync::Arc;

use starscreen_domain::work::Lane;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Append, AppendError, MAX_EVENT_BYTES, Place, heads::Heads, rows::write};
use crate::{
    db::{Db, Scope},
    signals::Signals,
};

/// Commands in one transaction at most.
const MAX_GROUP: usize = 64;
/// Transactions at once, where the store takes several: while one waits for the server, the next is on its way.
const AT_ONCE: usize = 2;
/// Commands that may wait before the next has to wait for a place.
const MAX_WAITING: usize = 1_024;

type Waiting = (Append, oneshot::Sender<Result<Place, AppendError>>);

/// Handle of the writer task. The task ends when it is stopped or the last handle is gone.
#[derive(Clone)]
pub struct Writer {
    queue: mpsc::Sender<Waiting>,
    head: watch::Receiver<u64>,
    wakes: Arc<Wakes>,
    stop: CancellationToken,
    task: TaskTracker,
}

/// Tells the workers of a lane that there is something to do.
#[derive(Default)]
pub struct Wakes([Notify; Lane::ALL.len()]);

impl Wakes {
    pub fn wake(&self, lane: Lane) {
        self.0[lane as usize].notify_one();
    }

    pub async fn woken(&self, lane: Lane) {
        self.0[lane as usize].notified().await;
    }
}

impl Writer {
    /// A writer whose process is told of every commit by `signals`, or else is the only one.
    ///
    /// # Errors
    /// When the log's head cannot be read.
    pub async fn start(db: Db, signals: Option<Signals>) -> Result<Self, sqlx::Error> {
        let (queue, waiting) = mpsc::channel(MAX_WAITING);
        let (wakes, head, announce) = if let Some(signals) = signals {
            (signals.wakes(), signals.head(), Announce::Everywhere(signals))
        } else {
            let (announce, head) = watch::channel(read_head(&db).await?);
            (Arc::default(), head, Announce::Here(announce))
        };
        let (stop, task) = (CancellationToken::new(), TaskTracker::new());
        task.spawn(run(Store { db, announce, wakes: Arc::clone(&wakes) }, waiting, stop.clone()));
        task.close();
        Ok(Self { queue, head, wakes, stop, task })
    }

    /// Appends; returns when it is on disk.
    ///
    /// # Errors
    /// An [`AppendError`] that names the outcome; nothing of the command is then stored.
    pub async fn append(&self, append: Append) -> Result<Place, AppendError> {
        if let Some(bytes) =
            append.events.iter().map(|event| event.payload.len()).max().filter(|b| *b > MAX_EVENT_BYTES)
        {
            return Err(AppendError::EventTooLarge { bytes });
        }
        let (reply, answer) = oneshot::channel();
        self.queue.send((append, reply)).await.map_err(|_| AppendError::Stopped)?;
        answer.await.map_err(|_| AppendError::Stopped)?
    }

    /// Takes no more commands; returns when those that were waiting are written.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.task.wait().await;
    }

    pub fn wakes(&self) -> Arc<Wakes> {
        Arc::clone(&self.wakes)
    }

    /// Newest position that this process knows of, to wait on.
    pub fn head(&self) -> watch::Receiver<u64> {
        self.head.clone()
    }
}

/// Who is told of commits.
enum Announce {
    Here(watch::Sender<u64>),
    Everywhere(Signals),
}

impl Announce {
    fn commits<'a>(&self, wakes: &Wakes, commits: impl Iterator<Item = (&'a Append, &'a Place)> + Clone) {
        // What is due at a time is found by looking.
        let now = commits.clone().flat_map(|(append, _)| &append.work).filter(|work| work.asked.due.is_none());
        let lanes = now.map(|work| work.asked.task.lane());
        match self {
            Self::Here(head) => {
                let newest = commits.filter_map(|(_, place)| if let Place::At(at) = place { Some(*at) } else { None });
                let newest = newest.max().unwrap_or(0);
                head.send_if_modified(|known| {
                    let newer = *known < newest;
                    *known = newest.max(*known);
                    newer
                });
                lanes.for_each(|lane| wakes.wake(lane));
            }
            Self::Everywhere(signals) => {
                if commits.clone().next().is_some() {
                    lanes.clone().for_each(|lane| wakes.wake(lane));
                    signals.appended(lanes);
                }
            }
        }
    }
}

pub(crate) async fn read_head(db: &Db) -> Result<u64, sqlx::Error> {
    let sql = "SELECT position FROM history ORDER BY position DESC LIMIT 1";
    let rows: Vec<(i64,)> = db.fetch(Scope::All, sql, vec![]).await?;
    Ok(rows.first().map_or(0, |(head,)| head.unsigned_abs()))
}

/// What groups are written with.
struct Store {
    db: Db,
    announce: Announce,
    wakes: Arc<Wakes>,
}

async fn run(store: Store, mut waiting: mpsc::Receiver<Waiting>, stop: CancellationToken) {
    let (store, at_once) = (Arc::new(store), TaskTracker::new());
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut heads = Heads::default();
    let mut group = Vec::with_capacity(MAX_GROUP);
    // Nobody closes the places.
    while let Ok(place) = Arc::clone(&places).acquire_owned().await
        && next_group(&mut waiting, &mut group, &stop).await
    {
        // Who was answered a moment ago asks again a moment later: a fuller group costs the same.
        tokio::task::yield_now().await;
        while group.len() < MAX_GROUP
            && let Ok(another) = waiting.try_recv()
        {
            group.push(another);
        }
        let group: Vec<Waiting> = std::mem::replace(&mut group, Vec::with_capacity(MAX_GROUP));
        if store.db.gives_positions() {
            write_group(&store, &mut heads, group).await;
            continue;
        }
        let store = Arc::clone(&store);
        at_once.spawn(async move {
            write_group(&store, &mut Heads::default(), group).await;
            drop(place);
        });
    }
    at_once.close();
    at_once.wait().await;
}

async fn write_group(store: &Store, heads: &mut Heads, group: Vec<Waiting>) {
    let (appends, replies): (Vec<Append>, Vec<_>) = group.into_iter().unzip();
    let outcomes = match write(&store.db, heads, &appends).await {
        Ok(appended) => appended.into_iter().map(Ok).collect(),
        Err(error) if appends.len() > 1 && error.is_of_one_command() => one_by_one(&store.db, heads, &appends).await,
        Err(error) => appends.iter().map(|_| Err(error.clone())).collect(),
    };
    let commits = appends.iter().zip(&outcomes);
    let commits = commits.filter_map(|(append, outcome)| Some((append, outcome.as_ref().ok()?)));
    store.announce.commits(&store.wakes, commits);
    for (reply, outcome) in replies.into_iter().zip(outcomes) {
        let _ = reply.send(outcome); // who asked may be gone; the outcome stands all the same
    }
}

/// False when there is no more to come: stopped or without handles, and all that was waiting is out.
async fn next_group(waiting: &mut mpsc::Receiver<Waiting>, group: &mut Vec<Waiting>, stop: &CancellationToken) -> bool {
    tokio::select! {
        received = waiting.recv_many(group, MAX_GROUP) => return received > 0,
        () = stop.cancelled() => waiting.close(),
    }
    waiting.recv_many(group, MAX_GROUP).await > 0
}

async fn one_by_one(db: &Db, heads: &mut Heads, appends: &[Append]) -> Vec<Result<Place, AppendError>> {
    let mut outcomes = Vec::with_capacity(appends.len());
    for append in appends {
        outcomes.push(write(db, heads, std::slice::from_ref(append)).await.map(|appended| appended[0]));
    }
    outcomes
}
