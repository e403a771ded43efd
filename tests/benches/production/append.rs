//! Appends through the writer, against `pgbench` that inserts the same rows in explicit transactions.

use std::{fs, process::Command, time::Duration};

use starscreen_commands::{
    append::{Append, NewEvent},
    contracts::append::event,
    write_side::WriteSide,
};
use starscreen_domain::TenantId;
use starscreen_tests::postgres_programs;
use uuid::Uuid;

use super::{
    figures::{Measured, for_a_while, load_average, median},
    stage::Stage,
};

const CLIENTS: [usize; 3] = [1, 8, 32];
const ROUNDS: usize = 5;
const SECONDS: u64 = 2;
/// Of one command.
const EVENTS: usize = 2;

pub async fn measure() {
    let mut stage = Stage::new(&[]);
    let write = stage.write_side().await;
    let script = stage.home.work().join("append.sql");
    fs::write(&script, script_of(&event(TenantId(Uuid::nil()), Uuid::nil(), 1))).unwrap();
    println!("commands a second, {EVENTS} events each; {ROUNDS} rounds of {SECONDS} s in turns, medians");
    for clients in CLIENTS {
        compare(&write, &script, &stage, clients, "").await;
    }
    stage.start(&["relay"]);
    stage.distributes().await;
    compare(&write, &script, &stage, 32, ", the sequencer and the relay at work").await;
    write.close().await;
}

async fn compare(write: &WriteSide, script: &std::path::Path, stage: &Stage, clients: usize, beside: &str) {
    let (mut ours, mut theirs, mut last) = (vec![], vec![], None);
    for _ in 0..ROUNDS {
        theirs.push(pgbench(script, &stage.database.url, clients));
        let measured = appends(write, clients).await;
        ours.push(measured.per_second());
        last = Some(measured);
    }
    let ratios = ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs).collect();
    println!(
        "{clients:>2} clients{beside}: {:.0} against {:.0} of pgbench, ratio {:.2}; {} (load average {})",
        median(ours),
        median(theirs),
        median(ratios),
        last.as_ref().map(Measured::percentiles).unwrap_or_default(),
        load_average()
    );
}

async fn appends(write: &WriteSide, clients: usize) -> Measured {
    let writer = write.writer.clone();
    let tenants: Vec<TenantId> = (0..clients).map(|_| TenantId(Uuid::now_v7())).collect();
    for_a_while(clients, Duration::from_secs(SECONDS), move |client| {
        let (writer, tenant) = (writer.clone(), tenants[client]);
        let events = (0..EVENTS).map(|_| event(tenant, Uuid::now_v7(), 1)).collect();
        async move {
            writer.append(Append { events, ..Append::default() }).await.unwrap();
        }
    })
    .await
}

/// Rows as those of `like`, a tenant a client, each event of a new stream.
fn script_of(like: &NewEvent) -> String {
    let row = format!(
        "(('00000000-0000-7000-8000-' || lpad(:client_id::text, 12, '0'))::uuid, '{}', uuidv7()::text, {}, '{}', '{}',
        '{}', '{}', uuidv7())",
        like.aggregate_type, like.sequence, like.event_type, like.event_version, like.payload, like.metadata
    );
    let rows = vec![row; EVENTS].join(", ");
    format!(
        "BEGIN;\nINSERT INTO write.events (tenant_id, aggregate_type, aggregate_id, sequence, event_type,
        event_version, payload, metadata, event_id) VALUES {rows};\nCOMMIT;\n"
    )
}

/// Transactions a second.
fn pgbench(script: &std::path::Path, url: &str, clients: usize) -> f64 {
    let output = Command::new(postgres_programs().join("pgbench"))
        .args(["-n", "-M", "prepared", "-c", &clients.to_string(), "-j", "2", "-T", &SECONDS.to_string(), "-f"])
        .arg(script)
        .arg(url)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let rate = said.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    rate.unwrap_or_else(|| panic!("{said}\n{}", String::from_utf8_lossy(&output.stderr)))
}
