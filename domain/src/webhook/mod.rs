//! A notice of the payment provider: taken in once, followed once, however often it comes.
//!
//! A notice says that something has changed, not what is true: that is asked for when it is followed, so it does not
//! matter in which order notices come.

mod aggregate;
#[cfg(test)]
mod tests;

pub use aggregate::{
    GiveUpWebhook, ReceiveWebhook, RetryWebhook, SettleWebhook, Webhook, WebhookCommand, WebhookError, WebhookEvent,
    WebhookOutcome,
};
