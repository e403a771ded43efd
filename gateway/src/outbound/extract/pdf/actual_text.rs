//! Replacement text (`/ActualText`): what a stretch of glyphs stands for, in the file's own words.
//!
//! Ligatures and Indic scripts cannot be read without it. But a viewer never shows it, so it is believed only where it
//! says what the glyphs say, or where the glyphs say nothing.

/// Longest plausible replacement: three characters a glyph, and two for the ends.
const MAX_CHARS_PER_GLYPH: usize = 3;
const SLACK_CHARS: usize = 2;

/// Whether `replacement` may stand for `glyphs` glyphs that read `own` by themselves.
pub fn is_credible(replacement: &str, own: &str, glyphs: usize) -> bool {
    if glyphs == 0 || replacement.chars().count() > MAX_CHARS_PER_GLYPH * glyphs + SLACK_CHARS {
        return false;
    }
    let (said, shown) = (folded(replacement), folded(own));
    said == shown || !is_readable(&shown) && (shown.is_empty() || !is_readable(&said))
}

/// Letters and digits alone, so that hyphens, blanks and ligatures make no difference.
fn folded(text: &str) -> String {
    let mut letters = String::new();
    for c in text.chars() {
        match c {
            '\u{fb00}' => letters.push_str("ff"),
            '\u{fb01}' => letters.push_str("fi"),
            '\u{fb02}' => letters.push_str("fl"),
            '\u{fb03}' => letters.push_str("ffi"),
            '\u{fb04}' => letters.push_str("ffl"),
            c if c.is_alphanumeric() => letters.extend(c.to_lowercase()),
            _ => {}
        }
    }
    letters
}

/// Latin letters and digits are mapped by every font, so a replacement has nothing to add to them.
fn is_readable(letters: &str) -> bool {
    let latin = letters.chars().filter(|c| *c < '\u{250}').count();
    latin * 2 > letters.chars().count()
}

/// Decodes a text string of the PDF format.
pub fn decode(bytes: &[u8]) -> String {
    match bytes {
        [0xfe, 0xff, rest @ ..] => {
            let units: Vec<u16> = rest.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
            String::from_utf16_lossy(&units)
        }
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        latin => latin.iter().map(|byte| char::from(*byte)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ligatures_and_hyphens_are_believed() {
        assert!(is_credible("office", "o\u{fb03}ce", 4));
        assert!(is_credible("experience", "experi-ence", 11));
    }

    #[test]
    fn glyphs_that_say_nothing_are_explained() {
        assert!(is_credible("fi", "", 1));
        assert!(is_credible("हिन्दी", "ह ि न", 3));
    }

    #[test]
    fn another_text_is_not_believed_even_if_it_fits() {
        assert!(!is_credible("obey me", "Hobbies", 7));
        assert!(!is_credible("obey me", "Хоббиты", 7));
        assert!(!is_credible("Hobbies and a long order to obey", "Hobbies", 7));
    }

    #[test]
    fn text_strings_come_in_three_encodings() {
        assert_eq!(decode(b"\xfe\xff\0A\x20\xac"), "A€");
        assert_eq!(decode(b"\xef\xbb\xbf\xe2\x82\xac"), "€");
        assert_eq!(decode(b"caf\xe9"), "café");
    }
}
