use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::{
    CandidateId, EventId,
    fixtures::{after, at, candidate, candidates, given, march},
};

#[test]
fn the_first_reservation_opens_the_period() {
    given::<Usage>(vec![]).when(reserve([1]).into()).then_expect_events(vec![opened(Some(3)), reserved([1])]);
}

#[test]
fn a_later_reservation_finds_the_period_open() {
    given::<Usage>(vec![opened(Some(3)), reserved([1])])
        .when(reserve([2]).into())
        .then_expect_events(vec![reserved([2])]);
}

#[test]
fn a_batch_takes_what_remains_in_its_order() {
    given::<Usage>(vec![opened(Some(3)), reserved([9])])
        .when(reserve([4, 2, 7]).into())
        .then_expect_events([vec![reserved([4, 2])], full(3)].concat());
    given::<Usage>(vec![])
        .when(reserve([5, 4, 3, 2, 1]).into())
        .then_expect_events([vec![opened(Some(3)), reserved([5, 4, 3])], full(3)].concat());
}

#[test]
fn a_batch_that_fits_is_taken_whole() {
    given::<Usage>(vec![opened(Some(3))])
        .when(reserve([1, 2, 3]).into())
        .then_expect_events([vec![reserved([1, 2, 3])], full(3)].concat());
}

#[test]
fn a_full_period_refuses_with_the_known_sentence() {
    given::<Usage>(vec![opened(Some(3)), reserved([1, 2, 3])]).when(reserve([4]).into()).then_expect_error_message(
        "Monthly candidate limit reached (3/3). Please upgrade your plan or wait for next billing cycle.",
    );
}

#[test]
fn a_plan_without_candidates_refuses_the_first() {
    let command = ReserveSlots { terms: terms(Some(0)), candidates: candidates([1]) };
    given::<Usage>(vec![]).when(command.into()).then_expect_error(UsageError::LimitReached { used: 0, limit: 0 });
}

#[test]
fn a_metered_plan_never_refuses() {
    let everybody = 1..=1_000;
    given::<Usage>(vec![opened(None)])
        .when(reserve(everybody.clone()).into())
        .then_expect_events(vec![reserved(everybody)]);
}

#[test]
fn the_limit_in_force_counts_and_not_the_one_a_reservation_brings() {
    let generous = ReserveSlots { terms: terms(Some(100)), candidates: candidates([2, 3]) };
    given::<Usage>(vec![opened(Some(1)), reserved([1])])
        .when(generous.into())
        .then_expect_error(UsageError::LimitReached { used: 1, limit: 1 });
    let metered = ReserveSlots { terms: terms(None), candidates: candidates([2, 3]) };
    given::<Usage>(vec![opened(Some(2)), reserved([1])])
        .when(metered.into())
        .then_expect_events([vec![reserved([2])], full(2)].concat());
}

#[test]
fn a_candidate_with_a_slot_gets_no_second_one() {
    given::<Usage>(vec![opened(Some(3)), reserved([1])])
        .when(reserve([2, 1]).into())
        .then_expect_error(UsageError::AlreadyReserved);
    given::<Usage>(vec![opened(Some(3)), reserved([1]), committed(1)])
        .when(reserve([1]).into())
        .then_expect_error(UsageError::AlreadyReserved);
}

#[test]
fn a_candidate_named_twice_gets_one_slot() {
    given::<Usage>(vec![opened(Some(3))])
        .when(reserve([2, 1, 2, 2, 3, 4]).into())
        .then_expect_events([vec![reserved([2, 1, 3])], full(3)].concat());
}

#[test]
fn a_reservation_for_nobody_is_nothing() {
    given::<Usage>(vec![]).when(reserve([]).into()).then_expect_events(vec![]);
    given::<Usage>(vec![opened(Some(3)), reserved([1, 2, 3])]).when(reserve([]).into()).then_expect_events(vec![]);
}

