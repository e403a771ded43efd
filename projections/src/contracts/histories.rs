//! Whatever the history: live, rebuilt in batches of any size, and the pure fold agree row for row.

use std::sync::Arc;

use proptest::{prelude::*, test_runner::TestRunner};
use starscreen_domain::{Event, TenantId, subscription::SubscriptionStatus};
use tokio::{runtime::Handle, task::block_in_place};
use uuid::Uuid;

use super::{
    Store,
    fixtures::*,
    log::{DESTROYED, Log},
    store::forget_all,
};
use crate::{
    Projector, ReadModels, RebuildOptions,
    accounts::Accounts,
    candidate_status::CandidateStatus,
    db::Db,
    evaluations::Evaluations,
    jobs::Jobs,
    monthly_usage::MonthlyUsage,
    runtime::{Side, batch, checkpoint},
    subscriptions::Subscriptions,
    usage_entries::UsageEntries,
};

fn any_event() -> impl Strategy<Value = (TenantId, Uuid, Event)> {
    let text = prop_oneof![4 => Just("{\"first_name\":\"Ada\"}"), 1 => Just(DESTROYED), 1 => Just("not json")];
    let candidate_event =
        (0..12_u8, text.clone(), proptest::option::of(0..1_001_u16)).prop_map(|(kind, text, total)| match kind {
            0..=3 => uploaded_with(sealed(text), Some(sealed(text))),
            4 => extraction_started(),
            5 => text_extracted_with(Some(sealed(text))),
            6 => extraction_failed(),
            7 => scoring_requested(),
            8 | 9 => scored_with(total, sealed(text)),
            10 => scoring_failed(),
            _ => candidate_deleted(),
        });
    let job_event = (0..8_u8, 1..9_u32).prop_map(|(kind, version)| match kind {
        0..=2 => job_created("Engineer"),
        3 => job_revised("Architect", version > 4),
        4 => rubric_started(),
        5 => rubric_recorded(version),
        6 => rubric_failed(),
        _ => job_deleted(),
    });
    let usage_event = (0..13_u8, 0..9_u32).prop_map(|(kind, count)| match kind {
        0..=2 => period_opened(u64::from(count), Some(count)),
        3 => limit_changed((count > 4).then_some(count)),
        4 => slots_reserved(u128::from(count)),
        5 => slot_committed(),
        6 => slot_released(),
        7 => overage_metered(i64::from(count) - 4),
        8 => threshold_reached(70),
        9 => period_closed(count),
        10 => metering_given_up(i64::from(count) - 4),
        11 => metering_retried(i64::from(count) - 4),
        _ => usage_adjusted(i32::try_from(count).unwrap() - 4),
    });
    let of_tenant = prop_oneof![
        text.prop_map(|text| registered(sealed(text))),
        Just(subscription_started(plan("free", Some(10)))),
        Just(plan_changed(plan("pro", None))),
        Just(plan_changed(metered_plan())),
        Just(change_scheduled(plan("free", Some(10)), period(0).end)),
        Just(change_withdrawn()),
        Just(customer_linked()),
        Just(customer_replaced()),
        Just(plan_ordered()),
        Just(order_declined()),
        Just(provider_informed()),
        Just(provider_said(Some(paid(SubscriptionStatus::Trialing)))),
        Just(provider_said(None)),
        Just(status_changed(SubscriptionStatus::PastDue, Some(at(9)))),
    ];
    let tenant = prop_oneof![Just(TENANT), Just(OTHER_TENANT)];
    let aggregate_and_event = prop_oneof![
        4 => (0..6_u128, candidate_event).prop_map(|(number, event)| (candidate(number).0, event)),
        2 => (0..3_u128, job_event).prop_map(|(number, event)| (job(number).0, event)),
        2 => (0..3_u128, usage_event).prop_map(|(number, event)| (usage(number).0, event)),
        2 => of_tenant.prop_map(|event| (TENANT.0, event)),
    ];
    (tenant, aggregate_and_event).prop_map(|(tenant, (aggregate, event))| (tenant, aggregate, event))
}

/// Projects the history live, as it would come in: `step` events at a time.
async fn project<P: Projector>(db: &Db, log: &Arc<Log>, step: usize) {
    let mut checkpoint = checkpoint::load::<P>(db).await.unwrap();
    loop {
        let batch = batch::gather::<P>(&source(log), checkpoint.position, step).await.unwrap();
        if batch.last == 0 {
            return;
        }
        assert!(batch::store::<P>(db, Side::Live, &mut checkpoint, &batch).await.unwrap());
    }
}

