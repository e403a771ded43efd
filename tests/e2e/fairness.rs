//! One tenant's flood is not the others' wait.
//!
//! A wait is counted in turns, not in milliseconds: how many items a lane has served until it was one's own. Whatever
//! else the machine does, that is what the order of a lane makes of a queue.

use std::{collections::BTreeMap, time::Duration};

use futures::future::join_all;
use starscreen_tests::{Account, Answer, Ended, Events, Kind, Log, ModelServer, Reply, Resume, TestApp};

use crate::product_binary;

pub(crate) const OTHERS: usize = 4;
const UPLOADS: usize = 10;
/// Uploads of the one who floods.
const FLOOD: usize = 10 * UPLOADS;
/// Lanes that a resume goes through, and the event that says that an item of it was served.
const LANES: [(&str, &str); 2] = [("extract", "TextExtracted"), ("score", "CandidateScored")];
const SERVED_WITHIN: Duration = Duration::from_mins(3);

/// Tenants with a job each; the first one floods.
pub(crate) type Tenants = Vec<(Account, String)>;

/// What everything runs on.
pub(crate) struct Ground<'a> {
    pub(crate) operate: &'a dyn Fn(&[&str]) -> Ended,
    pub(crate) events: Events,
    pub(crate) log: Log,
}

impl Ground<'_> {
    /// Everybody uploads, the one who floods first, while the lanes stand; then one lane after the other goes on. For
    /// each lane, the turns at which the others were served.
    async fn turns(&self, tenants: &Tenants, flood: usize) -> BTreeMap<&'static str, Vec<usize>> {
        for (lane, _) in LANES {
            (self.operate)(&["queue", "pause", lane, "--reason", "until all is uploaded"]).succeeded();
        }
        let before = self.events.head().await;
        let (floods, others) = tenants.split_first().unwrap();
        upload(floods, flood).await;
        let candidates = join_all(others.iter().map(|other| upload(other, UPLOADS))).await.concat();
        let mut turns = BTreeMap::new();
        for (lane, served) in LANES {
            (self.operate)(&["queue", "resume", lane]).succeeded();
            let order = self.served(served, before, flood + candidates.len()).await;
            let turn = |candidate: &String| 1 + order.iter().position(|served| served == candidate).unwrap();
            turns.insert(lane, candidates.iter().map(turn).collect());
        }
        turns
    }

    /// Whose item was served, in the order of the log.
    async fn served(&self, name: &str, after: i64, count: usize) -> Vec<String> {
        let look = async || {
            let all = self.events.all().await.into_iter();
            let served = all.filter(|stored| stored.position > after && stored.event_type == name);
            let served: Vec<String> = served.map(|stored| stored.aggregate_id.to_string()).collect();
            if served.len() == count { Ok(served) } else { Err(format!("{} of {count} {name}", served.len())) }
        };
        self.log.until_at_most(SERVED_WITHIN, "every item of the lane is served", look).await
    }

    /// The others wait less than twice as long beside the flood as without it, in each lane.
    pub(crate) async fn is_fair(&self, tenants: &Tenants) {
        let alone = self.turns(tenants, 0).await;
        let beside = self.turns(tenants, FLOOD).await;
        for (lane, _) in LANES {
            let (alone, beside) = (median(&alone[lane]), median(&beside[lane]));
            println!("{lane}: served at turn {alone} alone, {beside} beside the flood, in the median");
            assert!(beside < 2 * alone, "{lane}: the others were served at turn {beside} instead of {alone}");
        }
    }
}

async fn upload((account, job): &(Account, String), count: usize) -> Vec<String> {
    let calls: Vec<_> = (0..count).map(|_| account.upload(job, &Resume::unique())).collect();
    let answers = join_all(calls.into_iter().map(|call| tokio::spawn(call.send()))).await;
    let id = |answer: Answer| answer.expect(200).json()["candidate_id"].as_str().unwrap().to_owned();
    answers.into_iter().map(|answer| id(answer.unwrap())).collect()
}

fn median(turns: &[usize]) -> usize {
    let mut turns = turns.to_vec();
    turns.sort_unstable();
    turns[turns.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_one_tenant_uploads_ten_times_more_the_others_wait_less_than_twice_as_long() {
    let model = ModelServer::start();
    model.always(Kind::Evaluation, &[Reply::GoodAfter(Duration::from_millis(50))]);
    let base_url = model.base_url();
    let key = ("OPENAI_API_KEY", "sk-test-0123456789abcdef");
    let app = TestApp::start_with(&product_binary(), &[key, ("OPENAI_BASE_URL", &base_url)]);
    let mut tenants = vec![];
    for _ in 0..=OTHERS {
        let account = app.client().account().await;
        app.operate(&["admin", "change-plan", &account.email, "enterprise"]).succeeded();
        let job = account.ready_job().await;
        tenants.push((account, job));
    }
    Ground { operate: &|verb| app.operate(verb), events: app.events(), log: app.log() }.is_fair(&tenants).await;
}
