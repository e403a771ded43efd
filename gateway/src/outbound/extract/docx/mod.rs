//! Reads DOCX: opens the package within limits, resolves styles and theme, streams the parts that a person reads.
//!
//! Our own reader, because the libraries that build a tree overflow their stack or take gigabytes on hostile files, and
//! none of them says whether a run can be seen.

mod look;
mod package;
mod part;
mod styles;
mod theme;
mod xml;

#[cfg(test)]
mod tests;

use self::package::Package;
use self::part::PartReader;
use self::styles::Styles;
use self::theme::Theme;
use super::hidden::HiddenTally;
use super::sniff::OLE_MARK;
use super::{Extracted, ExtractionFailure, text};

const DOCUMENT: &str = "word/document.xml";

/// Reads the visible text of a DOCX file.
///
/// # Errors
/// An [`ExtractionFailure`] when the file is no document, is over a limit, or has no visible text.
pub fn extract(bytes: &[u8]) -> Result<Extracted, ExtractionFailure> {
    if bytes.starts_with(OLE_MARK) {
        return Err(ExtractionFailure::PasswordProtected); // a DOCX is wrapped like this only to encrypt it
    }
    let mut package = Package::open(bytes)?;
    let theme = match package.read("word/theme/theme1.xml")? {
        Some(xml) => Theme::parse(&xml)?,
        None => Theme::default(),
    };
    let styles = match package.read("word/styles.xml")? {
        Some(xml) => Styles::parse(&xml, &theme)?,
        None => Styles::default(),
    };
    let mut hidden = HiddenTally::default();
    let mut raw = String::new();
    for name in parts_in_reading_order(&package) {
        let Some(xml) = package.read(&name)? else {
            return Err(ExtractionFailure::BrokenFile); // only the document itself can be missing
        };
        PartReader::new(&theme, &styles, &mut raw, &mut hidden).read(&xml)?;
    }
    let (text, truncated) = text::tidy(&raw);
    if text.is_empty() {
        return Err(if package.has_pictures() { ExtractionFailure::ScannedImage } else { ExtractionFailure::NoText });
    }
    Ok(Extracted { text, pages: 1, hidden: hidden.into_report(), truncated })
}

/// Headers first, since resumes keep name and address there; footers last.
fn parts_in_reading_order(package: &Package<'_>) -> Vec<String> {
    let mut parts = package.xml_parts("word/header");
    parts.push(DOCUMENT.to_owned());
    parts.extend(package.xml_parts("word/footnotes"));
    parts.extend(package.xml_parts("word/endnotes"));
    parts.extend(package.xml_parts("word/footer"));
    parts
}
