//! Reading what was appended: streams for decisions, the log for everybody else, and the tables events point to.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, Utc};
use cqrs_es::{
    Aggregate,
    persist::{PersistedEventRepository, PersistenceError, ReplayStream, SerializedEvent, SerializedSnapshot},
};
use starscreen_domain::{
    CandidateId, Delivery, Event, EventId, JobId, Metadata, Recorded, TenantId, UnreadableEvent, UserId,
    envelope::Unreadable,
};
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    append::{Place, read_head},
    db::{Db, Scope},
    upcast::upcast,
};

/// How often a reader looks for commits of other processes (operator verbs), at most.
const FOREIGN_COMMITS_POLL: Duration = Duration::from_millis(250);
/// How often it is looked for a position that nobody announced.
const UNHEARD_POLL: Duration = Duration::from_millis(25);

/// Streams as cqrs-es's interface wants them, over whatever database the write side has.
#[derive(Clone)]
pub struct EventRepository {
    db: Db,
}

type StoredEvent = (String, String, i64, String, String, String, String);

impl EventRepository {
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    /// The events of one tenant's aggregate after `sequence`, upcast, in order. Another tenant's aggregate has none.
    ///
    /// # Errors
    /// When the database fails or an event cannot be decoded: a decision on half a history is worse than none.
    pub async fn tail<A: Aggregate>(
        &self,
        tenant: Option<TenantId>,
        id: Uuid,
        sequence: u64,
    ) -> Result<Vec<A::Event>, PersistenceError> {
        const SQL: &str = "SELECT event_type, event_version, CAST(payload AS TEXT) FROM events
            WHERE aggregate_type = $1 AND aggregate_id = $2 AND sequence > $3 AND tenant_id IS NOT DISTINCT FROM $4
            ORDER BY sequence";
        let after = i64::try_from(sequence).unwrap_or(i64::MAX);
        let values = vec![A::TYPE.into(), id.to_string().into(), after.into(), tenant.map(|tenant| tenant.0).into()];
        let rows: Vec<(String, String, String)> =
            self.db.fetch(tenant.into(), SQL, values).await.map_err(unavailable)?;
        rows.into_iter()
            .map(|(event_type, version, payload)| {
                let (_, payload) = upcast(&event_type, &version, serde_json::from_str(&payload)?);
                Ok(serde_json::from_value(payload)?)
            })
            .collect()
    }

    /// Whether the aggregate has events after `sequence`.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn goes_on(
        &self,
        aggregate_type: &str,
        tenant: Option<TenantId>,
        id: Uuid,
        sequence: u64,
    ) -> Result<bool, sqlx::Error> {
        const SQL: &str =
            "SELECT sequence FROM events WHERE aggregate_type = $1 AND aggregate_id = $2 AND sequence > $3
            AND tenant_id IS NOT DISTINCT FROM $4 LIMIT 1";
        let after = i64::try_from(sequence).unwrap_or(i64::MAX);
        let values =
            vec![aggregate_type.into(), id.to_string().into(), after.into(), tenant.map(|tenant| tenant.0).into()];
        let rows: Vec<(i64,)> = self.db.fetch(tenant.into(), SQL, values).await?;
        Ok(!rows.is_empty())
    }
}

impl PersistedEventRepository for EventRepository {
    async fn get_events<A: Aggregate>(&self, aggregate_id: &str) -> Result<Vec<SerializedEvent>, PersistenceError> {
        self.get_last_events::<A>(aggregate_id, 0).await
    }

    async fn get_last_events<A: Aggregate>(
        &self,
        aggregate_id: &str,
        last_sequence: usize,
    ) -> Result<Vec<SerializedEvent>, PersistenceError> {
        const SQL: &str = "SELECT aggregate_id, aggregate_type, sequence, event_type, event_version,
                CAST(payload AS TEXT), CAST(metadata AS TEXT)
            FROM events WHERE aggregate_type = $1 AND aggregate_id = $2 AND sequence > $3 ORDER BY sequence";
        let after = i64::try_from(last_sequence).unwrap_or(i64::MAX);
        let values = vec![A::TYPE.into(), aggregate_id.into(), after.into()];
        let rows: Vec<StoredEvent> = self.db.fetch(Scope::All, SQL, values).await.map_err(unavailable)?;
        rows.into_iter().map(serialized).collect()
    }

