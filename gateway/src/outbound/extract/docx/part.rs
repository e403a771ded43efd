//! Reads one part of a DOCX (document, header, footer, notes) in a single streaming pass.
//!
//! What hides a run is spread over the run, its styles, its paragraph, cell, table and text box, and all of it is known
//! when the run ends; so a stack of open elements is enough, and no tree is built that a hostile file could make deep.

use std::collections::HashSet;

use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::NamespaceResolver;

use super::super::hidden::HiddenTally;
use super::super::{ExtractionFailure, Technique, text};
use super::element::{Element, Skip};
use super::look::{Look, shading};
use super::open::{Filled, Open, Paragraph, Run, Table};
use super::place::Anchor;
use super::styles::Styles;
use super::theme::{Colour, Theme, WHITE, hex};
use super::xml::{self, MAX_DEPTH, attribute};

pub struct PartReader<'a> {
    theme: &'a Theme,
    styles: &'a Styles,
    /// Ids of the notes that are marked in the text.
    notes: &'a HashSet<String>,
    out: &'a mut String,
    hidden: &'a mut HiddenTally,
    open: Open,
    /// Why text is passed over, and how many elements deep.
    skip: Option<(Skip, usize)>,
}

impl<'a> PartReader<'a> {
    pub fn new(
        theme: &'a Theme,
        styles: &'a Styles,
        notes: &'a HashSet<String>,
        out: &'a mut String,
        hidden: &'a mut HiddenTally,
    ) -> Self {
        Self { theme, styles, notes, out, hidden, open: Open::default(), skip: None }
    }

