use super::*;
use crate::fixtures::{after, failure, given, importance, user};

#[test]
fn a_job_can_be_created() {
    given::<Job>(vec![]).when(create().into()).then_expect_events(vec![created()]);
}

#[test]
fn a_job_is_created_once_even_after_its_deletion() {
    given::<Job>(vec![created()]).when(create().into()).then_expect_error(JobError::AlreadyCreated);
    given::<Job>(vec![created(), deleted()]).when(create().into()).then_expect_error(JobError::AlreadyCreated);
}

#[test]
fn titles_have_1_to_200_characters() {
    let titled = |title: String| given::<Job>(vec![]).when(CreateJob { title, ..create() }.into()).inspect_result();
    assert_eq!(titled(String::new()), Err(JobError::TitleLength));
    assert_eq!(titled(" \n\t ".to_owned()), Err(JobError::TitleLength));
    assert!(titled("X".to_owned()).is_ok());
    assert!(titled("ü".repeat(200)).is_ok(), "characters are counted, not bytes");
    assert_eq!(titled("ü".repeat(201)), Err(JobError::TitleLength));
}

#[test]
fn descriptions_have_10_to_15000_characters() {
    let described =
        |description: String| given::<Job>(vec![]).when(CreateJob { description, ..create() }.into()).inspect_result();
    assert_eq!(described("ü".repeat(9)), Err(JobError::DescriptionLength));
    assert_eq!(described(format!("{:30}", "too short")), Err(JobError::DescriptionLength), "padding adds no words");
    assert!(described("ü".repeat(10)).is_ok());
    assert!(described("ü".repeat(15_000)).is_ok());
    assert_eq!(described("ü".repeat(15_001)), Err(JobError::DescriptionLength));
}

#[test]
fn padding_does_not_pass_the_maximum() {
    let title = format!("{:201}", "Engineer");
    given::<Job>(vec![]).when(CreateJob { title, ..create() }.into()).then_expect_error(JobError::TitleLength);
    let description = format!("{:15001}", "We build analytical engines.");
    given::<Job>(vec![])
        .when(CreateJob { description, ..create() }.into())
        .then_expect_error(JobError::DescriptionLength);
}

#[test]
fn a_new_title_asks_for_a_new_rubric() {
    let command = ReviseJob { title: Some("Principal engineer".to_owned()), ..ReviseJob::default() };
    given::<Job>(vec![created()]).when(command.into()).then_expect_events(vec![retitled()]);
}

#[test]
fn a_new_description_asks_for_a_new_rubric() {
    let command = ReviseJob { description: Some("We build difference engines.".to_owned()), ..ReviseJob::default() };
    let event = JobEvent::JobRevised {
        title: "Engineer".to_owned(),
        description: "We build difference engines.".to_owned(),
        location: Some("London".to_owned()),
        work_authorization_required: true,
        rubric_outdated: true,
    };
    given::<Job>(vec![created()]).when(command.into()).then_expect_events(vec![event]);
}

#[test]
fn a_new_place_or_permit_keeps_the_rubric() {
    let command = ReviseJob {
        location: Some("Paris".to_owned()),
        work_authorization_required: Some(false),
        ..ReviseJob::default()
    };
    given::<Job>(vec![created(), recorded(1)]).when(command.into()).then_expect_events(vec![moved()]);

    let job = after::<Job>(vec![created(), recorded(1), moved()]);
    assert_eq!((job.current_rubric(), job.revision), (Some(1), 0));
}

#[test]
fn revising_to_what_is_there_changes_nothing() {
    given::<Job>(vec![created()]).when(ReviseJob::default().into()).then_expect_events(vec![]);
    let same = ReviseJob {
        title: Some("Engineer".to_owned()),
        description: Some("We build analytical engines.".to_owned()),
        location: Some("London".to_owned()),
        work_authorization_required: Some(true),
    };
    given::<Job>(vec![created()]).when(same.into()).then_expect_events(vec![]);
}

#[test]
fn a_second_revision_starts_from_the_first() {
    let command = ReviseJob { location: Some("Paris".to_owned()), ..ReviseJob::default() };
    let event = JobEvent::JobRevised {
        title: "Principal engineer".to_owned(),
        description: "We build analytical engines.".to_owned(),
        location: Some("Paris".to_owned()),
        work_authorization_required: true,
        rubric_outdated: false,
    };
    given::<Job>(vec![created(), retitled()]).when(command.into()).then_expect_events(vec![event]);
}

#[test]
fn a_revision_keeps_the_limits_of_the_text() {
    let untitled = ReviseJob { title: Some("  ".to_owned()), ..ReviseJob::default() };
    given::<Job>(vec![created()]).when(untitled.into()).then_expect_error(JobError::TitleLength);
    let undescribed = ReviseJob { description: Some("short".to_owned()), ..ReviseJob::default() };
    given::<Job>(vec![created()]).when(undescribed.into()).then_expect_error(JobError::DescriptionLength);
}

