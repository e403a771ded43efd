//! The command bus: load → decide → append, and again from the start when the race was lost.
//!
//! A use case decides on one or several aggregates through a [`Unit`]; everything it leaves behind is appended in one
//! transaction. It runs detached from whoever asked, so a client that hangs up cannot cut it in the middle.

mod states;
mod unit;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use chrono::{DateTime, SubsecRound, Utc};
use cqrs_es::Aggregate;
use futures::future::BoxFuture;
use serde::{Serialize, de::DeserializeOwned};
use starscreen_domain::{Actor, TenantId, customer::Customer, email_claim::EmailClaim, webhook::Webhook};
use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

use self::states::{Kept, States, StreamId};
use crate::{
    append::{AppendError, Lease, Place, Writer},
    error::CommandError,
    store::{EventRepository, Registry},
};

pub use unit::Unit;

/// Tries of one command against other writers of its streams.
const MAX_TRIES: u32 = 12;
/// Refusals that are decided anew because the streams were read at different moments. One that comes again and again
/// beside a busy stream is meant.
const MAX_TORN: u32 = 4;
/// Longest pause before the first retry; doubles with each, drawn at random between zero and it.
const FIRST_PAUSE: Duration = Duration::from_millis(4);

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
            at: at.trunc_subsecs(6), // what the stores keep: an answer and a later reading then agree
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
    /// What to wait for in order to read what was written.
    pub place: Place,
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
            let output = match use_case(&mut unit).await {
                Ok(output) => output,
                Err(refusal) if refusal.is_by_rule() => {
                    // Perhaps it was this same request, sent twice at once, that used up what it asks for.
                    if let Some(answer) = self.answered_before(context).await? {
                        return Ok(answer);
                    }
                    if attempt < MAX_TORN && unit.is_torn().await? {
                        pause(attempt).await;
                        continue;
                    }
                    return Err(refusal);
                }
                Err(error) => return Err(error),
            };
            let (append, states) = unit.finish(context, &output)?;
            if append.is_empty() {
                return Ok(Committed { output, place: Place::NOWHERE, replayed: false });
            }
            match self.writer.append(append).await {
                Ok(place) => {
                    self.keep(states);
                    return Ok(Committed { output, place, replayed: false });
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
        Ok(Some(Committed { output, place: receipt.place, replayed: true }))
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
        let (_, state) = self.load::<A>((A::TYPE, owner::<A>(tenant), id.into())).await?;
        Ok(Arc::unwrap_or_clone(state))
    }

    async fn load<A>(&self, stream: StreamId) -> Result<(u64, Arc<A>), CommandError>
    where
        A: Aggregate + Clone + 'static,
    {
        let kept = self.states.lock().unwrap_or_else(PoisonError::into_inner).get::<A>(stream);
        let (mut sequence, mut state) = kept.unwrap_or_default();
        let (_, tenant, id) = stream;
        let tail = self.events.tail::<A>(tenant, id, sequence).await?;
        if !tail.is_empty() {
            let changed = Arc::make_mut(&mut state);
            for event in tail {
                changed.apply(event);
                sequence += 1;
            }
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

    fn keep(&self, states: Vec<Kept>) {
        let mut kept = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        for state in states {
            kept.put(state);
        }
    }
}

/// Claims belong to no tenant: whether an address is taken is asked before there is one.
fn owner<A: Aggregate>(tenant: TenantId) -> Option<TenantId> {
    let of_nobody = [EmailClaim::TYPE, Customer::TYPE, Webhook::TYPE];
    (!of_nobody.contains(&A::TYPE)).then_some(tenant)
}

/// Full jitter: anything between nothing and a bound that doubles.
async fn pause(attempt: u32) {
    let bound = FIRST_PAUSE.saturating_mul(1 << attempt.min(7));
    tokio::time::sleep(bound.mul_f64(rand::random::<f64>())).await;
}
