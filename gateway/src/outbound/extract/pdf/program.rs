//! Outlines of glyphs that are little drawings of their own (Type 3 fonts).
//!
//! Such fonts come from old TeX and from charts, and a font of one's own making is a good place to hide text; so their
//! glyphs are judged like others, by the outline that their drawing leaves.

use hayro::hayro_interpret::font::{GlyphRun, Type3Glyph};
use hayro::hayro_interpret::{
    BlendMode, ClipPath, Device, DrawMode, DrawProps, Image, ImageDrawProps, Paint, SoftMask,
};
use hayro::kurbo::{Affine, BezPath, Rect, Shape as _};

use super::budget::Budget;
use super::drawing::Outline;

/// Outline of such a glyph.
pub fn outline<'a>(glyph: &Type3Glyph<'a>, paint: &Paint<'a>) -> Outline {
    let mut tracer = ProgramTracer::default();
    glyph.interpret(&mut tracer, Affine::IDENTITY, Affine::IDENTITY, paint);
    Outline::new(tracer.path, tracer.has_boxes)
}

/// Collects the filled paths of a glyph's drawing, and a box for each stroke and picture in it.
#[derive(Default)]
struct ProgramTracer {
    path: BezPath,
    has_boxes: bool,
    budget: Budget,
}

impl ProgramTracer {
    fn add_box(&mut self, bounds: Rect, transform: Affine) {
        self.has_boxes = true;
        self.path.extend(transform * bounds.to_path(0.1));
    }
}

impl<'a> Device<'a> for ProgramTracer {
    fn draw_path(&mut self, path: &BezPath, props: DrawProps<'a>, mode: &DrawMode) {
        self.budget.spend_shape();
        if let DrawMode::Stroke(stroke) = mode {
            let reach = f64::from(stroke.line_width) / 2.0;
            self.add_box(path.control_box().inflate(reach, reach), props.transform);
        } else {
            self.path.extend(props.transform * path);
        }
    }

    fn draw_image(&mut self, image: Image<'a, '_>, props: ImageDrawProps<'a>) {
        self.budget.spend_shape();
        self.add_box(Rect::new(0.0, 0.0, f64::from(image.width()), f64::from(image.height())), props.transform);
    }

    fn draw_glyph_run(&mut self, run: &GlyphRun<'_, 'a>, _: DrawProps<'a>, _: &DrawMode) {
        self.budget.spend_glyphs(run.glyphs().len());
    }

    fn push_clip_path(&mut self, _: &ClipPath) {}
    fn pop_clip(&mut self) {}
    fn push_transparency_group(&mut self, _: f32, _: Option<SoftMask<'a>>, _: BlendMode) {}
    fn pop_transparency_group(&mut self) {}
}
