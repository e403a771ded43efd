use starscreen_domain::subscription::SubscriptionStatus;

use super::{Store, fixtures::*, log::Log};
use crate::{
    Page, ReadModelError, ReadModels,
    candidate_status::{CandidateStatus, CandidateStatusRow, ListCandidates, Status},
    jobs::{JobRow, JobStatus, Jobs, ListJobs},
    monthly_usage::MonthlyUsage,
    subscriptions::{SubscriptionRow, Subscriptions},
    usage_entries::UsageEntries,
};

/// 60 candidates with few distinct scores, so that ties are everywhere; every fourth has none.
async fn with_candidates(store: &Store) -> (ReadModels, Vec<CandidateStatusRow>) {
    let log = Log::new();
    for number in 0..60 {
        log.add(TENANT, candidate(number * 7 % 60).0, uploaded());
    }
    for number in 0..60_u16 {
        if number % 4 != 0 {
            log.add(TENANT, candidate(number.into()).0, text_extracted(None));
            log.add(TENANT, candidate(number.into()).0, scored(Some(number % 5 * 100)));
        }
    }
    log.add(TENANT, candidate(900).0, uploaded_to(job(9), sealed("other.pdf"), None));
    let models = rebuilt(store, &log).await;
    let mut rows = expected::<CandidateStatus>(&log);
    rows.retain(|row| row.job_id == JOB);
    // Uploads within the same moment must be told apart by id alone.
    store.sql("UPDATE candidate_status SET uploaded_at = '2026-11-01T08:00:00+00:00' WHERE position % 2 = 0").await;
    for row in rows.iter_mut().filter(|row| row.position % 2 == 0) {
        row.uploaded_at = at(0);
    }
    rows.sort_by_key(|row| (std::cmp::Reverse(row.score.unwrap_or(-1)), row.uploaded_at, row.candidate_id));
    (models, rows)
}

async fn rebuilt(store: &Store, log: &std::sync::Arc<Log>) -> ReadModels {
    let models = store.open().await;
    let from = source(log);
    models.rebuild_all(from.feed, from.opener, crate::RebuildOptions::default(), |_| {}).await.unwrap();
    models
}

async fn candidates(models: &ReadModels, list: ListCandidates) -> Page<CandidateStatusRow> {
    models.candidate_status().list(TENANT, JOB, list).await.unwrap()
}

pub async fn pages_by_cursor_are_the_pages_by_skip_are_the_sorted_rows(store: Store) {
    let (models, sorted) = with_candidates(&store).await;
    for limit in [1, 7, 20, 60, 100] {
        let (mut by_skip, mut by_cursor, mut after) = (vec![], vec![], None);
        loop {
            let skip = by_skip.len() as u64;
            let one = candidates(&models, ListCandidates { skip, limit, ..Default::default() }).await;
            let two = candidates(&models, ListCandidates { limit, after, ..Default::default() }).await;
            assert_eq!((one.total, two.total), (60, 60));
            assert_eq!(one.next, two.next);
            by_skip.extend(one.rows);
            by_cursor.extend(two.rows);
            let Some(next) = two.next else { break };
            after = Some(next.to_string().parse().unwrap()); // as a client hands it back
        }
        assert_eq!(by_cursor, sorted, "by cursor, {limit} a page");
        assert_eq!(by_skip, sorted, "by skip, {limit} a page");
    }
}

pub async fn filters_hold_on_every_page_and_in_the_total(store: Store) {
    let (models, sorted) = with_candidates(&store).await;
    let filters = [
        ListCandidates { status: Some(Status::Scored), ..Default::default() },
        ListCandidates { status: Some(Status::Uploaded), ..Default::default() },
        ListCandidates { min_score: Some(200), ..Default::default() },
        ListCandidates { min_score: Some(0), ..Default::default() },
        ListCandidates { max_score: Some(200), ..Default::default() },
        ListCandidates {
            min_score: Some(100),
            max_score: Some(300),
            status: Some(Status::Scored),
            ..Default::default()
        },
        ListCandidates { min_score: Some(401), ..Default::default() },
    ];
    for filter in filters {
        let wanted: Vec<_> = sorted
            .iter()
            .filter(|row| filter.status.is_none_or(|status| row.status == status))
            .filter(|row| filter.min_score.is_none_or(|min| row.score.is_some_and(|score| score >= min)))
            .filter(|row| filter.max_score.is_none_or(|max| row.score.is_some_and(|score| score <= max)))
            .cloned()
            .collect();
        let first = candidates(&models, ListCandidates { limit: 4, ..filter }).await;
        let rest = candidates(
            &models,
            ListCandidates { after: first.next, skip: if first.next.is_none() { 99 } else { 0 }, ..filter },
        )
        .await;
        assert_eq!(first.total, wanted.len() as u64, "{filter:?}");
        assert_eq!([first.rows, rest.rows].concat(), wanted, "{filter:?}");
    }
}

