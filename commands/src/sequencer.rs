//! The sequencer: gives every event its place in history, in the order of commits and without a gap.
//!
//! A number drawn while a transaction runs says nothing of when it commits, so positions from a sequence would let
//! readers skip what commits late. Events are read by (epoch, transaction id, id), and only those of transactions that
//! are over for everybody (`txid < pg_snapshot_xmin`): nothing can come in before them any more. An append begins after
//! what it was decided on was committed, so a stream's events never change places.
//!
//! One process leads, by an advisory lock of the session that writes the positions: whoever loses the session can write
//! none. A leader that is stopped keeps its lock; the others watch its heartbeat and end its session.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection, Row};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    db::PostgresOptions,
    signals::{SEQUENCED, Signals},
};

const NAME: &str = "sequencer";
const LOCK: i64 = 0x5354_4152_0002;
/// Events that get their positions in one statement.
const BATCH: i64 = 5_000;
const HEARTBEAT: Duration = Duration::from_millis(400);
/// A leader that has not been heard of for this long is ended; with a standby's look every [`STANDBY`] and the time to
/// take over that makes less than two seconds.
const SILENCE: &str = "1.1 seconds";
const STANDBY: Duration = Duration::from_millis(200);
/// How often it is looked for commits that nobody announced.
const POLL: Duration = Duration::from_millis(100);
/// The same while committed events wait for older transactions to end.
const HELD_UP_POLL: Duration = Duration::from_millis(3);
/// From then on somebody should know who holds up history.
const HELD_UP_LONG: Duration = Duration::from_secs(1);
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// How the sequencer of this process stands.
#[derive(Clone, Debug, Default)]
pub struct SequencerStatus {
    pub leads: bool,
    /// Newest position it gave.
    pub position: u64,
    /// Since when committed events wait for their position.
    pub held_up_since: Option<DateTime<Utc>>,
    /// Whose transaction they wait for.
    pub blocked_by: Option<String>,
    pub last_error: Option<String>,
}

pub struct Sequencer {
    options: PostgresOptions,
    signals: Signals,
    /// Names this process to whoever looks for the leader.
    process: String,
    status: watch::Sender<SequencerStatus>,
}

/// The last event that has a position.
struct Last {
    epoch: i32,
    txid: String,
    id: i64,
    position: i64,
}

impl Sequencer {
    /// Starts the sequencer of this process: it leads, or stands by.
    pub fn start(
        options: PostgresOptions,
        signals: Signals,
        process: String,
        stop: CancellationToken,
        tasks: &TaskTracker,
    ) -> watch::Receiver<SequencerStatus> {
        let (status, watched) = watch::channel(SequencerStatus::default());
        let sequencer = Self { options, signals, process, status };
        tasks.spawn(async move { stop.run_until_cancelled(sequencer.run()).await });
        watched
    }

    async fn run(&self) {
        loop {
            let Err(error) = self.stand_by_and_lead().await;
            if self.status.borrow().leads {
                tracing::warn!(error = %error, "this sequencer leads no more");
            }
            self.status.send_modify(|status| {
                status.leads = false;
                status.last_error = Some(error.to_string());
            });
            sleep(STANDBY).await;
        }
    }

    async fn stand_by_and_lead(&self) -> Result<std::convert::Infallible, sqlx::Error> {
        let mut session = within(PgConnection::connect_with(&self.options.as_login()?)).await?;
        loop {
            let row = within(sqlx::query("SELECT pg_try_advisory_lock($1) AS mine").bind(LOCK).fetch_one(&mut session));
            if row.await?.try_get("mine")? {
                break;
            }
            self.end_a_silent_leader(&mut session).await?;
            sleep(STANDBY).await;
        }
        self.lead(&mut session).await
    }

    /// Its session may be in the middle of a transaction; ending it rolls that back.
    async fn end_a_silent_leader(&self, session: &mut PgConnection) -> Result<(), sqlx::Error> {
        let sql = format!(
            "SELECT pg_terminate_backend(held.pid) AS ended, leader.process FROM pg_locks AS held
            LEFT JOIN leaders AS leader ON leader.name = $2 AND leader.backend_pid = held.pid
            WHERE held.locktype = 'advisory' AND held.granted AND held.objsubid = 1
                AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                AND (held.classid::bigint << 32) + held.objid::bigint = $1
                AND leader.heartbeat_at < clock_timestamp() - interval '{SILENCE}'"
        );
        let ended = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(LOCK).bind(NAME).fetch_optional(session);
        if let Some(row) = within(ended).await? {
            let process: Option<String> = row.try_get("process")?;
            tracing::warn!(leader = process, "the leading sequencer says nothing any more; its session was ended");
        }
        Ok(())
    }

