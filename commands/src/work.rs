//! Work: what events asked for, claimed fairly, on a lease, with attempts and backoff.
//!
//! Urgent items go first, then the tenant with the least in flight, of several the one whose turn it is, so nobody waits
//! behind another's thousand files.
//! A lease that runs out gives the item to somebody else; the report of a result deletes the item in its own commit,
//! fenced by the attempt, so there is one result whatever crashes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use sqlx::{ColumnIndex, Decode, FromRow, Row, Type};
use starscreen_domain::{
    AttemptId, TenantId,
    work::{Asked, Lane, Task},
};
use uuid::Uuid;

use crate::{
    append::{Lease, NewWork, Wakes, insert_work},
    db::{Db, Scope},
};

/// Longest text kept of why a try failed; what other systems answer has no bound of its own.
const MAX_REASON_CHARS: usize = 500;

/// One work item given to a worker until its lease ends.
#[derive(Clone, Debug)]
pub struct Claimed {
    pub lease: Lease,
    pub tenant: TenantId,
    pub urgent: bool,
    /// The aggregate the item is about.
    pub subject: Uuid,
    pub task: Task,
    /// Failed tries before this one.
    pub attempts: u32,
    /// When it was asked for.
    pub asked_at: DateTime<Utc>,
    /// Since when the system that it needs has been down for it.
    pub failing_since: Option<DateTime<Utc>>,
    /// Why the last try failed.
    pub last_error: Option<String>,
    pub correlation_id: Uuid,
    /// The event that asked.
    pub causation_id: Uuid,
}

/// What a try that did not succeed says of its item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    /// The fault may be its own.
    Counted,
    /// The system that it needs is down.
    Down,
    /// Nothing.
    NotCounted,
}

/// How a lane stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneCount {
    /// May be claimed now.
    pub ready: u64,
    /// Given to a worker.
    pub leased: u64,
    /// Waits for its time after a failed try.
    pub waiting: u64,
}

/// Why a lane gives no work away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LanePause {
    pub reason: String,
    pub since_ms: i64,
    /// When the next try is due; `None`: when an operator says so.
    pub until_ms: Option<i64>,
}

impl LanePause {
    pub(crate) fn holds_at(&self, now_ms: i64) -> bool {
        self.until_ms.is_none_or(|until| now_ms < until)
    }
}

#[derive(Clone)]
pub struct WorkQueue {
    db: Db,
    wakes: Arc<Wakes>,
    /// Who was served last in each lane, with something urgent and with something else; those with as much in flight as
    /// he are served before him.
    served: Arc<Mutex<HashMap<(Lane, bool), Uuid>>>,
}

/// Hops from tenant to tenant along the index, so a long queue of one costs nothing, and looks into the queues of no
/// more tenants than there are items to give: those with the least in flight, and of these in turn, or whoever has the
/// oldest items would be served all the time where there are fewer places than tenants.
const READY: &str = "WITH RECURSIVE tenants (tenant_id) AS (
        SELECT * FROM (SELECT tenant_id FROM work WHERE lane = $1 AND urgent = $2 ORDER BY tenant_id LIMIT 1) AS first
        UNION ALL
        SELECT (SELECT next.tenant_id FROM work AS next
            WHERE next.lane = $1 AND next.urgent = $2 AND next.tenant_id > tenants.tenant_id
            ORDER BY next.tenant_id LIMIT 1)
        FROM tenants WHERE tenants.tenant_id IS NOT NULL
    ), waiting AS (
        SELECT tenants.tenant_id,
            (SELECT MIN(own.free_at_ms) FROM work AS own
                WHERE own.lane = $1 AND own.urgent = $2 AND own.tenant_id = tenants.tenant_id) AS first_free,
            (SELECT COUNT(*) FROM work AS given WHERE given.lane = $1 AND given.tenant_id = tenants.tenant_id
                AND given.lease IS NOT NULL AND given.free_at_ms > $3) AS in_flight
        FROM tenants WHERE tenants.tenant_id IS NOT NULL
    ), chosen AS (
        SELECT tenant_id, in_flight FROM waiting WHERE first_free <= $3
        ORDER BY in_flight, tenant_id <= $5, tenant_id LIMIT $4
    )
    SELECT item.id, item.urgent, item.tenant_id, item.subject, item.task, item.attempts,
        item.correlation_id, item.causation_id, item.created_at_ms, item.failing_since_ms, item.last_error,
        item.free_at_ms, chosen.in_flight
    FROM chosen JOIN work AS item ON item.id IN (
        SELECT own.id FROM work AS own
        WHERE own.lane = $1 AND own.urgent = $2 AND own.tenant_id = chosen.tenant_id AND own.free_at_ms <= $3
        ORDER BY own.free_at_ms, own.id LIMIT $4)
    ORDER BY item.free_at_ms, item.id";

