//! From a commit to the stream and to a read model, while events come in steadily.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_nats::jetstream::{
    self,
    consumer::{DeliverPolicy, pull::OrderedConfig},
};
use futures::StreamExt;
use starscreen_commands::{
    append::{Append, NewEvent},
    contracts::append::event,
    write_side::WriteSide,
};
use starscreen_domain::{EventId, TenantId, UserId, job::JobEvent};
use starscreen_projections::{Models, PostgresOptions, ReadModels, Role};
use tokio::time::{MissedTickBehavior, interval};
use uuid::Uuid;

use super::{
    figures::{load_average, percentiles},
    stage::Stage,
};

/// Commits of two events each: 500 events a second.
const COMMITS_A_SECOND: u32 = 250;
const COMMITS: u32 = COMMITS_A_SECOND * 15;
/// The first ones find caches cold.
const WARM_UP: usize = 500;
const AT_MOST: Duration = Duration::from_secs(10);

type Arrivals = Arc<Mutex<HashMap<Uuid, Instant>>>;

pub async fn measure() {
    let mut stage = Stage::new(&[]);
    stage.start(&["relay"]);
    stage.start(&["projector"]);
    stage.distributes().await;
    let write = stage.write_side().await;
    let options = PostgresOptions { url: stage.database.url.clone(), role: Role::Gateway, max_connections: 6 };
    let reads = ReadModels::open_postgres(options).await.unwrap();
    let arrivals = follow(&stage).await;

    let mut ticks = interval(Duration::from_secs(1) / COMMITS_A_SECOND);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let begun = Instant::now();
    let mut tasks = vec![];
    for _ in 0..COMMITS {
        ticks.tick().await;
        tasks.push(tokio::spawn(commit(write.clone(), reads.clone())));
    }
    let (mut committed, mut visible) = (vec![], vec![]);
    for task in tasks {
        let (event, at, seen) = task.await.unwrap();
        committed.push((event, at));
        visible.push(seen);
    }
    let rate = f64::from(COMMITS * 2) / begun.elapsed().as_secs_f64();
    let all_arrived = async || {
        let seen = arrivals.lock().unwrap().len();
        let missing = committed.iter().filter(|(event, _)| !arrivals.lock().unwrap().contains_key(&event.0)).count();
        if missing == 0 { Ok(()) } else { Err(format!("{missing} are missing, {seen} are there")) }
    };
    stage.home.log().until("all are on the stream", all_arrived).await;

    let arrived_at = |event: &EventId| arrivals.lock().unwrap()[&event.0];
    let published: Vec<Duration> =
        committed.iter().map(|(event, at)| arrived_at(event).saturating_duration_since(*at)).collect();
    println!("{rate:.0} events/s, from the answer to the commit (load average {})", load_average());
    println!("to the stream, as who follows it sees it: {} (aim 25 and 100)", percentiles(&published[WARM_UP..]));
    println!("to all {} read models: {} (aim 50 and 150)", Models::NAMES.len(), percentiles(&visible[WARM_UP..]));
    write.close().await;
}

/// When each event came in from the stream.
async fn follow(stage: &Stage) -> Arrivals {
    let arrivals = Arrivals::default();
    let client = async_nats::connect(stage.nats.url()).await.unwrap();
    let stream = jetstream::new(client).get_stream("EVENTS").await.unwrap();
    let config = OrderedConfig { deliver_policy: DeliverPolicy::New, ..OrderedConfig::default() };
    let mut messages = stream.create_consumer(config).await.unwrap().messages().await.unwrap();
    let arrived = Arc::clone(&arrivals);
    tokio::spawn(async move {
        while let Some(Ok(message)) = messages.next().await {
            let at = Instant::now();
            let id = message.headers.as_ref().unwrap().get("ce-id").unwrap().as_str().parse().unwrap();
            arrived.lock().unwrap().insert(id, at);
        }
    });
    arrivals
}

/// A job with its beginning, and how long all read models took to have it.
async fn commit(write: WriteSide, reads: ReadModels) -> (EventId, Instant, Duration) {
    let (tenant, job) = (TenantId(Uuid::from_u128(7)), Uuid::now_v7());
    let created = JobEvent::JobCreated {
        title: "Engineer".to_owned(),
        description: "Builds and runs the engine.".to_owned(),
        location: None,
        work_authorization_required: false,
        created_by: UserId::default(),
    };
    let created = NewEvent {
        event_type: "JobCreated".to_owned(),
        payload: serde_json::to_string(&created).unwrap(),
        ..event(tenant, job, 1)
    };
    let started = event(tenant, job, 2);
    let last = started.event_id;
    let place = write.writer.append(Append { events: vec![created, started], ..Append::default() }).await.unwrap();
    let at = Instant::now();
    let position = write.log.position(place, AT_MOST).await.unwrap().expect("the sequencer works");
    assert!(reads.wait_for(Models::NAMES, position, AT_MOST).await, "a projector does not work");
    (last, at, at.elapsed())
}
