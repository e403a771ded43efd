//! What becomes of subscriptions whose notices are lost.

use chrono::{TimeDelta, Utc};
use starscreen_domain::work::{Lane, Task};

use super::{
    Store,
    crew::{Crew, LEASE, unfinished, until_all_is_done},
    payments::{events, free_tenant, notify, paying, paying_ports, state},
    scripted::Scripted,
    stage::{self, Tenant, until},
};
use crate::{
    db::Scope,
    operations::{self, Item, ItemState},
    payments,
    reconcile::{Sides, TenantChecked, reconcile},
};

/// What is to be done once a day.
async fn daily(store: &Store) -> Vec<Item> {
    let items = operations::items(&store.queue, Some(Lane::Clock), false, 100).await.unwrap();
    items.into_iter().filter(|item| item.task == "follow_daily").collect()
}

async fn change_work(store: &Store, set: &str) {
    let mut tx = store.db.begin(Scope::All).await.unwrap();
    let sql = format!("UPDATE work SET {set} WHERE lease IS NULL AND task = '\"follow_daily\"'");
    tx.execute(&sql, vec![]).await.unwrap();
    tx.commit().await.unwrap();
}

async fn reconciled(store: &Store, ports: &Scripted, tenant: &Tenant) -> TenantChecked {
    let ports = ports.ports();
    let payments = ports.payments.as_deref().unwrap();
    let sides =
        Sides { bus: &store.bus, log: &store.log, queue: &store.queue, catalog: ports.catalog.as_ref(), payments };
    reconcile(&sides, &[tenant.id], None, Utc::now()).await.tenants.remove(0)
}

/// Lets what is due within a day come, and returns when all of it is done.
async fn a_day_later(store: &Store) {
    change_work(store, "free_at_ms = 0").await;
    store.queue.wake(Lane::Clock);
    until("everybody had a turn", async || {
        let now = Utc::now();
        let waits = |item: &Item| item.state == ItemState::Waiting && item.free_at > now;
        daily(store).await.iter().all(waits).then_some(())
    })
    .await;
    until_all_is_done(store).await;
}

pub async fn a_lost_notice_is_made_up_for_within_a_day(store: Store) {
    let (ports, provider) = paying_ports();
    let crew = Crew::at_work(&store, &ports);
    let (tenant, _, id) = paying(&store, &provider, "small").await;
    let soon = Utc::now() + TimeDelta::hours(11);
    assert!(daily(&store).await.iter().all(|item| item.free_at > soon), "there was news just now");

    provider.change(&id, |sub| "past_due".clone_into(&mut sub.status));
    a_day_later(&store).await;
    assert_eq!(state(&store, &tenant).await.status.as_str(), "past_due");
    provider.change(&id, |sub| {
        "active".clone_into(&mut sub.status);
        "price_large".clone_into(&mut sub.items[0].price);
    });
    a_day_later(&store).await;
    let after = state(&store, &tenant).await;
    assert_eq!((after.status.as_str(), after.plan.code.as_str()), ("active", "large"));
    assert_eq!(stage::usage(&store, &tenant).await.limit, Some(50));

    // However much there was to be told, one item is left, and it comes again on each day.
    let revision = after.revision;
    for _ in 0..3 {
        a_day_later(&store).await;
        let left = daily(&store).await;
        assert_eq!((left.len(), left[0].tenant, left[0].subject), (1, tenant.id, tenant.id.0));
        assert!(left[0].free_at <= Utc::now() + TimeDelta::days(1));
    }
    assert_eq!(state(&store, &tenant).await.revision, revision, "a day without news leaves no trace");
    provider.change(&id, |sub| "canceled".clone_into(&mut sub.status));
    a_day_later(&store).await;
    assert_eq!(state(&store, &tenant).await.plan.code, "free");
    crew.stop().await;
}

pub async fn a_customer_that_is_gone_has_nothing_and_those_before_it_all_they_have(store: Store) {
    let (ports, provider) = paying_ports();
    let crew = Crew::at_work(&store, &ports);
    let (tenant, first, id) = paying(&store, &provider, "small").await;
    let replace = |customer: &str| {
        payments::replace_customer(&store.bus, tenant.context(), customer.to_owned(), "it was deleted".to_owned())
    };
    provider.delete_customer(&first);
    assert!(replace("cus_second").await.is_err(), "nobody has said yet that it no longer pays");
    notify(&store, "customer.deleted", &first).await;
    until_all_is_done(&store).await;
    let after = state(&store, &tenant).await;
    assert_eq!((after.plan.code.as_str(), after.paid), ("free", None), "not {id}");
    replace("cus_second").await.unwrap();
    replace("cus_third").await.unwrap();

    provider.add_subscription("cus_second", "price_large", "active");
    provider.delete_customer("cus_third");
    notify(&store, "customer.deleted", "cus_third").await;
    until_all_is_done(&store).await;
    assert_eq!(state(&store, &tenant).await.plan.code, "large");
    assert_eq!(events(&store, "WebhookGivenUp").await, 0);
    let found = reconciled(&store, &ports, &tenant).await;
    assert_eq!((found.differences, found.unknown, found.customer_is_gone), (vec![], None, true));
    crew.stop().await;
}

