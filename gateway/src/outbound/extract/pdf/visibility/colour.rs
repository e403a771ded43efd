//! Judges glyphs by arithmetic on colours, for pages where nothing else matters.
//!
//! Rendering costs three times as much as all the rest, and most resumes are dark text on white with a few lines and
//! bars. Whatever cannot be told for certain is left in doubt, and then the whole page is rendered.

use hayro::kurbo::Rect;

use super::super::super::Technique;
use super::super::drawing::{Drawing, Rgb, Shape, WHITE};
use super::{MIN_CONTRAST, Verdict, contrast};

/// Share of a glyph that rules, underlines and its neighbours may cross without hiding it.
const MAX_CROSSED: f64 = 0.2;
/// Share of a glyph that later glyphs may overlap: boxes of kerned italics do so without touching.
const MAX_OVERPRINTED: f64 = 0.6;
/// Comparisons of glyphs with shapes that are cheaper than rendering the page.
const MAX_COMPARISONS: usize = 2_000_000;
/// Side of a cell in the grid that finds overlapping glyphs, in points.
const CELL_POINTS: f64 = 16.0;
/// Cells that a letter may take up; a larger one covers others on purpose.
const MAX_CELLS: usize = 64;

/// The page must be rendered to be judged.
#[derive(Debug, PartialEq, Eq)]
pub struct Doubt;

/// A glyph that leaves ink, by its place in the drawing.
struct Inked {
    index: usize,
    bounds: Rect,
}

/// Fills in the verdicts on glyphs that are not hidden yet, or leaves all of them as they are.
pub fn settle(drawing: &Drawing, verdicts: &mut [Verdict]) -> Result<(), Doubt> {
    let inked = inked(drawing, verdicts);
    if inked.len().saturating_mul(drawing.shapes.len()) > MAX_COMPARISONS || are_overprinted(&inked) {
        return Err(Doubt);
    }
    let mut hidden = Vec::new();
    for Inked { index, bounds } in inked {
        let glyph = &drawing.glyphs[index];
        let Some(colour) = glyph.colour.filter(|_| glyph.is_plain) else { return Err(Doubt) };
        let behind = background(&drawing.shapes, glyph.order, bounds)?;
        if f32::from(contrast(colour, behind)) * glyph.alpha < f32::from(MIN_CONTRAST) {
            hidden.push(index);
        }
    }
    for index in hidden {
        verdicts[index] = Some(Technique::BackgroundColour);
    }
    Ok(())
}

fn inked(drawing: &Drawing, verdicts: &[Verdict]) -> Vec<Inked> {
    let mut inked = Vec::with_capacity(drawing.glyphs.len());
    for (index, (glyph, verdict)) in drawing.glyphs.iter().zip(verdicts).enumerate() {
        let outline = &drawing.outlines[glyph.outline];
        if verdict.is_none() && !glyph.is_blank() && !outline.is_blank() {
            inked.push(Inked { index, bounds: glyph.to_page.transform_rect_bbox(outline.bounds) });
        }
    }
    inked
}

/// Colour of the topmost box that a glyph stands on; white is the paper.
fn background(shapes: &[Shape], order: usize, glyph: Rect) -> Result<Rgb, Doubt> {
    let mut behind = WHITE;
    let mut crossed = 0.0;
    for shape in shapes {
        if !shape.bounds.overlaps(glyph) {
            continue;
        }
        match shape.colour {
            Some(colour) if shape.order < order && shape.bounds.contains_rect(glyph) => {
                behind = colour;
                crossed = 0.0; // what it crossed before is under this box now
            }
            _ => crossed += shape.bounds.intersect(glyph).area() / glyph.area(),
        }
    }
    if crossed > MAX_CROSSED { Err(Doubt) } else { Ok(behind) }
}

/// Whether later glyphs cover an earlier one, as bold faces made by printing twice do, and blocks that hide text.
fn are_overprinted(glyphs: &[Inked]) -> bool {
    let mut grid: std::collections::HashMap<(i64, i64), Vec<usize>> = std::collections::HashMap::new();
    let mut covered = vec![0.0; glyphs.len()];
    for (later, glyph) in glyphs.iter().enumerate() {
        let Some(cells) = cells(glyph.bounds) else { return true };
        let mut below: Vec<usize> = cells.iter().filter_map(|cell| grid.get(cell)).flatten().copied().collect();
        below.sort_unstable();
        below.dedup();
        for earlier in below {
            let bounds = glyphs[earlier].bounds;
            covered[earlier] += bounds.intersect(glyph.bounds).area() / bounds.area();
            if covered[earlier] > MAX_OVERPRINTED {
                return true;
            }
        }
        for cell in cells {
            grid.entry(cell).or_default().push(later);
        }
    }
    false
}

