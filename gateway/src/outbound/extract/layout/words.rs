//! Joins glyphs to words.
//!
//! Not every producer draws blanks, so a gap makes a word as well as a blank does; how wide a gap, depends on the
//! spacing of the letters around it.

use std::collections::HashMap;

use super::{PlacedGlyph, Word};

/// Gap that parts words, in em. Justified LaTeX shrinks its blanks to less than 0.18.
const WORD_GAP_EM: f64 = 0.12;
/// Letters may lie over each other by this much, in em, as kerning and accents do.
const MAX_OVERLAP_EM: f64 = 0.5;
/// Words of a letter-spaced heading stand this far apart at most, in em; what a stretch joins too much, its gaps part.
const MAX_STRETCH_GAP_EM: f64 = 2.0;
/// Glyphs of a word stand on one line, within this many em.
const SAME_BASELINE_EM: f64 = 0.35;
/// Letter-spaced headings have this many letters or more, all of them apart.
const MIN_SPACED_LETTERS: usize = 3;
/// In such a heading a gap between words is this much wider than one between letters.
const SPACED_WORD_GAP: f64 = 1.8;
/// The same glyph drawn again this close, in em, makes it look bold.
const SAME_PLACE_EM: f64 = 0.1;
/// Side of the squares in which glyphs drawn before are looked for.
const SQUARE_POINTS: f64 = 4.0;

/// Glyphs drawn one after the other on one line, up to a blank or a jump.
struct Stretch {
    glyphs: Vec<PlacedGlyph>,
}

pub fn find(glyphs: Vec<PlacedGlyph>) -> Vec<Word> {
    let mut words = Vec::new();
    let mut drawn = DrawnPlaces::default();
    let mut stretch = Stretch { glyphs: vec![] };
    for glyph in glyphs {
        if glyph.text.is_empty() {
            if stretch.goes_on_with(&glyph) {
                stretch.widen(&glyph); // spoken for by the glyph before it, unless it stands somewhere else
            }
            continue;
        }
        if glyph.text.trim().is_empty() {
            stretch.finish(&mut words);
            continue;
        }
        if drawn.has_near(&glyph) {
            continue;
        }
        drawn.remember(&glyph);
        if !stretch.goes_on_with(&glyph) {
            stretch.finish(&mut words);
        }
        stretch.glyphs.push(glyph);
    }
    stretch.finish(&mut words);
    words
}

impl Stretch {
    fn goes_on_with(&self, glyph: &PlacedGlyph) -> bool {
        let Some(last) = self.glyphs.last() else { return true };
        let em = glyph.size.max(last.size);
        let gap = glyph.bounds.x0 - last.bounds.x1;
        let is_on_line = (glyph.baseline - last.baseline).abs() < SAME_BASELINE_EM * em;
        is_on_line && gap > -MAX_OVERLAP_EM * em && gap < MAX_STRETCH_GAP_EM * em
    }

    fn widen(&mut self, glyph: &PlacedGlyph) {
        if let Some(last) = self.glyphs.last_mut() {
            last.bounds = last.bounds.union(glyph.bounds);
        }
    }

    fn finish(&mut self, words: &mut Vec<Word>) {
        let glyphs = std::mem::take(&mut self.glyphs);
        let word_gap = word_gap(&glyphs);
        let mut word: Option<Word> = None;
        for glyph in glyphs {
            match &mut word {
                Some(open) if glyph.bounds.x0 - open.bounds.x1 < word_gap * glyph.size => {
                    open.text.push_str(&glyph.text);
                    open.bounds = open.bounds.union(glyph.bounds);
                    open.size = open.size.max(glyph.size);
                }
                _ => words.extend(word.replace(Word {
                    text: glyph.text,
                    bounds: glyph.bounds,
                    baseline: glyph.baseline,
                    size: glyph.size,
                })),
            }
        }
        words.extend(word);
    }
}

/// Gap that parts words in this stretch, in em.
fn word_gap(glyphs: &[PlacedGlyph]) -> f64 {
    let gaps = glyphs.windows(2).map(|pair| (pair[1].bounds.x0 - pair[0].bounds.x1) / pair[1].size);
    let narrowest = gaps.fold(f64::INFINITY, f64::min);
    if glyphs.len() >= MIN_SPACED_LETTERS && narrowest > WORD_GAP_EM {
        narrowest * SPACED_WORD_GAP
    } else {
        WORD_GAP_EM
    }
}

/// Where which glyph has been drawn, to notice the same one drawn again.
#[derive(Default)]
struct DrawnPlaces(HashMap<(char, i64, i64), Vec<(f64, f64)>>);

impl DrawnPlaces {
    fn has_near(&self, glyph: &PlacedGlyph) -> bool {
        let reach = SAME_PLACE_EM * glyph.size;
        let (letter, column, row) = cell(glyph);
        let is_near = |(x, y): &(f64, f64)| (x - glyph.bounds.x0).abs() < reach && (y - glyph.baseline).abs() < reach;
        let around = |at: i64| at.saturating_sub(1)..=at.saturating_add(1);
        around(column).any(|column| {
            around(row).any(|row| self.0.get(&(letter, column, row)).is_some_and(|places| places.iter().any(is_near)))
        })
    }

    fn remember(&mut self, glyph: &PlacedGlyph) {
        self.0.entry(cell(glyph)).or_default().push((glyph.bounds.x0, glyph.baseline));
    }
}

/// Square of the page; the reach of fonts up to 40 points does not go beyond its neighbours.
#[expect(clippy::cast_possible_truncation, reason = "a cast saturates, and nothing visible lies that far off")]
fn cell(glyph: &PlacedGlyph) -> (char, i64, i64) {
    let letter = glyph.text.chars().next().unwrap_or_default();
    let square = |points: f64| (points / SQUARE_POINTS).floor() as i64;
    (letter, square(glyph.bounds.x0), square(glyph.baseline))
}
