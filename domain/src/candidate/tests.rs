use super::*;
use crate::{
    fixtures::{after, attempt, failure, given, importance, job, sealed, usage, user},
    score::{Score, Total},
};

#[test]
fn a_resume_can_be_uploaded() {
    given::<Candidate>(vec![]).when(upload().into()).then_expect_events(vec![uploaded()]);
}

#[test]
fn a_resume_is_uploaded_once() {
    for history in every_history() {
        given::<Candidate>(history).when(upload().into()).then_expect_error(CandidateError::AlreadyUploaded);
    }
}

#[test]
fn without_a_resume_no_command_is_taken() {
    for command in all_but_upload() {
        given::<Candidate>(vec![]).when(command).then_expect_error(CandidateError::NotUploaded);
    }
}

#[test]
fn a_deleted_candidate_takes_no_command() {
    for mut history in every_history() {
        history.push(deleted());
        for command in all_but_upload() {
            given::<Candidate>(history.clone()).when(command).then_expect_error(CandidateError::Deleted);
        }
    }
}

#[test]
fn extraction_begins_once() {
    given::<Candidate>(vec![uploaded()]).when(StartExtraction.into()).then_expect_events(vec![begun()]);
    given::<Candidate>(processing()).when(StartExtraction.into()).then_expect_events(vec![]);
}

#[test]
fn a_late_beginning_does_not_turn_the_status_back() {
    for history in [requested_by(1), scored_by(1), unreadable(), unscorable()] {
        given::<Candidate>(history).when(StartExtraction.into()).then_expect_events(vec![]);
    }
}

#[test]
fn a_text_asks_for_a_score_when_the_rubric_is_ready() {
    given::<Candidate>(processing())
        .when(record_text(Some(2)).into())
        .then_expect_events(vec![extracted(), requested(2)]);
}

#[test]
fn a_text_waits_while_there_is_no_rubric() {
    given::<Candidate>(processing()).when(record_text(None).into()).then_expect_events(vec![extracted(), awaited()]);
}

#[test]
fn a_text_is_accepted_though_its_beginning_was_not_recorded() {
    given::<Candidate>(vec![uploaded()])
        .when(record_text(Some(1)).into())
        .then_expect_events(vec![extracted(), requested(1)]);
}

#[test]
fn a_second_text_changes_nothing() {
    for history in [waiting(), requested_by(1), scored_by(1), unreadable(), unscorable()] {
        given::<Candidate>(history).when(record_text(Some(9)).into()).then_expect_events(vec![]);
    }
}

#[test]
fn extraction_fails_once() {
    given::<Candidate>(vec![uploaded()]).when(fail_extraction().into()).then_expect_events(vec![extraction_failed()]);
    given::<Candidate>(processing()).when(fail_extraction().into()).then_expect_events(vec![extraction_failed()]);
    given::<Candidate>(unreadable()).when(fail_extraction().into()).then_expect_events(vec![]);
}

#[test]
fn a_late_failure_does_not_take_back_a_text() {
    for history in [waiting(), requested_by(1), scored_by(1), unscorable()] {
        given::<Candidate>(history).when(fail_extraction().into()).then_expect_events(vec![]);
    }
}

#[test]
fn a_waiting_candidate_is_scored_when_the_rubric_comes() {
    given::<Candidate>(waiting()).when(score_by(1).into()).then_expect_events(vec![requested(1)]);
}

#[test]
fn a_score_is_asked_for_once_per_rubric() {
    given::<Candidate>(requested_by(1)).when(score_by(1).into()).then_expect_events(vec![]);
    given::<Candidate>(scored_by(1)).when(score_by(1).into()).then_expect_events(vec![]);
}

#[test]
fn a_newer_rubric_replaces_the_request() {
    given::<Candidate>(requested_by(1)).when(score_by(2).into()).then_expect_events(vec![requested(2)]);
}

#[test]
fn a_scored_candidate_is_scored_again_by_a_newer_rubric() {
    given::<Candidate>(scored_by(1)).when(score_by(2).into()).then_expect_events(vec![requested(2)]);
}

