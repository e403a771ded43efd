//! What is paid elsewhere and counts here.

use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use rand::seq::SliceRandom;
use starscreen_domain::{
    TenantId, UsageId, WebhookId,
    subscription::{OrderOutcome, OrderPlan, Subscription, SubscriptionError},
    usage::{ClosePeriod, ReleaseReason, ReleaseSlot, Usage, UsageError},
    webhook::{ReceiveWebhook, Webhook},
    work::Lane,
};
use uuid::Uuid;

use super::{
    Store,
    crew::{Crew, hurry, unfinished, until_all_is_done, upload},
    scripted::Scripted,
    scripted_payments::{Fault, ScriptedPayments, terms},
    stage::{self, Tenant, history, until},
};
use crate::{
    CommandError, Context,
    account::Registration,
    candidate::{self, release_slot},
    db::Scope,
    operations, payments, subscription,
};

pub(super) fn paying_ports() -> (Scripted, Arc<ScriptedPayments>) {
    let provider = Arc::new(ScriptedPayments::default());
    (Scripted { payments: Some(Arc::clone(&provider)), ..Scripted::default() }, provider)
}

pub(super) async fn free_tenant(store: &Store) -> Tenant {
    let email = format!("{}@example.org", Uuid::now_v7());
    let registration = Registration { plan: terms("free"), ..stage::registration(&email, None) };
    stage::register(&store.bus, registration).await.unwrap()
}

/// A tenant that pays for a plan.
pub(super) async fn paying(store: &Store, provider: &ScriptedPayments, plan: &str) -> (Tenant, String, String) {
    let tenant = free_tenant(store).await;
    let customer = format!("cus_{}", tenant.id);
    provider.add_customer(&customer, tenant.id);
    let id = provider.add_subscription(&customer, &format!("price_{plan}"), "active");
    notify(store, "customer.subscription.created", &customer).await;
    until_all_is_done(store).await;
    assert_eq!(state(store, &tenant).await.plan.code, plan);
    (tenant, customer, id)
}

pub(super) async fn notify(store: &Store, kind: &str, customer: &str) -> WebhookId {
    let notice = format!("evt_{}", Uuid::now_v7());
    payments::receive_webhook(&store.bus, received(&notice, kind, customer)).await.unwrap();
    WebhookId::of(&notice)
}

fn received(notice: &str, kind: &str, customer: &str) -> ReceiveWebhook {
    ReceiveWebhook {
        notice: notice.to_owned(),
        kind: kind.to_owned(),
        customer: Some(customer.to_owned()),
        created: Utc::now(),
    }
}

pub(super) async fn state(store: &Store, tenant: &Tenant) -> Subscription {
    store.bus.read::<Subscription>(tenant.id, tenant.id).await.unwrap()
}

async fn webhook(store: &Store, id: WebhookId) -> Webhook {
    store.bus.read::<Webhook>(TenantId::default(), id).await.unwrap()
}

pub(super) async fn events(store: &Store, event_type: &str) -> usize {
    let history = history(&store.log).await;
    history.iter().filter(|event| event.payload.event_type() == event_type).count()
}

pub async fn a_notice_is_taken_in_once_and_followed_once(store: Store) {
    let (ports, provider) = paying_ports();
    let crew = Crew::at_work(&store, &ports);
    let tenant = free_tenant(&store).await;
    provider.add_customer("cus_1", tenant.id);
    provider.add_subscription("cus_1", "price_small", "active");

    let bus = store.bus.clone();
    let outcomes = stage::at_once(8, |_| {
        let bus = bus.clone();
        async move { payments::receive_webhook(&bus, received("evt_1", "invoice.payment_succeeded", "cus_1")).await }
    });
    for outcome in outcomes.await {
        outcome.unwrap();
    }
    until_all_is_done(&store).await;
    payments::receive_webhook(&store.bus, received("evt_1", "invoice.payment_succeeded", "cus_1")).await.unwrap();
    until_all_is_done(&store).await;

    for once in ["WebhookReceived", "WebhookSettled", "CustomerClaimed", "CustomerLinked", "PlanChanged"] {
        assert_eq!(events(&store, once).await, 1, "{once}");
    }
    assert!(webhook(&store, WebhookId::of("evt_1")).await.settled);
    let usage = stage::usage(&store, &tenant).await;
    assert_eq!((usage.plan.as_str(), usage.limit), ("small", Some(5)));
    crew.stop().await;
}

