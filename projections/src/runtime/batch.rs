//! One step of a projector: read a batch, open it, fold it, write rows and checkpoint together.

use starscreen_domain::{Delivery, Event, Recorded};

use super::{
    Side, Source, checkpoint,
    checkpoint::Checkpoint,
    fold::{Entry, Poison, fold_batch},
    parked, table,
};
use crate::{
    ReadModelError,
    db::{Db, Tx},
    projector::Projector,
};

/// What a stretch of the history holds for one projector.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Position of its last event, of whatever noun; 0 when nothing was read.
    pub last: u64,
    /// Sorted by row key, then by position.
    entries: Vec<Entry>,
}

impl Batch {
    pub(crate) fn into_entries(self) -> Vec<Entry> {
        self.entries
    }
}

/// Reads at most `limit` events after position `after`, keeps what concerns the projector and opens it.
pub(crate) async fn gather<P: Projector>(source: &Source, after: u64, limit: usize) -> Result<Batch, ReadModelError> {
    let deliveries = source.feed.read(after, limit).await?;
    let mut batch = Batch::default();
    let mut events: Vec<Recorded<Event>> = vec![];
    for (delivery, expected) in deliveries.into_iter().zip(after + 1..) {
        if delivery.position != expected {
            if batch.last == 0 {
                return Err(ReadModelError::Gap { expected, found: delivery.position });
            }
            break; // a loss on the way: the next read starts here
        }
        batch.last = expected;
        sort_in::<P>(delivery, &mut events, &mut batch.entries);
    }
    open::<P>(source, events, &mut batch.entries).await?;
    batch.entries.sort_by_key(|entry| (entry.key, entry.position));
    Ok(batch)
}

/// Puts what can be read with `events`, and what is known to be poison with `entries`.
fn sort_in<P: Projector>(delivery: Delivery, events: &mut Vec<Recorded<Event>>, entries: &mut Vec<Entry>) {
    match delivery.event {
        Ok(event) => {
            if P::READS.contains(&event.aggregate_type.as_str()) && P::key(&event).is_some() {
                events.push(event);
            }
        }
        Err(unreadable) => {
            if P::READS.contains(&unreadable.aggregate_type.as_str()) {
                entries.push(Entry {
                    position: delivery.position,
                    key: unreadable.aggregate_id,
                    event: Err(Poison { event_type: unreadable.event_type, reason: unreadable.reason }),
                });
            }
        }
    }
}

async fn open<P: Projector>(
    source: &Source,
    mut events: Vec<Recorded<Event>>,
    entries: &mut Vec<Entry>,
) -> Result<(), ReadModelError> {
    if events.is_empty() {
        return Ok(());
    }
    let failures = source.opener.open(&mut events).await?;
    if failures.len() != events.len() {
        return Err(ReadModelError::Opener { asked: events.len(), answered: failures.len() });
    }
    entries.reserve(events.len());
    for (event, failure) in events.into_iter().zip(failures) {
        let (position, key) = (event.position, P::key(&event).unwrap_or(event.aggregate_id));
        let event = match failure {
            None => Ok(event),
            Some(reason) => Err(Poison { event_type: event.payload.event_type(), reason }),
        };
        entries.push(Entry { position, key, event });
    }
    Ok(())
}

/// Folds `batch` into the table and moves `checkpoint` to its end, in one transaction. `false`, and nothing is changed:
/// the checkpoint is no longer what it was (another process was faster, the table was replaced, or it is paused).
pub(crate) async fn store<P: Projector>(
    db: &Db,
    side: Side,
    checkpoint: &mut Checkpoint,
    batch: &Batch,
) -> Result<bool, ReadModelError> {
    let mut tx = db.begin().await?;
    if !store_in::<P>(&mut tx, side, checkpoint, batch).await? {
        return Ok(false);
    }
    tx.commit().await?;
    checkpoint.position = batch.last;
    Ok(true)
}

/// [`store`] inside a transaction of the caller's, who moves `checkpoint` after the commit.
pub(crate) async fn store_in<P: Projector>(
    tx: &mut Tx,
    side: Side,
    checkpoint: &Checkpoint,
    batch: &Batch,
) -> Result<bool, ReadModelError> {
    let name = side.name::<P>();
    if !checkpoint::advance(tx, name, checkpoint, batch.last).await? {
        return Ok(false);
    }
    if batch.entries.is_empty() {
        return Ok(true);
    }
    let mut keys: Vec<_> = batch.entries.iter().map(|entry| entry.key).collect();
    keys.dedup(); // sorted by key
    let blocked = parked::blocked_rows(tx, name).await?;
    let rows = table::load::<P::Row>(tx, side, &keys).await?;
    let changes = fold_batch::<P>(rows, &blocked, &batch.entries);
    for event in changes.parked.iter().filter(|event| event.attempts > 0) {
        tracing::error!(
            projector.name = name,
            event.position = event.position,
            event.type = event.event_type,
            "parked an event that cannot be folded; later events of its row wait behind it until `replay`"
        );
    }
    table::put(tx, side, changes.upserts).await?;
    table::delete::<P::Row>(tx, side, &changes.deletes).await?;
    parked::put(tx, name, changes.parked).await?;
    Ok(true)
}
