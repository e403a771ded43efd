//! What is paid for elsewhere, and what of it counts here.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::fixtures::{after, at, given, march};

fn terms(code: &str, limit: u32) -> PlanTerms {
    PlanTerms {
        code: code.to_owned(),
        display_name: code.to_owned(),
        monthly_limit: Some(limit),
        ..PlanTerms::default()
    }
}

fn free() -> PlanTerms {
    terms("free", 10)
}

fn recruiter() -> PlanTerms {
    terms("recruiter", 100)
}

fn professional() -> PlanTerms {
    terms("professional", 5_000)
}

fn a_price() -> Price {
    Price { amount: 2_000, currency: "usd".to_owned(), interval: Interval::Monthly, overage: None }
}

fn now() -> DateTime<Utc> {
    at("2026-03-20T08:00:00Z")
}

fn grace() -> DateTime<Utc> {
    at("2026-03-27T08:00:00Z")
}

fn paid(price: &str, status: SubscriptionStatus) -> Paid {
    Paid {
        id: "sub_1".to_owned(),
        price: price.to_owned(),
        status,
        cancel_at_period_end: false,
        period_end: Some(march().end),
        customer: None,
    }
}

#[expect(clippy::unnecessary_wraps, reason = "there may be none where it is said")]
fn active(price: &str) -> Option<Paid> {
    Some(paid(price, SubscriptionStatus::Active))
}

fn started() -> SubscriptionEvent {
    SubscriptionEvent::SubscriptionStarted { plan: free(), anchor: march().start }
}

fn recorded(paid: Option<Paid>) -> SubscriptionEvent {
    SubscriptionEvent::ProviderStateRecorded { paid }
}

fn changed(from: &str, plan: PlanTerms, by_provider: bool) -> SubscriptionEvent {
    let reason = match (by_provider, plan.code.as_str()) {
        (false, _) => "asked",
        (true, "free") => "the paid subscription has ended",
        (true, _) => "changed at the payment provider",
    };
    SubscriptionEvent::PlanChanged {
        from: from.to_owned(),
        plan,
        reason: reason.to_owned(),
        by_provider,
        declined: false,
    }
}

fn status(status: SubscriptionStatus) -> SubscriptionEvent {
    let grace_until = (status == SubscriptionStatus::PastDue).then(grace);
    SubscriptionEvent::StatusChanged { status, grace_until }
}

/// A tenant that pays for the plan `recruiter`.
fn paying() -> Vec<SubscriptionEvent> {
    vec![started(), recorded(active("price_1")), changed("free", recruiter(), true)]
}

/// What the provider says to a subscription with that history, asked now.
fn told(history: &[SubscriptionEvent], paid: Option<Paid>) -> SubscriptionCommand {
    let plan = paid.as_ref().and_then(|paid| match paid.price.as_str() {
        "price_1" => Some(recruiter()),
        "price_2" => Some(professional()),
        _ => None,
    });
    let (revision, free, at, period_end) = (history.len() as u64, free(), now(), march().end);
    RecordProviderState { revision, paid, plan, free, at, period_end, grace_until: grace() }.into()
}

fn then(history: impl AsRef<[SubscriptionEvent]>, paid: Option<Paid>) -> Vec<SubscriptionEvent> {
    let history = history.as_ref();
    after::<Subscription>(history.to_vec()).decide(told(history, paid)).unwrap()
}

#[test]
fn whoever_begins_to_pay_has_the_plan_at_once() {
    assert_eq!(then(vec![started()], active("price_1")), paying()[1..]);
    assert_eq!(then(paying(), active("price_1")), [], "and is told once");
}

#[test]
fn a_payment_that_is_not_complete_gives_nothing_yet() {
    let incomplete = Some(paid("price_1", SubscriptionStatus::Incomplete));
    let history = [vec![started()], then(vec![started()], incomplete.clone())].concat();
    assert_eq!(history[1..], [recorded(incomplete)]);
    assert_eq!(then(history, active("price_1")), paying()[1..]);
}

#[test]
fn a_subscription_that_ended_leaves_the_free_plan_and_a_new_one_is_known_again() {
    let canceled = Some(paid("price_1", SubscriptionStatus::Canceled));
    let ended = then(paying(), canceled);
    assert_eq!(ended, [recorded(None), changed("recruiter", free(), true)]);
    let history = [paying(), ended].concat();
    assert_eq!(then(history.clone(), None), []);
    assert_eq!(then(history, active("price_1")), paying()[1..]);
}

