//! The calls: who may, what was asked before, and what goes wrong on the way.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Method, Response, Uri, header},
};
use chrono::Utc;
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{
    StripeCall, StripeFault, form,
    refusals::{Refused, coded, failed, missing, nowhere, reused, wrong_key},
    world::{REMEMBERED_SECONDS, Remembered, World},
};

pub struct Shared {
    pub world: Mutex<World>,
    /// Where webhooks go by themselves.
    pub forward_to: Mutex<Option<String>>,
    pub changed: Notify,
}

impl Shared {
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Answer {
    status: u16,
    body: Value,
    is_replayed: bool,
}

impl From<Result<Value, Refused>> for Answer {
    fn from(result: Result<Value, Refused>) -> Self {
        match result {
            Ok(body) => Self { status: 200, body, is_replayed: false },
            Err(refused) => Self { status: refused.status, body: refused.body, is_replayed: false },
        }
    }
}

pub async fn serve(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let encoded = if method == Method::POST {
        String::from_utf8_lossy(&body).into_owned()
    } else {
        uri.query().unwrap_or("").to_owned()
    };
    let call = StripeCall {
        at: Utc::now(),
        method: method.to_string(),
        path: uri.path().to_owned(),
        form: form::parse(&encoded),
        idempotency_key: Some(text("idempotency-key")).filter(|key| !key.is_empty()),
        authorization: text(header::AUTHORIZATION.as_str()),
        version: text("stripe-version"),
    };
    let fault = {
        let mut world = shared.world();
        world.calls.push(call.clone());
        let faults =
            world.faults.iter_mut().find(|(prefix, faults)| call.path.starts_with(prefix) && !faults.is_empty());
        faults.and_then(|(_, faults)| faults.pop_front())
    };
    let answered = || {
        let answer = answer(&mut shared.world(), &call);
        shared.changed.notify_one();
        answer
    };
    match fault {
        None => respond(&answered()),
        Some(StripeFault::Hang) => std::future::pending().await,
        Some(StripeFault::Cut) => cut(&Value::Null.to_string()),
        Some(StripeFault::CutAfter) => cut(&answered().body.to_string()),
        Some(StripeFault::Busy(seconds)) => {
            let mut response = respond(&Err(failed(429)).into());
            response.headers_mut().insert("retry-after", seconds.into());
            response
        }
        Some(StripeFault::Status(status)) => respond(&Err(failed(status)).into()),
        Some(StripeFault::Remembered(status)) => {
            let refused = Refused { is_remembered: true, ..failed(status) };
            let result = Err(refused);
            remember(&mut shared.world(), &call, &result);
            let mut response = respond(&result.into());
            response.headers_mut().insert("stripe-should-retry", header::HeaderValue::from_static("false"));
            response
        }
        Some(StripeFault::Page) => {
            Response::builder().header("content-type", "text/html").body(Body::from("<html>Sign in</html>")).unwrap()
        }
    }
}

fn respond(answer: &Answer) -> Response<Body> {
    let mut response = Response::builder()
        .status(answer.status)
        .header("content-type", "application/json")
        .body(Body::from(serde_json::to_string_pretty(&answer.body).unwrap()))
        .unwrap();
    if answer.is_replayed {
        response.headers_mut().insert("idempotent-replayed", header::HeaderValue::from_static("true"));
    }
    response
}

/// Half an answer, then the connection ends.
fn cut(whole: &str) -> Response<Body> {
    let half = Bytes::from(whole[..whole.len() / 2].to_owned());
    let parts = [Ok(half), Err(std::io::Error::other("cut"))];
    // Time to arrive before the connection ends.
    let parts = stream::iter(parts).then(async |part| {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        part
    });
    Response::builder().header("content-type", "application/json").body(Body::from_stream(parts)).unwrap()
}

fn answer(world: &mut World, call: &StripeCall) -> Answer {
    if call.authorization != format!("Bearer {}", world.key) {
        return Err(wrong_key()).into();
    }
    let now = world.now();
    let place = place(call);
    if let Some(remembered) = call.idempotency_key.as_ref().and_then(|key| world.remembered.get(key))
        && call.method == "POST"
        && remembered.at > now - REMEMBERED_SECONDS
    {
        if remembered.call != place {
            return Err(reused()).into();
        }
        return Answer { status: remembered.status, body: remembered.body.clone(), is_replayed: true };
    }
    world.roll();
    let result = handle(world, &call.method, &call.path, &call.form);
    remember(world, call, &result);
    result.into()
}

/// What has to be the same for the same key.
fn place(call: &StripeCall) -> String {
    format!("{} {} {}", call.method, call.path, call.form)
}

fn remember(world: &mut World, call: &StripeCall, result: &Result<Value, Refused>) {
    let (status, body) = match result {
        Ok(body) => (200, body.clone()),
        Err(refused) if refused.is_remembered => (refused.status, refused.body.clone()),
        Err(_) => return,
    };
    if let Some(key) = call.idempotency_key.clone().filter(|_| call.method == "POST") {
        let at = world.now();
        world.remembered.insert(key, Remembered { call: place(call), status, body, at });
    }
}

const ITEMS: &[&str] = &["items[*][id]", "items[*][price]", "items[*][quantity]", "items[*][deleted]"];

const PAGES: &[&str] = &["limit", "starting_after"];

fn known(form: &Value, names: &[&[&str]]) -> Result<(), Refused> {
    match form::unknown(form, &names.concat()) {
        Some(name) => Err(coded("parameter_unknown", &format!("Received unknown parameter: {name}"), &name)),
        None => Ok(()),
    }
}

/// Does what the call asks for. What it does not know, it refuses as Stripe does.
pub fn handle(world: &mut World, method: &str, path: &str, form: &Value) -> Result<Value, Refused> {
    let known = |names: &[&[&str]]| known(form, names);
    let path: Vec<&str> = path.trim_start_matches("/v1/").split('/').collect();
    match (method, path.as_slice()) {
        ("GET", ["prices", id]) => world.price(id),
        ("POST", ["customers"]) => {
            known(&[&["email", "metadata[*]"]])?;
            Ok(world.make_customer(form))
        }
        ("GET", ["customers", id]) => world.customer(id),
        ("POST", ["customers", id]) => {
            known(&[&["email", "metadata[*]", "invoice_settings[default_payment_method]"]])?;
            world.change_customer(id, form)
        }
        ("DELETE", ["customers", id]) => world.delete_customer(id),
        ("POST", ["payment_methods", id, "attach"]) => {
            known(&[&["customer"]])?;
            world.attach(id, form)
        }
        ("GET", ["subscriptions"]) => {
            known(&[PAGES, &["customer", "status", "price"]])?;
            let is_deleted = |id: &str| world.customers.get(id).is_some_and(|customer| customer.is_deleted);
            if world.forgets_deleted && form["customer"].as_str().is_some_and(is_deleted) {
                return Err(missing("customer", &form["customer"], "customer"));
            }
            let found = world.list_subscriptions(form);
            Ok(page(world, found, form))
        }
        ("POST", ["subscriptions"]) => {
            let others = [
                "customer",
                "metadata[*]",
                "billing_cycle_anchor",
                "billing_cycle_anchor_config[*]",
                "default_payment_method",
                "payment_behavior",
                "proration_behavior",
            ];
            known(&[ITEMS, &others])?;
            world.subscribe(form)
        }
        ("GET", ["subscriptions", id]) => world.subscription(id),
        ("POST", ["subscriptions", id]) => {
            known(&[ITEMS, &["cancel_at_period_end", "metadata[*]", "payment_behavior", "proration_behavior"]])?;
            world.change(id, form)
        }
        ("DELETE", ["subscriptions", id]) => {
            known(&[&["invoice_now", "prorate"]])?;
            world.cancel(id, form)
        }
        (method, path) => handle_pages_and_bills(world, method, path, form),
    }
}

/// Hosted pages, invoices and meters.
fn handle_pages_and_bills(world: &mut World, method: &str, path: &[&str], form: &Value) -> Result<Value, Refused> {
    let known = |names: &[&[&str]]| known(form, names);
    match (method, path) {
        ("POST", ["checkout", "sessions"]) => {
            let names = [
                "mode",
                "customer",
                "client_reference_id",
                "success_url",
                "cancel_url",
                "line_items[*][price]",
                "line_items[*][quantity]",
                "subscription_data[metadata][*]",
                "subscription_data[billing_cycle_anchor]",
                "subscription_data[billing_cycle_anchor_config][*]",
            ];
            known(&[&names])?;
            world.make_session(form)
        }
        ("GET", ["checkout", "sessions"]) => {
            known(&[PAGES, &["customer", "status"]])?;
            let found = world.list_sessions(form);
            Ok(page(world, found, form))
        }
        ("GET", ["checkout", "sessions", id]) => world.session(id),
        ("POST", ["checkout", "sessions", id, "expire"]) => {
            known(&[])?;
            world.expire(id)
        }
        ("POST", ["billing_portal", "sessions"]) => {
            known(&[&["customer", "return_url"]])?;
            world.make_portal(form)
        }
        ("POST", ["invoices", "create_preview"]) => {
            let names = [
                "subscription",
                "customer",
                "subscription_details[proration_behavior]",
                "subscription_details[items][*][id]",
                "subscription_details[items][*][price]",
                "subscription_details[items][*][quantity]",
                "subscription_details[items][*][deleted]",
            ];
            known(&[&names])?;
            world.preview(form)
        }
        ("GET", ["invoices", id, "lines"]) => {
            known(&[PAGES])?;
            let found = world.line_items(id)?;
            Ok(page(world, found, form))
        }
        ("GET", ["billing", "meters"]) => {
            known(&[PAGES, &["status"]])?;
            let found = world.meters();
            Ok(page(world, found, form))
        }
        ("POST", ["billing", "meter_events"]) => {
            known(&[&["event_name", "identifier", "timestamp", "payload[*]"]])?;
            world.use_up(form)
        }
        ("GET", ["billing", "meters", id, "event_summaries"]) => {
            known(&[PAGES, &["customer", "start_time", "end_time", "value_grouping_window"]])?;
            let found = world.summaries(id, form)?;
            Ok(page(world, found, form))
        }
        _ => Err(nowhere(&path.join("/"))),
    }
}

fn page(world: &World, all: Vec<Value>, query: &Value) -> Value {
    let after = query["starting_after"].as_str();
    let start = after.and_then(|id| all.iter().position(|found| found["id"] == id)).map_or(0, |at| at + 1);
    let limit = query["limit"].as_str().and_then(|limit| limit.parse().ok()).unwrap_or(10).min(world.page_size);
    let has_more = all.len() > start + limit;
    let data: Vec<Value> = all.into_iter().skip(start).take(limit).collect();
    json!({"object": "list", "data": data, "has_more": has_more})
}
