//! One symmetric key at work: AES-256-GCM, and what each ciphertext is bound to.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    rand,
};
use secrecy::zeroize::Zeroizing;
use starscreen_commands::ports::VaultError;
use starscreen_domain::TenantId;
use uuid::Uuid;

pub(super) const KEY_BYTES: usize = 32;

/// First byte of everything sealed: AES-256-GCM, then the random nonce, then ciphertext and tag.
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 1 + NONCE_LEN;

/// A key that never leaves; what it held is wiped when it is dropped.
pub(super) struct Cipher(RandomizedNonceKey);

/// What a ciphertext is for. As a byte in the data that is authenticated, so that one never passes for another.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    TenantKey = 1,
    SubjectKey = 2,
    Field = 3,
}

/// Where a ciphertext belongs; it opens nowhere else.
pub(super) struct Bound<'a> {
    pub purpose: Purpose,
    pub tenant: TenantId,
    pub subject: Uuid,
    pub field: &'a str,
}

impl Bound<'_> {
    /// Everything before the field has a fixed length, so two places never read the same.
    fn aad(&self) -> Aad<Vec<u8>> {
        let mut aad = vec![VERSION, self.purpose as u8];
        aad.extend_from_slice(self.tenant.0.as_bytes());
        aad.extend_from_slice(self.subject.as_bytes());
        aad.extend_from_slice(self.field.as_bytes());
        Aad::from(aad)
    }
}

impl Cipher {
    pub fn new(key: &[u8; KEY_BYTES]) -> Result<Self, VaultError> {
        RandomizedNonceKey::new(&AES_256_GCM, key).map(Self).map_err(|_| VaultError::DoesNotOpen)
    }

    /// A new random key, and that key sealed by this one.
    pub fn new_wrapped(&self, bound: &Bound<'_>) -> Result<(Self, Vec<u8>), VaultError> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        rand::fill(&mut *key).map_err(|_| VaultError::NoRandomness)?;
        Ok((Self::new(&key)?, self.seal(bound, &*key)?))
    }

    /// The key that [`Cipher::new_wrapped`] sealed.
    pub fn unwrap(&self, bound: &Bound<'_>, wrapped: &[u8]) -> Result<Self, VaultError> {
        let key = Zeroizing::new(self.open(bound, wrapped)?);
        let key = <&[u8; KEY_BYTES]>::try_from(key.as_slice()).map_err(|_| VaultError::DoesNotOpen)?;
        Self::new(key)
    }

    pub fn seal(&self, bound: &Bound<'_>, clear: &[u8]) -> Result<Vec<u8>, VaultError> {
        let mut sealed = Vec::with_capacity(HEADER_BYTES + clear.len() + AES_256_GCM.tag_len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&[0; NONCE_LEN]); // known only after sealing
        sealed.extend_from_slice(clear);
        let (header, content) = sealed.split_at_mut(HEADER_BYTES);
        let (nonce, tag) =
            self.0.seal_in_place_separate_tag(bound.aad(), content).map_err(|_| VaultError::NoRandomness)?;
        header[1..].copy_from_slice(nonce.as_ref());
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    pub fn open(&self, bound: &Bound<'_>, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        let (header, content) = sealed.split_at_checked(HEADER_BYTES).ok_or(VaultError::DoesNotOpen)?;
        if header[0] != VERSION {
            return Err(VaultError::DoesNotOpen);
        }
        let nonce = Nonce::try_assume_unique_for_key(&header[1..]).map_err(|_| VaultError::DoesNotOpen)?;
        let mut clear = content.to_vec();
        let length = self.0.open_in_place(nonce, bound.aad(), &mut clear).map_err(|_| VaultError::DoesNotOpen)?.len();
        clear.truncate(length);
        Ok(clear)
    }
}
