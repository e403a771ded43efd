//! Words that tests are written with.

use std::{collections::HashMap, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use sea_query::{Order, Query};
use starscreen_domain::{
    Actor, AttemptId, CandidateId, ClaimId, CommandId, Event, EventId, JobId, Metadata, Recorded, Sealed, TenantId,
    UsageId, UserId,
    account::AccountEvent,
    candidate::{CandidateEvent, CategoryScore, Contact, DeletionReason, Evaluation, Failure},
    job::{BackgroundPatterns, Category, EducationPreferences, JobEvent, Rubric},
    period::Period,
    score::{Importance, Score, Total},
    subscription::{Interval, Paid, PlanTerms, Price, SubscriptionEvent, SubscriptionStatus},
    usage::{ReleaseReason, UsageEvent},
};
use tokio::sync::watch;
use uuid::Uuid;

use super::log::{Log, TestOpener, open};
use crate::{
    Projector, ReadModels, Running,
    db::{Db, Scope},
    row::Row,
    runtime::{Side, Source},
};

pub(crate) const TENANT: TenantId = TenantId(Uuid::from_u128(0xA));
pub(crate) const OTHER_TENANT: TenantId = TenantId(Uuid::from_u128(0xB));
pub(crate) const USER: UserId = UserId(Uuid::from_u128(0xC));
pub(crate) const JOB: JobId = JobId(Uuid::from_u128(0xD));

pub(crate) fn candidate(number: u128) -> CandidateId {
    CandidateId(Uuid::from_u128(0x1000 + number))
}

pub(crate) fn job(number: u128) -> JobId {
    JobId(Uuid::from_u128(0x2000 + number))
}

pub(crate) fn usage(number: u128) -> UsageId {
    UsageId(Uuid::from_u128(0x3000 + number))
}

/// When the event at `position` happened: a minute for each.
pub(crate) fn at(position: u64) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 1, 8, 0, 0).unwrap() + TimeDelta::minutes(i64::try_from(position).unwrap())
}

pub(crate) fn recorded(
    position: u64,
    tenant: TenantId,
    aggregate: Uuid,
    sequence: u64,
    payload: Event,
) -> Recorded<Event> {
    let aggregate_type = match &payload {
        Event::Account(_) => "account",
        Event::EmailClaim(_) => "email_claim",
        Event::Job(_) => "job",
        Event::Candidate(_) => "candidate",
        Event::Subscription(_) => "subscription",
        Event::Usage(_) => "usage",
        Event::Customer(_) => "customer",
        Event::Webhook(_) => "webhook",
    };
    Recorded {
        position,
        tenant_position: Some(position),
        tenant_id: Some(tenant),
        event_id: EventId(Uuid::from_u128(0xE000 + u128::from(position))),
        aggregate_type: aggregate_type.to_owned(),
        aggregate_id: aggregate,
        sequence,
        recorded_at: at(position),
        metadata: Metadata {
            command_id: CommandId(Uuid::nil()),
            actor: Actor::System,
            occurred_at: at(position),
            correlation_id: Uuid::nil(),
            causation_id: Uuid::nil(),
            traceparent: None,
            source: "test".to_owned(),
        },
        payload,
    }
}

/// The row after `events` of one aggregate of [`TENANT`], at positions 1, 2, 3 …
#[cfg(test)]
pub(crate) fn row_after<P: Projector>(aggregate: Uuid, events: Vec<Event>) -> Option<P::Row> {
    let log = Log::of(events.into_iter().map(|event| (TENANT, aggregate, event)));
    expected::<P>(&log).pop()
}

/// All rows that the history gives, by the pure fold alone, sorted by key.
pub(crate) fn expected<P: Projector>(log: &Log) -> Vec<P::Row> {
    let mut rows: HashMap<Uuid, P::Row> = HashMap::new();
    for mut event in log.events() {
        open(&mut event.payload);
        let Some(key) = P::key(&event) else { continue };
        let before = rows.remove(&key);
        if let Some(row) = P::fold(before, &event) {
            rows.insert(key, row);
        }
    }
    let mut rows: Vec<P::Row> = rows.into_values().collect();
    rows.sort_by_key(Row::key);
    rows
}

