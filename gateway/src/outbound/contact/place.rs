//! Where a person lives: a town with its region, never a street.

use starscreen_domain::candidate::Contact;

use super::{email, name::is_name_word, phone::phone, segments};

/// Countries that make "Lyon, France" a place wherever it stands.
const COUNTRIES: &str = "
usa|uk|united kingdom|united states|england|scotland|wales|ireland|canada|australia|new zealand|germany|deutschland|
austria|switzerland|france|spain|portugal|italy|netherlands|belgium|poland|sweden|norway|denmark|finland|hungary|
czech republic|romania|greece|turkey|ukraine|india|pakistan|bangladesh|china|japan|singapore|malaysia|philippines|
vietnam|indonesia|brazil|mexico|argentina|chile|colombia|south africa|nigeria|kenya|egypt|israel|uae
";
/// Longer parts are sentences.
const MAX_BYTES: usize = 150;
const LABELS: &[&str] =
    &["location", "address", "city", "adresse", "wohnort", "ort", "ville", "ciudad", "residence", "based in"];

pub fn location(head: &[&str], contact: &Contact) -> Option<String> {
    let labelled = head.iter().flat_map(|line| segments(line)).find_map(|part| {
        let (label, value) = part.split_once(':')?;
        let label = label.trim_start_matches(['#', '*', ' ']).to_lowercase();
        LABELS.contains(&label.trim()).then_some(value)
    });
    if let Some(place) = labelled.and_then(town) {
        return Some(place);
    }
    for line in head {
        let reaches = email(line).is_some() || phone(line, true).is_some();
        for part in segments(line) {
            if part.len() > MAX_BYTES {
                continue;
            }
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
    let parts: Vec<String> = text
        .split(',')
        .map(str::trim)
        .filter(|part| !is_street(part))
        .map(|part| {
            part.split_whitespace()
                .filter(|word| !word.chars().any(|c| c.is_ascii_digit()))
                .collect::<Vec<_>>()
                .join(" ")
        })
        .filter(|part| !part.is_empty())
        .collect();
    let fits = |part: &String| {
        let words: Vec<&str> = part.split(' ').collect();
        words.len() <= 4 && words.iter().all(|word| is_region(word) || is_name_word(word))
    };
    ((1..=3).contains(&parts.len()) && parts.iter().all(fits)).then(|| parts.join(", "))
}

/// "12 Oak Street", "Hauptstraße 5", but not "IL 62704".
fn is_street(part: &str) -> bool {
    let words = part.split_whitespace().count();
    let numbered_first = part.starts_with(|c: char| c.is_ascii_digit());
    let numbered_last = part.ends_with(|c: char| c.is_ascii_digit());
    (numbered_first && words > 2) || (numbered_last && !numbered_first && words > 1 && !ends_in_post_code(part))
}

fn ends_in_post_code(part: &str) -> bool {
    let last = part.rsplit(' ').next().unwrap_or("");
    let before = part.rsplit(' ').nth(1).unwrap_or("");
    last.len() == 5 && last.bytes().all(|byte| byte.is_ascii_digit()) && is_region(before)
}

/// "Austin, TX", "Lyon, France": a place by itself, whatever stands beside it.
fn ends_in_region(place: &str) -> bool {
    place.rsplit_once(", ").is_some_and(|(_, last)| is_region(last) || is_country(&last.to_lowercase()))
}

/// The code of a state or province.
pub fn is_region(word: &str) -> bool {
    word.len() == 2 && word.bytes().all(|byte| byte.is_ascii_uppercase())
}

fn is_country(lower: &str) -> bool {
    COUNTRIES.split('|').any(|country| country.trim() == lower)
}
