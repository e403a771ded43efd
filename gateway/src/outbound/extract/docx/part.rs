//! Reads one part of a DOCX (document, header, footer, notes) in a single streaming pass.
//!
//! What hides a run is spread over the run, its styles, its paragraph, cell, table and text box, and all of it is known
//! when the run ends; so a stack of open elements is enough, and no tree is built that a hostile file could make deep.

use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::{Namespace, NamespaceResolver, QName, ResolveResult};

use super::super::Technique;
use super::super::hidden::HiddenTally;
use super::super::{ExtractionFailure, text};
use super::look::{Look, shading};
use super::styles::Styles;
use super::theme::{Colour, Rgb, Theme, WHITE, hex};
use super::xml::{self, MAX_DEPTH, attribute, is_on};

/// Word leaves out what it finds in any other namespace, so no person sees it.
const KNOWN_NAMESPACES: [&str; 4] = [
    "http://schemas.openxmlformats.org/",
    "http://schemas.microsoft.com/office/",
    "http://purl.oclc.org/ooxml/",
    "urn:schemas-microsoft-com:",
];

/// Elements that matter; all others only hold them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    Paragraph,
    ParagraphProperties,
    Run,
    RunProperties,
    TextFill,
    Text,
    Table,
    TableProperties,
    Row,
    Cell,
    CellProperties,
    Shape,
    ShapeProperties,
    /// A fill that the shape has of its own, or by the style of the drawing.
    ShapeFill,
    TextBox,
    Alternatives,
    Other,
}

/// Why what follows is passed over, until the element ends in which it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Skip {
    /// Not part of what the document says: deletions, field codes, alternatives that are not used.
    Quietly,
    /// Word shows none of it.
    Hidden,
}

/// Where the fill of an open shape comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filled {
    ByItself,
    /// By the style of the drawing, which stands after the shape's own properties.
    ByStyle,
}

#[derive(Debug, Default)]
struct Run {
    look: Look,
    style: Option<String>,
    text: String,
}

#[derive(Debug, Default)]
struct Table {
    style: Option<String>,
    marks_first_row: bool,
    rows: usize,
}

pub struct PartReader<'a> {
    theme: &'a Theme,
    styles: &'a Styles,
    out: &'a mut String,
    hidden: &'a mut HiddenTally,
    open: Vec<Element>,
    skip: Option<(Skip, usize)>,
    /// A stack, because a text box sits inside a run.
    runs: Vec<Run>,
    /// Style of each open paragraph.
    paragraphs: Vec<Option<String>>,
    tables: Vec<Table>,
    /// Look of the text by the style of each open cell's table.
    cells: Vec<Look>,
    /// Colour behind the text, one for each open paragraph, table, cell and shape.
    behind: Vec<Rgb>,
    shapes: Vec<Filled>,
    /// Whether each open set of alternatives has been decided.
    alternatives: Vec<bool>,
}

impl<'a> PartReader<'a> {
    pub fn new(theme: &'a Theme, styles: &'a Styles, out: &'a mut String, hidden: &'a mut HiddenTally) -> Self {
        let (open, runs, paragraphs, tables, cells) = (vec![], vec![], vec![], vec![], vec![]);
        let (skip, behind, shapes, alternatives) = (None, vec![], vec![], vec![]);
        Self { theme, styles, out, hidden, open, skip, runs, paragraphs, tables, cells, behind, shapes, alternatives }
    }

    pub fn read(mut self, xml: &[u8]) -> Result<(), ExtractionFailure> {
        let mut reader = xml::reader(xml);
        let mut buffer = Vec::new();
        loop {
            let event = reader.read_event_into(&mut buffer).map_err(|_| ExtractionFailure::BrokenFile)?;
            match event {
                Event::Start(element) => self.start(&element, reader.resolver())?,
                Event::End(_) => self.end(),
                Event::Text(text) => self.text(&text),
                Event::CData(text) => self.text(&text),
                Event::GeneralRef(reference) => self.text(character(&reference)?.encode_utf8(&mut [0; 4])),
                Event::DocType(_) => return Err(ExtractionFailure::BrokenFile), // Word writes none; entities start here
                Event::Eof => return Ok(()),
                Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            }
            buffer.clear();
        }
    }

    fn start(&mut self, element: &BytesStart<'_>, resolver: &NamespaceResolver) -> Result<(), ExtractionFailure> {
        if let Some((_, depth)) = &mut self.skip {
            *depth += 1;
            return if *depth > MAX_DEPTH { Err(ExtractionFailure::TooComplex) } else { Ok(()) };
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(ExtractionFailure::TooComplex);
        }
        self.skip = self.passed_over(element, resolver).map(|skip| (skip, 1));
        if self.skip.is_none() {
            let kind = self.kind(element);
            self.enter(kind, element);
            self.open.push(kind);
        }
        Ok(())
    }

