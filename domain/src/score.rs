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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_score_has_0_to_100_points() {
        assert_eq!(Score::try_new(0).map(Score::points), Ok(0));
        assert_eq!(Score::try_new(100).map(Score::points), Ok(100));
        assert_eq!(Score::try_new(101).unwrap_err().to_string(), "101 is outside 0 to 100 points");
    }

    #[test]
    fn an_importance_is_1_to_5() {
        assert_eq!(Importance::try_new(0).unwrap_err().to_string(), "0 is outside an importance of 1 to 5");
        assert_eq!(Importance::try_new(1).map(Importance::weight), Ok(1));
        assert_eq!(Importance::try_new(5).map(Importance::weight), Ok(5));
        assert!(Importance::try_new(6).is_err());
    }

    #[test]
    fn a_total_has_0_to_1000_tenths() {
        assert_eq!(Total::try_new(1_000).map(Total::tenths), Ok(1_000));
        assert_eq!(Total::try_new(1_001).unwrap_err().to_string(), "1001 is outside 0 to 1000 tenths of a point");
    }

    #[test]
    fn json_keeps_the_ranges() {
        assert_eq!(serde_json::to_string(&Total(771)).unwrap(), "771");
        assert!(serde_json::from_str::<Score>("101").is_err());
        assert!(serde_json::from_str::<Score>("77.1").is_err());
        assert!(serde_json::from_str::<Importance>("0").is_err());
        assert!(serde_json::from_str::<Total>("1001").is_err());
    }

    #[test]
    fn a_total_is_shown_in_points_with_one_decimal() {
        for tenths in 0..=1_000 {
            assert_eq!(format!("{:.1}", Total(tenths).points()), format!("{}.{}", tenths / 10, tenths % 10));
            assert_eq!(
                serde_json::to_string(&Total(tenths).points()).unwrap(),
                format!("{}.{}", tenths / 10, tenths % 10)
            );
        }
    }

    #[test]
    fn without_scores_there_is_no_total() {
        assert_eq!(weighted_total(&[]), None);
    }

    #[test]
    fn half_a_tenth_is_rounded_up() {
        assert_eq!(weighted_total(&graded(&[(3, 0), (1, 1)])), Some(Total(3)), "0.25 points are 2.5 tenths");
        assert_eq!(weighted_total(&graded(&[(2, 0), (1, 1)])), Some(Total(3)), "3.33 tenths");
        assert_eq!(weighted_total(&graded(&[(4, 0), (3, 1)])), Some(Total(4)), "4.29 tenths");
    }

    proptest! {
        #[test]
        fn the_total_is_the_exact_mean_rounded_half_up(scores in scores()) {
            let total = i64::from(weighted_total(&scores).unwrap().tenths());
            let weight: i64 = scores.iter().map(|(importance, _)| i64::from(importance.weight())).sum();
            let points: i64 = scores.iter().map(|(importance, score)| i64::from(importance.weight()) * i64::from(score.points())).sum();
            // total − ½ ≤ 10·points/weight < total + ½, without a division
            prop_assert!((2 * total - 1) * weight <= 20 * points);
            prop_assert!(20 * points < (2 * total + 1) * weight);
        }

        #[test]
        fn the_total_lies_between_the_lowest_and_the_highest_score(scores in scores()) {
            let total = weighted_total(&scores).unwrap().tenths();
            let lowest = scores.iter().map(|(_, score)| u16::from(score.points()) * 10).min().unwrap();
            let highest = scores.iter().map(|(_, score)| u16::from(score.points()) * 10).max().unwrap();
            prop_assert!((lowest..=highest).contains(&total));
            prop_assert!(Total::try_new(total).is_ok());
        }

        #[test]
        fn a_better_score_never_lowers_the_total(mut scores in scores(), which: prop::sample::Index, better in 0_u8..=100) {
            let before = weighted_total(&scores);
            let which = which.index(scores.len());
            scores[which].1 = scores[which].1.max(Score(better));
            prop_assert!(weighted_total(&scores) >= before);
        }

        #[test]
        fn the_order_of_the_categories_does_not_matter(
            (scores, shuffled) in scores().prop_flat_map(|scores| (Just(scores.clone()), Just(scores).prop_shuffle()))
        ) {
            prop_assert_eq!(weighted_total(&scores), weighted_total(&shuffled));
        }

        #[test]
        fn a_single_category_is_its_score(weight in 1_u8..=5, points in 0_u8..=100) {
            prop_assert_eq!(weighted_total(&graded(&[(weight, points)])), Some(Total(u16::from(points) * 10)));
        }
    }

    fn scores() -> impl Strategy<Value = Vec<(Importance, Score)>> {
        prop::collection::vec((1_u8..=5, 0_u8..=100), 1..12).prop_map(|numbers| graded(&numbers))
    }

    fn graded(numbers: &[(u8, u8)]) -> Vec<(Importance, Score)> {
        numbers.iter().map(|&(weight, points)| (Importance(weight), Score(points))).collect()
    }
}
