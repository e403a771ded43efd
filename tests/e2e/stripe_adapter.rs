//! The payments port over Stripe's API: what is sent, what of the answers counts, and every way it can fail.

use std::time::Duration;

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Utc};
use serde_json::{Value, json};
use starscreen::outbound::stripe::{Checked, StripeOptions, StripePayments, VERSION};
use starscreen_commands::ports::{MeteredUsage, Order, PaidSubscription, Payments, PaymentsError, Preview, Prices};
use starscreen_domain::{EventId, TenantId, period::Period};
use starscreen_tests::{DECLINED_CARD, FAILING_CARD, GOOD_CARD, STRIPE_KEY, StripeFault, StripePrice, StripeServer};
use uuid::Uuid;

const METER: &str = "candidates_over";
const SMALL: &str = "price_small";
const LARGE: &str = "price_large";
const USAGE: &str = "price_usage";

struct Stripe {
    server: StripeServer,
    payments: StripePayments,
}

fn options(server: &StripeServer) -> StripeOptions {
    StripeOptions {
        api_key: STRIPE_KEY.into(),
        base_url: server.base_url(),
        meter_event_name: METER.to_owned(),
        checkout_success_url: "https://starscreen.example/subscription?paid".to_owned(),
        checkout_cancel_url: "https://starscreen.example/subscription?left".to_owned(),
        portal_return_url: "https://starscreen.example/subscription".to_owned(),
        timeout: Duration::from_secs(20),
    }
}

impl Stripe {
    fn start() -> Self {
        let server = StripeServer::start();
        server.sell(&[
            StripePrice::monthly(SMALL, 14_900),
            StripePrice::monthly(LARGE, 49_900),
            StripePrice::metered(USAGE, 50, METER),
        ]);
        server.add_meter(METER);
        let payments = StripePayments::connect(options(&server)).unwrap();
        Self { server, payments }
    }

    async fn customer(&self) -> (TenantId, String) {
        let tenant = TenantId(Uuid::now_v7());
        let customer = self.payments.create_customer(tenant, Some("ada@example.com"), Uuid::now_v7()).await.unwrap();
        (tenant, customer)
    }

    async fn order(&self, prices: Prices) -> Order {
        let (tenant, customer) = self.customer().await;
        Order { tenant, customer, prices, anchor: self.server.now() + TimeDelta::days(10) }
    }

    async fn subscribed(&self, prices: Prices) -> PaidSubscription {
        let order = self.order(prices).await;
        self.payments.subscribe(&order, GOOD_CARD, Uuid::now_v7()).await.unwrap()
    }

    /// Of a call that goes wrong so.
    async fn failing(&self, fault: StripeFault) -> PaymentsError {
        self.server.fail("/v1/subscriptions", &[fault]);
        self.payments.subscriptions("cus_1").await.unwrap_err()
    }
}

fn base(price: &str) -> Prices {
    Prices { base: price.to_owned(), usage: None }
}

fn with_usage(price: &str) -> Prices {
    Prices { base: price.to_owned(), usage: Some(USAGE.to_owned()) }
}

fn prices_of(subscription: &PaidSubscription) -> Vec<(&str, bool)> {
    subscription.items.iter().map(|item| (item.price.as_str(), item.metered)).collect()
}

fn totals(invoices: &[Value]) -> Vec<i64> {
    invoices.iter().map(|invoice| invoice["total"].as_i64().unwrap()).collect()
}

fn declined(error: &PaymentsError) -> (Option<&str>, &str) {
    match error {
        PaymentsError::Declined { code, reason } => (code.as_deref(), reason),
        other => panic!("{other}"),
    }
}

fn is_unavailable<T: std::fmt::Debug>(result: Result<T, PaymentsError>) -> bool {
    matches!(result.unwrap_err(), PaymentsError::Unavailable { .. })
}

