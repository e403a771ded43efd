//! What the payment provider says, and what becomes of it here.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use starscreen_domain::{
    Actor, CustomerId, TenantId, WebhookId,
    account::Account,
    customer::{ClaimCustomer, Customer},
    subscription::{
        LinkCustomer, Paid, RecordProviderState, ReplaceCustomer, Subscription, SubscriptionEvent, SubscriptionStatus,
    },
    webhook::{ReceiveWebhook, RetryWebhook, Webhook},
};
use uuid::Uuid;

use crate::{
    bus::{Bus, Committed, Context, Unit},
    catalog::Catalog,
    error::CommandError,
    ports::{PaidSubscription, Payments, PaymentsError, Vault},
    subscription::bring_limit,
};

/// Takes in a notice: once, however often it comes. The lane `webhook` follows it.
///
/// # Errors
/// When the store fails; the provider then sends it again.
pub async fn receive_webhook(bus: &Bus, command: ReceiveWebhook) -> Result<Committed<()>, CommandError> {
    let context = Context::new(TenantId::default(), Actor::Stripe, Utc::now());
    let id = WebhookId::of(&command.notice);
    bus.commit(context, move |unit| {
        let command = command.clone();
        Box::pin(async move { unit.decide::<Webhook>(id, command).await.map(drop) })
    })
    .await
}

/// Follows a notice again that was given up.
///
/// # Errors
/// [`starscreen_domain::webhook::WebhookError::NotGivenUp`].
pub async fn retry_webhook(bus: &Bus, context: Context, id: WebhookId) -> Result<Committed<()>, CommandError> {
    bus.commit(context, move |unit| {
        Box::pin(async move {
            unit.decide::<Webhook>(id, RetryWebhook).await?;
            unit.redrive(id);
            Ok(())
        })
    })
    .await
}

/// The key under which a tenant's customer is made at the provider: one, whoever asks.
pub fn customer_key(tenant: TenantId) -> Uuid {
    Uuid::new_v5(&tenant.0, b"customer")
}

/// The address that the tenant's customer has at the provider; `None`: there is none, or the person was erased.
///
/// # Errors
/// When history or keys cannot be read.
pub async fn email_of(bus: &Bus, vault: &dyn Vault, tenant: TenantId) -> Result<Option<String>, CommandError> {
    let Account { user_id: Some(user), email: Some(email) } = bus.read::<Account>(tenant, tenant).await? else {
        return Ok(None);
    };
    let Some(key) = vault.subject_key(tenant, user.0).await? else { return Ok(None) };
    Ok(Some(String::from_utf8_lossy(&key.open_bytes("email", &email.data)?).into_owned()))
}

/// Links the tenant with its customer at the provider, for ever.
///
/// # Errors
/// When one of both is linked with another.
pub async fn link_customer(bus: &Bus, context: Context, customer: String) -> Result<Committed<()>, CommandError> {
    bus.commit(context, move |unit| {
        let customer = customer.clone();
        Box::pin(async move { link(unit, customer).await })
    })
    .await
}

pub(crate) async fn link(unit: &mut Unit, customer: String) -> Result<(), CommandError> {
    let tenant_id = unit.tenant();
    let id = CustomerId::of(&customer);
    unit.decide::<Customer>(id, ClaimCustomer { customer: customer.clone(), tenant_id }).await?;
    unit.decide::<Subscription>(tenant_id, LinkCustomer { customer }).await.map(drop)
}

/// Puts a customer in the place of the linked one, which stays the tenant's: what is told of it later still counts.
///
/// # Errors
/// When it is somebody else's, or the linked one still has a subscription here.
pub async fn replace_customer(
    bus: &Bus,
    context: Context,
    customer: String,
    reason: String,
) -> Result<Committed<()>, CommandError> {
    bus.commit(context, move |unit| {
        let (customer, reason) = (customer.clone(), reason.clone());
        Box::pin(async move {
            let tenant_id = unit.tenant();
            let claim = ClaimCustomer { customer: customer.clone(), tenant_id };
            unit.decide::<Customer>(CustomerId::of(&customer), claim).await?;
            unit.decide::<Subscription>(tenant_id, ReplaceCustomer { customer, reason }).await.map(drop)
        })
    })
    .await
}

/// Code of an order that is declined because of [`PaymentsError::CustomerGone`], and what is told to whoever pays.
pub const CUSTOMER_GONE: &str = "customer_gone";
pub const CUSTOMER_GONE_SENTENCE: &str = "Your customer account was deleted at the payment provider. Please ask the \
    operator of this server to link a new one; until then nothing can be paid or changed there.";

