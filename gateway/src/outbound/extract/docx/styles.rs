//! Styles of a DOCX, resolved to looks.
//!
//! Hiding a run by a style that is based on a style is as easy as hiding it directly, so each chain is followed.

use std::collections::HashMap;

use quick_xml::events::BytesStart;

use super::super::ExtractionFailure;
use super::look::{Look, shading};
use super::theme::{Colour, Theme};
use super::xml::{self, Step, attribute};

/// A chain of styles is a handful long; more is a loop.
const MAX_CHAIN: usize = 16;

/// How text and cells look in a region of a table.
#[derive(Clone, Copy, Debug, Default)]
pub struct CellLook {
    pub text: Look,
    pub fill: Option<Colour>,
}

#[derive(Clone, Debug, Default)]
struct Style {
    based_on: Option<String>,
    whole: CellLook,
    first_row: CellLook,
}

#[derive(Debug, Default)]
pub struct Styles {
    by_id: HashMap<String, Style>,
    defaults: Look,
    default_paragraph: Option<String>,
}

impl Styles {
    pub fn parse(xml: &[u8], theme: &Theme) -> Result<Self, ExtractionFailure> {
        let mut styles = Self::default();
        let mut current: Option<(String, Style)> = None;
        let mut in_first_row = false;
        xml::walk(xml, |step| match step {
            Step::Start(element, around) => match (element.local_name().as_ref(), &mut current) {
                ("style", current) => {
                    let id = attribute(element, "styleId").unwrap_or_default();
                    if attribute(element, "type").as_deref() == Some("paragraph") && is_default(element) {
                        styles.default_paragraph = Some(id.clone());
                    }
                    *current = Some((id, Style::default()));
                }
                ("basedOn", Some((_, style))) => style.based_on = attribute(element, "val"),
                ("tblStylePr", Some(_)) => in_first_row = attribute(element, "type").as_deref() == Some("firstRow"),
                (_, Some((_, style))) => {
                    let Some(region) = region(style, around, in_first_row) else { return };
                    set(region, element, around, theme);
                }
                (_, None) if is_in(around, "rPrDefault") => {
                    styles.defaults.set(element, is_in(around, "textFill"), theme);
                }
                _ => {}
            },
            Step::End("style") => {
                if let Some((id, style)) = current.take() {
                    styles.by_id.insert(id, style);
                }
            }
            Step::End("tblStylePr") => in_first_row = false,
            Step::End(_) => {}
        })?;
        Ok(styles)
    }

    /// Look of a run by its own style, the style of its paragraph and that of the table around it.
    pub fn resolve(&self, run: Option<&str>, paragraph: Option<&str>, table: Look) -> Look {
        let paragraph = paragraph.or(self.default_paragraph.as_deref());
        let (run, paragraph) = (self.chain(run, |style| style.whole), self.chain(paragraph, |style| style.whole));
        run.text.over(paragraph.text).over(table).over(self.defaults)
    }

    /// Look of the cells in the first row of a table, or in the others.
    pub fn table(&self, id: &str, is_first_row: bool) -> CellLook {
        let whole = self.chain(Some(id), |style| style.whole);
        if !is_first_row {
            return whole;
        }
        let first = self.chain(Some(id), |style| style.first_row);
        CellLook { text: first.text.over(whole.text), fill: first.fill.or(whole.fill) }
    }

    fn chain(&self, id: Option<&str>, region: impl Fn(&Style) -> CellLook) -> CellLook {
        let mut look = CellLook::default();
        let mut next = id;
        for _ in 0..MAX_CHAIN {
            let Some(style) = next.and_then(|id| self.by_id.get(id)) else { break };
            let base = region(style);
            look = CellLook { text: look.text.over(base.text), fill: look.fill.or(base.fill) };
            next = style.based_on.as_deref();
        }
        look
    }
}

/// The region of the style that an element speaks of; `None` in a region that is not told apart here.
fn region<'a>(style: &'a mut Style, around: &[String], in_first_row: bool) -> Option<&'a mut CellLook> {
    if in_first_row {
        return Some(&mut style.first_row);
    }
    if is_in(around, "tblStylePr") { None } else { Some(&mut style.whole) }
}

fn set(region: &mut CellLook, element: &BytesStart<'_>, around: &[String], theme: &Theme) {
    if around.last().is_some_and(|parent| parent == "pPr") {
        region.text.set_around(element);
    } else if is_in(around, "rPr") {
        region.text.set(element, is_in(around, "textFill"), theme);
    } else if is_in(around, "tcPr") && element.local_name().as_ref() == "shd" {
        region.fill = shading(element, theme);
    }
}

fn is_in(around: &[String], name: &str) -> bool {
    around.iter().any(|element| element == name)
}

fn is_default(element: &BytesStart<'_>) -> bool {
    attribute(element, "default").is_some_and(|value| value == "1" || value == "true")
}
