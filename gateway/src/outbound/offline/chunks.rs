//! Cuts a statement where its words stop saying something about the trade.

use super::{
    lexicon::{is_frame, is_function, is_opening_verb},
    words::Word,
};

/// The longest term; longer ones are cut, as nobody writes them the same way twice.
const MAX_WORDS: usize = 4;

/// How a word is parted from the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    None,
    List,
    Or,
    Hard,
}

#[derive(Clone, Debug)]
pub struct Chunk {
    pub first: usize,
    pub last: usize,
    pub cut: Cut,
}

/// Runs of words that say something.
pub fn chunks(statement: &str, words: &[Word<'_>]) -> Vec<Chunk> {
    let mut found: Vec<Chunk> = Vec::new();
    let mut open: Option<Chunk> = None;
    let mut cut = Cut::Hard;
    for (at, word) in words.iter().enumerate() {
        let gap = if at == 0 { Cut::Hard } else { gap(statement, &words[at - 1], word) };
        if gap != Cut::None {
            found.extend(open.take());
            cut = stronger(cut, gap);
        }
        let linked = open.as_ref().is_some_and(|chunk| links(words, at, chunk, statement));
        if linked {
            continue;
        }
        if let Some(found_cut) = cut_of(word, words, at, open.is_some()) {
            found.extend(open.take());
            cut = stronger(cut, found_cut);
            continue;
        }
        match &mut open {
            Some(chunk) if chunk.last - chunk.first + 1 < MAX_WORDS => chunk.last = at,
            _ => {
                found.extend(open.take());
                open = Some(Chunk { first: at, last: at, cut });
                cut = Cut::None;
            }
        }
    }
    found.extend(open);
    found
}

pub fn is_or(plain: &str) -> bool {
    matches!(plain, "or" | "oder" | "ou")
}

/// The cut that `word` itself makes, or `None` for a word to look for.
fn cut_of(word: &Word<'_>, words: &[Word<'_>], at: usize, inside: bool) -> Option<Cut> {
    if is_or(&word.plain) {
        return Some(Cut::Or);
    }
    if matches!(word.plain.as_str(), "and" | "und" | "et" | "y") && word.text.len() > 1 {
        return Some(Cut::List);
    }
    if in_compound(words, at) {
        return None;
    }
    if is_function(word) || (word.plain == "record" && at > 0 && words[at - 1].plain == "track") {
        return Some(Cut::Hard);
    }
    if word.is_number() {
        let of_a_name = inside && words[at - 1].starts_upper(); // ISO 9001
        return (!of_a_name).then_some(Cut::Hard);
    }
    let part_of_name =
        inside && at > 0 && word.starts_upper() && words[at - 1].starts_upper() && !words[0].starts_upper();
    if is_frame(&word.plain) && !part_of_name && !word.looks_coined() {
        return Some(Cut::Hard);
    }
    let opens = !inside && is_opening_verb(&word.stem) && !word.looks_coined();
    opens.then_some(Cut::Hard)
}

/// "on-call", "month-end": a small word that is half of a larger one.
fn in_compound(words: &[Word<'_>], at: usize) -> bool {
    let word = &words[at];
    let says = |other: &Word<'_>| !is_function(other) && !is_frame(&other.plain) && !other.is_number();
    let before =
        at.checked_sub(1).map(|before| &words[before]).filter(|before| before.end + 1 == word.start && before.hyphen);
    let after = words.get(at + 1).filter(|after| word.end + 1 == after.start && word.hyphen);
    word.plain.len() > 1 && !word.is_number() && (before.is_some_and(says) || after.is_some_and(says))
}

/// "attention to detail", "point of sale": one word on each side, held together.
fn links(words: &[Word<'_>], at: usize, open: &Chunk, statement: &str) -> bool {
    let one_before = open.first == open.last && open.last + 1 == at;
    let link = matches!(words[at].plain.as_str(), "of" | "to");
    let Some(next) = words.get(at + 1).filter(|_| one_before && link) else { return false };
    gap(statement, &words[at], next) == Cut::None && cut_of(next, words, at + 1, true).is_none()
}

fn gap(statement: &str, before: &Word<'_>, after: &Word<'_>) -> Cut {
    let between = &statement[before.end..after.start];
    let short = before.text.chars().count() <= 3 && after.text.chars().count() <= 3;
    match between {
        "/" | "&" if short => Cut::None, // CI/CD, P&L
        "/" => Cut::Or,
        "-" | "‑" | "'" | "’" => Cut::None,
        other if other.trim().is_empty() && !other.is_empty() => Cut::None,
        other if other.trim().is_empty() => Cut::None,
        other if other.trim() == "/" => Cut::Or,
        _ => Cut::List,
    }
}

/// A word that cuts says more than the comma before it, and a framing word ends a list.
fn stronger(one: Cut, other: Cut) -> Cut {
    match (one, other) {
        (Cut::Hard, _) | (_, Cut::Hard) => Cut::Hard,
        (Cut::Or, _) | (_, Cut::Or) => Cut::Or,
        (Cut::List, _) | (_, Cut::List) => Cut::List,
        _ => Cut::None,
    }
}
