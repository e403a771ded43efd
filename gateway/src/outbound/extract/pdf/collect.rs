//! A drawing device that paints nothing and writes down what is drawn.
//!
//! The interpreter resolves fonts, forms and graphics states; what is left for us is to note each glyph with all that
//! decides whether a person sees it.

use std::collections::HashMap;

use hayro::hayro_interpret::font::{Glyph as FontGlyph, GlyphRun};
use hayro::hayro_interpret::hayro_cmap::BfString;
use hayro::hayro_interpret::{
    BlendMode, CacheKey, ClipPath, Device, DrawMode, DrawProps, Image, ImageDrawProps, Paint, SoftMask,
};
use hayro::hayro_syntax::object::{Dict, String as PdfString};
use hayro::kurbo::{Affine, BezPath, PathEl, Point, Rect, Shape as _};

use super::actual_text;
use super::budget::Budget;
use super::drawing::{Drawing, Glyph, Ink, Outline, Rgb, Shape};
use super::program;

/// Advance of a glyph whose font does not tell, in outline units.
const DEFAULT_ADVANCE: f32 = 500.0;
/// Stands for a glyph whose meaning is not known.
const UNMAPPED: char = '\u{fffd}';
/// Places closer than this many points are the same place.
const SAME_PLACE_POINTS: f64 = 0.01;
/// Shorter replacement texts that are not believed are sloppiness, not a message.
const MIN_FALSE_ACTUAL_TEXT_CHARS: usize = 8;

/// A stretch of glyphs that a replacement text speaks for.
struct Replacement {
    text: String,
    first_glyph: usize,
}

struct Group {
    opacity: f32,
    /// Neither masked nor blended.
    is_plain: bool,
}

/// What is left of the page by the clips in force.
#[derive(Clone, Copy)]
enum Clip {
    Box(Rect),
    /// Some other shape within this box.
    Within(Rect),
}

pub struct Collector {
    drawing: Drawing,
    budget: Budget,
    outline_by_key: HashMap<u128, usize>,
    order: usize,
    run: usize,
    groups: Vec<Group>,
    clips: Vec<Clip>,
    marked: Vec<Option<Replacement>>,
}

impl Collector {
    pub fn new(page: Rect) -> Self {
        Self {
            drawing: Drawing::default(),
            budget: Budget::default(),
            outline_by_key: HashMap::new(),
            order: 0,
            run: 0,
            groups: vec![],
            clips: vec![Clip::Box(page)],
            marked: vec![],
        }
    }

    pub fn into_drawing(self) -> Drawing {
        self.drawing
    }

    fn next_order(&mut self) -> usize {
        self.order += 1;
        self.order
    }

    fn clip(&self) -> Clip {
        self.clips.last().copied().unwrap_or(Clip::Within(Rect::ZERO))
    }

    fn opacity(&self) -> f32 {
        self.groups.iter().map(|group| group.opacity).product()
    }

    fn is_plain(&self, soft_mask: Option<&SoftMask<'_>>, blend_mode: BlendMode) -> bool {
        soft_mask.is_none() && blend_mode == BlendMode::Normal && self.groups.iter().all(|group| group.is_plain)
    }

    fn add_shape(&mut self, bounds: Rect, colour: Option<Rgb>) {
        let order = self.next_order();
        let (clip, colour) = match self.clip() {
            Clip::Box(clip) => (clip, colour),
            Clip::Within(clip) => (clip, None),
        };
        let bounds = bounds.intersect(clip);
        if bounds.area() > 0.0 {
            self.drawing.shapes.push(Shape { bounds, order, colour });
        }
    }

