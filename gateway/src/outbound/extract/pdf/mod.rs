//! Reads PDF: interprets each page into glyphs and shapes, keeps the glyphs that a person sees, puts them in order.
//!
//! A PDF draws; it does not write. So what can be read is judged from what is drawn, by arithmetic where the colours
//! alone decide and by the rendered page where they do not.

mod actual_text;
mod aside;
mod budget;
mod collect;
mod drawing;
mod page;
mod program;
mod shadows;
mod visibility;

#[cfg(test)]
mod tests;

use hayro::RenderCache;
use hayro::hayro_interpret::{InterpreterCache, InterpreterSettings};
use hayro::hayro_syntax::{DecryptionError, LoadPdfError, Pdf};

use self::page::PageReader;
use super::hidden::HiddenTally;
use super::{Extracted, ExtractionFailure, text};

/// A resume has one to five pages; academic ones seldom more than 20.
const MAX_PAGES: usize = 20;
/// Visible characters below which a page under a picture counts as a scan with a stamp on it.
const MIN_TEXT_OVER_PICTURE_CHARS: usize = 100;

/// Reads the visible text of a PDF file.
///
/// # Errors
/// An [`ExtractionFailure`] when the file is damaged, encrypted, over a budget, or has no visible text.
pub fn extract(bytes: Vec<u8>) -> Result<Extracted, ExtractionFailure> {
    let pdf = Pdf::new(bytes).map_err(failure_to_load)?;
    let pages = pdf.pages();
    if pages.is_empty() {
        return Err(ExtractionFailure::BrokenFile);
    }
    let reader = PageReader {
        settings: InterpreterSettings::default(),
        interpreter_cache: InterpreterCache::new(),
        render_cache: RenderCache::new(),
    };
    let mut hidden = HiddenTally::default();
    let mut raw = String::new();
    let (mut pages_read, mut pictures, mut all_pages_are_pictures) = (0, 0, true);
    for page in pages.iter().take(MAX_PAGES) {
        let read = reader.read(page, &mut hidden)?;
        raw.push_str(&read.text);
        raw.push_str("\n\n");
        pages_read += 1;
        pictures += read.pictures;
        all_pages_are_pictures &= read.is_under_picture;
        if raw.len() > 4 * super::MAX_TEXT_CHARS {
            break; // at most four bytes a character: whatever follows would be cut off
        }
    }
    aside::count(&pdf, MAX_PAGES, &mut hidden);

    let (text, was_cut) = text::tidy(&raw);
    let is_scan = text.chars().count() < MIN_TEXT_OVER_PICTURE_CHARS && all_pages_are_pictures;
    if is_scan || (text.is_empty() && pictures > 0) {
        return Err(ExtractionFailure::ScannedImage);
    }
    if text.is_empty() {
        return Err(ExtractionFailure::NoText);
    }
    let truncated = was_cut || pages.len() > pages_read;
    let pages = u32::try_from(pages_read).unwrap_or(u32::MAX);
    Ok(Extracted { text, pages, hidden: hidden.into_report(), truncated })
}

fn failure_to_load(error: LoadPdfError) -> ExtractionFailure {
    match error {
        LoadPdfError::Decryption(DecryptionError::PasswordProtected | DecryptionError::UnsupportedAlgorithm) => {
            ExtractionFailure::PasswordProtected
        }
        LoadPdfError::Decryption(_) | LoadPdfError::Invalid => ExtractionFailure::BrokenFile,
    }
}
