//! Takes a job description apart: which of its lines asks for something, and how firmly.

use super::{
    cues::{self, each},
    lines::{sentences, without_bullet},
    words::{Word, plain, words},
};

/// What a statement of the description is to the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Has to be brought along.
    Must,
    /// Welcome.
    Nice,
    /// Will be done in the job.
    Duty,
    /// Says something about the job, without asking.
    About,
    /// Offers, praise of the company, legal text: nothing to look for.
    Boilerplate,
}

/// One bullet or sentence of the description.
#[derive(Clone, Debug)]
pub struct Statement<'a> {
    pub part: Part,
    pub text: &'a str,
    /// Its place says what it is, and not only a word in it.
    pub sure: bool,
    /// Under a heading for education or certificates.
    pub schooling: bool,
}

/// Parts with their headings, in the order in which they are tried.
const HEADINGS: &[(Part, &str)] = &[
    (Part::Boilerplate, cues::BOILERPLATE_HEADINGS),
    (Part::Nice, cues::NICE_HEADINGS),
    (Part::Duty, cues::DUTY_HEADINGS),
    (Part::About, cues::ABOUT_HEADINGS),
    (Part::Must, cues::MUST_HEADINGS),
];

/// More lines than any description has that is meant to be read.
const MAX_LINES: usize = 800;

/// Statements of `description` in order. Lines that only name a section are left out.
pub fn statements(description: &str) -> Vec<Statement<'_>> {
    let mut found = Vec::new();
    let mut section: Option<(Part, bool)> = None;
    for line in description.lines().filter(|line| line.contains(char::is_alphanumeric)).take(MAX_LINES) {
        let (text, bullet) = without_bullet(line);
        if text.is_empty() {
            continue;
        }
        if let Some((part, schooling, rest)) = heading(text, bullet) {
            push_sentences(&mut found, rest, Some((part, schooling)), true);
            // "Location: Leeds" is about itself; "What we offer" is about all that follows.
            let on_its_own = part == Part::Boilerplate && !rest.is_empty();
            section = Some((part, schooling)).filter(|_| !on_its_own);
            continue;
        }
        push_sentences(&mut found, text, section, bullet);
    }
    found
}

fn push_sentences<'a>(found: &mut Vec<Statement<'a>>, text: &'a str, section: Option<(Part, bool)>, bullet: bool) {
    for sentence in sentences(text).into_iter().filter(|sentence| sentence.contains(char::is_alphanumeric)) {
        let spoken = plain_line(sentence);
        let part = part_of(&spoken, section.map(|(part, _)| part), bullet);
        let schooling = section.is_some_and(|(_, schooling)| schooling);
        let sure = bullet || section.is_some_and(|(named, _)| named == part);
        found.push(Statement { part, text: after_employer(sentence), sure, schooling });
    }
}

/// "St. Mary is looking for a nurse" asks for a nurse, and not for Mary.
fn after_employer(sentence: &str) -> &str {
    let cues = [" looking for ", " seeking ", " seeks ", " is hiring ", " are hiring ", " recruiting "];
    cues.iter().find_map(|cue| sentence.split_once(cue)).map_or(sentence, |(_, wanted)| wanted)
}

/// What a sentence says wins over where it stands only where it is unmistakable.
fn part_of(spoken: &str, section: Option<Part>, bullet: bool) -> Part {
    let says = |cues| cues::says(spoken, cues);
    if section == Some(Part::Boilerplate) || says(cues::BOILERPLATE) {
        return Part::Boilerplate;
    }
    if section == Some(Part::Nice) || says(cues::NICE) {
        return Part::Nice;
    }
    match section {
        Some(Part::Must) => Part::Must,
        Some(Part::Duty) if says("must have|is required|are required") => Part::Must,
        Some(Part::Duty) => Part::Duty,
        _ if says(cues::DUTY) => Part::Duty,
        _ if says(cues::MUST) => Part::Must,
        _ if says(cues::ABOUT) => Part::Boilerplate,
        _ if bullet && section.is_none() => Part::Must,
        _ => Part::About,
    }
}

/// The section that `line` opens, whether it is about schooling, and what follows its colon.
fn heading(line: &str, bullet: bool) -> Option<(Part, bool, &str)> {
    let (name, rest) = line.split_once(':').unwrap_or((line, ""));
    let name = plain_line(name.trim_matches(|c: char| !c.is_alphanumeric()));
    let length = name.split_whitespace().count();
    if length == 0 || length > 6 || (rest.is_empty() && line.trim_end().ends_with(['.', ',', ';'])) {
        return None;
    }
    let exact = |names| each(names).any(|known| known == name);
    let opens = |names| each(names).any(|known| name.strip_prefix(known).is_some_and(|rest| rest.starts_with(' ')));
    let ends = |names| each(names).any(|known| name.strip_suffix(known).is_some_and(|before| before.ends_with(' ')));
    let part = HEADINGS.iter().find(|(_, names)| exact(names)).or_else(|| {
        // "Preferred qualifications" is about wishes although it ends like a requirement.
        let title = !bullet && (line.contains(':') || length <= 4);
        title.then(|| HEADINGS.iter().find(|(_, names)| opens(names) || ends(names))).flatten()
    });
    let part = part.map(|(part, _)| *part)?;
    let schooling = ["education", "certif", "licen", "qualification", "formation"].iter().any(|cue| name.contains(cue));
    // A sentence without colon that happens to begin like a heading is no heading.
    let said = rest.is_empty() && !line.contains(':') && !starts_like_title(line);
    (!said).then_some((part, schooling, rest.trim()))
}

/// Headings begin with a capital, a mark (`##`, `**`) or are short.
fn starts_like_title(line: &str) -> bool {
    let marked = line.starts_with(['#', '*', '[']);
    let first = line.chars().find(|c| c.is_alphanumeric());
    marked || first.is_some_and(|c| c.is_uppercase() || !c.is_lowercase())
}

fn plain_line(text: &str) -> String {
    plain(text).replace(['’', '`'], "'").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Words before a colon that say what kind of list follows, or that are the term itself.
pub fn head(text: &str) -> Option<(Vec<Word<'_>>, &str)> {
    let (head, rest) = text.split_once(": ")?;
    let head = words(head);
    (1..=4).contains(&head.len()).then_some((head, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(description: &str) -> Vec<(Part, &str)> {
        statements(description).into_iter().map(|statement| (statement.part, statement.text)).collect()
    }

    #[test]
    fn headings_say_what_their_lines_are() {
        let text = "Responsibilities:\n- Teach maths\n\nRequirements\n* QTS\n\n\
                    Nice to have\n• Chess club\n\nWhat we offer\n- Free lunch";
        assert_eq!(
            parts(text),
            [
                (Part::Duty, "Teach maths"),
                (Part::Must, "QTS"),
                (Part::Nice, "Chess club"),
                (Part::Boilerplate, "Free lunch")
            ]
        );
    }

    #[test]
    fn prose_is_read_by_what_it_says() {
        let text = "We are a family-owned bakery. You will bake bread at night. Two years of experience required. \
                    A driving licence is a plus. We offer free coffee.";
        let parts: Vec<Part> = parts(text).into_iter().map(|(part, _)| part).collect();
        assert_eq!(parts, [Part::Boilerplate, Part::Duty, Part::Must, Part::Nice, Part::Boilerplate]);
    }

    #[test]
    fn preferred_qualifications_are_wishes() {
        assert_eq!(parts("Preferred Qualifications:\nSAP"), [(Part::Nice, "SAP")]);
        assert_eq!(parts("Basic qualifications\nSAP"), [(Part::Must, "SAP")]);
    }
}
