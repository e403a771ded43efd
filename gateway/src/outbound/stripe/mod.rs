//! The payment provider's port over Stripe's API, and what comes back from Stripe as webhooks.
//!
//! Calls are forms, answers are read without trust: fields and statuses that are not known here change nothing. Every
//! write carries the caller's key, so that a repeated one is one.

mod client;
mod form;
mod notice;
mod objects;
mod ordering;
mod refusal;
mod signature;

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use secrecy::SecretString;
use serde_json::json;
use starscreen_commands::ports::{MeteredUsage, Order, PaidSubscription, Payments, PaymentsError, Preview, Prices};
use starscreen_domain::TenantId;
use uuid::Uuid;

use client::Client;
use form::Form;
use objects::{preview, subscription, text};
use ordering::{anchored, changed, ordered};
use refusal::{Kind, Refusal};

pub use client::{ConnectError, VERSION};
pub use notice::{Notice, NoticeError};
pub use signature::{SignatureError, TOLERANCE_SECONDS, verify};

/// Where Stripe is.
pub const BASE_URL: &str = "https://api.stripe.com";
/// How long Stripe's own libraries wait; a payment that is asked for is not given up early.
pub const TIMEOUT: Duration = Duration::from_secs(80);
const TENANT: &str = "metadata[tenant_id]";

/// How to reach Stripe, and where it sends people back to.
#[derive(Clone, Debug)]
pub struct StripeOptions {
    pub api_key: SecretString,
    /// Without the version, such as [`BASE_URL`].
    pub base_url: String,
    /// Name of the events of the meter that counts candidates over the included ones. Its payload keys are Stripe's
    /// defaults, `stripe_customer_id` and `value`.
    pub meter_event_name: String,
    pub checkout_success_url: String,
    pub checkout_cancel_url: String,
    pub portal_return_url: String,
    /// How long one call may take.
    pub timeout: Duration,
}

pub struct StripePayments {
    client: Client,
    options: StripeOptions,
    /// Found once by the name of its events.
    meter: Mutex<Option<String>>,
}

/// What a look at Stripe tells an operator. Nothing is changed by it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Prices that Stripe does not know, or not in the mode of this key.
    pub unknown_prices: Vec<String>,
    /// Prices that nobody can be subscribed to any more.
    pub inactive_prices: Vec<String>,
    /// Whether an active meter takes our usage.
    pub has_meter: bool,
}

impl StripePayments {
    /// # Errors
    /// When the address or the key cannot be one, or there is no TLS.
    pub fn connect(options: StripeOptions) -> Result<Self, ConnectError> {
        let client = Client::new(&options.api_key, &options.base_url, options.timeout)?;
        Ok(Self { client, options, meter: Mutex::new(None) })
    }

    pub fn host(&self) -> &str {
        self.client.host()
    }

    /// Reads each of `prices` and the meters, for `doctor`.
    ///
    /// # Errors
    /// [`PaymentsError::Refused`] when the key is wrong or may not read them, [`PaymentsError::Unavailable`] when
    /// nobody answers.
    pub async fn check(&self, prices: &[&str]) -> Result<Checked, PaymentsError> {
        let mut checked = Checked { has_meter: self.find_meter().await?.is_some(), ..Checked::default() };
        for price in prices {
            match self.client.get(&["prices", price], &Form::default()).await {
                Ok(found) if found["active"] == false => checked.inactive_prices.push((*price).to_owned()),
                Ok(_) => {}
                Err(refusal) if refusal.kind == Kind::Missing => checked.unknown_prices.push((*price).to_owned()),
                Err(refusal) => return Err(refusal.error),
            }
        }
        Ok(checked)
    }

    async fn find_meter(&self) -> Result<Option<String>, Refusal> {
        let meters = self.client.list(&["billing", "meters"], Form::of(&[("status", "active")])).await?;
        let ours = meters.iter().find(|meter| meter["event_name"] == self.options.meter_event_name.as_str());
        Ok(ours.and_then(|meter| text(&meter["id"])))
    }

