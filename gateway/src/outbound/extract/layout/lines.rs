//! Joins words to lines.

use super::Word;

/// Words on one line have baselines within this share of their size.
const SAME_BASELINE_EM: f64 = 0.3;
/// Share of the smaller strip that two words must have in common, for superscripts and mixed sizes.
const MIN_COMMON_STRIP: f64 = 0.4;
/// Words this much larger are not compared by their strips: a tall name stands beside several small lines.
const MAX_SIZE_RATIO: f64 = 2.0;

/// Words on one baseline, from left to right.
pub type Line<'a> = Vec<&'a Word>;

/// Lines from top to bottom.
pub fn find<'a>(words: &[&'a Word]) -> Vec<Line<'a>> {
    let mut sorted = words.to_vec();
    sorted.sort_by(|a, b| a.baseline.total_cmp(&b.baseline));
    let mut lines: Vec<Line<'a>> = Vec::new();
    for word in sorted {
        match lines.last_mut() {
            Some(line) if line.last().is_some_and(|last| share_a_line(last, word)) => line.push(word),
            _ => lines.push(vec![word]),
        }
    }
    for line in &mut lines {
        line.sort_by(|a, b| a.bounds.x0.total_cmp(&b.bounds.x0));
    }
    lines
}

fn share_a_line(a: &Word, b: &Word) -> bool {
    let smaller = a.size.min(b.size);
    if (a.baseline - b.baseline).abs() < SAME_BASELINE_EM * smaller {
        return true;
    }
    let ((a_top, a_bottom), (b_top, b_bottom)) = (a.strip(), b.strip());
    let common = a_bottom.min(b_bottom) - a_top.max(b_top);
    let shorter = (a_bottom - a_top).min(b_bottom - b_top);
    a.size.max(b.size) <= MAX_SIZE_RATIO * smaller && common > MIN_COMMON_STRIP * shorter
}

/// Baseline that most of the line stands on: that of its largest word.
pub fn baseline(line: &Line<'_>) -> f64 {
    let largest = line.iter().max_by(|a, b| a.size.total_cmp(&b.size));
    largest.map_or(0.0, |word| word.baseline)
}