#[test]
fn a_reserved_slot_can_be_committed() {
    given::<Usage>(vec![opened(Some(3)), reserved([1, 2])])
        .when(commit(2).into())
        .then_expect_events(vec![committed(2)]);
}

#[test]
fn a_committed_slot_stays_used() {
    let usage = after::<Usage>(vec![opened(Some(3)), reserved([1, 2]), committed(2)]);
    assert_eq!((usage.used(), usage.remaining()), (2, Some(1)));
}

#[test]
fn a_reserved_slot_can_be_released() {
    let command = ReleaseSlot { candidate: candidate(2), reason: ReleaseReason::ScoringFailed };
    given::<Usage>(vec![opened(Some(3)), reserved([1, 2])]).when(command.into()).then_expect_events(vec![released(2)]);
}

#[test]
fn a_released_slot_is_free_for_somebody_else_and_for_a_second_try() {
    let full_but_one = vec![opened(Some(2)), reserved([1, 2]), released(2)];
    assert_eq!(after::<Usage>(full_but_one.clone()).remaining(), Some(1));
    given::<Usage>(full_but_one.clone())
        .when(reserve([3]).into())
        .then_expect_events([vec![reserved([3])], full(2)].concat());
    given::<Usage>(full_but_one).when(reserve([2]).into()).then_expect_events([vec![reserved([2])], full(2)].concat());
}

#[test]
fn a_slot_is_settled_once() {
    let commit = || commit(1);
    let release = || ReleaseSlot { candidate: candidate(1), reason: ReleaseReason::ExtractionFailed };
    let untouched = vec![opened(Some(3))];
    let taken = vec![opened(Some(3)), reserved([1]), committed(1)];
    let freed = vec![opened(Some(3)), reserved([1]), released(1)];
    for history in [vec![], untouched, taken, freed] {
        given::<Usage>(history.clone()).when(commit().into()).then_expect_error(UsageError::NotReserved);
        given::<Usage>(history).when(release().into()).then_expect_error(UsageError::NotReserved);
    }
}

#[test]
fn a_plan_change_brings_its_limit_into_the_running_period() {
    let command = ChangeLimit { terms: PeriodTerms { plan: "recruiter".to_owned(), ..terms(Some(100)) } };
    given::<Usage>(vec![opened(Some(3)), reserved([1, 2, 3])])
        .when(command.into())
        .then_expect_events(vec![limited("recruiter", Some(100))]);
    let history = vec![opened(Some(3)), reserved([1, 2, 3]), limited("recruiter", Some(100))];
    assert_eq!(after::<Usage>(history.clone()).remaining(), Some(97));
    given::<Usage>(history).when(reserve([4]).into()).then_expect_events(vec![reserved([4])]);
}

#[test]
fn a_plan_change_in_a_period_without_uploads_opens_it() {
    given::<Usage>(vec![])
        .when(ChangeLimit { terms: terms(Some(100)) }.into())
        .then_expect_events(vec![opened(Some(100))]);
}

#[test]
fn the_same_limit_of_the_same_plan_changes_nothing() {
    given::<Usage>(vec![opened(Some(3))]).when(ChangeLimit { terms: terms(Some(3)) }.into()).then_expect_events(vec![]);
}

#[test]
fn another_plan_with_the_same_limit_is_a_change() {
    let command = ChangeLimit { terms: PeriodTerms { plan: "trial".to_owned(), ..terms(Some(3)) } };
    given::<Usage>(vec![opened(Some(3))]).when(command.into()).then_expect_events(vec![limited("trial", Some(3))]);
}

#[test]
fn a_limit_can_be_lifted_and_set_again() {
    given::<Usage>(vec![opened(Some(3))])
        .when(ChangeLimit { terms: terms(None) }.into())
        .then_expect_events(vec![limited("free", None)]);
    given::<Usage>(vec![opened(Some(3)), limited("free", None)])
        .when(ChangeLimit { terms: terms(Some(3)) }.into())
        .then_expect_events(vec![limited("free", Some(3))]);
}

