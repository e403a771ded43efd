//! The rows of one transaction: few multi-row INSERTs for a whole group of commands.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sea_query::Value;
use starscreen_domain::TenantId;
use uuid::Uuid;

use super::{
    Append, AppendError, Lease, NewReceipt, NewWork, Place,
    heads::{Heads, Next},
};
use crate::db::{Db, Scope, Tx};

/// One transaction; a second one when the first found that others have written. The statement that fails names the
/// outcome.
pub(super) async fn write(db: &Db, heads: &mut Heads, group: &[Append]) -> Result<Vec<Place>, AppendError> {
    loop {
        let outcome = try_write(db, heads, group).await;
        if !matches!(outcome, Ok(Some(_))) {
            heads.forget();
        }
        if let Some(places) = outcome? {
            return Ok(places);
        }
    }
}

/// `None`: the heads were out of date, and nothing is written.
async fn try_write(db: &Db, heads: &mut Heads, group: &[Append]) -> Result<Option<Vec<Place>>, AppendError> {
    let mut tx = db.begin(Scope::Tenants(tenants_of(group))).await?;
    let now = Utc::now(); // in the transaction, so that it never runs against the order of the log
    for lease in group.iter().filter_map(|append| append.completes) {
        complete(&mut tx, lease).await?;
    }
    let mut next = None;
    let places = if db.gives_positions() {
        let next = next.insert(heads.next(&mut tx, group).await?);
        match insert_placed_events(&mut tx, next, group, now).await {
            Err(AppendError::Conflict) if next.is_outdated(&mut tx).await? => return Ok(None),
            places => places?,
        }
    } else {
        insert_events(&mut tx, group).await?
    };
    let receipts = group.iter().zip(&places).filter_map(|(append, at)| append.receipt.as_ref().map(|r| (r, at)));
    insert_receipts(&mut tx, receipts, now).await?;
    insert_subjects(&mut tx, group).await?;
    insert_work(&mut tx, group.iter().flat_map(|append| &append.work), now).await?;
    move_dead_work(&mut tx, group, now).await?;
    tx.commit().await?;
    if let Some(next) = next {
        heads.are(next);
    }
    tracing::debug!(commands = group.len(), "group committed");
    Ok(Some(places))
}

async fn complete(tx: &mut Tx, lease: Lease) -> Result<(), AppendError> {
    let sql = "DELETE FROM work WHERE id = $1 AND lease = $2";
    match tx.execute(sql, vec![lease.work_id.into(), lease.attempt.0.into()]).await? {
        0 => Err(AppendError::LeaseLost),
        _ => Ok(()),
    }
}

/// All tenants that the group writes for.
fn tenants_of(group: &[Append]) -> BTreeSet<TenantId> {
    let of_events = group.iter().flat_map(|append| &append.events).filter_map(|event| event.tenant_id);
    let of_work = group.iter().flat_map(|append| &append.work).map(|work| work.tenant_id);
    let of_dead = group.iter().flat_map(|append| &append.dead).map(|dead| dead.tenant_id);
    of_events.chain(of_work).chain(of_dead).collect()
}

/// Events without positions; the sequencer gives them theirs.
async fn insert_events(tx: &mut Tx, group: &[Append]) -> Result<Vec<Place>, AppendError> {
    const COLUMNS: &[&str] = &[
        "tenant_id",
        "aggregate_type",
        "aggregate_id",
        "sequence",
        "event_type",
        "event_version",
        "payload",
        "metadata",
        "event_id",
    ];
    let rows = group.iter().flat_map(|append| &append.events).map(|event| {
        vec![
            event.tenant_id.map(|tenant| tenant.0).into(),
            event.aggregate_type.into(),
            event.aggregate_id.to_string().into(),
            i64::try_from(event.sequence).unwrap_or(i64::MAX).into(),
            event.event_type.clone().into(),
            event.event_version.clone().into(),
            event.payload.clone().into(),
            event.metadata.clone().into(),
            event.event_id.0.into(),
        ]
    });
    tx.insert("events", COLUMNS, rows.collect()).await.map_err(|error| or_unique(error, AppendError::Conflict))?;
    let last = |append: &Append| append.events.last().map(|event| Place::Of(event.tenant_id, event.event_id));
    Ok(group.iter().map(|append| last(append).unwrap_or(Place::NOWHERE)).collect())
}

