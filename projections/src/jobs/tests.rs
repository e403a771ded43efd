use super::*;
use crate::contracts::fixtures::*;

fn after(events: Vec<Event>) -> JobRow {
    row_after::<Jobs>(JOB.0, events).unwrap()
}

#[test]
fn a_new_job_waits_for_its_rubric() {
    let row = after(vec![job_created("Engineer")]);
    assert_eq!((row.job_id, row.tenant_id, row.created_by), (JOB, TENANT, USER));
    assert_eq!((row.title.as_str(), row.location.as_deref()), ("Engineer", Some("Kyiv")));
    assert!(row.work_authorization_required);
    assert_eq!((row.status, row.job_config, row.error_message), (JobStatus::Pending, None, None));
    assert_eq!((row.created_at, row.updated_at, row.position), (at(1), at(1), 1));
}

#[test]
fn a_rubric_shows_in_its_old_shape_with_where_it_came_from() {
    let row = after(vec![job_created("Engineer"), rubric_started(), rubric_recorded(3)]);
    let config = row.job_config.unwrap();
    assert_eq!(row.status, JobStatus::Completed);
    assert_eq!(config["categories"][0]["category_id"], "sql");
    assert_eq!((&config["model"], &config["prompt_version"]), (&json!("offline"), &json!("r1")));
    assert_eq!(config["version"], 3);
    assert_eq!(after(vec![job_created("Engineer"), rubric_started()]).status, JobStatus::Processing);
}

#[test]
fn a_revision_that_outdates_the_rubric_waits_again_and_still_shows_the_old_one() {
    let row = after(vec![job_created("Engineer"), rubric_recorded(1), job_revised("Architect", true)]);
    assert_eq!((row.title.as_str(), row.status), ("Architect", JobStatus::Pending));
    assert_eq!(row.job_config.unwrap()["version"], 1);
}

#[test]
fn a_revision_of_the_place_keeps_the_rubric() {
    let row = after(vec![job_created("Engineer"), rubric_recorded(1), job_revised("Engineer", false)]);
    assert_eq!((row.status, row.location), (JobStatus::Completed, None));
    assert!(!row.work_authorization_required);
}

#[test]
fn a_failed_rubric_says_why_until_there_is_one() {
    let mut events = vec![job_created("Engineer"), rubric_started(), rubric_failed()];
    let row = after(events.clone());
    assert_eq!((row.status, row.error_message.as_deref()), (JobStatus::Failed, Some("It failed: model_refused.")));
    let mut revised = events.clone();
    revised.push(job_revised("Architect", true));
    assert_eq!(after(revised).error_message, None);
    events.push(rubric_recorded(1));
    assert_eq!(after(events).error_message, None);
}

#[test]
fn a_deleted_job_has_no_row() {
    assert_eq!(row_after::<Jobs>(JOB.0, vec![job_created("Engineer"), job_deleted()]), None);
    assert_eq!(row_after::<Jobs>(JOB.0, vec![rubric_recorded(1)]), None, "it was never created");
}
