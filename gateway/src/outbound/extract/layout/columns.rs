//! Cuts a page along its white space: into bands from top to bottom, and into columns where a gutter runs through bands.
//!
//! The widest range of bands with a gutter is cut first, so that a heading over two columns stays over both. The hard
//! part is what is not a column: dates at the right margin, and small tables, are read line by line.

use std::collections::HashMap;

use super::Word;
use super::lines::{self, Line, baseline};

/// Columns within columns within columns; more is a table.
const MAX_DEPTH: usize = 4;
/// Gutters are wider than blanks, in em of the text around them.
const MIN_GUTTER_EM: f64 = 0.9;
/// A column has this many lines or more.
const MIN_COLUMN_LINES: usize = 3;
/// Mean length of a column's lines; bullets and numbers stay below it.
const MIN_COLUMN_CHARS: f64 = 4.0;
/// Lines of notes (dates, places) are shorter than this in the mean.
const MAX_NOTE_CHARS: f64 = 32.0;
/// Share of the notes that stand on a line of the text they belong to.
const MIN_ALIGNED: f64 = 0.8;
/// Baselines closer than this many points are one line.
const SAME_LINE_POINTS: f64 = 0.5;
/// Lines of a paragraph follow each other within this many em.
const MAX_LEADING_EM: f64 = 1.8;
/// Lines that follow each other like this are running text and not notes.
const RUNNING_LINES: usize = 3;
/// Cells of a table are shorter than this in the mean, and there are few rows.
const MAX_CELL_CHARS: f64 = 20.0;
const MAX_TABLE_ROWS: usize = 12;
/// Ranges of bands that are tried from one start; pages that need more are not text.
const MAX_TRIES: usize = 16;

/// Words that lie above each other's lines without white between them.
#[derive(Default)]
struct Band<'a> {
    words: Vec<&'a Word>,
    /// What the words take up from left to right, in order and without overlaps.
    spans: Vec<Span>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Span {
    left: f64,
    right: f64,
}

/// A strip of white between two x.
type Gap = Span;

impl Span {
    fn width(self) -> f64 {
        self.right - self.left
    }

    fn middle(self) -> f64 {
        f64::midpoint(self.left, self.right)
    }
}

/// All lines of a page in reading order.
pub fn in_order(words: &[Word]) -> Vec<Line<'_>> {
    let mut out = Vec::new();
    cut(words.iter().collect(), MAX_DEPTH, &mut out);
    out
}

fn cut<'a>(words: Vec<&'a Word>, depth: usize, out: &mut Vec<Line<'a>>) {
    let bands = bands(words);
    let mut rejected = Rejected::default();
    let mut start = 0;
    while start < bands.len() {
        let columns = if depth > 0 { columns_from(&bands, start, &mut rejected) } else { None };
        if let Some((end, gutter)) = columns {
            let range = bands[start..end].iter().flat_map(|band| &band.words).copied();
            let (left, right) = range.partition(|word| word.bounds.x1 <= gutter);
            cut(left, depth - 1, out);
            cut(right, depth - 1, out);
            start = end;
        } else {
            out.extend(lines::find(&bands[start].words));
            start += 1;
        }
    }
}

/// Bands from top to bottom.
fn bands(mut words: Vec<&Word>) -> Vec<Band<'_>> {
    words.sort_by(|a, b| a.strip().0.total_cmp(&b.strip().0));
    let mut bands: Vec<Band<'_>> = Vec::new();
    let mut bottom = f64::NEG_INFINITY;
    for word in words {
        let (top, word_bottom) = word.strip();
        match bands.last_mut() {
            Some(band) if top <= bottom => band.words.push(word),
            _ => bands.push(Band { words: vec![word], spans: vec![] }),
        }
        bottom = bottom.max(word_bottom);
    }
    for band in &mut bands {
        band.spans = spans(&band.words);
    }
    bands
}

