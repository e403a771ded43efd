//! What the payment provider told us: the worker of the lane `webhook`. A notice says that something has changed; what
//! is true is asked for, so it does not matter in which order notices come. Since they may not come at all, it is asked
//! for once a day without one.

use starscreen_domain::{
    CustomerId, TenantId, WebhookId,
    customer::Customer,
    subscription::Subscription,
    webhook::{GiveUpWebhook, SettleWebhook, Webhook, WebhookOutcome},
};

use super::{WorkError, Workers, again, billing::trouble, dead, report};
use crate::{
    bus::{Bus, Context},
    work::Claimed,
};

/// Tries before a notice is given up.
pub(super) const MAX_ATTEMPTS: u32 = 15;

impl Workers {
    pub(super) async fn follow_webhook(&self, item: &Claimed) -> Result<(), WorkError> {
        let webhook = self.bus.read::<Webhook>(item.tenant, item.subject).await?;
        if webhook.settled {
            return self.done(item).await;
        }
        let settle = match webhook.customer {
            Some(customer) => match self.tenant_of(item, &customer).await? {
                Some(tenant) => {
                    let was_new = self.follow(item, tenant, &customer).await?;
                    self.has_answered(item.task.lane()).await;
                    let outcome = if was_new { WebhookOutcome::Applied } else { WebhookOutcome::Unchanged };
                    SettleWebhook { outcome, tenant_id: Some(tenant) }
                }
                None => SettleWebhook { outcome: WebhookOutcome::Ignored, tenant_id: None },
            },
            None => SettleWebhook { outcome: WebhookOutcome::Ignored, tenant_id: None },
        };
        let id = WebhookId(item.subject);
        self.bus
            .commit(report(item), move |unit| {
                Box::pin(async move { unit.decide::<Webhook>(id, settle).await.map(drop) })
            })
            .await?;
        Ok(())
    }

    /// What is new then, no notice has told, or not yet.
    pub(super) async fn follow_customer(&self, item: &Claimed) -> Result<(), WorkError> {
        let subscription = self.bus.read::<Subscription>(item.tenant, item.tenant).await?;
        let Some(customer) = subscription.customer else { return self.done(item).await };
        if self.queue.is_asked_again(item).await.map_err(|error| again(&error))? {
            return self.done(item).await;
        }
        if self.follow(item, item.tenant, &customer).await? {
            tracing::warn!(tenant.id = %item.tenant, "a change at the payment provider came without a notice");
        }
        self.has_answered(item.task.lane()).await;
        self.done(item).await
    }

    /// Whose customer it is: as was claimed here, else as its metadata say there.
    async fn tenant_of(&self, item: &Claimed, customer: &str) -> Result<Option<TenantId>, WorkError> {
        let claimed = self.bus.read::<Customer>(item.tenant, CustomerId::of(customer)).await?.tenant;
        if claimed.is_some() {
            return Ok(claimed);
        }
        let said = self.payments()?.tenant_of(customer).await.map_err(|error| trouble(item, error))?;
        let Some(tenant) = said else { return Ok(None) };
        let subscription = self.bus.read::<Subscription>(tenant, tenant).await?;
        let is_free = subscription.customer.is_none_or(|linked| linked == customer);
        Ok(subscription.anchor.filter(|_| is_free).map(|_| tenant))
    }

    pub(super) async fn give_up_webhook(&self, item: &Claimed, reason: &str) -> Result<(), WorkError> {
        end_webhook(&self.bus, report(item), item, "webhook_unavailable", reason.to_owned()).await
    }
}

/// Ends a notice that was not followed; it can be redriven.
pub(super) async fn end_webhook(
    bus: &Bus,
    context: Context,
    item: &Claimed,
    code: &str,
    reason: String,
) -> Result<(), WorkError> {
    let id = WebhookId(item.subject);
    let grave = dead(item, code);
    bus.commit(context, move |unit| {
        let (grave, command) = (grave.clone(), GiveUpWebhook { reason: reason.clone() });
        Box::pin(async move {
            if !unit.decide::<Webhook>(id, command).await?.is_empty() {
                unit.add_dead(grave);
            }
            Ok(())
        })
    })
    .await?;
    Ok(())
}
