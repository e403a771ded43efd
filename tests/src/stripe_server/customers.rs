//! Prices, customers, their payment methods and the pages they are sent to.

use serde_json::{Map, Value, json};

use super::{
    refusals::{Refused, coded, declined, invalid, missing, not_found},
    world::{Customer, Method, Session, World},
};

/// Can be attached and charged.
pub const GOOD_CARD: &str = "pm_card_visa";
/// Cannot be attached.
pub const DECLINED_CARD: &str = "pm_card_chargeDeclined";
/// Can be attached, but no charge succeeds.
pub const FAILING_CARD: &str = "pm_card_chargeCustomerFail";

pub fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

pub fn metadata(form: &Value) -> Map<String, Value> {
    form["metadata"].as_object().cloned().unwrap_or_default()
}

impl World {
    pub(super) fn price(&self, id: &str) -> Result<Value, Refused> {
        let found = self.prices.get(id).ok_or_else(|| not_found("price", id));
        found.map(super::world::StripePrice::json)
    }

    pub(super) fn make_customer(&mut self, form: &Value) -> Value {
        let customer = Customer {
            id: self.id("cus"),
            email: text(&form["email"]),
            metadata: metadata(form),
            created: self.now(),
            ..Customer::default()
        };
        let json = customer.json();
        self.customers.insert(customer.id.clone(), customer);
        self.tell("customer.created", &json, self.now());
        json
    }

    pub(super) fn customer(&self, id: &str) -> Result<Value, Refused> {
        self.customers.get(id).map(Customer::json).ok_or_else(|| not_found("customer", id))
    }

    /// The one that a form names.
    pub(super) fn named_customer(&mut self, form: &Value) -> Result<&mut Customer, Refused> {
        let id = &form["customer"];
        let found = self.customers.get_mut(id.as_str().unwrap_or_default());
        found.filter(|customer| !customer.is_deleted).ok_or_else(|| missing("customer", id, "customer"))
    }

    pub(super) fn change_customer(&mut self, id: &str, form: &Value) -> Result<Value, Refused> {
        let method = &form["invoice_settings"]["default_payment_method"];
        let is_theirs = |method: &str| self.methods.get(method).is_some_and(|found| found.customer == id);
        if method.as_str().is_some_and(|method| !is_theirs(method)) {
            return Err(missing("PaymentMethod", method, "invoice_settings[default_payment_method]"));
        }
        let customer = self.customers.get_mut(id).filter(|customer| !customer.is_deleted);
        let customer = customer.ok_or_else(|| not_found("customer", id))?;
        customer.metadata.append(&mut metadata(form));
        customer.default_method = text(method).or(customer.default_method.take());
        customer.email = text(&form["email"]).or(customer.email.take());
        let json = customer.json();
        self.tell("customer.updated", &json, self.now());
        Ok(json)
    }

    pub(super) fn delete_customer(&mut self, id: &str) -> Result<Value, Refused> {
        let customer = self.customers.get_mut(id).filter(|customer| !customer.is_deleted);
        let customer = customer.ok_or_else(|| not_found("customer", id))?;
        let before = customer.json();
        customer.is_deleted = true;
        let after = customer.json();
        let theirs = self.subscriptions.values().filter(|subscription| subscription.customer == id);
        let ending: Vec<String> = theirs
            .filter(|subscription| !subscription.has_ended())
            .map(|subscription| subscription.id.clone())
            .collect();
        let now = self.now();
        for subscription in ending {
            self.end(&subscription, now);
        }
        self.tell("customer.deleted", &before, now);
        Ok(after)
    }

    /// A method that is made for tests gets an id of its own when it is attached.
    pub(super) fn attach(&mut self, id: &str, form: &Value) -> Result<Value, Refused> {
        let customer = self.named_customer(form)?.id.clone();
        let fails = match id {
            GOOD_CARD => false,
            FAILING_CARD => true,
            DECLINED_CARD => return Err(declined()),
            attached => match self.methods.get(attached) {
                Some(method) if method.customer == customer => {
                    return Ok(json!({"id": id, "object": "payment_method", "customer": customer}));
                }
                Some(_) => {
                    let message = "The payment method you provided has already been attached to a customer.";
                    return Err(coded("payment_method_unexpected_state", message, "payment_method"));
                }
                None => {
                    let message = format!("No such PaymentMethod: '{id}'");
                    return Err(Refused { status: 404, ..coded("resource_missing", &message, "payment_method") });
                }
            },
        };
        let method = Method { id: self.id("pm"), customer: customer.clone(), fails };
        let json = json!({"id": method.id, "object": "payment_method", "customer": customer, "type": "card",
            "card": {"brand": "visa", "last4": "4242"}});
        self.methods.insert(method.id.clone(), method);
        self.tell("payment_method.attached", &json, self.now());
        Ok(json)
    }