fn spans(words: &[&Word]) -> Vec<Span> {
    let mut sorted: Vec<Span> = words.iter().map(|word| Span { left: word.bounds.x0, right: word.bounds.x1 }).collect();
    sorted.sort_by(|a, b| a.left.total_cmp(&b.left));
    let mut spans: Vec<Span> = Vec::new();
    for span in sorted {
        match spans.last_mut() {
            Some(last) if span.left <= last.right => last.right = last.right.max(span.right),
            _ => spans.push(span),
        }
    }
    spans
}

/// The widest range of bands from `start` that has columns: where it ends, and the x that parts them.
fn columns_from(bands: &[Band<'_>], start: usize, rejected: &mut Rejected) -> Option<(usize, f64)> {
    let mut open = vec![Gap { left: f64::NEG_INFINITY, right: f64::INFINITY }];
    let mut text = Span { left: f64::INFINITY, right: f64::NEG_INFINITY };
    let mut candidates: Vec<(usize, Vec<Gap>)> = Vec::new();
    for (index, band) in bands.iter().enumerate().skip(start) {
        open = open.iter().flat_map(|gap| without(*gap, &band.spans)).collect();
        for span in &band.spans {
            text = Span { left: text.left.min(span.left), right: text.right.max(span.right) };
        }
        let is_between = |gap: &Gap| gap.left >= text.left && gap.right <= text.right;
        let mut gutters: Vec<Gap> = open.iter().copied().filter(is_between).collect();
        if !gutters.is_empty() {
            gutters.sort_by(|a, b| b.width().total_cmp(&a.width()));
            candidates.push((index + 1, gutters));
        }
    }
    candidates.iter().rev().take(MAX_TRIES).find_map(|(end, gutters)| {
        let gutter = gutter_of(&bands[start..*end], *end, gutters, rejected)?;
        Some((*end, gutter.middle()))
    })
}

/// The first of `gutters`, the widest first, that parts the bands into columns.
fn gutter_of(bands: &[Band<'_>], end: usize, gutters: &[Gap], rejected: &mut Rejected) -> Option<Gap> {
    if gutters.iter().all(|gap| rejected.has_similar(end, *gap, bands.len())) {
        return None;
    }
    let words: Vec<&Word> = bands.iter().flat_map(|band| &band.words).copied().collect();
    let min_width = MIN_GUTTER_EM * median_size(&words)?;
    for gap in gutters.iter().filter(|gap| gap.width() > min_width) {
        if rejected.has_similar(end, *gap, bands.len()) {
            continue;
        }
        if parts_columns(&words, gap.middle()) {
            return Some(*gap);
        }
        rejected.remember(end, *gap, bands.len());
    }
    None
}

/// Gaps that were no gutters, by where their range ends and where they lie. A range that is only a little shorter is not
/// tried again: a long page of dated lines would be looked at from each of them.
#[derive(Default)]
struct Rejected(HashMap<(usize, i64), usize>);

impl Rejected {
    fn has_similar(&self, end: usize, gap: Gap, bands: usize) -> bool {
        self.0.get(&(end, Self::place(gap))).is_some_and(|rejected| bands * 5 > rejected * 4)
    }

    fn remember(&mut self, end: usize, gap: Gap, bands: usize) {
        self.0.insert((end, Self::place(gap)), bands);
    }

    #[expect(clippy::cast_possible_truncation, reason = "a cast saturates, and gutters lie on the page")]
    fn place(gap: Gap) -> i64 {
        gap.middle().round() as i64
    }
}

/// What is left white of a gap when text is laid over it.
fn without(gap: Gap, text: &[Span]) -> Vec<Gap> {
    let mut pieces = Vec::new();
    let mut left = gap.left;
    for span in text {
        if span.left > left && left < gap.right {
            pieces.push(Gap { left, right: span.left.min(gap.right) });
        }
        left = left.max(span.right);
    }
    if left < gap.right {
        pieces.push(Gap { left, right: gap.right });
    }
    pieces
}

fn median_size(words: &[&Word]) -> Option<f64> {
    let mut sizes: Vec<f64> = words.iter().map(|word| word.size).collect();
    sizes.sort_by(f64::total_cmp);
    sizes.get(sizes.len() / 2).copied()
}

/// Whether the words left and right of `x` are columns, each to be read from top to bottom.
fn parts_columns(words: &[&Word], x: f64) -> bool {
    let (left, right): (Vec<&Word>, Vec<&Word>) = words.iter().copied().partition(|word| word.bounds.x1 <= x);
    let (left, right) = (Side::of(&left), Side::of(&right));
    let are_notes = left.annotates(&right) || right.annotates(&left);
    let are_cells = left.is_cells_of(&right) && right.is_cells_of(&left);
    left.is_a_column() && right.is_a_column() && !are_notes && !are_cells
}

/// The lines on one side of a gutter.
struct Side<'a> {
    lines: Vec<Line<'a>>,
    mean_chars: f64,
}

impl<'a> Side<'a> {
    #[expect(clippy::cast_precision_loss, reason = "a page has thousands of characters")]
    fn of(words: &[&'a Word]) -> Self {
        let lines = lines::find(words);
        let chars: usize = words.iter().map(|word| word.chars()).sum();
        let mean_chars = chars as f64 / lines.len().max(1) as f64;
        Self { lines, mean_chars }
    }

    fn is_a_column(&self) -> bool {
        self.lines.len() >= MIN_COLUMN_LINES && self.mean_chars >= MIN_COLUMN_CHARS
    }

    /// Whether this side is notes on lines of the other: short, each on such a line, and dates or standing alone.
    fn annotates(&self, other: &Side<'_>) -> bool {
        self.mean_chars < MAX_NOTE_CHARS
            && self.is_aligned_with(other)
            && (is_most(self.lines.iter().filter(|line| has_date(line)).count(), self.lines.len())
                || is_most(self.lines_alone(), self.lines.len()))
    }

    fn is_cells_of(&self, other: &Side<'_>) -> bool {
        self.mean_chars < MAX_CELL_CHARS && self.lines.len() <= MAX_TABLE_ROWS && self.is_aligned_with(other)
    }

    #[expect(clippy::cast_precision_loss, reason = "a page has hundreds of lines")]
    fn is_aligned_with(&self, other: &Side<'_>) -> bool {
        let theirs: Vec<f64> = other.lines.iter().map(baseline).collect(); // from top to bottom
        let is_aligned = |line: &&Line<'_>| {
            let ours = baseline(line);
            let next = theirs.partition_point(|their| *their < ours - SAME_LINE_POINTS);
            theirs.get(next).is_some_and(|their| (their - ours).abs() <= SAME_LINE_POINTS)
        };
        self.lines.iter().filter(is_aligned).count() as f64 > MIN_ALIGNED * self.lines.len() as f64
    }

    /// Lines that are not part of running text.
    fn lines_alone(&self) -> usize {
        let follows = |a: &Line<'_>, b: &Line<'_>| {
            let size = a.iter().chain(b).map(|word| word.size).fold(0.0, f64::max);
            baseline(b) - baseline(a) <= MAX_LEADING_EM * size
        };
        self.lines.chunk_by(follows).filter(|run| run.len() < RUNNING_LINES).map(<[_]>::len).sum()
    }
}

fn is_most(count: usize, total: usize) -> bool {
    count * 2 >= total
}

fn has_date(line: &Line<'_>) -> bool {
    line.iter().any(|word| word.text.chars().filter(char::is_ascii_digit).count() >= 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_a_little_shorter_than_a_rejected_one_is_not_tried_again() {
        let gap = Gap { left: 100.0, right: 120.0 };
        let mut rejected = Rejected::default();
        rejected.remember(60, gap, 50);
        assert!(rejected.has_similar(60, gap, 45));
        assert!(!rejected.has_similar(60, gap, 40));
        assert!(!rejected.has_similar(59, gap, 45));
        assert!(!rejected.has_similar(60, Gap { left: 200.0, right: 220.0 }, 45));
    }

    #[test]
    fn what_is_left_of_a_gap_lies_between_the_words() {
        let text = [Span { left: 10.0, right: 20.0 }, Span { left: 30.0, right: 90.0 }];
        assert_eq!(
            without(Gap { left: 0.0, right: 50.0 }, &text),
            [Gap { left: 0.0, right: 10.0 }, Gap { left: 20.0, right: 30.0 },]
        );
    }
}