pub async fn a_page_has_a_hundred_rows_at_most_and_the_last_has_no_successor(store: Store) {
    let log = Log::new();
    for number in 0..130 {
        log.add(TENANT, candidate(number).0, uploaded());
    }
    let models = rebuilt(&store, &log).await;
    let first = candidates(&models, ListCandidates { limit: 1_000, ..Default::default() }).await;
    assert_eq!((first.rows.len(), first.total), (100, 130));
    let second = candidates(&models, ListCandidates { after: first.next, ..Default::default() }).await;
    assert_eq!((second.rows.len(), second.next), (30, None));
    let none = candidates(&models, ListCandidates { limit: 0, ..Default::default() }).await;
    assert_eq!((none.rows.len(), none.next, none.total), (0, None, 130));
}

pub async fn jobs_are_listed_newest_first_by_cursor_and_by_skip(store: Store) {
    let log = Log::new();
    for number in 0..25 {
        log.add(TENANT, job(number * 11 % 25).0, job_created("Engineer"));
    }
    log.add(TENANT, job(3).0, rubric_recorded(1));
    let models = rebuilt(&store, &log).await;
    let mut newest: Vec<JobRow> = expected::<Jobs>(&log);
    newest.sort_by_key(|row| std::cmp::Reverse((row.created_at, row.job_id)));
    let list = async |list: ListJobs| models.jobs().list(TENANT, list).await.unwrap();
    let (mut by_cursor, mut by_skip, mut after) = (vec![], vec![], None);
    loop {
        let page = list(ListJobs { limit: 4, after, ..Default::default() }).await;
        by_skip.extend(list(ListJobs { limit: 4, skip: by_skip.len() as u64, ..Default::default() }).await.rows);
        assert_eq!(page.total, 25);
        by_cursor.extend(page.rows);
        let Some(next) = page.next else { break };
        after = Some(next);
    }
    assert_eq!(by_cursor, newest);
    assert_eq!(by_skip, newest);
    let completed = list(ListJobs { status: Some(JobStatus::Completed), ..Default::default() }).await;
    assert_eq!((completed.total, completed.rows[0].job_id), (1, job(3)));
    assert_eq!(models.jobs().get(TENANT, job(3)).await.unwrap(), Some(completed.rows[0].clone()));
}

pub async fn a_cursor_of_another_list_is_refused(store: Store) {
    let log = Log::new();
    for number in 0..2 {
        log.add(TENANT, job(number).0, job_created("Engineer"));
        log.add(TENANT, candidate(number).0, uploaded());
    }
    let models = rebuilt(&store, &log).await;
    let of_jobs = models.jobs().list(TENANT, ListJobs { limit: 1, ..Default::default() }).await.unwrap().next;
    let of_candidates = candidates(&models, ListCandidates { limit: 1, ..Default::default() }).await.next;
    assert!(of_jobs.is_some() && of_candidates.is_some());
    for foreign in [of_jobs, of_candidates] {
        let refused = models.usage_entries().list(TENANT, usage(1), 10, foreign).await;
        assert!(matches!(refused, Err(ReadModelError::ForeignCursor)));
    }
    let refused = models.candidate_status().list(TENANT, JOB, ListCandidates { after: of_jobs, ..Default::default() });
    assert!(matches!(refused.await, Err(ReadModelError::ForeignCursor)));
    let refused = models.jobs().list(TENANT, ListJobs { after: of_candidates, ..Default::default() });
    assert!(matches!(refused.await, Err(ReadModelError::ForeignCursor)));
}

