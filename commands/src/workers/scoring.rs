//! The scoring consumer: from resume text to score, the worker of the lane `score`.
//!
//! The model grades categories and quotes the resume; the quotes are checked here and the total is computed in the
//! domain. What the model says without a quote that really stands in the text is not evidence.

use starscreen_domain::{
    CandidateId,
    candidate::{
        Candidate, CategoryGrade, CategoryScore, Evaluation, FailScoring, QuoteFinder, RecordScore, ScoreCandidate,
    },
    job::{Job, Rubric, RubricStatus},
    usage::{CommitSlot, ReleaseReason, Usage},
};

use super::{ERASED, WorkError, Workers, again, failure, reactions::NO_RUBRIC, report};
use crate::{candidate::release_slot, ports::ObjectsError, work::Claimed};

/// Tries before a candidate's scoring fails for good.
pub(super) const MAX_ATTEMPTS: u32 = 10;
/// An evaluation is one field of one event.
const MAX_EVALUATION_BYTES: usize = 64 * 1024;

impl Workers {
    pub(super) async fn score(&self, item: &Claimed) -> Result<(), WorkError> {
        let id = CandidateId(item.subject);
        let candidate = self.bus.read::<Candidate>(item.tenant, id).await?;
        let (Some(requested), Some(text_key)) = (candidate.requested, candidate.text_key.clone()) else {
            return self.done(item).await;
        };
        if candidate.deleted {
            return self.done(item).await;
        }
        let job = self.bus.read::<Job>(item.tenant, candidate.job_id.unwrap_or_default()).await?;
        if job.deleted {
            return self.delete_late_upload(item, id).await;
        }
        if job.rubric_status == RubricStatus::Failed {
            return self.fail_scoring(item, id, Some(requested), "rubric_failed", NO_RUBRIC).await;
        }
        let (Some(current), Some(rubric)) = (job.current_rubric(), job.rubric) else {
            return self.done(item).await; // a new rubric is on its way, and asks again when it is there
        };
        if current != requested {
            return self.request_score(item, id, current).await;
        }
        match self.grade(item, &text_key, &rubric).await? {
            Some((evaluation, model, prompt_version)) => {
                self.record_score(item, id, current, &rubric, evaluation, model, prompt_version).await
            }
            None => self.fail_scoring(item, id, Some(current), "erased", ERASED).await,
        }
    }

    pub(super) async fn give_up_scoring(&self, item: &Claimed) -> Result<(), WorkError> {
        let id = CandidateId(item.subject);
        let requested = self.bus.read::<Candidate>(item.tenant, id).await?.requested;
        let sentence = "The resume could not be scored for a technical reason. Please try again later.";
        self.fail_scoring(item, id, requested, "scoring_unavailable", sentence).await
    }

    /// The model's grades with checked quotes; `None` when the person was erased.
    async fn grade(
        &self,
        item: &Claimed,
        text_key: &str,
        rubric: &Rubric,
    ) -> Result<Option<(Evaluation, String, String)>, WorkError> {
        let Some(key) = self.ports.vault.subject_key(item.subject).await? else { return Ok(None) };
        let sealed = match self.ports.objects.get(text_key).await {
            Err(error @ ObjectsError::Missing) => return Err(again(&error)),
            other => other?,
        };
        let text = String::from_utf8_lossy(&key.open_bytes("text", &sealed)?).into_owned();
        let graded = self.ports.llm.grade(rubric, &text).await?;
        let evaluation = checked(graded.evaluation, rubric, &text);
        Ok(Some((evaluation, graded.model, graded.prompt_version)))
    }

    #[expect(clippy::too_many_arguments, reason = "each is one fact of the score")]
    async fn record_score(
        &self,
        item: &Claimed,
        id: CandidateId,
        rubric_version: u32,
        rubric: &Rubric,
        evaluation: Evaluation,
        model: String,
        prompt_version: String,
    ) -> Result<(), WorkError> {
        let Some(key) = self.ports.vault.subject_key(item.subject).await? else {
            return self.fail_scoring(item, id, Some(rubric_version), "erased", ERASED).await; // since it was graded
        };
        let categories = category_scores(&evaluation, rubric);
        let text = serde_json::to_string(&evaluation).map_err(|error| again(&error))?;
        if text.len() > MAX_EVALUATION_BYTES {
            let reason = format!("the evaluation has {} bytes, more than an event takes", text.len());
            return Err(WorkError::Again { reason, after: None, counts: true });
        }
        let command = RecordScore {
            attempt: item.lease.attempt,
            rubric_version,
            prompt_version,
            model,
            categories,
            needs_review: vec![],
            evaluation: key.seal("evaluation", &text)?,
        };
        self.bus
            .commit(report(item).in_turn(), move |unit| {
                let command = command.clone();
                Box::pin(async move {
                    let before = unit.state::<Candidate>(id).await?;
                    unit.decide::<Candidate>(id, command).await?;
                    if let Some(usage_id) = before.usage_id.filter(|_| before.holds_reserved_slot()) {
                        unit.decide::<Usage>(usage_id, CommitSlot { candidate: id }).await?;
                    }
                    Ok(())
                })
            })
            .await?;
        Ok(())
    }

    pub(super) async fn request_score(
        &self,
        item: &Claimed,
        id: CandidateId,
        rubric_version: u32,
    ) -> Result<(), WorkError> {
        self.bus
            .commit(report(item), move |unit| {
                Box::pin(
                    async move { unit.decide::<Candidate>(id, ScoreCandidate { rubric_version }).await.map(|_| ()) },
                )
            })
            .await?;
        Ok(())
    }

    pub(super) async fn fail_scoring(
        &self,
        item: &Claimed,
        id: CandidateId,
        rubric_version: Option<u32>,
        code: &str,
        sentence: &str,
    ) -> Result<(), WorkError> {
        let reason = failure(code, sentence);
        self.bus
            .commit(report(item).in_turn(), move |unit| {
                let failure = reason.clone();
                Box::pin(async move {
                    let before = unit.state::<Candidate>(id).await?;
                    let failed = unit.decide::<Candidate>(id, FailScoring { rubric_version, failure }).await?;
                    if !failed.is_empty() {
                        release_slot(unit, id, &before, ReleaseReason::ScoringFailed).await?;
                    }
                    Ok(())
                })
            })
            .await?;
        Ok(())
    }
}

/// The grades in the rubric's order, with only those quotes that stand in the text.
fn checked(mut evaluation: Evaluation, rubric: &Rubric, text: &str) -> Evaluation {
    let quotes = QuoteFinder::new(text);
    evaluation.categories = rubric
        .categories
        .iter()
        .map(|category| {
            let graded = evaluation.categories.iter().find(|grade| grade.category_id == category.category_id);
            let mut grade = graded.cloned().unwrap_or_else(|| CategoryGrade {
                category_id: category.category_id.clone(),
                name: category.name.clone(),
                score: None,
                reasoning: "This category was not graded.".to_owned(),
                evidence: vec![],
            });
            grade.evidence = grade.evidence.iter().filter_map(|quote| quotes.locate(&quote.quote)).collect();
            grade
        })
        .collect();
    evaluation
}

fn category_scores(evaluation: &Evaluation, rubric: &Rubric) -> Vec<CategoryScore> {
    rubric
        .categories
        .iter()
        .zip(&evaluation.categories)
        .map(|(category, grade)| CategoryScore {
            category_id: category.category_id.clone(),
            importance: category.importance,
            score: grade.score,
        })
        .collect()
}
