use cqrs_es::Aggregate;
use proptest::prelude::*;
use starscreen_domain::{
    TenantId,
    usage::{
        AdjustUsage, ChangeLimit, ClosePeriod, CommitSlot, PeriodTerms, ReleaseSlot, ReserveSlots, Usage, UsageCommand,
    },
};

use super::*;
use crate::{
    contracts::{fixtures::*, log::Log},
    monthly_usage::MonthlyUsage,
};

/// The entries of `events`, in order.
fn entries(events: Vec<Event>) -> Vec<UsageEntryRow> {
    let log = Log::of(events.into_iter().map(|event| (TENANT, usage(1).0, event)));
    let mut rows = expected::<UsageEntries>(&log);
    rows.sort_by_key(|row| row.position);
    rows
}

fn entry(event: Event) -> UsageEntryRow {
    entries(vec![event]).remove(0)
}

#[test]
fn every_event_is_an_entry_of_its_own() {
    let rows = entries(vec![period_opened(0, Some(10)), slots_reserved(2), slots_reserved(2)]);
    assert_eq!(rows.iter().map(|row| row.entry_id.0.as_u128()).collect::<Vec<_>>(), [0xE001, 0xE002, 0xE003]);
    let UsageEntryRow { tenant_id, usage_id, position, tenant_position, occurred_at, .. } = rows[2];
    assert_eq!((tenant_id, usage_id), (TENANT, usage(1)));
    assert_eq!((position, tenant_position, occurred_at, rows[2].actor.as_str()), (3, 3, at(3), "system"));
}

#[test]
fn what_is_used_changes_by_the_delta_alone() {
    let of = |event| {
        let row = entry(event);
        (row.kind.as_str(), row.delta, row.quantity)
    };
    assert_eq!(of(period_opened(0, None)), ("opened", 0, 0));
    assert_eq!(of(limit_changed(None)), ("limit_changed", 0, 0));
    assert_eq!(of(slots_reserved(1_000)), ("reserved", 1_000, 0));
    assert_eq!(of(slot_committed()), ("committed", 0, 0));
    assert_eq!(of(slot_released()), ("released", -1, 0));
    assert_eq!(of(usage_adjusted(-4)), ("adjusted", -4, 0));
    assert_eq!(of(overage_metered(-3)), ("metered", 0, -3));
    assert_eq!(of(metering_given_up(3)), ("metering_given_up", 0, 0));
    assert_eq!(of(metering_retried(3)), ("metering_retried", 0, 0));
    assert_eq!(of(threshold_reached(90)), ("threshold", 0, 0));
    assert_eq!(of(period_closed(7)), ("closed", 0, 0));
}

#[test]
fn an_entry_names_its_candidate_when_it_is_about_one() {
    let of = |event| {
        let row = entry(event);
        (row.candidates, row.candidate)
    };
    assert_eq!(of(slots_reserved(1)), (1, Some(candidate(0))));
    assert_eq!(of(slots_reserved(2)), (2, None));
    assert_eq!(of(slot_committed()), (1, Some(candidate(0))));
    assert_eq!(of(slot_released()), (1, Some(candidate(0))));
    assert_eq!(of(usage_adjusted(2)), (0, None));
}

#[test]
fn an_entry_says_why_and_under_which_terms() {
    assert_eq!(entry(slot_released()).reason.as_deref(), Some("scoring_failed"));
    assert_eq!(entry(usage_adjusted(4)).reason.as_deref(), Some("courtesy"));
    assert_eq!(entry(metering_given_up(3)).reason.as_deref(), Some("too old"));
    let of = |event| {
        let row = entry(event);
        (row.plan, row.monthly_limit, row.included, row.percent)
    };
    assert_eq!(of(period_opened(0, Some(10))), (Some("free".to_owned()), Some(10), None, None));
    assert_eq!(of(limit_changed(None)), (Some("pro".to_owned()), None, Some(3), None));
    assert_eq!(of(threshold_reached(90)), (None, Some(10), None, Some(90)));
}

