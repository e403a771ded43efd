//! Names, in any script, told apart from headings, job titles and places.

use unicode_normalization::char::is_combining_mark;

use super::{phone::phone, place::is_region, segments};

/// Longer lines are sentences.
const MAX_BYTES: usize = 250;
/// The name is not believed further down.
const NAME_LINES: usize = 5;

/// Words that no name and no place holds, as whole words in small letters.
const NO_NAME: &str = "
resume curriculum vitae cv lebenslauf profile profil summary objective contact kontakt personal information details
page skills experience education about me name email mail phone mobile tel telephone cell address adresse linkedin
github portfolio website web homepage engineer developer manager nurse teacher consultant analyst designer accountant
assistant specialist director sales chef cook driver technician officer administrator coordinator executive
representative architect scientist researcher intern student professor lecturer lead senior junior software data
project product marketing operations clerk worker operator supervisor electrician mechanic carpenter plumber
bookkeeper recruiter writer editor lawyer attorney physician doctor pharmacist therapist university college school
street road avenue inc ltd llc gmbh company full stack frontend backend registered certified licensed citizen
citizenship single married male female remote relocate available references date birth nationality confidential
updated application position references languages professional career statement objective development engineering
";
/// Small words inside of names.
const PARTICLES: &str = "
de da do dos das di del della van von der den la le du el al bin ibn y zu ter st
";
/// Written before a name.
const HONORIFICS: &str = "
dr prof mr mrs ms miss herr frau mme sr sra dipl ing
";
/// Letters of a degree that could be a state's.
const DEGREES: &str = "RN MD BA MA BS MS PE JD";
/// Written after a name.
const SUFFIXES: &str = "
jr sr ii iii phd ph.d mba rn msc cpa
";

/// First and last name, from a label or from the first lines.
pub fn name(head: &[&str]) -> Option<(String, String)> {
    let given = head.iter().find_map(|line| {
        let (label, value) = line.split_once(':')?;
        matches!(
            label.trim_start_matches(['#', '*', ' ']).to_lowercase().trim(),
            "name" | "full name" | "nom" | "nombre"
        )
        .then_some(value)
    });
    if let Some(found) = given.and_then(name_in) {
        return Some(found);
    }
    let reached = head.iter().position(|line| line.contains('@') || phone(line, true).is_some()).unwrap_or(NAME_LINES);
    head.iter().take((reached + 1).min(NAME_LINES)).find_map(|line| name_in(line))
}

fn name_in(line: &str) -> Option<(String, String)> {
    let line = line.trim_start_matches(['#', '*', ' ', '-']);
    let part = segments(line).into_iter().next().filter(|part| part.len() <= MAX_BYTES)?;
    let (part, after) = part.split_once(',').unwrap_or((part, ""));
    // After a comma only letters of a degree may follow; "Springfield, IL" is a place.
    let degrees = after.split([',', ' ']).filter(|degree| !degree.is_empty());
    if degrees.clone().any(|degree| degree.len() > 5 || (is_region(degree) && !lists(DEGREES, degree))) {
        return None;
    }
    let mut words: Vec<&str> = part.split_whitespace().collect();
    let bare = |word: &str| word.trim_matches('.').to_lowercase();
    while words.first().is_some_and(|word| lists(HONORIFICS, &bare(word))) {
        words.remove(0);
    }
    while words.last().is_some_and(|word| lists(SUFFIXES, &bare(word))) {
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

pub fn is_name_word(word: &str) -> bool {
    let lower = word.trim_matches('.').to_lowercase();
    if lists(PARTICLES, &lower) {
        return true;
    }
    let inner = |c: char| c.is_alphabetic() || is_mark(c) || matches!(c, '-' | '\'' | '’' | '.' | '‑');
    let begins = word.chars().next().is_some_and(|c| c.is_uppercase() || (c.is_alphabetic() && !c.is_lowercase()));
    begins && word.chars().all(inner) && !lower.split('-').any(|part| lists(NO_NAME, part))
}

fn is_mark(character: char) -> bool {
    is_combining_mark(character) || matches!(character, '\u{200c}' | '\u{200d}')
}

fn is_east_asian(character: char) -> bool {
    matches!(character, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}')
}

/// Whether `list` holds `word` among its words.
fn lists(list: &str, word: &str) -> bool {
    list.split_whitespace().any(|known| known == word)
}