#[test]
fn drawing_up_a_rubric_begins_once() {
    given::<Job>(vec![created()]).when(StartRubric.into()).then_expect_events(vec![begun()]);
    given::<Job>(vec![created(), begun()]).when(StartRubric.into()).then_expect_events(vec![]);
    given::<Job>(vec![created(), begun(), recorded(1)]).when(StartRubric.into()).then_expect_events(vec![]);
    given::<Job>(vec![created(), begun(), failed()]).when(StartRubric.into()).then_expect_events(vec![]);
}

#[test]
fn a_rubric_is_recorded_as_version_1() {
    given::<Job>(vec![created(), begun()]).when(record(0).into()).then_expect_events(vec![recorded(1)]);
}

#[test]
fn a_rubric_is_accepted_though_its_beginning_was_not_recorded() {
    given::<Job>(vec![created()]).when(record(0).into()).then_expect_events(vec![recorded(1)]);
}

#[test]
fn a_second_rubric_for_the_same_text_changes_nothing() {
    given::<Job>(vec![created(), recorded(1)]).when(record(0).into()).then_expect_events(vec![]);
}

#[test]
fn a_rubric_for_an_older_text_is_superseded() {
    given::<Job>(vec![created(), begun(), retitled()]).when(record(0).into()).then_expect_error(JobError::Superseded);
    given::<Job>(vec![created(), recorded(1), retitled()])
        .when(record(0).into())
        .then_expect_error(JobError::Superseded);
}

#[test]
fn a_rubric_for_a_text_that_is_not_written_yet_is_refused() {
    given::<Job>(vec![created()]).when(record(1).into()).then_expect_error(JobError::Superseded);
}

#[test]
fn the_rubric_of_a_revised_text_gets_the_next_version() {
    let history = vec![created(), recorded(1), retitled(), begun()];
    given::<Job>(history).when(record(1).into()).then_expect_events(vec![recorded(2)]);
}

#[test]
fn a_rubric_can_come_after_a_failure() {
    given::<Job>(vec![created(), failed()]).when(record(0).into()).then_expect_events(vec![recorded(1)]);
}

#[test]
fn an_invalid_rubric_is_refused() {
    let command = RecordRubric { rubric: rubric(3), ..record(0) };
    given::<Job>(vec![created()])
        .when(command.into())
        .then_expect_error_message("a rubric has 4 to 8 categories, this one has 3");
}

#[test]
fn a_rubric_can_fail_once() {
    given::<Job>(vec![created()]).when(fail(0).into()).then_expect_events(vec![failed()]);
    given::<Job>(vec![created(), begun()]).when(fail(0).into()).then_expect_events(vec![failed()]);
    given::<Job>(vec![created(), begun(), failed()]).when(fail(0).into()).then_expect_events(vec![]);
}

#[test]
fn a_failure_does_not_take_back_a_rubric() {
    given::<Job>(vec![created(), recorded(1)]).when(fail(0).into()).then_expect_events(vec![]);
}

#[test]
fn a_failure_for_an_older_text_is_superseded() {
    given::<Job>(vec![created(), retitled()]).when(fail(0).into()).then_expect_error(JobError::Superseded);
}

#[test]
fn a_revision_gives_a_failed_rubric_another_chance() {
    let history = vec![created(), begun(), failed(), retitled()];
    assert_eq!(after::<Job>(history.clone()).rubric_status, RubricStatus::Pending);
    given::<Job>(history).when(StartRubric.into()).then_expect_events(vec![begun()]);
}

#[test]
fn while_a_new_rubric_is_drawn_up_nobody_scores_by_the_old_one() {
    let mut history = vec![created(), recorded(1)];
    assert_eq!(after::<Job>(history.clone()).current_rubric(), Some(1));
    history.push(retitled());
    assert_eq!(after::<Job>(history.clone()).current_rubric(), None);
    history.extend([begun(), recorded(2)]);
    assert_eq!(after::<Job>(history).current_rubric(), Some(2));
}

#[test]
fn a_job_can_be_deleted() {
    given::<Job>(vec![created()]).when(DeleteJob.into()).then_expect_events(vec![deleted()]);
    given::<Job>(vec![created(), begun(), recorded(1)]).when(DeleteJob.into()).then_expect_events(vec![deleted()]);
}

#[test]
fn a_deleted_job_takes_no_command() {
    for command in all_but_create() {
        given::<Job>(vec![created(), deleted()]).when(command).then_expect_error(JobError::Deleted);
    }
}

#[test]
fn a_job_that_was_not_created_takes_no_command() {
    for command in all_but_create() {
        given::<Job>(vec![]).when(command).then_expect_error(JobError::NotCreated);
    }
}

#[test]
fn rubrics_have_4_to_8_categories() {
    assert_eq!(rubric(3).validate(), Err(InvalidRubric::CategoryCount(3)));
    assert_eq!(rubric(4).validate(), Ok(()));
    assert_eq!(rubric(8).validate(), Ok(()));
    assert_eq!(rubric(9).validate(), Err(InvalidRubric::CategoryCount(9)));
}

