//! Folding a batch in memory: rows in, rows out, and what cannot be folded set aside.

use std::{
    collections::{HashMap, HashSet},
    panic::{AssertUnwindSafe, catch_unwind},
};

use starscreen_domain::{Event, Recorded};
use uuid::Uuid;

use super::parked::Parked;
use crate::{projector::Projector, row::Row};

/// One event that concerns a projector, and the row it changes.
#[derive(Debug)]
pub(crate) struct Entry {
    pub position: u64,
    pub key: Uuid,
    pub event: Result<Recorded<Event>, Poison>,
}

/// Why an event cannot be folded.
#[derive(Clone, Debug)]
pub(crate) struct Poison {
    pub event_type: String,
    pub reason: String,
}

/// What a batch changes in a table.
pub(crate) struct Changes<R> {
    pub upserts: Vec<R>,
    pub deletes: Vec<Uuid>,
    pub parked: Vec<Parked>,
}

/// Folds `entries`, which are sorted by row key and then by position, into `rows`. Events of a row that has a parked
/// one already are parked behind it.
pub(crate) fn fold_batch<P: Projector>(
    mut rows: HashMap<Uuid, P::Row>,
    blocked: &HashSet<Uuid>,
    entries: &[Entry],
) -> Changes<P::Row> {
    let mut changes = Changes { upserts: Vec::with_capacity(rows.len()), deletes: vec![], parked: vec![] };
    for group in entries.chunk_by(|one, next| one.key == next.key) {
        let key = group[0].key; // `chunk_by` yields no empty chunk
        if blocked.contains(&key) {
            changes.parked.extend(group.iter().map(Parked::behind));
            continue;
        }
        let before = rows.remove(&key);
        let (after, poison) = fold_row::<P>(before.as_ref(), group);
        if let Some((index, poison)) = poison {
            changes.parked.push(Parked::because(&group[index], poison));
            changes.parked.extend(group[index + 1..].iter().map(Parked::behind));
        }
        match after {
            Some(row) if before.as_ref() != Some(&row) => changes.upserts.push(row),
            None if before.is_some() => changes.deletes.push(key),
            Some(_) | None => {}
        }
    }
    changes
}

/// Folds one row's events, in order, up to the first that cannot be folded; that one's index comes with the reason.
pub(crate) fn fold_row<P: Projector>(
    before: Option<&P::Row>,
    group: &[Entry],
) -> (Option<P::Row>, Option<(usize, Poison)>) {
    let mut row = before.cloned();
    for (index, entry) in group.iter().enumerate() {
        match fold_one::<P>(row, entry) {
            Ok(next) => row = next,
            // The fold has taken the row with it: fold again what went well.
            Err(poison) => {
                return match fold_row::<P>(before, &group[..index]) {
                    (row, None) => (row, Some((index, poison))),
                    earlier => earlier,
                };
            }
        }
    }
    (row, None)
}

fn fold_one<P: Projector>(row: Option<P::Row>, entry: &Entry) -> Result<Option<P::Row>, Poison> {
    let event = entry.event.as_ref().map_err(Clone::clone)?;
    catch_unwind(AssertUnwindSafe(|| {
        let folded = P::fold(row, event);
        debug_assert!(folded.as_ref().is_none_or(|row| row.key() == entry.key), "a fold must keep its row's key");
        folded
    }))
    // Not the panic's own text: it may quote what the event holds.
    .map_err(|_| Poison { event_type: event.payload.event_type(), reason: format!("{} panicked on it", P::NAME) })
}
