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
}

/// Namespace of [`UsageId`]s (chosen once, never changed).
const USAGE_NAMESPACE: Uuid = Uuid::from_u128(0x5f1d_9c1e_27a4_4d0b_9f64_7a1b_c3de_0001);

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
