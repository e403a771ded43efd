//! Ports that do as they are told: in memory, without randomness, and able to fail in every way that real ones do.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use starscreen_domain::{
    ClaimId, TenantId,
    candidate::{CategoryGrade, Contact, Evaluation, Failure, Quote},
    job::{BackgroundPatterns, Category, EducationPreferences, Rubric},
    score::{Importance, Score},
};
use tokio::sync::watch;
use uuid::Uuid;

use super::scripted_payments::{ScriptedPayments, catalog};
use crate::{
    append::NewKey,
    ports::{
        Drawn, ExtractorUnavailable, Graded, Llm, LlmError, Objects, ObjectsError, ResumeText, SubjectKey,
        TextExtractor, Vault, VaultError,
    },
    workers::Ports,
};

/// All ports, to be told what to do.
#[derive(Clone, Default)]
pub struct Scripted {
    pub vault: Arc<ScriptedVault>,
    pub objects: Arc<MemoryObjects>,
    pub extractor: Arc<ScriptedExtractor>,
    pub llm: Arc<ScriptedLlm>,
    /// `None`: there is no key.
    pub payments: Option<Arc<ScriptedPayments>>,
}

impl Scripted {
    pub fn ports(&self) -> Ports {
        Ports {
            vault: Arc::clone(&self.vault) as _,
            objects: Arc::clone(&self.objects) as _,
            extractor: Arc::clone(&self.extractor) as _,
            llm: Arc::clone(&self.llm) as _,
            payments: self.payments.clone().map(|payments| payments as _),
            catalog: Arc::new(catalog()),
        }
    }

    /// Stores the file of a candidate as an upload would.
    pub async fn store_file(&self, subject: Uuid, blob_key: &str, content: &str) {
        let sealed = ScriptedKey(subject).seal_bytes("file", content.as_bytes()).unwrap();
        self.objects.put(blob_key, sealed).await.unwrap();
    }
}

/// How a port answers one call.
#[derive(Clone, Debug, Default)]
pub enum Step {
    #[default]
    Answers,
    /// The file's or the model's fault.
    Refuses,
    /// Down, without a word on when to come again.
    Down,
    /// Asks to come again after this time.
    Busy(Duration),
    /// Takes no calls for this time.
    Out(Duration),
    /// Refuses to work at all.
    Forbids,
    /// An answer beyond every bound.
    Floods,
    /// Grades with quotes that nobody wrote.
    Invents,
    Panics,
    Hangs,
}

/// What to do next, and what to do ever after.
#[derive(Debug, Default)]
pub struct Script {
    next: Mutex<VecDeque<Step>>,
    after: Mutex<Step>,
    calls: Mutex<usize>,
}

impl Script {
    pub fn then(&self, steps: impl IntoIterator<Item = Step>) {
        self.next.lock().unwrap().extend(steps);
    }

    pub fn always(&self, step: Step) {
        *self.after.lock().unwrap() = step;
    }

    pub fn calls(&self) -> usize {
        *self.calls.lock().unwrap()
    }

    /// The step of this call; those that never answer do not return.
    async fn step(&self) -> Step {
        *self.calls.lock().unwrap() += 1;
        let next = self.next.lock().unwrap().pop_front();
        let step = next.unwrap_or_else(|| self.after.lock().unwrap().clone());
        match step {
            Step::Hangs => std::future::pending().await,
            Step::Panics => panic!("as the script says"),
            step => step,
        }
    }
}

/// Keys that are derived from their subject; sealing is an exclusive or.
#[derive(Default)]
pub struct ScriptedVault {
    destroyed: Mutex<HashSet<Uuid>>,
}

impl ScriptedVault {
    pub fn destroy(&self, subject: Uuid) {
        self.destroyed.lock().unwrap().insert(subject);
    }
}

#[async_trait]
impl Vault for ScriptedVault {
    fn new_tenant_key(&self, tenant: TenantId) -> Result<NewKey, VaultError> {
        Ok(NewKey { subject_id: tenant.0, tenant_id: tenant, wrapped: tenant.0.as_bytes().to_vec() })
    }

    async fn new_subject_key(
        &self,
        tenant: TenantId,
        subject: Uuid,
        _: Option<&NewKey>,
    ) -> Result<(Arc<dyn SubjectKey>, NewKey), VaultError> {
        let new = NewKey { subject_id: subject, tenant_id: tenant, wrapped: subject.as_bytes().to_vec() };
        Ok((Arc::new(ScriptedKey(subject)), new))
    }

