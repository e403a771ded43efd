//! How a tenant comes to a plan: by a card, or on Stripe's page. Nothing is in force that is not paid for.

use serde_json::{Value, json};
use starscreen_tests::{Account, Answer, DECLINED_CARD, FAILING_CARD, GOOD_CARD, Resume, TestApp};

use super::{Shop, prices};
use crate::product_binary;

#[tokio::test]
async fn a_card_buys_a_plan_whose_limit_is_in_force_at_once() {
    let shop = Shop::open();
    let account = shop.app.client().account().await;
    let job = account.ready_job().await;
    for _ in 0..5 {
        let candidate = account.take_in(&job, &Resume::unique()).await;
        account.until_candidate_is(&job, &candidate, "SCORED").await;
    }
    account.upload(&job, &Resume::unique()).send().await.problem(402, "quota_exhausted");

    let answer = shop.order(&account, "Starter").await.expect(200);
    let bought = answer.json();
    let there = shop.there(&account);
    if answer.header("starscreen-read-model").is_empty() {
        let seen = account.subscription().await;
        assert_eq!((&seen["plan"], &seen["monthly_candidate_limit"]), (&json!("starter"), &json!(100)), "at once");
    }
    let expected = json!({ "subscription_id": there["id"], "status": "active", "plan": "starter",
        "monthly_candidate_limit": 100 });
    assert_eq!(bought, expected);
    assert_eq!(prices(&there), ["price_starter"]);
    account.take_in(&job, &Resume::unique()).await;

    let seen = account.until_used(6).await;
    for (name, value) in [
        ("plan", json!("starter")),
        ("plan_display", json!("Starter")),
        ("status", json!("active")),
        ("monthly_candidate_limit", json!(100)),
        ("candidates_used_this_month", json!(6)),
        ("remaining_candidates", json!(94)),
        ("usage_percentage", json!(6.0)),
        ("cancel_at_period_end", json!(false)),
        ("scheduled_change", Value::Null),
        ("grace_until", Value::Null),
        ("paid", json!(true)),
    ] {
        assert_eq!(seen[name], value, "{name} of {seen}");
    }
    let usage = account.get("subscriptions/usage").send().await.expect(200).json();
    assert_eq!((&usage["limit"], &usage["used"], &usage["plan"]), (&json!(100), &json!(6), &json!("starter")));
    // What is paid there ends when the billing period here does.
    let end = there["items"]["data"][0]["current_period_end"].as_i64().unwrap();
    assert_eq!(seen["current_period_end"].as_i64().unwrap() / 1_000, end);

    shop.deliver().await;
    shop.settled().await;
    assert_eq!(account.subscription().await, seen, "webhooks tell nothing new");
    let mail = shop.stripe.by_hand("GET", &format!("/v1/customers/{}", shop.customer_of(&account)), "");
    assert_eq!(mail["email"], account.email);
}

#[tokio::test]
async fn a_card_that_is_declined_buys_nothing_and_says_why() {
    let shop = Shop::open();
    let account = shop.app.client().account().await;
    for card in [DECLINED_CARD, FAILING_CARD] {
        let order = json!({ "tier": "starter", "payment_method_id": card });
        let answer = account.post("subscriptions/create").json(&order).send().await;
        assert_eq!(answer.problem(400, "payment_declined"), "Your card was declined.", "{card}");
    }
    let unknown = json!({ "tier": "starter", "payment_method_id": "pm_unknown" });
    let answer = account.post("subscriptions/create").json(&unknown).send().await;
    assert!(!answer.problem(400, "payment_declined").is_empty(), "{}", answer.text());
    shop.settled().await;
    let seen = account.subscription().await;
    assert_eq!((&seen["plan"], &seen["monthly_candidate_limit"]), (&json!("free"), &json!(5)));
    assert_eq!((&seen["status"], &seen["paid"]), (&json!("active"), &json!(false)));

    let bought = shop.order(&account, "starter").await.expect(200).json();
    assert_eq!(bought["plan"], "starter", "another card is another try");
    assert_eq!(shop.stripe.subscriptions_of(&shop.customer_of(&account)).len(), 1);
}