pub async fn the_current_period_is_the_one_that_holds_the_moment(store: Store) {
    let log = Log::new();
    for month in [0, 1, 3] {
        log.add(TENANT, usage(month).0, period_opened(u64::try_from(month).unwrap(), Some(10)));
    }
    let models = rebuilt(&store, &log).await;
    let current = async |at| models.monthly_usage().current(TENANT, at).await.unwrap().map(|row| row.usage_id);
    assert_eq!(current(period(0).start).await, Some(usage(0)));
    assert_eq!(current(period(0).end - chrono::TimeDelta::microseconds(1)).await, Some(usage(0)));
    assert_eq!(current(period(0).end).await, Some(usage(1)));
    assert_eq!(current(period(2).start).await, None);
    let mut newest = expected::<MonthlyUsage>(&log);
    newest.reverse();
    assert_eq!(models.monthly_usage().list(TENANT).await.unwrap(), newest);
}

pub async fn entries_of_a_period_come_in_order_with_the_balance_after_each(store: Store) {
    let log = Log::new();
    log.add(TENANT, usage(2).0, slots_reserved(9)); // of another period
    log.add(TENANT, usage(1).0, period_opened(0, Some(10)));
    for round in 0..6 {
        log.add(TENANT, usage(1).0, slots_reserved(round));
        log.add(TENANT, usage(1).0, slot_released());
        log.add(TENANT, usage(1).0, usage_adjusted(-3));
        log.add(TENANT, usage(2).0, slot_committed());
    }
    let models = rebuilt(&store, &log).await;
    let mut sorted = expected::<UsageEntries>(&log);
    sorted.retain(|row| row.usage_id == usage(1));
    sorted.sort_by_key(|row| row.position);
    let (mut balances, mut balance) = (vec![], 0);
    for row in &sorted {
        balance += row.delta;
        balances.push(balance);
    }
    assert_eq!(*balances.last().unwrap(), 15 - 6 - 18, "below nothing");
    for limit in [1, 4, 18, 19, 100] {
        let (mut entries, mut after) = (vec![], None);
        loop {
            let page = models.usage_entries().list(TENANT, usage(1), limit, after).await.unwrap();
            assert_eq!(page.total, 19);
            entries.extend(page.rows);
            let Some(next) = page.next else { break };
            after = Some(next.to_string().parse().unwrap()); // as a client hands it back
        }
        assert_eq!(entries.iter().map(|entry| entry.balance).collect::<Vec<_>>(), balances, "{limit} a page");
        assert_eq!(entries.last().unwrap().used(), 0);
        assert_eq!(entries.into_iter().map(|entry| entry.row).collect::<Vec<_>>(), sorted, "{limit} a page");
    }
}

pub async fn what_is_agreed_and_paid_comes_back_as_it_was_written(store: Store) {
    let log = Log::new();
    log.add(TENANT, TENANT.0, subscription_started(plan("free", Some(10))));
    log.add(TENANT, TENANT.0, plan_changed(metered_plan()));
    log.add(TENANT, TENANT.0, change_scheduled(plan("free", Some(10)), period(0).end));
    log.add(TENANT, TENANT.0, customer_linked());
    log.add(TENANT, TENANT.0, provider_said(Some(paid(SubscriptionStatus::PastDue))));
    log.add(TENANT, TENANT.0, status_changed(SubscriptionStatus::PastDue, Some(at(9))));
    let models = rebuilt(&store, &log).await;
    let read = async || models.subscriptions().get(TENANT).await.unwrap().unwrap();
    let written = expected::<Subscriptions>(&log).remove(0);
    assert_eq!(read().await, written);
    // One that a newer version of this program has written.
    store.sql("UPDATE subscriptions SET status = 'dormant', paid_status = 'dormant'").await;
    let status = SubscriptionStatus::Unknown;
    assert_eq!(read().await, SubscriptionRow { status, paid_status: Some(status), ..written });
}

pub async fn a_nul_in_a_text_is_left_out(store: Store) {
    let log = Log::new();
    log.add(
        TENANT,
        candidate(1).0,
        uploaded_with(sealed("re\0sume.pdf"), Some(sealed(r#"{"first_name":"A\u0000da"}"#))),
    );
    log.add(TENANT, job(1).0, job_created("En\0gineer"));
    let models = rebuilt(&store, &log).await;
    let row = models.candidate_status().get(TENANT, JOB, candidate(1)).await.unwrap().unwrap();
    assert_eq!((row.original_filename.as_str(), row.first_name.as_deref()), ("resume.pdf", Some("Ada")));
    assert_eq!(models.jobs().get(TENANT, job(1)).await.unwrap().unwrap().title, "Engineer");
}
