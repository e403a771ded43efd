//! Reads DOCX: opens the package within limits, resolves styles and theme, streams the parts that a person reads.
//!
//! Our own reader, because the libraries that build a tree overflow their stack or take gigabytes on hostile files, and
//! none of them says whether a run can be seen.

mod element;
mod look;
mod open;
mod package;
mod part;
mod place;
mod properties;
mod references;
mod relationships;
mod styles;
mod theme;
mod xml;

#[cfg(test)]
mod tests;

use self::package::Package;
use self::part::PartReader;
use self::references::{References, tells_even_pages_apart};
use self::relationships::Relationships;
use self::styles::Styles;
use self::theme::Theme;
use super::hidden::HiddenTally;
use super::sniff::OLE_MARK;
use super::{Extracted, ExtractionFailure, text};

/// Where the document is when the package does not say.
const DEFAULT_DOCUMENT: &str = "word/document.xml";
const DEFAULT_PROPERTIES: &str = "docProps/core.xml";

/// Reads the visible text of a DOCX file.
///
/// # Errors
/// An [`ExtractionFailure`] when the file is no document, is over a limit, or has no visible text.
pub fn extract(bytes: &[u8]) -> Result<Extracted, ExtractionFailure> {
    if bytes.starts_with(OLE_MARK) {
        return Err(ExtractionFailure::PasswordProtected); // a DOCX is wrapped like this only to encrypt it
    }
    let mut package = Package::open(bytes)?;
    let package_wide = Relationships::of(&mut package, "")?;
    let main = package_wide.of_kind("officeDocument").unwrap_or(DEFAULT_DOCUMENT).to_owned();
    let document = package.read(&main)?.ok_or(ExtractionFailure::BrokenFile)?;
    let relationships = Relationships::of(&mut package, &main)?;
    let mut related = |kind, default| package.read(relationships.of_kind(kind).unwrap_or(default));

    let theme =
        related("theme", "word/theme/theme1.xml")?.as_deref().map(Theme::parse).transpose()?.unwrap_or_default();
    let styles = match related("styles", "word/styles.xml")? {
        Some(xml) => Styles::parse(&xml, &theme)?,
        None => Styles::default(),
    };
    let settings = related("settings", "word/settings.xml")?;
    let even_pages = settings.as_deref().map(tells_even_pages_apart).transpose()?.unwrap_or(false);
    let references = References::parse(&document, &relationships, even_pages)?;

    let mut hidden = HiddenTally::default();
    let mut raw = String::new();
    let mut read = |xml: &[u8]| PartReader::new(&theme, &styles, &references.notes, &mut raw, &mut hidden).read(xml);
    // Headers first, since resumes keep name and address there; footers last.
    for header in &references.headers {
        read(&package.read(header)?.unwrap_or_default())?;
    }
    read(&document)?;
    for kind in ["footnotes", "endnotes"] {
        if let Some(part) = relationships.of_kind(kind) {
            read(&package.read(part)?.unwrap_or_default())?;
        }
    }
    for footer in &references.footers {
        read(&package.read(footer)?.unwrap_or_default())?;
    }

    let properties = package_wide.of_kind("core-properties").unwrap_or(DEFAULT_PROPERTIES);
    if let Some(xml) = package.read(properties)? {
        properties::count(&xml, &mut hidden);
    }

    let (text, truncated) = text::tidy(&raw);
    if text.is_empty() {
        return Err(if package.has_pictures() { ExtractionFailure::ScannedImage } else { ExtractionFailure::NoText });
    }
    Ok(Extracted { text, pages: 1, hidden: hidden.into_report(), truncated })
}
