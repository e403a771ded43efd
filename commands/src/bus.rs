//! The command bus: load → decide → append, and again from the start when the race was lost.
//!
//! A use case decides on one or several aggregates through a [`Unit`]; everything it leaves behind is appended in one
//! transaction. It runs detached from whoever asked, so a client that hangs up cannot cut it in the middle.

use std::{
    any::Any,
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use chrono::{DateTime, Utc};
use cqrs_es::{Aggregate, DomainEvent, event_sink::EventSink};
use futures::future::BoxFuture;
use serde::{Serialize, de::DeserializeOwned};
use starscreen_domain::{
    Actor, CommandId, Event, EventId, Metadata, TenantId, email_claim::EmailClaim, work::asked_by,
};
use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

use crate::{
    append::{Append, AppendError, Lease, NewCandidate, NewCredential, NewEvent, NewKey, NewReceipt, NewWork, Writer},
    error::CommandError,
    store::{EventRepository, Registry},
};

/// Tries of one command against other writers of its streams.
const MAX_TRIES: u32 = 12;
/// Longest pause before the first retry; doubles with each, drawn at random between zero and it.
const FIRST_PAUSE: Duration = Duration::from_millis(4);
/// States kept; the least used half goes when there are more.
const MAX_STATES: usize = 4_096;

/// Who asks for what, and on which conditions.
#[derive(Clone, Debug)]
pub struct Context {
    pub tenant: TenantId,
    pub actor: Actor,
    /// Business time of the command.
    pub at: DateTime<Utc>,
    pub correlation_id: Uuid,
    /// What led here; `None`: the command starts the chain.
    pub causation_id: Option<Uuid>,
    pub traceparent: Option<String>,
    pub idempotency: Option<Idempotency>,
    /// The work item that this command reports on.
    pub completes: Option<Lease>,
    /// Somebody waits for the work this asks for: it goes before bulk work.
    pub urgent: bool,
    /// Commands with the same value run one after the other in this process, instead of racing for a hot stream.
    pub serialise: Option<Uuid>,
}

impl Context {
    pub fn new(tenant: TenantId, actor: Actor, at: DateTime<Utc>) -> Self {
        Self {
            tenant,
            actor,
            at,
            correlation_id: Uuid::now_v7(),
            causation_id: None,
            traceparent: None,
            idempotency: None,
            completes: None,
            urgent: true,
            serialise: None,
        }
    }

    /// The same, run one after the other with all commands that write this tenant's ledger.
    #[must_use]
    pub fn in_turn(mut self) -> Self {
        self.serialise = Some(self.tenant.0);
        self
    }
}

/// The client's key for a request, and what the request was.
#[derive(Clone, Debug)]
pub struct Idempotency {
    pub key: String,
    pub request_hash: String,
}

/// A command that happened.
#[derive(Clone, Debug)]
pub struct Committed<T> {
    pub output: T,
    /// Position to wait for in order to read what was written; 0 when nothing was.
    pub position: u64,
    /// The same request was accepted before; this is its answer.
    pub replayed: bool,
}

/// A use case, run again from the start on every try.
pub type UseCase<T> = dyn for<'u> Fn(&'u mut Unit) -> BoxFuture<'u, Result<T, CommandError>> + Send + Sync;

#[derive(Clone)]
pub struct Bus {
    events: EventRepository,
    registry: Registry,
    writer: Writer,
    states: Arc<Mutex<States>>,
    turns: Arc<Mutex<HashMap<Uuid, Weak<tokio::sync::Mutex<()>>>>>,
    /// Program and version, for the envelope.
    source: Arc<str>,
}

impl Bus {
    pub fn new(events: EventRepository, registry: Registry, writer: Writer, source: &str) -> Self {
        Self { events, registry, writer, states: Arc::default(), turns: Arc::default(), source: source.into() }
    }

