//! Who the customers are: one row a tenant, which is its first and so far only user.

mod query;
#[cfg(test)]
mod tests;

pub use query::{AccountRow, AccountsQuery};

use starscreen_domain::{Event, Recorded, Sealed, TenantId, account::AccountEvent};
use uuid::Uuid;

use crate::projector::Projector;

pub struct Accounts;

impl Projector for Accounts {
    type Row = AccountRow;
    const NAME: &'static str = "accounts";
    const VERSION: u32 = 1;
    const READS: &'static [&'static str] = &["account"];

    fn key(event: &Recorded<Event>) -> Option<Uuid> {
        matches!(event.payload, Event::Account(_)).then_some(event.aggregate_id)
    }

    fn fold(row: Option<AccountRow>, event: &Recorded<Event>) -> Option<AccountRow> {
        let change = match &event.payload {
            Event::Account(change) => change,
            Event::EmailClaim(_)
            | Event::Job(_)
            | Event::Candidate(_)
            | Event::Subscription(_)
            | Event::Usage(_)
            | Event::Customer(_)
            | Event::Webhook(_) => {
                return row;
            }
        };
        match change {
            AccountEvent::AccountRegistered { user_id, email, full_name, company_name, claim_id: _ } => {
                Some(AccountRow {
                    tenant_id: TenantId(event.aggregate_id),
                    user_id: *user_id,
                    email: email.text().unwrap_or_default().to_owned(),
                    full_name: text(full_name.as_ref()),
                    company_name: text(company_name.as_ref()),
                    is_active: true,
                    is_verified: false,
                    is_admin: false,
                    created_at: event.metadata.occurred_at,
                    position: event.position,
                })
            }
        }
    }
}

fn text(sealed: Option<&Sealed>) -> Option<String> {
    sealed.and_then(Sealed::text).map(str::to_owned)
}
