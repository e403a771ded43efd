//! Figures of the main job on this machine, as a table: `cargo bench -p starscreen-tests`.
#![expect(clippy::unwrap_used, reason = "a figure that cannot be measured ends the run")]

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use futures::{StreamExt, future::join_all, stream};
use starscreen_tests::{Account, Home, Kind, ModelServer, Reply, Resume, TestApp};

const BINARY: &str = env!("CARGO_BIN_EXE_starscreen-under-test");
const TENANTS: usize = 10;
const UPLOADS: usize = 400;
const PARALLEL: usize = 16;
const STARTS: usize = 9;
const ALONE: usize = 48;
const MODEL_ANSWERS_AFTER: Duration = Duration::from_millis(50);
/// Of /proc/<pid>/stat; the same on every Linux.
const TICKS_A_SECOND: f64 = 100.0;

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        return; // `cargo test --benches` wants to know only that it compiles
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(measure());
}

async fn measure() {
    let size_mb = megabytes(fs::metadata(BINARY).unwrap().len());
    line("binary", &format!("{size_mb:.1} MB"));
    let (first, again) = starts().await;
    line("start to first 200, new directory", &format!("{} ms", first.as_millis()));
    line("start to first 200, median of later ones", &format!("{} ms", again.as_millis()));

    println!("\nwith the offline scorer");
    let app = TestApp::start(Path::new(BINARY));
    app.settled().await;
    line("idle memory (RSS)", &memory(&app, "VmRSS"));
    main_job(&app).await;
    let events = usize::try_from(app.events().head().await).unwrap();
    let begun = Instant::now();
    let rebuilt = app.operate(&["rebuild", "--all"]).succeeded().stdout;
    let models = rebuilt.lines().count();
    line(
        "rebuild, one read model after the other",
        &format!("{:.0} events/s", a_second(events * models, begun.elapsed())),
    );
    drop(app);

    println!("\nwith a model that answers after {} ms, over HTTP", MODEL_ANSWERS_AFTER.as_millis());
    let model = ModelServer::start();
    for kind in [Kind::Rubric, Kind::Evaluation] {
        model.always(kind, &[Reply::GoodAfter(MODEL_ANSWERS_AFTER)]);
    }
    let base_url = model.base_url();
    let settings = [("OPENAI_API_KEY", "sk-bench-0123456789abcdef"), ("OPENAI_BASE_URL", base_url.as_str())];
    let app = TestApp::start_with(Path::new(BINARY), &settings);
    main_job(&app).await;
    let asked = model.asked_for(Kind::Evaluation).len();
    line("calls of the model for a resume", &format!("{:.2}", number(asked) / number(UPLOADS + ALONE)));
}

/// A burst of uploads until all are scored, then some one by one.
async fn main_job(app: &TestApp) {
    let tenants = tenants(app).await;
    line("memory after ten registrations (RSS)", &memory(app, "VmRSS"));
    burst(app, &tenants).await;
    let [p50, p99] = percentiles(one_by_one(app, &tenants[0]).await);
    line("upload to SCORED, one at a time, p50 / p99", &format!("{p50:.0} / {p99:.0} ms"));
}