async fn insert_placed_events(
    tx: &mut Tx,
    next: &mut Next,
    group: &[Append],
    now: DateTime<Utc>,
) -> Result<Vec<Place>, AppendError> {
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
    let mut rows = Vec::new();
    let mut appended = Vec::with_capacity(group.len());
    for append in group {
        for event in &append.events {
            let (position, tenant_position) = next.take(event.tenant_id);
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
        appended.push(Place::At(next.position()));
    }
    tx.insert("events", COLUMNS, rows).await.map_err(|error| or_unique(error, AppendError::Conflict))?;
    Ok(appended)
}

async fn insert_receipts(
    tx: &mut Tx,
    receipts: impl Iterator<Item = (&NewReceipt, &Place)>,
    now: DateTime<Utc>,
) -> Result<(), AppendError> {
    let rows = receipts
        .map(|(receipt, place)| {
            let (position, event) = match place {
                Place::At(position) => (i64::try_from(*position).ok(), None),
                Place::Of(_, event) => (None, Some(event.0)),
            };
            vec![
                receipt.tenant_id.0.into(),
                receipt.key.clone().into(),
                receipt.request_hash.clone().into(),
                receipt.answer.clone().into(),
                position.into(),
                event.into(),
                now.timestamp_millis().into(),
            ]
        })
        .collect();
    let columns = ["tenant_id", "key", "request_hash", "answer", "position", "event_id", "created_at_ms"];
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
                i64::from(candidate.urgent).into(),
            ]
        })
        .collect();
    let columns = ["candidate_id", "tenant_id", "job_id", "content_hash", "urgent"];
    tx.insert("candidate_index", &columns, candidates).await?;
    Ok(())
}

pub(crate) async fn insert_work(
    tx: &mut Tx,
    asked: impl IntoIterator<Item = &NewWork>,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
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
        "free_at_ms",
        "attempts",
    ];
    let at_ms = now.timestamp_millis();
    let mut rows: Vec<Vec<Value>> = Vec::new();
    for work in asked {
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
            work.asked.due.map_or(at_ms, |due| (due.timestamp_millis() + 1).max(at_ms)).into(),
            0_i64.into(),
        ]);
    }
    tx.insert("work", COLUMNS, rows).await.map(drop)
}

async fn move_dead_work(tx: &mut Tx, group: &[Append], now: DateTime<Utc>) -> Result<(), AppendError> {
    const COLUMNS: &[&str] = &["id", "lane", "tenant_id", "subject", "code", "attempts", "last_error", "died_at_ms"];
    for subject in group.iter().flat_map(|append| &append.redriven) {
        tx.execute("DELETE FROM dead_work WHERE subject = $1", vec![(*subject).into()]).await?;
    }
    let dead = group.iter().flat_map(|append| &append.dead).map(|dead| {
        vec![
            Uuid::now_v7().into(),
            dead.lane.name().into(),
            dead.tenant_id.0.into(),
            dead.subject.into(),
            dead.code.clone().into(),
            i64::from(dead.attempts).into(),
            dead.last_error.clone().into(),
            now.timestamp_millis().into(),
        ]
    });
    tx.insert("dead_work", COLUMNS, dead.collect()).await?;
    Ok(())
}

fn or_unique(error: sqlx::Error, outcome: AppendError) -> AppendError {
    match error.as_database_error() {
        Some(database) if database.is_unique_violation() => outcome,
        _ => error.into(),
    }
}
