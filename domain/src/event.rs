//! The one enum over the events of all nouns, for everybody who reads the whole history.

use serde_json::Value;
use uuid::Uuid;

use crate::{
    Sealed, account::AccountEvent, candidate::CandidateEvent, customer::CustomerEvent, email_claim::EmailClaimEvent,
    job::JobEvent, subscription::SubscriptionEvent, usage::UsageEvent, webhook::WebhookEvent,
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
    Customer(CustomerEvent),
    Webhook(WebhookEvent),
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
    /// [`UnreadableEvent`] when the noun, the shape or the version is not known.
    pub fn decode(
        aggregate_type: &str,
        event_type: &str,
        version: &str,
        payload: Value,
    ) -> Result<Self, UnreadableEvent> {
        let unreadable = |reason| UnreadableEvent::Payload {
            event_type: event_type.to_owned(),
            version: version.to_owned(),
            reason,
        };
        let decoded = match aggregate_type {
            "account" => serde_json::from_value(payload).map(Self::Account),
            "email_claim" => serde_json::from_value(payload).map(Self::EmailClaim),
            "job" => serde_json::from_value(payload).map(Self::Job),
            "candidate" => serde_json::from_value(payload).map(Self::Candidate),
            "subscription" => serde_json::from_value(payload).map(Self::Subscription),
            "usage" => serde_json::from_value(payload).map(Self::Usage),
            "customer" => serde_json::from_value(payload).map(Self::Customer),
            "webhook" => serde_json::from_value(payload).map(Self::Webhook),
            unknown => return Err(UnreadableEvent::AggregateType(unknown.to_owned())),
        };
        let event: Self = decoded.map_err(|error| unreadable(error.to_string()))?;
        // A newer program's event may parse by luck, unknown fields dropped: better parked than half understood.
        let (known_type, known_version) = (event.event_type(), event.event_version());
        if known_type != event_type || known_version != version {
            return Err(unreadable(format!("this program reads it as {known_type} version {known_version}")));
        }
        Ok(event)
    }

    pub fn event_type(&self) -> String {
        match self {
            Self::Account(event) => event.event_type(),
            Self::EmailClaim(event) => event.event_type(),
            Self::Job(event) => event.event_type(),
            Self::Candidate(event) => event.event_type(),
            Self::Subscription(event) => event.event_type(),
            Self::Usage(event) => event.event_type(),
            Self::Customer(event) => event.event_type(),
            Self::Webhook(event) => event.event_type(),
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
            Self::Customer(event) => event.event_version(),
            Self::Webhook(event) => event.event_version(),
        }
    }

    /// Every sealed value with the field name that its encryption is bound to.
    pub fn sealed_mut(&mut self) -> Vec<(&'static str, &mut Sealed)> {
        match self {
            Self::Account(event) => event.sealed_mut(),
            Self::Candidate(event) => event.sealed_mut(),
            Self::EmailClaim(_)
            | Self::Job(_)
            | Self::Subscription(_)
            | Self::Usage(_)
            | Self::Customer(_)
            | Self::Webhook(_) => vec![],
        }
    }

    /// Keys that open this event's sealed values.
    pub fn keys(&self) -> Vec<Uuid> {
        self.clone().sealed_mut().into_iter().map(|(_, sealed)| sealed.key).collect()
    }
}

macro_rules! into_event {
    ($($noun:ident: $event:ident,)*) => {$(
        impl From<$event> for Event {
            fn from(event: $event) -> Self {
                Self::$noun(event)
            }
        }
    )*};
}

into_event! {
    Account: AccountEvent,
    EmailClaim: EmailClaimEvent,
    Job: JobEvent,
    Candidate: CandidateEvent,
    Subscription: SubscriptionEvent,
    Usage: UsageEvent,
    Customer: CustomerEvent,
    Webhook: WebhookEvent,
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use cqrs_es::Aggregate;
    use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
    use serde_json::json;

    use super::*;
    use crate::{
        account::Account,
        arbitrary,
        candidate::Candidate,
        customer::Customer,
        email_claim::EmailClaim,
        fixtures::{sealed, user},
        job::Job,
        samples::{known, payload},
        subscription::Subscription,
        usage::Usage,
        webhook::Webhook,
    };

    #[test]
    fn a_noun_that_is_not_known_is_refused_by_name() {
        let refusal = Event::decode("invoice", "InvoiceSent", "1", json!({})).unwrap_err();
        assert_eq!(refusal.to_string(), "aggregate type \"invoice\" is not known to this version");
    }

    #[test]
    fn an_event_that_is_not_known_is_refused_with_its_name_version_and_reason() {
        let refusal = Event::decode("job", "JobPublished", "3", json!({ "JobPublished": {} })).unwrap_err().to_string();
        assert!(
            refusal.starts_with("event \"JobPublished\" version 3 cannot be decoded: unknown variant"),
            "{refusal}"
        );
    }

    #[test]
    fn an_event_of_a_newer_version_is_not_half_understood() {
        let newer = json!({ "JobDeleted": { "successor": "another job" } });
        let refusal = Event::decode("job", "JobDeleted", "2", newer.clone()).unwrap_err().to_string();
        assert_eq!(
            refusal,
            "event \"JobDeleted\" version 2 cannot be decoded: this program reads it as JobDeleted version 1"
        );
        assert!(Event::decode("job", "JobDeleted", "1", newer).is_ok(), "an additional field keeps the version");
    }

    #[test]
    fn an_event_under_the_name_of_another_is_refused() {
        assert!(Event::decode("job", "JobDeleted", "1", json!({ "RubricStarted": {} })).is_err());
    }

    #[test]
    fn keys_are_those_of_the_sealed_values() {
        let event = Event::Candidate(CandidateEvent::TextExtracted {
            text_key: String::new(),
            characters: 0,
            pages: 0,
            found: Some(sealed("found")),
            cut_short: false,
        });
        assert_eq!(event.keys(), [user().0]);
        assert!(Event::Candidate(CandidateEvent::ScoringAwaited {}).keys().is_empty());
    }

    #[test]
    fn any_event_means_any() {
        let mut runner = TestRunner::deterministic();
        let mut missing: BTreeSet<String> =
            known().into_iter().map(|(_, event_type, _)| event_type.to_owned()).collect();
        for _ in 0..1_000 {
            missing.remove(&arbitrary::event().new_tree(&mut runner).unwrap().current().event_type());
        }
        assert_eq!(missing, BTreeSet::new());
    }

    proptest! {
        #[test]
        fn events_come_back_from_their_json(event in arbitrary::event()) {
            let stored = payload(&event).to_string();
            let read = serde_json::from_str(&stored).unwrap();
            let decoded = Event::decode(noun(&event), &event.event_type(), &event.event_version(), read);
            prop_assert_eq!(decoded, Ok(event));
        }
    }

    fn noun(event: &Event) -> &'static str {
        match event {
            Event::Account(_) => Account::TYPE,
            Event::EmailClaim(_) => EmailClaim::TYPE,
            Event::Job(_) => Job::TYPE,
            Event::Candidate(_) => Candidate::TYPE,
            Event::Subscription(_) => Subscription::TYPE,
            Event::Usage(_) => Usage::TYPE,
            Event::Customer(_) => Customer::TYPE,
            Event::Webhook(_) => Webhook::TYPE,
        }
    }
}