/// Cells of the grid that a box touches; `None` for more than a letter takes.
#[expect(clippy::cast_possible_truncation, reason = "a cast saturates, and boxes far off end in too many cells")]
fn cells(bounds: Rect) -> Option<Vec<(i64, i64)>> {
    let cell = |points: f64| (points / CELL_POINTS).floor() as i64;
    let (left, right, top, bottom) = (cell(bounds.x0), cell(bounds.x1), cell(bounds.y0), cell(bounds.y1));
    let columns = usize::try_from(right.saturating_sub(left)).ok()?.saturating_add(1);
    let rows = usize::try_from(bottom.saturating_sub(top)).ok()?.saturating_add(1);
    if columns.saturating_mul(rows) > MAX_CELLS {
        return None;
    }
    Some((left..=right).flat_map(|x| (top..=bottom).map(move |y| (x, y))).collect())
}

#[cfg(test)]
mod tests {
    use super::super::super::drawing::Glyph;
    use super::super::super::drawing::tests::{drawing_of, glyph_at};
    use super::*;

    fn with_shape(glyph: Glyph, shape: Shape) -> (Drawing, Vec<Verdict>) {
        let mut drawing = drawing_of(vec![glyph]);
        drawing.shapes.push(shape);
        (drawing, vec![None])
    }

    fn box_of(colour: Option<Rgb>, order: usize) -> Shape {
        Shape { bounds: Rect::new(0.0, 600.0, 300.0, 800.0), order, colour }
    }

    #[test]
    fn dark_on_white_is_seen_and_white_on_white_is_not() {
        let dark = glyph_at(50.0, 700.0, 12.0);
        let white = Glyph { colour: Some([0xfa; 3]), ..glyph_at(80.0, 700.0, 12.0) };
        let mut verdicts = vec![None, None];
        assert_eq!(settle(&drawing_of(vec![dark, white]), &mut verdicts), Ok(()));
        assert_eq!(verdicts, [None, Some(Technique::BackgroundColour)]);
    }

    #[test]
    fn a_box_behind_is_the_background() {
        let glyph = Glyph { order: 2, ..glyph_at(50.0, 700.0, 12.0) };
        let (drawing, mut verdicts) = with_shape(glyph.clone(), box_of(Some([0; 3]), 1));
        assert_eq!(settle(&drawing, &mut verdicts), Ok(()));
        assert_eq!(verdicts, [Some(Technique::BackgroundColour)]);
        let white = Glyph { colour: Some(WHITE), ..glyph };
        let (drawing, mut verdicts) = with_shape(white, box_of(Some([0; 3]), 1));
        assert_eq!(settle(&drawing, &mut verdicts), Ok(()));
        assert_eq!(verdicts, [None]);
    }

    #[test]
    fn a_box_in_front_or_a_picture_is_a_doubt() {
        let glyph = Glyph { order: 2, ..glyph_at(50.0, 700.0, 12.0) };
        for shape in [box_of(Some(WHITE), 3), box_of(None, 1)] {
            let (drawing, mut verdicts) = with_shape(glyph.clone(), shape);
            assert_eq!(settle(&drawing, &mut verdicts), Err(Doubt));
        }
    }

    #[test]
    fn an_underline_is_no_doubt_but_many_are() {
        let underline = |y| Shape { bounds: Rect::new(0.0, y, 300.0, y + 0.5), order: 3, colour: Some([0; 3]) };
        let (mut drawing, mut verdicts) = with_shape(glyph_at(50.0, 700.0, 12.0), underline(699.0));
        assert_eq!(settle(&drawing, &mut verdicts), Ok(()));
        for line in 0_u8..10 {
            drawing.shapes.push(underline(690.0 + f64::from(line)));
        }
        assert_eq!(settle(&drawing, &mut verdicts), Err(Doubt));
    }

    #[test]
    fn glyphs_printed_over_each_other_are_a_doubt() {
        let twice = drawing_of(vec![glyph_at(50.0, 700.0, 12.0), glyph_at(50.2, 700.0, 12.0)]);
        assert_eq!(settle(&twice, &mut [None, None]), Err(Doubt));
        let block = drawing_of(vec![glyph_at(50.0, 700.0, 12.0), glyph_at(20.0, 800.0, 400.0)]);
        assert_eq!(settle(&block, &mut [None, None]), Err(Doubt));
        let beside = drawing_of(vec![glyph_at(50.0, 700.0, 12.0), glyph_at(56.0, 700.0, 12.0)]);
        assert_eq!(settle(&beside, &mut [None, None]), Ok(()));
    }
}
