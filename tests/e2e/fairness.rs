//! One tenant's flood is not the others' wait.

use std::time::Duration;

use futures::future::join_all;
use starscreen_tests::{Account, Kind, ModelServer, Reply, Resume, TestApp};

use crate::product_binary;

pub(crate) const OTHERS: usize = 4;
pub(crate) const UPLOADS: usize = 10;
/// Uploads of the one who floods.
pub(crate) const FLOOD: usize = 10 * UPLOADS;
/// With and without the flood in turn, so that what else the machine does weighs on both alike.
pub(crate) const ROUNDS: usize = 2;
/// Calls in hand at a time. Waiting for the model, and not for this machine, is what tells one order from another.
const AT_ONCE: usize = 4;
pub(crate) const ANSWERS_AFTER: Duration = Duration::from_millis(100);

pub(crate) async fn upload(account: &Account, job: &str, count: usize) -> Vec<String> {
    let calls: Vec<_> = (0..count).map(|_| account.upload(job, &Resume::unique())).collect();
    let answers = join_all(calls.into_iter().map(|call| tokio::spawn(call.send()))).await;
    let id = |answer: starscreen_tests::Answer| answer.expect(200).json()["candidate_id"].as_str().unwrap().to_owned();
    answers.into_iter().map(|answer| id(answer.unwrap())).collect()
}

pub(crate) fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_one_tenant_uploads_ten_times_more_the_others_wait_less_than_twice_as_long() {
    let model = ModelServer::start();
    model.always(Kind::Evaluation, &[Reply::GoodAfter(ANSWERS_AFTER)]);
    let base_url = model.base_url();
    let app = TestApp::start_with(
        &product_binary(),
        &[
            ("OPENAI_API_KEY", "sk-test-0123456789abcdef"),
            ("OPENAI_BASE_URL", &base_url),
            ("STARSCREEN_WORKERS_SCORE_PARALLEL", &AT_ONCE.to_string()),
        ],
    );
    let mut tenants = vec![];
    for _ in 0..=OTHERS {
        let account = app.client().account().await;
        app.operate(&["admin", "change-plan", &account.email, "enterprise"]).succeeded();
        let job = account.ready_job().await;
        tenants.push((account, job));
    }
    let (floods, others) = tenants.split_first().unwrap();
    let (mut alone, mut beside) = (vec![], vec![]);
    for round in 0..2 * ROUNDS {
        let flooded = round % 2 == 1;
        upload(&floods.0, &floods.1, if flooded { FLOOD } else { 0 }).await; // first, so that a queue is in their way
        let candidates = join_all(others.iter().map(|(account, job)| upload(account, job, UPLOADS))).await;
        app.settled().await;
        let waits = app.events().milliseconds_by_stream("ResumeUploaded", "CandidateScored").await;
        let waits = candidates.iter().flatten().map(|candidate| waits[candidate]);
        if flooded { beside.extend(waits) } else { alone.extend(waits) }
    }
    let (alone, beside) = (median(alone), median(beside));
    println!(
        "upload to SCORED, median: {alone:.0} ms alone, {beside:.0} ms beside the flood, {:.2} times",
        beside / alone
    );
    assert!(beside < 2.0 * alone, "the others waited {beside:.0} ms instead of {alone:.0} ms");
}
