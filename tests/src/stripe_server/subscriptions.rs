//! Subscriptions: bought, changed and ended.

use serde_json::Value;

use super::{
    customers::{metadata, text},
    refusals::{Refused, coded, declined, invalid, missing, not_found},
    world::{Invoice, Item, Line, StripePrice, Subscription, World, day_of, moved, next_anchor},
};

/// What a change comes to.
struct Plan {
    items: Vec<Item>,
    anchor: i64,
    day: u32,
    /// Credit for what is given up, and the price of what is taken, for the rest of the period.
    lines: Vec<Line>,
}

/// `amount` for `seconds` of `whole`, rounded half up.
fn share(amount: i64, seconds: i64, whole: i64) -> i64 {
    let share = (i128::from(amount) * i128::from(seconds) * 2 + i128::from(whole)).div_euclid(i128::from(whole) * 2);
    i64::try_from(share).unwrap()
}

/// Entries of a list in a form, with their numbers, in order.
fn entries(list: &Value) -> Vec<(usize, &Value)> {
    let entries = list.as_object().into_iter().flatten();
    let mut entries: Vec<(usize, &Value)> =
        entries.filter_map(|(number, entry)| Some((number.parse().ok()?, entry))).collect();
    entries.sort_by_key(|(number, _)| *number);
    entries
}

impl World {
    /// The price that a form's entry names; `name` is that of the list.
    fn named_price(&self, entry: &Value, name: &str, number: usize) -> Result<StripePrice, Refused> {
        let param = format!("{name}[{number}][price]");
        let found = self.prices.get(entry["price"].as_str().unwrap_or_default());
        let price = found.ok_or_else(|| missing("price", &entry["price"], &param))?;
        if !price.is_active {
            return Err(invalid("The price specified is inactive.", &param));
        }
        if price.meter.is_some() && !entry["quantity"].is_null() {
            return Err(invalid(
                "You cannot set the quantity of a metered price.",
                &format!("{name}[{number}][quantity]"),
            ));
        }
        Ok(price.clone())
    }

    pub(super) fn ordered(&self, list: &Value, name: &str) -> Result<Vec<StripePrice>, Refused> {
        let entries = entries(list);
        if entries.is_empty() {
            return Err(coded("parameter_missing", &format!("Missing required param: {name}."), name));
        }
        entries.into_iter().map(|(number, entry)| self.named_price(entry, name, number)).collect()
    }

    pub(super) fn subscribe(&mut self, form: &Value) -> Result<Value, Refused> {
        let now = self.now();
        let customer = self.named_customer(form)?.id.clone();
        let prices = self.ordered(&form["items"], "items")?;
        let config = &form["billing_cycle_anchor_config"];
        let (anchor, day) = match form["billing_cycle_anchor"].as_str() {
            Some(_) if !config.is_null() => {
                let message =
                    "You may only specify one of these parameters: billing_cycle_anchor, billing_cycle_anchor_config.";
                return Err(coded("parameters_exclusive", message, "billing_cycle_anchor_config"));
            }
            None if !config.is_null() => next_anchor(config, now)
                .ok_or_else(|| invalid("Invalid day or time", "billing_cycle_anchor_config[day_of_month]"))?,
            None => (now, day_of(now)),
            Some(at) => {
                let at = at.parse().map_err(|_| invalid("Invalid timestamp", "billing_cycle_anchor"))?;
                let shortest = prices.iter().map(|price| price.months).min().unwrap_or(1);
                if at <= now || at > moved(now, i64::from(shortest)) {
                    let message = "must be in the future and cannot be later than the next natural billing date";
                    return Err(invalid(message, "billing_cycle_anchor"));
                }
                (at, day_of(at))
            }
        };
        let method = text(&form["default_payment_method"]);
        let is_prorated = form["proration_behavior"] != "none";
        let mut items = Vec::new();
        let mut lines = Vec::new();
        for price in prices {
            let end = if anchor > now { anchor } else { moved(now, i64::from(price.months)) };
            let amount = if anchor == now {
                price.unit_amount
            } else if is_prorated {
                share(price.unit_amount, end - now, price.length_before(end, day))
            } else {
                0
            };
            if price.meter.is_none() {
                lines.push(Line { description: format!("1 × {}", price.id), amount });
            }
            items.push(Item { id: self.id("si"), price, period_start: now, period_end: end });
        }
        let subscription = Subscription {
            id: self.id("sub"),
            customer: customer.clone(),
            status: "active".to_owned(),
            items,
            anchor,
            day,
            cancel_at_period_end: false,
            created: now,
            ended_at: None,
            method,
            metadata: metadata(form),
            pending: Vec::new(),
        };
        let mut subscription = subscription;
        if !self.is_payable(&subscription, &lines)? {
            if form["payment_behavior"] == "error_if_incomplete" {
                return Err(declined());
            }
            "incomplete".clone_into(&mut subscription.status);
        }
        let id = subscription.id.clone();
        self.subscriptions.insert(id.clone(), subscription);
        self.tell_of("customer.subscription.created", &id, now);
        self.bill(&id, "subscription_create", lines, now);
        Ok(self.show(&self.subscriptions[&id]))
    }