    async fn subject_key(&self, _: TenantId, subject: Uuid) -> Result<Option<Arc<dyn SubjectKey>>, VaultError> {
        let destroyed = self.destroyed.lock().unwrap().contains(&subject);
        Ok((!destroyed).then(|| Arc::new(ScriptedKey(subject)) as _))
    }

    fn claim_id(&self, email: &str) -> ClaimId {
        let half = |salt: u8| hash(&(salt, email.to_lowercase())).to_be_bytes();
        let mut whole = [0; 16];
        whole[..8].copy_from_slice(&half(1));
        whole[8..].copy_from_slice(&half(2));
        ClaimId::from_keyed_hash(whole)
    }

    fn content_hash(&self, tenant: TenantId, content: &[u8]) -> String {
        format!("{:016x}", hash(&(tenant, content)))
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// What it seals opens only under the same subject and field.
pub struct ScriptedKey(pub Uuid);

impl ScriptedKey {
    fn mask(&self, field: &str) -> impl Iterator<Item = u8> {
        let tag = hash(&(self.0, field)).to_be_bytes();
        tag.into_iter().cycle()
    }
}

impl SubjectKey for ScriptedKey {
    fn id(&self) -> Uuid {
        self.0
    }

    fn seal_bytes(&self, field: &str, clear: &[u8]) -> Result<Vec<u8>, VaultError> {
        let marked = self.0.as_bytes().iter().chain(clear);
        Ok(marked.zip(self.mask(field)).map(|(byte, mask)| byte ^ mask).collect())
    }

    fn open_bytes(&self, field: &str, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        let marked: Vec<u8> = sealed.iter().zip(self.mask(field)).map(|(byte, mask)| byte ^ mask).collect();
        marked.strip_prefix(self.0.as_bytes()).map(<[u8]>::to_vec).ok_or(VaultError::DoesNotOpen)
    }
}

#[derive(Default)]
pub struct MemoryObjects {
    objects: Mutex<HashMap<String, Vec<u8>>>,
    pub puts: Script,
}

#[async_trait]
impl Objects for MemoryObjects {
    async fn put(&self, key: &str, content: Vec<u8>) -> Result<(), ObjectsError> {
        if let Step::Down = self.puts.step().await {
            return Err(ObjectsError::Unavailable("as the script says".into()));
        }
        self.objects.lock().unwrap().insert(key.to_owned(), content);
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<Vec<u8>, ObjectsError> {
        self.objects.lock().unwrap().get(key).cloned().ok_or(ObjectsError::Missing)
    }

    async fn delete(&self, key: &str) -> Result<(), ObjectsError> {
        self.objects.lock().unwrap().remove(key);
        Ok(())
    }
}

/// The text of a file is its content.
#[derive(Default)]
pub struct ScriptedExtractor {
    pub script: Script,
}

#[async_trait]
impl TextExtractor for ScriptedExtractor {
    async fn extract(&self, _: &str, content: &[u8]) -> Result<Result<ResumeText, Failure>, ExtractorUnavailable> {
        let contact = |email: String| Contact { email: Some(email), ..Contact::default() };
        let text = String::from_utf8_lossy(content).into_owned();
        match self.script.step().await {
            Step::Refuses => {
                let sentence = "The file has no text; upload one with text.".to_owned();
                Ok(Err(Failure { code: "scanned_image".to_owned(), sentence }))
            }
            Step::Down | Step::Busy(_) | Step::Out(_) | Step::Forbids => {
                Err(ExtractorUnavailable("as the script says".into()))
            }
            Step::Floods => Ok(Ok(ResumeText {
                text,
                pages: 1,
                contact: contact("x".repeat(300_000)),
                hidden: vec![],
                cut_short: false,
            })),
            Step::Answers | Step::Invents | Step::Panics | Step::Hangs => Ok(Ok(ResumeText {
                text,
                pages: 1,
                contact: contact("ada@example.org".to_owned()),
                hidden: vec![],
                cut_short: false,
            })),
        }
    }
}

/// Draws up a rubric of four categories, and gives 80 points with the first word of the text for evidence.
pub struct ScriptedLlm {
    pub rubrics: Script,
    pub grades: Script,
    /// Refuses to work on resumes with this word, whatever the script says.
    pub forbidden: Mutex<Option<&'static str>>,
    rubrics_may_go_on: watch::Sender<bool>,
}

impl Default for ScriptedLlm {
    fn default() -> Self {
        let (rubrics_may_go_on, _) = watch::channel(true);
        Self { rubrics: Script::default(), grades: Script::default(), forbidden: Mutex::default(), rubrics_may_go_on }
    }
}

impl ScriptedLlm {
    /// Rubrics are not answered until [`ScriptedLlm::let_rubrics_go_on`].
    pub fn hold_rubrics(&self) {
        self.rubrics_may_go_on.send_replace(false);
    }

    pub fn let_rubrics_go_on(&self) {
        self.rubrics_may_go_on.send_replace(true);
    }
}

fn error(step: &Step) -> Option<LlmError> {
    let unavailable = |retry_after| LlmError::Unavailable { reason: "as the script says".to_owned(), retry_after };
    match step {
        Step::Answers | Step::Floods | Step::Invents | Step::Panics | Step::Hangs => None,
        Step::Refuses => Some(LlmError::Unusable { reason: "as the script says".to_owned() }),
        Step::Down => Some(unavailable(None)),
        Step::Busy(pause) => Some(unavailable(Some(*pause))),
        Step::Out(wait) => Some(LlmError::Held { reason: "as the script says".to_owned(), wait: *wait, is_down: true }),
        Step::Forbids => Some(LlmError::Refused { reason: "as the script says".to_owned() }),
    }
}

#[async_trait]
impl Llm for ScriptedLlm {
    async fn draw_up_rubric(&self, title: &str, _: &str) -> Result<Drawn, LlmError> {
        let _ = self.rubrics_may_go_on.subscribe().wait_for(|go_on| *go_on).await;
        let step = self.rubrics.step().await;
        if let Some(error) = error(&step) {
            return Err(error);
        }
        let mut rubric = rubric(title);
        if matches!(step, Step::Floods) {
            rubric.categories.truncate(1); // an answer that the rules refuse
        }
        Ok(Drawn { rubric, model: "scripted".to_owned(), prompt_version: "1".to_owned() })
    }

    async fn grade(&self, rubric: &Rubric, resume_text: &str) -> Result<Graded, LlmError> {
        if self.forbidden.lock().unwrap().is_some_and(|word| resume_text.contains(word)) {
            return Err(LlmError::Refused { reason: "as the script says".to_owned() });
        }
        let step = self.grades.step().await;
        if let Some(error) = error(&step) {
            return Err(error);
        }
        let word = resume_text.split_whitespace().next().unwrap_or_default();
        let grade = |category: &Category| CategoryGrade {
            category_id: category.category_id.clone(),
            name: category.name.clone(),
            score: Score::try_new(80).ok(),
            reasoning: "It says so.".to_owned(),
            evidence: if matches!(step, Step::Invents) { vec![quote("what nobody wrote")] } else { vec![quote(word)] },
        };
        let summary = if matches!(step, Step::Floods) { "x".repeat(300_000) } else { "Fits.".to_owned() };
        let categories = rubric.categories.iter().map(grade).collect();
        let evaluation = Evaluation { summary, categories, ..Evaluation::default() };
        Ok(Graded {
            evaluation,
            contact: Contact::default(),
            model: "scripted".to_owned(),
            prompt_version: "1".to_owned(),
        })
    }
}

fn quote(text: &str) -> Quote {
    Quote { quote: text.to_owned(), start: 0, end: 0 }
}

fn rubric(title: &str) -> Rubric {
    let category = |name: &str| Category {
        category_id: name.to_lowercase(),
        name: name.to_owned(),
        importance: Importance::try_new(3).unwrap(),
        description: String::new(),
        examples_of_evidence: vec![],
    };
    Rubric {
        title: title.to_owned(),
        seniority_level: "senior".to_owned(),
        role_summary: String::new(),
        core_responsibilities: vec![],
        categories: ["Engines", "Tables", "Notes", "Letters"].map(category).to_vec(),
        desired_background_patterns: BackgroundPatterns::default(),
        education_preferences: EducationPreferences::default(),
    }
}
