//! NATS beside PostgreSQL: the relay that fills it, feeds that read it, workers that are woken by it. All of it works
//! without, a little later.

use std::{sync::Arc, time::Duration};

use async_nats::Client;
use async_trait::async_trait;
use chrono::DateTime;
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use starscreen_commands::{
    distribution::{self, Told},
    grants::{Grants, StoredGrant},
    sequencer::SequencerStatus,
    write_side::WriteSide,
};
use starscreen_domain::TenantId;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::StartError;
use crate::{
    config::{NatsSettings, Settings},
    outbound::jetstream::{
        Blocker, Credentials, Refusals, Relay, RelaySettings, RelayStatus, StreamSettings, Topology,
        analytics::{AnalyticsGrants, Callout, Grant, GrantsError, IssuerKey},
        connect, connect_now,
    },
};

/// How often an operator is reminded that events are not distributed.
const REMIND: Duration = Duration::from_secs(30);
/// How often it is told how distribution stands.
const TELL: Duration = Duration::from_secs(1);

/// The events' stream, reached in the name of the user that the address names; `None`: there is no NATS.
///
/// # Errors
/// [`StartError::Nats`] when the address cannot be read.
pub async fn topology(settings: &Settings, name: &str) -> Result<Option<Topology>, StartError> {
    let Some(url) = &settings.nats.url else { return Ok(None) };
    let client = connect(url.expose_secret(), credentials(url), name).await?;
    Ok(Some(Topology::new(client, stream(&settings.nats))))
}

/// The same, with a connection that is there or fails; what NATS refuses comes beside it.
///
/// # Errors
/// [`StartError::Nats`] when NATS does not let this user in.
pub async fn topology_now(settings: &Settings) -> Result<Option<(Topology, Refusals)>, StartError> {
    let Some(url) = &settings.nats.url else { return Ok(None) };
    let (client, refusals) = connect_now(url.expose_secret(), credentials(url), "starscreen doctor").await?;
    Ok(Some((Topology::new(client, stream(&settings.nats)), refusals)))
}

/// Whom the address names.
pub fn user(settings: &Settings) -> Option<String> {
    settings.nats.url.as_ref().and_then(credentials).map(|credentials| credentials.user)
}

fn stream(nats: &NatsSettings) -> StreamSettings {
    StreamSettings {
        max_age: Duration::from_hours(u64::from(nats.max_age_days) * 24),
        max_bytes: nats.max_bytes,
        replicas: nats.replicas,
        ..StreamSettings::default()
    }
}

/// Of the first address.
fn credentials(urls: &SecretString) -> Option<Credentials> {
    let url = Url::parse(urls.expose_secret().split(',').next()?).ok()?;
    let password = SecretString::from(url.password()?.to_owned());
    Some(Credentials { user: url.username().to_owned(), password })
}

/// The same servers as another user.
async fn connect_as(urls: &SecretString, user: &str, password: &SecretString) -> Result<Client, StartError> {
    let credentials = Credentials { user: user.to_owned(), password: password.clone() };
    let bare = urls.expose_secret().split(',').map(|url| match Url::parse(url.trim()) {
        Ok(mut url) => {
            let _ = (url.set_username(""), url.set_password(None)); // an address without a host is refused below
            url.to_string()
        }
        Err(_) => url.to_owned(),
    });
    Ok(connect(&bare.collect::<Vec<_>>().join(","), Some(credentials), &format!("starscreen {user}")).await?)
}