    async fn meter(&self) -> Result<String, Refusal> {
        let known = self.meter.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = known {
            return Ok(known);
        }
        let found = self.find_meter().await?.ok_or_else(refusal::no_meter)?;
        *self.meter.lock().unwrap_or_else(PoisonError::into_inner) = Some(found.clone());
        Ok(found)
    }
}

/// A caller's key may go with several calls, but for Stripe a key is that of one.
fn keyed(key: Uuid, step: &str) -> String {
    format!("{key}-{step}")
}

#[async_trait]
impl Payments for StripePayments {
    #[tracing::instrument(name = "stripe.create_customer", skip_all, fields(tenant.id = %tenant))]
    async fn create_customer(&self, tenant: TenantId, email: Option<&str>, key: Uuid) -> Result<String, PaymentsError> {
        let mut form = Form::of(&[(TENANT, &tenant.to_string())]);
        if let Some(email) = email {
            form.set("email", email);
        }
        let customer = self.client.post(&["customers"], &form, Some(&keyed(key, "customer"))).await?;
        text(&customer["id"]).ok_or_else(|| refusal::foreign("customer"))
    }

    #[tracing::instrument(name = "stripe.tenant_of", skip_all)]
    async fn tenant_of(&self, customer: &str) -> Result<Option<TenantId>, PaymentsError> {
        match self.client.get(&["customers", customer], &Form::default()).await {
            // What is left of a deleted one has no metadata.
            Ok(found) => Ok(found["metadata"]["tenant_id"].as_str().and_then(|tenant| tenant.parse().ok())),
            Err(refusal) if refusal.kind == Kind::Missing => Ok(None),
            Err(refusal) => Err(refusal.error),
        }
    }

    #[tracing::instrument(name = "stripe.is_gone", skip_all)]
    async fn is_gone(&self, customer: &str) -> Result<bool, PaymentsError> {
        match self.client.get(&["customers", customer], &Form::default()).await {
            Ok(found) => Ok(found["deleted"] == true),
            Err(refusal) if refusal.kind == Kind::Missing => Ok(true),
            Err(refusal) => Err(refusal.error),
        }
    }

    #[tracing::instrument(name = "stripe.subscriptions", skip_all)]
    async fn subscriptions(&self, customer: &str) -> Result<Vec<PaidSubscription>, PaymentsError> {
        let of_all_times = Form::of(&[("customer", customer), ("status", "all")]);
        let found = self.client.list(&["subscriptions"], of_all_times).await?;
        let mut subscriptions = found.iter().map(subscription).collect::<Result<Vec<_>, _>>()?;
        subscriptions.sort_by_key(|subscription| std::cmp::Reverse(subscription.created));
        Ok(subscriptions)
    }

    /// Without the first payment there is no subscription; where a bank wants to see its customer, that is what the
    /// hosted page is for.
    #[tracing::instrument(name = "stripe.subscribe", skip_all, fields(tenant.id = %order.tenant))]
    async fn subscribe(
        &self,
        order: &Order,
        payment_method: &str,
        key: Uuid,
    ) -> Result<PaidSubscription, PaymentsError> {
        let customer = order.customer.as_str();
        let to_customer = Form::of(&[("customer", customer)]);
        let attach = ["payment_methods", payment_method, "attach"];
        let attached = self.client.post(&attach, &to_customer, Some(&keyed(key, "attach"))).await?;
        // A method that is made for tests gets another id when it is attached.
        let attached = text(&attached["id"]).unwrap_or_else(|| payment_method.to_owned());
        let by_default = Form::of(&[("invoice_settings[default_payment_method]", &attached)]);
        self.client.post(&["customers", customer], &by_default, Some(&keyed(key, "default"))).await?;

        let mut form = Form::of(&[
            ("customer", customer),
            (TENANT, &order.tenant.to_string()),
            ("proration_behavior", "create_prorations"),
            ("payment_behavior", "error_if_incomplete"),
        ]);
        anchored(&mut form, "billing_cycle_anchor_config", order.anchor);
        ordered(&mut form, "items", &order.prices);
        let made = self.client.post(&["subscriptions"], &form, Some(&keyed(key, "subscribe"))).await?;
        Ok(subscription(&made)?)
    }

