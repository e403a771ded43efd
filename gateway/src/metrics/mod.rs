//! What is told to who measures: counts of this process, and how far everybody is, read when it is asked for.
//!
//! Nothing here names a tenant or a person: labels are routes, lanes, read models and words of our own.

mod calls;
mod page;
mod sources;

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::{
    encoding::prometheus_text,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
};
use tower::util::BoxCloneSyncService;

pub use calls::Counted;
pub use sources::Source;

use page::{Labels, Page};

/// Upper bounds in seconds: an answer of the API takes milliseconds, a waited-for read model half a second, an archive
/// half a minute.
const HTTP_SECONDS: [f64; 12] = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];
/// Of a language model.
const MODEL_SECONDS: [f64; 10] = [0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 80.0];

/// Everything that one process can tell.
#[derive(Clone)]
pub struct Metrics {
    requests: Family<Labels, Counter>,
    request_seconds: Family<Labels, Histogram, fn() -> Histogram>,
    uploads: Family<Labels, Counter>,
    model_calls: Family<Labels, Counter>,
    model_seconds: Family<Labels, Histogram, fn() -> Histogram>,
    sources: Arc<Mutex<Vec<Source>>>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(|| Histogram::new(HTTP_SECONDS)),
            uploads: Family::default(),
            model_calls: Family::default(),
            model_seconds: Family::new_with_constructor(|| Histogram::new(MODEL_SECONDS)),
            sources: Arc::default(),
        }
    }
}

impl Metrics {
    /// Reads these, too, whenever it is asked for.
    pub fn add(&self, sources: impl IntoIterator<Item = Source>) {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner).extend(sources);
    }

    /// A request is answered. `route`: as it is declared, without ids; empty where nothing is.
    pub fn answered(&self, method: &str, route: &str, status: StatusCode, latency: Duration) {
        let class = match status.as_u16() {
            100..200 => "1xx",
            200..300 => "2xx",
            300..400 => "3xx",
            400..500 => "4xx",
            _ => "5xx",
        };
        let route = if route.is_empty() { "none" } else { route };
        let of_route = vec![("method", known(method).to_owned()), ("route", route.to_owned())];
        self.request_seconds.get_or_create_owned(&of_route).observe(latency.as_secs_f64());
        self.requests.get_or_create_owned(&[of_route, vec![("status", class.to_owned())]].concat()).inc();
        if method == "POST" && takes_resumes(route) {
            self.uploads.get_or_create_owned(&vec![("status", class.to_owned())]).inc();
        }
    }

    fn model_answered(&self, call: &'static str, outcome: &'static str, latency: Duration) {
        let of_call = vec![("call", call.to_owned())];
        self.model_seconds.get_or_create_owned(&of_call).observe(latency.as_secs_f64());
        self.model_calls.get_or_create_owned(&[of_call, vec![("outcome", outcome.to_owned())]].concat()).inc();
    }

    /// All of it, as Prometheus reads it.
    async fn text(&self) -> String {
        let mut page = Page::default();
        page.gauge("build_info", "1; the version is in the label", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for source in sources {
            source.read(&mut page).await;
        }
        let mut registry = page.into_registry();
        registry.register("http_requests", "Requests answered", self.requests.clone());
        registry.register(
            "http_request_seconds",
            "From a request's head to the head of its answer",
            self.request_seconds.clone(),
        );
        registry.register("uploads", "Requests with resumes, by how they were answered", self.uploads.clone());
        registry.register("model_calls", "Calls of the language model, by outcome", self.model_calls.clone());
        registry.register("model_call_seconds", "How long the language model took", self.model_seconds.clone());
        let mut text = String::new();
        match prometheus_text::encode(&mut text, &registry) {
            Ok(()) => text,
            Err(_) => String::new(), // a string takes everything
        }
    }
}

/// Methods are a caller's words; only those that we know become a label.
fn known(method: &str) -> &str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    if KNOWN.contains(&method) { method } else { "other" }
}

fn takes_resumes(route: &str) -> bool {
    const ENDS: [&str; 4] = ["/candidates", "/candidates/upload", "/candidates/bulk-upload-zip", "/complete"];
    ENDS.iter().any(|end| route.ends_with(end))
}

/// Answers `GET /metrics`, and nothing else.
pub fn service(metrics: Metrics) -> BoxCloneSyncService<Request, Response, Infallible> {
    let page = async |State(metrics): State<Metrics>| {
        ([(header::CONTENT_TYPE, prometheus_text::CONTENT_TYPE)], metrics.text().await).into_response()
    };
    BoxCloneSyncService::new(Router::new().route("/metrics", get(page)).with_state(metrics))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn requests_are_counted_by_route_and_class_and_never_by_what_a_caller_made_up() {
        let metrics = Metrics::default();
        let told = |method, route, status: u16| {
            metrics.answered(method, route, StatusCode::from_u16(status).unwrap(), Duration::from_millis(7));
        };
        told("POST", "/api/v1/jobs/{job_id}/candidates/upload", 200);
        told("POST", "/api/v1/jobs/{job_id}/candidates/upload", 402);
        told("GET", "/api/v1/jobs/{job_id}/candidates", 200);
        told("CAFFEINATE", "", 404);
        let text = metrics.text().await;
        for line in [
            r#"starscreen_http_requests_total{method="POST",route="/api/v1/jobs/{job_id}/candidates/upload",status="4xx"} 1"#,
            r#"starscreen_http_request_seconds_bucket{method="POST",route="/api/v1/jobs/{job_id}/candidates/upload",le="0.005"} 0"#,
            r#"starscreen_http_request_seconds_bucket{method="POST",route="/api/v1/jobs/{job_id}/candidates/upload",le="0.01"} 2"#,
            r#"starscreen_uploads_total{status="2xx"} 1"#,
            r#"starscreen_uploads_total{status="4xx"} 1"#,
            r#"starscreen_http_requests_total{method="other",route="none",status="4xx"} 1"#,
            "# TYPE starscreen_http_request_seconds histogram",
        ] {
            assert!(text.lines().any(|told| told == line), "no line {line} in\n{text}");
        }
        assert!(!text.contains("CAFFEINATE"));
    }
}
