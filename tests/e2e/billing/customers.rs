//! Which customer of Stripe's a tenant is, when that one is deleted there and another takes its place.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use starscreen_tests::{Account, Answer, GOOD_CARD, Resume};

use super::{METER, Shop, prices};

const GONE: &str = "Your customer account was deleted at the payment provider. Please ask the operator of this server to \
                    link a new one; until then nothing can be paid or changed there.";

/// A customer that somebody made at Stripe, with a card.
fn made_there(shop: &Shop) -> String {
    let customer = shop.stripe.by_hand("POST", "/v1/customers", "")["id"].as_str().unwrap().to_owned();
    let attach = format!("/v1/payment_methods/{GOOD_CARD}/attach");
    let method = shop.stripe.by_hand("POST", &attach, &format!("customer={customer}"))["id"].clone();
    let default = format!("invoice_settings[default_payment_method]={}", method.as_str().unwrap());
    shop.stripe.by_hand("POST", &format!("/v1/customers/{customer}"), &default);
    customer
}

async fn everything_that_is_paid_for(shop: &Shop, account: &Account) -> Vec<Answer> {
    vec![
        shop.order(account, "starter").await,
        account.post("subscriptions/checkout").json(&json!({ "tier": "starter" })).send().await,
        account.post("subscriptions/portal").send().await,
    ]
}

fn replace(shop: &Shop, account: &Account, customer: &str) -> starscreen_tests::Ended {
    let verb = ["admin", "link-customer", &account.email, customer, "--replace", "--reason", "deleted by mistake"];
    shop.app.operate(&verb)
}

fn reconciled(shop: &Shop, account: &Account) -> Value {
    let ended = shop.app.operate(&["billing", "reconcile", &account.email, "--json"]);
    serde_json::from_str::<Value>(&ended.stdout).unwrap_or_else(|_| panic!("{}", ended.stderr))["tenants"][0].take()
}

#[tokio::test]
async fn whose_customer_is_deleted_is_told_so_and_goes_on_with_another() {
    let shop = Shop::open();
    shop.let_operators_in();
    let account = shop.subscriber("starter").await;
    shop.deliver().await;
    shop.settled().await;
    let former = shop.customer_of(&account);
    shop.stripe.by_hand("DELETE", &format!("/v1/customers/{former}"), "");
    let told = shop.stripe.take_webhooks();
    let seen = reconciled(&shop, &account);
    let fault = seen["faults"][0].as_str().unwrap_or_default();
    assert!(fault.starts_with(&format!("{former} is deleted")) && fault.contains("link-customer"), "{seen}");
    assert_eq!((&seen["verdict"], &seen["customer_is_gone"]), (&json!("drift"), &json!(true)), "{seen}");

    for webhook in &told {
        shop.send(webhook).await.expect(200);
    }
    shop.until(&account, |seen| seen["plan"] == "free").await;
    shop.settled().await;
    for answer in everything_that_is_paid_for(&shop, &account).await {
        assert_eq!(answer.problem(409, "conflict"), GONE);
    }
    shop.settled().await;
    let seen = reconciled(&shop, &account);
    assert_eq!((&seen["verdict"], &seen["customer_is_gone"]), (&json!("ok"), &json!(true)), "nothing is paid: {seen}");

    let customer = made_there(&shop);
    let refused = shop.app.operate(&["admin", "link-customer", &account.email, &customer]).refused();
    assert!(refused.contains("another customer of the payment provider is linked already"), "{refused}");
    for wrong in [vec!["--replace"], vec!["--reason", "why"]] {
        let verb = [&["admin", "link-customer", account.email.as_str(), customer.as_str()], &wrong[..]].concat();
        assert!(!shop.app.operate(&verb).status.success(), "{wrong:?}");
    }
    let refused = replace(&shop, &account, "cus_unknown").refused();
    assert!(refused.contains("Stripe does not have cus_unknown"), "{refused}");
    let said = replace(&shop, &account, &customer).succeeded().stdout;
    assert!(said.contains(&format!("{customer} is linked in the place of {former}")), "{said}");
    let refused = shop.app.operate(&["admin", "link-customer", &account.email, &former]).refused();
    assert!(refused.contains(&format!("{customer} took the place of {former}")), "{refused}");
    shop.settled().await;

    for answer in everything_that_is_paid_for(&shop, &account).await.into_iter().filter(|answer| answer.status != 409) {
        answer.expect(200);
    }
    shop.until(&account, |seen| seen["plan"] == "starter").await;
    assert_eq!(prices(&shop.stripe.subscriptions_of(&customer)[0]), ["price_starter"]);
    // What is told of the former one concerns the tenant, and takes nothing away.
    for mut webhook in told {
        webhook.body = webhook.body.replace(&webhook.id, &format!("{}_again", webhook.id));
        shop.send(&webhook).await.expect(200);
    }
    shop.settled().await;
    assert_eq!(account.subscription().await["plan"], "starter");
    let events = shop.app.events().all().await;
    let of_type = |name: &str| events.iter().filter(|event| event.event_type == name).count();
    assert_eq!((of_type("CustomerReplaced"), of_type("CustomerClaimed"), of_type("WebhookGivenUp")), (1, 2, 0));
    let seen = reconciled(&shop, &account);
    assert_eq!((&seen["verdict"], &seen["customer"]), (&json!("ok"), &json!(customer)), "{seen}");
}

