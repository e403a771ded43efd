//! Looks for phrases in a resume and weighs where they stand.

use super::{
    demand::Phrase,
    resume::{Resume, Style},
};

/// Words of a phrase may stand this much further apart than in the phrase itself.
const SLACK_WORDS: usize = 3;
/// Less of a phrase than this, in percent, is another phrase.
const LEAST_SHARE: u32 = 60;
/// A statement naming more things than this lists them, whatever its grammar.
const MAX_TERMS_TOLD: usize = 8;

/// Where a phrase was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    pub statement: usize,
    pub word: usize,
}

/// What the resume has of a phrase.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Match {
    /// The whole phrase, once a statement.
    pub whole: Vec<Hit>,
    /// The best part of it, in percent, where the whole stands nowhere.
    pub part: Option<(Hit, u32)>,
}

/// How firmly a term is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strength {
    Missing,
    Partly,
    Listed,
    Told,
    /// In at least two statements about work.
    Repeated,
}

/// The best of `choices`.
pub fn find_any(resume: &Resume<'_>, choices: &[Phrase]) -> Match {
    let mut best = Match::default();
    for phrase in choices {
        let found = find(resume, phrase);
        if best.whole.is_empty() && found.whole.is_empty() {
            let share = |found: &Match| found.part.map_or(0, |(_, share)| share);
            if share(&found) > share(&best) {
                best = found;
            }
        } else {
            best.part = None;
            for hit in found.whole {
                push_once(&mut best.whole, hit);
            }
        }
    }
    best
}

fn find(resume: &Resume<'_>, phrase: &Phrase) -> Match {
    let mut found = Match::default();
    let joined = if phrase.stems.len() == 1 {
        resume.joined_places(&phrase.joined)
    } else {
        resume.places(&phrase.joined).map_or(&[][..], |(_, places)| places)
    };
    for word in joined {
        push_once(&mut found.whole, Hit { statement: resume.statement_of[*word], word: *word });
    }
    let known: Vec<(usize, u32, &[usize])> = phrase
        .stems
        .iter()
        .filter_map(|(stem, weight)| resume.places(stem).map(|(number, places)| (number, *weight, places)))
        .collect();
    let total: u32 = phrase.stems.iter().map(|(_, weight)| weight).sum();
    let reach = phrase.stems.len() + SLACK_WORDS;
    for (_, _, places) in &known {
        for word in *places {
            let hit = Hit { statement: resume.statement_of[*word], word: *word };
            let share = share_around(resume, *word, reach, &known) * 100 / total.max(1);
            if share == 100 {
                push_once(&mut found.whole, hit);
            } else if share >= LEAST_SHARE && found.part.is_none_or(|(_, best)| best < share) {
                found.part = Some((hit, share));
            }
        }
    }
    found.whole.sort_by_key(|hit| hit.word);
    if !found.whole.is_empty() {
        found.part = None;
    }
    found
}

/// Weight of the phrase's words that stand near `word` in its statement.
fn share_around(resume: &Resume<'_>, word: usize, reach: usize, known: &[(usize, u32, &[usize])]) -> u32 {
    if let [(_, weight, _)] = known {
        return *weight;
    }
    let statement = &resume.statements[resume.statement_of[word]];
    let from = word.saturating_sub(reach).max(statement.first_word);
    let to = (word + reach + 1).min(statement.end_word);
    let near = resume.stem_of.get(from..to).unwrap_or(&[]);
    known.iter().filter(|(number, ..)| near.contains(number)).map(|(_, weight, _)| weight).sum()
}

fn push_once(hits: &mut Vec<Hit>, hit: Hit) {
    if !hits.iter().any(|known| known.statement == hit.statement) {
        hits.push(hit);
    }
}

