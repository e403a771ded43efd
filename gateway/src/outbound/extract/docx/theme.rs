//! Colours of a DOCX: plain ones, and those that it takes from its theme.
//!
//! When a theme colour is named, Word ignores the plain colour beside it, so a reader that trusts the plain one takes
//! white text for black.

use std::collections::HashMap;

use quick_xml::events::BytesStart;

use super::super::ExtractionFailure;
use super::xml::{self, Step, attribute};

/// Red, green, blue.
pub type Rgb = [u8; 3];
pub const BLACK: Rgb = [0, 0, 0];
pub const WHITE: Rgb = [0xff, 0xff, 0xff];

/// What a colour attribute says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Left to Word, which picks one that can be read.
    Auto,
    Plain(Rgb),
}

/// Colours of the theme by their names in the scheme (`dk1`, `lt1`, `accent1`, …).
#[derive(Debug)]
pub struct Theme(HashMap<String, Rgb>);

impl Default for Theme {
    fn default() -> Self {
        Self(HashMap::from([("dk1".to_owned(), BLACK), ("lt1".to_owned(), WHITE)]))
    }
}

/// Names of attributes that together give a colour.
#[derive(Clone, Copy)]
pub struct ColourNames {
    pub plain: &'static str,
    pub theme: &'static str,
    pub tint: &'static str,
    pub shade: &'static str,
}

impl Theme {
    pub fn parse(xml: &[u8]) -> Result<Self, ExtractionFailure> {
        let mut colours = Self::default().0;
        xml::walk(xml, |step| {
            if let Step::Start(element, [.., scheme, slot]) = step
                && scheme == "clrScheme"
                && let Some(rgb) = drawing_value(element)
            {
                colours.insert(slot.clone(), rgb);
            }
        })?;
        Ok(Self(colours))
    }

    /// Reads a colour of `WordprocessingML`.
    pub fn colour(&self, element: &BytesStart<'_>, names: ColourNames) -> Option<Colour> {
        let themed = attribute(element, names.theme).and_then(|name| self.named(&name));
        if let Some(rgb) = themed {
            return Some(Colour::Plain(shaded(rgb, element, names)));
        }
        let value = attribute(element, names.plain)?;
        if value == "auto" { Some(Colour::Auto) } else { hex(&value).map(Colour::Plain) }
    }

    /// Reads a colour of `DrawingML` (`srgbClr`, `schemeClr`, `sysClr`).
    pub fn drawing_colour(&self, element: &BytesStart<'_>) -> Option<Rgb> {
        match element.local_name().as_ref() {
            "schemeClr" => self.named(&attribute(element, "val")?),
            _ => drawing_value(element),
        }
    }

    fn named(&self, name: &str) -> Option<Rgb> {
        let slot = match name {
            "text1" | "dark1" | "tx1" => "dk1",
            "text2" | "dark2" | "tx2" => "dk2",
            "background1" | "light1" | "bg1" => "lt1",
            "background2" | "light2" | "bg2" => "lt2",
            "hyperlink" => "hlink",
            "followedHyperlink" => "folHlink",
            accent => accent,
        };
        self.0.get(slot).copied()
    }
}

fn drawing_value(element: &BytesStart<'_>) -> Option<Rgb> {
    match element.local_name().as_ref() {
        "srgbClr" => hex(&attribute(element, "val")?),
        "sysClr" => hex(&attribute(element, "lastClr")?),
        _ => None,
    }
}

/// Tint goes to white and shade to black, each by a byte in hex where `FF` changes nothing.
fn shaded(rgb: Rgb, element: &BytesStart<'_>, names: ColourNames) -> Rgb {
    let byte = |name| attribute(element, name).and_then(|value| u8::from_str_radix(&value, 16).ok());
    let scaled = |channel: u8, by: u8| u8::try_from(u16::from(channel) * u16::from(by) / 0xff).unwrap_or(u8::MAX);
    if let Some(tint) = byte(names.tint) {
        return rgb.map(|channel| 0xff - scaled(0xff - channel, tint));
    }
    match byte(names.shade) {
        Some(shade) => rgb.map(|channel| scaled(channel, shade)),
        None => rgb,
    }
}

/// `RRGGBB`, with or without a hash sign before it.
pub fn hex(value: &str) -> Option<Rgb> {
    let digits = value.strip_prefix('#').unwrap_or(value).get(..6)?;
    let [_, red, green, blue] = u32::from_str_radix(digits, 16).ok()?.to_be_bytes();
    Some([red, green, blue])
}

/// Colour of a highlighting pen; `None` for the name that takes the highlighting away.
pub fn highlight(name: &str) -> Option<Rgb> {
    match name {
        "black" => Some(BLACK),
        "blue" => Some([0, 0, 0xff]),
        "cyan" => Some([0, 0xff, 0xff]),
        "darkBlue" => Some([0, 0, 0x8b]),
        "darkCyan" => Some([0, 0x8b, 0x8b]),
        "darkGray" => Some([0xa9, 0xa9, 0xa9]),
        "darkGreen" => Some([0, 0x64, 0]),
        "darkMagenta" => Some([0x80, 0, 0x80]),
        "darkRed" => Some([0x8b, 0, 0]),
        "darkYellow" => Some([0x80, 0x80, 0]),
        "green" => Some([0, 0xff, 0]),
        "lightGray" => Some([0xd3, 0xd3, 0xd3]),
        "magenta" => Some([0xff, 0, 0xff]),
        "red" => Some([0xff, 0, 0]),
        "white" => Some(WHITE),
        "yellow" => Some([0xff, 0xff, 0]),
        _ => None,
    }
}
