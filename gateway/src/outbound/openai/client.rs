//! One call: bounded in time and size, and every way it can fail told apart.
//!
//! Reasons are stored and logged, so they hold words of ours only: nothing that the server said, no address, no key.

use std::time::Duration;

use futures::StreamExt;
use reqwest::{
    Response, StatusCode, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use starscreen_commands::ports::LlmError;

use super::{super::wire, prompt::Prompt};

const MAX_ANSWER_BYTES: usize = 1 << 20;
const MAX_COMPLETION_TOKENS: u32 = 6_000;
/// Codes of the server's that are passed on; any other could hold what nobody should read.
const KNOWN_CODES: &[&str] = &[
    "invalid_api_key",
    "insufficient_quota",
    "billing_not_active",
    "billing_hard_limit_reached",
    "rate_limit_exceeded",
    "model_not_found",
    "context_length_exceeded",
    "content_filter",
    "unsupported_value",
    "unsupported_parameter",
    "unsupported_country_region_territory",
];
/// Codes behind which there is no credit, whatever the status.
const NO_CREDIT: &[&str] = &["insufficient_quota", "billing_not_active", "billing_hard_limit_reached"];
/// Parts of our request that every call has alike: a server that does not take one will take no call.
const FIXED_PARTS: &[&str] =
    &["model", "temperature", "seed", "max_completion_tokens", "response_format", "response_format.type"];

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("OPENAI_BASE_URL is no address of a model server; it begins with http:// or https:// and has no password")]
    BaseUrl,
    #[error("OPENAI_API_KEY has characters that no key has; check it for quotes, blanks and line ends")]
    Key,
    #[error(
        "TLS to the model's server cannot be set up; this needs the system's certificate authorities \
         (package ca-certificates, or SSL_CERT_FILE)"
    )]
    Tls(#[source] reqwest::Error),
}

pub struct Client {
    http: reqwest::Client,
    endpoint: Url,
    models: Url,
    authorization: HeaderValue,
}

/// What a server says when it is asked for its models, which costs nothing.
#[derive(Debug, PartialEq, Eq)]
pub enum Listed {
    Names(Vec<String>),
    /// It has no such list, as many compatible servers have none: that says nothing of the key.
    NoList,
    KeyRefused,
    Answered(u16),
}

/// What is asked for.
pub struct Wanted<'a> {
    pub model: &'a str,
    pub temperature: f32,
    pub seed: Option<u64>,
    pub schema_name: &'a str,
    pub schema: Value,
    pub prompt: Prompt,
}

/// The text of the answer and the model that gave it.
pub struct Answer {
    pub content: String,
    pub model: String,
}

#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    temperature: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    max_completion_tokens: u32,
    messages: [Say<'a>; 2],
    response_format: ResponseFormat<'a>,
}

#[derive(Serialize)]
struct Say<'a> {
    role: &'static str,
    content: &'a str,
}

#[derive(Serialize)]
struct ResponseFormat<'a> {
    r#type: &'static str,
    json_schema: JsonSchema<'a>,
}

#[derive(Serialize)]
struct JsonSchema<'a> {
    name: &'a str,
    strict: bool,
    schema: &'a Value,
}

impl Client {
    /// `timeout`: from the request to the last byte of the answer.
    pub fn new(api_key: &SecretString, base_url: &str, timeout: Duration) -> Result<Self, ConnectError> {
        let wrong = || ConnectError::BaseUrl;
        let base = Url::parse(base_url).map_err(|_| wrong())?;
        if !matches!(base.scheme(), "http" | "https") || !base.has_host() {
            return Err(wrong());
        }
        let base = base.as_str().trim_end_matches('/');
        let endpoint = Url::parse(&format!("{base}/chat/completions")).map_err(|_| wrong())?;
        let models = Url::parse(&format!("{base}/models")).map_err(|_| wrong())?;
        let bearer = format!("Bearer {}", api_key.expose_secret());
        let mut authorization = HeaderValue::from_str(&bearer).map_err(|_| ConnectError::Key)?;
        authorization.set_sensitive(true);
        let builder = reqwest::Client::builder()
            .user_agent(wire::USER_AGENT)
            .connect_timeout(wire::CONNECT_TIMEOUT)
            .timeout(timeout)
            .redirect(reqwest::redirect::Policy::none());
        // A model in the house, spoken to in clear, needs nobody's certificates.
        let builder = if endpoint.scheme() == "http" { builder.tls_certs_only([]) } else { builder };
        let http = builder.build().map_err(ConnectError::Tls)?;
        Ok(Self { http, endpoint, models, authorization })
    }

    /// For the log: a whole address may carry a secret.
    pub fn host(&self) -> &str {
        self.endpoint.host_str().unwrap_or_default()
    }

    /// # Errors
    /// [`LlmError::Unavailable`] when it does not answer.
    pub async fn models(&self) -> Result<Listed, LlmError> {
        let request = self.http.get(self.models.clone()).header(AUTHORIZATION, self.authorization.clone());
        let response = request.send().await.map_err(|error| down(&error))?;
        Ok(match response.status() {
            status if status.is_success() => Listed::Names(names(&read(response).await?)),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Listed::KeyRefused,
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => Listed::NoList,
            status => Listed::Answered(status.as_u16()),
        })
    }

