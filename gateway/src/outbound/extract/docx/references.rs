//! Which headers, footers and notes a document really shows.
//!
//! A header can lie in the package without being used, or be used for first or even pages that the document does not
//! tell apart; a note can stand among the others without a mark in the text. All of these are places to hide text.

use std::collections::HashSet;

use quick_xml::events::BytesStart;

use super::super::ExtractionFailure;
use super::relationships::Relationships;
use super::xml::{self, Step, attribute, is_on};

/// What a document refers to, in the order in which it does.
#[derive(Debug, Default)]
pub struct References {
    pub headers: Vec<String>,
    pub footers: Vec<String>,
    /// Ids of the footnotes and endnotes with a mark in the text.
    pub notes: HashSet<String>,
}

/// Headers and footers of a section that is being read.
#[derive(Default)]
struct Section {
    /// Whether it is a header, for which pages, and the part.
    used: Vec<(bool, String, String)>,
    tells_first_page_apart: bool,
}

impl References {
    /// `tells_even_pages_apart` is a setting of the whole document.
    pub fn parse(
        document: &[u8],
        relationships: &Relationships,
        tells_even_pages_apart: bool,
    ) -> Result<Self, ExtractionFailure> {
        let mut references = Self::default();
        let mut section = Section::default();
        xml::walk(document, |step| match step {
            Step::Start(element, _) => match element.local_name().as_ref() {
                "sectPr" => section = Section::default(),
                "titlePg" => section.tells_first_page_apart = is_on(element),
                "headerReference" => section.used.extend(used(element, true, relationships)),
                "footerReference" => section.used.extend(used(element, false, relationships)),
                "footnoteReference" | "endnoteReference" => references.notes.extend(attribute(element, "id")),
                _ => {}
            },
            Step::End("sectPr") => references.take(std::mem::take(&mut section), tells_even_pages_apart),
            Step::End(_) => {}
        })?;
        Ok(references)
    }

    fn take(&mut self, section: Section, tells_even_pages_apart: bool) {
        for (is_header, pages, part) in section.used {
            let is_shown = match pages.as_str() {
                "first" => section.tells_first_page_apart,
                "even" => tells_even_pages_apart,
                _ => true,
            };
            let parts = if is_header { &mut self.headers } else { &mut self.footers };
            if is_shown && !parts.contains(&part) {
                parts.push(part);
            }
        }
    }
}

fn used(element: &BytesStart<'_>, is_header: bool, relationships: &Relationships) -> Option<(bool, String, String)> {
    let part = relationships.by_id(&attribute(element, "id")?)?;
    Some((is_header, attribute(element, "type").unwrap_or_default(), part.to_owned()))
}

/// Whether the settings of a document tell even pages apart.
pub fn tells_even_pages_apart(settings: &[u8]) -> Result<bool, ExtractionFailure> {
    let mut tells = false;
    xml::walk(settings, |step| {
        if let Step::Start(element, _) = step
            && element.local_name().as_ref() == "evenAndOddHeaders"
        {
            tells = is_on(element);
        }
    })?;
    Ok(tells)
}
