//! Invoices and the clock: periods that are over, renewals, and payments that fail.

use super::{
    refusals::{Refused, coded},
    world::{Invoice, Line, Subscription, World, period},
};

impl World {
    /// Whether the lines can be charged to whoever pays for the subscription.
    pub(super) fn is_payable(&self, subscription: &Subscription, lines: &[Line]) -> Result<bool, Refused> {
        let customer = &self.customers[&subscription.customer];
        let total: i64 = lines.iter().map(|line| line.amount).sum();
        if total + customer.balance <= 0 {
            return Ok(true);
        }
        let method = subscription.method.as_ref().or(customer.default_method.as_ref());
        let method = method.and_then(|method| self.methods.get(method)).ok_or_else(|| {
            let message = "This customer has no attached payment source or default payment method.";
            coded("resource_missing", message, "")
        })?;
        Ok(!method.fails)
    }

    /// Makes an invoice and charges it; answers whether it is paid.
    pub(super) fn bill(&mut self, subscription: &str, billing_reason: &'static str, lines: Vec<Line>, at: i64) -> bool {
        let found = self.subscriptions[subscription].clone();
        let is_paid = self.is_payable(&found, &lines).unwrap_or(false);
        let mut invoice = Invoice {
            id: self.id("in"),
            customer: found.customer.clone(),
            subscription: found.id,
            is_paid,
            billing_reason,
            lines,
            amount_due: 0,
            created: at,
        };
        let customer = self.customers.get_mut(&found.customer).unwrap();
        let owed = invoice.total() + customer.balance;
        invoice.amount_due = owed.max(0);
        customer.balance = owed.min(0);
        let json = invoice.json(self.page_size);
        self.invoices.push(invoice);
        self.tell("invoice.created", &json, at);
        if is_paid {
            self.tell("invoice.paid", &json, at);
            self.tell("invoice.payment_succeeded", &json, at);
        } else {
            self.tell("invoice.payment_failed", &json, at);
        }
        is_paid
    }

    fn usage_lines(&self, subscription: &Subscription, until: i64) -> Vec<Line> {
        let mut lines = Vec::new();
        for item in subscription.items.iter().filter(|item| item.period_end >= until) {
            let Some(meter) = &item.price.meter else { continue };
            let used = self.used(meter, &subscription.customer, item.period_start, until).max(0);
            let amount = used * item.price.unit_amount;
            lines.push(Line { description: format!("{used} × {}", item.price.id), amount });
        }
        lines
    }

    pub(super) fn bill_usage(&mut self, subscription: &str, at: i64) {
        let lines = self.usage_lines(&self.subscriptions[subscription], at);
        if lines.iter().any(|line| line.amount > 0) {
            self.bill(subscription, "subscription_cycle", lines, at);
        }
    }

    /// Does what was due until now, in the order of time.
    pub(super) fn roll(&mut self) {
        let now = self.now();
        while let Some((at, id)) = self.next_due(now) {
            let subscription = self.subscriptions[&id].clone();
            let last = subscription.items.iter().map(|item| item.period_end).max();
            if subscription.cancel_at_period_end && last == Some(at) {
                self.bill_usage(&id, at);
                self.end(&id, at);
            } else {
                self.renew(subscription, at);
            }
        }
    }

    fn next_due(&self, now: i64) -> Option<(i64, String)> {
        let running =
            self.subscriptions.values().filter(|found| matches!(found.status.as_str(), "active" | "past_due"));
        let due = running.filter_map(|found| {
            let end = found.items.iter().map(|item| item.period_end).min()?;
            (end <= now).then(|| (end, found.id.clone()))
        });
        due.min()
    }

    fn renew(&mut self, mut subscription: Subscription, at: i64) {
        let mut lines = std::mem::take(&mut subscription.pending);
        for item in subscription.items.iter_mut().filter(|item| item.period_end == at) {
            lines.push(match &item.price.meter {
                None => Line { description: format!("1 × {}", item.price.id), amount: item.price.unit_amount },
                Some(meter) => {
                    let used = self.used(meter, &subscription.customer, item.period_start, at).max(0);
                    Line { description: format!("{used} × {}", item.price.id), amount: used * item.price.unit_amount }
                }
            });
            item.period_start = at;
            item.period_end = period((subscription.anchor, subscription.day), item.price.months, at).1;
        }
        let id = subscription.id.clone();
        self.subscriptions.insert(id.clone(), subscription);
        let is_paid = self.bill(&id, "subscription_cycle", lines, at);
        let status = if is_paid { "active" } else { "past_due" };
        status.clone_into(&mut self.subscriptions.get_mut(&id).unwrap().status);
        self.tell_of("customer.subscription.updated", &id, at);
    }

    /// Tries again what a customer owes.
    pub(super) fn settle(&mut self, customer: &str) {
        let now = self.now();
        let mut settled = Vec::new();
        for at in 0..self.invoices.len() {
            let invoice = self.invoices[at].clone();
            let lines = [Line { description: String::new(), amount: invoice.amount_due }];
            let subscription = &self.subscriptions[&invoice.subscription];
            let is_theirs = !invoice.is_paid && invoice.customer == customer;
            if is_theirs && self.is_payable(subscription, &lines).unwrap_or(false) {
                self.invoices[at].is_paid = true;
                let json = self.invoices[at].json(self.page_size);
                self.tell("invoice.paid", &json, now);
                self.tell("invoice.payment_succeeded", &json, now);
                settled.push(invoice.subscription);
            }
        }
        for id in settled {
            let owes = self.invoices.iter().any(|invoice| invoice.subscription == id && !invoice.is_paid);
            let subscription = self.subscriptions.get_mut(&id).unwrap();
            if !owes && matches!(subscription.status.as_str(), "past_due" | "incomplete" | "unpaid") {
                "active".clone_into(&mut subscription.status);
                self.tell_of("customer.subscription.updated", &id, now);
            }
        }
    }
}
