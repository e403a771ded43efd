//! Pages of the payment provider where people pay and see their invoices, and what a change would cost. These calls
//! change nothing here, so they are made while the client waits.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use starscreen_commands::{
    payments,
    ports::{Order, Payments, PaymentsError},
};
use starscreen_domain::subscription::{OrderOutcome, Subscription, SubscriptionError};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    App,
    caller::{Caller, Request},
    error::{ApiError, Code, Problem},
    extract::{Json as Body, Query},
    plans::{BillingPeriod, NewTier, offer, require_payments, require_price},
};

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(checkout)).routes(routes!(portal)).routes(routes!(preview))
}

#[derive(Debug, Serialize, ToSchema)]
pub struct PageResponse {
    /// To be opened in a browser.
    pub url: String,
}

#[derive(Debug, Deserialize, ToSchema)]
pub struct Checkout {
    /// The plan's name, in upper or lower case.
    #[schema(example = "starter")]
    pub tier: String,
    #[serde(default)]
    pub billing_period: BillingPeriod,
}

/// A hosted page where the plan can be paid for. It comes into force when that is done. Pages that were made before are
/// closed.
#[utoipa::path(post, path = "/subscriptions/checkout", operation_id = "createCheckout", tag = "Subscriptions",
    security(("bearer" = [])), request_body = Checkout,
    responses((status = 200, body = PageResponse), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
#[tracing::instrument(name = "http.subscriptions.checkout", skip_all, fields(tenant.id = %caller.tenant))]
async fn checkout(
    caller: Caller,
    State(app): State<App>,
    request: Request,
    Body(given): Body<Checkout>,
) -> Result<Json<PageResponse>, ApiError> {
    let provider = provider(&app)?;
    let offer = offer(&app, &given.tier, given.billing_period.into())?;
    let Some(prices) = offer.prices.clone() else {
        let sentence = format!("The {} plan cannot be bought.", offer.terms.display_name);
        return Err(ApiError::new(Code::InvalidPlan, sentence));
    };
    let subscription = app.bus.read::<Subscription>(caller.tenant, caller.tenant).await?;
    if subscription.require_paid().is_ok() {
        let sentence = "You have a subscription already. Change its plan with POST /api/v1/subscriptions/upgrade.";
        return Err(ApiError::new(Code::Conflict, sentence));
    }
    if subscription.order.as_ref().is_some_and(|order| order.outcome == OrderOutcome::Pending) {
        return Err(ApiError::new(Code::Conflict, "An order is being carried out; please try again in a moment."));
    }
    let customer = match &subscription.customer {
        Some(customer) => customer.clone(),
        None => new_customer(&app, caller, &request, provider).await?,
    };
    // What was just paid on another page shows once none is open any more, and before its notice has come.
    provider.close_checkouts(&customer).await.map_err(refused)?;
    let all = payments::subscriptions_of(provider, &subscription, &customer).await.map_err(refused)?;
    if !payments::holding(&all).is_empty() {
        let sentence = "A subscription has just been paid for; its plan comes into force in a moment. Change it with \
                        POST /api/v1/subscriptions/upgrade.";
        return Err(ApiError::new(Code::Conflict, sentence));
    }
    let anchor = subscription.anchor.ok_or(SubscriptionError::NotStarted);
    let anchor = anchor.map_err(starscreen_commands::CommandError::from)?;
    let order = Order { tenant: caller.tenant, customer, prices, anchor };
    let url = provider.checkout(&order, Uuid::now_v7()).await.map_err(refused)?;
    Ok(Json(PageResponse { url }))
}

/// The tenant's customer at the provider: one, however often it is asked for.
async fn new_customer(
    app: &App,
    caller: Caller,
    request: &Request,
    provider: &dyn Payments,
) -> Result<String, ApiError> {
    let email = payments::email_of(&app.bus, app.vault.as_ref(), caller.tenant).await?;
    let once = payments::customer_key(caller.tenant);
    let customer = provider.create_customer(caller.tenant, email.as_deref(), once).await.map_err(refused)?;
    let context = request.context(caller, String::new);
    let context = starscreen_commands::Context { idempotency: None, ..context };
    payments::link_customer(&app.bus, context, customer.clone()).await?;
    Ok(customer)
}

/// A hosted page with invoices and payment methods.
#[utoipa::path(post, path = "/subscriptions/portal", operation_id = "createPortal", tag = "Subscriptions",
    security(("bearer" = [])),
    responses((status = 200, body = PageResponse), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 503, body = Problem)))]
