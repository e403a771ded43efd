//! Finds in one statement the words that a resume can be searched for.
//!
//! A statement is cut where words stop saying something about the trade. What is left between the cuts is a term, in
//! the job's own spelling, so that whoever reads the rubric recognises it.

use super::{
    chunks::{Chunk, Cut, chunks, is_or},
    degrees::{self, Level},
    lexicon::{is_conduct, is_function},
    words::{Word, words},
    years,
};

/// Something to look for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// As a person would write it: `patient triage`, `Python or Go`.
    pub text: String,
    pub kind: Kind,
    /// Written like a name.
    pub named: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Skill,
    /// A way of working, such as reliability.
    Conduct,
    /// A certificate, licence or registration.
    Licence,
    Degree,
    Years,
}

/// More choices than this are a list of examples.
const MAX_CHOICES: usize = 6;

/// The terms of `statement`, in order. Under a heading for education a bare name is a certificate or a degree.
pub fn terms(statement: &str, schooling: bool) -> Vec<Term> {
    let words = words(statement);
    let chunks = chunks(statement, &words);
    let mut found = Vec::new();
    found.extend(years_term(statement, &words, &chunks));
    let degrees = degrees::levels(&words, true);
    let mut left = chunks;
    if let Some(level) = degrees.iter().map(|(_, level)| *level).min().filter(|_| is_about_degree(&words, schooling)) {
        let mut last = degrees.last().map_or(0, |(at, _)| *at);
        while words
            .get(last + 1)
            .is_some_and(|word| matches!(word.plain.as_str(), "degree" | "degrees" | "diploma" | "level"))
        {
            last += 1;
        }
        let before = left.iter().take_while(|chunk| chunk.first <= last).count();
        let fields = fields(&left[before..], statement, &words);
        left.drain(before..before + fields.len());
        let named = |chunk: &Chunk| degrees.iter().any(|(at, _)| (chunk.first..=chunk.last).contains(at));
        left.retain(|chunk| !named(chunk) && words[chunk.first].plain != "degree");
        found.push(degree_term(level, &fields));
    }
    found.extend(choices(statement, &words, &left, schooling));
    found
}