#[test]
fn categories_that_cannot_be_told_apart_are_refused() {
    let with = |category_id: &str, name: &str| {
        let mut rubric = rubric(4);
        rubric.categories[3].category_id = category_id.to_owned();
        rubric.categories[3].name = name.to_owned();
        rubric.validate()
    };
    assert_eq!(with("category_0", "Another"), Err(InvalidRubric::Repeated("Another".to_owned())));
    assert_eq!(with("category_0 ", "Another"), Err(InvalidRubric::Repeated("Another".to_owned())));
    assert_eq!(with("another", "Category 0"), Err(InvalidRubric::Repeated("Category 0".to_owned())));
    assert_eq!(with("another", " CATEGORY 0"), Err(InvalidRubric::Repeated(" CATEGORY 0".to_owned())));
    assert_eq!(with("category 0", "category_0"), Ok(()), "an id and a name are not compared with each other");
}

#[test]
fn categories_need_an_id_and_a_name() {
    let with = |category_id: &str, name: &str| {
        let mut rubric = rubric(4);
        rubric.categories[0].category_id = category_id.to_owned();
        rubric.categories[0].name = name.to_owned();
        rubric.validate()
    };
    assert_eq!(with(" ", "Rust"), Err(InvalidRubric::Unnamed));
    assert_eq!(with("rust", ""), Err(InvalidRubric::Unnamed));
}

fn create() -> CreateJob {
    CreateJob {
        title: "Engineer".to_owned(),
        description: "We build analytical engines.".to_owned(),
        location: Some("London".to_owned()),
        work_authorization_required: true,
        created_by: user(),
    }
}

fn created() -> JobEvent {
    JobEvent::JobCreated {
        title: "Engineer".to_owned(),
        description: "We build analytical engines.".to_owned(),
        location: Some("London".to_owned()),
        work_authorization_required: true,
        created_by: user(),
    }
}

/// Asks for a new rubric.
fn retitled() -> JobEvent {
    JobEvent::JobRevised {
        title: "Principal engineer".to_owned(),
        description: "We build analytical engines.".to_owned(),
        location: Some("London".to_owned()),
        work_authorization_required: true,
        rubric_outdated: true,
    }
}

/// Asks for no new rubric.
fn moved() -> JobEvent {
    JobEvent::JobRevised {
        title: "Engineer".to_owned(),
        description: "We build analytical engines.".to_owned(),
        location: Some("Paris".to_owned()),
        work_authorization_required: false,
        rubric_outdated: false,
    }
}

fn begun() -> JobEvent {
    JobEvent::RubricStarted {}
}

fn record(revision: u32) -> RecordRubric {
    RecordRubric { revision, rubric: rubric(4), model: "gpt-5".to_owned(), prompt_version: "rubric/1".to_owned() }
}

fn recorded(version: u32) -> JobEvent {
    JobEvent::RubricRecorded {
        version,
        rubric: rubric(4),
        model: "gpt-5".to_owned(),
        prompt_version: "rubric/1".to_owned(),
    }
}

fn fail(revision: u32) -> FailRubric {
    FailRubric { revision, failure: failure() }
}

fn failed() -> JobEvent {
    JobEvent::RubricFailed { failure: failure() }
}

fn deleted() -> JobEvent {
    JobEvent::JobDeleted {}
}

fn all_but_create() -> Vec<JobCommand> {
    vec![ReviseJob::default().into(), StartRubric.into(), record(0).into(), fail(0).into(), DeleteJob.into()]
}

fn rubric(categories: usize) -> Rubric {
    let category = |number| Category {
        category_id: format!("category_{number}"),
        name: format!("Category {number}"),
        importance: importance(3),
        description: String::new(),
        examples_of_evidence: vec![],
    };
    Rubric {
        title: "Engineer".to_owned(),
        seniority_level: "senior".to_owned(),
        role_summary: String::new(),
        core_responsibilities: vec![],
        categories: (0..categories).map(category).collect(),
        desired_background_patterns: BackgroundPatterns::default(),
        education_preferences: EducationPreferences::default(),
    }
}

#[test]
fn a_failed_rubric_can_be_retried_and_no_other() {
    let failed = [vec![created()], vec![JobEvent::RubricFailed { failure: failure() }]].concat();
    given::<Job>(failed.clone()).when(RetryRubric.into()).then_expect_events(vec![JobEvent::RubricRetried {}]);
    let retried = [failed, vec![JobEvent::RubricRetried {}]].concat();
    assert_eq!(after::<Job>(retried.clone()).rubric_status, RubricStatus::Pending);
    given::<Job>(retried).when(RetryRubric.into()).then_expect_error(JobError::RubricNotFailed);
    given::<Job>(vec![created()]).when(RetryRubric.into()).then_expect_error(JobError::RubricNotFailed);
}
