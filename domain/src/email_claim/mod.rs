//! The claim of one e-mail address by one account, as a stream under the address's keyed hash.
//!
//! Two registrations of one address write the same stream, so the store refuses the second, across processes and
//! tenants, without an address in clear anywhere. Claims belong to no tenant.

mod aggregate;
#[cfg(test)]
mod tests;

pub use aggregate::{ClaimEmail, EmailClaim, EmailClaimCommand, EmailClaimError, EmailClaimEvent, ReleaseEmail};
