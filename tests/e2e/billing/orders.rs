//! The network's way with webhooks: late, twice, in any order, while things go on changing. What is true in the end is
//! the same.

use std::collections::HashMap;

use futures::future::join_all;
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde_json::{Value, json};
use starscreen_tests::{Account, Backend, StripeServer, Webhook, seeded};

use super::Shop;

/// In groups that come one after the other; where all tests run again, the first is enough.
const GROUPS: usize = 5;
const TENANTS_A_GROUP: usize = 25;
/// Life cycles that each tenant goes through: 500 in all.
const LIVES: usize = 4;

/// What a life cycle does, in order. It begins and ends with somebody who pays for the professional plan.
#[derive(Clone, Copy)]
enum Step {
    /// The subscription that is there ends at once.
    End,
    Begin(&'static str),
    /// To another price, prorated and invoiced or not.
    Change(&'static str, &'static str),
    Status(&'static str),
    CancelAtPeriodEnd(bool),
}
use Step::{Begin, CancelAtPeriodEnd, Change, End, Status};

const LIFE: [Step; 13] = [
    End,
    Begin("price_starter"),
    Change("price_professional", "always_invoice"),
    Status("past_due"),
    Status("active"),
    CancelAtPeriodEnd(true),
    CancelAtPeriodEnd(false),
    Change("price_small", "none"),
    Change("price_professional", "none"),
    End,
    Begin("price_professional"),
    Status("paused"),
    Status("active"),
];
/// Webhooks that Stripe sends of it.
const TOLD: usize = 22;

fn take(stripe: &StripeServer, customer: &str, subscription: &mut String, step: Step) {
    let path = format!("/v1/subscriptions/{subscription}");
    match step {
        End => drop(stripe.by_hand("DELETE", &path, "")),
        Begin(price) => {
            let begun =
                stripe.by_hand("POST", "/v1/subscriptions", &format!("customer={customer}&items[0][price]={price}"));
            begun["id"].as_str().unwrap().clone_into(subscription);
        }
        Change(price, proration) => {
            let item = stripe.by_hand("GET", &path, "")["items"]["data"][0]["id"].clone();
            let form = format!(
                "items[0][id]={}&items[0][price]={price}&proration_behavior={proration}",
                item.as_str().unwrap()
            );
            stripe.by_hand("POST", &path, &form);
        }
        Status(status) => stripe.set_status(subscription, status),
        CancelAtPeriodEnd(cancel) => drop(stripe.by_hand("POST", &path, &format!("cancel_at_period_end={cancel}"))),
    }
}

/// Webhooks on their way, by customer.
#[derive(Default)]
struct Network(HashMap<String, Vec<Webhook>>);

impl Network {
    fn of(&mut self, customer: &str, stripe: &StripeServer) -> &mut Vec<Webhook> {
        for webhook in stripe.take_webhooks() {
            let object = webhook.object();
            let told = object["customer"].as_str().unwrap_or_default().to_owned();
            self.0.entry(told).or_default().push(webhook);
        }
        self.0.entry(customer.to_owned()).or_default()
    }
}

/// One life cycle of one tenant. Its webhooks come in an order of their own, some of them twice, some after all is over.
async fn live(shop: &Shop, network: &std::cell::RefCell<Network>, customer: &str, random: &mut StdRng) {
    let mut subscription = shop.stripe.subscriptions_of(customer)[0]["id"].as_str().unwrap().to_owned();
    let mut told = 0;
    let mut late = vec![];
    for step in LIFE {
        take(&shop.stripe, customer, &mut subscription, step);
        let new = std::mem::take(network.borrow_mut().of(customer, &shop.stripe));
        told += new.len();
        late.extend(new);
        late.shuffle(random);
        for _ in 0..random.random_range(0..3) {
            let Some(webhook) = late.pop() else { break };
            shop.send(&webhook).await.expect(200);
            if random.random_ratio(1, 4) {
                late.push(webhook);
            }
        }
    }
    assert_eq!(told, TOLD, "webhooks of a life cycle");
    late.shuffle(random);
    for webhook in late {
        shop.send(&webhook).await.expect(200);
        if random.random_ratio(1, 4) {
            shop.send(&webhook).await.expect(200);
        }
    }
}

fn without_time(mut seen: Value) -> Value {
    seen["current_period_end"] = Value::Null;
    seen
}

#[tokio::test]
async fn a_life_cycle_comes_to_one_end_in_whatever_order_it_is_told() {
    let shop = Shop::open();
    let mut random = seeded();
    let groups = if Backend::current() == Backend::Embedded { GROUPS } else { 1 };
    for _ in 0..groups {
        a_group_lives(&shop, &mut random).await;
    }
    // Nothing of it was answered by a wish of ours.
    let writes = |call: &starscreen_tests::StripeCall| call.method != "GET" && call.path.matches('/').count() > 2;
    let written: Vec<_> = shop.stripe.calls("/v1/subscriptions").into_iter().filter(writes).collect();
    assert!(written.is_empty(), "{written:?}");
}

async fn a_group_lives(shop: &Shop, random: &mut StdRng) {
    let accounts: Vec<Account> = join_all((0..TENANTS_A_GROUP).map(|_| shop.subscriber("professional"))).await;
    shop.settled().await;
    let customers: HashMap<String, String> = shop
        .stripe
        .customers()
        .into_iter()
        .map(|id| {
            let customer = shop.stripe.by_hand("GET", &format!("/v1/customers/{id}"), "");
            (customer["metadata"]["tenant_id"].as_str().unwrap().to_owned(), id)
        })
        .collect();
    shop.stripe.take_webhooks();
    let expected = without_time(accounts[0].subscription().await);
    assert_eq!((&expected["plan"], &expected["monthly_candidate_limit"]), (&json!("professional"), &json!(1_000)));
    for life in 0..LIVES {
        let network = std::cell::RefCell::new(Network::default());
        let mut randoms: Vec<StdRng> = accounts.iter().map(|_| StdRng::seed_from_u64(random.random())).collect();
        let all = accounts
            .iter()
            .zip(&mut randoms)
            .map(|(account, random)| live(shop, &network, &customers[&account.tenant().to_string()], random));
        join_all(all).await;
        shop.settled().await;
        for account in &accounts {
            let seen = without_time(account.subscription().await);
            assert_eq!(seen, expected, "tenant {} after life cycle {life}", account.tenant());
        }
    }
}
