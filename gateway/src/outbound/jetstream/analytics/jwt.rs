//! The two tokens of the callout: the answer to the server, and in it the user as the server is to treat it.

use std::fmt;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use nkeys::{KeyPair, KeyPairType};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{ACCOUNT, API_PREFIX, Grant, inbox_prefix, name};

/// A connection has to come in again after this time.
const VALID_FOR: TimeDelta = TimeDelta::days(1);
const MAX_SUBSCRIPTIONS: u32 = 50;
const MAX_PAYLOAD_BYTES: u32 = 64 * 1024;

/// The key that nats.conf names as `issuer`.
pub struct IssuerKey(KeyPair);

#[derive(Debug, thiserror::Error)]
#[error("the callout's seed is no account seed; it begins with SA")]
pub struct IssuerError;

impl IssuerKey {
    /// # Errors
    /// [`IssuerError`] when it is no seed of an account.
    pub fn from_seed(seed: &SecretString) -> Result<Self, IssuerError> {
        let pair = KeyPair::from_seed(seed.expose_secret()).map_err(|_| IssuerError)?;
        matches!(pair.key_pair_type(), KeyPairType::Account).then_some(Self(pair)).ok_or(IssuerError)
    }

    /// A new one: the seed, to be kept secret, and the public key for nats.conf.
    ///
    /// # Errors
    /// [`IssuerError`] when the system gives no random numbers.
    pub fn generate() -> Result<(SecretString, String), IssuerError> {
        let pair = KeyPair::new_account();
        Ok((pair.seed().map_err(|_| IssuerError)?.into(), pair.public_key()))
    }

    fn signed(&self, mut claims: Value, now: DateTime<Utc>) -> Result<String, nkeys::error::Error> {
        claims["iss"] = json!(self.0.public_key());
        claims["iat"] = json!(now.timestamp());
        claims["jti"] = json!(Uuid::now_v7().to_string());
        let part = |json: &Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
        let content = format!("{}.{}", part(&json!({"typ": "JWT", "alg": "ed25519-nkey"})), part(&claims));
        let signature = BASE64_URL_SAFE_NO_PAD.encode(self.0.sign(content.as_bytes())?);
        Ok(format!("{content}.{signature}"))
    }

    /// The user that `grant` lets in: its consumer's three requests, and its own inbox.
    pub(super) fn user(
        &self,
        request: &Request,
        grant: &Grant,
        stream: &str,
        now: DateTime<Utc>,
    ) -> Result<String, nkeys::error::Error> {
        let consumer = format!("{stream}.{}", name(grant.tenant_id));
        let claims = json!({
            "sub": request.user_nkey,
            "aud": ACCOUNT,
            "name": grant.mark(),
            "exp": (now + VALID_FOR).timestamp(),
            "nats": {
                "type": "user",
                "version": 2,
                "subs": MAX_SUBSCRIPTIONS,
                "data": -1,
                "payload": MAX_PAYLOAD_BYTES,
                "pub": {"allow": [
                    format!("{API_PREFIX}.CONSUMER.MSG.NEXT.{consumer}"),
                    format!("{API_PREFIX}.CONSUMER.INFO.{consumer}"),
                    format!("$JS.ACK.{consumer}.>"),
                ]},
                "sub": {"allow": [format!("{}.>", inbox_prefix(grant.tenant_id))]},
            },
        });
        self.signed(claims, now)
    }

    /// The answer: the user's token, or why there is none.
    pub(super) fn response(
        &self,
        request: &Request,
        user: Result<String, &str>,
        now: DateTime<Utc>,
    ) -> Result<String, nkeys::error::Error> {
        let mut nats = json!({"type": "authorization_response", "version": 2});
        match user {
            Ok(token) => nats["jwt"] = json!(token),
            Err(reason) => nats["error"] = json!(reason),
        }
        self.signed(json!({"sub": request.user_nkey, "aud": request.server_id.id, "nats": nats}), now)
    }
}

impl fmt::Debug for IssuerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IssuerKey").field(&self.0.public_key()).finish()
    }
}

/// What a server asks: who wants to come in.
#[derive(Debug, Deserialize)]
pub(super) struct Request {
    pub user_nkey: String,
    pub server_id: ServerId,
    #[serde(default)]
    pub connect_opts: ConnectOptions,
}

#[derive(Debug, Deserialize)]
pub(super) struct ServerId {
    pub id: String,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct ConnectOptions {
    #[serde(default)]
    pub user: String,
    #[serde(default)]
    pub pass: SecretString,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    #[error("a request to let somebody in has no three parts")]
    Parts,
    #[error("a request to let somebody in is not signed by a server")]
    Signature,
    #[error("a request to let somebody in cannot be read")]
    Claims(#[from] serde_json::Error),
}

impl Request {
    pub fn parse(token: &[u8]) -> Result<Self, RequestError> {
        #[derive(Deserialize)]
        struct Claims {
            iss: String,
            nats: Request,
        }
        let token = std::str::from_utf8(token).map_err(|_| RequestError::Parts)?;
        let (content, signature) = token.rsplit_once('.').ok_or(RequestError::Parts)?;
        let (_, claims) = content.split_once('.').ok_or(RequestError::Parts)?;
        let decoded = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| RequestError::Parts);
        let (claims, signature): (Claims, _) = (serde_json::from_slice(&decoded(claims)?)?, decoded(signature)?);
        let server = KeyPair::from_public_key(&claims.iss).map_err(|_| RequestError::Signature)?;
        server.verify(content.as_bytes(), &signature).map_err(|_| RequestError::Signature)?;
        if claims.iss != claims.nats.server_id.id {
            return Err(RequestError::Signature);
        }
        Ok(claims.nats)
    }
}
