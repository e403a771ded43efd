//! Use cases of candidates: what people ask for. What workers report is in [`crate::workers`].

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use starscreen_domain::{
    CandidateId, JobId, TenantId, UsageId, UserId,
    candidate::{
        Candidate, CandidateError, Contact, DeleteCandidate, DeletionReason, RetryCandidate, ScoreCandidate,
        UploadResume,
    },
    subscription::Subscription,
    usage::{AdjustUsage, CommitSlot, PeriodTerms, ReleaseReason, ReleaseSlot, ReserveSlots, Usage},
};
use uuid::Uuid;

use crate::{
    append::{NewCandidate, NewKey},
    bus::{Bus, Committed, Context, Unit},
    error::CommandError,
    job,
    ports::{Objects, Vault},
};

/// A resume whose file is already stored, encrypted by a key that is committed with it.
#[derive(Clone, Debug)]
pub struct Upload {
    pub candidate: CandidateId,
    pub key: NewKey,
    /// `usage_id` is filled in here: the period is that of the commit.
    pub command: UploadResume,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Uploaded {
    pub candidate: CandidateId,
    pub job: JobId,
    /// The work item that reads the file.
    pub task: Uuid,
    /// Slots left in the billing period after this one; `None`: no limit.
    pub remaining: Option<u32>,
}

/// Takes in one resume: its slot and its upload in one commit, or neither.
///
/// # Errors
/// [`CommandError::NotFound`] for an unknown job, [`starscreen_domain::usage::UsageError::LimitReached`] without a
/// free slot.
pub async fn upload_resume(bus: &Bus, context: Context, upload: Upload) -> Result<Committed<Uploaded>, CommandError> {
    let (tenant, urgent) = (context.tenant, context.urgent);
    bus.commit(context.in_turn(), move |unit| {
        let Upload { candidate, key, mut command } = upload.clone();
        Box::pin(async move {
            let job = command.job_id;
            require_good_standing(unit).await?;
            job::present(unit, job).await?;
            let (usage_id, terms) = billing_period(unit).await?;
            unit.decide::<Usage>(usage_id, ReserveSlots { terms, candidates: vec![candidate] }).await?;
            command.usage_id = usage_id;
            let content_hash = command.content_hash.clone();
            unit.decide::<Candidate>(candidate, command).await?;
            unit.add_key(key);
            unit.add_candidate(NewCandidate {
                candidate_id: candidate,
                tenant_id: tenant,
                job_id: job,
                content_hash,
                urgent,
            });
            let remaining = unit.state::<Usage>(usage_id).await?.remaining();
            let task = unit.work_ids().first().copied().unwrap_or_default();
            Ok(Uploaded { candidate, job, task, remaining })
        })
    })
    .await
}

/// Deletes a candidate. Its slot stays used.
///
/// # Errors
/// [`CommandError::NotFound`] for an unknown candidate, or one of another job.
pub async fn delete(
    bus: &Bus,
    context: Context,
    job: JobId,
    candidate: CandidateId,
) -> Result<Committed<()>, CommandError> {
    bus.commit(context.in_turn(), move |unit| {
        Box::pin(async move {
            job::present(unit, job).await?;
            if unit.state::<Candidate>(candidate).await?.job_id != Some(job) {
                return Err(CommandError::NotFound("candidate"));
            }
            remove(unit, candidate, DeletionReason::Requested).await
        })
    })
    .await
}

/// Decides the deletion of a candidate and of its claim to a free slot.
pub(crate) async fn remove(
    unit: &mut Unit,
    candidate: CandidateId,
    reason: DeletionReason,
) -> Result<(), CommandError> {
    let state = unit.state::<Candidate>(candidate).await?;
    commit_slot(unit, candidate, &state).await?;
    let deleted = unit.decide::<Candidate>(candidate, DeleteCandidate { reason }).await;
    deleted.map(|_| ()).map_err(|error| match error {
        CommandError::Candidate(CandidateError::NotUploaded | CandidateError::Deleted) => {
            CommandError::NotFound("candidate")
        }
        error => error,
    })
}

/// Uses the slot of a candidate for good. When its period is closed, and the reservation with it, that is an entry of
/// the running one.
pub(crate) async fn commit_slot(
    unit: &mut Unit,
    candidate: CandidateId,
    before: &Candidate,
) -> Result<(), CommandError> {
    let Some(usage_id) = before.usage_id.filter(|_| before.holds_reserved_slot()) else { return Ok(()) };
    let at = unit.at();
    if !unit.state::<Usage>(usage_id).await?.closed {
        return unit.decide::<Usage>(usage_id, CommitSlot { candidate, at }).await.map(drop);
    }
    let (usage_id, terms) = billing_period(unit).await?;
    let reason = format!("candidate {candidate} of a period that was closed before it was scored");
    unit.decide::<Usage>(usage_id, AdjustUsage { terms, delta: 1, reason, at }).await.map(drop)
}

/// Gives back the slot of a candidate that failed before it was scored. A closed period has done so already.
pub(crate) async fn release_slot(
    unit: &mut Unit,
    candidate: CandidateId,
    before: &Candidate,
    reason: ReleaseReason,
) -> Result<(), CommandError> {
    if let Some(usage_id) = before.usage_id.filter(|_| before.holds_reserved_slot())
        && !unit.state::<Usage>(usage_id).await?.closed
    {
        unit.decide::<Usage>(usage_id, ReleaseSlot { candidate, reason }).await?;
    }
    Ok(())
}

/// The tenant's running billing period and what would open it.
pub(crate) async fn billing_period(unit: &mut Unit) -> Result<(UsageId, PeriodTerms), CommandError> {
    let (tenant, at) = (unit.tenant(), unit.at());
    let subscription = unit.state::<Subscription>(tenant).await?;
    let period = subscription.period(at)?;
    Ok((UsageId::of(tenant, &period), PeriodTerms::new(period, subscription.plan_at(at))))
}

/// Whether the tenant may ask for what costs something.
pub(crate) async fn require_good_standing(unit: &mut Unit) -> Result<(), CommandError> {
    let subscription = unit.state::<Subscription>(unit.tenant()).await?;
    Ok(subscription.require_good_standing(unit.at())?)
}

/// Used and limit of the running billing period, if nothing more fits into it now.
///
/// # Errors
/// When the store fails.
pub async fn exhausted(
    bus: &Bus,
    tenant: TenantId,
    at: chrono::DateTime<chrono::Utc>,
) -> Result<Option<(u32, u32)>, CommandError> {
    Ok(used_of_limit(bus, tenant, at).await?.filter(|(used, limit)| used >= limit))
}

/// Slots left in the running billing period as far as is known now; `None`: no limit.
///
/// # Errors
/// When the store fails.
pub async fn remaining(
    bus: &Bus,
    tenant: TenantId,
    at: chrono::DateTime<chrono::Utc>,
) -> Result<Option<u32>, CommandError> {
    Ok(used_of_limit(bus, tenant, at).await?.map(|(used, limit)| limit.saturating_sub(used)))
}

async fn used_of_limit(
    bus: &Bus,
    tenant: TenantId,
    at: chrono::DateTime<chrono::Utc>,
) -> Result<Option<(u32, u32)>, CommandError> {
    let subscription = bus.read::<Subscription>(tenant, tenant).await?;
    let period = subscription.period(at)?;
    let usage = bus.read::<Usage>(tenant, UsageId::of(tenant, &period)).await?;
    let limit = if usage.period.is_some() { usage.limit } else { subscription.plan_at(at).monthly_limit };
    Ok(limit.map(|limit| (usage.used(), limit)))
}

/// A resume as it came in, checked to be of a kind that is read.
#[derive(Clone, Debug)]
pub struct NewResume {
    pub job: JobId,
    pub file_name: String,
    /// `pdf`, `docx` or `doc`.
    pub file_kind: String,
    pub content: Vec<u8>,
    /// What the uploader said of the person.
    pub given: Contact,
    pub uploaded_by: UserId,
}

/// Encrypts and stores a resume, then takes it in with [`upload_resume`]. What is stored for an upload that is refused,
/// or was accepted before, is removed again.
///
/// # Errors
/// As [`upload_resume`], or when keys or files are unavailable.
pub async fn take_in(
    bus: &Bus,
    vault: &dyn Vault,
    objects: &dyn Objects,
    context: Context,
    resume: NewResume,
) -> Result<Committed<Uploaded>, CommandError> {
    let upload = store(vault, objects, context.tenant, resume).await?;
    let outcome = upload_resume(bus, context, upload.clone()).await;
    if may_be_forgotten(&outcome) {
        forget(objects, &upload).await;
    }
    outcome
}

/// Whether the files of this commit are certainly nobody's. Where that is not known they stay: better an orphan, which
/// is swept, than a candidate without a file.
pub fn may_be_forgotten<T>(outcome: &Result<Committed<T>, CommandError>) -> bool {
    match outcome {
        Ok(committed) => committed.replayed,
        Err(CommandError::Unavailable(_) | CommandError::Stopped) => false,
        Err(_) => true,
    }
}

/// Encrypts and stores a resume, to be taken in with [`upload_resume`] or [`upload_resumes`], or else forgotten.
///
/// # Errors
/// When keys or files are unavailable.
pub async fn store(
    vault: &dyn Vault,
    objects: &dyn Objects,
    tenant: TenantId,
    resume: NewResume,
) -> Result<Upload, CommandError> {
    let candidate = CandidateId(Uuid::now_v7());
    let (key, new_key) = vault.new_subject_key(tenant, candidate.0, None).await?;
    let blob_key = format!("{tenant}/{candidate}/file");
    let given = serde_json::to_string(&resume.given).map_err(|error| CommandError::Unreadable(Arc::new(error)))?;
    let command = UploadResume {
        job_id: resume.job,
        usage_id: UsageId::default(),
        blob_key: blob_key.clone(),
        file_kind: resume.file_kind,
        size_bytes: resume.content.len() as u64,
        content_hash: vault.content_hash(tenant, &resume.content),
        file_name: key.seal("file_name", &resume.file_name)?,
        given: (resume.given != Contact::default()).then(|| key.seal("given", &given)).transpose()?,
        uploaded_by: resume.uploaded_by,
    };
    objects.put(&blob_key, key.seal_bytes("file", &resume.content)?).await?;
    Ok(Upload { candidate, key: new_key, command })
}

/// Removes the file of an upload that did not come to be.
pub async fn forget(objects: &dyn Objects, upload: &Upload) {
    if let Err(error) = objects.delete(&upload.command.blob_key).await {
        tracing::warn!(error = %error, "a file without a candidate is left behind");
    }
}

/// What a retry or a new score led to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Retried {
    pub candidate: CandidateId,
    /// Slots left in the billing period after this; `None`: no limit.
    pub remaining: Option<u32>,
}

