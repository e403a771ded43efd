//! The append: all of a command or nothing of it.

use std::time::Duration;

use chrono::Utc;
use starscreen_domain::{
    Actor, AttemptId, CandidateId, CommandId, EventId, JobId, Metadata, TenantId, UserId,
    job::JobEvent,
    work::{Asked, Lane, Task},
};
use uuid::Uuid;

use super::{
    Store,
    stage::{self, assert_gapless, at_once, position, within_patience},
};
use crate::append::{
    Append, AppendError, Lease, MAX_EVENT_BYTES, NewCandidate, NewCredential, NewEvent, NewKey, NewReceipt, NewWork,
};
use crate::db::Scope;

/// An event of a job's stream.
pub fn event(tenant: TenantId, stream: Uuid, sequence: u64) -> NewEvent {
    let event_id = EventId(Uuid::now_v7());
    let command_id = CommandId(Uuid::now_v7());
    let metadata = Metadata {
        command_id,
        actor: Actor::System,
        occurred_at: Utc::now(),
        correlation_id: command_id.0,
        causation_id: command_id.0,
        traceparent: None,
        source: "contract@1".to_owned(),
    };
    NewEvent {
        tenant_id: Some(tenant),
        aggregate_type: "job",
        aggregate_id: stream,
        sequence,
        event_type: "RubricStarted".to_owned(),
        event_version: "1".to_owned(),
        payload: serde_json::to_string(&JobEvent::RubricStarted {}).unwrap(),
        metadata: serde_json::to_string(&metadata.to_map(Some(tenant), event_id)).unwrap(),
        event_id,
    }
}

pub fn work(tenant: TenantId, task: Task, urgent: bool) -> NewWork {
    NewWork {
        id: Uuid::now_v7(),
        tenant_id: tenant,
        urgent,
        asked: Asked { subject: Uuid::now_v7(), task, due: None },
        correlation_id: Uuid::now_v7(),
        causation_id: Uuid::now_v7(),
    }
}

/// Something of everything that an append can carry.
fn full(tenant: TenantId, key: &str) -> Append {
    let receipt = NewReceipt {
        tenant_id: tenant,
        key: key.to_owned(),
        request_hash: "hash".to_owned(),
        answer: "\"answer\"".to_owned(),
    };
    let candidate = NewCandidate {
        candidate_id: CandidateId(Uuid::now_v7()),
        tenant_id: tenant,
        job_id: JobId(Uuid::now_v7()),
        content_hash: "content".to_owned(),
        urgent: true,
    };
    Append {
        receipt: Some(receipt),
        keys: vec![NewKey { subject_id: Uuid::now_v7(), tenant_id: tenant, wrapped: vec![1, 2, 3] }],
        credentials: vec![NewCredential {
            user_id: UserId(Uuid::now_v7()),
            tenant_id: tenant,
            password_hash: "hash".to_owned(),
        }],
        candidates: vec![candidate],
        events: vec![event(tenant, Uuid::now_v7(), 1), event(tenant, Uuid::now_v7(), 1)],
        work: vec![work(tenant, Task::ExtractText, false)],
        dead: vec![],
        redriven: vec![],
        completes: None,
    }
}

/// Rows of each table: receipts, keys, credentials, candidates, events, work.
async fn rows(store: &Store) -> Vec<i64> {
    const SQL: &str = "SELECT COUNT(*) FROM receipts UNION ALL SELECT COUNT(*) FROM subject_keys
        UNION ALL SELECT COUNT(*) FROM credentials UNION ALL SELECT COUNT(*) FROM candidate_index
        UNION ALL SELECT COUNT(*) FROM events UNION ALL SELECT COUNT(*) FROM work";
    store.db.fetch(Scope::All, SQL, vec![]).await.unwrap().into_iter().map(|(count,): (i64,)| count).collect()
}

pub fn a_tenant() -> TenantId {
    TenantId(Uuid::now_v7())
}

pub async fn an_append_stores_all_that_it_carries(store: Store) {
    let tenant = a_tenant();
    let append = full(tenant, "key");
    let (key, credential, candidate) =
        (append.keys[0].clone(), append.credentials[0].clone(), append.candidates[0].clone());
    let (item, cause) = (append.work[0].clone(), append.events[1].event_id);

    let appended = store.writer.append(append).await.unwrap();

    assert_eq!(position(&store.log, appended).await, 2);
    assert_eq!(rows(&store).await, [1, 1, 1, 1, 2, 1]);
    let receipt = store.registry.receipt(tenant, "key").await.unwrap().unwrap();
    assert_eq!((receipt.request_hash.as_str(), receipt.answer.as_str()), ("hash", "\"answer\""));
    assert_eq!(position(&store.log, receipt.place).await, 2);
    let stored = store.registry.key(key.tenant_id, key.subject_id).await.unwrap().unwrap();
    assert_eq!((stored.tenant_id, stored.wrapped), (tenant, Some(key.wrapped)));
    let stored = store.registry.credential(credential.tenant_id, credential.user_id).await.unwrap();
    assert_eq!(stored, Some(credential.password_hash));
    let of_job = store.registry.candidates_of(tenant, candidate.job_id, CandidateId::default(), 10).await.unwrap();
    assert_eq!(of_job, [(candidate.candidate_id, true)]);
    let log = store.log.read(0, 10).await.unwrap();
    assert_eq!(log[1].event.as_ref().unwrap().event_id, cause);
    let claimed = store.queue.claim(Lane::Extract, 10, Duration::from_mins(1)).await.unwrap();
    assert_eq!(claimed.len(), 1);
    assert_eq!((claimed[0].lease.work_id, claimed[0].subject), (item.id, item.asked.subject));
    assert_eq!(
        (claimed[0].correlation_id, claimed[0].causation_id, claimed[0].attempts),
        (item.correlation_id, item.causation_id, 0)
    );
}

