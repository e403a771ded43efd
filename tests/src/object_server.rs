//! A store that speaks the interface of S3, as far as the product uses it, and fails as a test has written down.
//!
//! Signatures are checked for real (AWS Signature Version 4, in headers and in addresses), contents against the hash
//! that was signed, and what is not whole is not kept. Lists come in small pages.

use std::{
    collections::BTreeMap,
    fmt::Write,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use aws_lc_rs::{digest, hmac};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderMap, Method, Response, StatusCode, Uri},
};
use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use tokio::sync::oneshot;

pub const BUCKET: &str = "starscreen-test";
pub const REGION: &str = "eu-test-1";
pub const ACCESS_KEY: &str = "AKIATESTSOFSTARSCREEN";
pub const SECRET_KEY: &str = "a-secret/that+nobody=shows";

/// Objects on one page of a list.
const PAGE: usize = 3;
const LARGEST_SKEW: TimeDelta = TimeDelta::minutes(15);
const LARGEST_OBJECT: usize = 64 << 20;

/// What the store does with a request instead of its work, or besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Only a status.
    Status(u16),
    /// Its work, later.
    Slow(Duration),
    /// No answer, as long as the caller waits.
    Hang,
    /// Its work, but no answer.
    HangAfterwards,
}

/// One request, as it was answered.
#[derive(Clone, Debug)]
pub struct Served {
    pub method: Method,
    pub path: String,
    pub query: String,
    pub status: u16,
    pub headers: HeaderMap,
}

#[derive(Clone)]
struct Object {
    content: Bytes,
    written_at: DateTime<Utc>,
}

struct Store {
    bucket: bool,
    objects: BTreeMap<String, Object>,
    /// Methods they are for, and how often; `None`: always.
    faults: Vec<(Vec<Method>, Fault, Option<usize>)>,
    served: Vec<Served>,
    /// Added to the clock.
    ahead: TimeDelta,
}

type Shared = Arc<Mutex<Store>>;

/// Runs, on a thread of its own, until it is stopped or dropped.
pub struct ObjectServer {
    address: SocketAddr,
    store: Shared,
    running: Mutex<Option<(oneshot::Sender<()>, thread::JoinHandle<()>)>>,
}

impl ObjectServer {
    /// With an empty bucket.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let store =
            Store { bucket: true, objects: BTreeMap::new(), faults: vec![], served: vec![], ahead: TimeDelta::zero() };
        let server = Self {
            address: listener.local_addr().unwrap(),
            store: Arc::new(Mutex::new(store)),
            running: Mutex::new(None),
        };
        server.run(listener);
        server
    }

    fn run(&self, listener: TcpListener) {
        listener.set_nonblocking(true).unwrap();
        let routes =
            Router::new().fallback(answer).layer(DefaultBodyLimit::disable()).with_state(Arc::clone(&self.store));
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    served = async { axum::serve(listener, routes).await } => served.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        *self.running.lock().unwrap() = Some((stop, thread));
    }

    /// Nobody listens any more, and every connection is cut.
    pub fn stop(&self) {
        if let Some((stop, thread)) = self.running.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = stop.send(()); // it may have ended by a panic
            let _ = thread.join();
        }
    }

    /// At the same address, with the same objects.
    pub fn start_again(&self) {
        self.run(TcpListener::bind(self.address).unwrap());
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What the product is started with to keep its files here.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("STARSCREEN_OBJECTS_URL", format!("s3://{BUCKET}/some/where")),
            ("STARSCREEN_OBJECTS_ENDPOINT", self.endpoint()),
            ("STARSCREEN_OBJECTS_REGION", REGION.to_owned()),
            ("STARSCREEN_OBJECTS_ACCESS_KEY", ACCESS_KEY.to_owned()),
            ("STARSCREEN_OBJECTS_SECRET_KEY", SECRET_KEY.to_owned()),
            ("STARSCREEN_OBJECTS_ALLOW_HTTP", "on".to_owned()),
            ("STARSCREEN_OBJECTS_TIMEOUT_SECONDS", "2".to_owned()),
        ]
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        locked(&self.store)
    }

    /// Names of all objects.
    pub fn names(&self) -> Vec<String> {
        self.store().objects.keys().cloned().collect()
    }

    pub fn content(&self, name: &str) -> Option<Vec<u8>> {
        self.store().objects.get(name).map(|object| object.content.to_vec())
    }

    /// As if it had been written this long ago.
    pub fn put(&self, name: &str, content: &[u8], ago: Duration) {
        let content = Bytes::copy_from_slice(content);
        let written_at = Utc::now() - TimeDelta::from_std(ago).unwrap();
        self.store().objects.insert(name.to_owned(), Object { content, written_at });
    }

    /// Does this with the next requests of these methods; without a number, with all from now on.
    pub fn fault(&self, methods: &[Method], fault: Fault, times: Option<usize>) {
        self.store().faults.push((methods.to_vec(), fault, times));
    }

    pub fn heal(&self) {
        self.store().faults.clear();
    }

    pub fn remove_bucket(&self) {
        self.store().bucket = false;
    }

    /// Its clock is this much later than ours from now on.
    pub fn is_ahead(&self, by: Duration) {
        self.store().ahead = TimeDelta::from_std(by).unwrap();
    }

    pub fn served(&self) -> Vec<Served> {
        self.store().served.clone()
    }
}

