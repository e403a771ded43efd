//! Judges glyphs by the pixels of the rendered page: ink that differs from what is beside it can be seen.
//!
//! The page as drawn is the only judge that no trick gets past, since a person looks at the same page.

use hayro::kurbo::{Point, Rect};

use super::super::super::Technique;
use super::super::drawing::{Drawing, Glyph, Ink, Outline, Rgb};
use super::samples::Samples;
use super::{MIN_CONTRAST, Verdict, contrast};

/// Pixels per point: at one, the edges of small letters blur into their background.
const SCALE: f64 = 2.0;
/// Longest side that is rendered: the renderer counts in 16 bits. A4 has 1,700.
const MAX_SIDE_PIXELS: f64 = 16_000.0;
/// Most pixels that are rendered, for the sake of the child's memory. A4 has 2 million.
const MAX_AREA_PIXELS: f64 = 12_000_000.0;
/// Fewer samples than this say nothing.
const MIN_SAMPLES: usize = 2;
/// Runs with this many judged glyphs can be covered in part.
const LONG_RUN: usize = 8;
/// Neighbours that agree with each other against the rest of their run, so that they are not all misled.
const MIN_STRETCH: usize = 3;
/// How far around a glyph its surroundings are looked at, in points.
const AROUND_POINTS: f64 = 1.0;

/// Shares of samples with ink when a page shows exactly this letter; edges blur.
const MIN_INK_SHOWN: f64 = 0.8;
const MAX_INK_BESIDE: f64 = 0.25;

/// Pixels per point for a page of this size.
pub fn scale_for(width: f64, height: f64) -> f64 {
    SCALE.min(MAX_SIDE_PIXELS / width.max(height)).min((MAX_AREA_PIXELS / (width * height)).sqrt())
}

/// The rendered page.
pub struct Canvas {
    pub rgba: Vec<u8>,
    pub width: usize,
    pub height: usize,
    /// Pixels per point.
    pub scale: f64,
}

impl Canvas {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "compared with the size before")]
    #[expect(clippy::cast_precision_loss, reason = "sides are below 16,000")]
    fn colour_at(&self, place: Point) -> Option<Rgb> {
        let (x, y) = (place.x * self.scale, place.y * self.scale);
        let is_inside = x >= 0.0 && y >= 0.0 && x < self.width as f64 && y < self.height as f64;
        if !is_inside {
            return None;
        }
        let at = (y as usize * self.width + x as usize) * 4;
        self.rgba.get(at..at + 3)?.try_into().ok()
    }

    fn colours(&self, places: impl IntoIterator<Item = Point>) -> Vec<Rgb> {
        places.into_iter().filter_map(|place| self.colour_at(place)).collect()
    }
}

/// What the pixels say about one glyph.
#[derive(Clone, Copy, Debug)]
struct Finding {
    is_hidden: bool,
    /// Compared within its own box, so it is not misled by neighbours.
    is_certain: bool,
    behind: Rgb,
}

/// Fills in the verdicts on glyphs that are not hidden yet.
pub fn settle(drawing: &Drawing, canvas: &Canvas, verdicts: &mut [Verdict]) {
    let mut samples: Vec<Option<Samples>> = drawing.outlines.iter().map(|_| None).collect();
    let mut findings: Vec<Option<Finding>> = Vec::with_capacity(drawing.glyphs.len());
    for (glyph, verdict) in drawing.glyphs.iter().zip(verdicts.iter()) {
        let outline = &drawing.outlines[glyph.outline];
        findings.push(if verdict.is_none() && !glyph.is_blank() {
            let samples = samples[glyph.outline].get_or_insert_with(|| Samples::of(outline));
            examine(glyph, outline, samples, canvas)
        } else {
            None
        });
    }
    let mut start = 0;
    for run in drawing.glyphs.chunk_by(|a, b| a.run == b.run) {
        let end = start + run.len();
        settle_run(run, &findings[start..end], &mut verdicts[start..end]);
        start = end;
    }
}

