//! The quota: nothing is accepted beyond the limit then in force.

use std::collections::HashMap;

use starscreen_domain::{
    Event, UsageId,
    usage::{UsageError, UsageEvent},
};
use uuid::Uuid;

use super::{
    Store,
    stage::{self, at_once, history},
};
use crate::{
    CommandError,
    bus::{Bus, Committed},
    candidate::Uploaded,
};

/// 64 uploads at once, over these buses in turn.
async fn rush(buses: &[Bus], tenant: stage::Tenant, job: starscreen_domain::JobId) -> Vec<Outcome> {
    at_once(64, |index| {
        let bus = buses[index % buses.len()].clone();
        async move { stage::upload(&bus, &tenant, job).await }
    })
    .await
}

type Outcome = Result<Committed<Uploaded>, CommandError>;

fn assert_five(outcomes: Vec<Outcome>) {
    let (accepted, refused): (Vec<Outcome>, Vec<Outcome>) = outcomes.into_iter().partition(Result::is_ok);
    let mut remaining: Vec<Option<u32>> =
        accepted.into_iter().map(|uploaded| uploaded.unwrap().output.remaining).collect();
    remaining.sort_unstable();
    assert_eq!(remaining, [Some(0), Some(1), Some(2), Some(3), Some(4)]);
    for outcome in refused {
        let limit = CommandError::Usage(UsageError::LimitReached { used: 5, limit: 5 }).to_string();
        assert_eq!(outcome.unwrap_err().to_string(), limit);
    }
}

pub async fn five_slots_go_to_five_of_many(store: Store) {
    let tenant = stage::tenant(&store, Some(5)).await;
    let job = stage::job(&store, &tenant).await;

    assert_five(rush(std::slice::from_ref(&store.bus), tenant, job).await);

    assert_eq!(stage::usage(&store, &tenant).await.used(), 5);
    let of_candidates = history(&store.log).await.iter().filter(|event| event.of_candidate().is_some()).count();
    assert_eq!(of_candidates, 5);
}

pub async fn five_slots_go_to_five_of_many_in_two_processes(store: Store) {
    let tenant = stage::tenant(&store, Some(5)).await;
    let job = stage::job(&store, &tenant).await;
    let beside = store.beside().await;

    assert_five(rush(&[store.bus.clone(), beside.bus.clone()], tenant, job).await);

    assert_eq!(stage::usage(&store, &tenant).await.used(), 5);
    beside.close().await;
}

pub async fn a_plan_change_never_oversells(store: Store) {
    let tenant = stage::tenant(&store, Some(5)).await;
    let job = stage::job(&store, &tenant).await;
    let beside = store.beside().await;
    let buses = [store.bus.clone(), beside.bus.clone()];

    let changes = async {
        for limit in [Some(20), Some(3), Some(30), Some(12), Some(40)] {
            stage::change_plan(&beside, &tenant, limit).await;
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let (outcomes, ()) = tokio::join!(rush(&buses, tenant, job), changes);

    let accepted = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    for refusal in outcomes.into_iter().filter_map(Result::err) {
        assert!(matches!(refusal, CommandError::Usage(UsageError::LimitReached { .. })), "{refusal:?}");
    }
    let (mut limits, mut used) = (HashMap::<Uuid, Option<u32>>::new(), 0_u32);
    for event in history(&store.log).await {
        let Event::Usage(change) = &event.payload else { continue };
        match change {
            UsageEvent::PeriodOpened { limit, .. } | UsageEvent::LimitChanged { limit, .. } => {
                limits.insert(event.aggregate_id, *limit);
            }
            UsageEvent::SlotsReserved { candidates } => {
                used += u32::try_from(candidates.len()).unwrap();
                let limit = limits[&event.aggregate_id].unwrap();
                assert!(used <= limit, "{used} slots were given under a limit of {limit}");
            }
            UsageEvent::SlotCommitted { .. }
            | UsageEvent::SlotReleased { .. }
            | UsageEvent::UsageAdjusted { .. }
            | UsageEvent::OverageMetered { .. }
            | UsageEvent::MeteringGivenUp { .. }
            | UsageEvent::MeteringRetried { .. }
            | UsageEvent::UsageThresholdReached { .. }
            | UsageEvent::PeriodClosed { .. } => {}
        }
    }
    assert_eq!(usize::try_from(used).unwrap(), accepted);
    let ledger = limits.keys().copied().map(UsageId).next().unwrap();
    let usage = beside.bus.read::<starscreen_domain::usage::Usage>(tenant.id, ledger).await.unwrap();
    assert_eq!((usage.used(), usage.limit), (used, Some(40)));
    beside.close().await;
}