    /// Always none: loading 1,000 events takes 5 ms, long streams are cut by design, and the bus keeps states.
    async fn get_snapshot<A: Aggregate>(&self, _: &str) -> Result<Option<SerializedSnapshot>, PersistenceError> {
        Ok(None)
    }

    /// Refused: events are appended by the writer, with their receipt and work in the same transaction.
    async fn persist<A: Aggregate>(
        &self,
        _: &[SerializedEvent],
        _: Option<(String, serde_json::Value, usize)>,
    ) -> Result<(), PersistenceError> {
        Err(unsupported("events are appended through the command bus"))
    }

    async fn stream_events<A: Aggregate>(&self, _: &str) -> Result<ReplayStream, PersistenceError> {
        Err(unsupported("read the stream with get_events"))
    }

    async fn stream_all_events<A: Aggregate>(&self) -> Result<ReplayStream, PersistenceError> {
        Err(unsupported("read the log: it has all events in the order of history"))
    }
}

fn unavailable(error: sqlx::Error) -> PersistenceError {
    PersistenceError::ConnectionError(Box::new(error))
}

fn unsupported(instead: &str) -> PersistenceError {
    PersistenceError::UnknownError(instead.to_owned().into())
}

fn serialized(row: StoredEvent) -> Result<SerializedEvent, PersistenceError> {
    let (aggregate_id, aggregate_type, sequence, event_type, version, payload, metadata) = row;
    let (event_version, payload) = upcast(&event_type, &version, serde_json::from_str(&payload)?);
    Ok(SerializedEvent {
        aggregate_id,
        sequence: usize::try_from(sequence).unwrap_or(0),
        aggregate_type,
        event_type,
        event_version,
        payload,
        metadata: serde_json::from_str(&metadata)?,
    })
}

/// The whole history by position: what projectors, auditors and the relay read.
#[derive(Clone)]
pub struct Log {
    db: Db,
    head: watch::Receiver<u64>,
}

type LoggedEvent = (
    i64,
    Option<Uuid>,
    Option<i64>,
    String,
    String,
    i64,
    String,
    String,
    String,
    String,
    Uuid,
    chrono::DateTime<chrono::Utc>,
);

/// The events of [`LoggedEvent`] that the rest of the statement asks for.
macro_rules! logged {
    ($rest:literal) => {
        concat!(
            "SELECT position, tenant_id, tenant_position, aggregate_type, aggregate_id, sequence,
                event_type, event_version, CAST(payload AS TEXT), CAST(metadata AS TEXT), event_id, recorded_at
            FROM history ",
            $rest
        )
    };
}

impl Log {
    pub fn new(db: Db, head: watch::Receiver<u64>) -> Self {
        Self { db, head }
    }

    /// At most `limit` places of the log after `position`, in order and without a gap.
    ///
    /// # Errors
    /// When the database fails. An event that cannot be decoded is delivered as such.
    pub async fn read(&self, after: u64, limit: usize) -> Result<Vec<Delivery>, sqlx::Error> {
        Ok(self.read_raw(after, limit).await?.iter().map(RawEvent::delivery).collect())
    }