/// Of what is due at a time: there is something for every tenant, and it does not matter who comes first.
const DUE: &str = "SELECT id, urgent, tenant_id, subject, task, attempts, correlation_id, causation_id, created_at_ms,
        failing_since_ms, last_error, free_at_ms, CAST(0 AS BIGINT) AS in_flight
    FROM work WHERE lane = $1 AND urgent = $2 AND free_at_ms <= $3 ORDER BY free_at_ms, id LIMIT $4";

const TAKE: &str = "UPDATE work SET lease = $1, free_at_ms = $2 WHERE id = $3 AND free_at_ms <= $4";

struct Ready {
    id: Uuid,
    urgent: bool,
    tenant: Uuid,
    subject: Uuid,
    task: String,
    attempts: i64,
    correlation_id: Uuid,
    causation_id: Uuid,
    created_at_ms: i64,
    failing_since_ms: Option<i64>,
    last_error: Option<String>,
    free_at_ms: i64,
    /// Items of the tenant that are given away.
    in_flight: i64,
}

impl<'r, R: Row> FromRow<'r, R> for Ready
where
    &'static str: ColumnIndex<R>,
    Uuid: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    Option<String>: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    Option<i64>: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            urgent: row.try_get::<i64, _>("urgent")? != 0,
            tenant: row.try_get("tenant_id")?,
            subject: row.try_get("subject")?,
            task: row.try_get("task")?,
            attempts: row.try_get("attempts")?,
            correlation_id: row.try_get("correlation_id")?,
            causation_id: row.try_get("causation_id")?,
            created_at_ms: row.try_get("created_at_ms")?,
            failing_since_ms: row.try_get("failing_since_ms")?,
            last_error: row.try_get("last_error")?,
            free_at_ms: row.try_get("free_at_ms")?,
            in_flight: row.try_get("in_flight")?,
        })
    }
}

impl WorkQueue {
    pub fn new(db: Db, wakes: Arc<Wakes>) -> Self {
        Self { db, wakes, served: Arc::default() }
    }

    fn served(&self) -> MutexGuard<'_, HashMap<(Lane, bool), Uuid>> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For what operators ask of the same tables.
    pub(crate) fn db(&self) -> &Db {
        &self.db
    }

    /// Claims at most `limit` items of a lane, fairly, until `lease_for` from now.
    ///
    /// # Errors
    /// When the database fails; nothing is claimed then.
    pub async fn claim(&self, lane: Lane, limit: usize, lease_for: Duration) -> Result<Vec<Claimed>, sqlx::Error> {
        let now = Utc::now().timestamp_millis();
        if self.pause_of(lane).await?.is_some_and(|pause| pause.holds_at(now)) {
            return Ok(vec![]);
        }
        let last = [false, true].map(|urgent| self.served().get(&(lane, urgent)).copied().unwrap_or_default());
        let mut ready = self.ready(lane, true, limit, now, last).await?;
        if ready.len() < limit {
            ready.extend(self.ready(lane, false, limit, now, last).await?);
        }
        if ready.is_empty() {
            return Ok(vec![]);
        }
        let chosen = fairly(ready, limit, last);
        let until = now.saturating_add(millis(lease_for));
        let mut claimed = Vec::with_capacity(chosen.len());
        // In one order for all claimers, who could wait for each other otherwise.
        let mut taken: Vec<(usize, Ready)> = chosen.into_iter().enumerate().collect();
        taken.sort_by_key(|(_, item)| item.id);
        let mut tx = self.db.begin(Scope::All).await?;
        for (turn, item) in taken {
            let attempt = AttemptId(Uuid::now_v7());
            if tx.execute(TAKE, vec![attempt.0.into(), until.into(), item.id.into(), now.into()]).await? == 0 {
                continue; // somebody else has taken it since it was read
            }
            let Ok(task) = serde_json::from_str(&item.task) else {
                tracing::error!(work.id = %item.id, "work item of an unknown kind is left to a newer version");
                continue;
            };
            let claim = Claimed {
                lease: Lease { work_id: item.id, attempt },
                tenant: TenantId(item.tenant),
                urgent: item.urgent,
                subject: item.subject,
                task,
                attempts: u32::try_from(item.attempts).unwrap_or(u32::MAX),
                asked_at: DateTime::from_timestamp_millis(item.created_at_ms).unwrap_or_default(),
                failing_since: item.failing_since_ms.and_then(DateTime::from_timestamp_millis),
                last_error: item.last_error,
                correlation_id: item.correlation_id,
                causation_id: item.causation_id,
            };
            claimed.push((turn, claim));
        }
        tx.commit().await?;
        claimed.sort_by_key(|(turn, _)| *turn);
        self.served().extend(claimed.iter().map(|(_, claim)| ((lane, claim.urgent), claim.tenant.0)));
        Ok(claimed.into_iter().map(|(_, claim)| claim).collect())
    }

