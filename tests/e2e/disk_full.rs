//! A disk that is full: whoever wants to write is told so and to come back, nothing is half-written, and work goes on by
//! itself when there is room again.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::Write,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::json;
use starscreen_tests::{Answer, Form as UploadForm, Kind, Lives, ModelServer, Reply, Resume, TestApp};
use uuid::Uuid;

use crate::product_binary;

/// Room for all that the test keeps.
const DISK_BYTES: u64 = 48 << 20;
const UPLOADS: usize = 4;
const UNDER_WAY: usize = 6;
const ANSWERS_AFTER: Duration = Duration::from_millis(500);
/// Less than a lease: what was in hand when the disk was full goes on when there is room, not when its lease ends.
const RECOVERY: Duration = Duration::from_mins(1);
/// Some commands still fit into what a database has in reserve.
const MAX_COMMANDS: usize = 2_000;

/// A disk that can be filled under the running server. Gone when dropped.
struct Disk {
    root: PathBuf,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// A small file system in memory, for who may mount one.
    Mounted,
    /// Anywhere else: no file of the server's may grow.
    Limited,
}

impl Disk {
    /// The best that this machine allows. `STARSCREEN_TESTS_DISK=limited` asks for the other.
    fn new() -> Self {
        let root = std::env::temp_dir().join(format!("starscreen-tests-{}-disk", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        let wanted = std::env::var_os("STARSCREEN_TESTS_DISK").is_none_or(|form| form != "limited");
        let options = format!("size={DISK_BYTES},mode=0700");
        let mount = || Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&root).output();
        let mounted = wanted && mount().is_ok_and(|mount| mount.status.success());
        Self { root, form: if mounted { Form::Mounted } else { Form::Limited } }
    }

    /// Starts the product on this disk.
    fn start(&self, model: &ModelServer) -> TestApp {
        let data = self.root.join("data");
        let base_url = model.base_url();
        let environment = [
            ("STARSCREEN_DATA_DIR", data.to_str().unwrap()),
            ("OPENAI_API_KEY", "sk-test-0123456789abcdef"),
            ("OPENAI_BASE_URL", &base_url),
        ];
        let app = match self.form {
            Form::Mounted => TestApp::start_with(&product_binary(), &environment),
            Form::Limited => TestApp::start_with(&self.launcher(), &environment),
        };
        symlink(&data, app.home().data()).unwrap();
        app
    }

    /// Starts the product so that a write beyond the limit is an error instead of its end. Its log has no limit, for it
    /// goes through a pipe.
    fn launcher(&self) -> PathBuf {
        let path = self.root.join("launcher");
        let product = product_binary();
        let script = format!("#!/bin/bash\ntrap '' XFSZ\nexec {} \"$@\" > >(/bin/cat) 2>&1\n", product.display());
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn fill(&self, app: &TestApp) {
        match self.form {
            Form::Mounted => {
                let mut ballast = File::create(self.root.join("ballast")).unwrap();
                for block in [1 << 20, 4 << 10, 1] {
                    while ballast.write_all(&vec![1; block]).is_ok() {}
                }
            }
            Form::Limited => limit_file_size(app, "1024"),
        }
    }

    fn free(&self, app: &TestApp) {
        match self.form {
            Form::Mounted => fs::remove_file(self.root.join("ballast")).unwrap(),
            Form::Limited => limit_file_size(app, "unlimited"),
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.form == Form::Mounted {
            let _ = Command::new("umount").arg("-l").arg(&self.root).status(); // it is in a temporary place
        }
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn limit_file_size(app: &TestApp, bytes: &str) {
    let process = app.process_id().to_string();
    let limited = Command::new("prlimit").args(["--pid", &process, &format!("--fsize={bytes}:unlimited")]).status();
    assert!(limited.unwrap().success(), "the server's file size cannot be limited");
}

#[track_caller]
fn told_to_come_back(answer: &Answer) {
    let detail = answer.problem(503, "unavailable");
    assert!(!detail.is_empty());
    assert!(answer.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0), "{detail}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_told_and_nothing_is_half_written_and_work_goes_on_when_there_is_room() {
    let disk = Disk::new();
    println!("form: {:?}", disk.form);
    let model = ModelServer::start();
    let mut app = disk.start(&model);
    app.settle_at_most(RECOVERY);
    let account = app.client().account().await;
    app.operate(&["admin", "change-plan", &account.email, "enterprise"]).succeeded();
    let job = account.ready_job().await;
    let before = account.take_in(&job, &Resume::unique()).await;
    account.until_candidate_is(&job, &before, "SCORED").await;
    app.settled().await;
    let objects = app.home().data().join("objects").join(account.tenant().to_string());

    // When the disk is full the first of these are with the model, which answers then, and the last are being read.
    model.always(Kind::Evaluation, &[Reply::GoodAfter(ANSWERS_AFTER)]);
    let mut taken = BTreeMap::from([(before.clone(), None)]);
    for number in 0..UNDER_WAY {
        taken.insert(account.take_in(&job, &Resume::unique()).await, None);
        if number == 1 {
            let look = async || match model.asked_for(Kind::Evaluation).len() {
                3.. => Ok(()),
                asked => Err(format!("{asked} calls")),
            };
            app.log().until("two resumes are with the model", look).await;
        }
    }
    let with_files: BTreeSet<String> = taken.keys().cloned().collect();
    disk.fill(&app);
    let resumes: Vec<Resume> = (0..UPLOADS).map(|_| large()).collect();
    for (number, resume) in resumes.iter().enumerate().skip(1) {
        told_to_come_back(&account.upload(&job, resume).key(&format!("upload-{number}")).send().await);
    }
    let archive = Resume::new("resumes.zip", Resume::fixture("bulk_mixed.zip").content);
    let path = format!("jobs/{job}/candidates/bulk-upload-zip");
    told_to_come_back(&account.post(&path).form(&UploadForm::of(&archive)).key("bulk").send().await);
    let mut created = BTreeSet::from([job.clone()]);
    let full = loop {
        let body = json!({ "title": "Engineer", "description": "Builds services with Rust and PostgreSQL" });
        let key = format!("job-{}", created.len());
        let answer = account.post("jobs").json(&body).key(&key).send().await;
        if answer.status != 201 {
            break answer;
        }
        created.insert(answer.json()["job_id"].as_str().unwrap().to_owned());
        assert!(created.len() < MAX_COMMANDS, "the disk is not full");
    };
    told_to_come_back(&full);
    println!("{} jobs were created before nothing fitted any more", created.len() - 1);
    // What is there can be read.
    assert_eq!(account.candidate(&job, &before).await["status"], "SCORED");
    account.get(&format!("jobs/{job}/candidates/{before}/file")).send().await.expect(200);
    account.get("/health").send().await.expect(200);
    assert_eq!(names(&objects), with_files, "files of uploads that were refused");
    // A report that cannot be stored goes back, and not even that can be stored.
    app.log().until("a score meets the full disk", async || refused_report(&app.log().text())).await;

    disk.free(&app);
    for (number, resume) in resumes.iter().enumerate() {
        let look = async || {
            let answer = account.upload(&job, resume).key(&format!("upload-{number}")).send().await;
            if answer.status == 200 { Ok(answer) } else { Err(answer.text()) }
        };
        let answer = app.log().until("there is room", look).await.json();
        taken.insert(answer["candidate_id"].as_str().unwrap().to_owned(), Some(resume));
    }
    app.settled().await;
    for (candidate, resume) in &taken {
        account.until_candidate_is(&job, candidate, "SCORED").await;
        let file = account.get(&format!("jobs/{job}/candidates/{candidate}/file")).send().await.expect(200).body;
        assert!(resume.is_none_or(|resume| resume.content == file), "{candidate} is not what was uploaded");
    }
    assert_eq!(names(&objects), taken.keys().cloned().collect());
    assert_eq!(account.subscription().await["candidates_used_this_month"], taken.len());
    let ids: Vec<Uuid> = taken.keys().map(|id| id.parse().unwrap()).collect();
    let lives = Lives::of(app.events().all().await);
    lives.check(&ids);
    app.events().ledgers().await.values().next().unwrap().check(&ids, &lives);
    // Every job that was acknowledged is there, and nothing of those that were not; each has its rubric.
    for job in &created {
        account.until_job_is(job, "COMPLETED").await;
    }
    let history = app.events().all().await;
    let jobs = history.iter().filter(|stored| stored.event_type == "JobCreated").count();
    assert_eq!(jobs, created.len());
    let log = app.log().text();
    assert!(!log.contains("panicked"), "{}", app.log().tail());
}

fn refused_report(log: &str) -> Result<(), String> {
    let refused = |line: &str| line.contains("lane=score") && line.contains("work item will be tried again");
    log.lines().any(refused).then_some(()).ok_or_else(|| "none did".to_owned())
}

/// Larger than what is left in the last block of a disk.
fn large() -> Resume {
    let words: Vec<String> = (0..400).map(|number| format!("{number:x} built services with Rust")).collect();
    let mut resume = Resume::unique();
    resume.content = starscreen_tests::docx(&["Alex Applicant", &resume.file_name, &words.join(" ")]);
    resume
}

/// Of the candidates that have files there.
fn names(directory: &Path) -> BTreeSet<String> {
    let name = |entry: &fs::DirEntry| entry.file_name().into_string().unwrap();
    let candidates = fs::read_dir(directory).unwrap().map(Result::unwrap);
    candidates.filter(|entry| fs::read_dir(entry.path()).unwrap().next().is_some()).map(|entry| name(&entry)).collect()
}
