//! Backing up and restoring on PostgreSQL, by the commands of docs/operations.md.

use std::process::{Command, Stdio};

use sqlx::{Connection, PgConnection};
use starscreen_tests::{Client, Home, Postgres, PostgresOptions, Resume, postgres_programs};

use crate::product_binary;

/// Runs one of PostgreSQL's programs.
fn program(name: &str, arguments: &[&str]) {
    let mut command = Command::new(postgres_programs().join(name));
    let output = command.args(arguments).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
}

async fn events_in_order(url: &str) -> Vec<(i64, String)> {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let sql = "SELECT position, event_type FROM write.history ORDER BY position";
    sqlx::query_as(sql).fetch_all(&mut connection).await.unwrap()
}

#[tokio::test]
async fn a_dump_of_the_write_schema_brings_everything_back_in_a_new_cluster() {
    let old = Postgres::private(&PostgresOptions::default());
    let lost = old.fresh_database(None);
    // One that has counted further than the new one will.
    let count = "DO $$ BEGIN FOR i IN 1..5000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$";
    program("psql", &["-v", "ON_ERROR_STOP=1", "-c", count, &lost.url]);
    let home = Home::new(&product_binary());
    let server = home.serve(&[("DATABASE_URL", &lost.url)]);
    let account = Client::of(&server, home.log()).account().await;
    let job = account.ready_job().await;
    let candidate = account.take_in(&job, &Resume::unique()).await;
    account.until_candidate_is(&job, &candidate, "SCORED").await;
    server.stop(&home.log());
    let before = events_in_order(&lost.url).await;
    let dump = home.work().join("backup.dump").display().to_string();
    program("pg_dump", &["-Fc", "--schema=write", "-f", &dump, &lost.url]);
    drop((lost, old));

    let new = Postgres::private(&PostgresOptions::default());
    let database = new.fresh_database(None);
    let environment = [("DATABASE_URL", database.url.as_str())];
    home.run(&["migrate", "up"], &environment).succeeded();
    let sql = |sql: &str| program("psql", &["-v", "ON_ERROR_STOP=1", "-c", sql, &database.url]);
    sql("DROP SCHEMA write CASCADE");
    program("pg_restore", &["-d", &database.url, &dump]);
    sql("INSERT INTO write.epochs (epoch) SELECT max(epoch) + 1 FROM write.epochs");

    let server = home.serve(&environment);
    let restored = Client::of(&server, home.log());
    let ready = async || match restored.get("health/ready").send().await {
        answer if answer.status == 200 => Ok(()),
        answer => Err(answer.text()),
    };
    restored.log().until("everything is built again", ready).await;
    let signed_in = restored.post("auth/login").json(&serde_json::json!({
        "email": account.email, "password": starscreen_tests::PASSWORD
    }));
    signed_in.send().await.expect(200);
    let restored = restored.with_bearer(&account.access_token);
    let shown = restored.get(&format!("jobs/{job}/candidates/{candidate}")).send().await.expect(200).json();
    assert_eq!(shown["status"], "SCORED");
    assert!(shown["resume_text"].as_str().unwrap().contains("Applicant"), "{shown}");
    // And it goes on: new events come behind the restored ones.
    let retried = restored.post(&format!("jobs/{job}/candidates/{candidate}/rescore")).send().await;
    assert!([200, 202].contains(&retried.status), "{}", retried.text());
    let goes_on = async || {
        let now = events_in_order(&database.url).await;
        if now.len() >= before.len() + 2 { Ok(now) } else { Err(format!("{} events", now.len())) }
    };
    let after = restored.log().until("new events have their places", goes_on).await;
    assert_eq!(after[..before.len()], before);
    server.stop(&home.log());
}
