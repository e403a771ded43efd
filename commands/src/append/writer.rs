//! The writer task: one a process, the only one that appends.

use std::sync::Arc;

use starscreen_domain::work::Lane;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Append, AppendError, Appended, MAX_EVENT_BYTES, rows::write};
use crate::db::Db;

/// Commands in one transaction at most.
const MAX_GROUP: usize = 64;
/// Commands that may wait before the next has to wait for a place.
const MAX_WAITING: usize = 1_024;

type Waiting = (Append, oneshot::Sender<Result<Appended, AppendError>>);

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
    /// # Errors
    /// When the log's head cannot be read.
    pub async fn start(db: Db) -> Result<Self, sqlx::Error> {
        let (queue, waiting) = mpsc::channel(MAX_WAITING);
        let (announce, head) = watch::channel(read_head(&db).await?);
        let wakes = Arc::new(Wakes::default());
        let (stop, task) = (CancellationToken::new(), TaskTracker::new());
        task.spawn(run(db, waiting, announce, Arc::clone(&wakes), stop.clone()));
        task.close();
        Ok(Self { queue, head, wakes, stop, task })
    }

    /// Appends; returns when it is on disk.
    ///
    /// # Errors
    /// An [`AppendError`] that names the outcome; nothing of the command is then stored.
    pub async fn append(&self, append: Append) -> Result<Appended, AppendError> {
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

    /// Newest position committed by this process, to wait on.
    pub fn head(&self) -> watch::Receiver<u64> {
        self.head.clone()
    }
}

async fn read_head(db: &Db) -> Result<u64, sqlx::Error> {
    let rows: Vec<(i64,)> = db.fetch("SELECT COALESCE(MAX(position), 0) FROM events", vec![]).await?;
    Ok(rows.first().map_or(0, |(head,)| head.unsigned_abs()))
}

async fn run(
    db: Db,
    mut waiting: mpsc::Receiver<Waiting>,
    announce: watch::Sender<u64>,
    wakes: Arc<Wakes>,
    stop: CancellationToken,
) {
    let mut group = Vec::with_capacity(MAX_GROUP);
    while next_group(&mut waiting, &mut group, &stop).await {
        // Who was answered a moment ago asks again a moment later: a fuller group costs the same.
        tokio::task::yield_now().await;
        while group.len() < MAX_GROUP
            && let Ok(another) = waiting.try_recv()
        {
            group.push(another);
        }
        let (appends, replies): (Vec<Append>, Vec<_>) = group.drain(..).unzip();
        let outcomes = match write(&db, &appends).await {
            Ok(appended) => appended.into_iter().map(Ok).collect(),
            Err(error) if appends.len() > 1 && error.is_of_one_command() => one_by_one(&db, &appends).await,
            Err(error) => appends.iter().map(|_| Err(error.clone())).collect(),
        };
        if let Some(head) = outcomes.iter().flatten().map(|appended: &Appended| appended.position).max() {
            announce.send_if_modified(|known| {
                let newer = *known < head;
                *known = head.max(*known);
                newer
            });
        }
        for (append, _) in appends.iter().zip(&outcomes).filter(|(_, outcome)| outcome.is_ok()) {
            for work in &append.work {
                wakes.wake(work.asked.task.lane());
            }
        }
        for (reply, outcome) in replies.into_iter().zip(outcomes) {
            let _ = reply.send(outcome); // who asked may be gone; the outcome stands all the same
        }
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

async fn one_by_one(db: &Db, appends: &[Append]) -> Vec<Result<Appended, AppendError>> {
    let mut outcomes = Vec::with_capacity(appends.len());
    for append in appends {
        outcomes.push(write(db, std::slice::from_ref(append)).await.map(|appended| appended[0]));
    }
    outcomes
}
