//! One tenant's flood is not the others' wait.

use futures::future::join_all;
use starscreen_tests::{Account, Resume, TestApp};

use crate::product_binary;

const OTHERS: usize = 4;
const UPLOADS: usize = 10;
/// Uploads of the one who floods.
const FLOOD: usize = 10 * UPLOADS;
/// With and without the flood in turn, so that what else the machine does weighs on both alike.
const ROUNDS: usize = 2;

async fn upload(account: &Account, job: &str, count: usize) -> Vec<String> {
    let calls: Vec<_> = (0..count).map(|_| account.upload(job, &Resume::unique())).collect();
    let answers = join_all(calls.into_iter().map(|call| tokio::spawn(call.send()))).await;
    let id = |answer: starscreen_tests::Answer| answer.expect(200).json()["candidate_id"].as_str().unwrap().to_owned();
    answers.into_iter().map(|answer| id(answer.unwrap())).collect()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_one_tenant_uploads_ten_times_more_the_others_wait_less_than_twice_as_long() {
    let app = TestApp::start(&product_binary());
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
        let flood = upload(&floods.0, &floods.1, if flooded { FLOOD } else { 0 });
        let uploads = join_all(others.iter().map(|(account, job)| upload(account, job, UPLOADS)));
        let (_, candidates) = tokio::join!(flood, uploads);
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
