//! A customer of the payment provider: whose it is.

mod aggregate;
#[cfg(test)]
mod tests;

pub use aggregate::{ClaimCustomer, Customer, CustomerError, CustomerEvent};
