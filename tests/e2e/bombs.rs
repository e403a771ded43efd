//! Two hundred hostile files among fifty resumes: every resume is scored, every hostile file ends with its sentence, and
//! the server, which opens none of them itself, needs no more memory than for the resumes alone.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::{Cursor, Write as _},
    time::Duration,
};

use futures::{StreamExt, stream};
use starscreen_tests::{Account, Resume, TestApp, fixtures};
use zip::{CompressionMethod, ZipArchive, ZipWriter, write::SimpleFileOptions};

use crate::product_binary;

const GOOD: usize = 50;
const HOSTILE: usize = 200;
/// As many as a browser sends at once.
const AT_ONCE: usize = 6;
const INFLATED_MEGABYTES: usize = 100;
const SETTLED_AFTER: Duration = Duration::from_mins(5);
/// Five times as many requests may cost the allocator and the caches this much; one file opened in the server costs
/// more.
const MOST_TIMES_THE_MEMORY: f64 = 1.3;

const TOO_COMPLEX: &str =
    "This file is far more complex than a resume needs. Export it as a plain PDF and upload that.";
const BROKEN: &str = "This file is damaged or incomplete. Export it again as PDF or DOCX and upload the new file.";
const NO_TEXT: &str = "There is no readable text in this file. Check that it is the right one and export it again.";

/// What a file comes to: its sentence, or a score where a person, too, would read it.
type End = Result<(), &'static str>;

const HOSTILE_FIXTURES: &[(&str, End)] = &[
    ("resumes/bomb_200MB.docx", Err(TOO_COMPLEX)),
    ("resumes/truncated.pdf", Err(BROKEN)),
    ("resumes/xxe.docx", Err(BROKEN)),
    ("layout/x_bomb2.docx", Err(TOO_COMPLEX)),
    ("layout/x_deep.docx", Err(TOO_COMPLEX)),
    ("layout/x_flatebomb.pdf", Err(TOO_COMPLEX)),
    ("layout/x_hugebox.pdf", Err(NO_TEXT)),
    ("layout/x_kidsloop.pdf", Ok(())),
    ("layout/x_laughs.pdf", Err(TOO_COMPLEX)),
    ("layout/x_manyruns.docx", Err(TOO_COMPLEX)),
    ("layout/x_selfform.pdf", Err(NO_TEXT)),
    ("layout/x_xxe2.docx", Err(BROKEN)),
];

fn fixture(path: &str) -> Resume {
    Resume::new(path.rsplit_once('/').unwrap().1, fs::read(fixtures().join(path)).unwrap())
}

/// A small Word document with another part that inflates to far more than a child may have.
fn inflating(part: &str, filling: &str) -> Resume {
    let mut innocent = ZipArchive::new(Cursor::new(Resume::unique().content)).unwrap();
    let mut bomb = ZipWriter::new(Cursor::new(vec![]));
    for index in 0..innocent.len() {
        bomb.raw_copy_file(innocent.by_index(index).unwrap()).unwrap();
    }
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    bomb.start_file(part, options).unwrap();
    let megabyte = filling.repeat((1 << 20) / filling.len());
    for _ in 0..INFLATED_MEGABYTES {
        bomb.write_all(megabyte.as_bytes()).unwrap();
    }
    Resume::new(&format!("{}.docx", part.replace('/', "_")), bomb.finish().unwrap().into_inner())
}

/// A page whose content asks for itself by names, a hundred times at each of five levels.
fn billion_forms() -> Resume {
    let mut objects = vec![
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /XObject << /F 5 0 R >> >> >>"
            .to_owned(),
        stream_object("", &"/F Do ".repeat(100)),
    ];
    for level in 5..10 {
        let form = format!(
            "/Type /XObject /Subtype /Form /BBox [0 0 612 792] /Resources << /XObject << /F {} 0 R >> >>",
            level + 1
        );
        objects.push(stream_object(&form, &"/F Do ".repeat(100)));
    }
    let last = "/Type /XObject /Subtype /Form /BBox [0 0 612 792]";
    objects.push(stream_object(last, &"0 0 m 9 9 l S ".repeat(100)));
    Resume::new("billion_forms.pdf", pdf(&objects))
}

fn stream_object(entries: &str, content: &str) -> String {
    format!("<< {entries} /Length {} >>\nstream\n{content}\nendstream", content.len())
}

