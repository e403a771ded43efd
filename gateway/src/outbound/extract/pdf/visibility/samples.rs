//! Points on the ink of a glyph and beside it, in outline units.
//!
//! Whether a point is inside an outline costs a walk around it, so points are found once for each outline and moved to
//! each place where it is drawn.

use hayro::kurbo::{self, PathEl, Point};

use super::super::drawing::Outline;

/// Points in a row and in a column of the grid laid over the outline.
const GRID: u8 = 12;
/// Flattening keeps this close to the curve, in thousandths of an em.
const FLATTENING: f64 = 4.0;
/// Share of the grid beside the ink below which a glyph fills its box, as `l` and a full stop do.
const MIN_SHARE_BESIDE: f64 = 0.25;
/// Long edges are sampled every so many thousandths of an em.
const EDGE_STEP: f64 = 60.0;

#[derive(Debug, Default)]
pub struct Samples {
    /// On the filled inside.
    pub ink: Vec<Point>,
    /// Within the box of the outline, but not on the inside.
    pub beside: Vec<Point>,
    /// On the edge, where a stroke leaves its ink.
    pub edge: Vec<Point>,
    /// Next to nothing of the box is beside the ink, so it must be compared with what is around the box.
    pub fills_its_box: bool,
}

impl Samples {
    pub fn of(outline: &Outline) -> Self {
        let mut samples = Self::default();
        if outline.is_blank() {
            return samples;
        }
        let lines = lines(outline);
        for row in 0..GRID {
            for column in 0..GRID {
                let at =
                    |index: u8, start: f64, length: f64| start + length * (f64::from(index) + 0.5) / f64::from(GRID);
                let bounds = outline.bounds;
                let point = Point::new(at(column, bounds.x0, bounds.width()), at(row, bounds.y0, bounds.height()));
                if winding(&lines, point) == 0 { samples.beside.push(point) } else { samples.ink.push(point) }
            }
        }
        samples.edge = edge(&lines);
        let grid = f64::from(GRID) * f64::from(GRID);
        let beside = u32::try_from(samples.beside.len()).unwrap_or(u32::MAX);
        samples.fills_its_box = f64::from(beside) < MIN_SHARE_BESIDE * grid;
        samples
    }
}

/// The outline as straight lines, each part closed.
fn lines(outline: &Outline) -> Vec<(Point, Point)> {
    let mut lines = Vec::new();
    let (mut at, mut start) = (Point::ZERO, Point::ZERO);
    kurbo::flatten(outline.path.iter(), FLATTENING, |element| match element {
        PathEl::MoveTo(point) => {
            lines.push((at, start));
            (at, start) = (point, point);
        }
        PathEl::LineTo(point) => {
            lines.push((at, point));
            at = point;
        }
        PathEl::ClosePath => {
            lines.push((at, start));
            at = start;
        }
        PathEl::QuadTo(..) | PathEl::CurveTo(..) => {} // flattening leaves none
    });
    lines.push((at, start));
    lines
}

/// How often the outline goes around a point; 0 means outside.
fn winding(lines: &[(Point, Point)], point: Point) -> i32 {
    let mut winding = 0;
    for (from, to) in lines {
        if (from.y <= point.y) == (to.y <= point.y) {
            continue;
        }
        let crossing = from.x + (point.y - from.y) / (to.y - from.y) * (to.x - from.x);
        if crossing > point.x {
            winding += if to.y > from.y { 1 } else { -1 };
        }
    }
    winding
}

fn edge(lines: &[(Point, Point)]) -> Vec<Point> {
    let mut points = Vec::new();
    for (from, to) in lines {
        let length = from.distance(*to);
        let mut along = EDGE_STEP / 2.0;
        while along < length {
            points.push(from.lerp(*to, along / length));
            along += EDGE_STEP;
        }
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;
    use hayro::kurbo::{BezPath, Rect, Shape as _};

    fn ring() -> Outline {
        let mut path = Rect::new(0.0, 0.0, 600.0, 600.0).to_path(0.1);
        let hole: BezPath = Rect::new(150.0, 150.0, 450.0, 450.0).to_path(0.1).reverse_subpaths();
        path.extend(hole);
        Outline::new(path, false)
    }

    #[test]
    fn the_hole_of_an_o_is_beside_its_ink() {
        let samples = Samples::of(&ring());
        assert!(!samples.fills_its_box);
        assert!(samples.beside.contains(&Point::new(275.0, 275.0)), "{:?}", samples.beside);
        assert!(samples.ink.contains(&Point::new(75.0, 75.0)));
        assert_eq!(samples.ink.len() + samples.beside.len(), 144);
    }

    #[test]
    fn an_l_fills_its_box() {
        let stem = Outline::new(Rect::new(80.0, 0.0, 160.0, 700.0).to_path(0.1), false);
        let samples = Samples::of(&stem);
        assert!(samples.fills_its_box);
        assert_eq!(samples.ink.len(), 144);
        let off_the_middle = |point: &Point| (point.x - 120.0).abs() + (point.y - 350.0).abs();
        assert!(samples.edge.len() > 20 && samples.edge.iter().all(|point| off_the_middle(point) >= 40.0));
    }
}
