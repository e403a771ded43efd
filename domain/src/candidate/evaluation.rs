//! What a score says in words, and how to reach the person it is about.

use serde::{Deserialize, Serialize};

use super::Quote;
use crate::{
    job::Rubric,
    score::{Importance, Score},
};

/// A category's part in the total, as the event keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CategoryScore {
    pub category_id: String,
    pub importance: Importance,
    /// `None`: the text gave no ground to stand on, a person should look.
    pub score: Option<Score>,
}

/// Reasons behind a score. Speaks of a person, so it is sealed in the event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evaluation {
    pub summary: String,
    pub pros: Vec<String>,
    pub cons: Vec<String>,
    pub interview_questions: Vec<String>,
    /// In the rubric's order.
    pub categories: Vec<CategoryGrade>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CategoryGrade {
    pub category_id: String,
    pub name: String,
    pub score: Option<Score>,
    pub reasoning: String,
    pub evidence: Vec<Quote>,
}

/// How to reach a person. Fields that nobody gave or found are absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Contact {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linkedin_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub github_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub portfolio_url: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other_urls: Vec<String>,
}

impl Contact {
    /// Keeps what is given and takes from `found` only what is missing.
    #[must_use]
    pub fn or(self, found: Contact) -> Contact {
        Contact {
            first_name: self.first_name.or(found.first_name),
            last_name: self.last_name.or(found.last_name),
            email: self.email.or(found.email),
            phone: self.phone.or(found.phone),
            location: self.location.or(found.location),
            linkedin_url: self.linkedin_url.or(found.linkedin_url),
            github_url: self.github_url.or(found.github_url),
            portfolio_url: self.portfolio_url.or(found.portfolio_url),
            other_urls: if self.other_urls.is_empty() { found.other_urls } else { self.other_urls },
        }
    }
}

impl Evaluation {
    /// The scores as the event keeps them, in the rubric's order; a category without a grade has none.
    pub fn scores(&self, rubric: &Rubric) -> Vec<CategoryScore> {
        let score_of = |id: &str| self.categories.iter().find(|grade| grade.category_id == id).and_then(|g| g.score);
        rubric
            .categories
            .iter()
            .map(|category| CategoryScore {
                category_id: category.category_id.clone(),
                importance: category.importance,
                score: score_of(&category.category_id),
            })
            .collect()
    }
}
