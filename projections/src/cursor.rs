//! Where a page of a list ends: opaque to clients, stable while rows come and go.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use uuid::Uuid;

const BYTES: usize = 1 + 8 + 8 + 16;

/// One page of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<R> {
    pub rows: Vec<R>,
    /// Where the next page begins; `None`: this is the last.
    pub next: Option<Cursor>,
    /// Rows of all pages.
    pub total: u64,
}

/// The last row of a page, by what its list is sorted by. Written as base64url.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub(crate) list: List,
    pub(crate) rank: i64,
    pub(crate) at: DateTime<Utc>,
    pub(crate) id: Uuid,
}

/// Which list a cursor belongs to; the byte is what clients hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum List {
    Candidates = 1,
    Jobs = 2,
    UsageEntries = 3,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not a cursor that a list has given")]
pub struct InvalidCursor;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.push(self.list as u8);
        bytes.extend(self.rank.to_be_bytes());
        bytes.extend(self.at.timestamp_micros().to_be_bytes());
        bytes.extend(self.id.as_bytes());
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidCursor)?;
        let (list, rest) = bytes.split_first().ok_or(InvalidCursor)?;
        let (rank, rest) = rest.split_first_chunk().ok_or(InvalidCursor)?;
        let (at, rest) = rest.split_first_chunk().ok_or(InvalidCursor)?;
        Ok(Self {
            list: match list {
                1 => List::Candidates,
                2 => List::Jobs,
                3 => List::UsageEntries,
                _ => return Err(InvalidCursor),
            },
            rank: i64::from_be_bytes(*rank),
            at: DateTime::from_timestamp_micros(i64::from_be_bytes(*at)).ok_or(InvalidCursor)?,
            id: Uuid::from_slice(rest).map_err(|_| InvalidCursor)?,
        })
    }
}

/// Most rows in a page.
pub(crate) const MAX_PAGE_ROWS: u64 = 100;

/// Rows to answer with when `asked` for so many.
pub(crate) fn page_rows(asked: u64) -> u64 {
    asked.min(MAX_PAGE_ROWS)
}

/// Makes a page of rows that were read with one more than `limit`, which shows whether there is a next page.
pub(crate) fn page<R>(mut rows: Vec<R>, limit: u64, total: u64, cursor: impl Fn(&R) -> Cursor) -> Page<R> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = if more { rows.last().map(cursor) } else { None };
    Page { rows, next, total }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_that_no_list_has_given_is_no_cursor() {
        for text in ["", "x", "AAAA", "AQ", "====", "ÄÖ", &"A".repeat(44), &"_".repeat(44), &"A".repeat(400)] {
            assert_eq!(text.parse::<Cursor>(), Err(InvalidCursor), "{text}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_upsets_the_cursor(text in ".{0,80}") {
            let _ = text.parse::<Cursor>();
        }
    }
}
