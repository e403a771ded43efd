//! Figures of the production topology: PostgreSQL that waits for the disk, NATS, a process for each role.
//!
//! `cargo bench -p starscreen-tests --bench production` prints all; names of sections behind `--` choose. What is
//! compared runs in turns, so that a busy machine slows both alike: the ratios are what counts.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_precision_loss,
    reason = "a figure that cannot be measured ends the run"
)]

mod append;
mod commands;
mod distribution;
mod figures;
mod rebuild;
mod relay;
mod scoring;
mod stage;

const SECTIONS: [&str; 6] = ["append", "distribution", "commands", "relay", "rebuild", "scoring"];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        return; // `cargo test --benches` wants to know only that it compiles
    }
    let chosen: Vec<&str> = arguments.iter().map(String::as_str).filter(|name| !name.starts_with('-')).collect();
    if let Some(unknown) = chosen.iter().find(|name| !SECTIONS.contains(name)) {
        panic!("there is no section {unknown}; there are {}", SECTIONS.join(", "));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for section in SECTIONS.into_iter().filter(|section| chosen.is_empty() || chosen.contains(section)) {
            println!("\n{section} (load average {})", figures::load_average());
            match section {
                "append" => append::measure().await,
                "distribution" => distribution::measure().await,
                "commands" => commands::measure().await,
                "relay" => relay::measure().await,
                "rebuild" => rebuild::measure().await,
                "scoring" => scoring::measure().await,
                _ => unreachable!("all sections are listed"),
            }
        }
    });
}
