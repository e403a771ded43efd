//! The bus: one command, one effect, whoever runs beside it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use starscreen_domain::{
    JobId, Recorded, TenantId, UserId,
    email_claim::EmailClaimError,
    job::{DeleteJob, Job, JobError, JobEvent, ReviseJob},
};
use tokio::sync::Notify;
use uuid::Uuid;

use super::{
    Store,
    scripted::ScriptedVault,
    stage::{self, at_once, create_job, history, position, registration, until, within_patience},
};
use crate::{CommandError, account, job};

fn located(location: &str) -> ReviseJob {
    ReviseJob { location: Some(location.to_owned()), ..ReviseJob::default() }
}

fn titled(title: &str) -> ReviseJob {
    ReviseJob { title: Some(title.to_owned()), ..ReviseJob::default() }
}

pub async fn parallel_commands_on_one_aggregate_all_succeed(store: Store) {
    let tenant = stage::tenant(&store, None).await;
    let job = stage::job(&store, &tenant).await;

    let outcomes = at_once(20, |index| {
        let bus = store.bus.clone();
        async move { job::revise(&bus, tenant.context(), job, titled(&format!("Engineer {index}"))).await }
    })
    .await;

    for outcome in outcomes {
        outcome.unwrap();
    }
    assert_eq!(store.bus.read::<Job>(tenant.id, job).await.unwrap().revision, 20);
}

pub async fn a_use_case_sees_its_own_decisions(store: Store) {
    let tenant = stage::tenant(&store, None).await;
    let id = JobId(Uuid::now_v7());

    let committed = store
        .bus
        .commit(tenant.context(), move |unit| {
            Box::pin(async move {
                unit.decide::<Job>(id, create_job("Engineer")).await?;
                let created = unit.state::<Job>(id).await?.created;
                unit.decide::<Job>(id, titled("Analyst")).await?;
                Ok((created, unit.state::<Job>(id).await?.title, unit.work_ids().len()))
            })
        })
        .await
        .unwrap();

    assert_eq!(committed.output, (true, "Analyst".to_owned(), 2));
    let events = history(&store.log).await;
    let of_job: Vec<_> = events.iter().filter(|event| event.of_job() == Some(id)).collect();
    assert_eq!(of_job.iter().map(|event| event.sequence).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(of_job[0].metadata.command_id, of_job[1].metadata.command_id);
    assert_eq!(position(&store.log, committed.place).await, of_job[1].position);
}

pub async fn the_same_request_again_gets_the_same_answer(store: Store) {
    let tenant = stage::tenant(&store, None).await;
    let create = async |key: &str| {
        let context = tenant.with_key(key, "hash");
        job::create(&store.bus, context, JobId(Uuid::now_v7()), create_job("Engineer")).await.unwrap()
    };
    let first = create("key").await;
    let head = stage::head(&store.log).await;

    let again = create("key").await;

    assert!(!first.replayed && again.replayed);
    assert_eq!((again.output.job, again.place), (first.output.job, first.place));
    assert_eq!(stage::head(&store.log).await, head);
    assert_ne!(create("another key").await.output.job, first.output.job);
}

/// A key is good for as long as its receipt is kept, and then new.
pub async fn receipts_are_removed_the_oldest_first_and_their_keys_are_new_again(store: Store) {
    let tenant = stage::tenant(&store, None).await;
    let create = async |key: &str, hash: &str| {
        let context = tenant.with_key(key, hash);
        job::create(&store.bus, context, JobId(Uuid::now_v7()), create_job("Engineer")).await.unwrap()
    };
    for key in ["old", "older", "oldest", "kept"] {
        assert!(!create(key, "hash").await.replayed);
    }
    let kept = create("kept", "hash").await;
    for (key, days) in [("old", 3), ("older", 4), ("oldest", 5)] {
        store.age_receipt(key, chrono::TimeDelta::days(days)).await;
    }
    let worker = store.as_worker().await;
    let remove = async || {
        let before = chrono::Utc::now() - chrono::TimeDelta::days(2);
        worker.registry.remove_receipts(before, 2).await.unwrap()
    };

    assert!(create("old", "hash").await.replayed, "it is still there");
    assert_eq!(remove().await, 2);
    assert!(create("old", "hash").await.replayed, "the oldest go first");
    assert_eq!((remove().await, remove().await), (1, 0));
    assert!(create("kept", "hash").await.replayed);
    assert_eq!(create("kept", "hash").await.output.job, kept.output.job);
    assert!(!create("old", "hash").await.replayed);
    assert!(!create("older", "another hash").await.replayed, "its key is new again");
    worker.close().await;
}

pub async fn the_same_request_many_times_at_once_has_one_effect(store: Store) {
    let tenant = stage::tenant(&store, None).await;
    let beside = store.beside().await;

    let answers = at_once(16, |index| {
        let bus = if index % 2 == 0 { store.bus.clone() } else { beside.bus.clone() };
        let context = tenant.with_key("key", "hash");
        async move { job::create(&bus, context, JobId(Uuid::now_v7()), create_job("Engineer")).await.unwrap() }
    })
    .await;

    let created: Vec<JobId> = history(&store.log).await.iter().filter_map(Recorded::of_job).collect();
    assert_eq!(created.len(), 1, "one effect");
    assert!(answers.iter().all(|answer| answer.output.job == created[0]), "one answer");
    assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1);
    beside.close().await;
}

