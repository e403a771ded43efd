//! Plans and money: the product beside a stand-in for Stripe that keeps what it is told.

mod changes;
mod customers;
mod gateways;
mod metered;
mod orders;
mod plans;
mod standing;
mod webhooks;

use serde_json::{Value, json};
use starscreen_tests::{
    Account, Answer, Client, GOOD_CARD, STRIPE_KEY, StripePrice, StripeServer, TestApp, WEBHOOK_SECRET, Webhook,
};

use crate::product_binary;

/// Name of the events of the meter, as the settings have it.
pub(crate) const METER: &str = "starscreen_candidates";
/// Settings and ids of what Stripe sells, in cents for each month.
const PRICES: [(&str, &str, i64); 3] = [
    ("STRIPE_PRICE_ID_STARTER", "price_starter", 2_000),
    ("STRIPE_PRICE_ID_SMALL_BUSINESS", "price_small", 14_900),
    ("STRIPE_PRICE_ID_PROFESSIONAL", "price_professional", 49_900),
];

/// The product, and the stand-in that it takes for Stripe.
pub(crate) struct Shop {
    /// Before the stand-in, so that its last work is done when it is dropped.
    pub app: TestApp,
    pub stripe: StripeServer,
    /// Nobody in particular, such as Stripe.
    client: Client,
}

/// A stand-in that sells the product's plans.
pub(crate) fn stripe() -> StripeServer {
    let stripe = StripeServer::start();
    stripe.sell(&PRICES.map(|(_, id, amount)| StripePrice::monthly(id, amount)));
    stripe.sell(&[
        StripePrice::yearly("price_starter_year", 19_200),
        StripePrice::monthly("price_enterprise", 99_900),
        StripePrice::metered("price_usage", 50, METER),
    ]);
    stripe.add_meter(METER);
    stripe
}

/// The product's settings for it. Two candidates are included in the enterprise plan.
pub(crate) fn settings(base_url: &str) -> Vec<(&'static str, &str)> {
    let mut settings = vec![
        ("STRIPE_API_KEY", STRIPE_KEY),
        ("STRIPE_BASE_URL", base_url),
        ("STRIPE_WEBHOOK_SECRET", WEBHOOK_SECRET),
        ("STRIPE_PRICE_ID_STARTER_ANNUAL", "price_starter_year"),
        ("STRIPE_PRICE_ID_ENTERPRISE_BASE", "price_enterprise"),
        ("STRIPE_PRICE_ID_ENTERPRISE_USAGE", "price_usage"),
        ("STARSCREEN_PLANS_ENTERPRISE_INCLUDED", "2"),
        ("STARSCREEN_PLANS_ENTERPRISE_OVERAGE_PRICE", "0.50"),
    ];
    settings.extend(PRICES.map(|(setting, id, _)| (setting, id)));
    settings
}

impl Shop {
    pub fn open() -> Self {
        Self::open_with(&[])
    }

    /// With more settings; of one that is given twice the later counts.
    pub fn open_with(more: &[(&str, &str)]) -> Self {
        let stripe = stripe();
        let base_url = stripe.base_url();
        let app = TestApp::start_with(&product_binary(), &[&settings(&base_url), more].concat());
        let client = app.client();
        Self { app, stripe, client }
    }

    /// Lets verbs of an operator reach the stand-in, as the server does.
    pub fn let_operators_in(&self) {
        let base_url = self.stripe.base_url();
        let lines: Vec<String> = settings(&base_url).iter().map(|(name, value)| format!("{name}={value}")).collect();
        std::fs::write(self.app.home().work().join(".env"), lines.join("\n")).unwrap();
    }

    /// Where Stripe sends its webhooks.
    pub fn webhook_url(&self) -> String {
        format!("http://{}/api/v1/webhooks/stripe", self.app.client().address())
    }

    /// Sends what was not told yet, each once and in order.
    pub async fn deliver(&self) {
        for webhook in self.stripe.take_webhooks() {
            self.send(&webhook).await.expect(200);
        }
    }

    /// Sends a webhook, signed as it should be.
    pub async fn send(&self, webhook: &Webhook) -> Answer {
        self.send_signed(&webhook.body, &signature(&webhook.body)).await
    }

    pub async fn send_signed(&self, body: &str, signature: &str) -> Answer {
        let call = self.client.post("webhooks/stripe").header("stripe-signature", signature);
        call.body("application/json; charset=utf-8", body.to_owned()).send().await
    }

    pub async fn order(&self, account: &Account, tier: &str) -> Answer {
        let order = json!({ "tier": tier, "payment_method_id": GOOD_CARD });
        account.post("subscriptions/create").json(&order).send().await
    }

    /// An account that pays for a plan.
    pub async fn subscriber(&self, tier: &str) -> Account {
        let account = self.client.account().await;
        let bought = self.order(&account, tier).await.expect(200).json();
        assert_eq!(bought["plan"], tier, "{bought}");
        self.until(&account, |seen| seen["plan"] == tier).await;
        account
    }

    /// Asks for another plan.
    pub async fn change(&self, account: &Account, tier: &str) -> Answer {
        account.post("subscriptions/upgrade").query("new_tier", tier).send().await
    }

    /// Waits until the account's subscription is seen so.
    pub async fn until(&self, account: &Account, is_so: impl Fn(&Value) -> bool) -> Value {
        let look = async || {
            let seen = account.subscription().await;
            if is_so(&seen) { Ok(seen) } else { Err(seen.to_string()) }
        };
        self.app.log().until("the subscription is seen so", look).await
    }

    /// Everything asked for is done, whatever came of it.
    pub async fn settled(&self) {
        self.app.settled().await;
    }

    /// Stripe's id of the account.
    pub fn customer_of(&self, account: &Account) -> String {
        let tenant = account.tenant().to_string();
        let is_theirs = |id: &String| {
            self.stripe.by_hand("GET", &format!("/v1/customers/{id}"), "")["metadata"]["tenant_id"] == tenant
        };
        let mut theirs: Vec<String> = self.stripe.customers().into_iter().filter(is_theirs).collect();
        assert_eq!(theirs.len(), 1, "one customer a tenant: {theirs:?}");
        theirs.remove(0)
    }

    /// The newest subscription of the account, as Stripe has it.
    pub fn there(&self, account: &Account) -> Value {
        self.stripe.subscriptions_of(&self.customer_of(account)).remove(0)
    }

    pub fn subscription_of(&self, account: &Account) -> String {
        self.there(account)["id"].as_str().unwrap().to_owned()
    }

    /// Waits until the newest subscription is so at Stripe.
    pub async fn until_there(&self, account: &Account, is_so: impl Fn(&Value) -> bool) -> Value {
        let look = async || {
            let there = self.there(account);
            if is_so(&there) { Ok(there) } else { Err(there.to_string()) }
        };
        self.app.log().until("the subscription is so at Stripe", look).await
    }
}

/// As Stripe would sign it now.
pub(crate) fn signature(body: &str) -> String {
    Webhook::signature(body, chrono::Utc::now().timestamp(), &[WEBHOOK_SECRET])
}

/// Ids of the prices of a subscription.
pub(crate) fn prices(subscription: &Value) -> Vec<&str> {
    let items = subscription["items"]["data"].as_array().unwrap();
    items.iter().map(|item| item["price"]["id"].as_str().unwrap()).collect()
}