    /// Whether and why this element is passed over with all that it holds.
    fn passed_over(&mut self, element: &BytesStart<'_>, resolver: &NamespaceResolver) -> Option<Skip> {
        if !is_known(&resolver.resolve_element(element.name()).0) {
            return Some(Skip::Hidden);
        }
        match element.local_name().as_ref() {
            "del" | "moveFrom" | "instrText" | "delInstrText" => Some(Skip::Quietly),
            "Choice" => {
                let decided = self.alternatives.last_mut()?;
                let usable = !*decided && understands(&attribute(element, "Requires").unwrap_or_default(), resolver);
                *decided |= usable;
                if usable { None } else { Some(Skip::Quietly) }
            }
            "Fallback" => self.alternatives.last().copied().unwrap_or(false).then_some(Skip::Quietly),
            _ => None,
        }
    }

    fn kind(&self, element: &BytesStart<'_>) -> Element {
        match (element.local_name().as_ref(), self.open.last()) {
            ("p", _) => Element::Paragraph,
            ("pPr", Some(Element::Paragraph)) => Element::ParagraphProperties,
            ("r", _) => Element::Run,
            ("rPr", Some(Element::Run)) => Element::RunProperties,
            ("textFill", Some(Element::RunProperties)) => Element::TextFill,
            (_, Some(Element::TextFill)) => Element::TextFill, // colours lie a few levels down
            ("t", Some(Element::Run)) => Element::Text,
            ("tbl", _) => Element::Table,
            ("tblPr", Some(Element::Table)) => Element::TableProperties,
            ("tr", _) => Element::Row,
            ("tc", _) => Element::Cell,
            ("tcPr", Some(Element::Cell)) => Element::CellProperties,
            ("wsp" | "shape" | "rect" | "roundrect", _) => Element::Shape,
            ("spPr" | "style", Some(Element::Shape)) => Element::ShapeProperties,
            ("solidFill" | "gradFill", Some(Element::ShapeProperties)) | ("gsLst" | "gs", Some(Element::ShapeFill)) => {
                Element::ShapeFill
            }
            ("fillRef", Some(Element::ShapeProperties)) if self.shapes.last() == Some(&Filled::ByStyle) => {
                Element::ShapeFill
            }
            ("txbxContent", _) => Element::TextBox,
            ("AlternateContent", _) => Element::Alternatives,
            _ => Element::Other,
        }
    }

    fn enter(&mut self, kind: Element, element: &BytesStart<'_>) {
        match kind {
            Element::Paragraph => {
                self.paragraphs.push(None);
                self.behind.push(self.behind());
            }
            Element::Run => self.runs.push(Run::default()),
            Element::Table => {
                self.tables.push(Table::default());
                self.behind.push(self.behind());
            }
            Element::Row => {
                if let Some(table) = self.tables.last_mut() {
                    table.rows += 1;
                }
            }
            Element::Cell => self.enter_cell(),
            Element::Shape => self.enter_shape(element),
            Element::TextBox => {
                self.flush_run();
                self.break_line();
            }
            Element::Alternatives => self.alternatives.push(false),
            Element::ShapeFill => self.fill_by_itself(),
            Element::TextFill => self.set_look(element, self.open.last() == Some(&Element::TextFill)),
            Element::Other => self.property(element),
            Element::ParagraphProperties
            | Element::RunProperties
            | Element::Text
            | Element::TableProperties
            | Element::CellProperties
            | Element::ShapeProperties => {}
        }
    }

    /// A shape floats: behind its text is its own fill, or the page.
    fn enter_shape(&mut self, element: &BytesStart<'_>) {
        let filled = attribute(element, "filled").is_none_or(|value| !value.starts_with('f'));
        let fill = attribute(element, "fillcolor").filter(|_| filled).and_then(|value| hex(&value));
        self.behind.push(fill.unwrap_or(WHITE));
        self.shapes.push(Filled::ByStyle);
    }

    fn enter_cell(&mut self) {
        let styled = self.tables.last().and_then(|table| {
            let is_first_row = table.marks_first_row && table.rows == 1;
            Some(self.styles.table(table.style.as_deref()?, is_first_row))
        });
        let look = styled.unwrap_or_default();
        self.cells.push(look.text);
        self.behind.push(match look.fill {
            Some(Colour::Plain(fill)) => fill,
            Some(Colour::Auto) | None => self.behind(),
        });
    }

