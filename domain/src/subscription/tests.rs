use super::*;
use crate::fixtures::{after, at, given, march};

#[test]
fn a_subscription_starts_with_a_plan_and_an_anchor() {
    given::<Subscription>(vec![]).when(start().into()).then_expect_events(vec![started()]);
}

#[test]
fn a_subscription_starts_once() {
    given::<Subscription>(vec![started()]).when(start().into()).then_expect_error(SubscriptionError::AlreadyStarted);
}

#[test]
fn starting_again_after_a_plan_change_is_refused_too() {
    given::<Subscription>(vec![started(), upgraded()])
        .when(start().into())
        .then_expect_error(SubscriptionError::AlreadyStarted);
}

#[test]
fn the_plan_can_be_changed() {
    given::<Subscription>(vec![started()]).when(change_to(recruiter()).into()).then_expect_events(vec![upgraded()]);
}

#[test]
fn changing_to_the_plan_in_force_changes_nothing() {
    given::<Subscription>(vec![started()]).when(change_to(free()).into()).then_expect_events(vec![]);
    given::<Subscription>(vec![started(), upgraded()]).when(change_to(recruiter()).into()).then_expect_events(vec![]);
}

#[test]
fn new_terms_under_the_same_code_are_a_change() {
    let richer = PlanTerms { monthly_limit: Some(20), ..free() };
    let changed = SubscriptionEvent::PlanChanged {
        from: "free".to_owned(),
        plan: richer.clone(),
        reason: "asked".to_owned(),
        by_provider: false,
        declined: false,
    };
    given::<Subscription>(vec![started()]).when(change_to(richer).into()).then_expect_events(vec![changed]);
}

#[test]
fn a_change_names_the_plan_it_leaves() {
    let downgraded = SubscriptionEvent::PlanChanged {
        from: "recruiter".to_owned(),
        plan: free(),
        reason: "asked".to_owned(),
        by_provider: false,
        declined: false,
    };
    given::<Subscription>(vec![started(), upgraded()])
        .when(change_to(free()).into())
        .then_expect_events(vec![downgraded]);
}

#[test]
fn without_a_subscription_there_is_no_plan_to_change() {
    given::<Subscription>(vec![]).when(change_to(free()).into()).then_expect_error(SubscriptionError::NotStarted);
}

#[test]
fn periods_are_counted_from_the_anchor() {
    let subscription = after::<Subscription>(vec![started(), upgraded()]);
    assert_eq!(subscription.plan, recruiter());
    assert_eq!(subscription.status, SubscriptionStatus::Active);
    assert_eq!(subscription.period(at("2026-04-14T09:26:52Z")), Ok(march()));
}

#[test]
fn without_a_subscription_there_is_no_period() {
    let subscription = Subscription::default();
    assert_eq!(subscription.period(march().start), Err(SubscriptionError::NotStarted));
}

fn free() -> PlanTerms {
    PlanTerms {
        code: "free".to_owned(),
        display_name: "Free".to_owned(),
        monthly_limit: Some(10),
        ..PlanTerms::default()
    }
}

fn recruiter() -> PlanTerms {
    PlanTerms {
        code: "recruiter".to_owned(),
        display_name: "Recruiter".to_owned(),
        monthly_limit: Some(100),
        ..PlanTerms::default()
    }
}

fn start() -> StartSubscription {
    StartSubscription { plan: free(), anchor: march().start }
}

fn started() -> SubscriptionEvent {
    SubscriptionEvent::SubscriptionStarted { plan: free(), anchor: march().start }
}

fn change_to(plan: PlanTerms) -> ChangePlan {
    ChangePlan { plan, reason: "asked".to_owned() }
}

fn upgraded() -> SubscriptionEvent {
    SubscriptionEvent::PlanChanged {
        from: "free".to_owned(),
        plan: recruiter(),
        reason: "asked".to_owned(),
        by_provider: false,
        declined: false,
    }
}
