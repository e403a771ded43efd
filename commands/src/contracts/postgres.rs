//! What only a store that several processes share can keep: roles, tenants apart, and the order of history.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};
use starscreen_domain::{
    JobId, TenantId,
    work::{Lane, Task},
};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use super::{
    Store,
    append::{a_tenant, event, work},
    stage::{self, assert_gapless, at_once, history, until},
};
use crate::{
    append::{Append, AppendError},
    db::{PostgresOptions, Role, Scope},
    job,
    schema::{self, MIGRATIONS, SchemaError},
    sequencer::{self, Sequencer},
    write_side::WriteSide,
};

pub(super) async fn acting(store: &Store, role: Role) -> WriteSide {
    let options = PostgresOptions { url: store.url(), role, max_connections: 6 };
    WriteSide::open_postgres(&options, "contract@3").await.unwrap()
}

async fn superuser(store: &Store) -> PgConnection {
    PgConnection::connect(&store.url()).await.unwrap()
}

fn of(tenant: TenantId) -> Append {
    Append {
        events: vec![event(tenant, Uuid::now_v7(), 1)],
        work: vec![work(tenant, Task::ExtractText, false)],
        ..Append::default()
    }
}

pub async fn the_gateway_sees_the_tenants_that_it_names_and_no_others(store: Store) {
    let (ours, theirs) = (stage::tenant(&store, None).await, stage::tenant(&store, None).await);
    let job = stage::job(&store, &theirs).await;
    stage::upload(&store.bus, &theirs, job).await.unwrap();
    stage::head(&store.log).await;
    let gateway = acting(&store, Role::Gateway).await;

    for table in
        ["events", "history", "subject_keys", "credentials", "candidate_index", "receipts", "work", "dead_work"]
    {
        let sql = format!("SELECT DISTINCT tenant_id FROM {table} WHERE tenant_id IS NOT NULL");
        let mut tx = gateway.db.begin(Scope::of(ours.id)).await.unwrap();
        let seen: Result<Vec<(Uuid,)>, sqlx::Error> = tx.fetch(&sql, vec![]).await;
        match table {
            "work" => assert!(seen.is_err(), "what workers do is none of its business"),
            "events" | "history" | "subject_keys" | "credentials" => {
                assert_eq!(seen.unwrap(), [(ours.id.0,)], "{table}");
            }
            _ => assert_eq!(seen.unwrap(), [], "{table}"),
        }
    }
    let nobody: Vec<(Uuid,)> =
        gateway.db.fetch(Scope::All, "SELECT tenant_id FROM events WHERE tenant_id IS NOT NULL", vec![]).await.unwrap();
    assert_eq!(nobody, [], "who names nobody sees nobody");
    let foreign = gateway.registry.key(ours.id, theirs.user.0).await.unwrap();
    assert!(foreign.is_none());
    gateway.close().await;
}

/// A group of commands of many tenants names them all, and nothing is written for anybody else.
pub async fn a_grouped_append_writes_for_the_tenants_that_it_names(store: Store) {
    let gateway = acting(&store, Role::Gateway).await;
    let outcomes = at_once(60, |_| {
        let writer = gateway.writer.clone();
        async move { writer.append(of(a_tenant())).await }
    })
    .await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_gapless(&store.log).await;

    let mut tx = gateway.db.begin(Scope::of(a_tenant())).await.unwrap();
    let columns = ["tenant_id", "aggregate_type", "aggregate_id", "sequence", "event_type", "event_version"];
    let row = vec![a_tenant().0.into(), "job".into(), "x".into(), 1_i64.into(), "X".into(), "1".into()];
    let columns: Vec<&str> = columns.into_iter().chain(["payload", "metadata"]).collect();
    let row = row.into_iter().chain(["{}".into(), "{}".into()]).collect();
    let refused = tx.insert("events", &columns, vec![row]).await.unwrap_err();
    assert!(refused.to_string().contains("row-level security"), "{refused}");
    drop(tx);
    gateway.close().await;
}

