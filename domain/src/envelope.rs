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
        let tenant = self.tenant_id.map_or_else(|| "none".to_owned(), |tenant| tenant.to_string());
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