#[test]
fn an_older_rubric_never_replaces_a_newer_one() {
    given::<Candidate>(requested_by(2)).when(score_by(1).into()).then_expect_events(vec![]);
    given::<Candidate>(scored_by(2)).when(score_by(1).into()).then_expect_events(vec![]);
    let rescoring = [scored_by(1), vec![requested(3)]].concat();
    given::<Candidate>(rescoring).when(score_by(2).into()).then_expect_events(vec![]);
}

#[test]
fn scoring_before_parsing_is_refused() {
    for history in [vec![uploaded()], processing()] {
        given::<Candidate>(history.clone()).when(score_by(1).into()).then_expect_error(CandidateError::NotParsed);
        given::<Candidate>(history.clone())
            .when(record_score(1, 1).into())
            .then_expect_error(CandidateError::NotParsed);
        given::<Candidate>(history).when(fail_scoring(Some(1)).into()).then_expect_error(CandidateError::NotParsed);
    }
}

#[test]
fn a_failed_candidate_is_not_scored_by_itself() {
    given::<Candidate>(unreadable()).when(score_by(1).into()).then_expect_error(CandidateError::Failed);
    given::<Candidate>(unscorable()).when(score_by(2).into()).then_expect_error(CandidateError::Failed);
}

#[test]
fn the_total_is_computed_here() {
    given::<Candidate>(requested_by(1)).when(record_score(1, 1).into()).then_expect_events(vec![scored(1, 1)]);
}

#[test]
fn one_attempt_gives_one_score() {
    given::<Candidate>(scored_by(1)).when(record_score(1, 1).into()).then_expect_events(vec![]);
}

#[test]
fn one_attempt_gives_one_score_even_when_another_is_wanted_since() {
    let rescoring = [scored_by(1), vec![requested(2)]].concat();
    given::<Candidate>(rescoring).when(record_score(1, 2).into()).then_expect_events(vec![]);
}

#[test]
fn a_second_attempt_after_the_score_is_superseded() {
    given::<Candidate>(scored_by(1)).when(record_score(2, 1).into()).then_expect_error(CandidateError::Superseded);
}

#[test]
fn a_result_by_an_older_rubric_is_superseded() {
    given::<Candidate>([requested_by(1), vec![requested(2)]].concat())
        .when(record_score(1, 1).into())
        .then_expect_error(CandidateError::Superseded);
}

#[test]
fn a_result_by_a_rubric_that_nobody_asked_for_is_superseded() {
    given::<Candidate>(requested_by(1)).when(record_score(1, 2).into()).then_expect_error(CandidateError::Superseded);
    given::<Candidate>(waiting()).when(record_score(1, 1).into()).then_expect_error(CandidateError::Superseded);
}

#[test]
fn a_score_after_the_failure_is_superseded() {
    given::<Candidate>(unscorable()).when(record_score(1, 1).into()).then_expect_error(CandidateError::Superseded);
}

#[test]
fn a_newer_score_replaces_the_older_one() {
    let rescoring = [scored_by(1), vec![requested(2)]].concat();
    given::<Candidate>(rescoring.clone()).when(record_score(2, 2).into()).then_expect_events(vec![scored(2, 2)]);
    let state = after::<Candidate>([rescoring, vec![scored(2, 2)]].concat());
    assert_eq!((state.scored_by, state.requested), (Some(2), None));
}

#[test]
fn an_unsupported_category_is_left_out_and_flagged() {
    let command = RecordScore {
        categories: vec![category("rust", 5, Some(90)), category("leadership", 1, None)],
        needs_review: vec!["hidden_text".to_owned()],
        ..record_score(1, 1)
    };
    let score = decided_score(command);
    assert_eq!(score.total, Some(Total::try_new(900).unwrap()));
    assert_eq!(score.needs_review, ["hidden_text", "unsupported_category:leadership"]);
    assert_eq!(score.categories.len(), 2);
}

#[test]
fn an_unsupported_category_is_flagged_once() {
    let command = RecordScore {
        categories: vec![category("leadership", 1, None)],
        needs_review: vec!["unsupported_category:leadership".to_owned()],
        ..record_score(1, 1)
    };
    assert_eq!(decided_score(command).needs_review, ["unsupported_category:leadership"]);
}

#[test]
fn without_any_supported_category_there_is_no_total() {
    let command = RecordScore {
        categories: vec![category("rust", 5, None), category("leadership", 1, None)],
        ..record_score(1, 1)
    };
    let score = decided_score(command);
    assert_eq!(score.total, None);
    assert_eq!(score.needs_review, ["unsupported_category:rust", "unsupported_category:leadership"]);
}

