//! Where text stands: off every page, or in a space without room for it.
//!
//! The page's own size comes last in a document, so places are held against the largest page and the widest margin.

use quick_xml::events::BytesStart;

use super::super::Technique;
use super::xml::{attribute, is_on};

const TWIPS_PER_POINT: f64 = 20.0;
const EMU_PER_POINT: f64 = 12_700.0;
/// Pages of Word are 22 inches wide and high at most; what begins beyond is on none.
const MAX_PAGE_POINTS: f64 = 22.0 * 72.0;
/// Length of what does not tell its length.
const UNKNOWN_LENGTH_POINTS: f64 = 11.0 * 72.0;
/// Margins are narrower: what ends this far before the text ends before the page.
const MAX_MARGIN_POINTS: f64 = 4.0 * 72.0;
/// Less room than this shows no letter.
const MIN_ROOM_POINTS: f64 = 2.0;

/// Where something begins, in one dimension.
#[derive(Clone, Copy, Debug, Default)]
pub struct Offset {
    points: f64,
    is_from_page: bool,
}

/// Where a drawing is placed, as far as it has been read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Anchor {
    /// How it is hidden, if it is.
    pub hidden: Option<Technique>,
    across: Offset,
    down: Offset,
}

impl Offset {
    fn new(points: f64, anchor: Option<&str>) -> Self {
        Self { points, is_from_page: anchor == Some("page") }
    }

    fn is_off_page(self, length: Option<f64>) -> bool {
        let end = self.points + length.unwrap_or(UNKNOWN_LENGTH_POINTS);
        let first = if self.is_from_page { 0.0 } else { -MAX_MARGIN_POINTS };
        self.points > MAX_PAGE_POINTS || end <= first
    }
}

impl Anchor {
    /// A drawing of the older kind, with what its `style` says as CSS does. Within a group lengths are in units of the
    /// group's own, so only the group tells where it is.
    pub fn of_style(style: &str, is_in_group: bool) -> Self {
        let value = |name: &str| {
            let declared = style.split(';').filter_map(|declaration| declaration.split_once(':'));
            declared.rev().find(|(declared, _)| declared.trim() == name).map(|(_, value)| value.trim())
        };
        let points = |name| value(name).and_then(css_points);
        let mut anchor = Self::default();
        if value("visibility") == Some("hidden") {
            anchor.hide(Technique::Invisible);
        }
        if is_in_group {
            return anchor;
        }
        for (margin, offset, length, relative, share) in [
            ("margin-left", "left", "width", "mso-position-horizontal-relative", "mso-width-percent"),
            ("margin-top", "top", "height", "mso-position-vertical-relative", "mso-height-percent"),
        ] {
            let start = points(margin).or_else(|| points(offset)).unwrap_or(0.0);
            let is_share_of_page = value(share).is_some_and(|share| share != "0");
            anchor.judge(Offset::new(start, value(relative)), points(length).filter(|_| !is_share_of_page));
        }
        anchor
    }

    pub fn hide(&mut self, technique: Technique) {
        self.hidden = self.hidden.or(Some(technique));
    }

    /// Takes in what the offsets that follow are counted from.
    pub fn set_origin(&mut self, element: &BytesStart<'_>, is_across: bool) {
        *self.offset(is_across) = Offset::new(0.0, attribute(element, "relativeFrom").as_deref());
    }

    /// Takes in an offset, in EMU.
    pub fn set_offset(&mut self, emu: &str, is_across: bool) {
        let Ok(emu) = emu.trim().parse::<f64>() else { return };
        self.offset(is_across).points = emu / EMU_PER_POINT;
        let offset = *self.offset(is_across);
        self.judge(offset, None);
    }

    /// Takes in the size, which follows the offsets.
    pub fn set_extent(&mut self, element: &BytesStart<'_>) {
        let length = |name| attribute(element, name)?.parse::<f64>().ok().map(|emu| emu / EMU_PER_POINT);
        self.judge(self.across, length("cx"));
        self.judge(self.down, length("cy"));
    }

    fn offset(&mut self, is_across: bool) -> &mut Offset {
        if is_across { &mut self.across } else { &mut self.down }
    }

    fn judge(&mut self, offset: Offset, length: Option<f64>) {
        if length.is_some_and(|length| length < MIN_ROOM_POINTS) {
            self.hide(Technique::Tiny);
        } else if offset.is_off_page(length) {
            self.hide(Technique::OffPage);
        }
    }
}

/// How a property of a paragraph, row or table puts its text out of sight.
pub fn of_property(element: &BytesStart<'_>) -> Option<Technique> {
    let points = |name| attribute(element, name)?.parse::<f64>().ok().map(|twips| twips / TWIPS_PER_POINT);
    let placed = |start: f64, length, anchor: &str| {
        Offset::new(start, attribute(element, anchor).as_deref()).is_off_page(length)
    };
    let is_off_page = match element.local_name().as_ref() {
        "hidden" => return is_on(element).then_some(Technique::Invisible),
        "trHeight" => {
            let is_exact = attribute(element, "hRule").as_deref() == Some("exact");
            let is_low = points("val").is_some_and(|height| height < MIN_ROOM_POINTS);
            return (is_exact && is_low).then_some(Technique::Tiny);
        }
        "ind" => {
            let start = points("left").or_else(|| points("start")).unwrap_or(0.0);
            let first = start - points("hanging").unwrap_or(0.0) + points("firstLine").unwrap_or(0.0);
            first <= -MAX_MARGIN_POINTS || start.max(first) > MAX_PAGE_POINTS
        }
        "tblInd" => placed(points("w").unwrap_or(0.0), None, "hAnchor"),
        "tblpPr" => {
            placed(points("tblpX").unwrap_or(0.0), None, "horzAnchor")
                || placed(points("tblpY").unwrap_or(0.0), None, "vertAnchor")
        }
        "framePr" => {
            let is_narrow = points("w").is_some_and(|width| width < MIN_ROOM_POINTS);
            let height = points("h").filter(|_| attribute(element, "hRule").as_deref() == Some("exact"));
            if is_narrow || height.is_some_and(|height| height < MIN_ROOM_POINTS) {
                return Some(Technique::Tiny);
            }
            placed(points("x").unwrap_or(0.0), points("w"), "hAnchor")
                || placed(points("y").unwrap_or(0.0), height, "vAnchor")
        }
        _ => false,
    };
    is_off_page.then_some(Technique::OffPage)
}

/// A length such as `-3.5in`; without a unit it is in pixels.
fn css_points(value: &str) -> Option<f64> {
    let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: f64 = digits.parse().ok()?;
    match value.get(digits.len()..)? {
        "pt" => Some(number),
        "in" => Some(number * 72.0),
        "cm" => Some(number * 72.0 / 2.54),
        "mm" => Some(number * 72.0 / 25.4),
        "pc" => Some(number * 12.0),
        "px" | "" => Some(number * 0.75),
        _ => None,
    }
}
