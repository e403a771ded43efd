//! A language model's server, by the letter of the OpenAI chat API, that does what a test has written down for it.

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant, SystemTime},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Response, header},
    routing::post,
};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::oneshot;

/// What the server calls its model, whatever it is asked for.
pub const MODEL: &str = "scripted-1";
const HUGE: usize = 20 * 1024 * 1024;

/// What is asked for, by the name of the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Rubric,
    Evaluation,
}

/// What the server does with one call.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A valid answer, its quotes copied from the resume.
    Good,
    /// The same, later.
    GoodAfter(Duration),
    /// A valid answer that the test has changed.
    Edited(fn(&mut Value)),
    /// A valid answer whose text the test has changed; for what no JSON value can hold.
    Respelled(fn(String) -> String),
    /// Only a status, and an error body as the API gives it.
    Status(u16),
    /// 429 with Retry-After in seconds.
    BusyForSeconds(u64),
    /// 429 with Retry-After as a date that is this far.
    BusyUntil(Duration),
    /// 429 with retry-after-ms.
    BusyForMillis(u64),
    /// 429, `insufficient_quota`.
    NoCredit,
    /// No answer, as long as the caller waits.
    Hang,
    /// Half an answer, then the connection ends.
    Cut,
    /// Half an answer, said to be whole.
    Half,
    /// A page of a proxy.
    Page,
    /// 20 MB.
    Huge,
}

impl Reply {
    /// An answer with a quote that no resume has.
    pub fn invented_quote() -> Self {
        Self::Edited(|answer| answer["categories"][0]["quotes"] = json!(["led the first landing on Europa"]))
    }
}

/// One call, as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    pub at: Instant,
    pub kind: Kind,
    pub authorization: String,
    pub body: Value,
}

impl Asked {
    pub fn system(&self) -> &str {
        self.body["messages"][0]["content"].as_str().unwrap()
    }

    pub fn user(&self) -> &str {
        self.body["messages"][1]["content"].as_str().unwrap()
    }

    /// The mark around the data, and the data between them. Fails when they are not where they belong.
    pub fn fenced(&self) -> (&str, &str) {
        let (open, rest) = self.user().split_once('\n').unwrap();
        let (inside, close) = rest.rsplit_once('\n').unwrap();
        let name = open.trim_start_matches('<').trim_end_matches('>');
        assert_eq!((open, close), (format!("<{name}>").as_str(), format!("</{name}>").as_str()), "{}", self.user());
        (name, inside)
    }
}

#[derive(Default)]
struct Script {
    next: BTreeMap<Kind, VecDeque<Reply>>,
    /// When nothing is next: these in turn.
    always: BTreeMap<Kind, Vec<Reply>>,
    key: Option<String>,
    asked: Vec<Asked>,
}

type Shared = Arc<Mutex<Script>>;

/// Runs, on a thread of its own, until it is dropped.
pub struct ModelServer {
    address: SocketAddr,
    script: Shared,
    stop: Option<oneshot::Sender<()>>,
}

impl ModelServer {
    /// A server whose answers are good.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let script = Shared::default();
        let routes = Router::new().route("/v1/chat/completions", post(answer)).with_state(Arc::clone(&script));
        let (stop, stopped) = oneshot::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    served = async { axum::serve(listener, routes).await } => served.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        Self { address, script, stop: Some(stop) }
    }

    /// For `OPENAI_BASE_URL`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        locked(&self.script)
    }

    /// Answers the next calls of this kind, in order.
    pub fn next(&self, kind: Kind, replies: &[Reply]) {
        self.script().next.entry(kind).or_default().extend(replies.iter().cloned());
    }

    /// Answers every call of this kind that nothing else is written down for, in turn.
    pub fn always(&self, kind: Kind, replies: &[Reply]) {
        self.script().always.insert(kind, replies.to_vec());
    }

    /// The only key that is let in from now on.
    pub fn let_in_only(&self, key: &str) {
        self.script().key = Some(key.to_owned());
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.script().asked.clone()
    }

    pub fn asked_for(&self, kind: Kind) -> Vec<Asked> {
        self.asked().into_iter().filter(|asked| asked.kind == kind).collect()
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        let _ = self.stop.take().map(|stop| stop.send(())); // it may have ended by a panic
    }
}

