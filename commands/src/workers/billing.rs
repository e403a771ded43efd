//! What the payment provider is told: the worker of the lane `billing`. It is tried for as long as it takes: what was
//! decided here is true, whether or not the provider can be reached.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use starscreen_domain::{
    Actor, EventId, TenantId,
    account::Account,
    subscription::{DeclineOrder, NoteProviderInformed, OrderOutcome, PlanTerms, Subscription},
};
use uuid::Uuid;

use super::{Budget, WorkError, Workers, on_behalf_of, report};
use crate::{
    bus::Context,
    catalog::FREE,
    payments::{self, Said},
    ports::{MeteredUsage, Order, PaidSubscription, Payments, PaymentsError, Prices},
    work::Claimed,
};

/// Minutes that a call keeps its key.
const KEY_MINUTES: i64 = 15;

impl From<PaymentsError> for WorkError {
    fn from(error: PaymentsError) -> Self {
        let reason = error.to_string();
        match error {
            PaymentsError::Unavailable { retry_after, .. } => {
                Self::Again { reason, after: retry_after, budget: Budget::Time }
            }
            PaymentsError::Refused { .. } => Self::Refused { reason },
            PaymentsError::Declined { .. } => Self::Again { reason, after: None, budget: Budget::Tries },
        }
    }
}

impl Workers {
    pub(super) fn payments(&self) -> Result<&Arc<dyn Payments>, WorkError> {
        self.ports.payments.as_ref().ok_or_else(|| WorkError::Refused {
            reason: "there is no key of the payment provider: set STRIPE_API_KEY".to_owned(),
        })
    }

    /// Makes the provider's subscription what was decided here: by its state, not by single changes, so that it does
    /// not matter how many there were and in which order this is asked.
    pub(super) async fn inform_provider(&self, item: &Claimed) -> Result<(), WorkError> {
        let subscription = self.bus.read::<Subscription>(item.tenant, item.tenant).await?;
        let (Some(paid), Some(customer)) = (&subscription.paid, &subscription.customer) else {
            return self.done(item).await; // whoever pays nothing has nothing to be changed there
        };
        let payments = self.payments()?;
        let all = self.asked(item, payments.subscriptions(customer)).await?;
        if let Some(theirs) = all.iter().find(|theirs| theirs.id == paid.id && !is_over(theirs)) {
            self.bring_about(item, theirs.clone(), &subscription).await?;
        }
        let said = Said::new(subscription.revision, &self.asked(item, payments.subscriptions(customer)).await?);
        let catalog = Arc::clone(&self.ports.catalog);
        self.bus
            .commit(report(item).in_turn(), move |unit| {
                let (catalog, said) = (Arc::clone(&catalog), said.clone());
                Box::pin(async move {
                    let tenant = unit.tenant();
                    let revision = said.revision;
                    unit.decide::<Subscription>(tenant, NoteProviderInformed { revision }).await?;
                    let state = unit.state::<Subscription>(tenant).await?;
                    if state.untold {
                        return Ok(()); // more was decided meanwhile; its own item tells it
                    }
                    payments::record(unit, &catalog, Said { revision: state.revision, ..said }).await.map(drop)
                })
            })
            .await?;
        Ok(())
    }

    /// Changes what differs from the plan in force, and from how it is to end.
    async fn bring_about(
        &self,
        item: &Claimed,
        theirs: PaidSubscription,
        ours: &Subscription,
    ) -> Result<(), WorkError> {
        let payments = self.payments()?;
        let key = |what: &str| call_key(item, what);
        if ours.plan.code == FREE {
            if !theirs.cancel_at_period_end {
                self.asked(item, payments.cancel(&theirs.id, key("cancel"))).await?;
            }
            return Ok(());
        }
        let mut theirs = theirs;
        let wanted = self.ports.catalog.prices_of(&ours.plan).cloned();
        match wanted {
            Some(wanted) if !has(&theirs, &wanted) => {
                let prorate = self.is_more_than(&ours.plan, &theirs);
                let change = payments.change_prices(&theirs, &wanted, prorate, key("prices"));
                theirs = self.asked(item, change).await?;
            }
            Some(_) => {}
            None => tracing::warn!(plan = ours.plan.code, "a paying tenant has a plan without a price"),
        }
        let cancel = ours.scheduled.as_ref().is_some_and(|to| to.plan.code == FREE);
        if theirs.cancel_at_period_end != cancel {
            self.asked(item, payments.set_cancel_at_period_end(&theirs.id, cancel, key("end"))).await?;
        }
        Ok(())
    }

