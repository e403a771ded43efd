use super::*;
use crate::contracts::fixtures::*;

#[test]
fn a_subscription_shows_what_was_agreed() {
    let row = row_after::<Subscriptions>(TENANT.0, vec![subscription_started(plan("free", Some(10)))]).unwrap();
    assert_eq!((row.tenant_id, row.plan.as_str(), row.plan_display.as_str()), (TENANT, "free", "FREE"));
    assert_eq!((row.status.as_str(), row.monthly_limit), ("active", Some(10)));
    assert_eq!((row.anchor, row.started_at, row.updated_at), (at(0), at(1), at(1)));
}

#[test]
fn another_plan_changes_the_terms_and_not_the_anchor() {
    let events = vec![subscription_started(plan("free", Some(10))), plan_changed(plan("enterprise", None))];
    let row = row_after::<Subscriptions>(TENANT.0, events).unwrap();
    assert_eq!((row.plan.as_str(), row.plan_display.as_str(), row.monthly_limit), ("enterprise", "ENTERPRISE", None));
    assert_eq!((row.anchor, row.started_at, row.updated_at, row.position), (at(0), at(1), at(2), 2));
}

#[test]
fn nobody_changes_a_plan_that_was_never_agreed() {
    assert_eq!(row_after::<Subscriptions>(TENANT.0, vec![plan_changed(plan("pro", None))]), None);
}
