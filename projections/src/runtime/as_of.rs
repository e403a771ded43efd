//! The rows as they were at an earlier time: the history folded again, in memory, up to there.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, SecondsFormat, Utc};
use sea_query::{Expr, Value};
use serde_json::{Map, json};
use starscreen_domain::{Event, Recorded, candidate::CandidateEvent};
use uuid::Uuid;

use super::{
    Source,
    fold::{Entry, Poison, fold_batch},
};
use crate::{ReadModelError, models::models, projector::Projector, row::Row};

/// Events read at once.
const BATCH: usize = 5_000;

/// Whose rows are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    Candidate(Uuid),
    /// The job and its candidates.
    Job(Uuid),
    Tenant(Uuid),
}

/// A row by column, as it is kept.
pub type RowValues = Map<String, serde_json::Value>;

/// What was known at a time.
#[derive(Clone, Debug, Default)]
pub struct AsOf {
    /// Last position that was recorded by then.
    pub position: u64,
    pub recorded_at: Option<DateTime<Utc>>,
    /// Rows by read model; models without a row are left out.
    pub tables: Vec<(&'static str, Vec<RowValues>)>,
    /// Events that cannot be folded, and those of the same row after them.
    pub set_aside: usize,
}

impl Whose {
    fn models(self) -> &'static [&'static str] {
        match self {
            Self::Candidate(_) => &["candidate_status", "evaluations"],
            Self::Job(_) => &["jobs", "candidate_status"],
            Self::Tenant(_) => &["accounts", "subscriptions", "monthly_usage", "jobs"],
        }
    }

    fn column(self) -> (&'static str, Uuid) {
        match self {
            Self::Candidate(id) => ("candidate_id", id),
            Self::Job(id) => ("job_id", id),
            Self::Tenant(id) => ("tenant_id", id),
        }
    }

    /// Whether the event concerns these rows. `streams` are those known to do so.
    fn concerns(self, event: &Recorded<Event>, streams: &mut HashSet<Uuid>) -> bool {
        match self {
            Self::Tenant(id) => event.tenant_id.is_some_and(|tenant| tenant.0 == id),
            Self::Candidate(id) => event.aggregate_id == id,
            Self::Job(id) => {
                if let Event::Candidate(CandidateEvent::ResumeUploaded { job_id, .. }) = &event.payload
                    && job_id.0 == id
                {
                    streams.insert(event.aggregate_id);
                }
                event.aggregate_id == id || streams.contains(&event.aggregate_id)
            }
        }
    }
}

/// Folds what was recorded until `time`, and answers the rows that are asked for.
pub(crate) async fn as_of(
    source: &Source,
    whose: Whose,
    time: DateTime<Utc>,
    progress: &mut (dyn FnMut(u64, u64) + Send),
) -> Result<AsOf, ReadModelError> {
    let mut memories = Vec::with_capacity(whose.models().len());
    for name in whose.models() {
        memories.extend(models(Some(name))?.into_iter().map(crate::models::Model::memory));
    }
    let head = source.feed.head().await?;
    let mut known = AsOf::default();
    let mut streams = HashSet::new();
    while known.position < head {
        let deliveries = source.feed.read(known.position, BATCH).await?;
        if deliveries.is_empty() {
            break;
        }
        let (mut events, mut later) = (vec![], false);
        for delivery in deliveries {
            let Ok(event) = delivery.event else {
                known.position = delivery.position; // without a time of its own it belongs to what was before
                known.set_aside += 1;
                continue;
            };
            if event.recorded_at > time {
                later = true;
                break;
            }
            known.position = event.position;
            known.recorded_at = Some(event.recorded_at);
            if whose.concerns(&event, &mut streams) {
                events.push(event);
            }
        }
        let failures = source.opener.open(&mut events).await?;
        for memory in &mut memories {
            memory.fold(&events, &failures);
        }
        progress(known.position, head);
        if later {
            break;
        }
    }
    let (column, id) = whose.column();
    for memory in memories {
        known.set_aside += memory.set_aside();
        let rows: Vec<RowValues> =
            memory.rows().into_iter().filter(|row| row.get(column) == Some(&json!(id))).collect();
        if !rows.is_empty() {
            known.tables.push((memory.name(), rows));
        }
    }
    Ok(known)
}

/// A read model in memory.
pub(crate) trait Memory: Send {
    fn name(&self) -> &'static str;
    /// `failures` has the reason beside each event whose sealed values cannot be opened.
    fn fold(&mut self, events: &[Recorded<Event>], failures: &[Option<String>]);
    fn rows(&self) -> Vec<RowValues>;
    fn set_aside(&self) -> usize;
}

pub(crate) struct Rows<P: Projector> {
    by_key: HashMap<Uuid, P::Row>,
    /// Rows with an event that cannot be folded.
    blocked: HashSet<Uuid>,
    set_aside: usize,
}

impl<P: Projector> Rows<P> {
    pub(crate) fn empty() -> Self {
        Self { by_key: HashMap::new(), blocked: HashSet::new(), set_aside: 0 }
    }
}

impl<P: Projector> Memory for Rows<P> {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn fold(&mut self, events: &[Recorded<Event>], failures: &[Option<String>]) {
        let mut entries: Vec<Entry> = events
            .iter()
            .zip(failures)
            .filter(|(event, _)| P::READS.contains(&event.aggregate_type.as_str()))
            .filter_map(|(event, failure)| {
                let key = P::key(event)?;
                let opened = match failure {
                    None => Ok(event.clone()),
                    Some(reason) => Err(Poison { event_type: event.payload.event_type(), reason: reason.clone() }),
                };
                Some(Entry { position: event.position, key, event: opened })
            })
            .collect();
        entries.sort_by_key(|entry| (entry.key, entry.position));
        let known =
            entries.iter().filter_map(|entry| Some((entry.key, self.by_key.get(&entry.key)?.clone()))).collect();
        let changes = fold_batch::<P>(known, &self.blocked, &entries);
        self.by_key.extend(changes.upserts.into_iter().map(|row| (row.key(), row)));
        for key in changes.deletes {
            self.by_key.remove(&key);
        }
        self.set_aside += changes.parked.len();
        self.blocked.extend(changes.parked.into_iter().map(|parked| parked.row_key));
    }

    fn rows(&self) -> Vec<RowValues> {
        let mut rows: Vec<&P::Row> = self.by_key.values().collect();
        rows.sort_by_key(|row| row.key());
        rows.into_iter().map(|row| values(row.clone())).collect()
    }

    fn set_aside(&self) -> usize {
        self.set_aside
    }
}

fn values<R: Row>(row: R) -> RowValues {
    R::COLUMNS.iter().map(|column| (*column).to_owned()).zip(row.into_values().into_iter().map(value)).collect()
}

/// Every kind of value that a column can hold.
fn value(expression: Expr) -> serde_json::Value {
    let Expr::Value(value) = expression else { return serde_json::Value::Null };
    match value {
        Value::Bool(value) => json!(value),
        Value::BigInt(value) => json!(value),
        Value::String(value) => json!(value),
        Value::Uuid(value) => json!(value),
        Value::Json(value) => json!(value),
        Value::ChronoDateTimeUtc(value) => json!(value.map(|at| at.to_rfc3339_opts(SecondsFormat::Micros, true))),
        _ => serde_json::Value::Null, // no column is of another type
    }
}
