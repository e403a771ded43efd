//! The history, read from the store itself: what is true, whatever the interface answers.

use std::collections::BTreeMap;

use starscreen_domain::{CandidateId, Event, TenantId, UsageId, usage::UsageEvent};
use uuid::Uuid;

use crate::backend::{Row, Store};

/// Reads the write side's store, also beside the server.
#[derive(Clone, Debug)]
pub struct Events(Store);

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
            UsageEvent::OverageMetered { .. }
            | UsageEvent::MeteringGivenUp { .. }
            | UsageEvent::MeteringRetried { .. }
            | UsageEvent::UsageThresholdReached { .. }
            | UsageEvent::PeriodClosed { .. } => {}
        }
    }

    /// Slots that are taken.
    pub fn used(&self) -> i64 {
        let count = |slots: &[CandidateId]| i64::try_from(slots.len()).unwrap();
        count(&self.reserved) - count(&self.released) + i64::from(self.adjusted)
    }
}

impl Events {
    pub(crate) fn of(store: Store) -> Self {
        Self(store)
    }

    /// Of the database at this URL.
    pub fn in_database(url: &str) -> Self {
        Self(Store::Schema { url: url.to_owned(), name: "write" })
    }

    async fn rows<T: Row>(&self, sql: &str) -> Vec<T> {
        self.0.rows(sql).await.unwrap_or_else(|error| panic!("{:?}: {error}", self.0))
    }

    /// Newest position, when every event has one.
    pub async fn head(&self) -> i64 {
        let [(events,)] = self.rows("SELECT COUNT(*) FROM events").await[..] else {
            unreachable!("a count is one row")
        };
        events
    }

    /// The whole history, in order.
    pub async fn all(&self) -> Vec<Stored> {
        let sql = "SELECT position, tenant_id, tenant_position, aggregate_type, aggregate_id, sequence, event_type,
                event_version, CAST(payload AS TEXT)
            FROM history ORDER BY position";
        self.rows(sql).await.into_iter().map(stored).collect()
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
        let sql =
            "SELECT lane, task, attempts, lease IS NOT NULL, last_error FROM work WHERE lane <> 'clock' ORDER BY id";
        let describe = |(lane, task, attempts, leased, error): Item| {
            let state = if leased { "in hand" } else { "waiting" };
            format!("{lane} {task} {state} after {attempts} tries: {}", error.unwrap_or_default())
        };
        self.rows(sql).await.into_iter().map(describe).collect()
    }

    /// Lets come now what comes once a day; says for how many tenants.
    pub async fn let_the_day_come(&self) -> u64 {
        let sql = "UPDATE work SET free_at_ms = 0 WHERE lease IS NULL AND task = '\"follow_daily\"'";
        self.0.change(sql).await.unwrap_or_else(|error| panic!("{:?}: {error}", self.0))
    }

    /// Ends the pauses of what waits in a lane after a failed try.
    pub async fn hurry(&self, lane: &str) {
        let sql = format!("UPDATE work SET free_at_ms = 0 WHERE lease IS NULL AND lane = '{lane}'");
        self.0.change(&sql).await.unwrap_or_else(|error| panic!("{:?}: {error}", self.0));
    }

    /// For each stream, how long after its first event `from` its first event `to` was recorded.
    pub async fn milliseconds_between(&self, from: &str, to: &str) -> Vec<f64> {
        let first = |name| {
            format!("SELECT aggregate_id, MIN(recorded_at) AS at FROM events WHERE event_type = '{name}' GROUP BY 1")
        };
        let sql = format!(
            "SELECT {} FROM ({}) AS earlier JOIN ({}) AS later USING (aggregate_id)",
            if self.0.is_file() {
                "(julianday(later.at) - julianday(earlier.at)) * 86400000.0"
            } else {
                "CAST(extract(epoch FROM later.at - earlier.at) * 1000 AS DOUBLE PRECISION)"
            },
            first(from),
            first(to)
        );
        self.rows::<(f64,)>(&sql).await.into_iter().map(|(milliseconds,)| milliseconds).collect()
    }

    pub async fn receipts(&self) -> i64 {
        let [(receipts,)] = self.rows("SELECT COUNT(*) FROM receipts").await[..] else {
            unreachable!("a count is one row")
        };
        receipts
    }
}

type Item = (String, String, i64, bool, Option<String>);
type Logged = (i64, Option<Uuid>, Option<i64>, String, String, i64, String, String, String);

fn stored(row: Logged) -> Stored {
    let (position, tenant, tenant_position, aggregate_type, aggregate_id, sequence, event_type, version, payload) = row;
    let payload = serde_json::from_str(&payload).unwrap();
    let event = Event::decode(&aggregate_type, &event_type, &version, payload).unwrap();
    Stored {
        position,
        tenant: tenant.map(TenantId),
        tenant_position,
        aggregate_id: aggregate_id.parse().unwrap(),
        sequence,
        event_type,
        event,
    }
}