    /// The same as stored, undecoded.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn read_raw(&self, after: u64, limit: usize) -> Result<Vec<RawEvent>, sqlx::Error> {
        const SQL: &str = logged!("WHERE position > $1 ORDER BY position LIMIT $2");
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows: Vec<LoggedEvent> = self.db.fetch(Scope::All, SQL, vec![after.into(), limit.into()]).await?;
        Ok(rows.into_iter().map(RawEvent::from).collect())
    }

    /// Every event of one aggregate, in order; without those that have no position yet.
    ///
    /// # Errors
    /// When the database fails. An event that cannot be decoded is delivered as such.
    pub async fn of_aggregate(&self, aggregate_type: &str, id: Uuid) -> Result<Vec<Delivery>, sqlx::Error> {
        const SQL: &str = logged!("WHERE aggregate_type = $1 AND aggregate_id = $2 ORDER BY position");
        let values = vec![aggregate_type.into(), id.to_string().into()];
        let rows: Vec<LoggedEvent> = self.db.fetch(Scope::All, SQL, values).await?;
        Ok(rows.into_iter().map(|row| RawEvent::from(row).delivery()).collect())
    }

    /// # Errors
    /// When the database fails.
    pub async fn head(&self) -> Result<u64, sqlx::Error> {
        read_head(&self.db).await
    }

    /// Committed events that have no position yet.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn unplaced(&self) -> Result<u64, sqlx::Error> {
        Ok(self.waiting().await?.0)
    }

    /// The same, and for how long the oldest of them has waited.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn waiting(&self) -> Result<(u64, Duration), sqlx::Error> {
        const SQL: &str = "SELECT COUNT(*),
                COALESCE(CAST(extract(epoch FROM clock_timestamp() - MIN(recorded_at)) * 1000 AS BIGINT), 0)
            FROM events WHERE (epoch, txid, id) > (SELECT epoch, txid, id FROM sequencer)";
        if self.db.gives_positions() {
            return Ok((0, Duration::ZERO));
        }
        let rows: Vec<(i64, i64)> = self.db.fetch(Scope::All, SQL, vec![]).await?;
        let (count, oldest_ms) = rows.first().copied().unwrap_or_default();
        Ok((count.unsigned_abs(), Duration::from_millis(u64::try_from(oldest_ms).unwrap_or(0))))
    }

    /// The position of `place` as soon as it has one; `None`: not within that time.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn position(&self, place: Place, within: Duration) -> Result<Option<u64>, sqlx::Error> {
        const SQL: &str = "SELECT position FROM history WHERE event_id = $1";
        let (tenant, event) = match place {
            Place::At(position) => return Ok(Some(position)),
            Place::Of(tenant, event) => (tenant, event),
        };
        let mut head = self.head.clone();
        let until = tokio::time::Instant::now() + within;
        loop {
            head.mark_unchanged();
            let rows: Vec<(i64,)> = self.db.fetch(tenant.into(), SQL, vec![event.0.into()]).await?;
            if let Some((position,)) = rows.first() {
                return Ok(Some(position.unsigned_abs()));
            }
            if tokio::time::Instant::now() >= until {
                return Ok(None);
            }
            let look_again = (tokio::time::Instant::now() + UNHEARD_POLL).min(until);
            let _ = tokio::time::timeout_at(look_again, head.changed()).await; // either way it looks again
        }
    }

    /// Returns when there may be more after `position`: at once for a commit of this process, after a short while
    /// anyway for those of others.
    pub async fn wait(&self, after: u64) {
        let mut head = self.head.clone();
        let committed_here = async {
            if head.wait_for(|head| *head > after).await.is_err() {
                std::future::pending::<()>().await; // the writer has stopped: only others commit from now on
            }
        };
        let _ = tokio::time::timeout(FOREIGN_COMMITS_POLL, committed_here).await; // either way the caller looks
    }
}

/// One place of the log as stored: what the relay publishes, and what a message of it is decoded from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawEvent {
    pub position: u64,
    pub tenant_id: Option<Uuid>,
    pub tenant_position: Option<u64>,
    pub aggregate_type: String,
    pub aggregate_id: String,
    pub sequence: u64,
    pub event_type: String,
    pub event_version: String,
    /// JSON, its personal data sealed.
    pub payload: String,
    /// JSON, text to text.
    pub metadata: String,
    pub event_id: Uuid,
    pub recorded_at: chrono::DateTime<chrono::Utc>,
}

impl From<LoggedEvent> for RawEvent {
    fn from(row: LoggedEvent) -> Self {
        Self {
            position: row.0.unsigned_abs(),
            tenant_id: row.1,
            tenant_position: row.2.map(i64::unsigned_abs),
            aggregate_type: row.3,
            aggregate_id: row.4,
            sequence: row.5.unsigned_abs(),
            event_type: row.6,
            event_version: row.7,
            payload: row.8,
            metadata: row.9,
            event_id: row.10,
            recorded_at: row.11,
        }
    }
}