/// Publishes history for as long as this process's sequencer leads, and lets analytics clients in. `None`: there is no
/// NATS.
///
/// # Errors
/// [`StartError::Nats`] when an address cannot be read.
pub(super) async fn relay(
    settings: &Settings,
    write: &WriteSide,
    leads: watch::Receiver<SequencerStatus>,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> Result<Option<watch::Receiver<RelayStatus>>, StartError> {
    let Some(topology) = topology(settings, "starscreen relay").await? else { return Ok(None) };
    let relay = Relay::new(write.log.clone(), topology.clone(), RelaySettings::default());
    let status = relay.status();
    tasks.spawn(publish(write.clone(), relay, leads, stop.clone()));
    if let Some(callout) = callout(settings, write, topology).await? {
        let stop = stop.clone();
        tasks.spawn(async move { callout.run(&stop).await });
    }
    Ok(Some(status))
}

async fn publish(write: WriteSide, relay: Relay, mut leads: watch::Receiver<SequencerStatus>, stop: CancellationToken) {
    let status = relay.status();
    let leading = async {
        while leads.wait_for(|status| status.leads).await.is_ok() {
            let while_leading = CancellationToken::new();
            tokio::select! {
                () = relay.run(&while_leading) => {}
                () = tell(&write, &status) => {}
                _ = leads.wait_for(|status| !status.leads) => while_leading.cancel(),
            }
        }
    };
    let both = async { tokio::join!(remind(&status), leading) };
    stop.run_until_cancelled(Box::pin(both)).await;
}

async fn remind(status: &watch::Receiver<RelayStatus>) {
    loop {
        tokio::time::sleep(REMIND).await;
        let status = status.borrow().clone();
        if let Some(since) = status.blocked_since {
            tracing::warn!(
                relay.lag_positions = status.lag_positions(),
                relay.lag_seconds = status.lag_seconds(chrono::Utc::now()),
                relay.blocked_since = %since,
                relay.blocked_by = status.blocked_by.map(Blocker::name),
                error = status.last_error,
                "events are not distributed; read models go on from the database"
            );
        }
    }
}

/// Tells in the database how distribution stands, for who cannot ask NATS.
async fn tell(write: &WriteSide, status: &watch::Receiver<RelayStatus>) {
    let mut first = status.clone();
    let _ = first.changed().await; // before that it has not looked; the relay, which says so, outlives this
    loop {
        let RelayStatus { published, blocked_since, blocked_by, last_error, .. } = status.borrow().clone();
        let blocked_by = blocked_by.map(|blocker| blocker.name().to_owned());
        let told = Told { published, blocked_by, blocked_since, error: last_error };
        if let Err(error) = distribution::tell(write, &told).await {
            tracing::debug!(error = %error, "how distribution stands cannot be told"); // the database's own alarms tell more
        }
        tokio::time::sleep(TELL).await;
    }
}

async fn callout(settings: &Settings, write: &WriteSide, topology: Topology) -> Result<Option<Callout>, StartError> {
    let nats = &settings.nats;
    let (Some(url), Some(seed)) = (&nats.url, &nats.callout_seed) else { return Ok(None) };
    let (Some(callout), Some(sys)) = (&nats.callout_password, &nats.sys_password) else {
        return Err(StartError::IncompleteCallout);
    };
    Ok(Some(Callout {
        asked: connect_as(url, "callout", callout).await?,
        system: connect_as(url, "sys", sys).await?,
        topology,
        grants: Arc::new(KeptGrants(Grants::new(write))),
        issuer: IssuerKey::from_seed(seed).map_err(|_| StartError::IncompleteCallout)?,
    }))
}

/// Grants in the write side.
pub struct KeptGrants(pub Grants);

#[async_trait]
impl AnalyticsGrants for KeptGrants {
    async fn put(&self, grant: Grant) -> Result<(), GrantsError> {
        let stored = StoredGrant {
            token_hash: grant.token_hash.to_vec(),
            granted_at_ms: grant.granted_at.timestamp_millis(),
            after: grant.after,
        };
        self.0.put(grant.tenant_id, stored).await.map_err(|error| GrantsError(Box::new(error)))
    }

    async fn find(&self, tenant: TenantId) -> Result<Option<Grant>, GrantsError> {
        let found = self.0.find(tenant).await.map_err(|error| GrantsError(Box::new(error)))?;
        let grant = |stored: StoredGrant| {
            Some(Grant {
                tenant_id: tenant,
                token_hash: stored.token_hash.try_into().ok()?, // 32 bytes, as all that are put
                granted_at: DateTime::from_timestamp_millis(stored.granted_at_ms)?,
                after: stored.after,
            })
        };
        Ok(found.and_then(grant))
    }

    async fn delete(&self, tenant: TenantId) -> Result<bool, GrantsError> {
        self.0.delete(tenant).await.map_err(|error| GrantsError(Box::new(error)))
    }
}
