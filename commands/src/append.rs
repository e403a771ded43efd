//! The append: all that one command leaves behind, in one transaction, or nothing of it.
//!
//! One writer task a process puts the commands that are waiting into one transaction of few multi-row INSERTs, since
//! the fsync costs far more than a row. If one of them loses a race, the group is rolled back and redone one by one,
//! so that a conflict hurts nobody but its own command.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Utc};
use sea_query::Value;
use starscreen_domain::{
    AttemptId, CandidateId, EventId, JobId, TenantId, UserId,
    work::{Asked, Lane},
};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use uuid::Uuid;

use crate::db::{Db, Tx};

/// Largest event in bytes of JSON; NATS takes messages of 1 MB, and an event is a fact, not a document.
pub const MAX_EVENT_BYTES: usize = 256 * 1024;
/// Commands in one transaction at most.
const MAX_GROUP: usize = 64;
/// Commands that may wait before the next has to wait for a place.
const MAX_WAITING: usize = 1_024;

/// All that one command leaves behind. Events belong to one tenant, or to none (e-mail claims).
#[derive(Debug, Default)]
pub struct Append {
    pub receipt: Option<NewReceipt>,
    pub keys: Vec<NewKey>,
    pub credentials: Vec<NewCredential>,
    pub candidates: Vec<NewCandidate>,
    pub events: Vec<NewEvent>,
    pub work: Vec<NewWork>,
    /// The work item that this command reports on. It is gone in the same commit, or the command does not happen.
    pub completes: Option<Lease>,
}

#[derive(Clone, Debug)]
pub struct NewEvent {
    pub tenant_id: Option<TenantId>,
    pub aggregate_type: &'static str,
    pub aggregate_id: Uuid,
    pub sequence: u64,
    pub event_type: String,
    pub event_version: String,
    pub payload: String,
    pub metadata: String,
    pub event_id: EventId,
}

/// The answer to give when the same request comes again.
#[derive(Clone, Debug)]
pub struct NewReceipt {
    pub tenant_id: TenantId,
    pub key: String,
    pub request_hash: String,
    pub answer: String,
}

/// A new subject's key, wrapped.
#[derive(Clone, Debug)]
pub struct NewKey {
    pub subject_id: Uuid,
    pub tenant_id: TenantId,
    pub wrapped: Vec<u8>,
}

#[derive(Clone, Debug)]
pub struct NewCredential {
    pub user_id: UserId,
    pub tenant_id: TenantId,
    pub password_hash: String,
}

/// Entry of the candidates' index, for reactions and for finding the same file again.
#[derive(Clone, Debug)]
pub struct NewCandidate {
    pub candidate_id: CandidateId,
    pub tenant_id: TenantId,
    pub job_id: JobId,
    pub content_hash: String,
}

#[derive(Clone, Debug)]
pub struct NewWork {
    pub id: Uuid,
    pub tenant_id: TenantId,
    pub urgent: bool,
    pub asked: Asked,
    pub correlation_id: Uuid,
    /// The event that asks.
    pub causation_id: Uuid,
}

/// A worker's right to report on one work item, for one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    pub work_id: Uuid,
    pub attempt: AttemptId,
}

/// Where the events came to stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Position of the last event; the head of the log where the command had none.
    pub position: u64,
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    #[error("a command with this idempotency key was accepted before")]
    Repeated,
    #[error("another command has written one of the streams first")]
    Conflict,
    #[error("the work item was given to somebody else or is done")]
    LeaseLost,
    #[error("an event of {bytes} bytes is over the limit of {MAX_EVENT_BYTES}")]
    EventTooLarge { bytes: usize },
    #[error("the write store is unavailable")]
    Unavailable(#[source] Arc<sqlx::Error>),
    #[error("the writer has stopped")]
    Stopped,
}

impl From<sqlx::Error> for AppendError {
    fn from(error: sqlx::Error) -> Self {
        Self::Unavailable(Arc::new(error))
    }
}

type Waiting = (Append, oneshot::Sender<Result<Appended, AppendError>>);

