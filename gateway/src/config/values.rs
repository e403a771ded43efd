//! Reads single values from their text. `None`: not allowed.

use std::{ops::RangeInclusive, str::FromStr};

use secrecy::SecretString;
use tracing_subscriber::EnvFilter;

use super::{Bucket, Encryption, plans::Limit};

/// What the guide prints where a value of one's own belongs; starting with one of these means that nothing was set.
const PLACEHOLDERS: &[&str] =
    &["sk-proj-YOUR_KEY_HERE", "YOUR_SECRET_KEY_HERE", "sk_test_YOUR_KEY_HERE", "whsec_YOUR_SECRET_HERE", "price_..."];

/// Whether `text` is a value of the guide's, with or without the comment behind it: `docker run --env-file` keeps
/// comments, and a secret that everybody can read in the guide is worse than none.
pub(super) fn is_placeholder(text: &str) -> bool {
    PLACEHOLDERS
        .iter()
        .filter_map(|placeholder| text.strip_prefix(placeholder))
        .any(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace) || rest.starts_with('#'))
}

pub(super) fn switch(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "on" | "true" | "yes" | "1" => Some(true),
        "off" | "false" | "no" | "0" => Some(false),
        _ => None,
    }
}

pub(super) fn number<T: FromStr + PartialOrd>(text: &str, allowed: RangeInclusive<T>) -> Option<T> {
    text.parse().ok().filter(|number| allowed.contains(number))
}

pub(super) fn limit(text: &str) -> Option<Limit> {
    if text.eq_ignore_ascii_case("unlimited") {
        return Some(Limit::Unlimited);
    }
    text.parse().ok().map(Limit::Candidates)
}

/// In the smallest unit: of the currencies that prices are named in here, a hundredth.
pub(super) fn money(text: &str) -> Option<u32> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let hundredths = match part.len() {
        1 => part.parse::<u32>().ok()? * 10,
        2 => part.parse().ok()?,
        _ => return None,
    };
    let is_amount = digits(whole) && digits(part);
    whole.parse::<u32>().ok().filter(|_| is_amount)?.checked_mul(100)?.checked_add(hundredths)
}

pub(super) fn currency(text: &str) -> Option<String> {
    (text.len() == 3 && text.bytes().all(|b| b.is_ascii_alphabetic())).then(|| text.to_ascii_lowercase())
}

/// Divided by commas.
pub(super) fn secrets(text: &str) -> Vec<SecretString> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(SecretString::from).collect()
}

pub(super) fn label(text: &str) -> Option<String> {
    let fits = (1..=64).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned())
}

/// An http or https address without the slash at its end, since paths are added to it.
pub(super) fn url(text: &str) -> Option<String> {
    let text = text.trim_end_matches('/');
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    let host = rest.split('/').next().unwrap_or_default();
    let clean = !host.is_empty() && text.chars().all(|c| c.is_ascii_graphic() && !"\"<>\\^`{|}".contains(c));
    clean.then(|| text.to_owned())
}

/// The address of a PostgreSQL database. A driver that Python programs name in it is left out.
pub(super) fn database_url(text: &str) -> Option<SecretString> {
    let (scheme, rest) = text.split_once("://")?;
    let (scheme, _driver) = scheme.split_once('+').unwrap_or((scheme, ""));
    let known = matches!(scheme, "postgres" | "postgresql") && !rest.is_empty();
    known.then(|| SecretString::from(format!("{scheme}://{rest}")))
}

pub(super) fn nats_url(text: &str) -> Option<SecretString> {
    let rest = text.strip_prefix("nats://").or_else(|| text.strip_prefix("tls://"))?;
    (!rest.is_empty()).then(|| SecretString::from(text))
}

/// An address that paths are added to and calls go to, so nothing may stand behind the path, and no password in it.
pub(super) fn base_url(text: &str) -> Option<String> {
    let is_whole = |url: &reqwest::Url| url.has_host() && url.username().is_empty() && url.password().is_none();
    let text = url(text).filter(|text| !text.contains(['?', '#']))?;
    reqwest::Url::parse(&text).is_ok_and(|url| is_whole(&url)).then_some(text)
}

/// `s3://bucket` or `s3://bucket/prefix`, in the letters that every store takes.
pub(super) fn bucket(text: &str) -> Option<Bucket> {
    let rest = text.strip_prefix("s3://")?.trim_end_matches('/');
    let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let named = (3..=63).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.')
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric());
    let plain = |part: &str| {
        !matches!(part, "" | "." | "..") && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    let prefixed = prefix.is_empty() || (prefix.len() <= 256 && prefix.split('/').all(plain));
    (named && prefixed).then(|| Bucket { name: name.to_owned(), prefix: prefix.to_owned() })
}