/// Glyphs of a run are seen or hidden together, so one that the pixels mislead is outvoted by the others. A long run may
/// be covered in part, so there each stretch of it speaks for itself.
fn settle_run(run: &[Glyph], findings: &[Option<Finding>], verdicts: &mut [Verdict]) {
    let any_certain = findings.iter().flatten().any(|finding| finding.is_certain);
    let voters: Vec<(usize, Finding)> = findings
        .iter()
        .enumerate()
        .filter_map(|(index, finding)| Some((index, (*finding)?)))
        .filter(|(_, finding)| finding.is_certain || !any_certain)
        .collect();
    let hidden = voters.iter().filter(|(_, finding)| finding.is_hidden).count();
    let Some(behind) = voters.iter().find(|(_, finding)| finding.is_hidden).map(|(_, finding)| finding.behind) else {
        return;
    };
    let run_is_hidden = hidden * 2 > voters.len();
    let mut is_hidden = vec![run_is_hidden; run.len()];
    if voters.len() >= LONG_RUN {
        for stretch in voters.chunk_by(|(_, a), (_, b)| a.is_hidden == b.is_hidden) {
            if let [(first, finding), .., (last, _)] = stretch
                && stretch.len() >= MIN_STRETCH
            {
                is_hidden[*first..=*last].fill(finding.is_hidden);
            }
        }
    }
    for ((glyph, is_hidden), verdict) in run.iter().zip(is_hidden).zip(verdicts) {
        if verdict.is_none() && is_hidden {
            let blends_in = glyph.colour.is_some_and(|colour| contrast(colour, behind) < MIN_CONTRAST);
            *verdict = Some(if blends_in { Technique::BackgroundColour } else { Technique::Covered });
        }
    }
}

/// Takes back the verdict on transparent letters whose very shape the page shows: browsers print letters that are filled
/// with a gradient as a mask, and lay transparent text over it.
pub fn restore_shown(drawing: &Drawing, canvas: &Canvas, verdicts: &mut [Verdict]) {
    let mut samples: Vec<Option<Samples>> = drawing.outlines.iter().map(|_| None).collect();
    let mut start = 0;
    for run in drawing.glyphs.chunk_by(|a, b| a.run == b.run) {
        let verdicts = &mut verdicts[start..start + run.len()];
        start += run.len();
        if !verdicts.contains(&Some(Technique::Transparent)) {
            continue;
        }
        let (mut telling, mut shown) = (0, 0);
        for glyph in run.iter().filter(|glyph| !glyph.is_blank()) {
            let outline = &drawing.outlines[glyph.outline];
            let samples = samples[glyph.outline].get_or_insert_with(|| Samples::of(outline));
            if !samples.fills_its_box {
                telling += 1;
                shown += usize::from(is_shape_shown(glyph, samples, canvas));
            }
        }
        if shown > 0 && shown == telling {
            for verdict in verdicts.iter_mut().filter(|verdict| **verdict == Some(Technique::Transparent)) {
                *verdict = None;
            }
        }
    }
}

/// Whether the page has this glyph's ink where it has ink, and none beside it.
#[expect(clippy::cast_precision_loss, reason = "a glyph has 144 samples")]
fn is_shape_shown(glyph: &Glyph, samples: &Samples, canvas: &Canvas) -> bool {
    let on_page = |points: &[Point]| canvas.colours(points.iter().map(|point| glyph.to_page * *point));
    let (ink, beside) = (on_page(&samples.ink), on_page(&samples.beside));
    let (Some(inked), Some(behind)) = (median(&ink), median(&beside)) else { return false };
    let full = contrast(inked, behind);
    let share_of_ink = |colours: &[Rgb]| {
        let is_ink = |colour: &&Rgb| contrast(**colour, behind) >= full / 2; // halfway up an edge
        colours.iter().filter(is_ink).count() as f64 / colours.len() as f64
    };
    full >= MIN_CONTRAST && share_of_ink(&ink) >= MIN_INK_SHOWN && share_of_ink(&beside) <= MAX_INK_BESIDE
}

