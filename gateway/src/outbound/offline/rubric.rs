//! Draws up a rubric from a job's own words.

use std::{cmp::Reverse, collections::BTreeMap};

use starscreen_domain::{
    job::{BackgroundPatterns, Category, EducationPreferences, Rubric},
    score::Importance,
};

use super::{
    demand::{HISTORY, NOTHING_TO_LOOK_FOR},
    posting::{Part, Statement, head, statements},
    terms::{Kind, Term, terms},
    words::{stems, words},
};

/// Longer "words" are no words, and longer duties are not read.
const MAX_TERM_CHARACTERS: usize = 60;
const MAX_DUTY_CHARACTERS: usize = 200;
const MAX_DUTIES: usize = 8;

/// A term with what decides its rank.
struct Wish {
    term: Term,
    part: Part,
    mentions: usize,
    in_title: bool,
}

/// A rubric for the job, always valid: where the description gives nothing for a category, the category stays and
/// says so.
pub fn draw_up(title: &str, description: &str) -> Rubric {
    let mut statements = statements(description);
    if statements.iter().all(|statement| statement.part == Part::Boilerplate) {
        for statement in &mut statements {
            statement.part = Part::About;
        }
    }
    let wishes = wishes(title, &statements);
    let duties = core_responsibilities(&statements);
    Rubric {
        title: title.trim().to_owned(),
        seniority_level: seniority(title, &wishes).to_owned(),
        role_summary: role_summary(title, &statements),
        categories: categories(title, &wishes),
        desired_background_patterns: BackgroundPatterns {
            minimum_years: minimum_years(&wishes),
            titles: title_terms(title),
            industries: Vec::new(), // a description seldom names one, and guessing would favour some resumes
            certifications: texts(&wishes, 8, |wish| wish.term.kind == Kind::Licence),
        },
        education_preferences: education(&wishes),
        core_responsibilities: duties,
    }
}

