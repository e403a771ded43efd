//! An account: a tenant and its first user. Passwords are not facts of business: only a table knows their hashes.

mod aggregate;
mod command;
mod error;
mod event;
#[cfg(test)]
mod tests;

pub use aggregate::Account;
pub use command::{AccountCommand, RegisterAccount};
pub use error::AccountError;
pub use event::AccountEvent;
