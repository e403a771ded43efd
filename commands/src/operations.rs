//! What operators see of the work, and how they take up again what was given up. Ending work is in
//! [`crate::workers::purge`].

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, Utc};
use starscreen_domain::{
    Actor, CandidateId, Delivery, Event, EventId, JobId, TenantId, UsageId, WebhookId,
    candidate::{Candidate, CandidateError, CandidateEvent},
    job::JobError,
    usage::UsageError,
    work::Lane,
};
use uuid::Uuid;

use crate::{
    append::read_head,
    bus::{Bus, Context},
    candidate,
    db::{Db, Scope},
    error::CommandError,
    job, payments,
    store::Log,
    subscription,
    work::{LaneCount, LanePause, WorkQueue},
};

/// How one lane stands.
#[derive(Clone, Debug)]
pub struct LaneState {
    pub lane: Lane,
    pub count: LaneCount,
    /// When the oldest item was asked for.
    pub oldest: Option<DateTime<Utc>>,
    /// Failed tries of all items together.
    pub attempts: u64,
    /// Why the last try of the item that was tried most failed.
    pub last_error: Option<String>,
    /// Only while it holds.
    pub pause: Option<LanePause>,
    /// Given up or purged, and not redriven yet.
    pub dead: u64,
}

/// Where an item stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemState {
    Ready,
    Leased,
    Waiting,
}

impl ItemState {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Leased => "leased",
            Self::Waiting => "waiting",
        }
    }
}

/// One work item, as an operator sees it.
#[derive(Clone, Debug)]
pub struct Item {
    pub id: Uuid,
    pub lane: String,
    pub task: String,
    pub tenant: TenantId,
    pub subject: Uuid,
    pub urgent: bool,
    pub state: ItemState,
    pub attempts: u64,
    pub asked_at: DateTime<Utc>,
    /// When its lease, or its pause, ends.
    pub free_at: DateTime<Utc>,
    pub last_error: Option<String>,
}

/// Work that was given up or purged.
#[derive(Clone, Debug)]
pub struct Dead {
    pub id: Uuid,
    pub lane: String,
    pub tenant: TenantId,
    pub subject: Uuid,
    pub code: String,
    pub attempts: u64,
    pub last_error: String,
    pub died_at: DateTime<Utc>,
}

/// # Errors
/// When the database fails.
pub async fn lane_state(queue: &WorkQueue, lane: Lane) -> Result<LaneState, CommandError> {
    // What is due at a time has waited since then.
    const ITEMS: &str = "SELECT MIN(CASE WHEN lane = 'clock' THEN free_at_ms ELSE created_at_ms END), CAST(COALESCE(SUM(attempts), 0) AS BIGINT),
            (SELECT tried.last_error FROM work AS tried WHERE tried.lane = $1 AND tried.last_error IS NOT NULL
                ORDER BY tried.attempts DESC, tried.id LIMIT 1)
        FROM work WHERE lane = $1";
    let now = Utc::now().timestamp_millis();
    let items: Vec<(Option<i64>, i64, Option<String>)> =
        queue.db().fetch(Scope::All, ITEMS, vec![lane.name().into()]).await?;
    let dead: Vec<(i64,)> = queue
        .db()
        .fetch(Scope::All, "SELECT COUNT(*) FROM dead_work WHERE lane = $1", vec![lane.name().into()])
        .await?;
    let (oldest_ms, attempts, last_error) = items.into_iter().next().unwrap_or_default();
    Ok(LaneState {
        lane,
        count: queue.count(lane).await?,
        oldest: oldest_ms.filter(|at_ms| *at_ms <= now).and_then(DateTime::from_timestamp_millis),
        attempts: attempts.unsigned_abs(),
        last_error,
        pause: queue.pause_of(lane).await?.filter(|pause| pause.holds_at(now)),
        dead: dead.first().map_or(0, |(count,)| count.unsigned_abs()),
    })
}

/// # Errors
/// When the database fails.
pub async fn lane_states(queue: &WorkQueue) -> Result<Vec<LaneState>, CommandError> {
    let mut states = Vec::with_capacity(Lane::ALL.len());
    for lane in Lane::ALL {
        states.push(lane_state(queue, lane).await?);
    }
    Ok(states)
}

type ItemRow = (Uuid, String, String, Uuid, Uuid, i64, bool, i64, i64, i64, Option<String>);

