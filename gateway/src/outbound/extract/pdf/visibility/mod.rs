//! Decides for each glyph of a page whether a person sees it.
//!
//! In three steps, the cheap ones first: how and where it is drawn; its colour, when nothing but colour and overlap
//! matters on this page; else the pixels of the rendered page, which know of every mask, clip, picture and blend.

mod colour;
mod pixels;
mod samples;

use hayro::kurbo::Rect;

pub use self::pixels::{Canvas as RenderedPage, scale_for};
use super::super::{ExtractionFailure, Technique};
use super::drawing::{Drawing, Glyph, Ink, Outline, Rgb};

/// Text below this many points cannot be read.
const MIN_SIZE_POINTS: f64 = 2.0;
/// Letters squeezed to less than this many points of width cannot be read.
const MIN_WIDTH_POINTS: f64 = 1.0;
/// The ink of a letter or digit is at least this wide or high, in points; only dots and dashes are smaller.
const MIN_LETTER_POINTS: f64 = 0.8;
/// Shorter side of the largest page that is read as it is, in points: A2.
const LARGE_PAGE_POINTS: f64 = 1_200.0;
const MIN_ALPHA: f32 = 0.1;
/// Share of a glyph that must be on the page.
const MIN_SHARE_ON_PAGE: f64 = 0.3;
/// Ink is told from its background when some channel (of 255) differs by this much.
const MIN_CONTRAST: u8 = 24;

/// How a glyph is hidden; `None` for what a person sees.
pub type Verdict = Option<Technique>;

/// One verdict a glyph. `render` is called only if the page must be seen to be judged.
pub fn judge(
    drawing: &Drawing,
    page: Rect,
    render: impl FnOnce() -> Result<RenderedPage, ExtractionFailure>,
) -> Result<Vec<Verdict>, ExtractionFailure> {
    let placed = |glyph| by_placement(glyph, &drawing.outlines[glyph.outline], page);
    let mut verdicts: Vec<Verdict> = drawing.glyphs.iter().map(placed).collect();
    let is_in_doubt = colour::settle(drawing, &mut verdicts).is_err();
    let has_transparent = verdicts.contains(&Some(Technique::Transparent));
    if is_in_doubt || has_transparent {
        let page = render()?;
        if is_in_doubt {
            pixels::settle(drawing, &page, &mut verdicts);
        }
        if has_transparent {
            pixels::restore_shown(drawing, &page, &mut verdicts);
        }
    }
    Ok(verdicts)
}

fn by_placement(glyph: &Glyph, outline: &Outline, page: Rect) -> Verdict {
    if glyph.is_blank() {
        return None; // nothing to hide, and words are parted by it
    }
    if glyph.ink == Ink::Nothing || outline.is_blank() {
        return Some(Technique::Invisible);
    }
    if glyph.alpha < MIN_ALPHA {
        return Some(Technique::Transparent);
    }
    if !is_legible(glyph, outline, page) {
        return Some(Technique::Tiny);
    }
    let place = glyph.to_page.transform_rect_bbox(glyph.line_box());
    let is_on_page = page.overlaps(place) && page.intersect(place).area() >= MIN_SHARE_ON_PAGE * place.area();
    if is_on_page { None } else { Some(Technique::OffPage) }
}

/// Written so that a size that is no number counts as too small.
fn is_legible(glyph: &Glyph, outline: &Outline, page: Rect) -> bool {
    // A larger page is shown smaller, so its text must be larger.
    let zoom = (page.width().min(page.height()) / LARGE_PAGE_POINTS).max(1.0);
    let is_large = glyph.size() >= MIN_SIZE_POINTS * zoom && glyph.width_size() >= MIN_WIDTH_POINTS * zoom;
    // A font can hold letters that are specks at any size.
    let ink = glyph.to_page.transform_rect_bbox(outline.bounds);
    let is_speck = ink.width().max(ink.height()) < MIN_LETTER_POINTS * zoom;
    is_large && !(is_speck && glyph.text.chars().any(char::is_alphanumeric))
}

/// Largest difference of a channel.
fn contrast(a: Rgb, b: Rgb) -> u8 {
    a.into_iter().zip(b).map(|(a, b)| a.abs_diff(b)).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::drawing::tests::{glyph_at, square};
    use super::*;
    use hayro::kurbo::{Affine, BezPath, Shape as _};

    const PAGE: Rect = Rect::new(0.0, 0.0, 595.0, 842.0);

    #[test]
    fn placement_tells_each_technique() {
        let seen = glyph_at(50.0, 700.0, 12.0);
        assert_eq!(by_placement(&seen, &square(), PAGE), None);
        let cases = [
            (Glyph { ink: Ink::Nothing, ..seen.clone() }, Technique::Invisible),
            (Glyph { alpha: 0.05, ..seen.clone() }, Technique::Transparent),
            (glyph_at(50.0, 700.0, 1.5), Technique::Tiny),
            (Glyph { to_page: seen.to_page * Affine::scale_non_uniform(0.01, 1.0), ..seen.clone() }, Technique::Tiny),
            (Glyph { to_page: seen.to_page * Affine::scale(f64::NAN), ..seen.clone() }, Technique::Tiny),
            (glyph_at(-20.0, 700.0, 12.0), Technique::OffPage),
            (glyph_at(50.0, 860.0, 12.0), Technique::OffPage),
        ];
        for (glyph, technique) in cases {
            assert_eq!(by_placement(&glyph, &square(), PAGE), Some(technique), "{glyph:?}");
        }
    }

    #[test]
    fn a_letter_without_ink_is_invisible_and_a_speck_is_tiny() {
        let letter = glyph_at(50.0, 700.0, 12.0);
        let nothing = Outline::new(BezPath::new(), false);
        assert_eq!(by_placement(&letter, &nothing, PAGE), Some(Technique::Invisible));
        let speck = Outline::new(Rect::new(0.0, 0.0, 20.0, 20.0).to_path(0.1), false);
        assert_eq!(by_placement(&letter, &speck, PAGE), Some(Technique::Tiny));
        let stop = Glyph { text: ".".to_owned(), ..letter.clone() };
        assert_eq!(by_placement(&stop, &speck, PAGE), None);
        let blank = Glyph { text: " ".to_owned(), ..letter };
        assert_eq!(by_placement(&blank, &nothing, PAGE), None);
    }

    #[test]
    fn text_is_measured_against_a_huge_page() {
        let poster = Rect::new(0.0, 0.0, 24_000.0, 24_000.0);
        assert_eq!(by_placement(&glyph_at(50.0, 700.0, 12.0), &square(), poster), Some(Technique::Tiny));
        let scroll = Rect::new(0.0, 0.0, 595.0, 24_000.0);
        assert_eq!(by_placement(&glyph_at(50.0, 700.0, 12.0), &square(), scroll), None);
    }

    #[test]
    fn contrast_is_that_of_the_most_different_channel() {
        assert_eq!(contrast([0, 10, 20], [5, 10, 120]), 100);
    }
}
