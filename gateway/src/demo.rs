//! `starscreen demo`: one tenant, one job and six sample resumes, through the same use cases as everybody's.
//!
//! Runs projectors and workers as the server does, shows what becomes of each file, and leaves the data in the data
//! directory, so that the server can be started on it next.

use std::{
    io::{IsTerminal, Write, stdout},
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::Utc;
use secrecy::SecretString;
use serde::Deserialize;
use starscreen_commands::{
    CommandError, Context, account,
    account::Registration,
    candidate::{self, NewResume},
    job,
    ports::{ObjectsError, VaultError},
};
use starscreen_domain::{
    Actor, CandidateId, JobId, TenantId, UserId,
    candidate::{CategoryGrade, Contact},
    email_claim::EmailClaimError,
    job::{CreateJob, Rubric},
    score::Score,
};
use starscreen_projections::{
    Feed, FeedError, ReadModelError,
    candidate_status::{CandidateStatusRow, ListCandidates, Status},
    jobs::{JobRow, JobStatus},
};
use uuid::Uuid;

use crate::{
    config::{Plan, Settings},
    data_dir::DataDir,
    metrics::Metrics,
    outbound::{
        extract::{RefusedFile, sniff},
        offline::OfflineScorer,
    },
    passwords::{PasswordError, Passwords},
    roles::{Background, Opened, Part, StartError},
};

const JOB: &str = include_str!("../demo/job.json");

/// In the order of their upload. The scan comes early: the slot it gives back is the one the last file needs.
const SAMPLES: &[Sample] = &[
    Sample { name: "maria-okafor.pdf", content: include_bytes!("../demo/maria-okafor.pdf") },
    Sample { name: "scan-0412.pdf", content: include_bytes!("../demo/scan-0412.pdf") },
    Sample { name: "tomasz-wielgosz.pdf", content: include_bytes!("../demo/tomasz-wielgosz.pdf") },
    Sample { name: "priya-raman.docx", content: include_bytes!("../demo/priya-raman.docx") },
    Sample { name: "daniel-hughes.docx", content: include_bytes!("../demo/daniel-hughes.docx") },
    Sample { name: "greta-lindqvist.pdf", content: include_bytes!("../demo/greta-lindqvist.pdf") },
];

/// Far longer than six small files take, even on a busy machine.
const AT_MOST: Duration = Duration::from_mins(3);
/// Columns that every terminal has.
const WIDTH: usize = 80;
const NAME_WIDTH: usize = 24;

struct Sample {
    name: &'static str,
    content: &'static [u8],
}

/// The fields of the interface's request that the demo's job gives.
#[derive(Deserialize)]
struct Opening {
    title: String,
    description: String,
    location: Option<String>,
    work_authorization_required: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error(transparent)]
    ReadModel(#[from] ReadModelError),
    #[error(transparent)]
    Feed(#[from] FeedError),
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error(transparent)]
    Objects(#[from] ObjectsError),
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error("the settings have no plan \"free\", which every new account starts with")]
    NoFreePlan,
    #[error("the demo's own job is damaged")]
    Job(#[from] serde_json::Error),
    #[error("the demo's own file {name} is damaged")]
    Sample { name: &'static str, source: RefusedFile },
    #[error("the work is not done after {} seconds; start the server, it goes on with it", AT_MOST.as_secs())]
    TooSlow,
}

/// Shows the product at work.
///
/// # Errors
/// A [`DemoError`] that says what is in the way; a running server on the same data directory is.
pub async fn run(settings: Arc<Settings>) -> Result<(), DemoError> {
    let begun = Instant::now();
    let dir = DataDir::lock(&settings.data_dir).map_err(StartError::from)?;
    let opened = Opened::embedded(&settings, &dir).await?;
    // Without a network, whatever is set.
    let background =
        Background::start(&settings, &dir, &opened, &Part::all(), Some(Arc::new(OfflineScorer)), &Metrics::default())
            .await?;
    let shown = show(&settings, &opened, begun).await;
    background.stop().await;
    opened.close().await;
    shown
}

async fn show(settings: &Settings, opened: &Opened, begun: Instant) -> Result<(), DemoError> {
    say("Starscreen demo: one job, six resumes, no network.");
    say(&format!("Data directory: {}", settings.data_dir.display()));
    let login = register(settings, opened).await?;
    say(&format!("Account:        {}, password {}\n", login.email, login.password));
    let mut stage = Stage {
        opened,
        tenant: login.tenant,
        user: login.user,
        job: create_job(opened, &login).await?,
        uploaded: vec![],
        waiting: false,
        board: Board::new(),
        deadline: begun + AT_MOST,
    };
    stage.upload_samples().await?;
    let seen = stage.until(Seen::ended).await?;
    show_rubric(&seen.job);
    show_ranking(&stage, &seen.candidates).await?;
    show_failures(&seen.candidates);
    show_account(&stage, &seen.candidates, begun).await?;
    show_next(settings, &login, &seen);
    Ok(())
}

struct Login {
    tenant: TenantId,
    user: UserId,
    email: String,
    password: String,
}

/// Opens an account under the first of the demo's addresses that is free.
async fn register(settings: &Settings, opened: &Opened) -> Result<Login, DemoError> {
    let plan = settings.plan("free").map(Plan::terms).ok_or(DemoError::NoFreePlan)?;
    let password = format!("Demo1.{:.12}", Uuid::new_v4().simple().to_string());
    let password_hash = Passwords::new(1).hash(SecretString::from(password.clone())).await?;
    let mut number = 1_u32;
    loop {
        let email = match number {
            1 => "demo@starscreen.example".to_owned(),
            _ => format!("demo-{number}@starscreen.example"),
        };
        let (tenant, user) = (TenantId(Uuid::now_v7()), UserId(Uuid::now_v7()));
        let registration = Registration {
            tenant,
            user,
            email: email.clone(),
            full_name: Some("Demo Recruiter".to_owned()),
            company_name: Some("Harbour General".to_owned()),
            password_hash: password_hash.clone(),
            plan: plan.clone(),
        };
        let context = Context::new(tenant, Actor::User(user), Utc::now());
        match account::register(&opened.write.bus, opened.vault.as_ref(), context, registration).await {
            Ok(_) => return Ok(Login { tenant, user, email, password }),
            Err(CommandError::EmailClaim(EmailClaimError::AlreadyClaimed)) => number += 1,
            Err(error) => return Err(error.into()),
        }
    }
}

async fn create_job(opened: &Opened, login: &Login) -> Result<JobId, DemoError> {
    let Opening { title, description, location, work_authorization_required } = serde_json::from_str(JOB)?;
    let command = CreateJob { title, description, location, work_authorization_required, created_by: login.user };
    let context = Context::new(login.tenant, Actor::User(login.user), Utc::now());
    Ok(job::create(&opened.write.bus, context, JobId(Uuid::now_v7()), command).await?.output.job)
}

/// The demo's job while its files go through.
struct Stage<'a> {
    opened: &'a Opened,
    tenant: TenantId,
    user: UserId,
    job: JobId,
    /// In the order of [`SAMPLES`]; `None`: not taken in.
    uploaded: Vec<Option<CandidateId>>,
    /// The next sample waits for a slot.
    waiting: bool,
    board: Board,
    deadline: Instant,
}

/// What the read models say at one moment.
struct Seen {
    job: JobRow,
    candidates: Vec<CandidateStatusRow>,
    position: u64,
}

impl Seen {
    fn ended(&self) -> bool {
        let rubric = matches!(self.job.status, JobStatus::Completed | JobStatus::Failed);
        rubric && self.candidates.iter().all(|row| matches!(row.status, Status::Scored | Status::Failed))
    }
}

impl Stage<'_> {
    /// Uploads every sample, each when the plan has a slot for it.
    async fn upload_samples(&mut self) -> Result<(), DemoError> {
        for sample in SAMPLES {
            let free = loop {
                if candidate::exhausted(&self.opened.write.bus, self.tenant, Utc::now()).await?.is_none() {
                    break true;
                }
                let before = self.look().await?;
                if before.ended() {
                    break false; // nothing is left that could give a slot back
                }
                self.waiting = true;
                self.until(|now| now.position > before.position).await?;
            };
            self.waiting = false;
            let id = if free { Some(self.upload(sample).await?) } else { None };
            self.uploaded.push(id);
            self.until(|_| true).await?;
        }
        Ok(())
    }

    async fn upload(&self, sample: &Sample) -> Result<CandidateId, DemoError> {
        let Self { opened, tenant, user, job, .. } = *self;
        let kind =
            sniff(sample.name, sample.content).map_err(|source| DemoError::Sample { name: sample.name, source })?;
        let resume = NewResume {
            job,
            file_name: sample.name.to_owned(),
            file_kind: kind.to_string(),
            content: sample.content.to_vec(),
            given: Contact::default(),
            uploaded_by: user,
        };
        let context = Context::new(tenant, Actor::User(user), Utc::now());
        let Opened { write, vault, objects, .. } = opened;
        let taken = candidate::take_in(&write.bus, vault.as_ref(), objects.as_ref(), context, resume).await?;
        Ok(taken.output.candidate)
    }

    /// Looks until `done`, and shows every change.
    async fn until(&mut self, done: impl Fn(&Seen) -> bool) -> Result<Seen, DemoError> {
        loop {
            let seen = self.look().await?;
            self.board.show(self.lines(&seen));
            if done(&seen) {
                return Ok(seen);
            }
            if Instant::now() > self.deadline {
                return Err(DemoError::TooSlow);
            }
            self.opened.feed.wait(seen.position).await;
        }
    }

    /// The read models with everything in them that has happened until now.
    async fn look(&self) -> Result<Seen, DemoError> {
        let reads = &self.opened.reads;
        loop {
            let position = self.opened.feed.head().await?;
            if reads.wait_for(&["jobs", "candidate_status"], position, Duration::from_millis(500)).await
                && let Some(job) = reads.jobs().get(self.tenant, self.job).await?
            {
                let page = reads.candidate_status().list(self.tenant, self.job, ListCandidates::default()).await?;
                return Ok(Seen { job, candidates: page.rows, position });
            }
            if Instant::now() > self.deadline {
                return Err(DemoError::TooSlow);
            }
        }
    }

    fn lines(&self, seen: &Seen) -> Vec<(&'static str, String)> {
        let mut lines = vec![("rubric of the job", seen.job.status.to_string())];
        for (at, sample) in SAMPLES.iter().enumerate() {
            let state = match self.uploaded.get(at) {
                Some(Some(id)) => {
                    let row = seen.candidates.iter().find(|row| row.candidate_id == *id);
                    row.map_or_else(String::new, |row| {
                        format!("{:<12}{}", row.status.as_str(), row.score.map(points).unwrap_or_default())
                    })
                }
                Some(None) => "left out: the plan has no slot for it".to_owned(),
                None if self.waiting && at == self.uploaded.len() => "waits for a free slot".to_owned(),
                None => String::new(),
            };
            lines.push((sample.name, state.trim_end().to_owned()));
        }
        lines
    }
}

/// The state of everything, a line each: written over on a terminal, only changes in a pipe.
struct Board {
    terminal: bool,
    lines: Vec<(&'static str, String)>,
}

impl Board {
    fn new() -> Self {
        Self { terminal: stdout().is_terminal(), lines: vec![] }
    }

    fn show(&mut self, lines: Vec<(&'static str, String)>) {
        if lines == self.lines {
            return;
        }
        if self.terminal && !self.lines.is_empty() {
            write(&format!("\x1b[{}A", self.lines.len()));
        }
        for (at, line) in lines.iter().enumerate() {
            let (name, state) = line;
            if self.terminal {
                write("\x1b[2K");
            } else if state.is_empty() || self.lines.get(at) == Some(line) {
                continue;
            }
            say(&format!("  {name:<NAME_WIDTH$}{state}"));
        }
        self.lines = lines;
    }
}

fn show_rubric(job: &JobRow) {
    say(&format!("\nRubric of \"{}\", from the job's own words", cut(&job.title, 40)));
    let rubric = job.job_config.clone().and_then(|config| serde_json::from_value::<Rubric>(config).ok());
    let Some(rubric) = rubric else {
        return wrapped(job.error_message.as_deref().unwrap_or("There is none."));
    };
    for category in rubric.categories {
        let words = category.examples_of_evidence.join(", ");
        say(&cut(&format!("  {}  {:<NAME_WIDTH$}{words}", category.importance.weight(), category.name), WIDTH));
    }
}

/// Best first, as the API lists them.
async fn show_ranking(stage: &Stage<'_>, candidates: &[CandidateStatusRow]) -> Result<(), DemoError> {
    say(&format!("\nRanking\n  #  {:<NAME_WIDTH$}Score  Strongest category", "Candidate"));
    let scored = candidates.iter().filter(|row| row.status == Status::Scored);
    for (rank, row) in scored.enumerate() {
        let evaluation = stage.opened.reads.evaluations().get(stage.tenant, row.candidate_id).await?;
        let grades = evaluation.and_then(|row| row.evaluation).map(|evaluation| evaluation.categories);
        let strongest = strongest(grades.as_deref().unwrap_or_default());
        let category = strongest
            .map_or_else(String::new, |grade| format!("{} ({})", grade.name, grade.score.map_or(0, Score::points)));
        let score = row.score.map(points).unwrap_or_default();
        say(&format!("  {}  {:<NAME_WIDTH$}{score:>5}  {category}", rank + 1, cut(&name_of(row), NAME_WIDTH - 1)));
        let quote = strongest.and_then(|grade| grade.evidence.first());
        let quote = quote.map_or_else(
            || "no words of the job found".to_owned(),
            |found| format!("\"{}\"", cut(&found.quote.split_whitespace().collect::<Vec<_>>().join(" "), WIDTH - 7)),
        );
        say(&format!("     {quote}"));
    }
    Ok(())
}

/// The category with the most points, where one has a quote among those.
fn strongest(grades: &[CategoryGrade]) -> Option<&CategoryGrade> {
    // Reversed: of equals the rubric's first, not its last.
    grades.iter().rev().max_by_key(|grade| (!grade.evidence.is_empty(), grade.score))
}

fn show_failures(candidates: &[CandidateStatusRow]) {
    for row in candidates.iter().filter(|row| row.status == Status::Failed) {
        say(&format!("\nFailed, so its slot was given back: {}", row.original_filename));
        wrapped(row.error_message.as_deref().unwrap_or_default());
    }
}

async fn show_account(stage: &Stage<'_>, candidates: &[CandidateStatusRow], begun: Instant) -> Result<(), DemoError> {
    let usage = stage.opened.reads.monthly_usage().current(stage.tenant, Utc::now()).await?;
    let used = usage.map_or_else(String::new, |usage| match usage.monthly_limit {
        Some(limit) => format!(" Used {} of {limit} slots of the plan {}.", usage.used, usage.plan),
        None => format!(" Used {} slots.", usage.used),
    });
    let model = candidates.iter().find_map(|row| row.model.as_deref()).unwrap_or("nothing");
    say("");
    wrapped(&format!(
        "Took {:.1} s for {} files. Scored by {model}, which compares words offline and is no language model.{used}",
        begun.elapsed().as_secs_f64(),
        candidates.len(),
    ));
    Ok(())
}

fn show_next(settings: &Settings, login: &Login, seen: &Seen) {
    let program = std::env::args().next().unwrap_or_else(|| "starscreen".to_owned());
    let place =
        std::env::var("STARSCREEN_DATA_DIR").map(|dir| format!("STARSCREEN_DATA_DIR={dir} ")).unwrap_or_default();
    let port = settings.listen.port();
    let host =
        if settings.listen.ip().is_unspecified() { format!("127.0.0.1:{port}") } else { settings.listen.to_string() };
    let Login { email, password, .. } = login;
    say(&format!("\nNext: run the server, and see its interface at http://{host}/docs\n  {place}{program}"));
    say("\nIn a second terminal, sign in and list the candidates");
    say(&format!("  TOKEN=$(curl -s http://{host}/api/v1/auth/login \\"));
    say(&format!("    -d username={email} -d password={password} \\"));
    say("    | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')");
    say(&format!("  JOB=http://{host}/api/v1/jobs/{}", seen.job.job_id));
    say("  curl -s -H \"Authorization: Bearer $TOKEN\" $JOB/candidates");
    if let Some(best) = seen.candidates.iter().find(|row| row.status == Status::Scored) {
        say("\nRead why the best one is the best");
        say("  curl -s -H \"Authorization: Bearer $TOKEN\" \\");
        say(&format!("    $JOB/candidates/{}/evaluation", best.candidate_id));
    }
    let free = settings.plan("free").and_then(|plan| plan.monthly_limit);
    let larger = |limit: Option<u32>| limit.is_none_or(|limit| free.is_some_and(|free| limit > free));
    if let Some(plan) = settings.plans.iter().find(|plan| plan.code != "free" && larger(plan.monthly_limit)) {
        say("\nGive the account more slots, beside the running server");
        say(&format!("  {place}{program} admin change-plan {email} {}", plan.code));
    }
}

fn name_of(row: &CandidateStatusRow) -> String {
    let names: Vec<&str> = [&row.first_name, &row.last_name].into_iter().flatten().map(String::as_str).collect();
    if names.is_empty() { row.original_filename.clone() } else { names.join(" ") }
}

/// Tenths as points with one decimal.
fn points(tenths: i64) -> String {
    format!("{}.{}", tenths / 10, tenths % 10)
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(3)).collect();
    format!("{}...", kept.trim_end())
}

fn wrapped(text: &str) {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if line.chars().count() + word.chars().count() + 3 > WIDTH {
            say(&format!("  {}", line.trim_end()));
            line.clear();
        }
        line.push_str(word);
        line.push(' ');
    }
    say(&format!("  {}", line.trim_end()));
}

fn say(line: &str) {
    write(line);
    write("\n");
}

/// The reader may be gone (`starscreen demo | head`); the work is done all the same.
fn write(text: &str) {
    let _ = stdout().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use starscreen_domain::candidate::Quote;

    use super::*;

    #[test]
    fn every_sample_is_what_its_name_says() {
        for sample in SAMPLES {
            assert!(sniff(sample.name, sample.content).is_ok(), "{}", sample.name);
            assert!(sample.content.len() <= 60 * 1024, "{} is large", sample.name);
        }
        assert!(serde_json::from_str::<Opening>(JOB).is_ok());
    }

    #[test]
    fn the_strongest_category_is_one_with_a_quote() {
        let grade = |name: &str, points: u8, quotes: &[&str]| CategoryGrade {
            category_id: name.to_owned(),
            name: name.to_owned(),
            score: Score::try_new(points).ok(),
            reasoning: String::new(),
            evidence: quotes.iter().map(|quote| Quote { quote: (*quote).to_owned(), start: 0, end: 1 }).collect(),
        };
        let grades = [grade("a", 90, &[]), grade("b", 80, &["x"]), grade("c", 80, &["y"]), grade("d", 20, &["z"])];
        assert_eq!(strongest(&grades).map(|grade| grade.name.as_str()), Some("b"));
        assert_eq!(strongest(&grades[..1]).map(|grade| grade.name.as_str()), Some("a"));
        assert!(strongest(&[]).is_none());
    }

    #[test]
    fn points_have_one_decimal_and_long_lines_are_cut() {
        assert_eq!(points(1000), "100.0");
        assert_eq!(points(7), "0.7");
        assert_eq!(cut("Zoë Zürich", 10), "Zoë Zürich");
        assert_eq!(cut("Zoë in Zürich", 10), "Zoë in...");
    }
}
