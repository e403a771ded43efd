//! The HTTP interface: every route on one page.

mod accounts;
mod arriving;
mod billing_pages;
mod bulk;
mod caller;
mod candidates;
mod direct;
mod docs;
mod error;
mod extract;
mod form;
mod health;
mod jobs;
mod listing;
mod plans;
mod port;
mod retry;
mod serve;
mod subscriptions;
mod upload;
mod usage;
mod visible;
mod webhooks;

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{DefaultBodyLimit, MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, Method, Uri, header},
    middleware::Next,
    response::Response,
};
use starscreen_commands::{
    Bus,
    catalog::Catalog,
    ports::{Objects, Payments, Vault},
    store::Log,
    work::WorkQueue,
};
use starscreen_projections::ReadModels;
use tower::{ServiceBuilder, util::BoxCloneSyncService};
use tower_http::{
    compression::{
        CompressionLayer,
        predicate::{DefaultPredicate, NotForContentType, Predicate},
    },
    cors::{AllowHeaders, AllowMethods, AllowOrigin, CorsLayer},
    set_header::SetResponseHeaderLayer,
    trace::TraceLayer,
};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::{config::Settings, metrics::Metrics, outbound::objects::ObjectFiles, passwords::Passwords, tokens::Tokens};

pub use error::{Code, chain};
pub use form::UploadMemory;
pub use port::{Listener, Port};
pub use serve::serve;

/// What handlers work with.
pub struct AppState {
    pub bus: Bus,
    pub log: Log,
    /// Of all tenants, for the health pages.
    pub queue: WorkQueue,
    /// The same of the log.
    pub all_log: Log,
    /// The same of the read models.
    pub all_reads: ReadModels,
    pub reads: ReadModels,
    pub vault: Arc<dyn Vault>,
    pub objects: Arc<dyn Objects>,
    /// The same, for what goes straight there.
    pub files: Arc<ObjectFiles>,
    pub passwords: Passwords,
    pub tokens: Tokens,
    pub settings: Arc<Settings>,
    pub upload_memory: UploadMemory,
    /// `None`: nobody can pay.
    pub payments: Option<Arc<dyn Payments>>,
    pub catalog: Arc<Catalog>,
    pub metrics: Metrics,
}

pub type App = Arc<AppState>;

/// Bytes of a body that is read before anybody knows who sent it; the longest job description takes a third. Uploads
/// read theirs themselves.
const MAX_BODY_BYTES: usize = 256 * 1024;

fn api() -> OpenApiRouter<App> {
    let v1 = OpenApiRouter::new()
        .merge(accounts::router())
        .merge(jobs::router())
        .merge(candidates::router())
        .merge(bulk::router())
        .merge(direct::router())
        .merge(retry::router())
        .merge(subscriptions::router())
        .merge(plans::router())
        .merge(billing_pages::router())
        .merge(webhooks::router())
        .merge(usage::router())
        .merge(health::router());
    OpenApiRouter::with_openapi(docs::description()).nest("/api/v1", v1).merge(health::root())
}

/// The description of the whole interface.
pub fn openapi() -> OpenApi {
    docs::completed(api().into_openapi())
}

/// What answers requests.
pub type Service = BoxCloneSyncService<Request, Response, Infallible>;

/// The whole interface.
pub fn service(app: App) -> Service {
    let cors = cors(&app.settings.cors_origins);
    let metrics = app.metrics.clone();
    let (router, openapi) = api().split_for_parts();
    let router: Router = router
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .merge(docs::router(docs::completed(openapi)))
        .merge(webhooks::former())
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(app)
        .layer(CompressionLayer::new().compress_when(worth_compressing()))
        .layer(cors)
        .layer(fixed(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(fixed(header::REFERRER_POLICY, "no-referrer"))
        .layer(fixed(header::X_FRAME_OPTIONS, "DENY"))
        .layer(axum::middleware::from_fn_with_state(metrics, measured))
        .layer(TraceLayer::new_for_http().make_span_with(request_span).on_response(log_response).on_failure(()));
    BoxCloneSyncService::new(ServiceBuilder::new().map_request(without_trailing_slash).service(router))
}

/// Resume files are compressed already.
fn worth_compressing() -> impl Predicate {
    DefaultPredicate::new()
        .and(NotForContentType::const_new("application/pdf"))
        .and(NotForContentType::const_new("application/vnd.openxmlformats"))
        .and(NotForContentType::const_new("application/msword"))
}

fn fixed(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}

/// `/api/v1/jobs/` is `/api/v1/jobs`: old clients use both, and a redirect would lose a POST's body. Only the pages at
/// `/docs/` are a folder.
fn without_trailing_slash(mut request: Request) -> Request {
    let path = request.uri().path();
    let trimmed = path.trim_end_matches('/');
    if trimmed.len() < path.len() && !trimmed.is_empty() && !path.starts_with("/docs") {
        let target = match request.uri().query() {
            Some(query) => format!("{trimmed}?{query}"),
            None => trimmed.to_owned(),
        };
        if let Ok(uri) = target.parse::<Uri>() {
            *request.uri_mut() = uri;
        }
    }
    request
}

fn cors(origins: &[String]) -> CorsLayer {
    let any = origins.iter().any(|origin| origin == "*");
    let listed = origins.iter().filter_map(|origin| origin.parse().ok()).collect::<Vec<HeaderValue>>();
    CorsLayer::new()
        .allow_origin(if any { AllowOrigin::any() } else { AllowOrigin::list(listed) })
        .allow_credentials(!any) // a page from anywhere never gets to use a browser's credentials
        .allow_methods(AllowMethods::list([Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS]))
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([
            HeaderName::from_static("x-total-count"),
            HeaderName::from_static("x-next-cursor"),
            HeaderName::from_static("starscreen-read-model"),
            header::RETRY_AFTER,
            header::CONTENT_DISPOSITION,
        ])
}

async fn measured(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let route = route.as_ref().map_or("", MatchedPath::as_str);
    metrics.answered(method.as_str(), route, response.status(), begun.elapsed());
    response
}

fn request_span(request: &Request) -> tracing::Span {
    let route = request.extensions().get::<MatchedPath>().map_or("", |path| path.as_str());
    tracing::info_span!("http.request", http.method = %request.method(), http.route = route)
}

fn log_response(response: &Response, latency: Duration, _: &tracing::Span) {
    let latency_ms = latency.as_millis();
    tracing::debug!(http.status = response.status().as_u16(), latency_ms, "request answered");
}

async fn not_found() -> error::ApiError {
    error::ApiError::not_found("There is nothing at this path. The interface is described at /docs.")
}

async fn method_not_allowed() -> error::ApiError {
    error::ApiError::new(Code::MethodNotAllowed, "This path does not take this method. See /docs for those it does.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trailing_slash_of_the_interface_makes_no_difference() {
        let trimmed = |uri: &'static str| {
            let request = Request::builder().uri(uri).body(axum::body::Body::empty()).unwrap();
            without_trailing_slash(request).uri().to_string()
        };
        assert_eq!(trimmed("/api/v1/jobs/?skip=1"), "/api/v1/jobs?skip=1");
        assert_eq!(trimmed("/api/v1/jobs"), "/api/v1/jobs");
        assert_eq!(trimmed("/health/"), "/health");
        assert_eq!(trimmed("/docs/"), "/docs/");
        assert_eq!(trimmed("/"), "/");
    }
}
