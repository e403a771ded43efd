//! From file to text: the worker of the lane `extract`.

use starscreen_domain::{
    CandidateId,
    candidate::{Candidate, DeletionReason, FailExtraction, Failure, RecordText, StartExtraction, Status},
    job::Job,
    usage::ReleaseReason,
};

use super::{WorkError, Workers, again, dead, erased, failure, on_behalf_of, report};
use crate::{
    bus::{Bus, Context},
    candidate::{release_slot, remove},
    ports::{ObjectsError, ResumeText},
    work::Claimed,
};

/// Tries before a file that cannot be read for reasons of ours fails the candidate.
pub(super) const MAX_ATTEMPTS: u32 = 8;

impl Workers {
    pub(super) async fn extract(&self, item: &Claimed) -> Result<(), WorkError> {
        let id = CandidateId(item.subject);
        let candidate = self.bus.read::<Candidate>(item.tenant, id).await?;
        if candidate.deleted || !matches!(candidate.status, Status::Uploaded | Status::Processing) {
            return self.done(item).await;
        }
        let job_id = candidate.job_id.unwrap_or_default();
        if self.bus.read::<Job>(item.tenant, job_id).await?.deleted {
            return self.delete_late_upload(item, id).await;
        }
        if candidate.status == Status::Uploaded {
            let begin = on_behalf_of(item);
            self.bus
                .commit(begin, move |unit| {
                    Box::pin(async move { unit.decide::<Candidate>(id, StartExtraction).await.map(|_| ()) })
                })
                .await?;
        }
        match self.read_file(item, &candidate).await? {
            Ok(text) => self.record_text(item, id, text).await,
            Err(reason) => self.fail_extraction(item, id, reason).await,
        }
    }

    pub(super) async fn give_up_extraction(&self, item: &Claimed) -> Result<(), WorkError> {
        let sentence = "The file could not be read for a technical reason. Please upload it again later.";
        self.fail_extraction(item, CandidateId(item.subject), failure("extraction_unavailable", sentence)).await
    }

    /// The text, or why there can never be one.
    async fn read_file(&self, item: &Claimed, candidate: &Candidate) -> Result<Result<ResumeText, Failure>, WorkError> {
        let Some(key) = self.ports.vault.subject_key(item.tenant, item.subject).await? else {
            return Ok(Err(erased()));
        };
        let sealed = match self.ports.objects.get(&candidate.blob_key).await {
            Ok(sealed) => sealed,
            Err(ObjectsError::Missing) => {
                return Ok(Err(failure("file_missing", "The stored file is missing. Please upload it again.")));
            }
            Err(error) => return Err(error.into()),
        };
        let content = key.open_bytes("file", &sealed)?;
        self.ports.extractor.extract(&candidate.file_kind, &content).await.map_err(|error| again(&error))
    }

    async fn record_text(&self, item: &Claimed, id: CandidateId, found: ResumeText) -> Result<(), WorkError> {
        let Some(key) = self.ports.vault.subject_key(item.tenant, item.subject).await? else {
            return self.fail_extraction(item, id, erased()).await; // since the file was read
        };
        let text_key = format!("{}/{}/text", item.tenant, id);
        let characters = found.text.chars().count() as u64;
        self.ports.objects.put(&text_key, key.seal_bytes("text", found.text.as_bytes())?).await?;
        let contact = serde_json::to_string(&found.contact).map_err(|error| again(&error))?;
        let contact = key.seal("found", &contact)?;
        let (pages, cut_short, hidden) = (found.pages, found.cut_short, found.hidden);
        self.bus
            .commit(report(item), move |unit| {
                let (text_key, contact, hidden) = (text_key.clone(), contact.clone(), hidden.clone());
                Box::pin(async move {
                    let job_id = unit.state::<Candidate>(id).await?.job_id.unwrap_or_default();
                    let rubric_version = unit.state::<Job>(job_id).await?.current_rubric();
                    let found = Some(contact);
                    let command = RecordText { text_key, characters, pages, found, cut_short, hidden, rubric_version };
                    unit.decide::<Candidate>(id, command).await.map(|_| ())
                })
            })
            .await?;
        Ok(())
    }

    async fn fail_extraction(&self, item: &Claimed, id: CandidateId, reason: Failure) -> Result<(), WorkError> {
        end_extraction(&self.bus, report(item), item, id, reason).await
    }

    /// The upload landed after its job's deletion had looked for candidates.
    pub(super) async fn delete_late_upload(&self, item: &Claimed, id: CandidateId) -> Result<(), WorkError> {
        self.bus
            .commit(report(item).in_turn(), move |unit| {
                Box::pin(async move { remove(unit, id, DeletionReason::JobDeleted).await })
            })
            .await?;
        Ok(())
    }
}

/// Ends a candidate without a text and frees its slot.
pub(super) async fn end_extraction(
    bus: &Bus,
    context: Context,
    item: &Claimed,
    id: CandidateId,
    reason: Failure,
) -> Result<(), WorkError> {
    let grave = dead(item, &reason.code);
    bus.commit(context.in_turn(), move |unit| {
        let (failure, grave) = (reason.clone(), grave.clone());
        Box::pin(async move {
            let before = unit.state::<Candidate>(id).await?;
            let failed = unit.decide::<Candidate>(id, FailExtraction { failure }).await?;
            if !failed.is_empty() {
                unit.add_dead(grave);
                release_slot(unit, id, &before, ReleaseReason::ExtractionFailed).await?;
            }
            Ok(())
        })
    })
    .await?;
    Ok(())
}
