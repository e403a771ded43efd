//! Picks the lines of a resume that show a grade's grounds.

use starscreen_domain::candidate::{Quote, locate_quote};

use super::{
    grade::Finding,
    matching::{Hit, Strength},
    resume::{Resume, Style},
};

const MAX_QUOTES: usize = 3;
const MAX_QUOTE_CHARACTERS: usize = 200;
/// Of a long statement this much stands before the word that was found.
const LEAD_CHARACTERS: usize = 80;

/// Up to three statements, those about work and with most finds first chosen, in the order of the text.
pub fn quotes(resume: &Resume<'_>, findings: &[Finding], styles: &[Style]) -> Vec<Quote> {
    let mut places: Vec<(Hit, usize)> = Vec::new();
    let whole = findings.iter().any(|finding| finding.strength > Strength::Partly);
    let shown = findings.iter().filter(|finding| !whole || finding.strength > Strength::Partly);
    for hit in shown.flat_map(|finding| &finding.hits) {
        match places.iter_mut().find(|(known, _)| known.statement == hit.statement) {
            Some((_, count)) => *count += 1,
            None => places.push((*hit, 1)),
        }
    }
    places.sort_by_key(|(hit, count)| (std::cmp::Reverse((styles[hit.statement], *count)), hit.statement));
    places.truncate(MAX_QUOTES);
    places.sort_by_key(|(hit, _)| hit.statement);
    places.into_iter().filter_map(|(hit, _)| locate_quote(resume.text, around(resume, hit))).collect()
}

/// The statement of `hit`, or of a long one the words around it.
fn around<'a>(resume: &Resume<'a>, hit: Hit) -> &'a str {
    let text: &'a str = resume.text;
    let statement = &resume.statements[hit.statement];
    let length = |from: usize, to: usize| text[from..to].chars().count();
    if length(statement.start, statement.end) <= MAX_QUOTE_CHARACTERS {
        return &text[statement.start..statement.end];
    }
    let word = &resume.words[hit.word];
    let before = &resume.words[statement.first_word..=hit.word];
    let from = before.iter().rev().take_while(|earlier| length(earlier.start, word.start) <= LEAD_CHARACTERS).last();
    let from = from.map_or(word.start, |first| first.start);
    let after = &resume.words[hit.word..statement.end_word];
    let to = after.iter().take_while(|later| length(from, later.end) <= MAX_QUOTE_CHARACTERS).last();
    if let Some(last) = to {
        return &text[from..last.end];
    }
    let cut = text[from..].char_indices().nth(MAX_QUOTE_CHARACTERS).map_or(text.len(), |(at, _)| from + at);
    &text[from..cut]
}
