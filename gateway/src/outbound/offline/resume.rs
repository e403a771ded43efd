//! A resume as something to search: statements with their style and place, and where each word stands.
//!
//! Style matters because a word in a list claims less than the same word in a sentence about work done.

use std::collections::{HashMap, HashSet};

use super::{
    lexicon::is_function,
    lines::{sentence_places, without_bullet},
    sections::Section,
    words::{Word, words},
    years::{self, Dated, Span},
};

/// Places remembered for one word. An honest resume stays far below; a stuffed one gains nothing from more.
const MAX_PLACES: usize = 64;
/// A line with more date ranges is a table.
const MAX_DATES_OF_A_TITLE: usize = 4;
/// A line shorter than this does not run on into the next.
const MIN_WRAPPED_CHARACTERS: usize = 40;

/// What a statement shows, from claiming to doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Style {
    /// Words in a row, or said before.
    List,
    /// A sentence outside of a job.
    Prose,
    /// A job's title line or a sentence about it.
    Work,
}

/// A sentence or bullet of the resume, in bytes of its text and by its words.
#[derive(Clone, Debug)]
pub struct Statement {
    pub start: usize,
    pub end: usize,
    pub first_word: usize,
    pub end_word: usize,
    pub section: Section,
    pub style: Style,
}

/// One dated job, with the statements about it.
#[derive(Clone, Debug)]
pub struct Entry {
    pub span: Span,
    pub first: usize,
    pub end: usize,
}

pub struct Resume<'a> {
    pub text: &'a str,
    pub words: Vec<Word<'a>>,
    pub statements: Vec<Statement>,
    pub entries: Vec<Entry>,
    /// For each word its statement.
    pub statement_of: Vec<usize>,
    /// For each word the number of its stem.
    pub stem_of: Vec<usize>,
    numbers: HashMap<String, usize>,
    places: Vec<Vec<usize>>,
    joined: HashMap<String, Vec<usize>>,
}

impl<'a> Resume<'a> {
    pub fn read(text: &'a str) -> Self {
        let words = words(text);
        let mut statements = statements(text, &words);
        let today = years::latest_year(&words).unwrap_or(0);
        let dates: Vec<Vec<Dated>> =
            statements.iter().map(|s| years::ranges(&text[s.start..s.end], s.start, today)).collect();
        mark_styles(text, &words, &mut statements, &dates);
        let entries = entries(&statements, &dates, &words);
        let mut resume = Resume {
            text,
            statement_of: vec![0; words.len()],
            stem_of: Vec::with_capacity(words.len()),
            words,
            statements,
            entries,
            numbers: HashMap::new(),
            places: Vec::new(),
            joined: HashMap::new(),
        };
        resume.index();
        resume
    }

    /// Where the stem stands, and its number.
    pub fn places(&self, stem: &str) -> Option<(usize, &[usize])> {
        let number = *self.numbers.get(stem)?;
        Some((number, &self.places[number]))
    }

    /// Where two neighbouring words read as one: `front end` for `frontend`.
    pub fn joined_places(&self, stem: &str) -> &[usize] {
        self.joined.get(stem).map_or(&[], Vec::as_slice)
    }

    pub fn months(&self, wanted: impl Fn(&Entry) -> bool) -> u32 {
        let spans: Vec<Span> = self.entries.iter().filter(|entry| wanted(entry)).map(|entry| entry.span).collect();
        years::months_covered(&spans)
    }

    /// Whether any work is dated; without, all of it is a claim.
    pub fn tells(&self) -> bool {
        !self.entries.is_empty()
    }

    fn index(&mut self) {
        for (number, statement) in self.statements.iter().enumerate() {
            self.statement_of[statement.first_word..statement.end_word].fill(number);
        }
        for (at, word) in self.words.iter().enumerate() {
            let next = self.places.len();
            let number = *self.numbers.entry(word.stem.clone()).or_insert(next);
            if number == next {
                self.places.push(Vec::new());
            }
            self.stem_of.push(number);
            remember(&mut self.places[number], at);
            let Some(after) = self.words.get(at + 1).filter(|after| after.start == word.end + 1) else { continue };
            if !is_function(word) && !is_function(after) {
                let joined = super::stem::stem(&format!("{}{}", word.plain, after.plain));
                remember(self.joined.entry(joined).or_default(), at);
            }
        }
    }
}

fn remember(places: &mut Vec<usize>, at: usize) {
    if places.len() < MAX_PLACES {
        places.push(at);
    }
}

/// Cuts the text into statements; a line that runs on in small letters belongs to the one before.
fn statements(text: &str, words: &[Word<'_>]) -> Vec<Statement> {
    let mut blocks: Vec<(usize, usize, Section)> = Vec::new();
    let mut section = Section::Other;
    let mut open = false;
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let start = offset;
        offset += line.len();
        let (content, bullet) = without_bullet(line);
        if content.is_empty() {
            open = false;
            continue;
        }
        if let Some(named) = Section::named(content) {
            section = named;
            open = false;
            continue;
        }
        let from = start + line.find(content).unwrap_or(0);
        let to = from + content.len();
        let runs_on = open && !bullet && content.starts_with(char::is_lowercase);
        match blocks.last_mut().filter(|_| runs_on) {
            Some(last) => last.1 = to,
            None => blocks.push((from, to, section)),
        }
        open = content.chars().count() >= MIN_WRAPPED_CHARACTERS && !content.ends_with(['.', '!', '?', ':']);
    }
    let mut found = Vec::new();
    let mut word = 0;
    for (from, to, section) in blocks {
        for (start, end) in sentence_places(&text[from..to]) {
            let (start, end) = (from + start, from + end);
            let first_word = word + words[word..].partition_point(|word| word.start < start);
            let end_word = first_word + words[first_word..].partition_point(|word| word.end <= end);
            word = end_word;
            if first_word < end_word {
                found.push(Statement { start, end, first_word, end_word, section, style: Style::List });
            }
        }
    }
    found
}

