//! Reads one page: interpret, judge, put in order.
//!
//! Each call into the interpreter or the renderer is fenced, so that a page over budget ends with an answer.

use std::collections::BTreeMap;

use hayro::hayro_interpret::util::TransformExt;
use hayro::hayro_interpret::{Context, InterpreterCache, InterpreterSettings, interpret_page};
use hayro::hayro_syntax::page::Page;
use hayro::kurbo::{Affine, Rect};
use hayro::vello_cpu::color::palette::css::WHITE;
use hayro::vello_cpu::{Pixmap, RasterizerSettings, RenderContext, Resources, TargetInit};
use hayro::{RenderCache, RenderSettings, render_into};

use super::super::Technique;
use super::super::hidden::HiddenTally;
use super::super::layout::{PlacedGlyph, reading_order};
use super::super::{ExtractionFailure, text};
use super::budget::within_budget;
use super::collect::Collector;
use super::drawing::{Drawing, Glyph};
use super::shadows::Seen;
use super::visibility::{self, RenderedPage, Verdict};

/// Share of the page that a picture takes up when the page is a scan.
const MIN_PICTURE_SHARE: f64 = 0.6;

/// Reads the pages of one document; the caches hold its fonts and pictures.
pub struct PageReader<'a> {
    pub settings: InterpreterSettings,
    pub interpreter_cache: InterpreterCache<'a>,
    pub render_cache: RenderCache<'a>,
}

/// What a person reads on one page.
pub struct PageText {
    pub text: String,
    pub pictures: usize,
    /// One picture or shape takes up most of the page, as in a scan.
    pub is_under_picture: bool,
}

impl<'a> PageReader<'a> {
    pub fn read(&self, page: &'a Page<'a>, hidden: &mut HiddenTally) -> Result<PageText, ExtractionFailure> {
        let (width, height) = page.render_dimensions();
        let bounds = Rect::new(0.0, 0.0, f64::from(width), f64::from(height));
        let to_page = page.initial_transform(true).to_kurbo();

        let drawing = within_budget(|| self.interpret(page, bounds, to_page))?;
        let verdicts = visibility::judge(&drawing, bounds, || within_budget(|| self.render(page, bounds, to_page)))?;
        hidden.add(Technique::ActualText, drawing.false_actual_text_chars);
        let is_under_picture = drawing.pictures > 0 && covers_page(&drawing, bounds);
        let text = visible_text(&drawing.glyphs, &verdicts, hidden);
        Ok(PageText { text, pictures: drawing.pictures, is_under_picture })
    }

    fn interpret(&self, page: &'a Page<'a>, bounds: Rect, to_page: Affine) -> Drawing {
        let mut context = Context::new(to_page, bounds, &self.interpreter_cache, page.xref(), self.settings.clone());
        let mut collector = Collector::new(bounds);
        interpret_page(page, &mut context, &mut collector);
        collector.into_drawing()
    }

    fn render(&self, page: &'a Page<'a>, bounds: Rect, to_page: Affine) -> RenderedPage {
        let scale = visibility::scale_for(bounds.width(), bounds.height());
        let (width, height) = (pixels(bounds.width() * scale), pixels(bounds.height() * scale));
        let mut context = RenderContext::new(width, height);
        let render_settings = RenderSettings { hinting: false, ..RenderSettings::default() };
        // On paper, because what blends with nothing looks different.
        context.set_paint(WHITE);
        context.fill_rect(&Rect::new(0.0, 0.0, f64::from(width), f64::from(height)));
        let transform = Affine::scale(scale) * to_page;
        render_into(page, &self.render_cache, &self.settings, &render_settings, &mut context, transform);
        context.flush();
        let mut pixmap = Pixmap::new(width, height);
        let on_paper = RasterizerSettings { target_init: TargetInit::Clear(WHITE), ..RasterizerSettings::default() };
        context.render_with(&mut pixmap, &mut Resources::default(), on_paper);
        let rgba = pixmap.data_as_u8_slice().to_vec();
        RenderedPage { rgba, width: width.into(), height: height.into(), scale }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast saturates; sides are below 16,000")]
fn pixels(side: f64) -> u16 {
    (side as u16).max(1)
}

fn covers_page(drawing: &Drawing, page: Rect) -> bool {
    drawing.shapes.iter().any(|shape| shape.colour.is_none() && shape.bounds.area() > MIN_PICTURE_SHARE * page.area())
}

/// Visible glyphs in reading order; text in other directions follows that which runs to the right.
fn visible_text(glyphs: &[Glyph], verdicts: &[Verdict], hidden: &mut HiddenTally) -> String {
    count_hidden(glyphs, verdicts, hidden);
    let mut by_direction: BTreeMap<i32, Vec<PlacedGlyph>> = BTreeMap::new();
    for (glyph, _) in glyphs.iter().zip(verdicts).filter(|(_, verdict)| verdict.is_none()) {
        by_direction.entry(direction(glyph)).or_default().push(placed(glyph, hidden));
    }
    let mut lines = reading_order(by_direction.remove(&0).unwrap_or_default());
    for turned in by_direction.into_values() {
        lines.extend(reading_order(turned));
    }
    lines.join("\n")
}

fn count_hidden(glyphs: &[Glyph], verdicts: &[Verdict], hidden: &mut HiddenTally) {
    if verdicts.iter().all(Option::is_none) {
        return;
    }
    let seen = Seen::of(glyphs, verdicts);
    let mut start = 0;
    for run in glyphs.chunk_by(|a, b| a.run == b.run) {
        let verdicts = &verdicts[start..start + run.len()];
        start += run.len();
        if verdicts.iter().any(Option::is_some) && !seen.has_all_of(run) {
            for (glyph, technique) in run.iter().zip(verdicts).filter_map(|(glyph, verdict)| Some((glyph, (*verdict)?)))
            {
                hidden.add_text(technique, &glyph.text);
            }
        }
    }
}

/// Direction of the baseline in whole degrees, 0 to the right.
#[expect(clippy::cast_possible_truncation, reason = "an angle is between -180 and 180")]
fn direction(glyph: &Glyph) -> i32 {
    glyph.angle().to_degrees().round() as i32
}

/// Turns a glyph back so that its baseline runs to the right.
fn placed(glyph: &Glyph, hidden: &mut HiddenTally) -> PlacedGlyph {
    let upright = Affine::rotate(-glyph.angle()) * glyph.to_page;
    let mut text = String::new();
    text::push_visible(&mut text, &glyph.text, hidden);
    PlacedGlyph {
        text,
        bounds: upright.transform_rect_bbox(glyph.line_box()),
        baseline: upright.translation().y,
        size: glyph.size(),
    }
}