async fn live_and_rebuilt_agree<P: Projector>(models: &ReadModels, log: &Arc<Log>, step: usize)
where
    P::Row: std::fmt::Debug,
{
    project::<P>(&models.db, log, step).await;
    let live = rows::<P>(&models.db).await;
    assert_eq!(live, expected::<P>(log), "live, {step} at a time");
    for batch in [1, 7, 5_000] {
        let source = source(log);
        let options = RebuildOptions { batch, diff: true };
        let rebuilt = models.rebuild(P::NAME, source.feed, source.opener, options, |_| {}).await.unwrap();
        assert!(rebuilt.diff.is_none_or(|diff| diff.is_empty()), "{rebuilt:?}");
        assert_eq!(rows::<P>(&models.db).await, live, "rebuilt in batches of {batch}");
    }
}

fn cases(count: u32) -> TestRunner {
    TestRunner::new(ProptestConfig { cases: count, failure_persistence: None, ..ProptestConfig::default() })
}

/// Runs `check` on each value, with shrinking, on the runtime that this is called from.
fn for_any<S: Strategy>(count: u32, any: &S, check: impl AsyncFn(S::Value)) {
    let runtime = Handle::current();
    let checked = block_in_place(|| {
        cases(count).run(any, |value| {
            runtime.block_on(check(value));
            Ok(())
        })
    });
    if let Err(failure) = checked {
        panic!("{failure}");
    }
}

pub async fn rebuilt_is_what_live_is(store: Store) {
    let models = store.open().await;
    let any = (proptest::collection::vec(any_event(), 1..80), 1..30_usize);
    for_any(8, &any, async |(events, step)| {
        forget_all(&models.db).await;
        let log = Log::of(events);
        live_and_rebuilt_agree::<CandidateStatus>(&models, &log, step).await;
        live_and_rebuilt_agree::<Evaluations>(&models, &log, step).await;
        live_and_rebuilt_agree::<Jobs>(&models, &log, step).await;
        live_and_rebuilt_agree::<Accounts>(&models, &log, step).await;
        live_and_rebuilt_agree::<Subscriptions>(&models, &log, step).await;
        live_and_rebuilt_agree::<MonthlyUsage>(&models, &log, step).await;
        live_and_rebuilt_agree::<UsageEntries>(&models, &log, step).await;
    });
}

pub async fn poison_keeps_each_row_at_its_last_good_event_and_replay_makes_it_whole(store: Store) {
    let models = store.open().await;
    let numbers = proptest::collection::vec((0..4_u128, 0..5_u8), 1..60);
    let any = (numbers, proptest::collection::hash_set(1..60_u64, 0..4), 1..30_usize);
    for_any(12, &any, async |(numbers, spoilt, step)| {
        forget_all(&models.db).await;
        let log = Log::of(numbers.into_iter().map(|(number, kind)| {
            let event = match kind {
                0 => uploaded(),
                1 => extraction_started(),
                2 => text_extracted(None),
                3 => scored(Some(500)),
                _ => scoring_failed(),
            };
            (TENANT, candidate(number).0, event)
        }));
        for position in &spoilt {
            log.spoil(*position);
        }
        project::<CandidateStatus>(&models.db, &log, step).await;
        let until_spoilt = Log::new();
        let mut stuck = std::collections::HashSet::new();
        for event in log.events() {
            if spoilt.contains(&event.position) || stuck.contains(&event.aggregate_id) {
                stuck.insert(event.aggregate_id);
                until_spoilt.add(OTHER_TENANT, Uuid::nil(), job_deleted()); // keeps the positions
            } else {
                until_spoilt.add(TENANT, event.aggregate_id, event.payload);
            }
        }
        assert_eq!(rows::<CandidateStatus>(&models.db).await, expected::<CandidateStatus>(&until_spoilt));
        log.mend();
        let from = source(&log);
        let replayed = models.replay(CandidateStatus::NAME, from.feed, from.opener).await.unwrap();
        assert_eq!(replayed.rows_left, 0);
        assert_eq!(rows::<CandidateStatus>(&models.db).await, expected::<CandidateStatus>(&log));
        assert!(models.parked(CandidateStatus::NAME, 0, 100).await.unwrap().is_empty());
    });
}
