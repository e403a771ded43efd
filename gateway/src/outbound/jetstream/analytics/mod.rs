//! Tenants' analytics programs: credentials that read one tenant's events and nothing else.
//!
//! A client comes in to an account of its own; NATS asks the [`Callout`] whom to let in. Inside, it reaches exactly
//! one thing: its tenant's durable consumer, which the product makes.

mod callout;
mod connections;
mod jwt;

use std::{error::Error, fmt::Write, str::FromStr};

use async_trait::async_trait;
use aws_lc_rs::{constant_time::verify_slices_are_equal, digest, rand};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use starscreen_domain::TenantId;

pub use callout::{Callout, CalloutError};
pub use jwt::{IssuerError, IssuerKey};

use super::{Topology, TopologyError};

const TOKEN_BYTES: usize = 32;
/// The account of nats.conf that analytics clients come in to.
const ACCOUNT: &str = "ANALYTICS";
/// What the consumers' requests are called in that account.
pub const API_PREFIX: &str = "EVAPI";

/// That a tenant's programs may read its events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub tenant_id: TenantId,
    /// SHA-256 of the token; the token itself has 256 random bits and is shown once.
    pub token_hash: [u8; 32],
    pub granted_at: DateTime<Utc>,
    /// Events up to this position are not given.
    pub after: u64,
}

/// Where grants are kept: one a tenant.
#[async_trait]
pub trait AnalyticsGrants: Send + Sync {
    /// Keeps the grant in the place of the tenant's former one.
    ///
    /// # Errors
    /// [`GrantsError`] when it cannot be kept now.
    async fn put(&self, grant: Grant) -> Result<(), GrantsError>;

    /// # Errors
    /// [`GrantsError`] when grants cannot be read now.
    async fn find(&self, tenant: TenantId) -> Result<Option<Grant>, GrantsError>;

    /// Whether there was one.
    ///
    /// # Errors
    /// [`GrantsError`] when it cannot be removed now.
    async fn delete(&self, tenant: TenantId) -> Result<bool, GrantsError>;
}

#[derive(Debug, thiserror::Error)]
#[error("the grants are out of reach")]
pub struct GrantsError(#[source] pub Box<dyn Error + Send + Sync>);

#[derive(Debug, thiserror::Error)]
pub enum AnalyticsError {
    #[error(transparent)]
    Grants(#[from] GrantsError),
    #[error(transparent)]
    Topology(#[from] TopologyError),
    #[error("the system gives no random numbers")]
    Random,
}

/// Where a tenant's programs begin to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    Beginning,
    /// With what is recorded after this position.
    After(u64),
}

/// What a tenant's program needs to connect. Shown once.
#[derive(Clone, Debug)]
pub struct AnalyticsCredentials {
    pub user: String,
    pub password: SecretString,
    pub stream: String,
    pub consumer: String,
    pub inbox_prefix: String,
}

/// Lets a tenant's programs read its events. What was granted before no longer counts.
///
/// # Errors
/// [`AnalyticsError`]; nothing is granted then.
pub async fn grant(
    grants: &dyn AnalyticsGrants,
    topology: &Topology,
    tenant: TenantId,
    from: From,
    now: DateTime<Utc>,
) -> Result<AnalyticsCredentials, AnalyticsError> {
    let mut token = [0; TOKEN_BYTES];
    rand::fill(&mut token).map_err(|_| AnalyticsError::Random)?;
    let password = BASE64_URL_SAFE_NO_PAD.encode(token);
    let after = match from {
        From::Beginning => 0,
        From::After(position) => position,
    };
    let grant = Grant { tenant_id: tenant, token_hash: hash(&password), granted_at: now, after };
    topology.delete_consumer(&name(tenant)).await?; // an earlier one began elsewhere
    consumer(topology, &grant).await?;
    grants.put(grant).await?;
    Ok(AnalyticsCredentials {
        user: name(tenant),
        password: password.into(),
        stream: topology.settings().name.clone(),
        consumer: name(tenant),
        inbox_prefix: inbox_prefix(tenant),
    })
}

/// Takes the right away; the [`Callout`] puts out who is connected. False when there was no grant.
///
/// # Errors
/// [`AnalyticsError`].
pub async fn revoke(
    grants: &dyn AnalyticsGrants,
    topology: &Topology,
    tenant: TenantId,
) -> Result<bool, AnalyticsError> {
    let was_granted = grants.delete(tenant).await?;
    topology.delete_consumer(&name(tenant)).await?;
    Ok(was_granted)
}

/// The tenant's durable consumer, made when it is missing.
async fn consumer(topology: &Topology, grant: &Grant) -> Result<(), TopologyError> {
    let filter = format!("{}.{}.>", topology.settings().subjects, grant.tenant_id);
    topology.consumer(&name(grant.tenant_id), grant.after, &filter).await?;
    Ok(())
}

impl Grant {
    fn admits(&self, password: &SecretString) -> bool {
        verify_slices_are_equal(&self.token_hash, &hash(password.expose_secret())).is_ok()
    }

    /// Tells connections under this grant from those under an earlier one.
    fn mark(&self) -> String {
        let short = self.token_hash.iter().take(8).fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}"); // text takes everything
            hex
        });
        format!("{}.{short}", name(self.tenant_id))
    }
}

/// User, consumer and, behind `_INBOX_`, prefix of the answers.
fn name(tenant: TenantId) -> String {
    format!("an_{tenant}")
}

fn inbox_prefix(tenant: TenantId) -> String {
    format!("_INBOX_{}", name(tenant))
}

fn tenant_named(name: &str) -> Option<TenantId> {
    let id = name.strip_prefix("an_")?.split('.').next()?;
    uuid::Uuid::from_str(id).ok().map(TenantId)
}

fn hash(token: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
    hash
}
