//! What is read of Stripe's objects. Only what nothing can be done without must be there.

use chrono::{DateTime, Utc};
use serde_json::Value;
use starscreen_commands::ports::{PaidItem, PaidSubscription, PaymentsError, Preview, PreviewLine};

use super::refusal::{Refusal, foreign};

pub fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn time(value: &Value) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(value.as_i64()?, 0)
}

/// Of what may be an id or the object itself.
fn id(value: &Value) -> Option<String> {
    text(value).or_else(|| text(&value["id"]))
}

pub fn subscription(found: &Value) -> Result<PaidSubscription, Refusal> {
    let items = || found["items"]["data"].as_array().into_iter().flatten();
    let base = items().find(|item| !is_metered(item));
    // Once the period stood on the subscription; what is stored with an old version's webhooks may still have it.
    let period_end = base.into_iter().chain(items()).chain([found]).find_map(|item| time(&item["current_period_end"]));
    let read = || {
        Some(PaidSubscription {
            id: text(&found["id"])?,
            customer: id(&found["customer"])?,
            status: text(&found["status"])?,
            items: items().filter_map(item).collect(),
            cancel_at_period_end: found["cancel_at_period_end"].as_bool().unwrap_or_default(),
            period_end,
            created: time(&found["created"])?,
        })
    };
    read().ok_or_else(|| foreign("subscription").into())
}

fn item(found: &Value) -> Option<PaidItem> {
    Some(PaidItem { id: text(&found["id"])?, price: id(&found["price"])?, metered: is_metered(found) })
}

fn is_metered(item: &Value) -> bool {
    item["price"]["recurring"]["usage_type"] == "metered"
}

pub fn preview(invoice: &Value) -> Result<Preview, PaymentsError> {
    let lines = invoice["lines"]["data"].as_array().into_iter().flatten();
    let has_more = invoice["lines"]["has_more"] == true;
    let line = |line: &Value| {
        let description = line["description"].as_str().unwrap_or_default().to_owned();
        Some(PreviewLine { description, amount: line["amount"].as_i64()? })
    };
    let read = || {
        // What is due is never below nothing; a credit is the total.
        let total = invoice["total"].as_i64()?;
        let amount_due = if total < 0 { total } else { invoice["amount_due"].as_i64().unwrap_or(total) };
        let mut lines: Vec<PreviewLine> = lines.filter_map(line).collect();
        let told = lines.iter().fold(0_i64, |sum, line| sum.saturating_add(line.amount));
        let rest = invoice["subtotal"].as_i64().filter(|_| has_more).map_or(0, |all| all.saturating_sub(told));
        if rest != 0 {
            lines.push(PreviewLine { description: "Further items".to_owned(), amount: rest });
        }
        Some(Preview { amount_due, currency: text(&invoice["currency"])?, lines })
    };
    read().ok_or_else(|| foreign("invoice"))
}

/// Sum of the summaries. Values are numbers with or without a fraction; ours are whole.
pub fn total(summaries: &[Value]) -> i64 {
    let value = |summary: &Value| {
        let value = &summary["aggregated_value"];
        #[expect(clippy::cast_possible_truncation, reason = "a count of candidates")]
        value.as_i64().or_else(|| value.as_f64().map(|value| value.round() as i64))
    };
    summaries.iter().filter_map(value).fold(0, i64::saturating_add)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn item_of(id: &str, usage_type: &str, period_end: i64) -> Value {
        json!({"id": id, "price": {"id": "price_1", "recurring": {"usage_type": usage_type}},
            "current_period_end": period_end})
    }

    fn subscribed(items: &Value) -> Value {
        json!({"id": "sub_1", "customer": "cus_1", "status": "active", "created": 1, "items": {"data": items}})
    }

    #[test]
    fn the_period_is_that_of_the_base_price() {
        let items = json!([item_of("si_1", "metered", 5), item_of("si_2", "licensed", 9)]);
        let read = subscription(&subscribed(&items)).ok().unwrap();
        assert_eq!(read.period_end, DateTime::from_timestamp(9, 0));
        assert_eq!(read.items.iter().map(|item| item.metered).collect::<Vec<_>>(), [true, false]);
        let only_metered = subscription(&subscribed(&json!([item_of("si_1", "metered", 5)]))).ok().unwrap();
        assert_eq!(only_metered.period_end, DateTime::from_timestamp(5, 0));
        let mut of_old = subscribed(&json!([{"id": "si_1", "price": "price_1"}]));
        of_old["current_period_end"] = json!(7);
        assert_eq!(subscription(&of_old).ok().unwrap().period_end, DateTime::from_timestamp(7, 0));
    }

    #[test]
    fn what_is_new_or_missing_changes_nothing() {
        let mut found = subscribed(&json!([{"id": "si_1"}, 7, {"price": {"id": "price_1"}}]));
        found["status"] = json!("paused");
        found["customer"] = json!({"id": "cus_2", "name": "Ada"});
        found["something"] = json!({"new": true});
        let read = subscription(&found).ok().unwrap();
        assert_eq!((read.status.as_str(), read.customer.as_str()), ("paused", "cus_2"));
        assert_eq!((read.items, read.period_end, read.cancel_at_period_end), (vec![], None, false));
        assert!(subscription(&json!({"id": "sub_1"})).is_err());
        assert!(subscription(&json!([])).is_err());
    }

    #[test]
    fn a_credit_is_the_total_and_a_balance_is_heeded() {
        let of = |total: i64, due: i64| {
            preview(&json!({"total": total, "amount_due": due, "currency": "usd", "lines": {"data": [{"amount": 1}]}}))
        };
        assert_eq!(of(500, 300).unwrap().amount_due, 300);
        assert_eq!(of(-500, 0).unwrap().amount_due, -500);
        assert_eq!(of(1, 1).unwrap().lines, [PreviewLine { description: String::new(), amount: 1 }]);
        assert!(preview(&json!({})).is_err());
        let cut = json!({"total": 500, "subtotal": 480, "amount_due": 500, "currency": "usd",
            "lines": {"data": [{"amount": 100}], "has_more": true}});
        let amounts = preview(&cut).unwrap().lines.into_iter().map(|line| line.amount);
        assert_eq!(amounts.collect::<Vec<_>>(), [100, 380], "what was not told is one line, so that the sum is right");
    }

    #[test]
    fn summaries_are_summed_whatever_their_numbers_look_like() {
        let value = |value: Value| json!({"aggregated_value": value});
        assert_eq!(total(&[value(json!(3)), value(json!(-1)), value(json!(2.0)), json!({})]), 4);
        assert_eq!(total(&[]), 0);
    }
}
