//! Text that no person sees: kept from the text, told with its technique, and never in front of the model.
//!
//! fixtures/hidden holds files of our own: printed by Chromium, converted by `LibreOffice`, and written by hand. Its
//! truth.json says of each what a person reads, in order, and what is hidden.

use std::path::PathBuf;

use serde_json::{Value, json};
use starscreen_domain::{Event, candidate::CandidateEvent};
use starscreen_tests::{Account, Kind, ModelServer, Resume, TestApp};

use crate::extraction::{extract, techniques, text};
use crate::product_binary;

/// Stands in every hidden text.
const CANARY: &str = "quokkanimbus";

struct Case {
    file: String,
    /// What a person reads, in this order, and nothing else.
    visible: Vec<String>,
    hidden: Vec<String>,
    /// How it is hidden; none where the program that made the file left the text out of it.
    techniques: Vec<String>,
}

impl Case {
    fn of(row: &Value) -> Self {
        let texts = |name: &str| {
            let texts = row[name].as_array().unwrap_or_else(|| panic!("no {name} in {row}"));
            texts.iter().map(|text| text.as_str().unwrap().to_owned()).collect()
        };
        Self {
            file: row["file"].as_str().unwrap().to_owned(),
            visible: texts("visible"),
            hidden: texts("hidden"),
            techniques: texts("techniques"),
        }
    }

    fn path(&self) -> PathBuf {
        crate::fixtures().join("hidden").join(&self.file)
    }

    fn is_clean(&self) -> bool {
        self.hidden.is_empty()
    }
}

fn cases() -> Vec<Case> {
    let truth = std::fs::read_to_string(crate::fixtures().join("hidden/truth.json")).unwrap();
    serde_json::from_str::<Vec<Value>>(&truth).unwrap().iter().map(Case::of).collect()
}

fn resume(name: &str) -> Resume {
    Resume::new(name, std::fs::read(crate::fixtures().join("hidden").join(name)).unwrap())
}

/// What is wrong with the answer on one file.
fn fault(case: &Case) -> Option<String> {
    let answer = extract(&case.path());
    if answer["outcome"] == "failed" {
        return Some(format!("{}: {answer}", case.file));
    }
    let read = text(&answer);
    let mut told = techniques(&answer);
    told.sort_unstable();
    let mut expected: Vec<&str> = case.techniques.iter().map(String::as_str).collect();
    expected.sort_unstable();
    let visible = case.visible.join(" ");
    let leaks: Vec<&String> = case.hidden.iter().filter(|hidden| read.contains(hidden.as_str())).collect();
    let is_as_expected = leaks.is_empty() && read == visible && told == expected;
    (!is_as_expected).then(|| {
        format!("{}:\n  leaks {leaks:?}\n  told {told:?}, not {expected:?}\n  read {read}\n  not  {visible}", case.file)
    })
}

fn faults(cases: impl Iterator<Item = Case>) -> Vec<String> {
    cases.filter_map(|case| fault(&case)).collect()
}

#[test]
fn what_people_see_is_read_whole_and_in_order_and_the_rest_is_told_and_kept_out() {
    let (clean, hiding): (Vec<Case>, Vec<Case>) = cases().into_iter().partition(Case::is_clean);
    assert!(clean.len() >= 19 && hiding.len() >= 100, "{} clean, {} hiding", clean.len(), hiding.len());
    let (clean, hiding) = (faults(clean.into_iter()), faults(hiding.into_iter()));
    assert!(clean.is_empty() && hiding.is_empty(), "{}\n{}", clean.join("\n"), hiding.join("\n"));
}

/// The files that go through the whole product, and how each hides its text.
const UPLOADED: [(&str, &str); 3] = [
    ("chromium_hide_white.pdf", "background_colour"),
    ("docx_hide_vml_hidden.docx", "invisible"),
    ("pdf_hide_form_group_alpha.pdf", "transparent"),
];

async fn scored(account: &Account, job: &str, name: &str) -> (String, Value) {
    let candidate = account.take_in(job, &resume(name)).await;
    let scored = account.until_candidate_is(job, &candidate, "SCORED").await;
    (candidate, scored)
}

#[tokio::test]
async fn a_person_is_asked_to_look_at_a_resume_with_hidden_text_and_at_no_other() {
    let app = TestApp::start(&product_binary());
    let account = app.client().account().await;
    let job = account.ready_job().await;
    for (file, technique) in UPLOADED {
        let (candidate, scored) = scored(&account, &job, file).await;
        let evaluation = account.evaluation(&job, &candidate).await;
        assert!(scored["resume_text"].as_str().unwrap().contains("Rust and Python for eight years"), "{scored}");
        let reason = json!(format!("hidden_text:{technique}"));
        for answer in [&scored, &evaluation] {
            assert!(!answer.to_string().contains(CANARY), "{file}: {answer}");
            assert!(answer["needs_review"].as_array().unwrap().contains(&reason), "{file}: {answer}");
        }
        let shares = hidden_shares(&app, &candidate).await;
        assert!(matches!(shares[..], [1..=1000]), "{file}: {shares:?}");
    }
    for file in ["chromium_sidebar.pdf", "docx_ok_looks.docx"] {
        let (candidate, scored) = scored(&account, &job, file).await;
        assert!(!scored["needs_review"].to_string().contains("hidden_text"), "{file}: {scored}");
        assert_eq!(hidden_shares(&app, &candidate).await, [0; 0], "{file}");
    }
}

/// Shares in thousandths, one for each time that hidden text was found in the candidate's file.
async fn hidden_shares(app: &TestApp, candidate: &str) -> Vec<u32> {
    let events = app.events().all().await.into_iter().filter(|stored| stored.aggregate_id.to_string() == candidate);
    let share = |event| match event {
        Event::Candidate(CandidateEvent::HiddenTextDetected { share_permille, .. }) => Some(share_permille),
        _ => None,
    };
    events.filter_map(|stored| share(stored.event)).collect()
}

#[tokio::test]
async fn the_model_is_never_shown_what_a_person_does_not_see() {
    let server = ModelServer::start();
    let base_url = server.base_url();
    let model = [("OPENAI_API_KEY", "sk-test-0123456789abcdef"), ("OPENAI_BASE_URL", base_url.as_str())];
    let app = TestApp::start_with(&product_binary(), &model);
    let account = app.client().account().await;
    let job = account.ready_job().await;
    for (file, _) in UPLOADED {
        scored(&account, &job, file).await;
    }
    let asked = server.asked_for(Kind::Evaluation);
    assert!(asked.len() >= UPLOADED.len(), "{} calls", asked.len());
    for asked in asked {
        assert!(asked.user().contains("Rust and Python for eight years"), "{}", asked.user());
        assert!(!asked.body.to_string().contains(CANARY), "{}", asked.body);
    }
}
