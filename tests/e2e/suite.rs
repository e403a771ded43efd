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
    "demo::",
    "disk_full::",
    "outages::",
    "rolling::",
];

#[test]
fn holds_over_postgresql() {
    again(Backend::Postgres);
}

#[test]
fn holds_in_processes_of_their_own() {
    again(Backend::Apart);
}

/// Runs this program's tests in another process.
fn again(backend: Backend) {
    let mut tests = Command::new(std::env::current_exe().unwrap());
    tests.env(Backend::VARIABLE, backend.name());
    tests.args(NOT_AGAIN.iter().flat_map(|name| ["--skip", name]));
    let output = tests.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "on {}:\n{said}\n{}", backend.name(), String::from_utf8_lossy(&output.stderr));
    let ran = said.lines().filter(|line| line.ends_with(" ... ok")).count();
    assert!(ran > 100, "only {ran} tests ran:\n{said}");
}
