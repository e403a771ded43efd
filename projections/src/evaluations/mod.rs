//! Why each candidate has its score: the last evaluation, one row a scored candidate.

mod query;
#[cfg(test)]
mod tests;

pub use query::{EvaluationRow, EvaluationsQuery};

use starscreen_domain::{CandidateId, Event, Recorded, candidate::CandidateEvent};
use uuid::Uuid;

use crate::projector::Projector;

pub struct Evaluations;

impl Projector for Evaluations {
    type Row = EvaluationRow;
    const NAME: &'static str = "evaluations";
    const VERSION: u32 = 1;
    const READS: &'static [&'static str] = &["candidate"];

    fn key(event: &Recorded<Event>) -> Option<Uuid> {
        event.of_candidate()
    }

    fn fold(row: Option<EvaluationRow>, event: &Recorded<Event>) -> Option<EvaluationRow> {
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
        match change {
            CandidateEvent::CandidateScored {
                rubric_version,
                prompt_version,
                model,
                categories,
                total,
                needs_review,
                evaluation,
                attempt: _,
                found: _, // contact data is the candidate's row
            } => Some(EvaluationRow {
                candidate_id: CandidateId(event.aggregate_id),
                tenant_id: event.tenant_id?,
                match_score: total.map(|total| i64::from(total.tenths())),
                model: model.clone(),
                prompt_version: prompt_version.clone(),
                rubric_version: *rubric_version,
                categories: categories.clone(),
                // Blank as well when it cannot be understood: the scores above stand without the words.
                evaluation: evaluation.text().and_then(|json| serde_json::from_str(json).ok()),
                needs_review: needs_review.clone(),
                created_at: event.metadata.occurred_at,
                position: event.position,
            }),
            CandidateEvent::CandidateDeleted { .. } => None,
            CandidateEvent::ResumeUploaded { .. }
            | CandidateEvent::ExtractionStarted {}
            | CandidateEvent::TextExtracted { .. }
            | CandidateEvent::HiddenTextDetected { .. }
            | CandidateEvent::ExtractionFailed { .. }
            | CandidateEvent::CandidateRetried { .. }
            | CandidateEvent::ScoringAwaited {}
            | CandidateEvent::ScoringRequested { .. }
            | CandidateEvent::ScoringFailed { .. } => row,
        }
    }
}