/// Every term once, with its firmest part, the ones that matter most first.
fn wishes(title: &str, statements: &[Statement<'_>]) -> Vec<Wish> {
    let title_stems = stems(title);
    let mut places: BTreeMap<Vec<String>, usize> = BTreeMap::new();
    let mut found: Vec<Wish> = Vec::new();
    let listed = statements.iter().any(|statement| statement.part == Part::Must && statement.sure);
    for statement in statements.iter().filter(|statement| statement.part != Part::Boilerplate) {
        for term in statement_terms(statement) {
            let mut key = stems(&term.text);
            if key.is_empty() || term.text.chars().count() > MAX_TERM_CHARACTERS * 2 {
                continue;
            }
            if words(&term.text).iter().any(|word| word.text.chars().count() > MAX_TERM_CHARACTERS) {
                continue;
            }
            // Beside a list of requirements, prose only tells about the work, except for what it names.
            let told = listed && !statement.sure && !term.named && matches!(term.kind, Kind::Skill | Kind::Conduct);
            let part = if told { statement.part.max(Part::Duty) } else { statement.part };
            let in_title = key.iter().all(|stem| title_stems.contains(stem));
            key.sort();
            if let Some(known) = places.get(&key).map(|place| &mut found[*place]) {
                known.mentions += 1;
                known.part = known.part.min(part);
                known.term.named |= term.named;
            } else {
                places.insert(key, found.len());
                found.push(Wish { term, part, mentions: 1, in_title });
            }
        }
    }
    found.sort_by_key(|wish| (Reverse(wish.in_title), Reverse(wish.mentions.min(3)))); // stable: then as written
    found
}

/// "Customer service: experience in helping people" asks for its head; the rest only explains it.
fn statement_terms(statement: &Statement<'_>) -> Vec<Term> {
    if statement.part > Part::Nice {
        return terms(statement.text, statement.schooling);
    }
    let Some((_, rest)) = head(statement.text) else { return terms(statement.text, statement.schooling) };
    let name = &statement.text[..statement.text.len() - rest.len()];
    let mut found = terms(name.trim_end().trim_end_matches(':'), statement.schooling);
    let headless = found.is_empty();
    found.extend(
        terms(rest, statement.schooling)
            .into_iter()
            .filter(|term| headless || term.named || matches!(term.kind, Kind::Years | Kind::Degree | Kind::Licence)),
    );
    found
}

fn texts(wishes: &[Wish], most: usize, wanted: impl Fn(&Wish) -> bool) -> Vec<String> {
    let chosen = wishes.iter().filter(|wish| wanted(wish)).take(most * 2);
    let mut kept: Vec<(&Wish, Vec<String>)> = Vec::new();
    for wish in chosen {
        let own = stems(&wish.term.text);
        let said = kept.iter().any(|(known, stems)| known.term.named && stems.iter().all(|stem| own.contains(stem)));
        if !said && kept.len() < most {
            kept.push((wish, own)); // "Rust services" adds nothing to "Rust"
        }
    }
    kept.into_iter().map(|(wish, _)| wish.term.text.clone()).collect()
}

fn categories(title: &str, wishes: &[Wish]) -> Vec<Category> {
    let skill = |wish: &Wish| wish.term.kind == Kind::Skill;
    let mut named = texts(wishes, 12, |wish| skill(wish) && wish.part == Part::Must && wish.term.named);
    let mut plain = texts(wishes, 12, |wish| skill(wish) && wish.part == Part::Must && !wish.term.named);
    let mut duties = texts(wishes, 10, |wish| skill(wish) && wish.part == Part::Duty);
    let stated = !named.is_empty() || !plain.is_empty();
    if named.len() < 2 || plain.len() < 2 {
        named.append(&mut plain);
    }
    if named.is_empty() {
        named = texts(wishes, 12, skill);
    }
    if named.is_empty() {
        named = title_terms(title);
    }
    if duties.is_empty() {
        duties = texts(wishes, 10, |wish| skill(wish) && wish.part == Part::About);
    }
    if duties.is_empty() {
        duties = named.iter().take(6).cloned().collect();
    }
    let (named_weight, plain_weight) = if plain.len() > named.len() { (4, 5) } else { (5, 4) };
    let years = texts(wishes, 5, |wish| wish.term.kind == Kind::Years && wish.part != Part::Duty);
    let years_weight = if years.is_empty() { 2 } else { 4 };
    let years = if years.is_empty() { vec![HISTORY.to_owned()] } else { years };

    let learned = |wish: &Wish| matches!(wish.term.kind, Kind::Degree | Kind::Licence);
    let required = wishes.iter().any(|wish| learned(wish) && wish.part == Part::Must);
    let welcome = |wish: &Wish| skill(wish) && wish.part == Part::Nice;
    let conduct = |wish: &Wish| wish.term.kind == Kind::Conduct;

    let always = [
        category("key_skills", "Key skills", named_weight, "What the job asks for by name", named),
        category("role_experience", "Experience in the role", 3, "Work under this or a like title", title_terms(title)),
        category("years_of_experience", "Years of experience", years_weight, "Dated work that fits the job", years),
        category(
            "responsibilities",
            "Responsibilities",
            if stated { 3 } else { 4 },
            "What will be done in the job",
            duties,
        ),
    ];
    let optional = [
        category("know_how", "Know-how", plain_weight, "What the job asks to know or to have done", plain),
        category(
            "education_and_licences",
            "Education and licences",
            if required { 4 } else { 2 },
            "Degrees, certificates and licences",
            texts(wishes, 6, learned),
        ),
        category("nice_to_have", "Nice to have", 2, "Welcome, but not required", texts(wishes, 8, welcome)),
        category("way_of_working", "Way of working", 1, "How the work is to be done", texts(wishes, 6, conduct)),
    ];
    let given = optional.into_iter().flatten().filter(|category| !category.examples_of_evidence.is_empty());
    always.into_iter().flatten().chain(given).collect()
}

/// `None` only for a weight that is no importance, which the callers' constants are.
fn category(id: &str, name: &str, weight: u8, description: &str, evidence: Vec<String>) -> Option<Category> {
    let description = if evidence.is_empty() {
        format!("{description}. {NOTHING_TO_LOOK_FOR}")
    } else {
        format!("{description}: {}.", evidence.join(", "))
    };
    Some(Category {
        category_id: id.to_owned(),
        name: name.to_owned(),
        importance: Importance::try_new(weight).ok()?,
        description,
        examples_of_evidence: evidence,
    })
}

fn title_terms(title: &str) -> Vec<String> {
    let title = title.split(['(', '|', '–', '—']).next().filter(|part| !part.trim().is_empty()).unwrap_or(title);
    let short = |term: &Term| term.text.chars().count() <= MAX_TERM_CHARACTERS;
    terms(title, false).into_iter().filter(short).map(|term| term.text).take(3).collect()
}

fn minimum_years(wishes: &[Wish]) -> Option<u32> {
    let years = wishes.iter().filter(|wish| wish.term.kind == Kind::Years && wish.part == Part::Must);
    years.filter_map(|wish| wish.term.text.split(' ').next()?.parse().ok()).max()
}

fn seniority(title: &str, wishes: &[Wish]) -> &'static str {
    for word in words(title) {
        match word.plain.as_str() {
            "intern" | "trainee" | "apprentice" | "praktikant" | "praktikum" => return "Trainee",
            "junior" | "graduate" | "entry" | "assistant" => return "Junior",
            "senior" | "sr" | "principal" | "staff" => return "Senior",
            "lead" | "head" | "chief" | "director" | "supervisor" | "leiter" | "leiterin" => return "Lead",
            _ => {}
        }
    }
    match minimum_years(wishes) {
        Some(0..=1) => "Junior",
        Some(2..=5) => "Mid-level",
        Some(_) => "Senior",
        None => "Not stated",
    }
}

fn role_summary(title: &str, statements: &[Statement<'_>]) -> String {
    let telling = statements
        .iter()
        .find(|statement| statement.part == Part::About)
        .or_else(|| statements.iter().find(|statement| matches!(statement.part, Part::Duty | Part::Must)));
    let text = telling.map_or("", |statement| statement.text);
    let short: String = text.chars().take(MAX_DUTY_CHARACTERS).collect();
    if short.is_empty() { title.trim().to_owned() } else { short }
}

fn core_responsibilities(statements: &[Statement<'_>]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for statement in statements.iter().filter(|statement| statement.part == Part::Duty) {
        let short: String = statement.text.chars().take(MAX_DUTY_CHARACTERS).collect();
        if found.len() < MAX_DUTIES && !found.contains(&short) {
            found.push(short);
        }
    }
    found
}

fn education(wishes: &[Wish]) -> EducationPreferences {
    let degrees: Vec<&Wish> = wishes.iter().filter(|wish| wish.term.kind == Kind::Degree).collect();
    let mut preferences = EducationPreferences {
        required: degrees.iter().any(|wish| wish.part == Part::Must),
        ..EducationPreferences::default()
    };
    for wish in degrees {
        let (degree, fields) = wish.term.text.split_once(" in ").unwrap_or((&wish.term.text, ""));
        preferences.degrees.push(degree.to_owned());
        preferences.fields.extend(fields.split(" or ").filter(|field| !field.is_empty()).map(str::to_owned));
    }
    preferences.degrees.dedup();
    preferences.fields.dedup();
    preferences
}