/// What is said at the end is true, whichever notice comes last and however often.
pub async fn notices_in_any_order_lead_to_what_is_true(store: Store) {
    let (ports, provider) = paying_ports();
    let crew = Crew::at_work(&store, &ports);
    let (tenant, customer, id) = paying(&store, &provider, "small").await;
    let job = stage::job(&store, &tenant).await;
    upload(&store, &ports, &tenant, job, "Rust engineer").await;
    until_all_is_done(&store).await;

    let mut notices = vec![];
    let steps: [(&str, &dyn Fn()); 5] = [
        ("invoice.payment_failed", &|| provider.change(&id, |sub| "past_due".clone_into(&mut sub.status))),
        ("invoice.payment_succeeded", &|| provider.change(&id, |sub| "active".clone_into(&mut sub.status))),
        ("customer.subscription.updated", &|| {
            provider.change(&id, |sub| "price_large".clone_into(&mut sub.items[0].price));
        }),
        ("customer.subscription.deleted", &|| provider.change(&id, |sub| "canceled".clone_into(&mut sub.status))),
        ("customer.subscription.created", &|| {
            provider.add_subscription(&customer, "price_large", "active");
        }),
    ];
    for (kind, step) in steps {
        step();
        notices.extend([(format!("evt_{kind}"), kind), (format!("evt_{kind}"), kind)]);
    }
    notices.shuffle(&mut rand::rng());
    for (notice, kind) in notices {
        payments::receive_webhook(&store.bus, received(&notice, kind, &customer)).await.unwrap();
    }
    until_all_is_done(&store).await;

    let after = state(&store, &tenant).await;
    assert_eq!((after.plan.code.as_str(), after.status.as_str()), ("large", "active"));
    let usage = stage::usage(&store, &tenant).await;
    assert_eq!((usage.used(), usage.limit), (1, Some(50)), "what was used is used");
    crew.stop().await;
}

pub async fn a_notice_about_nobody_of_ours_is_passed_over(store: Store) {
    let (ports, provider) = paying_ports();
    let crew = Crew::at_work(&store, &ports);
    let stranger = notify(&store, "customer.subscription.created", "cus_of_another_product").await;
    provider.add_customer("cus_of_nobody", TenantId(Uuid::now_v7()));
    let nobody = notify(&store, "customer.subscription.created", "cus_of_nobody").await;
    let of_none = ReceiveWebhook { customer: None, ..received("evt_price", "price.created", "") };
    payments::receive_webhook(&store.bus, of_none).await.unwrap();

    until_all_is_done(&store).await;

    for id in [stranger, nobody, WebhookId::of("evt_price")] {
        assert!(webhook(&store, id).await.settled);
    }
    assert_eq!(events(&store, "CustomerClaimed").await, 0);
    crew.stop().await;
}

pub async fn a_notice_that_cannot_be_followed_is_given_up_and_redriven(store: Store) {
    let (ports, provider) = paying_ports();
    let crew = Crew::at_work(&store, &ports);
    let (tenant, customer, id) = paying(&store, &provider, "small").await;
    provider.down(true);
    provider.change(&id, |sub| "price_large".clone_into(&mut sub.items[0].price));
    let notice = notify(&store, "customer.subscription.updated", &customer).await;
    until("the notice waits for the provider", async || {
        let items = operations::items(&store.queue, Some(Lane::Webhook), false, 10).await.unwrap();
        items.iter().any(|item| item.last_error.is_some()).then_some(())
    })
    .await;
    let mut tx = store.db.begin(Scope::All).await.unwrap();
    let long_ago = Utc::now().timestamp_millis() - TimeDelta::hours(25).num_milliseconds();
    tx.execute("UPDATE work SET failing_since_ms = $1 WHERE lane = 'webhook'", vec![long_ago.into()]).await.unwrap();
    tx.commit().await.unwrap();
    until("it is given up after a day", async || {
        hurry(&store).await;
        webhook(&store, notice).await.given_up.then_some(())
    })
    .await;
    provider.down(false);

    let dead = operations::dead(&store.queue, Some(Lane::Webhook), None, 10).await.unwrap();
    assert_eq!((dead.len(), dead[0].subject), (1, notice.0));
    operations::redrive(&store.bus, &store.queue, &dead[0]).await.unwrap();
    until_all_is_done(&store).await;

    assert!(operations::dead(&store.queue, Some(Lane::Webhook), None, 10).await.unwrap().is_empty());
    assert_eq!(state(&store, &tenant).await.plan.code, "large");
    crew.stop().await;
}

