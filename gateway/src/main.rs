//! The program: see [`starscreen`].

fn main() -> std::process::ExitCode {
    starscreen::run()
}
