//! From one paid plan to another, and out of it: upwards at once, downwards with the next period, and never a look at
//! what is used.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use starscreen_tests::Resume;

use super::{Shop, prices};

fn period_end(subscription: &Value) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(subscription["current_period_end"].as_i64().unwrap()).unwrap()
}

/// To the second, as Stripe has it.
fn time(value: &Value) -> i64 {
    value.as_str().unwrap().parse::<DateTime<Utc>>().unwrap().timestamp()
}

/// Totals of the customer's invoices by reason.
fn invoiced(shop: &Shop, customer: &str, reason: &str) -> Vec<i64> {
    let invoices = shop.stripe.invoices_of(customer);
    let of_reason = invoices.iter().filter(|invoice| invoice["billing_reason"] == reason);
    of_reason.map(|invoice| invoice["total"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn an_upgrade_is_in_force_at_once_and_its_invoice_resets_nothing() {
    let shop = Shop::open();
    let account = shop.subscriber("starter").await;
    let customer = shop.customer_of(&account);
    let job = account.ready_job().await;
    for _ in 0..2 {
        account.take_in(&job, &Resume::unique()).await;
    }
    account.until_used(2).await;

    let told = shop.change(&account, "SMALL_BUSINESS").await.expect(200).json();
    let expected = json!({ "message": "You are on the Small Business plan now.", "plan": "small_business",
        "monthly_candidate_limit": 250, "scheduled_change": null });
    assert_eq!(told, expected);
    let seen = shop.until(&account, |seen| seen["plan"] == "small_business").await;
    assert_eq!((&seen["monthly_candidate_limit"], &seen["remaining_candidates"]), (&json!(250), &json!(248)));
    shop.until_there(&account, |there| prices(there) == ["price_small"]).await;
    shop.settled().await;
    let proration = invoiced(&shop, &customer, "subscription_update");
    assert!(matches!(proration[..], [amount] if (1..=12_900).contains(&amount)), "one, for the rest: {proration:?}");

    // Neither that invoice nor the next period there begins a new one here, however often it is told.
    shop.stripe.advance_to(period_end(&seen) + TimeDelta::minutes(1));
    let told = shop.stripe.take_webhooks();
    assert!(told.iter().filter(|webhook| webhook.kind == "invoice.paid").count() >= 3, "{told:?}");
    for webhook in told.iter().chain(told.iter().rev()) {
        shop.send(webhook).await.expect(200);
    }
    shop.settled().await;
    let after = account.subscription().await;
    assert_eq!(after["candidates_used_this_month"], 2, "{after}");
    assert_eq!(after, seen);
    let refused = shop.change(&account, "small_business").await;
    assert_eq!(refused.problem(400, "invalid_plan"), "You are already on the Small Business plan");
}

#[tokio::test]
async fn an_upgrade_that_cannot_be_paid_is_not_in_force() {
    let shop = Shop::open();
    let account = shop.subscriber("starter").await;
    shop.settled().await;
    let before = account.subscription().await;
    shop.stripe.let_payments_fail(&shop.customer_of(&account), true);
    let change = async || {
        let call = account.post("subscriptions/upgrade").query("new_tier", "professional");
        call.key("one upgrade").send().await.problem(400, "payment_declined")
    };
    let sentence = "The payment for the Professional plan was declined. You stay on the Starter plan.";
    assert_eq!((change().await, change().await), (sentence.to_owned(), sentence.to_owned()));
    shop.deliver().await;
    shop.settled().await;
    assert_eq!(account.subscription().await, before);
    assert_eq!(prices(&shop.there(&account)), ["price_starter"]);
    let usage = account.get("subscriptions/usage").send().await.expect(200).json();
    assert_eq!(usage["limit"], 100, "{usage}");

    shop.stripe.let_payments_fail(&shop.customer_of(&account), false);
    assert_eq!(shop.change(&account, "professional").await.expect(200).json()["plan"], "professional");
    assert_eq!(prices(&shop.there(&account)), ["price_professional"]);
    assert_eq!(change().await, sentence, "that call is answered as it was");
}

#[tokio::test]
async fn a_downgrade_waits_for_the_next_period_and_can_be_taken_back() {
    let shop = Shop::open();
    let account = shop.subscriber("professional").await;
    let told = shop.change(&account, "starter").await.expect(200).json();
    assert_eq!((&told["plan"], &told["monthly_candidate_limit"]), (&json!("professional"), &json!(1_000)));
    let scheduled = told["scheduled_change"].clone();
    assert_eq!((&scheduled["new_plan"], &scheduled["new_limit"]), (&json!("starter"), &json!(100)));
    let seen = shop.until(&account, |seen| !seen["scheduled_change"].is_null()).await;
    assert_eq!((&seen["plan"], &seen["cancel_at_period_end"]), (&json!("professional"), &json!(false)));
    assert_eq!(time(&scheduled["effective_date"]), period_end(&seen).timestamp());
    assert_eq!(time(&seen["scheduled_change"]["effective_date"]), period_end(&seen).timestamp());
    let day = period_end(&seen).format("%-d %B %Y");
    assert_eq!(told["message"], format!("You stay on the Professional plan until {day}, then Starter begins."));
    shop.settled().await;
    assert_eq!(prices(&shop.there(&account)), ["price_starter"], "what is invoiced next");

    // What Stripe tells meanwhile takes nothing back.
    shop.stripe.set_status(&shop.subscription_of(&account), "past_due");
    shop.stripe.set_status(&shop.subscription_of(&account), "active");
    shop.deliver().await;
    shop.settled().await;
    assert_eq!(account.subscription().await["scheduled_change"], seen["scheduled_change"]);

    let told = shop.change(&account, "professional").await.expect(200).json();
    assert_eq!((&told["plan"], &told["scheduled_change"]), (&json!("professional"), &Value::Null));
    shop.until(&account, |seen| seen["scheduled_change"].is_null()).await;
    shop.settled().await;
    assert_eq!(prices(&shop.there(&account)), ["price_professional"]);
    let invoices = invoiced(&shop, &shop.customer_of(&account), "subscription_update");
    assert!(invoices.is_empty(), "what is paid for was neither given back nor charged again: {invoices:?}");
}

#[tokio::test]
async fn a_cancellation_ends_with_the_paid_time_and_the_free_plan_follows() {
    let shop = Shop::open();
    let account = shop.subscriber("starter").await;
    let before = account.subscription().await;
    let cancel = async || account.post("subscriptions/cancel").send().await.expect(200).json();
    let told = cancel().await;
    assert_eq!(told["cancel_at"], period_end(&before).timestamp());
    let day = period_end(&before).format("%-d %B %Y");
    let sentence = format!("Subscription will be canceled at the end of the paid period, on {day}");
    assert_eq!(told["message"], sentence);
    assert_eq!(cancel().await, told);
    let seen = shop.until(&account, |seen| seen["cancel_at_period_end"] == true).await;
    assert_eq!((&seen["plan"], &seen["scheduled_change"]["new_plan"]), (&json!("starter"), &json!("free")));
    shop.until_there(&account, |there| there["cancel_at_period_end"] == true).await;

    shop.change(&account, "starter").await.expect(200);
    shop.until_there(&account, |there| there["cancel_at_period_end"] == false).await;
    shop.until(&account, |seen| seen["cancel_at_period_end"] == false && seen["scheduled_change"].is_null()).await;

    cancel().await;
    shop.until_there(&account, |there| there["cancel_at_period_end"] == true).await;
    shop.settled().await;
    shop.stripe.advance_to(period_end(&before) + TimeDelta::minutes(1));
    assert_eq!(shop.there(&account)["status"], "canceled");
    shop.deliver().await;
    let seen = shop.until(&account, |seen| seen["plan"] == "free").await;
    assert_eq!((&seen["monthly_candidate_limit"], &seen["paid"]), (&json!(5), &json!(false)));
    assert_eq!((&seen["status"], &seen["scheduled_change"]), (&json!("active"), &Value::Null));
    let gone = account.post("subscriptions/cancel").send().await;
    assert_eq!(gone.problem(404, "not_found"), "No active subscription found");
}

#[tokio::test]
async fn whoever_comes_back_pays_as_the_same_customer_in_whatever_order_it_is_told() {
    let shop = Shop::open();
    let account = shop.subscriber("starter").await;
    let customer = shop.customer_of(&account);
    shop.deliver().await;
    shop.settled().await;
    let ended = shop.subscription_of(&account);
    shop.stripe.by_hand("DELETE", &format!("/v1/subscriptions/{ended}"), "");
    let deleted = shop.stripe.take_webhooks();
    shop.stripe.by_hand("POST", "/v1/subscriptions", &format!("customer={customer}&items[0][price]=price_small"));
    let created = shop.stripe.take_webhooks();
    for webhook in created.iter().chain(&deleted) {
        shop.send(webhook).await.expect(200);
    }
    shop.settled().await;
    let seen = shop.until(&account, |seen| seen["plan"] == "small_business").await;
    assert_eq!((&seen["status"], &seen["paid"]), (&json!("active"), &json!(true)));

    // The same by the product's own hand: gone, then ordered again.
    shop.stripe.by_hand("DELETE", &format!("/v1/subscriptions/{}", shop.subscription_of(&account)), "");
    let deleted = shop.stripe.take_webhooks();
    shop.send(&deleted[0]).await.expect(200);
    shop.until(&account, |seen| seen["plan"] == "free").await;
    let bought = shop.order(&account, "professional").await.expect(200).json();
    assert_eq!(bought["plan"], "professional");
    shop.send(&deleted[0]).await.expect(200);
    shop.deliver().await;
    shop.settled().await;
    let seen = account.subscription().await;
    assert_eq!((&seen["plan"], &seen["paid"]), (&json!("professional"), &json!(true)), "{seen}");
    assert_eq!(shop.customer_of(&account), customer);
}

#[tokio::test]
async fn a_preview_says_what_a_change_costs_and_changes_nothing() {
    let shop = Shop::open();
    let account = shop.subscriber("small_business").await;
    shop.settled().await;
    let before = (account.subscription().await, shop.there(&account));
    let preview = async |tier: &str| {
        let answer = account.get("subscriptions/preview").query("new_tier", tier).send().await;
        answer.expect(200).json()
    };
    let dearer = preview("professional").await;
    assert_eq!((&dearer["new_plan"], &dearer["new_limit"]), (&json!("professional"), &json!(1_000)));
    let due = dearer["amount_due"].as_i64().unwrap();
    assert!((1..=35_000).contains(&due) && dearer["currency"] == "usd", "{dearer}");
    let lines = dearer["lines"].as_array().unwrap();
    assert_eq!(lines.iter().map(|line| line["amount"].as_i64().unwrap()).sum::<i64>(), due, "{dearer}");
    let cheaper = preview("starter").await;
    assert_eq!((&cheaper["amount_due"], &cheaper["lines"]), (&json!(0), &json!([])));
    assert_eq!(time(&cheaper["effective_date"]), period_end(&before.0).timestamp());
    shop.settled().await;
    assert_eq!((account.subscription().await, shop.there(&account)), before);
}

#[tokio::test]
async fn what_is_changed_in_stripes_portal_follows_the_same_rules() {
    let shop = Shop::open();
    let account = shop.subscriber("professional").await;
    let subscription = shop.there(&account);
    let (id, item) = (subscription["id"].as_str().unwrap(), subscription["items"]["data"][0]["id"].as_str().unwrap());
    let change = async |price: &str| {
        let form = format!("items[0][id]={item}&items[0][price]={price}&proration_behavior=none");
        shop.stripe.by_hand("POST", &format!("/v1/subscriptions/{id}"), &form);
        shop.deliver().await;
        shop.settled().await;
        account.subscription().await
    };
    let seen = change("price_starter").await;
    assert_eq!((&seen["plan"], &seen["scheduled_change"]["new_plan"]), (&json!("professional"), &json!("starter")));
    let seen = change("price_professional").await;
    assert_eq!((&seen["plan"], &seen["scheduled_change"]), (&json!("professional"), &Value::Null), "taken back there");
    change("price_starter").await;
    let seen = change("price_small").await;
    assert_eq!(seen["scheduled_change"]["new_plan"], "small_business", "the last wish counts: {seen}");
    assert_eq!(prices(&shop.there(&account)), ["price_small"]);

    let end = async |cancel: bool| {
        shop.stripe.by_hand("POST", &format!("/v1/subscriptions/{id}"), &format!("cancel_at_period_end={cancel}"));
        shop.deliver().await;
        shop.settled().await;
        account.subscription().await
    };
    let seen = end(true).await;
    assert_eq!((&seen["plan"], &seen["cancel_at_period_end"]), (&json!("professional"), &json!(true)), "{seen}");
    assert_eq!(time(&seen["scheduled_change"]["effective_date"]), period_end(&seen).timestamp());
    let seen = end(false).await;
    assert_eq!((&seen["cancel_at_period_end"], &seen["scheduled_change"]), (&json!(false), &Value::Null));
    let is_ours = |call: &starscreen_tests::StripeCall| call.method == "POST" && call.path.ends_with(id);
    let ours: Vec<_> = shop.stripe.calls("/v1/subscriptions/").into_iter().filter(is_ours).collect();
    assert!(ours.is_empty(), "what was decided there is not decided again: {ours:?}");
}
