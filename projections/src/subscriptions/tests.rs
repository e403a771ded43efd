use starscreen_domain::subscription::Interval;

use super::*;
use crate::contracts::fixtures::*;

fn after(events: Vec<Event>) -> SubscriptionRow {
    let started = subscription_started(plan("free", Some(10)));
    row_after::<Subscriptions>(TENANT.0, [vec![started], events].concat()).unwrap()
}

#[test]
fn a_subscription_shows_what_was_agreed() {
    let row = after(vec![]);
    assert_eq!((row.tenant_id, row.plan.as_str(), row.plan_display.as_str()), (TENANT, "free", "FREE"));
    assert_eq!((row.status, row.monthly_limit, row.price_amount), (SubscriptionStatus::Active, Some(10), None));
    assert_eq!((row.anchor, row.started_at, row.updated_at), (at(0), at(1), at(1)));
}

#[test]
fn another_plan_changes_the_terms_and_not_the_anchor() {
    let row = after(vec![plan_changed(plan("enterprise", None))]);
    assert_eq!((row.plan.as_str(), row.plan_display.as_str(), row.monthly_limit), ("enterprise", "ENTERPRISE", None));
    assert_eq!((row.anchor, row.started_at, row.updated_at, row.position), (at(0), at(1), at(2), 2));
}

#[test]
fn a_paid_plan_shows_what_it_costs_until_another_takes_its_place() {
    let row = after(vec![plan_changed(metered_plan())]);
    assert_eq!((row.included, row.price_amount, row.price_overage), (Some(5), Some(49_900), Some(30)));
    assert_eq!((row.price_currency.as_deref(), row.price_interval), (Some("usd"), Some(Interval::Annual)));
    let row = after(vec![plan_changed(metered_plan()), plan_changed(plan("pro", Some(50)))]);
    assert_eq!((row.included, row.price_amount, row.price_overage), (None, None, None));
    assert_eq!((row.price_currency, row.price_interval), (None, None));
}

#[test]
fn what_is_scheduled_is_shown_until_it_comes_or_is_withdrawn() {
    let scheduled = || vec![plan_changed(plan("pro", None)), change_scheduled(plan("free", Some(10)), period(0).end)];
    let shown = |row: SubscriptionRow| (row.scheduled_plan, row.scheduled_plan_display, row.scheduled_at);
    let row = after(scheduled());
    assert_eq!((row.plan.as_str(), row.monthly_limit), ("pro", None), "nothing has changed yet");
    assert_eq!(shown(row), (Some("free".to_owned()), Some("FREE".to_owned()), Some(period(0).end)));
    for end in [change_withdrawn(), plan_changed(plan("free", Some(10)))] {
        assert_eq!(shown(after([scheduled(), vec![end]].concat())), (None, None, None));
    }
}

#[test]
fn an_invoice_that_is_not_paid_shows_until_when_it_is_borne() {
    let late = status_changed(SubscriptionStatus::PastDue, Some(at(9)));
    let row = after(vec![late.clone()]);
    assert_eq!((row.status, row.grace_until), (SubscriptionStatus::PastDue, Some(at(9))));
    let row = after(vec![late, status_changed(SubscriptionStatus::Active, None)]);
    assert_eq!((row.status, row.grace_until), (SubscriptionStatus::Active, None));
}

#[test]
fn what_the_provider_has_comes_and_goes_and_the_customer_stays() {
    let row = after(vec![customer_linked(), provider_said(Some(paid(SubscriptionStatus::Trialing)))]);
    assert_eq!((row.customer.as_deref(), row.paid_id.as_deref()), (Some("cus_1"), Some("sub_1")));
    assert_eq!((row.paid_price.as_deref(), row.paid_status), (Some("price_1"), Some(SubscriptionStatus::Trialing)));
    assert_eq!((row.paid_cancel_at_period_end, row.paid_period_end), (Some(true), Some(period(0).end)));
    let over = vec![customer_linked(), provider_said(Some(paid(SubscriptionStatus::Active))), provider_said(None)];
    let row = after(over);
    assert_eq!((row.customer.as_deref(), row.paid_id, row.paid_price), (Some("cus_1"), None, None));
    assert_eq!((row.paid_status, row.paid_cancel_at_period_end, row.paid_period_end), (None, None, None));
}

#[test]
fn orders_and_messages_to_the_provider_change_nothing_that_is_shown() {
    let row = after(vec![plan_ordered(), order_declined(), provider_informed()]);
    assert_eq!(row, after(vec![]));
}

#[test]
fn nothing_happens_to_what_was_never_agreed() {
    for event in [plan_changed(plan("pro", None)), customer_linked(), plan_ordered(), provider_said(None)] {
        assert_eq!(row_after::<Subscriptions>(TENANT.0, vec![event]), None);
    }
}