#[tokio::test]
async fn a_customer_bears_the_tenant() {
    let stripe = Stripe::start();
    let (tenant, customer) = stripe.customer().await;
    assert_eq!(stripe.payments.tenant_of(&customer).await.unwrap(), Some(tenant));
    let calls = stripe.server.calls("/v1/customers");
    assert_eq!(calls[0].form, json!({"email": "ada@example.com", "metadata": {"tenant_id": tenant.to_string()}}));
    assert!(calls[0].idempotency_key.is_some() && calls[1].idempotency_key.is_none());
    for call in &calls {
        assert_eq!(
            (call.version.as_str(), call.authorization.as_str()),
            (VERSION, format!("Bearer {STRIPE_KEY}").as_str())
        );
    }

    let foreign = stripe.server.by_hand("POST", "/v1/customers", "email=a@example.com");
    let strange = stripe.server.by_hand("POST", "/v1/customers", "metadata[tenant_id]=42");
    stripe.server.by_hand("DELETE", &format!("/v1/customers/{customer}"), "");
    for none_of_ours in [foreign["id"].as_str().unwrap(), strange["id"].as_str().unwrap(), &customer, "cus_unknown"] {
        assert_eq!(stripe.payments.tenant_of(none_of_ours).await.unwrap(), None, "{none_of_ours}");
    }
}

#[tokio::test]
async fn a_subscription_is_paid_at_once_and_in_step_with_our_periods() {
    let stripe = Stripe::start();
    let order = stripe.order(with_usage(LARGE)).await;
    let subscription = stripe.payments.subscribe(&order, GOOD_CARD, Uuid::now_v7()).await.unwrap();
    assert_eq!(subscription.status, "active");
    assert_eq!(prices_of(&subscription), [(LARGE, false), (USAGE, true)]);
    assert_eq!(subscription.period_end.map(|end| end.timestamp()), Some(order.anchor.timestamp()));
    assert_eq!(stripe.payments.subscriptions(&order.customer).await.unwrap(), [subscription]);
    let there = stripe.server.subscriptions_of(&order.customer);
    assert_eq!(there[0]["metadata"]["tenant_id"], order.tenant.to_string());
    // Ten days of a month.
    let paid = totals(&stripe.server.invoices_of(&order.customer));
    assert!(paid.len() == 1 && (16_000..18_000).contains(&paid[0]), "{paid:?}");
    let customer = stripe.server.by_hand("GET", &format!("/v1/customers/{}", order.customer), "");
    let default = customer["invoice_settings"]["default_payment_method"].as_str().unwrap();
    assert_ne!(default, GOOD_CARD, "the method that was attached has an id of its own");
}

/// From the first purchase on, in every month of two years, whichever way it was bought.
#[tokio::test]
async fn months_at_stripe_begin_with_ours_though_some_are_short() {
    for day in 28..=31 {
        let stripe = Stripe::start();
        let january = NaiveDate::from_ymd_opt(stripe.server.now().year() + 1, 1, day).unwrap();
        let anchor = january.and_hms_opt(23, 59, 58).unwrap().and_utc();
        stripe.server.advance_to(anchor + TimeDelta::days(7)); // its period ends in February
        let by_card = Order { anchor, ..stripe.order(base(SMALL)).await };
        stripe.payments.subscribe(&by_card, GOOD_CARD, Uuid::now_v7()).await.unwrap();
        let by_page = Order { anchor, ..stripe.order(base(SMALL)).await };
        stripe.server.complete_checkout(&stripe.payments.checkout(&by_page, Uuid::now_v7()).await.unwrap());
        for _ in 0..24 {
            let ours = Period::holding(anchor, stripe.server.now());
            for order in [&by_card, &by_page] {
                let theirs = stripe.payments.subscriptions(&order.customer).await.unwrap().remove(0);
                assert_eq!(theirs.period_end, Some(ours.end), "of the {day}th, after {}", ours.start);
            }
            stripe.server.advance_to(ours.end + TimeDelta::hours(1));
        }
    }
}

#[tokio::test]
async fn a_card_that_does_not_pay_subscribes_to_nothing() {
    let stripe = Stripe::start();
    for card in [DECLINED_CARD, FAILING_CARD] {
        let order = stripe.order(base(SMALL)).await;
        let error = stripe.payments.subscribe(&order, card, Uuid::now_v7()).await.unwrap_err();
        assert_eq!(declined(&error), (Some("card_declined"), "Your card was declined."), "{card}");
        assert_eq!(stripe.payments.subscriptions(&order.customer).await.unwrap(), []);
    }
    let order = stripe.order(base(SMALL)).await;
    for unknown in ["pm_unknown", "pm/../x", ""] {
        let error = stripe.payments.subscribe(&order, unknown, Uuid::now_v7()).await.unwrap_err();
        assert!(!declined(&error).1.is_empty(), "{unknown}");
    }
}

