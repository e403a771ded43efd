//! What of a model's answer stands up to the resume's text.
//!
//! A grade counts when its quotes really stand in the text, word for word. What does not is left open and put before a
//! person: a category never becomes 0 silently, and a model that invents a quote earns nobody a point.

use starscreen_domain::{
    candidate::{CategoryGrade, Contact, Evaluation, QuoteFinder},
    job::Rubric,
};

use crate::ports::Graded;

/// Points that a grade may have without a quote: "no evidence".
const MAX_UNSUPPORTED_POINTS: u8 = 20;

/// An answer after the check.
pub(super) struct Verified {
    /// In the rubric's order, with the quotes' places in the text; categories in doubt have no score.
    pub evaluation: Evaluation,
    /// What of the model's contact data stands in the text.
    pub contact: Contact,
    pub doubts: Vec<Doubt>,
    pub model: String,
    pub prompt_version: String,
}

/// Why a category has no score.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// The answer has no grade for it.
    Missing(String),
    /// A quote does not stand in the text, or a good grade has none.
    Unverified(String),
}

impl Doubt {
    /// As `needs_review` spells it.
    pub fn reason(&self) -> String {
        match self {
            Self::Missing(category) => format!("ungraded_category:{category}"),
            Self::Unverified(category) => format!("unverified_quote:{category}"),
        }
    }

    fn category(&self) -> &str {
        match self {
            Self::Missing(category) | Self::Unverified(category) => category,
        }
    }
}

impl Verified {
    pub fn of(graded: Graded, rubric: &Rubric, text: &str) -> Self {
        let Graded { mut evaluation, contact, model, prompt_version } = graded;
        let quotes = QuoteFinder::new(text);
        let mut doubts = vec![];
        evaluation.categories = rubric
            .categories
            .iter()
            .map(|category| {
                let said = evaluation.categories.iter().find(|grade| grade.category_id == category.category_id);
                let Some(said) = said else {
                    doubts.push(Doubt::Missing(category.category_id.clone()));
                    return CategoryGrade {
                        category_id: category.category_id.clone(),
                        name: category.name.clone(),
                        score: None,
                        reasoning: "This category was not graded.".to_owned(),
                        evidence: vec![],
                    };
                };
                let shown = said.evidence.iter().filter(|quote| says_something(&quote.quote));
                let evidence: Vec<_> = shown.filter_map(|quote| quotes.locate(&quote.quote)).collect();
                let invented = evidence.len() < said.evidence.len();
                let bare =
                    evidence.is_empty() && said.score.is_some_and(|score| score.points() > MAX_UNSUPPORTED_POINTS);
                let score = if invented || bare {
                    doubts.push(Doubt::Unverified(category.category_id.clone()));
                    None
                } else {
                    said.score
                };
                CategoryGrade {
                    category_id: category.category_id.clone(),
                    name: category.name.clone(),
                    score,
                    reasoning: said.reasoning.clone(),
                    evidence,
                }
            })
            .collect();
        let contact = in_text(contact, &quotes);
        Self { evaluation, contact, doubts, model, prompt_version }
    }

    /// Takes from a second answer the categories that were in doubt and no longer are.
    pub fn mended_by(mut self, second: Self) -> Self {
        for (mine, theirs) in self.evaluation.categories.iter_mut().zip(second.evaluation.categories) {
            let doubtful = |doubts: &[Doubt]| doubts.iter().any(|doubt| doubt.category() == mine.category_id);
            if doubtful(&self.doubts) && !doubtful(&second.doubts) {
                self.doubts.retain(|doubt| doubt.category() != theirs.category_id);
                *mine = theirs;
            }
        }
        self
    }
}

/// Whether a quote can be evidence: three letters or signs at least, or two that are no small word ("Go", "C#", "5y").
fn says_something(quote: &str) -> bool {
    let shown: Vec<char> = quote.chars().filter(|letter| !letter.is_whitespace()).collect();
    let is_worded = shown.iter().any(|letter| letter.is_alphanumeric());
    is_worded && (shown.len() > 2 || shown.len() == 2 && !shown.iter().all(|letter| letter.is_lowercase()))
}

/// Only what stands in the text, letter by letter: a model must not make up how to reach somebody.
fn in_text(contact: Contact, text: &QuoteFinder<'_>) -> Contact {
    let stands = |value: Option<String>| value.filter(|value| text.locate(value).is_some());
    // An address may be written without its scheme.
    let address = |value: &String| {
        let bare = value.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
        !bare.is_empty() && text.locate(bare).is_some()
    };
    Contact {
        first_name: stands(contact.first_name),
        last_name: stands(contact.last_name),
        email: stands(contact.email),
        phone: stands(contact.phone),
        location: stands(contact.location),
        linkedin_url: contact.linkedin_url.filter(&address),
        github_url: contact.github_url.filter(&address),
        portfolio_url: contact.portfolio_url.filter(&address),
        other_urls: contact.other_urls.into_iter().filter(address).collect(),
    }
}

