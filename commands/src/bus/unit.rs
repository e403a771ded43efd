//! One try of a use case: what it read, what it decided, and what it will leave behind.

use std::{any::Any, collections::HashMap, sync::Arc};

use chrono::{DateTime, Utc};
use cqrs_es::{Aggregate, DomainEvent, event_sink::EventSink};
use serde::Serialize;
use starscreen_domain::{CommandId, Event, EventId, Metadata, TenantId, work::asked_by};
use uuid::Uuid;

use super::{
    Bus, Context, Idempotency, owner,
    states::{Kept, StreamId},
};
use crate::{
    append::{Append, DeadWork, NewCandidate, NewCredential, NewEvent, NewKey, NewReceipt, NewWork},
    error::CommandError,
};

/// One try of a use case: what it read and what it decided so far.
pub struct Unit {
    bus: Bus,
    metadata: Metadata,
    tenant: TenantId,
    urgent: bool,
    streams: HashMap<StreamId, Stream>,
    append: Append,
}

struct Stream {
    /// Sequence of the last event that was read.
    read: u64,
    /// Sequence of the last event, decided ones included.
    sequence: u64,
    state: Arc<dyn Any + Send + Sync>,
}

impl Unit {
    pub(super) fn new(bus: Bus, context: &Context) -> Self {
        let command_id = CommandId(Uuid::now_v7());
        let metadata = Metadata {
            command_id,
            actor: context.actor.clone(),
            occurred_at: context.at,
            correlation_id: context.correlation_id,
            causation_id: context.causation_id.unwrap_or(command_id.0),
            traceparent: context.traceparent.clone(),
            source: bus.source.to_string(),
        };
        let append = Append { completes: context.completes, ..Append::default() };
        Self { bus, metadata, tenant: context.tenant, urgent: context.urgent, streams: HashMap::new(), append }
    }

    /// The aggregate as it is now, with what this unit has decided.
    ///
    /// # Errors
    /// When its history cannot be read.
    pub async fn state<A>(&mut self, id: impl Into<Uuid>) -> Result<A, CommandError>
    where
        A: Aggregate + Clone + 'static,
    {
        let (_, state) = self.known::<A>(id.into()).await?;
        Ok(Arc::unwrap_or_clone(state))
    }

    async fn known<A>(&mut self, id: Uuid) -> Result<(u64, Arc<A>), CommandError>
    where
        A: Aggregate + Clone + 'static,
    {
        let stream = self.stream::<A>(id);
        if let Some(known) = self.streams.get(&stream)
            && let Ok(state) = Arc::clone(&known.state).downcast::<A>()
        {
            return Ok((known.sequence, state));
        }
        let (sequence, state) = self.bus.load::<A>(stream).await?;
        self.streams.insert(stream, Stream { read: sequence, sequence, state: Arc::clone(&state) as _ });
        Ok((sequence, state))
    }

    /// Decides one command; returns the events, which are appended when the whole unit is.
    ///
    /// # Errors
    /// The broken rule, or when the history cannot be read.
    pub async fn decide<A>(
        &mut self,
        id: impl Into<Uuid>,
        command: impl Into<A::Command>,
    ) -> Result<Vec<A::Event>, CommandError>
    where
        A: Aggregate<Services = ()> + Clone + 'static,
        A::Event: Into<Event>,
        CommandError: From<A::Error>,
    {
        let id = id.into();
        let (mut sequence, before) = self.known::<A>(id).await?;
        let read = self.streams.get(&self.stream::<A>(id)).map_or(sequence, |stream| stream.read);
        let mut state = A::clone(&before);
        let sink = EventSink::default();
        state.handle(command.into(), &(), &sink).await?;
        let mut events = sink.collect().await;
        if events.is_empty() {
            return Ok(events);
        }
        let mut altered = false;
        for event in &mut events {
            sequence += 1;
            altered |= self.record::<A>(id, sequence, event)?;
        }
        if altered {
            // What is known here must be what a reader of the stored events will know.
            state = A::clone(&before);
            for event in &events {
                state.apply(event.clone());
            }
        }
        let stream = self.stream::<A>(id);
        self.streams.insert(stream, Stream { read, sequence, state: Arc::new(state) });
        Ok(events)
    }

    fn stream<A: Aggregate>(&self, id: Uuid) -> StreamId {
        (A::TYPE, owner::<A>(self.tenant), id)
    }

