//! The check that a grade's quotes are really in the resume: whatever is not there word for word is no evidence.

use serde::{Deserialize, Serialize};

/// Words of the resume, with their place in its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    pub quote: String,
    /// First character, counted in Unicode code points from the start of the resume text.
    pub start: usize,
    /// One past the last character, counted alike.
    pub end: usize,
}

/// Stands at the beginning and end of each word of a folded text.
const EDGE: char = '\u{fdd0}';

/// Finds quotes in one text, word for word: a quote begins and ends where a word does. Only the kind and amount of white
/// space, and the shape of dashes and quotation marks, may differ.
///
/// The text is folded once for all its quotes, and a search takes time linear in it, however hostile the two are.
pub struct QuoteFinder<'t> {
    text: &'t str,
    /// The text with each run of white space as one blank, and an edge around each word.
    folded: String,
    /// Where each character of `folded` comes from, in order.
    origins: Vec<Origin>,
}

/// One character's places: byte in the folded text, byte and character in the original.
struct Origin {
    folded_byte: usize,
    byte: usize,
    character: usize,
}

impl<'t> QuoteFinder<'t> {
    pub fn new(text: &'t str) -> Self {
        let mut folded = String::with_capacity(text.len());
        let mut origins = Vec::with_capacity(text.len());
        let mut before = ' ';
        for (character, (byte, letter)) in text.char_indices().enumerate() {
            let letter = fold(letter);
            if letter == ' ' && folded.ends_with(' ') {
                continue;
            }
            if in_word(before) != in_word(letter) {
                folded.push(EDGE);
            }
            origins.push(Origin { folded_byte: folded.len(), byte, character });
            folded.push(letter);
            before = letter;
        }
        if in_word(before) {
            folded.push(EDGE);
        }
        Self { text, folded, origins }
    }

    /// The first place of `quote`, in the text's own spelling. `None` for an empty quote or one that does not stand
    /// there.
    pub fn locate(&self, quote: &str) -> Option<Quote> {
        let wanted = QuoteFinder::new(quote.trim()).folded;
        let letters = wanted.trim_start_matches(EDGE);
        let at = self.folded.find(&wanted)? + wanted.len() - letters.len();
        let letters = letters.trim_end_matches(EDGE);
        let last_letter = letters.chars().next_back()?;
        let first = self.origin(at)?;
        let last = self.origin(at + letters.len() - last_letter.len_utf8())?;
        let end = last.byte + self.text.get(last.byte..)?.chars().next()?.len_utf8();
        let quote = self.text.get(first.byte..end)?.to_owned();
        Some(Quote { quote, start: first.character, end: last.character + 1 })
    }

    fn origin(&self, folded_byte: usize) -> Option<&Origin> {
        let index = self.origins.binary_search_by_key(&folded_byte, |origin| origin.folded_byte).ok()?;
        self.origins.get(index)
    }
}

/// What is written in several ways, in one.
fn fold(letter: char) -> char {
    match letter {
        '\u{2018}' | '\u{2019}' => '\'',
        '\u{201c}' | '\u{201d}' => '"',
        '\u{2010}'..='\u{2014}' => '-',
        EDGE => char::REPLACEMENT_CHARACTER,
        letter if letter.is_whitespace() => ' ',
        letter => letter,
    }
}

/// Whether words are made of it: scripts without blanks between words have no edges that could be seen.
fn in_word(letter: char) -> bool {
    letter.is_alphanumeric() && matches!(letter, '\0'..='\u{dff}' | '\u{10a0}'..='\u{10ff}' | '\u{1e00}'..='\u{1fff}')
}