#[tokio::test]
async fn a_call_that_was_cut_is_one_call_when_it_is_repeated() {
    let stripe = Stripe::start();
    let order = stripe.order(base(SMALL)).await;
    let key = Uuid::now_v7();
    for path in ["/v1/payment_methods", "/v1/customers/", "/v1/subscriptions"] {
        stripe.server.fail(path, &[StripeFault::CutAfter]);
        assert!(is_unavailable(stripe.payments.subscribe(&order, GOOD_CARD, key).await), "{path}");
    }
    let subscription = stripe.payments.subscribe(&order, GOOD_CARD, key).await.unwrap();
    assert_eq!(stripe.payments.subscribe(&order, GOOD_CARD, key).await.unwrap(), subscription);
    assert_eq!(stripe.server.subscriptions_of(&order.customer).len(), 1);
    assert_eq!(stripe.server.invoices_of(&order.customer).len(), 1);

    stripe.server.fail("/v1/customers", &[StripeFault::CutAfter]);
    let (tenant, key) = (TenantId(Uuid::now_v7()), Uuid::now_v7());
    let before = stripe.server.customers().len();
    assert!(is_unavailable(stripe.payments.create_customer(tenant, None, key).await));
    stripe.payments.create_customer(tenant, None, key).await.unwrap();
    assert_eq!(stripe.server.customers().len(), before + 1);

    let large = base(LARGE);
    let changed = || stripe.payments.change_prices(&subscription, &large, true, key); // the key of another call
    stripe.server.fail("/v1/subscriptions", &[StripeFault::CutAfter]);
    assert!(is_unavailable(changed().await));
    assert_eq!(prices_of(&changed().await.unwrap()), [(LARGE, false)]);
    assert_eq!(stripe.server.invoices_of(&order.customer).len(), 2);
}

#[tokio::test]
async fn a_key_is_for_one_call_and_for_a_day() {
    let stripe = Stripe::start();
    let order = stripe.order(base(SMALL)).await;
    let key = Uuid::now_v7();
    stripe.payments.subscribe(&order, GOOD_CARD, key).await.unwrap();
    let other = Order { prices: base(LARGE), ..order.clone() };
    let error = stripe.payments.subscribe(&other, GOOD_CARD, key).await.unwrap_err();
    assert_eq!(declined(&error).0, Some("idempotency_error"));
    assert_eq!(stripe.server.subscriptions_of(&order.customer).len(), 1);
    stripe.server.advance_to(stripe.server.now() + TimeDelta::hours(25));
    stripe.payments.subscribe(&order, GOOD_CARD, key).await.unwrap();
    assert_eq!(stripe.server.subscriptions_of(&order.customer).len(), 2, "Stripe has forgotten the key");
}

#[tokio::test]
async fn a_failure_that_stripe_remembers_is_told_as_such() {
    let stripe = Stripe::start();
    let tenant = TenantId(Uuid::now_v7());
    let key = Uuid::now_v7();
    stripe.server.fail("/v1/customers", &[StripeFault::Remembered(500)]);
    let PaymentsError::Unavailable { retry_after, .. } =
        stripe.payments.create_customer(tenant, None, key).await.unwrap_err()
    else {
        panic!("it is not there")
    };
    assert_eq!(retry_after, Some(Duration::from_mins(10)), "it said that another try would not help");
    let again = stripe.payments.create_customer(tenant, None, key).await.unwrap_err().to_string();
    assert!(again.contains("as it did before for the same key"), "{again}");
    stripe.payments.create_customer(tenant, None, Uuid::now_v7()).await.unwrap();
}

#[tokio::test]
async fn an_upgrade_is_invoiced_at_once_and_a_downgrade_is_not() {
    let stripe = Stripe::start();
    let subscription = stripe.subscribed(base(SMALL)).await;
    let customer = subscription.customer.clone();
    let upgraded =
        stripe.payments.change_prices(&subscription, &with_usage(LARGE), true, Uuid::now_v7()).await.unwrap();
    assert_eq!(prices_of(&upgraded), [(LARGE, false), (USAGE, true)]);
    assert_eq!(upgraded.items[0].id, subscription.items[0].id);
    assert_eq!(upgraded.period_end, subscription.period_end);
    let paid = totals(&stripe.server.invoices_of(&customer));
    // Ten days of a month of the difference.
    assert!(paid.len() == 2 && (11_000..13_000).contains(&paid[1]), "{paid:?}");

    let downgraded = stripe.payments.change_prices(&upgraded, &base(SMALL), false, Uuid::now_v7()).await.unwrap();
    assert_eq!(prices_of(&downgraded), [(SMALL, false)]);
    assert_eq!(stripe.server.invoices_of(&customer).len(), 2);
    stripe.server.advance_to(subscription.period_end.unwrap());
    assert_eq!(totals(&stripe.server.invoices_of(&customer))[2..], [14_900]);
}

