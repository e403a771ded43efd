//! Compares the degrees of a resume with the one that is asked for.

use super::{
    degrees::{self, Level},
    demand::Phrase,
    grade::Finding,
    matching::{Hit, Match, Strength},
    resume::Resume,
    sections::Section,
};

/// `found` is where the wanted fields of study stand.
pub fn degree_finding(resume: &Resume<'_>, label: &str, wanted: Level, fields: &[Phrase], found: &Match) -> Finding {
    let Some((hit, level)) = highest(resume) else {
        let note = Some("no degree was found".to_owned());
        return Finding { label: label.to_owned(), strength: Strength::Missing, credit: 0, hits: Vec::new(), note };
    };
    let studied = found.whole.iter().any(|at| at.statement.abs_diff(hit.statement) <= 1);
    let credit = match level.short_of(wanted) {
        0 if studied || fields.is_empty() => {
            if level > wanted {
                92
            } else {
                85
            }
        }
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

#[cfg(test)]
mod tests {
    use super::{
        super::{demand::phrases, matching::find_any},
        *,
    };

    fn credit(resume: &str, fields: &str) -> u32 {
        let (resume, fields) = (Resume::read(resume), phrases(fields));
        let found = find_any(&resume, &fields);
        degree_finding(&resume, "Bachelor's degree", Level::BACHELOR, &fields, &found).credit
    }

    #[test]
    fn a_degree_in_the_field_beats_another_field_beats_a_lower_degree_beats_none() {
        let ranked = [
            credit("Education\nMSc Accounting, 2015", "accounting or finance"),
            credit("Education\nBSc Accounting, 2015", "accounting or finance"),
            credit("Education\nBSc Botany, 2015", "accounting or finance"),
            credit("Education\nHigh school diploma, 2010", "accounting or finance"),
            credit("Experience\nCook, Acme, 2015 - 2019", "accounting or finance"),
        ];
        assert!(ranked.is_sorted_by(|better, worse| better > worse), "{ranked:?}");
        assert_eq!(ranked[4], 0);
    }
}
