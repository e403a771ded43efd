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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{sealed, user};

    #[test]
    fn debug_never_shows_what_was_opened() {
        let opened = sealed("ciphertext").opened(Clear::Open("Ada Lovelace".to_owned()));
        let shown = format!("{opened:?} {opened:#?}");
        assert!(!shown.contains("Ada"), "{shown}");
        assert!(!shown.contains("ciphertext"), "{shown}");
        assert!(shown.contains(&user().to_string()) && shown.contains("10 bytes"), "{shown}");
    }

    #[test]
    fn equality_looks_at_key_and_ciphertext_only() {
        let closed = sealed("ciphertext");
        assert_eq!(closed, closed.clone().opened(Clear::Open("Ada Lovelace".to_owned())));
        assert_eq!(closed, closed.clone().opened(Clear::Erased));
        assert_ne!(closed, sealed("another"));
        assert_ne!(closed, Sealed::new(Uuid::nil(), closed.data.clone()));
    }

    #[test]
    fn only_an_opened_value_has_a_text() {
        let mut value = sealed("ciphertext");
        assert_eq!(value.text(), None);
        value.open_with(Clear::Open("Ada Lovelace".to_owned()));
        assert_eq!(value.text(), Some("Ada Lovelace"));
        value.open_with(Clear::Erased);
        assert_eq!(value.text(), None);
        assert_eq!(value.opened(Clear::Open("Ada".to_owned())).text(), Some("Ada"));
    }

    #[test]
    fn json_holds_the_key_and_the_ciphertext_in_base64_and_never_the_clear_text() {
        let opened = sealed("ciphertext?~").opened(Clear::Open("Ada Lovelace".to_owned()));
        let json = serde_json::json!({ "key": user().0, "data": "Y2lwaGVydGV4dD9+" });
        assert_eq!(serde_json::to_value(&opened).unwrap(), json);

        let read: Sealed = serde_json::from_value(json).unwrap();
        assert_eq!(read, opened);
        assert_eq!(read.text(), None, "what comes out of the store is closed");
    }

    #[test]
    fn ciphertext_that_is_not_base64_is_refused() {
        assert!(serde_json::from_value::<Sealed>(serde_json::json!({ "key": user().0, "data": "!" })).is_err());
        assert!(serde_json::from_value::<Sealed>(serde_json::json!({ "key": "ada", "data": "" })).is_err());
    }
}
