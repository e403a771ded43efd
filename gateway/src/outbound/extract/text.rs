//! Cleans text of code points that a person cannot see, and cuts it to size.
//!
//! Zero-width and tag characters can carry a whole message inside a visible word, so they go, and are counted.

use super::hidden::HiddenTally;
use super::{MAX_TEXT_CHARS, Technique};

/// What a person sees of one code point.
enum Sight {
    Letter,
    Letters(&'static str),
    Blank,
    LineBreak,
    /// Nothing, and it may be there for somebody else.
    Hidden(Technique),
    /// Nothing, and honestly so: hyphenation points, emoji style, glyphs that the font does not map.
    Nothing,
}

/// Appends `raw` to `out` as a person sees it; what they do not see is counted in `hidden`.
pub fn push_visible(out: &mut String, raw: &str, hidden: &mut HiddenTally) {
    for c in raw.chars() {
        match sight(c) {
            Sight::Letter => out.push(c),
            Sight::Letters(letters) => out.push_str(letters),
            Sight::Blank => out.push(' '),
            Sight::LineBreak => out.push('\n'),
            Sight::Hidden(_) if is_joiner(c) && out.chars().next_back().is_some_and(joins_by_code_point) => out.push(c),
            Sight::Hidden(technique) => hidden.add(technique, 1),
            Sight::Nothing => {}
        }
    }
}

/// Whether a person sees nothing but blanks.
pub fn is_blank(raw: &str) -> bool {
    raw.chars().all(|c| !matches!(sight(c), Sight::Letter | Sight::Letters(_)))
}

fn sight(c: char) -> Sight {
    match c {
        '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{180e}' | '\u{fe00}'..='\u{fe0e}' => {
            Sight::Hidden(Technique::ZeroWidth)
        }
        '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            Sight::Hidden(Technique::BidiControl)
        }
        '\u{e0000}'..='\u{e01ef}' => Sight::Hidden(Technique::TagCharacters),
        '\u{ad}' | '\u{fe0f}' | '\u{fffd}' => Sight::Nothing,
        '\n' => Sight::LineBreak,
        '\u{e000}'..='\u{f8ff}' => Sight::Blank, // icons of a symbol font stand where a blank would
        c if c.is_whitespace() => Sight::Blank,
        c if c.is_control() => Sight::Nothing,
        c => ligature(c).map_or(Sight::Letter, Sight::Letters),
    }
}

const fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

/// Scripts from Arabic to Sinhala spell with joiners, so there a joiner is a letter like any other.
const fn joins_by_code_point(previous: char) -> bool {
    matches!(previous, '\u{600}'..='\u{dff}')
}

pub const fn ligature(c: char) -> Option<&'static str> {
    match c {
        '\u{fb00}' => Some("ff"),
        '\u{fb01}' => Some("fi"),
        '\u{fb02}' => Some("fl"),
        '\u{fb03}' => Some("ffi"),
        '\u{fb04}' => Some("ffl"),
        '\u{fb05}' | '\u{fb06}' => Some("st"),
        _ => None,
    }
}

/// Single blanks within lines, at most one empty line between them, and no more than [`MAX_TEXT_CHARS`]; says whether
/// something was cut off.
pub fn tidy(raw: &str) -> (String, bool) {
    let mut text = String::with_capacity(raw.len().min(4 * MAX_TEXT_CHARS));
    let mut blank_line_due = false;
    for line in raw.lines() {
        let mut words = line.split_whitespace().peekable();
        if words.peek().is_none() {
            blank_line_due = !text.is_empty();
            continue;
        }
        if blank_line_due {
            text.push('\n');
            blank_line_due = false;
        }
        let line: Vec<&str> = words.collect();
        text.push_str(&line.join(" "));
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    match text.char_indices().nth(MAX_TEXT_CHARS) {
        Some((end, _)) => {
            text.truncate(end);
            (text, true)
        }
        None => (text, false),
    }
}

#[cfg(test)]
mod tests {
    use super::super::hidden::HiddenText;
    use super::*;

    fn visible(raw: &str) -> (String, Vec<HiddenText>) {
        let (mut out, mut hidden) = (String::new(), HiddenTally::default());
        push_visible(&mut out, raw, &mut hidden);
        (out, hidden.into_report())
    }

    #[test]
    fn tag_characters_are_dropped_and_counted() {
        let (text, hidden) = visible("Rust\u{e0049}\u{e0067}");
        assert_eq!(text, "Rust");
        assert_eq!(hidden, [HiddenText { technique: Technique::TagCharacters, characters: 2 }]);
    }

    #[test]
    fn zero_width_characters_do_not_split_words() {
        let (text, hidden) = visible("z\u{200b}e\u{200b}r\u{200b}o\u{200d}");
        assert_eq!(text, "zero");
        assert_eq!(hidden, [HiddenText { technique: Technique::ZeroWidth, characters: 4 }]);
    }

    #[test]
    fn joiners_stay_where_they_spell() {
        assert_eq!(visible("می\u{200c}خواهم").0, "می\u{200c}خواهم");
        assert_eq!(visible("a\u{200c}b").0, "ab");
    }

    #[test]
    fn ligatures_become_letters_and_odd_blanks_become_blanks() {
        assert_eq!(visible("\u{fb01}rst\u{a0}o\u{fb03}ce\u{ad}").0, "first office");
    }

    #[test]
    fn tidy_keeps_lines_and_cuts_long_text() {
        assert_eq!(tidy("\n\n a  b \n\n\n c\n"), ("a b\n\nc".to_owned(), false));
        let (text, truncated) = tidy(&"ä".repeat(MAX_TEXT_CHARS + 1));
        assert_eq!(text.chars().count(), MAX_TEXT_CHARS);
        assert!(truncated);
    }
}
