//! Bearer tokens: who the caller is, signed, for as long as the token lives.
//!
//! One algorithm, every claim required, and a refresh token is never an access token: the old system let it be one.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, errors::ErrorKind};
use secrecy::{ExposeSecret, SecretSlice};
use serde::{Deserialize, Serialize};
use starscreen_domain::{TenantId, UserId};
use uuid::Uuid;

use crate::config::TokenSettings;

const ISSUER: &str = "starscreen";
/// Ours have about 450 bytes. What is longer is not looked at.
const MAX_TOKEN_BYTES: usize = 2_048;
/// How far the clocks of two gateways may be apart, in seconds.
const MAX_CLOCK_SKEW_SECONDS: i64 = 5;

/// Makes and checks tokens.
pub struct Tokens {
    signing: EncodingKey,
    checking: DecodingKey,
    validation: Validation,
    access_life: TimeDelta,
    refresh_life: TimeDelta,
}

/// Whom a token speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenSubject {
    pub user_id: UserId,
    pub tenant_id: TenantId,
    pub is_admin: bool,
}

/// What a valid token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifiedToken {
    pub subject: TokenSubject,
    /// This token's own id.
    pub id: Uuid,
    pub issued_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

/// Both tokens of one sign-in.
#[derive(Clone)]
pub struct TokenPair {
    pub access: String,
    pub refresh: String,
    pub access_expires_at: DateTime<Utc>,
    pub refresh_expires_at: DateTime<Utc>,
}

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenKind {
    Access,
    Refresh,
}

/// Why a token is refused. Answers say no more than this; which check failed helps only a forger.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("token is not valid")]
    Invalid,
    #[error("token has expired")]
    Expired,
    #[error("this is {} token where {} token is needed", found.with_article(), needed.with_article())]
    WrongKind { found: TokenKind, needed: TokenKind },
    /// Ours, not the caller's.
    #[error("token cannot be signed")]
    NotSigned,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: Uuid,
    tenant_id: Uuid,
    is_admin: bool,
    #[serde(rename = "type")]
    kind: TokenKind,
    iat: i64,
    exp: i64,
    jti: Uuid,
    iss: String,
    aud: String,
}