async fn burst(app: &TestApp, tenants: &[(Account, String)]) {
    let resumes = resumes();
    let size: usize = resumes.iter().map(|resume| resume.content.len()).sum();
    line("resumes", &format!("{UPLOADS}, {} KB on average, {TENANTS} tenants", size / resumes.len() / 1024));

    let cpu_before = cpu_seconds(app.process_id());
    let begun = Instant::now();
    let latencies: Vec<Duration> = stream::iter(resumes.iter().zip(tenants.iter().cycle()))
        .map(|(resume, (account, job))| async move {
            let begun = Instant::now();
            account.upload(job, resume).send().await.expect(200);
            begun.elapsed()
        })
        .buffer_unordered(PARALLEL)
        .collect()
        .await;
    let uploading = begun.elapsed();
    let look = async || app.unfinished().await;
    app.log().until_at_most(Duration::from_mins(10), "all are scored", look).await;
    let scoring = begun.elapsed();
    let cpu = cpu_seconds(app.process_id()) - cpu_before;

    line(&format!("uploads at {PARALLEL} parallel"), &format!("{:.0}/s", a_second(UPLOADS, uploading)));
    let [p50, p99] = percentiles(latencies.iter().map(|latency| latency.as_secs_f64() * 1000.0).collect());
    line("upload, p50 / p99", &format!("{p50:.0} / {p99:.0} ms"));
    let waits = app.events().milliseconds_between("ResumeUploaded", "CandidateScored").await;
    assert_eq!(waits.len(), UPLOADS, "some resumes were not scored");
    let [p50, p99] = percentiles(waits);
    line("upload to SCORED in that burst, p50 / p99", &format!("{:.1} / {:.1} s", p50 / 1000.0, p99 / 1000.0));
    line("resumes to the end", &format!("{:.1}/s", a_second(UPLOADS, scoring)));
    line("CPU for 1,000 resumes", &format!("{:.0} s", cpu * 1000.0 / number(UPLOADS)));
    line("memory at most (RSS)", &memory(app, "VmHWM"));
}

fn line(what: &str, figure: &str) {
    println!("{what:<45} {figure:>30}");
}

/// From the start of the process to its first answer: the first start, and the median of those after it.
async fn starts() -> (Duration, Duration) {
    let home = Home::new(Path::new(BINARY));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut times = vec![];
    for _ in 0..STARTS {
        let begun = Instant::now();
        let server = home.serve(&[]);
        let answer = client.get(format!("http://{}/health", server.address)).send().await.unwrap();
        assert!(answer.status().is_success());
        times.push(begun.elapsed());
        server.kill();
    }
    let first = times.remove(0);
    times.sort_unstable();
    (first, times[times.len() / 2])
}

async fn tenants(app: &TestApp) -> Vec<(Account, String)> {
    let client = app.client();
    join_all((0..TENANTS).map(|_| async {
        let account = client.account().await;
        app.operate(&["admin", "change-plan", &account.email, "enterprise"]).succeeded();
        let job = account.ready_job().await;
        (account, job)
    }))
    .await
}

/// The clean fixtures in turn, PDF and DOCX, each upload with another name.
fn resumes() -> Vec<Resume> {
    let folder = fs::read_dir(starscreen_tests::fixtures().join("resumes")).unwrap();
    let mut names: Vec<String> = folder.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name.starts_with('p') && name.as_bytes()[1].is_ascii_digit());
    names.sort();
    assert_eq!(names.len(), 48);
    let numbered = (0..UPLOADS).zip(names.iter().cycle());
    numbered.map(|(number, name)| Resume { file_name: format!("{number}-{name}"), ..Resume::fixture(name) }).collect()
}

/// How long each of some uploads takes to its score when there is nothing else to do.
async fn one_by_one(app: &TestApp, (account, job): &(Account, String)) -> Vec<f64> {
    let mut times = vec![];
    for resume in resumes().iter().take(ALONE) {
        let begun = Instant::now();
        let id = account.take_in(job, resume).await;
        account.until_candidate_is(job, &id, "SCORED").await;
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    app.settled().await;
    times
}

fn percentiles(mut values: Vec<f64>) -> [f64; 2] {
    values.sort_unstable_by(f64::total_cmp);
    [50, 99].map(|percent| values[(values.len() - 1) * percent / 100])
}

/// User and system time of a process and of the children it has waited for.
fn cpu_seconds(process: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap(); // the name before it may hold blanks
    let ticks = fields.split(' ').skip(11).take(4).map(|field| field.parse::<f64>().unwrap());
    ticks.sum::<f64>() / TICKS_A_SECOND
}

fn memory(app: &TestApp, key: &str) -> String {
    format!("{:.1} MB", megabytes(app.memory_kb(key) * 1024))
}

fn a_second(count: usize, time: Duration) -> f64 {
    number(count) / time.as_secs_f64()
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}

fn megabytes(bytes: u64) -> f64 {
    number(usize::try_from(bytes).unwrap()) / 1024.0 / 1024.0
}
