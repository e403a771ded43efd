//! Where each candidate stands, and how to reach the person: one row a candidate.

mod query;
#[cfg(test)]
mod tests;

pub use query::{CandidateStatusQuery, CandidateStatusRow, ListCandidates, Status};

use serde_json::json;
use starscreen_domain::{
    Event, JobId, Recorded, Sealed, TenantId,
    candidate::{CandidateEvent, Contact, RetryFrom},
};
use uuid::Uuid;

use crate::projector::Projector;

pub struct CandidateStatus;

impl Projector for CandidateStatus {
    type Row = CandidateStatusRow;
    const NAME: &'static str = "candidate_status";
    const VERSION: u32 = 2; // hidden_text
    const READS: &'static [&'static str] = &["candidate"];

    fn key(event: &Recorded<Event>) -> Option<Uuid> {
        event.of_candidate()
    }

    fn fold(row: Option<CandidateStatusRow>, event: &Recorded<Event>) -> Option<CandidateStatusRow> {
        let change = match &event.payload {
            Event::Candidate(change) => change,
            Event::Account(_)
            | Event::EmailClaim(_)
            | Event::Job(_)
            | Event::Subscription(_)
            | Event::Usage(_)
            | Event::Customer(_)
            | Event::Webhook(_) => {
                return row;
            }
        };
        let mut row = match change {
            CandidateEvent::ResumeUploaded { job_id, .. } => CandidateStatusRow::new(event, event.tenant_id?, *job_id),
            CandidateEvent::CandidateDeleted { .. } => return None,
            CandidateEvent::ExtractionStarted {}
            | CandidateEvent::TextExtracted { .. }
            | CandidateEvent::HiddenTextDetected { .. }
            | CandidateEvent::ExtractionFailed { .. }
            | CandidateEvent::CandidateRetried { .. }
            | CandidateEvent::ScoringAwaited {}
            | CandidateEvent::ScoringRequested { .. }
            | CandidateEvent::CandidateScored { .. }
            | CandidateEvent::ScoringFailed { .. } => row?,
        };
        row.apply(change);
        row.updated_at = event.metadata.occurred_at;
        row.position = event.position;
        Some(row)
    }
}

impl CandidateStatusRow {
    fn new(event: &Recorded<Event>, tenant_id: TenantId, job_id: JobId) -> Self {
        Self {
            candidate_id: starscreen_domain::CandidateId(event.aggregate_id),
            tenant_id,
            job_id,
            status: Status::Uploaded,
            first_name: None,
            last_name: None,
            email: None,
            phone: None,
            location: None,
            linkedin_url: None,
            github_url: None,
            portfolio_url: None,
            other_urls: vec![],
            original_filename: String::new(),
            file_kind: String::new(),
            size_bytes: 0,
            blob_key: String::new(),
            text_key: None,
            failure_code: None,
            error_message: None,
            score: None,
            sort_score: UNSCORED,
            needs_review: vec![],
            hidden_text: None,
            model: None,
            rubric_version: None,
            uploaded_at: event.metadata.occurred_at,
            updated_at: event.metadata.occurred_at,
            position: event.position,
        }
    }

    fn apply(&mut self, change: &CandidateEvent) {
        match change {
            CandidateEvent::ResumeUploaded { blob_key, file_kind, size_bytes, file_name, given, .. } => {
                self.blob_key.clone_from(blob_key);
                self.file_kind.clone_from(file_kind);
                self.size_bytes = *size_bytes;
                file_name.text().unwrap_or_default().clone_into(&mut self.original_filename);
                self.set_contact(contact(given.as_ref()));
            }
            CandidateEvent::ExtractionStarted {} => self.status = Status::Processing,
            CandidateEvent::TextExtracted { text_key, found, .. } => {
                self.status = Status::Parsed;
                self.text_key = Some(text_key.clone());
                self.complete_contact(found.as_ref());
            }
            CandidateEvent::HiddenTextDetected { findings, share_permille } => {
                self.hidden_text = Some(json!({ "findings": findings, "share_permille": share_permille }));
            }
            CandidateEvent::CandidateRetried { from, .. } => {
                self.status = match from {
                    RetryFrom::Extraction => Status::Uploaded,
                    RetryFrom::Scoring => Status::Parsed,
                };
                self.failure_code = None;
                self.error_message = None;
            }
            CandidateEvent::ScoringAwaited {}
            | CandidateEvent::ScoringRequested { .. }
            | CandidateEvent::CandidateDeleted { .. } => {}
            CandidateEvent::CandidateScored { rubric_version, model, total, needs_review, found, .. } => {
                self.complete_contact(found.as_ref());
                self.status = Status::Scored;
                self.failure_code = None;
                self.error_message = None;
                self.score = total.map(|total| i64::from(total.tenths()));
                self.sort_score = self.score.unwrap_or(UNSCORED);
                self.needs_review.clone_from(needs_review);
                self.model = Some(model.clone());
                self.rubric_version = Some(*rubric_version);
            }
            // A score that stands is not lost because a newer one cannot be had.
            CandidateEvent::ScoringFailed { .. } if self.status == Status::Scored => {}
            CandidateEvent::ExtractionFailed { failure } | CandidateEvent::ScoringFailed { failure } => {
                self.status = Status::Failed;
                self.failure_code = Some(failure.code.clone());
                self.error_message = Some(failure.sentence.clone());
            }
        }
    }

    /// Takes over what was found and is not known yet.
    fn complete_contact(&mut self, found: Option<&Sealed>) {
        if found.is_some() {
            let known = self.take_contact();
            self.set_contact(known.or(contact(found)));
        }
    }

    fn take_contact(&mut self) -> Contact {
        Contact {
            first_name: self.first_name.take(),
            last_name: self.last_name.take(),
            email: self.email.take(),
            phone: self.phone.take(),
            location: self.location.take(),
            linkedin_url: self.linkedin_url.take(),
            github_url: self.github_url.take(),
            portfolio_url: self.portfolio_url.take(),
            other_urls: std::mem::take(&mut self.other_urls),
        }
    }

    fn set_contact(&mut self, contact: Contact) {
        let Contact {
            first_name,
            last_name,
            email,
            phone,
            location,
            linkedin_url,
            github_url,
            portfolio_url,
            other_urls,
        } = contact;
        self.first_name = first_name;
        self.last_name = last_name;
        self.email = email;
        self.phone = phone;
        self.location = location;
        self.linkedin_url = linkedin_url;
        self.github_url = github_url;
        self.portfolio_url = portfolio_url;
        self.other_urls = other_urls;
    }
}

/// What a row without a score sorts by: after all that have one.
const UNSCORED: i64 = -1;

/// Blank when the person is erased. Blank too when it cannot be understood: a candidate without contact data is more
/// use than one that is stuck, and a rebuild with the fix brings it back.
fn contact(sealed: Option<&Sealed>) -> Contact {
    sealed.and_then(Sealed::text).and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
}
