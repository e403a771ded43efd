/// A broken rule. The caller's fault, so never a 5xx.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubscriptionError {
    #[error("the subscription has already started")]
    AlreadyStarted,
    #[error("there is no subscription")]
    NotStarted,
    /// Clients of the former API know this sentence.
    #[error("Subscription is {0}. Please update your payment method.")]
    NotInGoodStanding(&'static str),
    #[error("No active subscription found")]
    NothingPaid,
    #[error("another customer of the payment provider is linked already")]
    OtherCustomerLinked,
    /// Its id.
    #[error("the linked customer still has a subscription, {0}: end it at the payment provider first")]
    StillPaid(String),
    #[error("an order is being carried out; try again in a moment")]
    OrderPending,
    /// It was asked before the last change here, so its answer may be older than that.
    #[error("the provider's answer is older than what was decided since")]
    Outdated,
}
