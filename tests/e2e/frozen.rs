//! A process that is stopped in the middle of its work until another has taken over, and then goes on as if no time had
//! passed: what it still wants to say is refused.

use std::{collections::BTreeMap, time::Duration};

use sqlx::{Connection, PgConnection};
use starscreen_domain::{Event, candidate::CandidateEvent};
use starscreen_tests::{Kind, ModelServer, Reply, Resume, Server, Stored};
use uuid::Uuid;

use crate::apart::Apart;

/// Items that a worker has in hand at a time.
const IN_HAND: usize = 4;
/// So long that a worker can be stopped before it is over, and shorter than its lease.
const AFTER_A_WHILE: Duration = Duration::from_secs(8);
/// A lease of 15 s, and the time to do the work of the sleeping one.
const TAKEN_OVER_WITHIN: Duration = Duration::from_mins(1);
const SETTLED_WITHIN: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_wakes_up_after_its_lease_reports_nothing() {
    let model = ModelServer::start();
    let apart = Apart::new(&[
        ("OPENAI_API_KEY", "sk-test-0123456789abcdef"),
        ("OPENAI_BASE_URL", &model.base_url()),
        ("STARSCREEN_WORKERS_SCORE_PARALLEL", &IN_HAND.to_string()),
        ("STARSCREEN_LOG", "info,starscreen_commands::workers=debug"),
    ]);
    let _others = [
        apart.run(&["relay"]),
        apart.run(&["projector"]),
        apart.run(&["worker", "extract", "rubric", "react", "billing"]),
    ];
    let gateway = apart.gateway();
    let account = apart.account(&gateway).await;
    let job = account.ready_job().await;
    let sleeper = apart.run(&["worker", "score"]);
    model.always(Kind::Evaluation, &[Reply::GoodAfter(AFTER_A_WHILE)]);
    let mut told: Vec<Uuid> = vec![];
    for _ in 0..IN_HAND {
        told.push(account.take_in(&job, &Resume::unique()).await.parse().unwrap());
    }
    let asked = async |calls: usize| {
        let look = async || match model.asked_for(Kind::Evaluation).len() {
            asked if asked >= calls => Ok(()),
            asked => Err(format!("{asked} calls")),
        };
        apart.home().log().until_at_most(TAKEN_OVER_WITHIN, &format!("the model is asked {calls} times"), look).await;
    };
    asked(IN_HAND).await;
    sleeper.freeze();
    assert_eq!(scored(&apart).await, 0, "it was stopped too late");

    // The other does half of it, and is at the other half when the first wakes up.
    model.next(Kind::Evaluation, &[Reply::Good, Reply::Good]);
    let _other = apart.run(&["worker", "score"]);
    asked(2 * IN_HAND).await;
    let look = async || match scored(&apart).await {
        2.. => Ok(()),
        seen => Err(format!("{seen} scored")),
    };
    apart.home().log().until("half of it is done by the other", look).await;
    let held = leases(&apart).await;
    sleeper.resume();
    let reported = async || match (scored(&apart).await, refused(&apart)) {
        (scored, refused) if scored + refused == 2 * IN_HAND => Ok(()),
        seen => Err(format!("scored and refused: {seen:?}")),
    };
    apart.home().log().until("both have reported everything", reported).await;
    apart.settled_within(SETTLED_WITHIN).await;
    apart.check(&told).await;
    let (calls, refused) = (model.asked_for(Kind::Evaluation).len(), refused(&apart));
    assert_eq!((calls, refused), (2 * IN_HAND, IN_HAND), "calls of the model, and reports that came too late");
    assert_eq!(held.len(), IN_HAND / 2, "the other was at work when the first woke up");
    let results = results(&apart).await;
    for (candidate, attempt) in held {
        assert_eq!(results[&candidate], attempt, "the result of {candidate} is not of who had it in hand");
    }
}

/// Candidates that are scored at the moment, and by which attempt.
async fn leases(apart: &Apart) -> Vec<(Uuid, Uuid)> {
    let mut session = PgConnection::connect(apart.url()).await.unwrap();
    sqlx::query_as("SELECT subject, lease FROM write.work WHERE lane = 'score'").fetch_all(&mut session).await.unwrap()
}

/// Attempts that led to a score, by candidate.
async fn results(apart: &Apart) -> BTreeMap<Uuid, Uuid> {
    let history = apart.events().all().await.into_iter();
    let result = |stored: Stored| match stored.event {
        Event::Candidate(CandidateEvent::CandidateScored { attempt, .. }) => Some((stored.aggregate_id, attempt.0)),
        _ => None,
    };
    history.filter_map(result).collect()
}

async fn scored(apart: &Apart) -> usize {
    apart.events().all().await.iter().filter(|stored| stored.event_type == "CandidateScored").count()
}

/// Reports that led to nothing.
fn refused(apart: &Apart) -> usize {
    apart.home().log().text().matches("work item is no longer wanted").count()
}

const RESUMES: usize = 3;

/// A projector that has read events and not written their rows, and stands still.
struct Sleeper {
    server: Server,
    told: Vec<Uuid>,
}

impl Sleeper {
    /// Nothing else works then but the gateway and the relay.
    async fn in_the_middle(apart: &Apart, relay: &Server, gateway: &Server) -> Self {
        let (worker, rest) = (apart.run(&["worker"]), apart.run(&["projector"]));
        let account = apart.account(gateway).await;
        let job = account.ready_job().await;
        apart.settled_within(SETTLED_WITHIN).await;
        rest.kill();
        worker.kill();
        let server = apart.run(&["projector", "candidate_status"]);
        relay.freeze(); // so that all of it comes at once
        let mut told: Vec<Uuid> = vec![];
        for _ in 0..RESUMES {
            told.push(account.take_in(&job, &Resume::unique()).await.parse().unwrap());
        }
        let mut session = PgConnection::connect(apart.url()).await.unwrap();
        let mut keys = session.begin().await.unwrap();
        sqlx::query("LOCK TABLE write.subject_keys IN ACCESS EXCLUSIVE MODE").execute(&mut *keys).await.unwrap();
        relay.resume();
        until_somebody_waits_for_keys(apart).await;
        server.freeze();
        keys.rollback().await.unwrap();
        Self { server, told }
    }
}

async fn until_somebody_waits_for_keys(apart: &Apart) {
    const SQL: &str = "SELECT 1 FROM pg_locks WHERE relation = 'write.subject_keys'::regclass AND NOT granted";
    let mut session = PgConnection::connect(apart.url()).await.unwrap();
    let look = async || match sqlx::query(SQL).fetch_optional(&mut session).await.unwrap() {
        Some(_) => Ok(()),
        None => Err("nobody waits".to_owned()),
    };
    apart.home().log().until("it has read events, and waits for their keys", look).await;
}

/// Two things hold it back: that it learns at once that it leads no more, and the checkpoint where that comes too late.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_projector_that_wakes_up_when_another_leads_folds_nothing() {
    let apart = Apart::new(&[]);
    let (relay, gateway) = (apart.run(&["relay"]), apart.gateway());
    let Sleeper { server, told } = Sleeper::in_the_middle(&apart, &relay, &gateway).await;
    let _others = [apart.run(&["projector"]), apart.run(&["worker"])];
    apart.settled_within(SETTLED_WITHIN).await;
    server.resume();
    let look = async || {
        let log = apart.home().log().text();
        if log.contains("leads no more") { Ok(()) } else { Err("it does not know".to_owned()) }
    };
    apart.home().log().until("the first knows that it leads no more", look).await;
    apart.check(&told).await;
}
