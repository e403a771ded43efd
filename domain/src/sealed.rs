//! Personal data inside events: ciphertext that only a holder of the subject's key can open.
//!
//! Sealing happens before a command is decided and opening before a projector folds, both outside this crate; here a
//! value is opaque. Destroying the key erases the person while every event, and every proof over it, stays as it is.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

/// An encrypted value and the id of the key that opens it.
///
/// Equality looks at the ciphertext only. `Debug` never prints what was opened.
#[derive(Clone)]
pub struct Sealed {
    /// Whose key opens it: a user or a candidate.
    pub key: Uuid,
    /// Nonce and ciphertext, as the vault laid them out.
    pub data: Vec<u8>,
    clear: Clear,
}

/// What is known of a sealed value's content in this process.
#[derive(Clone, Default)]
pub enum Clear {
    /// Nobody has opened it: the write side never does.
    #[default]
    Closed,
    /// The key was destroyed; the content is gone for good.
    Erased,
    Open(String),
}

impl Sealed {
    pub fn new(key: Uuid, data: Vec<u8>) -> Self {
        Self { key, data, clear: Clear::Closed }
    }

    #[must_use]
    pub fn opened(mut self, clear: Clear) -> Self {
        self.clear = clear;
        self
    }

    pub fn open_with(&mut self, clear: Clear) {
        self.clear = clear;
    }

    /// The content, where the runner has opened it and the person is not erased.
    pub fn text(&self) -> Option<&str> {
        match &self.clear {
            Clear::Open(text) => Some(text),
            Clear::Closed | Clear::Erased => None,
        }
    }
}

impl PartialEq for Sealed {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key && self.data == other.data
    }
}

impl Eq for Sealed {}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({}, {} bytes)", self.key, self.data.len())
    }
}

#[derive(Serialize, Deserialize)]
struct Stored {
    key: Uuid,
    data: String,
}

impl Serialize for Sealed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Stored { key: self.key, data: STANDARD.encode(&self.data) }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Sealed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = Stored::deserialize(deserializer)?;
        let data = STANDARD.decode(stored.data).map_err(de::Error::custom)?;
        Ok(Self::new(stored.key, data))
    }
}