pub async fn a_lost_race_leaves_nothing(store: Store) {
    let tenant = a_tenant();
    let stream = Uuid::now_v7();
    store.writer.append(Append { events: vec![event(tenant, stream, 1)], ..Append::default() }).await.unwrap();
    let before = rows(&store).await;

    let mut late = full(tenant, "key");
    late.events.push(event(tenant, stream, 1));
    let outcome = store.writer.append(late).await;

    assert!(matches!(outcome, Err(AppendError::Conflict)), "{outcome:?}");
    assert_eq!(rows(&store).await, before);
}

pub async fn a_repeated_receipt_leaves_nothing(store: Store) {
    let tenant = a_tenant();
    store.writer.append(full(tenant, "key")).await.unwrap();
    let before = rows(&store).await;

    let outcome = store.writer.append(full(tenant, "key")).await;

    assert!(matches!(outcome, Err(AppendError::Repeated)), "{outcome:?}");
    assert_eq!(rows(&store).await, before);
    store.writer.append(full(a_tenant(), "key")).await.expect("keys of two tenants are two keys");
}

pub async fn a_lost_lease_leaves_nothing(store: Store) {
    let tenant = a_tenant();
    store.writer.append(full(tenant, "key")).await.unwrap();
    let item = store.queue.claim(Lane::Extract, 1, Duration::from_mins(1)).await.unwrap().remove(0);
    let before = rows(&store).await;
    let stale = Lease { attempt: AttemptId(Uuid::now_v7()), ..item.lease };

    let outcome = store.writer.append(Append { completes: Some(stale), ..full(tenant, "other") }).await;

    assert!(matches!(outcome, Err(AppendError::LeaseLost)), "{outcome:?}");
    assert_eq!(rows(&store).await, before);
    store.writer.append(Append { completes: Some(item.lease), ..Append::default() }).await.unwrap();
    let again = store.writer.append(Append { completes: Some(item.lease), ..full(tenant, "other") }).await;
    assert!(matches!(again, Err(AppendError::LeaseLost)), "one report an item: {again:?}");
}

pub async fn a_command_that_fails_hurts_nobody_in_its_group(store: Store) {
    let tenants: Vec<TenantId> = (0..5).map(|_| a_tenant()).collect();
    let (taken, first) = (Uuid::now_v7(), full(tenants[0], "taken"));
    let taken_key = first.keys[0].clone();
    store.writer.append(first).await.unwrap();
    store.writer.append(Append { events: vec![event(tenants[0], taken, 1)], ..Append::default() }).await.unwrap();

    let outcomes = at_once(300, |index| {
        let tenant = tenants[index % 5];
        let mut append = full(tenant, &format!("key {index}"));
        match index % 30 {
            5 => append.events.push(event(tenant, taken, 1)),
            10 => append.receipt = Some(NewReceipt { tenant_id: tenants[0], ..full(tenant, "taken").receipt.unwrap() }),
            15 => append.completes = Some(Lease { work_id: Uuid::now_v7(), attempt: AttemptId::default() }),
            20 => append.keys.push(taken_key.clone()),
            _ => {}
        }
        let writer = store.writer.clone();
        async move { writer.append(append).await }
    })
    .await;

    for (index, outcome) in outcomes.iter().enumerate() {
        match index % 30 {
            5 => assert!(matches!(outcome, Err(AppendError::Conflict)), "{index}: {outcome:?}"),
            10 => assert!(matches!(outcome, Err(AppendError::Repeated)), "{index}: {outcome:?}"),
            15 => assert!(matches!(outcome, Err(AppendError::LeaseLost)), "{index}: {outcome:?}"),
            20 => assert!(matches!(outcome, Err(AppendError::Unavailable(_))), "{index}: {outcome:?}"),
            _ => assert!(outcome.is_ok(), "{index}: {outcome:?}"),
        }
    }
    let stored = 260 + 1;
    assert_eq!(rows(&store).await, [stored, stored, stored, stored, stored * 2 + 1, stored]);
    let mut positions = vec![];
    for place in outcomes.into_iter().flatten() {
        positions.push(position(&store.log, place).await);
    }
    positions.sort_unstable();
    positions.dedup();
    assert_eq!(positions.len(), 260, "every command has a place of its own");
    assert_gapless(&store.log).await;
}