fn locked(script: &Shared) -> MutexGuard<'_, Script> {
    script.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(State(script): State<Shared>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let body: Value = serde_json::from_slice(&body).unwrap();
    let kind = match body["response_format"]["json_schema"]["name"].as_str() {
        Some("rubric") => Kind::Rubric,
        _ => Kind::Evaluation,
    };
    let authorization = headers.get(header::AUTHORIZATION).map_or("", |value| value.to_str().unwrap()).to_owned();
    let asked = Asked { at: Instant::now(), kind, authorization, body };
    let reply = {
        let mut script = locked(&script);
        let number = script.asked.len();
        script.asked.push(asked.clone());
        let is_let_in = script.key.as_ref().is_none_or(|key| asked.authorization == format!("Bearer {key}"));
        if is_let_in {
            let next = script.next.get_mut(&kind).and_then(VecDeque::pop_front);
            let always = || script.always.get(&kind).filter(|replies| !replies.is_empty());
            next.or_else(|| always().map(|replies| replies[number % replies.len()].clone())).unwrap_or(Reply::Good)
        } else {
            Reply::Status(401)
        }
    };
    reply_with(reply, &asked).await
}

async fn reply_with(reply: Reply, asked: &Asked) -> Response<Body> {
    let busy = |name: &str, value: String| {
        let mut response = error(429, "rate_limit_exceeded");
        response.headers_mut().insert(header::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        response
    };
    match reply {
        Reply::Good => completion(&content(asked).to_string()),
        Reply::GoodAfter(pause) => {
            tokio::time::sleep(pause).await;
            completion(&content(asked).to_string())
        }
        Reply::Edited(edit) => {
            let mut content = content(asked);
            edit(&mut content);
            completion(&content.to_string())
        }
        Reply::Respelled(respell) => completion(&respell(content(asked).to_string())),
        Reply::Status(401) => error(401, "invalid_api_key"),
        Reply::Status(status) => error(status, "server_error"),
        Reply::BusyForSeconds(seconds) => busy("retry-after", seconds.to_string()),
        Reply::BusyForMillis(millis) => busy("retry-after-ms", millis.to_string()),
        Reply::BusyUntil(far) => busy("retry-after", http_date(SystemTime::now() + far)),
        Reply::NoCredit => error(429, "insufficient_quota"),
        Reply::Hang => std::future::pending().await,
        Reply::Cut => {
            let whole = envelope(&content(asked).to_string()).to_string();
            let half = Bytes::from(whole[..whole.len() / 2].to_owned());
            let parts = [Ok(half), Err(std::io::Error::other("cut"))];
            // Time to arrive before the connection ends.
            let parts = stream::iter(parts).then(async |part| {
                tokio::time::sleep(Duration::from_millis(5)).await;
                part
            });
            Response::builder().header("content-type", "application/json").body(Body::from_stream(parts)).unwrap()
        }
        Reply::Half => {
            let whole = envelope(&content(asked).to_string()).to_string();
            json_response(200, whole[..whole.len() / 2].to_owned())
        }
        Reply::Page => {
            Response::builder().header("content-type", "text/html").body(Body::from("<html>Sign in</html>")).unwrap()
        }
        Reply::Huge => {
            let piece = Bytes::from(vec![b' '; 64 * 1024]);
            let pieces = stream::iter(std::iter::repeat_n(Ok::<_, Infallible>(piece), HUGE / (64 * 1024)));
            Response::builder().header("content-type", "application/json").body(Body::from_stream(pieces)).unwrap()
        }
    }
}

fn json_response(status: u16, body: String) -> Response<Body> {
    Response::builder().status(status).header("content-type", "application/json").body(Body::from(body)).unwrap()
}

/// As the API words it: with a part of the key, which must not come into any log.
fn error(status: u16, code: &str) -> Response<Body> {
    let message = "Incorrect API key provided: sk-tes*******key. Contact tell-nobody@example.com.";
    json_response(status, json!({"error": {"message": message, "type": code, "param": null, "code": code}}).to_string())
}

fn envelope(content: &str) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": MODEL,
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content, "refusal": null}}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    })
}