    async fn lead(&self, session: &mut PgConnection) -> Result<std::convert::Infallible, sqlx::Error> {
        self.beat(session).await?;
        within(sqlx::query("SET ROLE starscreen_sequencer").execute(&mut *session)).await?;
        let mut last = read_last(session).await?;
        self.status.send_modify(|status| {
            *status = SequencerStatus { leads: true, position: last.position.unsigned_abs(), ..Default::default() };
        });
        tracing::info!(event.position = last.position, "this sequencer leads");
        let mut beaten = Instant::now();
        let mut held_up: Option<Instant> = None;
        loop {
            if beaten.elapsed() >= HEARTBEAT {
                self.beat(session).await?;
                beaten = Instant::now();
            }
            let before = last.position;
            let waits = give_positions(session, &mut last).await?;
            let moved = last.position > before;
            held_up = if waits && !moved { held_up.or(Some(Instant::now())) } else { None };
            self.tell(session, &last, held_up).await?;
            if !moved {
                let pause = if waits { HELD_UP_POLL } else { POLL };
                let _ = timeout(pause, self.signals.somebody_appended()).await; // either way it looks
            }
        }
    }

    async fn beat(&self, session: &mut PgConnection) -> Result<(), sqlx::Error> {
        let beat = sqlx::query(
            "INSERT INTO leaders (name, process, backend_pid, heartbeat_at)
            VALUES ($1, $2, pg_backend_pid(), clock_timestamp())
            ON CONFLICT (name) DO UPDATE SET process = excluded.process, backend_pid = excluded.backend_pid,
                heartbeat_at = excluded.heartbeat_at",
        );
        within(beat.bind(NAME).bind(&self.process).execute(session)).await?;
        Ok(())
    }

    async fn tell(&self, session: &mut PgConnection, last: &Last, held_up: Option<Instant>) -> Result<(), sqlx::Error> {
        let long = held_up.filter(|since| since.elapsed() >= HELD_UP_LONG);
        let known = self.status.borrow().blocked_by.is_some();
        let blocked_by = match long {
            Some(_) if known => self.status.borrow().blocked_by.clone(),
            Some(_) => Some(blocker(session).await?),
            None => None,
        };
        if let (Some(blocker), false) = (&blocked_by, known) {
            tracing::warn!(blocker, "history waits for a transaction that does not end");
        }
        let position = last.position.unsigned_abs();
        self.status.send_if_modified(|status| {
            let modified = status.position != position || status.blocked_by != blocked_by;
            status.position = position;
            status.held_up_since = held_up.map(|since| Utc::now() - since.elapsed());
            status.blocked_by.clone_from(&blocked_by);
            modified
        });
        Ok(())
    }
}

async fn read_last(session: &mut PgConnection) -> Result<Last, sqlx::Error> {
    let read = sqlx::query("SELECT epoch, txid::text AS txid, id, position FROM sequencer").fetch_one(session);
    let row = within(read).await?;
    Ok(Last {
        epoch: row.try_get("epoch")?,
        txid: row.try_get("txid")?,
        id: row.try_get("id")?,
        position: row.try_get("position")?,
    })
}

/// Gives positions to what is committed for good; tells whether events are there that have none yet.
async fn give_positions(session: &mut PgConnection, last: &mut Last) -> Result<bool, sqlx::Error> {
    const SQL: &str = "WITH waiting AS MATERIALIZED (
            SELECT epoch, txid, id, tenant_id, recorded_at FROM events
            WHERE (epoch, txid, id) > ($1, $2::text::xid8, $3) ORDER BY epoch, txid, id LIMIT $5
        ), next AS MATERIALIZED (
            SELECT waiting.*, row_number() OVER (ORDER BY epoch, txid, id) AS place,
                row_number() OVER (PARTITION BY tenant_id ORDER BY epoch, txid, id) AS own_place
            FROM waiting WHERE txid < pg_snapshot_xmin(pg_current_snapshot())
                OR epoch < (SELECT max(epoch) FROM epochs)
        ), heads AS MATERIALIZED (
            SELECT tenant_id, (SELECT COALESCE(max(tenant_position), 0) FROM positions AS own
                WHERE own.tenant_id = theirs.tenant_id) AS head
            FROM (SELECT DISTINCT tenant_id FROM next WHERE tenant_id IS NOT NULL) AS theirs
        ), placed AS (
            INSERT INTO positions (position, id, tenant_id, tenant_position, recorded_at)
            SELECT $4 + place, id, next.tenant_id, heads.head + own_place,
                GREATEST((SELECT recorded_at FROM sequencer), max(recorded_at) OVER (ORDER BY place))
            FROM next LEFT JOIN heads ON heads.tenant_id = next.tenant_id
            RETURNING position, recorded_at
        ), moved AS (
            UPDATE sequencer SET epoch = newest.epoch, txid = newest.txid, id = newest.id,
                position = $4 + newest.place, recorded_at = (SELECT max(recorded_at) FROM placed)
            FROM (SELECT * FROM next ORDER BY place DESC LIMIT 1) AS newest WHERE sequencer.position = $4
            RETURNING sequencer.epoch, sequencer.txid::text AS txid, sequencer.id, sequencer.position,
                pg_notify($6, sequencer.position::text) IS NOT NULL AS told
        )
        SELECT (SELECT count(*) FROM waiting) AS waiting, (SELECT count(*) FROM next) AS next,
            moved.epoch, moved.txid, moved.id, moved.position
        FROM (SELECT 1) AS one LEFT JOIN moved ON true";
    let statement = sqlx::query(SQL)
        .bind(last.epoch)
        .bind(&last.txid)
        .bind(last.id)
        .bind(last.position)
        .bind(BATCH)
        .bind(SEQUENCED);
    let row = within(statement.fetch_one(session)).await?;
    let (waiting, next): (i64, i64) = (row.try_get("waiting")?, row.try_get("next")?);
    if next > 0 {
        // None although there was something: somebody else has moved it, so this one does not lead.
        let position: Option<i64> = row.try_get("position")?;
        *last = Last {
            epoch: row.try_get("epoch")?,
            txid: row.try_get("txid")?,
            id: row.try_get("id")?,
            position: position.ok_or(sqlx::Error::RowNotFound)?,
        };
    }
    Ok(waiting > next)
}

