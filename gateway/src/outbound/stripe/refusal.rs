//! Why a call came to nothing, told apart by who can mend it.
//!
//! Reasons are stored and shown, so they hold words of ours and codes of Stripe's. Only what Stripe says of a card is
//! passed on: it is written for the card's owner.

use std::time::Duration;

use reqwest::{StatusCode, header::HeaderMap};
use serde_json::Value;
use starscreen_commands::ports::PaymentsError;

use super::super::wire;

const MAX_SENTENCE_CHARS: usize = 200;
const MAX_CODE_BYTES: usize = 64;
/// What to wait when Stripe is out of order and says that another try will not help.
const NO_HURRY: Duration = Duration::from_mins(10);
/// What every call has alike, or an account lacks: a call that is refused for these is refused for everybody.
const OF_THE_ACCOUNT: &[&str] = &[
    "api_key_expired",
    "livemode_mismatch",
    "not_allowed_on_standard_account",
    "parameter_invalid_empty",
    "parameter_missing",
    "parameter_unknown",
    "parameters_exclusive",
    "platform_api_key_expired",
    "secret_key_required",
    "testmode_charges_only",
    "tls_version_unsupported",
    "url_invalid",
];

/// What of a failure the adapter itself acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// There is no such object, or no more.
    Missing,
    /// It has this usage already.
    Duplicate,
    Other,
}

#[derive(Debug)]
pub struct Refusal {
    pub kind: Kind,
    pub error: PaymentsError,
}

impl From<Refusal> for PaymentsError {
    fn from(refusal: Refusal) -> Self {
        refusal.error
    }
}

impl From<PaymentsError> for Refusal {
    fn from(error: PaymentsError) -> Self {
        Self { kind: Kind::Other, error }
    }
}

fn unavailable(reason: String, retry_after: Option<Duration>) -> PaymentsError {
    PaymentsError::Unavailable { reason, retry_after }
}

/// No answer, or none that is one.
pub fn down(reason: &str) -> Refusal {
    unavailable(reason.to_owned(), None).into()
}

/// An answer in which the very thing that was asked for is missing.
pub fn foreign(what: &str) -> PaymentsError {
    unavailable(format!("its answer is no {what}"), None)
}

pub fn endless(path: &[&str]) -> Refusal {
    down(&format!("its list of {} has no end", path.last().copied().unwrap_or_default()))
}

pub fn no_id() -> Refusal {
    PaymentsError::Declined { code: None, reason: "this is no id of Stripe's".to_owned() }.into()
}

pub fn no_meter() -> Refusal {
    PaymentsError::Refused { reason: "it has no active meter for our usage; check the meter's event name".to_owned() }
        .into()
}

/// What Stripe says of an error, each part empty where it is missing.
struct Said {
    kind: String,
    code: String,
    param: String,
    message: String,
}

impl Said {
    fn read(body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let error = &body["error"];
        let word = |name: &str| {
            let word = error[name].as_str().unwrap_or_default();
            let is_one = word.len() <= MAX_CODE_BYTES
                && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_[]".contains(&byte));
            if is_one { word.to_owned() } else { String::new() }
        };
        let message = error["message"].as_str().unwrap_or_default().chars();
        let message = message.map(|letter| if letter.is_control() { ' ' } else { letter }).take(MAX_SENTENCE_CHARS);
        Self { kind: word("type"), code: word("code"), param: word("param"), message: message.collect() }
    }

    fn is_about(&self, noun: &str) -> bool {
        self.param == noun || self.param.ends_with(&format!("[{noun}]"))
    }
}

