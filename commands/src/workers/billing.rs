//! What the payment provider is told: the worker of the lane `billing`. It is tried for as long as it takes: what was
//! decided here is true, whether or not the provider can be reached. Only an entry that it refuses to bill is given up,
//! since nobody would learn of it otherwise.

use std::{sync::Arc, time::Duration};

use chrono::{TimeDelta, Utc};
use starscreen_domain::{
    Actor, EventId, TenantId, UsageId,
    subscription::{
        DeclineOrder, DeclinePlanChange, NoteProviderInformed, OrderOutcome, Subscription, SubscriptionError,
    },
    usage::{GiveUpMetering, Metered, Usage},
};
use uuid::Uuid;

use super::{Budget, LONGEST_PAUSE, METERING_DECLINED, WorkError, Workers, dead, down_for, on_behalf_of, report};
use crate::{
    append::DeadWork,
    bus::Context,
    catalog::FREE,
    error::CommandError,
    payments::{self, Said},
    ports::{MeteredUsage, Order, PaidSubscription, Payments, PaymentsError, Prices},
    subscription,
    work::Claimed,
};

/// Minutes that a call keeps its key.
const KEY_MINUTES: i64 = 15;
/// How long an order is tried.
const ORDER_LASTS: TimeDelta = TimeDelta::hours(1);
/// Refusals before metered usage is given up; the pauses between them are an hour. Nothing else counts.
const MAX_METERING_REFUSALS: u32 = 6;
/// From when on an outage holds the lane as a whole, and for how long at a time.
const DOWN_AFTER: Duration = Duration::from_secs(20);
const LANE_WAITS: Duration = Duration::from_secs(10);

