//! What the stand-in for Stripe knows, and how it looks from outside.

use std::collections::{BTreeMap, HashMap, VecDeque};

use chrono::{DateTime, Datelike, Months, Timelike, Utc};
use serde_json::{Map, Value, json};

use super::{StripeCall, StripeFault, webhooks::Webhook};

/// Stripe keeps an answer for its key at least so long; this one exactly.
pub const REMEMBERED_SECONDS: i64 = 24 * 3_600;

/// What can be bought.
#[derive(Clone, Debug)]
pub struct StripePrice {
    pub id: String,
    /// In cents; of a metered price for each unit.
    pub unit_amount: i64,
    /// Months from one invoice to the next.
    pub months: u32,
    /// Name of the meter's events, for a metered price.
    pub meter: Option<String>,
    pub is_active: bool,
}

impl StripePrice {
    pub fn monthly(id: &str, unit_amount: i64) -> Self {
        Self { id: id.to_owned(), unit_amount, months: 1, meter: None, is_active: true }
    }

    pub fn yearly(id: &str, unit_amount: i64) -> Self {
        Self { months: 12, ..Self::monthly(id, unit_amount) }
    }

    pub fn metered(id: &str, unit_amount: i64, event_name: &str) -> Self {
        Self { meter: Some(event_name.to_owned()), ..Self::monthly(id, unit_amount) }
    }

    pub(super) fn json(&self) -> Value {
        let usage_type = if self.meter.is_some() { "metered" } else { "licensed" };
        let (interval, count) =
            if self.months.is_multiple_of(12) { ("year", self.months / 12) } else { ("month", self.months) };
        json!({"id": self.id, "object": "price", "active": self.is_active, "currency": "usd", "type": "recurring",
            "unit_amount": self.unit_amount, "livemode": false,
            "recurring": {"interval": interval, "interval_count": count, "usage_type": usage_type, "meter": self.meter}})
    }

