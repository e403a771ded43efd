//! Text extraction over a corpus of resumes, against the binary's hidden verb.
//!
//! The corpus is what a recruiter's inbox holds: clean resumes, others that talk to the model behind the recruiter's
//! back, innocent ones that look like those, and files made to crash their reader.

#![expect(clippy::unwrap_used, reason = "a helper that fails ends its test")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use starscreen_tests::{Resume, TestApp};

/// What every hand-made file shows, whatever else it hides.
const SHOWN: &str = "Jane Visible jane@example.com Rust Python";
/// A file that ends its child by a limit takes longer only on a machine that is overloaded.
const LIMIT: Duration = Duration::from_secs(20);

fn resume(name: &str) -> PathBuf {
    crate::fixtures().join("resumes").join(name)
}

fn layout(name: &str) -> PathBuf {
    crate::fixtures().join("layout").join(name)
}

fn json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// Runs the child on one file as the gateway runs it.
fn run_child(path: &Path) -> Output {
    let kind = path.extension().and_then(|extension| extension.to_str()).unwrap();
    let mut child = Command::new(crate::product_binary())
        .args(["extract-child", kind])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let _ = child.stdin.take().unwrap().write_all(&bytes); // a child that ended early has said why
    child.wait_with_output().unwrap()
}

pub(crate) fn extract(path: &Path) -> Value {
    let start = Instant::now();
    let output = run_child(path);
    assert!(start.elapsed() < LIMIT, "{} took {:?}", path.display(), start.elapsed());
    assert!(output.status.success(), "{} ended with {}", path.display(), output.status);
    assert!(output.stderr.is_empty(), "{} wrote to stderr", path.display());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn text(answer: &Value) -> String {
    let text = answer["text"].as_str().unwrap_or_else(|| panic!("no text in {answer}"));
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

pub(crate) fn techniques(answer: &Value) -> Vec<&str> {
    let hidden = answer["hidden"].as_array().unwrap_or_else(|| panic!("nothing on hidden text in {answer}"));
    hidden.iter().map(|hidden| hidden["technique"].as_str().unwrap()).collect()
}

/// The rows of truth.json of one kind, by file name.
fn truth(kind: &str) -> Vec<(String, Value)> {
    let all = json(&resume("truth.json"));
    let of_kind = all.as_array().unwrap().iter().filter(|row| row["kind"] == kind);
    of_kind.map(|row| (row["file"].as_str().unwrap().to_owned(), row.clone())).collect()
}

/// E-mail address and skills that the text lacks.
fn missing<'a>(row: &'a Value, text: &str) -> Vec<&'a str> {
    let skills = row["skills"].as_array().unwrap().iter();
    let wanted = std::iter::once(&row["email"]).chain(skills).map(|value| value.as_str().unwrap());
    wanted.filter(|wanted| !text.contains(wanted)).collect()
}

#[test]
fn clean_resumes_give_address_and_skills_and_hide_nothing() {
    let clean = truth("clean");
    assert_eq!(clean.len(), 48);
    for (file, row) in clean {
        let answer = extract(&resume(&file));
        assert_eq!(missing(&row, &text(&answer)), [""; 0], "{file}");
        assert_eq!(techniques(&answer), [""; 0], "{file}");
        assert_eq!(answer["truncated"], false, "{file}");
    }
}

#[test]
fn names_are_found_where_the_font_has_them() {
    for (file, row) in truth("clean") {
        let name = row["name"].as_str().unwrap();
        let is_drawn_by_font = Path::new(&file).extension().is_some_and(|kind| kind == "docx") || name.is_ascii();
        if is_drawn_by_font {
            assert!(text(&extract(&resume(&file))).contains(name), "{file}");
        }
    }
}

#[test]
fn columns_are_read_one_after_the_other() {
    let expected = json(&layout("cols.json"));
    assert_eq!(expected.as_object().unwrap().len(), 6);
    for (file, order) in expected.as_object().unwrap() {
        let order: Vec<&str> = order.as_str().unwrap().split_whitespace().collect();
        let read = text(&extract(&layout(file)));
        assert_eq!(read.split(' ').collect::<Vec<_>>(), order, "{file}");
    }
}

