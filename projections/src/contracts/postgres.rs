//! What only PostgreSQL can keep: walls between tenants and roles, one leader among several processes.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use sea_query::Query;
use sqlx::{AssertSqlSafe, Row as _, raw_sql};
use starscreen_domain::{Delivery, Event, Recorded, TenantId};
use tokio::sync::watch;
use uuid::Uuid;

use super::{
    Store,
    fixtures::*,
    log::{Log, TestOpener},
};
use crate::{
    Feed, FeedError, Models, Projector, ReadModels, RebuildOptions, Role,
    candidate_status::CandidateStatus,
    db::{Db, Scope, Tx},
    jobs::ListJobs,
    monthly_usage::{MonthlyUsage, MonthlyUsageRow},
    runtime::{
        batch, checkpoint,
        leader::{Election, Leading},
        runner::Runner,
        waiting::Checkpoints,
        {Side, Source},
    },
};

const USAGE: &str = "monthly_usage";
const CANDIDATES: &str = "candidate_status";
/// How long others may have to wait for a new leader; a busy machine gets half of it again.
const TAKE_OVER_WITHIN: Duration = Duration::from_secs(3);

fn two_tenants() -> Arc<Log> {
    let log = Log::new();
    for (tenant, number) in [(TENANT, 1), (OTHER_TENANT, 2)] {
        log.add(tenant, job(number).0, job_created("Engineer"));
        log.add(tenant, candidate(number).0, uploaded());
        log.add(tenant, candidate(number).0, scored(Some(500)));
        log.add(tenant, usage(number).0, period_opened(0, Some(10)));
        log.add(tenant, tenant.0, registered(sealed("ada@example.org")));
        log.add(tenant, tenant.0, subscription_started(plan("free", Some(10))));
    }
    log
}

async fn rebuild_all(models: &ReadModels, log: &Arc<Log>) {
    let from = source(log);
    models.rebuild_all(from.feed, from.opener, RebuildOptions::default(), |_| {}).await.unwrap();
}

/// The tenants whose rows a read of everything in a table shows.
async fn tenants_shown(db: &Db, scope: Scope, table: &'static str) -> Vec<Uuid> {
    let everything = Query::select().column("tenant_id").from(table).to_owned();
    let rows: Vec<(Uuid,)> = db.all(scope, &everything).await.unwrap();
    rows.into_iter().map(|(tenant,)| tenant).collect()
}

pub async fn the_gateway_sees_one_tenants_rows_whatever_it_asks_for(store: Store) {
    let (log, operator) = (two_tenants(), store.open_as(Role::Operator).await);
    let gateway = store.open_as(Role::Gateway).await;
    for round in 0..3 {
        rebuild_all(&operator, &log).await; // the policies go with the tables
        for name in Models::NAMES {
            for tenant in [TENANT, OTHER_TENANT] {
                let shown = tenants_shown(&gateway.db, Scope::Tenant(tenant), name).await;
                assert_eq!(shown, [tenant.0], "{name} after rebuild {round}");
            }
            let shown = tenants_shown(&gateway.db, Scope::Tenant(TenantId(Uuid::nil())), name).await;
            assert!(shown.is_empty(), "{name} to a tenant without rows");
            assert!(tenants_shown(&gateway.db, Scope::All, name).await.is_empty(), "{name} without a tenant");
            assert_eq!(tenants_shown(&operator.db, Scope::All, name).await.len(), 2, "{name} to an operator");
        }
        assert_eq!(gateway.jobs().list(TENANT, ListJobs::default()).await.unwrap().total, 1);
    }
}

async fn refused(tx: &mut Tx, text: &str) {
    let Tx::Postgres(tx) = tx else { unreachable!("contracts of PostgreSQL") };
    let mut point = sqlx::Acquire::begin(tx).await.unwrap();
    let result = raw_sql(AssertSqlSafe(text.to_owned())).execute(&mut *point).await;
    let code = result.as_ref().err().and_then(|error| error.as_database_error()?.code()).unwrap_or_default();
    assert_eq!(code, "42501", "{text}: {result:?}");
}