#[tokio::test]
async fn an_upgrade_that_is_not_paid_changes_nothing() {
    let stripe = Stripe::start();
    let subscription = stripe.subscribed(base(SMALL)).await;
    stripe.server.let_payments_fail(&subscription.customer, true);
    let refused = stripe.payments.change_prices(&subscription, &base(LARGE), true, Uuid::now_v7()).await.unwrap_err();
    assert_eq!(declined(&refused).0, Some("card_declined"));
    assert_eq!(stripe.payments.subscriptions(&subscription.customer).await.unwrap(), [subscription]);
}

#[tokio::test]
async fn a_preview_says_what_the_change_will_cost_and_changes_nothing() {
    let stripe = Stripe::start();
    let subscription = stripe.subscribed(base(SMALL)).await;
    let preview = stripe.payments.preview(&subscription, &with_usage(LARGE)).await.unwrap();
    assert_eq!((preview.currency.as_str(), preview.lines.len()), ("usd", 2));
    assert_eq!(preview.lines.iter().map(|line| line.amount).sum::<i64>(), preview.amount_due);
    stripe.server.set_page_size(1);
    let in_pages = stripe.payments.preview(&subscription, &with_usage(LARGE)).await.unwrap();
    let described = |preview: &Preview| preview.lines.iter().map(|line| line.description.clone()).collect::<Vec<_>>();
    assert_eq!(described(&in_pages), described(&preview), "the first page is not all");
    stripe.server.fail("/v1/invoices/upcoming", &[StripeFault::Status(404)]);
    let cut = stripe.payments.preview(&subscription, &with_usage(LARGE)).await.unwrap();
    assert_eq!(described(&cut), [described(&preview)[0].as_str(), "Further items"]);
    assert_eq!(cut.lines.iter().map(|line| line.amount).sum::<i64>(), cut.amount_due);
    stripe.server.set_page_size(100);
    assert_eq!(
        stripe.payments.subscriptions(&subscription.customer).await.unwrap(),
        std::slice::from_ref(&subscription)
    );
    assert_eq!(stripe.server.invoices_of(&subscription.customer).len(), 1);
    stripe.payments.change_prices(&subscription, &with_usage(LARGE), true, Uuid::now_v7()).await.unwrap();
    let invoiced = totals(&stripe.server.invoices_of(&subscription.customer))[1];
    assert!((preview.amount_due - invoiced).abs() <= 1, "{preview:?} {invoiced}"); // a second may have passed
    let upgraded = stripe.payments.subscriptions(&subscription.customer).await.unwrap().remove(0);
    let credit = stripe.payments.preview(&upgraded, &base(SMALL)).await.unwrap();
    assert!(credit.amount_due < -10_000, "{credit:?}");
}

#[tokio::test]
async fn a_subscription_ends_with_its_paid_time_or_at_once() {
    let stripe = Stripe::start();
    let subscription = stripe.subscribed(with_usage(LARGE)).await;
    let (id, customer) = (subscription.id.as_str(), subscription.customer.as_str());
    for cancel in [true, false, true] {
        let changed = stripe.payments.set_cancel_at_period_end(id, cancel, Uuid::now_v7()).await.unwrap();
        assert_eq!((changed.cancel_at_period_end, changed.status.as_str()), (cancel, "active"));
    }
    stripe.server.advance_to(subscription.period_end.unwrap());
    assert_eq!(stripe.payments.subscriptions(customer).await.unwrap()[0].status, "canceled");

    let order = Order {
        tenant: TenantId(Uuid::now_v7()),
        customer: customer.to_owned(),
        prices: with_usage(LARGE),
        anchor: stripe.server.now() + TimeDelta::days(10),
    };
    let second = stripe.payments.subscribe(&order, GOOD_CARD, Uuid::now_v7()).await.unwrap();
    let used =
        MeteredUsage { entry: EventId(Uuid::now_v7()), customer: customer.to_owned(), quantity: 7, at: second.created };
    stripe.payments.record_usage(&used).await.unwrap();
    stripe.server.advance_to(stripe.server.now() + TimeDelta::minutes(2));
    stripe.server.fail(&format!("/v1/subscriptions/{}", second.id), &[StripeFault::CutAfter]);
    let key = Uuid::now_v7();
    assert!(is_unavailable(stripe.payments.cancel(&second.id, key).await));
    for _ in 0..2 {
        assert_eq!(stripe.payments.cancel(&second.id, key).await.unwrap().status, "canceled");
    }
    let invoices = stripe.server.invoices_of(customer);
    assert_eq!(totals(&invoices)[2..], [7 * 50], "what was used is paid once");
    let unknown = stripe.payments.cancel("sub_unknown", key).await.unwrap_err();
    assert_eq!(declined(&unknown).0, Some("resource_missing"));
}

