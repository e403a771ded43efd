//! The words that tests share: who, when and what.

use chrono::{DateTime, Utc};
use cqrs_es::{
    Aggregate,
    test::{AggregateTestExecutor, TestFramework},
};
use uuid::Uuid;

use crate::{
    AttemptId, CandidateId, ClaimId, JobId, Sealed, TenantId, UsageId, UserId, candidate::Failure, period::Period,
    score::Importance,
};

pub fn given<A: Aggregate<Services = ()>>(events: Vec<A::Event>) -> AggregateTestExecutor<A> {
    TestFramework::with(()).given(events)
}

/// The state that `events` lead to.
pub fn after<A: Aggregate>(events: Vec<A::Event>) -> A {
    let mut state = A::default();
    for event in events {
        state.apply(event);
    }
    state
}

pub fn tenant() -> TenantId {
    TenantId(Uuid::from_u128(0x7e_4a47))
}

pub fn user() -> UserId {
    UserId(Uuid::from_u128(0x0a_d4))
}

pub fn somebody_else() -> UserId {
    UserId(Uuid::from_u128(0x0b_0b))
}

pub fn job() -> JobId {
    JobId(Uuid::from_u128(0x10b))
}

pub fn claim() -> ClaimId {
    ClaimId(Uuid::from_u128(0xc1a1))
}

pub fn usage() -> UsageId {
    UsageId::of(tenant(), &march())
}

pub fn candidate(number: u128) -> CandidateId {
    CandidateId(Uuid::from_u128(number))
}

pub fn candidates(numbers: impl IntoIterator<Item = u128>) -> Vec<CandidateId> {
    numbers.into_iter().map(candidate).collect()
}

pub fn attempt(number: u128) -> AttemptId {
    AttemptId(Uuid::from_u128(number))
}

pub fn sealed(data: &str) -> Sealed {
    Sealed::new(user().0, data.as_bytes().to_vec())
}

pub fn failure() -> Failure {
    Failure { code: "scanned_image".to_owned(), sentence: "The file has no text; upload one with text.".to_owned() }
}

pub fn importance(weight: u8) -> Importance {
    Importance::try_new(weight).unwrap()
}

pub fn at(rfc3339: &str) -> DateTime<Utc> {
    rfc3339.parse().unwrap()
}

pub fn march() -> Period {
    Period { start: at("2026-03-14T09:26:53Z"), end: at("2026-04-14T09:26:53Z") }
}
