//! Metered usage that the payment provider refuses.

use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use starscreen_domain::{Event, EventId, JobId, UsageId, usage::UsageEvent, work::Lane};

use super::{
    Store,
    crew::{Crew, hurry, unfinished, until_all_is_done, upload},
    payments::{events, notify, paying, paying_ports, state},
    scripted::Scripted,
    scripted_payments::{Fault, ScriptedPayments},
    stage::{self, Tenant, history, until},
};
use crate::{
    operations::{self, Dead, Item, Redriven},
    payments,
    ports::PaymentsError,
    reconcile::{Sides, Verdict, reconcile},
    subscription::{self, Correction},
};

/// Refusals after which an entry is given up, and one to spare.
const FOR_GOOD: usize = 7;

async fn scored(store: &Store, ports: &Scripted, tenant: &Tenant, job: JobId, count: usize) {
    for number in 0..count {
        upload(store, ports, tenant, job, &format!("Rust engineer {number}")).await;
    }
    until_all_is_done(store).await;
}

async fn dead(store: &Store) -> Vec<Dead> {
    operations::dead(&store.queue, Some(Lane::Billing), None, 10).await.unwrap()
}

/// Entries that are to be billed.
async fn metered(store: &Store) -> Vec<EventId> {
    let history = history(&store.log).await;
    let is_metered = |event: &Event| matches!(event, Event::Usage(UsageEvent::OverageMetered { .. }));
    history.into_iter().filter(|event| is_metered(&event.payload)).map(|event| event.event_id).collect()
}

/// What is found of each period that is compared, and entries and candidates that were given up.
async fn compared(store: &Store, ports: &Scripted, tenant: &Tenant) -> Vec<(Verdict, usize, i64)> {
    let ports = ports.ports();
    let payments = ports.payments.as_deref().unwrap();
    let sides =
        Sides { bus: &store.bus, log: &store.log, queue: &store.queue, catalog: ports.catalog.as_ref(), payments };
    // The running minute is compared when it is over.
    let found = reconcile(&sides, &[tenant.id], None, Utc::now() + TimeDelta::hours(1)).await;
    let periods = found.tenants.into_iter().flat_map(|tenant| tenant.periods);
    periods.map(|period| (period.verdict, period.given_up, period.given_up_quantity)).collect()
}

fn billed(provider: &Arc<ScriptedPayments>) -> i64 {
    provider.metered().iter().map(|usage| usage.quantity).sum()
}

pub async fn an_entry_that_is_refused_for_good_is_given_up_and_redriven_as_itself(store: Store) {
    let (ports, provider) = paying_ports();
    let crew = Crew::at_work(&store, &ports);
    let (tenant, _, _) = paying(&store, &provider, "metered").await;
    let job = stage::job(&store, &tenant).await;
    provider.then([Fault::Declines; FOR_GOOD]);
    scored(&store, &ports, &tenant, job, 2).await;

    let [entry] = metered(&store).await[..] else { panic!("one candidate is over the included one") };
    assert_eq!(provider.metered().len(), 0);
    let given_up = dead(&store).await;
    assert_eq!(given_up.len(), 1);
    let Dead { subject, code, last_error, .. } = &given_up[0];
    assert_eq!(
        (*subject, code.as_str(), last_error.as_str()),
        (entry.0, "metering_declined", "Your card was declined.")
    );
    let usage = stage::usage(&store, &tenant).await;
    assert_eq!((usage.used(), usage.metered, usage.given_up.len()), (2, 1, 1), "the balance stays");
    assert_eq!(compared(&store, &ports, &tenant).await, [(Verdict::Drift, 1, 1)], "it is named");

    assert_eq!(provider.clear_faults(), 1, "it was tried six times");
    assert_eq!(operations::redrive(&store.bus, &store.queue, &given_up[0]).await.unwrap(), Redriven::Again);
    until_all_is_done(&store).await;
    let sent = provider.metered();
    assert_eq!((sent.len(), sent[0].entry, sent[0].quantity), (1, entry, 1), "under the id of the entry");
    assert_eq!(dead(&store).await.len(), 0);
    assert_eq!(stage::usage(&store, &tenant).await.given_up.len(), 0);
    assert_eq!(compared(&store, &ports, &tenant).await, [(Verdict::Ok, 0, 0)]);

    assert_eq!(operations::redrive(&store.bus, &store.queue, &given_up[0]).await.unwrap(), Redriven::Settled);
    until_all_is_done(&store).await;
    assert_eq!((provider.metered().len(), metered(&store).await.len()), (1, 1));
    crew.stop().await;
}

