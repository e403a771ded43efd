//! What the ledger has and what Stripe has: differences are told and never put right, and an operator sees what is set
//! up and links whom Stripe knows already.

use std::{fs, time::Duration};

use serde_json::{Value, json};
use starscreen_tests::{
    Account, Ended, GOOD_CARD, Resume, STRIPE_KEY, StripeFault, StripePrice, StripeServer, TestApp, WEBHOOK_SECRET,
};

use crate::product_binary;

const METER: &str = "starscreen_candidates";
const BASE: &str = "price_base";
const USAGE: &str = "price_usage";
const STARTER: &str = "price_starter";

struct Paid {
    app: TestApp,
    stripe: StripeServer,
}

impl Paid {
    /// Two plans at Stripe, one of them metered; both processes and verbs know how to reach it.
    fn start() -> Self {
        Self::start_with(&[])
    }

    fn start_with(more: &[(&'static str, &str)]) -> Self {
        let stripe = StripeServer::start();
        stripe.sell(&[
            StripePrice::monthly(BASE, 9_900),
            StripePrice::metered(USAGE, 50, METER),
            StripePrice::monthly(STARTER, 2_000),
        ]);
        stripe.add_meter(METER);
        let base_url = stripe.base_url();
        let environment = [&environment(&base_url), more].concat();
        let app = TestApp::start_with(&product_binary(), &environment);
        let lines: Vec<String> = environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
        fs::write(app.home().work().join(".env"), lines.join("\n")).unwrap();
        Self { app, stripe }
    }

    /// A customer of the former application: it bears no id of ours there.
    fn foreign_customer(&self) -> String {
        let customer = self.stripe.by_hand("POST", "/v1/customers", "email=ada@example.com");
        customer["id"].as_str().unwrap().to_owned()
    }

    fn subscribe(&self, customer: &str, prices: &[&str]) -> String {
        let attached = format!("/v1/payment_methods/{GOOD_CARD}/attach");
        let method = self.stripe.by_hand("POST", &attached, &format!("customer={customer}"));
        let method = method["id"].as_str().unwrap();
        let items: Vec<String> =
            prices.iter().enumerate().map(|(at, price)| format!("items[{at}][price]={price}")).collect();
        let form = format!("customer={customer}&default_payment_method={method}&{}", items.join("&"));
        let made = self.stripe.by_hand("POST", "/v1/subscriptions", &form);
        made["id"].as_str().unwrap().to_owned()
    }

    fn link(&self, account: &Account, customer: &str) -> String {
        self.app.operate(&["admin", "link-customer", &account.email, customer]).succeeded().stdout
    }

    async fn until_on_plan(&self, account: &Account, plan: &str) {
        let look = async || {
            let seen = account.subscription().await;
            if seen["plan"] == plan && seen["paid"] == true { Ok(()) } else { Err(seen.to_string()) }
        };
        self.app.log().until(&format!("the plan is {plan}"), look).await;
    }

    /// A tenant whose metered plan has billed two candidates.
    async fn metered(&self) -> (Account, String) {
        let account = self.app.client().account().await;
        let customer = self.foreign_customer();
        self.subscribe(&customer, &[BASE, USAGE]);
        self.link(&account, &customer);
        self.until_on_plan(&account, "enterprise").await;
        let job = account.ready_job().await;
        for _ in 0..2 {
            let candidate = account.take_in(&job, &Resume::unique()).await;
            account.until_candidate_is(&job, &candidate, "SCORED").await;
        }
        self.app.settled().await;
        (account, customer)
    }

    fn use_up(&self, customer: &str, value: i64) {
        let form = format!(
            "event_name={METER}&identifier=by_hand_{value}&payload[stripe_customer_id]={customer}&payload[value]={value}"
        );
        self.stripe.by_hand("POST", "/v1/billing/meter_events", &form);
    }

    fn reconcile(&self, arguments: &[&str]) -> Ended {
        self.app.operate(&[&["billing", "reconcile"], arguments].concat())
    }

    fn reconciled(&self, whose: &str) -> (Value, bool) {
        let ended = self.reconcile(&[whose, "--json"]);
        let found: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{}", ended.stderr));
        (found["tenants"][0].clone(), ended.status.success())
    }
}

/// Whether one of the processes that tell metrics has this line among them.
async fn is_measured(log: &str, line: &str) -> bool {
    for rest in log.split("metrics are told on ").skip(1) {
        let (address, _) = rest.split_once("/metrics").unwrap();
        let page = reqwest::get(format!("{address}/metrics")).await.unwrap().text().await.unwrap();
        if page.lines().any(|told| told == line) {
            return true;
        }
    }
    false
}

fn environment(base_url: &str) -> Vec<(&'static str, &str)> {
    vec![
        ("STRIPE_API_KEY", STRIPE_KEY),
        ("STRIPE_WEBHOOK_SECRET", WEBHOOK_SECRET),
        ("STRIPE_BASE_URL", base_url),
        ("STRIPE_METER_EVENT_NAME", METER),
        ("STRIPE_PRICE_ID_ENTERPRISE", BASE),
        ("STRIPE_PRICE_ID_ENTERPRISE_USAGE", USAGE),
        ("STRIPE_PRICE_ID_STARTER", STARTER),
        ("STARSCREEN_PLANS_SMALL_BUSINESS_PRICE", ""),
        ("STARSCREEN_PLANS_PROFESSIONAL_PRICE", ""),
    ]
}

fn line(ended: &Ended, name: &str) -> String {
    let found = ended
        .stdout
        .lines()
        .find(|line| line.trim_start_matches("not ").trim_start_matches("ok").trim_start().starts_with(name));
    found.unwrap_or_else(|| panic!("no line {name} in {}", ended.stdout)).to_owned()
}

#[tokio::test]
async fn metered_usage_that_stripe_has_otherwise_is_told_and_left_as_it_is() {
    let paid = Paid::start();
    let (account, customer) = paid.metered().await;
    let (tenant, is_well) = paid.reconciled(&account.email);
    let running = tenant["periods"].as_array().unwrap().last().unwrap();
    assert_eq!((&running["ours"], &running["theirs"], is_well), (&json!(2), &json!(2), true), "{tenant}");
    assert_eq!((&tenant["verdict"], &tenant["customer"]), (&json!("ok"), &json!(customer)), "{tenant}");

    let calls = paid.stripe.calls("/v1/billing/meter_events").len();
    paid.use_up(&customer, 5);
    let (tenant, is_well) = paid.reconciled(&account.tenant().to_string());
    let running = tenant["periods"].as_array().unwrap().last().unwrap();
    assert_eq!((&running["ours"], &running["theirs"], is_well), (&json!(2), &json!(7), false), "{tenant}");
    assert_eq!((&running["verdict"], &tenant["verdict"]), (&json!("drift"), &json!("drift")), "{tenant}");
    let told = paid.reconcile(&[]);
    assert_eq!(told.status.code(), Some(1), "{}", told.stdout);
    assert!(told.stdout.contains("drift; 2 here, 7 there\n"), "{}", told.stdout);
    assert!(told.stdout.ends_with("1 differ, 0 cannot be told; nothing was changed\n"), "{}", told.stdout);

    // Fewer than what is young could explain.
    paid.use_up(&customer, -8);
    let (tenant, is_well) = paid.reconciled(&account.email);
    let running = tenant["periods"].as_array().unwrap().last().unwrap();
    assert_eq!((&running["theirs"], &running["verdict"], is_well), (&json!(-1), &json!("drift"), false), "{tenant}");
    assert_eq!(paid.stripe.calls("/v1/billing/meter_events").len(), calls, "nothing is put right");

    // As before this period nothing was metered, there is nothing to ask.
    let unknown = paid.reconcile(&["0198c0de-0000-7000-8000-000000000002"]).refused();
    assert!(unknown.contains("tenant 0198c0de-0000-7000-8000-000000000002 has no subscription"), "{unknown}");
    let before = paid.reconcile(&[&account.email, "--period", "2020-01-31"]).succeeded().stdout;
    assert!(before.contains("1 compared: 1 ok"), "{before}");
}

#[tokio::test]
async fn workers_compare_by_themselves_and_tell_in_log_and_metrics() {
    let paid = Paid::start_with(&[("STRIPE_RECONCILE_SECONDS", "2"), ("STARSCREEN_METRICS_LISTEN", "127.0.0.1:0")]);
    let (account, customer) = paid.metered().await;
    let measured = async |line: &str| {
        let look = async || is_measured(&paid.app.log().text(), line).await.then_some(()).ok_or_else(String::new);
        paid.app.log().until(line, look).await;
    };
    measured(r#"starscreen_billing_reconciled{found="alike"} 1.0"#).await;
    let warning = "metered usage differs from what the payment provider has";
    assert!(!paid.app.log().text().contains(warning), "{}", paid.app.log().tail());

    paid.use_up(&customer, 5);
    measured(r#"starscreen_billing_reconciled{found="drift"} 1.0"#).await;
    let log = paid.app.log().text();
    let told = log.lines().find(|line| line.contains(warning)).unwrap_or_else(|| panic!("{}", paid.app.log().tail()));
    assert!(told.contains(&account.tenant().to_string()) && told.contains('7'), "{told}");

    paid.use_up(&customer, -5);
    measured(r#"starscreen_billing_reconciled{found="alike"} 1.0"#).await;
    let (tenant, is_well) = paid.reconciled(&account.email);
    assert!(is_well, "{tenant}");
}

#[tokio::test]
async fn what_is_on_its_way_is_no_drift_and_what_cannot_be_asked_is_not_well() {
    let paid = Paid::start();
    let (account, _) = paid.metered().await;
    paid.app.operate(&["queue", "pause", "billing"]).succeeded();
    let job = account.ready_job().await;
    let candidate = account.take_in(&job, &Resume::unique()).await;
    account.until_candidate_is(&job, &candidate, "SCORED").await;
    let (tenant, is_well) = paid.reconciled(&account.email);
    let running = tenant["periods"].as_array().unwrap().last().unwrap();
    assert_eq!((&running["ours"], &running["theirs"]), (&json!(3), &json!(2)), "{tenant}");
    assert_eq!((&running["unsent"], &tenant["verdict"], is_well), (&json!(1), &json!("on_its_way"), true), "{tenant}");
    let told = paid.reconcile(&[&account.email]).succeeded().stdout;
    assert!(told.contains("on its way; 3 here, 2 there, 1 entries not sent yet"), "{told}");
    paid.app.operate(&["queue", "resume", "billing"]).succeeded();
    paid.app.settled().await;

    paid.stripe.count_later(true);
    let candidate = account.take_in(&job, &Resume::unique()).await;
    account.until_candidate_is(&job, &candidate, "SCORED").await;
    paid.app.settled().await;
    let (tenant, is_well) = paid.reconciled(&account.email);
    assert_eq!((&tenant["verdict"], is_well), (&json!("on_its_way"), true), "{tenant}");

    paid.stripe.go_down();
    let (tenant, is_well) = paid.reconciled(&account.email);
    assert_eq!((&tenant["verdict"], is_well), (&json!("cannot_tell"), false), "{tenant}");
    assert!(tenant["unknown"].as_str().unwrap().contains("unavailable"), "{tenant}");
    paid.stripe.come_back();
}

/// It is told wherever somebody looks, and billed as the same entry once the cause is mended.
#[tokio::test]
async fn usage_that_stripe_refuses_for_good_is_dead_until_it_is_redriven() {
    const METER_EVENTS: &str = "/v1/billing/meter_events";
    let paid = Paid::start();
    let (account, _) = paid.metered().await;
    let job = account.ready_job().await;
    let before = paid.stripe.calls(METER_EVENTS).len();
    paid.stripe.fail(METER_EVENTS, &vec![StripeFault::Status(400); 6]);
    let candidate = account.take_in(&job, &Resume::unique()).await;
    account.until_candidate_is(&job, &candidate, "SCORED").await;
    let look = async || {
        paid.app.events().hurry("billing").await;
        paid.app.unfinished().await
    };
    paid.app.log().until_at_most(Duration::from_mins(2), "it is given up", look).await;

    let dead = paid.app.operate(&["queue", "dead", "billing", "--json"]).succeeded().stdout;
    let dead: Value = serde_json::from_str(&dead).unwrap();
    assert_eq!((dead.as_array().unwrap().len(), &dead[0]["code"]), (1, &json!("metering_declined")), "{dead}");
    let entry = dead[0]["subject"].as_str().unwrap();
    let checked = line(&paid.app.operate(&["doctor"]), "lane billing");
    assert!(checked.starts_with("not ok") && checked.contains("1 items were given up"), "{checked}");
    let seen = account.get("subscriptions/usage").send().await.expect(200).json();
    let last = seen["entries"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&last["kind"], &last["metered"], &seen["metered"]),
        (&json!("metering_given_up"), &json!(0), &json!(3))
    );
    assert_eq!(last["reason"], "it answered 400", "{last}");
    let told = paid.reconcile(&[&account.email]);
    assert_eq!(told.status.code(), Some(1), "{}", told.stdout);
    let named = "drift; 3 here, 2 there, 1 entries over 1 candidates that Stripe refused and that were given up, which is \
                 all that differs: see `starscreen queue dead billing`\n";
    assert!(told.stdout.contains(named), "{}", told.stdout);

    let redriven = paid.app.operate(&["queue", "redrive", entry]).succeeded().stdout;
    assert!(redriven.contains("1 are tried again"), "{redriven}");
    paid.app.settled().await;
    let (tenant, is_well) = paid.reconciled(&account.email);
    let running = tenant["periods"].as_array().unwrap().last().unwrap();
    assert_eq!((&running["ours"], &running["theirs"], is_well), (&json!(3), &json!(3), true), "{tenant}");
    let calls = paid.stripe.calls(METER_EVENTS);
    let identifiers: Vec<_> = calls[before..].iter().map(|call| call.form["identifier"].as_str().unwrap()).collect();
    assert_eq!(identifiers, [entry; 7], "it is one entry");
    assert!(line(&paid.app.operate(&["doctor"]), "lane billing").starts_with("ok"));
}

#[tokio::test]
async fn a_subscription_that_is_another_at_stripe_is_told() {
    let paid = Paid::start();
    let account = paid.app.client().account().await;
    let customer = paid.foreign_customer();
    let subscription = paid.subscribe(&customer, &[STARTER]);
    paid.link(&account, &customer);
    paid.until_on_plan(&account, "starter").await;
    paid.app.settled().await;
    let (tenant, is_well) = paid.reconciled(&account.email);
    assert_eq!((&tenant["verdict"], is_well), (&json!("ok"), true), "{tenant}");
    assert_eq!(tenant["periods"], json!([]), "nothing is metered");

    // And no webhook comes of it.
    paid.stripe.set_status(&subscription, "past_due");
    paid.stripe.take_webhooks();
    let (tenant, is_well) = paid.reconciled(&account.email);
    let told = json!(["its status is active here, past_due there"]);
    assert_eq!((&tenant["differences"], &tenant["verdict"], is_well), (&told, &json!("drift"), false), "{tenant}");
    assert_eq!(account.subscription().await["status"], "active", "it is told and not put right");
}

#[tokio::test]
async fn metered_candidates_of_whoever_is_no_customer_are_told() {
    let paid = Paid::start();
    let account = paid.app.client().account().await;
    paid.app.operate(&["admin", "change-plan", &account.email, "enterprise"]).succeeded();
    let job = account.ready_job().await;
    let candidate = account.take_in(&job, &Resume::unique()).await;
    account.until_candidate_is(&job, &candidate, "SCORED").await;
    paid.app.settled().await;
    let all = paid.reconcile(&[]).succeeded().stdout;
    let tenant = account.tenant();
    assert!(all.contains(&format!("{tenant} (no customer): 1 metered candidates are billed to nobody")), "{all}");
    let (one, is_well) = paid.reconciled(&account.email);
    assert_eq!((&one["verdict"], is_well), (&json!("cannot_tell"), true), "{one}");
    let expected = json!("it is no customer there, so 1 metered candidates are not billed");
    assert_eq!(one["unknown"], expected, "{one}");
}

#[tokio::test]
async fn a_customer_of_the_former_application_is_linked_once_and_has_its_plan() {
    let paid = Paid::start();
    let account = paid.app.client().account().await;
    let other = paid.app.client().account().await;
    let customer = paid.foreign_customer();
    paid.subscribe(&customer, &[STARTER]);
    let said = paid.link(&account, &customer);
    assert_eq!(
        said,
        format!("{}: {customer} is linked; what it has at Stripe is asked for and counts in a moment\n", account.email)
    );
    paid.until_on_plan(&account, "starter").await;
    paid.link(&account, &customer);

    let refused = paid.app.operate(&["admin", "link-customer", &other.email, &customer]).refused();
    assert!(refused.contains("the customer belongs to another tenant"), "{refused}");
    let second = paid.foreign_customer();
    let refused = paid.app.operate(&["admin", "link-customer", &account.email, &second]).refused();
    assert!(refused.contains("another customer of the payment provider is linked already"), "{refused}");
    for wrong in ["sub_1", "cus_", "cus_a/b", "ada@example.com"] {
        let refused = paid.app.operate(&["admin", "link-customer", &account.email, wrong]).refused();
        assert!(refused.contains("is no customer of Stripe's"), "{wrong}: {refused}");
    }
    let refused = paid.app.operate(&["admin", "link-customer", "nobody@example.com", &second]).refused();
    assert!(refused.contains("no account has the e-mail address nobody@example.com"), "{refused}");
    assert_eq!(other.subscription().await["plan"], "free");
}

#[tokio::test]
async fn a_doctor_says_what_is_missing_between_us_and_stripe() {
    let paid = Paid::start();
    let app = &paid.app;
    let fine = line(&app.operate(&["doctor"]).succeeded(), "stripe");
    assert_eq!(fine, "ok      stripe: 127.0.0.1 takes the key (test mode) and knows all 3 prices");

    let dotenv = app.home().work().join(".env");
    let set_up = fs::read_to_string(&dotenv).unwrap();
    let with = |changes: &[(&str, &str)]| {
        let kept = set_up.lines().filter(|line| changes.iter().all(|(name, _)| !line.starts_with(&format!("{name}="))));
        let changed = changes.iter().map(|(name, value)| format!("{name}={value}"));
        let lines: Vec<String> = kept.map(str::to_owned).chain(changed).collect();
        fs::write(&dotenv, lines.join("\n")).unwrap();
        line(&app.operate(&["doctor"]), "stripe")
    };
    for (changes, fault) in [
        (vec![("STRIPE_API_KEY", "sk_test_wrong")], "set STRIPE_API_KEY"),
        (vec![("STRIPE_PRICE_ID_STARTER", "price_unknown")], "it does not know price_unknown"),
        (vec![("STRIPE_METER_EVENT_NAME", "resumes")], "it has no active meter for events named resumes"),
        (vec![("STRIPE_WEBHOOK_SECRET", "")], "webhooks are refused: there is no secret"),
        (vec![("STARSCREEN_PLANS_PROFESSIONAL_PRICE", "499.00")], "no price at Stripe: professional"),
        (vec![("STRIPE_BASE_URL", "http://127.0.0.1:1")], "check the network and STRIPE_BASE_URL"),
    ] {
        let told = with(&changes);
        assert!(told.starts_with("not ok") && told.contains(fault), "{changes:?}: {told}");
        assert!(!told.contains("sk_test_"), "{told}");
    }
    let told = with(&[("STRIPE_API_KEY", "")]);
    assert_eq!(told, "ok      stripe: not set up; plan changes by an operator only");
    let refused = app.operate(&["billing", "reconcile"]).refused();
    assert!(refused.contains("there is nothing to compare with: STRIPE_API_KEY is not set"), "{refused}");
}