    /// Runs `use_case` and appends what it decided.
    ///
    /// # Errors
    /// The [`CommandError`] of the use case or of the append; nothing is stored then.
    pub async fn commit<T, F>(&self, context: Context, use_case: F) -> Result<Committed<T>, CommandError>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
        F: for<'u> Fn(&'u mut Unit) -> BoxFuture<'u, Result<T, CommandError>> + Send + Sync + 'static,
    {
        let bus = self.clone();
        let span = tracing::Span::current();
        let run = async move { bus.run(&context, &use_case).await };
        tokio::spawn(tracing::Instrument::instrument(run, span)).await.unwrap_or(Err(CommandError::Stopped))
    }

    async fn run<T>(&self, context: &Context, use_case: &UseCase<T>) -> Result<Committed<T>, CommandError>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
    {
        let _turn = match context.serialise {
            Some(turn) => Some(self.turn(turn).await),
            None => None,
        };
        for attempt in 0..MAX_TRIES {
            if let Some(answer) = self.answered_before(context).await? {
                return Ok(answer);
            }
            let mut unit = Unit::new(self.clone(), context);
            let output = use_case(&mut unit).await?;
            let (append, states) = unit.finish(context, &output)?;
            if append.is_empty() {
                return Ok(Committed { output, position: 0, replayed: false });
            }
            match self.writer.append(append).await {
                Ok(appended) => {
                    self.keep(states);
                    return Ok(Committed { output, position: appended.position, replayed: false });
                }
                Err(AppendError::Conflict | AppendError::Repeated) => pause(attempt).await,
                Err(error) => return Err(error.into()),
            }
        }
        tracing::warn!(tries = MAX_TRIES, "command gave up against other writers of its streams");
        Err(CommandError::Contended)
    }

    async fn answered_before<T: DeserializeOwned>(
        &self,
        context: &Context,
    ) -> Result<Option<Committed<T>>, CommandError> {
        let Some(idempotency) = &context.idempotency else { return Ok(None) };
        let Some(receipt) = self.registry.receipt(context.tenant, &idempotency.key).await? else { return Ok(None) };
        if receipt.request_hash != idempotency.request_hash {
            return Err(CommandError::KeyReused);
        }
        let output =
            serde_json::from_str(&receipt.answer).map_err(|error| CommandError::Unreadable(Arc::new(error)))?;
        Ok(Some(Committed { output, position: receipt.position, replayed: true }))
    }

    /// The stored answer to a request that was accepted before, looked at before anything is done for it.
    ///
    /// # Errors
    /// [`CommandError::KeyReused`] for another request under the same key; or when the store fails.
    pub async fn answer<T: DeserializeOwned>(&self, context: &Context) -> Result<Option<Committed<T>>, CommandError> {
        self.answered_before(context).await
    }

    /// One aggregate as it is now, for a question that decides nothing.
    ///
    /// # Errors
    /// When its history cannot be read.
    pub async fn read<A>(&self, tenant: TenantId, id: impl Into<Uuid>) -> Result<A, CommandError>
    where
        A: Aggregate + Clone + 'static,
    {
        Ok(self.load::<A>((A::TYPE, owner::<A>(tenant), id.into())).await?.1)
    }

    async fn load<A>(&self, stream: StreamId) -> Result<(u64, A), CommandError>
    where
        A: Aggregate + Clone + 'static,
    {
        let kept = self.states.lock().unwrap_or_else(PoisonError::into_inner).get::<A>(stream);
        let (mut sequence, mut state) = kept.unwrap_or_default();
        let (_, tenant, id) = stream;
        for event in self.events.tail::<A>(tenant, id, sequence).await? {
            state.apply(event);
            sequence += 1;
        }
        Ok((sequence, state))
    }

    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    async fn turn(&self, id: Uuid) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(turn) = turns.get(&id).and_then(Weak::upgrade) {
                turn
            } else {
                turns.retain(|_, turn| turn.strong_count() > 0);
                let turn = Arc::new(tokio::sync::Mutex::new(()));
                turns.insert(id, Arc::downgrade(&turn));
                turn
            }
        };
        turn.lock_owned().await
    }

    fn keep(&self, states: Vec<(StreamId, u64, Arc<dyn Any + Send + Sync>)>) {
        let mut kept = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        for (stream, sequence, state) in states {
            kept.put(stream, sequence, state);
        }
    }
}

/// Claims belong to no tenant: whether an address is taken is asked before there is one.
fn owner<A: Aggregate>(tenant: TenantId) -> Option<TenantId> {
    (A::TYPE != EmailClaim::TYPE).then_some(tenant)
}

/// Full jitter: anything between nothing and a bound that doubles.
async fn pause(attempt: u32) {
    let bound = FIRST_PAUSE.saturating_mul(1 << attempt.min(7));
    tokio::time::sleep(bound.mul_f64(rand::random::<f64>())).await;
}

/// Type, tenant and id: another tenant's aggregate is another stream, one without events.
type StreamId = (&'static str, Option<TenantId>, Uuid);

/// States of recently used aggregates: a decision loads only the events after them.
#[derive(Default)]
struct States {
    kept: HashMap<StreamId, (u64, Arc<dyn Any + Send + Sync>, u64)>,
    clock: u64,
}

impl States {
    fn get<A: Clone + Send + Sync + 'static>(&mut self, stream: StreamId) -> Option<(u64, A)> {
        self.clock += 1;
        let (sequence, state, used) = self.kept.get_mut(&stream)?;
        *used = self.clock;
        state.downcast_ref::<A>().map(|state| (*sequence, state.clone()))
    }

    fn put(&mut self, stream: StreamId, sequence: u64, state: Arc<dyn Any + Send + Sync>) {
        self.clock += 1;
        if self.kept.get(&stream).is_none_or(|(known, ..)| *known < sequence) {
            self.kept.insert(stream, (sequence, state, self.clock));
        }
        if self.kept.len() > MAX_STATES {
            let middle = self.clock.saturating_sub(MAX_STATES as u64 / 2);
            self.kept.retain(|_, (.., used)| *used > middle);
        }
    }
}

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
    /// Sequence of the last event, decided ones included.
    sequence: u64,
    state: Arc<dyn Any + Send + Sync>,
}

