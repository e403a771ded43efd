//! A tenant's subscription: the plan it agreed to, whose limit it carries itself.
//!
//! Plans are data of the installation and may change; what a tenant agreed to stands in its own events. Plans are
//! decided here and told to the payment provider; what is paid is decided there and recorded here.

mod aggregate;
mod command;
mod event;
#[cfg(test)]
mod provider_tests;
mod terms;
#[cfg(test)]
mod tests;

pub use aggregate::{Declined, Order, OrderOutcome, Subscription, SubscriptionError};
pub use command::{
    ApplyScheduledChange, ChangePlan, DeclineOrder, DeclinePlanChange, LinkCustomer, NoteProviderInformed, OrderPlan,
    RecordProviderState, SchedulePlanChange, StartSubscription, SubscriptionCommand, WithdrawPlanChange,
};
pub use event::SubscriptionEvent;
pub use terms::{Interval, Paid, PlanTerms, Price, Scheduled, SubscriptionStatus};