#[test]
fn scoring_can_fail() {
    given::<Candidate>(requested_by(1)).when(fail_scoring(Some(1)).into()).then_expect_events(vec![scoring_failed()]);
}

#[test]
fn a_rubric_that_fails_for_good_fails_who_waits_for_it() {
    given::<Candidate>(waiting()).when(fail_scoring(None).into()).then_expect_events(vec![scoring_failed()]);
}

#[test]
fn a_rubric_that_fails_for_good_does_not_fail_who_has_an_older_request() {
    given::<Candidate>(requested_by(1)).when(fail_scoring(None).into()).then_expect_error(CandidateError::Superseded);
}

#[test]
fn a_failure_by_an_older_rubric_does_not_end_a_newer_request() {
    let superseded = [requested_by(1), vec![requested(2)]].concat();
    given::<Candidate>(superseded).when(fail_scoring(Some(1)).into()).then_expect_error(CandidateError::Superseded);
    let rescoring = [scored_by(1), vec![requested(2), requested(3)]].concat();
    given::<Candidate>(rescoring).when(fail_scoring(Some(2)).into()).then_expect_error(CandidateError::Superseded);
}

#[test]
fn scoring_fails_once() {
    given::<Candidate>(unscorable()).when(fail_scoring(Some(1)).into()).then_expect_events(vec![]);
    given::<Candidate>(unreadable()).when(fail_scoring(None).into()).then_expect_events(vec![]);
}

#[test]
fn a_late_failure_does_not_take_back_a_score() {
    given::<Candidate>(scored_by(1)).when(fail_scoring(Some(1)).into()).then_expect_events(vec![]);
    given::<Candidate>(scored_by(1)).when(fail_scoring(None).into()).then_expect_events(vec![]);
}

#[test]
fn a_score_outlives_the_failure_of_a_newer_one_and_can_be_asked_for_again() {
    let rescoring = [scored_by(1), vec![requested(2)]].concat();
    given::<Candidate>(rescoring.clone()).when(fail_scoring(Some(2)).into()).then_expect_events(vec![scoring_failed()]);

    let given_up = [rescoring, vec![scoring_failed()]].concat();
    assert_eq!(after::<Candidate>(given_up.clone()).status, Status::Scored);
    given::<Candidate>(given_up.clone()).when(fail_scoring(Some(2)).into()).then_expect_events(vec![]);
    given::<Candidate>(given_up).when(score_by(2).into()).then_expect_events(vec![requested(2)]);
}

#[test]
fn a_candidate_can_be_deleted_wherever_it_stands() {
    for history in every_history() {
        given::<Candidate>(history).when(delete().into()).then_expect_events(vec![deleted()]);
    }
}

#[test]
fn a_deletion_keeps_its_reason() {
    let command = DeleteCandidate { reason: DeletionReason::JobDeleted };
    let event = CandidateEvent::CandidateDeleted { reason: DeletionReason::JobDeleted };
    given::<Candidate>(scored_by(1)).when(command.into()).then_expect_events(vec![event]);
}

#[test]
fn the_status_follows_the_events() {
    let status = |history| after::<Candidate>(history).status;
    assert_eq!(status(vec![]), Status::Unknown);
    assert_eq!(status(vec![uploaded()]), Status::Uploaded);
    assert_eq!(status(processing()), Status::Processing);
    assert_eq!(status(waiting()), Status::Parsed);
    assert_eq!(status(requested_by(1)), Status::Parsed);
    assert_eq!(status(scored_by(1)), Status::Scored);
    assert_eq!(status([scored_by(1), vec![requested(2)]].concat()), Status::Scored);
    assert_eq!(status(unreadable()), Status::Failed);
    assert_eq!(status(unscorable()), Status::Failed);
}