    /// An element that says something about the one it is in.
    fn property(&mut self, element: &BytesStart<'_>) {
        let name = element.local_name();
        match (self.open.last(), name.as_ref()) {
            (Some(Element::RunProperties), "rStyle") => {
                if let Some(run) = self.runs.last_mut() {
                    run.style = attribute(element, "val");
                }
            }
            (Some(Element::RunProperties), _) => self.set_look(element, false),
            (Some(Element::ParagraphProperties), "pStyle") => {
                if let Some(paragraph) = self.paragraphs.last_mut() {
                    *paragraph = attribute(element, "val");
                }
            }
            (Some(Element::ParagraphProperties | Element::CellProperties | Element::TableProperties), "shd") => {
                if let Some(Colour::Plain(fill)) = shading(element, self.theme) {
                    self.set_behind(fill);
                }
            }
            (Some(Element::TableProperties), "tblStyle") => {
                if let Some(table) = self.tables.last_mut() {
                    table.style = attribute(element, "val");
                }
            }
            (Some(Element::TableProperties), "tblLook") => {
                if let Some(table) = self.tables.last_mut() {
                    table.marks_first_row = marks_first_row(element);
                }
            }
            (Some(Element::ShapeProperties), "noFill") => self.fill_by_itself(),
            (Some(Element::ShapeFill), _) => {
                if let Some(fill) = self.theme.drawing_colour(element) {
                    self.set_behind(fill);
                }
            }
            (Some(Element::Run), "tab" | "ptab") => self.text_of_run("\t"),
            (Some(Element::Run), "br" | "cr") => self.text_of_run("\n"),
            (Some(Element::Run), "noBreakHyphen") => self.text_of_run("-"),
            _ => {}
        }
    }

    fn end(&mut self) {
        if let Some((_, depth)) = &mut self.skip {
            *depth -= 1;
            if *depth == 0 {
                self.skip = None;
            }
            return;
        }
        match self.open.pop() {
            Some(Element::Run) => {
                self.flush_run();
                self.runs.pop();
            }
            Some(Element::Paragraph) => {
                self.paragraphs.pop();
                self.behind.pop();
                self.break_line();
            }
            Some(Element::Table) => {
                self.tables.pop();
                self.behind.pop();
            }
            Some(Element::Cell) => {
                self.cells.pop();
                self.behind.pop();
            }
            Some(Element::Shape) => {
                self.shapes.pop();
                self.behind.pop();
            }
            Some(Element::Alternatives) => {
                self.alternatives.pop();
            }
            _ => {}
        }
    }

    fn text(&mut self, text: &str) {
        match self.skip {
            Some((Skip::Hidden, _)) => self.hidden.add_text(Technique::IgnoredMarkup, text),
            Some((Skip::Quietly, _)) => {}
            None if self.open.last() == Some(&Element::Text) => self.text_of_run(text),
            None => {}
        }
    }

    fn text_of_run(&mut self, text: &str) {
        if let Some(run) = self.runs.last_mut() {
            run.text.push_str(text);
        }
    }

    /// Judges what the innermost run holds so far.
    fn flush_run(&mut self) {
        let behind = self.behind();
        let Some(run) = self.runs.last_mut() else { return };
        let written = std::mem::take(&mut run.text);
        let paragraph = self.paragraphs.last().and_then(Option::as_deref);
        let table = self.cells.last().copied().unwrap_or_default();
        let look = run.look.over(self.styles.resolve(run.style.as_deref(), paragraph, table));
        match look.hidden_by(behind) {
            Some(technique) => self.hidden.add_text(technique, &written),
            None => text::push_visible(self.out, &written, self.hidden),
        }
    }

    fn set_look(&mut self, element: &BytesStart<'_>, in_text_fill: bool) {
        if let Some(run) = self.runs.last_mut() {
            run.look.set(element, in_text_fill, self.theme);
        }
    }

    fn behind(&self) -> Rgb {
        self.behind.last().copied().unwrap_or(WHITE)
    }

    fn set_behind(&mut self, fill: Rgb) {
        if let Some(behind) = self.behind.last_mut() {
            *behind = fill;
        }
    }

    fn fill_by_itself(&mut self) {
        if let Some(shape) = self.shapes.last_mut() {
            *shape = Filled::ByItself;
        }
    }

    fn break_line(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with('\n') {
            self.out.push('\n');
        }
    }
}

fn is_known(resolved: &ResolveResult<'_>) -> bool {
    match resolved {
        ResolveResult::Bound(Namespace(uri)) => KNOWN_NAMESPACES.iter().any(|known| uri.starts_with(known)),
        ResolveResult::Unbound | ResolveResult::Unknown(_) => false,
    }
}

/// Whether Word knows each of the namespaces that an alternative requires.
fn understands(requires: &str, resolver: &NamespaceResolver) -> bool {
    let is_known = |prefix| is_known(&resolver.resolve_element(QName(&format!("{prefix}:any"))).0);
    requires.split_whitespace().all(is_known)
}

/// Bit 0x20 of the value, or the attribute that newer versions write beside it.
fn marks_first_row(element: &BytesStart<'_>) -> bool {
    let bits = attribute(element, "val").and_then(|value| u16::from_str_radix(&value, 16).ok());
    match attribute(element, "firstRow") {
        Some(value) => value == "1" || value == "true",
        None => bits.is_some_and(|bits| bits & 0x20 != 0) && is_on(element),
    }
}

/// The character that `&…;` stands for; only the five of XML, since others are defined by a DOCTYPE.
fn character(reference: &BytesRef<'_>) -> Result<char, ExtractionFailure> {
    if let Ok(Some(c)) = reference.resolve_char_ref() {
        return Ok(c);
    }
    match &**reference {
        "amp" => Ok('&'),
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        _ => Err(ExtractionFailure::BrokenFile),
    }
}