/// Handle of the writer task. The task ends when the last handle is gone.
#[derive(Clone)]
pub struct Writer {
    queue: mpsc::Sender<Waiting>,
    head: watch::Receiver<u64>,
    wakes: Arc<Wakes>,
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
        tokio::spawn(run(db, waiting, announce, Arc::clone(&wakes)));
        Ok(Self { queue, head, wakes })
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

async fn run(db: Db, mut waiting: mpsc::Receiver<Waiting>, announce: watch::Sender<u64>, wakes: Arc<Wakes>) {
    let mut group = Vec::with_capacity(MAX_GROUP);
    while waiting.recv_many(&mut group, MAX_GROUP).await > 0 {
        let (appends, replies): (Vec<Append>, Vec<_>) = group.drain(..).unzip();
        let outcomes = match write(&db, &appends).await {
            Ok(appended) => appended.into_iter().map(Ok).collect(),
            Err(error) if appends.len() == 1 => vec![Err(error)],
            Err(_) => one_by_one(&db, &appends).await,
        };
        if let Some(head) = outcomes.iter().flatten().map(|appended: &Appended| appended.position).max() {
            announce.send_if_modified(|known| {
                let newer = *known < head;
                *known = head.max(*known);
                newer
            });
        }
        for (append, _) in appends.iter().zip(&outcomes).filter(|(_, outcome)| outcome.is_ok()) {
            append.work.iter().for_each(|work| wakes.wake(work.asked.task.lane()));
        }
        for (reply, outcome) in replies.into_iter().zip(outcomes) {
            let _ = reply.send(outcome); // who asked may be gone; the outcome stands all the same
        }
    }
}

async fn one_by_one(db: &Db, appends: &[Append]) -> Vec<Result<Appended, AppendError>> {
    let mut outcomes = Vec::with_capacity(appends.len());
    for append in appends {
        outcomes.push(write(db, std::slice::from_ref(append)).await.map(|appended| appended[0]));
    }
    outcomes
}

/// One transaction. The statement that fails names the outcome.
async fn write(db: &Db, group: &[Append]) -> Result<Vec<Appended>, AppendError> {
    let now = Utc::now();
    let mut tx = db.begin().await?;
    for lease in group.iter().filter_map(|append| append.completes) {
        complete(&mut tx, lease).await?;
    }
    let (first, positions) = insert_events(&mut tx, group, now).await?;
    let receipts = group.iter().zip(&positions).filter_map(|(append, at)| append.receipt.as_ref().map(|r| (r, at)));
    insert_receipts(&mut tx, receipts, now).await?;
    insert_subjects(&mut tx, group).await?;
    insert_work(&mut tx, group, now).await?;
    tx.commit().await?;
    tracing::debug!(commands = group.len(), position.first = first, "group committed");
    Ok(positions)
}

async fn complete(tx: &mut Tx, lease: Lease) -> Result<(), AppendError> {
    let sql = "DELETE FROM work WHERE id = $1 AND lease = $2";
    match tx.execute(sql, vec![lease.work_id.into(), lease.attempt.0.into()]).await? {
        0 => Err(AppendError::LeaseLost),
        _ => Ok(()),
    }
}

async fn insert_events(tx: &mut Tx, group: &[Append], now: DateTime<Utc>) -> Result<(u64, Vec<Appended>), AppendError> {
    const COLUMNS: &[&str] = &[
        "position",
        "tenant_id",
        "tenant_position",
        "aggregate_type",
        "aggregate_id",
        "sequence",
        "event_type",
        "event_version",
        "payload",
        "metadata",
        "event_id",
        "recorded_at",
    ];
    let head: Vec<(i64,)> = tx.fetch("SELECT COALESCE(MAX(position), 0) FROM events", vec![]).await?;
    let first = head.first().map_or(0, |(head,)| *head);
    let mut position = first;
    let mut tenants: BTreeMap<TenantId, i64> = BTreeMap::new();
    let mut rows = Vec::new();
    let mut appended = Vec::with_capacity(group.len());
    for append in group {
        for event in &append.events {
            position += 1;
            let tenant_position = match event.tenant_id {
                Some(tenant) => Some(next_tenant_position(tx, &mut tenants, tenant).await?),
                None => None,
            };
            rows.push(vec![
                position.into(),
                event.tenant_id.map(|tenant| tenant.0).into(),
                tenant_position.into(),
                event.aggregate_type.into(),
                event.aggregate_id.to_string().into(),
                i64::try_from(event.sequence).unwrap_or(i64::MAX).into(),
                event.event_type.clone().into(),
                event.event_version.clone().into(),
                event.payload.clone().into(),
                event.metadata.clone().into(),
                event.event_id.0.into(),
                now.into(),
            ]);
        }
        appended.push(Appended { position: position.unsigned_abs() });
    }
    tx.insert("events", COLUMNS, rows).await.map_err(|error| or_unique(error, AppendError::Conflict))?;
    Ok((first.unsigned_abs() + 1, appended))
}

/// The tenant's next place in its own history; asks the database once a tenant and transaction.
async fn next_tenant_position(
    tx: &mut Tx,
    tenants: &mut BTreeMap<TenantId, i64>,
    tenant: TenantId,
) -> Result<i64, AppendError> {
    let last = match tenants.get(&tenant) {
        Some(last) => *last,
        None => {
            let sql = "SELECT COALESCE(MAX(tenant_position), 0) FROM events WHERE tenant_id = $1";
            let rows: Vec<(i64,)> = tx.fetch(sql, vec![tenant.0.into()]).await?;
            rows.first().map_or(0, |(last,)| *last)
        }
    };
    tenants.insert(tenant, last + 1);
    Ok(last + 1)
}

async fn insert_receipts(
    tx: &mut Tx,
    receipts: impl Iterator<Item = (&NewReceipt, &Appended)>,
    now: DateTime<Utc>,
) -> Result<(), AppendError> {
    let rows = receipts
        .map(|(receipt, at)| {
            vec![
                receipt.tenant_id.0.into(),
                receipt.key.clone().into(),
                receipt.request_hash.clone().into(),
                receipt.answer.clone().into(),
                i64::try_from(at.position).unwrap_or(i64::MAX).into(),
                now.timestamp_millis().into(),
            ]
        })
        .collect();
    let columns = ["tenant_id", "key", "request_hash", "answer", "position", "created_at_ms"];
    tx.insert("receipts", &columns, rows).await.map_err(|error| or_unique(error, AppendError::Repeated))
}

async fn insert_subjects(tx: &mut Tx, group: &[Append]) -> Result<(), AppendError> {
    let keys = group
        .iter()
        .flat_map(|append| &append.keys)
        .map(|key| vec![key.subject_id.into(), key.tenant_id.0.into(), key.wrapped.clone().into()])
        .collect();
    tx.insert("subject_keys", &["subject_id", "tenant_id", "wrapped"], keys).await?;
    let credentials = group
        .iter()
        .flat_map(|append| &append.credentials)
        .map(|credential| {
            vec![credential.user_id.0.into(), credential.tenant_id.0.into(), credential.password_hash.clone().into()]
        })
        .collect();
    tx.insert("credentials", &["user_id", "tenant_id", "password_hash"], credentials).await?;
    let candidates = group
        .iter()
        .flat_map(|append| &append.candidates)
        .map(|candidate| {
            vec![
                candidate.candidate_id.0.into(),
                candidate.tenant_id.0.into(),
                candidate.job_id.0.into(),
                candidate.content_hash.clone().into(),
            ]
        })
        .collect();
    tx.insert("candidate_index", &["candidate_id", "tenant_id", "job_id", "content_hash"], candidates).await?;
    Ok(())
}

async fn insert_work(tx: &mut Tx, group: &[Append], now: DateTime<Utc>) -> Result<(), AppendError> {
    const COLUMNS: &[&str] = &[
        "id",
        "lane",
        "urgent",
        "tenant_id",
        "subject",
        "task",
        "correlation_id",
        "causation_id",
        "created_at_ms",
        "not_before_ms",
        "attempts",
        "leased_until_ms",
    ];
    let at_ms = now.timestamp_millis();
    let mut rows: Vec<Vec<Value>> = Vec::new();
    for work in group.iter().flat_map(|append| &append.work) {
        let task = serde_json::to_string(&work.asked.task).unwrap_or_default(); // names and numbers: cannot fail
        rows.push(vec![
            work.id.into(),
            work.asked.task.lane().name().into(),
            i64::from(work.urgent).into(),
            work.tenant_id.0.into(),
            work.asked.subject.into(),
            task.into(),
            work.correlation_id.into(),
            work.causation_id.into(),
            at_ms.into(),
            at_ms.into(),
            0_i64.into(),
            0_i64.into(),
        ]);
    }
    tx.insert("work", COLUMNS, rows).await?;
    Ok(())
}

fn or_unique(error: sqlx::Error, outcome: AppendError) -> AppendError {
    match error.as_database_error() {
        Some(database) if database.is_unique_violation() => outcome,
        _ => error.into(),
    }
}