#[cfg(test)]
mod tests {
    use starscreen_domain::{
        candidate::Quote,
        job::{BackgroundPatterns, Category, EducationPreferences},
        score::{Importance, Score},
    };

    use super::*;

    const TEXT: &str = "Ada Lovelace\nWrote the first  program for the\nAnalytical Engine. github.com/ada";

    fn rubric() -> Rubric {
        let category = |id: &str| Category {
            category_id: id.to_owned(),
            name: id.to_uppercase(),
            importance: Importance::try_new(3).unwrap(),
            description: String::new(),
            examples_of_evidence: vec![],
        };
        Rubric {
            title: String::new(),
            seniority_level: String::new(),
            role_summary: String::new(),
            core_responsibilities: vec![],
            categories: ["a", "b", "c", "d"].map(category).to_vec(),
            desired_background_patterns: BackgroundPatterns::default(),
            education_preferences: EducationPreferences::default(),
        }
    }

    fn said(id: &str, points: Option<u8>, quotes: &[&str]) -> CategoryGrade {
        CategoryGrade {
            category_id: id.to_owned(),
            name: id.to_owned(),
            score: points.map(|points| Score::try_new(points).unwrap()),
            reasoning: "because".to_owned(),
            evidence: quotes.iter().map(|quote| Quote { quote: (*quote).to_owned(), start: 0, end: 0 }).collect(),
        }
    }

    fn answer(categories: Vec<CategoryGrade>) -> Verified {
        let evaluation = Evaluation { categories, ..Evaluation::default() };
        let contact = Contact::default();
        let graded = Graded { evaluation, contact, model: "m".to_owned(), prompt_version: "p".to_owned() };
        Verified::of(graded, &rubric(), TEXT)
    }

    #[test]
    fn a_quote_gets_its_place_and_the_texts_own_spelling() {
        let verified = answer(vec![said("a", Some(90), &["the first program for the Analytical Engine"])]);
        let quote = &verified.evaluation.categories[0].evidence[0];
        let sliced: String = TEXT.chars().skip(quote.start).take(quote.end - quote.start).collect();
        assert_eq!(
            (quote.quote.as_str(), sliced.as_str()),
            ("the first  program for the\nAnalytical Engine", sliced.as_str())
        );
        assert_eq!(verified.evaluation.categories[0].score.map(Score::points), Some(90));
    }

    #[test]
    fn an_invented_quote_costs_the_category_its_score() {
        let verified = answer(vec![said("a", Some(90), &["the first program", "led a team of fifty"])]);
        assert_eq!(verified.evaluation.categories[0].score, None);
        assert!(verified.doubts.contains(&Doubt::Unverified("a".to_owned())));
    }

    #[test]
    fn a_letter_or_a_part_of_a_word_is_no_evidence() {
        for nothing in ["e", "a", "th", "the", "A", "...", "rote", "Engin"] {
            let verified = answer(vec![said("a", Some(95), &[nothing])]);
            assert_eq!(verified.evaluation.categories[0].score.is_some(), nothing == "the", "{nothing}");
        }
        assert!(says_something("Go") && says_something("C#") && says_something("C++") && !says_something("is"));
    }

    #[test]
    fn a_good_grade_needs_a_quote_and_a_bad_one_does_not() {
        let verified = answer(vec![said("a", Some(21), &[]), said("b", Some(20), &[]), said("c", None, &[])]);
        let scores: Vec<_> =
            verified.evaluation.categories.iter().map(|grade| grade.score.map(Score::points)).collect();
        assert_eq!(scores, [None, Some(20), None, None]);
        assert_eq!(verified.doubts, [Doubt::Unverified("a".to_owned()), Doubt::Missing("d".to_owned())]);
    }

    #[test]
    fn a_second_answer_mends_only_what_was_in_doubt() {
        let first = answer(vec![said("a", Some(10), &[]), said("b", Some(80), &["no such words"])]);
        let second = answer(vec![said("a", Some(99), &["Ada Lovelace"]), said("b", Some(70), &["Analytical Engine"])]);
        let mended = first.mended_by(second);
        let scores: Vec<_> = mended.evaluation.categories.iter().map(|grade| grade.score.map(Score::points)).collect();
        assert_eq!(scores, [Some(10), Some(70), None, None]);
        assert_eq!(mended.doubts, [Doubt::Missing("c".to_owned()), Doubt::Missing("d".to_owned())]);
    }

    #[test]
    fn contact_data_that_the_text_does_not_have_is_dropped() {
        let made_up = Contact {
            first_name: Some("Ada".to_owned()),
            email: Some("ada@made.up".to_owned()),
            github_url: Some("https://github.com/ada".to_owned()),
            other_urls: vec!["https://evil.example".to_owned()],
            ..Contact::default()
        };
        let kept = in_text(made_up, &QuoteFinder::new(TEXT));
        let expected = Contact {
            first_name: Some("Ada".to_owned()),
            github_url: Some("https://github.com/ada".to_owned()),
            ..Contact::default()
        };
        assert_eq!(kept, expected);
    }
}
