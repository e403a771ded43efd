//! How Stripe words that it will not.

use serde_json::{Value, json};

/// An answer that is an error.
#[derive(Debug)]
pub struct Refused {
    pub status: u16,
    pub body: Value,
    /// Whether it is repeated for the same key: what is refused before anything is tried is not.
    pub is_remembered: bool,
}

pub fn invalid(message: &str, param: &str) -> Refused {
    let body = json!({"error": {"type": "invalid_request_error", "message": message, "param": param}});
    Refused { status: 400, body, is_remembered: false }
}

pub fn coded(code: &str, message: &str, param: &str) -> Refused {
    let mut refused = invalid(message, param);
    refused.body["error"]["code"] = json!(code);
    refused
}

/// Of what a form names.
pub fn missing(what: &str, id: &Value, param: &str) -> Refused {
    let id = id.as_str().unwrap_or_default();
    coded("resource_missing", &format!("No such {what}: '{id}'"), param)
}

/// Of what a path names.
pub fn not_found(what: &str, id: &str) -> Refused {
    Refused { status: 404, ..coded("resource_missing", &format!("No such {what}: '{id}'"), "id") }
}

pub fn declined() -> Refused {
    let error = json!({"type": "card_error", "code": "card_declined", "decline_code": "generic_decline",
        "message": "Your card was declined."});
    Refused { status: 402, body: json!({"error": error}), is_remembered: true }
}

pub fn reused() -> Refused {
    let message = "Keys for idempotent requests can only be used with the same parameters they were first used with.";
    Refused {
        status: 400,
        body: json!({"error": {"type": "idempotency_error", "message": message}}),
        is_remembered: false,
    }
}

/// With a part of the key in it, which must not come into any log.
pub fn wrong_key() -> Refused {
    let error = json!({"type": "invalid_request_error", "message": "Invalid API Key provided: sk_test_****1234"});
    Refused { status: 401, body: json!({"error": error}), is_remembered: false }
}

pub fn nowhere(path: &str) -> Refused {
    let message = format!("Unrecognized request URL ({path}).");
    let error = json!({"type": "invalid_request_error", "message": message});
    Refused { status: 404, body: json!({"error": error}), is_remembered: false }
}

pub fn failed(status: u16) -> Refused {
    let error = match status {
        409 => json!({"type": "idempotency_error", "code": "idempotency_key_in_use", "message": "In use."}),
        429 => json!({"type": "invalid_request_error", "code": "rate_limit", "message": "Too many requests."}),
        _ => json!({"type": "api_error", "message": "Sorry, somebody@example.com, we are out of order."}),
    };
    Refused { status, body: json!({"error": error}), is_remembered: false }
}