#[tokio::test]
async fn a_hosted_page_sells_what_was_ordered() {
    let stripe = Stripe::start();
    let order = stripe.order(with_usage(LARGE)).await;
    let key = Uuid::now_v7();
    let page = stripe.payments.checkout(&order, key).await.unwrap();
    assert_eq!(stripe.payments.checkout(&order, key).await.unwrap(), page);
    let form = &stripe.server.calls("/v1/checkout/sessions")[0].form;
    assert_eq!(form["client_reference_id"], order.tenant.to_string());
    assert_eq!(form["success_url"], "https://starscreen.example/subscription?paid");
    assert_eq!(form["cancel_url"], "https://starscreen.example/subscription?left");
    assert_eq!(stripe.payments.subscriptions(&order.customer).await.unwrap(), []);
    stripe.server.complete_checkout(&page);
    let subscription = stripe.payments.subscriptions(&order.customer).await.unwrap().remove(0);
    assert_eq!(prices_of(&subscription), [(LARGE, false), (USAGE, true)]);
    assert_eq!(subscription.period_end.map(|end| end.timestamp()), Some(order.anchor.timestamp()));
    assert_eq!(
        stripe.server.subscriptions_of(&order.customer)[0]["metadata"],
        json!({"tenant_id": order.tenant.to_string()})
    );
    let portal = stripe.payments.portal(&order.customer).await.unwrap();
    assert!(portal.starts_with("https://billing.stripe.com/"), "{portal}");
    let form = &stripe.server.calls("/v1/billing_portal/sessions")[0].form;
    assert_eq!(form["return_url"], "https://starscreen.example/subscription");
    let gone = stripe.customer().await.1;
    assert!(!stripe.payments.is_gone(&gone).await.unwrap());
    stripe.server.by_hand("DELETE", &format!("/v1/customers/{gone}"), "");
    assert_eq!(stripe.payments.subscriptions(&gone).await.unwrap(), []);
    stripe.server.forget_deleted(true);
    assert!(matches!(stripe.payments.subscriptions(&gone).await, Err(PaymentsError::CustomerGone)));
    for customer in [gone, "cus_unknown".to_owned()] {
        assert!(stripe.payments.is_gone(&customer).await.unwrap());
        let order = Order { customer: customer.clone(), ..order.clone() };
        for refused in [
            stripe.payments.portal(&customer).await.unwrap_err(),
            stripe.payments.checkout(&order, Uuid::now_v7()).await.unwrap_err(),
            stripe.payments.subscribe(&order, GOOD_CARD, Uuid::now_v7()).await.unwrap_err(),
        ] {
            assert!(matches!(refused, PaymentsError::CustomerGone), "{refused}");
        }
    }
}

