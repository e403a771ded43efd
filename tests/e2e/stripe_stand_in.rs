//! The stand-in for Stripe keeps Stripe's rules, where the truth of another test hangs on them.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use chrono::{DateTime, Months, TimeDelta, Utc};
use secrecy::SecretString;
use serde_json::Value;
use starscreen::outbound::stripe::{Notice, SignatureError, verify};
use starscreen_tests::{GOOD_CARD, Signing, StripePrice, StripeServer, WEBHOOK_SECRET, Webhook};

const METER: &str = "candidates_over";

fn shop() -> StripeServer {
    let server = StripeServer::start();
    server.sell(&[
        StripePrice::monthly("price_small", 1_000),
        StripePrice::monthly("price_large", 4_000),
        StripePrice::yearly("price_year", 9_600),
        StripePrice::metered("price_usage", 25, METER),
    ]);
    server.add_meter(METER);
    server
}

fn customer(server: &StripeServer) -> String {
    let customer = server.by_hand("POST", "/v1/customers", "")["id"].as_str().unwrap().to_owned();
    let method =
        server.by_hand("POST", &format!("/v1/payment_methods/{GOOD_CARD}/attach"), &format!("customer={customer}"));
    let default = format!("invoice_settings[default_payment_method]={}", method["id"].as_str().unwrap());
    server.by_hand("POST", &format!("/v1/customers/{customer}"), &default);
    customer
}

fn subscribe(server: &StripeServer, customer: &str, prices: &[&str]) -> String {
    let items = prices.iter().enumerate().map(|(at, price)| format!("&items[{at}][price]={price}"));
    let form = format!("customer={customer}{}", items.collect::<String>());
    server.by_hand("POST", "/v1/subscriptions", &form)["id"].as_str().unwrap().to_owned()
}

fn shown(server: &StripeServer, customer: &str) -> Value {
    server.subscriptions_of(customer).remove(0)
}

fn totals(server: &StripeServer, customer: &str) -> Vec<i64> {
    server.invoices_of(customer).iter().map(|invoice| invoice["total"].as_i64().unwrap()).collect()
}

fn period_end(subscription: &Value) -> DateTime<Utc> {
    DateTime::from_timestamp(subscription["items"]["data"][0]["current_period_end"].as_i64().unwrap(), 0).unwrap()
}

fn kinds(webhooks: &[Webhook]) -> Vec<&str> {
    webhooks.iter().map(|webhook| webhook.kind.as_str()).collect()
}

#[test]
fn periods_roll_over_and_are_paid() {
    let server = shop();
    let customer = customer(&server);
    subscribe(&server, &customer, &["price_large", "price_usage"]);
    let start = server.now();
    let usage = format!("event_name={METER}&identifier=1&payload[stripe_customer_id]={customer}&payload[value]=3");
    server.by_hand("POST", "/v1/billing/meter_events", &usage);
    server.take_webhooks();
    server.advance_to(start + Months::new(3));
    assert_eq!(totals(&server, &customer), [4_000, 4_000 + 3 * 25, 4_000, 4_000]);
    let one_period = ["invoice.created", "invoice.paid", "invoice.payment_succeeded", "customer.subscription.updated"];
    let told = server.take_webhooks();
    assert_eq!(kinds(&told), one_period.repeat(3));
    assert!(told.windows(2).all(|pair| pair[0].created <= pair[1].created));
    let end = period_end(&shown(&server, &customer));
    assert!((end - (start + Months::new(4))).abs() < TimeDelta::days(4), "{end}");
}

#[test]
fn a_charge_that_fails_is_past_due_until_it_is_settled() {
    let server = shop();
    let customer = customer(&server);
    let id = subscribe(&server, &customer, &["price_small"]);
    server.let_payments_fail(&customer, true);
    server.advance_to(server.now() + Months::new(1));
    assert_eq!(shown(&server, &customer)["status"], "past_due");
    assert!(kinds(&server.take_webhooks()).contains(&"invoice.payment_failed"));
    server.settle(&customer);
    assert_eq!(shown(&server, &customer)["status"], "past_due");
    server.let_payments_fail(&customer, false);
    server.settle(&customer);
    assert_eq!(shown(&server, &customer)["status"], "active");
    assert_eq!(
        kinds(&server.take_webhooks()),
        ["invoice.paid", "invoice.payment_succeeded", "customer.subscription.updated"]
    );
    server.by_hand("POST", &format!("/v1/subscriptions/{id}"), "cancel_at_period_end=true");
    server.advance_to(server.now() + Months::new(2));
    assert_eq!(shown(&server, &customer)["status"], "canceled");
    assert_eq!(kinds(&server.take_webhooks()), ["customer.subscription.updated", "customer.subscription.deleted"]);
    assert_eq!(totals(&server, &customer), [1_000, 1_000]);
}