    fn is_more_than(&self, plan: &PlanTerms, theirs: &PaidSubscription) -> bool {
        let offers = theirs.items.iter().filter_map(|item| self.ports.catalog.by_price(&item.price));
        !offers.map(|offer| &offer.terms).any(|before| plan.takes_less_than(before))
    }

    /// Subscribes; a declined payment ends the order, with the provider's words.
    pub(super) async fn place_order(&self, item: &Claimed) -> Result<(), WorkError> {
        let subscription = self.bus.read::<Subscription>(item.tenant, item.tenant).await?;
        let pending = subscription.order.clone().filter(|order| order.outcome == OrderOutcome::Pending);
        let Some(order) = pending else { return self.done(item).await };
        let prices = self.ports.catalog.by_price(&order.price).and_then(|offer| offer.prices.clone());
        let Some(prices) = prices.filter(|_| subscription.require_paid().is_err()) else {
            let reason = "This plan is no longer on offer, or there is a subscription already.".to_owned();
            return self.decline(item, order.id, Some("not_on_offer".to_owned()), reason).await;
        };
        let payments = self.payments()?;
        let customer = self.customer_of(item, &subscription).await?;
        let all = self.asked(item, payments.subscriptions(&customer)).await?;
        if Said::new(0, &all).paid.is_some_and(|paid| paid.status.holds_plan()) {
            self.follow(item.tenant, &customer, on_behalf_of(item)).await?; // an answer that was lost
            return self.done(item).await;
        }
        let call = Order {
            tenant: item.tenant,
            customer: customer.clone(),
            prices,
            first_period_ends: subscription.period(Utc::now()).map_err(crate::CommandError::from)?.end,
        };
        let key = call_key(item, "subscribe");
        match self.answered(item, payments.subscribe(&call, &order.payment_method, key)).await {
            Err(PaymentsError::Declined { code, reason }) => return self.decline(item, order.id, code, reason).await,
            answer => answer?,
        };
        self.follow(item.tenant, &customer, on_behalf_of(item)).await?;
        let reason = "The payment is not complete: it needs another step with your bank. Use the checkout page.";
        self.decline(item, order.id, Some("payment_incomplete".to_owned()), reason.to_owned()).await
    }

    /// Ends an order that is still pending, and the item.
    async fn decline(
        &self,
        item: &Claimed,
        order: Uuid,
        code: Option<String>,
        reason: String,
    ) -> Result<(), WorkError> {
        let command = DeclineOrder { order, code, reason };
        self.bus
            .commit(report(item).in_turn(), move |unit| {
                let command = command.clone();
                Box::pin(async move {
                    let tenant = unit.tenant();
                    unit.decide::<Subscription>(tenant, command).await.map(drop)
                })
            })
            .await?;
        Ok(())
    }

    pub(super) async fn meter_overage(
        &self,
        item: &Claimed,
        quantity: i64,
        at: DateTime<Utc>,
    ) -> Result<(), WorkError> {
        let subscription = self.bus.read::<Subscription>(item.tenant, item.tenant).await?;
        let Some(customer) = subscription.customer else {
            tracing::warn!(quantity, "metered usage of a tenant that pays nothing is not billed");
            return self.done(item).await;
        };
        let usage = MeteredUsage { entry: EventId(item.causation_id), customer, quantity, at };
        self.asked(item, self.payments()?.record_usage(&usage)).await?;
        self.done(item).await
    }