pub(super) fn region(text: &str) -> Option<String> {
    let fits = (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    fits.then(|| text.to_owned())
}

pub(super) fn key_name(text: &str) -> Option<String> {
    let fits = (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    fits.then(|| text.to_owned())
}

pub(super) fn kms_key(text: &str) -> Option<String> {
    let fits = (1..=2_048).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    fits.then(|| text.to_owned())
}

pub(super) fn encryption(text: &str) -> Option<Encryption> {
    match text.to_ascii_lowercase().as_str() {
        "none" => Some(Encryption::None),
        "aes256" => Some(Encryption::Aes256),
        "aws:kms" => Some(Encryption::Kms),
        _ => None,
    }
}

/// Origins in JSON or divided by commas, as browsers send them: lower case, no path.
pub(super) fn origins(text: &str) -> Option<Vec<String>> {
    let list: Vec<String> = if text.starts_with('[') {
        serde_json::from_str(text).ok()?
    } else {
        text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
    };
    list.iter().map(|item| origin(item.trim())).collect()
}

fn origin(text: &str) -> Option<String> {
    if text == "*" {
        return Some(text.to_owned());
    }
    url(text)
        .map(|url| url.to_ascii_lowercase())
        .filter(|url| !url[url.find("://").map_or(0, |at| at + 3)..].contains(['/', '?', '#', '@']))
}

/// The old names of levels are known too.
pub(super) fn level(text: &str) -> Option<&'static str> {
    match text.to_ascii_lowercase().as_str() {
        "trace" => Some("trace"),
        "debug" => Some("debug"),
        "info" => Some("info"),
        "warn" | "warning" => Some("warn"),
        "error" | "critical" => Some("error"),
        "off" => Some("off"),
        _ => None,
    }
}

/// Directives for the log. A word alone must be a level: the filter would take a misspelt one for a part of the program
/// and log nothing else.
pub(super) fn filter(text: &str) -> Option<String> {
    let is_level = |word: &str| matches!(word, "trace" | "debug" | "info" | "warn" | "error" | "off");
    let words_are_levels = text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.contains(['=', '[', ']', '{', '}']))
        .all(|word| is_level(&word.to_ascii_lowercase()));
    (words_are_levels && EnvFilter::builder().parse(text).is_ok()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placeholder_is_known_with_and_without_the_guides_comment() {
        for text in ["YOUR_SECRET_KEY_HERE", "YOUR_SECRET_KEY_HERE  # Generate with: openssl rand -hex 32", "price_..."]
        {
            assert!(is_placeholder(text), "{text}");
        }
        for text in ["", "price_1Mo", "sk-proj-YOUR_KEY_HERE2", "price_....", "sk-proj-abc"] {
            assert!(!is_placeholder(text), "{text}");
        }
    }

    #[test]
    fn origins_come_as_json_or_divided_by_commas() {
        let both = Some(vec!["http://localhost:3000".to_owned(), "https://app.example.com".to_owned()]);
        assert_eq!(origins("[\"http://localhost:3000\", \"https://App.example.com/\"]"), both);
        assert_eq!(origins("http://localhost:3000 , https://app.example.com,"), both);
        assert_eq!(origins(""), Some(vec![]));
        assert_eq!(origins("[]"), Some(vec![]));
        assert_eq!(origins("*"), Some(vec!["*".to_owned()]));
    }

    #[test]
    fn what_no_browser_sends_as_an_origin_is_refused() {
        let wrong = [
            "localhost:3000",
            "ftp://a",
            "http://",
            "https://a/b",
            "https://a b",
            "https://me@a",
            "[1]",
            "[\"http://a\"",
            "null",
        ];
        for text in wrong {
            assert_eq!(origins(text), None, "{text}");
        }
    }

    #[test]
    fn calls_go_to_a_whole_address_without_a_password() {
        for text in ["https://api.openai.com/v1", "http://127.0.0.1:8080", "http://[::1]:80/v1"] {
            assert_eq!(base_url(&format!("{text}/")).as_deref(), Some(text));
        }
        for text in [
            "api.openai.com",
            "http://a:99999/v1",
            "http://[::1/v1",
            "https://me:pw@a/v1",
            "https://a/v1?key=1",
            "https://a/#",
        ] {
            assert_eq!(base_url(text), None, "{text}");
        }
    }

    #[test]
    fn a_bucket_has_a_name_that_every_store_takes() {
        let found = |text| bucket(text).map(|bucket| (bucket.name, bucket.prefix));
        assert_eq!(found("s3://files"), Some(("files".into(), String::new())));
        assert_eq!(found("s3://files.of-2026/a/B_c.d/"), Some(("files.of-2026".into(), "a/B_c.d".into())));
        for text in ["files", "s3://", "s3://ab", "s3://Files", "s3://-files", "s3://files/../x", "s3://files//x"] {
            assert_eq!(bucket(text), None, "{text}");
        }
        assert_eq!(bucket("https://files.s3.amazonaws.com"), None);
        assert_eq!(bucket("s3://files/ü"), None);
    }

    #[test]
    fn a_misspelt_level_is_not_taken_for_a_target() {
        for text in ["info", "INFO,sqlx=warn", "off", "warn,starscreen=debug,[http.candidates.upload]=trace"] {
            assert_eq!(filter(text).as_deref(), Some(text));
        }
        for text in ["inof", "warning", "info,sqlx", "info,sqlx=loud", "info,,"] {
            assert_eq!(filter(text), None, "{text}");
        }
    }

    #[test]
    fn switches_and_limits_are_read_in_any_case() {
        assert_eq!(
            (switch("On"), switch("FALSE"), switch("1"), switch("ja")),
            (Some(true), Some(false), Some(true), None)
        );
        let limits = [limit("Unlimited"), limit("0"), limit("-1"), limit("5.0")];
        assert_eq!(limits, [Some(Limit::Unlimited), Some(Limit::Candidates(0)), None, None]);
        assert_eq!(
            (number("0.2", 0.0..=2.0), number("NaN", 0.0..=2.0), number("2.1", 0.0..=2.0)),
            (Some(0.2), None, None)
        );
    }
}