pub async fn each_role_may_do_what_it_has_to_and_no_more(store: Store) {
    let log = two_tenants();
    rebuild_all(&store.open_as(Role::Operator).await, &log).await;
    let mut gateway = store.open_as(Role::Gateway).await.db.begin().await.unwrap();
    for table in Models::NAMES.iter().copied().flat_map(|name| [name.to_owned(), format!("{name}__next")]) {
        for text in ["UPDATE @ SET position = 1", "DELETE FROM @", "TRUNCATE @", "DROP TABLE @"] {
            refused(&mut gateway, &text.replace('@', &table)).await;
        }
    }
    for text in [
        "UPDATE projection SET position = 0",
        "DELETE FROM parked",
        "SELECT reason FROM parked",
        "SELECT row_key FROM parked",
        "DELETE FROM schema_migrations",
        "CREATE TABLE read.mine (id INT)",
    ] {
        refused(&mut gateway, text).await;
    }
    let mut projector = store.open().await.db.begin().await.unwrap();
    for text in [
        "DROP TABLE jobs",
        "ALTER TABLE jobs DISABLE ROW LEVEL SECURITY",
        "DROP POLICY one_tenant ON jobs",
        "DELETE FROM schema_migrations",
        "CREATE TABLE read.mine (id INT)",
    ] {
        refused(&mut projector, text).await;
    }
    for (role, name) in [
        (Role::Gateway, "starscreen_gateway"),
        (Role::Projector, "starscreen_projector"),
        (Role::Operator, "starscreen_operator"),
    ] {
        let Tx::Postgres(mut tx) = store.open_as(role).await.db.begin().await.unwrap() else { unreachable!() };
        let row = sqlx::query("SELECT current_user::text AS me").fetch_one(&mut *tx).await.unwrap();
        assert_eq!(row.get::<String, _>("me"), name);
    }
}

pub async fn the_gateway_counts_and_waits_but_does_not_see_what_is_parked(store: Store) {
    let log = two_tenants();
    log.spoil(2);
    let (models, gateway) = (store.open().await, store.open_as(Role::Gateway).await);
    let _running = start(&models, &log, None);
    assert!(gateway.wait_for(Models::NAMES, 12, Duration::from_secs(20)).await);
    assert_eq!(gateway.status().await.unwrap()[0].parked, 2);
    assert!(gateway.parked(CANDIDATES, 0, 10).await.is_err());
}

/// A write in a transaction that a read has left open would be refused: reads begin read-only.
pub async fn a_read_that_is_cut_off_leaves_no_transaction_behind(store: Store) {
    let options = crate::PostgresOptions { url: store.url(), role: Role::Projector, max_connections: 1 };
    let models = ReadModels::open_postgres(options).await.unwrap();
    for round in 0..300 {
        let reading = tokio::spawn({
            let models = models.clone();
            async move { models.jobs().list(TENANT, ListJobs::default()).await }
        });
        tokio::time::sleep(Duration::from_micros(round * 7)).await;
        reading.abort();
        let _ = reading.await;
        models.resume(USAGE).await.unwrap();
    }
}

/// Slots reserved one by one, so that an event folded twice, or not at all, shows in the count.
fn counted(events: u64) -> Arc<Log> {
    let log = Log::new();
    log.add(TENANT, usage(1).0, period_opened(0, None));
    for _ in 1..events {
        log.add(TENANT, usage(1).0, slots_reserved(1));
    }
    log
}

/// Counts reads, and stops the thread that reads when it is told to.
struct Watched {
    log: Arc<Log>,
    reads: AtomicUsize,
    /// From the next read on, until something is sent here.
    freeze: Mutex<Option<mpsc::Receiver<()>>>,
}

fn stop_here(freeze: &Mutex<Option<mpsc::Receiver<()>>>) {
    let thaw = freeze.lock().unwrap().take();
    if let Some(thaw) = thaw {
        let _ = thaw.recv();
    }
}