    /// The tenant's customer, made when there is none.
    async fn customer_of(&self, item: &Claimed, subscription: &Subscription) -> Result<String, WorkError> {
        if let Some(customer) = &subscription.customer {
            return Ok(customer.clone());
        }
        let email = match self.bus.read::<Account>(item.tenant, item.tenant).await? {
            Account { user_id: Some(user), email: Some(email) } => {
                let key = self.ports.vault.subject_key(item.tenant, user.0).await?;
                key.map(|key| key.open_bytes("email", &email.data)).transpose()?
            }
            Account { .. } => None,
        };
        let email = email.map(|email| String::from_utf8_lossy(&email).into_owned());
        let key = call_key(item, "customer");
        let customer = self.payments()?.create_customer(item.tenant, email.as_deref(), key);
        let customer = self.asked(item, customer).await?;
        payments::link_customer(&self.bus, on_behalf_of(item), customer.clone()).await?;
        Ok(customer)
    }

    /// Asks how the customer's subscriptions stand and records it, again until nothing is new: what was true while an
    /// answer was on its way may be over. Says whether anything was new.
    pub(super) async fn follow(&self, tenant: TenantId, customer: &str, context: Context) -> Result<bool, WorkError> {
        const AT_MOST: usize = 5;
        let payments = self.payments()?;
        let mut was_new = false;
        for _ in 0..AT_MOST {
            let revision = self.bus.read::<Subscription>(tenant, tenant).await?.revision;
            let said = Said::new(revision, &payments.subscriptions(customer).await?);
            let (catalog, customer) = (Arc::clone(&self.ports.catalog), customer.to_owned());
            let context = Context { tenant, actor: Actor::Stripe, at: Utc::now(), ..context.clone() };
            let committed = self.bus.commit(context.in_turn(), move |unit| {
                let (catalog, said, customer) = (Arc::clone(&catalog), said.clone(), customer.clone());
                Box::pin(async move {
                    let is_new = payments::record(unit, &catalog, said).await?;
                    payments::link(unit, customer).await?;
                    Ok(is_new)
                })
            });
            if !committed.await?.output {
                return Ok(was_new);
            }
            was_new = true;
        }
        let reason = "the subscription changes all the time".to_owned();
        Err(WorkError::Again { reason, after: None, budget: Budget::Time })
    }

    /// What the provider answers to an item. Whatever it is, a lane that was held for it goes on.
    pub(super) async fn answered<T>(
        &self,
        item: &Claimed,
        call: impl Future<Output = Result<T, PaymentsError>>,
    ) -> Result<T, PaymentsError> {
        let answer = call.await;
        if let Ok(_) | Err(PaymentsError::Declined { .. }) = &answer {
            self.has_answered(item.task.lane()).await;
        }
        answer
    }

    async fn asked<T>(
        &self,
        item: &Claimed,
        call: impl Future<Output = Result<T, PaymentsError>>,
    ) -> Result<T, WorkError> {
        Ok(self.answered(item, call).await?)
    }
}

fn is_over(theirs: &PaidSubscription) -> bool {
    starscreen_domain::subscription::SubscriptionStatus::of(&theirs.status).is_over()
}

fn has(theirs: &PaidSubscription, wanted: &Prices) -> bool {
    let has = |price: &String| theirs.items.iter().any(|item| item.price == *price);
    has(&wanted.base) && wanted.usage.as_ref().is_none_or(has)
}

/// The same call has the same key while it may still be on its way. Then it has another: a provider that failed may
/// keep its failure for the key, and what has happened shows in how things stand, which is asked for first.
fn call_key(item: &Claimed, what: &str) -> Uuid {
    let since = (Utc::now() - item.asked_at).num_minutes() / KEY_MINUTES;
    Uuid::new_v5(&item.causation_id, format!("{what}/{since}").as_bytes())
}