/// `None` when there are too few pixels to say anything.
fn examine(glyph: &Glyph, outline: &Outline, samples: &Samples, canvas: &Canvas) -> Option<Finding> {
    let on_page = |points: &[Point]| canvas.colours(points.iter().map(|point| glyph.to_page * *point));
    let beside = on_page(&samples.beside);
    if outline.is_bitmap {
        return examine_bitmap(&on_page(&[samples.ink.as_slice(), &samples.beside].concat()));
    }
    let inks: &[&[Point]] = match glyph.ink {
        Ink::Nothing => &[],
        Ink::Fill => &[&samples.ink],
        Ink::Stroke => &[&samples.edge],
        Ink::FillAndStroke => &[&samples.ink, &samples.edge],
    };
    let surroundings = || surroundings(glyph.to_page.transform_rect_bbox(outline.bounds), canvas);
    let is_certain = !samples.fills_its_box && beside.len() >= MIN_SAMPLES;
    let backgrounds = if is_certain { vec![median(&beside)?] } else { surroundings() };
    let inks: Vec<Rgb> = inks.iter().map(|points| on_page(points)).filter_map(|colours| median(&colours)).collect();
    let difference = inks.iter().flat_map(|ink| backgrounds.iter().map(|behind| contrast(*ink, *behind))).max()?;
    Some(Finding { is_hidden: difference < MIN_CONTRAST, is_certain, behind: *backgrounds.first()? })
}

/// Where the ink lies within a bitmap is not known; one colour all over means that none is seen.
fn examine_bitmap(colours: &[Rgb]) -> Option<Finding> {
    let first = *colours.first()?;
    let is_hidden = colours.iter().all(|colour| contrast(*colour, first) < MIN_CONTRAST);
    Some(Finding { is_hidden, is_certain: true, behind: first })
}

/// Colours above and below a box, and at its sides: two, because neighbours may stand on either.
fn surroundings(bounds: Rect, canvas: &Canvas) -> Vec<Rgb> {
    let around = bounds.inflate(AROUND_POINTS, AROUND_POINTS);
    let steps = || (0_u8..=8).map(|step| f64::from(step) / 8.0);
    let across = steps().map(|share| bounds.x0 + bounds.width() * share);
    let down = steps().map(|share| bounds.y0 + bounds.height() * share);
    let ends = across.flat_map(|x| [Point::new(x, around.y0), Point::new(x, around.y1)]);
    let sides = down.flat_map(|y| [Point::new(around.x0, y), Point::new(around.x1, y)]);
    [median(&canvas.colours(ends)), median(&canvas.colours(sides))].into_iter().flatten().collect()
}

/// Median of each channel, so that a few samples on an edge or a line do not matter.
fn median(colours: &[Rgb]) -> Option<Rgb> {
    if colours.len() < MIN_SAMPLES {
        return None;
    }
    let middle = |channel: usize| {
        let mut values: Vec<u8> = colours.iter().map(|colour| colour[channel]).collect();
        let middle = values.len() / 2;
        *values.select_nth_unstable(middle).1
    };
    Some([middle(0), middle(1), middle(2)])
}

#[cfg(test)]
mod tests {
    use super::super::super::drawing::tests::{drawing_of, glyph_at};
    use super::super::super::drawing::{UNITS_PER_EM, WHITE};
    use super::*;

    /// A page of 100 × 100 points on which glyphs are painted pixel by pixel.
    fn canvas(paint: impl Fn(f64, f64) -> Rgb) -> Canvas {
        let side = 200;
        let mut rgba = Vec::new();
        for y in 0_u8..side {
            for x in 0_u8..side {
                let [red, green, blue] = paint((f64::from(x) + 0.5) / SCALE, (f64::from(y) + 0.5) / SCALE);
                rgba.extend([red, green, blue, 0xff]);
            }
        }
        Canvas { rgba, width: side.into(), height: side.into(), scale: SCALE }
    }

    /// The square letter of the tests as it looks on the page: half an em wide and high.
    fn is_on(glyph: &Glyph, x: f64, y: f64) -> bool {
        let place = glyph.to_page.transform_rect_bbox(Rect::new(0.0, 0.0, UNITS_PER_EM / 2.0, UNITS_PER_EM / 2.0));
        place.contains(Point::new(x, y))
    }

    #[test]
    fn a_solid_letter_is_compared_with_what_is_around_it() {
        let letter = glyph_at(40.0, 50.0, 12.0);
        let mut verdicts = vec![None];
        let seen = canvas(|x, y| if is_on(&letter, x, y) { [0; 3] } else { WHITE });
        settle(&drawing_of(vec![letter.clone()]), &seen, &mut verdicts);
        assert_eq!(verdicts, [None]);
        let covered = canvas(|_, _| WHITE);
        settle(&drawing_of(vec![letter.clone()]), &covered, &mut verdicts);
        assert_eq!(verdicts, [Some(Technique::Covered)]);
    }