impl Watched {
    fn new(log: &Arc<Log>) -> Arc<Self> {
        Arc::new(Self { log: Arc::clone(log), reads: AtomicUsize::new(0), freeze: Mutex::new(None) })
    }
}

#[async_trait]
impl Feed for Watched {
    async fn read(&self, after: u64, limit: usize) -> Result<Vec<Delivery>, FeedError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let deliveries = self.log.read(after, limit).await;
        if deliveries.as_ref().is_ok_and(|deliveries| !deliveries.is_empty()) {
            stop_here(&self.freeze);
        }
        deliveries
    }

    async fn wait(&self, after: u64) {
        self.log.wait(after).await;
    }

    async fn head(&self) -> Result<u64, FeedError> {
        self.log.head().await
    }
}

fn run_on(models: &ReadModels, feed: Arc<dyn Feed>) -> (watch::Sender<bool>, crate::Running) {
    let (stop, shutdown) = watch::channel(false);
    let running = models.start(feed, Arc::new(TestOpener), Some(USAGE), &shutdown).unwrap();
    (stop, running)
}

pub async fn one_of_two_leads_and_the_other_does_not_even_read(store: Store) {
    let log = counted(5);
    let (one, two) = (Watched::new(&log), Watched::new(&log));
    let (first, second) = (store.open().await, store.open().await);
    let leader = run_on(&first, Arc::<Watched>::clone(&one));
    until_seen(&first, USAGE, 5).await;
    let _standby = run_on(&second, Arc::<Watched>::clone(&two));
    for _ in 0..20 {
        let position = log.add(TENANT, usage(1).0, slots_reserved(1));
        until_seen(&second, USAGE, position).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(two.reads.load(Ordering::SeqCst), 0, "who stands by does not even read");
    drop(leader);
    let (position, begun) = (log.add(TENANT, usage(1).0, slots_reserved(1)), Instant::now());
    until_seen(&second, USAGE, position).await;
    assert!(begun.elapsed() < TAKE_OVER_WITHIN, "taken over after {:?}", begun.elapsed());
    assert_eq!(rows::<MonthlyUsage>(&second.db).await, expected::<MonthlyUsage>(&log));
}

/// A process of its own, as far as anybody can see from outside: one thread, which stops as a whole.
fn process(
    store: &Store,
    runs: impl AsyncFnOnce(ReadModels, watch::Receiver<bool>) + Send + 'static,
) -> (watch::Sender<bool>, thread::JoinHandle<()>) {
    let (stop, shutdown) = watch::channel(false);
    let url = store.url();
    let thread = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let options = crate::PostgresOptions { url, role: Role::Projector, max_connections: 4 };
            runs(ReadModels::open_postgres(options).await.unwrap(), shutdown).await;
        });
    });
    (stop, thread)
}

async fn joined(thread: thread::JoinHandle<()>) {
    tokio::task::spawn_blocking(|| thread.join()).await.unwrap().unwrap();
}

