//! Finds in a resume how to reach the person, on this machine, so that no model has to see it.
//!
//! Absent rather than wrong: a field is filled only where the text leaves little doubt.

use std::collections::HashSet;

use starscreen_domain::candidate::Contact;

#[cfg(test)]
#[path = "contact_tests.rs"]
mod tests;

/// Lines in which a name, a place and an unmarked phone number are believed.
const HEAD_LINES: usize = 15;
const NAME_LINES: usize = 5;
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 7..=15;
const MAX_URLS: usize = 20;

/// Words that no name and no place holds, as whole words in small letters.
const NO_NAME: &str = "
resume curriculum vitae cv lebenslauf profile profil summary objective contact kontakt personal information details page skills
experience education about me name email mail phone mobile tel telephone cell address adresse linkedin github portfolio website
web homepage engineer developer manager nurse teacher consultant analyst designer accountant assistant specialist director sales
chef cook driver technician officer administrator coordinator executive representative architect scientist researcher intern
student professor lecturer lead senior junior software data project product marketing operations clerk worker operator supervisor
electrician mechanic carpenter plumber bookkeeper recruiter writer editor lawyer attorney physician doctor pharmacist therapist
university college school street road avenue inc ltd llc gmbh company full stack frontend backend registered certified licensed
citizen citizenship single married male female remote relocate available references date birth nationality confidential updated
application position references languages professional career statement objective development engineering
";
const PARTICLES: &[&str] = &[
    "de", "da", "do", "dos", "das", "di", "del", "della", "van", "von", "der", "den", "la", "le", "du", "el", "al", "bin", "ibn", "y", "zu", "ter",
    "st",
];
const HONORIFICS: &[&str] = &["dr", "prof", "mr", "mrs", "ms", "miss", "herr", "frau", "mme", "sr", "sra", "dipl", "ing"];
const COUNTRIES: &[&str] = &[
    "usa", "uk", "united kingdom", "united states", "england", "scotland", "wales", "ireland", "canada", "australia", "new zealand",
    "germany", "deutschland", "austria", "switzerland", "france", "spain", "portugal", "italy", "netherlands", "belgium", "poland",
    "sweden", "norway", "denmark", "finland", "czech republic", "romania", "greece", "turkey", "ukraine", "india", "pakistan",
    "bangladesh", "china", "japan", "singapore", "malaysia", "philippines", "brazil", "mexico", "argentina", "chile", "colombia",
    "south africa", "nigeria", "kenya", "egypt", "israel", "uae", "vietnam", "indonesia", "hungary",
];
const SITES: &[&str] = &[
    "linkedin.com", "github.com", "gitlab.com", "bitbucket.org", "behance.net", "dribbble.com", "medium.com", "stackoverflow.com",
    "twitter.com", "x.com", "xing.com", "orcid.org", "kaggle.com", "youtube.com", "facebook.com", "instagram.com", "researchgate.net",
    "scholar.google.com", "leetcode.com", "dev.to", "huggingface.co",
];
const SHOWCASES: &[&str] = &["behance.net", "dribbble.com"];
const ENDINGS: &[&str] = &[
    "com", "org", "net", "io", "dev", "me", "de", "fr", "co", "uk", "ai", "app", "info", "eu", "ch", "at", "es", "it", "nl", "pl", "in", "jp",
    "ca", "au", "br", "us", "tech", "page", "site", "blog", "design", "art", "xyz", "be", "se", "no", "dk", "fi", "pt", "ie", "nz", "name",
];

/// What the text says about reaching the person.
pub fn find(resume_text: &str) -> Contact {
    let lines: Vec<&str> = resume_text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let head = &lines[..lines.len().min(HEAD_LINES)];
    let (first_name, last_name) = name(head).unzip();
    let mut contact = Contact {
        first_name,
        last_name,
        email: lines.iter().find_map(|line| email(line)),
        phone: head.iter().find_map(|line| phone(line, true)).or_else(|| lines.iter().find_map(|line| phone(line, false))),
        location: None,
        ..Contact::default()
    };
    contact.location = location(head, &contact);
    sort_urls(&mut contact, urls(&lines));
    contact
}