#[tokio::test]
async fn usage_counts_once_for_each_entry_of_our_ledger() {
    let stripe = Stripe::start();
    let (_, customer) = stripe.customer().await;
    let now = stripe.server.now();
    let entry =
        |quantity, at| MeteredUsage { entry: EventId(Uuid::now_v7()), customer: customer.clone(), quantity, at };
    let first = entry(5, now);
    stripe.server.fail("/v1/billing/meter_events", &[StripeFault::Status(500), StripeFault::CutAfter]);
    for _ in 0..2 {
        assert!(is_unavailable(stripe.payments.record_usage(&first).await));
    }
    for _ in 0..2 {
        stripe.payments.record_usage(&first).await.unwrap();
    }
    stripe.payments.record_usage(&entry(-2, now)).await.unwrap();
    stripe.payments.record_usage(&entry(10, now - TimeDelta::days(3))).await.unwrap();
    let between = |from: DateTime<Utc>, to: DateTime<Utc>| stripe.payments.recorded_usage(&customer, from, to);
    let later = now + TimeDelta::minutes(1);
    assert_eq!(between(now - TimeDelta::days(1), later).await.unwrap(), 3);
    assert_eq!(between(now - TimeDelta::days(4), now - TimeDelta::days(1)).await.unwrap(), 10);
    assert_eq!(between(now - TimeDelta::days(4), later).await.unwrap(), 13);
    assert_eq!(between(now, now).await.unwrap(), 0);
    assert_eq!(stripe.server.meter_total(METER, &customer, now - TimeDelta::days(4), later), 13);
    let lookups =
        stripe.server.calls("/v1/billing/meters").into_iter().filter(|call| call.path == "/v1/billing/meters");
    assert_eq!(lookups.count(), 1, "a meter is looked up once");
    assert!(stripe.server.calls("/v1/billing/meter_events").iter().all(|call| call.idempotency_key.is_none()));

    let too_old = stripe.payments.record_usage(&entry(1, now - TimeDelta::days(36))).await.unwrap_err();
    assert!(declined(&too_old).1.contains("timestamp"), "{too_old}");
    let of_nobody = MeteredUsage { customer: "cus_unknown".to_owned(), ..entry(1, now) };
    assert!(matches!(stripe.payments.record_usage(&of_nobody).await, Err(PaymentsError::CustomerGone)));
}

#[tokio::test]
async fn a_meter_that_is_missing_is_the_operators_to_make() {
    let server = StripeServer::start();
    let payments = StripePayments::connect(options(&server)).unwrap();
    let customer = payments.create_customer(TenantId(Uuid::now_v7()), None, Uuid::now_v7()).await.unwrap();
    let now = server.now();
    let usage = MeteredUsage { entry: EventId(Uuid::now_v7()), customer: customer.clone(), quantity: 1, at: now };
    let refused = [
        payments.record_usage(&usage).await.unwrap_err(),
        payments.recorded_usage(&customer, now - TimeDelta::hours(1), now).await.unwrap_err(),
    ];
    for error in refused {
        assert!(matches!(&error, PaymentsError::Refused { reason } if reason.contains("meter")), "{error}");
    }
    server.add_meter(METER);
    payments.record_usage(&usage).await.unwrap();
    let later = now + TimeDelta::minutes(1);
    assert_eq!(payments.recorded_usage(&customer, now - TimeDelta::hours(1), later).await.unwrap(), 1);
}

#[tokio::test]
async fn a_list_is_read_to_its_end_the_newest_first() {
    let stripe = Stripe::start();
    let order = stripe.order(base(SMALL)).await;
    let mut made = Vec::new();
    for _ in 0..5 {
        let order = Order { anchor: stripe.server.now() + TimeDelta::days(10), ..order.clone() };
        made.push(stripe.payments.subscribe(&order, GOOD_CARD, Uuid::now_v7()).await.unwrap().id);
        stripe.server.advance_to(stripe.server.now() + TimeDelta::hours(1));
    }
    stripe.payments.cancel(&made[1], Uuid::now_v7()).await.unwrap();
    stripe.server.set_page_size(2);
    let found = stripe.payments.subscriptions(&order.customer).await.unwrap();
    made.reverse();
    assert_eq!(found.into_iter().map(|found| found.id).collect::<Vec<_>>(), made);
    let pages = stripe.server.calls("/v1/subscriptions").into_iter().filter(|call| call.method == "GET").count();
    assert_eq!(pages, 3);
}

