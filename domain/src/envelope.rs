//! What surrounds every event: who, when, because of what, and where in history.

use std::{collections::HashMap, fmt, str::FromStr};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{CommandId, Event, EventId, JobId, TenantId, UnreadableEvent, UserId};

/// Who caused an event. Written as `kind` or `kind:id`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Actor {
    User(UserId),
    ApiKey(Uuid),
    /// A worker of ours, by its lane.
    Worker(String),
    Stripe,
    /// A person with access to the machine, through an operator verb.
    Operator,
    System,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user:{id}"),
            Self::ApiKey(id) => write!(f, "api_key:{id}"),
            Self::Worker(lane) => write!(f, "worker:{lane}"),
            Self::Stripe => f.write_str("stripe"),
            Self::Operator => f.write_str("operator"),
            Self::System => f.write_str("system"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" names no actor")]
pub struct UnknownActor(String);

impl FromStr for Actor {
    type Err = UnknownActor;

    fn from_str(text: &str) -> Result<Self, UnknownActor> {
        let unknown = || UnknownActor(text.to_owned());
        match text.split_once(':') {
            Some(("user", id)) => id.parse().map(Self::User).map_err(|_| unknown()),
            Some(("api_key", id)) => id.parse().map(Self::ApiKey).map_err(|_| unknown()),
            Some(("worker", lane)) => Ok(Self::Worker(lane.to_owned())),
            None if text == "stripe" => Ok(Self::Stripe),
            None if text == "operator" => Ok(Self::Operator),
            None if text == "system" => Ok(Self::System),
            _ => Err(unknown()),
        }
    }
}

/// What a command brings along for all the events it causes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    pub command_id: CommandId,
    pub actor: Actor,
    /// Business time: when the caller's request was taken in.
    pub occurred_at: DateTime<Utc>,
    /// Ties together all that one request set in motion.
    pub correlation_id: Uuid,
    /// The event or command that led to this one; its own command id at the start of a chain.
    pub causation_id: Uuid,
    /// W3C trace context, as received.
    pub traceparent: Option<String>,
    /// Program and version that decided, such as `starscreen@0.1.0`.
    pub source: String,
}

impl Metadata {
    /// As text to text: the only form in which programs built on the cqrs-es crates can read it.
    pub fn to_map(&self, tenant: Option<TenantId>, event: EventId) -> HashMap<String, String> {
        let mut map = HashMap::from([
            ("event_id".to_owned(), event.to_string()),
            ("command_id".to_owned(), self.command_id.to_string()),
            ("actor".to_owned(), self.actor.to_string()),
            ("occurred_at".to_owned(), self.occurred_at.to_rfc3339_opts(SecondsFormat::Micros, true)),
            ("correlation_id".to_owned(), self.correlation_id.to_string()),
            ("causation_id".to_owned(), self.causation_id.to_string()),
            ("source".to_owned(), self.source.clone()),
        ]);
        if let Some(tenant) = tenant {
            map.insert("tenant_id".to_owned(), tenant.to_string());
        }
        if let Some(traceparent) = &self.traceparent {
            map.insert("traceparent".to_owned(), traceparent.clone());
        }
        map
    }

    /// # Errors
    /// [`UnreadableEvent`] names the entry that is missing or malformed.
    pub fn from_map(map: &HashMap<String, String>) -> Result<Self, UnreadableEvent> {
        Ok(Self {
            command_id: entry(map, "command_id")?,
            actor: entry(map, "actor")?,
            occurred_at: entry(map, "occurred_at")?,
            correlation_id: entry(map, "correlation_id")?,
            causation_id: entry(map, "causation_id")?,
            traceparent: map.get("traceparent").cloned(),
            source: map.get("source").cloned().unwrap_or_default(),
        })
    }
}

fn entry<T: FromStr>(map: &HashMap<String, String>, name: &'static str) -> Result<T, UnreadableEvent> {
    map.get(name).and_then(|text| text.parse().ok()).ok_or(UnreadableEvent::Metadata(name))
}