/// Each entry is given up by itself, and what comes after it is billed.
pub async fn refused_entries_hold_up_no_others(store: Store) {
    let (ports, provider) = paying_ports();
    let crew = Crew::at_work(&store, &ports);
    let (tenant, _, _) = paying(&store, &provider, "metered").await;
    let job = stage::job(&store, &tenant).await;
    provider.then([Fault::Declines; FOR_GOOD * 2 - 2]);
    scored(&store, &ports, &tenant, job, 3).await;
    assert_eq!((dead(&store).await.len(), billed(&provider)), (2, 0));

    provider.clear_faults();
    subscription::adjust_usage(&store.bus, tenant.context(), Correction::By(4), "found later".to_owned())
        .await
        .unwrap();
    until_all_is_done(&store).await;
    assert_eq!((dead(&store).await.len(), billed(&provider)), (2, 4));

    // Refused once more, one of them is dead once more.
    let two = dead(&store).await;
    provider.then([Fault::Declines; FOR_GOOD - 1]);
    store.queue.pause(Lane::Billing, "a look at the dead", None).await.unwrap();
    let period = state(&store, &tenant).await.period(Utc::now()).unwrap();
    let (period, entry) = (UsageId::of(tenant.id, &period), EventId(two[0].subject));
    subscription::retry_metering(&store.bus, tenant.context(), period, entry).await.unwrap();
    assert_eq!(dead(&store).await.len(), 1, "it is no longer dead from that moment on");
    store.queue.resume(Lane::Billing).await.unwrap();
    until_all_is_done(&store).await;
    let after: Vec<_> = dead(&store).await.into_iter().map(|dead| dead.subject).collect();
    assert_eq!(after, [two[1].subject, two[0].subject]);
    assert_eq!((events(&store, "MeteringGivenUp").await, events(&store, "MeteringRetried").await), (3, 1));
    for one in dead(&store).await {
        operations::redrive(&store.bus, &store.queue, &one).await.unwrap();
    }
    until_all_is_done(&store).await;
    let usage = stage::usage(&store, &tenant).await;
    assert_eq!((dead(&store).await.len(), billed(&provider), usage.metered), (0, 6, 6));
    crew.stop().await;
}

/// So that what is set up wrongly there can be mended before every entry is dead.
pub async fn an_entry_is_refused_for_an_hour_before_it_is_given_up(store: Store) {
    let (ports, provider) = paying_ports();
    let crew = Crew::at_work(&store, &ports);
    let (tenant, _, _) = paying(&store, &provider, "metered").await;
    let job = stage::job(&store, &tenant).await;
    provider.then([Fault::Declines; FOR_GOOD - 1]);
    for number in 0..2 {
        upload(&store, &ports, &tenant, job, &format!("Rust engineer {number}")).await;
    }
    let mut waits = TimeDelta::zero();
    for refusals in 1..FOR_GOOD - 1 {
        let item = until("it waits after a refusal", async || {
            let items = operations::items(&store.queue, Some(Lane::Billing), false, 10).await.unwrap();
            let is_refused = |item: &Item| {
                item.attempts == u64::try_from(refusals).unwrap() && item.free_at > Utc::now() + TimeDelta::minutes(1)
            };
            items.into_iter().find(is_refused)
        })
        .await;
        waits += item.free_at - Utc::now();
        assert_eq!(dead(&store).await.len(), 0);
        hurry(&store).await;
    }
    until_all_is_done(&store).await;
    assert_eq!((dead(&store).await.len(), provider.faults_left()), (1, 0));
    assert!(waits > TimeDelta::minutes(59), "{waits}");
    crew.stop().await;
}