#[tokio::test]
async fn an_order_is_one_however_often_it_is_sent() {
    let shop = Shop::open();
    let account = shop.app.client().account().await;
    let order = json!({ "tier": "starter", "payment_method_id": GOOD_CARD });
    let send = || account.post("subscriptions/create").json(&order).key("one order").send();
    let (first, second) = tokio::join!(send(), send());
    let (first, second) = (first.expect(200).json(), second.expect(200).json());
    assert_eq!(first, second);
    assert_eq!(send().await.expect(200).json(), first);

    let other = shop.app.client().account().await;
    let send = || other.post("subscriptions/create").json(&order).send();
    let (first, second) = tokio::join!(send(), send());
    let mut statuses = [first.status, second.status];
    statuses.sort_unstable();
    assert!([[200, 200], [200, 409]].contains(&statuses), "{} {}", first.text(), second.text());
    shop.settled().await;
    for account in [account, other] {
        assert_eq!(shop.stripe.subscriptions_of(&shop.customer_of(&account)).len(), 1);
        assert_eq!(shop.stripe.invoices_of(&shop.customer_of(&account)).len(), 1);
    }
}

#[tokio::test]
async fn plans_that_are_not_there_are_refused_in_the_former_words() {
    let shop = Shop::open();
    let account = shop.app.client().account().await;
    let create = |body: Value| account.post("subscriptions/create").json(&body);
    let card = GOOD_CARD;
    for (call, sentence) in [
        (create(json!({ "tier": "gold", "payment_method_id": card })), "Invalid tier: gold"),
        (create(json!({ "tier": "free", "payment_method_id": card })), "The Free plan cannot be bought."),
        (
            create(json!({ "tier": "professional", "billing_period": "annual", "payment_method_id": card })),
            "The professional plan is not offered by the year",
        ),
        (account.post("subscriptions/checkout").json(&json!({ "tier": "gold" })), "Invalid tier: gold"),
        (account.post("subscriptions/upgrade").query("new_tier", "gold"), "Invalid tier: gold"),
        (account.post("subscriptions/upgrade").query("new_tier", "FREE"), "You are already on the Free plan"),
        (account.get("subscriptions/preview").query("new_tier", "gold"), "Invalid tier: gold"),
    ] {
        assert_eq!(call.send().await.problem(400, "invalid_plan"), sentence);
    }
    for (call, sentence) in [
        (account.post("subscriptions/portal"), "No subscription found. Please subscribe first."),
        (account.post("subscriptions/cancel"), "No active subscription found"),
        (account.post("subscriptions/upgrade").query("new_tier", "starter"), "No active subscription found"),
        (account.get("subscriptions/preview").query("new_tier", "starter"), "No active subscription found"),
    ] {
        assert_eq!(call.send().await.problem(404, "not_found"), sentence);
    }
    create(json!({ "tier": "starter" })).send().await.problem(422, "invalid_request");
    account.post("subscriptions/upgrade").send().await.problem(422, "invalid_request");
    assert!(shop.stripe.calls("/v1/subscriptions").is_empty(), "Stripe was not asked");
}

#[tokio::test]
async fn plans_are_for_everybody_to_see_and_priced_as_they_are_set() {
    let shop = Shop::open_with(&[
        ("STARSCREEN_PLANS_STARTER_PRICE", "25.50"),
        ("STARSCREEN_PLANS_STARTER_PRICE_ANNUAL", "240.00"),
        ("STARSCREEN_PLANS_INTERNAL_DISPLAY_NAME", "By agreement"),
        ("STARSCREEN_PLANS_INTERNAL_MONTHLY_LIMIT", "7"),
    ]);
    let plans = shop.app.client().get("subscriptions/plans").send().await.expect(200).json();
    let codes: Vec<&str> = plans.as_array().unwrap().iter().map(|plan| plan["plan"].as_str().unwrap()).collect();
    assert_eq!(codes, ["free", "internal", "starter", "small_business", "professional", "enterprise"]);
    let expected = json!({ "plan": "starter", "plan_display": "Starter", "monthly_candidate_limit": 100,
        "included_candidates": null, "currency": "usd", "price_monthly": 2_550, "price_annual": 24_000,
        "overage_price": null, "purchasable": true });
    assert_eq!(plans[2], expected);
    let enterprise = &plans[5];
    assert_eq!((&enterprise["monthly_candidate_limit"], &enterprise["included_candidates"]), (&Value::Null, &json!(2)));
    assert_eq!((&enterprise["overage_price"], &enterprise["purchasable"]), (&json!(50), &json!(true)));
    assert_eq!((&plans[1]["purchasable"], &plans[0]["purchasable"]), (&json!(false), &json!(false)));
}