    pub(super) fn subscription(&self, id: &str) -> Result<Value, Refused> {
        let found = self.subscriptions.get(id).ok_or_else(|| not_found("subscription", id))?;
        Ok(self.show(found))
    }

    pub(super) fn list_subscriptions(&self, query: &Value) -> Vec<Value> {
        let is_wanted = |found: &&Subscription| {
            let is_theirs = query["customer"].as_str().is_none_or(|customer| customer == found.customer);
            is_theirs
                && match query["status"].as_str() {
                    None => !found.has_ended(),
                    Some("all") => true,
                    Some(status) => status == found.status,
                }
        };
        let mut found: Vec<&Subscription> = self.subscriptions.values().filter(is_wanted).collect();
        found.reverse(); // the newest first
        found.into_iter().map(|subscription| self.show(subscription)).collect()
    }

    fn running(&self, id: &str) -> Result<Subscription, Refused> {
        let found = self.subscriptions.get(id).ok_or_else(|| not_found("subscription", id))?;
        if found.has_ended() {
            return Err(invalid(
                "A canceled subscription can only update its cancellation_details and metadata.",
                "id",
            ));
        }
        Ok(found.clone())
    }

    pub(super) fn change(&mut self, id: &str, form: &Value) -> Result<Value, Refused> {
        let now = self.now();
        let mut subscription = self.running(id)?;
        let before = self.show(&subscription);
        let plan = self.plan(&subscription, &form["items"], &form["proration_behavior"], "items", now)?;
        subscription.items = plan.items;
        subscription.anchor = plan.anchor;
        subscription.day = plan.day;
        if let Some(cancel) = text(&form["cancel_at_period_end"]) {
            subscription.cancel_at_period_end = cancel == "true";
        }
        subscription.metadata.append(&mut metadata(form));
        let is_at_once = form["proration_behavior"] == "always_invoice";
        if is_at_once && !self.is_payable(&subscription, &plan.lines)? {
            if form["payment_behavior"] == "error_if_incomplete" {
                return Err(declined());
            }
            "past_due".clone_into(&mut subscription.status);
        }
        if !is_at_once {
            subscription.pending.extend(plan.lines.clone());
        }
        self.subscriptions.insert(id.to_owned(), subscription);
        let after = self.show(&self.subscriptions[id]);
        if before != after {
            self.tell("customer.subscription.updated", &after, now);
        }
        if is_at_once && !plan.lines.is_empty() {
            self.bill(id, "subscription_update", plan.lines, now);
        }
        Ok(after)
    }

    /// Changes nothing.
    fn plan(
        &mut self,
        subscription: &Subscription,
        list: &Value,
        behavior: &Value,
        name: &str,
        now: i64,
    ) -> Result<Plan, Refused> {
        let (anchor, day) = (subscription.anchor, subscription.day);
        let mut plan = Plan { items: subscription.items.clone(), anchor, day, lines: Vec::new() };
        for (number, entry) in entries(list) {
            let place = match entry["id"].as_str() {
                None => None,
                Some(id) => {
                    let found = plan.items.iter().position(|item| item.id == id);
                    let param = format!("{name}[{number}][id]");
                    Some(found.ok_or_else(|| missing("subscription item", &entry["id"], &param))?)
                }
            };
            if entry["deleted"] == "true" {
                let item = plan.items.remove(place.unwrap());
                plan.lines.extend(credit(&item, plan.day, now));
                continue;
            }
            let price = match (place, &entry["price"]) {
                (Some(_), Value::Null) => continue,
                _ => self.named_price(entry, name, number)?,
            };
            let is_there =
                plan.items.iter().enumerate().any(|(at, item)| Some(at) != place && item.price.id == price.id);
            if is_there {
                let message = "Cannot add multiple subscription items with the same price.";
                return Err(invalid(message, &format!("{name}[{number}][price]")));
            }
            let Some(place) = place else {
                let end = subscription.items.first().map_or(now, |item| item.period_end);
                let item = Item { id: self.id("si"), price, period_start: now, period_end: end };
                plan.lines.extend(debit(&item, plan.day, now));
                plan.items.push(item);
                continue;
            };
            let item = &mut plan.items[place];
            if item.price.id == price.id {
                continue;
            }
            plan.lines.extend(credit(item, plan.day, now));
            if item.price.months != price.months {
                (item.period_start, item.period_end) = (now, moved(now, i64::from(price.months)));
                (plan.anchor, plan.day) = (now, day_of(now)); // another interval starts anew
            }
            item.price = price;
            plan.lines.extend(debit(item, plan.day, now));
        }
        if behavior == "none" {
            plan.lines.clear();
        }
        Ok(plan)
    }