#[test]
fn a_downgrade_keeps_what_is_used_and_accepts_nothing_more() {
    let downgraded = vec![opened(Some(5)), reserved([1, 2, 3, 4]), committed(1), limited("free", Some(2))];
    let usage = after::<Usage>(downgraded.clone());
    assert_eq!((usage.used(), usage.remaining()), (4, Some(0)));
    given::<Usage>(downgraded.clone())
        .when(reserve([5]).into())
        .then_expect_error(UsageError::LimitReached { used: 4, limit: 2 });

    let still_full = [downgraded, vec![released(2), released(3)]].concat();
    given::<Usage>(still_full.clone())
        .when(reserve([5]).into())
        .then_expect_error(UsageError::LimitReached { used: 2, limit: 2 });
    let free_again = [still_full, vec![released(4)]].concat();
    given::<Usage>(free_again).when(reserve([5, 6]).into()).then_expect_events([vec![reserved([5])], full(2)].concat());
}

#[test]
fn usage_can_be_corrected_with_a_reason() {
    given::<Usage>(vec![opened(Some(3)), reserved([1]), committed(1)])
        .when(adjust(-1).into())
        .then_expect_events(vec![adjusted(-1)]);
    let corrected = vec![opened(Some(3)), reserved([1]), adjusted(2)];
    assert_eq!(after::<Usage>(corrected.clone()).used(), 3);
    given::<Usage>(corrected)
        .when(reserve([2]).into())
        .then_expect_error(UsageError::LimitReached { used: 3, limit: 3 });
}

#[test]
fn a_correction_may_exceed_the_limit_because_it_accepts_nothing() {
    given::<Usage>(vec![opened(Some(3))])
        .when(adjust(10).into())
        .then_expect_events([vec![adjusted(10)], reached([70, 90, 100], 10, 3)].concat());
}

#[test]
fn a_correction_can_open_the_period() {
    given::<Usage>(vec![]).when(adjust(1).into()).then_expect_events(vec![opened(Some(3)), adjusted(1)]);
}

#[test]
fn a_correction_needs_a_reason() {
    let command = AdjustUsage { reason: " \t".to_owned(), ..adjust(1) };
    given::<Usage>(vec![opened(Some(3))]).when(command.into()).then_expect_error(UsageError::ReasonMissing);
}

#[test]
fn a_correction_cannot_make_the_usage_negative() {
    given::<Usage>(vec![]).when(adjust(-1).into()).then_expect_error(UsageError::BelowZero);
    let reserved_only = vec![opened(Some(3)), reserved([1])]; // it may be given back by itself yet
    given::<Usage>(reserved_only).when(adjust(-1).into()).then_expect_error(UsageError::BelowZero);
    given::<Usage>(vec![opened(Some(3)), reserved([1]), committed(1)])
        .when(adjust(-2).into())
        .then_expect_error(UsageError::BelowZero);
}

#[test]
fn a_release_after_a_correction_never_shows_less_than_nothing() {
    let usage = after::<Usage>(vec![opened(Some(3)), reserved([1, 2]), adjusted(-2), released(1)]);
    assert_eq!((usage.used(), usage.remaining()), (0, Some(3)));
}

#[test]
fn no_number_of_corrections_runs_over() {
    let mut history = vec![opened(None)];
    history.extend((0..5).map(|_| adjusted(i32::MAX)));
    assert_eq!(after::<Usage>(history).used(), u32::MAX);
    let taken_back = vec![opened(None), adjusted(i32::MIN), adjusted(i32::MIN), adjusted(i32::MIN)];
    assert_eq!(after::<Usage>(taken_back).used(), 0);
}

#[test]
fn without_a_limit_nothing_is_counted_down() {
    assert_eq!(after::<Usage>(vec![opened(None), reserved([1])]).remaining(), None);
}