#[test]
fn a_plan_that_an_operator_gave_to_somebody_who_pays_nothing_stays() {
    assert_eq!(then(vec![started(), changed("free", professional(), false)], None), []);
}

#[test]
fn an_unpaid_invoice_is_borne_for_a_time_and_then_not() {
    let late = Some(paid("price_1", SubscriptionStatus::PastDue));
    let history = [paying(), then(paying(), late.clone())].concat();
    assert_eq!(history[3..], [recorded(late.clone()), status(SubscriptionStatus::PastDue)]);
    let subscription = after::<Subscription>(history.clone());
    assert_eq!(subscription.require_good_standing(grace() - TimeDelta::seconds(1)), Ok(()));
    let refusal = subscription.require_good_standing(grace()).unwrap_err().to_string();
    assert_eq!(refusal, "Subscription is past_due. Please update your payment method.");
    assert_eq!(then(history, late), [], "nor is the time of grace renewed");
}

#[test]
fn whoever_pays_again_is_in_good_standing() {
    let history = [paying(), then(paying(), Some(paid("price_1", SubscriptionStatus::PastDue)))].concat();
    let mended = then(history, active("price_1"));
    assert_eq!(mended, [recorded(active("price_1")), status(SubscriptionStatus::Active)]);
}

#[test]
fn a_paused_subscription_keeps_its_plan_and_takes_nothing_new() {
    let history = [paying(), then(paying(), Some(paid("price_1", SubscriptionStatus::Paused)))].concat();
    let subscription = after::<Subscription>(history);
    assert_eq!(subscription.plan, recruiter());
    let refusal = subscription.require_good_standing(now()).unwrap_err();
    assert_eq!(refusal, SubscriptionError::NotInGoodStanding("paused"));
}

#[test]
fn a_status_that_is_not_known_locks_nobody_out() {
    let history = [paying(), then(paying(), Some(paid("price_1", SubscriptionStatus::of("on_the_moon"))))].concat();
    let subscription = after::<Subscription>(history);
    assert_eq!(subscription.status, SubscriptionStatus::Unknown);
    assert_eq!(subscription.require_good_standing(now()), Ok(()));
}

#[test]
fn a_price_that_is_not_on_offer_any_more_keeps_what_was_agreed() {
    assert_eq!(then(paying(), active("price_old")), [recorded(active("price_old"))]);
}

#[test]
fn other_terms_for_new_customers_change_nothing_for_others() {
    let history = paying();
    let cheaper = PlanTerms { monthly_limit: Some(50), ..recruiter() };
    let SubscriptionCommand::RecordProviderState(told) = told(&history, active("price_1")) else { panic!() };
    let told = RecordProviderState { plan: Some(cheaper), ..told };
    given::<Subscription>(history).when(told.into()).then_expect_events(vec![]);
}

#[test]
fn an_upgrade_there_counts_at_once_and_a_downgrade_from_the_next_period_on() {
    assert_eq!(then(paying(), active("price_2"))[1], changed("recruiter", professional(), true));
    let rich = vec![started(), recorded(active("price_2")), changed("free", professional(), true)];
    let scheduled = SubscriptionEvent::PlanChangeScheduled {
        plan: recruiter(),
        effective_at: march().end,
        reason: "changed at the payment provider".to_owned(),
        by_provider: true,
    };
    assert_eq!(then(rich.clone(), active("price_1")), [recorded(active("price_1")), scheduled.clone()]);
    let history = [rich, vec![recorded(active("price_1")), scheduled]].concat();
    let subscription = after::<Subscription>(history);
    assert_eq!(subscription.plan_at(march().end - TimeDelta::seconds(5)), &professional());
    assert_eq!(subscription.plan_at(march().end), &recruiter(), "whether or not it was recorded already");
}

#[test]
fn what_was_decided_here_and_not_told_yet_is_newer_than_what_is_said_there() {
    let history = [paying(), vec![changed("recruiter", professional(), false)]].concat();
    assert!(after::<Subscription>(history.clone()).untold);
    assert_eq!(then(history.clone(), active("price_1")), []);
    let informed = [history.clone(), vec![SubscriptionEvent::ProviderInformed { part: None }]].concat();
    assert_eq!(then(informed, active("price_2")), [recorded(active("price_2"))]);
}

