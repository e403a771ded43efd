//! Phone numbers, told apart from years, dates and other numbers.

/// A number with fewer digits reaches nobody from outside, and no number has more.
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// A phone number of `line`. Without a label or a leading `+` it has to stand in the head and look like nothing else.
pub fn phone(line: &str, in_head: bool) -> Option<String> {
    let mut from = 0;
    while let Some(offset) = line[from..].find(|c: char| c == '+' || c == '(' || c.is_ascii_digit()) {
        let start = from + offset;
        let run = phone_run(&line[start..]);
        let before = &line[..start];
        from = start + run.len().max(1);
        let glued = before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '/' | '-' | '_' | '@' | '=' | '.'));
        let digits = run.chars().filter(char::is_ascii_digit).count();
        if glued || !PHONE_DIGITS.contains(&digits) || line[from..].starts_with(|c: char| c.is_alphabetic() || c == '@')
        {
            continue;
        }
        let international = (run.starts_with('+') || run.starts_with("(+") || run.starts_with("00")) && digits >= 8;
        let plausible = international || (labelled(before) && !is_dated(run)) || (in_head && is_national(run, digits));
        if plausible {
            return Some(run.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    None
}

/// The longest run that could be one number: digits with single separators between them.
fn phone_run(text: &str) -> &str {
    let mut end = 0;
    let mut gap = 0;
    for (at, character) in text.char_indices() {
        match character {
            '0'..='9' => (end, gap) = (at + 1, 0),
            '+' if at == 0 || &text[..at] == "(" => {}
            ' ' | '\u{a0}' | '-' | '.' | '/' | '(' | ')' | '‑' | '–' => gap += 1,
            _ => break,
        }
        if gap > 3 || text[end..].starts_with("  ") {
            break;
        }
    }
    &text[..end]
}

fn labelled(before: &str) -> bool {
    let tail: String = before.to_lowercase().chars().rev().take(16).collect::<Vec<_>>().into_iter().rev().collect();
    [
        "phone", "tel", "mobile", "cell", "handy", "mobil", "móvil", "portable", "whatsapp", "☎", "📞", "ph:", "m:",
        "t:", "p:",
    ]
    .iter()
    .any(|label| tail.contains(label))
}

fn groups(run: &str) -> Vec<&str> {
    run.split(|c: char| !c.is_ascii_digit()).filter(|group| !group.is_empty()).collect()
}

fn is_dated(run: &str) -> bool {
    let year = |group: &&str| group.len() == 4 && (group.starts_with("19") || group.starts_with("20"));
    let groups = groups(run);
    groups.iter().any(year) && groups.iter().all(|group| group.len() <= 2 || year(group))
}

/// `(415) 555-2671`, `030 1234567`: a number as it is written at home.
fn is_national(run: &str, digits: usize) -> bool {
    let groups = groups(run);
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let american = matches!(lengths.as_slice(), [3, 3, 4] | [1, 3, 3, 4]);
    let trunk = run.trim_start_matches('(').starts_with('0')
        && (9..=12).contains(&digits)
        && !is_dated(run)
        && lengths.iter().all(|n| *n >= 2);
    american || (trunk && !groups.iter().any(|group| group.len() == 4 && group.starts_with("20")))
}
