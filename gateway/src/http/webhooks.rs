//! What the payment provider tells us. It is taken in before it is answered, and followed after.

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use chrono::Utc;
use serde::Serialize;
use starscreen_commands::payments;
use starscreen_domain::webhook::ReceiveWebhook;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    App,
    error::{ApiError, Code, Problem},
};
use crate::outbound::stripe::{Notice, SignatureError, verify};

/// Bytes of a notice; an invoice with many lines is long.
const MAX_BODY_BYTES: usize = 1024 * 1024;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(stripe)).layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
}

/// The same where the former application let Stripe send them.
pub fn former() -> Router<App> {
    let route = || post(stripe).layer(DefaultBodyLimit::max(MAX_BODY_BYTES));
    Router::new().route("/stripe/webhook", route()).route("/api/v1/stripe/webhook", route())
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Received {
    #[schema(example = "success")]
    pub status: &'static str,
}

/// Takes in a signed notice of Stripe, once, however often it comes.
#[utoipa::path(post, path = "/webhooks/stripe", operation_id = "receiveStripeWebhook", tag = "Webhooks",
    params(("Stripe-Signature" = String, Header, description = "Time and HMAC-SHA256 of the body")),
    request_body(content = String, content_type = "application/json"),
    responses((status = 200, body = Received), (status = 400, body = Problem), (status = 413, body = Problem),
        (status = 503, body = Problem)))]
async fn stripe(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Result<Response, ApiError> {
    let secrets = &app.settings.stripe.webhook_secrets;
    if secrets.is_empty() || app.payments.is_none() {
        let sentence =
            "This server takes no webhooks: its operator has not set STRIPE_API_KEY and STRIPE_WEBHOOK_SECRET.";
        return Err(ApiError::new(Code::Unavailable, sentence));
    }
    let header = headers.get("stripe-signature").and_then(|value| value.to_str().ok());
    verify(header, &body, secrets, Utc::now()).map_err(|error| {
        tracing::warn!(error = %error, "a webhook was refused");
        let sentence = match error {
            SignatureError::Missing => "Missing Stripe signature",
            _ => "Invalid signature",
        };
        ApiError::new(Code::InvalidWebhook, sentence)
    })?;
    let notice = Notice::parse(&body).map_err(|error| {
        tracing::warn!(error = %error, "a webhook was refused");
        ApiError::new(Code::InvalidWebhook, "Invalid payload")
    })?;
    if let (Some(ours), Some(theirs)) = (app.settings.stripe.livemode(), notice.livemode)
        && ours != theirs
    {
        tracing::warn!(stripe.event = notice.id, livemode = theirs, "a webhook of Stripe's other mode is passed over");
        return Ok(answer());
    }
    let Notice { id, kind, created, customer, .. } = notice;
    let created = created.unwrap_or_else(Utc::now);
    payments::receive_webhook(&app.bus, ReceiveWebhook { notice: id, kind, customer, created }).await?;
    Ok(answer())
}

fn answer() -> Response {
    (StatusCode::OK, Json(Received { status: "success" })).into_response()
}
