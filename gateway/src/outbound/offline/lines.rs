//! Lines and sentences, as descriptions and resumes write them.

/// The line without what marks it as an item of a list, and whether it was one.
pub fn without_bullet(line: &str) -> (&str, bool) {
    let line = line.trim();
    let marks =
        ['-', '*', '•', '·', '–', '—', '▪', '●', '◦', '○', '‣', '⁃', '➢', '✓', '✔', '►', '»', '\u{f0b7}', '+', '>'];
    let rest = line.trim_start_matches(marks);
    if rest.len() < line.len() && rest.starts_with(|c: char| c.is_whitespace()) {
        return (rest.trim(), true);
    }
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    if (1..=2).contains(&digits) && line[digits..].starts_with(['.', ')']) && line[digits + 1..].starts_with(' ') {
        return (line[digits + 1..].trim(), true);
    }
    (line, false)
}

/// Cuts after `. `, `! `, `? ` and `; ` where the next sentence begins.
pub fn sentences(text: &str) -> Vec<&str> {
    sentence_places(text).into_iter().map(|(start, end)| &text[start..end]).collect()
}

/// The same, as bytes of `text`.
pub fn sentence_places(text: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut start = 0;
    for (at, mark) in text.char_indices().filter(|(_, c)| matches!(c, '.' | '!' | '?' | ';' | '。' | '！')) {
        let end = at + mark.len_utf8();
        let rest = &text[end..];
        let spaced = rest.starts_with(char::is_whitespace) || matches!(mark, '。' | '！');
        let lower = rest.trim_start().starts_with(char::is_lowercase);
        let ends = spaced && (!lower || mark == ';');
        if ends && !(mark == '.' && is_abbreviation(&text[start..at])) {
            found.push(trimmed(text, start, end));
            start = end;
        }
    }
    found.push(trimmed(text, start, text.len()));
    found.retain(|(start, end)| start < end);
    found
}

fn trimmed(text: &str, start: usize, end: usize) -> (usize, usize) {
    let part = &text[start..end];
    let lead = part.len() - part.trim_start().len();
    (start + lead, start + lead + part.trim().len())
}

/// Whether `sentence` breaks off in an abbreviation.
fn is_abbreviation(sentence: &str) -> bool {
    let last = sentence.rsplit(|c: char| !c.is_alphanumeric() && c != '.').next().unwrap_or("");
    last.contains('.') || matches!(last, "Dr" | "Mr" | "Ms" | "Mrs" | "St" | "No" | "ca" | "bzw" | "approx")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abbreviations_end_no_sentence() {
        assert_eq!(
            sentences("Tools, e.g. SAP or Excel. Ask Dr. Meyer."),
            ["Tools, e.g. SAP or Excel.", "Ask Dr. Meyer."]
        );
    }

    #[test]
    fn marks_of_a_list_are_no_words_of_it() {
        for line in ["- Rust", "* Rust", "  • Rust", "1. Rust", "2) Rust"] {
            assert_eq!(without_bullet(line), ("Rust", true), "{line}");
        }
        assert_eq!(without_bullet("2019 was a good year"), ("2019 was a good year", false));
    }
}