/// Whether a degree is named for sure, and not only perhaps.
fn is_about_degree(words: &[Word<'_>], schooling: bool) -> bool {
    !degrees::levels(words, schooling).is_empty()
}

fn degree_term(level: Level, fields: &[String]) -> Term {
    let text = if fields.is_empty() {
        level.name().to_owned()
    } else {
        format!("{} in {}", level.name(), fields.join(" or "))
    };
    Term { text, kind: Kind::Degree, named: true }
}

/// "Accounting, finance or a related field": the first chunks after a degree.
fn fields(chunks: &[Chunk], statement: &str, words: &[Word<'_>]) -> Vec<String> {
    let follows = |(at, chunk): &(usize, &Chunk)| {
        (*at == 0 || matches!(chunk.cut, Cut::List | Cut::Or)) && !is_licence(&words[chunk.first..=chunk.last])
    };
    let run: Vec<&Chunk> = chunks.iter().take(4).enumerate().take_while(follows).map(|(_, chunk)| chunk).collect();
    let after = run.last().and_then(|chunk| words.get(chunk.last + 1));
    let choice = run.iter().skip(1).any(|chunk| chunk.cut == Cut::Or) || after.is_some_and(|word| is_or(&word.plain));
    let taken = if choice { run.len() } else { 1 }; // otherwise the list has gone on to other things
    run.into_iter().take(taken).map(|chunk| spelled(statement, words, chunk)).collect()
}

fn years_term(statement: &str, words: &[Word<'_>], chunks: &[Chunk]) -> Option<Term> {
    let (count, at) = years::asked(words)?;
    let subject = chunks.iter().find(|chunk| chunk.first > at).filter(|chunk| {
        let between = &statement[words[at].end..words[chunk.first].start];
        !between.contains([',', ';', '.', ':', '(']) && chunk.first - at <= 6
    });
    let unit = if count == 1 { "year" } else { "years" };
    let text = match subject {
        Some(chunk) => format!("{count} {unit} of {}", spelled(statement, words, chunk)),
        None => format!("{count} {unit} of experience"),
    };
    Some(Term { text, kind: Kind::Years, named: false })
}

/// Chunks as terms; those joined by "or" become one term, since any of them will do.
fn choices(statement: &str, words: &[Word<'_>], chunks: &[Chunk], schooling: bool) -> Vec<Term> {
    let mut found: Vec<Term> = Vec::new();
    let mut at = 0;
    while at < chunks.len() {
        let run = 1 + chunks[at + 1..].iter().take_while(|chunk| matches!(chunk.cut, Cut::List | Cut::Or)).count();
        let ends_in_or = chunks[at + run - 1].cut == Cut::Or;
        if run > 1 && run <= MAX_CHOICES && ends_in_or {
            let all: Vec<Term> =
                chunks[at..at + run].iter().map(|chunk| term(statement, words, chunk, schooling)).collect();
            let text = all.iter().map(|term| term.text.as_str()).collect::<Vec<_>>().join(" or ");
            found.push(Term { text, kind: all[0].kind, named: all.iter().any(|term| term.named) });
        } else {
            found.extend(chunks[at..at + run].iter().map(|chunk| term(statement, words, chunk, schooling)));
        }
        at += run;
    }
    found.retain(|term| !is_bare_licence(&term.text));
    found
}

fn term(statement: &str, words: &[Word<'_>], chunk: &Chunk, schooling: bool) -> Term {
    let own = &words[chunk.first..=chunk.last];
    let content = || own.iter().filter(|word| !is_function(word));
    let kind = if is_licence(own) || schooling {
        Kind::Licence
    } else if content().all(|word| is_conduct(&word.plain)) {
        Kind::Conduct
    } else {
        Kind::Skill
    };
    Term { text: spelled(statement, words, chunk), kind, named: is_named(statement, words, chunk) }
}

fn spelled(statement: &str, words: &[Word<'_>], chunk: &Chunk) -> String {
    let text = &statement[words[chunk.first].start..words[chunk.last].end];
    let first_is_plain_start = chunk.first == 0 && !words[0].looks_coined() && !is_named(statement, words, chunk);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if !first_is_plain_start {
        return text;
    }
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}

/// Capitals are a name where the rest of the statement does without them.
fn is_named(statement: &str, words: &[Word<'_>], chunk: &Chunk) -> bool {
    let own = &words[chunk.first..=chunk.last];
    if own.iter().any(Word::looks_coined) {
        return true;
    }
    let is_list = statement.contains([',', '/', '&']);
    let capitals = words.iter().filter(|word| word.starts_upper()).count();
    let title_case = words.len() > 3 && capitals * 10 >= words.len() * 6 && !is_list;
    let alone = words.len() <= 3 && own.iter().all(Word::starts_upper);
    let opens_list = is_list && chunk.first == 0 && words.get(own.len()).is_some_and(Word::starts_upper);
    let inside = own.iter().enumerate().any(|(at, word)| chunk.first + at > 0 && word.starts_upper());
    alone || opens_list || (inside && !title_case)
}

pub fn is_licence(words: &[Word<'_>]) -> bool {
    words.iter().any(|word| is_licence_word(&word.plain))
}

fn is_licence_word(plain: &str) -> bool {
    ["licence", "license", "certif", "accredit", "zertifi", "fuhrerschein", "permis"]
        .iter()
        .any(|cue| plain.starts_with(cue))
        && !plain.starts_with("permissi")
        || matches!(plain, "registration" | "credential" | "credentials" | "licensure" | "lizenz")
}

fn is_bare_licence(text: &str) -> bool {
    words(text).iter().all(|word| is_licence_word(&word.plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(statement: &str) -> Vec<String> {
        terms(statement, false).into_iter().map(|term| term.text).collect()
    }

    #[test]
    fn lower_case_trades_are_found_without_a_list_of_them() {
        assert_eq!(
            texts("Experience with patient triage in an emergency department"),
            ["patient triage", "emergency department"]
        );
        assert_eq!(
            texts("Strong knowledge of double-entry bookkeeping and HACCP"),
            ["double-entry bookkeeping", "HACCP"]
        );
        assert_eq!(texts("Must be able to operate reach trucks"), ["operate reach trucks"]);
    }

    #[test]
    fn names_keep_their_symbols_and_numbers() {
        assert_eq!(
            texts("Proficiency in C++, C#, Node.js, CI/CD and ISO 9001"),
            ["C++", "C#", "Node.js", "CI/CD", "ISO 9001"]
        );
    }

    #[test]
    fn any_of_several_choices_will_do() {
        assert_eq!(texts("You know Python, Go or Rust"), ["Python or Go or Rust"]);
        assert_eq!(texts("SAP/Oracle"), ["SAP or Oracle"]);
    }

    #[test]
    fn years_and_degrees_become_terms_of_their_own() {
        assert_eq!(texts("5+ years of Rust experience"), ["5 years of Rust", "Rust"]);
        assert_eq!(texts("Minimum two years' experience"), ["2 years of experience"]);
        assert_eq!(
            texts("Bachelor's degree in accounting, finance or a related field"),
            ["Bachelor's degree in accounting or finance"]
        );
    }

    #[test]
    fn conduct_and_licences_are_told_apart_from_skills() {
        let kinds: Vec<Kind> = terms("Good communication, forklift licence and stock control", false)
            .into_iter()
            .map(|t| t.kind)
            .collect();
        assert_eq!(kinds, [Kind::Conduct, Kind::Licence, Kind::Skill]);
    }

    #[test]
    fn framing_alone_asks_for_nothing() {
        assert!(texts("You should have strong skills and relevant experience").is_empty());
    }
}