    pub fn read(mut self, xml: &[u8]) -> Result<(), ExtractionFailure> {
        let mut reader = xml::reader(xml);
        let mut buffer = Vec::new();
        loop {
            match reader.read_event_into(&mut buffer).map_err(|_| ExtractionFailure::BrokenFile)? {
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
        let depth = self.open.elements.len() + self.skip.map_or(0, |(_, depth)| depth);
        if depth >= MAX_DEPTH {
            return Err(ExtractionFailure::TooComplex);
        }
        if let Some((_, depth)) = &mut self.skip {
            *depth += 1;
            return Ok(());
        }
        let skip = Skip::of(element, resolver, self.open.alternatives.last_mut());
        self.skip = skip.or_else(|| self.unmarked_note(element)).map(|skip| (skip, 1));
        if self.skip.is_none() {
            let parent = self.open.elements.last().copied();
            let kind = Element::of(element.local_name().as_ref(), parent);
            self.enter(kind, parent, element);
            self.open.elements.push(kind);
        }
        Ok(())
    }

    fn unmarked_note(&self, element: &BytesStart<'_>) -> Option<Skip> {
        let is_note = matches!(element.local_name().as_ref(), "footnote" | "endnote");
        let is_marked = || attribute(element, "id").is_some_and(|id| self.notes.contains(&id));
        (is_note && !is_marked()).then_some(Skip::Hidden)
    }

    fn enter(&mut self, kind: Element, parent: Option<Element>, element: &BytesStart<'_>) {
        match kind {
            Element::Paragraph => {
                self.open.paragraphs.push(Paragraph::default());
                self.open.behind.push(self.open.behind());
            }
            Element::Run => self.open.runs.push(Run::default()),
            Element::Table => {
                self.open.tables.push(Table::default());
                self.open.behind.push(self.open.behind());
            }
            Element::Row => {
                if let Some(table) = self.open.tables.last_mut() {
                    table.rows += 1;
                    table.row = Look::default();
                }
            }
            Element::Cell => self.enter_cell(),
            Element::Anchor => self.open.anchors.push(Anchor::default()),
            Element::AnchorAcross | Element::AnchorDown => {
                if let Some(anchor) = self.open.anchors.last_mut() {
                    anchor.set_origin(element, kind == Element::AnchorAcross);
                }
            }
            Element::Group => self.enter_drawing(element),
            Element::Shape => self.enter_shape(element),
            Element::ShapeFill if parent == Some(Element::ShapeProperties) => self.open.shape_fills_itself(),
            Element::TextBox => {
                self.flush_run();
                self.break_line();
            }
            Element::Alternatives => self.open.alternatives.push(false),
            Element::TextFill => self.set_look(element, true),
            Element::Other => self.property(parent, element),
            Element::ParagraphProperties
            | Element::RunProperties
            | Element::Text
            | Element::TableProperties
            | Element::RowProperties
            | Element::CellProperties
            | Element::AnchorOffset
            | Element::ShapeProperties
            | Element::ShapeStyle
            | Element::ShapeFill => {}
        }
    }

    fn enter_cell(&mut self) {
        let mut look = Look::default();
        let mut behind = self.open.behind();
        if let Some(table) = self.open.tables.last() {
            let is_first_row = table.marks_first_row && table.rows == 1;
            let styled = table.style.as_deref().map(|id| self.styles.table(id, is_first_row)).unwrap_or_default();
            look = table.row.over(table.whole).over(styled.text);
            if let Some(Colour::Plain(fill)) = styled.fill {
                behind = fill;
            }
        }
        let around = self.open.cells.last().copied().unwrap_or_default();
        self.open.cells.push(look.within(around));
        self.open.behind.push(behind);
    }

    /// A shape floats: behind its text is its own fill, or the page.
    fn enter_shape(&mut self, element: &BytesStart<'_>) {
        let is_filled = attribute(element, "filled").is_none_or(|value| !value.starts_with('f'));
        let fill = attribute(element, "fillcolor").filter(|_| is_filled).and_then(|value| hex(&value));
        self.open.behind.push(fill.unwrap_or(WHITE));
        self.open.shapes.push(Filled::ByStyle);
        self.enter_drawing(element);
    }

    fn enter_drawing(&mut self, element: &BytesStart<'_>) {
        let is_in_group = self.open.elements.contains(&Element::Group);
        let style = attribute(element, "style");
        self.open.anchors.push(style.map(|style| Anchor::of_style(&style, is_in_group)).unwrap_or_default());
    }

    /// An element that says something about the one it stands in.
    fn property(&mut self, parent: Option<Element>, element: &BytesStart<'_>) {
        let name = element.local_name();
        match (parent, name.as_ref()) {
            (Some(Element::RunProperties), "rStyle") => {
                if let Some(run) = self.open.runs.last_mut() {
                    run.style = attribute(element, "val");
                }
            }
            (Some(Element::RunProperties), _) => self.set_look(element, false),
            (Some(Element::Run), "tab" | "ptab") => self.open.text_of_run("\t"),
            (Some(Element::Run), "br" | "cr") => self.open.text_of_run("\n"),
            (Some(Element::Run), "noBreakHyphen") => self.open.text_of_run("-"),
            (Some(Element::ParagraphProperties | Element::CellProperties | Element::TableProperties), "shd") => {
                if let Some(Colour::Plain(fill)) = shading(element, self.theme) {
                    self.open.set_behind(fill);
                }
            }
            (Some(Element::ParagraphProperties), name) => {
                let Some(paragraph) = self.open.paragraphs.last_mut() else { return };
                if name == "pStyle" {
                    paragraph.style = attribute(element, "val");
                } else {
                    paragraph.look.set_around(element);
                }
            }
            (Some(Element::TableProperties | Element::RowProperties), _) => self.table_property(element),
            (Some(Element::Anchor), "docPr" | "extent") => self.anchor_property(element),
            (Some(Element::ShapeProperties), "noFill") => self.open.shape_fills_itself(),
            (Some(Element::ShapeFill), _) => self.shape_colour(element),
            _ => {}
        }
    }

    fn table_property(&mut self, element: &BytesStart<'_>) {
        let Some(table) = self.open.tables.last_mut() else { return };
        match element.local_name().as_ref() {
            "tblStyle" => table.style = attribute(element, "val"),
            "tblLook" => table.marks_first_row = marks_first_row(element),
            "tblpPr" | "tblInd" => table.whole.set_around(element),
            _ => table.row.set_around(element),
        }
    }

    fn anchor_property(&mut self, element: &BytesStart<'_>) {
        let Some(anchor) = self.open.anchors.last_mut() else { return };
        if attribute(element, "hidden").is_some_and(|value| is_true(&value)) {
            anchor.hide(Technique::Invisible);
        }
        anchor.set_extent(element);
    }

    fn shape_colour(&mut self, element: &BytesStart<'_>) {
        let is_by_style = self.open.elements.iter().rev().nth(1) == Some(&Element::ShapeStyle);
        if is_by_style && self.open.shapes.last() == Some(&Filled::ByItself) {
            return;
        }
        if let Some(fill) = self.theme.drawing_colour(element) {
            self.open.set_behind(fill);
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
        let Some(ended) = self.open.elements.pop() else { return };
        match ended {
            Element::Run => {
                self.flush_run();
                self.open.runs.pop();
            }
            Element::Paragraph => {
                self.open.paragraphs.pop();
                self.break_line();
            }
            Element::Table => {
                self.open.tables.pop();
            }
            Element::Cell => {
                self.open.cells.pop();
            }
            Element::Shape => {
                self.open.shapes.pop();
                self.open.anchors.pop();
            }
            Element::Anchor | Element::Group => {
                self.open.anchors.pop();
            }
            Element::Alternatives => {
                self.open.alternatives.pop();
            }
            _ => {}
        }
        if matches!(ended, Element::Paragraph | Element::Table | Element::Cell | Element::Shape) {
            self.open.behind.pop();
        }
    }

    fn text(&mut self, text: &str) {
        match (self.skip, self.open.elements.last()) {
            (Some((Skip::Hidden, _)), _) => self.hidden.add_text(Technique::IgnoredMarkup, text),
            (None, Some(Element::Text)) => self.open.text_of_run(text),
            (None, Some(Element::AnchorOffset)) => self.anchor_offset(text),
            _ => {}
        }
    }

    fn anchor_offset(&mut self, text: &str) {
        let is_across = self.open.elements.iter().rev().nth(1) == Some(&Element::AnchorAcross);
        if let Some(anchor) = self.open.anchors.last_mut() {
            anchor.set_offset(text, is_across);
        }
    }

    /// Judges what the innermost run holds so far.
    fn flush_run(&mut self) {
        let behind = self.open.behind();
        let Some(run) = self.open.runs.last_mut() else { return };
        let written = std::mem::take(&mut run.text);
        let mut look = run.look;
        let mut paragraph_style = None;
        if let Some(paragraph) = self.open.paragraphs.last() {
            look = look.over(paragraph.look);
            paragraph_style = paragraph.style.as_deref();
        }
        let cell = self.open.cells.last().copied().unwrap_or_default();
        let look = look.over(self.styles.resolve(run.style.as_deref(), paragraph_style, cell));
        let by_drawing = self.open.anchors.iter().find_map(|anchor| anchor.hidden);
        match by_drawing.or_else(|| look.hidden_by(behind)) {
            Some(technique) => self.hidden.add_text(technique, &written),
            None => text::push_visible(self.out, &written, self.hidden),
        }
    }

    fn set_look(&mut self, element: &BytesStart<'_>, in_text_fill: bool) {
        if let Some(run) = self.open.runs.last_mut() {
            run.look.set(element, in_text_fill, self.theme);
        }
    }

    fn break_line(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with('\n') {
            self.out.push('\n');
        }
    }
}

/// Bit 0x20 of the value, or the attribute that newer versions write beside it.
fn marks_first_row(element: &BytesStart<'_>) -> bool {
    match attribute(element, "firstRow") {
        Some(value) => is_true(&value),
        None => attribute(element, "val")
            .and_then(|bits| u16::from_str_radix(&bits, 16).ok())
            .is_some_and(|bits| bits & 0x20 != 0),
    }
}

fn is_true(value: &str) -> bool {
    value == "1" || value == "true"
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