/// One fact with its place in history.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded<E> {
    /// Place in the history of the installation: 1, 2, 3 … without a gap.
    pub position: u64,
    /// Place in the tenant's history, without a gap too; `None` for what belongs to no tenant (e-mail claims).
    pub tenant_position: Option<u64>,
    pub tenant_id: Option<TenantId>,
    pub event_id: EventId,
    pub aggregate_type: String,
    pub aggregate_id: Uuid,
    /// Place in its stream, from 1.
    pub sequence: u64,
    pub recorded_at: DateTime<Utc>,
    pub metadata: Metadata,
    pub payload: E,
}

impl Recorded<Event> {
    /// The candidate this event is about, if it is about one.
    pub fn of_candidate(&self) -> Option<Uuid> {
        matches!(self.payload, Event::Candidate(_)).then_some(self.aggregate_id)
    }

    /// The job this event is about, if it is about one.
    pub fn of_job(&self) -> Option<JobId> {
        matches!(self.payload, Event::Job(_)).then_some(JobId(self.aggregate_id))
    }

    /// `starscreen.events.v1.<tenant>.<aggregate>.<EventType>`: UUIDs and our own names only, never text of people.
    pub fn subject(&self) -> String {
        let tenant = self.tenant_id.map_or_else(|| "_none".to_owned(), |tenant| tenant.to_string());
        format!("starscreen.events.v1.{tenant}.{}.{}", self.aggregate_type, self.payload.event_type())
    }
}

/// One place of the log as a reader meets it: an event, or the reason why it cannot be read.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub position: u64,
    pub event: Result<Recorded<Event>, Unreadable>,
}