impl Tokens {
    pub fn new(secret: &SecretSlice<u8>, settings: &TokenSettings) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_required_spec_claims(&["exp", "sub", "iss", "aud"]);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[ISSUER]);
        validation.validate_exp = false; // checked against the caller's clock below
        validation.leeway = 0;
        Self {
            signing: EncodingKey::from_secret(secret.expose_secret()),
            checking: DecodingKey::from_secret(secret.expose_secret()),
            validation,
            access_life: TimeDelta::minutes(settings.access_minutes.into()),
            refresh_life: TimeDelta::days(settings.refresh_days.into()),
        }
    }

    /// # Errors
    /// [`TokenError::NotSigned`] when signing fails.
    pub fn issue_pair(&self, subject: TokenSubject, now: DateTime<Utc>) -> Result<TokenPair, TokenError> {
        let (access, access_expires_at) = self.issue(subject, TokenKind::Access, now)?;
        let (refresh, refresh_expires_at) = self.issue(subject, TokenKind::Refresh, now)?;
        Ok(TokenPair { access, refresh, access_expires_at, refresh_expires_at })
    }

    /// # Errors
    /// A [`TokenError`] unless this is an access token of ours that is in force at `now`.
    pub fn verify_access(&self, token: &str, now: DateTime<Utc>) -> Result<VerifiedToken, TokenError> {
        self.verify(token, TokenKind::Access, now)
    }

    /// # Errors
    /// A [`TokenError`] unless this is a refresh token of ours that is in force at `now`.
    pub fn verify_refresh(&self, token: &str, now: DateTime<Utc>) -> Result<VerifiedToken, TokenError> {
        self.verify(token, TokenKind::Refresh, now)
    }

    fn life(&self, kind: TokenKind) -> TimeDelta {
        match kind {
            TokenKind::Access => self.access_life,
            TokenKind::Refresh => self.refresh_life,
        }
    }

    fn issue(
        &self,
        subject: TokenSubject,
        kind: TokenKind,
        now: DateTime<Utc>,
    ) -> Result<(String, DateTime<Utc>), TokenError> {
        let now = moment(now.timestamp())?; // tokens count in whole seconds
        let expires_at = now + self.life(kind);
        let claims = Claims {
            sub: subject.user_id.0,
            tenant_id: subject.tenant_id.0,
            is_admin: subject.is_admin,
            kind,
            iat: now.timestamp(),
            exp: expires_at.timestamp(),
            jti: Uuid::now_v7(),
            iss: ISSUER.to_owned(),
            aud: ISSUER.to_owned(),
        };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.signing);
        Ok((token.map_err(|_| TokenError::NotSigned)?, expires_at))
    }

    fn verify(&self, token: &str, needed: TokenKind, now: DateTime<Utc>) -> Result<VerifiedToken, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Invalid);
        }
        let decoded = jsonwebtoken::decode::<Claims>(token, &self.checking, &self.validation).map_err(refusal)?;
        // Ours say nothing but this; a header that names a key or asks to be understood (`kid`, `jku`, `crit`) is bait.
        if decoded.header != Header::new(Algorithm::HS256) {
            return Err(TokenError::Invalid);
        }
        let claims = decoded.claims;
        let (issued_at, expires_at) = (moment(claims.iat)?, moment(claims.exp)?);
        if expires_at <= now {
            return Err(TokenError::Expired);
        }
        let life = expires_at - issued_at;
        if issued_at > now + TimeDelta::seconds(MAX_CLOCK_SKEW_SECONDS) || life > self.life(claims.kind) {
            return Err(TokenError::Invalid);
        }
        if claims.kind != needed {
            return Err(TokenError::WrongKind { found: claims.kind, needed });
        }
        Ok(VerifiedToken {
            subject: TokenSubject {
                user_id: UserId(claims.sub),
                tenant_id: TenantId(claims.tenant_id),
                is_admin: claims.is_admin,
            },
            id: claims.jti,
            issued_at,
            expires_at,
        })
    }
}

fn refusal(error: jsonwebtoken::errors::Error) -> TokenError {
    match error.into_kind() {
        ErrorKind::ExpiredSignature => TokenError::Expired,
        _ => TokenError::Invalid,
    }
}

fn moment(seconds: i64) -> Result<DateTime<Utc>, TokenError> {
    DateTime::from_timestamp(seconds, 0).ok_or(TokenError::Invalid)
}

impl TokenKind {
    fn with_article(self) -> &'static str {
        match self {
            Self::Access => "an access",
            Self::Refresh => "a refresh",
        }
    }
}

