//! What a caller of the HTTP interface does.

use std::{
    ops::Deref,
    sync::{
        Arc, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use reqwest::{
    Method, RequestBuilder,
    header::{self, HeaderMap},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{backend::Backend, docx::docx, fixtures, home::Server, waiting::Log};

pub const PASSWORD: &str = "Correct-Horse-7!";
const PREFIX: &str = "/api/v1";

/// Where the server listens, which changes when it is started again.
pub(crate) type Base = Arc<RwLock<String>>;

static NUMBERS: AtomicU64 = AtomicU64::new(1);

/// Speaks to one server, as nobody or as an account.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Base,
    log: Log,
    bearer: Option<String>,
}

impl Client {
    pub(crate) fn new(base: Base, log: Log) -> Self {
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        // The product is spoken to in clear; to read the system's certificates takes longer than a call.
        let http = http.tls_certs_only([]).build().unwrap();
        Self { http, base, log, bearer: None }
    }

    /// Of a server that a test started by hand.
    pub fn of(server: &Server, log: Log) -> Self {
        Self::new(Arc::new(RwLock::new(format!("http://{}", server.address))), log)
    }

    /// Speaks to one process among several, as nobody.
    pub fn at(address: std::net::SocketAddr, log: Log) -> Self {
        Self::new(Arc::new(RwLock::new(format!("http://{address}"))), log)
    }

    /// The same caller at another process.
    #[must_use]
    pub fn moved_to(&self, address: std::net::SocketAddr) -> Self {
        Self { base: Arc::new(RwLock::new(format!("http://{address}"))), ..self.clone() }
    }

    /// Host and port, for what is written by hand.
    pub fn address(&self) -> String {
        self.base.read().unwrap().trim_start_matches("http://").to_owned()
    }

    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The same server, by another caller.
    #[must_use]
    pub fn with_bearer(&self, token: &str) -> Self {
        Self { bearer: Some(token.to_owned()), ..self.clone() }
    }

    #[must_use]
    pub fn nobody(&self) -> Self {
        Self { bearer: None, ..self.clone() }
    }

    /// A path without a slash in front is one of the interface, such as `jobs`.
    pub fn call(&self, method: &Method, path: &str) -> Call {
        let path = if path.starts_with('/') { path.to_owned() } else { format!("{PREFIX}/{path}") };
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.base.read().unwrap()));
        if let Some(token) = &self.bearer {
            request = request.bearer_auth(token);
        }
        Call { request, shown: format!("{method} {path}") }
    }

    pub fn get(&self, path: &str) -> Call {
        self.call(&Method::GET, path)
    }

    pub fn post(&self, path: &str) -> Call {
        self.call(&Method::POST, path)
    }

    pub fn put(&self, path: &str) -> Call {
        self.call(&Method::PUT, path)
    }

    pub fn delete(&self, path: &str) -> Call {
        self.call(&Method::DELETE, path)
    }

    /// A new account with an address of its own.
    pub async fn account(&self) -> Account {
        self.register(&format!("recruiter-{}@example.com", Uuid::new_v4().simple())).await
    }

    pub async fn register(&self, email: &str) -> Account {
        let body = json!({ "email": email, "password": PASSWORD, "full_name": "Robin Recruiter",
            "company_name": "Example Ltd" });
        let answer = self.post("auth/register").json(&body).send().await.expect(201).json();
        Account {
            client: self.with_bearer(answer["access_token"].as_str().unwrap()),
            email: email.to_owned(),
            refresh_token: answer["refresh_token"].as_str().unwrap().to_owned(),
            access_token: answer["access_token"].as_str().unwrap().to_owned(),
            user: answer["user"].clone(),
        }
    }
}

/// A signed-in caller.
#[derive(Clone)]
pub struct Account {
    client: Client,
    pub email: String,
    pub access_token: String,
    pub refresh_token: String,
    /// As the registration answered it.
    pub user: Value,
}

impl Deref for Account {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Account {
    /// The same account at another server.
    #[must_use]
    pub fn at(&self, client: &Client) -> Self {
        Self { client: client.with_bearer(&self.access_token), ..self.clone() }
    }

    /// The same caller with another access token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { client: self.client.with_bearer(token), access_token: token.to_owned(), ..self.clone() }
    }

    /// The same caller at another process.
    #[must_use]
    pub fn moved_to(&self, address: std::net::SocketAddr) -> Self {
        Self { client: self.client.moved_to(address), ..self.clone() }
    }

    pub fn tenant(&self) -> Uuid {
        self.user["tenant_id"].as_str().unwrap().parse().unwrap()
    }

    pub async fn create_job(&self, title: &str, description: &str) -> String {
        let body = json!({ "title": title, "description": description });
        let answer = self.post("jobs").json(&body).send().await.expect(201).json();
        answer["job_id"].as_str().unwrap().to_owned()
    }