pub async fn a_customer_is_known_by_its_metadata_and_after_a_pause(store: Store) {
    let (ports, provider) = paying_ports();
    let crew = Crew::at_work(&store, &ports);
    let (tenant, customer, id) = paying(&store, &provider, "small").await;

    provider.change(&id, |sub| "canceled".clone_into(&mut sub.status));
    notify(&store, "customer.subscription.deleted", &customer).await;
    until_all_is_done(&store).await;
    let between = state(&store, &tenant).await;
    assert_eq!((between.plan.code.as_str(), between.customer.as_ref()), ("free", Some(&customer)));

    provider.add_subscription(&customer, "price_large", "active");
    notify(&store, "customer.subscription.created", &customer).await;
    until_all_is_done(&store).await;
    assert_eq!(state(&store, &tenant).await.plan.code, "large");

    // Another customer that bears this tenant's name does not take its place.
    provider.add_customer("cus_forged", tenant.id);
    provider.add_subscription("cus_forged", "price_small", "active");
    notify(&store, "customer.subscription.created", "cus_forged").await;
    until_all_is_done(&store).await;
    let after = state(&store, &tenant).await;
    assert_eq!((after.plan.code.as_str(), after.customer.as_ref()), ("large", Some(&customer)));
    crew.stop().await;
}

pub async fn a_customer_that_was_replaced_stays_the_tenants(store: Store) {
    let (ports, provider) = paying_ports();
    let crew = Crew::at_work(&store, &ports);
    let (tenant, former, id) = paying(&store, &provider, "small").await;
    let next = format!("cus_next_{}", tenant.id);
    let replace = || payments::replace_customer(&store.bus, tenant.context(), next.clone(), "deleted there".to_owned());
    let refused = replace().await.unwrap_err();
    assert!(matches!(refused, CommandError::Subscription(SubscriptionError::StillPaid(paid)) if paid == id));

    provider.change(&id, |sub| "canceled".clone_into(&mut sub.status));
    notify(&store, "customer.subscription.deleted", &former).await;
    until_all_is_done(&store).await;
    replace().await.unwrap();
    provider.add_subscription(&former, "price_small", "active");
    let notice = notify(&store, "customer.subscription.created", &former).await;
    until_all_is_done(&store).await;
    assert!(webhook(&store, notice).await.settled);
    let after = state(&store, &tenant).await;
    assert_eq!((after.plan.code.as_str(), after.customer.as_ref()), ("small", Some(&next)));

    // The larger one of both counts, whichever customer pays for it.
    provider.add_subscription(&next, "price_large", "active");
    notify(&store, "customer.subscription.created", &next).await;
    until_all_is_done(&store).await;
    assert_eq!(state(&store, &tenant).await.plan.code, "large");
    notify(&store, "customer.subscription.updated", &former).await;
    until_all_is_done(&store).await;
    assert_eq!(state(&store, &tenant).await.plan.code, "large");
    crew.stop().await;
}

fn order(plan: &str) -> OrderPlan {
    OrderPlan {
        order: Uuid::now_v7(),
        plan: terms(plan),
        price: format!("price_{plan}"),
        payment_method: "pm_card".to_owned(),
    }
}

