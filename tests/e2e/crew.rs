//! Several worker processes at one queue: together they run over no model that is unwell, and wait no longer than one
//! would for a tenant who has more work than all the others.

use std::time::{Duration, Instant};

use serde_json::json;
use starscreen_tests::{Kind, ModelServer, Reply, Resume, Server};
use uuid::Uuid;

use crate::{
    apart::Apart,
    fairness::{Ground, OTHERS},
};

const WORKERS: usize = 2;
/// Calls that a worker has in hand at a time.
const PLACES: usize = 4;
const SETTLED_WITHIN: Duration = Duration::from_mins(1);

/// Two processes that score, one for each other part, and a gateway.
struct Crew {
    gateway: Server,
    _others: Vec<Server>,
    apart: Apart,
}

impl Crew {
    fn start(model: &ModelServer, places: usize, environment: &[(&str, &str)]) -> Self {
        let (base_url, places) = (model.base_url(), places.to_string());
        let mut all = vec![
            ("OPENAI_API_KEY", "sk-test-0123456789abcdef"),
            ("OPENAI_BASE_URL", base_url.as_str()),
            ("STARSCREEN_WORKERS_SCORE_PARALLEL", places.as_str()),
        ];
        all.extend(environment);
        let apart = Apart::new(&all);
        let others: &[&[&str]] = &[&["relay"], &["projector"], &["worker", "extract", "rubric", "react", "billing"]];
        let mut others: Vec<Server> = others.iter().map(|part| apart.run(part)).collect();
        others.extend((0..WORKERS).map(|_| apart.run(&["worker", "score"])));
        Self { gateway: apart.gateway(), _others: others, apart }
    }
}

/// How long the model is unwell; the full test takes minutes.
fn storm() -> Duration {
    let seconds = std::env::var("STARSCREEN_TESTS_STORM_SECONDS").ok();
    Duration::from_secs(seconds.map_or(20, |seconds| seconds.parse().unwrap()))
}

const RESUMES: usize = 24;
/// A worker that finds the model down asks it with one call at a time, and on the average not more often than this: it
/// waits for ten seconds where the model does not say how long, and not at all after an answer, however bad.
const BETWEEN_TRIES: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_over_two_workers_passes_without_a_victim() {
    let model = ModelServer::start();
    let crew = Crew::start(&model, PLACES, &[("OPENAI_TIMEOUT_SECONDS", "2")]);
    let apart = &crew.apart;
    let account = apart.account(&crew.gateway).await;
    let job = account.ready_job().await;
    model.always(
        Kind::Evaluation,
        &[
            Reply::Status(500),
            Reply::BusyForSeconds(1),
            Reply::Hang,
            Reply::Status(503),
            Reply::BusyUntil(Duration::from_secs(2)),
            Reply::Cut,
            Reply::BusyForMillis(300),
            Reply::Half,
        ],
    );
    let begun = Instant::now();
    let mut told: Vec<Uuid> = vec![];
    for _ in 0..RESUMES {
        told.push(account.take_in(&job, &Resume::unique()).await.parse().unwrap());
    }
    let over = async || {
        let list = account.candidates(&job).await;
        assert!(list.iter().all(|row| row["status"] != "FAILED" && row["status"] != "SCORED"), "{list:#?}");
        if begun.elapsed() > storm() { Ok(()) } else { Err("it rages".to_owned()) }
    };
    apart.home().log().until_at_most(storm() * 2, "the storm is over", over).await;
    let in_storm = model.asked_for(Kind::Evaluation).len();
    let took = begun.elapsed();
    model.always(Kind::Evaluation, &[Reply::GoodAfter(Duration::from_millis(50))]);
    let mended = Instant::now();
    apart.settled_within(SETTLED_WITHIN).await;
    let after = model.asked_for(Kind::Evaluation).len() - in_storm;
    println!("{in_storm} calls in {took:.1?} of storm; all scored {:.1?} after it, by {after} calls", mended.elapsed());
    let tries = usize::try_from(took.as_secs() / BETWEEN_TRIES.as_secs()).unwrap() + 1;
    // What each has in hand when it begins, some more before it is known, then one try after another.
    let most = WORKERS * (2 * PLACES + tries);
    assert!((WORKERS..=most).contains(&in_storm), "{in_storm} calls in {took:?}, and {most} would be many");
    assert!(after <= RESUMES + WORKERS, "{after} calls for {RESUMES} resumes");
    let list = account.settled_candidates(&job, RESUMES).await;
    assert!(list.iter().all(|row| row["status"] == "SCORED" && row["needs_review"] == json!([])), "{list:#?}");
    apart.check(&told).await;
}

/// As `fairness.rs` has it for one process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_together_are_as_fair_as_one() {
    let model = ModelServer::start();
    model.always(Kind::Evaluation, &[Reply::GoodAfter(Duration::from_millis(50))]);
    let crew = Crew::start(&model, PLACES / WORKERS, &[]);
    let apart = &crew.apart;
    let mut tenants = vec![];
    for _ in 0..=OTHERS {
        let account = apart.account(&crew.gateway).await;
        let job = account.ready_job().await;
        tenants.push((account, job));
    }
    let operate = |verb: &[&str]| apart.operate(verb);
    Ground { operate: &operate, events: apart.events(), log: apart.home().log() }.is_fair(&tenants).await;
    apart.settled_within(SETTLED_WITHIN).await;
}
