//! Work: claimed fairly, by one, for a time.

use std::{collections::HashSet, time::Duration};

use starscreen_domain::{
    AttemptId, TenantId,
    work::{Lane, Task},
};
use uuid::Uuid;

use super::{
    Store,
    append::{event, work},
    stage::{self, at_once, until},
};
use crate::{
    append::{Append, AppendError, Lease, NewWork, Writer},
    db::Scope,
    work::{Claimed, LaneCount, Tried, WorkQueue},
};

const LONG: Duration = Duration::from_mins(1);
const SHORT: Duration = Duration::from_millis(600);

fn a_tenant() -> TenantId {
    TenantId(Uuid::now_v7())
}

async fn ask(writer: &Writer, work: Vec<NewWork>) -> Vec<Uuid> {
    let ids = work.iter().map(|work| work.id).collect();
    writer.append(Append { work, ..Append::default() }).await.unwrap();
    ids
}

async fn bulk(store: &Store, tenant: TenantId, count: usize) -> Vec<Uuid> {
    ask(&store.writer, (0..count).map(|_| work(tenant, Task::ExtractText, false)).collect()).await
}

async fn claim(queue: &WorkQueue, limit: usize) -> Vec<Claimed> {
    queue.claim(Lane::Extract, limit, LONG).await.unwrap()
}

fn ids(claimed: &[Claimed]) -> Vec<Uuid> {
    claimed.iter().map(|item| item.lease.work_id).collect()
}

fn tenants(claimed: &[Claimed]) -> Vec<TenantId> {
    claimed.iter().map(|item| item.tenant).collect()
}

pub async fn urgent_items_go_first(store: Store) {
    let (one, other) = (a_tenant(), a_tenant());
    bulk(&store, one, 5).await;
    bulk(&store, other, 5).await;
    let urgent = ask(&store.writer, vec![work(one, Task::ExtractText, true), work(one, Task::ExtractText, true)]).await;

    let claimed = claim(&store.queue, 3).await;

    assert_eq!(ids(&claimed)[..2], urgent);
    assert_eq!(claimed.iter().map(|item| item.urgent).collect::<Vec<_>>(), [true, true, false]);
    assert_eq!(claimed[2].tenant, other, "who has the least in flight, urgent items included");
}

pub async fn the_tenant_with_the_least_in_flight_goes_first(store: Store) {
    let (one, other, third) = (a_tenant(), a_tenant(), a_tenant());
    bulk(&store, one, 20).await;
    let in_flight = claim(&store.queue, 4).await;
    bulk(&store, other, 20).await;
    bulk(&store, third, 1).await;

    assert_eq!(tenants(&claim(&store.queue, 2).await), [other, third]);
    assert_eq!(tenants(&claim(&store.queue, 4).await), [other, other, other, one]);
    for item in &in_flight {
        assert!(store.queue.complete(item.lease).await.unwrap());
    }
    assert_eq!(tenants(&claim(&store.queue, 3).await), [one, one, one], "what is done is no longer in flight");
}

pub async fn a_long_queue_does_not_delay_a_neighbour(store: Store) {
    let (large, small) = (a_tenant(), a_tenant());
    bulk(&store, large, 2_000).await;
    let one = bulk(&store, small, 1).await;

    let claimed = claim(&store.queue, 2).await;

    assert_eq!(claimed.len(), 2);
    assert!(ids(&claimed).contains(&one[0]), "the only item of a tenant waits behind 2,000 of another");
    assert_eq!(ids(&claim(&store.queue, 500).await).len(), 500);
}

/// Also with fewer places than tenants, when there is always somebody with nothing in flight and older items.
pub async fn tenants_are_served_in_turn(store: Store) {
    let (large, small, late) = (a_tenant(), a_tenant(), a_tenant());
    let names = [large, small, late];
    let mut served = String::new();
    bulk(&store, large, 20).await;
    for one in 0..8 {
        if one == 2 {
            bulk(&store, small, 3).await;
            bulk(&store, late, 1).await;
        }
        let item = claim(&store.queue, 1).await.remove(0);
        served.push(char::from(
            b'A' + u8::try_from(names.iter().position(|name| *name == item.tenant).unwrap()).unwrap(),
        ));
        assert!(store.queue.complete(item.lease).await.unwrap());
    }
    assert_eq!(served, "AABCABAB");
    let both = claim(&store.queue, 2).await;
    assert_eq!(tenants(&both), [large, large]);
}