    pub async fn complete(&self, wanted: Wanted<'_>) -> Result<Answer, LlmError> {
        let request = Request {
            model: wanted.model,
            temperature: wanted.temperature,
            seed: wanted.seed,
            max_completion_tokens: MAX_COMPLETION_TOKENS,
            messages: [
                Say { role: "system", content: &wanted.prompt.system },
                Say { role: "user", content: &wanted.prompt.user },
            ],
            response_format: ResponseFormat {
                r#type: "json_schema",
                json_schema: JsonSchema { name: wanted.schema_name, strict: true, schema: &wanted.schema },
            },
        };
        let request =
            self.http.post(self.endpoint.clone()).header(AUTHORIZATION, self.authorization.clone()).json(&request);
        let response = request.send().await.map_err(|error| down(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = read(response).await;
        if !status.is_success() {
            return Err(refusal(status, &headers, &body.unwrap_or_default())); // a cut explanation is none
        }
        understood(&headers, &body?)
    }
}

fn names(body: &[u8]) -> Vec<String> {
    let list: Value = serde_json::from_slice(body).unwrap_or_default();
    let models = list["data"].as_array().into_iter().flatten();
    models.filter_map(|model| model["id"].as_str().map(str::to_owned)).collect()
}

fn unavailable(reason: &str) -> LlmError {
    LlmError::Unavailable { reason: reason.to_owned(), retry_after: None }
}

fn unusable(reason: &str) -> LlmError {
    LlmError::Unusable { reason: reason.to_owned() }
}

fn down(error: &reqwest::Error) -> LlmError {
    unavailable(wire::fault(error))
}

async fn read(response: Response) -> Result<Vec<u8>, LlmError> {
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| down(&error))?;
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(unusable("it is larger than any rubric or evaluation"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorBody {
    error: ErrorDetail,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorDetail {
    code: Value,
    r#type: Value,
    param: Value,
}

fn refusal(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> LlmError {
    let detail = serde_json::from_slice::<ErrorBody>(body).unwrap_or_default().error;
    let given = [detail.code.as_str(), detail.r#type.as_str()];
    let code = KNOWN_CODES.iter().find(|known| given.contains(&Some(**known))).copied().unwrap_or_default();
    let said = format!("its server answered {} {code}", status.as_u16()).trim_end().to_owned();
    let refused = |advice: &str| LlmError::Refused { reason: format!("{said}: {advice}") };
    if NO_CREDIT.contains(&code) || status == StatusCode::PAYMENT_REQUIRED {
        return refused("the account has no credit; add some, or check its billing");
    }
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            refused("check OPENAI_API_KEY and what it is allowed to do")
        }
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => refused("check OPENAI_MODEL and OPENAI_BASE_URL"),
        status if status.is_redirection() => refused("it sends callers elsewhere; check OPENAI_BASE_URL"),
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY
            if code == "model_not_found"
                || code.starts_with("unsupported_")
                || detail.param.as_str().is_some_and(|param| FIXED_PARTS.contains(&param)) =>
        {
            refused("the model does not take what every call asks for; check OPENAI_MODEL and OPENAI_TEMPERATURE")
        }
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT | StatusCode::TOO_EARLY => {
            LlmError::Unavailable { reason: said, retry_after: wire::retry_after(headers) }
        }
        status if status.is_server_error() => {
            LlmError::Unavailable { reason: said, retry_after: wire::retry_after(headers) }
        }
        _ => unusable(&said),
    }
}

#[derive(Deserialize)]
struct Completion {
    model: Option<String>,
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    finish_reason: Option<String>,
    message: Message,
}

#[derive(Deserialize)]
struct Message {
    content: Option<String>,
    refusal: Option<String>,
}

/// What is no chat completion comes from a server or proxy out of order, so it is no item's fault; what the model says
/// in it may be.
fn understood(headers: &HeaderMap, body: &[u8]) -> Result<Answer, LlmError> {
    let completion: Completion = serde_json::from_slice(body).map_err(|_| {
        let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("application/json");
        unavailable(if kind.contains("json") {
            "its server answered with something that is no chat completion"
        } else {
            "its server answered with a page instead of JSON; check OPENAI_BASE_URL"
        })
    })?;
    let choice = completion.choices.into_iter().next().ok_or_else(|| unusable("it has no choice"))?;
    if choice.message.refusal.is_some_and(|refusal| !refusal.is_empty()) {
        return Err(unusable("the model declined to answer"));
    }
    match choice.finish_reason.as_deref() {
        Some("length") => return Err(unusable("it was cut at its longest length")),
        Some("content_filter") => return Err(unusable("a content filter cut it")),
        _ => {}
    }
    let content = choice.message.content.ok_or_else(|| unusable("it is empty"))?;
    let model = completion.model.unwrap_or_default();
    let model: String = model.chars().filter(char::is_ascii_graphic).take(100).collect();
    Ok(Answer { content, model: if model.is_empty() { "unnamed".to_owned() } else { model } })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn answered(status: u16, body: &Value) -> LlmError {
        refusal(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.to_string().as_bytes())
    }

    fn connected(base_url: &str, key: &str) -> Result<Client, ConnectError> {
        Client::new(&SecretString::from(key), base_url, Duration::from_secs(1))
    }

    #[test]
    fn what_no_other_try_mends_is_refused_and_what_will_pass_is_not() {
        let of = |code: &str| json!({"error": {"message": "Incorrect API key sk-test-1", "code": code, "param": null}});
        for (status, body) in [
            (401, of("invalid_api_key")),
            (403, json!("no")),
            (402, json!({})),
            (429, of("insufficient_quota")),
            (429, json!({"error": {"code": null, "type": "insufficient_quota"}})),
            (404, of("model_not_found")),
            (400, json!({"error": {"code": "unsupported_value", "param": "temperature"}})),
            (400, json!({"error": {"code": null, "param": "response_format"}})),
            (301, json!({})),
        ] {
            assert!(matches!(answered(status, &body), LlmError::Refused { .. }), "{status} {body}");
        }
        for status in [408, 409, 429, 500, 502, 503, 504, 529] {
            assert!(matches!(answered(status, &of("rate_limit_exceeded")), LlmError::Unavailable { .. }), "{status}");
        }
        for (status, body) in [(400, of("context_length_exceeded")), (400, of("content_filter")), (413, json!({}))] {
            assert!(matches!(answered(status, &body), LlmError::Unusable { .. }), "{status} {body}");
        }
    }

    #[test]
    fn a_reason_holds_nothing_that_the_server_said_except_codes_we_know() {
        let body =
            json!({"error": {"message": "Incorrect API key sk-test-1", "code": "ada_lovelace", "type": "sk-test-1"}});
        let said = answered(401, &body).to_string();
        assert_eq!(
            said,
            "the model refuses to work: its server answered 401: check OPENAI_API_KEY and what it is allowed to do"
        );
        let known = answered(401, &json!({"error": {"code": "invalid_api_key"}})).to_string();
        assert!(known.contains("401 invalid_api_key"), "{known}");
    }

    #[test]
    fn only_a_whole_answer_is_understood() {
        let of = |body: Value| understood(&HeaderMap::new(), body.to_string().as_bytes());
        let answer =
            of(json!({"model": "gpt\n-4o", "choices": [{"finish_reason": "stop", "message": {"content": "{}"}}]}));
        let answer = answer.ok().unwrap();
        assert_eq!((answer.model.as_str(), answer.content.as_str()), ("gpt-4o", "{}"));
        for body in [
            json!({"choices": []}),
            json!({"choices": [{"message": {"content": null}}]}),
            json!({"choices": [{"message": {"content": "{}", "refusal": "I will not"}}]}),
            json!({"choices": [{"message": {"content": "{"}, "finish_reason": "length"}]}),
        ] {
            assert!(matches!(of(body.clone()), Err(LlmError::Unusable { .. })), "{body}");
        }
        let page = understood(&headers(&[("content-type", "text/html")]), b"<html>sign in</html>");
        let Err(LlmError::Unavailable { reason, .. }) = page else { panic!("a page is understood") };
        assert!(reason.contains("a page instead of JSON"), "{reason}");
        assert!(matches!(of(json!([1])), Err(LlmError::Unavailable { .. })));
    }

    #[tokio::test]
    async fn an_address_or_key_that_cannot_be_is_refused_before_any_call() {
        for base_url in ["", "localhost:1", "ftp://a/v1", "http://", "http://host:99999/v1", "http://[::1/v1"] {
            let refused = connected(base_url, "sk-test").err().unwrap().to_string();
            assert!(refused.contains("OPENAI_BASE_URL"), "{refused}");
        }
        let refused = connected("http://127.0.0.1/v1", "sk-test\nsecret").err().unwrap().to_string();
        assert!(refused.contains("OPENAI_API_KEY") && !refused.contains("sk-test"), "{refused}");
        let client = connected("http://127.0.0.1:1/v1/", "sk-test").unwrap();
        assert_eq!((client.endpoint.as_str(), client.host()), ("http://127.0.0.1:1/v1/chat/completions", "127.0.0.1"));
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_unavailable() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let client = connected(&format!("http://{address}/v1"), "sk-test").unwrap();
        let prompt = Prompt { system: String::new(), user: String::new() };
        let schema = json!({});
        let wanted = Wanted { model: "m", temperature: 0.2, seed: None, schema_name: "s", schema, prompt };
        let Err(LlmError::Unavailable { reason, .. }) = client.complete(wanted).await else { panic!("it answered") };
        assert_eq!(reason, "its server cannot be reached");
    }

    #[test]
    fn a_temperature_is_sent_as_it_was_set() {
        assert_eq!(serde_json::to_string(&0.2_f32).unwrap(), "0.2");
    }
}
