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
    distribution::{self, Distribution},
    operations::{self, LaneState},
    work::LanePause,
};
use starscreen_projections::{ProjectionStatus, ProjectorStatus};
use tokio::sync::Mutex;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{App, error::chain};
use crate::{
    operator::{
        doctor::{MOST_BEHIND, broker::LONGEST_LAG},
        machine::{LEAST_FREE_BYTES, free_bytes, probe},
    },
    outbound::jetstream::Blocker,
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
    /// `healthy`; `degraded`: something needs a person, and requests are answered all the same; or `unhealthy`.
    #[schema(example = "healthy")]
    pub status: &'static str,
    /// By part: `database`, `storage`, `disk`, `read_models`, `work`; `distribution` where there is NATS.
    pub checks: BTreeMap<&'static str, Checked>,
    pub timestamp: DateTime<Utc>,
    pub version: &'static str,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Checked {
    /// `healthy`, `degraded` or `unhealthy`.
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

    /// What is wrong here is in nobody's way.
    fn at_worst_degraded(self) -> Self {
        Self { status: if self.status == HEALTHY { HEALTHY } else { DEGRADED }, ..self }
    }
}

const HEALTHY: &str = "healthy";
const DEGRADED: &str = "degraded";
const UNHEALTHY: &str = "unhealthy";

type Answer = (StatusCode, Json<Detailed>);

fn answer(checks: impl IntoIterator<Item = (&'static str, Checked)>) -> Answer {
    let checks: BTreeMap<_, _> = checks.into_iter().collect();
    let some = |status| checks.values().any(|check| check.status == status);
    let (code, status) = match () {
        () if some(UNHEALTHY) => (StatusCode::SERVICE_UNAVAILABLE, UNHEALTHY),
        () if some(DEGRADED) => (StatusCode::OK, DEGRADED),
        () => (StatusCode::OK, HEALTHY),
    };
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
    let checks = [("database", database), ("read_models", read_models(&app, head, may_answer).await)];
    answer(checks.into_iter().chain(distribution(&app).await))
}

/// How every part is: stores, files, disk, read models, work. Also at `/health/detailed`.
#[utoipa::path(get, path = "/health/detailed", operation_id = "getDetailedHealth", tag = "Health", responses(
    (status = 200, body = Detailed),
    (status = 503, description = "Something needs a person; the same body says what"),
))]
async fn detailed(State(app): State<App>, Extension(probe): Extension<Probe>) -> Answer {
    let (database, head) = database(&app).await;
    let checks = [
        ("database", database),
        ("storage", storage(&app, &probe).await),
        ("disk", disk(&app)),
        ("read_models", read_models(&app, head, nothing_is_wrong).await),
        ("work", work(&app).await),
    ];
    answer(checks.into_iter().chain(distribution(&app).await))
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

/// Without NATS everybody goes by the database, a little later, so it is in nobody's way that it is down.
async fn distribution(app: &App) -> Option<(&'static str, Checked)> {
    app.settings.nats.url.as_ref()?;
    let checked = match distribution::told(&app.queue).await {
        Ok(told) => {
            let parts = told.iter().map(|told| {
                serde_json::json!({
                    "published": told.told.published, "behind": told.lag, "behind_seconds": told.lag_for.as_secs(),
                    "blocked_by": told.told.blocked_by, "blocked_since": told.told.blocked_since,
                })
            });
            let parts = parts.collect();
            let faults: Vec<String> = not_distributed(told.as_ref()).into_iter().collect();
            Checked::new(&faults, "every event is published", parts)
        }
        Err(error) => {
            tracing::error!(error = %chain(&error), "it cannot be told how events are distributed");
            Checked::new(&["the write store cannot be read".to_owned()], "", vec![])
        }
    };
    Some(("distribution", checked.at_worst_degraded()))
}

/// Errors in full are for operators.
fn not_distributed(told: Option<&Distribution>) -> Option<String> {
    let Some(Distribution { told, lag, lag_for, .. }) = told.filter(|told| !told.is_silent()) else {
        return Some("no relay distributes events".to_owned());
    };
    let why = match told.blocked_by.as_deref().map(Blocker::called) {
        None if *lag_for > LONGEST_LAG => "the relay is behind",
        None => return None,
        Some(Some(Blocker::Unreachable)) => "NATS does not answer",
        Some(Some(Blocker::Space)) => "NATS has no room for the events",
        Some(Some(Blocker::Refused)) => "NATS refuses what the relay needs",
        Some(Some(Blocker::Stream)) => "the events stream is not as it should be",
        Some(Some(Blocker::Log) | None) => "the relay cannot go on",
    };
    Some(format!("{why}; {lag} events wait to be published, the oldest for {} s", lag_for.as_secs()))
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
    use starscreen_commands::distribution::Told;

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
    #[test]
    fn distribution_is_well_while_the_relay_speaks_publishes_and_is_near() {
        let told = Told { published: 10, ..Told::default() };
        let near = Distribution { told, silent_for: Duration::ZERO, lag: 3, lag_for: LONGEST_LAG };
        assert_eq!(not_distributed(Some(&near)), None);
        assert_eq!(not_distributed(None).unwrap(), "no relay distributes events");
        let silent = Distribution { silent_for: Duration::from_mins(1), ..near.clone() };
        assert_eq!(not_distributed(Some(&silent)).unwrap(), "no relay distributes events");
        let far = Distribution { lag_for: LONGEST_LAG + Duration::from_secs(1), ..near.clone() };
        let found = "the relay is behind; 3 events wait to be published, the oldest for 31 s";
        assert_eq!(not_distributed(Some(&far)).unwrap(), found);
        for blocker in Blocker::ALL {
            let told = Told { blocked_by: Some(blocker.name().to_owned()), ..near.told.clone() };
            assert!(not_distributed(Some(&Distribution { told, ..near.clone() })).is_some(), "{blocker:?}");
        }
    }

    #[test]
    fn what_is_degraded_is_told_and_takes_nobody_out() {
        let fine = || Checked::new(&[], "", vec![]);
        let faulty = || Checked::new(&["x".to_owned()], "", vec![]);
        let told = |checks| {
            let (code, Json(body)) = answer(checks);
            (code.as_u16(), body.status)
        };
        assert_eq!(told([("a", fine()), ("b", fine())]), (200, "healthy"));
        assert_eq!(told([("a", fine()), ("b", faulty().at_worst_degraded())]), (200, "degraded"));
        assert_eq!(told([("a", faulty()), ("b", faulty().at_worst_degraded())]), (503, "unhealthy"));
        assert_eq!(fine().at_worst_degraded().status, "healthy");
    }
}
