//! Identifiers: each noun has its own type, so that one cannot be passed for another.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::period::Period;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                text.parse().map(Self)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Uuid {
                id.0
            }
        }
    )*};
}

ids! {
    /// One customer; also the id of its `account` and of its `subscription`.
    TenantId;
    /// A person who signs in.
    UserId;
    /// An opening for which resumes are ranked.
    JobId;
    /// One resume uploaded for one job.
    CandidateId;
    /// One try of a worker at one work item; a result is accepted once for each.
    AttemptId;
    /// One recorded event.
    EventId;
    /// One execution of a use case; all events of one commit share it.
    CommandId;
    /// One tenant's billing period.
    UsageId;
    /// An e-mail address as a keyed hash.
    ClaimId;
    /// A customer of the payment provider.
    CustomerId;
    /// A notice of the payment provider.
    WebhookId;
}

/// Namespace of [`UsageId`]s (chosen once, never changed).
const USAGE_NAMESPACE: Uuid = Uuid::from_u128(0x5f1d_9c1e_27a4_4d0b_9f64_7a1b_c3de_0001);

/// Namespace of [`CustomerId`]s and [`WebhookId`]s (chosen once, never changed).
const STRIPE_NAMESPACE: Uuid = Uuid::from_u128(0x5f1d_9c1e_27a4_4d0b_9f64_7a1b_c3de_0002);

impl CustomerId {
    /// The stream of the customer that Stripe calls so.
    pub fn of(customer: &str) -> Self {
        Self(Uuid::new_v5(&STRIPE_NAMESPACE, format!("customer/{customer}").as_bytes()))
    }
}

impl WebhookId {
    /// The stream of the event that Stripe calls so.
    pub fn of(notice: &str) -> Self {
        Self(Uuid::new_v5(&STRIPE_NAMESPACE, format!("event/{notice}").as_bytes()))
    }
}

impl UsageId {
    /// The stream of the billing period that starts on `period.start`: anybody who knows tenant and period finds it.
    pub fn of(tenant: TenantId, period: &Period) -> Self {
        let name = format!("{tenant}/{}", period.start.format("%Y-%m-%dT%H:%M:%SZ"));
        Self(Uuid::new_v5(&USAGE_NAMESPACE, name.as_bytes()))
    }
}

impl ClaimId {
    /// From the first 128 bits of the installation's keyed hash of the normalised address.
    pub fn from_keyed_hash(hash: [u8; 16]) -> Self {
        Self(uuid::Builder::from_custom_bytes(hash).into_uuid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{at, march, tenant};

    #[test]
    fn a_period_has_the_same_stream_in_every_year_and_on_every_machine() {
        assert_eq!(UsageId::of(tenant(), &march()).to_string(), "40dbdf4b-2604-5d0f-896f-ff362caa6f86");
    }

    #[test]
    fn tenants_and_periods_have_streams_of_their_own() {
        let next = Period { start: march().end, end: at("2026-05-14T09:26:53Z") };
        assert_ne!(UsageId::of(tenant(), &march()), UsageId::of(tenant(), &next));
        assert_ne!(UsageId::of(tenant(), &march()), UsageId::of(TenantId(Uuid::nil()), &march()));
    }

    #[test]
    fn a_stream_is_found_by_the_start_of_its_period() {
        let cut_short = Period { end: at("2026-03-20T00:00:00Z"), ..march() };
        assert_eq!(UsageId::of(tenant(), &march()), UsageId::of(tenant(), &cut_short));
    }

    #[test]
    fn a_claim_keeps_the_hash_but_for_the_marks_of_a_uuid() {
        let claim = ClaimId::from_keyed_hash([0xff; 16]);
        assert_eq!(claim.to_string(), "ffffffff-ffff-8fff-bfff-ffffffffffff");
        assert_ne!(claim, ClaimId::from_keyed_hash([0xfe; 16]));
    }

    #[test]
    fn ids_are_written_and_read_as_uuids() {
        let id = tenant();
        assert_eq!(id.to_string().parse::<TenantId>(), Ok(id));
        assert_eq!(serde_json::to_value(id).unwrap(), serde_json::json!(id.0));
        assert!("tenant".parse::<TenantId>().is_err());
    }
}