proptest! {
    #[test]
    fn the_ledger_adds_up_whatever_happens(commands in prop::collection::vec(command(), 0..60)) {
        let mut usage = Usage::default();
        let mut ledger = Ledger::default();
        for command in commands {
            let before = ledger.shares();
            match usage.decide(command) {
                Err(UsageError::LimitReached { used, limit }) => {
                    prop_assert!(!ledger.open || ledger.limit == Some(limit), "refused by a limit that is not in force");
                    prop_assert_eq!(i64::from(used), ledger.used());
                    prop_assert!(used >= limit, "refused at {}/{}", used, limit);
                }
                Err(_) => {}
                Ok(events) => {
                    for event in events {
                        ledger.enter(&event)?;
                        usage.apply(event);
                    }
                }
            }
            prop_assert_eq!(i64::from(usage.used()), ledger.used());
            prop_assert_eq!(usage.limit, ledger.limit);
            for percent in ledger.shares().difference(&before) {
                prop_assert!(ledger.reached.contains(&(*percent, ledger.limit.unwrap())), "{} % was not told", percent);
            }
        }
    }

    #[test]
    fn what_is_billed_is_what_is_over_at_the_end(included in 0_u32..6, commands in prop::collection::vec(command(), 0..60)) {
        let terms = PeriodTerms { included: Some(included), ..terms(None) };
        let mut usage = Usage::default();
        let mut ledger = Ledger::default();
        for command in commands {
            let command = match command {
                UsageCommand::ReserveSlots(command) => ReserveSlots { terms: terms.clone(), ..command }.into(),
                UsageCommand::AdjustUsage(command) => AdjustUsage { terms: terms.clone(), ..command }.into(),
                UsageCommand::ChangeLimit(_) => continue,
                command => command,
            };
            for event in usage.decide(command).unwrap_or_default() {
                ledger.enter(&event)?;
                usage.apply(event);
            }
            prop_assert_eq!(usage.metered, ledger.over(included));
            prop_assert_eq!(usage.metered, ledger.metered);
        }
    }

    #[test]
    fn a_reservation_takes_all_that_fits(limit in prop::option::of(0_u32..12), parts in prop::collection::vec(0_usize..6, 0..6)) {
        let mut usage = Usage::default();
        let mut next = 0;
        for size in parts {
            let wanted: Vec<CandidateId> = (next..).take(size).map(candidate).collect();
            next += size as u128;
            let free = limit.map_or(usize::MAX, |limit| (limit - usage.used()) as usize);
            let before = usage.used();
            match usage.decide(ReserveSlots { terms: terms(limit), candidates: wanted }.into()) {
                Ok(events) => events.into_iter().for_each(|event| usage.apply(event)),
                Err(error) => prop_assert_eq!((error, free), (UsageError::LimitReached { used: before, limit: before }, 0)),
            }
            prop_assert_eq!((usage.used() - before) as usize, size.min(free));
        }
    }
}

#[test]
fn shares_of_the_limit_are_told_once() {
    let usage = |events| after::<Usage>(events);
    let limit = PeriodTerms { limit: Some(10), ..terms(None) };
    let mut history = vec![opened(Some(10)), reserved(1..=6)];
    let mut told = vec![];
    for number in 7..=10 {
        let command = ReserveSlots { terms: limit.clone(), candidates: candidates([number]) };
        let events = usage(history.clone()).decide(command.into()).unwrap();
        told.extend(events.iter().filter(|event| matches!(event, UsageEvent::UsageThresholdReached { .. })).cloned());
        history.extend(events);
    }
    assert_eq!(told, [reached([70], 7, 10), reached([90], 9, 10), reached([100], 10, 10)].concat());
    let again = [history, vec![released(3), released(4)]].concat();
    let command = ReserveSlots { terms: limit, candidates: candidates([3, 4]) };
    given::<Usage>(again).when(command.into()).then_expect_events(vec![reserved([3, 4])]);
}

