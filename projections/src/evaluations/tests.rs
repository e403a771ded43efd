use super::*;
use crate::contracts::{fixtures::*, log::DESTROYED};

fn after(events: Vec<Event>) -> Option<EvaluationRow> {
    row_after::<Evaluations>(candidate(1).0, events)
}

#[test]
fn a_score_comes_with_its_reasons() {
    let row = after(vec![uploaded(), text_extracted(None), scored(Some(800))]).unwrap();
    assert_eq!((row.candidate_id, row.tenant_id), (candidate(1), TENANT));
    assert_eq!((row.match_score, row.categories), (Some(800), categories()));
    assert_eq!(row.evaluation, Some(evaluation()));
    assert_eq!((row.model.as_str(), row.prompt_version.as_str(), row.rubric_version), ("offline", "p1", 1));
    assert_eq!((row.created_at, row.position), (at(3), 3));
}

#[test]
fn the_last_score_replaces_the_one_before() {
    let row = after(vec![scored(Some(800)), scored(Some(300))]).unwrap();
    assert_eq!((row.match_score, row.created_at), (Some(300), at(2)));
}

#[test]
fn erasing_takes_the_words_and_leaves_the_scores() {
    let row = after(vec![scored_with(Some(800), sealed(DESTROYED))]).unwrap();
    assert_eq!((row.match_score, row.evaluation), (Some(800), None));
}

#[test]
fn without_a_score_or_a_candidate_there_is_no_row() {
    assert_eq!(after(vec![uploaded(), text_extracted(None), scoring_failed()]), None);
    assert_eq!(after(vec![scored(Some(800)), candidate_deleted()]), None);
}

#[test]
fn a_failed_newer_try_leaves_the_evaluation() {
    assert!(after(vec![scored(Some(800)), scoring_requested(), scoring_failed()]).is_some());
}
