//! Many resumes at once: one reservation, as many as fit, and never one more.

use starscreen_domain::{
    Event, JobId,
    candidate::Status,
    job::ReviseJob,
    usage::{UsageError, UsageEvent},
    work::Lane,
};

use uuid::Uuid;

use super::{
    Store,
    crew::{Crew, until_all_is_done, upload},
    scripted::Scripted,
    stage::{self, Tenant, an_upload, assert_gapless, at_once, history, until},
};
use crate::{
    CommandError,
    bus::{Bus, Committed, Context},
    candidate::{self, Upload, UploadedMany},
    db::Scope,
    job,
};

fn uploads(tenant: &Tenant, job: JobId, count: u32) -> Vec<(u32, Upload)> {
    (0..count).map(|entry| (entry, an_upload(tenant, job))).collect()
}

async fn upload_many(
    bus: &Bus,
    context: Context,
    job: JobId,
    uploads: &[(u32, Upload)],
) -> Result<Committed<UploadedMany>, CommandError> {
    candidate::upload_resumes(bus, context, job, uploads.to_vec()).await
}

/// How many candidates each reservation took.
async fn reservations(store: &Store) -> Vec<usize> {
    let of_slots = |event: Event| match event {
        Event::Usage(UsageEvent::SlotsReserved { candidates }) => Some(candidates.len()),
        _ => None,
    };
    history(&store.log).await.into_iter().filter_map(|event| of_slots(event.payload)).collect()
}

pub async fn an_archive_is_one_reservation(store: Store) {
    let tenant = stage::tenant(&store, Some(10)).await;
    let job = stage::job(&store, &tenant).await;
    let many = uploads(&tenant, job, 4);

    let context = Context { urgent: false, ..tenant.context() };
    let committed = upload_many(&store.bus, context, job, &many).await.unwrap();

    let expected: Vec<_> = many.iter().map(|(entry, upload)| (*entry, upload.candidate)).collect();
    assert_eq!((committed.output.accepted, committed.output.remaining), (expected, Some(6)));
    assert_eq!(reservations(&store).await, [4]);
    for (_, upload) in &many {
        assert_eq!(stage::candidate(&store, &tenant, upload.candidate).await.status, Status::Uploaded);
    }
    let urgent: Vec<(i64,)> =
        store.db.fetch(Scope::All, "SELECT urgent FROM work WHERE lane = 'extract'", vec![]).await.unwrap();
    assert_eq!(urgent, [(0,); 4], "single uploads go before these");
    assert_gapless(&store.log).await;
}

pub async fn of_an_archive_the_first_that_fit_are_taken(store: Store) {
    let tenant = stage::tenant(&store, Some(5)).await;
    let job = stage::job(&store, &tenant).await;
    stage::upload(&store.bus, &tenant, job).await.unwrap();
    let many = uploads(&tenant, job, 7);

    let taken = upload_many(&store.bus, tenant.context(), job, &many).await.unwrap().output;

    let expected: Vec<_> = many.iter().take(4).map(|(entry, upload)| (*entry, upload.candidate)).collect();
    assert_eq!((taken.accepted, taken.remaining), (expected, Some(0)));
    assert_eq!(stage::usage(&store, &tenant).await.used(), 5);
    let left_out = stage::candidate(&store, &tenant, many[4].1.candidate).await;
    assert_eq!(left_out.status, Status::Unknown);
    let keys: Vec<(i64,)> = store.db.fetch(Scope::All, "SELECT COUNT(*) FROM candidate_index", vec![]).await.unwrap();
    assert_eq!(keys, [(5,)], "nothing is kept of those that did not fit");

    let refused = upload_many(&store.bus, tenant.context(), job, &uploads(&tenant, job, 2)).await.unwrap_err();
    assert!(matches!(refused, CommandError::Usage(UsageError::LimitReached { used: 5, limit: 5 })), "{refused:?}");
}

pub async fn an_archive_without_a_good_file_takes_nothing(store: Store) {
    let tenant = stage::tenant(&store, Some(5)).await;
    let job = stage::job(&store, &tenant).await;

    let taken = upload_many(&store.bus, tenant.context(), job, &[]).await.unwrap().output;

    assert_eq!((taken.accepted.len(), taken.remaining), (0, Some(5)));
    assert_eq!(reservations(&store).await, [0; 0]);
    let unknown = JobId(uuid::Uuid::now_v7());
    let refused = upload_many(&store.bus, tenant.context(), unknown, &[]).await.unwrap_err();
    assert!(matches!(refused, CommandError::NotFound("job")), "{refused:?}");
}