    #[test]
    fn a_run_that_is_half_covered_is_judged_by_glyph() {
        let letters: Vec<Glyph> =
            (0_u8..10).map(|place| Glyph { run: 1, ..glyph_at(2.0 + 9.0 * f64::from(place), 50.0, 10.0) }).collect();
        let half =
            canvas(|x, y| if x < 47.0 && letters.iter().any(|letter| is_on(letter, x, y)) { [0; 3] } else { WHITE });
        let mut verdicts = vec![None; 10];
        settle(&drawing_of(letters.clone()), &half, &mut verdicts);
        assert_eq!(verdicts[..5], [None; 5]);
        assert_eq!(verdicts[5..], [Some(Technique::Covered); 5]);
    }

    #[test]
    fn a_hollow_letter_is_seen_by_its_edge() {
        let hollow = Glyph { ink: Ink::FillAndStroke, ..glyph_at(40.0, 50.0, 24.0) };
        let letter = hollow.to_page.transform_rect_bbox(Rect::new(0.0, 0.0, UNITS_PER_EM / 2.0, UNITS_PER_EM / 2.0));
        let (outer, inner) = (letter.inflate(0.7, 0.7), letter.inflate(-0.7, -0.7));
        let is_edge = |x, y| outer.contains(Point::new(x, y)) && !inner.contains(Point::new(x, y));
        let mut verdicts = vec![None];
        settle(
            &drawing_of(vec![hollow.clone()]),
            &canvas(|x, y| if is_edge(x, y) { [0; 3] } else { WHITE }),
            &mut verdicts,
        );
        assert_eq!(verdicts, [None]);
    }

    #[test]
    fn a_few_hidden_words_in_a_long_line_are_found() {
        let finding = |is_hidden| Some(Finding { is_hidden, is_certain: true, behind: WHITE });
        let run = vec![glyph_at(0.0, 0.0, 10.0); 200];
        let mut findings = vec![finding(false); 200];
        findings[20..30].fill(finding(true));
        findings[100..102].fill(finding(true)); // misled
        let mut verdicts = vec![None; 200];
        settle_run(&run, &findings, &mut verdicts);
        let hidden: Vec<usize> = (0..200).filter(|index| verdicts[*index].is_some()).collect();
        assert_eq!(hidden, (20..30).collect::<Vec<_>>());
    }

    #[test]
    fn a_glyph_misled_by_its_neighbours_is_outvoted() {
        let finding = |is_hidden, is_certain| Some(Finding { is_hidden, is_certain, behind: WHITE });
        let run = vec![glyph_at(0.0, 0.0, 10.0); 3];
        let mut verdicts = vec![None; 3];
        settle_run(&run, &[finding(false, true), finding(true, false), finding(true, false)], &mut verdicts);
        assert_eq!(verdicts, [None; 3]);
    }

    #[test]
    fn a_shape_is_shown_by_ink_on_it_and_next_to_none_beside_it() {
        let glyph = glyph_at(10.0, 50.0, 40.0);
        let row = |y| (0_u8..10).map(|step| Point::new(100.0 * f64::from(step), y)).collect();
        let samples = Samples { ink: row(100.0), beside: row(600.0), ..Samples::default() };
        // The first row comes to lie at 46 points, the second at 26, both from 10 to 46 points from the left.
        let shown = |on_until: f64, beside_until: f64| {
            let is_ink = move |x, y| (y > 40.0 && x < on_until) || (y < 40.0 && x < beside_until);
            is_shape_shown(&glyph, &samples, &canvas(|x, y| if is_ink(x, y) { [0; 3] } else { WHITE }))
        };
        assert!(shown(50.0, 0.0) && shown(44.0, 16.0));
        assert!(!shown(50.0, 24.0) && !shown(36.0, 0.0) && !shown(0.0, 0.0) && !shown(50.0, 50.0));
    }

    #[test]
    fn huge_pages_are_rendered_small() {
        assert!((scale_for(595.0, 842.0) - SCALE).abs() < f64::EPSILON);
        assert!(scale_for(2_000_000.0, 10.0) * 2_000_000.0 <= MAX_SIDE_PIXELS);
        assert!(scale_for(10_000.0, 10_000.0) * 10_000.0 < 3_500.0);
    }
}
