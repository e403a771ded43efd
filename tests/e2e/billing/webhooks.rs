//! What Stripe tells: let in by its signature alone, taken in before it is answered, followed once.

use serde_json::{Value, json};
use starscreen_tests::{AT_MOST, Account, Signing, StripeFault, WEBHOOK_SECRET, Webhook};

use super::{Shop, signature};

/// Notices that were taken in.
async fn received(shop: &Shop) -> usize {
    shop.app.events().all().await.iter().filter(|stored| stored.event_type == "WebhookReceived").count()
}

async fn events(shop: &Shop, event_type: &str) -> usize {
    shop.app.events().all().await.iter().filter(|stored| stored.event_type == event_type).count()
}

/// Somebody who pays, and the webhook of a change that the product does not know of.
async fn untold_change(shop: &Shop) -> (Account, Webhook) {
    let account = shop.subscriber("starter").await;
    shop.settled().await;
    shop.stripe.take_webhooks();
    shop.stripe.set_status(&shop.subscription_of(&account), "past_due");
    let webhook = shop.stripe.take_webhooks().remove(0);
    (account, webhook)
}

#[tokio::test]
async fn a_webhook_is_let_in_by_its_signature_alone() {
    let shop = Shop::open();
    let (account, webhook) = untold_change(&shop).await;
    let now = chrono::Utc::now().timestamp();
    let body = webhook.body.as_str();
    let signed = |body: &str, at: i64, secret: &str| Webhook::signature(body, at, &[secret]);
    let good = signed(body, now, WEBHOOK_SECRET);
    let rewritten = serde_json::from_str::<Value>(body).unwrap().to_string();
    let altered = body.replace("past_due", "active");
    for (what, body, signature) in [
        ("by somebody else", body, signed(body, now, "whsec_of_somebody_else")),
        ("an hour old", body, signed(body, now - 3_600, WEBHOOK_SECRET)),
        ("an hour ahead", body, signed(body, now + 3_600, WEBHOOK_SECRET)),
        ("written anew", &rewritten, good.clone()),
        ("altered", &altered, good.clone()),
        ("without its time", body, good.split_once(',').unwrap().1.to_owned()),
        ("of an older scheme", body, good.replace("v1=", "v0=")),
        ("no signature at all", body, "v1".to_owned()),
    ] {
        let refused = shop.send_signed(body, &signature).await;
        assert_eq!(refused.problem(400, "invalid_webhook"), "Invalid signature", "{what}");
    }
    let unsigned = shop.app.client().post("webhooks/stripe").body("application/json", webhook.body.clone());
    assert_eq!(unsigned.send().await.problem(400, "invalid_webhook"), "Missing Stripe signature");
    for body in ["", "<html>", "{}", "[]"] {
        let refused = shop.send_signed(body, &signature(body)).await;
        assert_eq!(refused.problem(400, "invalid_webhook"), "Invalid payload", "{body}");
    }
    let long = format!("{{\"id\": \"{}\"}}", "x".repeat(1024 * 1024));
    shop.send_signed(&long, &signature(&long)).await.expect(413);
    assert_eq!(received(&shop).await, 0);
    shop.settled().await;
    assert_eq!(account.subscription().await["status"], "active");

    let taken = shop.send_signed(body, &good).await.expect(200);
    assert_eq!(taken.json(), json!({ "status": "success" }));
    shop.until(&account, |seen| seen["status"] == "past_due").await;
}

#[tokio::test]
async fn each_of_several_secrets_opens_and_the_former_paths_do_too() {
    let both = format!("whsec_new, {WEBHOOK_SECRET}");
    let shop = Shop::open_with(&[("STRIPE_WEBHOOK_SECRET", &both)]);
    let (account, webhook) = untold_change(&shop).await;
    for secret in ["whsec_new", WEBHOOK_SECRET] {
        assert_eq!(webhook.send(&shop.webhook_url(), &Signing::With(vec![secret.to_owned()])).await, Some(200));
    }
    let several = Signing::With(vec!["whsec_old".to_owned(), "whsec_new".to_owned()]);
    assert_eq!(webhook.send(&shop.webhook_url(), &several).await, Some(200));
    assert_eq!(webhook.send(&shop.webhook_url(), &Signing::With(vec!["whsec_old".to_owned()])).await, Some(400));
    for path in ["/stripe/webhook", "/api/v1/stripe/webhook"] {
        let url = format!("http://{}{path}", shop.app.client().address());
        assert_eq!(webhook.send(&url, &Signing::Good).await, Some(200), "{path}");
        assert_eq!(webhook.send(&url, &Signing::Forged).await, Some(400), "{path}");
    }
    shop.until(&account, |seen| seen["status"] == "past_due").await;
    assert_eq!(received(&shop).await, 1, "it was one notice, however often it came");
}

