//! Takes a job description apart: which of its lines asks for something, and how firmly.

use super::{
    lines::{sentences, without_bullet},
    words::{Word, plain, words},
};

/// What a statement of the description is to the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Has to be brought along.
    Must,
    /// Welcome.
    Nice,
    /// Will be done in the job.
    Duty,
    /// Says something about the job, without asking.
    About,
    /// Offers, praise of the company, legal text: nothing to look for.
    Boilerplate,
}

/// One bullet or sentence of the description.
#[derive(Clone, Debug)]
pub struct Statement<'a> {
    pub part: Part,
    pub text: &'a str,
    /// Its place says what it is, and not only a word in it.
    pub sure: bool,
    /// Under a heading for education or certificates.
    pub schooling: bool,
}

/// Headings by the words they begin with or hold. A heading not known here ends no section.
const HEADINGS: &[(Part, &[&str])] = &[
    (Part::Boilerplate, &["what we offer", "we offer", "benefits", "perks", "about us", "about the company", "our company", "who we are",
        "equal opportunity", "how to apply", "to apply", "application", "compensation", "salary", "pay", "why join", "why work", "why us",
        "our values", "our culture", "our mission", "company overview", "contact", "eeo", "disclaimer", "wir bieten", "was wir bieten",
        "das bieten wir", "uber uns", "nous offrons", "avantages", "a propos", "ofrecemos", "beneficios", "sobre nosotros", "what you get",
        "what you will get", "whats in it for you", "schedule", "job type", "location", "work location", "working hours", "next steps"]),
    (Part::Nice, &["nice to have", "nice to haves", "preferred", "bonus", "desirable", "desired", "a plus", "plus", "pluses", "optional",
        "good to have", "would be great", "ideally", "wunschenswert", "von vorteil", "atouts", "deseable", "advantageous", "additional skills"]),
    (Part::Duty, &["responsibilities", "duties", "what you will do", "what youll do", "what you'll do", "the role", "your role", "role overview",
        "your tasks", "tasks", "job duties", "day to day", "a typical day", "key responsibilities", "essential functions", "accountabilities",
        "aufgaben", "ihre aufgaben", "deine aufgaben", "missions", "vos missions", "funciones", "responsabilidades", "responsabilites",
        "in this role", "you will"]),
    (Part::About, &["summary", "job summary", "overview", "about the role", "about the job", "job description", "description", "about this role",
        "about the position", "position summary", "job title", "title", "stellenbeschreibung", "job purpose", "purpose"]),
    (Part::Must, &["requirements", "required", "must have", "must haves", "must-haves", "qualifications", "minimum", "skills", "what you bring",
        "what you need", "what you'll need", "what youll need", "what we are looking for", "what we're looking for", "who you are", "about you",
        "your profile", "profile", "experience", "education", "certifications", "certificates", "licences", "licenses", "essential", "you have",
        "we are looking for", "anforderungen", "ihr profil", "dein profil", "profil", "das bringen", "requisitos", "competences", "formation",
        "your background", "knowledge", "key skills", "technical skills", "tools", "tech stack", "technologies", "languages", "competencies",
        "person specification", "mandatory", "what we require", "ideal candidate", "the ideal candidate", "job requirements"]),
];

const BOILERPLATE: &[&str] = &["we offer", "equal opportunity", "equal employment", "regardless of", "reasonable accommodation", "401k",
    "401(k)", "paid time off", "health insurance", "dental", "competitive salary", "competitive pay", "salary range", "pension scheme",
    "please apply", "apply now", "apply today", "send your cv", "send your resume", "submit your", "apply online", "our mission is",
    "we are proud", "leading provider", "founded in", "our culture", "our values", "join our team", "join us", "background check",
    "sexual orientation", "national origin", "we celebrate", "diversity and inclusion", "protected veteran", "drug-free", "visit our website",
    "free lunch", "gym membership", "free parking", "holiday allowance", "stock options", "about our company", "click here",
    "per hour", "per annum", "wir bieten", "nous offrons", "ofrecemos", "great place to work", "family-owned", "state-of-the-art office",
    "employee discount", "company pension", "all qualified applicants", "sign-on bonus", "annual bonus"];
