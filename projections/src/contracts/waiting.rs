use std::time::{Duration, Instant};

use super::{Store, fixtures::*, log::Log};

const JOBS: &str = "jobs";
const AT_MOST: Duration = Duration::from_millis(500);

pub async fn a_reader_waits_until_its_write_is_in_all_the_models_it_names(store: Store) {
    let log = Log::new();
    let models = store.open().await;
    let _running = start(&models, &log, None);
    for round in 0..20 {
        let position = log.add(TENANT, job(round).0, job_created("Engineer"));
        assert!(models.wait_for(&[JOBS, "candidate_status"], position, Duration::from_secs(5)).await);
        assert!(models.jobs().exists(TENANT, job(round)).await.unwrap(), "what was waited for can be read");
    }
}

pub async fn waiting_is_bounded_when_it_does_not_come(store: Store) {
    let log = Log::new();
    let models = store.open().await;
    let _running = start(&models, &log, Some(JOBS));
    let begun = Instant::now();
    assert!(!models.wait_for(&[JOBS], 1, Duration::from_millis(100)).await);
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert!(models.wait_for(&[JOBS], 0, AT_MOST).await, "0 was always seen");
    assert!(models.wait_for(&[], 7, AT_MOST).await, "nothing to wait for");
    assert!(!models.wait_for(&["job"], 0, AT_MOST).await, "an unknown name has seen nothing");
}

pub async fn a_projector_of_another_process_is_waited_for_too(store: Store) {
    let log = Log::new();
    let (here, there) = (store.open().await, store.open().await);
    let running = start(&there, &log, Some(JOBS));
    let position = log.add(TENANT, job(1).0, job_created("Engineer"));
    assert!(here.wait_for(&[JOBS], position, Duration::from_secs(5)).await);
    assert!(here.jobs().exists(TENANT, job(1)).await.unwrap());

    drop(running);
    let position = log.add(TENANT, job(2).0, job_created("Engineer"));
    assert!(!there.wait_for(&[JOBS], position, Duration::from_millis(200)).await, "nobody runs it any more");
    let _running = start(&here, &log, Some(JOBS));
    assert!(there.wait_for(&[JOBS], position, Duration::from_secs(5)).await, "a stopped one is looked up as well");
}
