//! Calls of the language model, counted by how they ended.

use std::{sync::Arc, time::Instant};

use async_trait::async_trait;
use starscreen_commands::ports::{Drawn, Graded, Llm, LlmError};
use starscreen_domain::job::Rubric;

use super::Metrics;

/// The same model, counted.
pub struct Counted {
    model: Arc<dyn Llm>,
    metrics: Metrics,
}

impl Counted {
    pub fn new(model: Arc<dyn Llm>, metrics: Metrics) -> Self {
        Self { model, metrics }
    }

    fn count<T>(&self, call: &'static str, begun: Instant, outcome: &Result<T, LlmError>) {
        let outcome = match outcome {
            Ok(_) => "answered",
            Err(LlmError::Unavailable { .. }) => "unavailable",
            Err(LlmError::Held { .. }) => "held",
            Err(LlmError::Refused { .. }) => "refused",
            Err(LlmError::Unusable { .. }) => "unusable",
        };
        self.metrics.model_answered(call, outcome, begun.elapsed());
    }
}

#[async_trait]
impl Llm for Counted {
    async fn draw_up_rubric(&self, title: &str, description: &str) -> Result<Drawn, LlmError> {
        let begun = Instant::now();
        let outcome = self.model.draw_up_rubric(title, description).await;
        self.count("rubric", begun, &outcome);
        outcome
    }

    async fn grade(&self, rubric: &Rubric, resume_text: &str) -> Result<Graded, LlmError> {
        let begun = Instant::now();
        let outcome = self.model.grade(rubric, resume_text).await;
        self.count("grade", begun, &outcome);
        outcome
    }
}
