//! What is open at the place that is read: the runs, paragraphs, cells and drawings around it, and what they say.
//!
//! Apart from the reader, so that what it knows can be seen at a glance beside what it does.

use super::element::Element;
use super::look::Look;
use super::place::Anchor;
use super::theme::{Rgb, WHITE};

#[derive(Debug, Default)]
pub struct Run {
    pub look: Look,
    pub style: Option<String>,
    pub text: String,
}

#[derive(Debug, Default)]
pub struct Paragraph {
    pub look: Look,
    pub style: Option<String>,
}

#[derive(Debug, Default)]
pub struct Table {
    pub style: Option<String>,
    pub marks_first_row: bool,
    pub rows: usize,
    /// What the table says about the text in its cells.
    pub whole: Look,
    /// What the open row says about it.
    pub row: Look,
}

/// Where the fill of an open shape comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    ByItself,
    /// By the style of the drawing, which stands after the shape's own properties.
    ByStyle,
}

/// One stack for each kind of element, because a text box sits inside a run, and a table in a cell.
#[derive(Default)]
pub struct Open {
    pub elements: Vec<Element>,
    pub runs: Vec<Run>,
    pub paragraphs: Vec<Paragraph>,
    pub tables: Vec<Table>,
    /// Look of the text in each cell by its row and the style of its table.
    pub cells: Vec<Look>,
    pub shapes: Vec<Filled>,
    /// One for each drawing, and for each shape in it.
    pub anchors: Vec<Anchor>,
    /// Whether each set of alternatives has been decided.
    pub alternatives: Vec<bool>,
    /// Colour behind the text, one for each paragraph, table, cell and shape.
    pub behind: Vec<Rgb>,
}

impl Open {
    pub fn text_of_run(&mut self, text: &str) {
        if let Some(run) = self.runs.last_mut() {
            run.text.push_str(text);
        }
    }

    pub fn shape_fills_itself(&mut self) {
        if let Some(shape) = self.shapes.last_mut() {
            *shape = Filled::ByItself;
        }
    }

    pub fn behind(&self) -> Rgb {
        self.behind.last().copied().unwrap_or(WHITE)
    }

    pub fn set_behind(&mut self, fill: Rgb) {
        if let Some(behind) = self.behind.last_mut() {
            *behind = fill;
        }
    }
}
