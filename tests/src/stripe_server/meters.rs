//! Meters: what was used, counted once for each identifier of a day.

use serde_json::{Value, json};

use super::{
    refusals::{Refused, invalid, missing, not_found},
    world::{Usage, World},
};

const OLDEST_SECONDS: i64 = 35 * 86_400;
const AHEAD_SECONDS: i64 = 300;
const UNIQUE_SECONDS: i64 = 24 * 3_600;

impl World {
    pub(super) fn meters(&self) -> Vec<Value> {
        let json = |meter: &super::world::Meter| {
            json!({"id": meter.id, "object": "billing.meter", "event_name": meter.event_name, "status": "active",
                "default_aggregation": {"formula": "sum"}})
        };
        self.meters.iter().map(json).collect()
    }

    pub(super) fn use_up(&mut self, form: &Value) -> Result<Value, Refused> {
        let word = |name: &str| form[name].as_str().unwrap_or_default().to_owned();
        let (event_name, identifier) = (word("event_name"), word("identifier"));
        if !self.meters.iter().any(|meter| meter.event_name == event_name) {
            return Err(invalid("No active meter found for this event name.", "event_name"));
        }
        let now = self.now();
        let timestamp = match form["timestamp"].as_str() {
            Some(at) => at.parse().map_err(|_| invalid("Invalid timestamp", "timestamp"))?,
            None => now,
        };
        if timestamp < now - OLDEST_SECONDS || timestamp > now + AHEAD_SECONDS {
            let message = "Timestamp must be within the past 35 days or up to 5 minutes in the future.";
            return Err(invalid(message, "timestamp"));
        }
        let payload = &form["payload"];
        let customer = &payload["stripe_customer_id"];
        let found = self.customers.get(customer.as_str().unwrap_or_default());
        if found.is_none_or(|customer| customer.is_deleted) {
            return Err(missing("customer", customer, "payload[stripe_customer_id]"));
        }
        let value = payload["value"].as_str().and_then(|value| value.parse().ok());
        let value = value.ok_or_else(|| invalid("value must be a whole number", "payload[value]"))?;
        let is_same = |usage: &&Usage| usage.event_name == event_name && usage.identifier == identifier;
        if self.usage.iter().filter(is_same).any(|usage| usage.received > now - UNIQUE_SECONDS) {
            return Err(invalid(&format!("An event already exists with identifier {identifier}."), "identifier"));
        }
        let customer = customer.as_str().unwrap_or_default().to_owned();
        let json = json!({"object": "billing.meter_event", "identifier": identifier, "event_name": event_name,
            "timestamp": timestamp, "payload": payload, "created": now, "livemode": false});
        self.usage.push(Usage { identifier, event_name, customer, value, timestamp, received: now });
        Ok(json)
    }

    /// Of what is counted by now, from `from` up to, not including, `to`.
    pub(super) fn used(&self, event_name: &str, customer: &str, from: i64, to: i64) -> i64 {
        let counted = &self.usage[..self.counts_from.unwrap_or(self.usage.len())];
        let is_of = |usage: &&Usage| usage.event_name == event_name && usage.customer == customer;
        let is_then = |usage: &&Usage| (from..to).contains(&usage.timestamp);
        counted.iter().filter(is_of).filter(is_then).map(|usage| usage.value).sum()
    }

    pub(super) fn summaries(&self, meter: &str, query: &Value) -> Result<Vec<Value>, Refused> {
        let found = self.meters.iter().find(|found| found.id == meter).ok_or_else(|| not_found("meter", meter))?;
        let time = |name: &str| {
            let time = query[name].as_str().and_then(|time| time.parse::<i64>().ok());
            let is_whole = |time: &i64| time % 60 == 0;
            time.filter(is_whole).ok_or_else(|| invalid("must be aligned with minute boundaries", name))
        };
        let (from, to) = (time("start_time")?, time("end_time")?);
        let customer = query["customer"].as_str().unwrap_or_default();
        if !self.customers.contains_key(customer) {
            return Err(missing("customer", &query["customer"], "customer"));
        }
        let total = self.used(&found.event_name, customer, from, to);
        if total == 0 {
            return Ok(Vec::new());
        }
        #[expect(clippy::cast_precision_loss, reason = "a count of candidates")]
        let value = total as f64; // Stripe's has a fraction
        Ok(vec![json!({"id": "mtrusg_1", "object": "billing.meter_event_summary", "aggregated_value": value,
            "start_time": from, "end_time": to, "meter": meter, "livemode": false})])
    }
}
