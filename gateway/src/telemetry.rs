//! The log: one line an event, to stderr, as text or as JSON.
//!
//! What callers send may end up in a line, so no line can be made to look like two, and no control character reaches
//! the operator's terminal.

use std::{fmt, io};

use tracing::{Event, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer,
    fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter, format},
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

use crate::config::LogSettings;

/// Libraries that speak of their own affairs at `info`, or of other people's data below.
const QUIET: &[&str] = &["h2", "hyper", "hyper_util", "object_store", "reqwest", "rustls", "sqlx", "tower_http"];

#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("log filter \"{filter}\" cannot be read")]
    Filter {
        filter: String,
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    #[error("the log is set up already")]
    AlreadySet,
}

/// What is logged at `level`, where nobody says it in detail.
pub fn default_filter(level: &str) -> String {
    let mut filter = level.to_owned();
    if !matches!(level, "off" | "error") {
        for library in QUIET {
            filter.extend([",", library, "=warn"]);
        }
    }
    filter
}

/// Sends the log of this process to stderr.
///
/// # Errors
/// When the filter cannot be read, or there is a log already.
pub fn init(settings: &LogSettings) -> Result<(), TelemetryError> {
    subscriber(settings, io::stderr)?.try_init().map_err(|_| TelemetryError::AlreadySet)
}

/// Panics go to the log with their place only: what a panic says may quote the data it stumbled over.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(String::new, ToString::to_string);
        tracing::error!(panic.location = place, "a task panicked; this is a bug");
    }));
}

fn subscriber<W>(settings: &LogSettings, writer: W) -> Result<impl Subscriber + Send + Sync, TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::builder()
        .parse(&settings.filter)
        .map_err(|source| TelemetryError::Filter { filter: settings.filter.clone(), source })?;
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(false);
    let layer = if settings.json {
        layer.json().flatten_event(true).map_event_format(OneLine).boxed()
    } else {
        layer.compact().map_event_format(OneLine).boxed()
    };
    Ok(tracing_subscriber::registry().with(filter).with(layer))
}

/// Keeps an event on one line and readable as what it is. Escapes are those of JSON, so that JSON stays JSON and says
/// the same.
struct OneLine<F>(F);

impl<S, N, F> FormatEvent<S, N> for OneLine<F>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'n> FormatFields<'n> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut out: format::Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = String::new();
        self.0.format_event(ctx, format::Writer::new(&mut line), event)?;
        for c in line.trim_end_matches('\n').chars() {
            if deceives(c) {
                write!(out, "\\u{:04x}", u32::from(c))?;
            } else {
                out.write_char(c)?;
            }
        }
        out.write_char('\n')
    }
}

/// Ends a line, moves the cursor, or turns the direction of reading.
fn deceives(c: char) -> bool {
    let line_ends = matches!(c, '\u{2028}' | '\u{2029}');
    let directions = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || line_ends || directions
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::{info, info_span, subscriber::with_default};

    use super::*;

    fn logged(settings: &LogSettings, events: impl FnOnce()) -> String {
        let written = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&written);
        let subscriber = subscriber(settings, move || Sink(Arc::clone(&sink))).unwrap();
        with_default(subscriber, events);
        let bytes = written.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn text(filter: &str) -> LogSettings {
        LogSettings { filter: filter.to_owned(), json: false }
    }

    const FORGED: &str = "a\r\n2026-01-01T00:00:00Z  INFO starscreen: paid\u{1b}[2J\u{2028}\u{202e}\u{85}";

    #[test]
    fn what_a_caller_sent_never_makes_a_second_line_of_text() {
        let log = logged(&text("info"), || {
            info_span!("http.upload", file.name = %FORGED).in_scope(|| info!(name = %FORGED, "took in {FORGED}"));
        });
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(log.trim_end_matches('\n').chars().all(|c| !deceives(c)), "{log:?}");
        assert!(log.contains("\\u001b[2J"), "what was sent can still be seen: {log}");
    }

    #[test]
    fn what_a_caller_sent_never_makes_a_second_line_of_json() {
        let settings = LogSettings { json: true, ..text("info") };
        let log = logged(&settings, || info!(name = %FORGED, "took in {FORGED}"));
        assert_eq!(log.lines().count(), 1, "{log}");
        let line: serde_json::Value = serde_json::from_str(&log).unwrap();
        assert!(log.trim_end_matches('\n').chars().all(|c| !deceives(c)), "{log:?}");
        assert_eq!(line["name"], FORGED);
        assert_eq!(line["level"], "INFO");
    }

    #[test]
    fn letters_of_all_languages_stay_as_they_are() {
        let log = logged(&text("info"), || info!("Žofie, 李, مريم read \"quotes\" and \\"));
        assert!(log.contains("Žofie, 李, مريم read \"quotes\" and \\"), "{log}");
    }

    #[test]
    fn libraries_say_less_than_we_do() {
        let log = logged(&text(&default_filter("debug")), || {
            tracing::debug!(target: "sqlx::query", "SELECT");
            tracing::debug!(target: "starscreen", "ours");
            tracing::warn!(target: "sqlx::query", "slow");
        });
        assert!(!log.contains("SELECT") && log.contains("ours") && log.contains("slow"), "{log}");
    }

    #[test]
    fn the_default_filter_can_be_read_at_every_level() {
        for level in ["off", "error", "warn", "info", "debug", "trace"] {
            assert_eq!(logged(&text(&default_filter(level)), || tracing::trace!("told")).is_empty(), level != "trace");
        }
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_an_error() {
        assert!(subscriber(&text("info,sqlx=loud"), io::stderr).is_err());
    }
}
