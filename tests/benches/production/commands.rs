//! A command over HTTP, with NATS and without.

use std::time::{Duration, Instant};

use serde_json::json;
use starscreen_tests::Account;

use super::{
    figures::{load_average, percentiles},
    stage::Stage,
};

const ROUNDS: usize = 3;
const COMMANDS: usize = 200;

pub async fn measure() {
    let mut stage = Stage::new(&[]);
    for verb in ["relay", "projector", "worker"] {
        stage.start(&[verb]);
    }
    let client = stage.gateway();
    stage.distributes().await;
    let account = client.account().await;
    create_jobs(&account).await; // the first ones find caches cold
    let (mut up, mut down) = (vec![], vec![]);
    for _ in 0..ROUNDS {
        up.push(create_jobs(&account).await);
        stage.nats.kill();
        down.push(create_jobs(&account).await);
        stage.nats.start();
        // The relay is back before the next round, or it would be one of both.
        let before = arrived(&stage).await;
        account.create_job("Engineer", "Builds and runs the engine.").await;
        let look = async || match arrived(&stage).await {
            now if now > before => Ok(()),
            now => Err(format!("the stream ends at {now}")),
        };
        stage.home.log().until("events are distributed again", look).await;
    }
    println!("POST /jobs one after the other, the answer waits for its read model (load average {})", load_average());
    for (what, rounds) in [("NATS up", up), ("NATS killed", down)] {
        let behind: usize = rounds.iter().map(|round| round.1).sum();
        let times: Vec<Duration> = rounds.into_iter().flat_map(|round| round.0).collect();
        println!("{what}: {}; {behind} of {} answers went out before it", percentiles(&times), times.len());
    }
}

/// How long each took, and how many answers say that they did not wait to the end.
async fn create_jobs(account: &Account) -> (Vec<Duration>, usize) {
    let body = json!({ "title": "Engineer", "description": "Builds and runs the engine in Rust." });
    let (mut times, mut behind) = (vec![], 0);
    for _ in 0..COMMANDS {
        let begun = Instant::now();
        let answer = account.post("jobs").json(&body).send().await.expect(201);
        times.push(begun.elapsed());
        behind += usize::from(answer.headers.contains_key("starscreen-read-model"));
    }
    (times, behind)
}

/// The stream's last sequence.
async fn arrived(stage: &Stage) -> u64 {
    let client = async_nats::connect(stage.nats.url()).await.unwrap();
    let stream = async_nats::jetstream::new(client).get_stream("EVENTS").await.unwrap();
    stream.cached_info().state.last_sequence
}
