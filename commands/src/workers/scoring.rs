//! The scoring consumer: from resume text to score, the worker of the lane `score`.
//!
//! The model grades categories and quotes the resume; the quotes are checked here and the total is computed in the
//! domain. What the model says without a quote that really stands in the text is not evidence.

use starscreen_domain::{
    CandidateId,
    candidate::{Candidate, Contact, FailScoring, Failure, RecordScore, ScoreCandidate},
    job::{Job, Rubric, RubricStatus},
    usage::ReleaseReason,
    work::Lane,
};

use super::{
    Budget, ERASED, RUBRIC_FAILED, WorkError, Workers, again, dead, failure, reactions::NO_RUBRIC, report,
    verify::Verified,
};
use crate::{
    bus::{Bus, Context},
    candidate::{commit_slot, release_slot},
    ports::{LlmError, ObjectsError},
    work::Claimed,
};

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
            return self.fail_scoring(item, id, Some(requested), RUBRIC_FAILED, NO_RUBRIC).await;
        }
        let (Some(current), Some(rubric)) = (job.current_rubric(), job.rubric) else {
            return self.done(item).await; // a new rubric is on its way, and asks again when it is there
        };
        if current != requested {
            return self.request_score(item, id, current).await;
        }
        match self.grade(item, &text_key, &rubric).await? {
            Some(graded) => self.record_score(item, id, current, &rubric, graded).await,
            None => self.fail_scoring(item, id, Some(current), "erased", ERASED).await,
        }
    }

    pub(super) async fn give_up_scoring(&self, item: &Claimed) -> Result<(), WorkError> {
        let id = CandidateId(item.subject);
        let requested = self.bus.read::<Candidate>(item.tenant, id).await?.requested;
        let sentence = "The resume could not be scored for a technical reason. Please try again later.";
        self.fail_scoring(item, id, requested, "scoring_unavailable", sentence).await
    }

    /// The model's grades with checked quotes; `None` when the person was erased. What is missing, or quoted but not in
    /// the text, is asked for once more.
    async fn grade(&self, item: &Claimed, text_key: &str, rubric: &Rubric) -> Result<Option<Verified>, WorkError> {
        let Some(key) = self.ports.vault.subject_key(item.tenant, item.subject).await? else { return Ok(None) };
        let sealed = match self.ports.objects.get(text_key).await {
            Err(error @ ObjectsError::Missing) => return Err(again(&error)),
            other => other?,
        };
        let text = String::from_utf8_lossy(&key.open_bytes("text", &sealed)?).into_owned();
        let grade = || self.answer(Lane::Score, self.ports.llm.grade(rubric, &text));
        let first = Verified::of(grade().await?, rubric, &text);
        if first.doubts.is_empty() {
            return Ok(Some(first));
        }
        tracing::info!(doubts = first.doubts.len(), "the model is asked once more for categories without support");
        match grade().await {
            Ok(second) => Ok(Some(first.mended_by(Verified::of(second, rubric, &text)))),
            Err(LlmError::Unusable { reason }) => {
                tracing::info!(reason, "the first answer stands");
                Ok(Some(first))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn record_score(
        &self,
        item: &Claimed,
        id: CandidateId,
        rubric_version: u32,
        rubric: &Rubric,
        graded: Verified,
    ) -> Result<(), WorkError> {
        let Some(key) = self.ports.vault.subject_key(item.tenant, item.subject).await? else {
            return self.fail_scoring(item, id, Some(rubric_version), "erased", ERASED).await; // since it was graded
        };
        let text = serde_json::to_string(&graded.evaluation).map_err(|error| again(&error))?;
        if text.len() > MAX_EVALUATION_BYTES {
            let reason = format!("the evaluation has {} bytes, more than an event takes", text.len());
            return Err(WorkError::Again { reason, after: None, budget: Budget::Tries });
        }
        let found = match &graded.contact {
            contact if *contact == Contact::default() => None,
            contact => {
                let contact = serde_json::to_string(contact).map_err(|error| again(&error))?;
                Some(key.seal("found", &contact)?)
            }
        };
        let command = RecordScore {
            attempt: item.lease.attempt,
            rubric_version,
            prompt_version: graded.prompt_version,
            model: graded.model,
            categories: graded.evaluation.scores(rubric),
            needs_review: graded.doubts.into_iter().map(|doubt| doubt.reason()).collect(),
            evaluation: key.seal("evaluation", &text)?,
            found,
        };
        self.bus
            .commit(report(item).in_turn(), move |unit| {
                let command = command.clone();
                Box::pin(async move {
                    let before = unit.state::<Candidate>(id).await?;
                    unit.decide::<Candidate>(id, command).await?;
                    commit_slot(unit, id, &before).await
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
                Box::pin(async move {
                    unit.decide::<Candidate>(id, ScoreCandidate { rubric_version, again: false }).await.map(|_| ())
                })
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
        end_scoring(&self.bus, report(item), item, id, rubric_version, failure(code, sentence)).await
    }
}

/// Ends a candidate without a score and frees its slot; an older score stands.
pub(super) async fn end_scoring(
    bus: &Bus,
    context: Context,
    item: &Claimed,
    id: CandidateId,
    rubric_version: Option<u32>,
    reason: Failure,
) -> Result<(), WorkError> {
    let grave = dead(item, &reason.code);
    bus.commit(context.in_turn(), move |unit| {
        let (failure, grave) = (reason.clone(), grave.clone());
        Box::pin(async move {
            let before = unit.state::<Candidate>(id).await?;
            let failed = unit.decide::<Candidate>(id, FailScoring { rubric_version, failure }).await?;
            if !failed.is_empty() {
                unit.add_dead(grave);
                release_slot(unit, id, &before, ReleaseReason::ScoringFailed).await?;
            }
            Ok(())
        })
    })
    .await?;
    Ok(())
}