/// The second of two equal requests has found no receipt, and then finds the job deleted, by the first.
pub async fn a_request_that_used_up_what_it_asks_for_is_answered_all_the_same(store: Store) {
    let tenant = stage::tenant(&store, None).await;
    let id = stage::job(&store, &tenant).await;
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let second = tokio::spawn({
        let (bus, begun, go_on) = (store.bus.clone(), Arc::clone(&begun), Arc::clone(&go_on));
        async move {
            bus.commit(tenant.with_key("key", "hash"), move |unit| {
                let (begun, go_on) = (Arc::clone(&begun), Arc::clone(&go_on));
                Box::pin(async move {
                    begun.notify_one();
                    go_on.notified().await;
                    unit.decide::<Job>(id, DeleteJob).await.map(|_| ())
                })
            })
            .await
        }
    });
    within_patience(begun.notified()).await;
    let first = job::delete(&store.bus, tenant.with_key("key", "hash"), id).await.unwrap();
    go_on.notify_one();

    let second = second.await.unwrap().expect("the same request has the same answer");

    assert!(!first.replayed && second.replayed);
    assert_eq!(second.place, first.place);
}

pub async fn another_request_under_the_same_key_is_refused(store: Store) {
    let tenant = stage::tenant(&store, None).await;
    let other = stage::tenant(&store, None).await;
    let create = async |tenant: &stage::Tenant, hash: &str| {
        job::create(&store.bus, tenant.with_key("key", hash), JobId(Uuid::now_v7()), create_job("Engineer")).await
    };
    create(&tenant, "hash").await.unwrap();
    let head = stage::head(&store.log).await;

    let refused = create(&tenant, "other hash").await;

    assert!(matches!(refused, Err(CommandError::KeyReused)), "{refused:?}");
    assert_eq!(stage::head(&store.log).await, head);
    create(&other, "other hash").await.expect("keys of two tenants are two keys");
}

pub async fn a_refused_command_leaves_no_receipt(store: Store) {
    let tenant = stage::tenant(&store, None).await;
    let create = async |title: &str| {
        job::create(&store.bus, tenant.with_key("key", "hash"), JobId(Uuid::now_v7()), create_job(title)).await
    };
    let refused = create("").await;

    assert!(matches!(refused, Err(CommandError::Job(JobError::TitleLength))), "{refused:?}");
    assert!(store.registry.receipt(tenant.id, "key").await.unwrap().is_none());
    assert!(!create("Engineer").await.unwrap().replayed, "the mended request is a new one");
}

pub async fn another_tenants_aggregate_is_invisible(store: Store) {
    let (owner, stranger) = (stage::tenant(&store, None).await, stage::tenant(&store, None).await);
    let job = stage::job(&store, &owner).await;
    store.bus.read::<Job>(owner.id, job).await.unwrap(); // known to the bus now

    assert_eq!(store.bus.read::<Job>(stranger.id, job).await.unwrap(), Job::default());
    let revised = job::revise(&store.bus, stranger.context(), job, titled("Mine")).await;
    assert!(matches!(revised, Err(CommandError::NotFound("job"))), "{revised:?}");
    let deleted = job::delete(&store.bus, stranger.context(), job).await;
    assert!(matches!(deleted, Err(CommandError::NotFound("job"))), "{deleted:?}");
    let uploaded = stage::upload(&store.bus, &stranger, job).await;
    assert!(matches!(uploaded, Err(CommandError::NotFound("job"))), "{uploaded:?}");
    let created = job::create(&store.bus, stranger.context(), job, create_job("Mine")).await;
    assert!(created.is_err(), "an id belongs to one tenant");
    assert_eq!(store.bus.read::<Job>(owner.id, job).await.unwrap().title, "Engineer");
}

pub async fn a_caller_who_leaves_does_not_cut_the_command(store: Store) {
    let tenant = stage::tenant(&store, None).await;
    let id = JobId(Uuid::now_v7());
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let caller = tokio::spawn({
        let (bus, begun, go_on) = (store.bus.clone(), Arc::clone(&begun), Arc::clone(&go_on));
        async move {
            bus.commit(tenant.context(), move |unit| {
                let (begun, go_on) = (Arc::clone(&begun), Arc::clone(&go_on));
                Box::pin(async move {
                    begun.notify_one();
                    go_on.notified().await;
                    unit.decide::<Job>(id, create_job("Engineer")).await.map(|_| ())
                })
            })
            .await
        }
    });
    within_patience(begun.notified()).await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    go_on.notify_one();

    until("the command of a caller who left", async || {
        store.bus.read::<Job>(tenant.id, id).await.unwrap().created.then_some(())
    })
    .await;
}