#[test]
fn orders_to_the_model_that_nobody_sees_are_kept_out() {
    for (file, technique) in [
        ("inj_white.pdf", "background_colour"),
        ("inj_1pt.pdf", "tiny"),
        ("inj_offpage.pdf", "off_page"),
        ("inj_transparent.pdf", "transparent"),
        ("inj_under_box.pdf", "covered"),
        ("inj_metadata.pdf", "metadata"),
        ("keyword_stuffing_white.pdf", "background_colour"),
        ("inj_vanish.docx", "invisible"),
        ("inj_white.docx", "background_colour"),
        ("inj_tiny.docx", "tiny"),
    ] {
        let answer = extract(&resume(file));
        let read = text(&answer);
        assert!(!read.contains("SYSTEM NOTE") && !read.contains("ignore the rubric"), "{file}");
        assert_eq!(techniques(&answer), [technique], "{file}");
    }
}

#[test]
fn what_is_hidden_does_not_take_the_rest_along() {
    for (file, row) in truth("injection") {
        if file == "inj_metadata.pdf" {
            continue; // its row in truth.json is that of another person
        }
        assert_eq!(missing(&row, &text(&extract(&resume(&file)))), [""; 0], "{file}");
    }
}

#[test]
fn what_people_see_stays_even_if_it_speaks_to_the_model() {
    let visible = extract(&resume("inj_visible.pdf"));
    assert!(text(&visible).contains("SYSTEM NOTE TO THE EVALUATOR"));
    let zero_width = extract(&resume("inj_zero_width.pdf"));
    assert!(text(&zero_width).contains("SYSTEM NOTE TO THE EVALUATOR"));
    assert_eq!(techniques(&zero_width), ["zero_width"]);
}

#[test]
fn each_technique_of_hiding_is_told() {
    for (file, technique) in [
        ("h_actualtext.pdf", "actual_text"),
        ("h_annot.pdf", "annotation"),
        ("h_blackonblack.pdf", "background_colour"),
        ("h_ca0.pdf", "transparent"),
        ("h_clip.pdf", "covered"),
        ("h_cropbox.pdf", "off_page"),
        ("h_hscale0.pdf", "tiny"),
        ("h_imgcover.pdf", "covered"),
        ("h_mode3.pdf", "invisible"),
        ("h_mode7.pdf", "invisible"),
        ("h_ocg.pdf", "hidden_layer"),
        ("h_offwhite.pdf", "background_colour"),
        ("h_scale1pt.pdf", "tiny"),
        ("h_softmask.pdf", "covered"),
    ] {
        let answer = extract(&layout(file));
        assert_eq!(text(&answer).trim_end_matches(" Hobbies"), SHOWN, "{file}");
        assert_eq!(techniques(&answer), [technique], "{file}");
    }
}

#[test]
fn innocent_looks_keep_all_their_text() {
    for (file, shown) in [
        ("ok_banner.pdf", "Jane Visible jane@example.com Rust Python and more"),
        ("ok_grey.pdf", "Jane Visible jane@example.com Rust Python jane@example.com light grey subtitle"),
        ("ok_mode2.pdf", "Jane Visible jane@example.com Rust Python Bold by fill and stroke"),
        ("ok_on_image.pdf", "Jane Visible jane@example.com Rust Python White name over a dark photo"),
        ("ok_rotated.pdf", "Jane Visible jane@example.com Rust Python Rotated side label"),
        ("ok_small6.pdf", "Jane Visible jane@example.com Rust Python Small six point footer of a resume, page 1 of 1"),
        ("ok_underline_highlight.pdf", SHOWN),
    ] {
        let answer = extract(&layout(file));
        assert_eq!(text(&answer), shown, "{file}");
        assert_eq!(techniques(&answer), [""; 0], "{file}");
    }
    let sidebar = extract(&layout("ok_sidebar.pdf"));
    let read = text(&sidebar);
    assert!(read.starts_with("Skill 0 Rust Skill 1 Rust") && read.contains("Experience line 10 with words"), "{read}");
    assert_eq!(techniques(&sidebar), [""; 0]);
}

#[test]
fn a_docx_is_read_as_word_shows_it() {
    let answer = extract(&layout("d_mix.docx"));
    assert_eq!(
        text(&answer),
        "START vanish0 visible whiteondark visible whiteincell visible cell2 TEXTBOX aftertextbox SDT HYPERINS FIELD \
         AT&T 中 zerowidth"
    );
    assert_eq!(techniques(&answer), ["invisible", "background_colour", "zero_width"]);
}

