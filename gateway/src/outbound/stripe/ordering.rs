//! What is ordered, as Stripe reads it: prices, changed items, and when a month begins.

use chrono::{DateTime, Datelike, Timelike, Utc};
use starscreen_commands::ports::{PaidSubscription, Prices};

use super::form::Form;

/// By day and time, so that a cycle finds its way back from a short month. One date would not do: what begins with
/// 28 February stays with the 28th, whatever day it was meant for.
pub fn anchored(form: &mut Form, name: &str, anchor: DateTime<Utc>) {
    let parts = [
        ("day_of_month", anchor.day()),
        ("hour", anchor.hour()),
        ("minute", anchor.minute()),
        ("second", anchor.second()),
    ];
    for (part, number) in parts {
        form.set(&format!("{name}[{part}]"), &number.to_string());
    }
}

/// Base and metered price as `items[0]` and `items[1]`. A metered item has no quantity.
pub fn ordered(form: &mut Form, name: &str, prices: &Prices) {
    form.set(&format!("{name}[0][price]"), &prices.base);
    form.set(&format!("{name}[0][quantity]"), "1");
    if let Some(usage) = &prices.usage {
        form.set(&format!("{name}[1][price]"), usage);
    }
}

/// What changes the subscription's items to `prices`. Items that are neither the base nor metered are not ours.
pub fn changed(form: &mut Form, name: &str, subscription: &PaidSubscription, prices: &Prices) {
    let base = subscription.items.iter().find(|item| !item.metered);
    let metered = subscription.items.iter().find(|item| item.metered);
    let wanted = [(base, Some(&prices.base)), (metered, prices.usage.as_ref())];
    let changes = wanted.iter().filter(|(item, price)| item.is_some() || price.is_some());
    for (at, (item, price)) in changes.enumerate() {
        if let Some(item) = item {
            form.set(&format!("{name}[{at}][id]"), &item.id);
        }
        match price {
            Some(price) => form.set(&format!("{name}[{at}][price]"), price),
            None => form.set(&format!("{name}[{at}][deleted]"), "true"),
        }
    }
}

#[cfg(test)]
mod tests {
    use starscreen_commands::ports::PaidItem;

    use super::*;

    fn subscribed(items: &[(&str, bool)]) -> PaidSubscription {
        let item = |(id, metered): &(&str, bool)| PaidItem {
            id: (*id).to_owned(),
            price: "price_old".to_owned(),
            metered: *metered,
        };
        PaidSubscription {
            id: "sub_1".to_owned(),
            customer: "cus_1".to_owned(),
            status: "active".to_owned(),
            items: items.iter().map(item).collect(),
            cancel_at_period_end: false,
            period_end: None,
            created: DateTime::UNIX_EPOCH,
        }
    }

    fn changes(items: &[(&str, bool)], usage: Option<&str>) -> Vec<String> {
        let prices = Prices { base: "price_new".to_owned(), usage: usage.map(str::to_owned) };
        let mut form = Form::default();
        changed(&mut form, "items", &subscribed(items), &prices);
        form.pairs().iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    #[test]
    fn items_are_changed_added_and_taken_away() {
        assert_eq!(changes(&[("si_1", false)], None), ["items[0][id]=si_1", "items[0][price]=price_new"]);
        assert_eq!(
            changes(&[("si_1", false)], Some("price_use")),
            ["items[0][id]=si_1", "items[0][price]=price_new", "items[1][price]=price_use"]
        );
        assert_eq!(
            changes(&[("si_2", true), ("si_1", false)], Some("price_use")),
            ["items[0][id]=si_1", "items[0][price]=price_new", "items[1][id]=si_2", "items[1][price]=price_use"]
        );
        assert_eq!(
            changes(&[("si_1", false), ("si_2", true)], None),
            ["items[0][id]=si_1", "items[0][price]=price_new", "items[1][id]=si_2", "items[1][deleted]=true"]
        );
        assert_eq!(changes(&[], None), ["items[0][price]=price_new"]);
    }
}