impl Unit {
    fn new(bus: Bus, context: &Context) -> Self {
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
        let stream = self.stream::<A>(id.into());
        if let Some(known) = self.streams.get(&stream).and_then(|known| known.state.downcast_ref::<A>()) {
            return Ok(known.clone());
        }
        let (sequence, state) = self.bus.load::<A>(stream).await?;
        self.streams.insert(stream, Stream { sequence, state: Arc::new(state.clone()) });
        Ok(state)
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
        let mut state = self.state::<A>(id).await?;
        let sink = EventSink::default();
        state.handle(command.into(), &(), &sink).await?;
        let events = sink.collect().await;
        let stream = self.stream::<A>(id);
        let mut sequence = self.streams.get(&stream).map_or(0, |stream| stream.sequence);
        for event in &events {
            sequence += 1;
            self.record::<A>(id, sequence, event)?;
        }
        self.streams.insert(stream, Stream { sequence, state: Arc::new(state) });
        Ok(events)
    }

    fn stream<A: Aggregate>(&self, id: Uuid) -> StreamId {
        (A::TYPE, owner::<A>(self.tenant), id)
    }

    fn record<A>(&mut self, id: Uuid, sequence: u64, event: &A::Event) -> Result<(), CommandError>
    where
        A: Aggregate,
        A::Event: Into<Event>,
    {
        let unreadable = |error: serde_json::Error| CommandError::Unreadable(Arc::new(error));
        let event_id = EventId(Uuid::now_v7());
        let (_, tenant_id, _) = self.stream::<A>(id);
        let metadata = self.metadata.to_map(tenant_id, event_id);
        self.append.events.push(NewEvent {
            tenant_id,
            aggregate_type: A::TYPE,
            aggregate_id: id,
            sequence,
            event_type: event.event_type(),
            event_version: event.event_version(),
            payload: without_nul(serde_json::to_string(event).map_err(unreadable)?),
            metadata: without_nul(serde_json::to_string(&metadata).map_err(unreadable)?),
            event_id,
        });
        if let Some(asked) = asked_by(id, &event.clone().into()) {
            self.append.work.push(NewWork {
                id: Uuid::now_v7(),
                tenant_id: self.tenant,
                urgent: self.urgent,
                asked,
                correlation_id: self.metadata.correlation_id,
                causation_id: event_id.0,
            });
        }
        Ok(())
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

    /// Ids of the work items asked for so far, in the order of their events.
    pub fn work_ids(&self) -> Vec<Uuid> {
        self.append.work.iter().map(|work| work.id).collect()
    }

    #[expect(clippy::type_complexity, reason = "named by its parts: stream, sequence, state")]
    fn finish<T: Serialize>(
        mut self,
        context: &Context,
        output: &T,
    ) -> Result<(Append, Vec<(StreamId, u64, Arc<dyn Any + Send + Sync>)>), CommandError> {
        if let Some(Idempotency { key, request_hash }) = context.idempotency.clone() {
            let answer = serde_json::to_string(output).map_err(|error| CommandError::Unreadable(Arc::new(error)))?;
            self.append.receipt = Some(NewReceipt { tenant_id: self.tenant, key, request_hash, answer });
        }
        let states =
            self.streams.into_iter().map(|(stream, Stream { sequence, state })| (stream, sequence, state)).collect();
        Ok((self.append, states))
    }
}

impl Append {
    fn is_empty(&self) -> bool {
        self.receipt.is_none()
            && self.events.is_empty()
            && self.work.is_empty()
            && self.completes.is_none()
            && self.keys.is_empty()
            && self.credentials.is_empty()
            && self.candidates.is_empty()
    }
}

/// PostgreSQL's JSON cannot hold the NUL character, and no text of ours needs it.
fn without_nul(json: String) -> String {
    if json.contains("\\u0000") { strip_nul(&json) } else { json }
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
        assert_eq!(without_nul(r#""a\u0000b""#.to_owned()), r#""ab""#);
        assert_eq!(without_nul(r#""a\\u0000b\u0000""#.to_owned()), r#""a\\u0000b""#);
    }

    #[test]
    fn the_states_used_least_go_first() {
        let mut states = States::default();
        let ids: Vec<Uuid> = (0..=MAX_STATES).map(|n| Uuid::from_u128(n as u128)).collect();
        for id in &ids {
            states.put(("job", None, *id), 1, Arc::new(7_u8));
        }
        assert!(states.get::<u8>(("job", None, ids[0])).is_none());
        assert_eq!(states.get::<u8>(("job", None, ids[MAX_STATES])), Some((1, 7)));
    }
}
