//! Our own follow-ups to events: the worker of the lane `react`.
//!
//! What concerns many candidates is many commands, each with its event, so that an auditor reads every one. A reaction
//! that is cut in the middle starts over; what it did already is then a command without an effect.

use starscreen_domain::{
    CandidateId, JobId,
    candidate::{Candidate, DeletionReason, FailScoring, Failure, ScoreCandidate, Status},
    job::{Job, RubricStatus},
    usage::ReleaseReason,
};

use super::{RUBRIC_FAILED, WorkError, Workers, again, dead, failure, on_behalf_of};
use crate::{
    append::DeadWork,
    bus::Context,
    candidate::{release_slot, remove},
    error::CommandError,
    work::Claimed,
};

/// Candidates looked up at once.
const PAGE: u32 = 500;

pub(super) const NO_RUBRIC: &str = "The job has no rubric, so the resume could not be scored. Save the job's description again, \
                         then upload the resume again.";

impl Workers {
    pub(super) async fn score_waiting(&self, item: &Claimed) -> Result<(), WorkError> {
        let job_id = JobId(item.subject);
        let mut after = CandidateId::default();
        loop {
            let Some(version) = self.bus.read::<Job>(item.tenant, job_id).await?.current_rubric() else { break };
            let page = self.page(item, job_id, after).await?;
            let Some(last) = page.last() else { break };
            after = last.0;
            for (id, came_alone) in page {
                let has_score = self.bus.read::<Candidate>(item.tenant, id).await?.scored_by.is_some();
                let context = Context { urgent: came_alone && !has_score, ..on_behalf_of(item) };
                let asked = self.bus.commit(context, move |unit| {
                    Box::pin(async move {
                        unit.decide::<Candidate>(id, ScoreCandidate { rubric_version: version, again: false })
                            .await
                            .map(|_| ())
                    })
                });
                or_moot(asked.await)?;
            }
        }
        self.done(item).await
    }

    pub(super) async fn await_rubric(&self, item: &Claimed) -> Result<(), WorkError> {
        let id = CandidateId(item.subject);
        let candidate = self.bus.read::<Candidate>(item.tenant, id).await?;
        if candidate.deleted || candidate.status != Status::Parsed {
            return self.done(item).await;
        }
        let job = self.bus.read::<Job>(item.tenant, candidate.job_id.unwrap_or_default()).await?;
        if job.deleted {
            return self.delete_late_upload(item, id).await;
        }
        match job.rubric_status {
            RubricStatus::Completed => self.request_score(item, id, job.rubric_version).await,
            RubricStatus::Failed => self.fail_scoring(item, id, None, RUBRIC_FAILED, NO_RUBRIC).await,
            // Its arrival, or failure, looks for this candidate then.
            RubricStatus::Pending | RubricStatus::Processing => self.done(item).await,
        }
    }

    pub(super) async fn fail_waiting(&self, item: &Claimed) -> Result<(), WorkError> {
        let job_id = JobId(item.subject);
        let mut after = CandidateId::default();
        loop {
            if self.bus.read::<Job>(item.tenant, job_id).await?.rubric_status != RubricStatus::Failed {
                break; // revised since: a new rubric is on its way
            }
            let page = self.page(item, job_id, after).await?;
            let Some(last) = page.last() else { break };
            after = last.0;
            for (id, _) in page {
                if self.bus.read::<Candidate>(item.tenant, id).await?.status != Status::Parsed {
                    continue;
                }
                or_moot(self.fail_one(item, id, failure(RUBRIC_FAILED, NO_RUBRIC)).await)?;
            }
        }
        self.done(item).await
    }

    async fn fail_one(&self, item: &Claimed, id: CandidateId, reason: Failure) -> Result<(), CommandError> {
        let grave = dead(item, &reason.code).map(|grave| DeadWork { subject: id.0, ..grave });
        self.bus
            .commit(on_behalf_of(item).in_turn(), move |unit| {
                let (failure, grave) = (reason.clone(), grave.clone());
                Box::pin(async move {
                    let before = unit.state::<Candidate>(id).await?;
                    if before.status == Status::Parsed {
                        let command = FailScoring { rubric_version: before.requested, failure };
                        unit.decide::<Candidate>(id, command).await?;
                        unit.add_dead(grave);
                        release_slot(unit, id, &before, ReleaseReason::ScoringFailed).await?;
                    }
                    Ok(())
                })
            })
            .await
            .map(|_| ())
    }

    pub(super) async fn delete_candidates(&self, item: &Claimed) -> Result<(), WorkError> {
        let job_id = JobId(item.subject);
        let mut after = CandidateId::default();
        loop {
            let page = self.page(item, job_id, after).await?;
            let Some(last) = page.last() else { break };
            after = last.0;
            for (id, _) in page {
                let context = on_behalf_of(item).in_turn();
                let deleted = self.bus.commit(context, move |unit| {
                    Box::pin(async move { remove(unit, id, DeletionReason::JobDeleted).await })
                });
                or_moot(deleted.await)?;
            }
        }
        self.done(item).await
    }

    /// Candidates of the job, and whether each came alone.
    async fn page(
        &self,
        item: &Claimed,
        job: JobId,
        after: CandidateId,
    ) -> Result<Vec<(CandidateId, bool)>, WorkError> {
        let page = self.bus.registry().candidates_of(item.tenant, job, after, PAGE).await;
        page.map_err(|error| again(&error))
    }
}

/// A candidate that no longer wants it is passed over; what can be tried again ends the reaction for now.
fn or_moot<T>(outcome: Result<T, CommandError>) -> Result<(), WorkError> {
    match outcome.map_err(WorkError::from) {
        Ok(_) | Err(WorkError::Moot(_)) => Ok(()),
        Err(error) => Err(error),
    }
}
