//! Counts text in the properties of a DOCX. None of it is ever emitted, but other readers do pick it up.

use quick_xml::events::Event;

use super::super::Technique;
use super::super::hidden::HiddenTally;
use super::xml;

/// Titles and keywords of honest programs are shorter.
const MIN_METADATA_CHARS: usize = 80;

/// Damaged properties are no reason to refuse a document: what stands before the damage is counted.
pub fn count(xml: &[u8], hidden: &mut HiddenTally) {
    let mut reader = xml::reader(xml);
    let mut buffer = Vec::new();
    while let Ok(event) = reader.read_event_into(&mut buffer) {
        match event {
            Event::Text(text) if text.chars().count() > MIN_METADATA_CHARS => {
                hidden.add_text(Technique::Metadata, &text);
            }
            Event::DocType(_) | Event::Eof => return, // entities start with a DOCTYPE
            _ => {}
        }
        buffer.clear();
    }
}
