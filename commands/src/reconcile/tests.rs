use starscreen_domain::subscription::{Price, SubscriptionStatus};

use super::*;
use crate::{
    catalog::Offer,
    ports::{PaidItem, Prices},
};

fn at(text: &str) -> DateTime<Utc> {
    format!("2026-03-{text}Z").parse().unwrap()
}

fn entry(id: u128, quantity: i64, time: &str) -> Entry {
    Entry { id: EventId(Uuid::from_u128(id)), quantity, at: at(time), recorded_at: at(time), given_up: false }
}

fn unsent(ids: &[u128]) -> BTreeMap<Uuid, Task> {
    let task = |id: &u128| (Uuid::from_u128(*id), Task::MeterOverage { quantity: 1, at: at("01T00:00:00") });
    ids.iter().map(task).collect()
}

const NOW: &str = "20T12:00:00";

fn compared(entries: &[Entry], waiting: &[u128], theirs: i64) -> (i64, Verdict) {
    let window = (at("01T08:30:00"), at("31T08:30:00"));
    let found = compare(entries, &unsent(waiting), window, theirs, at(NOW));
    (found.ours, found.verdict)
}

#[test]
fn usage_that_both_have_is_well_and_any_other_is_drift() {
    let entries = [entry(1, 3, "02T00:00:00"), entry(2, -1, "03T00:00:00")];
    assert_eq!(compared(&entries, &[], 2), (2, Verdict::Ok));
    for theirs in [0, 1, 3, 4, -2] {
        assert_eq!(compared(&entries, &[], theirs), (2, Verdict::Drift), "{theirs}");
    }
    assert_eq!(compared(&[], &[], 0), (0, Verdict::Ok));
    assert_eq!(compared(&[], &[], 1), (0, Verdict::Drift));
}

#[test]
fn what_is_not_sent_yet_may_be_there_or_not_and_nothing_else() {
    let entries = [entry(1, 3, "02T00:00:00"), entry(2, 2, "03T00:00:00"), entry(3, -1, "04T00:00:00")];
    for theirs in 2..=5 {
        assert_eq!(compared(&entries, &[2, 3], theirs), (4, Verdict::OnItsWay), "{theirs}");
    }
    for theirs in [1, 6] {
        assert_eq!(compared(&entries, &[2, 3], theirs), (4, Verdict::Drift), "{theirs}");
    }
    assert_eq!(compared(&entries, &[9], 3), (4, Verdict::Drift), "what waits is no entry of this period");
}

#[test]
fn what_was_given_up_is_told_and_drift_until_the_provider_has_it() {
    let refused = Entry { given_up: true, ..entry(2, 2, "20T11:59:00") };
    let entries = [entry(1, 3, "02T00:00:00"), refused];
    let window = (at("01T08:30:00"), at("31T08:30:00"));
    for (theirs, verdict) in [(3, Verdict::Drift), (5, Verdict::Ok)] {
        let found = compare(&entries, &unsent(&[]), window, theirs, at(NOW));
        assert_eq!((found.verdict, found.given_up, found.given_up_quantity), (verdict, 1, 2));
    }
    let young = [refused, entry(3, 3, "20T11:59:00")];
    assert_eq!(compared(&young, &[], 3).1, Verdict::Drift, "whatever may still be counted");
}

#[test]
fn what_is_young_may_not_be_counted_yet() {
    let entries = [entry(1, 3, "02T00:00:00"), entry(2, 2, "20T11:50:01")];
    assert_eq!(compared(&entries, &[], 3), (5, Verdict::OnItsWay));
    assert_eq!(compared(&entries, &[], 5), (5, Verdict::Ok));
    assert_eq!(compared(&entries, &[], 2), (5, Verdict::Drift));
    let older = [entry(1, 3, "02T00:00:00"), entry(2, 2, "20T11:50:00")];
    assert_eq!(compared(&older, &[], 3), (5, Verdict::Drift));
}

#[test]
fn an_entry_counts_in_the_minutes_that_it_was_made_in() {
    let entries = [
        entry(1, 1, "01T08:29:59"),
        entry(2, 10, "01T08:30:00"),
        entry(3, 100, "31T08:29:59"),
        entry(4, 1_000, "31T08:30:00"),
    ];
    assert_eq!(compared(&entries, &[], 110), (110, Verdict::Ok));
}

fn subscription(id: &str, price: &str, status: &str) -> PaidSubscription {
    PaidSubscription {
        id: id.to_owned(),
        customer: "cus_1".to_owned(),
        status: status.to_owned(),
        items: vec![PaidItem { id: "si_1".to_owned(), price: price.to_owned(), metered: false }],
        cancel_at_period_end: false,
        period_end: Some(at("31T00:00:00")),
        created: at("01T00:00:00"),
    }
}

