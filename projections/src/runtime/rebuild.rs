//! Rebuilds a read model beside the live one and switches in one transaction: readers never see half of it.

use std::{
    collections::{BTreeSet, HashSet},
    time::{Duration, Instant},
};

use chrono::Utc;
use tokio::time::timeout;
use uuid::Uuid;

use super::{
    Side, Source, batch,
    checkpoint::{self, Checkpoint},
    parked, table,
};
use crate::{
    ReadModelError,
    db::{Db, Tx, gave_up_waiting},
    projector::Projector,
};

/// A rebuild whose checkpoint has not moved for this long was stopped, and another may begin.
const ABANDONED_AFTER: Duration = Duration::from_secs(30);
/// How long the live projector may be held up by the last events before the switch.
const LOCKED_AT_MOST: Duration = Duration::from_secs(5);
/// Keys of differing rows that are told.
const KEYS_TOLD: usize = 20;

#[derive(Clone, Copy, Debug)]
pub struct RebuildOptions {
    /// Events folded at once.
    pub batch: usize,
    /// Compare with the live table, at the same position, before the switch.
    pub diff: bool,
}

/// What a rebuilt table is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To take the place of the live one.
    Switch,
    /// To be compared with the live one, and thrown away.
    Audit,
}

impl Default for RebuildOptions {
    fn default() -> Self {
        Self { batch: 5_000, diff: false }
    }
}

/// How far a rebuild has come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RebuildProgress {
    pub projector: &'static str,
    /// Position reached.
    pub done: u64,
    /// Newest position there is.
    pub head: u64,
    pub events_per_second: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Rebuilt {
    pub projector: &'static str,
    pub position: u64,
    pub seconds: f64,
    /// When a comparison was asked for.
    pub diff: Option<Diff>,
    /// Keys of rows that differ, the first of them.
    pub differing: Vec<Uuid>,
}

/// Rows in which the live table and the rebuilt one differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// Position at which both stood.
    pub position: u64,
    pub only_live: usize,
    pub only_rebuilt: usize,
    /// In both, with other content.
    pub changed: usize,
}

impl Diff {
    pub fn is_empty(&self) -> bool {
        self.only_live + self.only_rebuilt + self.changed == 0
    }
}

/// Where the comparison with the live table stands.
enum Parity {
    Unasked,
    /// The rebuilt table must not pass the live one before they were compared.
    Pending,
    Done(Diff),
}

pub(crate) async fn rebuild<P: Projector>(
    db: &Db,
    source: &Source,
    options: RebuildOptions,
    purpose: Purpose,
    progress: &mut (dyn FnMut(RebuildProgress) + Send),
) -> Result<Rebuilt, ReadModelError> {
    let next = begin::<P>(db).await?;
    let generation = next.generation;
    let rebuilt = fill::<P>(db, source, options, purpose, next, progress).await;
    if rebuilt.is_err() {
        // Another one may begin at once. Where even this fails, it waits until this one counts as abandoned.
        let _ = abandon::<P>(db, generation).await;
    }
    rebuilt
}

async fn fill<P: Projector>(
    db: &Db,
    source: &Source,
    options: RebuildOptions,
    purpose: Purpose,
    mut next: Checkpoint,
    progress: &mut (dyn FnMut(RebuildProgress) + Send),
) -> Result<Rebuilt, ReadModelError> {
    let begun = Instant::now();
    let limit = options.batch.max(1);
    let mut differing = vec![];
    let mut parity = if options.diff { Parity::Pending } else { Parity::Unasked };
    loop {
        // In this order: a head that is read before the live position may already be behind it.
        let live = checkpoint::find(db, P::NAME).await?.map_or(0, |live| live.position);
        let head = source.feed.head().await?;
        if matches!(parity, Parity::Pending) && (live == 0 || head < live) {
            parity = Parity::Unasked; // nothing to compare with, or no common position
        }
        let goal = if matches!(parity, Parity::Pending) { live.min(head) } else { head };
        if next.position < goal {
            let missing = usize::try_from(goal - next.position).unwrap_or(usize::MAX);
            let batch = batch::gather::<P>(source, next.position, limit.min(missing)).await?;
            if batch.last == 0 {
                source.feed.wait(next.position).await; // the head is known before its events can be read
                continue;
            }
            if !batch::store::<P>(db, Side::Next, &mut next, &batch).await? {
                return Err(ReadModelError::RebuildSuperseded(P::NAME));
            }
            progress(RebuildProgress {
                projector: P::NAME,
                done: next.position,
                head,
                #[expect(clippy::cast_precision_loss, reason = "a speed for people to read")]
                events_per_second: next.position as f64 / begun.elapsed().as_secs_f64().max(f64::EPSILON),
            });
            continue;
        }
        let mut tx = db.begin().await?;
        tx.may_idle(LOCKED_AT_MOST).await?;
        let last = timeout(LOCKED_AT_MOST, level_with_live::<P>(&mut tx, source, &next, limit)).await;
        let Some(position) = last.unwrap_or(Ok(None))? else {
            drop(tx); // lets the live projector go on
            source.feed.wait(next.position).await;
            continue;
        };
        let before = std::mem::replace(&mut next.position, position);
        if matches!(parity, Parity::Pending) {
            let (diff, keys) = compare::<P>(&mut tx, position).await?;
            parity = Parity::Done(diff);
            differing = keys;
            tx.commit().await?;
            if purpose == Purpose::Switch {
                continue;
            }
        } else if purpose == Purpose::Switch {
            match switch::<P>(&mut tx, &next).await {
                Err(ReadModelError::Database(error)) if gave_up_waiting(&error) => {
                    next.position = before;
                    drop(tx);
                    tracing::warn!(projector.name = P::NAME, "a long read holds up the switch; will retry");
                    source.feed.wait(next.position).await;
                    continue;
                }
                switched => switched?,
            }
            tx.commit().await?;
            tracing::info!(projector.name = P::NAME, event.position = position, "switched to the rebuilt read model");
        } else {
            drop(tx); // there was nothing to compare with
        }
        if purpose == Purpose::Audit {
            abandon::<P>(db, next.generation).await?;
        }
        // After the commit: emptying a large table takes its time, and nobody need wait for it. If it fails, the next
        // start of the projector does it.
        if let Err(error) = sweep::<P>(db).await {
            tracing::warn!(
                projector.name = P::NAME,
                error = error.with_causes(),
                "the replaced table is not emptied yet"
            );
        }
        let diff = if let Parity::Done(diff) = parity { Some(diff) } else { None };
        return Ok(Rebuilt { projector: P::NAME, position, seconds: begun.elapsed().as_secs_f64(), diff, differing });
    }
}