    /// Index of a glyph's outline, made on first use.
    fn outline<'a>(&mut self, glyph: &FontGlyph<'a>, paint: &Paint<'a>) -> usize {
        let key = match glyph {
            FontGlyph::Outline(glyph) => glyph.identifier().cache_key(),
            FontGlyph::Type3(glyph) => glyph.cache_key(),
        };
        if let Some(index) = self.outline_by_key.get(&key) {
            return *index;
        }
        let outline = match glyph {
            FontGlyph::Outline(glyph) => Outline::new(glyph.outline(), false),
            FontGlyph::Type3(glyph) => program::outline(glyph, paint),
        };
        let index = self.drawing.outlines.len();
        self.drawing.outlines.push(outline);
        self.outline_by_key.insert(key, index);
        index
    }

    /// What a glyph means, unless its font claims more than a glyph can.
    fn believable(&mut self, meaning: String, advance: f64) -> String {
        if actual_text::fits_a_glyph(&meaning, advance) {
            return meaning;
        }
        self.drawing.false_actual_text_chars += meaning.chars().count();
        String::from(UNMAPPED)
    }

    /// Filling and stroking the same text comes as two calls; the second only adds ink to the first.
    fn is_second_call(&mut self, run: &GlyphRun<'_, '_>, transform: Affine, mode: &DrawMode) -> bool {
        let glyphs = &mut self.drawing.glyphs;
        if !matches!(mode, DrawMode::Stroke(_)) || glyphs.len() < run.glyphs().len() {
            return false;
        }
        let start = glyphs.len() - run.glyphs().len();
        let mut pairs = glyphs[start..].iter().zip(run.glyphs());
        let is_second = pairs.all(|(filled, stroked)| {
            let stroked = (transform * stroked.transform()).translation();
            filled.run == self.run
                && filled.ink == Ink::Fill
                && (filled.to_page.translation() - stroked).length() < SAME_PLACE_POINTS
        });
        if is_second {
            for glyph in &mut glyphs[start..] {
                glyph.ink = Ink::FillAndStroke;
                glyph.is_plain = false;
            }
        }
        is_second
    }
}

impl<'a> Device<'a> for Collector {
    fn draw_path(&mut self, path: &BezPath, props: DrawProps<'a>, mode: &DrawMode) {
        self.budget.spend_shape();
        let reach = match mode {
            DrawMode::Stroke(stroke) => f64::from(stroke.line_width) / 2.0,
            DrawMode::Fill(_) | DrawMode::FillAndStroke(..) | DrawMode::Invisible => 0.0,
        };
        let bounds = path.control_box().inflate(reach, reach);
        self.add_shape(props.transform.transform_rect_bbox(bounds), None);
    }

    fn draw_rect(&mut self, rect: &Rect, props: DrawProps<'a>, mode: &DrawMode) {
        let [a, b, c, d, ..] = props.transform.as_coeffs();
        let is_upright = (b == 0.0 && c == 0.0) || (a == 0.0 && d == 0.0);
        let is_plain = self.is_plain(props.soft_mask.as_ref(), props.blend_mode) && self.opacity() >= 1.0;
        match (mode, colour_of(&props.paint)) {
            (DrawMode::Fill(_), Some((colour, alpha))) if is_upright && is_plain && alpha >= 1.0 => {
                self.budget.spend_shape();
                self.add_shape(props.transform.transform_rect_bbox(*rect), Some(colour));
            }
            _ => self.draw_path(&rect.to_path(0.1), props, mode),
        }
    }

    fn draw_image(&mut self, image: Image<'a, '_>, props: ImageDrawProps<'a>) {
        self.budget.spend_shape();
        self.drawing.pictures += 1;
        let pixels = Rect::new(0.0, 0.0, f64::from(image.width()), f64::from(image.height()));
        self.add_shape(props.transform.transform_rect_bbox(pixels), None);
    }

    fn push_clip_path(&mut self, clip_path: &ClipPath) {
        self.budget.spend_shape();
        let bounds = clip_path.path.control_box();
        self.clips.push(match self.clip() {
            Clip::Box(current) if is_box(&clip_path.path) => Clip::Box(current.intersect(bounds)),
            Clip::Box(current) | Clip::Within(current) => Clip::Within(current.intersect(bounds)),
        });
    }

    fn pop_clip(&mut self) {
        if self.clips.len() > 1 {
            self.clips.pop();
        }
    }

    fn push_transparency_group(&mut self, opacity: f32, mask: Option<SoftMask<'a>>, blend_mode: BlendMode) {
        self.budget.spend_shape();
        self.groups.push(Group { opacity, is_plain: mask.is_none() && blend_mode == BlendMode::Normal });
    }

    fn pop_transparency_group(&mut self) {
        self.groups.pop();
    }