/// Tries a failed candidate again, from the step that failed. Its slot was given back when it failed, so it reserves
/// one anew, in the running billing period.
///
/// # Errors
/// [`CommandError::NotFound`], [`CandidateError::NotFailed`], or without a free slot
/// [`starscreen_domain::usage::UsageError::LimitReached`].
pub async fn retry(
    bus: &Bus,
    context: Context,
    job: JobId,
    candidate: CandidateId,
) -> Result<Committed<Retried>, CommandError> {
    bus.commit(context.in_turn(), move |unit| {
        Box::pin(async move {
            require_good_standing(unit).await?;
            let rubric_version = job::present(unit, job).await?.current_rubric();
            present(unit, job, candidate).await?;
            let (usage_id, terms) = billing_period(unit).await?;
            unit.decide::<Candidate>(candidate, RetryCandidate { usage_id, rubric_version }).await?;
            unit.decide::<Usage>(usage_id, ReserveSlots { terms, candidates: vec![candidate] }).await?;
            unit.redrive(candidate);
            let remaining = unit.state::<Usage>(usage_id).await?.remaining();
            Ok(Retried { candidate, remaining })
        })
    })
    .await
}

/// Scores a candidate once more by the job's rubric, although it has a score. Costs no slot, and is not urgent: it has
/// a score to look at.
///
/// # Errors
/// [`CommandError::NotFound`], or a [`CandidateError`] when there is no text yet or it has failed.
pub async fn rescore(
    bus: &Bus,
    context: Context,
    job: JobId,
    candidate: CandidateId,
) -> Result<Committed<()>, CommandError> {
    bus.commit(Context { urgent: false, ..context }, move |unit| {
        Box::pin(async move {
            let rubric_version = job::present(unit, job).await?.current_rubric();
            present(unit, job, candidate).await?;
            let rubric_version = rubric_version.ok_or(CandidateError::NoRubric)?;
            unit.decide::<Candidate>(candidate, ScoreCandidate { rubric_version, again: true }).await.map(|_| ())
        })
    })
    .await
}