    /// Length of a period that ends at `end`, in seconds; `day` is that of its cycle.
    pub(super) fn length_before(&self, end: i64, day: u32) -> i64 {
        end - on_day(end, day, -i64::from(self.months))
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Customer {
    pub id: String,
    pub email: Option<String>,
    pub metadata: Map<String, Value>,
    pub default_method: Option<String>,
    /// Below nothing: a credit for the next invoice.
    pub balance: i64,
    pub created: i64,
    pub is_deleted: bool,
}

impl Customer {
    pub fn json(&self) -> Value {
        if self.is_deleted {
            return json!({"id": self.id, "object": "customer", "deleted": true});
        }
        json!({"id": self.id, "object": "customer", "email": self.email, "metadata": self.metadata,
            "balance": self.balance, "created": self.created, "livemode": false,
            "invoice_settings": {"default_payment_method": self.default_method}})
    }
}

#[derive(Clone, Debug)]
pub(super) struct Method {
    pub id: String,
    pub customer: String,
    /// It can be attached, but no charge succeeds.
    pub fails: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Item {
    pub id: String,
    pub price: StripePrice,
    pub period_start: i64,
    pub period_end: i64,
}

#[derive(Clone, Debug)]
pub(super) struct Subscription {
    pub id: String,
    pub customer: String,
    pub status: String,
    pub items: Vec<Item>,
    pub anchor: i64,
    /// Of the month, on which its periods begin: the anchor's own, unless it was named.
    pub day: u32,
    pub cancel_at_period_end: bool,
    pub created: i64,
    pub ended_at: Option<i64>,
    /// The page where it was bought leaves its method here; otherwise the customer's default is charged.
    pub method: Option<String>,
    pub metadata: Map<String, Value>,
    /// Prorations that wait for the next invoice.
    pub pending: Vec<Line>,
}

impl Subscription {
    pub fn has_ended(&self) -> bool {
        matches!(self.status.as_str(), "canceled" | "incomplete_expired")
    }

    pub fn json(&self) -> Value {
        let item = |item: &Item| {
            let mut json = json!({"id": item.id, "object": "subscription_item", "price": item.price.json(),
                "subscription": self.id, "created": self.created,
                "current_period_start": item.period_start, "current_period_end": item.period_end});
            if item.price.meter.is_none() {
                json["quantity"] = json!(1);
            }
            json
        };
        let items: Vec<Value> = self.items.iter().map(item).collect();
        json!({"id": self.id, "object": "subscription", "customer": self.customer, "status": self.status,
            "billing_cycle_anchor": self.anchor, "billing_mode": {"type": "flexible"},
            "cancel_at_period_end": self.cancel_at_period_end, "created": self.created, "start_date": self.created,
            "ended_at": self.ended_at, "canceled_at": self.ended_at, "default_payment_method": self.method,
            "items": {"object": "list", "data": items, "has_more": false}, "livemode": false,
            "metadata": self.metadata, "currency": "usd"})
    }
}

#[derive(Clone, Debug)]
pub(super) struct Line {
    pub description: String,
    pub amount: i64,
}

#[derive(Clone, Debug)]
pub(super) struct Invoice {
    pub id: String,
    pub customer: String,
    pub subscription: String,
    pub is_paid: bool,
    pub billing_reason: &'static str,
    pub lines: Vec<Line>,
    pub amount_due: i64,
    pub created: i64,
}

impl Invoice {
    pub fn total(&self) -> i64 {
        self.lines.iter().map(|line| line.amount).sum()
    }

    pub fn line_items(&self) -> Vec<Value> {
        let line = |(at, line): (usize, &Line)| {
            json!({"id": format!("il_tmp_{}_{at}", self.id), "object": "line_item", "description": line.description,
                "amount": line.amount, "currency": "usd"})
        };
        self.lines.iter().enumerate().map(line).collect()
    }

    /// With its first lines, as many as a page has.
    pub fn json(&self, page_size: usize) -> Value {
        let mut lines = self.line_items();
        let has_more = lines.len() > page_size;
        lines.truncate(page_size);
        json!({"id": self.id, "object": "invoice", "customer": self.customer, "currency": "usd",
            "status": if self.is_paid { "paid" } else { "open" }, "billing_reason": self.billing_reason,
            "total": self.total(), "subtotal": self.total(), "amount_due": self.amount_due, "created": self.created, "livemode": false,
            "customer_email": "somebody@example.com",
            "parent": {"type": "subscription_details", "subscription_details": {"subscription": self.subscription}},
            "lines": {"object": "list", "data": lines, "has_more": has_more, "url": format!("/v1/invoices/{}/lines", self.id)}})
    }
}

#[derive(Clone, Debug)]
pub(super) struct Session {
    pub id: String,
    pub url: String,
    /// What it was made with.
    pub form: Value,
    pub status: &'static str,
    /// Whether it ends by being paid at the very moment when somebody wants to close it.
    pub is_being_paid: bool,
    pub created: i64,
}

impl Session {
    pub fn json(&self, subscription: Option<&str>) -> Value {
        json!({"id": self.id, "object": "checkout.session", "url": self.url, "mode": "subscription",
            "customer": self.form["customer"], "client_reference_id": self.form["client_reference_id"],
            "status": self.status, "subscription": subscription, "created": self.created,
            "livemode": false})
    }
}

#[derive(Clone, Debug)]
pub(super) struct Meter {
    pub id: String,
    pub event_name: String,
}

#[derive(Clone, Debug)]
pub(super) struct Usage {
    pub identifier: String,
    pub event_name: String,
    pub customer: String,
    pub value: i64,
    pub timestamp: i64,
    pub received: i64,
}

#[derive(Clone, Debug)]
pub(super) struct Remembered {
    pub call: String,
    pub status: u16,
    pub body: Value,
    pub at: i64,
}

pub(super) struct World {
    /// Seconds that its clock is ahead of the machine's.
    pub ahead: i64,
    pub key: String,
    pub ids: u64,
    pub prices: BTreeMap<String, StripePrice>,
    pub customers: BTreeMap<String, Customer>,
    pub methods: BTreeMap<String, Method>,
    pub subscriptions: BTreeMap<String, Subscription>,
    pub invoices: Vec<Invoice>,
    pub previews: Vec<Invoice>,
    pub sessions: BTreeMap<String, Session>,
    pub meters: Vec<Meter>,
    pub usage: Vec<Usage>,
    /// Usage that is taken, but not counted yet, as Stripe counts later.
    pub counts_from: Option<usize>,
    pub remembered: HashMap<String, Remembered>,
    pub page_size: usize,
    pub forgets_deleted: bool,
    pub edit: Option<fn(&mut Value)>,
    pub calls: Vec<StripeCall>,
    pub faults: Vec<(String, VecDeque<StripeFault>)>,
    pub events: Vec<Webhook>,
    pub pending: VecDeque<Webhook>,
}

impl World {
    pub fn new(key: &str) -> Self {
        Self {
            ahead: 0,
            key: key.to_owned(),
            ids: 0,
            prices: BTreeMap::new(),
            customers: BTreeMap::new(),
            methods: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            invoices: Vec::new(),
            previews: Vec::new(),
            sessions: BTreeMap::new(),
            meters: Vec::new(),
            usage: Vec::new(),
            counts_from: None,
            remembered: HashMap::new(),
            page_size: 100,
            forgets_deleted: false,
            edit: None,
            calls: Vec::new(),
            faults: Vec::new(),
            events: Vec::new(),
            pending: VecDeque::new(),
        }
    }

    pub fn now(&self) -> i64 {
        Utc::now().timestamp() + self.ahead
    }

    /// Never the same twice, in the order in which they were made.
    pub fn id(&mut self, kind: &str) -> String {
        self.ids += 1;
        format!("{kind}_{:08}", self.ids)
    }

    pub fn show(&self, subscription: &Subscription) -> Value {
        let mut json = subscription.json();
        if let Some(edit) = self.edit {
            edit(&mut json);
        }
        json
    }

    /// Makes a webhook of what has changed.
    pub fn tell(&mut self, kind: &str, object: &Value, at: i64) {
        let id = self.id("evt");
        let event = json!({"id": id, "object": "event", "api_version": starscreen::outbound::stripe::VERSION,
            "created": at, "data": {"object": object}, "livemode": false, "pending_webhooks": 1,
            "request": {"id": null, "idempotency_key": null}, "type": kind});
        let body = serde_json::to_string_pretty(&event).unwrap(); // Stripe's are indented too
        let webhook = Webhook { id, kind: kind.to_owned(), created: at, body };
        self.events.push(webhook.clone());
        self.pending.push_back(webhook);
    }

    pub fn tell_of(&mut self, kind: &str, subscription: &str, at: i64) {
        let object = self.show(&self.subscriptions[subscription]);
        self.tell(kind, &object, at);
    }
}

/// `months` later, on the last day of a month that is too short.
pub(super) fn moved(at: i64, months: i64) -> i64 {
    on_day(at, day_of(at), months)
}

fn time(at: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(at, 0).unwrap()
}

/// Of the month.
pub(super) fn day_of(at: i64) -> u32 {
    time(at).day()
}

/// `months` later, on this day of the month, or on its last one where that comes before.
fn on_day(at: i64, day: u32, months: i64) -> i64 {
    let time = time(at);
    let first = time.date_naive().with_day(1).unwrap();
    let count = Months::new(u32::try_from(months.abs()).unwrap());
    let first = if months < 0 { first - count } else { first + count };
    let last = (first + Months::new(1)).pred_opt().unwrap().day();
    first.with_day(day.min(last)).unwrap().and_time(time.time()).and_utc().timestamp()
}

/// The next time after `now` that is on the day and at the time of a `billing_cycle_anchor_config`, with its day.
pub(super) fn next_anchor(config: &Value, now: i64) -> Option<(i64, u32)> {
    let number = |name: &str| config[name].as_str().and_then(|number| number.parse::<u32>().ok());
    let day = number("day_of_month").filter(|day| (1..=31).contains(day))?;
    let of_now = time(now).time();
    let hour = number("hour").unwrap_or(of_now.hour());
    let (minute, second) = (number("minute").unwrap_or(of_now.minute()), number("second").unwrap_or(of_now.second()));
    let at = time(now).date_naive().and_hms_opt(hour, minute, second)?.and_utc().timestamp();
    (0..2).map(|months| on_day(at, day, months)).find(|next| *next > now).map(|next| (next, day))
}

/// The period around `at`, of so many months, that is in step with `anchor` and begins on `day`.
pub(super) fn period((anchor, day): (i64, u32), months: u32, at: i64) -> (i64, i64) {
    let months = i64::from(months);
    let mut number = (at - anchor) / (months * 31 * 86_400) - 1;
    while on_day(anchor, day, (number + 1) * months) <= at {
        number += 1;
    }
    (on_day(anchor, day, number * months), on_day(anchor, day, (number + 1) * months))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<DateTime<Utc>>().unwrap().timestamp()
    }

    #[test]
    fn periods_keep_the_day_of_their_anchor() {
        let anchor = at("2026-01-31T10:00:00Z");
        let of = |text: &str| period((anchor, 31), 1, at(text));
        assert_eq!(of("2026-02-01T00:00:00Z"), (anchor, at("2026-02-28T10:00:00Z")));
        assert_eq!(of("2026-02-28T10:00:00Z"), (at("2026-02-28T10:00:00Z"), at("2026-03-31T10:00:00Z")));
        assert_eq!(of("2026-01-31T09:59:59Z"), (at("2025-12-31T10:00:00Z"), anchor));
        assert_eq!(of("2028-02-29T09:59:59Z").1, at("2028-02-29T10:00:00Z"));
        assert_eq!(period((anchor, 31), 12, at("2027-01-31T09:59:59Z")), (anchor, at("2027-01-31T10:00:00Z")));
    }

    /// Twice: by the stand-in's rule, which is Stripe's, and by ours; over two years, one of them a leap year.
    #[test]
    fn cycles_that_are_anchored_to_our_day_are_our_periods() {
        let mut compared = 0;
        for (month, day) in (0..12).flat_map(|month| (27..=31).map(move |day| (month, day))) {
            let anchor = on_day(at("2026-01-01T10:11:12Z"), day, month);
            if day_of(anchor) != day {
                continue;
            }
            let config = json!({"day_of_month": day.to_string(), "hour": "10", "minute": "11", "second": "12"});
            // Bought in any month of the two years, and looked at from then on.
            for bought in (0..24).map(|months| on_day(at("2027-01-10T00:00:00Z"), 10, months)) {
                let cycle = next_anchor(&config, bought).unwrap();
                let ours = |now: i64| {
                    let period = starscreen_domain::period::Period::holding(time(anchor), time(now));
                    (period.start.timestamp(), period.end.timestamp())
                };
                assert_eq!(cycle.0, ours(bought).1, "{} bought {}", time(anchor), time(bought));
                for now in (0..24).map(|months| moved(cycle.0, months) + 3_600) {
                    assert_eq!(period(cycle, 1, now), ours(now), "{} at {}", time(anchor), time(now));
                    compared += 1;
                }
            }
        }
        assert_eq!(compared, (12 + 12 + 11 + 11 + 7) * 24 * 24);
    }
}
