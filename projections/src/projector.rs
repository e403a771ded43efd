//! What a projector is: a pure fold from events to rows. Tested like an aggregate, given events, then a row.

use starscreen_domain::{Event, Recorded};
use uuid::Uuid;

use crate::row::Row;

/// Folds the history into one table: no SQL, no clock, no call, no decision. The runner does the rest.
///
/// An event that cannot be folded (unreadable, or the fold panics) is parked, and the later events of its row wait
/// behind it. So a projector need not fear for the others when it meets what it was not written for.
pub trait Projector: Send + Sync + 'static {
    type Row: Row;

    const NAME: &'static str;
    /// Raise it when the fold or the row changes: the table is then rebuilt beside the old one on the next start.
    const VERSION: u32;
    /// Aggregate types it reads. An unreadable event of another one is none of its business.
    const READS: &'static [&'static str];

    /// The row that `event` changes, if it changes one of this table.
    fn key(event: &Recorded<Event>) -> Option<Uuid>;

    /// The row after `event`; `None`: there is none (any more).
    fn fold(row: Option<Self::Row>, event: &Recorded<Event>) -> Option<Self::Row>;
}