/// Stripe is not bound to tell what a deleted customer had.
#[tokio::test]
async fn what_was_used_before_a_customer_was_deleted_is_billed_to_the_next_one() {
    let shop = Shop::open();
    shop.let_operators_in();
    shop.stripe.forget_deleted(true);
    let account = shop.subscriber("enterprise").await;
    let former = shop.customer_of(&account);
    let job = account.ready_job().await;
    shop.settled().await;
    shop.stripe.by_hand("DELETE", &format!("/v1/customers/{former}"), "");
    shop.stripe.take_webhooks();
    for _ in 0..3 {
        let candidate = account.take_in(&job, &Resume::unique()).await;
        account.until_candidate_is(&job, &candidate, "SCORED").await;
    }
    let look = async || {
        shop.app.events().hurry("billing").await;
        shop.app.unfinished().await
    };
    shop.app.log().until_at_most(Duration::from_mins(2), "the third candidate is given up", look).await;
    let dead = shop.app.operate(&["queue", "dead", "billing", "--json"]).succeeded().stdout;
    let dead: Value = serde_json::from_str(&dead).unwrap();
    assert_eq!((dead.as_array().unwrap().len(), &dead[0]["code"]), (1, &json!("metering_declined")), "{dead}");
    let entry = dead[0]["subject"].as_str().unwrap();

    let customer = made_there(&shop);
    let refused = replace(&shop, &account, &customer).refused();
    assert!(refused.contains("that is asked for now, so try again in a moment"), "{refused}");
    shop.until(&account, |seen| seen["plan"] == "free").await;
    shop.settled().await;
    replace(&shop, &account, &customer).succeeded();
    shop.app.operate(&["queue", "redrive", "billing"]).succeeded();
    shop.settled().await;
    let calls = shop.stripe.calls("/v1/billing/meter_events");
    let identifiers: Vec<_> = calls.iter().map(|call| call.form["identifier"].as_str().unwrap()).collect();
    assert_eq!(identifiers, [entry; 7], "it is one entry");
    let billed: Vec<_> = calls.iter().map(|call| &call.form["payload"]["stripe_customer_id"]).collect();
    assert_eq!((billed[0], billed[6]), (&json!(former), &json!(customer)));
    let seen = reconciled(&shop, &account);
    assert_eq!((&seen["verdict"], &seen["customer"]), (&json!("ok"), &json!(customer)), "{seen}");
}

#[tokio::test]
async fn a_customer_that_still_pays_is_not_replaced() {
    let shop = Shop::open();
    shop.let_operators_in();
    let account = shop.subscriber("starter").await;
    let (former, customer) = (shop.customer_of(&account), made_there(&shop));
    let subscription = shop.subscription_of(&account);
    let refused = replace(&shop, &account, &customer).refused();
    assert!(refused.contains(&format!("{former} still pays for {subscription}")), "{refused}");

    // Over there, and nothing was told of it.
    shop.stripe.by_hand("DELETE", &format!("/v1/subscriptions/{subscription}"), "");
    shop.stripe.take_webhooks();
    let refused = replace(&shop, &account, &customer).refused();
    assert!(refused.contains("that is asked for now, so try again in a moment"), "{refused}");
    shop.until(&account, |seen| seen["plan"] == "free").await;
    shop.settled().await;
    replace(&shop, &account, &customer).succeeded();
    let other = shop.app.client().account().await;
    let refused = replace(&shop, &other, &former).refused();
    assert!(refused.contains("belongs to another tenant"), "{refused}");
}

#[tokio::test]
async fn what_a_former_customer_buys_is_its_tenants() {
    let shop = Shop::open();
    shop.let_operators_in();
    let account = shop.app.client().account().await;
    account.post("subscriptions/checkout").json(&json!({ "tier": "starter" })).send().await.expect(200);
    let (former, customer) = (shop.customer_of(&account), made_there(&shop));
    replace(&shop, &account, &customer).succeeded();
    shop.settled().await;
    let open = shop.stripe.by_hand("GET", "/v1/checkout/sessions", "status=open");
    assert_eq!(open["data"], json!([]), "it is not paid by the former one");

    let attach = format!("/v1/payment_methods/{GOOD_CARD}/attach");
    let method = shop.stripe.by_hand("POST", &attach, &format!("customer={former}"))["id"].clone();
    let form =
        format!("customer={former}&items[0][price]=price_starter&default_payment_method={}", method.as_str().unwrap());
    shop.stripe.by_hand("POST", "/v1/subscriptions", &form);
    shop.deliver().await;
    shop.until(&account, |seen| seen["plan"] == "starter").await;
    shop.settled().await;
    shop.change(&account, "enterprise").await.expect(200);
    assert_eq!(prices(&shop.stripe.subscriptions_of(&former)[0]), ["price_enterprise", "price_usage"]);
    assert!(shop.stripe.subscriptions_of(&customer).is_empty());

    // Two candidates are included; what is over them is on the invoice of whoever pays, and so are the pages.
    let job = account.ready_job().await;
    for _ in 0..3 {
        let candidate = account.take_in(&job, &Resume::unique()).await;
        account.until_candidate_is(&job, &candidate, "SCORED").await;
    }
    shop.settled().await;
    let always = (Utc::now() - TimeDelta::days(365), Utc::now() + TimeDelta::days(365));
    let metered = |customer: &str| shop.stripe.meter_total(METER, customer, always.0, always.1);
    assert_eq!((metered(&former), metered(&customer)), (1, 0));
    account.post("subscriptions/portal").send().await.expect(200);
    let portal = shop.stripe.calls("/v1/billing_portal/sessions").pop().unwrap();
    assert!(format!("{portal:?}").contains(&former), "{portal:?}");
    assert_eq!(reconciled(&shop, &account)["verdict"], "ok");
}