impl Drop for ObjectServer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn locked(store: &Shared) -> MutexGuard<'_, Store> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A refusal: status and code.
type Refused = (u16, &'static str);

async fn answer(State(store): State<Shared>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    // What does not come whole is not there.
    let Ok(content) = axum::body::to_bytes(body, LARGEST_OBJECT).await else { return refusal((400, "IncompleteBody")) };
    let fault = next_fault(&store, &head.method);
    match fault {
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Slow(pause)) => tokio::time::sleep(pause).await,
        Some(Fault::Status(_) | Fault::HangAfterwards) | None => {}
    }
    let response = match fault {
        Some(Fault::Status(status)) => refusal((status, "InternalError")),
        _ => serve(&store, &head.method, &head.uri, &head.headers, content).unwrap_or_else(refusal),
    };
    locked(&store).served.push(Served {
        method: head.method,
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        status: response.status().as_u16(),
        headers: head.headers,
    });
    if fault == Some(Fault::HangAfterwards) {
        std::future::pending::<()>().await;
    }
    response
}

fn next_fault(store: &Shared, method: &Method) -> Option<Fault> {
    let mut store = locked(store);
    let at = store.faults.iter().position(|(methods, ..)| methods.contains(method))?;
    let (_, fault, times) = &mut store.faults[at];
    let fault = *fault;
    if let Some(times) = times {
        *times -= 1;
        if *times == 0 {
            store.faults.remove(at);
        }
    }
    Some(fault)
}

