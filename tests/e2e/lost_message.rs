//! One message is lost in the middle of the stream, where no arithmetic of a relay looks: whoever reads the stream
//! notices, and has it from the log.

use std::time::Duration;

use async_nats::jetstream;
use futures::future::join_all;
use serde_json::json;
use sqlx::{Connection, PgConnection};
use starscreen_tests::Resume;
use uuid::Uuid;

use crate::{apart::Apart, outages::the_stream_is_the_log};

/// More events of one kind and tenant than there are of any other.
const JOBS: usize = 12;
const PROJECTORS: usize = starscreen_projections::Models::NAMES.len();
/// So many have certainly read nothing of what is lost: the others may wait for a connection.
const HELD: usize = 3;
const SETTLED_WITHIN: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_lost_in_the_middle_of_the_stream_is_projected_from_the_log() {
    let apart = Apart::new(&[]);
    let (_relay, worker, _projector) = (apart.run(&["relay"]), apart.run(&["worker"]), apart.run(&["projector"]));
    let gateway = apart.gateway();
    let account = apart.account(&gateway).await;
    let job = account.ready_job().await;
    let candidate = account.take_in(&job, &Resume::unique()).await;
    account.until_candidate_is(&job, &candidate, "SCORED").await;
    let other = apart.account(&gateway).await;
    apart.settled_within(SETTLED_WITHIN).await;
    followed(&apart).await;
    let log = apart.home().log().text();
    assert!(!log.contains("the connection to NATS is down"), "there was none yet: {}", apart.home().log().tail());

    worker.kill(); // its events would be as many
    // The projectors stay where they are until the message is lost.
    let mut session = PgConnection::connect(apart.url()).await.unwrap();
    let mut held = session.begin().await.unwrap();
    sqlx::query("LOCK TABLE read.projection IN EXCLUSIVE MODE").execute(&mut *held).await.unwrap();
    account.put(&format!("jobs/{job}")).json(&json!({ "title": "Engineer and more" })).send().await.expect(200);
    until_they_wait(&apart).await;
    let titles: Vec<String> = (0..JOBS).map(|number| format!("Engineer {number}")).collect();
    join_all(titles.iter().map(|title| other.create_job(title, "Builds services with Rust and PostgreSQL"))).await;
    let lost = lose_the_first_job(&apart, other.tenant()).await;
    held.rollback().await.unwrap();
    let _worker = apart.run(&["worker"]);
    apart.settled_within(SETTLED_WITHIN).await;
    apart.check(&[candidate.parse().unwrap()]).await;
    assert_eq!(other.get("jobs").send().await.expect(200).json().as_array().unwrap().len(), JOBS);
    let log = apart.home().log().text();
    let healed = format!("event.position={lost}");
    let told = |line: &&str| line.contains("read from the log") && line.split_whitespace().any(|word| word == healed);
    let healed = log.lines().filter(told).count();
    assert!((HELD..=PROJECTORS).contains(&healed), "{healed} found that it is lost: {}", apart.home().log().tail());

    apart.operate(&["relay", "rebuild-stream"]).succeeded();
    the_stream_is_the_log(&apart).await;
}

/// Until all projectors have their consumer.
async fn followed(apart: &Apart) {
    let context = jetstream::new(async_nats::connect(apart.nats.url()).await.unwrap());
    let look = async || {
        let stream = context.get_stream("EVENTS").await.map_err(|error| error.to_string())?;
        let consumers = stream.get_info().await.map_err(|error| error.to_string())?.state.consumer_count;
        if consumers == PROJECTORS { Ok(()) } else { Err(format!("{consumers} consumers")) }
    };
    apart.home().log().until("all projectors follow the stream", look).await;
}

async fn until_they_wait(apart: &Apart) {
    const SQL: &str =
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let mut session = PgConnection::connect(apart.url()).await.unwrap();
    let look = async || match sqlx::query(SQL).fetch_all(&mut session).await.unwrap().len() {
        HELD.. => Ok(()),
        waiting => Err(format!("{waiting} wait")),
    };
    apart.home().log().until("projectors wait to write", look).await;
}

/// Messages cannot be deleted, but for a moment there may be fewer of one subject than there are. Answers the place that
/// is empty then.
async fn lose_the_first_job(apart: &Apart, tenant: Uuid) -> i64 {
    let history = apart.events();
    let head = history.head().await.unsigned_abs();
    let context = jetstream::new(async_nats::connect(apart.nats.url()).await.unwrap());
    let stream = context.get_stream("EVENTS").await.unwrap();
    let state = async || stream.get_info().await.unwrap().state;
    let published = async || match state().await.last_sequence {
        last if last == head => Ok(()),
        last => Err(format!("{last} of {head}")),
    };
    apart.home().log().until("all jobs are on the stream", published).await;
    let config = stream.get_info().await.unwrap().config;
    let fewer =
        jetstream::stream::Config { max_messages_per_subject: i64::try_from(JOBS - 1).unwrap(), ..config.clone() };
    context.update_stream(fewer).await.unwrap();
    context.update_stream(config).await.unwrap();
    let lost = history.of_tenant(tenant).await.into_iter().find(|stored| stored.event_type == "JobCreated").unwrap();
    let left = state().await;
    assert_eq!((left.first_sequence, left.last_sequence, left.messages), (1, head, head - 1), "one is lost");
    stream.direct_get(lost.position.unsigned_abs()).await.unwrap_err();
    lost.position
}