/// Items of a lane, or of all lanes, the oldest first.
///
/// # Errors
/// When the database fails.
pub async fn items(
    queue: &WorkQueue,
    lane: Option<Lane>,
    leased_only: bool,
    limit: u32,
) -> Result<Vec<Item>, CommandError> {
    const SQL: &str = "SELECT id, lane, task, tenant_id, subject, urgent, lease IS NOT NULL, attempts, created_at_ms,
            free_at_ms, last_error FROM work
        WHERE ($1 IS NULL OR lane = $1) AND ($2 = 0 OR (lease IS NOT NULL AND free_at_ms > $3))
        ORDER BY created_at_ms, id LIMIT $4";
    let now = Utc::now().timestamp_millis();
    let lane = lane.map(|lane| lane.name().to_owned());
    let values = vec![lane.into(), i64::from(leased_only).into(), now.into(), i64::from(limit).into()];
    let rows: Vec<ItemRow> = queue.db().fetch(Scope::All, SQL, values).await?;
    Ok(rows.into_iter().map(|row| item(row, now)).collect())
}

fn item(row: ItemRow, now_ms: i64) -> Item {
    let (id, lane, task, tenant, subject, urgent, leased, attempts, created_at_ms, free_at_ms, last_error) = row;
    Item {
        id,
        lane,
        task: task.trim_matches('"').to_owned(),
        tenant: TenantId(tenant),
        subject,
        urgent: urgent != 0,
        state: match (free_at_ms <= now_ms, leased) {
            (true, _) => ItemState::Ready,
            (false, true) => ItemState::Leased,
            (false, false) => ItemState::Waiting,
        },
        attempts: attempts.unsigned_abs(),
        asked_at: DateTime::from_timestamp_millis(created_at_ms).unwrap_or_default(),
        free_at: DateTime::from_timestamp_millis(free_at_ms).unwrap_or_default(),
        last_error,
    }
}

type DeadRow = (Uuid, String, Uuid, Uuid, String, i64, String, i64);

/// Dead work of a lane, or of all lanes, the oldest first; `subject`: only of this aggregate.
///
/// # Errors
/// When the database fails.
pub async fn dead(
    queue: &WorkQueue,
    lane: Option<Lane>,
    subject: Option<Uuid>,
    limit: u32,
) -> Result<Vec<Dead>, CommandError> {
    const SQL: &str = "SELECT id, lane, tenant_id, subject, code, attempts, last_error, died_at_ms FROM dead_work
        WHERE ($1 IS NULL OR lane = $1) AND ($2 IS NULL OR subject = $2) ORDER BY died_at_ms, id LIMIT $3";
    let lane = lane.map(|lane| lane.name().to_owned());
    let rows: Vec<DeadRow> =
        queue.db().fetch(Scope::All, SQL, vec![lane.into(), subject.into(), i64::from(limit).into()]).await?;
    Ok(rows
        .into_iter()
        .map(|(id, lane, tenant, subject, code, attempts, last_error, died_at_ms)| Dead {
            id,
            lane,
            tenant: TenantId(tenant),
            subject,
            code,
            attempts: attempts.unsigned_abs(),
            last_error,
            died_at: DateTime::from_timestamp_millis(died_at_ms).unwrap_or_default(),
        })
        .collect())
}

/// What became of dead work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redriven {
    /// It is asked for again.
    Again,
    /// Nothing is left to do: it was deleted, or somebody has retried it since.
    Settled,
}

/// Takes up what was given up: the candidate, the rubric, the notice or the metered entry is tried again by a command. A
/// candidate reserves a slot anew; one whose older score stands is scored again without.
///
/// # Errors
/// [`starscreen_domain::usage::UsageError::LimitReached`] without a free slot, or when the store fails; it stays dead.
pub async fn redrive(bus: &Bus, queue: &WorkQueue, dead: &Dead) -> Result<Redriven, CommandError> {
    let context = || Context { urgent: false, ..Context::new(dead.tenant, Actor::Operator, Utc::now()) };
    let outcome = if dead.lane == Lane::Rubric.name() {
        job::retry_rubric(bus, context(), JobId(dead.subject)).await.map(drop)
    } else if dead.lane == Lane::Billing.name() {
        let entry = EventId(dead.subject);
        match ledger_of(queue, entry).await? {
            Some(period) => subscription::retry_metering(bus, context(), period, entry).await.map(drop),
            None => Err(CommandError::NotFound("entry")),
        }
    } else if dead.lane == Lane::Webhook.name() {
        payments::retry_webhook(bus, context(), WebhookId(dead.subject)).await.map(drop)
    } else {
        let id = CandidateId(dead.subject);
        let job = bus.read::<Candidate>(dead.tenant, id).await?.job_id.unwrap_or_default();
        match candidate::retry(bus, context(), job, id).await.map(drop) {
            Err(CommandError::Candidate(CandidateError::NotFailed)) if dead.lane == Lane::Score.name() => {
                candidate::rescore(bus, context(), job, id).await.map(drop)
            }
            outcome => outcome,
        }
    };
    let redriven = match outcome {
        Ok(()) => Redriven::Again,
        Err(
            CommandError::NotFound(_)
            | CommandError::Candidate(_)
            | CommandError::Job(JobError::RubricNotFailed)
            | CommandError::Usage(UsageError::MeteringNotGivenUp)
            | CommandError::Webhook(_),
        ) => Redriven::Settled,
        Err(error) => return Err(error),
    };
    forget(queue, dead).await?;
    Ok(redriven)
}