#[tracing::instrument(name = "http.subscriptions.portal", skip_all, fields(tenant.id = %caller.tenant))]
async fn portal(caller: Caller, State(app): State<App>) -> Result<Json<PageResponse>, ApiError> {
    let provider = provider(&app)?;
    let subscription = app.bus.read::<Subscription>(caller.tenant, caller.tenant).await?;
    let customer = subscription.paying_customer();
    let customer = customer.ok_or_else(|| ApiError::not_found("No subscription found. Please subscribe first."))?;
    Ok(Json(PageResponse { url: provider.portal(customer).await.map_err(refused)? }))
}

#[derive(Debug, Serialize, ToSchema)]
pub struct PreviewResponse {
    pub new_plan: String,
    pub new_limit: Option<u32>,
    /// When it would come into force.
    pub effective_date: DateTime<Utc>,
    /// Invoiced at once, in the smallest unit of the currency; negative: a credit.
    pub amount_due: i64,
    #[schema(example = "usd")]
    pub currency: String,
    pub lines: Vec<PreviewLine>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct PreviewLine {
    pub description: String,
    pub amount: i64,
}

/// What a change of the plan would cost now. Changes nothing.
#[utoipa::path(get, path = "/subscriptions/preview", operation_id = "previewPlanChange", tag = "Subscriptions",
    security(("bearer" = [])), params(NewTier),
    responses((status = 200, body = PreviewResponse), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem),
        (status = 503, body = Problem)))]
#[tracing::instrument(name = "http.subscriptions.preview", skip_all, fields(tenant.id = %caller.tenant))]
async fn preview(
    caller: Caller,
    State(app): State<App>,
    Query(to): Query<NewTier>,
) -> Result<Json<PreviewResponse>, ApiError> {
    let provider = provider(&app)?;
    let offer = offer(&app, &to.new_tier, to.billing_period.into())?;
    require_price(offer)?;
    let subscription = app.bus.read::<Subscription>(caller.tenant, caller.tenant).await?;
    let paid = subscription.require_paid().map_err(starscreen_commands::CommandError::from)?;
    let now = Utc::now();
    let currency =
        offer.terms.price.as_ref().map_or_else(|| app.settings.stripe.currency.clone(), |p| p.currency.clone());
    let mut answer = PreviewResponse {
        new_plan: offer.terms.code.clone(),
        new_limit: offer.terms.monthly_limit,
        effective_date: now,
        amount_due: 0,
        currency,
        lines: vec![],
    };
    let Some(prices) = offer.prices.as_ref().filter(|_| !offer.terms.takes_less_than(&subscription.plan)) else {
        let period = subscription.period(now).map_err(starscreen_commands::CommandError::from)?;
        answer.effective_date = period.end; // nothing is invoiced for a plan that begins later
        return Ok(Json(answer));
    };
    let customer = subscription.customer.as_deref().unwrap_or_default();
    let all = payments::subscriptions_of(provider, &subscription, customer).await.map_err(refused)?;
    let theirs = all.iter().find(|theirs| theirs.id == paid.id);
    let theirs = theirs.ok_or_else(|| ApiError::not_found("No active subscription found"))?;
    let previewed = provider.preview(theirs, prices).await.map_err(refused)?;
    answer.amount_due = previewed.amount_due;
    answer.currency = previewed.currency;
    let line = |line: starscreen_commands::ports::PreviewLine| PreviewLine {
        description: line.description,
        amount: line.amount,
    };
    answer.lines = previewed.lines.into_iter().map(line).collect();
    Ok(Json(answer))
}

fn provider(app: &App) -> Result<&dyn Payments, ApiError> {
    require_payments(app)?;
    app.payments.as_deref().ok_or_else(|| ApiError::new(Code::Unavailable, "No payment provider is set up."))
}

fn refused(error: PaymentsError) -> ApiError {
    match error {
        PaymentsError::Unavailable { .. } => {
            tracing::warn!(error = %error, "the payment provider is unavailable");
            let sentence = "The payment provider does not answer right now. Nothing was changed; please try again.";
            ApiError::new(Code::Unavailable, sentence)
        }
        PaymentsError::Refused { .. } => {
            tracing::error!(error = %error, "the payment provider refuses to work: this needs a person");
            let sentence = "The payment provider refuses to work with this server. Its operator has to mend that.";
            ApiError::new(Code::Unavailable, sentence)
        }
        PaymentsError::CustomerGone => {
            tracing::error!("a customer was deleted at the payment provider: link another by admin link-customer");
            ApiError::new(Code::Conflict, payments::CUSTOMER_GONE_SENTENCE)
        }
        PaymentsError::Declined { reason, .. } => ApiError::new(Code::PaymentDeclined, reason),
    }
}