pub async fn a_leader_that_is_stopped_is_replaced_and_writes_nothing_when_it_wakes_up(store: Store) {
    let log = counted(5);
    let watched = Watched::new(&log);
    let (stop, thread) = process(&store, {
        let feed: Arc<dyn Feed> = Arc::<Watched>::clone(&watched);
        async move |models, shutdown| {
            let running = models.start(feed, Arc::new(TestOpener), Some(USAGE), &shutdown).unwrap();
            running.stopped().await.unwrap();
        }
    });
    let models = store.open().await;
    until_seen(&models, USAGE, 5).await;
    let other = Watched::new(&log);
    let _standby = run_on(&models, Arc::<Watched>::clone(&other));

    let (thaw, frozen) = mpsc::channel();
    *watched.freeze.lock().unwrap() = Some(frozen);
    let (position, begun) = (log.add(TENANT, usage(1).0, slots_reserved(1)), Instant::now());
    until_seen(&models, USAGE, position).await;
    assert!(other.reads.load(Ordering::SeqCst) > 0 && watched.freeze.lock().unwrap().is_none(), "it was stopped");
    assert!(begun.elapsed() < TAKE_OVER_WITHIN, "taken over after {:?}", begun.elapsed());

    thaw.send(()).unwrap(); // with a batch in its hands that was folded meanwhile
    for _ in 0..20 {
        let position = log.add(TENANT, usage(1).0, slots_reserved(1));
        until_seen(&models, USAGE, position).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(rows::<MonthlyUsage>(&models.db).await, expected::<MonthlyUsage>(&log));
    stop.send(true).unwrap();
    joined(thread).await;
}

/// The monthly usage of a program of next year, which stops its thread in the middle of a fold when it is told to.
struct Newer;

static FREEZE: Mutex<Option<mpsc::Receiver<()>>> = Mutex::new(None);

impl Projector for Newer {
    type Row = MonthlyUsageRow;
    const NAME: &'static str = MonthlyUsage::NAME;
    const VERSION: u32 = MonthlyUsage::VERSION + 1;
    const READS: &'static [&'static str] = MonthlyUsage::READS;

    fn key(event: &Recorded<Event>) -> Option<Uuid> {
        MonthlyUsage::key(event)
    }

    fn fold(row: Option<MonthlyUsageRow>, event: &Recorded<Event>) -> Option<MonthlyUsageRow> {
        stop_here(&FREEZE);
        MonthlyUsage::fold(row, event)
    }
}

/// Runs the newer program's projector, with an election of its own.
async fn run_newer(models: ReadModels, source: Source, shutdown: watch::Receiver<bool>) {
    let mut election = Election::new(&models.db).unwrap();
    let leading = election.stand(USAGE);
    let runner = Runner { db: models.db.clone(), source, checkpoints: Arc::new(Checkpoints::new()), leading };
    tokio::join!(election.run(shutdown.clone()), runner.run::<Newer>(shutdown));
}

pub async fn a_leader_stopped_in_the_middle_of_a_transaction_holds_nobody_up(store: Store) {
    let log = counted(5);
    let newer = |log: &Arc<Log>| {
        let source = source(log);
        async move |models, shutdown| run_newer(models, source, shutdown).await
    };
    let models = store.open().await;
    let (stop, thread) = process(&store, newer(&log));
    until_seen(&models, USAGE, 5).await;
    let (stop_other, other) = process(&store, newer(&log));
    let (thaw, frozen) = mpsc::channel();
    *FREEZE.lock().unwrap() = Some(frozen);
    let (position, begun) = (log.add(TENANT, usage(1).0, slots_reserved(1)), Instant::now());
    until_seen(&models, USAGE, position).await;
    assert!(FREEZE.lock().unwrap().is_none(), "it was stopped, with the row of the checkpoint locked");
    assert!(begun.elapsed() < TAKE_OVER_WITHIN, "taken over after {:?}", begun.elapsed());
    thaw.send(()).unwrap();
    let position = log.add(TENANT, usage(1).0, slots_reserved(1));
    until_seen(&models, USAGE, position).await;
    assert_eq!(rows::<MonthlyUsage>(&models.db).await, expected::<MonthlyUsage>(&log));

    // An older program that finds the table of a newer one leaves it, and the lead with it.
    for (stop, thread) in [(stop, thread), (stop_other, other)] {
        stop.send(true).unwrap();
        joined(thread).await;
    }
    let _older = start(&models, &log, Some(USAGE));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (stop, thread) = process(&store, newer(&log));
    let position = log.add(TENANT, usage(1).0, slots_reserved(1));
    until_seen(&models, USAGE, position).await;
    assert_eq!(rows::<MonthlyUsage>(&models.db).await, expected::<MonthlyUsage>(&log));
    stop.send(true).unwrap();
    joined(thread).await;
}