impl From<PaymentsError> for WorkError {
    fn from(error: PaymentsError) -> Self {
        let reason = error.to_string();
        match error {
            PaymentsError::Unavailable { retry_after, .. } => {
                Self::Again { reason, after: retry_after, budget: Budget::Time }
            }
            PaymentsError::Refused { .. } => Self::Refused { reason },
            // An operator links another customer, and then it can be done.
            PaymentsError::Declined { .. } | PaymentsError::CustomerGone => {
                Self::Again { reason, after: None, budget: Budget::Tries }
            }
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
        let all = payments::subscriptions_of(payments.as_ref(), &subscription, customer).await;
        let all = all.map_err(|error| trouble(item, error))?;
        let living: Vec<_> = all.into_iter().filter(|theirs| !is_over(theirs)).collect();
        let revision = subscription.revision;
        let theirs = living.iter().find(|theirs| theirs.id == paid.id);
        let brought = match theirs {
            Some(theirs) => self.bring_about(item, theirs.clone(), &subscription).await,
            None => Ok(()),
        };
        match brought {
            Ok(()) => {
                let told = NoteProviderInformed { revision, reached: theirs.map(|_| subscription.reached()) };
                self.bus
                    .commit(on_behalf_of(item).in_turn(), move |unit| {
                        let told = told.clone();
                        Box::pin(async move {
                            let tenant = unit.tenant();
                            unit.decide::<Subscription>(tenant, told).await.map(drop)
                        })
                    })
                    .await?;
            }
            Err(PaymentsError::Declined { reason, .. }) => {
                tracing::warn!(reason, "a change of plan is not paid and is taken back");
                let command = DeclinePlanChange { revision, reason: format!("the payment was declined: {reason}") };
                self.bus
                    .commit(on_behalf_of(item).in_turn(), move |unit| {
                        let command = command.clone();
                        Box::pin(async move { subscription::take_back(unit, command).await })
                    })
                    .await?;
            }
            Err(error) => return Err(trouble(item, error)),
        }
        self.follow(item, item.tenant, customer).await?;
        self.has_answered(item.task.lane()).await;
        self.done(item).await
    }

    /// Changes what differs from the plan that is to be paid next, and from how it is to end.
    async fn bring_about(
        &self,
        item: &Claimed,
        theirs: PaidSubscription,
        ours: &Subscription,
    ) -> Result<(), PaymentsError> {
        let Some(payments) = &self.ports.payments else { return Ok(()) }; // it was asked already
        let key = |what: &str| call_key(item, what);
        if ours.plan.code == FREE {
            if !theirs.cancel_at_period_end {
                payments.cancel(&theirs.id, key("cancel")).await?;
            }
            return Ok(());
        }
        // First, since nothing is to be in the way of whoever wants to leave.
        let ends = ours.scheduled.as_ref().is_some_and(|to| to.plan.code == FREE);
        if theirs.cancel_at_period_end != ends {
            payments.set_cancel_at_period_end(&theirs.id, ends, key("end")).await?;
        }
        let wanted = ours.wanted(FREE);
        // Another price for new customers changes nothing for those who agreed to an older one.
        if ours.told.as_ref().is_some_and(|told| told.is_same_plan_as(wanted)) {
            return Ok(());
        }
        let Some(prices) = self.ports.catalog.prices_of(wanted).cloned() else {
            let reason = format!("the plan {} of a paying tenant has no price id", wanted.code);
            return Err(PaymentsError::Refused { reason });
        };
        if !has(&theirs, &prices) {
            let is_more = ours.paid_for.as_ref().is_none_or(|paid_for| !wanted.takes_less_than(paid_for));
            let is_paid = ours.paid_for.as_ref().is_some_and(|paid_for| paid_for.is_same_plan_as(wanted));
            payments.change_prices(&theirs, &prices, is_more && !is_paid, key("prices")).await?;
        }
        Ok(())
    }

    /// Subscribes; a declined payment ends the order, with the provider's words.
    pub(super) async fn place_order(&self, item: &Claimed) -> Result<(), WorkError> {
        let subscription = self.bus.read::<Subscription>(item.tenant, item.tenant).await?;
        let pending = subscription.order.clone().filter(|order| order.outcome == OrderOutcome::Pending);
        let Some(order) = pending else { return self.done(item).await };
        let prices = self.ports.catalog.by_price(&order.price).and_then(|offer| offer.prices.clone());
        let Some(prices) = prices.filter(|_| subscription.require_paid().is_err()) else {
            let reason = "This plan is no longer on offer, or there is a subscription already.";
            return self.decline(item, order.id, Some("not_on_offer"), reason).await;
        };
        let payments = self.payments()?;
        match self.try_order(item, &subscription, &order, prices, payments.as_ref()).await {
            Ok(()) => {}
            Err(OrderTrouble::Payments(PaymentsError::Declined { code, reason })) => {
                self.has_answered(item.task.lane()).await;
                return self.decline(item, order.id, code.as_deref(), &reason).await;
            }
            Err(OrderTrouble::Payments(PaymentsError::CustomerGone)) => {
                self.has_answered(item.task.lane()).await;
                let (code, reason) = (payments::CUSTOMER_GONE, payments::CUSTOMER_GONE_SENTENCE);
                return self.decline(item, order.id, Some(code), reason).await;
            }
            // Nobody expects a charge hours later.
            Err(OrderTrouble::Payments(PaymentsError::Unavailable { .. }))
                if Utc::now() - item.asked_at > ORDER_LASTS =>
            {
                let reason = "The payment provider could not be reached in time. Please try again.";
                return self.decline(item, order.id, Some("expired"), reason).await;
            }
            Err(OrderTrouble::Payments(error)) => return Err(trouble(item, error)),
            Err(OrderTrouble::Work(error)) => return Err(error),
        }
        self.has_answered(item.task.lane()).await;
        let reason = "The payment is not complete: it needs another step with your bank. Use the checkout page.";
        self.decline(item, order.id, Some("payment_incomplete"), reason).await
    }

    async fn try_order(
        &self,
        item: &Claimed,
        subscription: &Subscription,
        order: &starscreen_domain::subscription::Order,
        prices: Prices,
        payments: &dyn Payments,
    ) -> Result<(), OrderTrouble> {
        let customer = self.customer_of(item, subscription, payments).await?;
        // Before it is looked what is there, so that nothing is paid on a page in between.
        payments.close_checkouts(&customer).await?;
        let all = payments::subscriptions_of(payments, subscription, &customer).await?;
        if payments::holding(&all).is_empty() {
            let anchor = subscription.anchor.ok_or(SubscriptionError::NotStarted).map_err(CommandError::from)?;
            let call = Order { tenant: item.tenant, customer: customer.clone(), prices, anchor };
            let key = Uuid::new_v5(&order.id, b"subscribe");
            payments.subscribe(&call, &order.payment_method, key).await?;
        }
        self.follow(item, item.tenant, &customer).await?;
        Ok(())
    }

    /// Ends an order that is still pending, and the item.
    async fn decline(&self, item: &Claimed, order: Uuid, code: Option<&str>, reason: &str) -> Result<(), WorkError> {
        let command = DeclineOrder { order, code: code.map(str::to_owned), reason: reason.to_owned() };
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

    /// Bills one entry of the ledger.
    pub(super) async fn meter_overage(
        &self,
        item: &Claimed,
        entry: EventId,
        metered: Metered,
    ) -> Result<(), WorkError> {
        let Metered { quantity, at } = metered;
        let subscription = self.bus.read::<Subscription>(item.tenant, item.tenant).await?;
        let Some(customer) = subscription.paying_customer().map(str::to_owned) else {
            tracing::warn!(quantity, "metered usage of a tenant that pays nothing is not billed");
            return self.done(item).await;
        };
        let usage = MeteredUsage { entry, customer, quantity, at };
        match self.payments()?.record_usage(&usage).await {
            Ok(()) => {}
            Err(error @ (PaymentsError::Declined { .. } | PaymentsError::CustomerGone)) => {
                self.has_answered(item.task.lane()).await;
                let reason = match error {
                    PaymentsError::Declined { reason, .. } => reason,
                    error => error.to_string(),
                };
                if item.attempts + 1 < MAX_METERING_REFUSALS {
                    return Err(WorkError::Again { reason, after: None, budget: Budget::Refusals });
                }
                return self.give_up_metering(item, entry, metered, reason).await;
            }
            Err(error) => return Err(trouble(item, error)),
        }
        self.has_answered(item.task.lane()).await;
        self.done(item).await
    }

    /// The entry stays in the ledger, as one that is not billed, until somebody mends the cause and redrives it.
    async fn give_up_metering(
        &self,
        item: &Claimed,
        entry: EventId,
        metered: Metered,
        reason: String,
    ) -> Result<(), WorkError> {
        tracing::error!(reason, event.id = %entry, quantity = metered.quantity, "metered usage is given up");
        let grave = dead(item, METERING_DECLINED);
        let grave = grave.map(|grave| DeadWork { subject: entry.0, last_error: reason.clone(), ..grave });
        let usage_id = UsageId(item.subject);
        self.bus
            .commit(report(item).in_turn(), move |unit| {
                let (grave, reason) = (grave.clone(), reason.clone());
                let Metered { quantity, at } = metered;
                Box::pin(async move {
                    let command = GiveUpMetering { entry, quantity, at, reason };
                    if !unit.decide::<Usage>(usage_id, command).await?.is_empty() {
                        unit.add_dead(grave);
                    }
                    Ok(())
                })
            })
            .await?;
        Ok(())
    }

    /// The tenant's customer, made when there is none.
    async fn customer_of(
        &self,
        item: &Claimed,
        subscription: &Subscription,
        payments: &dyn Payments,
    ) -> Result<String, OrderTrouble> {
        if let Some(customer) = &subscription.customer {
            return Ok(customer.clone());
        }
        let email = payments::email_of(&self.bus, self.ports.vault.as_ref(), item.tenant).await?;
        let customer =
            payments.create_customer(item.tenant, email.as_deref(), payments::customer_key(item.tenant)).await?;
        payments::link_customer(&self.bus, on_behalf_of(item), customer.clone()).await?;
        Ok(customer)
    }

    /// Who has a plan is not to pay for it once more on a page that is still open. What is paid counts all the same
    /// where that is refused.
    async fn close_checkouts(&self, item: &Claimed, customer: &str) -> Result<(), WorkError> {
        match self.payments()?.close_checkouts(customer).await {
            Err(error @ PaymentsError::Unavailable { .. }) => Err(trouble(item, error)),
            Err(error) => {
                tracing::warn!(error = %error, "checkout pages that are still open could not be closed");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Asks how the customer's subscriptions stand and records it, again until nothing is new: what was true while an
    /// answer was on its way may be over. Says whether anything was new.
    pub(super) async fn follow(&self, item: &Claimed, tenant: TenantId, customer: &str) -> Result<bool, WorkError> {
        const AT_MOST: usize = 5;
        let payments = self.payments()?;
        let mut was_new = false;
        for _ in 0..AT_MOST {
            let before = self.bus.read::<Subscription>(tenant, tenant).await?;
            let all = payments::subscriptions_of(payments.as_ref(), &before, customer).await;
            let all = all.map_err(|error| trouble(item, error))?;
            let said = Said::new(before.revision, &all, &self.ports.catalog);
            if said.holds_plan() && before.require_paid().is_err() {
                self.close_checkouts(item, before.customer.as_deref().unwrap_or(customer)).await?;
            }
            tell_of_several(customer, &all);
            let (catalog, customer) = (Arc::clone(&self.ports.catalog), customer.to_owned());
            let context = Context { tenant, actor: Actor::Stripe, at: Utc::now(), ..on_behalf_of(item) };
            let committed = self.bus.commit(context.in_turn(), move |unit| {
                let (catalog, said, customer) = (Arc::clone(&catalog), said.clone(), customer.clone());
                Box::pin(async move {
                    let is_new = payments::record(unit, &catalog, said).await?;
                    payments::link(unit, customer).await?;
                    Ok(is_new)
                })
            });
            match committed.await {
                Ok(recorded) if !recorded.output => return Ok(was_new),
                Ok(_) => was_new = true,
                // Something was decided while the answer was on its way: it is asked for again.
                Err(CommandError::Subscription(SubscriptionError::Outdated)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let reason = "the subscription changes all the time".to_owned();
        Err(WorkError::Again { reason, after: None, budget: Budget::Time })
    }
}

/// Nothing is put right: which of them is to go, and what is paid back, is for a person to say.
fn tell_of_several(customer: &str, all: &[PaidSubscription]) {
    let holding: Vec<&str> = payments::holding(all).into_iter().map(|held| held.id.as_str()).collect();
    if holding.len() > 1 {
        let subscriptions = holding.join(", ");
        tracing::error!(
            stripe.customer = customer,
            stripe.subscriptions = subscriptions,
            "a customer pays for several subscriptions; end all but one at the payment provider"
        );
    }
}

/// What is in the way of an order.
enum OrderTrouble {
    Payments(PaymentsError),
    Work(WorkError),
}

impl From<PaymentsError> for OrderTrouble {
    fn from(error: PaymentsError) -> Self {
        Self::Payments(error)
    }
}

impl From<WorkError> for OrderTrouble {
    fn from(error: WorkError) -> Self {
        Self::Work(error)
    }
}

impl From<CommandError> for OrderTrouble {
    fn from(error: CommandError) -> Self {
        Self::Work(error.into())
    }
}

/// A provider that has been down for a while is asked by one item at a time.
pub(super) fn trouble(item: &Claimed, error: PaymentsError) -> WorkError {
    let is_down = down_for(item) > DOWN_AFTER;
    match error {
        PaymentsError::Unavailable { retry_after, .. } if is_down => {
            let wait = retry_after.unwrap_or(LANE_WAITS).min(LONGEST_PAUSE);
            WorkError::Held { reason: error.to_string(), wait, is_down }
        }
        error => error.into(),
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
