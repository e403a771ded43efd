//! The one enum over the events of all nouns, for everybody who reads the whole history.

use serde_json::Value;
use uuid::Uuid;

use crate::{
    Sealed, account::AccountEvent, candidate::CandidateEvent, email_claim::EmailClaimEvent, job::JobEvent,
    subscription::SubscriptionEvent, usage::UsageEvent,
};
use cqrs_es::DomainEvent;

/// Any event. There is no catch-all arm anywhere over it: a new noun must be looked at by every reader.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Account(AccountEvent),
    EmailClaim(EmailClaimEvent),
    Job(JobEvent),
    Candidate(CandidateEvent),
    Subscription(SubscriptionEvent),
    Usage(UsageEvent),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableEvent {
    #[error("aggregate type \"{0}\" is not known to this version")]
    AggregateType(String),
    #[error("event \"{event_type}\" version {version} cannot be decoded: {reason}")]
    Payload { event_type: String, version: String, reason: String },
    #[error("metadata has no usable {0}")]
    Metadata(&'static str),
}

impl Event {
    /// Decodes a stored payload of the current version; older ones are upcast before.
    ///
    /// # Errors
    /// [`UnreadableEvent`] when the noun or the shape is not known.
    pub fn decode(
        aggregate_type: &str,
        event_type: &str,
        version: &str,
        payload: Value,
    ) -> Result<Self, UnreadableEvent> {
        let decoded = match aggregate_type {
            "account" => serde_json::from_value(payload).map(Self::Account),
            "email_claim" => serde_json::from_value(payload).map(Self::EmailClaim),
            "job" => serde_json::from_value(payload).map(Self::Job),
            "candidate" => serde_json::from_value(payload).map(Self::Candidate),
            "subscription" => serde_json::from_value(payload).map(Self::Subscription),
            "usage" => serde_json::from_value(payload).map(Self::Usage),
            unknown => return Err(UnreadableEvent::AggregateType(unknown.to_owned())),
        };
        decoded.map_err(|error| UnreadableEvent::Payload {
            event_type: event_type.to_owned(),
            version: version.to_owned(),
            reason: error.to_string(),
        })
    }

    pub fn event_type(&self) -> String {
        match self {
            Self::Account(event) => event.event_type(),
            Self::EmailClaim(event) => event.event_type(),
            Self::Job(event) => event.event_type(),
            Self::Candidate(event) => event.event_type(),
            Self::Subscription(event) => event.event_type(),
            Self::Usage(event) => event.event_type(),
        }
    }

    pub fn event_version(&self) -> String {
        match self {
            Self::Account(event) => event.event_version(),
            Self::EmailClaim(event) => event.event_version(),
            Self::Job(event) => event.event_version(),
            Self::Candidate(event) => event.event_version(),
            Self::Subscription(event) => event.event_version(),
            Self::Usage(event) => event.event_version(),
        }
    }

    /// Every sealed value with the field name that its encryption is bound to.
    pub fn sealed_mut(&mut self) -> Vec<(&'static str, &mut Sealed)> {
        match self {
            Self::Account(event) => event.sealed_mut(),
            Self::Candidate(event) => event.sealed_mut(),
            Self::EmailClaim(_) | Self::Job(_) | Self::Subscription(_) | Self::Usage(_) => vec![],
        }
    }

    /// Keys that open this event's sealed values.
    pub fn keys(&self) -> Vec<Uuid> {
        self.clone().sealed_mut().into_iter().map(|(_, sealed)| sealed.key).collect()
    }
}

/// Gives an event enum its stable names and versions, and a list of them for the samples.
macro_rules! event_types {
    ($events:ident { $($variant:ident: $version:literal,)* }) => {
        impl $events {
            /// Name and current version of every variant; each has its golden sample.
            pub const TYPES: &[(&'static str, &'static str)] = &[$((stringify!($variant), $version),)*];
        }

        impl cqrs_es::DomainEvent for $events {
            fn event_type(&self) -> String {
                match self {
                    $(Self::$variant { .. } => stringify!($variant).to_owned(),)*
                }
            }

            fn event_version(&self) -> String {
                match self {
                    $(Self::$variant { .. } => $version.to_owned(),)*
                }
            }
        }
    };
}

/// Runs the pure `decide` under the cqrs-es interface, so that its test framework and stock stores can drive it.
macro_rules! aggregate {
    ($aggregate:ident, $name:literal, $command:ident, $event:ident, $error:ident) => {
        impl cqrs_es::Aggregate for $aggregate {
            const TYPE: &'static str = $name;
            type Command = $command;
            type Event = $event;
            type Error = $error;
            type Services = (); // rules call nobody

            async fn handle(
                &mut self,
                command: $command,
                (): &(),
                sink: &cqrs_es::event_sink::EventSink<Self>,
            ) -> Result<(), $error> {
                for event in self.decide(command)? {
                    sink.write(event, self).await;
                }
                Ok(())
            }

            fn apply(&mut self, event: $event) {
                self.evolve(event);
            }
        }
    };
}

pub(crate) use aggregate;
pub(crate) use event_types;