#[tokio::test]
async fn a_plan_that_is_paid_on_stripes_page_comes_with_the_webhook() {
    let shop = Shop::open();
    let account = shop.app.client().account().await;
    let checkout = async || {
        let answer = account.post("subscriptions/checkout").json(&json!({ "tier": "PROFESSIONAL" })).send().await;
        answer.expect(200).json()["url"].as_str().unwrap().to_owned()
    };
    let abandoned = checkout().await;
    let page = checkout().await;
    assert_ne!(page, abandoned);
    assert_eq!(open_pages(&shop), std::slice::from_ref(&page), "the one before is closed");
    shop.deliver().await;
    shop.settled().await;
    assert_eq!(account.subscription().await["plan"], "free", "nothing is paid yet");

    shop.stripe.complete_checkout(&page);
    shop.deliver().await;
    let seen = shop.until(&account, |seen| seen["plan"] == "professional").await;
    assert_eq!((&seen["monthly_candidate_limit"], &seen["paid"]), (&json!(1_000), &json!(true)));
    let end = shop.there(&account)["items"]["data"][0]["current_period_end"].as_i64().unwrap();
    assert_eq!(seen["current_period_end"].as_i64().unwrap() / 1_000, end);

    let again = account.post("subscriptions/checkout").json(&json!({ "tier": "starter" })).send().await;
    assert!(again.problem(409, "conflict").contains("/subscriptions/upgrade"), "{}", again.text());
    let portal = account.post("subscriptions/portal").send().await.expect(200).json();
    assert!(portal["url"].as_str().unwrap().starts_with("https://billing.stripe.com/"), "{portal}");
}

/// Addresses of the pages that can still be paid on.
fn open_pages(shop: &Shop) -> Vec<String> {
    let open = shop.stripe.by_hand("GET", "/v1/checkout/sessions", "status=open&limit=100");
    let open = open["data"].as_array().unwrap();
    open.iter().map(|session| session["url"].as_str().unwrap().to_owned()).collect()
}

async fn page(account: &Account, tier: &str) -> Answer {
    account.post("subscriptions/checkout").json(&json!({ "tier": tier })).send().await
}

#[tokio::test]
async fn a_page_that_is_paid_while_it_is_closed_is_the_plan() {
    let shop = Shop::open();
    let account = shop.app.client().account().await;
    let first = page(&account, "starter").await.expect(200).json()["url"].as_str().unwrap().to_owned();
    shop.stripe.pay_when_closed(&first);
    let second = page(&account, "professional").await;
    assert!(second.problem(409, "conflict").contains("has just been paid"), "{}", second.text());
    assert_eq!(open_pages(&shop), [""; 0]);
    shop.deliver().await;
    shop.until(&account, |seen| seen["plan"] == "starter").await;
    assert_eq!(shop.stripe.subscriptions_of(&shop.customer_of(&account)).len(), 1);
}

#[tokio::test]
async fn whoever_has_a_plan_has_no_open_page_left() {
    let shop = Shop::open();
    let account = shop.app.client().account().await;
    page(&account, "professional").await.expect(200);
    shop.order(&account, "starter").await.expect(200);
    assert_eq!(open_pages(&shop), [""; 0], "a card buys it meanwhile");
    shop.settled().await;

    let account = shop.app.client().account().await;
    let first = page(&account, "starter").await.expect(200).json()["url"].as_str().unwrap().to_owned();
    page(&account, "professional").await.expect(200);
    shop.stripe.reopen_checkouts(&shop.customer_of(&account));
    assert_eq!(open_pages(&shop).len(), 2);
    shop.stripe.complete_checkout(&first);
    shop.deliver().await;
    shop.until(&account, |seen| seen["plan"] == "starter").await;
    shop.settled().await;
    assert_eq!(open_pages(&shop), [""; 0], "the other one cannot be paid any more");
}

