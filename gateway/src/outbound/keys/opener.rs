//! Opens what projectors are about to fold, two look-ups a batch.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use starscreen_commands::{
    ports::{SubjectKey, VaultError},
    store::StoredKey,
};
use starscreen_domain::{
    Event, Recorded, TenantId,
    sealed::{Clear, Sealed},
};
use starscreen_projections::{FeedError, Opener};
use uuid::Uuid;

use super::{Keys, PersonKey};

/// What became of each key that a batch needs.
type Found = BTreeMap<Uuid, Result<Option<PersonKey>, String>>;

#[async_trait]
impl Opener for Keys {
    async fn open(&self, events: &mut [Recorded<Event>]) -> Result<Vec<Option<String>>, FeedError> {
        let wanted: BTreeSet<Uuid> = events.iter().flat_map(|event| event.payload.keys()).collect();
        let keys = self.find(&wanted).await?;
        Ok(events.iter_mut().map(|event| open_event(event, &keys).err()).collect())
    }
}

impl Keys {
    async fn find(&self, wanted: &BTreeSet<Uuid>) -> Result<Found, FeedError> {
        let subjects = self.stored(wanted).await?;
        let tenants = self.stored(&subjects.values().map(|key| key.tenant_id.0).collect()).await?;
        Ok(subjects.into_iter().map(|(subject, key)| (subject, self.unwrap_subject(&key, &tenants))).collect())
    }

    async fn stored(&self, ids: &BTreeSet<Uuid>) -> Result<BTreeMap<Uuid, StoredKey>, FeedError> {
        let ids: Vec<Uuid> = ids.iter().copied().collect();
        let found = self.registry.keys(&ids).await;
        let found = found.map_err(|error| FeedError::caused_by("the key store cannot be read", error))?;
        Ok(found.into_iter().map(|key| (key.subject_id, key)).collect())
    }

    /// `None`: destroyed, by itself or with its tenant.
    fn unwrap_subject(
        &self,
        key: &StoredKey,
        tenants: &BTreeMap<Uuid, StoredKey>,
    ) -> Result<Option<PersonKey>, String> {
        let Some(wrapped) = &key.wrapped else { return Ok(None) };
        let tenant = tenants.get(&key.tenant_id.0).ok_or_else(|| VaultError::NoKey(key.tenant_id.0).to_string())?;
        let unwrapped = self.unwrap_tenant(tenant).and_then(|cipher| match cipher {
            Some(cipher) => PersonKey::unwrap(&cipher, key.tenant_id, key.subject_id, wrapped).map(Some),
            None => Ok(None),
        });
        unwrapped.map_err(|error| format!("key of {} cannot be unwrapped: {error}", key.subject_id))
    }
}

fn open_event(event: &mut Recorded<Event>, keys: &Found) -> Result<(), String> {
    let tenant = event.tenant_id;
    for (field, sealed) in event.payload.sealed_mut() {
        let clear = open(tenant, field, sealed, keys)?;
        sealed.open_with(clear);
    }
    Ok(())
}

fn open(tenant: Option<TenantId>, field: &str, sealed: &Sealed, keys: &Found) -> Result<Clear, String> {
    let key = match keys.get(&sealed.key) {
        Some(Ok(Some(key))) => key,
        Some(Ok(None)) => return Ok(Clear::Erased),
        Some(Err(reason)) => return Err(reason.clone()),
        None => return Err(VaultError::NoKey(sealed.key).to_string()),
    };
    if Some(key.tenant) != tenant {
        return Err(format!("field {field} is sealed with a key of another tenant"));
    }
    let clear = key.open_bytes(field, &sealed.data).map_err(|error| format!("field {field}: {error}"))?;
    String::from_utf8(clear).map(Clear::Open).map_err(|_| format!("field {field} is sealed, but is no text"))
}