fn email(line: &str) -> Option<String> {
    let local = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '%' | '+' | '-');
    let domain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-');
    line.match_indices('@').find_map(|(at, _)| {
        let before = &line[..at];
        let start = before.char_indices().rev().take_while(|(_, c)| local(*c)).last().map_or(at, |(start, _)| start);
        let after = &line[at + 1..];
        let end = after.find(|c| !domain(c)).unwrap_or(after.len());
        let user = before[start..].trim_matches('.');
        let host = after[..end].trim_end_matches(['.', '-']);
        let (name, ending) = host.rsplit_once('.')?;
        let valid = !user.is_empty() && !name.is_empty() && !name.starts_with('.') && !name.contains("..");
        (valid && ending.chars().count() >= 2 && ending.chars().all(char::is_alphabetic)).then(|| format!("{user}@{host}"))
    })
}

/// A phone number of `line`. Without a label or a leading `+` it has to stand in the head and look like nothing else.
fn phone(line: &str, in_head: bool) -> Option<String> {
    let mut from = 0;
    while let Some(offset) = line[from..].find(|c: char| c == '+' || c == '(' || c.is_ascii_digit()) {
        let start = from + offset;
        let run = phone_run(&line[start..]);
        let before = &line[..start];
        from = start + run.len().max(1);
        let glued = before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '/' | '-' | '_' | '@' | '=' | '.'));
        let digits = run.chars().filter(char::is_ascii_digit).count();
        if glued || !PHONE_DIGITS.contains(&digits) || line[from..].starts_with(|c: char| c.is_alphabetic() || c == '@') {
            continue;
        }
        let international = (run.starts_with('+') || run.starts_with("(+") || run.starts_with("00")) && digits >= 8;
        let plausible = international || (labelled(before) && !is_dated(run)) || (in_head && is_national(run, digits));
        if plausible {
            return Some(run.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    None
}

/// The longest run that could be one number: digits with single separators between them.
fn phone_run(text: &str) -> &str {
    let mut end = 0;
    let mut gap = 0;
    for (at, character) in text.char_indices() {
        match character {
            '0'..='9' => (end, gap) = (at + 1, 0),
            '+' if at == 0 || &text[..at] == "(" => {}
            ' ' | '\u{a0}' | '-' | '.' | '/' | '(' | ')' | '‑' | '–' => gap += 1,
            _ => break,
        }
        if gap > 3 || text[end..].starts_with("  ") {
            break;
        }
    }
    &text[..end]
}

fn labelled(before: &str) -> bool {
    let tail: String = before.to_lowercase().chars().rev().take(16).collect::<Vec<_>>().into_iter().rev().collect();
    ["phone", "tel", "mobile", "cell", "handy", "mobil", "móvil", "portable", "whatsapp", "☎", "📞", "ph:", "m:", "t:", "p:"]
        .iter()
        .any(|label| tail.contains(label))
}

fn groups(run: &str) -> Vec<&str> {
    run.split(|c: char| !c.is_ascii_digit()).filter(|group| !group.is_empty()).collect()
}

fn is_dated(run: &str) -> bool {
    let year = |group: &&str| group.len() == 4 && (group.starts_with("19") || group.starts_with("20"));
    let groups = groups(run);
    groups.iter().any(year) && groups.iter().all(|group| group.len() <= 2 || year(&group))
}

/// `(415) 555-2671`, `030 1234567`: a number as it is written at home.
fn is_national(run: &str, digits: usize) -> bool {
    let groups = groups(run);
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let american = matches!(lengths.as_slice(), [3, 3, 4] | [1, 3, 3, 4]);
    let trunk = run.trim_start_matches('(').starts_with('0') && (9..=12).contains(&digits) && !is_dated(run) && lengths.iter().all(|n| *n >= 2);
    american || (trunk && !groups.iter().any(|group| group.len() == 4 && group.starts_with("20")))
}

/// First and last name, from a label or from the first lines.
fn name(head: &[&str]) -> Option<(String, String)> {
    let given = head.iter().find_map(|line| {
        let (label, value) = line.split_once(':')?;
        matches!(label.trim_start_matches(['#', '*', ' ']).to_lowercase().trim(), "name" | "full name" | "nom" | "nombre").then_some(value)
    });
    if let Some(found) = given.and_then(name_in) {
        return Some(found);
    }
    let reached = head.iter().position(|line| line.contains('@') || phone(line, true).is_some()).unwrap_or(NAME_LINES);
    head.iter().take((reached + 1).min(NAME_LINES)).find_map(|line| name_in(line))
}

fn name_in(line: &str) -> Option<(String, String)> {
    let line = line.trim_start_matches(['#', '*', ' ', '-']);
    let part = segments(line).into_iter().next()?;
    let (part, after) = part.split_once(',').unwrap_or((part, ""));
    // After a comma only letters of a degree may follow; "Springfield, IL" is a place.
    let degrees = after.split([',', ' ']).filter(|degree| !degree.is_empty());
    if degrees.clone().any(|degree| degree.len() > 5 || is_place_code(degree)) {
        return None;
    }
    let mut words: Vec<&str> = part.split_whitespace().collect();
    let bare = |word: &str| word.trim_matches('.').to_lowercase();
    while words.first().is_some_and(|word| HONORIFICS.contains(&bare(word).as_str())) {
        words.remove(0);
    }
    while words.last().is_some_and(|word| matches!(bare(word).as_str(), "jr" | "sr" | "ii" | "iii" | "phd" | "ph.d" | "mba" | "rn" | "msc" | "cpa")) {
        words.pop();
    }
    let letters = words.iter().map(|word| word.chars().count()).sum::<usize>();
    if !words.iter().all(|word| is_name_word(word)) || letters > 60 {
        return None;
    }
    let family_first = words.iter().all(|word| word.chars().all(is_east_asian));
    match words.as_slice() {
        [family, given] if family_first => Some(((*given).to_owned(), (*family).to_owned())),
        [first, rest @ ..] if (1..=4).contains(&rest.len()) => Some(((*first).to_owned(), rest.join(" "))),
        _ => None,
    }
}

fn is_name_word(word: &str) -> bool {
    let lower = word.trim_matches('.').to_lowercase();
    if PARTICLES.contains(&lower.as_str()) {
        return true;
    }
    let inner = |c: char| c.is_alphabetic() || is_mark(c) || matches!(c, '-' | '\'' | '’' | '.' | '‑');
    let begins = word.chars().next().is_some_and(|c| c.is_uppercase() || (c.is_alphabetic() && !c.is_lowercase()));
    begins && word.chars().all(inner) && !lower.split('-').any(|part| NO_NAME.split_whitespace().any(|known| known == part))
}

fn is_mark(character: char) -> bool {
    unicode_normalization::char::is_combining_mark(character) || matches!(character, '\u{200c}' | '\u{200d}')
}

fn is_east_asian(character: char) -> bool {
    matches!(character, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}')
}

/// State codes are not letters of a degree, although both are capitals.
fn is_place_code(word: &str) -> bool {
    word.len() == 2 && word.bytes().all(|byte| byte.is_ascii_uppercase()) && !matches!(word, "RN" | "MD" | "BA" | "MA" | "BS" | "MS" | "PE" | "JD")
}

/// Parts of a contact line.
fn segments(line: &str) -> Vec<&str> {
    let parts = line.split(['|', '•', '·', '\t', '●', '◦', '⋄', '∙', '—', '–']).flat_map(|part| part.split("  ")).flat_map(|part| part.split(" - "));
    parts.map(str::trim).filter(|part| !part.is_empty()).collect()
}

fn location(head: &[&str], contact: &Contact) -> Option<String> {
    let labelled = head.iter().flat_map(|line| segments(line)).find_map(|part| {
        let (label, value) = part.split_once(':')?;
        let label = label.trim_start_matches(['#', '*', ' ']).to_lowercase();
        ["location", "address", "city", "adresse", "wohnort", "ort", "ville", "ciudad", "residence", "based in"].contains(&label.trim()).then_some(value)
    });
    if let Some(place) = labelled.and_then(town) {
        return Some(place);
    }
    for line in head {
        let reaches = email(line).is_some() || phone(line, true).is_some();
        for part in segments(line) {
            let named = contact.first_name.as_deref().is_some_and(|first| part.contains(first));
            if named || part.contains(['@', ':', '/']) || phone(part, true).is_some() {
                continue;
            }
            let Some(place) = town(part) else { continue };
            if reaches || ends_in_region(&place) {
                return Some(place);
            }
        }
    }
    None
}

/// The place in `text` without street and post code.
fn town(text: &str) -> Option<String> {
    let street = |part: &str| part.starts_with(|c: char| c.is_ascii_digit()) && part.split_whitespace().count() > 2 || part.split_whitespace().count() > 1 && part.ends_with(|c: char| c.is_ascii_digit()) && !part.starts_with(|c: char| c.is_ascii_digit()) && !ends_in_post_code(part);
    let parts: Vec<String> = text
        .split(',')
        .map(str::trim)
        .filter(|part| !street(part))
        .map(|part| part.split_whitespace().filter(|word| !word.chars().any(|c| c.is_ascii_digit())).collect::<Vec<_>>().join(" "))
        .filter(|part| !part.is_empty())
        .collect();
    let fits = |part: &String| {
        let words: Vec<&str> = part.split(' ').collect();
        words.len() <= 4 && words.iter().all(|word| is_place_code(word) || is_name_word(word))
    };
    ((1..=3).contains(&parts.len()) && parts.iter().all(fits)).then(|| parts.join(", "))
}

fn ends_in_post_code(part: &str) -> bool {
    let last = part.rsplit(' ').next().unwrap_or("");
    let before = part.rsplit(' ').nth(1).unwrap_or("");
    last.len() == 5 && last.bytes().all(|byte| byte.is_ascii_digit()) && is_place_code(before)
}

/// "Austin, TX", "Lyon, France": a place by itself, whatever stands beside it.
fn ends_in_region(place: &str) -> bool {
    place.rsplit_once(", ").is_some_and(|(_, last)| is_place_code(last) || COUNTRIES.contains(&last.to_lowercase().as_str()))
}

/// An address on the web, and whether its line calls it the person's own site.
struct Url {
    address: String,
    own: bool,
}

fn urls(lines: &[&str]) -> Vec<Url> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    for (number, line) in lines.iter().enumerate() {
        let lower = line.to_lowercase();
        let calls = ["portfolio", "website", "homepage", "web:", "site:", "blog:"].iter().any(|label| lower.contains(label));
        let near = number < HEAD_LINES && (line.contains('@') || phone(line, true).is_some());
        let cuts = |c: char| c.is_whitespace() || matches!(c, '|' | '(' | ')' | '<' | '>' | ',' | ';' | '"' | '•' | '·' | '[' | ']' | '{' | '}');
        for token in line.split(cuts) {
            let next = lines.get(number + 1).filter(|_| line.ends_with(token));
            let Some(rest) = host_and_path(token, near || calls).map(|rest| unbroken(rest, next.copied())) else { continue };
            let key = rest.trim_start_matches("www.").trim_end_matches('/').to_lowercase();
            if seen.insert(key) && found.len() < MAX_URLS {
                let head = number < HEAD_LINES;
                found.push(Url { address: format!("https://{}", rest.trim_end_matches('/')), own: calls || (head && near) });
            }
        }
    }
    found
}

