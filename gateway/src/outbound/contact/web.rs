//! Addresses on the web, told apart from names of products, each once.

use std::collections::HashSet;

use starscreen_domain::candidate::Contact;

use super::{HEAD_LINES, phone::phone};

const MAX_URLS: usize = 20;
/// Sites of many people: only a page of theirs says something.
const SITES: &str = "
linkedin.com github.com gitlab.com bitbucket.org behance.net dribbble.com medium.com stackoverflow.com twitter.com
x.com xing.com orcid.org kaggle.com youtube.com facebook.com instagram.com researchgate.net scholar.google.com
leetcode.com dev.to huggingface.co
";
/// Sites on which people show their work.
const SHOWCASES: &str = "
behance.net dribbble.com
";
/// Ends of host names that are believed without a scheme.
const ENDINGS: &str = "
com org net io dev me de fr co uk ai app info eu ch at es it nl pl in jp ca au br us tech page site blog design art
xyz be se no dk fi pt ie nz name
";

/// An address on the web, and whether its line calls it the person's own site.
pub struct Url {
    address: String,
    own: bool,
}

pub fn urls(lines: &[&str]) -> Vec<Url> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    for (number, line) in lines.iter().enumerate() {
        let lower = line.to_lowercase();
        let calls =
            ["portfolio", "website", "homepage", "web:", "site:", "blog:"].iter().any(|label| lower.contains(label));
        let near = number < HEAD_LINES && (line.contains('@') || phone(line, true).is_some());
        let cuts = |c: char| {
            c.is_whitespace()
                || matches!(c, '|' | '(' | ')' | '<' | '>' | ',' | ';' | '"' | '•' | '·' | '[' | ']' | '{' | '}')
        };
        for token in line.split(cuts) {
            let next = lines.get(number + 1).filter(|_| line.ends_with(token));
            let Some(rest) = host_and_path(token, near || calls).map(|rest| unbroken(rest, next.copied())) else {
                continue;
            };
            let key = rest.trim_start_matches("www.").trim_end_matches('/').to_lowercase();
            if seen.insert(key) && found.len() < MAX_URLS {
                let head = number < HEAD_LINES;
                found.push(Url {
                    address: format!("https://{}", rest.trim_end_matches('/')),
                    own: calls || (head && near),
                });
            }
        }
    }
    found
}

/// `token` without its scheme, if it is an address. Without a scheme it has to be a known site, or stand where
/// addresses stand: `Node.js` and `ASP.NET` do not.
fn host_and_path(token: &str, expected: bool) -> Option<&str> {
    let token = token.trim_matches(|c: char| matches!(c, '.' | ':' | '\'' | '*' | '!' | '?' | '`'));
    let token = token
        .rsplit_once(':')
        .filter(|(label, rest)| label.chars().all(char::is_alphabetic) && !rest.starts_with("//"))
        .map_or(token, |(_, rest)| rest);
    let start = ["https://", "http://"]
        .iter()
        .find(|scheme| token.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
    let rest = start.map_or(token, |scheme| &token[scheme.len()..]);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (name, ending) = host.rsplit_once('.')?;
    let valid = !name.is_empty()
        && host.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-'))
        && ending.chars().count() >= 2;
    if !valid || !ending.chars().all(char::is_alphabetic) {
        return None;
    }
    let lower = host.to_lowercase();
    let known = is_at_any(&lower, SITES) || lower.starts_with("www.");
    let plain =
        ENDINGS.split_whitespace().any(|known| known == ending) && host == lower && (expected || !path.is_empty());
    (start.is_some() || known || plain).then_some(rest)
}

/// The address with its rest from the next line, where a profile's name was wrapped off.
fn unbroken(rest: &str, next: Option<&str>) -> String {
    let open = rest.ends_with("github.com/")
        || rest.ends_with("linkedin.com/in/")
        || (rest.ends_with('-') && rest.contains('/'));
    let slug = next.filter(|next| open && next.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.')));
    format!("{rest}{}", slug.unwrap_or(""))
}

fn is_at(host: &str, site: &str) -> bool {
    host == site || host.strip_suffix(site).is_some_and(|before| before.ends_with('.'))
}

pub fn sort(contact: &mut Contact, urls: Vec<Url>) {
    for Url { address, own } in urls {
        let rest = address.trim_start_matches("https://");
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = host.to_lowercase();
        let parts: Vec<&str> = path.split(['/', '?', '#']).filter(|part| !part.is_empty()).collect();
        let profile = is_at(&host, "linkedin.com") && parts.len() > 1 && matches!(parts[0], "in" | "pub");
        let account = is_at(&host, "github.com") && parts.len() == 1;
        let known = is_at_any(&host, SITES);
        let showcase = is_at_any(&host, SHOWCASES) || host.ends_with(".github.io");
        if known && parts.is_empty() {
            continue; // a site's front page reaches nobody
        }
        let slot = if profile {
            &mut contact.linkedin_url
        } else if account {
            &mut contact.github_url
        } else {
            &mut contact.portfolio_url
        };
        if slot.is_none() && (profile || account || showcase || (own && !known)) {
            *slot = Some(address);
        } else {
            contact.other_urls.push(address);
        }
    }
}

fn is_at_any(host: &str, sites: &str) -> bool {
    sites.split_whitespace().any(|site| is_at(host, site))
}
