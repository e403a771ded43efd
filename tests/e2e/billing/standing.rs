//! Whoever does not pay: a time of grace, then nothing that costs something. Nobody is locked out for a word that this
//! version does not know.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use starscreen_tests::{Account, Answer, Resume};

use super::Shop;

async fn create_job(account: &Account) -> Answer {
    let body = json!({ "title": "Engineer", "description": "Builds services in Rust for a living" });
    account.post("jobs").json(&body).send().await
}

/// The renewal of the account's subscription fails.
async fn owes(shop: &Shop, account: &Account) -> Value {
    shop.stripe.let_payments_fail(&shop.customer_of(account), true);
    let end = shop.there(account)["items"]["data"][0]["current_period_end"].as_i64().unwrap();
    shop.stripe.advance_to(DateTime::from_timestamp(end + 1, 0).unwrap());
    shop.deliver().await;
    shop.until(account, |seen| seen["status"] == "past_due").await
}

#[tokio::test]
async fn an_invoice_that_is_not_paid_is_borne_for_a_time() {
    let shop = Shop::open();
    let account = shop.subscriber("starter").await;
    let job = account.ready_job().await;
    let before = Utc::now();
    let seen = owes(&shop, &account).await;
    let grace: DateTime<Utc> = seen["grace_until"].as_str().unwrap().parse().unwrap();
    assert!((before + TimeDelta::days(7)..=Utc::now() + TimeDelta::days(7)).contains(&grace), "{seen}");
    assert_eq!((&seen["plan"], &seen["monthly_candidate_limit"]), (&json!("starter"), &json!(100)));
    create_job(&account).await.expect(201);
    account.upload(&job, &Resume::unique()).send().await.expect(200);

    shop.stripe.let_payments_fail(&shop.customer_of(&account), false);
    shop.stripe.settle(&shop.customer_of(&account));
    shop.deliver().await;
    let seen = shop.until(&account, |seen| seen["status"] == "active").await;
    assert_eq!(seen["grace_until"], Value::Null);
}

#[tokio::test]
async fn whoever_owes_and_has_no_grace_left_gets_nothing_that_costs() {
    let shop = Shop::open_with(&[("STRIPE_GRACE_DAYS", "0")]);
    let account = shop.subscriber("starter").await;
    let job = account.ready_job().await;
    let candidate = account.take_in(&job, &Resume::unique()).await;
    account.until_candidate_is(&job, &candidate, "SCORED").await;
    owes(&shop, &account).await;
    let sentence = "Subscription is past_due. Please update your payment method.";
    for answer in [
        create_job(&account).await,
        account.upload(&job, &Resume::unique()).send().await,
        shop.change(&account, "professional").await,
    ] {
        assert_eq!(answer.problem(402, "payment_required"), sentence);
    }
    // What is there stays readable, and the way to pay stays open.
    account.candidate(&job, &candidate).await;
    account.post("subscriptions/portal").send().await.expect(200);
    assert_eq!(account.subscription().await["candidates_used_this_month"], 1);

    shop.stripe.let_payments_fail(&shop.customer_of(&account), false);
    shop.stripe.settle(&shop.customer_of(&account));
    shop.deliver().await;
    shop.until(&account, |seen| seen["status"] == "active").await;
    create_job(&account).await.expect(201);
    account.upload(&job, &Resume::unique()).send().await.expect(200);
}

#[tokio::test]
async fn every_status_of_stripes_is_taken_for_what_it_means() {
    let shop = Shop::open();
    let account = shop.subscriber("starter").await;
    let subscription = shop.subscription_of(&account);
    let stands = async |status: &str, shown: &str| {
        shop.stripe.set_status(&subscription, status);
        shop.deliver().await;
        let seen = shop.until(&account, |seen| seen["status"] == shown).await;
        assert_eq!(seen["plan"], "starter", "{status}: {seen}");
        create_job(&account).await
    };
    for status in ["unpaid", "paused"] {
        let sentence = stands(status, status).await.problem(402, "payment_required");
        assert_eq!(sentence, format!("Subscription is {status}. Please update your payment method."));
    }
    for (status, shown) in [("trialing", "trialing"), ("a_status_to_come", "unknown"), ("active", "active")] {
        stands(status, shown).await.expect(201);
    }
}
