//! What can be subscribed to, and the ways from one plan to another.

use std::time::{Duration, Instant};

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use starscreen_commands::{
    catalog::{FREE, Offer},
    payments::CUSTOMER_GONE,
    subscription::{self, Changed, Subscribed},
};
use starscreen_domain::subscription::{Interval, OrderOutcome, OrderPlan, PlanTerms, Subscription};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    App,
    caller::{Caller, Request, json_hash},
    error::{ApiError, Code, Problem},
    extract::{Json as Body, Query},
    visible::{self, Visible},
};

/// How long a client waits for its order before it is told that it is on its way.
const ORDER_AT_MOST: Duration = Duration::from_secs(25);
/// How long a client waits for the payment of an upgrade. It counts anyway, and is taken back when it is declined.
const CHANGE_AT_MOST: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(100);

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(plans)).routes(routes!(create)).routes(routes!(upgrade)).routes(routes!(cancel))
}

#[derive(Debug, Serialize, ToSchema)]
pub struct PlanResponse {
    #[schema(example = "starter")]
    pub plan: String,
    #[schema(example = "Starter")]
    pub plan_display: String,
    /// Candidates a billing period may take; null: no limit.
    pub monthly_candidate_limit: Option<u32>,
    /// Of a metered plan: candidates of a billing period that its price pays for.
    pub included_candidates: Option<u32>,
    /// Lower case.
    #[schema(example = "usd")]
    pub currency: String,
    /// In the smallest unit of the currency, such as cents; null: free, or by agreement.
    pub price_monthly: Option<u32>,
    pub price_annual: Option<u32>,
    /// For each candidate over the included ones.
    pub overage_price: Option<u32>,
    /// Whether it can be paid for here.
    pub purchasable: bool,
}

/// The plans on offer, by rising limit.
#[utoipa::path(get, path = "/subscriptions/plans", operation_id = "listPlans", tag = "Subscriptions",
    responses((status = 200, body = Vec<PlanResponse>)))]
async fn plans(State(app): State<App>) -> Json<Vec<PlanResponse>> {
    let plan = |plan: &crate::config::Plan| {
        let offers = plan.offers();
        let amount = |interval| {
            let paid = offers.iter().filter_map(|offer| offer.terms.price.as_ref());
            paid.filter(|price| price.interval == interval && price.amount > 0).map(|price| price.amount).next()
        };
        PlanResponse {
            plan: plan.code.clone(),
            plan_display: plan.display_name.clone(),
            monthly_candidate_limit: plan.monthly_limit,
            included_candidates: plan.terms().included,
            currency: plan.money.currency.clone(),
            price_monthly: amount(Interval::Monthly),
            price_annual: amount(Interval::Annual),
            overage_price: plan.money.overage_price.filter(|_| plan.metered()),
            purchasable: app.payments.is_some() && offers.iter().any(|offer| offer.prices.is_some()),
        }
    };
    Json(app.settings.plans.iter().map(plan).collect())
}

/// How often a plan is paid.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum BillingPeriod {
    #[default]
    Monthly,
    #[serde(alias = "yearly")]
    Annual,
}