#[test]
fn changes_are_prorated_as_they_are_asked_for() {
    let server = shop();
    let customer = customer(&server);
    let id = subscribe(&server, &customer, &["price_small"]);
    let item = shown(&server, &customer)["items"]["data"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/subscriptions/{id}");
    let change = |price: &str, how: &str| {
        server.by_hand("POST", &path, &format!("items[0][id]={item}&items[0][price]={price}&proration_behavior={how}"));
    };
    // Half of the month is over.
    let rest = period_end(&shown(&server, &customer)) - server.now();
    server.advance_to(server.now() + rest / 2);
    change("price_large", "always_invoice");
    let credited = |server: &StripeServer| totals(server, &customer);
    assert!((1_490..=1_510).contains(&credited(&server)[1]), "{:?}", credited(&server));
    change("price_small", "create_prorations");
    assert_eq!(credited(&server).len(), 2, "the credit waits for the next invoice");
    server.advance_to(period_end(&shown(&server, &customer)));
    assert!((-510..=-490).contains(&credited(&server)[2]), "{:?}", credited(&server));
    change("price_large", "none");
    assert_eq!(credited(&server).len(), 3);
    server.advance_to(period_end(&shown(&server, &customer)));
    let last = server.invoices_of(&customer).remove(3);
    let (total, due) = (last["total"].as_i64().unwrap(), last["amount_due"].as_i64().unwrap());
    assert!(total == 4_000 && (3_490..=3_510).contains(&due), "{last}");
    change("price_year", "always_invoice");
    let end = period_end(&shown(&server, &customer));
    assert!((end - (server.now() + Months::new(12))).abs() < TimeDelta::days(1), "another interval starts anew");
    server.advance_to(server.now() + (end - server.now()) / 2);
    server.by_hand("DELETE", &path, "prorate=true");
    let given_back = *credited(&server).last().unwrap();
    assert!((-4_810..=-4_790).contains(&given_back), "{given_back}");
}

/// Signature and body.
type Taken = (Option<String>, Vec<u8>);

#[derive(Clone, Default)]
struct Taking {
    taken: Arc<Mutex<Vec<Taken>>>,
    /// So many it refuses first.
    refusing: Arc<Mutex<usize>>,
}

struct Inbox {
    url: String,
    taking: Taking,
}

impl Inbox {
    /// Refuses the first so many webhooks, as a server that starts.
    async fn start(refusing: usize) -> Self {
        let taking = Taking { refusing: Arc::new(Mutex::new(refusing)), ..Taking::default() };
        let take = async |State(taking): State<Taking>, headers: HeaderMap, body: Bytes| {
            let mut refusing = taking.refusing.lock().unwrap();
            if *refusing > 0 {
                *refusing -= 1;
                return StatusCode::SERVICE_UNAVAILABLE;
            }
            let signature = headers.get("stripe-signature").map(|value| value.to_str().unwrap().to_owned());
            taking.taken.lock().unwrap().push((signature, body.to_vec()));
            StatusCode::OK
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let routes = Router::new().route("/", post(take)).with_state(taking.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { url, taking }
    }

    fn taken(&self) -> Vec<Taken> {
        self.taking.taken.lock().unwrap().clone()
    }

    fn verified(&self) -> Vec<Result<(), SignatureError>> {
        let secrets = [SecretString::from(WEBHOOK_SECRET)];
        let verify = |(signature, body): &Taken| verify(signature.as_deref(), body, &secrets, Utc::now());
        self.taken().iter().map(verify).collect()
    }
}

#[tokio::test]
async fn webhooks_are_signed_as_they_are_asked_to_be() {
    let server = shop();
    customer(&server);
    let webhook = server.take_webhooks().remove(0);
    let inbox = Inbox::start(0).await;
    let rotated = vec!["whsec_new".to_owned(), WEBHOOK_SECRET.to_owned()];
    let cases = [
        (Signing::Good, Ok(())),
        (Signing::With(rotated), Ok(())),
        (Signing::With(vec!["whsec_old".to_owned()]), Err(SignatureError::Mismatch)),
        (Signing::SecondsAgo(240), Ok(())),
        (Signing::SecondsAgo(400), Err(SignatureError::Stale)),
        (Signing::SecondsAgo(-400), Err(SignatureError::Future)),
        (Signing::Rewritten, Err(SignatureError::Mismatch)),
        (Signing::Forged, Err(SignatureError::Mismatch)),
        (Signing::Unsigned, Err(SignatureError::Missing)),
    ];
    for (signing, _) in &cases {
        assert_eq!(webhook.send(&inbox.url, signing).await, Some(200));
    }
    assert_eq!(inbox.verified(), cases.map(|(_, verified)| verified));
}

#[tokio::test]
async fn webhooks_say_whom_they_are_about_and_go_where_they_are_sent() {
    let server = shop();
    let customer = customer(&server);
    subscribe(&server, &customer, &["price_small"]);
    server.by_hand("DELETE", &format!("/v1/customers/{customer}"), "");
    let inbox = Inbox::start(0).await;
    let told = server.webhooks();
    assert_eq!(server.deliver(&inbox.url).await, vec![Some(200); told.len()]);
    assert_eq!(server.deliver(&inbox.url).await, []);
    let notices: Vec<Notice> = inbox.taken().iter().map(|(_, body)| Notice::parse(body).unwrap()).collect();
    let expected = [
        "customer.created",
        "payment_method.attached",
        "customer.updated",
        "customer.subscription.created",
        "invoice.created",
        "invoice.paid",
        "invoice.payment_succeeded",
        "customer.subscription.deleted",
        "customer.deleted",
    ];
    assert_eq!(notices.iter().map(|notice| notice.kind.as_str()).collect::<Vec<_>>(), expected);
    for notice in &notices {
        assert_eq!((notice.customer.as_deref(), notice.livemode), (Some(customer.as_str()), Some(false)), "{notice:?}");
        assert!(notice.object_id.is_some() && notice.created.is_some(), "{notice:?}");
    }
    let ids: std::collections::BTreeSet<_> = notices.iter().map(|notice| &notice.id).collect();
    assert_eq!(ids.len(), notices.len());
}

#[tokio::test]
async fn webhooks_that_go_by_themselves_are_sent_until_they_are_taken() {
    let server = shop();
    let inbox = Inbox::start(2).await;
    server.forward_to(&inbox.url);
    customer(&server);
    let told = server.webhooks().len();
    let start = std::time::Instant::now();
    while inbox.taken().len() < told {
        assert!(start.elapsed() < starscreen_tests::AT_MOST, "{} of {told}", inbox.taken().len());
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(inbox.verified(), vec![Ok(()); told]);
    assert_eq!(server.take_webhooks().len(), 0);
}
