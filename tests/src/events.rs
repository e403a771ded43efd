//! The history, read from the store itself: what is true, whatever the interface answers.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use sqlx::{ConnectOptions, Connection, Row, SqliteConnection, sqlite::SqliteConnectOptions, sqlite::SqliteRow};
use starscreen_domain::{CandidateId, Event, TenantId, UsageId, usage::UsageEvent};
use uuid::Uuid;

/// Reads `write.db`, also beside the server.
#[derive(Clone, Debug)]
pub struct Events(PathBuf);

/// One event with its place.
#[derive(Clone, Debug)]
pub struct Stored {
    pub position: i64,
    pub tenant: Option<TenantId>,
    pub tenant_position: Option<i64>,
    pub aggregate_id: Uuid,
    pub sequence: i64,
    pub event_type: String,
    pub event: Event,
}

/// The entries of a billing period, with every candidate as often as it was entered.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    pub tenant: TenantId,
    pub limit: Option<u32>,
    pub reserved: Vec<CandidateId>,
    pub committed: Vec<CandidateId>,
    pub released: Vec<CandidateId>,
    pub adjusted: i32,
}

impl Ledger {
    fn enter(&mut self, event: UsageEvent) {
        match event {
            UsageEvent::PeriodOpened { limit, .. } | UsageEvent::LimitChanged { limit, .. } => self.limit = limit,
            UsageEvent::SlotsReserved { candidates } => self.reserved.extend(candidates),
            UsageEvent::SlotCommitted { candidate } => self.committed.push(candidate),
            UsageEvent::SlotReleased { candidate, .. } => self.released.push(candidate),
            UsageEvent::UsageAdjusted { delta, .. } => self.adjusted += delta,
        }
    }

    /// Slots that are taken.
    pub fn used(&self) -> i64 {
        let count = |slots: &[CandidateId]| i64::try_from(slots.len()).unwrap();
        count(&self.reserved) - count(&self.released) + i64::from(self.adjusted)
    }
}

/// One connection, for one question.
pub(crate) async fn rows(path: &Path, sql: &str) -> Result<Vec<SqliteRow>, sqlx::Error> {
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    let mut connection: SqliteConnection = options.disable_statement_logging().connect().await?;
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&mut connection).await;
    connection.close().await?;
    rows
}

impl Events {
    pub(crate) fn of(data: &Path) -> Self {
        Self(data.join("write.db"))
    }

    async fn rows(&self, sql: &str) -> Vec<SqliteRow> {
        rows(&self.0, sql).await.unwrap_or_else(|error| panic!("{}: {error}", self.0.display()))
    }

    /// Newest position.
    pub async fn head(&self) -> i64 {
        self.rows("SELECT COALESCE(MAX(position), 0) FROM events").await[0].get(0)
    }

    /// The whole history, in order.
    pub async fn all(&self) -> Vec<Stored> {
        let rows = self.rows("SELECT * FROM events ORDER BY position").await;
        rows.iter().map(stored).collect()
    }

    pub async fn of_tenant(&self, tenant: Uuid) -> Vec<Stored> {
        let tenant = Some(TenantId(tenant));
        self.all().await.into_iter().filter(|stored| stored.tenant == tenant).collect()
    }

    /// Names of the events of one stream, in order.
    pub async fn of_stream(&self, aggregate_id: &str) -> Vec<String> {
        let id: Uuid = aggregate_id.parse().unwrap();
        self.all()
            .await
            .into_iter()
            .filter(|stored| stored.aggregate_id == id)
            .map(|stored| stored.event_type)
            .collect()
    }

    /// Every billing period, added up from its entries by arithmetic of the tests' own.
    pub async fn ledgers(&self) -> BTreeMap<UsageId, Ledger> {
        let mut ledgers: BTreeMap<UsageId, Ledger> = BTreeMap::new();
        for stored in self.all().await {
            if let (Event::Usage(event), Some(tenant)) = (stored.event, stored.tenant) {
                let ledger = ledgers.entry(UsageId(stored.aggregate_id)).or_default();
                ledger.tenant = tenant;
                ledger.enter(event);
            }
        }
        ledgers
    }

    /// What is left to do, a sentence each.
    pub async fn work(&self) -> Vec<String> {
        let sql = "SELECT lane, task, attempts, lease IS NOT NULL, last_error FROM work ORDER BY id";
        let describe = |row: &SqliteRow| {
            let (lane, task, attempts): (String, String, i64) = (row.get(0), row.get(1), row.get(2));
            let (leased, error): (bool, Option<String>) = (row.get(3), row.get(4));
            let state = if leased { "in hand" } else { "waiting" };
            format!("{lane} {task} {state} after {attempts} tries: {}", error.unwrap_or_default())
        };
        self.rows(sql).await.iter().map(describe).collect()
    }

    /// For each stream, how long after its first event `from` its first event `to` was recorded.
    pub async fn milliseconds_between(&self, from: &str, to: &str) -> Vec<f64> {
        self.milliseconds_by_stream(from, to).await.into_values().collect()
    }

    /// As [`Events::milliseconds_between`], by stream.
    pub async fn milliseconds_by_stream(&self, from: &str, to: &str) -> BTreeMap<String, f64> {
        let first = |name| {
            format!("SELECT aggregate_id, MIN(recorded_at) AS at FROM events WHERE event_type = '{name}' GROUP BY 1")
        };
        let sql = format!(
            "SELECT (julianday(later.at) - julianday(earlier.at)) * 86400000.0, aggregate_id
            FROM ({}) AS earlier JOIN ({}) AS later USING (aggregate_id)",
            first(from),
            first(to)
        );
        self.rows(&sql).await.iter().map(|row| (row.get(1), row.get(0))).collect()
    }

    pub async fn receipts(&self) -> i64 {
        self.rows("SELECT COUNT(*) FROM receipts").await[0].get(0)
    }
}

fn stored(row: &SqliteRow) -> Stored {
    let (aggregate_type, event_type, version): (String, String, String) =
        (row.get("aggregate_type"), row.get("event_type"), row.get("event_version"));
    let payload: String = row.get("payload");
    let payload = serde_json::from_str(&payload).unwrap();
    let event = Event::decode(&aggregate_type, &event_type, &version, payload).unwrap();
    let aggregate_id: String = row.get("aggregate_id");
    Stored {
        position: row.get("position"),
        tenant: row.get::<Option<Uuid>, _>("tenant_id").map(TenantId),
        tenant_position: row.get("tenant_position"),
        aggregate_id: aggregate_id.parse().unwrap(),
        sequence: row.get("sequence"),
        event_type,
        event,
    }
}