/// A session as `pg_stat_activity` shows it. Of other roles' sessions it hides what they do.
struct Session {
    application_name: Option<String>,
    pid: i32,
    datname: Option<String>,
    usename: Option<String>,
    state: Option<String>,
    seconds: Option<i64>,
}

/// The oldest transaction that holds up the order.
pub(crate) async fn blocker(session: &mut PgConnection) -> Result<String, sqlx::Error> {
    const SQL: &str = "SELECT application_name, pid, datname::text AS datname, usename::text AS usename, state,
            extract(epoch FROM clock_timestamp() - xact_start)::bigint AS seconds
        FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()
        ORDER BY age(backend_xid) DESC LIMIT 1";
    let Some(row) = within(sqlx::query(SQL).fetch_optional(session)).await? else {
        return Ok("a transaction that is not shown, perhaps a prepared one (pg_prepared_xacts)".to_owned());
    };
    let shown = Session {
        application_name: row.try_get("application_name")?,
        pid: row.try_get("pid")?,
        datname: row.try_get("datname")?,
        usename: row.try_get("usename")?,
        state: row.try_get("state")?,
        seconds: row.try_get("seconds")?,
    };
    Ok(shown.to_string())
}

impl std::fmt::Display for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let program = given(&self.application_name).unwrap_or_else(|| "a session without a name".to_owned());
        write!(f, "{program} (pid {}", self.pid)?;
        if let Some(user) = given(&self.usename) {
            write!(f, ", user {user}")?;
        }
        if let Some(database) = given(&self.datname) {
            write!(f, ", database {database}")?;
        }
        match (given(&self.state), self.seconds) {
            (Some(state), Some(seconds)) => write!(f, ", {state}, its transaction is open for {seconds} s)"),
            (Some(state), None) => write!(f, ", {state})"),
            (None, _) => write!(
                f,
                "; what it does and since when is hidden from starscreen_sequencer: look in pg_stat_activity as \
                 superuser, or GRANT pg_read_all_stats TO starscreen_sequencer)"
            ),
        }
    }
}

async fn within<T>(answer: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    timeout(ANSWER_WITHIN, answer).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown() -> Session {
        Session {
            application_name: Some("psql".to_owned()),
            pid: 7,
            datname: Some("hr".to_owned()),
            usename: Some("ada".to_owned()),
            state: Some("idle in transaction".to_owned()),
            seconds: Some(90),
        }
    }

    #[test]
    fn a_session_that_is_shown_is_told_as_a_whole() {
        let told = shown().to_string();
        assert_eq!(told, "psql (pid 7, user ada, database hr, idle in transaction, its transaction is open for 90 s)");
    }

    #[test]
    fn of_a_session_that_is_hidden_it_is_told_how_to_see_it() {
        let told = Session { state: None, seconds: None, ..shown() }.to_string();
        assert!(told.starts_with("psql (pid 7, user ada, database hr; "), "{told}");
        assert!(told.contains("GRANT pg_read_all_stats TO starscreen_sequencer"), "{told}");
    }

    #[test]
    fn what_is_missing_leaves_no_gap() {
        let nameless =
            Session { application_name: Some(String::new()), datname: None, usename: None, seconds: None, ..shown() };
        assert_eq!(nameless.to_string(), "a session without a name (pid 7, idle in transaction)");
    }
}
