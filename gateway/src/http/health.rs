//! Whether the server is there, whether it can be sent requests, and how it is in every part.
//!
//! Anybody may ask, so nothing here tells of tenants or people, and a look costs next to nothing.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Extension, Json, extract::State, http::StatusCode};
use chrono::{DateTime, Utc};
use serde::Serialize;
use starscreen_commands::{
    operations::{self, LaneState},
    work::LanePause,
};
use starscreen_projections::{ProjectionStatus, ProjectorStatus};
use tokio::sync::Mutex;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{App, error::chain};
use crate::operator::{
    doctor::MOST_BEHIND,
    machine::{LEAST_FREE_BYTES, free_bytes, probe},
};

/// How long an outcome of the object store's probe, which writes a file, is told again.
const PROBE_KEPT: Duration = Duration::from_secs(5);
/// How long the object store may take.
const PATIENCE: Duration = Duration::from_secs(5);

pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(health))
        .routes(routes!(ready))
        .routes(routes!(detailed))
        .layer(Extension(Probe::default()))
}

/// The same without the prefix, where load balancers look.
pub fn root() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .route("/health", axum::routing::get(health))
        .route("/health/ready", axum::routing::get(ready))
        .route("/health/detailed", axum::routing::get(detailed))
        .layer(Extension(Probe::default()))
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    #[schema(example = "healthy")]
    pub status: &'static str,
    pub timestamp: DateTime<Utc>,
    pub version: &'static str,
}

/// How every part is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Detailed {
    /// `healthy` or `unhealthy`.
    #[schema(example = "healthy")]
    pub status: &'static str,
    /// By part: `database`, `storage`, `disk`, `read_models`, `work`.
    pub checks: BTreeMap<&'static str, Checked>,
    pub timestamp: DateTime<Utc>,
    pub version: &'static str,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Checked {
    /// `healthy` or `unhealthy`.
    #[schema(example = "healthy")]
    pub status: &'static str,
    /// What was found, or what is wrong.
    pub detail: String,
    /// One entry for each read model or lane.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    pub parts: Vec<serde_json::Value>,
}

impl Checked {
    fn new(faults: &[String], fine: impl Into<String>, parts: Vec<serde_json::Value>) -> Self {
        match faults {
            [] => Self { status: HEALTHY, detail: fine.into(), parts },
            faults => Self { status: UNHEALTHY, detail: faults.join("; "), parts },
        }
    }
}

const HEALTHY: &str = "healthy";
const UNHEALTHY: &str = "unhealthy";

type Answer = (StatusCode, Json<Detailed>);

fn answer(checks: impl IntoIterator<Item = (&'static str, Checked)>) -> Answer {
    let checks: BTreeMap<_, _> = checks.into_iter().collect();
    let healthy = checks.values().all(|check| check.status == HEALTHY);
    let (code, status) = if healthy { (StatusCode::OK, HEALTHY) } else { (StatusCode::SERVICE_UNAVAILABLE, UNHEALTHY) };
    (code, Json(Detailed { status, checks, timestamp: Utc::now(), version: env!("CARGO_PKG_VERSION") }))
}

/// The process answers. Also at `/health`.
#[utoipa::path(get, path = "/health", operation_id = "getHealth", tag = "Health", responses((status = 200, body = Health)))]
async fn health() -> Json<Health> {
    Json(Health { status: HEALTHY, timestamp: Utc::now(), version: env!("CARGO_PKG_VERSION") })
}

/// Whether requests can be answered: the stores are open and the read models up to date. Also at `/health/ready`.
#[utoipa::path(get, path = "/health/ready", operation_id = "getReadiness", tag = "Health", responses(
    (status = 200, body = Detailed),
    (status = 503, description = "Not yet, or not now; the same body says why"),
))]
async fn ready(State(app): State<App>) -> Answer {
    let (database, head) = database(&app).await;
    answer([("database", database), ("read_models", read_models(&app, head, may_answer).await)])
}

/// How every part is: stores, files, disk, read models, work. Also at `/health/detailed`.
#[utoipa::path(get, path = "/health/detailed", operation_id = "getDetailedHealth", tag = "Health", responses(
    (status = 200, body = Detailed),
    (status = 503, description = "Something needs a person; the same body says what"),
))]
async fn detailed(State(app): State<App>, Extension(probe): Extension<Probe>) -> Answer {
    let (database, head) = database(&app).await;
    answer([
        ("database", database),
        ("storage", storage(&app, &probe).await),
        ("disk", disk(&app)),
        ("read_models", read_models(&app, head, nothing_is_wrong).await),
        ("work", work(&app).await),
    ])
}

async fn database(app: &App) -> (Checked, Option<u64>) {
    match operations::newest_position(&app.queue).await {
        Ok(head) => (Checked::new(&unordered(app).await, format!("{head} events"), vec![]), Some(head)),
        Err(error) => {
            tracing::error!(error = %chain(&error), "the write store cannot be read");
            (Checked::new(&["the write store cannot be read".to_owned()], "", vec![]), None)
        }
    }
}

/// Nobody gives history its order: commands are accepted, and nobody sees what they did.
async fn unordered(app: &App) -> Vec<String> {
    if app.settings.database.url.is_none() {
        return vec![];
    }
    match operations::leader(&app.queue, &app.all_log).await {
        Ok(Some(leader)) if !leader.is_silent() => vec![],
        Ok(_) => vec!["no relay leads, so what is written is not seen".to_owned()],
        Err(error) => {
            tracing::error!(error = %chain(&error), "it cannot be told who leads");
            vec!["the write store cannot be read".to_owned()]
        }
    }
}

