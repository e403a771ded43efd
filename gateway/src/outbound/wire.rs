//! What all adapters that call a server over HTTP do alike: how long they wait, and how they word that it is gone.

use std::{
    error::Error,
    time::{Duration, SystemTime},
};

use reqwest::header::HeaderMap;

pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
pub const USER_AGENT: &str = concat!("starscreen/", env!("CARGO_PKG_VERSION"));
/// Longest wait that a server's Retry-After is believed.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(10);

/// Why there is no answer, in words of ours: the error's own text holds the address.
pub fn fault(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "it did not answer in time"
    } else if has_foreign_certificate(error) {
        "its server's certificate is not one that this system trusts"
    } else if error.is_connect() {
        "its server cannot be reached"
    } else {
        "the connection to it was cut"
    }
}

/// The type of that error belongs to a crate that only reqwest knows; its text begins alike in all cases.
fn has_foreign_certificate(error: &reqwest::Error) -> bool {
    let causes = std::iter::successors(Some(error as &dyn Error), |error| (*error).source());
    causes.map(ToString::to_string).any(|text| text.starts_with("invalid peer certificate"))
}

/// `retry-after-ms`, or Retry-After in seconds or as a date.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let bounded = |seconds| Duration::try_from_secs_f64(seconds).unwrap_or(MAX_RETRY_AFTER).min(MAX_RETRY_AFTER);
    let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
    if let Some(millis) = text("retry-after-ms").and_then(number) {
        return Some(bounded(millis / 1_000.0));
    }
    let after = text("retry-after")?;
    if let Some(seconds) = number(after) {
        return Some(bounded(seconds));
    }
    let at = chrono::DateTime::parse_from_rfc2822(after).ok()?;
    Some(SystemTime::from(at).duration_since(SystemTime::now()).unwrap_or_default().min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn retry_after_comes_as_seconds_milliseconds_or_date() {
        let after = |pairs: &[(&'static str, &str)]| retry_after(&headers(pairs));
        assert_eq!(after(&[]), None);
        assert_eq!(after(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
        assert_eq!(after(&[("retry-after", "0.5")]), Some(Duration::from_millis(500)));
        assert_eq!(after(&[("retry-after", "7"), ("retry-after-ms", "1500")]), Some(Duration::from_millis(1_500)));
        assert_eq!(after(&[("retry-after", "1e300")]), Some(MAX_RETRY_AFTER));
        assert_eq!(after(&[("retry-after-ms", "1e300")]), Some(MAX_RETRY_AFTER));
        for nonsense in ["-1", "NaN", "soon", ""] {
            assert_eq!(after(&[("retry-after", nonsense)]), None, "{nonsense}");
        }
        let date = |offset: i64| (chrono::Utc::now() + chrono::Duration::seconds(offset)).to_rfc2822();
        let in_a_minute = after(&[("retry-after", &date(60).replace("+0000", "GMT"))]).unwrap();
        assert!((55..=60).contains(&in_a_minute.as_secs()), "{in_a_minute:?}");
        assert_eq!(after(&[("retry-after", &date(-60))]), Some(Duration::ZERO));
        assert_eq!(after(&[("retry-after", &date(86_400))]), Some(MAX_RETRY_AFTER));
    }
}