/// What the tenant has at the provider: of the linked customer, or of `customer` where none is linked yet, and of those
/// that were linked before. Whoever was deleted there has nothing.
///
/// # Errors
/// Those of [`Payments::subscriptions`], and of [`Payments::is_gone`]: a plan does not end because a customer that is
/// there was not found once.
pub async fn subscriptions_of(
    payments: &dyn Payments,
    subscription: &Subscription,
    customer: &str,
) -> Result<Vec<PaidSubscription>, PaymentsError> {
    let linked = subscription.customer.as_deref().unwrap_or(customer);
    let is_linked = subscription.customer.is_some();
    let mut all = match payments.subscriptions(linked).await {
        Err(PaymentsError::CustomerGone) if is_linked && payments.is_gone(linked).await? => vec![],
        theirs => theirs?,
    };
    for former in &subscription.former_customers {
        match payments.subscriptions(former).await {
            Ok(theirs) => all.extend(theirs),
            Err(PaymentsError::CustomerGone) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

/// What the provider said when it was asked for all subscriptions of a customer, in the state of `revision` here.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Said {
    pub revision: u64,
    pub paid: Option<Paid>,
}

impl Said {
    /// Of several subscriptions the one that gives most counts: a second one that is incomplete or over takes nothing
    /// away from the first, and of two that are paid the larger plan is the tenant's.
    pub fn new(revision: u64, subscriptions: &[PaidSubscription], catalog: &Catalog) -> Self {
        let gives = |subscription: &PaidSubscription| {
            (weight(subscription), candidates(subscription, catalog), subscription.created)
        };
        let best = subscriptions.iter().max_by_key(|subscription| gives(subscription));
        Self { revision, paid: best.and_then(paid) }
    }

    /// Whether a plan is paid for, or owed.
    pub fn holds_plan(&self) -> bool {
        self.paid.as_ref().is_some_and(|paid| paid.status.holds_plan())
    }
}

/// Those whose plan somebody pays for; more than one is one too many.
pub fn holding(subscriptions: &[PaidSubscription]) -> Vec<&PaidSubscription> {
    let holds = |subscription: &&PaidSubscription| SubscriptionStatus::of(&subscription.status).holds_plan();
    subscriptions.iter().filter(holds).collect()
}

/// What its plan takes a period.
fn candidates(subscription: &PaidSubscription, catalog: &Catalog) -> u64 {
    let offers = subscription.items.iter().filter_map(|item| catalog.by_price(&item.price));
    offers.map(|offer| offer.terms.monthly_limit.map_or(u64::MAX, u64::from)).max().unwrap_or_default()
}

fn weight(subscription: &PaidSubscription) -> u8 {
    match SubscriptionStatus::of(&subscription.status) {
        SubscriptionStatus::Active | SubscriptionStatus::Trialing => 5,
        SubscriptionStatus::Unknown => 4,
        SubscriptionStatus::PastDue => 3,
        SubscriptionStatus::Unpaid | SubscriptionStatus::Paused => 2,
        SubscriptionStatus::Incomplete => 1,
        SubscriptionStatus::IncompleteExpired | SubscriptionStatus::Canceled => 0,
    }
}

fn paid(subscription: &PaidSubscription) -> Option<Paid> {
    let base = subscription.items.iter().find(|item| !item.metered).or(subscription.items.first())?;
    let status = SubscriptionStatus::of(&subscription.status);
    if status == SubscriptionStatus::Unknown {
        tracing::warn!(stripe.status = subscription.status, "a subscription has a status that is not known here");
    }
    Some(Paid {
        id: subscription.id.clone(),
        price: base.price.clone(),
        status,
        cancel_at_period_end: subscription.cancel_at_period_end,
        period_end: subscription.period_end,
        customer: Some(subscription.customer.clone()),
    })
}

/// Records what the provider said, and brings what follows from it into the ledger. Says whether anything was new.
///
/// # Errors
/// [`starscreen_domain::subscription::SubscriptionError::Outdated`] when something was decided since it was asked.
pub(crate) async fn record(unit: &mut Unit, catalog: &Catalog, said: Said) -> Result<bool, CommandError> {
    let (tenant, at): (_, DateTime<Utc>) = (unit.tenant(), unit.at());
    let period_end = unit.state::<Subscription>(tenant).await?.period(at)?.end;
    let Said { revision, paid } = said;
    let plan = paid.as_ref().and_then(|paid| catalog.by_price(&paid.price)).map(|offer| offer.terms.clone());
    if let (Some(paid), None) = (&paid, &plan) {
        tracing::warn!(stripe.price = paid.price, "a subscription has a price that is not on offer here");
    }
    let grace_until = at + catalog.grace;
    let free = catalog.free();
    let command = RecordProviderState { revision, paid, plan, free, at, period_end, grace_until };
    let events = unit.decide::<Subscription>(tenant, command).await?;
    if events.iter().any(|event| matches!(event, SubscriptionEvent::PlanChanged { .. })) {
        bring_limit(unit).await?;
    }
    Ok(!events.is_empty())
}
