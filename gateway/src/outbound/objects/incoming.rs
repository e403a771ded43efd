//! Files that clients send past us, straight to the store, until they are taken in or swept away.

use std::time::Duration;

use object_store::{HeaderValue, ObjectStoreExt, signer::SignedUrlOptions};
use reqwest::{Method, header::HeaderName};
use starscreen_commands::ports::{Objects, ObjectsError};
use starscreen_domain::TenantId;
use uuid::Uuid;

use super::{ObjectFiles, is_id, unavailable};

/// What their names begin with, behind the prefix of the settings.
pub const INCOMING: &str = "incoming";
/// How long a client may take until it begins to send.
const OPEN_FOR: Duration = Duration::from_mins(15);

/// A place to send one file to, and how.
#[derive(Clone, Debug)]
pub struct Slot {
    pub url: String,
    /// To be sent as they are.
    pub headers: Vec<(&'static str, String)>,
    pub open_for: Duration,
}

/// What was found where a client should have sent a file to.
#[derive(Debug)]
pub enum Fetched {
    Content(Vec<u8>),
    TooLarge,
    Nothing,
}

/// `incoming/tenant/upload`.
pub(super) fn is_key(key: &str) -> bool {
    let parts: Vec<&str> = key.split('/').collect();
    matches!(parts[..], [INCOMING, tenant, upload] if is_id(tenant) && is_id(upload))
}

fn key(tenant: TenantId, upload: Uuid) -> String {
    format!("{INCOMING}/{tenant}/{upload}")
}

impl ObjectFiles {
    /// A place for one file of a tenant; `None` where clients cannot send any.
    ///
    /// # Errors
    /// When the address cannot be signed.
    pub async fn open_slot(&self, tenant: TenantId, upload: Uuid) -> Result<Option<Slot>, ObjectsError> {
        let Some(doors) = &self.doors else { return Ok(None) };
        let location = self.location(&key(tenant, upload))?;
        let mut options = SignedUrlOptions::default();
        for (name, value) in &doors.headers {
            let value = HeaderValue::from_str(value).map_err(unavailable)?;
            options = options.with_signed_header(HeaderName::from_static(name), value);
        }
        let url = self.within(doors.signer.signed_url_opts(Method::PUT, &location, OPEN_FOR, &options)).await?;
        Ok(Some(Slot { url: url.into(), headers: doors.headers.clone(), open_for: OPEN_FOR }))
    }

    /// What a client has sent. Of more than `max_bytes` nothing is read.
    ///
    /// # Errors
    /// When the store is unavailable.
    pub async fn fetch_incoming(
        &self,
        tenant: TenantId,
        upload: Uuid,
        max_bytes: u64,
    ) -> Result<Fetched, ObjectsError> {
        let location = self.location(&key(tenant, upload))?;
        let fetched = self.within(async {
            let found = self.store.get(&location).await?;
            if found.meta.size > max_bytes {
                return Ok(Fetched::TooLarge);
            }
            Ok(Fetched::Content(found.bytes().await?.into()))
        });
        match fetched.await {
            Err(ObjectsError::Missing) => Ok(Fetched::Nothing),
            fetched => fetched,
        }
    }

    /// Removes what a client has sent; what stays all the same is swept.
    pub async fn discard_incoming(&self, tenant: TenantId, upload: Uuid) {
        if let Err(error) = self.delete(&key(tenant, upload)).await {
            tracing::warn!(upload.id = %upload, error = %crate::http::chain(&error), "a file that a client sent is left for the sweep");
        }
    }
}
