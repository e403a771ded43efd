//! The same webhooks at two gateways at once, as Stripe sends them again: one effect.

use futures::future::join_all;
use serde_json::json;
use starscreen_tests::{AT_MOST, Account, Client, GOOD_CARD, StripeServer};

use super::{settings, signature, stripe};
use crate::apart::Apart;

async fn until_plan(account: &Account, plan: &str) {
    let look = async || match account.subscription().await {
        seen if seen["plan"] == plan => Ok(()),
        seen => Err(seen.to_string()),
    };
    account.log().until(&format!("the plan is {plan}"), look).await;
}

/// All webhooks that were not told yet, at both gateways at once and twice.
async fn tell_both(stripe: &StripeServer, clients: &[Client]) -> usize {
    let webhooks = stripe.take_webhooks();
    let sends = webhooks.iter().flat_map(|webhook| {
        clients.iter().chain(clients).map(|client| {
            let call = client.post("webhooks/stripe").header("stripe-signature", &signature(&webhook.body));
            call.body("application/json", webhook.body.clone()).send()
        })
    });
    for answer in join_all(sends).await {
        answer.expect(200);
    }
    webhooks.len()
}

#[tokio::test]
async fn a_webhook_that_two_gateways_get_at_once_counts_once() {
    let stripe = stripe();
    let base_url = stripe.base_url();
    let apart = Apart::new(&settings(&base_url));
    let _others = apart.run_all();
    let gateways = [apart.gateway(), apart.gateway()];
    let clients = gateways.each_ref().map(|gateway| apart.client(gateway));
    let account = clients[0].account().await;
    let at_both = clients.each_ref().map(|client| account.at(client));

    // Both take an order at once, too.
    let order = json!({ "tier": "starter", "payment_method_id": GOOD_CARD });
    let orders = at_both.each_ref().map(|account| account.post("subscriptions/create").json(&order).key("1").send());
    for bought in join_all(orders).await {
        assert_eq!(bought.expect(200).json()["plan"], "starter");
    }
    let customers = stripe.customers();
    let [customer] = &customers[..] else { panic!("one customer: {customers:?}") };
    let subscriptions = stripe.subscriptions_of(customer);
    let [subscription] = &subscriptions[..] else { panic!("one subscription: {subscriptions:?}") };
    let id = subscription["id"].as_str().unwrap().to_owned();
    let mut told = tell_both(&stripe, &clients).await;

    let item = subscription["items"]["data"][0]["id"].as_str().unwrap();
    let upgrade = format!("items[0][id]={item}&items[0][price]=price_small&proration_behavior=always_invoice");
    stripe.by_hand("POST", &format!("/v1/subscriptions/{id}"), &upgrade);
    told += tell_both(&stripe, &clients).await;
    until_plan(&at_both[1], "small_business").await;
    stripe.by_hand("DELETE", &format!("/v1/subscriptions/{id}"), "");
    told += tell_both(&stripe, &clients).await;
    until_plan(&at_both[0], "free").await;

    apart.settled_within(AT_MOST).await;
    let history = apart.events().all().await;
    let count = |name: &str| history.iter().filter(|stored| stored.event_type == name).count();
    assert_eq!((count("WebhookReceived"), count("WebhookSettled")), (told, told));
    assert_eq!(count("PlanChanged"), 3, "to starter, to small business, to free");
    assert_eq!((count("PlanOrdered"), count("CustomerLinked")), (1, 1));
}
