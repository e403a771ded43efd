//! The program as it ships, built beside the tests that start it.

fn main() -> std::process::ExitCode {
    starscreen::run()
}