fn serve(
    store: &Shared,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    content: Bytes,
) -> Result<Response<Body>, Refused> {
    let mut store = locked(store);
    let now = Utc::now() + store.ahead;
    check_signature(method, uri, headers, &content, now)?;
    let path = uri.path().strip_prefix('/').unwrap_or_default();
    let (bucket, name) = path.split_once('/').unwrap_or((path, ""));
    if bucket != BUCKET || !store.bucket {
        return Err((404, "NoSuchBucket"));
    }
    let name = decoded(name);
    if name.is_empty() && *method == Method::GET {
        return Ok(list(&store, &parameters(uri)));
    }
    let header = |wanted: &str| headers.get(wanted).and_then(|value| value.to_str().ok());
    let found = store.objects.get(&name).cloned();
    match *method {
        Method::PUT => {
            let tag = found.as_ref().map(|object| tag(&object.content));
            let unmet = (header("if-none-match") == Some("*") && found.is_some())
                || header("if-match").is_some_and(|wanted| Some(wanted) != tag.as_deref());
            if unmet {
                return Err((412, "PreconditionFailed"));
            }
            let response = Response::builder().header("etag", self::tag(&content)).body(Body::empty()).unwrap();
            store.objects.insert(name, Object { content, written_at: now });
            Ok(response)
        }
        Method::GET | Method::HEAD => {
            let object = found.ok_or((404, "NoSuchKey"))?;
            let tag = tag(&object.content);
            if header("if-none-match") == Some(&tag) {
                return Err((304, "NotModified"));
            }
            let whole = object.content.len();
            let range = header("range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
            let (status, part) = match range {
                None => (200, object.content),
                Some((from, to)) => {
                    let from = from.parse::<usize>().map_err(|_| (416, "InvalidRange"))?;
                    let to = to.parse::<usize>().map_or(whole, |to| to + 1).min(whole);
                    if from >= to {
                        return Err((416, "InvalidRange"));
                    }
                    (206, object.content.slice(from..to))
                }
            };
            let mut response = Response::builder()
                .status(status)
                .header("etag", tag)
                .header("last-modified", object.written_at.format("%a, %d %b %Y %H:%M:%S GMT").to_string())
                .header("content-length", part.len());
            if let (206, Some((from, _))) = (status, range) {
                let from: usize = from.parse().unwrap();
                response = response.header("content-range", format!("bytes {from}-{}/{whole}", from + part.len() - 1));
            }
            let body = if *method == Method::HEAD { Body::empty() } else { Body::from(part) };
            Ok(response.body(body).unwrap())
        }
        Method::DELETE => {
            store.objects.remove(&name);
            Ok(Response::builder().status(204).body(Body::empty()).unwrap())
        }
        _ => Err((405, "MethodNotAllowed")),
    }
}

fn list(store: &Store, parameters: &[(String, String)]) -> Response<Body> {
    let parameter = |wanted: &str| parameters.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    let (prefix, after) =
        (parameter("prefix").unwrap_or_default(), parameter("continuation-token").unwrap_or_default());
    let left = store.objects.iter().filter(|(name, _)| name.starts_with(prefix) && name.as_str() > after);
    let mut left = left.peekable();
    let mut contents = String::new();
    let mut last = String::new();
    for (name, object) in left.by_ref().take(PAGE) {
        let written_at = object.written_at.format("%Y-%m-%dT%H:%M:%S.%3fZ");
        let (tag, size) = (tag(&object.content).replace('"', "&quot;"), object.content.len());
        write!(
            contents,
            "<Contents><Key>{name}</Key><LastModified>{written_at}</LastModified><ETag>{tag}</ETag>\
             <Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
        )
        .unwrap();
        last.clone_from(name);
    }
    let next = if left.peek().is_some() {
        format!("<IsTruncated>true</IsTruncated><NextContinuationToken>{last}</NextContinuationToken>")
    } else {
        "<IsTruncated>false</IsTruncated>".to_owned()
    };
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>{BUCKET}</Name>\
         <Prefix>{prefix}</Prefix><MaxKeys>{PAGE}</MaxKeys>{next}{contents}</ListBucketResult>"
    );
    Response::builder().header("content-type", "application/xml").body(Body::from(body)).unwrap()
}

/// As S3 words it, with more in it than anybody should log.
fn refusal((status, code): Refused) -> Response<Body> {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>No.</Message>\
         <AWSAccessKeyId>{ACCESS_KEY}</AWSAccessKeyId><StringToSign>tell-nobody@example.com</StringToSign></Error>"
    );
    let status = StatusCode::from_u16(status).unwrap();
    Response::builder().status(status).header("content-type", "application/xml").body(Body::from(body)).unwrap()
}

/// What a signature says about itself.
struct Signed {
    credential: String,
    headers: String,
    signature: String,
    at: String,
    payload: String,
    expires: Option<i64>,
}