#[test]
fn a_slot_is_only_reserved_until_the_first_end() {
    let reserved = |history| after::<Candidate>(history).holds_reserved_slot();
    for history in [vec![uploaded()], processing(), waiting(), requested_by(1)] {
        assert!(reserved(history.clone()), "{history:?}");
        assert!(!reserved([history, vec![deleted()]].concat()));
    }
    let rescoring = [scored_by(1), vec![requested(2)]].concat();
    let given_up = [rescoring.clone(), vec![scoring_failed()]].concat();
    for history in [vec![], scored_by(1), rescoring, given_up, unreadable(), unscorable()] {
        assert!(!reserved(history.clone()), "{history:?}");
    }
}

#[test]
fn workers_find_what_they_need_in_the_state() {
    let state = after::<Candidate>(requested_by(1));
    assert_eq!((state.job_id, state.usage_id), (Some(job()), Some(usage())));
    assert_eq!((state.blob_key.as_str(), state.file_kind.as_str()), ("resumes/1", "pdf"));
    assert_eq!(state.text_key.as_deref(), Some("texts/1"));
}

#[test]
fn what_was_given_of_a_person_goes_before_what_was_found() {
    let given =
        Contact { first_name: Some("Ada".to_owned()), email: Some("ada@example.org".to_owned()), ..Contact::default() };
    let found = Contact {
        first_name: Some("Augusta".to_owned()),
        last_name: Some("Lovelace".to_owned()),
        email: Some("augusta@example.org".to_owned()),
        phone: Some("+44 20".to_owned()),
        location: Some("London".to_owned()),
        linkedin_url: Some("https://linkedin.com/in/ada".to_owned()),
        github_url: Some("https://github.com/ada".to_owned()),
        portfolio_url: Some("https://ada.example.org".to_owned()),
        other_urls: vec!["https://example.org".to_owned()],
    };
    let both =
        Contact { first_name: Some("Ada".to_owned()), email: Some("ada@example.org".to_owned()), ..found.clone() };
    assert_eq!(given.clone().or(found.clone()), both);
    assert_eq!(found.clone().or(given.clone()), found);
    assert_eq!(given.clone().or(Contact::default()), given);
}

