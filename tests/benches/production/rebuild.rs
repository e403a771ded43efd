//! Read models made anew from history.

use starscreen_projections::contracts::{Store, speed};
use starscreen_tests::postgres;

use super::figures::{load_average, median, processor_seconds};

const ROUNDS: usize = 3;
const EVENTS: u64 = 200_000;
const BATCH: usize = 5_000;

pub async fn measure() {
    println!("candidate_status from {EVENTS} events, batches of {BATCH}; {ROUNDS} rounds, medians");
    for (under_way, which) in [(100, "a row's events close together"), (8_000, "every event a load and an upsert")] {
        let (mut embedded, mut each, mut server) = (vec![], vec![], vec![]);
        for _ in 0..ROUNDS {
            let store = Store::sqlite().await;
            let before = processor_seconds();
            embedded.push(speed::rebuild(&store, EVENTS, under_way, BATCH).await);
            each.push(EVENTS as f64 / (processor_seconds() - before));
            server.push(
                speed::rebuild(&Store::postgres(&postgres().url("postgres")).await, EVENTS, under_way, BATCH).await,
            );
        }
        println!(
            "{which}: {:.0} events/s on SQLite, {:.0} for a second of one processor; {:.0} on PostgreSQL \
            (load average {})",
            median(embedded),
            median(each),
            median(server),
            load_average()
        );
    }
}
