//! What is kept of a webhook: whom and what it is about. The rest holds names, addresses and card digits, and is old
//! when it is read, so how things stand is asked for afterwards.

use chrono::{DateTime, Utc};
use serde_json::Value;

/// Longest id that Stripe promises (255), which also bounds what is stored of a forged one.
const MAX_ID_BYTES: usize = 255;

/// A webhook without its payload. Everything but the id may be missing: Stripe sends new kinds at any time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub id: String,
    /// Such as `customer.subscription.updated`; empty when it has none.
    pub kind: String,
    /// When Stripe made it, to the second: several may share one, and they come in any order.
    pub created: Option<DateTime<Utc>>,
    pub livemode: Option<bool>,
    pub customer: Option<String>,
    /// Of the subscription, invoice, session or customer that it is about.
    pub object_id: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoticeError {
    #[error("the webhook is not JSON")]
    NotJson,
    #[error("the webhook has no id")]
    NoId,
}

impl Notice {
    /// # Errors
    /// When there is nothing to tell it by.
    pub fn parse(body: &[u8]) -> Result<Self, NoticeError> {
        let event: Value = serde_json::from_slice(body).map_err(|_| NoticeError::NotJson)?;
        let id = id(&event["id"]).ok_or(NoticeError::NoId)?;
        let kind = self::id(&event["type"]).unwrap_or_default();
        let object = &event["data"]["object"];
        Ok(Self {
            customer: customer(&kind, object),
            object_id: self::id(&object["id"]),
            created: event["created"].as_i64().and_then(|seconds| DateTime::from_timestamp(seconds, 0)),
            livemode: event["livemode"].as_bool(),
            id,
            kind,
        })
    }
}

fn customer(kind: &str, object: &Value) -> Option<String> {
    let is_customer = match object["object"].as_str() {
        Some(object) => object == "customer",
        None => matches!(kind, "customer.created" | "customer.updated" | "customer.deleted"),
    };
    if is_customer {
        return id(&object["id"]);
    }
    let customer = &object["customer"];
    id(customer).or_else(|| id(&customer["id"])) // it may be expanded
}

fn id(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    let is_id = !text.is_empty() && text.len() <= MAX_ID_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_id.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn parsed(event: &Value) -> Notice {
        Notice::parse(event.to_string().as_bytes()).unwrap()
    }

    fn event(kind: &str, object: &Value) -> Value {
        json!({"id": "evt_1", "object": "event", "type": kind, "created": 1_700_000_000, "livemode": false,
            "data": {"object": object, "previous_attributes": {"status": "trialing"}}, "pending_webhooks": 1})
    }

    #[test]
    fn whom_and_what_it_is_about_is_kept() {
        for (kind, object, customer) in [
            ("customer.updated", json!({"id": "cus_1", "object": "customer", "email": "ada@example.com"}), "cus_1"),
            ("customer.deleted", json!({"id": "cus_2"}), "cus_2"),
            (
                "customer.subscription.updated",
                json!({"id": "sub_1", "object": "subscription", "customer": "cus_3"}),
                "cus_3",
            ),
            ("customer.subscription.deleted", json!({"id": "sub_1", "customer": "cus_3"}), "cus_3"),
            (
                "invoice.payment_failed",
                json!({"id": "in_1", "object": "invoice", "customer": {"id": "cus_4"}}),
                "cus_4",
            ),
            (
                "checkout.session.completed",
                json!({"id": "cs_1", "object": "checkout.session", "customer": "cus_5"}),
                "cus_5",
            ),
            ("future.kind", json!({"id": "x_1", "object": "x", "customer": "cus_6"}), "cus_6"),
        ] {
            let notice = parsed(&event(kind, &object));
            let expected = Notice {
                id: "evt_1".to_owned(),
                kind: kind.to_owned(),
                created: DateTime::from_timestamp(1_700_000_000, 0),
                livemode: Some(false),
                customer: Some(customer.to_owned()),
                object_id: object["id"].as_str().map(str::to_owned),
            };
            assert_eq!(notice, expected);
        }
    }

    #[test]
    fn what_is_missing_or_misshapen_is_none() {
        let bare = Notice {
            id: "evt_1".to_owned(),
            kind: String::new(),
            created: None,
            livemode: None,
            customer: None,
            object_id: None,
        };
        assert_eq!(parsed(&json!({"id": "evt_1"})), bare);
        let misshapen = json!({"id": "evt_1", "type": 7, "created": "2026-01-01", "livemode": "no",
            "data": {"object": {"id": ["sub"], "customer": 3}}});
        assert_eq!(parsed(&misshapen), bare);
        assert_eq!(parsed(&json!({"id": "evt_1", "created": i64::MAX, "data": [1]})), bare);
        let long = json!({"id": "evt_1", "data": {"object": {"id": "x".repeat(256), "customer": "a b"}}});
        assert_eq!(parsed(&long), bare);
    }

    #[test]
    fn without_an_id_it_is_none() {
        assert_eq!(Notice::parse(b"<html>"), Err(NoticeError::NotJson));
        assert_eq!(Notice::parse(b""), Err(NoticeError::NotJson));
        for body in ["[]", "7", "{}", r#"{"id":""}"#, r#"{"id":7}"#, r#"{"id":"a\u0000b"}"#] {
            assert_eq!(Notice::parse(body.as_bytes()), Err(NoticeError::NoId), "{body}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_comes_breaks_it(body in proptest::collection::vec(any::<u8>(), 0..300), text in "\\PC*") {
            let _ = Notice::parse(&body);
            let _ = Notice::parse(text.as_bytes());
            let of_text = json!({"id": text.clone(), "type": text, "data": {"object": {"id": text, "customer": text}}});
            if let Ok(notice) = Notice::parse(of_text.to_string().as_bytes()) {
                prop_assert!(notice.id.len() <= MAX_ID_BYTES);
            }
        }
    }
}
