//! How fast the embedded store takes commands and gives away work, on this machine and disk.
//!
//! `cargo bench -p starscreen-commands --features contracts --bench append`
//!
//! Absolute figures say little on a shared machine, so each run has its own reference: the same rows, one transaction a
//! command, without the group writer.

#![expect(clippy::unwrap_used, clippy::cast_precision_loss, reason = "a bench that fails has nothing to report")]

use std::time::{Duration, Instant};

use starscreen_commands::{
    append::{Append, NewReceipt},
    contracts::{
        Store,
        append::{event, work},
        stage,
    },
    db::Scope,
};
use starscreen_domain::{
    TenantId,
    work::{Lane, Task},
};
use uuid::Uuid;

const FOR: Duration = Duration::from_secs(3);
const BACKLOG: usize = 10_000;

#[tokio::main]
async fn main() {
    println!("{:<56}{:>12}{:>10}{:>10}{:>10}{:>8}", "", "per second", "p50 ms", "p99 ms", "cpu µs", "ratio");
    let reference = one_transaction_a_command().await;
    reference.print("2 events, one transaction a command (reference)", &reference);
    for clients in [1, 16, 64] {
        let measured = appends(clients, plain).await;
        measured.print(&format!("2 events, {clients} clients"), &reference);
    }
    for clients in [1, 16, 64] {
        let measured = appends(clients, upload).await;
        measured.print(&format!("2 events, receipt, work item: {clients} clients"), &reference);
    }
    for clients in [1, 16] {
        uploads(clients).await.print(&format!("upload use case, a tenant a client: {clients} clients"), &reference);
    }
    one_tenants_uploads(16).await.print("upload use case, one tenant: 16 clients", &reference);
    for (tenants, items) in [(1, BACKLOG), (100, BACKLOG), (1, 50_000), (2_000, 50_000)] {
        let measured = claims(tenants, items).await;
        measured.print(&format!("claims of 8 from {items} items of {tenants} tenants"), &reference);
    }
}

struct Measured {
    latencies: Vec<Duration>,
    elapsed: Duration,
    /// Of this process, so that a busy machine does not count.
    cpu: Duration,
    /// Things done in each of the measured calls.
    each: usize,
}

impl Measured {
    fn per_second(&self) -> f64 {
        (self.latencies.len() * self.each) as f64 / self.elapsed.as_secs_f64()
    }

    fn print(&self, name: &str, reference: &Self) {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let ms = |part: usize| sorted[(sorted.len() - 1) * part / 100].as_secs_f64() * 1_000.0;
        let ratio = self.per_second() / reference.per_second();
        let cpu = self.cpu.as_secs_f64() * 1e6 / (self.latencies.len() * self.each) as f64;
        println!("{name:<56}{:>12.0}{:>10.2}{:>10.2}{cpu:>10.0}{ratio:>8.2}", self.per_second(), ms(50), ms(99));
    }
}

/// Time that all threads of this process have worked so far; zero where the system does not tell.
fn cpu_time() -> Duration {
    const TICK: Duration = Duration::from_millis(10);
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u32>().ok()).unwrap_or(0);
    TICK * (ticks(11) + ticks(12))
}

fn plain(tenant: TenantId) -> Append {
    let events = vec![event(tenant, Uuid::now_v7(), 1), event(tenant, Uuid::now_v7(), 1)];
    Append { events, ..Append::default() }
}

fn upload(tenant: TenantId) -> Append {
    let receipt = NewReceipt {
        tenant_id: tenant,
        key: Uuid::now_v7().to_string(),
        request_hash: "0".repeat(64),
        answer: "{}".to_owned(),
    };
    Append { receipt: Some(receipt), work: vec![work(tenant, Task::ExtractText, false)], ..plain(tenant) }
}