    /// A difference that cannot be paid changes nothing.
    #[tracing::instrument(name = "stripe.change_prices", skip_all)]
    async fn change_prices(
        &self,
        subscription: &PaidSubscription,
        prices: &Prices,
        prorate: bool,
        key: Uuid,
    ) -> Result<PaidSubscription, PaymentsError> {
        let mut form = Form::default();
        changed(&mut form, "items", subscription, prices);
        if prorate {
            form.set("proration_behavior", "always_invoice");
            form.set("payment_behavior", "error_if_incomplete");
        } else {
            form.set("proration_behavior", "none");
        }
        let changed =
            self.client.post(&["subscriptions", &subscription.id], &form, Some(&keyed(key, "change"))).await?;
        Ok(objects::subscription(&changed)?)
    }

    #[tracing::instrument(name = "stripe.set_cancel_at_period_end", skip_all)]
    async fn set_cancel_at_period_end(
        &self,
        subscription: &str,
        cancel: bool,
        key: Uuid,
    ) -> Result<PaidSubscription, PaymentsError> {
        let form = Form::of(&[("cancel_at_period_end", if cancel { "true" } else { "false" })]);
        let changed = self
            .client
            .post(&["subscriptions", subscription], &form, Some(&keyed(key, "cancel_at_period_end")))
            .await?;
        Ok(objects::subscription(&changed)?)
    }

    /// What was used is invoiced, what was paid for is not given back. Stripe does not heed keys here: ended once, it
    /// answers 404, and how it ended is looked up.
    #[tracing::instrument(name = "stripe.cancel", skip_all)]
    async fn cancel(&self, subscription: &str, _key: Uuid) -> Result<PaidSubscription, PaymentsError> {
        let path = ["subscriptions", subscription];
        let ended = match self.client.delete(&path, &Form::of(&[("invoice_now", "true"), ("prorate", "false")])).await {
            Err(refusal) if refusal.kind == Kind::Missing => self.client.get(&path, &Form::default()).await,
            ended => ended,
        };
        Ok(objects::subscription(&ended?)?)
    }

    #[tracing::instrument(name = "stripe.checkout", skip_all, fields(tenant.id = %order.tenant))]
    async fn checkout(&self, order: &Order, key: Uuid) -> Result<String, PaymentsError> {
        let tenant = order.tenant.to_string();
        let mut form = Form::of(&[
            ("mode", "subscription"),
            ("customer", &order.customer),
            ("client_reference_id", &tenant),
            ("subscription_data[metadata][tenant_id]", &tenant),
            ("success_url", &self.options.checkout_success_url),
            ("cancel_url", &self.options.checkout_cancel_url),
        ]);
        anchored(&mut form, "subscription_data[billing_cycle_anchor_config]", order.anchor);
        ordered(&mut form, "line_items", &order.prices);
        let session = self.client.post(&["checkout", "sessions"], &form, Some(&keyed(key, "checkout"))).await?;
        text(&session["url"]).ok_or_else(|| refusal::foreign("checkout session"))
    }