impl RawEvent {
    /// The event upcast and decoded, or the reason why that cannot be done.
    pub fn delivery(&self) -> Delivery {
        let event = self.recorded().map_err(|error| Unreadable {
            aggregate_type: self.aggregate_type.clone(),
            aggregate_id: self.aggregate_id.parse().unwrap_or_default(),
            event_type: self.event_type.clone(),
            reason: error.to_string(),
        });
        Delivery { position: self.position, event }
    }

    fn recorded(&self) -> Result<Recorded<Event>, UnreadableEvent> {
        let malformed = |error: serde_json::Error| UnreadableEvent::Payload {
            event_type: self.event_type.clone(),
            version: self.event_version.clone(),
            reason: error.to_string(),
        };
        let payload = serde_json::from_str(&self.payload).map_err(malformed)?;
        let metadata: HashMap<String, String> = serde_json::from_str(&self.metadata).map_err(malformed)?;
        let (version, payload) = upcast(&self.event_type, &self.event_version, payload);
        Ok(Recorded {
            position: self.position,
            tenant_position: self.tenant_position,
            tenant_id: self.tenant_id.map(TenantId),
            event_id: EventId(self.event_id),
            aggregate_id: self.aggregate_id.parse().map_err(|_| UnreadableEvent::Metadata("aggregate_id"))?,
            sequence: self.sequence,
            recorded_at: self.recorded_at,
            metadata: Metadata::from_map(&metadata)?,
            payload: Event::decode(&self.aggregate_type, &self.event_type, &version, payload)?,
            aggregate_type: self.aggregate_type.clone(),
        })
    }
}

/// Tables beside the events: receipts, keys, credentials, the candidates' index.
#[derive(Clone)]
pub struct Registry {
    db: Db,
}

/// The stored answer to a request that was accepted before.
#[derive(Clone, Debug)]
pub struct Receipt {
    pub request_hash: String,
    pub answer: String,
    pub place: Place,
}

/// A subject's key as stored.
#[derive(Clone, Debug)]
pub struct StoredKey {
    pub subject_id: Uuid,
    pub tenant_id: TenantId,
    /// `None`: destroyed, its data can never be read again.
    pub wrapped: Option<Vec<u8>>,
}

impl Registry {
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    /// # Errors
    /// When the database fails.
    pub async fn receipt(&self, tenant: TenantId, key: &str) -> Result<Option<Receipt>, sqlx::Error> {
        const SQL: &str =
            "SELECT request_hash, answer, position, event_id FROM receipts WHERE tenant_id = $1 AND key = $2";
        let values = vec![tenant.0.into(), key.into()];
        let rows: Vec<(String, String, Option<i64>, Option<Uuid>)> =
            self.db.fetch(Scope::of(tenant), SQL, values).await?;
        Ok(rows.into_iter().next().map(|(request_hash, answer, position, event)| Receipt {
            request_hash,
            answer,
            place: event.map_or_else(
                || Place::At(position.unwrap_or(0).unsigned_abs()),
                |event| Place::Of(Some(tenant), EventId(event)),
            ),
        }))
    }