/// Whoever has something urgent all the time does not decide who of the others is served in between.
pub async fn what_is_urgent_takes_nobodys_turn(store: Store) {
    let (one, other, urgent) = (a_tenant(), a_tenant(), a_tenant());
    bulk(&store, one, 9).await;
    bulk(&store, other, 9).await;
    let mut served = vec![];
    for _ in 0..4 {
        ask(&store.writer, vec![work(urgent, Task::ExtractText, true)]).await;
        for _ in 0..2 {
            let item = claim(&store.queue, 1).await.remove(0);
            served.push(item.tenant);
            assert!(store.queue.complete(item.lease).await.unwrap());
        }
    }
    assert_eq!(served, [urgent, one, urgent, other, urgent, one, urgent, other]);
}

pub async fn a_claim_takes_as_many_as_asked_for(store: Store) {
    let tenant = a_tenant();
    let asked = bulk(&store, tenant, 5).await;

    assert!(claim(&store.queue, 0).await.is_empty());
    assert_eq!(ids(&claim(&store.queue, 2).await), asked[..2], "the oldest first");
    assert_eq!(ids(&claim(&store.queue, 10).await), asked[2..]);
    assert!(claim(&store.queue, 10).await.is_empty());
}

pub async fn a_lease_that_ran_out_is_somebody_elses(store: Store) {
    let tenant = a_tenant();
    bulk(&store, tenant, 1).await;
    let first = store.queue.claim(Lane::Extract, 1, SHORT).await.unwrap().remove(0);
    assert!(claim(&store.queue, 1).await.is_empty(), "it is given away once at a time");

    let second = until("the item of a lease that ran out", async || claim(&store.queue, 1).await.pop()).await;

    assert_eq!(second.lease.work_id, first.lease.work_id);
    assert_ne!(second.lease.attempt, first.lease.attempt);
    let report =
        Append { completes: Some(first.lease), events: vec![event(tenant, Uuid::now_v7(), 1)], ..Append::default() };
    let late = store.writer.append(report).await;
    assert!(matches!(late, Err(AppendError::LeaseLost)), "{late:?}");
    assert_eq!(stage::head(&store.log).await, 0, "a late report leaves nothing");
    assert!(!store.queue.complete(first.lease).await.unwrap());
    assert!(!store.queue.extend(first.lease, LONG).await.unwrap());
    assert!(!store.queue.give_back(first.lease, SHORT, "late", Tried::Counted).await.unwrap());
    assert!(store.queue.complete(second.lease).await.unwrap(), "the second holder is not disturbed");
}

pub async fn an_extended_lease_lasts(store: Store) {
    bulk(&store, a_tenant(), 1).await;
    let item = store.queue.claim(Lane::Extract, 1, SHORT).await.unwrap().remove(0);
    assert!(store.queue.extend(item.lease, LONG).await.unwrap());
    tokio::time::sleep(SHORT * 2).await;
    assert!(claim(&store.queue, 1).await.is_empty());
    assert!(store.queue.complete(item.lease).await.unwrap());
}

pub async fn what_is_given_back_comes_again_after_its_pause(store: Store) {
    let asked = bulk(&store, a_tenant(), 1).await;
    let pause = Duration::from_millis(300);
    let first = claim(&store.queue, 1).await.remove(0);
    assert!(store.queue.give_back(first.lease, pause, "the model is\0 busy", Tried::Counted).await.unwrap());
    let begin = tokio::time::Instant::now();
    assert!(!store.queue.complete(first.lease).await.unwrap(), "who gave it back has no say any more");
    assert_eq!(store.queue.count(Lane::Extract).await.unwrap(), LaneCount { waiting: 1, ..LaneCount::default() });

    let second = until("the item that was given back", async || claim(&store.queue, 1).await.pop()).await;

    assert!(begin.elapsed() >= pause.mul_f64(0.8), "it came after {:?}", begin.elapsed());
    assert_eq!((second.lease.work_id, second.attempts), (asked[0], 1));
    let rows: Vec<(Option<String>,)> = store.db.fetch(Scope::All, "SELECT last_error FROM work", vec![]).await.unwrap();
    assert_eq!(rows, [(Some("the model is busy".to_owned()),)]);
    let long = "x".repeat(100_000);
    assert!(store.queue.give_back(second.lease, Duration::ZERO, &long, Tried::NotCounted).await.unwrap());
    let third = until("the item that was given back", async || claim(&store.queue, 1).await.pop()).await;
    assert_eq!(third.attempts, 1, "a try that does not count");
    let rows: Vec<(Option<String>,)> = store.db.fetch(Scope::All, "SELECT last_error FROM work", vec![]).await.unwrap();
    assert!(rows[0].0.as_ref().unwrap().len() <= 1_000, "what others answer is not kept whole");
}