    /// Only one that is open can be closed; where that is refused, it is looked whether it still is.
    #[tracing::instrument(name = "stripe.close_checkouts", skip_all)]
    async fn close_checkouts(&self, customer: &str) -> Result<(), PaymentsError> {
        let open = Form::of(&[("customer", customer), ("status", "open")]);
        let sessions = self.client.list(&["checkout", "sessions"], open).await?;
        let ours = sessions.iter().filter(|session| session["mode"] == "subscription");
        for id in ours.filter_map(|session| text(&session["id"])) {
            let path = ["checkout", "sessions", &id];
            let Err(refusal) = self.client.post(&[&path[..], &["expire"]].concat(), &Form::default(), None).await
            else {
                continue;
            };
            if !matches!(refusal.error, PaymentsError::Declined { .. }) {
                return Err(refusal.error);
            }
            match self.client.get(&path, &Form::default()).await {
                Ok(session) if session["status"] == "open" => return Err(refusal.error),
                Err(other) if other.kind != Kind::Missing => return Err(other.error),
                _ => {}
            }
        }
        Ok(())
    }

    #[tracing::instrument(name = "stripe.portal", skip_all)]
    async fn portal(&self, customer: &str) -> Result<String, PaymentsError> {
        let form = Form::of(&[("customer", customer), ("return_url", &self.options.portal_return_url)]);
        let session = self.client.post(&["billing_portal", "sessions"], &form, None).await?;
        text(&session["url"]).ok_or_else(|| refusal::foreign("portal session"))
    }

    #[tracing::instrument(name = "stripe.preview", skip_all)]
    async fn preview(&self, subscription: &PaidSubscription, prices: &Prices) -> Result<Preview, PaymentsError> {
        let mut form = Form::of(&[
            ("subscription", subscription.id.as_str()),
            ("subscription_details[proration_behavior]", "always_invoice"),
        ]);
        changed(&mut form, "subscription_details[items]", subscription, prices);
        let mut invoice = self.client.post(&["invoices", "create_preview"], &form, None).await?;
        let id = text(&invoice["id"]).filter(|_| invoice["lines"]["has_more"] == true);
        if let Some(id) = id {
            match self.client.list(&["invoices", &id, "lines"], Form::default()).await {
                Ok(lines) => invoice["lines"] = json!({"data": lines}),
                Err(Refusal { error: error @ PaymentsError::Unavailable { .. }, .. }) => return Err(error),
                // An invoice that is none may have forgotten its lines by now. What they come to is known all the same.
                Err(refusal) => tracing::warn!(error = %refusal.error, "a preview has more lines than can be read"),
            }
        }
        preview(&invoice)
    }

    /// Known by the entry alone: a key would make Stripe repeat a failure that it remembers.
    #[tracing::instrument(name = "stripe.record_usage", skip_all, fields(event.id = %usage.entry))]
    async fn record_usage(&self, usage: &MeteredUsage) -> Result<(), PaymentsError> {
        let form = Form::of(&[
            ("event_name", self.options.meter_event_name.as_str()),
            ("identifier", &usage.entry.to_string()),
            ("timestamp", &usage.at.timestamp().to_string()),
            ("payload[stripe_customer_id]", &usage.customer),
            ("payload[value]", &usage.quantity.to_string()),
        ]);
        match self.client.post(&["billing", "meter_events"], &form, None).await {
            Err(refusal) if refusal.kind != Kind::Duplicate => Err(refusal.error),
            _ => Ok(()),
        }
    }

    #[tracing::instrument(name = "stripe.recorded_usage", skip_all)]
    async fn recorded_usage(
        &self,
        customer: &str,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Result<i64, PaymentsError> {
        let minute = |at: DateTime<Utc>| at.duration_trunc(TimeDelta::minutes(1)).unwrap_or(at).timestamp();
        let (from, to) = (minute(from), minute(to));
        if from >= to {
            return Ok(0);
        }
        let meter = self.meter().await?;
        let between =
            Form::of(&[("customer", customer), ("start_time", &from.to_string()), ("end_time", &to.to_string())]);
        let summaries = self.client.list(&["billing", "meters", &meter, "event_summaries"], between).await;
        if summaries.as_ref().is_err_and(|refusal| refusal.kind == Kind::Missing) {
            *self.meter.lock().unwrap_or_else(PoisonError::into_inner) = None; // another one may have its name
        }
        Ok(objects::total(&summaries?))
    }
}
