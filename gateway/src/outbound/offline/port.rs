//! The language model's port, filled by the rules of this module.

use async_trait::async_trait;
use starscreen_commands::ports::{Drawn, Graded, Llm, LlmError};
use starscreen_domain::{candidate::Contact, job::Rubric};
use tokio::task::spawn_blocking;

use super::{MODEL, PROMPT_VERSION, draw_up, grade};

/// Stands in for a language model and says so in everything it makes.
pub struct OfflineScorer;

#[async_trait]
impl Llm for OfflineScorer {
    async fn draw_up_rubric(&self, title: &str, description: &str) -> Result<Drawn, LlmError> {
        let (title, description) = (title.to_owned(), description.to_owned());
        let rubric = computed(move || draw_up(&title, &description)).await?;
        Ok(Drawn { rubric, model: MODEL.to_owned(), prompt_version: PROMPT_VERSION.to_owned() })
    }

    async fn grade(&self, rubric: &Rubric, resume_text: &str) -> Result<Graded, LlmError> {
        let (rubric, resume_text) = (rubric.clone(), resume_text.to_owned());
        let evaluation = computed(move || grade(&rubric, &resume_text)).await?;
        Ok(Graded {
            evaluation,
            contact: Contact::default(),
            model: MODEL.to_owned(),
            prompt_version: PROMPT_VERSION.to_owned(),
        })
    }
}

/// Long texts are compared away from the threads that answer requests.
async fn computed<T: Send + 'static>(compute: impl FnOnce() -> T + Send + 'static) -> Result<T, LlmError> {
    spawn_blocking(compute).await.map_err(|error| LlmError::Unusable { reason: error.to_string() })
}
