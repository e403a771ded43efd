//! The log: the whole history in order, for everybody who reads.

use std::time::Duration;

use starscreen_domain::TenantId;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    Store,
    append::event,
    stage::{self, assert_gapless, history, position, until},
};
use crate::{
    append::{Append, NewEvent},
    write_side::WriteSide,
};

async fn append(store: &WriteSide, events: Vec<NewEvent>) -> u64 {
    let place = store.writer.append(Append { events, ..Append::default() }).await.unwrap();
    position(&store.log, place).await
}

fn some_event() -> NewEvent {
    event(TenantId(Uuid::from_u128(7)), Uuid::now_v7(), 1)
}

pub async fn events_come_in_order_without_a_gap(store: Store) {
    assert_eq!(stage::head(&store.log).await, 0);
    assert!(store.log.read(0, 10).await.unwrap().is_empty());
    for _ in 0..4 {
        append(&store, vec![some_event(), some_event(), some_event()]).await;
    }

    assert_eq!(stage::head(&store.log).await, 12);
    let page = store.log.read(4, 5).await.unwrap();
    assert_eq!(page.iter().map(|delivery| delivery.position).collect::<Vec<_>>(), [5, 6, 7, 8, 9]);
    assert_eq!(store.log.read(9, 100).await.unwrap().len(), 3);
    assert!(store.log.read(12, 100).await.unwrap().is_empty());
    assert_gapless(&store.log).await;
    let recorded: Vec<_> = history(&store.log).await.iter().map(|event| event.recorded_at).collect();
    assert!(recorded.is_sorted(), "time runs with the log: {recorded:?}");
}

pub async fn waiting_ends_with_a_commit_of_this_process(store: Store) {
    let mut quickest = Duration::MAX;
    for _ in 0..20 {
        let head = stage::head(&store.log).await;
        let waiting = tokio::spawn({
            let log = store.log.clone();
            async move {
                log.wait(head).await;
                Instant::now()
            }
        });
        tokio::task::yield_now().await;
        append(&store, vec![some_event()]).await;
        let committed = Instant::now();
        quickest = quickest.min(waiting.await.unwrap().saturating_duration_since(committed));
        store.log.wait(head).await; // what is there already is not waited for
    }
    assert!(quickest < Duration::from_millis(50), "the quickest wake-up took {quickest:?}");
}

pub async fn waiting_ends_with_a_commit_of_another_process(store: Store) {
    let beside = store.beside().await;
    let head = append(&beside, vec![some_event()]).await;

    let found = until("the commit of another process", async || {
        store.log.wait(head - 1).await;
        store.log.read(head - 1, 10).await.unwrap().pop()
    })
    .await;

    assert_eq!(found.position, head);
    beside.close().await;
}

pub async fn waiting_does_not_spin_when_the_writer_has_stopped(store: Store) {
    store.writer.stop().await;
    let begin = Instant::now();
    store.log.wait(0).await;
    store.log.wait(0).await;
    assert!(begin.elapsed() >= Duration::from_millis(100), "a reader would look without a pause");
}

pub async fn an_event_that_cannot_be_read_is_delivered_as_such(store: Store) {
    let tenant = stage::tenant(&store, None).await;
    let head = stage::head(&store.log).await;
    let stream = Uuid::now_v7();
    let broken = |change: fn(&mut NewEvent)| {
        let mut event = event(tenant.id, Uuid::now_v7(), 1);
        change(&mut event);
        event
    };
    let mut events = vec![
        // PostgreSQL takes nothing that is no JSON.
        broken(if store.db.gives_positions() {
            |event| "{\"RubricSt".clone_into(&mut event.payload)
        } else {
            |event| "[]".clone_into(&mut event.payload)
        }),
        broken(|event| "{\"JobPublished\":{}}".clone_into(&mut event.payload)),
        broken(|event| "2".clone_into(&mut event.event_version)),
        broken(|event| event.aggregate_type = "invoice"),
        broken(|event| "{}".clone_into(&mut event.metadata)),
        event(tenant.id, stream, 1),
    ];
    events[2].aggregate_id = stream;
    events[5].sequence = 2;
    append(&store, events).await;

    let page = store.log.read(head, 10).await.unwrap();

    assert_eq!(
        page.iter().map(|delivery| delivery.position).collect::<Vec<_>>(),
        (head + 1..=head + 6).collect::<Vec<_>>()
    );
    for delivery in &page[..5] {
        let unreadable = delivery.event.as_ref().unwrap_err();
        assert!(!unreadable.reason.is_empty(), "{unreadable:?}");
    }
    assert_eq!(page[2].event.as_ref().unwrap_err().aggregate_id, stream, "where it belongs is known");
    assert_eq!(page[3].event.as_ref().unwrap_err().aggregate_type, "invoice");
    assert!(page[5].event.is_ok(), "later ones are read all the same");
}