impl fmt::Debug for TokenPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenPair").field("access_expires_at", &self.access_expires_at).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use serde_json::{Value, json};

    use super::*;

    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
    const NOW: i64 = 1_774_000_000;

    fn tokens() -> Tokens {
        with_secret(SECRET)
    }

    fn with_secret(secret: &[u8]) -> Tokens {
        let settings = TokenSettings { access_minutes: 30, refresh_days: 7, secret: None };
        Tokens::new(&SecretSlice::from(secret.to_vec()), &settings)
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn ada() -> TokenSubject {
        TokenSubject { user_id: UserId(Uuid::from_u128(1)), tenant_id: TenantId(Uuid::from_u128(2)), is_admin: true }
    }

    fn good() -> Value {
        json!({
            "sub": ada().user_id, "tenant_id": ada().tenant_id, "is_admin": true, "type": "access",
            "iat": NOW - 60, "exp": NOW + 60, "jti": Uuid::from_u128(3), "iss": "starscreen", "aud": "starscreen",
        })
    }

    fn with(name: &str, value: impl Into<Value>) -> String {
        let mut claims = good();
        claims[name] = value.into();
        claims.to_string()
    }

    fn without(name: &str) -> String {
        let mut claims = good();
        claims.as_object_mut().unwrap().remove(name);
        claims.to_string()
    }

    const HEADER: &str = r#"{"typ":"JWT","alg":"HS256"}"#;

    /// A token with any header and any claims, rightly signed by HS256 under `secret`.
    fn signed_with(secret: &[u8], header: &str, claims: &str) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret);
        let signature = aws_lc_rs::hmac::sign(&key, message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    fn signed(header: &str, claims: &str) -> String {
        signed_with(SECRET, header, claims)
    }

    fn hmac_of(algorithm: Algorithm) -> String {
        jsonwebtoken::encode(&Header::new(algorithm), &good(), &EncodingKey::from_secret(SECRET)).unwrap()
    }

    #[test]
    fn a_pair_says_who_it_speaks_for_and_until_when() {
        let pair = tokens().issue_pair(ada(), at(NOW)).unwrap();
        let access = tokens().verify_access(&pair.access, at(NOW)).unwrap();
        assert_eq!((access.subject, access.issued_at), (ada(), at(NOW)));
        assert_eq!((access.expires_at, pair.access_expires_at), (at(NOW + 1_800), at(NOW + 1_800)));

        let refresh = tokens().verify_refresh(&pair.refresh, at(NOW)).unwrap();
        assert_eq!((refresh.subject, refresh.expires_at), (ada(), at(NOW + 7 * 86_400)));
        assert_ne!(access.id, refresh.id);
    }

    #[test]
    fn a_token_ends_with_its_last_second() {
        let pair = tokens().issue_pair(ada(), at(NOW) + TimeDelta::milliseconds(999)).unwrap();
        assert!(tokens().verify_access(&pair.access, at(NOW + 1_799)).is_ok());
        assert_eq!(tokens().verify_access(&pair.access, at(NOW + 1_800)), Err(TokenError::Expired));
        assert!(tokens().verify_refresh(&pair.refresh, at(NOW + 7 * 86_400 - 1)).is_ok());
        assert_eq!(tokens().verify_refresh(&pair.refresh, at(NOW + 7 * 86_400)), Err(TokenError::Expired));
    }

    #[test]
    fn a_refresh_token_is_never_an_access_token_nor_the_other_way_round() {
        let pair = tokens().issue_pair(ada(), at(NOW)).unwrap();
        let refusal = tokens().verify_access(&pair.refresh, at(NOW)).unwrap_err();
        assert_eq!(refusal.to_string(), "this is a refresh token where an access token is needed");
        let refusal = tokens().verify_refresh(&pair.access, at(NOW)).unwrap_err();
        assert_eq!(refusal.to_string(), "this is an access token where a refresh token is needed");
    }

    #[test]
    fn what_the_forgeries_start_from_is_accepted() {
        for header in [HEADER, r#"{ "alg": "HS256", "typ": "JWT" }"#] {
            assert!(tokens().verify_access(&signed(header, &good().to_string()), at(NOW)).is_ok(), "{header}");
        }
        let slow_clock = with("iat", NOW + MAX_CLOCK_SKEW_SECONDS);
        assert!(tokens().verify_access(&signed(HEADER, &slow_clock), at(NOW)).is_ok());
    }

    #[test]
    fn every_forgery_is_refused() {
        let claims = good().to_string();
        let whole = signed(HEADER, &claims);
        let (message, signature) = whole.rsplit_once('.').unwrap();
        let (head, body) = message.split_once('.').unwrap();
        let unsigned =
            |header: &str| format!("{}.{}.", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(&claims));
        let headed = |header: &str| signed(header, &claims);
        let admin = claims.replacen('{', r#"{"is_admin":false,"#, 1);
        let forgeries = [
            // Another algorithm, or none.
            ("alg none", unsigned(r#"{"alg":"none","typ":"JWT"}"#)),
            ("alg None", unsigned(r#"{"alg":"None","typ":"JWT"}"#)),
            ("alg nOnE, signed", headed(r#"{"alg":"nOnE","typ":"JWT"}"#)),
            ("alg none, old signature", format!("{}.{body}.{signature}", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#))),
            ("alg empty", headed(r#"{"alg":"","typ":"JWT"}"#)),
            ("alg null", headed(r#"{"alg":null,"typ":"JWT"}"#)),
            ("alg missing", headed(r#"{"typ":"JWT"}"#)),
            ("alg in lower case", headed(r#"{"alg":"hs256","typ":"JWT"}"#)),
            ("alg as a list", headed(r#"{"alg":["HS256"],"typ":"JWT"}"#)),
            ("alg twice", headed(r#"{"alg":"none","alg":"HS256","typ":"JWT"}"#)),
            ("HS384", hmac_of(Algorithm::HS384)),
            ("HS512", hmac_of(Algorithm::HS512)),
            ("RS256 over an HMAC", headed(r#"{"alg":"RS256","typ":"JWT"}"#)),
            ("PS256 over an HMAC", headed(r#"{"alg":"PS256","typ":"JWT"}"#)),
            ("ES256 over an HMAC", headed(r#"{"alg":"ES256","typ":"JWT"}"#)),
            ("EdDSA over an HMAC", headed(r#"{"alg":"EdDSA","typ":"JWT"}"#)),
            // A header that wants to choose the key or be believed.
            ("kid as a path", headed(r#"{"alg":"HS256","typ":"JWT","kid":"../../dev/null"}"#)),
            ("kid as SQL", headed(r#"{"alg":"HS256","typ":"JWT","kid":"' UNION SELECT 'k"}"#)),
            ("jku", headed(r#"{"alg":"HS256","typ":"JWT","jku":"https://evil.example/jwks"}"#)),
            ("jwk", headed(r#"{"alg":"HS256","typ":"JWT","jwk":{"kty":"oct","k":"AAAA"}}"#)),
            ("x5u", headed(r#"{"alg":"HS256","typ":"JWT","x5u":"https://evil.example/cert"}"#)),
            ("crit", headed(r#"{"alg":"HS256","typ":"JWT","crit":["b64"],"b64":false}"#)),
            ("zip", headed(r#"{"alg":"HS256","typ":"JWT","zip":"DEF"}"#)),
            ("unknown header", headed(r#"{"alg":"HS256","typ":"JWT","admin":true}"#)),
            ("typ of something else", headed(r#"{"alg":"HS256","typ":"at+jwt"}"#)),
            ("typ missing", headed(r#"{"alg":"HS256"}"#)),
            // Another key.
            ("other secret", signed_with(b"fedcba9876543210fedcba9876543210", HEADER, &claims)),
            ("empty secret", signed_with(b"", HEADER, &claims)),
            ("part of the secret", signed_with(&SECRET[..31], HEADER, &claims)),
            // Claims.
            ("no sub", signed(HEADER, &without("sub"))),
            ("no tenant", signed(HEADER, &without("tenant_id"))),
            ("no is_admin", signed(HEADER, &without("is_admin"))),
            ("no type", signed(HEADER, &without("type"))),
            ("no iat", signed(HEADER, &without("iat"))),
            ("no exp", signed(HEADER, &without("exp"))),
            ("no jti", signed(HEADER, &without("jti"))),
            ("no iss", signed(HEADER, &without("iss"))),
            ("no aud", signed(HEADER, &without("aud"))),
            ("sub is a name", signed(HEADER, &with("sub", "ada"))),
            ("tenant is null", signed(HEADER, &with("tenant_id", Value::Null))),
            ("is_admin as text", signed(HEADER, &with("is_admin", "true"))),
            ("unknown type", signed(HEADER, &with("type", "api_key"))),
            ("type in upper case", signed(HEADER, &with("type", "ACCESS"))),
            ("refresh as access", signed(HEADER, &with("type", "refresh"))),
            ("other issuer", signed(HEADER, &with("iss", "starscreen-staging"))),
            ("several issuers", signed(HEADER, &with("iss", json!(["starscreen", "other"])))),
            ("other audience", signed(HEADER, &with("aud", "other"))),
            ("several audiences", signed(HEADER, &with("aud", json!(["starscreen", "other"])))),
            ("expired", signed(HEADER, &with("exp", NOW - 1))),
            ("expires now", signed(HEADER, &with("exp", NOW))),
            ("expiry as text", signed(HEADER, &with("exp", (NOW + 60).to_string()))),
            ("expiry as a fraction", signed(HEADER, &with("exp", 1_774_000_060.5))),
            ("expiry beyond time", signed(HEADER, &with("exp", i64::MAX))),
            ("expiry beyond numbers", signed(HEADER, &with("exp", u64::MAX))),
            ("issued before time", signed(HEADER, &with("iat", i64::MIN))),
            ("issued in the future", signed(HEADER, &with("iat", NOW + MAX_CLOCK_SKEW_SECONDS + 1))),
            ("lives too long", signed(HEADER, &with("exp", NOW - 60 + 1_801))),
            ("a claim twice", signed(HEADER, &admin)),
            ("claims are no JSON", signed(HEADER, "sub=ada")),
            ("claims are a list", signed(HEADER, "[]")),
            ("claims are empty", signed(HEADER, "")),
            ("text behind the claims", signed(HEADER, &format!("{claims}{{}}"))),
            // The form.
            ("empty", String::new()),
            ("dots", "..".to_owned()),
            ("garbage", "a.b.c".to_owned()),
            ("not ASCII", "é.é.é".to_owned()),
            ("no signature", message.to_owned()),
            ("empty signature", format!("{message}.")),
            ("half a signature", format!("{message}.{}", &signature[..20])),
            ("other claims under the signature", format!("{head}.{}.{signature}", URL_SAFE_NO_PAD.encode(&admin))),
            ("padded", format!("{whole}=")),
            ("four parts", format!("{whole}.{signature}")),
            ("with its scheme", format!("Bearer {whole}")),
            ("with white space", format!(" {whole}")),
            ("huge", signed(HEADER, &with("padding", "a".repeat(MAX_TOKEN_BYTES)))),
        ];
        for (what, token) in &forgeries {
            assert!(tokens().verify_access(token, at(NOW)).is_err(), "accepted: {what}");
        }
        assert!(forgeries.len() >= 40);
    }

    #[test]
    fn no_single_changed_bit_is_overlooked() {
        let token = tokens().issue_pair(ada(), at(NOW)).unwrap().access.into_bytes();
        let tokens = tokens();
        for bit in 0..token.len() * 8 {
            let mut changed = token.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            if let Ok(changed) = String::from_utf8(changed) {
                assert!(tokens.verify_access(&changed, at(NOW)).is_err(), "bit {bit}");
            }
        }
    }

    #[test]
    fn a_refusal_tells_a_forger_nothing_but_that() {
        let refusal = tokens().verify_access(&signed_with(b"another", HEADER, &good().to_string()), at(NOW));
        assert_eq!(refusal, Err(TokenError::Invalid));
        // Who cannot sign is not told that a token has expired either.
        let refusal = tokens().verify_access(&signed_with(b"another", HEADER, &with("exp", NOW - 1)), at(NOW));
        assert_eq!(refusal, Err(TokenError::Invalid));
    }

    #[test]
    fn debug_shows_no_token() {
        let pair = tokens().issue_pair(ada(), at(NOW)).unwrap();
        let shown = format!("{pair:?}");
        assert!(!shown.contains(&pair.access) && !shown.contains(&pair.refresh), "{shown}");
    }
}
