//! A commit of which the gateway is never told: it may have happened, and here it has.

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use starscreen_tests::{Resume, answered};
use uuid::Uuid;

use crate::{apart::Apart, outages::told_to_come_back};

const MAX_UPLOADS: usize = 100;

/// PostgreSQL commits and then waits for a standby that there is not, before it says so.
async fn silent_about_commits(apart: &Apart, silent: bool) {
    let change = if silent { "SET synchronous_standby_names = 'nobody'" } else { "RESET synchronous_standby_names" };
    let mut session = PgConnection::connect(apart.url()).await.unwrap();
    for sql in [format!("ALTER SYSTEM {change}"), "SELECT pg_reload_conf()".to_owned()] {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut session).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_whose_commit_nobody_was_told_of_keeps_its_file() {
    let apart = Apart::new(&[]);
    let _others = [apart.run(&["relay"]), apart.run(&["projector"])];
    let gateway = apart.gateway();
    let account = apart.account(&gateway).await;
    let job = account.create_job("Engineer", "Builds services with Rust and PostgreSQL").await;
    silent_about_commits(&apart, true).await;
    let mut told: Vec<Uuid> = vec![];
    let (resume, key) = loop {
        let (resume, key) = (Resume::unique(), format!("upload {}", told.len()));
        let answer = account.upload(&job, &resume).key(&key).send().await;
        if answer.status != 200 {
            told_to_come_back("upload", &answer);
            break (resume, key);
        }
        told.push(answer.json()["candidate_id"].as_str().unwrap().parse().unwrap()); // it has not heard of it yet
        assert!(told.len() < MAX_UPLOADS, "every commit is answered");
    };
    silent_about_commits(&apart, false).await;
    let answer = answered(&[200], || account.upload(&job, &resume).key(&key)).await.json();
    told.push(answer["candidate_id"].as_str().unwrap().parse().unwrap());
    let history = apart.events().all().await;
    let uploaded = history.iter().filter(|stored| stored.event_type == "ResumeUploaded");
    assert_eq!(uploaded.map(|stored| stored.aggregate_id).collect::<Vec<_>>(), told, "once each");
    for candidate in &told {
        account.get(&format!("jobs/{job}/candidates/{candidate}/file")).send().await.expect(200);
    }
}
