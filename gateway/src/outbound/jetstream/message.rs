//! An event as a message, and back: a `CloudEvent` 1.0 in the NATS binding's binary mode.
//!
//! Attributes go in `ce-*` headers, the stored payload is the body as it is, sealed values and all.

use async_nats::{HeaderMap, HeaderName};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Deserialize;
use starscreen_commands::store::RawEvent;

const SPEC_VERSION: &str = "1.0";
const SOURCE: &str = "/starscreen";
/// Says that the body is missing, and why: such a place is read from the log.
const TOMBSTONE: &str = "starscreen-tombstone";
/// What a message needs beside its body and our headers: subject and protocol.
const FRAME_BYTES: usize = 1_024;

/// One place of the log, ready to be published.
#[derive(Clone, Debug)]
pub struct EventMessage {
    pub subject: String,
    pub headers: HeaderMap,
    pub payload: String,
}

/// Why a message is not one of ours, or not whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    #[error("the message has no usable {0}")]
    Header(&'static str),
    #[error("the message's body is no text")]
    Body,
    #[error("the message stands for an event that could not be published: {0}")]
    Tombstone(String),
}

impl EventMessage {
    /// `subjects` is the root of the stream's subjects. What is larger than `max_bytes` becomes a tombstone.
    pub fn new(subjects: &str, event: &RawEvent, max_bytes: usize) -> Self {
        let subject = subject(subjects, event);
        let mut headers = headers(event);
        let bytes = event.payload.len() + event.metadata.len() * 3 + FRAME_BYTES;
        if bytes <= max_bytes {
            return Self { subject, headers, payload: event.payload.clone() };
        }
        headers.insert("ce-metadata", "{}");
        headers.insert(TOMBSTONE, format!("{bytes} bytes are more than the {max_bytes} that NATS takes"));
        Self { subject, headers, payload: String::new() }
    }
}

/// `<subjects>.<tenant or _none>.<aggregate>.<EventType>`; a name that is none of ours is `_unknown`.
fn subject(subjects: &str, event: &RawEvent) -> String {
    let tenant = event.tenant_id.map_or_else(|| "_none".to_owned(), |tenant| tenant.to_string());
    format!("{subjects}.{tenant}.{}.{}", token(&event.aggregate_type), token(&event.event_type))
}

fn token(name: &str) -> &str {
    let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if is_name && (1..=64).contains(&name.len()) { name } else { "_unknown" }
}

fn headers(event: &RawEvent) -> HeaderMap {
    let known: Known = serde_json::from_str(&event.metadata).unwrap_or_default();
    let recorded_at = event.recorded_at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    let mut headers = HeaderMap::new();
    let mut put = |name, value: &str| headers.insert(HeaderName::from_static(name), escape(value));
    put("ce-specversion", SPEC_VERSION);
    put("ce-source", SOURCE);
    put("ce-type", &format!("starscreen.{}.{}.v{}", event.aggregate_type, event.event_type, event.event_version));
    put("ce-time", known.occurred_at.as_deref().unwrap_or(&recorded_at));
    put("ce-subject", &event.aggregate_id);
    put("ce-datacontenttype", "application/json");
    put("ce-aggregatetype", &event.aggregate_type);
    put("ce-eventtype", &event.event_type);
    put("ce-eventversion", &event.event_version);
    put("ce-recordedat", &recorded_at);
    put("ce-metadata", &event.metadata);
    if let Some(traceparent) = &known.traceparent {
        put("traceparent", traceparent);
    }
    // Numbers and ids have nothing to escape.
    let mut put = |name, value: String| headers.insert(HeaderName::from_static(name), value);
    put("ce-id", event.event_id.to_string());
    put("ce-position", event.position.to_string());
    put("ce-sequence", event.sequence.to_string());
    if let Some(tenant) = event.tenant_id {
        put("ce-tenantid", tenant.to_string());
    }
    if let Some(position) = event.tenant_position {
        put("ce-tenantposition", position.to_string());
    }
    headers
}

