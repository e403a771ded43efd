//! The words that contracts share: a tenant with a plan, a job, an upload.

use std::{sync::Arc, time::Duration};

use chrono::Utc;
use starscreen_domain::{
    Actor, CandidateId, Event, JobId, Recorded, Sealed, TenantId, UsageId, UserId,
    candidate::{Candidate, UploadResume},
    job::CreateJob,
    subscription::PlanTerms,
    usage::Usage,
};
use uuid::Uuid;

use super::scripted::ScriptedVault;
use crate::{
    account::{self, Registration},
    append::{NewKey, Place},
    bus::{Bus, Committed, Context, Idempotency},
    candidate::{self, Upload, Uploaded},
    error::CommandError,
    job,
    store::Log,
    subscription,
    write_side::WriteSide,
};

/// How long a contract waits for what must come before it calls it missing.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A registered tenant with its first user.
#[derive(Clone, Copy, Debug)]
pub struct Tenant {
    pub id: TenantId,
    pub user: UserId,
}

impl Tenant {
    pub fn context(&self) -> Context {
        Context::new(self.id, Actor::User(self.user), Utc::now())
    }

    pub fn with_key(&self, key: &str, request_hash: &str) -> Context {
        let idempotency = Idempotency { key: key.to_owned(), request_hash: request_hash.to_owned() };
        Context { idempotency: Some(idempotency), ..self.context() }
    }
}

pub fn plan(monthly_limit: Option<u32>) -> PlanTerms {
    let code = monthly_limit.map_or("enterprise".to_owned(), |limit| format!("plan_{limit}"));
    PlanTerms { display_name: code.clone(), code, monthly_limit, ..PlanTerms::default() }
}

pub fn registration(email: &str, monthly_limit: Option<u32>) -> Registration {
    Registration {
        tenant: TenantId(Uuid::now_v7()),
        user: UserId(Uuid::now_v7()),
        email: email.to_owned(),
        full_name: Some("Ada Lovelace".to_owned()),
        company_name: None,
        password_hash: "$argon2id$".to_owned(),
        plan: plan(monthly_limit),
    }
}

/// # Errors
/// As [`account::register`].
pub async fn register(bus: &Bus, registration: Registration) -> Result<Tenant, CommandError> {
    let tenant = Tenant { id: registration.tenant, user: registration.user };
    account::register(bus, &ScriptedVault::default(), tenant.context(), registration).await?;
    Ok(tenant)
}

/// A tenant whose plan takes this many candidates a month.
pub async fn tenant(write: &WriteSide, monthly_limit: Option<u32>) -> Tenant {
    register(&write.bus, registration(&format!("{}@example.org", Uuid::now_v7()), monthly_limit)).await.unwrap()
}

pub fn create_job(title: &str) -> CreateJob {
    CreateJob {
        title: title.to_owned(),
        description: "Builds and runs the engine.".to_owned(),
        location: None,
        work_authorization_required: false,
        created_by: UserId::default(),
    }
}

pub async fn job(write: &WriteSide, tenant: &Tenant) -> JobId {
    let id = JobId(Uuid::now_v7());
    job::create(&write.bus, tenant.context(), id, create_job("Engineer")).await.unwrap();
    id
}

pub fn an_upload(tenant: &Tenant, job: JobId) -> Upload {
    let candidate = CandidateId(Uuid::now_v7());
    let command = UploadResume {
        job_id: job,
        usage_id: UsageId::default(),
        blob_key: format!("{}/{candidate}/file", tenant.id),
        file_kind: "pdf".to_owned(),
        size_bytes: 1_024,
        content_hash: candidate.to_string(),
        file_name: Sealed::new(candidate.0, b"resume.pdf".to_vec()),
        given: None,
        uploaded_by: tenant.user,
    };
    let key = NewKey { subject_id: candidate.0, tenant_id: tenant.id, wrapped: candidate.0.as_bytes().to_vec() };
    Upload { candidate, key, command }
}

/// # Errors
/// As [`candidate::upload_resume`].
pub async fn upload(bus: &Bus, tenant: &Tenant, job: JobId) -> Result<Committed<Uploaded>, CommandError> {
    candidate::upload_resume(bus, tenant.context(), an_upload(tenant, job)).await
}

pub async fn candidate(write: &WriteSide, tenant: &Tenant, id: CandidateId) -> Candidate {
    write.bus.read::<Candidate>(tenant.id, id).await.unwrap()
}

/// The ledger of the tenant's running period.
pub async fn usage(write: &WriteSide, tenant: &Tenant) -> Usage {
    let subscription =
        write.bus.read::<starscreen_domain::subscription::Subscription>(tenant.id, tenant.id).await.unwrap();
    let period = subscription.period(Utc::now()).unwrap();
    write.bus.read::<Usage>(tenant.id, UsageId::of(tenant.id, &period)).await.unwrap()
}

pub async fn change_plan(write: &WriteSide, tenant: &Tenant, monthly_limit: Option<u32>) {
    let reason = "contract".to_owned();
    subscription::change_plan(&write.bus, tenant.context(), plan(monthly_limit), reason).await.unwrap();
}

/// The position of what was committed.
pub async fn position(log: &Log, place: Place) -> u64 {
    log.position(place, Duration::from_secs(10)).await.unwrap().expect("an event gets its position")
}

/// The newest position, when all that is committed has one.
pub async fn head(log: &Log) -> u64 {
    settled(log).await;
    log.head().await.unwrap()
}

async fn settled(log: &Log) {
    until("all events have their positions", async || (log.unplaced().await.unwrap() == 0).then_some(())).await;
}

/// The whole history of all that is committed; every event of it must be readable.
pub async fn history(log: &Log) -> Vec<Recorded<Event>> {
    settled(log).await;
    let mut events = vec![];
    loop {
        let after = events.len() as u64;
        let page = log.read(after, 500).await.unwrap();
        if page.is_empty() {
            return events;
        }
        events.extend(page.into_iter().map(|delivery| delivery.event.unwrap()));
    }
}

/// Positions 1, 2, 3 … and the same within each tenant.
pub async fn assert_gapless(log: &Log) {
    let mut tenants = std::collections::HashMap::<TenantId, u64>::new();
    for (index, event) in history(log).await.iter().enumerate() {
        assert_eq!(event.position, index as u64 + 1, "the log has a gap");
        let tenant_position = event.tenant_id.map(|tenant| {
            let last = tenants.entry(tenant).or_default();
            *last += 1;
            *last
        });
        assert_eq!(event.tenant_position, tenant_position, "the tenant's history has a gap at {}", event.position);
    }
}

/// Runs `count` of them at once; their results in order.
pub async fn at_once<T, F>(count: usize, one: impl Fn(usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let start = Arc::new(tokio::sync::Barrier::new(count));
    let tasks: Vec<_> = (0..count)
        .map(|index| {
            let (start, one) = (Arc::clone(&start), one(index));
            tokio::spawn(async move {
                start.wait().await;
                one.await
            })
        })
        .collect();
    let mut results = Vec::with_capacity(count);
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}

/// What must happen, or the contract is broken.
pub async fn within_patience<T>(awaited: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, awaited).await.expect("it does not come")
}

/// Looks again and again until `found` answers; panics when [`PATIENCE`] is over.
pub async fn until<T>(what: &str, mut found: impl AsyncFnMut() -> Option<T>) -> T {
    let begin = tokio::time::Instant::now();
    loop {
        if let Some(found) = found().await {
            return found;
        }
        assert!(begin.elapsed() < PATIENCE, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
