//! What the write side asks of other people's systems. The gateway has an adapter for each.

mod payments;

pub use payments::{
    MeteredUsage, Order, PaidItem, PaidSubscription, Payments, PaymentsError, Preview, PreviewLine, Prices,
};

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use starscreen_domain::{
    ClaimId, Sealed, TenantId,
    candidate::{Contact, Evaluation, Failure, HiddenText},
    job::Rubric,
};
use uuid::Uuid;

use crate::append::NewKey;

/// Makes and keeps the keys that personal data is sealed with.
#[async_trait]
pub trait Vault: Send + Sync {
    /// A new tenant's key, wrapped by the master key; to be committed with the registration.
    ///
    /// # Errors
    /// When there is no randomness or no master key.
    fn new_tenant_key(&self, tenant: TenantId) -> Result<NewKey, VaultError>;

    /// A new subject's key, ready to seal with, and its wrapped form, to be committed with the first event about the
    /// subject. `tenant_key` is given while the tenant itself is not committed yet.
    ///
    /// # Errors
    /// When the tenant's key cannot be had.
    async fn new_subject_key(
        &self,
        tenant: TenantId,
        subject: Uuid,
        tenant_key: Option<&NewKey>,
    ) -> Result<(Arc<dyn SubjectKey>, NewKey), VaultError>;

    /// The subject's key; `None` when it was destroyed.
    ///
    /// # Errors
    /// When the key store cannot be read, or the key cannot be unwrapped.
    async fn subject_key(&self, tenant: TenantId, subject: Uuid) -> Result<Option<Arc<dyn SubjectKey>>, VaultError>;

    /// Keyed hash of an e-mail address, upper and lower case alike: where its claim is found.
    fn claim_id(&self, email: &str) -> ClaimId;

    /// Keyed hash of a file's content within a tenant.
    fn content_hash(&self, tenant: TenantId, content: &[u8]) -> String;
}

/// One subject's key. What it seals is bound to tenant, subject and field: moved elsewhere it does not open.
pub trait SubjectKey: Send + Sync {
    fn id(&self) -> Uuid;

    /// # Errors
    /// When there is no randomness.
    fn seal_bytes(&self, field: &str, clear: &[u8]) -> Result<Vec<u8>, VaultError>;

    /// # Errors
    /// When the bytes were altered, moved, or sealed by another key.
    fn open_bytes(&self, field: &str, sealed: &[u8]) -> Result<Vec<u8>, VaultError>;

    /// # Errors
    /// As [`SubjectKey::seal_bytes`].
    fn seal(&self, field: &str, clear: &str) -> Result<Sealed, VaultError> {
        Ok(Sealed::new(self.id(), self.seal_bytes(field, clear.as_bytes())?))
    }
}

#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    #[error("the key store is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("there is no key for {0}")]
    NoKey(Uuid),
    #[error("sealed data does not open: it was altered, moved, or the key is not the one it was sealed with")]
    DoesNotOpen,
    #[error("the system gives no randomness")]
    NoRandomness,
}

/// Where files and texts lie, encrypted by the caller.
#[async_trait]
pub trait Objects: Send + Sync {
    /// # Errors
    /// When the object could not be stored durably.
    async fn put(&self, key: &str, content: Vec<u8>) -> Result<(), ObjectsError>;

    /// # Errors
    /// [`ObjectsError::Missing`] or when the store is unavailable.
    async fn get(&self, key: &str) -> Result<Vec<u8>, ObjectsError>;

    /// Removing what is not there is no error.
    ///
    /// # Errors
    /// When the store is unavailable.
    async fn delete(&self, key: &str) -> Result<(), ObjectsError>;
}

#[derive(Debug, thiserror::Error)]
pub enum ObjectsError {
    #[error("the object is not there")]
    Missing,
    #[error("the object store is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Reads the visible text out of a hostile file.
#[async_trait]
pub trait TextExtractor: Send + Sync {
    /// The inner error is the file's fault and final; it becomes the candidate's failure.
    ///
    /// # Errors
    /// When the extractor itself cannot work now; worth another try.
    async fn extract(
        &self,
        file_kind: &str,
        content: &[u8],
    ) -> Result<Result<ResumeText, Failure>, ExtractorUnavailable>;
}

/// What a person can see in a resume.
#[derive(Clone, Debug, Default)]
pub struct ResumeText {
    pub text: String,
    pub pages: u32,
    pub contact: Contact,
    /// The file goes on after the text.
    pub cut_short: bool,
    /// What was left out because no person would see it.
    pub hidden: Vec<HiddenText>,
}

#[derive(Debug, thiserror::Error)]
#[error("the extractor is unavailable")]
pub struct ExtractorUnavailable(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// A language model, or what stands in for one.
#[async_trait]
pub trait Llm: Send + Sync {
    /// # Errors
    /// An [`LlmError`] that says whether another try can help.
    async fn draw_up_rubric(&self, title: &str, description: &str) -> Result<Drawn, LlmError>;

    /// # Errors
    /// An [`LlmError`] that says whether another try can help.
    async fn grade(&self, rubric: &Rubric, resume_text: &str) -> Result<Graded, LlmError>;
}

#[derive(Clone, Debug)]
pub struct Drawn {
    pub rubric: Rubric,
    pub model: String,
    pub prompt_version: String,
}

#[derive(Clone, Debug)]
pub struct Graded {
    /// As the model said it: quotes are looked up in the text, and gaps found, by who asked.
    pub evaluation: Evaluation,
    /// Contact data as the model read it, unchecked.
    pub contact: Contact,
    pub model: String,
    pub prompt_version: String,
}

#[derive(Debug, thiserror::Error)]
pub enum LlmError {
    /// Busy, down or cut off: try again, not before the time it asked for.
    #[error("the model is unavailable: {reason}")]
    Unavailable { reason: String, retry_after: Option<Duration> },
    /// Down, or it asked for a pause: no call passes before `wait` is over. `is_down`: it failed several times in a row.
    #[error("the model is unavailable: {reason}")]
    Held { reason: String, wait: Duration, is_down: bool },
    /// It refuses for a reason that no other try mends: a bad key, no credit, an unknown model.
    #[error("the model refuses to work: {reason}")]
    Refused { reason: String },
    /// It answered, but not with something usable.
    #[error("the model's answer is unusable: {reason}")]
    Unusable { reason: String },
}
