//! One call: bounded in time and size, with the key and the version that this adapter was written for.

use std::time::Duration;

use futures::StreamExt;
use reqwest::{
    Method, RequestBuilder, Response, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::{
    super::wire,
    form::Form,
    refusal::{self, Refusal},
};

/// Answers are shaped by this version, whatever the account's own one is.
pub const VERSION: &str = "2026-07-29.dahlia";
const MAX_ANSWER_BYTES: usize = 8 << 20;
const PAGE: &str = "100";
/// A list that goes on after this has no end.
const MAX_PAGES: usize = 100;

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("the address of Stripe's API is none; it begins with http:// or https:// and has no path")]
    BaseUrl,
    #[error("STRIPE_API_KEY has characters that no key has; check it for quotes, blanks and line ends")]
    Key,
    #[error(
        "TLS to Stripe cannot be set up; this needs the system's certificate authorities \
         (package ca-certificates, or SSL_CERT_FILE)"
    )]
    Tls(#[source] reqwest::Error),
}

pub struct Client {
    http: reqwest::Client,
    base: Url,
    authorization: HeaderValue,
}

impl Client {
    /// `timeout`: from the request to the last byte of the answer.
    pub fn new(api_key: &SecretString, base_url: &str, timeout: Duration) -> Result<Self, ConnectError> {
        let base = Url::parse(base_url).map_err(|_| ConnectError::BaseUrl)?;
        if !matches!(base.scheme(), "http" | "https") || !base.has_host() || base.path() != "/" {
            return Err(ConnectError::BaseUrl);
        }
        let bearer = format!("Bearer {}", api_key.expose_secret());
        let mut authorization = HeaderValue::from_str(&bearer).map_err(|_| ConnectError::Key)?;
        authorization.set_sensitive(true);
        let builder = reqwest::Client::builder()
            .user_agent(wire::USER_AGENT)
            .connect_timeout(wire::CONNECT_TIMEOUT)
            .timeout(timeout)
            .redirect(reqwest::redirect::Policy::none());
        // A stand-in that is spoken to in clear needs nobody's certificates.
        let builder = if base.scheme() == "http" { builder.tls_certs_only([]) } else { builder };
        Ok(Self { http: builder.build().map_err(ConnectError::Tls)?, base, authorization })
    }

    /// For the log: a whole address may carry a secret.
    pub fn host(&self) -> &str {
        self.base.host_str().unwrap_or_default()
    }

    pub async fn get(&self, path: &[&str], query: &Form) -> Result<Value, Refusal> {
        answer(self.request(Method::GET, path)?.query(query.pairs())).await
    }

    /// Stripe answers the same `key` alike for a day or more, without doing it again.
    pub async fn post(&self, path: &[&str], form: &Form, key: Option<&str>) -> Result<Value, Refusal> {
        let request = self.request(Method::POST, path)?.form(form.pairs());
        answer(match key {
            Some(key) => request.header("idempotency-key", key),
            None => request,
        })
        .await
    }

    pub async fn delete(&self, path: &[&str], query: &Form) -> Result<Value, Refusal> {
        answer(self.request(Method::DELETE, path)?.query(query.pairs())).await
    }

    /// All pages of a list.
    pub async fn list(&self, path: &[&str], mut query: Form) -> Result<Vec<Value>, Refusal> {
        query.set("limit", PAGE);
        let mut all: Vec<Value> = Vec::new();
        for _ in 0..MAX_PAGES {
            let mut next = query.clone();
            if let Some(last) = all.last() {
                let last = last["id"].as_str().ok_or_else(|| refusal::endless(path))?;
                next.set("starting_after", last);
            }
            let mut page = self.get(path, &next).await?;
            let Some(data) = page["data"].as_array_mut() else { return Err(refusal::foreign("list").into()) };
            let is_empty = data.is_empty();
            all.append(data);
            if is_empty || page["has_more"] != true {
                return Ok(all);
            }
        }
        Err(refusal::endless(path))
    }

    fn request(&self, method: Method, path: &[&str]) -> Result<RequestBuilder, Refusal> {
        // Ids come from callers too; none may lead elsewhere.
        let is_plain =
            |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !path.iter().all(is_plain) {
            return Err(refusal::no_id());
        }
        let mut url = self.base.clone();
        url.set_path(&format!("/v1/{}", path.join("/")));
        let authorization = self.authorization.clone();
        Ok(self.http.request(method, url).header(AUTHORIZATION, authorization).header("stripe-version", VERSION))
    }
}

async fn answer(request: RequestBuilder) -> Result<Value, Refusal> {
    let response = request.send().await.map_err(|error| refusal::down(wire::fault(&error)))?;
    let (status, headers) = (response.status(), response.headers().clone());
    let body = read(response).await;
    if !status.is_success() {
        return Err(refusal::of(status, &headers, &body.unwrap_or_default())); // a cut explanation is none
    }
    serde_json::from_slice(&body?).map_err(|_| {
        let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("application/json");
        refusal::down(if kind.contains("json") {
            "its answer is no JSON"
        } else {
            "it answered with a page instead of JSON; check the address of its API"
        })
    })
}

async fn read(response: Response) -> Result<Vec<u8>, Refusal> {
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| refusal::down(wire::fault(&error)))?;
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(refusal::down("its answer is larger than any that is asked for"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connected(base_url: &str, key: &str) -> Result<Client, ConnectError> {
        Client::new(&SecretString::from(key), base_url, Duration::from_secs(1))
    }

    #[tokio::test]
    async fn an_address_or_key_that_cannot_be_is_refused_before_any_call() {
        for base_url in ["", "localhost:1", "ftp://a", "http://", "http://host:99999", "https://api.stripe.com/v1"] {
            assert!(matches!(connected(base_url, "sk_test_1"), Err(ConnectError::BaseUrl)), "{base_url}");
        }
        let refused = connected("http://127.0.0.1", "sk_test_1\nsecret").err().unwrap().to_string();
        assert!(refused.contains("STRIPE_API_KEY") && !refused.contains("sk_test"), "{refused}");
        assert_eq!(connected("https://api.stripe.com/", "sk_test_1").unwrap().host(), "api.stripe.com");
    }

    #[tokio::test]
    async fn an_id_leads_to_nothing_else() {
        let client = connected("http://127.0.0.1:1", "sk_test_1").unwrap();
        for id in ["", "..", "a/b", "a?b", "a%2Fb", "a b", "é"] {
            let refused = client.request(Method::GET, &["customers", id]).err().unwrap();
            assert!(refused.error.to_string().contains("no id of Stripe's"), "{id}: {}", refused.error);
        }
        assert!(client.request(Method::GET, &["customers", "cus_NffrFeUfNV2Hib"]).is_ok());
    }

    #[test]
    fn the_key_is_not_shown() {
        let client = connected("http://127.0.0.1:1", "sk_test_hunter2").unwrap();
        let request = client.request(Method::GET, &["customers"]).ok().unwrap();
        assert!(!format!("{request:?}").contains("hunter2"));
    }
}