#[test]
fn an_answer_from_before_the_last_change_is_refused() {
    let before = told(&paying()[..2], active("price_2"));
    given::<Subscription>(paying()).when(before).then_expect_error(SubscriptionError::Outdated);
}

#[test]
fn the_provider_is_informed_of_the_state_it_was_told_and_not_of_a_later_one() {
    let history = [paying(), vec![changed("recruiter", professional(), false)]].concat();
    let informed = |revision| {
        let reached = Some(after::<Subscription>(history[..revision].to_vec()).reached());
        SubscriptionCommand::from(NoteProviderInformed { revision: revision as u64, reached })
    };
    given::<Subscription>(history.clone()).when(informed(3)).then_expect_events(vec![]);
    given::<Subscription>(history.clone())
        .when(informed(4))
        .then_expect_events(vec![SubscriptionEvent::ProviderInformed { part: None }]);
    // What the provider says meanwhile is no decision of ours.
    let later = [history.clone(), vec![recorded(active("price_2"))]].concat();
    given::<Subscription>(later)
        .when(informed(4))
        .then_expect_events(vec![SubscriptionEvent::ProviderInformed { part: None }]);
}

#[test]
fn a_change_that_is_not_paid_is_taken_back() {
    let history = [paying(), vec![changed("recruiter", professional(), false)]].concat();
    let decline = |revision| DeclinePlanChange { revision, reason: "declined".to_owned() };
    let back = SubscriptionEvent::PlanChanged {
        from: "professional".to_owned(),
        plan: recruiter(),
        reason: "declined".to_owned(),
        by_provider: true,
        declined: true,
    };
    given::<Subscription>(history.clone())
        .when(decline(4).into())
        .then_expect_events(vec![SubscriptionEvent::ProviderInformed { part: None }, back.clone()]);
    given::<Subscription>(history.clone()).when(decline(3).into()).then_expect_events(vec![]);

    // It stays known which decisions they were, whatever is decided afterwards.
    let again = changed("recruiter", professional(), false);
    let informed = || SubscriptionEvent::ProviderInformed { part: None };
    let history = [history, vec![again.clone(), informed(), back, again, informed()]].concat();
    let mut state = Subscription::default();
    for event in history {
        cqrs_es::Aggregate::apply(&mut state, event);
    }
    let stays = Declined { first: 4, last: 5, stays: recruiter().display_name };
    let found: Vec<Option<&Declined>> = (3..10).map(|revision| state.declined(revision)).collect();
    assert_eq!(found, [None, Some(&stays), Some(&stays), None, None, None, None]);
}

/// A larger plan is paid there; before that is noted here, a still larger one is decided, and then declined.
#[test]
fn what_was_paid_before_something_else_was_decided_stays() {
    let enterprise = || terms("enterprise", 50_000);
    let upgrade = [paying(), vec![changed("recruiter", professional(), false)]].concat();
    let both = [upgrade.clone(), vec![changed("professional", enterprise(), false)]].concat();
    let reached = after::<Subscription>(upgrade).reached();
    assert_eq!((reached.revision, &reached.paid_for, &reached.told), (4, &professional(), &professional()));
    let note = || NoteProviderInformed { revision: 4, reached: Some(reached.clone()) };
    let of_nothing = NoteProviderInformed { revision: 4, reached: None };
    given::<Subscription>(both.clone()).when(of_nothing.into()).then_expect_events(vec![]);
    let part = SubscriptionEvent::ProviderInformed { part: Some(reached.clone()) };
    given::<Subscription>(both.clone()).when(note().into()).then_expect_events(vec![part.clone()]);

    let history = [both, vec![part]].concat();
    given::<Subscription>(history.clone()).when(note().into()).then_expect_events(vec![]);
    let between = after::<Subscription>(history.clone());
    assert_eq!((&between.plan, between.untold, &between.told), (&enterprise(), true, &Some(professional())));
    let followed = then(&history, active("price_2"));
    assert_eq!(followed, [recorded(active("price_2"))], "the newer decision is not known there");

    let history = [history, followed].concat();
    let decline = DeclinePlanChange { revision: history.len() as u64, reason: "declined".to_owned() };
    let taken_back = after::<Subscription>(history.clone()).decide(decline.into()).unwrap();
    let history = [history, taken_back].concat();
    assert_eq!(then(&history, active("price_2")), [], "what is paid there is what is in force here");
    let after_it = after::<Subscription>(history);
    assert_eq!((&after_it.plan, after_it.untold), (&professional(), false));
    assert_eq!((&after_it.told, &after_it.paid_for), (&Some(professional()), &Some(professional())));
    let stays = |revision| after_it.declined(revision).map(|declined| declined.stays.as_str());
    assert_eq!((stays(4), stays(5)), (None, Some("professional")), "the first one was paid");
}

