//! The same tests once more, on the other back ends.

use std::process::Command;

use starscreen_tests::Backend;

/// Modules and tests that are about something else than a back end, or about the embedded store by its nature: its
/// files, its directory's lock, its damage.
const NOT_AGAIN: &[&str] = &[
    "suite::",
    "stores::",
    "servers::",
    "walls::",
    "harness::",
    "settings::",
    "openapi::",
    "metrics::",
    "demo::",
    "disk_full::",
    "compose::",
    "recovery::",
    "jetstream::",
    "postgres_es::",
    // These have a twin there.
    "over_postgres::",
    "operate::a_doctor_",
    "operate::a_row_that_was_tampered_with",
    "operate::health_tells_what_is_wrong",
    "privacy::no_personal_data_is_stored",
    // Looks for the children of the process that answers.
    "uploads::a_resume_whose_reader_is_killed",
    "processes::",
    "apart::",
    "billing::gateways::",
    "outages::",
    "frozen::",
    "crew::",
    "lost_message::",
    "unknown_outcome::",
    "rolling::",
];

/// One after the other: both at once would be more than two cores have time for.
#[test]
fn holds_over_postgresql_and_in_processes_of_their_own() {
    let failed: Vec<String> = [Backend::Postgres, Backend::Apart].into_iter().filter_map(again).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Runs this program's tests in another process; what they said if they failed.
fn again(backend: Backend) -> Option<String> {
    let mut tests = Command::new(std::env::current_exe().unwrap());
    tests.env(Backend::VARIABLE, backend.name());
    tests.args(NOT_AGAIN.iter().flat_map(|name| ["--skip", name]));
    let output = tests.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let ran = said.lines().filter(|line| line.ends_with(" ... ok")).count();
    let failed = !output.status.success() || ran < 100;
    failed.then(|| format!("on {}, {ran} ok:\n{said}\n{}", backend.name(), String::from_utf8_lossy(&output.stderr)))
}