    /// A job whose rubric is there.
    pub async fn ready_job(&self) -> String {
        let description = "We look for a backend engineer with five years of experience in Rust and PostgreSQL. \
            You build services on Kubernetes and AWS, review code and mentor others. React is a plus. \
            A degree in computer science is welcome.";
        let job = self.create_job("Backend engineer", description).await;
        self.until_job_is(&job, "COMPLETED").await;
        job
    }

    pub async fn job(&self, job: &str) -> Value {
        self.get(&format!("jobs/{job}")).send().await.expect(200).json()
    }

    pub async fn until_job_is(&self, job: &str, status: &str) -> Value {
        let what = format!("job {job} is {status}");
        let look = async || {
            let seen = self.job(job).await;
            if seen["status"] == status { Ok(seen) } else { Err(seen.to_string()) }
        };
        self.log().until(&what, look).await
    }

    /// Uploads without a look at the answer.
    pub fn upload(&self, job: &str, resume: &Resume) -> Call {
        self.post(&format!("jobs/{job}/candidates/upload")).form(&Form::of(resume))
    }

    /// Every byte of an upload, for a test that sends them by hand.
    pub fn upload_bytes(&self, job: &str, resume: &Resume) -> Vec<u8> {
        let form = Form::of(resume);
        let body = form.bytes();
        let head = format!(
            "POST {PREFIX}/jobs/{job}/candidates HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {}\r\n\
            Content-Type: multipart/form-data; boundary={}\r\nContent-Length: {}\r\n\r\n",
            self.access_token,
            form.boundary,
            body.len()
        );
        [head.into_bytes(), body].concat()
    }

    /// Uploads; answers the candidate's id.
    pub async fn take_in(&self, job: &str, resume: &Resume) -> String {
        let answer = self.upload(job, resume).send().await.expect(200).json();
        answer["candidate_id"].as_str().unwrap().to_owned()
    }

    pub async fn candidate(&self, job: &str, candidate: &str) -> Value {
        let path = format!("jobs/{job}/candidates/{candidate}");
        if Backend::current() == Backend::Embedded {
            return self.get(&path).send().await.expect(200).json();
        }
        // Several processes on a busy machine may need longer than an answer waits, which then says so.
        let look = async || match self.get(&path).send().await {
            answer if answer.status == 404 => Err(answer.text()),
            answer => Ok(answer.expect(200).json()),
        };
        self.log().until(&format!("candidate {candidate} is seen"), look).await
    }

    pub async fn until_candidate_is(&self, job: &str, candidate: &str, status: &str) -> Value {
        let what = format!("candidate {candidate} is {status}");
        let look = async || {
            let seen = self.candidate(job, candidate).await;
            if seen["status"] == status { Ok(seen) } else { Err(seen.to_string()) }
        };
        self.log().until(&what, look).await
    }

    pub async fn candidates(&self, job: &str) -> Vec<Value> {
        let answer = self.get(&format!("jobs/{job}/candidates")).send().await.expect(200).json();
        answer.as_array().unwrap().clone()
    }

    /// Waits until the job has this many candidates and all have come to their end.
    pub async fn settled_candidates(&self, job: &str, count: usize) -> Vec<Value> {
        let look = async || {
            let list = self.candidates(job).await;
            let ended = list.iter().filter(|row| row["status"] == "SCORED" || row["status"] == "FAILED").count();
            if (list.len(), ended) == (count, count) { Ok(list) } else { Err(format!("{ended} of {}", list.len())) }
        };
        self.log().until(&format!("{count} candidates are SCORED or FAILED"), look).await
    }

    pub async fn evaluation(&self, job: &str, candidate: &str) -> Value {
        self.get(&format!("jobs/{job}/candidates/{candidate}/evaluation")).send().await.expect(200).json()
    }

    pub async fn subscription(&self) -> Value {
        self.get("subscriptions/current").send().await.expect(200).json()
    }

    pub async fn until_used(&self, slots: u64) -> Value {
        let look = async || {
            let seen = self.subscription().await;
            if seen["candidates_used_this_month"] == slots { Ok(seen) } else { Err(seen.to_string()) }
        };
        self.log().until(&format!("{slots} slots are used"), look).await
    }
}

/// A resume file.
#[derive(Clone, Debug)]
pub struct Resume {
    pub file_name: String,
    pub media_type: &'static str,
    pub content: Vec<u8>,
}

impl Resume {
    pub fn new(file_name: &str, content: Vec<u8>) -> Self {
        let media_type = match file_name.rsplit_once('.').map(|(_, extension)| extension) {
            Some("pdf") => "application/pdf",
            Some("docx") => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            Some("doc") => "application/msword",
            _ => "text/plain",
        };
        Self { file_name: file_name.to_owned(), media_type, content }
    }

