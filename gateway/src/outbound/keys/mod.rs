//! The keys that personal data is sealed with: a key a person, wrapped by the tenant's, wrapped by the master key.
//!
//! Destroying a person's wrapped key erases the person in every event, file and backup at once. So no unwrapped key is
//! kept here between calls: what is destroyed reads as destroyed with the next call, and reading the key table costs
//! less than being sure of a cache. What is sealed is bound to tenant, subject and field, so that ciphertext moved
//! elsewhere does not open there.

mod cipher;
mod opener;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use aws_lc_rs::{hkdf, hmac};
use secrecy::ExposeSecret;
use starscreen_commands::{
    append::NewKey,
    ports::{SubjectKey, Vault, VaultError},
    store::{Registry, StoredKey},
};
use starscreen_domain::{ClaimId, TenantId};
use unicode_normalization::UnicodeNormalization;
use uuid::Uuid;

use crate::data_dir::MasterKey;
use cipher::{Bound, Cipher, Purpose};

/// The vault over the write side's key table.
pub struct Keys {
    registry: Registry,
    wrapping: Cipher,
    claims: hmac::Key,
    contents: hmac::Key,
}

/// One person's key, unwrapped for as long as somebody holds it.
struct PersonKey {
    tenant: TenantId,
    subject: Uuid,
    cipher: Cipher,
}

impl Keys {
    /// # Errors
    /// When the cipher refuses the key.
    pub fn new(master: &MasterKey, registry: Registry) -> Result<Self, VaultError> {
        let derived = Derived::from(master);
        Ok(Self {
            registry,
            wrapping: derived.cipher(b"starscreen v1 key wrapping")?,
            claims: derived.hmac(b"starscreen v1 e-mail claims")?,
            contents: derived.hmac(b"starscreen v1 file contents")?,
        })
    }

    /// The tenant's unwrapped key; `None` when it was destroyed.
    async fn tenant_cipher(&self, tenant: TenantId) -> Result<Option<Cipher>, VaultError> {
        let stored = self.registry.key(tenant, tenant.0).await.map_err(unavailable)?;
        self.unwrap_tenant(&stored.ok_or(VaultError::NoKey(tenant.0))?)
    }

    fn unwrap_tenant(&self, stored: &StoredKey) -> Result<Option<Cipher>, VaultError> {
        let Some(wrapped) = &stored.wrapped else { return Ok(None) };
        self.wrapping.unwrap(&tenant_binding(stored.tenant_id), wrapped).map(Some)
    }
}

#[async_trait]
impl Vault for Keys {
    fn new_tenant_key(&self, tenant: TenantId) -> Result<NewKey, VaultError> {
        let (_, wrapped) = self.wrapping.new_wrapped(&tenant_binding(tenant))?;
        Ok(NewKey { subject_id: tenant.0, tenant_id: tenant, wrapped })
    }

    async fn new_subject_key(
        &self,
        tenant: TenantId,
        subject: Uuid,
        tenant_key: Option<&NewKey>,
    ) -> Result<(Arc<dyn SubjectKey>, NewKey), VaultError> {
        let tenant_cipher = match tenant_key {
            Some(new) => self.wrapping.unwrap(&tenant_binding(tenant), &new.wrapped)?,
            None => self.tenant_cipher(tenant).await?.ok_or(VaultError::NoKey(tenant.0))?,
        };
        let (cipher, wrapped) = tenant_cipher.new_wrapped(&subject_binding(tenant, subject))?;
        let new = NewKey { subject_id: subject, tenant_id: tenant, wrapped };
        Ok((Arc::new(PersonKey { tenant, subject, cipher }), new))
    }