fn check_signature(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    content: &[u8],
    now: DateTime<Utc>,
) -> Result<(), Refused> {
    let signed = in_headers(headers).or_else(|| in_address(&parameters(uri))).ok_or((403, "AccessDenied"))?;
    let at = NaiveDateTime::parse_from_str(&signed.at, "%Y%m%dT%H%M%SZ").map_err(|_| (403, "AccessDenied"))?.and_utc();
    match signed.expires {
        Some(seconds) if now > at + TimeDelta::seconds(seconds) => return Err((403, "AccessDenied")),
        None if (now - at).abs() > LARGEST_SKEW => return Err((403, "RequestTimeTooSkewed")),
        Some(_) | None => {}
    }
    let day = &signed.at[..8];
    let scope = format!("{day}/{REGION}/s3/aws4_request");
    let (key, claimed_scope) = signed.credential.split_once('/').ok_or((403, "AccessDenied"))?;
    if key != ACCESS_KEY {
        return Err((403, "InvalidAccessKeyId"));
    }
    if claimed_scope != scope {
        return Err((400, "AuthorizationHeaderMalformed"));
    }
    let names: Vec<&str> = signed.headers.split(';').collect();
    let covered = |name: &str| names.contains(&name);
    if !covered("host") || headers.keys().any(|name| name.as_str().starts_with("x-amz-") && !covered(name.as_str())) {
        return Err((403, "AccessDenied"));
    }
    let mut canonical_headers = String::new();
    for name in &names {
        let values: Vec<&str> =
            headers.get_all(*name).iter().map(|value| value.to_str().unwrap_or_default().trim()).collect();
        if values.is_empty() {
            return Err((403, "SignatureDoesNotMatch"));
        }
        writeln!(canonical_headers, "{name}:{}", values.join(",")).unwrap();
    }
    let mut query: Vec<String> = uri.query().unwrap_or_default().split('&').map(as_canonical).collect();
    query.retain(|pair| !pair.starts_with("X-Amz-Signature=") && !pair.is_empty());
    query.sort();
    let request = format!(
        "{method}\n{}\n{}\n{canonical_headers}\n{}\n{}",
        uri.path(),
        query.join("&"),
        signed.headers,
        signed.payload
    );
    let to_sign = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{}", signed.at, hash(request.as_bytes()));
    let mut key = format!("AWS4{SECRET_KEY}").into_bytes();
    for part in [day, REGION, "s3", "aws4_request"] {
        key = mac(&key, part.as_bytes());
    }
    if hexadecimal(&mac(&key, to_sign.as_bytes())) != signed.signature {
        return Err((403, "SignatureDoesNotMatch"));
    }
    if signed.payload != "UNSIGNED-PAYLOAD" && signed.payload != hash(content) {
        return Err((400, "XAmzContentSHA256Mismatch"));
    }
    Ok(())
}

fn in_headers(headers: &HeaderMap) -> Option<Signed> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::to_owned);
    let authorization = text("authorization")?;
    let parts: BTreeMap<&str, &str> = authorization
        .strip_prefix("AWS4-HMAC-SHA256 ")?
        .split(',')
        .filter_map(|part| part.trim().split_once('='))
        .collect();
    let part = |name: &str| parts.get(name).map(|value| (*value).to_owned());
    Some(Signed {
        credential: part("Credential")?,
        headers: part("SignedHeaders")?,
        signature: part("Signature")?,
        at: text("x-amz-date")?,
        payload: text("x-amz-content-sha256")?,
        expires: None,
    })
}

fn in_address(parameters: &[(String, String)]) -> Option<Signed> {
    let part = |wanted: &str| parameters.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
    (part("X-Amz-Algorithm")? == "AWS4-HMAC-SHA256").then_some(())?;
    Some(Signed {
        credential: part("X-Amz-Credential")?,
        headers: part("X-Amz-SignedHeaders")?,
        signature: part("X-Amz-Signature")?,
        at: part("X-Amz-Date")?,
        payload: "UNSIGNED-PAYLOAD".to_owned(),
        expires: Some(part("X-Amz-Expires")?.parse().ok()?),
    })
}

fn parameters(uri: &Uri) -> Vec<(String, String)> {
    let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(a, b)| (decoded(a), decoded(b))).collect()
}

/// A parameter in the one spelling that is signed.
fn as_canonical(pair: &str) -> String {
    if pair.is_empty() {
        return String::new();
    }
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    format!("{}={}", encoded(&decoded(name)), encoded(&decoded(value)))
}

fn decoded(text: &str) -> String {
    let mut bytes = vec![];
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok()).filter(|_| *first == b'%');
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            byte => write!(encoded, "%{byte:02X}").unwrap(),
        }
    }
    encoded
}

fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec()
}

fn hash(content: &[u8]) -> String {
    hexadecimal(digest::digest(&digest::SHA256, content).as_ref())
}

fn tag(content: &[u8]) -> String {
    format!("\"{}\"", &hash(content)[..32])
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
