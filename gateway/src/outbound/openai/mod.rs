//! The language model's port over any server that speaks the OpenAI chat API.
//!
//! The model's answer is data: it comes in a strict schema, is capped and read without trust, and every quote is
//! checked by the scoring pipeline. The resume is fenced by a nonce and never part of the instructions.

mod answer;
mod breaker;
mod client;
mod prompt;
mod schema;

use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;
use starscreen_commands::ports::{Drawn, Graded, Llm, LlmError};
use starscreen_domain::job::Rubric;

use breaker::Breaker;
use client::{Client, Wanted};

pub use client::{ConnectError, Listed};

/// Version of the prompts and schemas; raised when the same texts would be asked for in other words.
pub const PROMPT_VERSION: &str = "openai-2";
/// The same for every score, so that the same resume gets the same grade as far as the model allows.
const SCORING_SEED: u64 = 42;

/// How to reach the model.
#[derive(Clone, Debug)]
pub struct OpenAiOptions {
    pub api_key: SecretString,
    /// Such as `https://api.openai.com/v1`.
    pub base_url: String,
    pub model: String,
    /// For rubrics; scores are always asked for at 0.
    pub temperature: f32,
    /// How long one call may take.
    pub timeout: Duration,
}

pub struct OpenAi {
    client: Client,
    breaker: Breaker,
    model: String,
    temperature: f32,
}

impl OpenAi {
    /// # Errors
    /// When the address or the key cannot be one, or there is no TLS.
    pub fn connect(options: OpenAiOptions) -> Result<Self, ConnectError> {
        let OpenAiOptions { api_key, base_url, model, temperature, timeout } = options;
        let client = Client::new(&api_key, &base_url, timeout)?;
        Ok(Self { client, breaker: Breaker::default(), model, temperature })
    }

    pub fn host(&self) -> &str {
        self.client.host()
    }

    /// # Errors
    /// [`LlmError::Unavailable`] when the server does not answer.
    pub async fn models(&self) -> Result<Listed, LlmError> {
        self.client.models().await
    }

    /// One call through the breaker; the answer's JSON and the model that gave it.
    async fn ask(&self, wanted: Wanted<'_>) -> Result<client::Answer, LlmError> {
        let permit = self.breaker.admit()?;
        match self.client.complete(wanted).await {
            Err(LlmError::Unavailable { reason, retry_after }) => Err(permit.failed(reason, retry_after)),
            answer => {
                permit.succeeded();
                answer
            }
        }
    }
}

#[async_trait]
impl Llm for OpenAi {
    #[tracing::instrument(name = "llm.rubric", skip_all, fields(llm.model = %self.model))]
    async fn draw_up_rubric(&self, title: &str, description: &str) -> Result<Drawn, LlmError> {
        let prompt = prompt::rubric(title, description);
        let wanted = Wanted {
            model: &self.model,
            temperature: self.temperature,
            seed: None,
            schema_name: "rubric",
            schema: schema::rubric(),
            prompt,
        };
        let answer = self.ask(wanted).await?;
        let rubric = answer::rubric(&answer.content, title)?;
        Ok(Drawn { rubric, model: answer.model, prompt_version: PROMPT_VERSION.to_owned() })
    }

    /// The whole text is handed over: a part that is left out would count against its author. It is bounded by what the
    /// extractor reads.
    #[tracing::instrument(name = "llm.grade", skip_all, fields(llm.model = %self.model))]
    async fn grade(&self, rubric: &Rubric, resume_text: &str) -> Result<Graded, LlmError> {
        let wanted = Wanted {
            model: &self.model,
            temperature: 0.0,
            seed: Some(SCORING_SEED),
            schema_name: "evaluation",
            schema: schema::evaluation(rubric),
            prompt: prompt::grade(rubric, resume_text),
        };
        let answer = self.ask(wanted).await?;
        let (evaluation, contact) = answer::evaluation(&answer.content, rubric)?;
        Ok(Graded { evaluation, contact, model: answer.model, prompt_version: PROMPT_VERSION.to_owned() })
    }
}