    /// Puts the event into the append; true when it had to lose NUL characters for that.
    fn record<A>(&mut self, id: Uuid, sequence: u64, event: &mut A::Event) -> Result<bool, CommandError>
    where
        A: Aggregate,
        A::Event: Into<Event>,
    {
        let event_id = EventId(Uuid::now_v7());
        let (_, tenant_id, _) = self.stream::<A>(id);
        let metadata = serde_json::to_string(&self.metadata.to_map(tenant_id, event_id)).map_err(unreadable)?;
        let mut payload = serde_json::to_string(event).map_err(unreadable)?;
        let clean = without_nul(&payload);
        let altered = clean.is_some();
        if let Some(clean) = clean {
            *event = serde_json::from_str(&clean).map_err(unreadable)?;
            payload = clean;
        }
        self.append.events.push(NewEvent {
            tenant_id,
            aggregate_type: A::TYPE,
            aggregate_id: id,
            sequence,
            event_type: event.event_type(),
            event_version: event.event_version(),
            payload,
            metadata: without_nul(&metadata).unwrap_or(metadata),
            event_id,
        });
        for asked in asked_by(id, &A::Event::clone(event).into(), self.metadata.occurred_at) {
            self.append.work.push(NewWork {
                id: Uuid::now_v7(),
                tenant_id: self.tenant,
                urgent: self.urgent,
                asked,
                correlation_id: self.metadata.correlation_id,
                causation_id: event_id.0,
            });
        }
        Ok(altered)
    }

    /// Business time of the command.
    pub fn at(&self) -> DateTime<Utc> {
        self.metadata.occurred_at
    }

    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    pub fn add_key(&mut self, key: NewKey) {
        self.append.keys.push(key);
    }

    pub fn add_credential(&mut self, credential: NewCredential) {
        self.append.credentials.push(credential);
    }

    pub fn add_candidate(&mut self, candidate: NewCandidate) {
        self.append.candidates.push(candidate);
    }

    /// Notes that work is given up with this command.
    pub fn add_dead(&mut self, dead: impl IntoIterator<Item = DeadWork>) {
        self.append.dead.extend(dead);
    }

    /// Takes the subject off the list of what was given up.
    pub fn redrive(&mut self, subject: impl Into<Uuid>) {
        self.append.redriven.push(subject.into());
    }

    /// Ids of the work items asked for so far, in the order of their events.
    pub fn work_ids(&self) -> Vec<Uuid> {
        self.append.work.iter().map(|work| work.id).collect()
    }

    /// Whether what was read together never was together: one of several streams has gone on meanwhile.
    pub(super) async fn is_torn(&self) -> Result<bool, CommandError> {
        if self.streams.len() < 2 {
            return Ok(false);
        }
        for ((aggregate_type, tenant, id), stream) in &self.streams {
            if self.bus.events.goes_on(aggregate_type, *tenant, *id, stream.read).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn finish<T: Serialize>(
        mut self,
        context: &Context,
        output: &T,
    ) -> Result<(Append, Vec<Kept>), CommandError> {
        if let Some(Idempotency { key, request_hash }) = context.idempotency.clone() {
            let answer = serde_json::to_string(output).map_err(unreadable)?;
            self.append.receipt = Some(NewReceipt { tenant_id: self.tenant, key, request_hash, answer });
        }
        let kept =
            self.streams.into_iter().map(|(stream, Stream { sequence, state, .. })| Kept { stream, sequence, state });
        Ok((self.append, kept.collect()))
    }
}

fn unreadable(error: serde_json::Error) -> CommandError {
    CommandError::Unreadable(Arc::new(error))
}

impl Append {
    pub(super) fn is_empty(&self) -> bool {
        self.receipt.is_none()
            && self.events.is_empty()
            && self.work.is_empty()
            && self.completes.is_none()
            && self.keys.is_empty()
            && self.credentials.is_empty()
            && self.candidates.is_empty()
            && self.dead.is_empty()
            && self.redriven.is_empty()
    }
}

/// The same JSON without NUL characters, if it has some: `PostgreSQL`'s JSON cannot hold them, and no text of ours needs
/// them.
fn without_nul(json: &str) -> Option<String> {
    json.contains("\\u0000").then(|| strip_nul(json)).filter(|clean| clean != json)
}

/// Removes `\u0000` escapes, but not an escaped backslash followed by `u0000`.
fn strip_nul(json: &str) -> String {
    let mut clean = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        clean.push_str(&rest[..at]);
        let escape = &rest[at..];
        if let Some(after) = escape.strip_prefix("\\u0000") {
            rest = after;
        } else {
            let length = escape.char_indices().nth(2).map_or(escape.len(), |(index, _)| index);
            clean.push_str(&escape[..length]);
            rest = &escape[length..];
        }
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nul_is_stripped_and_its_look_alike_is_kept() {
        assert_eq!(without_nul(r#""a\u0000b""#).as_deref(), Some(r#""ab""#));
        assert_eq!(without_nul(r#""a\\u0000b\u0000""#).as_deref(), Some(r#""a\\u0000b""#));
        assert_eq!(without_nul(r#""a\\u0000b""#), None);
        assert_eq!(without_nul(r#""ab""#), None);
    }
}
