use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::TenantId;

/// One fact in the history of a notice. Belongs to no tenant: whose it is turns out when it is followed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum WebhookEvent {
    /// Nothing else of the notice is kept, since it may hold personal data.
    WebhookReceived {
        /// The provider's id of it.
        notice: String,
        /// The provider's name of what happened, such as `invoice.payment_failed`.
        kind: String,
        customer: Option<String>,
        /// When it happened there.
        created: DateTime<Utc>,
    },
    WebhookSettled {
        outcome: WebhookOutcome,
        tenant_id: Option<TenantId>,
    },
    WebhookGivenUp {
        reason: String,
    },
    WebhookRetried {},
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookOutcome {
    Applied,
    /// Everything was known already.
    Unchanged,
    /// About no customer of ours.
    Ignored,
}

crate::event::event_types! { WebhookEvent {
    WebhookReceived: "1",
    WebhookSettled: "1",
    WebhookGivenUp: "1",
    WebhookRetried: "1",
} }

#[derive(Clone, Debug)]
pub enum WebhookCommand {
    ReceiveWebhook(ReceiveWebhook),
    SettleWebhook(SettleWebhook),
    GiveUpWebhook(GiveUpWebhook),
    RetryWebhook(RetryWebhook),
}

#[derive(Clone, Debug)]
pub struct ReceiveWebhook {
    pub notice: String,
    pub kind: String,
    pub customer: Option<String>,
    pub created: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug)]
pub struct SettleWebhook {
    pub outcome: WebhookOutcome,
    pub tenant_id: Option<TenantId>,
}

#[derive(Clone, Debug)]
pub struct GiveUpWebhook {
    pub reason: String,
}

#[derive(Clone, Copy, Debug)]
pub struct RetryWebhook;

macro_rules! into_command {
    ($($command:ident),*) => {$(
        impl From<$command> for WebhookCommand {
            fn from(command: $command) -> Self {
                Self::$command(command)
            }
        }
    )*};
}

into_command!(ReceiveWebhook, SettleWebhook, GiveUpWebhook, RetryWebhook);

/// A broken rule. The caller's fault, so never a 5xx.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    #[error("the notice was not received")]
    NotReceived,
    #[error("the notice was not given up")]
    NotGivenUp,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Webhook {
    pub received: bool,
    pub customer: Option<String>,
    pub settled: bool,
    pub given_up: bool,
}

impl Webhook {
    /// Decides what `command` changes, without changing anything.
    ///
    /// # Errors
    /// A [`WebhookError`] when a rule forbids the command.
    pub fn decide(&self, command: WebhookCommand) -> Result<Vec<WebhookEvent>, WebhookError> {
        if let WebhookCommand::ReceiveWebhook(command) = command {
            return Ok(self.receive(command));
        }
        if !self.received {
            return Err(WebhookError::NotReceived);
        }
        match command {
            WebhookCommand::ReceiveWebhook(command) => Ok(self.receive(command)),
            WebhookCommand::SettleWebhook(_) | WebhookCommand::GiveUpWebhook(_) if self.settled => Ok(vec![]),
            WebhookCommand::SettleWebhook(SettleWebhook { outcome, tenant_id }) => {
                Ok(vec![WebhookEvent::WebhookSettled { outcome, tenant_id }])
            }
            WebhookCommand::GiveUpWebhook(GiveUpWebhook { reason }) => {
                Ok(vec![WebhookEvent::WebhookGivenUp { reason }])
            }
            WebhookCommand::RetryWebhook(RetryWebhook) if !self.given_up => Err(WebhookError::NotGivenUp),
            WebhookCommand::RetryWebhook(RetryWebhook) => Ok(vec![WebhookEvent::WebhookRetried {}]),
        }
    }

    fn receive(&self, command: ReceiveWebhook) -> Vec<WebhookEvent> {
        if self.received {
            return vec![]; // it comes as often as the provider likes
        }
        let ReceiveWebhook { notice, kind, customer, created } = command;
        vec![WebhookEvent::WebhookReceived { notice, kind, customer, created }]
    }

    fn evolve(&mut self, event: WebhookEvent) {
        match event {
            WebhookEvent::WebhookReceived { customer, .. } => {
                self.received = true;
                self.customer = customer;
            }
            WebhookEvent::WebhookSettled { .. } => self.settled = true,
            WebhookEvent::WebhookGivenUp { .. } => self.given_up = true,
            WebhookEvent::WebhookRetried {} => self.given_up = false,
        }
    }
}

crate::event::aggregate!(Webhook, "webhook", WebhookCommand, WebhookEvent, WebhookError);
