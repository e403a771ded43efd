//! Resumes graded by worker processes, with a model that answers after 50 ms.

use std::time::Duration;

use futures::{StreamExt, stream};
use sqlx::{Connection, PgConnection};
use starscreen_tests::{Account, Kind, ModelServer, Reply, Resume};

use super::{figures::load_average, stage::Stage};

const MODEL_ANSWERS_AFTER: Duration = Duration::from_millis(50);
const TENANTS: usize = 4;
const RESUMES: usize = 400;
const PARALLEL: usize = 8;
const WITHIN: Duration = Duration::from_mins(5);

pub async fn measure() {
    let model = ModelServer::start();
    for kind in [Kind::Rubric, Kind::Evaluation] {
        model.always(kind, &[Reply::GoodAfter(MODEL_ANSWERS_AFTER)]);
    }
    let base_url = model.base_url();
    let settings = [("OPENAI_API_KEY", "sk-bench-0123456789abcdef"), ("OPENAI_BASE_URL", base_url.as_str())];
    let mut stage = Stage::new(&settings);
    for verb in [&["relay"][..], &["projector"], &["worker", "extract", "rubric", "react", "billing"]] {
        stage.start(verb);
    }
    let client = stage.gateway();
    stage.distributes().await;
    let mut jobs = vec![];
    for _ in 0..TENANTS {
        let account = client.account().await;
        stage.operate(&["admin", "change-plan", &account.email, "enterprise"]);
        let job = account.ready_job().await;
        jobs.push((account, job));
    }
    println!(
        "{RESUMES} resumes that are read and wait; the model answers after {} ms",
        MODEL_ANSWERS_AFTER.as_millis()
    );
    for workers in [1, 2, 1, 2] {
        let rate = round(&stage, &jobs, workers).await;
        println!("{workers} processes of `worker score`: {rate:.1} scores/s (load average {})", load_average());
    }
}

/// Scores a second between the first and the last of a round.
async fn round(stage: &Stage, jobs: &[(Account, String)], workers: usize) -> f64 {
    stage.operate(&["queue", "pause", "score"]);
    let before = scores(&stage.database.url).await.0;
    stream::iter((0..RESUMES).zip(jobs.iter().cycle()))
        .map(|(_, (account, job))| async move { account.upload(job, &Resume::unique()).send().await.expect(200) })
        .buffer_unordered(PARALLEL)
        .for_each(|_| async {})
        .await;
    let read = async || match waiting(&stage.database.url).await {
        RESUMES => Ok(()),
        some => Err(format!("{some} wait for their score")),
    };
    stage.home.log().until_at_most(WITHIN, "all are read", read).await;
    let _workers: Vec<_> = (0..workers).map(|_| stage.run(&["worker", "score"])).collect();
    stage.operate(&["queue", "resume", "score"]);
    let scored = async || match scores(&stage.database.url).await.0 - before {
        RESUMES => Ok(()),
        some => Err(format!("{some} are scored")),
    };
    stage.home.log().until_at_most(WITHIN, "all are scored", scored).await;
    let (_, seconds) = scores(&stage.database.url).await;
    (RESUMES - 1) as f64 / seconds
}

/// How many there are, and the seconds between the first and the last of the newest [`RESUMES`].
async fn scores(url: &str) -> (usize, f64) {
    let sql = "SELECT COUNT(*), COALESCE(MAX(extract(epoch FROM at)) - MIN(extract(epoch FROM at)) FILTER
            (WHERE newest <= $1), 0)::float8
        FROM (SELECT recorded_at AS at, row_number() OVER (ORDER BY id DESC) AS newest FROM write.events
            WHERE event_type = 'CandidateScored') AS scored";
    let mut connection = PgConnection::connect(url).await.unwrap();
    let limit = i64::try_from(RESUMES).unwrap();
    let (count, seconds): (i64, f64) = sqlx::query_as(sql).bind(limit).fetch_one(&mut connection).await.unwrap();
    (usize::try_from(count).unwrap(), seconds)
}

async fn waiting(url: &str) -> usize {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let sql = "SELECT COUNT(*) FROM write.work WHERE lane = 'score'";
    let count: i64 = sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap();
    usize::try_from(count).unwrap()
}
