//! Billing periods: months that we own, counted from the day the subscription started.

use chrono::{DateTime, Datelike, Months, Utc};
use serde::{Deserialize, Serialize};

/// One month of a tenant's subscription: `start` is inside, `end` is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Period {
    pub start: DateTime<Utc>,
    pub end: DateTime<Utc>,
}

impl Period {
    /// The period that holds `at`, for a subscription that started at `anchor`.
    ///
    /// Boundaries lie whole months after the anchor, on the last day of a month that is too short for it (31 January,
    /// 28 February, 31 March). Every boundary is counted from the anchor, so a short month never shifts later ones.
    pub fn holding(anchor: DateTime<Utc>, at: DateTime<Utc>) -> Self {
        let month_number = |time: DateTime<Utc>| i64::from(time.year()) * 12 + i64::from(time.month0());
        let mut months = month_number(at) - month_number(anchor);
        if boundary(anchor, months) > at {
            months -= 1;
        }
        Self { start: boundary(anchor, months), end: boundary(anchor, months + 1) }
    }

    pub fn contains(&self, at: DateTime<Utc>) -> bool {
        self.start <= at && at < self.end
    }
}

/// `months` whole months after (or before) the anchor; at the ends of the calendar the anchor itself.
fn boundary(anchor: DateTime<Utc>, months: i64) -> DateTime<Utc> {
    let count = Months::new(u32::try_from(months.unsigned_abs()).unwrap_or(u32::MAX));
    let moved = if months < 0 { anchor.checked_sub_months(count) } else { anchor.checked_add_months(count) };
    moved.unwrap_or(anchor)
}