pub async fn nobody_changes_or_deletes_events_or_positions(store: Store) {
    store.writer.append(of(a_tenant())).await.unwrap();
    stage::head(&store.log).await;
    let mut connection = superuser(&store).await;
    connection.execute("SET search_path = write").await.unwrap();
    let roles = ["postgres", "starscreen_owner", "starscreen_gateway", "starscreen_worker", "starscreen_projector"];
    for role in roles.into_iter().chain(["starscreen_sequencer", "starscreen_operator"]) {
        for sql in [
            "UPDATE events SET payload = '{}'",
            "DELETE FROM events",
            "TRUNCATE events CASCADE",
            "UPDATE positions SET position = position + 1",
            "DELETE FROM positions",
            "TRUNCATE positions",
        ] {
            let mut tx = connection.begin().await.unwrap();
            if role != "postgres" {
                tx.execute(AssertSqlSafe(format!("SET LOCAL ROLE {role}"))).await.unwrap();
                tx.execute("SET LOCAL starscreen.tenant = ''").await.unwrap();
            }
            let refused = tx.execute(sql).await;
            let harmless = refused.as_ref().is_ok_and(|done| done.rows_affected() == 0);
            assert!(refused.is_err() && !harmless, "{role}: {sql} was let through");
        }
    }
    assert_eq!(history(&store.log).await.len(), 1);
}

pub(super) async fn age_receipt(store: &Store, key: &str, created_at_ms: i64) {
    let sql = "UPDATE write.receipts SET created_at_ms = $1 WHERE key = $2";
    let update = sqlx::query(sql).bind(created_at_ms).bind(key).execute(&mut superuser(store).await).await;
    assert_eq!(update.unwrap().rows_affected(), 1);
}

/// Only workers remove receipts, and a defect of theirs removes none of the last day.
pub async fn nobody_removes_a_young_receipt_or_changes_one(store: Store) {
    let tenant = stage::tenant(&store, None).await;
    let id = || JobId(Uuid::now_v7());
    for key in ["young", "old"] {
        job::create(&store.bus, tenant.with_key(key, "hash"), id(), stage::create_job("Engineer")).await.unwrap();
    }
    let two_days_ago = chrono::Utc::now() - chrono::TimeDelta::days(2);
    age_receipt(&store, "old", two_days_ago.timestamp_millis()).await;
    for role in [Role::Gateway, Role::Operator, Role::Worker] {
        let side = acting(&store, role).await;
        for sql in ["DELETE FROM receipts WHERE true", "UPDATE receipts SET answer = 'null'"] {
            let mut tx = side.db.begin(Scope::of(tenant.id)).await.unwrap();
            let done = tx.execute(sql, vec![]).await;
            drop(tx); // which takes it back
            match done {
                Ok(removed) => assert!(
                    role == Role::Worker && sql.starts_with("DELETE") && removed == 1,
                    "{role:?}: {sql} touched {removed} rows"
                ),
                Err(error) => {
                    assert!(error.to_string().contains("permission denied"), "{role:?}: {error}");
                    assert!(role != Role::Worker || sql.starts_with("UPDATE"), "{role:?}: {error}");
                }
            }
        }
        side.close().await;
    }
}

/// What commits late stands behind what committed before it, and nothing is passed over.
pub async fn an_older_transaction_holds_history_up_and_is_not_skipped(store: Store) {
    let (early, late) = (a_tenant(), a_tenant());
    let mut slow = store.db.begin(Scope::All).await.unwrap();
    insert_by_hand(&mut slow, late).await; // has its transaction id, and is not committed

    for _ in 0..5 {
        store.writer.append(of(early)).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(150)).await; // long enough for a sequencer that does not care
    assert_eq!(store.log.head().await.unwrap(), 0, "it waits for the older one");
    assert_eq!(store.log.unplaced().await.unwrap(), 5);
    slow.commit().await.unwrap();

    let events = history(&store.log).await;
    assert_eq!(events.len(), 6);
    assert_eq!(events.iter().filter(|event| event.tenant_id == Some(late)).count(), 1, "it is not passed over");
    assert_gapless(&store.log).await;
}

/// Of a superuser's session the sequencer sees little; what it may not see it tells in words. Such a transaction holds
/// up every database of the server, so it is open only while it is looked at.
pub async fn who_holds_history_up_is_told_also_where_it_is_hidden(store: Store) {
    let mut slow = superuser(&store).await;
    slow.execute("SET application_name = 'nightly report'").await.unwrap();
    let pid: i32 = slow.fetch_one("SELECT pg_backend_pid()").await.unwrap().get(0);
    let mut looking = superuser(&store).await;
    looking.execute("SET ROLE starscreen_sequencer").await.unwrap();
    let mut told = async |slow: &mut PgConnection| {
        slow.execute("BEGIN").await.unwrap();
        slow.execute("SELECT pg_current_xact_id()").await.unwrap();
        let told = until("the older ones of other databases end", async || {
            let told = sequencer::blocker(&mut looking).await.unwrap();
            told.starts_with(&format!("nightly report (pid {pid}, user ")).then_some(told)
        });
        let told = told.await;
        slow.execute("ROLLBACK").await.unwrap();
        told
    };

    let hidden = told(&mut slow).await;
    assert!(hidden.contains("GRANT pg_read_all_stats TO starscreen_sequencer"), "{hidden}");
    slow.execute("GRANT pg_read_all_stats TO starscreen_sequencer").await.unwrap();
    let shown = told(&mut slow).await;
    slow.execute("REVOKE pg_read_all_stats FROM starscreen_sequencer").await.unwrap();
    assert!(shown.contains(", idle in transaction, its transaction is open for "), "{shown}");
}