pub fn of(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Refusal {
    let said = Said::read(body);
    Refusal { kind: kind(status, &said), error: error(status, headers, &said) }
}

fn kind(status: StatusCode, said: &Said) -> Kind {
    // Stripe has a code for this in newer interfaces only; here the sentence is all there is.
    let is_duplicate = said.code == "duplicate_meter_event"
        || (said.kind == "invalid_request_error"
            && said.message.starts_with("An event already exists with identifier"));
    if status == StatusCode::BAD_REQUEST && is_duplicate {
        Kind::Duplicate
    } else if said.code == "resource_missing" {
        Kind::Missing
    } else {
        Kind::Other
    }
}

fn error(status: StatusCode, headers: &HeaderMap, said: &Said) -> PaymentsError {
    let flag = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let should_retry = flag("stripe-should-retry");
    let answered = format!("it answered {} {}", status.as_u16(), said.code).trim_end().to_owned();
    let is_passing = matches!(status.as_u16(), 408 | 409 | 424 | 425 | 429) || status.is_server_error();
    if should_retry == Some("true") || is_passing || said.code == "rate_limit" || said.code == "lock_timeout" {
        let asked = wire::retry_after(headers);
        let wait = if should_retry == Some("false") { Some(asked.unwrap_or(NO_HURRY).max(NO_HURRY)) } else { asked };
        let is_remembered = flag("idempotent-replayed") == Some("true");
        let reason = if is_remembered { format!("{answered}, as it did before for the same key") } else { answered };
        return unavailable(reason, wait);
    }
    let refused = |advice: &str| PaymentsError::Refused { reason: format!("{answered}: {advice}") };
    let declined = |reason: String| PaymentsError::Declined {
        code: Some(said.code.clone()).filter(|code| !code.is_empty()),
        reason,
    };
    if said.kind == "card_error" || status == StatusCode::PAYMENT_REQUIRED {
        let is_for_owner = said.kind == "card_error" && !said.message.trim().is_empty();
        return declined(if is_for_owner { said.message.clone() } else { "the payment failed".to_owned() });
    }
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            refused("check STRIPE_API_KEY and what it is allowed to do")
        }
        status if status.is_redirection() => refused("it sends callers elsewhere; check the address of its API"),
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED if said.code.is_empty() => {
            refused("check the address of its API")
        }
        _ if said.is_about("price") => refused("check the ids of the plans' prices"),
        _ if said.is_about("event_name") => refused("check the name of the meter's events"),
        _ if said.is_about("configuration") || said.message.starts_with("No configuration provided") => {
            refused("save the settings of the customer portal in Stripe's dashboard once")
        }
        _ if OF_THE_ACCOUNT.contains(&said.code.as_str()) => refused("its account is not set up for this"),
        _ if said.is_about("payment_method") => declined("the payment method is not one that can be used".to_owned()),
        _ if is_customer_missing(said) => PaymentsError::CustomerGone,
        _ if said.code == "resource_missing" => declined("Stripe does not know what this is about".to_owned()),
        _ if said.kind == "idempotency_error" => PaymentsError::Declined {
            code: Some(said.kind.clone()),
            reason: "another call was made with the same key".to_owned(),
        },
        _ => declined(format!("{answered} {}", said.param).trim_end().to_owned()),
    }
}