    /// The first `limit` items that may be claimed now, of each of the tenants whose turn it is.
    async fn ready(
        &self,
        lane: Lane,
        urgent: bool,
        limit: usize,
        now: i64,
        last: [Uuid; 2],
    ) -> Result<Vec<Ready>, sqlx::Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut values = vec![lane.name().into(), i64::from(urgent).into(), now.into(), limit.into()];
        if lane == Lane::Clock {
            return self.db.fetch(Scope::All, DUE, values).await;
        }
        values.push(last[usize::from(urgent)].into());
        self.db.fetch(Scope::All, READY, values).await
    }

    /// Gives an item back, to be tried again after `pause`. False when the lease was lost.
    ///
    /// # Errors
    /// When the database fails; the lease then ends by itself.
    pub async fn give_back(
        &self,
        lease: Lease,
        pause: Duration,
        reason: &str,
        tried: Tried,
    ) -> Result<bool, sqlx::Error> {
        const SQL: &str = "UPDATE work SET lease = NULL, free_at_ms = $1, attempts = attempts + $2, last_error = $3,
                failing_since_ms = CASE WHEN $2 = 0 THEN COALESCE(failing_since_ms, $4) END
            WHERE id = $5 AND lease = $6";
        let now = Utc::now().timestamp_millis();
        let free_at = now.saturating_add(millis(pause));
        let reason: String = reason.chars().filter(|c| *c != '\0').take(MAX_REASON_CHARS).collect();
        let mut tx = self.db.begin(Scope::All).await?;
        let values = vec![
            free_at.into(),
            i64::from(tried == Tried::Counted).into(),
            reason.into(),
            (tried == Tried::Down).then_some(now).into(),
            lease.work_id.into(),
            lease.attempt.0.into(),
        ];
        let touched = tx.execute(SQL, values).await?;
        tx.commit().await?;
        Ok(touched > 0)
    }

    /// Finishes an item that led to nothing new. False when the lease was lost.
    ///
    /// # Errors
    /// When the database fails; the item then comes again.
    pub async fn complete(&self, lease: Lease) -> Result<bool, sqlx::Error> {
        let mut tx = self.db.begin(Scope::All).await?;
        let sql = "DELETE FROM work WHERE id = $1 AND lease = $2";
        let touched = tx.execute(sql, vec![lease.work_id.into(), lease.attempt.0.into()]).await?;
        tx.commit().await?;
        Ok(touched > 0)
    }

    /// Puts an item that is done for now off until `until`, and asks for `also` in the same transaction. False when the
    /// lease was lost; nothing is asked for then.
    ///
    /// # Errors
    /// When the database fails; the lease then ends by itself.
    pub async fn put_off(
        &self,
        item: &Claimed,
        until: DateTime<Utc>,
        also: Option<&Task>,
    ) -> Result<bool, sqlx::Error> {
        const PUT_OFF: &str = "UPDATE work SET lease = NULL, free_at_ms = $1, attempts = 0, last_error = NULL,
                failing_since_ms = NULL WHERE id = $2 AND lease = $3";
        let mut tx = self.db.begin(Scope::All).await?;
        let lease = item.lease;
        let values = vec![until.timestamp_millis().into(), lease.work_id.into(), lease.attempt.0.into()];
        if tx.execute(PUT_OFF, values).await? == 0 {
            return Ok(false);
        }
        let asked = also.map(|task| NewWork {
            id: Uuid::now_v7(),
            tenant_id: item.tenant,
            urgent: false,
            asked: Asked { subject: item.subject, task: task.clone(), due: None },
            correlation_id: item.correlation_id,
            causation_id: item.causation_id,
        });
        insert_work(&mut tx, &asked, Utc::now()).await?;
        tx.commit().await?;
        if let Some(task) = also {
            self.wakes.wake(task.lane());
        }
        Ok(true)
    }

    /// Whether the same was asked for again since.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn is_asked_again(&self, item: &Claimed) -> Result<bool, sqlx::Error> {
        const SQL: &str = "SELECT own.id FROM work AS own JOIN work AS later ON later.lane = own.lane
                AND later.subject = own.subject AND later.task = own.task
                AND (later.created_at_ms, later.id) > (own.created_at_ms, own.id)
            WHERE own.id = $1 LIMIT 1";
        let later: Vec<(Uuid,)> = self.db.fetch(Scope::All, SQL, vec![item.lease.work_id.into()]).await?;
        Ok(!later.is_empty())
    }

    /// Prolongs a lease. False when it was lost.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn extend(&self, lease: Lease, lease_for: Duration) -> Result<bool, sqlx::Error> {
        let until = Utc::now().timestamp_millis().saturating_add(millis(lease_for));
        let mut tx = self.db.begin(Scope::All).await?;
        let sql = "UPDATE work SET free_at_ms = $1 WHERE id = $2 AND lease = $3";
        let touched = tx.execute(sql, vec![until.into(), lease.work_id.into(), lease.attempt.0.into()]).await?;
        tx.commit().await?;
        Ok(touched > 0)
    }

    /// Ends all leases: for the start of a process that is the only one, whose predecessor's workers are gone.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end_all_leases(&self) -> Result<u64, sqlx::Error> {
        let mut tx = self.db.begin(Scope::All).await?;
        let sql = "UPDATE work SET lease = NULL, free_at_ms = created_at_ms WHERE lease IS NOT NULL";
        let touched = tx.execute(sql, vec![]).await?;
        tx.commit().await?;
        for lane in Lane::ALL {
            self.wakes.wake(lane);
        }
        Ok(touched)
    }

    /// Gives no more work of the lane away, until the time given, or until somebody resumes it. What an operator has
    /// paused stays paused, whatever a worker says.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn pause(&self, lane: Lane, reason: &str, until: Option<DateTime<Utc>>) -> Result<(), sqlx::Error> {
        const SQL: &str = "INSERT INTO lane_pauses (lane, reason, since_ms, until_ms) VALUES ($1, $2, $3, $4)
            ON CONFLICT (lane) DO UPDATE SET reason = excluded.reason, until_ms = excluded.until_ms
            WHERE lane_pauses.until_ms IS NOT NULL";
        let until_ms = until.map(|until| until.timestamp_millis());
        let now = Utc::now().timestamp_millis();
        let mut tx = self.db.begin(Scope::All).await?;
        tx.execute(SQL, vec![lane.name().into(), reason.into(), now.into(), until_ms.into()]).await?;
        tx.commit().await
    }

    /// Gives work of the lane away again. False when it was not paused.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn resume(&self, lane: Lane) -> Result<bool, sqlx::Error> {
        let mut tx = self.db.begin(Scope::All).await?;
        let touched = tx.execute("DELETE FROM lane_pauses WHERE lane = $1", vec![lane.name().into()]).await?;
        tx.commit().await?;
        self.wakes.wake(lane);
        Ok(touched > 0)
    }

    /// Ends a pause that a worker made, now that a try has succeeded.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn mended(&self, lane: Lane) -> Result<bool, sqlx::Error> {
        let mut tx = self.db.begin(Scope::All).await?;
        let sql = "DELETE FROM lane_pauses WHERE lane = $1 AND until_ms IS NOT NULL";
        let touched = tx.execute(sql, vec![lane.name().into()]).await?;
        tx.commit().await?;
        self.wakes.wake(lane);
        Ok(touched > 0)
    }

    /// Ends a pause that a worker made when nothing is left to try after it. False when there was none to end.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn mended_if_empty(&self, lane: Lane) -> Result<bool, sqlx::Error> {
        const SQL: &str = "SELECT lane FROM lane_pauses WHERE lane = $1 AND until_ms <= $2
            AND NOT EXISTS (SELECT id FROM work WHERE work.lane = lane_pauses.lane)";
        let now = Utc::now().timestamp_millis();
        let over: Vec<(String,)> = self.db.fetch(Scope::All, SQL, vec![lane.name().into(), now.into()]).await?;
        if over.is_empty() { Ok(false) } else { self.mended(lane).await }
    }

    /// The lane's pause, over or not.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn pause_of(&self, lane: Lane) -> Result<Option<LanePause>, sqlx::Error> {
        let sql = "SELECT reason, since_ms, until_ms FROM lane_pauses WHERE lane = $1";
        let rows: Vec<(String, i64, Option<i64>)> = self.db.fetch(Scope::All, sql, vec![lane.name().into()]).await?;
        Ok(rows.into_iter().next().map(|(reason, since_ms, until_ms)| LanePause { reason, since_ms, until_ms }))
    }

    /// # Errors
    /// When the database fails.
    pub async fn count(&self, lane: Lane) -> Result<LaneCount, sqlx::Error> {
        const SQL: &str =
            "SELECT CAST(CASE WHEN free_at_ms <= $2 THEN 0 WHEN lease IS NULL THEN 2 ELSE 1 END AS BIGINT) AS place,
            COUNT(*) FROM work WHERE lane = $1 GROUP BY place";
        let now = Utc::now().timestamp_millis();
        let rows: Vec<(i64, i64)> = self.db.fetch(Scope::All, SQL, vec![lane.name().into(), now.into()]).await?;
        let mut count = LaneCount::default();
        for (place, items) in rows {
            match place {
                1 => count.leased = items.unsigned_abs(),
                2 => count.waiting = items.unsigned_abs(),
                _ => count.ready = items.unsigned_abs(),
            }
        }
        Ok(count)
    }

    /// Returns when there may be something in the lane.
    pub async fn woken(&self, lane: Lane) {
        self.wakes.woken(lane).await;
    }

    /// Makes the lane look for work now.
    pub fn wake(&self, lane: Lane) {
        self.wakes.wake(lane);
    }
}