    pub(super) fn preview(&mut self, form: &Value) -> Result<Value, Refused> {
        let now = self.now();
        let id = form["subscription"].as_str().unwrap_or_default();
        let known = self.subscriptions.contains_key(id);
        if !known {
            return Err(missing("subscription", &form["subscription"], "subscription"));
        }
        let subscription = self.running(id)?;
        let details = &form["subscription_details"];
        let name = "subscription_details[items]";
        let plan = self.plan(&subscription, &details["items"], &details["proration_behavior"], name, now)?;
        let balance = self.customers[&subscription.customer].balance;
        let mut invoice = Invoice {
            id: self.id("upcoming_in"),
            customer: subscription.customer,
            subscription: subscription.id,
            is_paid: false,
            billing_reason: "upcoming",
            lines: plan.lines,
            amount_due: 0,
            created: now,
        };
        invoice.amount_due = (invoice.total() + balance).max(0);
        let json = invoice.json(self.page_size);
        self.previews.push(invoice);
        Ok(json)
    }

    pub(super) fn line_items(&self, id: &str) -> Result<Vec<Value>, Refused> {
        let found = self.invoices.iter().chain(&self.previews).find(|invoice| invoice.id == id);
        found.map(Invoice::line_items).ok_or_else(|| not_found("invoice", id))
    }

    pub(super) fn cancel(&mut self, id: &str, form: &Value) -> Result<Value, Refused> {
        let is_running = self.subscriptions.get(id).is_some_and(|found| !found.has_ended());
        if !is_running {
            return Err(not_found("subscription", id));
        }
        let now = self.now();
        if form["prorate"] == "true" {
            let subscription = &self.subscriptions[id];
            let unused = subscription.items.iter().filter_map(|item| credit(item, subscription.day, now)).collect();
            self.bill(id, "subscription_update", unused, now);
        }
        if form["invoice_now"] == "true" {
            self.bill_usage(id, now);
        }
        self.end(id, now);
        Ok(self.show(&self.subscriptions[id]))
    }

    pub(super) fn end(&mut self, id: &str, at: i64) {
        let subscription = self.subscriptions.get_mut(id).unwrap();
        "canceled".clone_into(&mut subscription.status);
        subscription.ended_at = Some(at);
        self.tell_of("customer.subscription.deleted", id, at);
    }
}

fn credit(item: &Item, day: u32, now: i64) -> Option<Line> {
    let amount = rest(item, day, now)?;
    Some(Line { description: format!("Unused time on {}", item.price.id), amount: -amount })
}

fn debit(item: &Item, day: u32, now: i64) -> Option<Line> {
    let amount = rest(item, day, now)?;
    Some(Line { description: format!("Remaining time on {}", item.price.id), amount })
}

/// What the item costs for the rest of its period; what is metered is paid afterwards.
fn rest(item: &Item, day: u32, now: i64) -> Option<i64> {
    let rest = item.period_end - now;
    let whole = item.price.length_before(item.period_end, day);
    (item.price.meter.is_none()).then(|| share(item.price.unit_amount, rest, whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_rounded_half_up() {
        assert_eq!((share(2_000, 1, 3), share(2_000, 2, 3), share(2_000, 3, 3)), (667, 1_333, 2_000));
        assert_eq!((share(1, 1, 2), share(1, 0, 2)), (1, 0));
    }
}
