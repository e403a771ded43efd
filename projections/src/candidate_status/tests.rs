use super::*;
use crate::contracts::{fixtures::*, log::DESTROYED};

fn after(events: Vec<Event>) -> CandidateStatusRow {
    row_after::<CandidateStatus>(candidate(1).0, events).unwrap()
}

#[test]
fn an_upload_shows_the_file_and_what_was_given() {
    let row = after(vec![uploaded_for(&person("Ada", "ada@example.org"))]);
    assert_eq!(row.candidate_id, candidate(1));
    assert_eq!((row.tenant_id, row.job_id, row.status), (TENANT, JOB, Status::Uploaded));
    assert_eq!((row.first_name.as_deref(), row.email.as_deref()), (Some("Ada"), Some("ada@example.org")));
    assert_eq!((row.original_filename.as_str(), row.file_kind.as_str(), row.size_bytes), ("resume.pdf", "pdf", 4_096));
    assert_eq!((row.blob_key.as_str(), row.text_key), ("blob/1", None));
    assert_eq!((row.score, row.sort_score, row.position), (None, -1, 1));
    assert_eq!((row.uploaded_at, row.updated_at), (at(1), at(1)));
}

#[test]
fn the_status_follows_the_way_from_file_to_score() {
    let mut events = vec![uploaded()];
    assert_eq!(after(events.clone()).status, Status::Uploaded);
    events.push(extraction_started());
    assert_eq!(after(events.clone()).status, Status::Processing);
    events.push(text_extracted(None));
    assert_eq!(after(events.clone()).status, Status::Parsed);
    assert_eq!(after(events.clone()).text_key.as_deref(), Some("text/1"));
    events.push(CandidateEvent::ScoringAwaited {}.into());
    events.push(scoring_requested());
    assert_eq!(after(events.clone()).status, Status::Parsed);
    events.push(scored(Some(873)));
    let row = after(events);
    assert_eq!((row.status, row.score, row.sort_score), (Status::Scored, Some(873), 873));
    assert_eq!((row.model.as_deref(), row.rubric_version), (Some("offline"), Some(1)));
    assert_eq!(row.needs_review, ["unsupported_category:rust"]);
    assert_eq!((row.uploaded_at, row.updated_at, row.position), (at(1), at(6), 6));
}

#[test]
fn what_was_given_wins_over_what_was_found() {
    let found = Contact { phone: Some("+380".to_owned()), ..person("Wrong", "found@example.org") };
    let row = after(vec![uploaded_for(&person("Ada", "")), text_extracted(Some(&found))]);
    assert_eq!(row.first_name.as_deref(), Some("Ada"));
    assert_eq!(row.email.as_deref(), Some("found@example.org"));
    assert_eq!(row.phone.as_deref(), Some("+380"));
}

#[test]
fn an_erased_person_is_blank_and_the_facts_stay() {
    let row = after(vec![
        uploaded_with(sealed(DESTROYED), Some(sealed(DESTROYED))),
        text_extracted_with(Some(sealed(DESTROYED))),
        scored(Some(500)),
    ]);
    assert_eq!((row.original_filename.as_str(), row.first_name, row.email, row.phone), ("", None, None, None));
    assert_eq!((row.status, row.score), (Status::Scored, Some(500)));
}

#[test]
fn contact_data_that_cannot_be_understood_does_not_hold_up_the_candidate() {
    let row = after(vec![uploaded_with(sealed("resume.pdf"), Some(sealed("not json"))), extraction_started()]);
    assert_eq!((row.status, row.first_name), (Status::Processing, None));
}

#[test]
fn a_failure_shows_its_code_and_its_sentence() {
    let row = after(vec![uploaded(), extraction_started(), extraction_failed()]);
    assert_eq!(row.status, Status::Failed);
    assert_eq!(row.failure_code.as_deref(), Some("scanned_image"));
    assert_eq!(row.error_message.as_deref(), Some("It failed: scanned_image."));
    assert_eq!(after(vec![uploaded(), text_extracted(None), scoring_failed()]).status, Status::Failed);
}

#[test]
fn a_score_stands_when_a_newer_one_cannot_be_had() {
    let row = after(vec![uploaded(), text_extracted(None), scored(Some(700)), scoring_requested(), scoring_failed()]);
    assert_eq!((row.status, row.score, row.error_message), (Status::Scored, Some(700), None));
}

#[test]
fn a_score_without_any_supported_category_sorts_last() {
    let row = after(vec![uploaded(), text_extracted(None), scored(None)]);
    assert_eq!((row.status, row.score, row.sort_score), (Status::Scored, None, -1));
}

#[test]
fn a_deleted_candidate_has_no_row() {
    assert_eq!(row_after::<CandidateStatus>(candidate(1).0, vec![uploaded(), candidate_deleted()]), None);
    assert_eq!(row_after::<CandidateStatus>(candidate(1).0, vec![scored(Some(1))]), None, "nothing was uploaded");
}

#[test]
fn events_of_other_nouns_are_passed_over() {
    let other = recorded(1, TENANT, JOB.0, 1, job_created("Engineer"));
    assert_eq!(CandidateStatus::key(&other), None);
    let row = after(vec![uploaded()]);
    assert_eq!(CandidateStatus::fold(Some(row.clone()), &other), Some(row));
}
