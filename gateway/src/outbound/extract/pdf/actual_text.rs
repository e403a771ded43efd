//! Replacement text (`/ActualText`): what a stretch of glyphs stands for, in the file's own words.
//!
//! Ligatures and Indic scripts cannot be read without it. But a viewer never shows it, so it is believed only where it
//! says what the glyphs say, or where the glyphs say nothing.

use super::super::text;

/// Longest plausible replacement: three characters a glyph, and two for the ends.
const MAX_CHARS_PER_GLYPH: usize = 3;
const SLACK_CHARS: usize = 2;
/// The letters of a ligature are at least this wide each, in thousandths of an em.
const MIN_ADVANCE_PER_CHAR: f64 = 150.0;
/// And so many fit the narrowest one, such as `ffi`.
const MIN_CHARS_THAT_FIT: f64 = 3.0;

/// Whether `replacement` may stand for `inked` glyphs (blanks not counted) that read `own` by themselves.
pub fn is_credible(replacement: &str, own: &str, inked: usize) -> bool {
    if inked == 0 || replacement.chars().count() > MAX_CHARS_PER_GLYPH * inked + SLACK_CHARS {
        return false;
    }
    let (said, shown) = (folded(replacement), folded(own));
    let says_nothing = text::is_blank(own); // a font without a map
    said == shown || says_nothing || (!shown.is_empty() && !is_readable(&shown) && !is_readable(&said))
}

/// Whether one glyph of this advance (in thousandths of an em) may mean so many characters. A map of a font may say
/// anything, up to whole sentences.
pub fn fits_a_glyph(meaning: &str, advance: f64) -> bool {
    let fitting = (advance / MIN_ADVANCE_PER_CHAR).max(MIN_CHARS_THAT_FIT);
    u32::try_from(meaning.chars().count()).is_ok_and(|chars| f64::from(chars) <= fitting)
}

/// Letters and digits alone, so that hyphens, blanks and ligatures make no difference.
fn folded(written: &str) -> String {
    let mut letters = String::new();
    for c in written.chars() {
        match text::ligature(c) {
            Some(parts) => letters.push_str(parts),
            None if c.is_alphanumeric() => letters.extend(c.to_lowercase()),
            None => {}
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
        assert!(is_credible("fi", "\u{fffd}", 1));
        assert!(is_credible("हिन्दी", "ह ि न", 3));
    }

    #[test]
    fn another_text_is_not_believed_even_if_it_fits() {
        assert!(!is_credible("obey me", "Hobbies", 7));
        assert!(!is_credible("obey me", "Хоббиты", 7));
        assert!(!is_credible("obey me", ".......", 7));
        assert!(!is_credible("слушайся", "........", 8));
        assert!(!is_credible("obey me", "       ", 0));
        assert!(!is_credible("Hobbies and a long order to obey", "Hobbies", 7));
        assert!(!is_credible("obey me now", "\u{fffd}", 1));
    }

    #[test]
    fn a_glyph_means_a_few_letters_and_no_sentence() {
        assert!(fits_a_glyph("ffi", 300.0));
        assert!(fits_a_glyph("\u{635}\u{644}\u{649} \u{627}", 1_500.0));
        assert!(!fits_a_glyph("obey me", 600.0));
    }

    #[test]
    fn text_strings_come_in_three_encodings() {
        assert_eq!(decode(b"\xfe\xff\0A\x20\xac"), "A€");
        assert_eq!(decode(b"\xef\xbb\xbf\xe2\x82\xac"), "€");
        assert_eq!(decode(b"caf\xe9"), "café");
    }
}