pub async fn a_thousand_resumes_are_one_commit(store: Store) {
    let tenant = stage::tenant(&store, None).await;
    let job = stage::job(&store, &tenant).await;
    let many = uploads(&tenant, job, 1_000);

    let taken = upload_many(&store.bus, tenant.context(), job, &many).await.unwrap().output;

    assert_eq!((taken.accepted.len(), taken.remaining), (1_000, None));
    assert_eq!(reservations(&store).await, [1_000]);
    assert_gapless(&store.log).await;
}

pub async fn archives_and_single_uploads_never_oversell(store: Store) {
    let tenant = stage::tenant(&store, Some(30)).await;
    let job = stage::job(&store, &tenant).await;
    let beside = store.beside().await;

    let counts = at_once(24, |index| {
        let bus = if index % 2 == 0 { store.bus.clone() } else { beside.bus.clone() };
        async move {
            let outcome = if index % 3 == 0 {
                let many = uploads(&tenant, job, 7);
                upload_many(&bus, tenant.context(), job, &many).await.map(|taken| taken.output.accepted.len())
            } else {
                stage::upload(&bus, &tenant, job).await.map(|_| 1)
            };
            match outcome {
                Ok(count) => count,
                Err(CommandError::Usage(UsageError::LimitReached { .. })) => 0,
                Err(error) => panic!("{error:?}"),
            }
        }
    })
    .await;

    assert_eq!(counts.iter().sum::<usize>(), 30, "72 wanted 30 slots");
    assert_eq!(stage::usage(&store, &tenant).await.used(), 30);
    assert_eq!(reservations(&store).await.iter().sum::<usize>(), 30);
    beside.close().await;
}

pub async fn the_same_archive_again_is_answered_from_its_receipt(store: Store) {
    let tenant = stage::tenant(&store, Some(5)).await;
    let job = stage::job(&store, &tenant).await;
    let first = upload_many(&store.bus, tenant.with_key("zip", "hash"), job, &uploads(&tenant, job, 7)).await.unwrap();
    assert!(!first.replayed);

    let again = upload_many(&store.bus, tenant.with_key("zip", "hash"), job, &uploads(&tenant, job, 7)).await.unwrap();

    assert!(again.replayed);
    assert_eq!((again.output.accepted, again.place), (first.output.accepted, first.place));
    assert_eq!(reservations(&store).await, [5]);
    let other = upload_many(&store.bus, tenant.with_key("zip", "other"), job, &[]).await.unwrap_err();
    assert!(matches!(other, CommandError::KeyReused), "{other:?}");
}

/// As the usual order has it: the job is created, and its archive uploaded at once.
pub async fn an_archive_waits_behind_single_uploads_whenever_its_rubric_comes(store: Store) {
    let ports = Scripted::default();
    let tenant = stage::tenant(&store, None).await;
    let job = stage::job(&store, &tenant).await;
    store.queue.pause(Lane::Rubric, "later", None).await.unwrap();
    store.queue.pause(Lane::Score, "later", None).await.unwrap();
    let crew = Crew::at_work(&store, &ports);
    let alone = upload(&store, &ports, &tenant, job, "Ada built engines.").await;
    let many = uploads(&tenant, job, 3);
    for (_, upload) in &many {
        ports.store_file(upload.candidate.0, &upload.command.blob_key, "Bob kept notes.").await;
    }
    upload_many(&store.bus, Context { urgent: false, ..tenant.context() }, job, &many).await.unwrap();
    until("all is read", async || (store.queue.count(Lane::Extract).await.unwrap().ready == 0).then_some(())).await;
    store.queue.resume(Lane::Rubric).await.unwrap();
    until("all wait for a score", async || (urgencies(&store).await.len() == 4).then_some(())).await;
    let urgent: Vec<_> = urgencies(&store).await.into_iter().filter_map(|(id, urgent)| urgent.then_some(id)).collect();
    assert_eq!(urgent, [alone.0]);

    store.queue.resume(Lane::Score).await.unwrap();
    until_all_is_done(&store).await;
    store.queue.pause(Lane::Score, "later", None).await.unwrap();
    let description = Some("Builds, runs and mends the engine.".to_owned());
    job::revise(&store.bus, tenant.context(), job, ReviseJob { description, ..ReviseJob::default() }).await.unwrap();
    until("all wait for a new score", async || (urgencies(&store).await.len() == 4).then_some(())).await;
    assert!(urgencies(&store).await.iter().all(|(_, urgent)| !urgent), "whoever has a score can wait");
    crew.stop().await;
}

async fn urgencies(store: &Store) -> Vec<(Uuid, bool)> {
    store.db.fetch(Scope::All, "SELECT subject, urgent <> 0 FROM work WHERE lane = 'score'", vec![]).await.unwrap()
}
