//! What of a run's look decides whether a person sees it.
//!
//! Fonts, borders and the like are left out: they change how text looks, not whether it can be read.

use quick_xml::events::BytesStart;

use super::super::Technique;
use super::place;
use super::theme::{BLACK, Colour, ColourNames, Rgb, Theme, highlight};
use super::xml::{attribute, is_on};

/// Text this small (1 pt = 2 half points) cannot be read.
const MIN_SIZE_HALF_POINTS: f32 = 4.0;
/// Characters squeezed to less than this share of their width cannot be read.
const MIN_WIDTH_PERCENT: f32 = 10.0;
/// Lines of an exact height below this cut their letters off.
const MIN_LINE_POINTS: f32 = 2.0;
/// In thousandths of a percent; text that is more transparent cannot be read.
const MAX_TRANSPARENCY: f32 = 90_000.0;
const TWENTIETHS_PER_POINT: f32 = 20.0;
/// Text is told from its background when some channel (of 255) differs by this much.
const MIN_CONTRAST: u8 = 24;

const TEXT_COLOUR: ColourNames =
    ColourNames { plain: "val", theme: "themeColor", tint: "themeTint", shade: "themeShade" };
const SHADING_FILL: ColourNames =
    ColourNames { plain: "fill", theme: "themeFill", tint: "themeFillTint", shade: "themeFillShade" };
const SHADING_PATTERN: ColourNames =
    ColourNames { plain: "color", theme: "themeColor", tint: "themeTint", shade: "themeShade" };

/// Properties of a run; `None` means inherited.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Look {
    vanish: Option<bool>,
    colour: Option<Colour>,
    size_half_points: Option<f32>,
    width_percent: Option<f32>,
    shading: Option<Colour>,
    highlight: Option<Pen>,
    line_points: Option<f32>,
    /// Set by where the text stands, which nothing within it can change.
    out_of_sight: Option<Technique>,
    transparency: Option<f32>,
}

/// Highlighting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pen {
    Colour(Rgb),
    /// Takes an inherited highlighting away.
    Off,
}

impl Look {
    /// This look where it says something, else `base`.
    #[must_use]
    pub fn over(self, base: Self) -> Self {
        Self {
            vanish: self.vanish.or(base.vanish),
            colour: self.colour.or(base.colour),
            size_half_points: self.size_half_points.or(base.size_half_points),
            width_percent: self.width_percent.or(base.width_percent),
            shading: self.shading.or(base.shading),
            highlight: self.highlight.or(base.highlight),
            line_points: self.line_points.or(base.line_points),
            out_of_sight: self.out_of_sight.or(base.out_of_sight),
            transparency: self.transparency.or(base.transparency),
        }
    }

    /// Takes in one property: a child of `rPr`, or a descendant of its text fill.
    pub fn set(&mut self, element: &BytesStart<'_>, in_text_fill: bool, theme: &Theme) {
        let name = element.local_name();
        match name.as_ref() {
            "noFill" if in_text_fill => self.vanish = Some(true),
            "srgbClr" | "schemeClr" if in_text_fill => {
                self.colour = theme.drawing_colour(element).map(Colour::Plain).or(self.colour);
            }
            "alpha" if in_text_fill => self.transparency = number(element),
            _ if in_text_fill => {}
            "vanish" | "webHidden" | "specVanish" => self.vanish = Some(is_on(element)),
            "color" => self.colour = theme.colour(element, TEXT_COLOUR),
            "sz" => self.size_half_points = number(element),
            "w" => self.width_percent = number(element),
            "shd" => self.shading = shading(element, theme),
            "highlight" => self.highlight = pen(element),
            _ => {}
        }
    }

    /// Takes in a property of the paragraph, row or table around: the height of lines where it is exact, and the place.
    pub fn set_around(&mut self, element: &BytesStart<'_>) {
        self.out_of_sight = self.out_of_sight.or_else(|| place::of_property(element));
        if element.local_name().as_ref() != "spacing" {
            return;
        }
        if let Some(rule) = attribute(element, "lineRule") {
            let points = attribute(element, "line").and_then(|value| value.parse::<f32>().ok());
            self.line_points = points.map(|value| value / TWENTIETHS_PER_POINT).filter(|_| rule == "exact");
        }
    }

    /// This look for text inside of a cell that looks like `around`: out of sight with it, and else on its own.
    #[must_use]
    pub fn within(self, around: Self) -> Self {
        Self { out_of_sight: self.out_of_sight.or(around.out_of_sight), ..self }
    }

    /// How text of this look is hidden when `behind` is what it stands on.
    pub fn hidden_by(self, behind: Rgb) -> Option<Technique> {
        if self.vanish == Some(true) {
            return Some(Technique::Invisible);
        }
        if self.out_of_sight.is_some() {
            return self.out_of_sight;
        }
        if self.transparency.is_some_and(|transparency| transparency > MAX_TRANSPARENCY) {
            return Some(Technique::Transparent);
        }
        if self.size_half_points.is_some_and(|size| size < MIN_SIZE_HALF_POINTS)
            || self.width_percent.is_some_and(|width| width < MIN_WIDTH_PERCENT)
            || self.line_points.is_some_and(|line| line < MIN_LINE_POINTS)
        {
            return Some(Technique::Tiny);
        }
        let behind = match (self.highlight, self.shading) {
            (Some(Pen::Colour(pen)), _) => pen,
            (_, Some(Colour::Plain(shading))) => shading,
            (_, Some(Colour::Auto) | None) => behind,
        };
        match self.colour {
            Some(Colour::Plain(text)) if contrast(text, behind) < MIN_CONTRAST => Some(Technique::BackgroundColour),
            _ => None,
        }
    }
}

/// Colour that a `shd` element paints behind run, paragraph, cell or table.
pub fn shading(element: &BytesStart<'_>, theme: &Theme) -> Option<Colour> {
    if attribute(element, "val").as_deref() != Some("solid") {
        return theme.colour(element, SHADING_FILL);
    }
    // A solid pattern hides the fill below it; left to Word, it is black.
    match theme.colour(element, SHADING_PATTERN) {
        Some(Colour::Plain(pattern)) => Some(Colour::Plain(pattern)),
        Some(Colour::Auto) | None => Some(Colour::Plain(BLACK)),
    }
}

fn pen(element: &BytesStart<'_>) -> Option<Pen> {
    let name = attribute(element, "val")?;
    Some(highlight(&name).map_or(Pen::Off, Pen::Colour))
}

fn number(element: &BytesStart<'_>) -> Option<f32> {
    attribute(element, "val")?.trim_end_matches('%').parse().ok()
}

/// Largest difference of a channel.
fn contrast(a: Rgb, b: Rgb) -> u8 {
    a.into_iter().zip(b).map(|(a, b)| a.abs_diff(b)).max().unwrap_or(0)
}