/// The history after each command in turn, and the shares that were told on the way.
fn told(mut history: Vec<UsageEvent>, commands: Vec<UsageCommand>) -> (Vec<UsageEvent>, Vec<(u8, u32, u32)>) {
    let from = history.len();
    for command in commands {
        let events = after::<Usage>(history.clone()).decide(command).unwrap();
        history.extend(events);
    }
    let shares = history[from..].iter().filter_map(|event| match event {
        UsageEvent::UsageThresholdReached { percent, used, limit } => Some((*percent, *used, *limit)),
        _ => None,
    });
    let shares = shares.collect();
    (history, shares)
}

fn another(limit: u32) -> UsageCommand {
    ChangeLimit { terms: terms(Some(limit)) }.into()
}

fn one_more(numbers: impl IntoIterator<Item = u128>) -> Vec<UsageCommand> {
    let one = |number| ReserveSlots { terms: terms(None), candidates: candidates([number]) }.into();
    numbers.into_iter().map(one).collect()
}

#[test]
fn after_an_upgrade_shares_are_those_of_the_larger_limit() {
    let (full, shares) = told(vec![opened(Some(10))], one_more(1..=10));
    assert_eq!(shares, [(70, 7, 10), (90, 9, 10), (100, 10, 10)]);
    let upgraded = [vec![another(20)], one_more(11..=20)].concat();
    let (_, shares) = told(full.clone(), upgraded);
    assert_eq!(shares, [(70, 14, 20), (90, 18, 20), (100, 20, 20)]);

    // What is still reached is no news, and what is not any more will be.
    let a_little = [vec![another(12)], one_more(11..=12)].concat();
    let (_, shares) = told(full, a_little);
    assert_eq!(shares, [(90, 11, 12), (100, 12, 12)]);
}

#[test]
fn an_upgrade_that_is_taken_back_tells_nothing_twice() {
    let (used, _) = told(vec![opened(Some(10))], one_more(1..=9));
    let (back, shares) = told(used, vec![another(100), another(10)]);
    assert_eq!(shares, [], "the smaller limit had told them");
    let (back, shares) = told(back, one_more([10]));
    assert_eq!(shares, [(100, 10, 10)]);
    let lifted = ChangeLimit { terms: terms(None) }.into();
    let (_, shares) = told(back, vec![another(100), lifted, another(10)]);
    assert_eq!(shares, []);
}

#[test]
fn a_downgrade_or_a_correction_tells_what_it_crosses_and_once() {
    let (used, shares) = told(vec![opened(Some(20))], one_more(1..=14));
    assert_eq!(shares, [(70, 14, 20)]);
    let (downgraded, shares) = told(used.clone(), vec![another(15), another(15)]);
    assert_eq!(shares, [(90, 14, 15)], "70 % were reached before");
    let (_, shares) = told(downgraded, vec![another(14), another(15), another(14)]);
    assert_eq!(shares, [(100, 14, 14)]);

    let (corrected, shares) = told(used, vec![adjust(5).into(), adjust(-1).into(), adjust(-4).into()]);
    assert_eq!(shares, [(90, 19, 20)]);
    let (_, shares) = told(corrected, vec![adjust(5).into()]);
    assert_eq!(shares, [], "each share of a limit is told once");
}

#[test]
fn a_lower_limit_reaches_shares_too() {
    given::<Usage>(vec![opened(Some(10)), reserved([1, 2])])
        .when(ChangeLimit { terms: terms(Some(2)) }.into())
        .then_expect_events([vec![limited("free", Some(2))], full(2)].concat());
}

#[test]
fn a_metered_plan_bills_what_is_over_its_included_candidates() {
    let opened =
        UsageEvent::PeriodOpened { period: march(), plan: "enterprise".to_owned(), limit: None, included: Some(2) };
    let over = |quantity| UsageEvent::OverageMetered { quantity, at: now() };
    let history = vec![opened, reserved([1, 2, 3, 4]), committed(1)];
    given::<Usage>(history.clone()).when(commit(2).into()).then_expect_events(vec![committed(2)]);
    let history = [history, vec![committed(2)]].concat();
    given::<Usage>(history.clone()).when(commit(3).into()).then_expect_events(vec![committed(3), over(1)]);
    given::<Usage>(history.clone()).when(adjust(5).into()).then_expect_events(vec![adjusted(5), over(5)]);
    let history = [history, vec![committed(3), over(1)]].concat();
    given::<Usage>(history.clone()).when(adjust(-3).into()).then_expect_events(vec![adjusted(-3), over(-1)]);
    assert_eq!(after::<Usage>(history).metered, 1);
}

