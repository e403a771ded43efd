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

#[cfg(test)]
mod tests {
    use chrono::{Days, TimeDelta};
    use proptest::prelude::*;

    use super::*;
    use crate::fixtures::at;

    #[test]
    fn a_period_starts_on_the_day_of_the_anchor() {
        let period = Period::holding(at("2026-01-14T09:26:53Z"), at("2026-03-20T00:00:00Z"));
        assert_eq!(period, Period { start: at("2026-03-14T09:26:53Z"), end: at("2026-04-14T09:26:53Z") });
    }

    #[test]
    fn the_start_is_inside_and_the_end_is_not() {
        let anchor = at("2026-01-14T09:26:53Z");
        let period = Period::holding(anchor, at("2026-02-14T09:26:53Z"));
        assert_eq!(period.start, at("2026-02-14T09:26:53Z"));
        assert!(period.contains(period.start));
        assert!(!period.contains(period.end));
        assert_eq!(Period::holding(anchor, period.start - TimeDelta::nanoseconds(1)).end, period.start);
    }

    #[test]
    fn a_month_that_is_too_short_ends_on_its_last_day_and_shifts_nothing_after_it() {
        let ends = |anchor: &str| {
            let anchor = at(anchor);
            let mut end = anchor;
            let months = (0..5).map(|_| {
                end = Period::holding(anchor, end).end;
                end.format("%m-%d").to_string()
            });
            months.collect::<Vec<_>>()
        };
        assert_eq!(ends("2026-01-28T12:00:00Z"), ["02-28", "03-28", "04-28", "05-28", "06-28"]);
        assert_eq!(ends("2026-01-29T12:00:00Z"), ["02-28", "03-29", "04-29", "05-29", "06-29"]);
        assert_eq!(ends("2026-01-30T12:00:00Z"), ["02-28", "03-30", "04-30", "05-30", "06-30"]);
        assert_eq!(ends("2026-01-31T12:00:00Z"), ["02-28", "03-31", "04-30", "05-31", "06-30"]);
        assert_eq!(ends("2028-01-31T12:00:00Z"), ["02-29", "03-31", "04-30", "05-31", "06-30"], "a leap year");
        assert_eq!(ends("2028-02-29T12:00:00Z"), ["03-29", "04-29", "05-29", "06-29", "07-29"]);
    }

    #[test]
    fn a_leap_day_comes_back_after_four_years() {
        let anchor = at("2024-02-29T12:00:00Z");
        assert_eq!(Period::holding(anchor, at("2027-03-01T00:00:00Z")).start, at("2027-02-28T12:00:00Z"));
        assert_eq!(Period::holding(anchor, at("2028-03-01T00:00:00Z")).start, at("2028-02-29T12:00:00Z"));
        assert_eq!(
            Period::holding(anchor, at("2100-03-01T00:00:00Z")).start,
            at("2100-02-28T12:00:00Z"),
            "no leap year"
        );
    }

    #[test]
    fn a_clock_behind_the_anchor_falls_into_the_period_before() {
        let anchor = at("2026-03-14T09:26:53Z");
        let period = Period::holding(anchor, at("2026-03-14T09:26:52Z"));
        assert_eq!(period, Period { start: at("2026-02-14T09:26:53Z"), end: anchor });
    }

    proptest! {
        #[test]
        fn a_period_holds_its_moment(anchor in moment(), at in moment()) {
            let period = Period::holding(anchor, at);
            prop_assert!(period.contains(at), "{:?} does not hold {}", period, at);
            let days = (period.end - period.start).num_days();
            prop_assert!((28..=31).contains(&days), "{} days", days);
        }

        #[test]
        fn periods_lie_without_gap_or_overlap(anchor in moment(), at in moment()) {
            let period = Period::holding(anchor, at);
            let next = Period::holding(anchor, period.end);
            let previous = Period::holding(anchor, period.start - TimeDelta::nanoseconds(1));
            prop_assert_eq!(next.start, period.end);
            prop_assert_eq!(previous.end, period.start);
            prop_assert_eq!(Period::holding(anchor, period.start), period);
            prop_assert_eq!(Period::holding(anchor, period.end - TimeDelta::nanoseconds(1)), period);
        }

        #[test]
        fn periods_never_drift_from_the_anchor(anchor in month_end(), at in moment()) {
            let start = Period::holding(anchor, at).start;
            prop_assert_eq!(start.time(), anchor.time());
            prop_assert!(start.day() <= anchor.day());
            let last_of_its_month = (start + Days::new(1)).day() == 1;
            prop_assert!(start.day() == anchor.day() || last_of_its_month, "{} for {}", start, anchor);
        }
    }

    /// Any nanosecond of 1990 to 2110: five leap days, and one (2100) that is left out.
    fn moment() -> impl Strategy<Value = DateTime<Utc>> {
        let seconds = at("1990-01-01T00:00:00Z").timestamp()..at("2110-01-01T00:00:00Z").timestamp();
        (seconds, 0_u32..1_000_000_000).prop_map(|(seconds, nanos)| DateTime::from_timestamp(seconds, nanos).unwrap())
    }

    fn month_end() -> impl Strategy<Value = DateTime<Utc>> {
        let noon = at("2024-01-31T12:34:56Z");
        (0_u32..48, 0_u64..4).prop_map(move |(months, days)| noon + Months::new(months) - Days::new(days))
    }
}