pub async fn a_plan_does_not_end_because_its_customer_was_not_found(store: Store) {
    let (ports, provider) = paying_ports();
    let crew = Crew::at_work(&store, &ports);
    let (tenant, customer, _) = paying(&store, &provider, "small").await;
    provider.mislay_customer(&customer, true);
    notify(&store, "customer.updated", &customer).await;
    until_all_is_done(&store).await;
    assert_eq!((state(&store, &tenant).await.plan.code.as_str(), events(&store, "WebhookGivenUp").await), ("small", 1));
    let found = reconciled(&store, &ports, &tenant).await;
    assert_eq!((found.differences, found.unknown.is_some()), (vec![], true), "it cannot be told");

    provider.mislay_customer(&customer, false);
    assert_eq!(reconciled(&store, &ports, &tenant).await.unknown, None);
    crew.stop().await;
}

pub async fn whoever_pays_nothing_is_asked_about_for_a_month(store: Store) {
    let (ports, provider) = paying_ports();
    let crew = Crew::at_work(&store, &ports);
    let tenant = free_tenant(&store).await;
    provider.add_customer("cus_1", tenant.id);
    payments::link_customer(&store.bus, tenant.context(), "cus_1".to_owned()).await.unwrap();
    a_day_later(&store).await;
    assert_eq!(daily(&store).await.len(), 1);

    // Paid on a hosted page, and nobody told.
    let id = provider.add_subscription("cus_1", "price_small", "active");
    a_day_later(&store).await;
    assert_eq!(state(&store, &tenant).await.plan.code, "small");
    let long_ago = (Utc::now() - TimeDelta::days(31)).timestamp_millis();
    change_work(&store, &format!("created_at_ms = {long_ago}")).await;
    a_day_later(&store).await;
    assert_eq!(daily(&store).await.len(), 1, "whoever pays is asked about for ever");

    provider.change(&id, |sub| "canceled".clone_into(&mut sub.status));
    a_day_later(&store).await;
    a_day_later(&store).await;
    assert_eq!((daily(&store).await.len(), state(&store, &tenant).await.paid), (1, None));
    change_work(&store, &format!("created_at_ms = {long_ago}")).await;
    a_day_later(&store).await;
    assert_eq!(daily(&store).await.len(), 0);

    provider.add_subscription("cus_1", "price_large", "active");
    notify(&store, "customer.subscription.created", "cus_1").await;
    until_all_is_done(&store).await;
    assert_eq!((daily(&store).await.len(), state(&store, &tenant).await.plan.code), (1, "large".to_owned()));
    crew.stop().await;
}

pub async fn without_a_key_nobody_is_asked_and_nothing_waits(store: Store) {
    let (ports, provider) = paying_ports();
    let crew = Crew::at_work(&store, &ports);
    let (tenant, _, id) = paying(&store, &provider, "small").await;
    crew.stop().await;
    provider.change(&id, |sub| "past_due".clone_into(&mut sub.status));

    let keyless = Crew::at_work(&store, &Scripted::default());
    a_day_later(&store).await;
    assert_eq!((daily(&store).await.len(), unfinished(&store).await), (1, 0));
    for lane in [Lane::Clock, Lane::Webhook] {
        assert_eq!(store.queue.pause_of(lane).await.unwrap(), None);
    }
    keyless.stop().await;

    let crew = Crew::at_work(&store, &ports);
    a_day_later(&store).await;
    assert_eq!(state(&store, &tenant).await.status.as_str(), "past_due");
    crew.stop().await;
}

/// What is due again and what is asked for are one: whoever dies before has done nothing, and a second one nothing more.
pub async fn a_turn_is_taken_once(store: Store) {
    let (ports, provider) = paying_ports();
    let crew = Crew::at_work(&store, &ports);
    paying(&store, &provider, "small").await;
    a_day_later(&store).await;
    crew.stop().await;
    let due = operations::items(&store.queue, Some(Lane::Clock), false, 100).await.unwrap().len();
    change_work(&store, "free_at_ms = 0").await;

    let dying = store.queue.claim(Lane::Clock, 1, std::time::Duration::ZERO).await.unwrap().remove(0);
    let living =
        until("the lease of the dead is over", async || store.queue.claim(Lane::Clock, 1, LEASE).await.unwrap().pop())
            .await;
    assert_eq!(living.lease.work_id, dying.lease.work_id);
    let tomorrow = Utc::now() + TimeDelta::days(1);
    assert!(!store.queue.put_off(&dying, tomorrow, Some(&Task::FollowCustomer)).await.unwrap());
    assert_eq!(unfinished(&store).await, 0);
    assert!(store.queue.put_off(&living, tomorrow, Some(&Task::FollowCustomer)).await.unwrap());
    assert!(!store.queue.put_off(&living, tomorrow, Some(&Task::FollowCustomer)).await.unwrap());
    assert_eq!(unfinished(&store).await, 1);
    let asked = operations::items(&store.queue, Some(Lane::Webhook), false, 10).await.unwrap();
    assert_eq!((asked[0].task.as_str(), asked[0].subject), ("follow_customer", living.subject));
    assert_eq!(operations::items(&store.queue, Some(Lane::Clock), false, 100).await.unwrap().len(), due);
    assert_eq!(daily(&store).await[0].free_at.timestamp_millis(), tomorrow.timestamp_millis());
}