pub async fn an_order_is_placed_once_though_the_answer_was_lost(store: Store) {
    let (ports, provider) = paying_ports();
    let crew = Crew::at_work(&store, &ports);
    let tenant = free_tenant(&store).await;
    provider.then([Fault::AnswerLost, Fault::Down, Fault::AnswerLost, Fault::AnswerLost]);

    subscription::subscribe(&store.bus, tenant.context(), order("small")).await.unwrap();
    let again = subscription::subscribe(&store.bus, tenant.context(), order("large")).await.unwrap_err();
    assert!(matches!(again, CommandError::Subscription(SubscriptionError::OrderPending)), "{again:?}");
    until_all_is_done(&store).await;

    assert_eq!(provider.changes(), ["customer", "subscribe"]);
    let after = state(&store, &tenant).await;
    assert_eq!((after.plan.code.as_str(), after.order.unwrap().outcome), ("small", OrderOutcome::Accepted));
    assert_eq!(stage::usage(&store, &tenant).await.limit, Some(5));
    crew.stop().await;
}

pub async fn a_declined_order_says_why_and_changes_nothing(store: Store) {
    let (ports, provider) = paying_ports();
    let crew = Crew::at_work(&store, &ports);
    let tenant = free_tenant(&store).await;
    provider.add_customer("cus_1", tenant.id);
    payments::link_customer(&store.bus, tenant.context(), "cus_1".to_owned()).await.unwrap();
    provider.then([Fault::Declines]);

    subscription::subscribe(&store.bus, tenant.context(), order("small")).await.unwrap();
    until_all_is_done(&store).await;

    let after = state(&store, &tenant).await;
    let OrderOutcome::Declined { code, reason } = after.order.unwrap().outcome else { panic!("it was declined") };
    assert_eq!((code.as_deref(), reason.as_str()), (Some("card_declined"), "Your card was declined."));
    assert_eq!((after.plan.code.as_str(), after.paid), ("free", None));
    subscription::subscribe(&store.bus, tenant.context(), order("small")).await.unwrap();
    until_all_is_done(&store).await;
    assert_eq!(state(&store, &tenant).await.plan.code, "small", "another card is another order");
    crew.stop().await;
}

pub async fn an_upgrade_counts_at_once_and_reaches_the_provider(store: Store) {
    let (ports, provider) = paying_ports();
    let crew = Crew::at_work(&store, &ports);
    let (tenant, customer, _) = paying(&store, &provider, "small").await;
    provider.then([Fault::Down, Fault::AnswerLost]);

    let changed = subscription::move_to_plan(&store.bus, tenant.context(), terms("large")).await.unwrap().output;
    assert_eq!((changed.plan.code.as_str(), changed.scheduled), ("large", None));
    assert_eq!(stage::usage(&store, &tenant).await.limit, Some(50));
    // A notice about how it was until now does not take it back.
    notify(&store, "customer.subscription.updated", &customer).await;
    until_all_is_done(&store).await;

    assert_eq!(provider.changes(), ["prices, prorated"]);
    assert_eq!(provider.living()[0].items[0].price, "price_large");
    let after = state(&store, &tenant).await;
    assert_eq!((after.plan.code.as_str(), after.untold), ("large", false));
    assert_eq!(after.paid.unwrap().price, "price_large");
    crew.stop().await;
}

pub async fn a_downgrade_comes_with_the_next_period(store: Store) {
    let (ports, provider) = paying_ports();
    let crew = Crew::at_work(&store, &ports);
    let (tenant, _, _) = paying(&store, &provider, "large").await;
    let job = stage::job(&store, &tenant).await;
    let period = state(&store, &tenant).await.period(Utc::now()).unwrap();

    let changed = subscription::move_to_plan(&store.bus, tenant.context(), terms("small")).await.unwrap().output;
    assert_eq!(changed.scheduled.map(|to| to.effective_at), Some(period.end));
    until_all_is_done(&store).await;
    assert_eq!(stage::usage(&store, &tenant).await.limit, Some(50));
    assert_eq!(provider.changes(), ["prices"], "the next invoice is the smaller one, and nothing is given back");
    assert_eq!(provider.living()[0].items[0].price, "price_small");
    let informed = state(&store, &tenant).await;
    assert_eq!((informed.plan.code.as_str(), informed.untold), ("large", false));

    // Five seconds before the end the old limit counts, from the end on the new one: whether or not anybody noted it.
    for (at, plan) in [(period.end - TimeDelta::seconds(5), "large"), (period.end, "small")] {
        let context = Context { at, ..tenant.context() };
        candidate::upload_resume(&store.bus, context, stage::an_upload(&tenant, job)).await.unwrap();
        let of = state(&store, &tenant).await.period(at).unwrap();
        let usage = store.bus.read::<Usage>(tenant.id, UsageId::of(tenant.id, &of)).await.unwrap();
        assert_eq!((usage.plan.as_str(), usage.used()), (plan, 1));
    }
    let apply = Context { at: period.end, ..tenant.context() };
    let applied = store.bus.commit(apply, |unit| Box::pin(async move { subscription::apply_scheduled(unit).await }));
    applied.await.unwrap();
    until_all_is_done(&store).await;
    assert_eq!(provider.changes(), ["prices"], "it was told already");
    let after = state(&store, &tenant).await;
    assert_eq!((after.plan.code.as_str(), after.untold), ("small", false));
    crew.stop().await;
}