fn mark_styles(text: &str, words: &[Word<'_>], statements: &mut [Statement], dates: &[Vec<Dated>]) {
    let mut said: HashSet<String> = HashSet::new();
    for at in 0..statements.len() {
        let statement = &statements[at];
        let own = &words[statement.first_word..statement.end_word];
        let fingerprint: String = own.iter().flat_map(|word| [word.stem.as_str(), " "]).collect();
        let new = said.insert(fingerprint);
        let in_job = !dates[at].is_empty() && statement.section != Section::Education;
        statements[at].style = if new { style(text, own, statement, in_job) } else { Style::List };
        if in_job
            && is_bare(own, &dates[at])
            && at > 0
            && statements[at - 1].end_word - statements[at - 1].first_word <= 10
        {
            statements[at - 1].style = Style::Work;
        }
    }
}

fn style(text: &str, own: &[Word<'_>], statement: &Statement, dated: bool) -> Style {
    let marks = text[statement.start..statement.end].matches([',', '|', '•', '/', ';', '·']).count();
    let functions = own.iter().filter(|word| is_function(word)).count();
    let in_job = statement.section == Section::Experience;
    if dated && own.len() <= 24 {
        return Style::Work;
    }
    let crowded = marks * 3 > own.len();
    if statement.section == Section::Education {
        return Style::List; // taught is not yet done
    }
    let sentence = own.len() >= 4 && functions * 10 >= own.len() && !crowded;
    let duty =
        in_job && own.len() >= 3 && own.len() <= 40 && marks * 4 <= own.len() && (functions > 0 || own.len() <= 8);
    match (sentence || duty, in_job) {
        (true, true) => Style::Work,
        (true, false) if statement.section != Section::Skills || own.len() >= 6 => Style::Prose,
        _ => Style::List,
    }
}

/// Dates with hardly a word beside them; the title stands on the line above.
fn is_bare(own: &[Word<'_>], dates: &[Dated]) -> bool {
    let beside = |word: &&Word<'_>| !dates.iter().any(|dated| dated.start <= word.start && word.end <= dated.end);
    dates.len() <= MAX_DATES_OF_A_TITLE && own.iter().filter(beside).count() <= 2
}

/// A dated statement opens an entry that reaches to the next one or to another section.
fn entries(statements: &[Statement], dates: &[Vec<Dated>], words: &[Word<'_>]) -> Vec<Entry> {
    let opens = |at: &usize| !dates[*at].is_empty() && statements[*at].section != Section::Education;
    let opening: Vec<usize> = (0..statements.len()).filter(opens).collect();
    let mut found = Vec::new();
    for (number, at) in opening.iter().enumerate() {
        let limit = opening.get(number + 1).copied().unwrap_or(statements.len());
        let section = statements[*at].section;
        let end = (*at..limit).find(|other| statements[*other].section != section).unwrap_or(limit);
        let short = |at: usize| statements[at].end_word - statements[at].first_word <= 10;
        let own = &words[statements[*at].first_word..statements[*at].end_word];
        let above = *at > 0 && is_bare(own, &dates[*at]) && short(at - 1) && statements[at - 1].section == section;
        let first = if above { at - 1 } else { *at };
        found.extend(dates[*at].iter().map(|dated| Entry { span: dated.span, first, end }));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Ann Lee\nSkills\nRust, Kafka, Docker\nExperience\nBackend Engineer, Acme (2019–2022)\n\
                        - Moved the billing system to Rust and cut its\nrunning costs by half.\n\
                        Education\nBSc Physics, 2015–2018";

    #[test]
    fn lists_and_work_are_told_apart() {
        let resume = Resume::read(TEXT);
        let styles: Vec<(Style, &str)> = resume.statements.iter().map(|s| (s.style, &TEXT[s.start..s.end])).collect();
        assert_eq!(styles[1], (Style::List, "Rust, Kafka, Docker"));
        assert_eq!(styles[2], (Style::Work, "Backend Engineer, Acme (2019–2022)"));
        assert_eq!(styles[3].0, Style::Work);
        assert!(styles[3].1.ends_with("by half."), "a wrapped line is one statement");
    }

    #[test]
    fn years_at_school_are_no_years_of_work() {
        assert_eq!(Resume::read(TEXT).months(|_| true), 36);
    }

    #[test]
    fn a_sentence_said_twice_counts_once() {
        let resume = Resume::read("Experience\nI wrote services in Rust.\nI wrote services in Rust.");
        assert_eq!(resume.statements.iter().map(|s| s.style).collect::<Vec<_>>(), [Style::Work, Style::List]);
    }
}