const NICE: &[&str] = &["nice to have", "nice-to-have", "preferred", "a plus", "is an advantage", "advantageous", "bonus", "desirable",
    "would be great", "ideally", "would be beneficial", "beneficial", "an asset", "good to have", "von vorteil", "wunschenswert", "un atout", "deseable",
    "preferably", "not essential", "welcome but"];
const MUST: &[&str] = &["must", "required", "require", "requires", "essential", "you have", "you bring", "you need", "experience", "knowledge",
    "proficien", "degree", "familiar", "skilled", "skills", "ability to", "able to", "fluent", "certified", "certificat", "licence", "license",
    "looking for", "seeking", "need a", "needs a", "we need", "minimum", "at least", "expertise", "understanding of", "erfahrung", "kenntnisse",
    "experiencia", "diploma", "mandatory", "background in", "qualified", "the ideal candidate", "successful candidate"];
const DUTY: &[&str] = &["you will", "you'll", "youll", "responsible for", "duties", "responsibilities include", "the role involves", "your job is",
    "will be responsible", "in this role", "day to day", "tasks include", "job involves", "work involves", "will include", "you are going to"];
const ABOUT: &[&str] = &["we are a ", "we are an ", "we are the ", "our company", "our customers", "our office", "our team is", "is a leading", "has been"];

/// Statements of `description` in order. Lines that only name a section are left out.
pub fn statements(description: &str) -> Vec<Statement<'_>> {
    let mut found = Vec::new();
    let mut section: Option<(Part, bool)> = None;
    for line in description.lines() {
        let (text, bullet) = without_bullet(line);
        if text.is_empty() {
            continue;
        }
        if let Some((part, schooling, rest)) = heading(text, bullet) {
            push_sentences(&mut found, rest, Some((part, schooling)), true);
            // "Location: Leeds" is about itself; "What we offer" is about all that follows.
            let on_its_own = part == Part::Boilerplate && !rest.is_empty();
            section = Some((part, schooling)).filter(|_| !on_its_own);
            continue;
        }
        push_sentences(&mut found, text, section, bullet);
    }
    found
}

fn push_sentences<'a>(found: &mut Vec<Statement<'a>>, text: &'a str, section: Option<(Part, bool)>, bullet: bool) {
    for sentence in sentences(text) {
        let spoken = plain_line(sentence);
        let part = part_of(&spoken, section.map(|(part, _)| part), bullet);
        let schooling = section.is_some_and(|(_, schooling)| schooling);
        let sure = bullet || section.is_some_and(|(named, _)| named == part);
        found.push(Statement { part, text: after_employer(sentence), sure, schooling });
    }
}

/// "St. Mary is looking for a nurse" asks for a nurse, and not for Mary.
fn after_employer(sentence: &str) -> &str {
    let cues = [" looking for ", " seeking ", " seeks ", " is hiring ", " are hiring ", " recruiting "];
    cues.iter().find_map(|cue| sentence.split_once(cue)).map_or(sentence, |(_, wanted)| wanted)
}

/// What a sentence says wins over where it stands only where it is unmistakable.
fn part_of(spoken: &str, section: Option<Part>, bullet: bool) -> Part {
    let says = |cues: &[&str]| cues.iter().any(|cue| spoken.contains(cue));
    if section == Some(Part::Boilerplate) || says(BOILERPLATE) {
        return Part::Boilerplate;
    }
    if section == Some(Part::Nice) || says(NICE) {
        return Part::Nice;
    }
    match section {
        Some(Part::Must) => Part::Must,
        Some(Part::Duty) if says(&["must have", "is required", "are required"]) => Part::Must,
        Some(Part::Duty) => Part::Duty,
        _ if says(DUTY) => Part::Duty,
        _ if says(MUST) => Part::Must,
        _ if says(ABOUT) => Part::Boilerplate,
        _ if bullet && section.is_none() => Part::Must,
        _ => Part::About,
    }
}