/// Empties the double and takes it for this rebuild, unless another one is at work.
async fn begin<P: Projector>(db: &Db) -> Result<Checkpoint, ReadModelError> {
    let mut tx = db.begin().await?;
    if !empty_double::<P>(&mut tx).await? {
        return Err(ReadModelError::RebuildRunning(P::NAME));
    }
    let checkpoint = checkpoint::restart::<P>(&mut tx).await?;
    tx.commit().await?;
    Ok(checkpoint)
}

/// Removes what a finished or killed rebuild has left: rows speak of people, and erasing goes by the live table. Leaves
/// a rebuild that is at work alone.
pub(crate) async fn sweep<P: Projector>(db: &Db) -> Result<(), ReadModelError> {
    let mut tx = db.begin().await?;
    if empty_double::<P>(&mut tx).await? {
        tx.commit().await?;
    }
    Ok(())
}

/// `false`, and nothing is changed: a rebuild is at work on it.
async fn empty_double<P: Projector>(tx: &mut Tx) -> Result<bool, ReadModelError> {
    let name = Side::Next.name::<P>();
    if let Some(rebuild) = checkpoint::lock(tx, name).await? {
        let age = Utc::now().signed_duration_since(rebuild.updated_at);
        if age.to_std().unwrap_or_default() < ABANDONED_AFTER {
            return Ok(false);
        }
    }
    table::clear::<P::Row>(tx, Side::Next).await?;
    parked::clear(tx, name).await?;
    checkpoint::remove(tx, name).await?;
    Ok(true)
}

async fn abandon<P: Projector>(db: &Db, generation: Uuid) -> Result<(), ReadModelError> {
    let mut tx = db.begin().await?;
    let name = Side::Next.name::<P>();
    if checkpoint::lock(&mut tx, name).await?.is_some_and(|mine| mine.generation == generation) {
        checkpoint::remove(&mut tx, name).await?;
    }
    Ok(tx.commit().await?)
}

/// Holds the live projector, folds what it is ahead, and answers the position at which both tables then stand, or the
/// rebuilt one beyond. `None`: it is too far ahead to hold it that long.
async fn level_with_live<P: Projector>(
    tx: &mut Tx,
    source: &Source,
    next: &Checkpoint,
    limit: usize,
) -> Result<Option<u64>, ReadModelError> {
    let live = checkpoint::lock(tx, P::NAME).await?.map_or(0, |live| live.position);
    if live <= next.position {
        return Ok(Some(next.position));
    }
    if source.feed.head().await? < live {
        // The history was replaced by a shorter one: the rebuilt table is as far as anybody can be.
        return Ok(Some(next.position));
    }
    let missing = usize::try_from(live - next.position).unwrap_or(usize::MAX);
    if missing > limit {
        return Ok(None);
    }
    let batch = batch::gather::<P>(source, next.position, missing).await?;
    if batch.last != live {
        return Ok(None);
    }
    if !batch::store_in::<P>(tx, Side::Next, next, &batch).await? {
        return Err(ReadModelError::RebuildSuperseded(P::NAME));
    }
    Ok(Some(live))
}

async fn compare<P: Projector>(tx: &mut Tx, position: u64) -> Result<(Diff, Vec<Uuid>), ReadModelError> {
    let live = table::keys_only_on::<P::Row>(tx, Side::Live).await?;
    let rebuilt: HashSet<Uuid> = table::keys_only_on::<P::Row>(tx, Side::Next).await?.into_iter().collect();
    let changed = live.iter().filter(|key| rebuilt.contains(key)).count();
    let diff = Diff { position, only_live: live.len() - changed, only_rebuilt: rebuilt.len() - changed, changed };
    let differing: BTreeSet<Uuid> = live.into_iter().chain(rebuilt).collect();
    Ok((diff, differing.into_iter().take(KEYS_TOLD).collect()))
}

async fn switch<P: Projector>(tx: &mut Tx, next: &Checkpoint) -> Result<(), ReadModelError> {
    let current = checkpoint::lock(tx, Side::Next.name::<P>()).await?;
    if current.is_none_or(|current| (current.generation, current.position) != (next.generation, next.position)) {
        return Err(ReadModelError::RebuildSuperseded(P::NAME));
    }
    table::swap::<P::Row>(tx).await?;
    parked::hand_over(tx, Side::Next.name::<P>(), P::NAME).await?;
    checkpoint::switch::<P>(tx, next).await
}
