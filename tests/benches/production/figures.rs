//! How figures are taken and shown.

use std::{
    fs,
    time::{Duration, Instant},
};

/// Things of the same kind that were done one after the other, or by several at once.
pub struct Measured {
    pub latencies: Vec<Duration>,
    pub elapsed: Duration,
}

impl Measured {
    pub fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// p50 and p99 as text.
    pub fn percentiles(&self) -> String {
        percentiles(&self.latencies)
    }
}

/// `clients` do `one` again and again for that long; each gets its number.
pub async fn for_a_while<F>(
    clients: usize,
    time: Duration,
    one: impl Fn(usize) -> F + Clone + Send + 'static,
) -> Measured
where
    F: Future<Output = ()> + Send,
{
    let begun = Instant::now();
    let tasks: Vec<_> = (0..clients)
        .map(|client| {
            let one = one.clone();
            tokio::spawn(async move {
                let mut latencies = vec![];
                while begun.elapsed() < time {
                    let start = Instant::now();
                    one(client).await;
                    latencies.push(start.elapsed());
                }
                latencies
            })
        })
        .collect();
    let mut latencies = vec![];
    for task in tasks {
        latencies.extend(task.await.unwrap());
    }
    Measured { latencies, elapsed: begun.elapsed() }
}

/// p50 and p99 as text.
pub fn percentiles(times: &[Duration]) -> String {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let at = |percent: usize| sorted.get((sorted.len().max(1) - 1) * percent / 100).map_or(f64::NAN, milliseconds);
    format!("p50 {:.1} ms, p99 {:.1} ms", at(50), at(99))
}

fn milliseconds(time: &Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// The middle one, so that a round that something disturbed does not count.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Over the last minute; nothing where the system does not tell.
pub fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

/// Seconds that all threads of this process have worked so far.
pub fn processor_seconds() -> f64 {
    const TICKS_A_SECOND: f64 = 100.0; // of /proc; the same on every Linux
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap(); // the name before it may hold blanks
    fields.split(' ').skip(11).take(2).map(|field| field.parse::<f64>().unwrap()).sum::<f64>() / TICKS_A_SECOND
}
