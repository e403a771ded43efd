//! SIGKILL at random points, and clients that go on regardless.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::{Answer, Call, TestApp};

/// A client that meets a dead server for longer than this has found a bug.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Chance of this run. The seed is printed, and taken from `STARSCREEN_TESTS_SEED` when it is set.
pub fn seeded() -> StdRng {
    let seed = std::env::var("STARSCREEN_TESTS_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| rand::rng().random());
    println!("STARSCREEN_TESTS_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

/// Asks again and again until a living server has answered, with one of `statuses`.
pub async fn answered(statuses: &[u16], ask: impl Fn() -> Call) -> Answer {
    let start = Instant::now();
    loop {
        match ask().try_send().await {
            Ok(answer) if answer.status != 503 => {
                assert!(statuses.contains(&answer.status), "{} {}", answer.status, answer.text());
                return answer;
            }
            Ok(_) | Err(_) => assert!(start.elapsed() < PATIENCE, "nobody answers"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await; // as a client would, before it asks again
    }
}

/// Kills `kills` times, each some moments after a random number of the `all` requests was acknowledged. Wants a runtime
/// of several threads.
pub async fn kill_again_and_again(
    app: &TestApp,
    random: &mut StdRng,
    kills: usize,
    acknowledged: &AtomicUsize,
    all: usize,
) {
    let mut thresholds: Vec<usize> = (0..kills).map(|_| random.random_range(0..all * 9 / 10)).collect();
    thresholds.sort_unstable();
    for threshold in thresholds {
        let look = async || {
            let seen = acknowledged.load(Ordering::SeqCst);
            if seen >= threshold { Ok(()) } else { Err(format!("{seen}")) }
        };
        app.log().until_at_most(PATIENCE, &format!("{threshold} requests are acknowledged"), look).await;
        let moment = Duration::from_micros(random.random_range(0..150_000));
        tokio::time::sleep(moment).await; // the random point, not a wait for anything
        tokio::task::block_in_place(|| {
            app.kill();
            app.start_again();
        });
    }
}