/// `token` without its scheme, if it is an address. Without a scheme it has to be a known site, or stand where
/// addresses stand: `Node.js` and `ASP.NET` do not.
fn host_and_path(token: &str, expected: bool) -> Option<&str> {
    let token = token.trim_matches(|c: char| matches!(c, '.' | ':' | '\'' | '*' | '!' | '?' | '`'));
    let token = token.rsplit_once(':').filter(|(label, rest)| label.chars().all(char::is_alphabetic) && !rest.starts_with("//")).map_or(token, |(_, rest)| rest);
    let start = ["https://", "http://"].iter().find(|scheme| token.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
    let rest = start.map_or(token, |scheme| &token[scheme.len()..]);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (name, ending) = host.rsplit_once('.')?;
    let valid = !name.is_empty() && host.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-')) && ending.chars().count() >= 2;
    if !valid || !ending.chars().all(char::is_alphabetic) {
        return None;
    }
    let lower = host.to_lowercase();
    let known = SITES.iter().any(|site| is_at(&lower, site)) || lower.starts_with("www.");
    let plain = ENDINGS.contains(&ending) && host == lower && (expected || !path.is_empty());
    (start.is_some() || known || plain).then_some(rest)
}

/// The address with its rest from the next line, where a profile's name was wrapped off.
fn unbroken(rest: &str, next: Option<&str>) -> String {
    let open = rest.ends_with("github.com/") || rest.ends_with("linkedin.com/in/") || (rest.ends_with('-') && rest.contains('/'));
    let slug = next.filter(|next| open && next.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.')));
    format!("{rest}{}", slug.unwrap_or(""))
}

fn is_at(host: &str, site: &str) -> bool {
    host == site || host.strip_suffix(site).is_some_and(|before| before.ends_with('.'))
}

fn sort_urls(contact: &mut Contact, urls: Vec<Url>) {
    for Url { address, own } in urls {
        let rest = address.trim_start_matches("https://");
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = host.to_lowercase();
        let parts: Vec<&str> = path.split(['/', '?', '#']).filter(|part| !part.is_empty()).collect();
        let profile = is_at(&host, "linkedin.com") && parts.len() > 1 && matches!(parts[0], "in" | "pub");
        let account = is_at(&host, "github.com") && parts.len() == 1;
        let known = SITES.iter().any(|site| is_at(&host, site));
        let showcase = SHOWCASES.iter().any(|site| is_at(&host, site)) || host.ends_with(".github.io");
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
