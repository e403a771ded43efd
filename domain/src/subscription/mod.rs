//! A tenant's subscription: the plan it agreed to, whose limit it carries itself.
//!
//! Plans are data of the installation and may change; what a tenant agreed to stands in its own events. Plans are
//! decided here and told to the payment provider; what is paid is decided there and recorded here.

mod aggregate;
mod command;
mod error;
mod event;
#[cfg(test)]
mod provider_tests;
mod terms;
#[cfg(test)]
mod tests;

pub use aggregate::Subscription;
pub use command::{
    ApplyScheduledChange, ChangePlan, DeclineOrder, DeclinePlanChange, LinkCustomer, NoteProviderInformed, OrderPlan,
    RecordProviderState, ReplaceCustomer, SchedulePlanChange, StartSubscription, SubscriptionCommand,
    WithdrawPlanChange,
};
pub use error::SubscriptionError;
pub use event::SubscriptionEvent;
pub use terms::{
    Declined, Interval, Order, OrderOutcome, Paid, PlanTerms, Price, Reached, Scheduled, SubscriptionStatus,
};
