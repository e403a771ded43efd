//! Years from a text: how many a job asks for, and how many the dated spans of a resume cover.
//!
//! There is no clock: an open span ("2019 – present") ends in the latest year that the resume names.

use super::words::{Word, words};

/// Months since year 0, from the first of one month to the first of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    pub from: u32,
    pub to: u32,
}

/// A date range in a text, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dated {
    pub span: Span,
    pub start: usize,
    pub end: usize,
}

const NUMBERS: &[&str] =
    &["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
const MONTHS: &[&str] = &[
    "january januar janvier enero",
    "february februar fevrier febrero",
    "march marz mrz mars marzo",
    "april avril abril",
    "may mai mayo",
    "june juni juin junio",
    "july juli juillet julio",
    "august aout agosto",
    "september septembre septiembre",
    "october oktober octobre octubre",
    "november novembre noviembre",
    "december dezember decembre diciembre",
];
const OPEN: &[&str] = &[
    "present",
    "now",
    "today",
    "current",
    "currently",
    "date",
    "ongoing",
    "heute",
    "aktuell",
    "jetzt",
    "actuel",
    "actuellement",
    "aujourd",
    "presente",
    "actualidad",
    "actual",
];

/// "5+ years", "at least three years", "3-5 years": the smaller number and the place of the word `years`.
pub fn asked(words: &[Word<'_>]) -> Option<(u32, usize)> {
    let mut most: Option<(u32, usize)> = None;
    for (at, word) in words.iter().enumerate() {
        if !matches!(
            word.plain.as_str(),
            "year" | "years" | "yrs" | "yr" | "jahre" | "jahren" | "ans" | "annees" | "anos"
        ) {
            continue;
        }
        let mut count = None;
        for earlier in words[at.saturating_sub(3)..at].iter().rev() {
            match number(&earlier.plain) {
                Some(value) => count = Some(value),
                None if matches!(earlier.plain.as_str(), "to" | "or" | "a" | "bis" | "full" | "more" | "plus") => {}
                None => break,
            }
        }
        // Anything above is an age or a company's history.
        if let Some(value) = count.filter(|value| (1..=30).contains(value))
            && most.is_none_or(|(known, _)| known < value)
        {
            most = Some((value, at));
        }
    }
    most
}

fn number(plain: &str) -> Option<u32> {
    let digits = plain.trim_end_matches('+');
    digits.parse().ok().or_else(|| NUMBERS.iter().position(|name| *name == plain).and_then(|n| u32::try_from(n).ok()))
}

/// The latest year named in `text`, which stands for today.
pub fn latest_year(words: &[Word<'_>]) -> Option<u32> {
    words.iter().filter_map(|word| year(&word.plain)).max()
}

/// Date ranges of `line`, which starts at byte `offset` of its text. `today` closes open ones.
pub fn ranges(line: &str, offset: usize, today: u32) -> Vec<Dated> {
    let mut found: Vec<Dated> = Vec::new();
    if !line.bytes().any(|byte| byte.is_ascii_digit()) {
        return found;
    }
    let words = words(line);
    let mut at = 0;
    while at < words.len() {
        let Some((from, after)) = moment(&words, at, line) else {
            at += 1;
            continue;
        };
        let start = words[at].start;
        let since = at > 0 && matches!(words[at - 1].plain.as_str(), "since" | "seit" | "depuis" | "desde");
        if let Some((to, next)) = end_of(&words, after, line, from, today) {
            found.push(Dated {
                span: Span { from: from.0, to },
                start: offset + start,
                end: offset + words[next - 1].end,
            });
            at = next;
        } else {
            if since {
                let span = Span { from: from.0, to: open_end(from.0, today) };
                found.push(Dated { span, start: offset + start, end: offset + words[after - 1].end });
            }
            at = after;
        }
    }
    found
}

/// The second half of a range, if what follows is one: its end in months and the word after it.
fn end_of(words: &[Word<'_>], at: usize, line: &str, from: (u32, bool), today: u32) -> Option<(u32, usize)> {
    let gap = |next: usize| line[words[next - 1].end..words[next].start].trim();
    let mut next = at;
    let dashed = next < words.len() && matches!(gap(next), "-" | "–" | "—" | "−" | "‑" | "‒" | "~" | "--");
    if !dashed {
        let joins = words
            .get(next)
            .is_some_and(|word| matches!(word.plain.as_str(), "to" | "until" | "till" | "bis" | "a" | "hasta"));
        if !joins || !gap(next).is_empty() {
            return None;
        }
        next += 1;
    }
    let word = words.get(next)?;
    if OPEN.contains(&word.plain.as_str()) {
        return Some((open_end(from.0, today), next + 1));
    }
    let (to, after) = match moment(words, next, line) {
        Some(found) => found,
        None => (short_year(&word.plain, from.0).filter(|_| dashed)?, next + 1),
    };
    // The end month is worked through; a bare end year is counted to its start, as "2019–2021" is two years.
    let to = if to.1 { to.0 + 1 } else { to.0.max(from.0 + 6) };
    (to > from.0).then_some((to, after))
}

/// "2019–21".
fn short_year(plain: &str, from: u32) -> Option<(u32, bool)> {
    let year = plain.parse::<u32>().ok().filter(|_| plain.len() == 2)?;
    Some(((from / 12 / 100 * 100 + year) * 12, false))
}

fn open_end(from: u32, today: u32) -> u32 {
    (today * 12).max(from + 6)
}

/// A year with or without its month at `words[at]`: months since year 0, whether the month is known, the next word.
fn moment(words: &[Word<'_>], at: usize, line: &str) -> Option<((u32, bool), usize)> {
    let word = &words[at];
    if let Some((month, year)) = word.plain.rsplit_once('.').and_then(|(month, year)| numeric_month(month, year)) {
        return Some(((year * 12 + month, true), at + 1));
    }
    let next = words.get(at + 1);
    let gap = next.map_or("", |next| line[word.end..next.start].trim());
    if let Some(this) = year(&word.plain) {
        // 2019-03; a dash before anything above 12 makes a range of years
        let month =
            next.filter(|next| next.plain.len() == 2 && matches!(gap, "-" | "/")).and_then(|next| small(&next.plain));
        if let Some(month) = month {
            return Some(((this * 12 + month, true), at + 2));
        }
        return Some(((this * 12, false), at + 1));
    }
    let following = year(&next?.plain)?;
    if let Some(month) = month_name(&word.plain).filter(|_| matches!(gap, "" | "." | "," | "'" | "/" | "-")) {
        return Some(((following * 12 + month, true), at + 2)); // Jan 2019
    }
    let month = small(&word.plain).filter(|_| matches!(gap, "/" | "." | "-"))?;
    Some(((following * 12 + month, true), at + 2)) // 03/2019
}

fn numeric_month(month: &str, year_digits: &str) -> Option<(u32, u32)> {
    Some((small(month.rsplit('.').next()?)?, year(year_digits)?)) // 03.2019, 01.03.2019
}

/// A month by its number, counted from 0.
fn small(plain: &str) -> Option<u32> {
    plain.parse::<u32>().ok().filter(|month| (1..=12).contains(month)).map(|month| month - 1)
}

/// A month by its name or the first letters of it, counted from 0.
fn month_name(plain: &str) -> Option<u32> {
    let begins = |names: &&str| plain.len() >= 3 && names.split(' ').any(|name| name.starts_with(plain));
    u32::try_from(MONTHS.iter().position(begins)?).ok()
}

fn year(plain: &str) -> Option<u32> {
    plain.parse().ok().filter(|year| plain.len() == 4 && (1950..=2100).contains(year))
}

/// Months covered by `spans`; what overlaps counts once.
pub fn months_covered(spans: &[Span]) -> u32 {
    let mut sorted = spans.to_vec();
    sorted.sort();
    let mut covered = 0;
    let mut reached = 0;
    for span in sorted {
        covered += span.to.saturating_sub(span.from.max(reached));
        reached = reached.max(span.to);
    }
    covered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn months(line: &str) -> Vec<u32> {
        ranges(line, 0, 2024).into_iter().map(|dated| dated.span.to - dated.span.from).collect()
    }

    #[test]
    fn years_asked_for_are_read_as_digits_words_and_ranges() {
        for (text, years) in [
            ("5+ years of Rust", 5),
            ("at least three years' experience", 3),
            ("3-5 years in retail", 3),
            ("two or more years", 2),
            ("mindestens 4 Jahre Erfahrung", 4),
        ] {
            assert_eq!(asked(&words(text)).map(|(count, _)| count), Some(years), "{text}");
        }
        assert_eq!(asked(&words("founded 150 years ago")), None);
    }

    #[test]
    fn ranges_are_read_in_the_usual_spellings() {
        for (line, length) in [
            ("Cook, Blue Door (2019–2021)", 24),
            ("Jan 2019 - Mar 2021", 27),
            ("01/2019 – 12/2019", 12),
            ("03.2019–05.2019", 3),
            ("2019-03 – 2020-02", 12),
            ("2019 to 2022", 36),
            ("2019 - present", 60),
            ("since 2020", 48),
            ("2018–21", 36),
            ("März 2020 bis heute", 46),
        ] {
            assert_eq!(months(line), [length], "{line}");
        }
    }

    #[test]
    fn single_years_and_numbers_are_no_ranges() {
        for line in ["BSc, 2011", "ISO 9001", "+1-555-0100", "1,200 covers in 2019", "Marketing 2019 and 2020"] {
            assert!(months(line).is_empty(), "{line}");
        }
    }

    #[test]
    fn overlapping_spans_count_once() {
        assert_eq!(
            months_covered(&[Span { from: 0, to: 24 }, Span { from: 12, to: 36 }, Span { from: 48, to: 60 }]),
            48
        );
    }
}