#[test]
fn nothing_is_given_back_that_was_not_billed() {
    let metered = UsageEvent::LimitChanged { plan: "enterprise".to_owned(), limit: None, included: Some(0) };
    let history = vec![opened(Some(3)), reserved([1, 2]), committed(1), committed(2), metered];
    given::<Usage>(history).when(adjust(-2).into()).then_expect_events(vec![adjusted(-2)]);
}

#[test]
fn what_is_scored_after_the_end_of_its_period_is_billed_with_it() {
    let opened = UsageEvent::PeriodOpened { period: march(), plan: String::new(), limit: None, included: Some(0) };
    let late = CommitSlot { candidate: candidate(1), at: march().end + chrono::TimeDelta::days(1) };
    let billed = UsageEvent::OverageMetered { quantity: 1, at: march().end - chrono::TimeDelta::seconds(1) };
    given::<Usage>(vec![opened, reserved([1])]).when(late.into()).then_expect_events(vec![committed(1), billed]);
}

#[test]
fn a_closed_period_releases_what_is_open_and_takes_nothing_more() {
    let history = vec![opened(Some(3)), reserved([1, 2]), committed(1)];
    let close = ClosePeriod { at: march().end };
    let expired = UsageEvent::SlotReleased { candidate: candidate(2), reason: ReleaseReason::Expired };
    let closed = vec![expired, UsageEvent::PeriodClosed { used: 1 }];
    given::<Usage>(history.clone()).when(close.clone().into()).then_expect_events(closed.clone());
    let history = [history, closed].concat();
    given::<Usage>(history.clone()).when(close.into()).then_expect_events(vec![]);
    for command in [reserve([5]).into(), commit(2).into(), adjust(1).into()] {
        given::<Usage>(history.clone()).when(command).then_expect_error(UsageError::Closed);
    }
}

#[test]
fn a_period_is_closed_after_its_end_and_if_it_was_opened() {
    let early = ClosePeriod { at: now() };
    given::<Usage>(vec![opened(Some(3))]).when(early.into()).then_expect_error(UsageError::NotOver);
    given::<Usage>(vec![]).when(ClosePeriod { at: march().end }.into()).then_expect_events(vec![]);
}

#[test]
fn what_is_refused_for_good_changes_no_balance_and_can_be_sent_again() {
    let opened = UsageEvent::PeriodOpened { period: march(), plan: String::new(), limit: None, included: Some(0) };
    let billed = UsageEvent::OverageMetered { quantity: 1, at: now() };
    let history = vec![opened, reserved([1]), committed(1), billed];
    let entry = EventId(Uuid::from_u128(7));
    let give_up = || GiveUpMetering { entry, quantity: 1, at: now(), reason: "too old".to_owned() };
    let noted = UsageEvent::MeteringGivenUp { entry, quantity: 1, at: now(), reason: "too old".to_owned() };
    let retry = || RetryMetering { entry };
    let retried = UsageEvent::MeteringRetried { entry, quantity: 1, at: now() };
    given::<Usage>(history.clone()).when(retry().into()).then_expect_error(UsageError::MeteringNotGivenUp);
    given::<Usage>(history.clone()).when(give_up().into()).then_expect_events(vec![noted.clone()]);
    let history = [history, vec![noted.clone()]].concat();
    given::<Usage>(history.clone()).when(give_up().into()).then_expect_events(vec![]);
    given::<Usage>(history.clone()).when(retry().into()).then_expect_events(vec![retried.clone()]);
    let usage = after::<Usage>(history.clone());
    assert_eq!((usage.used(), usage.metered, usage.given_up.len()), (1, 1, 1));

    let history = [history, vec![UsageEvent::PeriodClosed { used: 1 }]].concat();
    given::<Usage>(history.clone()).when(retry().into()).then_expect_events(vec![retried.clone()]);
    let history = [history, vec![retried]].concat();
    assert_eq!(after::<Usage>(history.clone()).given_up.len(), 0);
    given::<Usage>(history.clone()).when(retry().into()).then_expect_error(UsageError::MeteringNotGivenUp);
    given::<Usage>(history).when(give_up().into()).then_expect_events(vec![noted]);
}

