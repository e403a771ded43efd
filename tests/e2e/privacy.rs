//! Personal data is nowhere in clear: not in the store's files, not in the objects, not in the log, not in errors.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::json;
use starscreen_tests::{Form, Resume, TestApp};

use crate::product_binary;

const PASSWORD: &str = "Canary-Passw0rd-Quetzal!";

/// What must not be found, each a word of its own so that a find tells where it came from.
const CANARIES: &[(&str, &str)] = &[
    ("e-mail", "canary.recruiter@quokka.example"),
    ("full name", "Recruiterina Quokkason"),
    ("company", "Quokka Consolidated"),
    ("password", PASSWORD),
    ("file name", "Lebenslauf-Axolotl.docx"),
    ("given name", "Givenella"),
    ("given e-mail", "givenella@axolotl.example"),
    ("name in the resume", "Applicantissima"),
    ("e-mail in the resume", "applicantissima@narwhal.example"),
    ("phone in the resume", "555-0142-7788"),
    ("text of the resume", "flensing narwhals with Rust"),
    ("name of an account that is not there", "stranger@pangolin.example"),
];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

fn holds(content: &[u8], wanted: &str) -> bool {
    let utf16: Vec<u8> = wanted.encode_utf16().flat_map(u16::to_le_bytes).collect();
    [wanted.as_bytes(), &utf16].iter().any(|bytes| content.windows(bytes.len()).any(|window| window == *bytes))
}

/// The canaries in `content`; in a read model, the place for what people search, they may be.
fn found(content: &[u8]) -> Vec<&'static str> {
    CANARIES.iter().filter(|(_, text)| holds(content, text)).map(|(what, _)| *what).collect()
}

#[tokio::test]
async fn no_personal_data_is_stored_or_logged_in_clear() {
    let app = TestApp::start_with(&product_binary(), &[("STARSCREEN_LOG", "trace")]);
    let client = app.client();
    let registration = json!({ "email": "canary.recruiter@quokka.example", "password": PASSWORD,
        "full_name": "Recruiterina Quokkason", "company_name": "Quokka Consolidated" });
    let registered = client.post("auth/register").json(&registration).send().await.expect(201).json();
    let tokens = ["access_token", "refresh_token"].map(|name| registered[name].as_str().unwrap().to_owned());
    let account = client.with_bearer(&tokens[0]);
    let mut errors = vec![];
    for call in [
        client.post("auth/register").json(&registration),
        client.post("auth/login").json(&json!({ "email": "stranger@pangolin.example", "password": PASSWORD })),
        client.post("auth/login").body("application/json", format!("{{\"password\": \"{PASSWORD}\", ")),
        client
            .post("auth/login")
            .body("application/json", format!("{{\"username\": 1, \"password\": \"{PASSWORD}\"}}")),
        client.post("auth/register").json(&json!({ "email": "x", "password": PASSWORD })),
        client.get("auth/me").query("token", &tokens[0]),
    ] {
        let answer = call.send().await;
        assert!(answer.status >= 400);
        errors.extend(answer.body);
    }
    let login = json!({ "email": "canary.recruiter@quokka.example", "password": PASSWORD });
    client.post("auth/login").json(&login).send().await.expect(200);
    client.post("auth/refresh").json(&json!({ "refresh_token": tokens[1] })).send().await.expect(200);

    let body = json!({ "title": "Flenser", "description": "Flensing of whales with Rust and PostgreSQL" });
    let job = account.post("jobs").json(&body).send().await.expect(201).json()["job_id"].as_str().unwrap().to_owned();
    let resume = Resume::docx(
        "Lebenslauf-Axolotl.docx",
        &[
            "Applicantissima Axolotl",
            "applicantissima@narwhal.example, 555-0142-7788",
            "Five years of flensing narwhals with Rust and PostgreSQL",
        ],
    );
    let form = || Form::of(&resume).field("first_name", "Givenella").field("email", "givenella@axolotl.example");
    let uploads = format!("jobs/{job}/candidates/upload");
    let taken = account.post(&uploads).form(&form()).key("one").send().await.expect(200).json();
    let broken = Resume { content: resume.content[..200].to_vec(), ..resume.clone() };
    let other = Form::of(&broken).field("first_name", "Givenella");
    for call in [account.post(&uploads).form(&other).key("one"), account.post(&uploads).form(&other)] {
        let answer = call.send().await;
        assert!(answer.status == 200 || answer.status >= 400);
        errors.extend(answer.body);
    }
    app.settled().await;
    let path = format!("jobs/{job}/candidates/{}", taken["candidate_id"].as_str().unwrap());
    let candidate = account.get(&path).send().await.expect(200).json();
    assert_eq!(candidate["status"], "SCORED", "{candidate}");
    assert!(candidate["resume_text"].as_str().unwrap().contains("flensing narwhals with Rust"), "{candidate}");
    assert_eq!(candidate["first_name"], "Givenella");
    account.get(&format!("{path}/file")).send().await.expect(200);

    // The search finds what is there: the read models, which are made of opened values, hold most of it.
    let data = app.home().data();
    let read: Vec<u8> =
        ["read.db", "read.db-wal"].iter().flat_map(|name| fs::read(data.join(name)).unwrap_or_default()).collect();
    let expected = ["e-mail", "full name", "company", "file name", "given name", "given e-mail"];
    assert!(expected.iter().all(|what| found(&read).contains(what)), "{:?}", found(&read));

    let mut stored = vec![];
    files(&data, &mut stored);
    let objects = stored.iter().filter(|path| path.starts_with(data.join("objects"))).count();
    assert!(objects >= 2, "{stored:?}");
    assert!(stored.iter().any(|path| path.ends_with("write.db-wal")), "{stored:?}");
    for path in stored {
        let is_read_model = path.file_name().unwrap().to_str().unwrap().starts_with("read.db");
        let content = fs::read(&path).unwrap();
        assert!(is_read_model || found(&content).is_empty(), "{}: {:?}", path.display(), found(&content));
        assert!(!holds(&content, PASSWORD), "{} holds the password", path.display());
        let shown = path.to_string_lossy().into_owned();
        assert!(found(shown.as_bytes()).is_empty(), "{shown}");
    }
    assert!(found(&errors).is_empty(), "an error tells of {:?}", found(&errors));
    app.stop();
    let log = app.log().text();
    assert!(log.contains("TRACE") || log.contains("DEBUG"), "nothing was traced:\n{}", app.log().tail());
    let told: Vec<&str> = log.lines().filter(|line| !found(line.as_bytes()).is_empty()).collect();
    assert!(told.is_empty(), "the log tells of {:?}: {:#?}", found(log.as_bytes()), &told[..told.len().min(5)]);
    for token in &tokens {
        let signature = token.rsplit_once('.').unwrap().1;
        assert!(!log.contains(signature), "the log holds a token");
    }
}
