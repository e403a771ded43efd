//! Reads back from a rubric what is to be looked for.
//!
//! A rubric carries only words, whoever drew it up, so years and degrees are recognised by how they are written.

use starscreen_domain::job::Category;

use super::{
    degrees::{self, Level},
    lexicon::{is_frame, is_function},
    terms::terms,
    words::words,
    years,
};

/// Asks for dated work where the job names no number of years.
pub const HISTORY: &str = "work history with dates that fits the job";
/// Ends the description of a category for which the job gave no words.
pub const NOTHING_TO_LOOK_FOR: &str = "The description gives no words to look for.";
/// What counts as a fair time in a trade where the job names none.
const USUAL_YEARS: u32 = 3;
/// A phrase of more words is a sentence; its terms are looked for one by one.
const MAX_PHRASE_WORDS: usize = 5;
const MAX_DEMANDS: usize = 24;

/// One thing to look for in a resume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Demand {
    /// Any of `choices`, each a phrase.
    Term {
        label: String,
        choices: Vec<Phrase>,
    },
    Years {
        label: String,
        count: u32,
        subject: Vec<Phrase>,
    },
    Degree {
        label: String,
        level: Level,
        fields: Vec<Phrase>,
    },
}

/// Words that belong together, each with its weight: names say more than the words around them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phrase {
    pub stems: Vec<(String, u32)>,
    /// The phrase written as one word: `frontend` for `front-end`.
    pub joined: String,
}

impl Demand {
    pub fn label(&self) -> &str {
        match self {
            Demand::Term { label, .. } | Demand::Years { label, .. } | Demand::Degree { label, .. } => label,
        }
    }
}

/// What `category` asks for: its examples, or its own name and description where it has none.
pub fn demands(category: &Category) -> Vec<Demand> {
    let mut found: Vec<Demand> = category.examples_of_evidence.iter().flat_map(|example| read(example)).collect();
    let says_nothing = category.description.ends_with(NOTHING_TO_LOOK_FOR);
    if found.is_empty() && !says_nothing {
        let own = [&category.name, &category.description];
        found = own.into_iter().flat_map(|text| terms(text, false)).flat_map(|term| read(&term.text)).collect();
    }
    let mut seen = Vec::new();
    found.retain(|demand| {
        let new = !seen.contains(&demand.label().to_lowercase());
        seen.push(demand.label().to_lowercase());
        new
    });
    found.truncate(MAX_DEMANDS);
    found
}

fn read(example: &str) -> Vec<Demand> {
    let label = example.split_whitespace().collect::<Vec<_>>().join(" ");
    if label == HISTORY {
        return vec![Demand::Years { label, count: USUAL_YEARS, subject: Vec::new() }];
    }
    let words = words(&label);
    if let Some((count, at)) = years::asked(&words) {
        let says_what = words[at + 1..].iter().any(|word| !is_function(word) && !is_frame(&word.plain));
        let subject = if says_what { phrases(&label[words[at].end..]) } else { Vec::new() };
        return vec![Demand::Years { label, count, subject }];
    }
    if let Some(level) = degrees::levels(&words, true).into_iter().map(|(_, level)| level).min() {
        let fields = label.split_once(" in ").map_or_else(Vec::new, |(_, fields)| phrases(fields));
        return vec![Demand::Degree { label, level, fields }];
    }
    let choices = phrases(&label);
    if choices.iter().all(|phrase| phrase.stems.len() <= MAX_PHRASE_WORDS) {
        return if choices.is_empty() { vec![] } else { vec![Demand::Term { label, choices }] };
    }
    terms(&label, false)
        .into_iter()
        .map(|term| Demand::Term { choices: phrases(&term.text), label: term.text })
        .filter(|demand| matches!(demand, Demand::Term { choices, .. } if !choices.is_empty()))
        .collect()
}

/// "Python or Go": one phrase a choice, without the words that say nothing.
pub fn phrases(text: &str) -> Vec<Phrase> {
    text.split(" or ").map(phrase).filter(|phrase| !phrase.stems.is_empty()).collect()
}

fn phrase(text: &str) -> Phrase {
    let mut kept: Vec<_> = words(text).into_iter().filter(|word| !is_function(word)).collect();
    if kept.iter().any(|word| !is_frame(&word.plain)) {
        kept.retain(|word| !is_frame(&word.plain) || word.looks_coined());
    }
    let joined = kept.iter().map(|word| word.plain.as_str()).collect::<String>();
    let weigh = |word: &super::words::Word<'_>| if word.starts_upper() || word.looks_coined() { 2 } else { 1 };
    let mut stems: Vec<(String, u32)> = Vec::new();
    for word in &kept {
        if !stems.iter().any(|(stem, _)| *stem == word.stem) {
            stems.push((word.stem.clone(), weigh(word)));
        }
    }
    Phrase { stems, joined: super::stem::stem(&joined) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn years_degrees_and_choices_are_read_back() {
        assert!(matches!(&read("5 years of Rust")[0], Demand::Years { count: 5, subject, .. } if subject.len() == 1));
        assert!(
            matches!(&read("3 years of experience")[0], Demand::Years { count: 3, subject, .. } if subject.is_empty())
        );
        assert!(
            matches!(&read("Master's degree in law or maths")[0], Demand::Degree { fields, .. } if fields.len() == 2)
        );
        assert!(matches!(&read("Python or Go")[0], Demand::Term { choices, .. } if choices.len() == 2));
    }

    #[test]
    fn a_sentence_is_looked_for_in_parts() {
        let demands =
            read("Led the migration of legacy billing systems to PostgreSQL and Kafka across four regional teams");
        assert!(demands.len() > 1, "{demands:?}");
    }
}