/// Urgent first, then whoever would have the least in flight with this item, then whose turn it is, then by age.
/// `last`: who was served last, with something else and with something urgent.
fn fairly(ready: Vec<Ready>, limit: usize, last: [Uuid; 2]) -> Vec<Ready> {
    let mut turns: HashMap<Uuid, i64> = HashMap::new();
    let mut ranked: Vec<(i64, Ready)> = ready
        .into_iter()
        .map(|item| {
            let turn = turns.entry(item.tenant).or_insert(item.in_flight);
            *turn += 1;
            (*turn, item)
        })
        .collect();
    ranked.sort_by_key(|(turn, item)| {
        (!item.urgent, *turn, item.tenant <= last[usize::from(item.urgent)], item.tenant, item.free_at_ms, item.id)
    });
    ranked.into_iter().take(limit).map(|(_, item)| item).collect()
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::write_side::WriteSide;

    /// A plan that reads a table from end to end would be slow only when it matters.
    #[tokio::test]
    async fn claiming_searches_indexes_and_scans_nothing() {
        let path = std::env::temp_dir().join(format!("starscreen-plan-{}.db", Uuid::now_v7()));
        let write = WriteSide::open(&path, "test@1").await.unwrap();
        let mut tx = write.db.begin(Scope::All).await.unwrap();
        for sql in [READY, TAKE] {
            let plan: Vec<(i64, i64, i64, String)> =
                tx.fetch(&format!("EXPLAIN QUERY PLAN {sql}"), vec![]).await.unwrap();
            let scans = ["SCAN work", "SCAN item", "SCAN own", "SCAN next", "SCAN given"];
            assert!(plan.iter().any(|(.., step)| step.contains("SEARCH")), "{sql}: {plan:#?}");
            assert!(!plan.iter().any(|(.., step)| scans.iter().any(|scan| step.starts_with(scan))), "{sql}: {plan:#?}");
        }
        drop(tx);
        write.close().await;
        std::fs::remove_file(path).unwrap();
    }
}