/// Every client does `one` again and again until the time is over.
async fn measure<F>(clients: usize, one: impl Fn(usize) -> F + Clone + Send + 'static) -> Measured
where
    F: Future<Output = ()> + Send,
{
    let (begin, cpu) = (Instant::now(), cpu_time());
    let tasks: Vec<_> = (0..clients)
        .map(|client| {
            let one = one.clone();
            tokio::spawn(async move {
                let mut latencies = vec![];
                while begin.elapsed() < FOR {
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
    Measured { latencies, elapsed: begin.elapsed(), cpu: cpu_time().saturating_sub(cpu), each: 1 }
}

async fn one_transaction_a_command() -> Measured {
    const INSERT: &str = "INSERT INTO events (position, tenant_id, tenant_position, aggregate_type, aggregate_id, sequence,
        event_type, event_version, payload, metadata, event_id, recorded_at)
        VALUES ((SELECT COALESCE(MAX(position), 0) + 1 FROM events), $1,
        (SELECT COALESCE(MAX(tenant_position), 0) + 1 FROM events WHERE tenant_id = $1), $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    let store = Store::sqlite().await;
    let db = store.db.clone();
    measure(1, move |_| {
        let db = db.clone();
        async move {
            let mut tx = db.begin(Scope::All).await.unwrap();
            for event in plain(TenantId(Uuid::from_u128(1))).events {
                let values = vec![
                    event.tenant_id.map(|tenant| tenant.0).into(),
                    event.aggregate_type.into(),
                    event.aggregate_id.to_string().into(),
                    1_i64.into(),
                    event.event_type.into(),
                    event.event_version.into(),
                    event.payload.into(),
                    event.metadata.into(),
                    event.event_id.0.into(),
                    chrono::Utc::now().into(),
                ];
                tx.execute(INSERT, values).await.unwrap();
            }
            tx.commit().await.unwrap();
        }
    })
    .await
}

async fn appends(clients: usize, made: fn(TenantId) -> Append) -> Measured {
    let store = Store::sqlite().await;
    let writer = store.writer.clone();
    let tenants: Vec<TenantId> = (0..clients).map(|_| TenantId(Uuid::now_v7())).collect();
    measure(clients, move |client| {
        let (writer, append) = (writer.clone(), made(tenants[client]));
        async move {
            writer.append(append).await.unwrap();
        }
    })
    .await
}

async fn uploads(clients: usize) -> Measured {
    let store = Store::sqlite().await;
    let mut stages = vec![];
    for _ in 0..clients {
        let tenant = stage::tenant(&store, None).await;
        stages.push((tenant, stage::job(&store, &tenant).await));
    }
    let bus = store.bus.clone();
    measure(clients, move |client| {
        let (bus, (tenant, job)) = (bus.clone(), stages[client]);
        async move {
            stage::upload(&bus, &tenant, job).await.unwrap();
        }
    })
    .await
}

async fn one_tenants_uploads(clients: usize) -> Measured {
    let store = Store::sqlite().await;
    let tenant = stage::tenant(&store, None).await;
    let job = stage::job(&store, &tenant).await;
    let bus = store.bus.clone();
    measure(clients, move |_| {
        let bus = bus.clone();
        async move {
            stage::upload(&bus, &tenant, job).await.unwrap();
        }
    })
    .await
}

async fn claims(tenants: usize, items: usize) -> Measured {
    const EACH: usize = 8;
    let store = Store::sqlite().await;
    let tenants: Vec<TenantId> = (0..tenants).map(|_| TenantId(Uuid::now_v7())).collect();
    let mut item = 0;
    while item < items {
        let work = (item..item + 1_000).map(|n| work(tenants[n % tenants.len()], Task::ExtractText, false)).collect();
        store.writer.append(Append { work, ..Append::default() }).await.unwrap();
        item += 1_000;
    }
    let queue = store.queue.clone();
    let (begin, cpu) = (Instant::now(), cpu_time());
    let mut latencies = vec![];
    while begin.elapsed() < FOR && latencies.len() * EACH < items {
        let start = Instant::now();
        let claimed = queue.claim(Lane::Extract, EACH, Duration::from_mins(10)).await.unwrap();
        assert_eq!(claimed.len(), EACH);
        latencies.push(start.elapsed());
    }
    Measured { latencies, elapsed: begin.elapsed(), cpu: cpu_time().saturating_sub(cpu), each: EACH }
}