    fn draw_glyph_run(&mut self, run: &GlyphRun<'_, 'a>, props: DrawProps<'a>, mode: &DrawMode) {
        self.budget.spend_glyphs(run.glyphs().len());
        if self.is_second_call(run, props.transform, mode) {
            return;
        }
        self.run += 1;
        let painted = colour_of(&props.paint);
        let is_plain = self.is_plain(props.soft_mask.as_ref(), props.blend_mode);
        let ink = match mode {
            DrawMode::Fill(_) => Ink::Fill,
            DrawMode::Stroke(_) => Ink::Stroke,
            DrawMode::FillAndStroke(..) => Ink::FillAndStroke,
            DrawMode::Invisible => Ink::Nothing,
        };
        for positioned in run.glyphs() {
            let outline = self.outline(positioned, &props.paint);
            let to_page = props.transform * positioned.transform();
            let ink_box = to_page.transform_rect_bbox(self.drawing.outlines[outline].bounds);
            let is_unclipped = match self.clip() {
                Clip::Box(clip) => clip.contains_rect(ink_box),
                Clip::Within(_) => false,
            };
            let is_type3 = matches!(&**positioned, FontGlyph::Type3(_)); // may bring its own colours
            let advance = advance(positioned);
            let glyph = Glyph {
                text: self.believable(meaning(positioned), advance),
                to_page,
                advance,
                outline,
                run: self.run,
                order: self.next_order(),
                ink,
                colour: painted.map(|(colour, _)| colour),
                alpha: painted.map_or(1.0, |(_, alpha)| alpha) * self.opacity(),
                is_plain: is_plain && is_unclipped && ink == Ink::Fill && !is_type3,
            };
            self.drawing.glyphs.push(glyph);
        }
    }

    fn begin_marked_content(&mut self, _tag: &[u8], properties: Option<&Dict<'_>>) {
        let text = properties.and_then(|properties| properties.get::<PdfString<'_>>(b"ActualText".as_slice()));
        let first_glyph = self.drawing.glyphs.len();
        self.marked.push(text.map(|text| Replacement { text: actual_text::decode(text.as_bytes()), first_glyph }));
    }

    fn end_marked_content(&mut self) {
        let Some(Some(Replacement { text, first_glyph })) = self.marked.pop() else { return };
        let glyphs = &mut self.drawing.glyphs[first_glyph..];
        let own: String = glyphs.iter().map(|glyph| glyph.text.as_str()).collect();
        let outlines = &self.drawing.outlines;
        let inked = glyphs.iter().filter(|glyph| !outlines[glyph.outline].is_blank()).count();
        if actual_text::is_credible(&text, &own, inked) {
            let mut speaks = Some(text);
            for glyph in glyphs {
                glyph.text = speaks.take().unwrap_or_default();
            }
            return;
        }
        let chars = text.chars().filter(|c| !c.is_whitespace()).count();
        if chars > MIN_FALSE_ACTUAL_TEXT_CHARS {
            self.drawing.false_actual_text_chars += chars;
        }
    }
}

fn colour_of(paint: &Paint<'_>) -> Option<(Rgb, f32)> {
    match paint {
        Paint::Color(colour) => {
            let [red, green, blue, alpha] = colour.to_rgba().to_rgba8();
            Some(([red, green, blue], f32::from(alpha) / 255.0))
        }
        Paint::Pattern(_) => None,
    }
}

fn meaning(glyph: &FontGlyph<'_>) -> String {
    match glyph.as_unicode() {
        Some(BfString::Char(c)) => c.to_string(),
        Some(BfString::String(text)) => text,
        None => String::from(UNMAPPED),
    }
}

fn advance(glyph: &FontGlyph<'_>) -> f64 {
    let advance = match glyph {
        FontGlyph::Outline(glyph) => glyph.advance_width(),
        FontGlyph::Type3(glyph) => glyph.advance_width(),
    };
    f64::from(advance.unwrap_or(DEFAULT_ADVANCE))
}

/// Whether a path is one upright rectangle and nothing else.
fn is_box(path: &BezPath) -> bool {
    let bounds = path.control_box();
    let is_corner = |point: &Point| {
        let is_side = |value: f64, low: f64, high: f64| {
            (value - low).abs() < SAME_PLACE_POINTS || (value - high).abs() < SAME_PLACE_POINTS
        };
        is_side(point.x, bounds.x0, bounds.x1) && is_side(point.y, bounds.y0, bounds.y1)
    };
    let mut moves = 0;
    let only_corners = path.elements().iter().all(|element| match element {
        PathEl::MoveTo(point) => {
            moves += 1;
            is_corner(point)
        }
        PathEl::LineTo(point) => is_corner(point),
        PathEl::QuadTo(..) | PathEl::CurveTo(..) => false,
        PathEl::ClosePath => true,
    });
    let area = bounds.area();
    only_corners && moves == 1 && path.elements().len() <= 6 && (path.area().abs() - area).abs() <= area * 0.001
}