fn pdf(objects: &[String]) -> Vec<u8> {
    let mut file = "%PDF-1.7\n".to_owned();
    let mut places = vec![];
    for (number, object) in (1..).zip(objects) {
        places.push(file.len());
        write!(file, "{number} 0 obj\n{object}\nendobj\n").unwrap();
    }
    let table = file.len();
    let count = objects.len() + 1;
    write!(file, "xref\n0 {count}\n0000000000 65535 f \n").unwrap();
    for place in places {
        writeln!(file, "{place:010} 00000 n ").unwrap();
    }
    write!(file, "trailer\n<< /Size {count} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n").unwrap();
    file.into_bytes()
}

fn hostile() -> Vec<(Resume, End)> {
    let mut kinds: Vec<(Resume, End)> = HOSTILE_FIXTURES.iter().map(|(path, end)| (fixture(path), *end)).collect();
    kinds.push((inflating("word/styles.xml", "<w:style/>"), Err(TOO_COMPLEX)));
    kinds.push((inflating("word/media/photo.jpeg", "\0"), Ok(()))); // pictures are not opened
    kinds.push((billion_forms(), Err(TOO_COMPLEX)));
    kinds.into_iter().cycle().take(HOSTILE).collect()
}

fn good() -> Vec<(Resume, End)> {
    let clean = ["single.pdf", "two_column.pdf"]
        .iter()
        .flat_map(|layout| (0..16).map(move |number| Resume::fixture(&format!("p{number:02}_{layout}"))));
    clean.chain(std::iter::repeat_with(Resume::unique)).take(GOOD).map(|resume| (resume, Ok(()))).collect()
}

/// Uploads all and waits for the end of each; answers the most memory that the server ever had, in kB.
async fn peak_after(files: &[(Resume, End)]) -> u64 {
    let mut app = TestApp::start_with(&product_binary(), &[("STARSCREEN_PLANS_FREE_MONTHLY_LIMIT", "1000")]);
    app.settle_at_most(SETTLED_AFTER);
    let account = app.client().account().await;
    let job = account.ready_job().await;
    let uploads = stream::iter(files).map(|(resume, end)| take_in(&account, &job, resume, *end));
    let expected: BTreeMap<String, (String, End)> = uploads.buffer_unordered(AT_ONCE).collect().await;
    app.settled().await;
    for (candidate, (file_name, end)) in &expected {
        let ended = account.candidate(&job, candidate).await;
        match end {
            Ok(()) => assert_eq!(ended["status"], "SCORED", "{file_name}: {ended}"),
            Err(sentence) => {
                assert_eq!(ended["status"], "FAILED", "{file_name}: {ended}");
                assert_eq!(ended["error_message"], *sentence, "{file_name}: {ended}");
            }
        }
    }
    let scored = expected.values().filter(|(_, end)| end.is_ok()).count();
    assert_eq!(account.subscription().await["candidates_used_this_month"], scored, "slots of what failed are free");
    let peak = peak(&app);
    assert!(!app.log().text().contains("panicked"), "{}", app.log().tail());
    peak
}

async fn take_in(account: &Account, job: &str, resume: &Resume, end: End) -> (String, (String, End)) {
    (account.take_in(job, resume).await, (resume.file_name.clone(), end))
}

fn peak(app: &TestApp) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", app.process_id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_bombs_beside_fifty_resumes_cost_neither_a_score_nor_memory() {
    let good = good();
    let alone = peak_after(&good).await;
    let every = HOSTILE / GOOD;
    let hostile = hostile();
    let mixed: Vec<(Resume, End)> = hostile
        .chunks(every)
        .zip(&good)
        .flat_map(|(bombs, good)| [bombs, std::slice::from_ref(good)].concat())
        .collect();
    assert_eq!(mixed.len(), GOOD + HOSTILE);
    let beside = peak_after(&mixed).await;
    println!("peak memory of the server: {alone} kB for the resumes alone, {beside} kB with the bombs");
    #[expect(clippy::cast_precision_loss, reason = "a ratio of kilobytes")]
    let times = beside as f64 / alone as f64;
    assert!(times < MOST_TIMES_THE_MEMORY, "{times:.2} times the memory: {beside} kB instead of {alone} kB");
}