/// A smaller plan is told there; before that is noted here, it is taken back.
#[test]
fn what_was_told_before_something_else_was_decided_is_known_to_differ() {
    let rich = vec![started(), recorded(active("price_2")), changed("free", professional(), true)];
    let reason = || "asked".to_owned();
    let scheduled = SubscriptionEvent::PlanChangeScheduled {
        plan: PlanTerms { price: Some(a_price()), ..recruiter() },
        effective_at: march().end,
        reason: reason(),
        by_provider: false,
    };
    let smaller = [rich, vec![scheduled]].concat();
    let reached = after::<Subscription>(smaller.clone()).reached();
    let withdrawn = SubscriptionEvent::PlanChangeWithdrawn { reason: reason(), by_provider: false };
    let history = [smaller, vec![withdrawn, SubscriptionEvent::ProviderInformed { part: Some(reached) }]].concat();
    let state = after::<Subscription>(history);
    assert_eq!((state.wanted("free"), state.untold), (&professional(), true));
    assert_eq!((state.told.unwrap().code, state.paid_for), ("recruiter".to_owned(), Some(professional())));
}

#[test]
fn a_customer_is_replaced_once_nothing_is_paid_by_it_and_stays_the_tenants() {
    let linked = SubscriptionEvent::CustomerLinked { customer: "cus_1".to_owned() };
    let replaced = |former: &str, customer: &str| SubscriptionEvent::CustomerReplaced {
        former: former.to_owned(),
        customer: customer.to_owned(),
        reason: "deleted".to_owned(),
    };
    let replace = |customer: &str| {
        SubscriptionCommand::from(ReplaceCustomer { customer: customer.to_owned(), reason: "deleted".to_owned() })
    };
    let link = |customer: &str| SubscriptionCommand::from(LinkCustomer { customer: customer.to_owned() });
    let history = vec![started(), linked.clone()];
    given::<Subscription>(vec![started()]).when(replace("cus_1")).then_expect_events(vec![linked]);
    given::<Subscription>(history.clone()).when(replace("cus_1")).then_expect_events(vec![]);
    given::<Subscription>(history.clone()).when(replace("cus_2")).then_expect_events(vec![replaced("cus_1", "cus_2")]);
    let living = [history.clone(), vec![recorded(active("price_1"))]].concat();
    given::<Subscription>(living.clone())
        .when(replace("cus_2"))
        .then_expect_error(SubscriptionError::StillPaid("sub_1".to_owned()));
    let over = [living, vec![recorded(None)]].concat();
    given::<Subscription>(over).when(replace("cus_2")).then_expect_events(vec![replaced("cus_1", "cus_2")]);

    let history = [history, vec![replaced("cus_1", "cus_2")]].concat();
    given::<Subscription>(history.clone()).when(link("cus_1")).then_expect_events(vec![]);
    given::<Subscription>(history.clone())
        .when(link("cus_3"))
        .then_expect_error(SubscriptionError::OtherCustomerLinked);
    given::<Subscription>(history.clone()).when(replace("cus_1")).then_expect_events(vec![replaced("cus_2", "cus_1")]);
    let back = [history, vec![replaced("cus_2", "cus_1")]].concat();
    given::<Subscription>(back).when(link("cus_2")).then_expect_events(vec![]);
}