pub async fn two_who_both_believe_that_they_lead_fold_each_event_once(store: Store) {
    let log = counted(600);
    log.slow_down(5);
    let (_keep, shutdown) = watch::channel(false);
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let (db, checkpoints) = (store.open().await.db, Arc::new(Checkpoints::new()));
        let runner = Runner { db, source: source(&log), checkpoints, leading: Leading::alone() };
        running.spawn(runner.run::<MonthlyUsage>(shutdown.clone()));
    }
    let models = store.open().await;
    until_seen(&models, USAGE, 600).await;
    assert_eq!(rows::<MonthlyUsage>(&models.db).await, expected::<MonthlyUsage>(&log));
}

pub async fn rows_and_checkpoint_are_written_together_or_not_at_all(store: Store) {
    let (log, models) = (counted(5), store.open().await);
    let mut known = checkpoint::load::<MonthlyUsage>(&models.db).await.unwrap();
    let batch = batch::gather::<MonthlyUsage>(&source(&log), 0, 100).await.unwrap();
    store.sql("ALTER TABLE monthly_usage ADD CONSTRAINT full_disk CHECK (reserved < 0)").await;
    assert!(batch::store::<MonthlyUsage>(&models.db, Side::Live, &mut known, &batch).await.is_err());
    let now = checkpoint::find(&models.db, USAGE).await.unwrap().unwrap();
    assert_eq!((now.position, known.position), (0, 0));
    assert!(rows::<MonthlyUsage>(&models.db).await.is_empty());
    store.sql("ALTER TABLE monthly_usage DROP CONSTRAINT full_disk").await;
    assert!(batch::store::<MonthlyUsage>(&models.db, Side::Live, &mut known, &batch).await.unwrap());
    assert_eq!(rows::<MonthlyUsage>(&models.db).await, expected::<MonthlyUsage>(&log));
}

pub async fn two_rebuilds_that_begin_at_the_same_moment_are_one(store: Store) {
    let log = two_tenants();
    log.slow_down(1);
    let mut processes = vec![];
    for _ in 0..4 {
        processes.push(store.open_as(Role::Operator).await);
    }
    for _ in 0..10 {
        let begun: Vec<_> = processes
            .iter()
            .map(|models| {
                let (models, from) = (models.clone(), source(&log));
                tokio::spawn(async move {
                    models.rebuild(CANDIDATES, from.feed, from.opener, RebuildOptions::default(), |_| {}).await
                })
            })
            .collect();
        let mut finished = 0;
        for rebuild in begun {
            match rebuild.await.unwrap() {
                Ok(_) => finished += 1,
                Err(error) => assert!(matches!(error, crate::ReadModelError::RebuildRunning(_)), "{error:?}"),
            }
        }
        assert!(finished > 0);
        let models = store.open().await;
        assert_eq!(rows::<CandidateStatus>(&models.db).await, expected::<CandidateStatus>(&log));
    }
}

pub async fn a_long_read_holds_up_the_switch_but_no_other_reader(store: Store) {
    let (log, operator) = (two_tenants(), store.open_as(Role::Operator).await);
    rebuild_all(&operator, &log).await;
    let gateway = store.open_as(Role::Gateway).await;
    let mut reader = store.connect().await;
    raw_sql("BEGIN; SELECT FROM jobs").execute(&mut reader).await.unwrap();
    let rebuilding = tokio::spawn({
        let (operator, from) = (operator.clone(), source(&log));
        async move { operator.rebuild("jobs", from.feed, from.opener, RebuildOptions::default(), |_| {}).await }
    });
    let begun = Instant::now();
    let mut answered = 0;
    while begun.elapsed() < Duration::from_secs(5) {
        answered += usize::from(gateway.jobs().exists(TENANT, job(1)).await.is_ok_and(|exists| exists));
    }
    assert!(answered > 10, "{answered} reads were answered beside a switch that waits");
    assert!(!rebuilding.is_finished(), "it waits for the long read");
    raw_sql("COMMIT").execute(&mut reader).await.unwrap();
    rebuilding.await.unwrap().unwrap();
    assert!(gateway.jobs().exists(TENANT, job(1)).await.unwrap());
}