#[tokio::test]
async fn two_pages_that_are_paid_at_once_are_told_and_the_larger_plan_counts() {
    let shop = Shop::open();
    let account = shop.app.client().account().await;
    for tier in ["professional", "starter"] {
        page(&account, tier).await.expect(200);
    }
    let customer = shop.customer_of(&account);
    shop.stripe.reopen_checkouts(&customer);
    for page in open_pages(&shop) {
        shop.stripe.complete_checkout(&page);
    }
    shop.deliver().await;
    shop.until(&account, |seen| seen["plan"] == "professional").await;
    shop.settled().await;

    shop.let_operators_in();
    let reconcile = |arguments: &[&str]| {
        let ended = shop.app.operate(&[&["billing", "reconcile", account.email.as_str()], arguments].concat());
        assert_eq!(ended.status.code(), Some(1), "{}", ended.stdout);
        ended.stdout
    };
    let there = shop.stripe.subscriptions_of(&customer);
    let of_plan = |price: &str| {
        let found = there.iter().find(|subscription| prices(subscription) == [price]).unwrap();
        found["id"].as_str().unwrap().to_owned()
    };
    let (large, small) = (of_plan("price_professional"), of_plan("price_starter"));
    let expected = format!(
        "{customer} pays for 2 subscriptions there: {large} counts here; cancel {small} at the payment provider and \
         pay back what was charged for it"
    );
    let told: Value = serde_json::from_str(&reconcile(&["--json"])).unwrap();
    let tenant = &told["tenants"][0];
    assert_eq!((&tenant["faults"], &tenant["verdict"]), (&json!([expected]), &json!("drift")), "{tenant}");
    let told = reconcile(&[]);
    assert!(told.contains(&format!("  {expected}\n")), "{told}");
    assert_eq!(shop.stripe.subscriptions_of(&customer), there, "nothing is put right");

    shop.stripe.by_hand("DELETE", &format!("/v1/subscriptions/{small}"), "");
    shop.deliver().await;
    shop.settled().await;
    assert_eq!(account.subscription().await["plan"], "professional");
    shop.app.operate(&["billing", "reconcile", &account.email]).succeeded();
}

#[tokio::test]
async fn a_plan_can_be_paid_by_the_year() {
    let shop = Shop::open_with(&[("STARSCREEN_PLANS_STARTER_PRICE_ANNUAL", "192.00")]);
    let account = shop.app.client().account().await;
    let order = json!({ "tier": "starter", "billing_period": "annual", "payment_method_id": GOOD_CARD });
    let bought = account.post("subscriptions/create").json(&order).send().await.expect(200).json();
    assert_eq!((&bought["plan"], &bought["monthly_candidate_limit"]), (&json!("starter"), &json!(100)));
    assert_eq!(prices(&shop.there(&account)), ["price_starter_year"]);
}

#[tokio::test]
async fn without_a_key_nothing_can_be_paid_for_and_the_answer_says_so() {
    let app = TestApp::start(&product_binary());
    let account = app.client().account().await;
    let card = json!({ "tier": "starter", "payment_method_id": GOOD_CARD });
    for call in [
        account.post("subscriptions/create").json(&card),
        account.post("subscriptions/checkout").json(&json!({ "tier": "starter" })),
        account.post("subscriptions/upgrade").query("new_tier", "starter"),
        account.get("subscriptions/preview").query("new_tier", "starter"),
        account.post("subscriptions/cancel"),
        account.post("subscriptions/portal"),
    ] {
        let sentence = call.send().await.problem(503, "unavailable");
        assert!(sentence.contains("no payment provider is set up"), "{sentence}");
    }
    let plans = app.client().get("subscriptions/plans").send().await.expect(200).json();
    assert!(plans.as_array().unwrap().iter().all(|plan| plan["purchasable"] == false), "{plans}");
    // An operator can change it all the same.
    app.operate(&["admin", "change-plan", &account.email, "starter", "--reason", "by invoice"]).succeeded();
    let look = async || match account.subscription().await {
        seen if seen["plan"] == "starter" => Ok(()),
        seen => Err(seen.to_string()),
    };
    app.log().until("the plan is changed", look).await;
}
