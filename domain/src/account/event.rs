use serde::{Deserialize, Serialize};

use crate::{ClaimId, Sealed, UserId};

/// One fact in a tenant's history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum AccountEvent {
    /// A tenant and its first user exist. The address is held by the claim of the same commit.
    AccountRegistered {
        user_id: UserId,
        claim_id: ClaimId,
        email: Sealed,
        full_name: Option<Sealed>,
        company_name: Option<Sealed>,
    },
}

crate::event::event_types! { AccountEvent {
    AccountRegistered: "1",
} }

impl AccountEvent {
    pub(crate) fn sealed_mut(&mut self) -> Vec<(&'static str, &mut Sealed)> {
        match self {
            Self::AccountRegistered { email, full_name, company_name, .. } => {
                let mut sealed = vec![("email", email)];
                sealed.extend(full_name.as_mut().map(|name| ("full_name", name)));
                sealed.extend(company_name.as_mut().map(|name| ("company_name", name)));
                sealed
            }
        }
    }
}