/// The billing period that has the entry.
async fn ledger_of(queue: &WorkQueue, entry: EventId) -> Result<Option<UsageId>, CommandError> {
    const SQL: &str = "SELECT aggregate_id FROM events WHERE event_id = $1 AND aggregate_type = 'usage'";
    let rows: Vec<(String,)> = queue.db().fetch(Scope::All, SQL, vec![entry.0.into()]).await?;
    Ok(rows.first().and_then(|(id,)| id.parse().ok()))
}

/// What a retry took up is gone from the table already; this is for what needed none.
async fn forget(queue: &WorkQueue, dead: &Dead) -> Result<(), CommandError> {
    let mut tx = queue.db().begin(Scope::All).await?;
    tx.execute("DELETE FROM dead_work WHERE id = $1", vec![dead.id.into()]).await?;
    Ok(tx.commit().await?)
}

/// What the store says of itself, for `doctor` and the health pages.
#[derive(Clone, Debug)]
pub struct StoreCheck {
    /// Newest position.
    pub head: u64,
    /// What a quick check of the file found; empty: nothing is wrong.
    pub damage: Vec<String>,
    /// Triggers that keep events from being changed or deleted, and that are missing.
    pub missing_triggers: Vec<&'static str>,
    /// When the newest event was recorded, if it is later than now: a clock was turned back.
    pub ahead_of_clock: Option<DateTime<Utc>>,
}

/// # Errors
/// When the database fails.
pub async fn newest_position(queue: &WorkQueue) -> Result<u64, CommandError> {
    Ok(read_head(queue.db()).await?)
}

/// The process that gives history its order on PostgreSQL.
#[derive(Clone, Debug)]
pub struct Leader {
    pub process: String,
    pub silent_for: Duration,
    /// Committed events that wait for their position.
    pub waiting: u64,
    /// How long the oldest of them has.
    pub waiting_for: Duration,
}

/// A leader says so several times a second.
pub const SILENT_TOO_LONG: Duration = Duration::from_secs(5);

impl Leader {
    pub fn is_silent(&self) -> bool {
        self.silent_for > SILENT_TOO_LONG
    }
}

/// `None`: nobody has ever led. An embedded store needs no leader.
///
/// # Errors
/// When the database fails.
pub async fn leader(queue: &WorkQueue, log: &Log) -> Result<Option<Leader>, CommandError> {
    const SQL: &str = "SELECT process, CAST(extract(epoch FROM clock_timestamp() - heartbeat_at) * 1000 AS BIGINT)
        FROM leaders WHERE name = 'sequencer'";
    let rows: Vec<(String, i64)> = queue.db().fetch(Scope::All, SQL, vec![]).await?;
    let Some((process, silent_ms)) = rows.into_iter().next() else { return Ok(None) };
    let silent_for = Duration::from_millis(u64::try_from(silent_ms).unwrap_or(0));
    let (waiting, waiting_for) = log.waiting().await?;
    Ok(Some(Leader { process, silent_for, waiting, waiting_for }))
}

