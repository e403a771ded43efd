//! Metered usage that the payment provider refuses.

use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use starscreen_domain::{Event, EventId, JobId, UsageId, usage::UsageEvent, work::Lane};

use super::{
    Store,
    crew::{Crew, hurry, unfinished, until_all_is_done, upload},
    payments::{events, paying, paying_ports, state},
    scripted::Scripted,
    scripted_payments::{Fault, ScriptedPayments},
    stage::{self, Tenant, history, until},
};
use crate::{
    operations::{self, Dead, Redriven},
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