/// What fails here, however often, leaves the entry all its tries.
pub async fn only_refusals_count_against_an_entry(store: Store) {
    let (ports, provider) = paying_ports();
    let crew = Crew::at_work(&store, &ports);
    let (tenant, _, _) = paying(&store, &provider, "metered").await;
    let job = stage::job(&store, &tenant).await;
    provider.then([Fault::Panics; FOR_GOOD]);
    provider.then([Fault::Declines; FOR_GOOD - 2]);
    scored(&store, &ports, &tenant, job, 2).await;
    assert_eq!((dead(&store).await.len(), billed(&provider), provider.faults_left()), (0, 1, 0));
    crew.stop().await;
}

/// Whoever is linked in its place is billed, for the same entries.
pub async fn what_a_deleted_customer_was_to_pay_is_dead_until_another_is_linked(store: Store) {
    let (ports, provider) = paying_ports();
    let crew = Crew::at_work(&store, &ports);
    let (tenant, customer, _) = paying(&store, &provider, "metered").await;
    let job = stage::job(&store, &tenant).await;
    provider.delete_customer(&customer);
    scored(&store, &ports, &tenant, job, 2).await;
    let [entry] = metered(&store).await[..] else { panic!("one candidate is over the included one") };
    let [Dead { subject, code, last_error, .. }] = &dead(&store).await[..] else { panic!("it is given up") };
    assert_eq!((*subject, code.as_str()), (entry.0, "metering_declined"));
    assert_eq!(*last_error, PaymentsError::CustomerGone.to_string());
    assert_eq!(events(&store, "MeteringGivenUp").await, 1);

    notify(&store, "customer.deleted", &customer).await;
    until_all_is_done(&store).await;
    assert_eq!(state(&store, &tenant).await.plan.code, "free");
    let reason = "it was deleted".to_owned();
    payments::replace_customer(&store.bus, tenant.context(), "cus_next".to_owned(), reason).await.unwrap();
    for one in dead(&store).await {
        assert_eq!(operations::redrive(&store.bus, &store.queue, &one).await.unwrap(), Redriven::Again);
    }
    until_all_is_done(&store).await;
    let sent = provider.metered();
    assert_eq!((sent.len(), sent[0].entry, sent[0].customer.as_str()), (1, entry, "cus_next"));
    assert_eq!((dead(&store).await.len(), billed(&provider)), (0, 1));
    crew.stop().await;
}

/// A provider that is down refuses nothing, however long and however often it was refused before.
pub async fn an_outage_gives_up_no_entry(store: Store) {
    let (ports, provider) = paying_ports();
    let crew = Crew::at_work(&store, &ports);
    let (tenant, _, _) = paying(&store, &provider, "metered").await;
    let job = stage::job(&store, &tenant).await;
    provider.then([Fault::Declines; FOR_GOOD - 2]);
    provider.then([Fault::Down; 20]);
    for number in 0..2 {
        upload(&store, &ports, &tenant, job, &format!("Rust engineer {number}")).await;
    }
    until("the outage is over", async || {
        hurry(&store).await;
        (provider.faults_left() == 0).then_some(())
    })
    .await;
    until_all_is_done(&store).await;
    assert_eq!((dead(&store).await.len(), unfinished(&store).await, billed(&provider)), (0, 0, 1));
    assert_eq!(events(&store, "MeteringGivenUp").await, 0);
    crew.stop().await;
}
