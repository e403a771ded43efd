//! Webhooks: what has changed, signed, to be sent as a test likes.

use std::time::Duration;

use aws_lc_rs::hmac;
use chrono::Utc;
use serde_json::Value;

/// What the stand-in signs with.
pub const WEBHOOK_SECRET: &str = "whsec_test_0123456789abcdef";
/// How long an answer to a webhook may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A change, as it is told. Drop one, send one twice, or send them in another order: that is the network's way.
#[derive(Clone, Debug)]
pub struct Webhook {
    pub id: String,
    pub kind: String,
    /// In seconds; several may share one.
    pub created: i64,
    pub body: String,
}

/// How a webhook is signed.
#[derive(Clone, Debug)]
pub enum Signing {
    Good,
    /// With each of these secrets, as while one is rotated.
    With(Vec<String>),
    /// As if it were signed so many seconds ago; below nothing, ahead.
    SecondsAgo(i64),
    /// Rightly, but the body is parsed and written again.
    Rewritten,
    /// By somebody who does not know the secret.
    Forged,
    Unsigned,
}

impl Webhook {
    pub fn object(&self) -> Value {
        serde_json::from_str::<Value>(&self.body).unwrap()["data"]["object"].take()
    }

    /// The `Stripe-Signature` of `body`.
    pub fn signature(body: &str, timestamp: i64, secrets: &[&str]) -> String {
        let sign = |secret: &&str| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
            let tag = hmac::sign(&key, format!("{timestamp}.{body}").as_bytes());
            tag.as_ref().iter().fold(String::from(",v1="), |text, byte| format!("{text}{byte:02x}"))
        };
        format!("t={timestamp}{}", secrets.iter().map(sign).collect::<String>())
    }

    /// Sends it once; the status of the answer, or none.
    pub async fn send(&self, url: &str, signing: &Signing) -> Option<u16> {
        let now = Utc::now().timestamp();
        let mut body = self.body.clone();
        let signature = match signing {
            Signing::Good => Some(Self::signature(&body, now, &[WEBHOOK_SECRET])),
            Signing::With(secrets) => {
                let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
                Some(Self::signature(&body, now, &secrets))
            }
            Signing::SecondsAgo(seconds) => Some(Self::signature(&body, now - seconds, &[WEBHOOK_SECRET])),
            Signing::Rewritten => {
                let signature = Self::signature(&body, now, &[WEBHOOK_SECRET]);
                body = serde_json::from_str::<Value>(&body).unwrap().to_string();
                Some(signature)
            }
            Signing::Forged => Some(Self::signature(&body, now, &["whsec_of_somebody_else"])),
            Signing::Unsigned => None,
        };
        let client = reqwest::Client::builder().tls_certs_only([]).build().unwrap(); // webhooks go in clear
        let request = client.post(url).header("content-type", "application/json; charset=utf-8");
        let request = match signature {
            Some(signature) => request.header("stripe-signature", signature),
            None => request,
        };
        request.timeout(TIMEOUT).body(body).send().await.ok().map(|answer| answer.status().as_u16())
    }
}