/// What attributes of their own have of an event's metadata.
#[derive(Default, Deserialize)]
struct Known {
    occurred_at: Option<String>,
    traceparent: Option<String>,
}

/// The event that a message carries, exactly as it is stored.
///
/// # Errors
/// [`MessageError`] when the message is not whole or not one of ours.
pub fn event(headers: &HeaderMap, payload: &[u8]) -> Result<RawEvent, MessageError> {
    if let Some(reason) = headers.get(TOMBSTONE) {
        return Err(MessageError::Tombstone(reason.to_string()));
    }
    Ok(RawEvent {
        position: position(headers)?,
        tenant_id: optional(headers, "ce-tenantid")?,
        tenant_position: optional(headers, "ce-tenantposition")?,
        aggregate_type: text(headers, "ce-aggregatetype")?,
        aggregate_id: text(headers, "ce-subject")?,
        sequence: parsed(headers, "ce-sequence")?,
        event_type: text(headers, "ce-eventtype")?,
        event_version: text(headers, "ce-eventversion")?,
        payload: String::from_utf8(payload.to_vec()).map_err(|_| MessageError::Body)?,
        metadata: text(headers, "ce-metadata")?,
        event_id: parsed(headers, "ce-id")?,
        recorded_at: parsed::<DateTime<Utc>>(headers, "ce-recordedat")?,
    })
}

/// The position that a message says it stands for.
///
/// # Errors
/// [`MessageError`] when it says none.
pub fn position(headers: &HeaderMap) -> Result<u64, MessageError> {
    parsed(headers, "ce-position")
}

/// Whether a message stands for `event`.
pub fn stands_for(headers: &HeaderMap, event: &RawEvent) -> bool {
    position(headers) == Ok(event.position) && parsed(headers, "ce-id") == Ok(event.event_id)
}

fn text(headers: &HeaderMap, name: &'static str) -> Result<String, MessageError> {
    headers.get(name).and_then(|value| unescape(value.as_str())).ok_or(MessageError::Header(name))
}

fn parsed<T: std::str::FromStr>(headers: &HeaderMap, name: &'static str) -> Result<T, MessageError> {
    text(headers, name)?.parse().map_err(|_| MessageError::Header(name))
}

fn optional<T: std::str::FromStr>(headers: &HeaderMap, name: &'static str) -> Result<Option<T>, MessageError> {
    headers.get(name).map(|_| parsed(headers, name)).transpose()
}

/// As the `CloudEvents` bindings ask: space, quote, percent and all that is not printable ASCII by their bytes.
fn escape(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let stays = |byte: &u8| matches!(byte, b'!'..=b'~') && *byte != b'"' && *byte != b'%';
    let mut escaped = String::with_capacity(text.len() * 3 / 2);
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| !stays(&byte)) {
        escaped.push_str(&rest[..at]);
        // All bytes of a character, so that what comes behind is text again.
        let end = at + rest[at..].chars().next().map_or(1, char::len_utf8);
        for byte in rest[at..end].bytes() {
            escaped.push('%');
            escaped.push(char::from(HEX[usize::from(byte >> 4)]));
            escaped.push(char::from(HEX[usize::from(byte & 15)]));
        }
        rest = &rest[end..];
    }
    escaped.push_str(rest);
    escaped
}