#[test]
fn who_pays_is_known_where_it_is_not_the_linked_customer() {
    let by = |customer: &str| Some(Paid { customer: Some(customer.to_owned()), ..active("price_1").unwrap() });
    let begun = then(vec![started()], by("cus_1"));
    assert_eq!(begun, paying()[1..], "it is linked next");
    let linked = SubscriptionEvent::CustomerLinked { customer: "cus_1".to_owned() };
    let history = [vec![started()], begun, vec![linked]].concat();
    assert_eq!(then(&history, by("cus_1")), []);
    assert_eq!(after::<Subscription>(history.clone()).paying_customer(), Some("cus_1"));

    let (former, customer) = ("cus_1".to_owned(), "cus_2".to_owned());
    let replaced = SubscriptionEvent::CustomerReplaced { former, customer, reason: "deleted".to_owned() };
    let history = [history, vec![recorded(None), replaced]].concat();
    let bought = then(&history, by("cus_1"));
    assert_eq!(bought[0], recorded(by("cus_1")));
    let of_former = [history.clone(), bought].concat();
    assert_eq!(then(&of_former, by("cus_1")), []);
    assert_eq!(after::<Subscription>(of_former.clone()).paying_customer(), Some("cus_1"));
    assert_eq!(then(&of_former, by("cus_2")), [recorded(active("price_1"))]);
    assert_eq!(after::<Subscription>(history).paying_customer(), Some("cus_2"));
}

#[test]
fn a_cancellation_there_is_scheduled_here_and_can_be_taken_back_there() {
    let ending = Some(Paid { cancel_at_period_end: true, ..paid("price_1", SubscriptionStatus::Active) });
    let scheduled = SubscriptionEvent::PlanChangeScheduled {
        plan: free(),
        effective_at: march().end,
        reason: "changed at the payment provider".to_owned(),
        by_provider: true,
    };
    assert_eq!(then(paying(), ending.clone()), [recorded(ending.clone()), scheduled.clone()]);
    let history = [paying(), vec![recorded(ending.clone()), scheduled]].concat();
    assert_eq!(then(history.clone(), ending), []);
    let withdrawn = SubscriptionEvent::PlanChangeWithdrawn {
        reason: "changed at the payment provider".to_owned(),
        by_provider: true,
    };
    assert_eq!(then(history, active("price_1")), [recorded(active("price_1")), withdrawn]);
}

#[test]
fn a_scheduled_change_comes_when_it_is_due_and_can_be_withdrawn() {
    let scheduled = SubscriptionEvent::PlanChangeScheduled {
        plan: free(),
        effective_at: march().end,
        reason: "asked".to_owned(),
        by_provider: false,
    };
    let history = [paying(), vec![scheduled.clone()]].concat();
    let schedule = SchedulePlanChange { plan: free(), effective_at: march().end, reason: "asked".to_owned() };
    given::<Subscription>(paying()).when(schedule.clone().into()).then_expect_events(vec![scheduled]);
    given::<Subscription>(history.clone()).when(schedule.into()).then_expect_events(vec![]);
    let early = ApplyScheduledChange { at: march().end - TimeDelta::nanoseconds(1) };
    given::<Subscription>(history.clone()).when(early.into()).then_expect_events(vec![]);
    let due = ApplyScheduledChange { at: march().end };
    let SubscriptionEvent::PlanChanged { from, plan, by_provider, .. } = changed("recruiter", free(), false) else {
        panic!()
    };
    let reason = "scheduled".to_owned();
    let applied = SubscriptionEvent::PlanChanged { from, plan, reason, by_provider, declined: false };
    given::<Subscription>(history.clone()).when(due.into()).then_expect_events(vec![applied]);
    let withdraw = || WithdrawPlanChange { reason: "asked".to_owned() };
    let withdrawn = SubscriptionEvent::PlanChangeWithdrawn { reason: "asked".to_owned(), by_provider: false };
    given::<Subscription>(history.clone()).when(withdraw().into()).then_expect_events(vec![withdrawn.clone()]);
    let stay = ChangePlan { plan: recruiter(), reason: "asked".to_owned() };
    given::<Subscription>(history).when(stay.into()).then_expect_events(vec![withdrawn]);
    given::<Subscription>(paying()).when(withdraw().into()).then_expect_events(vec![]);
}

#[test]
fn what_is_taken_back_there_is_off_here_and_needs_no_telling() {
    let ending = || Some(Paid { cancel_at_period_end: true, ..paid("price_1", SubscriptionStatus::Active) });
    let next = |history: &[SubscriptionEvent], said: Option<Paid>| -> Subscription {
        after([history.to_vec(), then(history, said)].concat())
    };
    let more = [paying(), then(paying(), active("price_2"))].concat();
    let fewer = [more.clone(), then(more, active("price_1"))].concat();
    let (before, after_it) = (after::<Subscription>(fewer.clone()), next(&fewer, active("price_2")));
    assert!(before.scheduled.is_some(), "{before:?}");
    assert_eq!((after_it.scheduled, after_it.plan, after_it.untold), (None, before.plan, false));

    let canceled = [paying(), then(paying(), ending())].concat();
    let before = after::<Subscription>(canceled.clone());
    let scheduled = before.scheduled.unwrap();
    assert_eq!((scheduled.plan, scheduled.effective_at), (free(), ending().unwrap().period_end.unwrap()));
    assert!(!before.untold, "it was canceled there");
    let after_it = next(&canceled, active("price_1"));
    assert_eq!((after_it.scheduled, after_it.plan, after_it.untold), (None, before.plan, false));
}

