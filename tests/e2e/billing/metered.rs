//! A metered plan: what the ledger says, what the tenant sees and what Stripe's meter counts is one sum, whatever fails
//! on the way.

use chrono::{DateTime, TimeDelta, Utc};
use rand::{RngExt, seq::IndexedRandom};
use serde_json::{Value, json};
use starscreen_domain::{Event, usage::UsageEvent};
use starscreen_tests::{Account, Resume, StripeFault, seeded};

use super::{METER, Shop};

/// Included in the plan, as the shop's settings say.
const INCLUDED: i64 = 2;
const METER_EVENTS: &str = "/v1/billing/meter_events";

async fn usage(account: &Account) -> Value {
    account.get("subscriptions/usage").send().await.expect(200).json()
}

/// Quantities of the ledger's entries that are billed.
async fn ledger(shop: &Shop, account: &Account) -> Vec<i64> {
    let events = shop.app.events().of_tenant(account.tenant()).await;
    let mut quantities = vec![];
    for stored in events {
        if let Event::Usage(UsageEvent::OverageMetered { quantity, .. }) = stored.event {
            quantities.push(quantity);
        }
    }
    quantities
}

fn meter(shop: &Shop, account: &Account) -> i64 {
    let always = (Utc::now() - TimeDelta::days(365), Utc::now() + TimeDelta::days(365));
    shop.stripe.meter_total(METER, &shop.customer_of(account), always.0, always.1)
}

/// All three agree; answers what is billed.
async fn billed(shop: &Shop, account: &Account) -> i64 {
    shop.settled().await;
    let seen = usage(account).await;
    let entries: i64 = ledger(shop, account).await.iter().sum();
    let shown = seen["entries"].as_array().unwrap().iter().map(|entry| entry["metered"].as_i64().unwrap());
    assert_eq!(shown.sum::<i64>(), entries, "{seen}");
    assert_eq!(seen["metered"], entries, "{seen}");
    assert_eq!(meter(shop, account), entries, "Stripe's meter and the ledger: {seen}");
    // What is billed is what was committed or corrected beyond what is included; never less than nothing.
    let counted = seen["committed"].as_i64().unwrap() + seen["adjusted"].as_i64().unwrap();
    assert_eq!(entries, (counted - INCLUDED).max(0), "{seen}");
    entries
}

async fn score(account: &Account, job: &str, count: usize) {
    for _ in 0..count {
        let candidate = account.take_in(job, &Resume::unique()).await;
        account.until_candidate_is(job, &candidate, "SCORED").await;
    }
}

#[tokio::test]
async fn ledger_read_model_and_meter_are_one_sum_while_stripe_fails() {
    let shop = Shop::open();
    let account = shop.subscriber("enterprise").await;
    let job = account.ready_job().await;
    let mut random = seeded();
    let faults = [
        StripeFault::Busy(1),
        StripeFault::Status(500),
        StripeFault::Status(503),
        StripeFault::Cut,
        StripeFault::CutAfter,
        StripeFault::Page,
    ];
    let drawn: Vec<StripeFault> = (0..12).map(|_| faults.choose(&mut random).unwrap().clone()).collect();
    shop.stripe.fail(METER_EVENTS, &drawn);
    let mut taken = 0;
    for round in 0..24 {
        match random.random_range(0..8) {
            0 => {
                account.take_in(&job, &Resume::fixture("legacy.doc")).await;
                taken += 1;
            }
            1 => {
                let delta = random.random_range(1..4).to_string();
                let adjust = ["admin", "adjust-usage", &account.email, &delta, "--reason", "found later"];
                shop.app.operate(&adjust).succeeded();
            }
            2 if round > 12 => {
                let adjust = ["admin", "adjust-usage", &account.email, "-1", "--reason", "one was ours"];
                shop.app.operate(&adjust).succeeded();
            }
            _ => {
                account.take_in(&job, &Resume::unique()).await;
                taken += 1;
            }
        }
    }
    account.settled_candidates(&job, taken).await;
    let sum = billed(&shop, &account).await;
    assert!(sum > 0);
    let sent = shop.stripe.calls(METER_EVENTS).len();
    assert!(sent > ledger(&shop, &account).await.len(), "{sent} calls: some were repeated");
}