/// An event that this program cannot decode; where it belongs is known all the same.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Unreadable {
    pub aggregate_type: String,
    pub aggregate_id: Uuid,
    pub event_type: String,
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        candidate::CandidateEvent,
        email_claim::EmailClaimEvent,
        fixtures::{at, candidate, tenant, user},
        job::JobEvent,
    };

    #[test]
    fn actors_are_written_as_kind_and_id() {
        let written = [
            (Actor::User(user()), "user:00000000-0000-0000-0000-000000000ad4"),
            (Actor::ApiKey(Uuid::nil()), "api_key:00000000-0000-0000-0000-000000000000"),
            (Actor::Worker("extract".to_owned()), "worker:extract"),
            (Actor::Stripe, "stripe"),
            (Actor::Operator, "operator"),
            (Actor::System, "system"),
        ];
        for (actor, text) in written {
            assert_eq!(actor.to_string(), text);
            assert_eq!(text.parse(), Ok(actor));
        }
    }

    #[test]
    fn what_names_no_actor_is_refused() {
        for text in ["", "user", "user:", "user:ada", "api_key:1", "worker", "stripe:1", "system:", "root", "User"] {
            assert_eq!(text.parse::<Actor>().unwrap_err().to_string(), format!("\"{text}\" names no actor"));
        }
    }

    #[test]
    fn a_subject_names_tenant_noun_and_event() {
        let event = recorded(Some(tenant()), "candidate", Event::Candidate(CandidateEvent::ScoringAwaited {}));
        assert_eq!(
            event.subject(),
            "starscreen.events.v1.00000000-0000-0000-0000-0000007e4a47.candidate.ScoringAwaited"
        );
    }

    #[test]
    fn a_subject_of_no_tenant_says_so() {
        let event = recorded(None, "email_claim", Event::EmailClaim(EmailClaimEvent::EmailReleased {}));
        assert_eq!(event.subject(), "starscreen.events.v1._none.email_claim.EmailReleased");
    }

    #[test]
    fn an_event_knows_the_noun_it_is_about() {
        let of_candidate = recorded(Some(tenant()), "candidate", Event::Candidate(CandidateEvent::ScoringAwaited {}));
        assert_eq!((of_candidate.of_candidate(), of_candidate.of_job()), (Some(candidate(1).0), None));
        let of_job = recorded(Some(tenant()), "job", Event::Job(JobEvent::JobDeleted {}));
        assert_eq!((of_job.of_candidate(), of_job.of_job()), (None, Some(JobId(candidate(1).0))));
    }

    #[test]
    fn metadata_is_text_to_text_under_stable_names() {
        let map = metadata().to_map(Some(tenant()), EventId(Uuid::from_u128(7)));
        let expected = [
            ("event_id", "00000000-0000-0000-0000-000000000007"),
            ("tenant_id", "00000000-0000-0000-0000-0000007e4a47"),
            ("command_id", "00000000-0000-0000-0000-000000000001"),
            ("actor", "stripe"),
            ("occurred_at", "2026-03-14T09:26:53.589793Z"),
            ("correlation_id", "00000000-0000-0000-0000-000000000002"),
            ("causation_id", "00000000-0000-0000-0000-000000000003"),
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            ("source", "starscreen@0.1.0"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(map, HashMap::from(expected));
    }

    #[test]
    fn what_is_not_known_has_no_entry() {
        let map = Metadata { traceparent: None, ..metadata() }.to_map(None, EventId(Uuid::nil()));
        assert!(!map.contains_key("traceparent") && !map.contains_key("tenant_id"));
    }

    #[test]
    fn a_missing_or_malformed_entry_is_named() {
        for name in ["command_id", "actor", "occurred_at", "correlation_id", "causation_id"] {
            let mut map = metadata().to_map(None, EventId(Uuid::nil()));
            map.insert(name.to_owned(), "?".to_owned());
            assert_eq!(Metadata::from_map(&map), Err(UnreadableEvent::Metadata(name)));
            map.remove(name);
            assert_eq!(Metadata::from_map(&map), Err(UnreadableEvent::Metadata(name)));
        }
    }

    #[test]
    fn the_source_may_be_missing_in_events_of_others() {
        let mut map = metadata().to_map(None, EventId(Uuid::nil()));
        map.remove("source");
        assert_eq!(Metadata::from_map(&map), Ok(Metadata { source: String::new(), ..metadata() }));
    }

    proptest! {
        #[test]
        fn metadata_comes_back_from_its_map(metadata in any_metadata(), tenant: Option<u128>, event: u128) {
            let tenant = tenant.map(|id| TenantId(Uuid::from_u128(id)));
            let map = metadata.to_map(tenant, EventId(Uuid::from_u128(event)));
            prop_assert_eq!(Metadata::from_map(&map), Ok(metadata));
        }
    }

    fn any_metadata() -> impl Strategy<Value = Metadata> {
        let id = || any::<u128>().prop_map(Uuid::from_u128);
        let actor = prop_oneof![
            id().prop_map(|id| Actor::User(UserId(id))),
            id().prop_map(Actor::ApiKey),
            ".*".prop_map(Actor::Worker),
            Just(Actor::Stripe),
            Just(Actor::Operator),
            Just(Actor::System),
        ];
        // Microseconds of 1970 to 2100: no database keeps more.
        let occurred_at =
            (0_i64..4_102_444_800_000_000).prop_map(|micros| DateTime::from_timestamp_micros(micros).unwrap());
        (id(), actor, occurred_at, id(), id(), prop::option::of(".*"), ".*").prop_map(
            |(command_id, actor, occurred_at, correlation_id, causation_id, traceparent, source)| Metadata {
                command_id: CommandId(command_id),
                actor,
                occurred_at,
                correlation_id,
                causation_id,
                traceparent,
                source,
            },
        )
    }

    fn metadata() -> Metadata {
        Metadata {
            command_id: CommandId(Uuid::from_u128(1)),
            actor: Actor::Stripe,
            occurred_at: at("2026-03-14T09:26:53.589793Z"),
            correlation_id: Uuid::from_u128(2),
            causation_id: Uuid::from_u128(3),
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
            source: "starscreen@0.1.0".to_owned(),
        }
    }

    fn recorded(tenant_id: Option<TenantId>, aggregate_type: &str, payload: Event) -> Recorded<Event> {
        Recorded {
            position: 1,
            tenant_position: tenant_id.map(|_| 1),
            tenant_id,
            event_id: EventId(Uuid::from_u128(7)),
            aggregate_type: aggregate_type.to_owned(),
            aggregate_id: candidate(1).0,
            sequence: 1,
            recorded_at: at("2026-03-14T09:26:54Z"),
            metadata: metadata(),
            payload,
        }
    }
}