/// The candidate, if the job has it.
async fn present(unit: &mut Unit, job: JobId, candidate: CandidateId) -> Result<Candidate, CommandError> {
    let state = unit.state::<Candidate>(candidate).await?;
    if state.job_id == Some(job) && !state.deleted { Ok(state) } else { Err(CommandError::NotFound("candidate")) }
}

/// Many resumes of one archive, each with the number of its entry there, in one commit with one reservation: as many of
/// the first as fit. Their files are stored already.
///
/// # Errors
/// As [`upload_resume`]; refused for the limit only when not one fits.
pub async fn upload_resumes(
    bus: &Bus,
    context: Context,
    job: JobId,
    uploads: Vec<(u32, Upload)>,
) -> Result<Committed<UploadedMany>, CommandError> {
    let (tenant, urgent) = (context.tenant, context.urgent);
    bus.commit(context.in_turn(), move |unit| {
        let uploads = uploads.clone();
        Box::pin(async move {
            require_good_standing(unit).await?;
            job::present(unit, job).await?;
            let (usage_id, terms) = billing_period(unit).await?;
            let candidates = uploads.iter().map(|(_, upload)| upload.candidate).collect();
            let limit = terms.limit;
            unit.decide::<Usage>(usage_id, ReserveSlots { terms, candidates }).await?;
            let usage = unit.state::<Usage>(usage_id).await?;
            let mut accepted = vec![];
            for (entry, Upload { candidate, key, mut command }) in uploads {
                if !usage.holds(candidate) {
                    continue;
                }
                command.usage_id = usage_id;
                let content_hash = command.content_hash.clone();
                unit.decide::<Candidate>(candidate, command).await?;
                unit.add_key(key);
                unit.add_candidate(NewCandidate {
                    candidate_id: candidate,
                    tenant_id: tenant,
                    job_id: job,
                    content_hash,
                    urgent,
                });
                accepted.push((entry, candidate));
            }
            let remaining = if usage.period.is_some() { usage.remaining() } else { limit };
            Ok(UploadedMany { accepted, remaining })
        })
    })
    .await
}

/// What of an archive was taken in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UploadedMany {
    /// Entries and their candidates, in the archive's order; the others did not fit. Names of files are personal data,
    /// and this is kept for when the request comes again: so there are none.
    pub accepted: Vec<(u32, CandidateId)>,
    /// Slots left in the billing period after these; `None`: no limit.
    pub remaining: Option<u32>,
}