pub async fn a_downgrade_that_is_taken_back_costs_nothing_again(store: Store) {
    let (ports, provider) = paying_ports();
    let crew = Crew::at_work(&store, &ports);
    let (tenant, _, _) = paying(&store, &provider, "large").await;
    for plan in ["small", "large"] {
        subscription::move_to_plan(&store.bus, tenant.context(), terms(plan)).await.unwrap();
        until_all_is_done(&store).await;
    }
    assert_eq!(provider.changes(), ["prices", "prices"], "never prorated: it was paid for");
    let after = state(&store, &tenant).await;
    assert_eq!((after.plan.code.as_str(), after.scheduled, after.untold), ("large", None, false));
    crew.stop().await;
}

pub async fn an_upgrade_that_is_not_paid_is_taken_back(store: Store) {
    let (ports, provider) = paying_ports();
    let crew = Crew::at_work(&store, &ports);
    let (tenant, _, _) = paying(&store, &provider, "small").await;
    provider.then([Fault::Declines]);

    subscription::move_to_plan(&store.bus, tenant.context(), terms("large")).await.unwrap();
    until_all_is_done(&store).await;

    let after = state(&store, &tenant).await;
    assert_eq!((after.plan.code.as_str(), after.untold), ("small", false));
    assert_eq!(stage::usage(&store, &tenant).await.limit, Some(5));
    assert_eq!(provider.changes(), Vec::<&str>::new(), "the card is asked once");
    // Whoever wants to leave is not held by it.
    subscription::cancel(&store.bus, tenant.context(), terms("free")).await.unwrap();
    until_all_is_done(&store).await;
    assert!(provider.living()[0].cancel_at_period_end);
    crew.stop().await;
}

/// The second one is decided while the first is paid, and before anybody here knows that.
pub async fn an_upgrade_that_is_paid_outlives_one_that_is_not(store: Store) {
    let (ports, provider) = paying_ports();
    let crew = Crew::at_work(&store, &ports);
    let (tenant, _, _) = paying(&store, &provider, "small").await;
    provider.hold_answers(true);
    let upgrade = async |plan| {
        subscription::move_to_plan(&store.bus, tenant.context(), terms(plan)).await.unwrap().output.revision
    };
    let first = upgrade("large").await;
    until("the first one is paid", async || (provider.changes() == ["prices, prorated"]).then_some(())).await;
    store.queue.pause(Lane::Billing, "one after the other", None).await.unwrap();
    let second = upgrade("metered").await;
    provider.hold_answers(false);
    until("that is known here", async || {
        let known = state(&store, &tenant).await;
        (known.paid.as_ref().unwrap().price == "price_large").then_some(())
    })
    .await;
    provider.then([Fault::Declines]);
    store.queue.resume(Lane::Billing).await.unwrap();
    until_all_is_done(&store).await;

    let after = state(&store, &tenant).await;
    assert_eq!((after.plan.code.as_str(), after.untold), ("large", false));
    assert_eq!(provider.living()[0].items[0].price, "price_large");
    let stays = |revision| after.declined(revision).map(|declined| declined.stays.as_str());
    assert_eq!((stays(first), stays(second)), (None, Some("LARGE")));
    assert_eq!(stage::usage(&store, &tenant).await.limit, Some(50));
    crew.stop().await;
}