async fn insert_by_hand(tx: &mut crate::db::Tx, tenant: TenantId) {
    let new = event(tenant, Uuid::now_v7(), 1);
    let columns = ["tenant_id", "aggregate_type", "aggregate_id", "sequence", "event_type", "event_version", "payload"];
    let columns: Vec<&str> = columns.into_iter().chain(["metadata", "event_id"]).collect();
    let row = vec![
        tenant.0.into(),
        new.aggregate_type.into(),
        new.aggregate_id.to_string().into(),
        1_i64.into(),
        new.event_type.into(),
        new.event_version.into(),
        new.payload.into(),
        new.metadata.into(),
        new.event_id.0.into(),
    ];
    tx.insert("events", &columns, vec![row]).await.unwrap();
}

pub async fn many_processes_write_one_history_without_a_gap(store: Store) {
    let (a, b) = (acting(&store, Role::Gateway).await, acting(&store, Role::Worker).await);
    let tenants = [a_tenant(), a_tenant(), a_tenant()];
    let outcomes = at_once(240, |index| {
        let writer = [&store.writer, &a.writer, &b.writer][index % 3].clone();
        async move { writer.append(of(tenants[index / 3 % 3])).await }
    })
    .await;
    assert!(outcomes.iter().all(Result::is_ok));
    assert_gapless(&store.log).await;
    assert_eq!(history(&store.log).await.len(), 240);
    a.close().await;
    b.close().await;
}

/// A standby leads within two seconds of the end of the leader's session, and goes on where that has left off.
pub async fn a_standby_takes_over_from_a_leader_that_is_gone(store: Store) {
    let standby = Standby::start(&store);
    store.writer.append(of(a_tenant())).await.unwrap();
    stage::head(&store.log).await;
    let mut connection = superuser(&store).await;
    let kill = "SELECT pg_terminate_backend(backend_pid) FROM write.leaders";
    connection.execute(kill).await.unwrap();
    let killed = Instant::now();

    let place = store.writer.append(of(a_tenant())).await.unwrap();
    assert_eq!(stage::position(&store.log, place).await, 2);
    assert!(killed.elapsed() < Duration::from_secs(2), "it took {:?}", killed.elapsed());
    drop(standby);
}

/// Its process hangs, so its session lives and keeps the lock.
pub async fn a_leader_that_says_nothing_is_ended(store: Store) {
    store.stop_sequencer().await;
    let mut hanging = superuser(&store).await;
    hanging.execute("SELECT pg_advisory_lock(x'535441520002'::bigint)").await.unwrap();
    hanging
        .execute(
            "INSERT INTO write.leaders VALUES ('sequencer', 'hanging', pg_backend_pid(), clock_timestamp())
            ON CONFLICT (name) DO UPDATE SET backend_pid = pg_backend_pid(), heartbeat_at = clock_timestamp()",
        )
        .await
        .unwrap();
    let silent_since = Instant::now();
    let _standby = Standby::start(&store);

    let place = store.writer.append(of(a_tenant())).await.unwrap();
    assert_eq!(stage::position(&store.log, place).await, 1);
    assert!(silent_since.elapsed() < Duration::from_secs(2), "it took {:?}", silent_since.elapsed());
    assert!(hanging.execute("SELECT 1").await.is_err(), "its session was ended");
}

/// As with a leader whose session was lost without its knowing: two write positions, and one of them is refused.
pub async fn a_leader_whose_place_was_taken_gives_no_positions(store: Store) {
    for _ in 0..3 {
        store.writer.append(of(a_tenant())).await.unwrap();
    }
    stage::head(&store.log).await;
    let mut connection = superuser(&store).await;
    let back = "UPDATE write.sequencer SET epoch = 0, txid = '0', id = 0, position = 0";
    connection.execute(back).await.unwrap(); // what a leader of long ago believes
    let again = Standby::start(&store);
    store.writer.append(of(a_tenant())).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let row = connection.fetch_one("SELECT count(*), max(position), count(DISTINCT id) FROM write.positions").await;
    let row = row.unwrap();
    let (count, max, distinct): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
    assert!(count == max && count == distinct && count <= 4, "{count} {max} {distinct}");
    drop(again);
}

