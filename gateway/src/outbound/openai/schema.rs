//! The strict JSON schemas that answers must have. In strict mode every property is required and nothing else allowed.

use serde_json::{Value, json};
use starscreen_domain::job::Rubric;

pub fn rubric() -> Value {
    object(json!({
        "seniority_level": {"type": "string"},
        "role_summary": {"type": "string"},
        "core_responsibilities": texts(),
        "categories": {"type": "array", "items": object(json!({
            "name": {"type": "string"},
            "importance": {"type": "integer", "enum": [1, 2, 3, 4, 5]},
            "description": {"type": "string"},
            "examples_of_evidence": texts(),
        }))},
        "desired_background_patterns": object(json!({
            "minimum_years": {"type": ["integer", "null"]},
            "titles": texts(),
            "industries": texts(),
            "certifications": texts(),
        })),
        "education_preferences": object(json!({
            "degrees": texts(),
            "fields": texts(),
            "required": {"type": "boolean"},
        })),
    }))
}

pub fn evaluation(rubric: &Rubric) -> Value {
    let ids: Vec<&str> = rubric.categories.iter().map(|category| category.category_id.as_str()).collect();
    let text = || json!({"type": ["string", "null"]});
    object(json!({
        "categories": {"type": "array", "items": object(json!({
            "category_id": {"type": "string", "enum": ids},
            "reasoning": {"type": "string"},
            "quotes": texts(),
            "score": {"type": ["integer", "null"]},
        }))},
        "summary": {"type": "string"},
        "pros": texts(),
        "cons": texts(),
        "interview_questions": texts(),
        "contact": object(json!({
            "first_name": text(), "last_name": text(), "email": text(), "phone": text(), "location": text(),
            "linkedin_url": text(), "github_url": text(), "portfolio_url": text(), "other_urls": texts(),
        })),
    }))
}

fn texts() -> Value {
    json!({"type": "array", "items": {"type": "string"}})
}

fn object(properties: Value) -> Value {
    let required: Vec<String> =
        properties.as_object().map(|properties| properties.keys().cloned().collect()).unwrap_or_default();
    let mut schema = json!({"type": "object", "required": required, "additionalProperties": false});
    schema["properties"] = properties;
    schema
}