/// A second bookkeeper, who knows nothing but the entries.
#[derive(Default)]
struct Ledger {
    open: bool,
    limit: Option<u32>,
    reserved: BTreeSet<CandidateId>,
    committed: BTreeSet<CandidateId>,
    adjusted: i64,
    metered: i64,
    /// Shares that were told, each of its limit.
    reached: BTreeSet<(u8, u32)>,
    closed: bool,
}

impl Ledger {
    /// Candidates over `included` that were billed so far, had it been so from the beginning.
    fn over(&self, included: u32) -> i64 {
        (i64::try_from(self.committed.len()).unwrap() + self.adjusted - i64::from(included)).max(0)
    }

    fn used(&self) -> i64 {
        (i64::try_from(self.reserved.len() + self.committed.len()).unwrap() + self.adjusted).max(0)
    }

    /// Shares of the limit in force that are reached now.
    fn shares(&self) -> BTreeSet<u8> {
        let limit = self.limit.filter(|limit| *limit > 0).map(i64::from);
        let is_reached = |percent: &u8| limit.is_some_and(|limit| self.used() * 100 >= i64::from(*percent) * limit);
        [70, 90, 100].into_iter().filter(is_reached).collect()
    }

    fn enter(&mut self, event: &UsageEvent) -> Result<(), TestCaseError> {
        if let UsageEvent::PeriodOpened { limit, .. } = event {
            prop_assert!(!self.open, "opened twice");
            (self.open, self.limit) = (true, *limit);
        }
        prop_assert!(self.open, "an entry before the period was opened: {:?}", event);
        prop_assert!(!self.closed, "an entry after the period was closed: {:?}", event);
        match event {
            UsageEvent::PeriodOpened { .. } => {}
            UsageEvent::LimitChanged { limit, .. } => self.limit = *limit,
            UsageEvent::SlotsReserved { candidates } => {
                prop_assert!(!candidates.is_empty(), "a reservation of nothing");
                for candidate in candidates {
                    prop_assert!(!self.committed.contains(candidate), "{} is counted twice", candidate);
                    prop_assert!(self.reserved.insert(*candidate), "{} is counted twice", candidate);
                }
                let within = self.limit.is_none_or(|limit| self.used() <= i64::from(limit));
                prop_assert!(within, "accepted beyond the limit: {} of {:?}", self.used(), self.limit);
            }
            UsageEvent::SlotCommitted { candidate } => {
                prop_assert!(self.reserved.remove(candidate), "{} had no slot to commit", candidate);
                self.committed.insert(*candidate);
            }
            UsageEvent::SlotReleased { candidate, .. } => {
                prop_assert!(self.reserved.remove(candidate), "{} had no slot to release", candidate);
            }
            UsageEvent::UsageAdjusted { delta, .. } => {
                let for_good = i64::try_from(self.committed.len()).unwrap() + self.adjusted + i64::from(*delta);
                prop_assert!(*delta >= 0 || for_good >= 0, "corrected below zero");
                self.adjusted += i64::from(*delta);
            }
            UsageEvent::OverageMetered { quantity, .. } => {
                self.metered += quantity;
                prop_assert!(self.metered >= 0, "more was given back than billed");
            }
            UsageEvent::MeteringGivenUp { .. } | UsageEvent::MeteringRetried { .. } => {
                prop_assert!(false, "nobody has tried to bill it: {:?}", event);
            }
            UsageEvent::UsageThresholdReached { percent, used, limit } => {
                prop_assert_eq!((i64::from(*used), Some(*limit)), (self.used(), self.limit));
                prop_assert!(self.used() * 100 >= i64::from(*percent) * i64::from(*limit));
                prop_assert!(self.reached.insert((*percent, *limit)), "{} % of {} a second time", percent, limit);
            }
            UsageEvent::PeriodClosed { used } => {
                prop_assert_eq!(self.reserved.len(), 0);
                prop_assert_eq!(i64::from(*used), self.used());
                self.closed = true;
            }
        }
        Ok(())
    }
}