#[test]
fn absent_contact_data_is_absent_in_json() {
    let json = serde_json::to_string(&Contact { first_name: Some("Ada".to_owned()), ..Contact::default() }).unwrap();
    assert_eq!(json, r#"{"first_name":"Ada"}"#);
    assert_eq!(serde_json::from_str::<Contact>("{}").unwrap(), Contact::default());
}

fn upload() -> UploadResume {
    UploadResume {
        job_id: job(),
        usage_id: usage(),
        blob_key: "resumes/1".to_owned(),
        file_kind: "pdf".to_owned(),
        size_bytes: 48_213,
        content_hash: "9f86d081".to_owned(),
        file_name: sealed("ada.pdf"),
        given: Some(sealed("{}")),
        uploaded_by: user(),
    }
}

fn uploaded() -> CandidateEvent {
    CandidateEvent::ResumeUploaded {
        job_id: job(),
        usage_id: usage(),
        blob_key: "resumes/1".to_owned(),
        file_kind: "pdf".to_owned(),
        size_bytes: 48_213,
        content_hash: "9f86d081".to_owned(),
        file_name: sealed("ada.pdf"),
        given: Some(sealed("{}")),
        uploaded_by: user(),
    }
}

fn begun() -> CandidateEvent {
    CandidateEvent::ExtractionStarted {}
}

fn record_text(rubric_version: Option<u32>) -> RecordText {
    RecordText {
        text_key: "texts/1".to_owned(),
        characters: 4_812,
        pages: 2,
        found: Some(sealed("found")),
        cut_short: false,
        hidden: vec![],
        rubric_version,
    }
}

fn extracted() -> CandidateEvent {
    CandidateEvent::TextExtracted {
        text_key: "texts/1".to_owned(),
        characters: 4_812,
        pages: 2,
        found: Some(sealed("found")),
        cut_short: false,
    }
}

/// Of a resume that was too long to be read to its end.
fn extracted_in_part() -> CandidateEvent {
    CandidateEvent::TextExtracted {
        text_key: "texts/1".to_owned(),
        characters: 4_812,
        pages: 2,
        found: Some(sealed("found")),
        cut_short: true,
    }
}

fn fail_extraction() -> FailExtraction {
    FailExtraction { failure: failure() }
}

fn extraction_failed() -> CandidateEvent {
    CandidateEvent::ExtractionFailed { failure: failure() }
}

fn awaited() -> CandidateEvent {
    CandidateEvent::ScoringAwaited {}
}

fn score_by(rubric_version: u32) -> ScoreCandidate {
    ScoreCandidate { rubric_version, again: false }
}

fn requested(rubric_version: u32) -> CandidateEvent {
    CandidateEvent::ScoringRequested { rubric_version }
}

fn record_score(number: u128, rubric_version: u32) -> RecordScore {
    RecordScore {
        attempt: attempt(number),
        rubric_version,
        prompt_version: "score/1".to_owned(),
        model: "gpt-5".to_owned(),
        categories: vec![category("rust", 5, Some(90)), category("leadership", 2, Some(45))],
        needs_review: vec![],
        evaluation: sealed("evaluation"),
        found: None,
    }
}

/// (5·90 + 2·45) / 7 = 77.14
fn scored(number: u128, rubric_version: u32) -> CandidateEvent {
    CandidateEvent::CandidateScored {
        attempt: attempt(number),
        rubric_version,
        prompt_version: "score/1".to_owned(),
        model: "gpt-5".to_owned(),
        categories: vec![category("rust", 5, Some(90)), category("leadership", 2, Some(45))],
        total: Some(Total::try_new(771).unwrap()),
        needs_review: vec![],
        evaluation: sealed("evaluation"),
        found: None,
    }
}

fn category(category_id: &str, weight: u8, points: Option<u8>) -> CategoryScore {
    let score = points.map(|points| Score::try_new(points).unwrap());
    CategoryScore { category_id: category_id.to_owned(), importance: importance(weight), score }
}

struct DecidedScore {
    categories: Vec<CategoryScore>,
    total: Option<Total>,
    needs_review: Vec<String>,
}

fn decided_score(command: RecordScore) -> DecidedScore {
    let events = given::<Candidate>(requested_by(1)).when(command.into()).inspect_result().unwrap();
    match <[CandidateEvent; 1]>::try_from(events) {
        Ok([CandidateEvent::CandidateScored { categories, total, needs_review, .. }]) => {
            DecidedScore { categories, total, needs_review }
        }
        other => panic!("no score: {other:?}"),
    }
}

fn fail_scoring(rubric_version: Option<u32>) -> FailScoring {
    FailScoring { rubric_version, failure: failure() }
}

fn scoring_failed() -> CandidateEvent {
    CandidateEvent::ScoringFailed { failure: failure() }
}

fn delete() -> DeleteCandidate {
    DeleteCandidate { reason: DeletionReason::Requested }
}

fn deleted() -> CandidateEvent {
    CandidateEvent::CandidateDeleted { reason: DeletionReason::Requested }
}

fn processing() -> Vec<CandidateEvent> {
    vec![uploaded(), begun()]
}

fn waiting() -> Vec<CandidateEvent> {
    vec![uploaded(), begun(), extracted(), awaited()]
}

fn requested_by(rubric_version: u32) -> Vec<CandidateEvent> {
    vec![uploaded(), begun(), extracted(), requested(rubric_version)]
}

fn scored_by(rubric_version: u32) -> Vec<CandidateEvent> {
    [requested_by(rubric_version), vec![scored(1, rubric_version)]].concat()
}

fn unreadable() -> Vec<CandidateEvent> {
    vec![uploaded(), begun(), extraction_failed()]
}

fn unscorable() -> Vec<CandidateEvent> {
    [requested_by(1), vec![scoring_failed()]].concat()
}

fn every_history() -> Vec<Vec<CandidateEvent>> {
    vec![vec![uploaded()], processing(), waiting(), requested_by(1), scored_by(1), unreadable(), unscorable()]
}

fn all_but_upload() -> Vec<CandidateCommand> {
    vec![
        StartExtraction.into(),
        record_text(Some(1)).into(),
        fail_extraction().into(),
        score_by(1).into(),
        record_score(1, 1).into(),
        fail_scoring(Some(1)).into(),
        retry(Some(1)).into(),
        delete().into(),
    ]
}

fn retry(rubric_version: Option<u32>) -> RetryCandidate {
    RetryCandidate { usage_id: usage(), rubric_version }
}

fn retried(from: RetryFrom) -> CandidateEvent {
    CandidateEvent::CandidateRetried { usage_id: usage(), from }
}

fn white_text() -> Vec<HiddenText> {
    vec![HiddenText { technique: "same_colour".to_owned(), characters: 200 }]
}

fn hidden_text_found() -> CandidateEvent {
    CandidateEvent::HiddenTextDetected { findings: white_text(), share_permille: 40 }
}

#[test]
fn hidden_text_is_told_with_its_technique_and_share() {
    let command = RecordText { hidden: white_text(), ..record_text(Some(1)) };
    given::<Candidate>(processing()).when(command.into()).then_expect_events(vec![
        extracted(),
        hidden_text_found(),
        requested(1),
    ]);
}

#[test]
fn one_hidden_character_in_a_long_text_is_not_rounded_to_none() {
    let one = vec![HiddenText { technique: "tiny".to_owned(), characters: 1 }];
    let command = RecordText { hidden: one.clone(), characters: 1_000_000, ..record_text(Some(1)) };
    let events = given::<Candidate>(processing()).when(command.into()).inspect_result().unwrap();
    assert_eq!(events[1], CandidateEvent::HiddenTextDetected { findings: one, share_permille: 1 });
}

#[test]
fn a_score_of_a_resume_with_hidden_text_asks_for_a_person() {
    let history = [processing(), vec![extracted(), hidden_text_found(), requested(1)]].concat();
    let events = given::<Candidate>(history).when(record_score(1, 1).into()).inspect_result().unwrap();
    let CandidateEvent::CandidateScored { needs_review, .. } = &events[0] else { panic!("{events:?}") };
    assert!(needs_review.contains(&"hidden_text:same_colour".to_owned()), "{needs_review:?}");
}

#[test]
fn a_text_that_was_cut_short_is_told_as_such() {
    let command = RecordText { cut_short: true, ..record_text(Some(1)) };
    given::<Candidate>(processing()).when(command.into()).then_expect_events(vec![extracted_in_part(), requested(1)]);
}

#[test]
fn a_score_of_a_text_that_was_cut_short_asks_for_a_person() {
    for again in [vec![], vec![scored(1, 1), requested(2)]] {
        let version = if again.is_empty() { 1 } else { 2 };
        let history = [processing(), vec![extracted_in_part(), requested(1)], again].concat();
        let command = record_score(u128::from(version), version);
        let events = given::<Candidate>(history).when(command.into()).inspect_result().unwrap();
        let CandidateEvent::CandidateScored { needs_review, .. } = &events[0] else { panic!("{events:?}") };
        assert!(needs_review.contains(&"text_cut_short".to_owned()), "{needs_review:?}");
    }
}

#[test]
fn a_failed_file_is_read_again() {
    given::<Candidate>(unreadable())
        .when(retry(Some(1)).into())
        .then_expect_events(vec![retried(RetryFrom::Extraction)]);
    let history = [unreadable(), vec![retried(RetryFrom::Extraction)]].concat();
    assert!(after::<Candidate>(history.clone()).holds_reserved_slot());
    given::<Candidate>(history).when(StartExtraction.into()).then_expect_events(vec![begun()]);
}

#[test]
fn a_failed_score_is_asked_for_again_without_reading_the_file() {
    given::<Candidate>(unscorable())
        .when(retry(Some(3)).into())
        .then_expect_events(vec![retried(RetryFrom::Scoring), requested(3)]);
    given::<Candidate>(unscorable())
        .when(retry(None).into())
        .then_expect_events(vec![retried(RetryFrom::Scoring), awaited()]);
}

#[test]
fn only_what_failed_can_be_retried() {
    for history in [vec![uploaded()], processing(), waiting(), requested_by(1), scored_by(1)] {
        given::<Candidate>(history).when(retry(Some(1)).into()).then_expect_error(CandidateError::NotFailed);
    }
}

#[test]
fn a_scored_candidate_is_scored_again_when_a_person_wants_it() {
    let again = ScoreCandidate { rubric_version: 1, again: true };
    given::<Candidate>(scored_by(1)).when(again.clone().into()).then_expect_events(vec![requested(1)]);
    let history = [scored_by(1), vec![requested(1)]].concat();
    given::<Candidate>(history).when(again.into()).then_expect_events(vec![]);
    given::<Candidate>(scored_by(1)).when(score_by(1).into()).then_expect_events(vec![]);
}
