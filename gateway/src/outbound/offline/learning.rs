//! Compares the degrees of a resume with the one that is asked for.

use super::{
    degrees::{self, Level},
    demand::Phrase,
    grade::Finding,
    matching::{Hit, Match, Strength},
    resume::{Resume, Section},
};

/// `found` is where the wanted fields of study stand.
pub fn degree_finding(resume: &Resume<'_>, label: &str, wanted: Level, fields: &[Phrase], found: &Match) -> Finding {
    let Some((hit, level)) = highest(resume) else {
        let note = Some("no degree was found".to_owned());
        return Finding { label: label.to_owned(), strength: Strength::Missing, credit: 0, hits: Vec::new(), note };
    };
    let studied = found.whole.iter().any(|at| at.statement.abs_diff(hit.statement) <= 1);
    let credit = match level.short_of(wanted) {
        0 if studied || fields.is_empty() => if level > wanted { 92 } else { 85 },
        0 if !found.whole.is_empty() => 70,
        0 => 50,
        1 => 30,
        _ => 12,
    };
    let field = match (fields.is_empty(), studied) {
        (true, _) => "",
        (false, true) => " in a field asked for",
        (false, false) => " in another field",
    };
    let note = Some(format!("the highest degree found is a {}{field}", level.name().to_lowercase()));
    Finding { label: label.to_owned(), strength: Strength::Told, credit, hits: vec![hit], note }
}

fn highest(resume: &Resume<'_>) -> Option<(Hit, Level)> {
    let mut best: Option<(Hit, Level)> = None;
    for (number, statement) in resume.statements.iter().enumerate() {
        let own = &resume.words[statement.first_word..statement.end_word];
        for (at, level) in degrees::levels(own, statement.section == Section::Education) {
            if best.is_none_or(|(_, known)| known < level) {
                best = Some((Hit { statement: number, word: statement.first_word + at }, level));
            }
        }
    }
    best
}
