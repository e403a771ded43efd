//! What a page draws, as far as it matters for reading: glyphs, their outlines, and the shapes around them.
//!
//! All places are in points of the upright page: x to the right, y down, the origin in the upper left corner.

use hayro::kurbo::{Affine, BezPath, Rect, Shape as _, Vec2};

use super::super::text;

/// Red, green, blue.
pub type Rgb = [u8; 3];
pub const WHITE: Rgb = [0xff, 0xff, 0xff];

/// Units of an outline that make one em.
pub const UNITS_PER_EM: f64 = 1000.0;
/// Box that text of any font fills above and below its baseline, in outline units.
const DESCENT: f64 = -200.0;
const ASCENT: f64 = 750.0;

/// Everything that one page draws.
#[derive(Debug, Default)]
pub struct Drawing {
    pub glyphs: Vec<Glyph>,
    pub outlines: Vec<Outline>,
    pub shapes: Vec<Shape>,
    pub pictures: usize,
    /// Characters of replacement texts that do not fit what they replace.
    pub false_actual_text_chars: usize,
}

/// One drawn glyph.
#[derive(Clone, Debug)]
pub struct Glyph {
    /// What the file says it means; empty when an earlier glyph speaks for it.
    pub text: String,
    /// From outline units to the page.
    pub to_page: Affine,
    /// Width up to the next glyph, in outline units.
    pub advance: f64,
    /// Index into [`Drawing::outlines`].
    pub outline: usize,
    /// Glyphs shown by one operator share a run, and are seen or hidden together as a rule.
    pub run: usize,
    /// Place in the order of drawing, counted with the shapes.
    pub order: usize,
    pub ink: Ink,
    /// `None` for a pattern or gradient.
    pub colour: Option<Rgb>,
    /// 0 (transparent) to 1, with the groups around it.
    pub alpha: f32,
    /// Colour and overlaps alone decide whether it is seen: no mask, no blending, no clip through it.
    pub is_plain: bool,
}

/// What of a glyph's outline is painted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    Nothing,
    Fill,
    Stroke,
    FillAndStroke,
}

/// The shape of a glyph, shared by all its uses.
#[derive(Clone, Debug)]
pub struct Outline {
    pub path: BezPath,
    pub bounds: Rect,
    /// Made of pictures, so that the path is only the box around the ink.
    pub is_bitmap: bool,
}

/// A path or picture.
#[derive(Clone, Debug)]
pub struct Shape {
    pub bounds: Rect,
    pub order: usize,
    /// Set when the shape covers all of `bounds` with one opaque colour.
    pub colour: Option<Rgb>,
}

impl Glyph {
    /// Height of the font on the page.
    pub fn size(&self) -> f64 {
        let [_, _, x, y, _, _] = self.to_page.as_coeffs();
        Vec2::new(x, y).length() * UNITS_PER_EM
    }

    /// What the font's size would be if its height followed its width.
    pub fn width_size(&self) -> f64 {
        let [x, y, ..] = self.to_page.as_coeffs();
        Vec2::new(x, y).length() * UNITS_PER_EM
    }

    /// Box that the glyph takes up in its line.
    pub fn line_box(&self) -> Rect {
        Rect::new(0.0, DESCENT, self.advance, ASCENT)
    }

    /// Direction of the baseline, in radians clockwise from the right.
    pub fn angle(&self) -> f64 {
        let [x, y, ..] = self.to_page.as_coeffs();
        y.atan2(x)
    }

    pub fn is_blank(&self) -> bool {
        text::is_blank(&self.text)
    }
}

impl Outline {
    pub fn new(path: BezPath, is_bitmap: bool) -> Self {
        let bounds = path.bounding_box();
        Self { path, bounds, is_bitmap }
    }

    pub fn is_blank(&self) -> bool {
        self.bounds.area() <= 0.0
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A black square letter, half an em wide and high, with its left end on the baseline at `x`, `y`.
    pub fn glyph_at(x: f64, y: f64, size: f64) -> Glyph {
        Glyph {
            text: "x".to_owned(),
            to_page: Affine::translate((x, y)) * Affine::scale_non_uniform(size / UNITS_PER_EM, -size / UNITS_PER_EM),
            advance: UNITS_PER_EM / 2.0,
            outline: 0,
            run: 1,
            order: 1,
            ink: Ink::Fill,
            colour: Some([0; 3]),
            alpha: 1.0,
            is_plain: true,
        }
    }

    pub fn drawing_of(glyphs: Vec<Glyph>) -> Drawing {
        Drawing { glyphs, outlines: vec![square()], ..Drawing::default() }
    }

    pub fn square() -> Outline {
        Outline::new(Rect::new(0.0, 0.0, UNITS_PER_EM / 2.0, UNITS_PER_EM / 2.0).to_path(0.1), false)
    }

    #[test]
    fn size_and_direction_come_from_the_whole_transform() {
        let glyph = glyph_at(0.0, 0.0, 12.0);
        assert!((glyph.size() - 12.0).abs() < 1e-9 && (glyph.width_size() - 12.0).abs() < 1e-9);
        let turned = Glyph { to_page: Affine::rotate(-std::f64::consts::FRAC_PI_2) * glyph.to_page, ..glyph };
        assert!((turned.angle() + std::f64::consts::FRAC_PI_2).abs() < 1e-9);
        assert!((turned.size() - 12.0).abs() < 1e-9);
    }
}