fn unescape(escaped: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut rest = escaped.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        let (high, low) = (digit(rest.next())?, digit(rest.next())?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn stored() -> RawEvent {
        let metadata = json!({
            "occurred_at": "2026-03-14T09:26:53.589793Z",
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "actor": "worker:\u{fc}ber \"50 %\"\r\nX-Forged: 1",
        });
        RawEvent {
            position: 42,
            tenant_id: Some(Uuid::from_u128(7)),
            tenant_position: Some(5),
            aggregate_type: "candidate".to_owned(),
            aggregate_id: Uuid::from_u128(8).to_string(),
            sequence: 3,
            event_type: "ScoringAwaited".to_owned(),
            event_version: "1".to_owned(),
            payload: json!({"ScoringAwaited": {}}).to_string(),
            metadata: metadata.to_string(),
            event_id: Uuid::from_u128(9),
            recorded_at: "2026-03-14T09:26:54.123456789Z".parse().unwrap(),
        }
    }

    fn message(event: &RawEvent) -> EventMessage {
        EventMessage::new("starscreen.events.v1", event, 1_000_000)
    }

    #[test]
    fn an_event_comes_back_from_its_message_exactly() {
        let odd = RawEvent {
            tenant_id: None,
            tenant_position: None,
            aggregate_type: "no noun of ours > *".to_owned(),
            aggregate_id: String::new(),
            event_type: "Not.One.Of.Ours".to_owned(),
            event_version: "\u{1f980}%".to_owned(),
            payload: "not even JSON \0".to_owned(),
            metadata: "neither".to_owned(),
            ..stored()
        };
        for stored in [stored(), odd] {
            let message = message(&stored);
            assert_eq!(event(&message.headers, message.payload.as_bytes()), Ok(stored.clone()));
            assert!(stands_for(&message.headers, &stored));
        }
    }

    #[test]
    fn a_message_is_a_cloud_event_in_binary_mode() {
        let message = message(&stored());
        let header = |name: &str| message.headers.get(name).map(ToString::to_string);
        assert_eq!(header("ce-specversion").as_deref(), Some("1.0"));
        assert_eq!(header("ce-id").as_deref(), Some("00000000-0000-0000-0000-000000000009"));
        assert_eq!(header("ce-source").as_deref(), Some("/starscreen"));
        assert_eq!(header("ce-type").as_deref(), Some("starscreen.candidate.ScoringAwaited.v1"));
        assert_eq!(header("ce-time").as_deref(), Some("2026-03-14T09:26:53.589793Z"));
        assert_eq!(header("ce-subject").as_deref(), Some("00000000-0000-0000-0000-000000000008"));
        assert_eq!(header("ce-datacontenttype").as_deref(), Some("application/json"));
        assert_eq!(header("traceparent").as_deref(), Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
        let names = message.headers.iter().map(|(name, _)| name.to_string());
        for name in names.filter_map(|name| name.strip_prefix("ce-").map(str::to_owned)) {
            assert!(
                name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()),
                "{name} is no attribute's name"
            );
        }
        assert_eq!(message.payload, stored().payload);
    }

    #[test]
    fn no_value_can_break_out_of_its_header() {
        let message = message(&stored());
        for (name, values) in message.headers.iter() {
            for value in values {
                assert!(value.as_str().bytes().all(|byte| matches!(byte, b'!'..=b'~')), "{name}: {value}");
            }
        }
    }

    #[test]
    fn a_subject_has_our_own_names_only() {
        assert_eq!(
            message(&stored()).subject,
            "starscreen.events.v1.00000000-0000-0000-0000-000000000007.candidate.ScoringAwaited"
        );
        for name in ["", "a.b", ">", "*", "Ä", "a b", &"a".repeat(65)] {
            let event = RawEvent { tenant_id: None, event_type: name.to_owned(), ..stored() };
            assert_eq!(message(&event).subject, "starscreen.events.v1._none.candidate._unknown");
        }
    }

    #[test]
    fn an_event_that_nats_would_refuse_leaves_a_tombstone_in_its_place() {
        let large = RawEvent { payload: "x".repeat(70_000), ..stored() };
        let message = EventMessage::new("starscreen.events.v1", &large, 65_536);
        assert!(stands_for(&message.headers, &large) && message.payload.is_empty());
        let error = event(&message.headers, &[]).unwrap_err();
        assert!(matches!(error, MessageError::Tombstone(_)), "{error}");
    }

    #[test]
    fn a_message_of_others_is_none_of_ours() {
        assert_eq!(event(&HeaderMap::new(), b"{}"), Err(MessageError::Header("ce-position")));
        let mut other = message(&RawEvent { event_id: Uuid::from_u128(1), ..stored() });
        assert!(!stands_for(&other.headers, &stored()));
        other.headers.insert("ce-metadata", "%");
        assert_eq!(event(&other.headers, b"{}"), Err(MessageError::Header("ce-metadata")));
    }
}