fn plan(code: &str, included: Option<u32>) -> PlanTerms {
    PlanTerms { code: code.to_owned(), included, ..PlanTerms::default() }
}

fn catalog() -> Catalog {
    let offer = |code: &str| Offer {
        terms: PlanTerms {
            price: Some(Price {
                amount: 100,
                currency: "usd".to_owned(),
                interval: starscreen_domain::subscription::Interval::Monthly,
                overage: None,
            }),
            ..plan(code, None)
        },
        prices: Some(Prices { base: format!("price_{code}"), usage: None }),
    };
    Catalog { offers: vec![offer("small"), offer("large")], grace: TimeDelta::days(7) }
}

fn here(plan: PlanTerms, paid: Option<&PaidSubscription>) -> Subscription {
    let paid = paid.and_then(|paid| Said::new(0, std::slice::from_ref(paid), &catalog()).paid);
    Subscription { plan, paid, status: SubscriptionStatus::Active, ..Subscription::default() }
}

fn told(ours: &Subscription, theirs: &[PaidSubscription]) -> Vec<String> {
    differences(ours, theirs, &catalog())
}

#[test]
fn a_subscription_that_is_known_as_it_is_does_not_differ() {
    let small = subscription("sub_1", "price_small", "active");
    let ours = here(plan("small", None), Some(&small));
    assert_eq!(told(&ours, std::slice::from_ref(&small)), [""; 0]);
    let ended = subscription("sub_0", "price_large", "canceled");
    assert_eq!(told(&ours, &[small, ended.clone()]), [""; 0]);
    assert_eq!(told(&here(plan("free", None), None), &[ended]), [""; 0]);
    let former = subscription("sub_1", "price_former", "active");
    assert_eq!(told(&here(plan("small", None), Some(&former)), &[former]), [""; 0], "prices go out of sale");
}

#[test]
fn of_several_that_are_paid_the_larger_plan_counts_and_the_others_are_named() {
    let (small, large) = (("price_small", 5), ("price_large", 50));
    let mut catalog = catalog();
    for (offer, (_, limit)) in catalog.offers.iter_mut().zip([small, large]) {
        offer.terms.monthly_limit = Some(limit);
    }
    let first = subscription("sub_1", "price_large", "active");
    let second = PaidSubscription { created: at("02T00:00:00"), ..subscription("sub_2", "price_small", "active") };
    let over = subscription("sub_3", "price_large", "canceled");
    let all = [second.clone(), first.clone(), over.clone()];
    assert_eq!(Said::new(0, &all, &catalog).paid.unwrap().id, "sub_1");
    let told = paid_twice("cus_1", &all, &catalog).unwrap();
    assert!(told.starts_with("cus_1 pays for 2 subscriptions there: sub_1 counts here; cancel sub_2 at"), "{told}");
    assert_eq!(paid_twice("cus_1", &[first.clone(), over.clone()], &catalog), None);
    assert_eq!(paid_twice("cus_1", &[over], &catalog), None);
    let owed = PaidSubscription { status: "past_due".to_owned(), ..first };
    assert_eq!(Said::new(0, &[owed, second], &catalog).paid.unwrap().id, "sub_2", "what is paid before what is owed");
    let checked = TenantChecked {
        waiting: 1,
        faults: vec![String::new()],
        differences: vec![String::new()],
        ..TenantChecked::of(TenantId::default())
    };
    assert_eq!(checked.verdict(), Verdict::Drift, "no notice heals it");
}

#[test]
fn every_difference_is_named() {
    let small = subscription("sub_1", "price_small", "active");
    let ours = || here(plan("small", None), Some(&small));
    assert_eq!(told(&ours(), &[]), ["sub_1 is active here, and there is none there"]);
    assert_eq!(
        told(&here(plan("small", None), None), std::slice::from_ref(&small)),
        ["sub_1 is active there, and none is known here"]
    );
    let canceled = subscription("sub_1", "price_small", "canceled");
    assert_eq!(told(&ours(), &[canceled]), ["sub_1 is active here, and there is none there"]);
    let mut there = subscription("sub_1", "price_large", "past_due");
    there.cancel_at_period_end = true;
    there.period_end = None;
    assert_eq!(
        told(&ours(), &[there]),
        [
            "its status is active here, past_due there",
            "its price is price_small here, price_large there",
            "its end with the paid time is false here, true there",
            "the end of the paid time is 2026-03-31T00:00:00+00:00 here, no time there",
            "the plan is small here, large is paid for there",
        ]
    );
    let metered = here(plan("small", Some(3)), Some(&small));
    assert_eq!(
        told(&metered, std::slice::from_ref(&small)),
        ["the plan small is metered, and nothing is metered by sub_1 there"]
    );
    let former = subscription("sub_1", "price_former", "active");
    let free = here(plan("free", None), Some(&former));
    assert_eq!(told(&free, &[former]), ["the plan is free here, and something is paid for there"]);
}
