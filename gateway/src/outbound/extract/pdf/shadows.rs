//! Runs of hidden glyphs that only repeat what is seen right beside them.
//!
//! Browsers print the shadow of a text as the same text once more, transparent or in the colour of the paper. Nobody is
//! deceived by it, so it is left out and not told.

use std::collections::HashMap;

use hayro::kurbo::Vec2;

use super::drawing::Glyph;
use super::visibility::Verdict;

/// A shadow lies within this many em of its letter.
const REACH_EM: f64 = 0.5;
/// Side of a cell of the grid that finds letters close by, in points; large letters are looked for a little less far.
const CELL_POINTS: f64 = 32.0;
/// The same letter is seen this often in a cell at most; more are not looked at.
const MAX_PER_CELL: usize = 32;

/// Places of the glyphs that are seen.
pub struct Seen<'a>(HashMap<(&'a str, i64, i64), Vec<Vec2>>);

impl<'a> Seen<'a> {
    pub fn of(glyphs: &'a [Glyph], verdicts: &[Verdict]) -> Self {
        let mut seen: HashMap<_, Vec<Vec2>> = HashMap::new();
        for (glyph, _) in glyphs.iter().zip(verdicts).filter(|(_, verdict)| verdict.is_none()) {
            let place = glyph.to_page.translation();
            let (column, row) = cell(place);
            let places = seen.entry((glyph.text.as_str(), column, row)).or_default();
            if places.len() < MAX_PER_CELL {
                places.push(place);
            }
        }
        Self(seen)
    }

    /// Whether each glyph of a run that leaves ink is seen beside it too.
    pub fn has_all_of(&self, run: &[Glyph]) -> bool {
        run.iter().filter(|glyph| !glyph.is_blank()).all(|glyph| self.has(glyph))
    }

    fn has(&self, glyph: &Glyph) -> bool {
        let place = glyph.to_page.translation();
        let (column, row) = cell(place);
        let reach = REACH_EM * glyph.size();
        let around = |at: i64| at.saturating_sub(1)..=at.saturating_add(1);
        around(column).flat_map(|column| around(row).map(move |row| (column, row))).any(|(column, row)| {
            let places = self.0.get(&(glyph.text.as_str(), column, row));
            places.is_some_and(|places| places.iter().any(|seen| (*seen - place).length() < reach))
        })
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a cast saturates, and nothing that is seen lies that far off")]
fn cell(place: Vec2) -> (i64, i64) {
    ((place.x / CELL_POINTS).floor() as i64, (place.y / CELL_POINTS).floor() as i64)
}

#[cfg(test)]
mod tests {
    use super::super::super::Technique;
    use super::super::drawing::tests::glyph_at;
    use super::*;

    #[test]
    fn a_shadow_repeats_every_letter_close_by() {
        let named = |text: &str, x| Glyph { text: text.to_owned(), ..glyph_at(x, 700.0, 12.0) };
        let glyphs = [named("a", 50.0), named("b", 60.0)];
        let seen = Seen::of(&glyphs, &[None, None]);
        assert!(seen.has_all_of(&[named("a", 51.0), named(" ", 56.0), named("b", 61.0)]));
        assert!(!seen.has_all_of(&[named("a", 51.0), named("c", 61.0)]));
        assert!(!seen.has_all_of(&[named("a", 57.0)]));
        let hidden = Seen::of(&glyphs, &[Some(Technique::Tiny), Some(Technique::Tiny)]);
        assert!(!hidden.has_all_of(&[named("a", 50.0)]));
    }
}