    pub(super) fn make_session(&mut self, form: &Value) -> Result<Value, Refused> {
        self.named_customer(form)?;
        if form["mode"] != "subscription" {
            return Err(invalid("mode must be subscription", "mode"));
        }
        self.ordered(&form["line_items"], "line_items")?;
        for url in ["success_url", "cancel_url"] {
            let is_url = form[url].as_str().is_some_and(|url| url.starts_with("http"));
            if !is_url {
                return Err(coded("url_invalid", "Not a valid URL", url));
            }
        }
        let anchor = form["subscription_data"]["billing_cycle_anchor"].as_str().and_then(|at| at.parse::<i64>().ok());
        if anchor.is_some_and(|anchor| anchor <= self.now()) {
            return Err(invalid("must be in the future", "subscription_data[billing_cycle_anchor]"));
        }
        let id = self.id("cs_test");
        let url = format!("https://checkout.stripe.com/c/pay/{id}");
        let (form, created) = (form.clone(), self.now());
        let session = Session { id, url, form, status: "open", is_being_paid: false, created };
        let json = session.json(None);
        self.sessions.insert(session.id.clone(), session);
        Ok(json)
    }

    /// The customer pays there, with a good card.
    pub(super) fn complete(&mut self, session: &str) -> Value {
        let found = self.sessions.values_mut().find(|found| found.id == session || found.url == session);
        let found = found.expect("there is such a checkout session");
        assert_eq!(found.status, "open", "it can be paid once, while it is open");
        found.status = "complete";
        let found = found.clone();
        let customer = found.form["customer"].clone();
        let method = self.attach(GOOD_CARD, &json!({"customer": customer})).expect("it can be attached");
        let data = &found.form["subscription_data"];
        let mut form = json!({"customer": customer, "items": found.form["line_items"], "metadata": data["metadata"],
            "default_payment_method": method["id"], "payment_behavior": "error_if_incomplete"});
        if !data["billing_cycle_anchor_config"].is_null() {
            form["billing_cycle_anchor_config"] = data["billing_cycle_anchor_config"].clone();
        }
        // Paid after that day, the whole period is.
        let is_to_come = |at: &str| at.parse::<i64>().is_ok_and(|at| at > self.now());
        if data["billing_cycle_anchor"].as_str().is_some_and(is_to_come) {
            form["billing_cycle_anchor"] = data["billing_cycle_anchor"].clone();
        }
        let subscription = self.subscribe(&form).expect("it can be paid");
        let session = found.json(subscription["id"].as_str());
        self.tell("checkout.session.completed", &session, self.now());
        subscription
    }

    pub(super) fn list_sessions(&self, query: &Value) -> Vec<Value> {
        let is_wanted = |found: &&Session| {
            ["customer", "status"].iter().all(|name| {
                let has = found.json(None)[*name].clone();
                query[*name].is_null() || query[*name] == has
            })
        };
        self.sessions.values().rev().filter(is_wanted).map(|session| session.json(None)).collect()
    }

    pub(super) fn session(&self, id: &str) -> Result<Value, Refused> {
        self.sessions.get(id).map(|found| found.json(None)).ok_or_else(|| not_found("checkout.session", id))
    }

    pub(super) fn expire(&mut self, id: &str) -> Result<Value, Refused> {
        self.session(id)?;
        if self.sessions[id].is_being_paid && self.sessions[id].status == "open" {
            self.complete(id);
        }
        let found = self.sessions.get_mut(id).unwrap();
        if found.status != "open" {
            let status = found.status;
            let message = format!(
                "Only Checkout Sessions with a status in [\"open\"] can be expired. This Checkout Session has a status of {status}."
            );
            return Err(invalid(&message, ""));
        }
        found.status = "expired";
        let json = found.json(None);
        self.tell("checkout.session.expired", &json, self.now());
        Ok(json)
    }

    pub(super) fn make_portal(&mut self, form: &Value) -> Result<Value, Refused> {
        let customer = self.named_customer(form)?.id.clone();
        let id = self.id("bps");
        let url = format!("https://billing.stripe.com/p/session/{id}");
        Ok(json!({"id": id, "object": "billing_portal.session", "customer": customer, "url": url}))
    }
}
