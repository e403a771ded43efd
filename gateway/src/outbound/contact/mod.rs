//! Finds in a resume how to reach the person, on this machine, so that no model has to see it.
//!
//! Absent rather than wrong: a field is filled only where the text leaves little doubt.

mod name;
mod phone;
mod place;
#[cfg(test)]
mod tests;
mod web;

use starscreen_domain::candidate::Contact;

use self::phone::phone;

/// Lines in which a name, a place and an unmarked phone number are believed.
const HEAD_LINES: usize = 15;

/// What the text says about reaching the person.
pub fn find(resume_text: &str) -> Contact {
    let lines: Vec<&str> = resume_text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let head = &lines[..lines.len().min(HEAD_LINES)];
    let (first_name, last_name) = name::name(head).unzip();
    let mut contact = Contact {
        first_name,
        last_name,
        email: lines.iter().find_map(|line| email(line)),
        phone: head
            .iter()
            .find_map(|line| phone(line, true))
            .or_else(|| lines.iter().find_map(|line| phone(line, false))),
        location: None,
        ..Contact::default()
    };
    contact.location = place::location(head, &contact);
    web::sort(&mut contact, web::urls(&lines));
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
        (valid && ending.chars().count() >= 2 && ending.chars().all(char::is_alphabetic))
            .then(|| format!("{user}@{host}"))
    })
}

/// Parts of a contact line.
fn segments(line: &str) -> Vec<&str> {
    let parts = line
        .split(['|', '•', '·', '\t', '●', '◦', '⋄', '∙', '—', '–'])
        .flat_map(|part| part.split("  "))
        .flat_map(|part| part.split(" - "));
    parts.map(str::trim).filter(|part| !part.is_empty()).collect()
}