/// The section that `line` opens, whether it is about schooling, and what follows its colon.
fn heading(line: &str, bullet: bool) -> Option<(Part, bool, &str)> {
    let (name, rest) = line.split_once(':').unwrap_or((line, ""));
    let name = plain_line(name.trim_matches(|c: char| !c.is_alphanumeric()));
    let length = name.split_whitespace().count();
    if length == 0 || length > 6 || (rest.is_empty() && line.trim_end().ends_with(['.', ',', ';'])) {
        return None;
    }
    let exact = |names: &[&str]| names.contains(&name.as_str());
    let opens = |names: &[&str]| names.iter().any(|known| name.starts_with(known) && name[known.len()..].starts_with(' '));
    let ends = |names: &[&str]| names.iter().any(|known| name.ends_with(known) && name[..name.len() - known.len()].ends_with(' '));
    let part = HEADINGS.iter().find(|(_, names)| exact(names)).or_else(|| {
        // "Preferred qualifications" is about wishes although it ends like a requirement.
        let title = !bullet && (line.contains(':') || length <= 4);
        title.then(|| HEADINGS.iter().find(|(_, names)| opens(names) || ends(names))).flatten()
    });
    let part = part.map(|(part, _)| *part)?;
    let schooling = ["education", "certif", "licen", "qualification", "formation"].iter().any(|cue| name.contains(cue));
    // A sentence without colon that happens to begin like a heading is no heading.
    let said = rest.is_empty() && !line.contains(':') && !starts_like_title(line);
    (!said).then_some((part, schooling, rest.trim()))
}

/// Headings begin with a capital, a mark (`##`, `**`) or are short.
fn starts_like_title(line: &str) -> bool {
    let marked = line.starts_with(['#', '*', '[']);
    let first = line.chars().find(|c| c.is_alphanumeric());
    marked || first.is_some_and(|c| c.is_uppercase() || !c.is_lowercase())
}

fn plain_line(text: &str) -> String {
    plain(text).replace(['’', '`'], "'").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Words before a colon that say what kind of list follows, or that are the term itself.
pub fn head<'a>(text: &'a str) -> Option<(Vec<Word<'a>>, &'a str)> {
    let (head, rest) = text.split_once(": ")?;
    let head = words(head);
    (1..=4).contains(&head.len()).then_some((head, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(description: &str) -> Vec<(Part, &str)> {
        statements(description).into_iter().map(|statement| (statement.part, statement.text)).collect()
    }

    #[test]
    fn headings_say_what_their_lines_are() {
        let text = "Responsibilities:\n- Teach maths\n\nRequirements\n* QTS\n\nNice to have\n• Chess club\n\nWhat we offer\n- Free lunch";
        assert_eq!(
            parts(text),
            [(Part::Duty, "Teach maths"), (Part::Must, "QTS"), (Part::Nice, "Chess club"), (Part::Boilerplate, "Free lunch")]
        );
    }

    #[test]
    fn prose_is_read_by_what_it_says() {
        let text = "We are a family-owned bakery. You will bake bread at night. Two years of experience required. \
                    A driving licence is a plus. We offer free coffee.";
        let parts: Vec<Part> = parts(text).into_iter().map(|(part, _)| part).collect();
        assert_eq!(parts, [Part::Boilerplate, Part::Duty, Part::Must, Part::Nice, Part::Boilerplate]);
    }

    #[test]
    fn preferred_qualifications_are_wishes() {
        assert_eq!(parts("Preferred Qualifications:\nSAP"), [(Part::Nice, "SAP")]);
        assert_eq!(parts("Basic qualifications\nSAP"), [(Part::Must, "SAP")]);
    }
}
