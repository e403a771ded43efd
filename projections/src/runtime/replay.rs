//! Folds parked events again, after the fix.

use std::collections::{BTreeMap, HashSet};

use uuid::Uuid;

use super::{
    Side, Source, batch, checkpoint,
    fold::{Entry, fold_row},
    parked::{self, Parked},
    table,
};
use crate::{ReadModelError, db::Db, projector::Projector};

/// Parked events looked at in one go.
const AT_ONCE: u64 = 500;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Events that are folded now.
    pub folded: usize,
    /// Rows that still have an event which cannot be folded.
    pub rows_left: usize,
}

/// Reads what is parked from the feed again, in order, and folds it; each row up to the first event that still cannot
/// be folded.
pub(crate) async fn replay<P: Projector>(db: &Db, source: &Source) -> Result<Replayed, ReadModelError> {
    let mut replayed = Replayed::default();
    let mut stuck: HashSet<Uuid> = HashSet::new();
    let mut after = 0;
    loop {
        let listed = parked::list(db, P::NAME, after, AT_ONCE).await?;
        let Some(last) = listed.last() else { break };
        after = last.position;
        let mut rows: BTreeMap<Uuid, Vec<Entry>> = BTreeMap::new();
        for event in listed.into_iter().filter(|event| !stuck.contains(&event.row_key)) {
            match read_again::<P>(source, &event).await? {
                Some(entry) => rows.entry(event.row_key).or_default().push(entry),
                None => parked::forget(db, P::NAME, event.position).await?,
            }
        }
        for (key, entries) in rows {
            let (folded, done) = replay_row::<P>(db, key, &entries).await?;
            replayed.folded += folded;
            if !done {
                stuck.insert(key);
            }
        }
    }
    replayed.rows_left = stuck.len();
    Ok(replayed)
}

/// The parked event from the feed; `None`: read anew, it concerns no row.
async fn read_again<P: Projector>(source: &Source, parked: &Parked) -> Result<Option<Entry>, ReadModelError> {
    let batch = batch::gather::<P>(source, parked.position - 1, 1).await?;
    if batch.last != parked.position {
        return Err(ReadModelError::Missing { position: parked.position });
    }
    Ok(batch.into_entries().pop())
}

/// Folds the parked events that wait by `key`, and says how many, and whether all of `entries` are folded. Those that
/// could not be read wait by their aggregate, whatever row they turn out to change.
async fn replay_row<P: Projector>(db: &Db, key: Uuid, entries: &[Entry]) -> Result<(usize, bool), ReadModelError> {
    let mut tx = db.begin().await?;
    // Holds the live projector: no event of this row may be parked or folded meanwhile.
    checkpoint::lock(&mut tx, P::NAME).await?;
    let waiting = parked::of_row(&mut tx, P::NAME, key).await?;
    // As long as both agree: another replay may have been here.
    let same = waiting.iter().zip(entries).take_while(|(parked, entry)| parked.position == entry.position).count();
    let (mut folded, mut poison) = (0, None);
    for group in entries[..same].chunk_by(|one, next| one.key == next.key) {
        let row_key = group[0].key; // `chunk_by` yields no empty chunk
        let before = table::load::<P::Row>(&mut tx, Side::Live, &[row_key]).await?.remove(&row_key);
        let (after, stopped) = fold_row::<P>(before.as_ref(), group);
        match after {
            Some(row) => table::put(&mut tx, Side::Live, vec![row]).await?,
            None if before.is_some() => table::delete::<P::Row>(&mut tx, Side::Live, &[row_key]).await?,
            None => {}
        }
        folded += stopped.as_ref().map_or(group.len(), |(index, _)| *index);
        if let Some((_, reason)) = stopped {
            poison = Some(reason);
            break;
        }
    }
    if folded > 0 {
        parked::take_out(&mut tx, P::NAME, key, entries[folded - 1].position).await?;
    }
    let done = poison.is_none();
    if let Some(poison) = poison {
        let Parked { row_key, attempts, .. } = waiting[folded];
        let still = Parked { row_key, attempts: attempts + 1, ..Parked::because(&entries[folded], poison) };
        parked::put(&mut tx, P::NAME, vec![still]).await?;
    }
    tx.commit().await?;
    Ok((folded, done))
}
