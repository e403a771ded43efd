//! Small readers of XML: attributes, and a walk over elements that ends hostile documents early.
//!
//! One walk for styles and theme, so that the limits on depth and declarations hold in each of them.

use std::borrow::Cow;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::NsReader;

use super::super::ExtractionFailure;

/// Word nests about 30 deep in text boxes in tables; the reader keeps a little state for each level.
pub const MAX_DEPTH: usize = 200;

/// A reader that reports `<a/>` as a start and an end.
pub fn reader(xml: &[u8]) -> NsReader<&[u8]> {
    let mut reader = NsReader::from_reader(xml);
    reader.config_mut().expand_empty_elements = true;
    reader
}

/// Value of the attribute with this local name.
pub fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = element.attributes().with_checks(false).flatten().find(|a| a.key.local_name().as_ref() == name)?;
    found.normalized_value(XmlVersion::Implicit1_0).ok().map(Cow::into_owned)
}

/// A switch such as `<w:vanish/>`: on unless it says otherwise.
pub fn is_on(element: &BytesStart<'_>) -> bool {
    attribute(element, "val").is_none_or(|value| !matches!(value.as_str(), "0" | "false" | "off"))
}

/// What a walk meets.
pub enum Step<'a> {
    /// An element and the local names of those around it, innermost last.
    Start(&'a BytesStart<'a>, &'a [String]),
    /// The local name of an element that ends.
    End(&'a str),
}

/// Calls `visit` for each element of a document.
pub fn walk(xml: &[u8], mut visit: impl FnMut(Step<'_>)) -> Result<(), ExtractionFailure> {
    let mut reader = reader(xml);
    let mut buffer = Vec::new();
    let mut around: Vec<String> = Vec::new();
    loop {
        match reader.read_event_into(&mut buffer).map_err(|_| ExtractionFailure::BrokenFile)? {
            Event::Start(element) => {
                if around.len() >= MAX_DEPTH {
                    return Err(ExtractionFailure::TooComplex);
                }
                visit(Step::Start(&element, &around));
                around.push(element.local_name().as_ref().to_owned());
            }
            Event::End(element) => {
                around.pop();
                visit(Step::End(element.local_name().as_ref()));
            }
            Event::DocType(_) => return Err(ExtractionFailure::BrokenFile), // Word writes none; entities start here
            Event::Eof => return Ok(()),
            _ => {}
        }
        buffer.clear();
    }
}