pub(crate) async fn rows<P: Projector>(db: &Db) -> Vec<P::Row> {
    rows_on::<P>(db, Side::Live).await
}

pub(crate) async fn rows_on<P: Projector>(db: &Db, side: Side) -> Vec<P::Row> {
    let all = Query::select()
        .columns(P::Row::COLUMNS.iter().copied())
        .from(side.table::<P::Row>())
        .order_by(P::Row::COLUMNS[0], Order::Asc)
        .to_owned();
    db.all(Scope::All, &all).await.unwrap()
}

pub(crate) fn source(log: &Arc<Log>) -> Source {
    Source { feed: Arc::<Log>::clone(log), opener: Arc::new(TestOpener) }
}

/// Runs projectors until it is dropped.
pub(crate) fn start(models: &ReadModels, log: &Arc<Log>, only: Option<&str>) -> Running {
    let (keep, shutdown) = watch::channel(false);
    std::mem::forget(keep); // never asks them to stop
    models.start(Arc::<Log>::clone(log), Arc::new(TestOpener), only, &shutdown).unwrap()
}

/// Asks again until the answer is yes; fails after 20 s.
pub(crate) async fn until(what: &str, ask: impl AsyncFn() -> bool) {
    for _ in 0..2_000 {
        if ask().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never came true: {what}");
}

pub(crate) async fn until_seen(models: &ReadModels, name: &'static str, position: u64) {
    assert!(models.wait_for(&[name], position, Duration::from_secs(20)).await, "{name} has not seen {position}");
}

pub(crate) fn sealed(text: &str) -> Sealed {
    Sealed::new(Uuid::nil(), text.as_bytes().to_vec())
}

#[cfg(test)]
pub(crate) fn person(first: &str, email: &str) -> Contact {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Contact { first_name: some(first), email: some(email), ..Contact::default() }
}

fn sealed_contact(contact: &Contact) -> Sealed {
    sealed(&serde_json::to_string(contact).unwrap())
}

pub(crate) fn uploaded_with(file_name: Sealed, given: Option<Sealed>) -> Event {
    uploaded_to(JOB, file_name, given)
}

pub(crate) fn uploaded_to(job_id: JobId, file_name: Sealed, given: Option<Sealed>) -> Event {
    CandidateEvent::ResumeUploaded {
        job_id,
        usage_id: usage(1),
        blob_key: "blob/1".to_owned(),
        file_kind: "pdf".to_owned(),
        size_bytes: 4_096,
        content_hash: "00ff".to_owned(),
        file_name,
        given,
        uploaded_by: USER,
    }
    .into()
}

pub(crate) fn uploaded() -> Event {
    uploaded_with(sealed("resume.pdf"), None)
}

#[cfg(test)]
pub(crate) fn uploaded_for(given: &Contact) -> Event {
    uploaded_with(sealed("resume.pdf"), Some(sealed_contact(given)))
}

pub(crate) fn extraction_started() -> Event {
    CandidateEvent::ExtractionStarted {}.into()
}

pub(crate) fn text_extracted(found: Option<&Contact>) -> Event {
    text_extracted_with(found.map(sealed_contact))
}

pub(crate) fn text_extracted_with(found: Option<Sealed>) -> Event {
    CandidateEvent::TextExtracted {
        text_key: "text/1".to_owned(),
        characters: 1_200,
        pages: 2,
        found,
        cut_short: false,
    }
    .into()
}

pub(crate) fn extraction_failed() -> Event {
    CandidateEvent::ExtractionFailed { failure: failure("scanned_image") }.into()
}

pub(crate) fn scoring_requested() -> Event {
    CandidateEvent::ScoringRequested { rubric_version: 1 }.into()
}

pub(crate) fn scoring_failed() -> Event {
    CandidateEvent::ScoringFailed { failure: failure("model_refused") }.into()
}

pub(crate) fn candidate_deleted() -> Event {
    CandidateEvent::CandidateDeleted { reason: DeletionReason::Requested }.into()
}

pub(crate) fn scored(tenths: Option<u16>) -> Event {
    scored_with(tenths, sealed(&serde_json::to_string(&evaluation()).unwrap()))
}

pub(crate) fn scored_with(tenths: Option<u16>, evaluation: Sealed) -> Event {
    CandidateEvent::CandidateScored {
        attempt: AttemptId(Uuid::nil()),
        rubric_version: 1,
        prompt_version: "p1".to_owned(),
        model: "offline".to_owned(),
        categories: categories(),
        total: tenths.map(|tenths| Total::try_new(tenths).unwrap()),
        needs_review: vec!["unsupported_category:rust".to_owned()],
        evaluation,
        found: None,
    }
    .into()
}

pub(crate) fn categories() -> Vec<CategoryScore> {
    let category = |id: &str, score: Option<u8>| CategoryScore {
        category_id: id.to_owned(),
        importance: Importance::try_new(3).unwrap(),
        score: score.map(|points| Score::try_new(points).unwrap()),
    };
    vec![category("sql", Some(80)), category("rust", None)]
}

pub(crate) fn evaluation() -> Evaluation {
    Evaluation { summary: "Knows SQL.".to_owned(), pros: vec!["SQL".to_owned()], ..Evaluation::default() }
}

pub(crate) fn failure(code: &str) -> Failure {
    Failure { code: code.to_owned(), sentence: format!("It failed: {code}.") }
}

pub(crate) fn job_created(title: &str) -> Event {
    JobEvent::JobCreated {
        title: title.to_owned(),
        description: "Builds event-sourced systems.".to_owned(),
        location: Some("Kyiv".to_owned()),
        work_authorization_required: true,
        created_by: USER,
    }
    .into()
}

pub(crate) fn job_revised(title: &str, rubric_outdated: bool) -> Event {
    JobEvent::JobRevised {
        title: title.to_owned(),
        description: "Builds event-sourced systems.".to_owned(),
        location: None,
        work_authorization_required: false,
        rubric_outdated,
    }
    .into()
}

pub(crate) fn rubric_started() -> Event {
    JobEvent::RubricStarted {}.into()
}

pub(crate) fn rubric_recorded(version: u32) -> Event {
    JobEvent::RubricRecorded { version, rubric: rubric(), model: "offline".to_owned(), prompt_version: "r1".to_owned() }
        .into()
}

pub(crate) fn rubric_failed() -> Event {
    JobEvent::RubricFailed { failure: failure("model_refused") }.into()
}

pub(crate) fn job_deleted() -> Event {
    JobEvent::JobDeleted {}.into()
}

pub(crate) fn rubric() -> Rubric {
    Rubric {
        title: "Engineer".to_owned(),
        seniority_level: "senior".to_owned(),
        role_summary: "Builds.".to_owned(),
        core_responsibilities: vec!["build".to_owned()],
        categories: vec![Category {
            category_id: "sql".to_owned(),
            name: "SQL".to_owned(),
            importance: Importance::try_new(3).unwrap(),
            description: "Queries.".to_owned(),
            examples_of_evidence: vec!["joins".to_owned()],
        }],
        desired_background_patterns: BackgroundPatterns::default(),
        education_preferences: EducationPreferences::default(),
    }
}

pub(crate) fn registered(email: Sealed) -> Event {
    AccountEvent::AccountRegistered {
        user_id: USER,
        claim_id: ClaimId(Uuid::nil()),
        email,
        full_name: Some(sealed("Ada Lovelace")),
        company_name: None,
    }
    .into()
}

pub(crate) fn plan(code: &str, monthly_limit: Option<u32>) -> PlanTerms {
    PlanTerms { code: code.to_owned(), display_name: code.to_uppercase(), monthly_limit, ..PlanTerms::default() }
}

/// A metered plan: 5 included, 30 cents for each over them.
pub(crate) fn metered_plan() -> PlanTerms {
    let price = Price { amount: 49_900, currency: "usd".to_owned(), interval: Interval::Annual, overage: Some(30) };
    PlanTerms { included: Some(5), price: Some(price), ..plan("enterprise", None) }
}

pub(crate) fn subscription_started(plan: PlanTerms) -> Event {
    SubscriptionEvent::SubscriptionStarted { plan, anchor: at(0) }.into()
}

pub(crate) fn plan_changed(plan: PlanTerms) -> Event {
    let (from, reason) = ("free".to_owned(), "asked".to_owned());
    SubscriptionEvent::PlanChanged { from, plan, reason, by_provider: false, declined: false }.into()
}

pub(crate) fn change_scheduled(plan: PlanTerms, effective_at: DateTime<Utc>) -> Event {
    let reason = "asked".to_owned();
    SubscriptionEvent::PlanChangeScheduled { plan, effective_at, reason, by_provider: false }.into()
}

pub(crate) fn change_withdrawn() -> Event {
    SubscriptionEvent::PlanChangeWithdrawn { reason: "stays".to_owned(), by_provider: false }.into()
}

pub(crate) fn customer_linked() -> Event {
    SubscriptionEvent::CustomerLinked { customer: "cus_1".to_owned() }.into()
}

pub(crate) fn customer_replaced() -> Event {
    let (former, customer) = ("cus_1".to_owned(), "cus_2".to_owned());
    SubscriptionEvent::CustomerReplaced { former, customer, reason: "deleted there".to_owned() }.into()
}

pub(crate) fn plan_ordered() -> Event {
    let (price, payment_method) = ("price_1".to_owned(), "pm_1".to_owned());
    SubscriptionEvent::PlanOrdered { order: Uuid::nil(), plan: metered_plan(), price, payment_method }.into()
}

pub(crate) fn order_declined() -> Event {
    SubscriptionEvent::OrderDeclined { order: Uuid::nil(), code: None, reason: "card refused".to_owned() }.into()
}

pub(crate) fn provider_informed() -> Event {
    SubscriptionEvent::ProviderInformed { part: None }.into()
}

pub(crate) fn paid(status: SubscriptionStatus) -> Paid {
    Paid {
        id: "sub_1".to_owned(),
        price: "price_1".to_owned(),
        status,
        cancel_at_period_end: true,
        period_end: Some(period(0).end),
        customer: None,
    }
}

pub(crate) fn provider_said(paid: Option<Paid>) -> Event {
    SubscriptionEvent::ProviderStateRecorded { paid }.into()
}

pub(crate) fn status_changed(status: SubscriptionStatus, grace_until: Option<DateTime<Utc>>) -> Event {
    SubscriptionEvent::StatusChanged { status, grace_until }.into()
}

pub(crate) fn period(month: u64) -> Period {
    let start = at(0) + TimeDelta::days(30 * i64::try_from(month).unwrap());
    Period { start, end: start + TimeDelta::days(30) }
}

pub(crate) fn period_opened(month: u64, limit: Option<u32>) -> Event {
    UsageEvent::PeriodOpened { period: period(month), plan: "free".to_owned(), limit, included: None }.into()
}

pub(crate) fn limit_changed(limit: Option<u32>) -> Event {
    UsageEvent::LimitChanged { plan: "pro".to_owned(), limit, included: Some(3) }.into()
}

pub(crate) fn slots_reserved(count: u128) -> Event {
    UsageEvent::SlotsReserved { candidates: (0..count).map(candidate).collect() }.into()
}

pub(crate) fn slot_committed() -> Event {
    UsageEvent::SlotCommitted { candidate: candidate(0) }.into()
}

pub(crate) fn slot_released() -> Event {
    UsageEvent::SlotReleased { candidate: candidate(0), reason: ReleaseReason::ScoringFailed }.into()
}

pub(crate) fn usage_adjusted(delta: i32) -> Event {
    UsageEvent::UsageAdjusted { delta, reason: "courtesy".to_owned() }.into()
}

pub(crate) fn overage_metered(quantity: i64) -> Event {
    UsageEvent::OverageMetered { quantity, at: at(0) }.into()
}

pub(crate) fn metering_given_up(quantity: i64) -> Event {
    let entry = EventId(Uuid::from_u128(0xE001));
    UsageEvent::MeteringGivenUp { entry, quantity, at: at(0), reason: "too old".to_owned() }.into()
}

pub(crate) fn metering_retried(quantity: i64) -> Event {
    UsageEvent::MeteringRetried { entry: EventId(Uuid::from_u128(0xE001)), quantity, at: at(0) }.into()
}

pub(crate) fn threshold_reached(percent: u8) -> Event {
    UsageEvent::UsageThresholdReached { percent, used: 7, limit: 10 }.into()
}

pub(crate) fn period_closed(used: u32) -> Event {
    UsageEvent::PeriodClosed { used }.into()
}