#[tokio::test]
async fn a_webhook_about_nobody_of_ours_is_taken_and_passed_over() {
    let shop = Shop::open();
    let (account, webhook) = untold_change(&shop).await;
    let live = webhook.body.replace("\"livemode\": false", "\"livemode\": true");
    assert_eq!(shop.send_signed(&live, &signature(&live)).await.expect(200).json(), json!({ "status": "success" }));
    assert_eq!(received(&shop).await, 0, "of Stripe's other mode");

    let told = |id: &str, kind: &str, object: Value| json!({ "id": id, "object": "event", "type": kind, "livemode": false, "data": { "object": object } });
    let stranger = shop.stripe.by_hand("POST", "/v1/customers", "")["id"].clone();
    for body in [
        told("evt_a", "balance.available", json!({ "object": "balance" })),
        told("evt_b", "a.kind.to.come", json!({ "id": "x_1", "customer": stranger })),
        told("evt_c", "customer.subscription.updated", json!({ "id": "sub_x", "customer": "cus_that_is_not_there" })),
        json!({ "id": "evt_d" }),
    ] {
        let body = body.to_string();
        shop.send_signed(&body, &signature(&body)).await.expect(200);
    }
    shop.settled().await;
    assert_eq!((received(&shop).await, events(&shop, "WebhookSettled").await), (4, 4));
    assert_eq!(account.subscription().await["status"], "active");
}

#[tokio::test]
async fn a_webhook_is_answered_while_stripe_is_not() {
    let shop = Shop::open();
    let (account, webhook) = untold_change(&shop).await;
    let asked = || shop.stripe.calls("/v1/subscriptions").iter().filter(|call| call.method == "GET").count();
    let before = asked();
    shop.stripe.fail("/v1/subscriptions", &[StripeFault::Hang]);
    // Whoever waits for Stripe waits for much longer.
    tokio::time::timeout(AT_MOST, shop.send(&webhook)).await.expect("an answer").expect(200);
    let look = async || if asked() > before { Ok(()) } else { Err("nothing".to_owned()) };
    shop.app.log().until("Stripe is asked, and says nothing", look).await;
    // Still it takes in what comes, and what it knows already.
    shop.stripe.set_status(&shop.subscription_of(&account), "unpaid");
    let next = shop.stripe.take_webhooks().remove(0);
    for webhook in [&webhook, &next] {
        shop.send(webhook).await.expect(200);
    }
    // The other is followed beside it.
    shop.until(&account, |seen| seen["status"] == "unpaid").await;
    shop.stripe.go_down();
    shop.stripe.come_back();
    shop.settled().await;
    assert_eq!((received(&shop).await, events(&shop, "WebhookSettled").await), (2, 2));
}

#[tokio::test]
async fn what_could_not_be_followed_lies_with_the_dead_and_is_followed_when_it_is_redriven() {
    let shop = Shop::open();
    let (account, webhook) = untold_change(&shop).await;
    let json_of = |arguments: &[&str]| -> Value {
        serde_json::from_str(&shop.app.operate(arguments).succeeded().stdout).unwrap()
    };
    shop.app.operate(&["queue", "pause", "webhook", "--reason", "Stripe is being moved"]).succeeded();
    shop.send(&webhook).await.expect(200);
    let items = json_of(&["queue", "list", "webhook", "--json"]);
    assert_eq!((&items[0]["task"], &items[0]["state"]), (&json!("follow_webhook"), &json!("ready")), "{items}");
    assert_eq!(account.subscription().await["status"], "active");
    shop.app.operate(&["queue", "purge", "webhook", "--yes"]).succeeded();
    let dead = json_of(&["queue", "dead", "webhook", "--json"]);
    assert_eq!((dead.as_array().unwrap().len(), &dead[0]["code"]), (1, &json!("purged")), "{dead}");
    shop.app.operate(&["queue", "resume", "webhook"]).succeeded();
    shop.send(&webhook).await.expect(200);
    shop.settled().await;
    assert_eq!(account.subscription().await["status"], "active", "it is dead until somebody redrives it");

    let id = dead[0]["subject"].as_str().unwrap();
    let said = shop.app.operate(&["queue", "redrive", id]).succeeded().stdout;
    assert_eq!(said, "1 are tried again, 0 needed nothing any more, 0 stay dead\n");
    shop.until(&account, |seen| seen["status"] == "past_due").await;
    assert_eq!(json_of(&["queue", "dead", "--json"]), json!([]));
}

/// Stripe gives up after some days, or knows another address.
#[tokio::test]
async fn a_webhook_that_never_comes_is_made_up_for_within_a_day() {
    let shop = Shop::open();
    let (account, _lost) = untold_change(&shop).await;
    shop.settled().await;
    assert_eq!(account.subscription().await["status"], "active");
    let listed = shop.app.operate(&["queue", "list", "clock", "--json"]).succeeded().stdout;
    assert!(listed.contains("follow_daily"), "{listed}");

    assert!(shop.app.events().let_the_day_come().await > 0);
    shop.until(&account, |seen| seen["status"] == "past_due").await;
    shop.settled().await;
    assert_eq!((received(&shop).await, events(&shop, "StatusChanged").await), (0, 1));
}