    async fn subject_key(&self, tenant: TenantId, subject: Uuid) -> Result<Option<Arc<dyn SubjectKey>>, VaultError> {
        let stored =
            self.registry.key(tenant, subject).await.map_err(unavailable)?.ok_or(VaultError::NoKey(subject))?;
        let Some(wrapped) = stored.wrapped else { return Ok(None) };
        let Some(tenant_cipher) = self.tenant_cipher(stored.tenant_id).await? else { return Ok(None) };
        let key = PersonKey::unwrap(&tenant_cipher, stored.tenant_id, subject, &wrapped)?;
        Ok(Some(Arc::new(key)))
    }

    fn claim_id(&self, email: &str) -> ClaimId {
        let mac = hmac::sign(&self.claims, normalised(email).as_bytes());
        let mut hash = [0; 16];
        hash.copy_from_slice(&mac.as_ref()[..16]); // HMAC-SHA256 has 32 bytes
        ClaimId::from_keyed_hash(hash)
    }

    fn content_hash(&self, tenant: TenantId, content: &[u8]) -> String {
        let mut mac = hmac::Context::with_key(&self.contents);
        mac.update(tenant.0.as_bytes()); // always 16 bytes, so nothing can be shifted between it and the content
        mac.update(content);
        hex(mac.sign().as_ref())
    }
}

impl PersonKey {
    fn unwrap(tenant_cipher: &Cipher, tenant: TenantId, subject: Uuid, wrapped: &[u8]) -> Result<Self, VaultError> {
        let cipher = tenant_cipher.unwrap(&subject_binding(tenant, subject), wrapped)?;
        Ok(Self { tenant, subject, cipher })
    }

    fn binding<'a>(&self, field: &'a str) -> Bound<'a> {
        Bound { purpose: Purpose::Field, tenant: self.tenant, subject: self.subject, field }
    }
}

impl SubjectKey for PersonKey {
    fn id(&self) -> Uuid {
        self.subject
    }

    fn seal_bytes(&self, field: &str, clear: &[u8]) -> Result<Vec<u8>, VaultError> {
        self.cipher.seal(&self.binding(field), clear)
    }

    fn open_bytes(&self, field: &str, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        self.cipher.open(&self.binding(field), sealed)
    }
}

/// Keys derived from the master key, each for one purpose.
struct Derived(hkdf::Prk);

impl Derived {
    fn from(master: &MasterKey) -> Self {
        Self(hkdf::Salt::new(hkdf::HKDF_SHA256, b"starscreen master key").extract(master.expose_secret()))
    }

    fn cipher(&self, purpose: &[u8]) -> Result<Cipher, VaultError> {
        let mut key = secrecy::zeroize::Zeroizing::new([0; cipher::KEY_BYTES]);
        let info = [purpose];
        let derived = self.0.expand(&info, hkdf::HKDF_SHA256).and_then(|okm| okm.fill(&mut *key));
        derived.map_err(|_| VaultError::NoRandomness)?;
        Cipher::new(&key)
    }

    fn hmac(&self, purpose: &[u8]) -> Result<hmac::Key, VaultError> {
        let info = [purpose];
        let derived = self.0.expand(&info, hmac::HMAC_SHA256);
        derived.map(hmac::Key::from).map_err(|_| VaultError::NoRandomness)
    }
}

fn tenant_binding(tenant: TenantId) -> Bound<'static> {
    Bound { purpose: Purpose::TenantKey, tenant, subject: tenant.0, field: "" }
}

fn subject_binding(tenant: TenantId, subject: Uuid) -> Bound<'static> {
    Bound { purpose: Purpose::SubjectKey, tenant, subject, field: "" }
}

/// One spelling for an address however it was typed: no white space around it, lower case, letters composed (NFC).
/// Lower case comes first since it can take letters apart. The part before the @ is lowered too: nobody gives two
/// people mailboxes that differ in case only. Dots and `+tags` stay, because what they mean is the provider's affair.
pub fn normalised(email: &str) -> String {
    email.trim().to_lowercase().nfc().collect()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
    }
    text
}

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> VaultError {
    VaultError::Unavailable(Box::new(error))
}