/// What is in the way of answering by this read model; `behind` events are not in it yet.
fn may_answer(status: &ProjectionStatus, behind: u64) -> Option<String> {
    let name = status.name;
    match status.status {
        _ if behind > MOST_BEHIND => Some(format!("{name} is {behind} events behind")),
        ProjectorStatus::Booting if behind > 0 => Some(format!("{name} is catching up, {behind} events are left")),
        ProjectorStatus::Booting if status.updated_at.is_none() => Some(format!("{name} has not begun")),
        ProjectorStatus::Error => Some(format!("{name} cannot be brought up to date")),
        ProjectorStatus::Booting | ProjectorStatus::Live | ProjectorStatus::Paused => None,
    }
}

fn nothing_is_wrong(status: &ProjectionStatus, behind: u64) -> Option<String> {
    let name = status.name;
    match status.status {
        _ if status.parked > 0 => Some(format!("{name} has set {} events aside", status.parked)),
        ProjectorStatus::Paused => Some(format!("{name} is paused")),
        ProjectorStatus::Booting | ProjectorStatus::Live | ProjectorStatus::Error => may_answer(status, behind),
    }
}

async fn read_models(app: &App, head: Option<u64>, fault: fn(&ProjectionStatus, u64) -> Option<String>) -> Checked {
    let statuses = match app.all_reads.status().await {
        Ok(statuses) => statuses,
        Err(error) => {
            tracing::error!(error = %chain(&error), "the read models cannot be read");
            return Checked::new(&["the read models cannot be read".to_owned()], "", vec![]);
        }
    };
    let behind = |status: &ProjectionStatus| head.unwrap_or(status.position).saturating_sub(status.position);
    let faults: Vec<String> = statuses.iter().filter_map(|status| fault(status, behind(status))).collect();
    let parts = statuses.iter().map(|status| {
        serde_json::json!({
            "name": status.name, "status": status.status.as_str(), "position": status.position,
            "behind": behind(status), "parked": status.parked,
        })
    });
    Checked::new(&faults, "up to date", parts.collect())
}

async fn work(app: &App) -> Checked {
    let states = match operations::lane_states(&app.queue).await {
        Ok(states) => states,
        Err(error) => {
            tracing::error!(error = %chain(&error), "the work cannot be read");
            return Checked::new(&["the work cannot be read".to_owned()], "", vec![]);
        }
    };
    let paused = |state: &LaneState| state.pause.as_ref().map(public_reason);
    let faults: Vec<String> =
        states.iter().filter_map(|state| Some(format!("lane {} is paused: {}", state.lane, paused(state)?))).collect();
    let parts = states.iter().map(|state| {
        serde_json::json!({
            "lane": state.lane, "ready": state.count.ready, "leased": state.count.leased,
            "waiting": state.count.waiting, "dead": state.dead, "paused": paused(state),
            "oldest_seconds": state.oldest.map(|oldest| (Utc::now() - oldest).num_seconds().max(0)),
        })
    });
    Checked::new(&faults, "every lane is open", parts.collect())
}

/// What an operator has written is for operators.
fn public_reason(pause: &LanePause) -> String {
    if pause.until_ms.is_some() { pause.reason.clone() } else { "an operator said so".to_owned() }
}

fn disk(app: &App) -> Checked {
    match free_bytes(&app.settings.data_dir) {
        Ok(Some(free)) if free < LEAST_FREE_BYTES => {
            Checked::new(&[format!("only {} MB are free", free >> 20)], "", vec![])
        }
        Ok(Some(free)) => Checked::new(&[], format!("{} MB are free", free >> 20), vec![]),
        Ok(None) => Checked::new(&[], "free space cannot be told on this system", vec![]),
        Err(_) => Checked::new(&["the data directory cannot be looked at".to_owned()], "", vec![]),
    }
}

/// The last outcome of the probe, and when it was had.
type Probe = Arc<Mutex<Option<(Instant, bool)>>>;

async fn storage(app: &App, last: &Probe) -> Checked {
    let mut last = last.lock().await;
    let works = match *last {
        Some((at, works)) if at.elapsed() < PROBE_KEPT => works,
        _ => match tokio::time::timeout(PATIENCE, probe(app.objects.as_ref())).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::error!(error = %chain(&error), "the object store fails");
                false
            }
            Err(_elapsed) => {
                tracing::error!(waited_ms = PATIENCE.as_millis(), "the object store does not answer");
                false
            }
        },
    };
    if last.is_none_or(|(at, _)| at.elapsed() >= PROBE_KEPT) {
        *last = Some((Instant::now(), works));
    }
    drop(last);
    let faults = if works { vec![] } else { vec!["files cannot be written".to_owned()] };
    Checked::new(&faults, "files can be written", vec![])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_model_answers_when_it_is_up_to_date_or_nearly() {
        let model = |status, updated_at| ProjectionStatus {
            name: "jobs",
            status,
            position: 10,
            error: None,
            parked: 3,
            rebuilding: None,
            updated_at,
        };
        let (ran, now) = (Some(Utc::now()), None);
        let told = |status, at, behind| may_answer(&model(status, at), behind);
        assert_eq!(told(ProjectorStatus::Live, ran, 0), None);
        assert_eq!(told(ProjectorStatus::Live, ran, MOST_BEHIND), None);
        assert!(told(ProjectorStatus::Live, ran, MOST_BEHIND + 1).is_some());
        assert!(told(ProjectorStatus::Booting, ran, 1).is_some());
        assert!(told(ProjectorStatus::Booting, now, 0).is_some());
        assert!(told(ProjectorStatus::Error, ran, 0).is_some());
        assert_eq!(told(ProjectorStatus::Paused, ran, 0), None);
        assert!(nothing_is_wrong(&model(ProjectorStatus::Live, ran), 0).is_some(), "events are set aside");
    }
}