#[test]
fn the_link_to_the_customer_is_made_once_and_stays() {
    let link = |customer: &str| LinkCustomer { customer: customer.to_owned() };
    let linked = SubscriptionEvent::CustomerLinked { customer: "cus_1".to_owned() };
    given::<Subscription>(vec![started()]).when(link("cus_1").into()).then_expect_events(vec![linked.clone()]);
    let history = vec![started(), linked];
    given::<Subscription>(history.clone()).when(link("cus_1").into()).then_expect_events(vec![]);
    given::<Subscription>(history).when(link("cus_2").into()).then_expect_error(SubscriptionError::OtherCustomerLinked);
}

#[test]
fn an_order_is_accepted_when_the_provider_has_it_or_declined() {
    let order = Uuid::from_u128(7);
    let ordered =
        || OrderPlan { order, plan: recruiter(), price: "price_1".to_owned(), payment_method: "pm_1".to_owned() };
    let event = {
        let OrderPlan { order, plan, price, payment_method } = ordered();
        SubscriptionEvent::PlanOrdered { order, plan, price, payment_method }
    };
    let history = vec![started(), event.clone()];
    given::<Subscription>(vec![started()]).when(ordered().into()).then_expect_events(vec![event]);
    given::<Subscription>(history.clone()).when(ordered().into()).then_expect_error(SubscriptionError::OrderPending);
    let decline = DeclineOrder { order, code: None, reason: "no".to_owned() };
    let declined = SubscriptionEvent::OrderDeclined { order, code: None, reason: "no".to_owned() };
    given::<Subscription>(history.clone()).when(decline.clone().into()).then_expect_events(vec![declined.clone()]);
    let outcome = |history| after::<Subscription>(history).order.unwrap().outcome;
    let refused = OrderOutcome::Declined { code: None, reason: "no".to_owned() };
    assert_eq!(outcome([history.clone(), vec![declined]].concat()), refused);
    let accepted = [history.clone(), then(history, active("price_1"))].concat();
    assert_eq!(outcome(accepted.clone()), OrderOutcome::Accepted);
    given::<Subscription>(accepted).when(decline.into()).then_expect_events(vec![]);
}

#[test]
fn nothing_is_paid_without_a_subscription_there() {
    assert_eq!(after::<Subscription>(vec![started()]).require_paid(), Err(SubscriptionError::NothingPaid));
    assert!(after::<Subscription>(paying()).require_paid().is_ok());
}

proptest! {
    /// However answers come, repeated and after one another: what was said last is what is true.
    #[test]
    fn what_is_said_last_counts(
        said in prop::collection::vec((prop::option::weighted(0.9, (0_usize..3, 0_usize..6)), any::<bool>()), 1..20)
    ) {
        let prices = ["price_1", "price_2", "price_old"];
        let spelled = ["active", "past_due", "paused", "canceled", "incomplete", "trialing"];
        let answers = said.into_iter().map(|(answer, twice)| {
            let paid = answer.map(|(price, status)| paid(prices[price], SubscriptionStatus::of(spelled[status])));
            (paid, twice)
        });
        let mut history = vec![started()];
        for (answer, twice) in answers {
            for _ in 0..=usize::from(twice) {
                let events = then(history.clone(), answer.clone());
                history.extend(events);
            }
            prop_assert_eq!(then(history.clone(), answer.clone()), vec![], "and a repetition changes nothing");
            let subscription = after::<Subscription>(history.clone());
            let living = answer.filter(|paid| !paid.status.is_over());
            prop_assert_eq!(&subscription.paid, &living);
            let holds = living.as_ref().is_some_and(|paid| paid.status.holds_plan());
            if !holds {
                prop_assert_eq!(subscription.plan.code, "free");
            }
        }
    }
}