pub async fn another_price_for_new_customers_changes_nothing_for_others(store: Store) {
    let (ports, provider) = paying_ports();
    let crew = Crew::at_work(&store, &ports);
    let (tenant, _, id) = paying(&store, &provider, "small").await;
    provider.change(&id, |sub| "price_small_of_last_year".clone_into(&mut sub.items[0].price));
    subscription::cancel(&store.bus, tenant.context(), terms("free")).await.unwrap();
    until_all_is_done(&store).await;
    assert_eq!(provider.changes(), ["cancel at end"]);
    let after = state(&store, &tenant).await;
    assert_eq!((after.plan.code.as_str(), after.untold), ("small", false));
    crew.stop().await;
}

pub async fn a_cancellation_ends_with_the_paid_time_and_can_be_taken_back(store: Store) {
    let (ports, provider) = paying_ports();
    let crew = Crew::at_work(&store, &ports);
    let (tenant, customer, id) = paying(&store, &provider, "large").await;

    let changed = subscription::cancel(&store.bus, tenant.context(), terms("free")).await.unwrap().output;
    let paid_until = provider.living()[0].period_end.unwrap();
    assert_eq!(changed.scheduled.unwrap().effective_at.timestamp(), paid_until.timestamp());
    until_all_is_done(&store).await;
    assert!(provider.living()[0].cancel_at_period_end);

    subscription::move_to_plan(&store.bus, tenant.context(), terms("large")).await.unwrap();
    until_all_is_done(&store).await;
    assert!(!provider.living()[0].cancel_at_period_end);
    assert_eq!(state(&store, &tenant).await.scheduled, None);

    subscription::cancel(&store.bus, tenant.context(), terms("free")).await.unwrap();
    until_all_is_done(&store).await;
    provider.change(&id, |sub| "canceled".clone_into(&mut sub.status));
    notify(&store, "customer.subscription.deleted", &customer).await;
    until_all_is_done(&store).await;
    let after = state(&store, &tenant).await;
    assert_eq!((after.plan.code.as_str(), after.scheduled, after.paid), ("free", None, None));
    assert_eq!(stage::usage(&store, &tenant).await.limit, Some(2));
    assert_eq!(provider.changes(), ["cancel at end", "go on", "cancel at end"]);
    crew.stop().await;
}

pub async fn without_a_key_decisions_wait_and_nothing_fails(store: Store) {
    let (ports, provider) = paying_ports();
    let crew = Crew::at_work(&store, &ports);
    let (tenant, _, _) = paying(&store, &provider, "small").await;
    crew.stop().await;
    let keyless = Crew::at_work(&store, &Scripted::default());
    subscription::move_to_plan(&store.bus, tenant.context(), terms("large")).await.unwrap();
    let pause = until("the lane says why it waits", async || store.queue.pause_of(Lane::Billing).await.unwrap()).await;
    assert!(pause.reason.contains("STRIPE_API_KEY"), "{}", pause.reason);
    // A plan that an operator gives to somebody who pays nothing has nobody to be told of.
    let other = stage::tenant(&store, Some(3)).await;
    stage::change_plan(&store, &other, Some(30)).await;
    assert_eq!(stage::usage(&store, &other).await.limit, Some(30));
    keyless.stop().await;

    let crew = Crew::at_work(&store, &ports);
    store.queue.resume(Lane::Billing).await.unwrap();
    until_all_is_done(&store).await;
    assert_eq!(provider.living()[0].items[0].price, "price_large");
    crew.stop().await;
}