pub async fn work_of_another_process_wakes_a_lane(store: Store) {
    let worker = acting(&store, Role::Worker).await;
    let mut quickest = Duration::MAX;
    for _ in 0..10 {
        let woken = tokio::time::timeout(Duration::from_secs(2), worker.queue.woken(Lane::Extract));
        let begun = Instant::now();
        let (appended, _woken) = tokio::join!(store.writer.append(of(a_tenant())), woken); // the first may go unheard
        appended.unwrap();
        quickest = quickest.min(begun.elapsed());
    }
    assert!(quickest < Duration::from_millis(200), "the quickest wake-up took {quickest:?}");
    worker.close().await;
}

pub async fn migrations_go_up_and_back_and_never_lose_events(store: Store) {
    assert_eq!(schema::up(&store.url()).await.unwrap(), [""; 0], "all are in");
    assert_eq!(schema::history(&store.url()).await.unwrap().len(), MIGRATIONS.len());
    store.writer.append(of(a_tenant())).await.unwrap();
    let refused = schema::down(&store.url(), MIGRATIONS.len()).await;
    assert!(matches!(refused, Err(SchemaError::WouldLoseEvents { events: 1, .. })), "{refused:?}");
    assert_eq!(schema::history(&store.url()).await.unwrap().len(), MIGRATIONS.len(), "nothing is taken out");
    assert_eq!(stage::head(&store.log).await, 1);

    let mut connection = superuser(&store).await;
    connection.execute("INSERT INTO write.schema_migrations VALUES (99, '0099_later', now())").await.unwrap();
    let options = PostgresOptions { url: store.url(), role: Role::Worker, max_connections: 1 };
    let refused = WriteSide::open_postgres(&options, "contract@4").await.map(drop).unwrap_err();
    assert!(refused.to_string().contains("newer version"), "{refused}");
    connection.execute("DELETE FROM write.schema_migrations").await.unwrap();
    let refused = WriteSide::open_postgres(&options, "contract@4").await.map(drop).unwrap_err();
    assert!(refused.to_string().contains("starscreen migrate up"), "{refused}");
}

/// Two at once, as when all services start together.
pub async fn two_migrate_at_the_same_time(store: Store) {
    let url = store.url();
    let (a, b) = tokio::join!(schema::up(&url), schema::up(&url));
    assert!(a.unwrap().is_empty() && b.unwrap().is_empty());
}

/// Commands on the same streams in opposite orders: the database may have to end one, and nobody is hurt.
pub async fn opposite_orders_of_streams_end_well(store: Store) {
    let beside = store.beside().await;
    let tenant = a_tenant();
    for round in 0..20 {
        let [x, y] = [Uuid::now_v7(), Uuid::now_v7()];
        let of = |first, second| Append {
            events: vec![event(tenant, first, 1), event(tenant, second, 1)],
            ..Append::default()
        };
        let (a, b) = tokio::join!(store.writer.append(of(x, y)), beside.writer.append(of(y, x)));
        let won = [&a, &b].into_iter().filter(|outcome| outcome.is_ok()).count();
        assert!(won <= 1, "round {round}: both");
        for outcome in [a, b] {
            assert!(
                matches!(outcome, Ok(_) | Err(AppendError::Conflict | AppendError::Unavailable(_))),
                "round {round}: {outcome:?}"
            );
        }
    }
    assert_gapless(&store.log).await;
    beside.close().await;
}

/// Another sequencer, stopped with it.
struct Standby(CancellationToken);

impl Standby {
    fn start(store: &Store) -> Self {
        let options = PostgresOptions { url: store.url(), role: Role::Sequencer, max_connections: 1 };
        let signals = store.signals.clone().unwrap();
        let stop = CancellationToken::new();
        Sequencer::start(options, signals, "standby".to_owned(), stop.clone(), &TaskTracker::new());
        Self(stop)
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl Store {
    /// Returns when its session is over.
    async fn stop_sequencer(&self) {
        self.sequencer.cancel();
        let mut connection = superuser(self).await;
        until("the end of the sequencer", async || {
            let sql = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
            let row = connection.fetch_one(sql).await.unwrap();
            (row.get::<i64, _>(0) == 0).then_some(())
        })
        .await;
    }
}