/// As of one that was deleted, wherever it is named.
fn is_customer_missing(said: &Said) -> bool {
    said.code == "resource_missing" && (said.is_about("customer") || said.message.starts_with("No such customer"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answered(status: u16, error: &Value) -> Refusal {
        with_headers(status, &[], error)
    }

    fn with_headers(status: u16, headers: &[(&'static str, &'static str)], error: &Value) -> Refusal {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        of(StatusCode::from_u16(status).unwrap(), &headers, json!({"error": error}).to_string().as_bytes())
    }

    fn invalid(code: &str, param: &str) -> Value {
        json!({"type": "invalid_request_error", "code": code, "param": param, "message": "No such thing: 'x@example.com'"})
    }

    #[test]
    fn what_will_pass_is_waited_for_as_long_as_it_says() {
        for status in [409, 424, 429, 500, 502, 503, 504] {
            let refusal = with_headers(status, &[("retry-after", "7")], &json!({"type": "api_error"}));
            let PaymentsError::Unavailable { retry_after, .. } = refusal.error else { panic!("{status}") };
            assert_eq!(retry_after, Some(Duration::from_secs(7)), "{status}");
        }
        let told_to = with_headers(400, &[("stripe-should-retry", "true")], &invalid("", ""));
        assert!(matches!(told_to.error, PaymentsError::Unavailable { retry_after: None, .. }));
        let told_not_to = with_headers(500, &[("stripe-should-retry", "false"), ("retry-after", "7")], &json!({}));
        assert!(matches!(told_not_to.error, PaymentsError::Unavailable { retry_after: Some(NO_HURRY), .. }));
        let remembered = with_headers(500, &[("idempotent-replayed", "true")], &json!({}));
        assert!(remembered.error.to_string().contains("as it did before for the same key"), "{}", remembered.error);
        let limited = answered(400, &invalid("rate_limit", ""));
        assert!(matches!(limited.error, PaymentsError::Unavailable { .. }));
    }

    #[test]
    fn what_only_an_operator_mends_is_refused() {
        for (status, error) in [
            (401, invalid("", "")),
            (403, json!({})),
            (301, json!({})),
            (404, invalid("", "")),
            (400, invalid("resource_missing", "items[0][price]")),
            (404, invalid("resource_missing", "price")),
            (400, invalid("parameter_unknown", "item")),
            (400, invalid("", "event_name")),
            (400, json!({"type": "invalid_request_error", "message": "No configuration provided and your default …"})),
        ] {
            let refusal = answered(status, &error);
            assert!(matches!(refusal.error, PaymentsError::Refused { .. }), "{status} {error}: {}", refusal.error);
        }
    }

    #[test]
    fn a_declined_card_is_told_in_stripes_words() {
        let error = json!({"type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds",
            "message": "Your card has\ninsufficient funds."});
        let PaymentsError::Declined { code, reason } = answered(402, &error).error else { panic!("not declined") };
        assert_eq!((code.as_deref(), reason.as_str()), (Some("card_declined"), "Your card has insufficient funds."));
        let long = json!({"type": "card_error", "message": "x".repeat(10_000)});
        let PaymentsError::Declined { code: None, reason } = answered(402, &long).error else { panic!("not declined") };
        assert_eq!(reason.len(), MAX_SENTENCE_CHARS);
        let method = answered(400, &invalid("resource_missing", "payment_method")).error;
        assert!(matches!(method, PaymentsError::Declined { .. }), "{method}");
    }

    #[test]
    fn a_customer_that_is_not_there_is_gone() {
        let unnamed = json!({"type": "invalid_request_error", "code": "resource_missing", "param": "id",
            "message": "No such customer: 'cus_1'"});
        for error in [invalid("resource_missing", "customer"), unnamed] {
            assert!(matches!(answered(404, &error).error, PaymentsError::CustomerGone), "{error}");
        }
        let another = answered(404, &invalid("resource_missing", "subscription")).error;
        assert!(!matches!(another, PaymentsError::CustomerGone), "{another}");
    }

    #[test]
    fn nothing_else_that_stripe_said_is_passed_on() {
        for status in [400, 401, 402, 404, 409, 500] {
            for param in ["price", "payment_method", "customer", "ada@example.com"] {
                let refusal = answered(status, &invalid("resource_missing", param));
                assert!(!refusal.error.to_string().contains("example.com"), "{}", refusal.error);
            }
        }
        let hostile = answered(400, &json!({"type": "x y", "code": "ada@example.com", "param": "ada@example.com"}));
        assert!(!hostile.error.to_string().contains("example.com"), "{}", hostile.error);
    }

    #[test]
    fn usage_that_it_has_already_is_known_by_its_sentence() {
        let exists = json!({"type": "invalid_request_error", "message": "An event already exists with identifier 1."});
        assert_eq!(answered(400, &exists).kind, Kind::Duplicate);
        assert_eq!(answered(400, &invalid("duplicate_meter_event", "")).kind, Kind::Duplicate);
        assert_eq!(answered(404, &invalid("resource_missing", "id")).kind, Kind::Missing);
        assert_eq!(answered(400, &invalid("", "")).kind, Kind::Other);
    }
}