#[test]
fn reasons_of_releases_are_spelt_as_in_their_events() {
    for reason in [ReleaseReason::ExtractionFailed, ReleaseReason::ScoringFailed, ReleaseReason::Expired] {
        assert_eq!(serde_json::to_value(reason).unwrap(), release_reason(reason));
    }
}

fn terms(limit: Option<u32>, included: Option<u32>) -> PeriodTerms {
    PeriodTerms { period: period(0), plan: "pro".to_owned(), limit, included }
}

fn any_command() -> impl Strategy<Value = UsageCommand> {
    let some_terms = || {
        (prop::option::of(0..30_u32), prop::option::of(0..6_u32)).prop_map(|(limit, included)| terms(limit, included))
    };
    let some_candidate = || (0..20_u128).prop_map(candidate);
    prop_oneof![
        4 => (some_terms(), prop::collection::vec(some_candidate(), 0..8))
            .prop_map(|(terms, candidates)| ReserveSlots { terms, candidates }.into()),
        4 => some_candidate().prop_map(|candidate| CommitSlot { candidate, at: at(0) }.into()),
        3 => some_candidate()
            .prop_map(|candidate| ReleaseSlot { candidate, reason: ReleaseReason::ScoringFailed }.into()),
        1 => some_terms().prop_map(|terms| ChangeLimit { terms }.into()),
        2 => (some_terms(), -9..9_i32)
            .prop_map(|(terms, delta)| AdjustUsage { terms, delta, reason: "courtesy".to_owned(), at: at(0) }.into()),
        1 => any::<bool>().prop_map(|over| ClosePeriod { at: if over { period(0).end } else { at(0) } }.into()),
    ]
}

proptest! {
    /// The ledger adds up to the same whoever adds: the aggregate that decides, the counts and the entries.
    #[test]
    fn entries_add_up_to_the_counts_and_to_the_aggregate(commands in prop::collection::vec(any_command(), 1..60)) {
        let (mut aggregate, mut events) = (Usage::default(), vec![]);
        let mut used_after = vec![];
        for command in commands {
            for event in aggregate.decide(command).unwrap_or_default() {
                aggregate.apply(event.clone());
                used_after.push(aggregate.used());
                events.push(Event::from(event));
            }
        }
        let rows = entries(events.clone());
        let mut balance = 0;
        let balances = rows.iter().map(|row| {
            balance += row.delta;
            UsageEntry { row: row.clone(), balance }.used()
        });
        prop_assert_eq!(balances.collect::<Vec<_>>(), used_after, "after each entry");
        let Some(counts) = row_after::<MonthlyUsage>(usage(1).0, events) else {
            prop_assert!(rows.is_empty());
            return Ok(());
        };
        let sum = |kind: EntryKind, of: fn(&UsageEntryRow) -> i64| -> i64 {
            rows.iter().filter(|row| row.kind == kind).map(of).sum()
        };
        let (reserved, committed, released) = (
            sum(EntryKind::Reserved, |row| i64::from(row.candidates)),
            sum(EntryKind::Committed, |row| i64::from(row.candidates)),
            sum(EntryKind::Released, |row| i64::from(row.candidates)),
        );
        prop_assert_eq!(counts.used, i64::from(aggregate.used()));
        prop_assert_eq!(counts.used, balance.max(0));
        prop_assert_eq!(
            (counts.reserved, counts.committed, counts.released),
            (reserved - committed - released, committed, released)
        );
        prop_assert_eq!(counts.adjusted, sum(EntryKind::Adjusted, |row| row.delta));
        prop_assert_eq!(counts.metered, aggregate.metered);
        prop_assert_eq!(counts.metered, rows.iter().map(|row| row.quantity).sum::<i64>());
        prop_assert_eq!((counts.monthly_limit, counts.included), (aggregate.limit, aggregate.included));
        prop_assert_eq!(counts.closed, aggregate.closed);
        prop_assert_eq!(counts.tenant_id, TenantId(TENANT.0));
    }
}