fn completion(content: &str) -> Response<Body> {
    json_response(200, envelope(content).to_string())
}

/// A valid answer to what is asked for.
fn content(asked: &Asked) -> Value {
    match asked.kind {
        Kind::Rubric => rubric(),
        Kind::Evaluation => evaluation(asked),
    }
}

fn rubric() -> Value {
    let category = |name: &str, importance: u8| {
        json!({"name": name, "importance": importance, "description": format!("Shows {name}."),
            "examples_of_evidence": [name.to_lowercase(), "years of it"]})
    };
    json!({
        "seniority_level": "Senior", "role_summary": "Builds services.", "core_responsibilities": ["Build", "Review"],
        "categories": [category("Rust", 5), category("Databases", 3), category("Cloud", 2), category("Teamwork", 1)],
        "desired_background_patterns":
            {"minimum_years": 5, "titles": ["Engineer"], "industries": [], "certifications": []},
        "education_preferences": {"degrees": ["Bachelor"], "fields": ["Computer science"], "required": false},
    })
}

/// A grade for each category that the schema allows, with lines of the resume as quotes.
fn evaluation(asked: &Asked) -> Value {
    let properties = &asked.body["response_format"]["json_schema"]["schema"]["properties"];
    let ids = properties["categories"]["items"]["properties"]["category_id"]["enum"].as_array().unwrap();
    let (_, resume) = asked.fenced();
    let lines: Vec<&str> = resume.lines().map(str::trim).filter(|line| line.chars().count() > 8).collect();
    let grade = |(at, id): (usize, &Value)| {
        let line = lines[at % lines.len()];
        let words = line.char_indices().take(60).filter(|(_, letter)| letter.is_whitespace()).last();
        let quote = if line.chars().count() <= 60 { line } else { words.map_or(line, |(end, _)| line[..end].trim()) };
        json!({"category_id": id, "reasoning": "The resume says so.", "quotes": [quote], "score": 90 - 10 * at})
    };
    json!({
        "categories": ids.iter().enumerate().map(grade).collect::<Vec<_>>(),
        "summary": "A first paragraph.\n\nA second one.",
        "pros": ["one", "two", "three"], "cons": ["four", "five", "six"],
        "interview_questions": ["Why?", "How?", "When?"],
        "contact": {"first_name": null, "last_name": null, "email": null, "phone": null, "location": null,
            "linkedin_url": null, "github_url": null, "portfolio_url": null, "other_urls": []},
    })
}

/// As RFC 9110 writes it.
fn http_date(at: SystemTime) -> String {
    let seconds = at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let (days, second) = (i64::try_from(seconds / 86_400).unwrap(), seconds % 86_400);
    // Civil date from days, after Howard Hinnant.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = usize::try_from((month_from_march + 2) % 12).unwrap();
    let year = year_of_era + era * 400 + i64::from(month < 2);
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let weekdays = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let weekday = weekdays[usize::try_from(days.rem_euclid(7)).unwrap()];
    let (hour, minute, second) = (second / 3_600, second % 3_600 / 60, second % 60);
    format!("{weekday}, {day:02} {} {year} {hour:02}:{minute:02}:{second:02} GMT", months[month])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_http() {
        let at = |seconds| http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(at(1_709_164_800), "Thu, 29 Feb 2024 00:00:00 GMT");
        assert_eq!(at(1_798_761_599), "Thu, 31 Dec 2026 23:59:59 GMT");
    }
}