    /// A file of fixtures/resumes.
    pub fn fixture(name: &str) -> Self {
        let path = fixtures().join("resumes").join(name);
        Self::new(name, std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    /// A Word document with these paragraphs.
    pub fn docx(file_name: &str, paragraphs: &[&str]) -> Self {
        Self::new(file_name, docx(paragraphs))
    }

    /// A Word document unlike any other.
    pub fn unique() -> Self {
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let skills = ["Rust", "PostgreSQL", "Kubernetes", "AWS", "React", "bookkeeping"];
        let skills: Vec<&str> = skills.into_iter().skip(usize::try_from(number % 4).unwrap()).collect();
        Self::docx(
            &format!("resume-{number}.docx"),
            &[
                &format!("Alex Applicant {number}"),
                &format!("alex.applicant.{number}@example.com, +1 555 0100"),
                "Experience",
                &format!("Engineer, Example Ltd, 2015 to 2024: built services with {}.", skills.join(", ")),
                "Education",
                "Bachelor of Science in Computer Science, 2014",
            ],
        )
    }
}

/// A multipart form, written by hand so that a test decides on every byte.
pub struct Form {
    boundary: String,
    body: Vec<u8>,
}

impl Form {
    pub fn of(resume: &Resume) -> Self {
        Self::new().file(resume)
    }

    pub fn new() -> Self {
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        Self { boundary: format!("boundary-{number}-of-the-test"), body: vec![] }
    }

    #[must_use]
    pub fn file(mut self, resume: &Resume) -> Self {
        let head = format!(
            "--{}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{}\"\r\nContent-Type: {}\r\n\r\n",
            self.boundary, resume.file_name, resume.media_type
        );
        self.body.extend(head.into_bytes());
        self.body.extend(&resume.content);
        self.body.extend(b"\r\n");
        self
    }

    fn bytes(&self) -> Vec<u8> {
        [self.body.as_slice(), format!("--{}--\r\n", self.boundary).as_bytes()].concat()
    }

    #[must_use]
    pub fn field(mut self, name: &str, value: &str) -> Self {
        let part = format!("--{}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n", self.boundary);
        self.body.extend(part.into_bytes());
        self
    }
}

impl Default for Form {
    fn default() -> Self {
        Self::new()
    }
}

/// A request on its way.
pub struct Call {
    request: RequestBuilder,
    shown: String,
}

impl Call {
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        Self { request: self.request.json(body), ..self }
    }

    #[must_use]
    pub fn form(self, form: &Form) -> Self {
        self.body(&format!("multipart/form-data; boundary={}", form.boundary), form.bytes())
    }

    #[must_use]
    pub fn body(self, content_type: &str, body: impl Into<reqwest::Body>) -> Self {
        self.header(header::CONTENT_TYPE.as_str(), content_type).with(|request| request.body(body))
    }

    #[must_use]
    pub fn header(self, name: &str, value: &str) -> Self {
        self.with(|request| request.header(name, value))
    }

    #[must_use]
    pub fn query(self, name: &str, value: &str) -> Self {
        self.with(|request| request.query(&[(name, value)]))
    }

    /// Makes a repeated request the same request.
    #[must_use]
    pub fn key(self, key: &str) -> Self {
        self.header("Idempotency-Key", key)
    }

    fn with(self, change: impl FnOnce(RequestBuilder) -> RequestBuilder) -> Self {
        Self { request: change(self.request), ..self }
    }

    pub async fn send(self) -> Answer {
        let shown = self.shown.clone();
        self.try_send().await.unwrap_or_else(|error| panic!("{shown}: no answer: {error:?}"))
    }

    /// # Errors
    /// When there is no answer, as from a server that is killed.
    pub async fn try_send(self) -> Result<Answer, reqwest::Error> {
        let response = self.request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await?.to_vec();
        Ok(Answer { shown: self.shown, status, headers, body })
    }
}

#[derive(Clone, Debug)]
pub struct Answer {
    shown: String,
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    #[track_caller]
    #[expect(clippy::return_self_not_must_use, reason = "often the check is all")]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}: {}", self.shown, self.text());
        self
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{}: {} without JSON ({error}): {}", self.shown, self.status, self.text()))
    }

    /// The header's text, empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap_or_default())
    }

    /// Checks that this is a problem of this kind; answers its sentence.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> String {
        assert_eq!(self.status, status, "{}: {}", self.shown, self.text());
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.shown);
        let problem = self.json();
        assert_eq!(problem["status"], status, "{}: {problem}", self.shown);
        assert_eq!(problem["type"], format!("/errors/{code}"), "{}: {problem}", self.shown);
        assert!(!problem["title"].as_str().unwrap_or_default().is_empty(), "{}: {problem}", self.shown);
        problem["detail"].as_str().unwrap_or_default().to_owned()
    }
}
