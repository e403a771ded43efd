//! `starscreen admin link-customer`: which customer of Stripe an account is.

use starscreen_commands::{
    CommandError, Context, payments,
    ports::{Payments, PaymentsError},
};
use starscreen_domain::{
    subscription::{Subscription, SubscriptionError},
    webhook::ReceiveWebhook,
};
use uuid::Uuid;

use super::{OperatorError, on_behalf_of, open, table::say};
use crate::{
    config::Settings,
    outbound::stripe::{StripePayments, TIMEOUT},
    roles::{Opened, stripe_payments},
};

/// Links the account's tenant with a customer that is at Stripe already, and has asked how it stands there. With a
/// reason it takes the place of the customer that is linked.
///
/// # Errors
/// An [`OperatorError`] that says what is in the way; nothing is changed then.
pub async fn link(
    settings: &Settings,
    email: &str,
    customer: &str,
    replacing: Option<String>,
) -> Result<(), OperatorError> {
    let is_id = customer.strip_prefix("cus_").is_some_and(|rest| {
        !rest.is_empty() && rest.len() < 252 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    });
    if !is_id {
        return Err(usage(format!("\"{customer}\" is no customer of Stripe's; their ids begin with cus_")));
    }
    let provider = stripe_payments(settings, TIMEOUT)?;
    let opened = open(settings).await?;
    let outcome = linked(&opened, provider.as_ref(), email, customer, replacing).await;
    opened.close().await;
    outcome
}

async fn linked(
    opened: &Opened,
    provider: Option<&StripePayments>,
    email: &str,
    customer: &str,
    replacing: Option<String>,
) -> Result<(), OperatorError> {
    let context = on_behalf_of(opened, email).await?;
    let bus = &opened.write.bus;
    let before = bus.read::<Subscription>(context.tenant, context.tenant).await?;
    let is_former = before.former_customers.iter().any(|former| former == customer);
    let former = before.customer.filter(|linked| linked != customer);
    match (replacing, &former) {
        (Some(reason), Some(former)) => {
            if let Some(provider) = provider {
                look(provider, customer, former).await?;
            }
            let replaced = payments::replace_customer(bus, context.clone(), customer.to_owned(), reason).await;
            if let Err(CommandError::Subscription(SubscriptionError::StillPaid(known))) = &replaced
                && provider.is_some()
            {
                ask(opened, &context, former).await?;
                return Err(usage(format!(
                    "{former} still has the subscription {known} here, and not at Stripe any more; that is asked for \
                     now, so try again in a moment"
                )));
            }
            replaced?;
        }
        (None, Some(former)) if is_former => {
            return Err(usage(format!("{former} took the place of {customer}; --replace brings it back")));
        }
        _ => {
            payments::link_customer(bus, context.clone(), customer.to_owned()).await?;
        }
    }
    let place =
        former.map_or_else(String::new, |former| format!(" in the place of {former}, of which all still counts"));
    if provider.is_none() {
        say(format_args!("{email}: {customer} is linked{place}; STRIPE_API_KEY is not set, so nothing is asked there"));
        return Ok(());
    }
    ask(opened, &context, customer).await?;
    say(format_args!(
        "{email}: {customer} is linked{place}; what it has at Stripe is asked for and counts in a moment"
    ));
    Ok(())
}

/// Whether one may take the place of the other, as Stripe has both. Pages that the former one could pay on are closed.
async fn look(provider: &StripePayments, customer: &str, former: &str) -> Result<(), OperatorError> {
    let unclear = |error: PaymentsError| usage(format!("Stripe cannot be asked: {error}"));
    if provider.is_gone(customer).await.map_err(unclear)? {
        return Err(usage(format!("Stripe does not have {customer}, or not any more")));
    }
    match provider.close_checkouts(former).await {
        Ok(()) | Err(PaymentsError::CustomerGone) => {}
        Err(error) => return Err(unclear(error)),
    }
    let theirs = match provider.subscriptions(former).await {
        Ok(theirs) => theirs,
        Err(PaymentsError::CustomerGone) => vec![],
        Err(error) => return Err(unclear(error)),
    };
    match payments::holding(&theirs).first() {
        None => Ok(()),
        Some(living) => Err(usage(format!("{former} still pays for {}: end it at Stripe first", living.id))),
    }
}

/// As if Stripe had told of it: the lane `webhook` asks what the customer has and records it.
async fn ask(opened: &Opened, context: &Context, customer: &str) -> Result<(), OperatorError> {
    let notice = ReceiveWebhook {
        notice: format!("operator-{}", Uuid::now_v7()),
        kind: "customer.linked".to_owned(),
        customer: Some(customer.to_owned()),
        created: context.at,
    };
    payments::receive_webhook(&opened.write.bus, notice).await?;
    Ok(())
}

fn usage(sentence: String) -> OperatorError {
    OperatorError::Usage(sentence)
}