pub async fn whoever_does_not_pay_takes_in_nothing_after_the_time_of_grace(store: Store) {
    let (ports, provider) = paying_ports();
    let crew = Crew::at_work(&store, &ports);
    let (tenant, customer, id) = paying(&store, &provider, "small").await;
    let job = stage::job(&store, &tenant).await;
    provider.change(&id, |sub| "past_due".clone_into(&mut sub.status));
    notify(&store, "invoice.payment_failed", &customer).await;
    until_all_is_done(&store).await;

    stage::upload(&store.bus, &tenant, job).await.unwrap();
    let late = Context { at: Utc::now() + TimeDelta::days(8), ..tenant.context() };
    let upload = stage::an_upload(&tenant, job);
    let refused = candidate::upload_resume(&store.bus, late.clone(), upload).await.unwrap_err();
    assert_eq!(refused.to_string(), "Subscription is past_due. Please update your payment method.");
    let refused =
        crate::job::create(&store.bus, late, starscreen_domain::JobId(Uuid::now_v7()), stage::create_job("Late"));
    let refused = refused.await.unwrap_err();
    assert!(matches!(refused, CommandError::Subscription(SubscriptionError::NotInGoodStanding(_))), "{refused:?}");

    provider.change(&id, |sub| "active".clone_into(&mut sub.status));
    notify(&store, "invoice.payment_succeeded", &customer).await;
    until_all_is_done(&store).await;
    let paid = Context { at: Utc::now() + TimeDelta::days(8), ..tenant.context() };
    candidate::upload_resume(&store.bus, paid, stage::an_upload(&tenant, job)).await.unwrap();
    crew.stop().await;
}

pub async fn overage_is_billed_once_for_each_entry(store: Store) {
    let (ports, provider) = paying_ports();
    let crew = Crew::at_work(&store, &ports);
    let (tenant, customer, _) = paying(&store, &provider, "metered").await;
    let job = stage::job(&store, &tenant).await;
    provider.then([Fault::AnswerLost, Fault::Down, Fault::AnswerLost]);
    for number in 0..4 {
        upload(&store, &ports, &tenant, job, &format!("Rust engineer {number}")).await;
    }
    until_all_is_done(&store).await;
    subscription::adjust_usage(&store.bus, tenant.context(), subscription::Correction::By(-2), "courtesy".to_owned())
        .await
        .unwrap();
    until_all_is_done(&store).await;

    let usage = stage::usage(&store, &tenant).await;
    let billed: i64 = provider.metered().iter().map(|usage| usage.quantity).sum();
    assert_eq!((usage.used(), usage.metered, billed), (2, 1, 1), "one candidate is included");
    assert_eq!(provider.metered().len(), 4, "three over, one correction");
    assert!(provider.metered().iter().all(|usage| usage.customer == customer));
    crew.stop().await;
}

/// No invoice of the linked customer would ever have it.
pub async fn overage_is_billed_to_whoever_pays_for_the_plan(store: Store) {
    let (ports, provider) = paying_ports();
    let crew = Crew::at_work(&store, &ports);
    let (tenant, former, id) = paying(&store, &provider, "small").await;
    let next = format!("cus_next_{}", tenant.id);
    provider.change(&id, |sub| "canceled".clone_into(&mut sub.status));
    notify(&store, "customer.subscription.deleted", &former).await;
    until_all_is_done(&store).await;
    payments::replace_customer(&store.bus, tenant.context(), next.clone(), "deleted there".to_owned()).await.unwrap();
    let id = provider.add_subscription(&former, "price_metered", "active");
    notify(&store, "customer.subscription.created", &former).await;
    until_all_is_done(&store).await;
    let job = stage::job(&store, &tenant).await;
    let billed = async |text: &str| {
        upload(&store, &ports, &tenant, job, text).await;
        until_all_is_done(&store).await;
        let mut billed: Vec<String> = provider.metered().into_iter().map(|usage| usage.customer).collect();
        billed.sort_unstable();
        billed
    };
    assert_eq!(billed("It is included").await, [""; 0]);
    assert_eq!(billed("It is over that").await, [former.as_str()]);

    // From the moment on at which the linked one pays, it is billed to that.
    provider.change(&id, |sub| "canceled".clone_into(&mut sub.status));
    provider.add_subscription(&next, "price_metered", "active");
    notify(&store, "customer.subscription.created", &next).await;
    until_all_is_done(&store).await;
    assert_eq!(billed("So is this one").await, [former, next]);
    crew.stop().await;
}

