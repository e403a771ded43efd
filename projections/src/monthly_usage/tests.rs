use super::*;
use crate::contracts::fixtures::*;

fn after(events: Vec<Event>) -> MonthlyUsageRow {
    row_after::<MonthlyUsage>(usage(1).0, events).unwrap()
}

#[test]
fn a_period_opens_empty_under_its_limit() {
    let row = after(vec![period_opened(0, Some(10))]);
    assert_eq!((row.usage_id, row.tenant_id), (usage(1), TENANT));
    assert_eq!((row.period_start, row.period_end), (period(0).start, period(0).end));
    assert_eq!((row.plan.as_str(), row.monthly_limit, row.used), ("free", Some(10), 0));
}

#[test]
fn slots_are_reserved_then_used_or_given_back() {
    let row = after(vec![period_opened(0, Some(10)), slots_reserved(5), slot_committed(), slot_released()]);
    assert_eq!((row.reserved, row.committed, row.released, row.used), (3, 1, 1, 4));
}

#[test]
fn corrections_add_up_and_never_show_less_than_nothing() {
    let row = after(vec![period_opened(0, None), slots_reserved(1), usage_adjusted(4), usage_adjusted(-2)]);
    assert_eq!((row.adjusted, row.used), (2, 3));
    assert_eq!(after(vec![period_opened(0, None), usage_adjusted(-9)]).used, 0);
}

#[test]
fn a_new_limit_keeps_what_is_used() {
    let row = after(vec![period_opened(0, Some(10)), slots_reserved(8), limit_changed(Some(5))]);
    assert_eq!((row.plan.as_str(), row.monthly_limit, row.used), ("pro", Some(5), 8));
}

#[test]
fn entries_of_a_period_that_never_opened_make_no_row() {
    assert_eq!(row_after::<MonthlyUsage>(usage(1).0, vec![slots_reserved(1)]), None);
}

#[test]
fn what_is_over_the_included_candidates_adds_up() {
    let row = after(vec![period_opened(0, None), limit_changed(None), overage_metered(4), overage_metered(-1)]);
    assert_eq!((row.included, row.metered, row.used), (Some(3), 3, 0));
}

#[test]
fn a_closed_period_says_so_and_keeps_its_numbers() {
    let open = vec![period_opened(0, Some(10)), slots_reserved(7), threshold_reached(70)];
    let row = after(open.clone());
    assert_eq!((row.used, row.closed, row.position), (7, false, 3));
    let row = after([open, vec![period_closed(7)]].concat());
    assert_eq!((row.used, row.closed, row.position), (7, true, 4));
}