pub async fn foreign_commits_are_seen_by_the_next_decision(store: Store) {
    let tenant = stage::tenant(&store, None).await;
    let job = stage::job(&store, &tenant).await;
    let beside = store.beside().await;
    for round in 0..5 {
        for (side, name) in [(&store.write, "here"), (&beside, "beside")] {
            job::revise(&side.bus, tenant.context(), job, located(&format!("{name} {round}"))).await.unwrap();
            job::revise(&side.bus, tenant.context(), job, titled(&format!("{name} {round}"))).await.unwrap();
        }
    }
    let fresh = store.beside().await;

    let known = store.bus.read::<Job>(tenant.id, job).await.unwrap();

    assert_eq!(known, fresh.bus.read::<Job>(tenant.id, job).await.unwrap());
    assert_eq!(known, beside.bus.read::<Job>(tenant.id, job).await.unwrap());
    assert_eq!((known.title.as_str(), known.revision), ("beside 4", 10));
    beside.close().await;
    fresh.close().await;
}

pub async fn a_rule_that_is_broken_only_between_two_moments_is_not_broken(store: Store) {
    let tenant = stage::tenant(&store, None).await;
    let (one, other) = (stage::job(&store, &tenant).await, stage::job(&store, &tenant).await);
    let (bus, context, first) = (store.bus.clone(), tenant.context(), Arc::new(AtomicBool::new(true)));

    let seen = store.bus.commit(tenant.context(), move |unit| {
        let (bus, context, first) = (bus.clone(), context.clone(), Arc::clone(&first));
        Box::pin(async move {
            let one_revision = unit.state::<Job>(one).await?.revision;
            if first.swap(false, Ordering::SeqCst) {
                let both = bus.commit(context, move |unit| {
                    Box::pin(async move {
                        unit.decide::<Job>(one, titled("Analyst")).await?;
                        unit.decide::<Job>(other, titled("Analyst")).await.map(|_| ())
                    })
                });
                both.await?;
            }
            let other_revision = unit.state::<Job>(other).await?.revision;
            if one_revision == other_revision { Ok(one_revision) } else { Err(JobError::NotCreated.into()) }
        })
    });

    assert_eq!(seen.await.unwrap().output, 1);
}

pub async fn an_address_is_claimed_once(store: Store) {
    let beside = store.beside().await;
    let outcomes = at_once(16, |index| {
        let bus = if index % 2 == 0 { store.bus.clone() } else { beside.bus.clone() };
        let email = if index % 3 == 0 { "Ada@Example.org" } else { "ada@example.org" };
        async move { stage::register(&bus, registration(email, Some(5))).await }
    })
    .await;

    let (registered, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!(registered.len(), 1);
    for outcome in refused {
        assert!(matches!(outcome, Err(CommandError::EmailClaim(EmailClaimError::AlreadyClaimed))), "{outcome:?}");
    }
    let tenant = registered[0].as_ref().unwrap();
    let holder = account::holder_of(&store.bus, &ScriptedVault::default(), "ADA@example.org").await.unwrap();
    assert_eq!(holder, Some((tenant.id, tenant.user)));
    assert_eq!(history(&store.log).await.len(), 3, "claim, account and subscription of one");
    let stored = store.registry.credential(tenant.id, tenant.user).await.unwrap();
    assert_eq!(stored.as_deref(), Some("$argon2id$"));
    assert!(store.registry.key(tenant.id, tenant.id.0).await.unwrap().is_some());
    assert!(store.registry.key(tenant.id, tenant.user.0).await.unwrap().is_some());
    let nobody = account::holder_of(&store.bus, &ScriptedVault::default(), "bob@example.org").await.unwrap();
    assert_eq!(nobody, None::<(TenantId, UserId)>);
    beside.close().await;
}

pub async fn nul_is_neither_stored_nor_known(store: Store) {
    let tenant = stage::tenant(&store, None).await;
    let id = JobId(Uuid::now_v7());
    let title = "Engi\0neer \\u0000";
    job::create(&store.bus, tenant.context(), id, create_job(title)).await.unwrap();

    let known = store.bus.read::<Job>(tenant.id, id).await.unwrap();

    assert_eq!(known.title, "Engineer \\u0000");
    let fresh = store.beside().await;
    assert_eq!(known, fresh.bus.read::<Job>(tenant.id, id).await.unwrap());
    let events = history(&store.log).await;
    let created = events.iter().find(|event| event.of_job() == Some(id)).unwrap();
    let starscreen_domain::Event::Job(JobEvent::JobCreated { title, .. }) = &created.payload else {
        panic!("{created:?}");
    };
    assert_eq!(title, "Engineer \\u0000");
    fresh.close().await;
}
