//! Reads `.env` as the old system did (python-dotenv): comments, `export`, quotes.
//!
//! Unlike there nothing is expanded: a `$` in a secret is a `$`. Errors name the line, never what is in it.

/// Name and value of each line, or the number of a line that has none.
pub(super) fn parse(text: &str) -> Result<Vec<(String, String)>, (usize, &'static str)> {
    let mut entries = Vec::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
            entries.push(entry(line).map_err(|reason| (index + 1, reason))?);
        }
    }
    Ok(entries)
}

fn entry(line: &str) -> Result<(String, String), &'static str> {
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = line.split_once('=').ok_or("there is no =")?;
    let (name, value) = (name.trim(), value.trim());
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c)) {
        return Err("a name has letters, digits and _ only");
    }
    let value = match value.chars().next() {
        Some(quote @ ('"' | '\'')) => quoted(&value[1..], quote)?,
        _ => unquoted(value).to_owned(),
    };
    Ok((name.to_owned(), value))
}

/// Up to a `#` that follows white space, so that a `#` inside a value stays.
fn unquoted(value: &str) -> &str {
    if value.starts_with('#') {
        return "";
    }
    let comment = value.match_indices('#').find(|(at, _)| value[..*at].ends_with(char::is_whitespace));
    comment.map_or(value, |(at, _)| value[..at].trim_end())
}

fn quoted(rest: &str, quote: char) -> Result<String, &'static str> {
    let mut value = String::new();
    let mut chars = rest.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match (chars.next(), quote) {
                (Some(escaped), _) if escaped == quote || escaped == '\\' => value.push(escaped),
                (Some('n'), '"') => value.push('\n'),
                (Some('r'), '"') => value.push('\r'),
                (Some('t'), '"') => value.push('\t'),
                (Some(other), _) => value.extend(['\\', other]),
                (None, _) => return Err("the quote is not closed on its line"),
            },
            c if c == quote => {
                let after = chars.as_str().trim_start();
                return if after.is_empty() || after.starts_with('#') {
                    Ok(value)
                } else {
                    Err("there is text behind the closing quote")
                };
            }
            c => value.push(c),
        }
    }
    Err("the quote is not closed on its line")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(line: &str) -> String {
        parse(line).unwrap().remove(0).1
    }

    #[test]
    fn the_guides_file_is_read() {
        let text =
            "# AI API Settings\nOPENAI_MODEL=gpt-4o\n\nSECRET_KEY=YOUR_SECRET_KEY_HERE  # openssl rand -hex 32\r\n";
        let entries = parse(text).unwrap();
        assert_eq!(entries[0], ("OPENAI_MODEL".to_owned(), "gpt-4o".to_owned()));
        assert_eq!(entries[1], ("SECRET_KEY".to_owned(), "YOUR_SECRET_KEY_HERE".to_owned()));
        assert_eq!(entries.len(), 2);
    }

    #[test]
    fn values_are_read_as_python_dotenv_reads_them() {
        let lines = [
            ("A=b", "b"),
            ("  export A = b c ", "b c"),
            ("A=", ""),
            ("A=\"\"", ""),
            ("A= # nothing", ""),
            ("A=b#c", "b#c"),
            ("A=b #c # d", "b"),
            ("A=\"b # c\" # d", "b # c"),
            ("A='b \"c\" \\' \\n'", "b \"c\" ' \\n"),
            ("A=\"b\\n\\t\\\"\\\\\\x\"", "b\n\t\"\\\\x"),
            ("A=b=c==", "b=c=="),
            ("A=[\"http://a\", \"http://b\"]", "[\"http://a\", \"http://b\"]"),
            ("\u{feff}A=b", "b"),
        ];
        for (line, expected) in lines {
            assert_eq!(value(line), expected, "{line}");
        }
    }

    #[test]
    fn nothing_is_expanded() {
        assert_eq!(value("A=pa$$word${HOME}"), "pa$$word${HOME}");
        assert_eq!(value("A=\"pa$HOME\""), "pa$HOME");
    }

    #[test]
    fn a_line_that_is_no_entry_is_named_by_its_number() {
        let wrong = ["A", "=b", "A B=c", "A=\"b", "A='b", "A=\"b\" c", "A=\"b\\"];
        for line in wrong {
            let (number, reason) = parse(&format!("# first\n{line}\n")).unwrap_err();
            assert_eq!(number, 2, "{line}");
            assert!(!reason.contains('b') || reason.contains("behind"), "{line}: {reason}");
        }
    }
}
