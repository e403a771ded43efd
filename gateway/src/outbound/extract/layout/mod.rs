//! Puts glyphs that lie on a page into the order in which a person reads them.
//!
//! A PDF may draw its text in any order, and most producers draw columns line by line across. So words, lines and
//! columns are found again from where the glyphs lie, by cutting the page along its white space.

mod columns;
mod lines;
mod words;

#[cfg(test)]
mod tests;

use hayro::kurbo::Rect;

/// A visible glyph on an upright page, y down.
#[derive(Clone, Debug)]
pub struct PlacedGlyph {
    pub text: String,
    pub bounds: Rect,
    pub baseline: f64,
    /// Height of the font.
    pub size: f64,
}

/// A word: glyphs without a gap between them.
#[derive(Clone, Debug)]
pub struct Word {
    pub text: String,
    pub bounds: Rect,
    pub baseline: f64,
    pub size: f64,
}

impl Word {
    /// Strip that the small letters of the word fill; narrower than its box, so that tight lines still come apart.
    fn strip(&self) -> (f64, f64) {
        (self.baseline - 0.5 * self.size, self.baseline)
    }

    fn chars(&self) -> usize {
        self.text.chars().count()
    }
}

/// Lines of text in reading order. `glyphs` come in the order in which they were drawn.
pub fn reading_order(glyphs: Vec<PlacedGlyph>) -> Vec<String> {
    let words = words::find(glyphs);
    let lines = columns::in_order(&words);
    lines.iter().map(|line| line.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ")).collect()
}