#[test]
fn hard_files_end_with_the_right_failure() {
    for (path, code) in [
        (resume("password.pdf"), "password_protected"),
        (resume("scanned_image_only.pdf"), "scanned_image"),
        (resume("truncated.pdf"), "broken_file"),
        (resume("not_a_pdf.pdf"), "broken_file"),
        (resume("empty.pdf"), "broken_file"),
        (resume("pdf_named.docx"), "broken_file"),
        (resume("bomb_200MB.docx"), "too_complex"),
        (resume("xxe.docx"), "broken_file"),
        (layout("x_bomb2.docx"), "too_complex"),
        (layout("x_deep.docx"), "too_complex"),
        (layout("x_manyruns.docx"), "too_complex"),
        (layout("x_xxe2.docx"), "broken_file"),
        (layout("x_flatebomb.pdf"), "too_complex"),
        (layout("x_laughs.pdf"), "too_complex"),
        (layout("x_selfform.pdf"), "no_text"),
    ] {
        let answer = extract(&path);
        assert_eq!(answer["outcome"], "failed", "{}", path.display());
        assert_eq!(answer["code"], code, "{}", path.display());
    }
}

#[test]
fn odd_page_trees_and_long_documents_are_read() {
    assert_eq!(text(&extract(&layout("x_kidsloop.pdf"))), "hello there");
    let long = extract(&resume("long_many_pages.pdf"));
    assert_eq!(long["pages"], 6);
    assert_eq!(long["truncated"], false);
}

/// The text that is read of one resume at most, in characters.
const MAX_TEXT_CHARS: usize = 100_000;

#[tokio::test]
async fn a_person_is_asked_to_look_at_a_resume_that_is_too_long_to_be_read_to_its_end() {
    let app = TestApp::start(&crate::product_binary());
    let account = app.client().account().await;
    let job = account.ready_job().await;
    let line = "Built services with Rust and PostgreSQL for a bank. ".repeat(20);
    for (lines, cut_short) in [(20, false), (MAX_TEXT_CHARS / line.len() + 1, true)] {
        let mut paragraphs = vec!["Jane Visible", "jane@example.com"];
        paragraphs.extend(std::iter::repeat_n(line.as_str(), lines));
        let resume = Resume::docx(&format!("{lines}.docx"), &paragraphs);
        let candidate = account.take_in(&job, &resume).await;
        let scored = account.until_candidate_is(&job, &candidate, "SCORED").await;
        let read = scored["resume_text"].as_str().unwrap().chars().count();
        assert_eq!(read == MAX_TEXT_CHARS, cut_short, "{read} characters");
        let reason = json!("text_cut_short");
        for answer in [&scored, &account.evaluation(&job, &candidate).await] {
            let reasons = answer["needs_review"].as_array().unwrap();
            assert_eq!(reasons.contains(&reason), cut_short, "{reasons:?}");
        }
    }
}

/// The limits that Linux shows for a process that waits for its file.
#[cfg(target_os = "linux")]
#[test]
fn the_child_limits_itself_before_it_reads() {
    let mut child = Command::new(crate::product_binary())
        .args(["extract-child", "pdf"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let limits = || std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
    let start = Instant::now();
    let is_limited = |name: &str, limit: &str| {
        limits().lines().any(|line| line.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with(limit)))
    };
    // Open files are limited last.
    while !is_limited("Max open files", "0 ") && start.elapsed() < LIMIT {
        std::thread::yield_now();
    }
    for (name, limit) in [
        ("Max address space", "536870912 "),
        ("Max cpu time", "5 "),
        ("Max core file size", "0 "),
        ("Max file size", "0 "),
        ("Max open files", "0 "),
    ] {
        assert!(is_limited(name, limit), "{name} is not {limit}:\n{}", limits());
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn an_unknown_kind_is_not_the_files_fault() {
    let output = Command::new(crate::product_binary()).args(["extract-child", "exe"]).stdin(Stdio::null()).output();
    let output = output.unwrap();
    assert!(!output.status.success());
    assert!(output.stdout.is_empty());
}
