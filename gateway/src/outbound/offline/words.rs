//! Cuts a text into words that can be compared, whatever their case, accents, hyphens or endings.
//!
//! Description and resume pass through the same cut, so a spelling only has to be the same on both sides.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use super::stem::stem;

/// One word of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word<'a> {
    /// As written, without what surrounds it.
    pub text: &'a str,
    /// Lower case without accents: what lists of words are asked for.
    pub plain: String,
    /// `plain` without its ending: what is compared.
    pub stem: String,
    /// Followed by a hyphen.
    pub hyphen: bool,
    /// Bytes from the start of the text.
    pub start: usize,
    pub end: usize,
}

impl Word<'_> {
    pub fn is_number(&self) -> bool {
        self.plain.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    }

    pub fn starts_upper(&self) -> bool {
        self.text.chars().next().is_some_and(char::is_uppercase)
    }

    /// Written like a name wherever it stands: `PostgreSQL`, `HACCP`, `C++`, `.NET`, `B2B`.
    pub fn looks_coined(&self) -> bool {
        let odd = self.text.chars().any(|c| matches!(c, '+' | '#' | '.')) && self.text.chars().any(char::is_alphabetic);
        let mixed = self.text.chars().skip(1).any(char::is_uppercase);
        let numbered = self.text.chars().any(char::is_alphabetic) && self.text.chars().any(|c| c.is_ascii_digit());
        odd || mixed || numbered
    }
}

/// All words of `text`, in order.
pub fn words(text: &str) -> Vec<Word<'_>> {
    let mut found = Vec::with_capacity(text.len() / 6);
    let mut at = 0;
    while let Some(character) = text[at..].chars().next() {
        let begins = is_letter(character) || (character == '.' && opens_name(text, at));
        if !begins {
            at += character.len_utf8();
            continue;
        }
        let end = word_end(text, at + character.len_utf8());
        let plain = plain(&text[at..end]);
        let stem = stem(&plain);
        found.push(Word { text: &text[at..end], plain, stem, hyphen: text[end..].starts_with('-'), start: at, end });
        at = end + possessive(&text[end..]);
    }
    found
}

/// The stems of `text`, for comparing a phrase.
pub fn stems(text: &str) -> Vec<String> {
    words(text).into_iter().map(|word| word.stem).collect()
}

fn is_letter(character: char) -> bool {
    character.is_alphanumeric() || is_combining_mark(character)
}

/// A full stop that belongs to the name after it, as in `.NET`.
fn opens_name(text: &str, at: usize) -> bool {
    let before = text[..at].chars().next_back();
    let after = text[at + 1..].chars().next();
    before.is_none_or(|c| c.is_whitespace() || matches!(c, '(' | ',' | '/')) && after.is_some_and(char::is_uppercase)
}

fn word_end(text: &str, from: usize) -> usize {
    let mut end = from;
    while let Some(character) = text[end..].chars().next() {
        let after = text[end + character.len_utf8()..].chars().next();
        let last_is_letter = text[..end].chars().next_back().is_some_and(char::is_alphabetic);
        let inside = match character {
            '.' => text[..end].chars().next_back().is_some_and(is_letter) && after.is_some_and(is_letter),
            '#' => last_is_letter && !after.is_some_and(is_letter),
            '+' => (last_is_letter || text[..end].ends_with('+')) && !after.is_some_and(is_letter),
            '\u{ad}' => true, // a soft hyphen is no part of the spelling
            other => is_letter(other),
        };
        if !inside {
            break;
        }
        end += character.len_utf8();
    }
    end
}

/// Bytes of a possessive ending, which says nothing: `bachelor's`.
fn possessive(rest: &str) -> usize {
    let mut characters = rest.chars();
    let (Some(mark @ ('\'' | '’')), Some('s' | 'S')) = (characters.next(), characters.next()) else {
        return 0;
    };
    if characters.next().is_some_and(is_letter) { 0 } else { mark.len_utf8() + 1 }
}

/// Lower case, compatibility forms and accents folded; full stops between letters dropped (`Ph.D`, `Node.js`).
pub fn plain(text: &str) -> String {
    let folded: String = if text.is_ascii() {
        text.to_ascii_lowercase()
    } else {
        text.nfkd()
            .filter(|c| !('\u{300}'..='\u{36f}').contains(c) && *c != '\u{ad}')
            .nfc()
            .collect::<String>()
            .to_lowercase()
    };
    if folded.starts_with('.') || !folded.contains('.') || folded.bytes().any(|byte| byte.is_ascii_digit()) {
        return folded;
    }
    folded.replace('.', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain_words(text: &str) -> Vec<String> {
        words(text).into_iter().map(|word| word.plain).collect()
    }

    #[test]
    fn names_with_symbols_stay_one_word() {
        assert_eq!(
            plain_words("C++, C# and Node.js on .NET (F#)."),
            ["c++", "c#", "and", "nodejs", "on", ".net", "f#"]
        );
    }

    #[test]
    fn hyphens_and_slashes_separate_so_that_spellings_meet() {
        assert_eq!(plain_words("front-end CI/CD"), plain_words("front end CI / CD"));
    }

    #[test]
    fn possessives_and_abbreviation_stops_are_no_spelling() {
        assert_eq!(plain_words("Bachelor’s or Ph.D. with 5+ years"), ["bachelor", "or", "phd", "with", "5", "years"]);
    }

    #[test]
    fn accents_and_case_are_folded_and_other_scripts_survive() {
        assert_eq!(plain_words("Élève PFLEGEKRÄFTE संमानित 中島"), ["eleve", "pflegekrafte", "संमानित", "中島"]);
    }

    #[test]
    fn places_are_bytes_of_the_text() {
        let text = "Äpfel, C++!";
        let last = &words(text)[1];
        assert_eq!(&text[last.start..last.end], "C++");
    }
}