/// Finds one quote; for many in one text, keep a [`QuoteFinder`].
pub fn locate_quote(text: &str, quote: &str) -> Option<Quote> {
    QuoteFinder::new(text).locate(quote)
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread, time::Duration};

    use proptest::prelude::*;

    use super::*;

    const RESUME: &str = "Ada  Lovelace\n\nWrote the\tfirst\u{a0}program, in Zürich 🚀.";

    #[test]
    fn a_quote_is_found_with_its_place() {
        assert_eq!(locate_quote(RESUME, "Lovelace"), Some(quote("Lovelace", 5, 13)));
    }

    #[test]
    fn only_white_space_may_differ_and_the_text_keeps_its_own() {
        assert_eq!(locate_quote(RESUME, "  Ada\nLovelace "), Some(quote("Ada  Lovelace", 0, 13)));
        assert_eq!(locate_quote(RESUME, "the first program"), Some(quote("the\tfirst\u{a0}program", 21, 38)));
    }

    #[test]
    fn a_quote_with_other_words_or_letters_is_not_found() {
        for invented in ["Lady Lovelace", "lovelace", "AdaLovelace", "Ada Lovelace. Wrote", "programs"] {
            assert_eq!(locate_quote(RESUME, invented), None, "{invented}");
        }
    }

    #[test]
    fn a_part_of_a_word_is_no_quote() {
        for part in ["e", "Love", "lace", "da Lovelace", "first prog", "ürich", "rote the first program, i"] {
            assert_eq!(locate_quote(RESUME, part), None, "{part}");
        }
        let skills = "Objective-C, C++17; C, R&D in Go";
        for (whole, start) in [("C", 10), ("C++17", 13), ("-C", 9), ("R&D", 23), ("Go", 30), ("; C,", 18)] {
            assert_eq!(locate_quote(skills, whole).map(|quote| quote.start), Some(start), "{whole}");
        }
        // A place that overlaps one which is no whole word.
        assert_eq!(locate_quote("xab ab ab", "ab ab").map(|quote| quote.start), Some(4));
        assert_eq!(
            locate_quote("我会编程。", "编程").map(|quote| quote.start),
            Some(2),
            "no blanks, no words to be seen"
        );
    }

    #[test]
    fn marks_may_be_of_another_shape_and_the_text_keeps_its_own() {
        let text = "Bach’s “Well‑Tempered” – 1722";
        assert_eq!(locate_quote(text, "Bach's \"Well-Tempered\" - 1722"), Some(quote(text, 0, 29)));
        assert_eq!(locate_quote("a \u{fdd0} b", "a \u{fdd0} b"), Some(quote("a \u{fdd0} b", 0, 5)));
    }

    #[test]
    fn nothing_is_no_quote() {
        assert_eq!(locate_quote(RESUME, ""), None);
        assert_eq!(locate_quote(RESUME, " \n\u{a0}"), None);
        assert_eq!(locate_quote("", "Ada"), None);
        assert_eq!(locate_quote(" ", " "), None);
    }

    #[test]
    fn places_are_counted_in_characters_and_not_in_bytes() {
        assert_eq!(locate_quote(RESUME, "Zürich 🚀"), Some(quote("Zürich 🚀", 43, 51)));
        assert_eq!(locate_quote("ü\u{3000}é\u{2003}🚀x", "é 🚀"), Some(quote("é\u{2003}🚀", 2, 5)));
    }

    #[test]
    fn of_two_places_the_first_is_given() {
        assert_eq!(locate_quote("Rust, Go, Rust", "Rust"), Some(quote("Rust", 0, 4)));
    }

    #[test]
    fn one_finder_serves_many_quotes() {
        let finder = QuoteFinder::new(RESUME);
        assert_eq!(finder.locate("Ada"), Some(quote("Ada", 0, 3)));
        assert_eq!(finder.locate("Grace"), None);
        assert_eq!(finder.locate("🚀."), Some(quote("🚀.", 50, 52)));
    }

    /// A comparison of the quote at every place of the text would take 10¹⁰ steps: minutes, not milliseconds.
    #[test]
    fn a_hostile_quote_in_a_long_text_takes_no_longer_than_any_other() {
        let (done, results) = mpsc::channel();
        thread::spawn(move || {
            let text = "a".repeat(200_000);
            let finder = QuoteFinder::new(&text);
            let half = "a".repeat(50_000);
            let quotes = [format!("{half}{half}b"), format!("b{half}{half}"), half.repeat(2), half.repeat(4)];
            done.send(quotes.map(|quote| finder.locate(&quote).map(|found| (found.start, found.end))))
        });
        let results = results.recv_timeout(Duration::from_secs(10)).expect("four searches within ten seconds");
        assert_eq!(results, [None, None, None, Some((0, 200_000))]);
    }

    proptest! {
        #[test]
        fn the_place_of_what_is_found_slices_to_it(text in text(), from: prop::sample::Index, size in 1_usize..20) {
            let characters: Vec<char> = text.chars().collect();
            prop_assume!(!characters.is_empty());
            let from = from.index(characters.len());
            let taken: String = characters[from..].iter().take(size).collect();
            let found = locate_quote(&text, &taken);
            if taken.chars().all(|letter| !letter.is_alphanumeric()) {
                prop_assert_eq!(found.is_none(), taken.trim().is_empty());
            }
            if let Some(found) = found {
                prop_assert_eq!(characters[found.start..found.end].iter().collect::<String>(), found.quote.clone());
                prop_assert_eq!(words(&found.quote), words(&taken));
            }
        }

        #[test]
        fn a_quote_is_found_exactly_when_its_words_are_there(text in text(), wanted in text()) {
            let (text_words, wanted) = (words(&text), words(&wanted));
            let is_word = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
            let bounded = |at: usize| {
                let (before, after) = (&text_words[..at], &text_words[at + wanted.len()..]);
                let runs_on = |left: &str, right: &str| is_word(left.chars().next_back()) && is_word(right.chars().next());
                !runs_on(before, &wanted) && !runs_on(&wanted, after)
            };
            let there = !wanted.is_empty()
                && text_words.char_indices().any(|(at, _)| text_words[at..].starts_with(&wanted) && bounded(at));
            prop_assert_eq!(locate_quote(&text, &wanted).is_some(), there);
        }

        #[test]
        fn white_space_in_the_quote_does_not_matter(text in text(), wanted in text(), gap in "[ \t\n\u{a0}\u{2003}]{1,3}") {
            let respaced = wanted.split_whitespace().collect::<Vec<_>>().join(&gap);
            prop_assert_eq!(locate_quote(&text, &wanted), locate_quote(&text, &respaced));
        }
    }

    /// Few letters, so that chance finds something; one to four bytes long, as white space is one to three.
    fn text() -> impl Strategy<Value = String> {
        "[abü🚀 \n\u{a0}\u{2003}]{0,40}"
    }

    fn words(text: &str) -> String {
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn quote(quote: &str, start: usize, end: usize) -> Quote {
        Quote { quote: quote.to_owned(), start, end }
    }
}