impl From<BillingPeriod> for Interval {
    fn from(period: BillingPeriod) -> Self {
        match period {
            BillingPeriod::Monthly => Self::Monthly,
            BillingPeriod::Annual => Self::Annual,
        }
    }
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct CreateSubscription {
    /// The plan's name, in upper or lower case.
    #[schema(example = "starter")]
    pub tier: String,
    #[serde(default)]
    pub billing_period: BillingPeriod,
    /// Stripe's id of a card or the like, as its elements in a web page make one.
    #[schema(example = "pm_card_visa")]
    pub payment_method_id: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct CreatedSubscription {
    /// Stripe's id of it; null while it is on its way.
    pub subscription_id: Option<String>,
    /// As Stripe spells it; `pending` while it is on its way.
    pub status: String,
    /// In force now.
    pub plan: String,
    pub monthly_candidate_limit: Option<u32>,
}

/// Subscribes with a payment method at once. Whoever pays already changes the plan.
#[utoipa::path(post, path = "/subscriptions/create", operation_id = "createSubscription", tag = "Subscriptions",
    security(("bearer" = [])), request_body = CreateSubscription,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request answer the same")),
    responses((status = 200, body = CreatedSubscription),
        (status = 202, body = CreatedSubscription, description = "The payment provider has not answered yet"),
        (status = 400, body = Problem), (status = 401, body = Problem), (status = 402, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
#[tracing::instrument(name = "http.subscriptions.create", skip_all, fields(tenant.id = %caller.tenant))]
async fn create(
    caller: Caller,
    State(app): State<App>,
    request: Request,
    Body(given): Body<CreateSubscription>,
) -> Result<Response, ApiError> {
    require_payments(&app)?;
    let offer = offer(&app, &given.tier, given.billing_period.into())?;
    let Some(prices) = &offer.prices else {
        return Err(ApiError::new(
            Code::InvalidPlan,
            format!("The {} plan cannot be bought.", offer.terms.display_name),
        ));
    };
    let context = request.context(caller, || json_hash("POST", "/subscriptions/create", &given));
    let order = OrderPlan {
        order: Uuid::now_v7(),
        plan: offer.terms.clone(),
        price: prices.base.clone(),
        payment_method: given.payment_method_id,
    };
    let subscribed = subscription::subscribe(&app.bus, context, order).await?;
    let Subscribed::Ordered(order) = subscribed.output else {
        let seen = Visible::wait(&app, &[visible::SUBSCRIPTIONS, visible::USAGE], subscribed.place).await;
        let after = app.bus.read::<Subscription>(caller.tenant, caller.tenant).await?;
        return Ok((seen, Json(created(&after))).into_response());
    };
    let deadline = tokio::time::Instant::now() + ORDER_AT_MOST;
    loop {
        let state = app.bus.read::<Subscription>(caller.tenant, caller.tenant).await?;
        match state.order.as_ref().filter(|pending| pending.id == order).map(|order| &order.outcome) {
            Some(OrderOutcome::Declined { code, reason }) => {
                let is_gone = code.as_deref() == Some(CUSTOMER_GONE);
                let code = if is_gone { Code::Conflict } else { Code::PaymentDeclined };
                return Err(ApiError::new(code, reason.clone()));
            }
            Some(OrderOutcome::Pending) if tokio::time::Instant::now() < deadline => tokio::time::sleep(LOOK).await,
            Some(OrderOutcome::Pending) => {
                let pending = CreatedSubscription { status: "pending".to_owned(), ..created(&state) };
                return Ok((StatusCode::ACCEPTED, Json(pending)).into_response());
            }
            Some(OrderOutcome::Accepted) | None => {
                let seen = readable(&app, caller, &state).await?;
                return Ok((seen, Json(created(&state))).into_response());
            }
        }
    }
}

/// Waits, for a bounded time, until read models show what a worker has recorded.
async fn readable(app: &App, caller: Caller, bought: &Subscription) -> Result<Visible, ApiError> {
    let begun = Instant::now();
    loop {
        let shown = app.reads.subscriptions().get(caller.tenant).await?;
        let usage = app.reads.monthly_usage().current(caller.tenant, Utc::now()).await?;
        let is_shown = shown.is_some_and(|shown| shown.plan == bought.plan.code)
            && usage.is_none_or(|usage| usage.monthly_limit == bought.plan.monthly_limit);
        if is_shown || begun.elapsed() >= visible::AT_MOST {
            return Ok(Visible::of(is_shown));
        }
        tokio::time::sleep(LOOK / 10).await;
    }
}

fn created(state: &Subscription) -> CreatedSubscription {
    CreatedSubscription {
        subscription_id: state.paid.as_ref().map(|paid| paid.id.clone()),
        status: state.status.as_str().to_owned(),
        plan: state.plan.code.clone(),
        monthly_candidate_limit: state.plan.monthly_limit,
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct NewTier {
    /// The plan's name, in upper or lower case.
    pub new_tier: String,
    #[serde(default)]
    #[param(inline)]
    pub billing_period: BillingPeriod,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct PlanChangeResponse {
    pub message: String,
    /// In force now.
    pub plan: String,
    pub monthly_candidate_limit: Option<u32>,
    /// What comes into force later, if anything.
    pub scheduled_change: Option<ScheduledChange>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ScheduledChange {
    pub new_plan: String,
    pub new_limit: Option<u32>,
    pub effective_date: DateTime<Utc>,
}

impl ScheduledChange {
    pub fn new(plan: &PlanTerms, effective_date: DateTime<Utc>) -> Self {
        Self { new_plan: plan.code.clone(), new_limit: plan.monthly_limit, effective_date }
    }
}

/// Takes a paying tenant to another plan: upwards at once, downwards with the next billing period. Naming the plan in
/// force takes back what was scheduled.
#[utoipa::path(post, path = "/subscriptions/upgrade", operation_id = "changePlan", tag = "Subscriptions",
    security(("bearer" = [])),
    params(NewTier, ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request answer the same")),
    responses((status = 200, body = PlanChangeResponse), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 402, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem),
        (status = 503, body = Problem)))]
#[tracing::instrument(name = "http.subscriptions.upgrade", skip_all, fields(tenant.id = %caller.tenant))]
async fn upgrade(
    caller: Caller,
    State(app): State<App>,
    request: Request,
    Query(to): Query<NewTier>,
) -> Result<Response, ApiError> {
    require_payments(&app)?;
    let offer = offer(&app, &to.new_tier, to.billing_period.into())?;
    let path = format!("/subscriptions/upgrade?new_tier={}&{:?}", offer.terms.code, to.billing_period);
    let context = request.context(caller, || json_hash("POST", &path, &()));
    if let Some(answered) = app.bus.answer::<Changed>(&context).await? {
        require_payment(&app, caller, &offer.terms, &answered.output).await?;
        return Ok(Json(told(answered.output)).into_response());
    }
    require_price(offer)?;
    let before = app.bus.read::<Subscription>(caller.tenant, caller.tenant).await?;
    let same = before.plan.is_same_plan_as(&offer.terms);
    if same && before.scheduled.is_none() {
        let sentence = format!("You are already on the {} plan", before.plan.display_name);
        return Err(ApiError::new(Code::InvalidPlan, sentence));
    }
    let changed = if offer.terms.code == FREE {
        subscription::cancel(&app.bus, context, app.catalog.free()).await?
    } else {
        // What was agreed stays, where the plan stays.
        let plan = if same { before.plan } else { offer.terms.clone() };
        subscription::move_to_plan(&app.bus, context, plan).await?
    };
    let seen = Visible::wait(&app, &[visible::SUBSCRIPTIONS, visible::USAGE], changed.place).await;
    require_payment(&app, caller, &offer.terms, &changed.output).await?;
    Ok((seen, Json(told(changed.output))).into_response())
}

/// Whether a change that is in force at once could be paid; asked again, the answer is the same.
async fn require_payment(app: &App, caller: Caller, wanted: &PlanTerms, changed: &Changed) -> Result<(), ApiError> {
    if changed.scheduled.is_some() {
        return Ok(());
    }
    let after = informed(app, caller).await?;
    let Some(declined) = after.declined(changed.revision) else { return Ok(()) };
    let (wanted, stays) = (&wanted.display_name, &declined.stays);
    let sentence = format!("The payment for the {wanted} plan was declined. You stay on the {stays} plan.");
    Err(ApiError::new(Code::PaymentDeclined, sentence))
}

/// The subscription as soon as the payment provider has what was decided, or after a while without it.
async fn informed(app: &App, caller: Caller) -> Result<Subscription, ApiError> {
    let begun = Instant::now();
    loop {
        let state = app.bus.read::<Subscription>(caller.tenant, caller.tenant).await?;
        if !state.untold || begun.elapsed() >= CHANGE_AT_MOST {
            return Ok(state);
        }
        tokio::time::sleep(LOOK / 2).await;
    }
}

fn told(changed: Changed) -> PlanChangeResponse {
    let Changed { plan, scheduled, revision: _ } = changed;
    let message = match &scheduled {
        Some(to) => {
            let day = to.effective_at.format("%-d %B %Y");
            format!("You stay on the {} plan until {day}, then {} begins.", plan.display_name, to.plan.display_name)
        }
        None => format!("You are on the {} plan now.", plan.display_name),
    };
    PlanChangeResponse {
        message,
        plan: plan.code,
        monthly_candidate_limit: plan.monthly_limit,
        scheduled_change: scheduled.map(|to| ScheduledChange::new(&to.plan, to.effective_at)),
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct CancelResponse {
    pub message: String,
    /// When the paid plan ends, in seconds since 1970, as Stripe has it.
    pub cancel_at: Option<i64>,
}

/// Ends what is paid with the time that is paid for. Until then nothing changes.
#[utoipa::path(post, path = "/subscriptions/cancel", operation_id = "cancelSubscription", tag = "Subscriptions",
    security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request answer the same")),
    responses((status = 200, body = CancelResponse), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem), (status = 503, body = Problem)))]
#[tracing::instrument(name = "http.subscriptions.cancel", skip_all, fields(tenant.id = %caller.tenant))]
async fn cancel(caller: Caller, State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    require_payments(&app)?;
    let context = request.context(caller, || json_hash("POST", "/subscriptions/cancel", &()));
    let changed = subscription::cancel(&app.bus, context, app.catalog.free()).await?;
    let seen = Visible::wait(&app, &[visible::SUBSCRIPTIONS, visible::USAGE], changed.place).await;
    let ends = changed.output.scheduled.map(|to| to.effective_at);
    let message = match ends {
        Some(at) => {
            format!("Subscription will be canceled at the end of the paid period, on {}", at.format("%-d %B %Y"))
        }
        None => "The free plan is in force; nothing is paid any more.".to_owned(),
    };
    let cancel_at = ends.map(|at| at.timestamp());
    Ok((seen, Json(CancelResponse { message, cancel_at })).into_response())
}

pub(super) fn require_payments(app: &App) -> Result<(), ApiError> {
    if app.payments.is_some() {
        return Ok(());
    }
    let sentence = "Plans cannot be paid for on this server: no payment provider is set up. Its operator can change \
                    your plan.";
    Err(ApiError::new(Code::Unavailable, sentence))
}

/// A plan without a price is given by an operator and cannot be taken.
pub(super) fn require_price(offer: &Offer) -> Result<(), ApiError> {
    if offer.prices.is_some() || offer.terms.code == FREE {
        return Ok(());
    }
    Err(ApiError::new(Code::InvalidPlan, format!("The {} plan cannot be bought.", offer.terms.display_name)))
}

pub(super) fn offer<'a>(app: &'a App, tier: &str, interval: Interval) -> Result<&'a Offer, ApiError> {
    app.catalog.offer(tier, interval).ok_or_else(|| match app.catalog.offer(tier, Interval::Monthly) {
        Some(_) => ApiError::new(Code::InvalidPlan, format!("The {tier} plan is not offered by the year")),
        None => ApiError::new(Code::InvalidPlan, format!("Invalid tier: {tier}")),
    })
}
