//! Score arithmetic: whole points for categories, tenths for totals, no floats.

use serde::{Deserialize, Serialize};

/// Points a candidate earned in one category, 0 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Score(u8);

/// How much a category counts in the total, 1 to 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Importance(u8);

/// Weighted mean of a candidate's scores in tenths of a point, 0 to 1,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Total(u16);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value} is outside {allowed}")]
pub struct OutOfRange {
    pub value: u32,
    pub allowed: &'static str,
}

impl Score {
    /// # Errors
    /// [`OutOfRange`] above 100.
    pub fn try_new(points: u8) -> Result<Self, OutOfRange> {
        if points > 100 {
            return Err(OutOfRange { value: points.into(), allowed: "0 to 100 points" });
        }
        Ok(Self(points))
    }

    pub fn points(self) -> u8 {
        self.0
    }
}

impl Importance {
    /// # Errors
    /// [`OutOfRange`] unless 1 to 5.
    pub fn try_new(weight: u8) -> Result<Self, OutOfRange> {
        if !(1..=5).contains(&weight) {
            return Err(OutOfRange { value: weight.into(), allowed: "an importance of 1 to 5" });
        }
        Ok(Self(weight))
    }

    pub fn weight(self) -> u8 {
        self.0
    }
}

impl Total {
    /// # Errors
    /// [`OutOfRange`] above 1,000 tenths.
    pub fn try_new(tenths: u16) -> Result<Self, OutOfRange> {
        if tenths > 1_000 {
            return Err(OutOfRange { value: tenths.into(), allowed: "0 to 1000 tenths of a point" });
        }
        Ok(Self(tenths))
    }

    pub fn tenths(self) -> u16 {
        self.0
    }

    /// For display and JSON: points with one decimal, which a double holds well enough to print back the same.
    pub fn points(self) -> f64 {
        f64::from(self.0) / 10.0
    }
}

macro_rules! number {
    ($($name:ident: $number:ty;)*) => {$(
        impl TryFrom<$number> for $name {
            type Error = OutOfRange;

            fn try_from(value: $number) -> Result<Self, OutOfRange> {
                Self::try_new(value)
            }
        }

        impl From<$name> for $number {
            fn from(value: $name) -> $number {
                value.0
            }
        }
    )*};
}

number! { Score: u8; Importance: u8; Total: u16; }

/// Mean of `scores` by importance, rounded half up to a tenth; `None` without scores.
///
/// A category without support has no score and is left out by the caller: it is flagged for a person instead of
/// counting as 0 silently.
pub fn weighted_total(scores: &[(Importance, Score)]) -> Option<Total> {
    let weight: u64 = scores.iter().map(|(importance, _)| u64::from(importance.0)).sum();
    if weight == 0 {
        return None;
    }
    let points: u64 = scores.iter().map(|(importance, score)| u64::from(importance.0) * u64::from(score.0)).sum();
    let tenths = (points * 20 + weight) / (weight * 2); // round half up: floor(10·points/weight + ½)
    u16::try_from(tenths).ok().map(Total)
}
