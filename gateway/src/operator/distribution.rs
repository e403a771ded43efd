//! What operators do about events on NATS: publish them again, and say whose programs may read them.

use chrono::Utc;
use clap::Subcommand;
use secrecy::ExposeSecret;
use serde_json::json;
use starscreen_commands::{CommandError, grants::Grants};
use starscreen_domain::TenantId;

use super::{
    OperatorError, open,
    table::{say, say_json},
};
use crate::{
    config::Settings,
    outbound::jetstream::{
        Relay, RelaySettings, Topology,
        analytics::{self, AnalyticsCredentials, From, IssuerKey},
    },
    roles::broker::{self, KeptGrants},
};

#[derive(Subcommand)]
pub enum AnalyticsCommand {
    /// Lets a tenant's programs read its events, and prints what they need to connect; an earlier grant ends
    Grant {
        tenant: TenantId,
        /// Only events from now on, instead of all from the beginning
        #[arg(long)]
        live: bool,
        #[arg(long)]
        json: bool,
    },
    /// Takes that away; who is connected is put out
    Revoke { tenant: TenantId },
    /// Makes the key that permits are signed with: its seed for the relay, its public part for nats.conf
    Key,
}

async fn topology(settings: &Settings) -> Result<Topology, OperatorError> {
    broker::topology(settings, "starscreen operator").await?.ok_or(OperatorError::NotDistributed)
}

/// Publishes everything again from the database.
///
/// # Errors
/// An [`OperatorError`] that says what is in the way; the relay goes on where this stopped.
pub async fn rebuild_stream(settings: &Settings) -> Result<(), OperatorError> {
    let topology = topology(settings).await?;
    let opened = open(settings).await?;
    let relay = Relay::new(opened.write.log.clone(), topology, RelaySettings::default());
    let status = relay.rebuild_stream().await?;
    opened.close().await;
    say(format_args!("the stream is made again; it holds events up to position {}", status.published));
    Ok(())
}

/// # Errors
/// An [`OperatorError`] that says what is in the way.
pub async fn analytics(settings: &Settings, command: AnalyticsCommand) -> Result<(), OperatorError> {
    if let AnalyticsCommand::Key = command {
        let (seed, public) = IssuerKey::generate()?;
        say(format_args!("STARSCREEN_NATS_CALLOUT_SEED={}   # the relay's; keep it secret", seed.expose_secret()));
        say(format_args!("NATS_CALLOUT_ISSUER={public}   # for nats.conf"));
        return Ok(());
    }
    let topology = topology(settings).await?;
    let opened = open(settings).await?;
    let grants = KeptGrants(Grants::new(&opened.write));
    match command {
        AnalyticsCommand::Grant { tenant, live, json } => {
            let from = if live {
                From::After(opened.write.log.head().await.map_err(CommandError::from)?)
            } else {
                From::Beginning
            };
            let credentials = analytics::grant(&grants, &topology, tenant, from, Utc::now()).await?;
            show(&credentials, json);
        }
        AnalyticsCommand::Revoke { tenant } => {
            let was = analytics::revoke(&grants, &topology, tenant).await?;
            say(if was { "taken away; who is connected is put out within seconds" } else { "there was no grant" });
        }
        AnalyticsCommand::Key => {} // needs no store
    }
    opened.close().await;
    Ok(())
}

fn show(credentials: &AnalyticsCredentials, as_json: bool) {
    let AnalyticsCredentials { user, password, stream, consumer, inbox_prefix } = credentials;
    if as_json {
        return say_json(&json!({
            "user": user, "password": password.expose_secret(), "stream": stream, "consumer": consumer,
            "inbox_prefix": inbox_prefix, "api_prefix": analytics::API_PREFIX,
        }));
    }
    say(format_args!("user          {user}"));
    say(format_args!("password      {}   # shown this once", password.expose_secret()));
    say(format_args!("stream        {stream}"));
    say(format_args!("consumer      {consumer}"));
    say(format_args!("inbox prefix  {inbox_prefix}"));
    say(format_args!("API prefix    {}", analytics::API_PREFIX));
}