#[tokio::test]
async fn statuses_and_fields_to_come_are_tolerated() {
    let stripe = Stripe::start();
    let subscription = stripe.subscribed(with_usage(LARGE)).await;
    let look = async || stripe.payments.subscriptions(&subscription.customer).await.unwrap().remove(0);
    for status in ["paused", "unpaid", "a_status_to_come"] {
        stripe.server.set_status(&subscription.id, status);
        assert_eq!(look().await, PaidSubscription { status: status.to_owned(), ..subscription.clone() });
    }
    stripe.server.set_status(&subscription.id, "active");
    stripe.server.show_subscriptions(|shown| {
        for item in shown["items"]["data"].as_array_mut().unwrap() {
            item.as_object_mut().unwrap().remove("current_period_start");
            item["price"]["new"] = json!([{}]);
        }
        shown["customer"] = json!({"id": shown["customer"], "object": "customer"});
    });
    assert_eq!(look().await, subscription);
    stripe.server.show_subscriptions(|shown| {
        for item in shown["items"]["data"].as_array_mut().unwrap() {
            item["current_period_end"] = Value::Null;
        }
    });
    assert_eq!(look().await, PaidSubscription { period_end: None, ..subscription.clone() });
}

#[tokio::test]
async fn a_stripe_that_is_out_of_order_is_waited_for() {
    let stripe = Stripe::start();
    let waits = |error: PaymentsError| match error {
        PaymentsError::Unavailable { retry_after, .. } => retry_after,
        other => panic!("{other}"),
    };
    assert_eq!(waits(stripe.failing(StripeFault::Busy(7)).await), Some(Duration::from_secs(7)));
    for fault in [
        StripeFault::Status(500),
        StripeFault::Status(503),
        StripeFault::Status(409),
        StripeFault::Status(424),
        StripeFault::Cut,
        StripeFault::Page,
    ] {
        assert_eq!(waits(stripe.failing(fault.clone()).await), None, "{fault:?}");
    }
    let hurried = StripeOptions { timeout: Duration::from_millis(200), ..options(&stripe.server) };
    stripe.server.fail("/v1/subscriptions", &[StripeFault::Hang]);
    let hurried = StripePayments::connect(hurried).unwrap().subscriptions("cus_1").await.unwrap_err();
    assert!(hurried.to_string().contains("did not answer in time"), "{hurried}");
    stripe.server.go_down();
    let down = stripe.payments.subscriptions("cus_1").await.unwrap_err();
    assert!(matches!(down, PaymentsError::Unavailable { .. }), "{down}");
    stripe.server.come_back();
    assert_eq!(stripe.payments.subscriptions("cus_1").await.unwrap(), []);
}

#[tokio::test]
async fn what_only_an_operator_mends_is_told_without_what_stripe_said() {
    let stripe = Stripe::start();
    let order = stripe.order(base("price_unknown")).await;
    let key = Uuid::now_v7();
    let mut refused = vec![
        stripe.payments.subscribe(&order, GOOD_CARD, key).await.map(drop).unwrap_err(),
        stripe.payments.checkout(&order, key).await.map(drop).unwrap_err(),
        stripe.failing(StripeFault::Status(403)).await,
        stripe.failing(StripeFault::Status(301)).await,
    ];
    stripe.server.let_in_only("sk_test_another");
    refused.push(stripe.payments.subscriptions(&order.customer).await.map(drop).unwrap_err());
    for error in refused {
        let text = error.to_string();
        assert!(matches!(error, PaymentsError::Refused { .. }), "{text}");
        assert!(!text.contains("sk_test") && !text.contains("example.com") && !text.contains("cus_"), "{text}");
    }
}

#[tokio::test]
async fn a_look_tells_whether_key_prices_and_meter_are_right() {
    let stripe = Stripe::start();
    let retired = StripePrice { is_active: false, ..StripePrice::monthly("price_retired", 1) };
    stripe.server.sell(&[retired]);
    let checked = stripe.payments.check(&[SMALL, "price_retired", "price_unknown", USAGE]).await.unwrap();
    let expected = Checked {
        unknown_prices: vec!["price_unknown".to_owned()],
        inactive_prices: vec!["price_retired".to_owned()],
        has_meter: true,
    };
    assert_eq!(checked, expected);
    let elsewhere = StripeOptions { meter_event_name: "another".to_owned(), ..options(&stripe.server) };
    assert_eq!(StripePayments::connect(elsewhere).unwrap().check(&[]).await.unwrap(), Checked::default());
    stripe.server.let_in_only("sk_test_another");
    assert!(matches!(stripe.payments.check(&[]).await, Err(PaymentsError::Refused { .. })));
    stripe.server.go_down();
    assert!(matches!(stripe.payments.check(&[]).await, Err(PaymentsError::Unavailable { .. })));
    assert_eq!(stripe.payments.host(), "127.0.0.1");
}
