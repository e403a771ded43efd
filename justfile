# Short names for the commands in CONTRIBUTING.md; nothing here needs just.

# Starts the server.
run:
    cargo run --release

# Shows the product at work on sample resumes.
demo:
    cargo run --release -- demo

# Runs every test.
test:
    cargo test --workspace

# Formats the code.
fmt:
    cargo fmt --all
    cargo fmt --manifest-path tests/postgres-es/Cargo.toml

# All checks that a change has to pass.
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps
    cargo fmt --manifest-path tests/postgres-es/Cargo.toml --check
    cargo clippy --manifest-path tests/postgres-es/Cargo.toml --target-dir target/tmp/postgres-es -- -D warnings
    cargo test --workspace