    /// Removes receipts of before `before`, the oldest first, and tells how many; their keys are new again. PostgreSQL
    /// lets only workers do it, and keeps what is younger than a day whatever they say.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove_receipts(&self, before: DateTime<Utc>, at_most: u32) -> Result<u64, sqlx::Error> {
        const SQL: &str = "DELETE FROM receipts WHERE (tenant_id, key) IN (SELECT tenant_id, key FROM receipts
            WHERE created_at_ms < $1 ORDER BY created_at_ms LIMIT $2)";
        let mut tx = self.db.begin(Scope::All).await?;
        let removed = tx.execute(SQL, vec![before.timestamp_millis().into(), i64::from(at_most).into()]).await?;
        tx.commit().await?;
        Ok(removed)
    }

    /// Whether all that is stored here was sealed under the master key with this fingerprint; the first that asks
    /// settles it. For an embedded store its directory knows.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn is_sealed_under(&self, fingerprint: &str) -> Result<bool, sqlx::Error> {
        let mut tx = self.db.begin(Scope::All).await?;
        let sql = "INSERT INTO installation (master_key_fingerprint) VALUES ($1) ON CONFLICT DO NOTHING";
        tx.execute(sql, vec![fingerprint.into()]).await?;
        let rows: Vec<(String,)> = tx.fetch("SELECT master_key_fingerprint FROM installation", vec![]).await?;
        tx.commit().await?;
        Ok(rows.first().is_some_and(|(known,)| known == fingerprint))
    }

    /// The tenant's key for a subject.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn key(&self, tenant: TenantId, subject: Uuid) -> Result<Option<StoredKey>, sqlx::Error> {
        const SQL: &str = "SELECT wrapped FROM subject_keys WHERE subject_id = $1 AND tenant_id = $2";
        let values = vec![subject.into(), tenant.0.into()];
        let rows: Vec<(Option<Vec<u8>>,)> = self.db.fetch(Scope::of(tenant), SQL, values).await?;
        Ok(rows.into_iter().next().map(|(wrapped,)| StoredKey { subject_id: subject, tenant_id: tenant, wrapped }))
    }

    /// The stored ones among `subjects`, in no order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn keys(&self, subjects: &[Uuid]) -> Result<Vec<StoredKey>, sqlx::Error> {
        // As many parameters as fit in one readable text, so that the statement is fixed and stays prepared.
        const SQL: &str = "SELECT subject_id, tenant_id, wrapped FROM subject_keys WHERE subject_id IN
            ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,
             $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32)";
        let mut found = Vec::with_capacity(subjects.len());
        for chunk in subjects.chunks(32) {
            // A short chunk repeats its last id: IN does not mind.
            let values = (0..32).filter_map(|place| chunk.get(place).or(chunk.last())).map(|id| (*id).into()).collect();
            let rows: Vec<(Uuid, Uuid, Option<Vec<u8>>)> = self.db.fetch(Scope::All, SQL, values).await?;
            found.extend(rows.into_iter().map(|(subject_id, tenant, wrapped)| StoredKey {
                subject_id,
                tenant_id: TenantId(tenant),
                wrapped,
            }));
        }
        Ok(found)
    }

    /// The hash of the user's password.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn credential(&self, tenant: TenantId, user: UserId) -> Result<Option<String>, sqlx::Error> {
        const SQL: &str = "SELECT password_hash FROM credentials WHERE user_id = $1 AND tenant_id = $2";
        let values = vec![user.0.into(), tenant.0.into()];
        let rows: Vec<(String,)> = self.db.fetch(Scope::of(tenant), SQL, values).await?;
        Ok(rows.into_iter().next().map(|(hash,)| hash))
    }

    /// Candidates ever uploaded for a job, deleted ones too, at most `limit` after `after` in the order of their ids.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn candidates_of(
        &self,
        tenant: TenantId,
        job: JobId,
        after: CandidateId,
        limit: u32,
    ) -> Result<Vec<(CandidateId, bool)>, sqlx::Error> {
        const SQL: &str = "SELECT candidate_id, urgent FROM candidate_index
            WHERE tenant_id = $1 AND job_id = $2 AND candidate_id > $3 ORDER BY candidate_id LIMIT $4";
        let values = vec![tenant.0.into(), job.0.into(), after.0.into(), i64::from(limit).into()];
        let rows: Vec<(Uuid, i64)> = self.db.fetch(Scope::of(tenant), SQL, values).await?;
        Ok(rows.into_iter().map(|(id, urgent)| (CandidateId(id), urgent != 0)).collect())
    }

    /// Whether a candidate with this id was ever taken in; a blob without one is an orphan.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn candidate_exists(&self, candidate: CandidateId) -> Result<bool, sqlx::Error> {
        const SQL: &str = "SELECT job_id FROM candidate_index WHERE candidate_id = $1";
        let rows: Vec<(Uuid,)> = self.db.fetch(Scope::All, SQL, vec![candidate.0.into()]).await?;
        Ok(!rows.is_empty())
    }
}
