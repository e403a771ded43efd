//! A tenant's subscription: the plan it agreed to, whose limit it carries itself.
//!
//! Plans are data of the installation and may change; what a tenant agreed to stands in its own events.

mod aggregate;
#[cfg(test)]
mod tests;

pub use aggregate::{
    ChangePlan, PlanTerms, StartSubscription, Subscription, SubscriptionCommand, SubscriptionError, SubscriptionEvent,
    SubscriptionStatus,
};
