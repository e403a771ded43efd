//! Whether the server is there.

use axum::Json;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::App;

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(health))
}

/// The same without the prefix, where load balancers look.
pub fn root() -> OpenApiRouter<App> {
    OpenApiRouter::new().route("/health", axum::routing::get(health))
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    #[schema(example = "healthy")]
    pub status: &'static str,
    pub timestamp: DateTime<Utc>,
    pub version: &'static str,
}

/// The process answers. Also at `/health`.
#[utoipa::path(get, path = "/health", operation_id = "getHealth", tag = "Health", responses((status = 200, body = Health)))]
async fn health() -> Json<Health> {
    Json(Health { status: "healthy", timestamp: Utc::now(), version: env!("CARGO_PKG_VERSION") })
}