fn command() -> impl Strategy<Value = UsageCommand> {
    let limit = || prop::option::weighted(0.8, 0_u32..12);
    let somebody = || (1_u128..16).prop_map(candidate);
    let reason = || prop_oneof![Just(ReleaseReason::ExtractionFailed), Just(ReleaseReason::ScoringFailed)];
    prop_oneof![
        4 => (limit(), prop::collection::vec(somebody(), 0..5))
            .prop_map(|(limit, candidates)| ReserveSlots { terms: terms(limit), candidates }.into()),
        3 => somebody().prop_map(|candidate| CommitSlot { candidate, at: now() }.into()),
        2 => (somebody(), reason()).prop_map(|(candidate, reason)| ReleaseSlot { candidate, reason }.into()),
        1 => limit().prop_map(|limit| ChangeLimit { terms: terms(limit) }.into()),
        1 => (-4_i32..5).prop_map(|delta| adjust(delta).into()),
        1 => Just(ClosePeriod { at: march().end }.into()),
    ]
}

fn now() -> DateTime<Utc> {
    at("2026-03-20T08:00:00Z")
}

fn commit(number: u128) -> CommitSlot {
    CommitSlot { candidate: candidate(number), at: now() }
}

fn reached(shares: impl IntoIterator<Item = u8>, used: u32, limit: u32) -> Vec<UsageEvent> {
    let event = |percent| UsageEvent::UsageThresholdReached { percent, used, limit };
    shares.into_iter().map(event).collect()
}

/// All of the limit at once, which so far had nothing of note.
fn full(limit: u32) -> Vec<UsageEvent> {
    reached([70, 90, 100], limit, limit)
}

fn terms(limit: Option<u32>) -> PeriodTerms {
    PeriodTerms { period: march(), plan: "free".to_owned(), limit, included: None }
}

fn opened(limit: Option<u32>) -> UsageEvent {
    UsageEvent::PeriodOpened { period: march(), plan: "free".to_owned(), limit, included: None }
}

fn reserve(numbers: impl IntoIterator<Item = u128>) -> ReserveSlots {
    ReserveSlots { terms: terms(Some(3)), candidates: candidates(numbers) }
}

fn reserved(numbers: impl IntoIterator<Item = u128>) -> UsageEvent {
    UsageEvent::SlotsReserved { candidates: candidates(numbers) }
}

fn committed(number: u128) -> UsageEvent {
    UsageEvent::SlotCommitted { candidate: candidate(number) }
}

fn released(number: u128) -> UsageEvent {
    UsageEvent::SlotReleased { candidate: candidate(number), reason: ReleaseReason::ScoringFailed }
}

fn limited(plan: &str, limit: Option<u32>) -> UsageEvent {
    UsageEvent::LimitChanged { plan: plan.to_owned(), limit, included: None }
}

fn adjust(delta: i32) -> AdjustUsage {
    AdjustUsage { terms: terms(Some(3)), delta, reason: "support case 42".to_owned(), at: now() }
}

fn adjusted(delta: i32) -> UsageEvent {
    UsageEvent::UsageAdjusted { delta, reason: "support case 42".to_owned() }
}