pub async fn a_finished_item_is_gone(store: Store) {
    bulk(&store, a_tenant(), 2).await;
    let claimed = claim(&store.queue, 2).await;
    assert!(store.queue.complete(claimed[0].lease).await.unwrap());
    assert!(!store.queue.complete(claimed[0].lease).await.unwrap());
    let nobodys = Lease { work_id: claimed[1].lease.work_id, attempt: AttemptId(Uuid::now_v7()) };
    assert!(!store.queue.complete(nobodys).await.unwrap());
    store.writer.append(Append { completes: Some(claimed[1].lease), ..Append::default() }).await.unwrap();
    assert_eq!(store.queue.count(Lane::Extract).await.unwrap(), LaneCount::default());
}

pub async fn all_leases_end_at_once(store: Store) {
    let asked = bulk(&store, a_tenant(), 3).await;
    let old = claim(&store.queue, 2).await;

    assert_eq!(store.queue.end_all_leases().await.unwrap(), 2);

    assert_eq!(store.queue.count(Lane::Extract).await.unwrap(), LaneCount { ready: 3, ..LaneCount::default() });
    assert_eq!(ids(&claim(&store.queue, 3).await), asked, "in the order of their age");
    assert!(!store.queue.complete(old[0].lease).await.unwrap());
}

pub async fn two_claimers_never_get_the_same_item(store: Store) {
    let (one, other) = (a_tenant(), a_tenant());
    bulk(&store, one, 150).await;
    bulk(&store, other, 150).await;
    let beside = store.beside().await;
    let queues = [store.queue.clone(), beside.queue.clone()];

    let claimed = at_once(6, |index| {
        let queue = queues[index % 2].clone();
        async move {
            let mut mine = vec![];
            while queue.count(Lane::Extract).await.unwrap().ready > 0 {
                mine.extend(ids(&claim(&queue, 7).await));
            }
            mine
        }
    })
    .await
    .concat();

    assert_eq!(claimed.len(), 300);
    assert_eq!(claimed.into_iter().collect::<HashSet<_>>().len(), 300, "an item was given away twice");
    beside.close().await;
}

pub async fn a_lane_knows_only_its_own_work(store: Store) {
    let tenant = a_tenant();
    let asked = ask(&store.writer, vec![work(tenant, Task::Score, true), work(tenant, Task::AwaitRubric, false)]).await;

    assert!(claim(&store.queue, 10).await.is_empty());
    assert_eq!(store.queue.count(Lane::Extract).await.unwrap(), LaneCount::default());
    assert_eq!(store.queue.count(Lane::Score).await.unwrap(), LaneCount { ready: 1, ..LaneCount::default() });
    let scores = store.queue.claim(Lane::Score, 10, LONG).await.unwrap();
    assert_eq!((ids(&scores), scores[0].task.clone()), (vec![asked[0]], Task::Score));
    assert_eq!(store.queue.count(Lane::Score).await.unwrap(), LaneCount { leased: 1, ..LaneCount::default() });
    let reactions = store.queue.claim(Lane::React, 10, LONG).await.unwrap();
    assert_eq!((ids(&reactions), reactions[0].task.clone()), (vec![asked[1]], Task::AwaitRubric));
}

pub async fn who_waits_is_woken_by_new_work(store: Store) {
    // Before and after somebody waits: a wake-up in between is not lost.
    bulk(&store, a_tenant(), 1).await;
    tokio::time::timeout(LONG, store.queue.woken(Lane::Extract)).await.unwrap();
    let waiting = tokio::spawn({
        let queue = store.queue.clone();
        async move { queue.woken(Lane::Extract).await }
    });
    tokio::task::yield_now().await;
    bulk(&store, a_tenant(), 1).await;
    tokio::time::timeout(LONG, waiting).await.unwrap().unwrap();
    let idle = tokio::time::timeout(SHORT, store.queue.woken(Lane::Score)).await;
    assert!(idle.is_err(), "the other lanes sleep on");
}
