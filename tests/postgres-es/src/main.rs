//! Somebody else's program on stock postgres-es: it knows the rules of Starscreen and the URL of its store, no more.
//!
//! Settings of the session make our table look like the crate's own, so a URL is all it takes: `search_path` finds the
//! table, the role may read it and append, and the tenant is whose events there are and whose the new ones become.
//!
//! ```text
//! export DATABASE_URL="postgres://…?options=-c search_path=write -c role=starscreen_gateway -c starscreen.tenant=<id>"
//! starscreen-postgres-es load job/<id> usage/<id>     a line of JSON for each
//! starscreen-postgres-es relocate <job> <place> …     a command for each; prints the places of those that won their race
//! ```
//!
//! Only event stores: those with snapshots apply events twice. No queries: read models follow the log. And only commands
//! whose events ask for no work, which the append of the product writes beside them and the crate's does not.

use std::{collections::HashMap, env, error::Error};

use chrono::{SecondsFormat, Utc};
use cqrs_es::{Aggregate, AggregateError, EventStore, persist::PersistedEventStore};
use postgres_es::{PostgresEventRepository, default_postgress_pool, postgres_cqrs};
use serde_json::{Value, json};
use sqlx::PgPool;
use starscreen_domain::{
    account::Account,
    candidate::Candidate,
    email_claim::EmailClaim,
    job::{Job, ReviseJob},
    subscription::Subscription,
    usage::Usage,
};
use uuid::Uuid;

type Failure = Box<dyn Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let pool = default_postgress_pool(&env::var("DATABASE_URL")?).await;
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["load", streams @ ..] => {
            for stream in streams {
                println!("{}", load(&pool, stream).await?);
            }
            Ok(())
        }
        ["relocate", job, places @ ..] => relocate(pool, job, places).await,
        _ => Err("usage: load NOUN/ID …, or relocate JOB PLACE …".into()),
    }
}

async fn load(pool: &PgPool, stream: &str) -> Result<Value, Failure> {
    match stream.split_once('/') {
        Some((Account::TYPE, id)) => state::<Account>(pool, id).await,
        Some((Candidate::TYPE, id)) => state::<Candidate>(pool, id).await,
        Some((EmailClaim::TYPE, id)) => state::<EmailClaim>(pool, id).await,
        Some((Job::TYPE, id)) => state::<Job>(pool, id).await,
        Some((Subscription::TYPE, id)) => state::<Subscription>(pool, id).await,
        Some((Usage::TYPE, id)) => state::<Usage>(pool, id).await,
        _ => Err(format!("\"{stream}\" is no stream").into()),
    }
}

async fn state<A: Aggregate + 'static>(pool: &PgPool, id: &str) -> Result<Value, Failure> {
    let store = PersistedEventStore::<_, A>::new_event_store(PostgresEventRepository::new(pool.clone()));
    let loaded = store.load_aggregate(id).await?;
    Ok(json!({ "stream": format!("{}/{id}", A::TYPE), "sequence": loaded.current_sequence, "state": loaded.aggregate }))
}

async fn relocate(pool: PgPool, job: &str, places: &[&str]) -> Result<(), Failure> {
    let jobs = postgres_cqrs::<Job>(pool, vec![], ());
    for place in places {
        let command = ReviseJob { location: Some((*place).to_owned()), ..ReviseJob::default() };
        match jobs.execute_with_metadata(job, command.into(), metadata()).await {
            Ok(()) => println!("{place}"),
            Err(AggregateError::AggregateConflict) => {} // somebody else was first, and the crate does not try again
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// What every event has to say of where it comes from. Its id, its tenant and its time are columns that the database
/// fills in.
fn metadata() -> HashMap<String, String> {
    let command_id = Uuid::new_v4().to_string(); // the first of its chain, so what it is caused by is itself
    let entries = [
        ("command_id", command_id.clone()),
        ("actor", "system".to_owned()),
        ("occurred_at", Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true)),
        ("correlation_id", command_id.clone()),
        ("causation_id", command_id),
        ("source", concat!(env!("CARGO_PKG_NAME"), "@", env!("CARGO_PKG_VERSION")).to_owned()),
    ];
    entries.map(|(name, value)| (name.to_owned(), value)).into()
}