/// Reads the whole file: takes a second a gigabyte or so.
///
/// # Errors
/// When the database fails.
pub async fn check_store(queue: &WorkQueue) -> Result<StoreCheck, CommandError> {
    let head = newest_position(queue).await?;
    let (needed, damage, triggers) = match queue.db() {
        Db::Sqlite { .. } => (
            ["events_are_never_changed", "events_are_never_deleted"],
            "PRAGMA quick_check(5)",
            "SELECT name FROM sqlite_master WHERE type = 'trigger'",
        ),
        // Its pages have checksums, which it looks at by itself whenever it reads one.
        Db::Postgres { .. } => (
            ["events_are_never_changed", "events_are_never_truncated"],
            "SELECT 'ok'",
            "SELECT tgname::text FROM pg_trigger WHERE tgrelid = 'write.events'::regclass AND tgenabled <> 'D'
                AND NOT tgisinternal",
        ),
    };
    let said: Vec<(String,)> = queue.db().fetch(Scope::All, damage, vec![]).await?;
    let triggers: Vec<(String,)> = queue.db().fetch(Scope::All, triggers, vec![]).await?;
    let newest = "SELECT recorded_at FROM history ORDER BY position DESC LIMIT 1";
    let newest: Vec<(DateTime<Utc>,)> = queue.db().fetch(Scope::All, newest, vec![]).await?;
    Ok(StoreCheck {
        head,
        damage: said.into_iter().map(|(line,)| line).filter(|line| line != "ok").collect(),
        missing_triggers: needed.into_iter().filter(|name| !triggers.iter().any(|(there,)| there == name)).collect(),
        ahead_of_clock: newest.first().map(|(at,)| *at).filter(|at| *at > Utc::now() + chrono::TimeDelta::seconds(5)),
    })
}

/// A subject that has a key which should open, to try the master key on.
///
/// # Errors
/// When the database fails.
pub async fn any_subject_with_key(queue: &WorkQueue) -> Result<Option<(TenantId, Uuid)>, CommandError> {
    let sql =
        "SELECT tenant_id, subject_id FROM subject_keys WHERE wrapped IS NOT NULL AND subject_id <> tenant_id LIMIT 1";
    let rows: Vec<(Uuid, Uuid)> = queue.db().fetch(Scope::All, sql, vec![]).await?;
    Ok(rows.first().map(|(tenant, subject)| (TenantId(*tenant), *subject)))
}

/// Every event of a candidate and of its slots, in the order of history.
///
/// # Errors
/// When the database fails.
pub async fn history_of(queue: &WorkQueue, log: &Log, candidate: CandidateId) -> Result<Vec<Delivery>, CommandError> {
    const OWN: &str = "SELECT position FROM history WHERE aggregate_type = 'candidate' AND aggregate_id = $1";
    const SLOTS: &str = "SELECT position FROM history WHERE aggregate_type = 'usage' AND aggregate_id = $1
        AND event_type IN ('SlotsReserved', 'SlotCommitted', 'SlotReleased') AND CAST(payload AS TEXT) LIKE $2";
    let own: Vec<(i64,)> = queue.db().fetch(Scope::All, OWN, vec![candidate.to_string().into()]).await?;
    let mut positions: BTreeSet<u64> = own.into_iter().map(|(position,)| position.unsigned_abs()).collect();
    let mut deliveries = at_positions(log, &positions).await?;
    let periods: BTreeSet<UsageId> = deliveries.iter().filter_map(period_of).collect();
    positions.clear();
    for period in periods {
        let values = vec![period.to_string().into(), format!("%{candidate}%").into()];
        let slots: Vec<(i64,)> = queue.db().fetch(Scope::All, SLOTS, values).await?;
        positions.extend(slots.into_iter().map(|(position,)| position.unsigned_abs()));
    }
    deliveries.extend(at_positions(log, &positions).await?);
    deliveries.sort_by_key(|delivery| delivery.position);
    Ok(deliveries)
}

async fn at_positions(log: &Log, positions: &BTreeSet<u64>) -> Result<Vec<Delivery>, CommandError> {
    let mut deliveries = Vec::with_capacity(positions.len());
    for position in positions {
        deliveries.extend(log.read(position.saturating_sub(1), 1).await?);
    }
    Ok(deliveries)
}

/// The billing period whose slot the event takes.
fn period_of(delivery: &Delivery) -> Option<UsageId> {
    match &delivery.event.as_ref().ok()?.payload {
        Event::Candidate(
            CandidateEvent::ResumeUploaded { usage_id, .. } | CandidateEvent::CandidateRetried { usage_id, .. },
        ) => Some(*usage_id),
        Event::Candidate(_)
        | Event::Account(_)
        | Event::EmailClaim(_)
        | Event::Job(_)
        | Event::Subscription(_)
        | Event::Usage(_)
        | Event::Customer(_)
        | Event::Webhook(_) => None,
    }
}