pub async fn what_is_billed_waits_for_a_provider_that_is_down(store: Store) {
    let (ports, provider) = paying_ports();
    let crew = Crew::at_work(&store, &ports);
    let (tenant, _, _) = paying(&store, &provider, "metered").await;
    let job = stage::job(&store, &tenant).await;
    provider.down(true);
    for number in 0..3 {
        upload(&store, &ports, &tenant, job, &format!("Rust engineer {number}")).await;
    }
    until("all is scored and two entries wait", async || {
        let waiting = store.queue.count(Lane::Billing).await.unwrap();
        (stage::usage(&store, &tenant).await.metered == 2 && waiting.waiting == 2).then_some(())
    })
    .await;
    // As if it was down for longer than anything else is tried.
    let mut tx = store.db.begin(Scope::All).await.unwrap();
    let long_ago = Utc::now().timestamp_millis() - TimeDelta::days(9).num_milliseconds();
    let sql = "UPDATE work SET failing_since_ms = $1, free_at_ms = 0 WHERE lane = 'billing'";
    tx.execute(sql, vec![long_ago.into()]).await.unwrap();
    tx.commit().await.unwrap();
    until("they were tried again", async || {
        store.queue.wake(Lane::Billing);
        let items = operations::items(&store.queue, Some(Lane::Billing), false, 10).await.unwrap();
        items.iter().all(|item| item.free_at > Utc::now()).then_some(())
    })
    .await;
    assert_eq!(unfinished(&store).await, 2, "nothing is given up");

    provider.down(false);
    until_all_is_done(&store).await;
    assert_eq!(provider.metered().iter().map(|usage| usage.quantity).sum::<i64>(), 2);
    crew.stop().await;
}

pub async fn a_closed_period_takes_late_scores_as_entries_of_the_running_one(store: Store) {
    let tenant = stage::tenant(&store, Some(5)).await;
    let job = stage::job(&store, &tenant).await;
    let [scored, failed] = [0, 1].map(|_| stage::an_upload(&tenant, job));
    for upload in [&scored, &failed] {
        candidate::upload_resume(&store.bus, tenant.context(), upload.clone()).await.unwrap();
    }
    let period = state(&store, &tenant).await.period(Utc::now()).unwrap();
    let id = UsageId::of(tenant.id, &period);
    let close = |at| {
        let context = Context { at, ..tenant.context() };
        store.bus.commit(context, move |unit| {
            Box::pin(async move { unit.decide::<Usage>(id, ClosePeriod { at }).await.map(drop) })
        })
    };
    let early = close(period.end - TimeDelta::seconds(5)).await.unwrap_err();
    assert!(matches!(early, CommandError::Usage(UsageError::NotOver)), "{early:?}");
    close(period.end).await.unwrap();
    let closed = store.bus.read::<Usage>(tenant.id, id).await.unwrap();
    assert_eq!((closed.closed, closed.used()), (true, 0), "what nothing came of is given back");

    let late = Context { at: period.end + TimeDelta::days(4), ..tenant.context() };
    let (scored, failed) = (scored.candidate, failed.candidate);
    let settled = store.bus.commit(late.clone(), move |unit| {
        Box::pin(async move {
            let before = unit.state::<starscreen_domain::candidate::Candidate>(scored).await?;
            candidate::commit_slot(unit, scored, &before).await?;
            let before = unit.state::<starscreen_domain::candidate::Candidate>(failed).await?;
            release_slot(unit, failed, &before, ReleaseReason::ScoringFailed).await
        })
    });
    settled.await.unwrap();

    let running = state(&store, &tenant).await.period(late.at).unwrap();
    let running = store.bus.read::<Usage>(tenant.id, UsageId::of(tenant.id, &running)).await.unwrap();
    assert_eq!(running.used(), 1);
    let entry = history(&store.log).await.into_iter().find(|event| event.payload.event_type() == "UsageAdjusted");
    assert!(format!("{:?}", entry.unwrap().payload).contains(&scored.to_string()), "the entry says of whom it is");
    let nothing = ReleaseSlot { candidate: failed, reason: ReleaseReason::ScoringFailed };
    let closed = store.bus.commit(late, move |unit| {
        let nothing = nothing.clone();
        Box::pin(async move { unit.decide::<Usage>(id, nothing).await.map(drop) })
    });
    assert!(matches!(closed.await.unwrap_err(), CommandError::Usage(UsageError::Closed)));
}