#[tokio::test]
async fn what_is_given_back_is_credited_and_nothing_beyond() {
    let shop = Shop::open();
    let account = shop.subscriber("enterprise").await;
    let job = account.ready_job().await;
    score(&account, &job, 4).await;
    assert_eq!(billed(&shop, &account).await, 2);
    let told = shop.app.operate(&["admin", "adjust-usage", &account.email, "-3", "--reason", "all ours"]);
    told.succeeded();
    assert_eq!(billed(&shop, &account).await, 0);
    score(&account, &job, 2).await;
    assert_eq!(billed(&shop, &account).await, 1);
    let current = account.subscription().await;
    assert_eq!((&current["monthly_candidate_limit"], &current["remaining_candidates"]), (&Value::Null, &Value::Null));
}

/// SIGKILL between the entry of the ledger and the event of the meter: before Stripe has it, and after, when only the
/// answer is lost.
#[tokio::test]
async fn an_entry_is_billed_once_though_everything_is_killed_on_the_way() {
    for fault in [StripeFault::Hang, StripeFault::CutAfter] {
        let shop = Shop::open();
        let account = shop.subscriber("enterprise").await;
        let job = account.ready_job().await;
        score(&account, &job, 2).await;
        shop.settled().await;
        let was_done = matches!(fault, StripeFault::CutAfter);
        shop.stripe.fail(METER_EVENTS, &[fault]);
        score(&account, &job, 1).await;
        let look = async || match shop.stripe.calls(METER_EVENTS).len() {
            0 => Err("no call".to_owned()),
            _ => Ok(()),
        };
        shop.app.log().until("the meter is called", look).await;
        shop.app.kill();
        assert_eq!(meter(&shop, &account), i64::from(was_done));
        shop.app.start_again();
        // The lease of the item that was in hand has to end first.
        let look = async || shop.app.unfinished().await;
        shop.app.log().until_at_most(std::time::Duration::from_mins(2), "what was left is done", look).await;
        assert_eq!(ledger(&shop, &account).await, [1]);
        assert_eq!(billed(&shop, &account).await, 1);
        let calls = shop.stripe.calls(METER_EVENTS);
        assert!(calls.len() > 1, "it was tried again");
        let same = |name: &str| calls.iter().all(|call| call.form[name] == calls[0].form[name]);
        assert!(same("identifier") && same("timestamp"), "{calls:?}");
    }
}

#[tokio::test]
async fn while_stripe_is_down_everything_goes_on_and_is_billed_after() {
    let shop = Shop::open();
    let account = shop.subscriber("enterprise").await;
    let job = account.ready_job().await;
    shop.settled().await;
    let before = Utc::now() - TimeDelta::seconds(1);
    shop.stripe.go_down();
    score(&account, &job, 5).await;
    let told = shop.change(&account, "professional").await.expect(200).json();
    assert_eq!(told["scheduled_change"]["new_plan"], "professional", "decided, though Stripe cannot be told: {told}");
    shop.change(&account, "enterprise").await.expect(200);
    let portal = account.post("subscriptions/portal").send().await.problem(503, "unavailable");
    assert!(portal.contains("does not answer right now"), "{portal}");
    assert_eq!(ledger(&shop, &account).await.iter().sum::<i64>(), 3);
    shop.stripe.come_back();
    assert_eq!(billed(&shop, &account).await, 3);
    let at = |call: &starscreen_tests::StripeCall| -> DateTime<Utc> {
        DateTime::from_timestamp(call.form["timestamp"].as_str().unwrap().parse().unwrap(), 0).unwrap()
    };
    let calls = shop.stripe.calls(METER_EVENTS);
    assert!(calls.iter().all(|call| at(call) >= before && at(call) <= call.at), "billed for when it was used");
    let created = json!({ "title": "Engineer", "description": "Builds services in Rust for a living" });
    account.post("jobs").json(&created).send().await.expect(201);
}