pub async fn positions_have_no_gap_with_two_writers(store: Store) {
    let tenants = [a_tenant(), a_tenant()];
    let taken = Uuid::now_v7();
    store.writer.append(Append { events: vec![event(tenants[0], taken, 1)], ..Append::default() }).await.unwrap();
    let beside = store.beside().await;
    let writers = [store.writer.clone(), beside.writer.clone()];

    at_once(120, |index| {
        let stream = if index % 7 == 0 { taken } else { Uuid::now_v7() };
        let append = Append { events: vec![event(tenants[index % 2], stream, 1)], ..Append::default() };
        let writer = writers[index / 2 % 2].clone();
        async move {
            let outcome = writer.append(append).await;
            assert_eq!(outcome.is_err(), index % 7 == 0, "{index}: {outcome:?}");
        }
    })
    .await;

    assert_gapless(&store.log).await;
    assert_eq!(stage::head(&store.log).await, 1 + 120 - 18);
    beside.close().await;
}

/// What a writer remembers of the log is only as old as its last commit.
pub async fn a_writer_goes_on_behind_what_others_have_written(store: Store) {
    let (tenant, beside) = (a_tenant(), store.beside().await);
    let of = |tenants: &[TenantId]| {
        let events = tenants.iter().map(|tenant| event(*tenant, Uuid::now_v7(), 1)).collect();
        Append { events, ..Append::default() }
    };
    for also in [vec![], vec![tenant], vec![a_tenant()]] {
        store.writer.append(of(&[tenant])).await.unwrap();
        beside.writer.append(of(&[tenant])).await.unwrap();
        store.writer.append(of(&[vec![tenant], also].concat())).await.unwrap();
    }
    assert_eq!(stage::head(&store.log).await, 11);
    assert_gapless(&store.log).await;
    beside.close().await;
}

pub async fn events_are_never_changed_or_deleted(store: Store) {
    store.writer.append(full(a_tenant(), "key")).await.unwrap();
    for sql in ["UPDATE events SET payload = '{}'", "DELETE FROM events WHERE sequence = 1", "DELETE FROM events"] {
        let mut tx = store.db.begin(Scope::All).await.unwrap();
        let refused = tx.execute(sql, vec![]).await;
        assert!(refused.is_err(), "{sql} was let through");
    }
    assert_eq!(stage::head(&store.log).await, 2);
}

pub async fn an_event_may_have_256_kb_and_no_more(store: Store) {
    let sized = |bytes: usize| {
        let mut event = event(a_tenant(), Uuid::now_v7(), 1);
        event.payload = serde_json::to_string(&"x".repeat(bytes - 2)).unwrap();
        assert_eq!(event.payload.len(), bytes);
        Append { events: vec![event], ..Append::default() }
    };
    let refused = store.writer.append(sized(MAX_EVENT_BYTES + 1)).await;
    assert!(
        matches!(refused, Err(AppendError::EventTooLarge { bytes }) if bytes == MAX_EVENT_BYTES + 1),
        "{refused:?}"
    );
    assert_eq!(stage::head(&store.log).await, 0);
    let largest = store.writer.append(sized(MAX_EVENT_BYTES)).await.unwrap();
    assert_eq!(position(&store.log, largest).await, 1);
}

/// A ZIP of a thousand files is more rows than one statement takes.
pub async fn a_long_append_is_one_commit(store: Store) {
    let tenant = a_tenant();
    let events = (0..6_000).map(|_| event(tenant, Uuid::now_v7(), 1)).collect();
    let work = (0..3_000).map(|_| work(tenant, Task::ExtractText, false)).collect();
    let long = store.writer.append(Append { events, work, ..Append::default() }).await.unwrap();
    assert_eq!(position(&store.log, long).await, 6_000);
    assert_eq!(rows(&store).await, [0, 0, 0, 0, 6_000, 3_000]);
    assert_gapless(&store.log).await;
}

pub async fn what_waits_at_the_stop_is_written_and_the_rest_refused(store: Store) {
    let tenant = a_tenant();
    let another = || {
        let (writer, events) = (store.writer.clone(), vec![event(tenant, Uuid::now_v7(), 1)]);
        let append = async move { writer.append(Append { events, ..Append::default() }).await };
        Box::pin(tokio::task::unconstrained(append)) // or the runtime would make some of many pause before they ask
    };
    let busy = store.db.begin(Scope::All).await.unwrap(); // nobody else can write now
    let mut waiting: Vec<_> = (0..200).map(|_| another()).collect();
    for append in &mut waiting {
        assert!(futures::poll!(append).is_pending());
    }
    let mut stopping = Box::pin(store.writer.stop());
    assert!(futures::poll!(&mut stopping).is_pending());
    drop(busy);

    within_patience(stopping).await;

    for append in waiting {
        append.await.expect("it was taken before the stop");
    }
    assert_eq!(stage::head(&store.log).await, 200);
    let late = another().await;
    assert!(matches!(late, Err(AppendError::Stopped)), "{late:?}");
}
