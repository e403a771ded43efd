use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::score::Importance;

/// What to look for in a resume for one job, and how much each part counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rubric {
    pub title: String,
    pub seniority_level: String,
    pub role_summary: String,
    pub core_responsibilities: Vec<String>,
    /// 4 to 8, with ids and names of their own.
    pub categories: Vec<Category>,
    pub desired_background_patterns: BackgroundPatterns,
    pub education_preferences: EducationPreferences,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Category {
    /// Lower-case words joined by `_`, unique in its rubric.
    pub category_id: String,
    pub name: String,
    pub importance: Importance,
    pub description: String,
    /// Words and phrases that would show the category in a resume.
    pub examples_of_evidence: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BackgroundPatterns {
    pub minimum_years: Option<u32>,
    pub titles: Vec<String>,
    pub industries: Vec<String>,
    pub certifications: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EducationPreferences {
    pub degrees: Vec<String>,
    pub fields: Vec<String>,
    pub required: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRubric {
    #[error("a rubric has 4 to 8 categories, this one has {0}")]
    CategoryCount(usize),
    #[error("two categories share the id or name \"{0}\"")]
    Repeated(String),
    #[error("a category has no id or no name")]
    Unnamed,
}

impl Rubric {
    /// # Errors
    /// [`InvalidRubric`] when scores by it could not be told apart or would stand on too little.
    pub fn validate(&self) -> Result<(), InvalidRubric> {
        if !(4..=8).contains(&self.categories.len()) {
            return Err(InvalidRubric::CategoryCount(self.categories.len()));
        }
        let mut seen = HashSet::new();
        for category in &self.categories {
            let (id, name) = (category.category_id.trim(), category.name.trim().to_lowercase());
            if id.is_empty() || name.is_empty() {
                return Err(InvalidRubric::Unnamed);
            }
            for label in [format!("id {id}"), format!("name {name}")] {
                if !seen.insert(label) {
                    return Err(InvalidRubric::Repeated(category.name.clone()));
                }
            }
        }
        Ok(())
    }
}