/// Styles of the statements once it is known how many terms each of them names.
pub fn told_styles(resume: &Resume<'_>, matches: &[&Match], copied: impl Fn(usize) -> bool) -> Vec<Style> {
    let mut terms = vec![0; resume.statements.len()];
    for hit in matches.iter().flat_map(|found| &found.whole) {
        terms[hit.statement] += 1;
    }
    let style = |(at, statement): (usize, &super::resume::Statement)| {
        if terms[at] > MAX_TERMS_TOLD || (terms[at] > 0 && copied(at)) { Style::List } else { statement.style }
    };
    resume.statements.iter().enumerate().map(style).collect()
}

pub fn strength(found: &Match, styles: &[Style]) -> Strength {
    let told = found.whole.iter().filter(|hit| styles[hit.statement] > Style::List).count();
    let worked = found.whole.iter().filter(|hit| styles[hit.statement] == Style::Work).count();
    match (found.whole.len(), told, worked) {
        (0, ..) if found.part.is_some() => Strength::Partly,
        (0, ..) => Strength::Missing,
        (_, _, 2..) => Strength::Repeated,
        (_, 1.., _) => Strength::Told,
        _ => Strength::Listed,
    }
}

/// Percent of a term that was found so; `claim` for one that is only listed.
pub fn credit(found: &Match, styles: &[Style], claim: u32) -> u32 {
    let worked = found.whole.iter().any(|hit| styles[hit.statement] == Style::Work);
    match strength(found, styles) {
        Strength::Missing => 0,
        Strength::Partly => found.part.map_or(0, |(_, share)| (share.max(30) - 30) * 5 / 6),
        Strength::Listed => claim,
        Strength::Told if worked => 90,
        Strength::Told => (claim + 20).min(90),
        Strength::Repeated => 100,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::demand::phrases, *};

    fn found(text: &str, wanted: &str) -> Match {
        find_any(&Resume::read(text), &phrases(wanted))
    }

    fn strength_of(text: &str, wanted: &str) -> Strength {
        let resume = Resume::read(text);
        let found = find_any(&resume, &phrases(wanted));
        strength(&found, &told_styles(&resume, &[&found], |_| false))
    }

    #[test]
    fn a_phrase_is_found_in_other_order_form_and_spelling() {
        for (text, wanted) in [
            ("Operated forklifts in two shifts", "forklift operation"),
            ("Triage of incoming patients", "patient triage"),
            ("front-end development", "frontend"),
            ("Frontend developer", "front-end"),
            ("CI / CD pipelines", "CI/CD"),
            ("Wrote it in Go", "Python or Go"),
        ] {
            assert!(!found(text, wanted).whole.is_empty(), "{wanted} in {text}");
        }
    }

    #[test]
    fn words_inside_words_and_words_far_apart_are_no_find() {
        for (text, wanted) in [
            ("Javascript", "Java"),
            ("C++ and C#", "C"),
            ("Goods receipt", "Go"),
            ("Patient with people. Later I ran the triage of tickets", "patient triage"),
        ] {
            assert!(found(text, wanted).whole.is_empty(), "{wanted} in {text}");
        }
    }

    #[test]
    fn doing_counts_more_than_telling_and_telling_more_than_listing() {
        assert_eq!(strength_of("Skills\nRust, Go, Kafka", "Rust"), Strength::Listed);
        assert_eq!(strength_of("I enjoy writing services in Rust.", "Rust"), Strength::Told);
        let twice = "Experience\nWrote the billing service in Rust.\nTaught Rust to the whole team.";
        assert_eq!(strength_of(twice, "Rust"), Strength::Repeated);
        assert_eq!(strength_of("Experience\nWrote the billing service in Rust.", "Rust"), Strength::Told);
        assert_eq!(strength_of("Cooked pasta", "Rust"), Strength::Missing);
    }

    #[test]
    fn most_of_a_phrase_is_a_part_and_half_of_it_is_another_phrase() {
        assert_eq!(strength_of("Backend Engineer at Acme", "Rust Backend Engineer"), Strength::Partly);
        assert_eq!(strength_of("time management", "project management"), Strength::Missing);
    }
}
