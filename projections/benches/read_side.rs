//! How fast read models are rebuilt, and how soon who waits sees a write; on SQLite, and on PostgreSQL where
//! STARSCREEN_TEST_POSTGRES names a server: `cargo bench -p starscreen-projections`.

use starscreen_projections::contracts::{Store, speed};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    report("SQLite", &Store::sqlite().await).await;
    if let Ok(server) = std::env::var("STARSCREEN_TEST_POSTGRES") {
        report("PostgreSQL", &Store::postgres(&server).await).await;
    }
    Ok(())
}

async fn report(back_end: &str, store: &Store) {
    for under_way in [100, 8_000] {
        let events_per_second = speed::rebuild(store, 40_000, under_way, 5_000).await;
        println!("{back_end}: {events_per_second:.0} events/s rebuilt, {under_way} candidates under way at a time");
    }
    for waiters in [1, 32] {
        let [p50, p99] = speed::wait_elsewhere(store, waiters).await;
        println!("{back_end}: {waiters} wait for another process, p50 {p50:?}, p99 {p99:?}");
    }
}
