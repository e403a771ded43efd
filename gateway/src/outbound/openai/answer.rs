//! Reading the model's JSON without trust: caps on lengths and counts, no markup, no categories of its own making.
//!
//! A grade that is not as asked for is left out, as if it were not there, so that its category alone is in doubt. An
//! answer that is broken as a whole is unusable.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, de::IgnoredAny};
use starscreen_commands::ports::LlmError;
use starscreen_domain::{
    candidate::{CategoryGrade, Contact, Evaluation, Quote},
    job::{BackgroundPatterns, Category, EducationPreferences, Rubric},
    score::{Importance, Score},
};

const MAX_NAME_CHARS: usize = 80;
const MAX_SENTENCE_CHARS: usize = 500;
const MAX_PARAGRAPH_CHARS: usize = 2_000;
const MAX_QUOTE_CHARS: usize = 300;
const MAX_CONTACT_CHARS: usize = 100;
const MAX_URL_CHARS: usize = 200;
const MAX_LIST: usize = 12;
const MAX_QUOTES: usize = 5;
const MAX_YEARS: u32 = 60;
/// Longest tag that is taken for one.
const MAX_TAG_CHARS: usize = 1_000;

#[derive(Deserialize)]
struct RubricAnswer {
    seniority_level: String,
    role_summary: String,
    core_responsibilities: Vec<String>,
    categories: Vec<CategoryAnswer>,
    desired_background_patterns: BackgroundPatterns,
    education_preferences: EducationPreferences,
}

#[derive(Deserialize)]
struct CategoryAnswer {
    name: String,
    importance: f64,
    description: String,
    examples_of_evidence: Vec<String>,
}

#[derive(Deserialize)]
struct EvaluationAnswer {
    categories: Vec<Lenient<GradeAnswer>>,
    summary: String,
    pros: Vec<String>,
    cons: Vec<String>,
    interview_questions: Vec<String>,
    contact: Option<Lenient<Contact>>,
}

#[derive(Deserialize)]
struct GradeAnswer {
    category_id: String,
    reasoning: String,
    quotes: Vec<String>,
    score: Option<f64>,
}

/// A part whose faults, keys given twice among them, are its own.
#[derive(Deserialize)]
#[serde(untagged)]
enum Lenient<T> {
    AsAsked(T),
    Otherwise(IgnoredAny),
}

impl<T> Lenient<T> {
    fn if_as_asked(self) -> Option<T> {
        match self {
            Self::AsAsked(part) => Some(part),
            Self::Otherwise(_) => None,
        }
    }
}

fn unusable(reason: impl Into<String>) -> LlmError {
    LlmError::Unusable { reason: reason.into() }
}

/// serde's own message may hold values, and those speak of a person: only the place is passed on.
fn parsed<'a, T: Deserialize<'a>>(content: &'a str) -> Result<T, LlmError> {
    serde_json::from_str(content)
        .map_err(|error| unusable(format!("it breaks the schema at line {}, column {}", error.line(), error.column())))
}

/// # Errors
/// [`LlmError::Unusable`] when it is no rubric by our rules.
pub fn rubric(content: &str, title: &str) -> Result<Rubric, LlmError> {
    let answer: RubricAnswer = parsed(content)?;
    let mut ids = HashSet::new();
    let mut categories = Vec::new();
    for category in answer.categories {
        let name = plain(&category.name, MAX_NAME_CHARS);
        let importance = whole(category.importance).and_then(|weight| Importance::try_new(weight).ok());
        categories.push(Category {
            category_id: id_of(&name, &mut ids),
            importance: importance.ok_or_else(|| unusable("an importance is not 1 to 5"))?,
            description: plain(&category.description, MAX_SENTENCE_CHARS),
            examples_of_evidence: list(&category.examples_of_evidence, MAX_NAME_CHARS),
            name,
        });
    }
    let background = answer.desired_background_patterns;
    let education = answer.education_preferences;
    let rubric = Rubric {
        title: title.to_owned(),
        seniority_level: plain(&answer.seniority_level, MAX_NAME_CHARS),
        role_summary: plain(&answer.role_summary, MAX_PARAGRAPH_CHARS),
        core_responsibilities: list(&answer.core_responsibilities, MAX_SENTENCE_CHARS),
        categories,
        desired_background_patterns: BackgroundPatterns {
            minimum_years: background.minimum_years.map(|years| years.min(MAX_YEARS)),
            titles: list(&background.titles, MAX_NAME_CHARS),
            industries: list(&background.industries, MAX_NAME_CHARS),
            certifications: list(&background.certifications, MAX_NAME_CHARS),
        },
        education_preferences: EducationPreferences {
            degrees: list(&education.degrees, MAX_NAME_CHARS),
            fields: list(&education.fields, MAX_NAME_CHARS),
            required: education.required,
        },
    };
    rubric.validate().map_err(|error| unusable(error.to_string()))?;
    Ok(rubric)
}

/// The grades as said, quotes unchecked and without their place: the scoring pipeline looks each up in the text. Grades
/// of categories that the rubric does not have are left out, and so are two for one category: nobody knows which counts.
///
/// # Errors
/// [`LlmError::Unusable`] when it breaks the schema. Few strengths, gaps or questions are no fault: grades count.
pub fn evaluation(content: &str, rubric: &Rubric) -> Result<(Evaluation, Contact), LlmError> {
    let answer: EvaluationAnswer = parsed(content)?;
    let mut grades: HashMap<String, Vec<GradeAnswer>> = HashMap::new();
    for grade in answer.categories.into_iter().filter_map(Lenient::if_as_asked) {
        grades.entry(grade.category_id.clone()).or_default().push(grade);
    }
    let categories = rubric
        .categories
        .iter()
        .filter_map(|category| match grades.remove(&category.category_id)?.as_slice() {
            [grade] => graded(category, grade),
            _ => None,
        })
        .collect();
    let (pros, cons) = (list(&answer.pros, MAX_SENTENCE_CHARS), list(&answer.cons, MAX_SENTENCE_CHARS));
    let mut interview_questions = list(&answer.interview_questions, MAX_SENTENCE_CHARS);
    interview_questions.truncate(3);
    let summary = plain(&answer.summary, MAX_PARAGRAPH_CHARS);
    let contact = answer.contact.and_then(Lenient::if_as_asked).map(reachable).unwrap_or_default();
    Ok((Evaluation { summary, pros, cons, interview_questions, categories }, contact))
}

/// The beginning of a quote that is too long: half a word would not be found in the text.
fn whole_words(quote: &str) -> String {
    let kept = first(quote, MAX_QUOTE_CHARS);
    let is_whole = kept.len() == quote.len();
    match kept.rsplit_once(char::is_whitespace) {
        Some((words, _)) if !is_whole => words.to_owned(),
        _ => kept,
    }
}

/// `None` for points that are none.
fn graded(category: &Category, grade: &GradeAnswer) -> Option<CategoryGrade> {
    let score = match grade.score {
        Some(points) => Some(Score::try_new(whole(points)?).ok()?),
        None => None,
    };
    let quotes = grade.quotes.iter().filter(|quote| !quote.trim().is_empty()).take(MAX_QUOTES);
    Some(CategoryGrade {
        category_id: category.category_id.clone(),
        name: category.name.clone(),
        score,
        reasoning: plain(&grade.reasoning, MAX_SENTENCE_CHARS),
        evidence: quotes.map(|quote| Quote { quote: whole_words(quote), start: 0, end: 0 }).collect(),
    })
}

/// Contact data that can be what it says. Whether it stands in the resume is checked by who has the text.
fn reachable(said: Contact) -> Contact {
    let short = |text: Option<String>| text.filter(|text| !text.trim().is_empty() && text.len() <= MAX_CONTACT_CHARS);
    let is_email = |text: &String| text.contains('@') && !text.contains(char::is_whitespace);
    let is_link = |text: &String| is_web_address(text);
    let is_phone = |text: &String| text.chars().filter(char::is_ascii_digit).count() >= 5;
    Contact {
        first_name: short(said.first_name),
        last_name: short(said.last_name),
        email: short(said.email).filter(is_email),
        phone: short(said.phone).filter(is_phone),
        location: short(said.location),
        linkedin_url: said.linkedin_url.filter(is_link),
        github_url: said.github_url.filter(is_link),
        portfolio_url: said.portfolio_url.filter(is_link),
        other_urls: said.other_urls.into_iter().filter(is_link).take(MAX_LIST).collect(),
    }
}

/// With or without a scheme, but no other scheme than the web's: somebody will click on it.
fn is_web_address(text: &str) -> bool {
    let bare = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(text);
    let host = bare.split(['/', '?', '#']).next().unwrap_or_default();
    text.len() <= MAX_URL_CHARS
        && host.contains('.')
        && host.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-'))
        && !bare.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"'))
}

/// A whole number up to 255, also when it is written with a fraction of 0.
fn whole(number: f64) -> Option<u8> {
    number.to_string().parse().ok()
}

fn list(texts: &[String], max_chars: usize) -> Vec<String> {
    texts.iter().map(|text| plain(text, max_chars)).filter(|text| !text.is_empty()).take(MAX_LIST).collect()
}

fn first(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

/// Words without markup, control characters or what turns their direction, at most `max_chars` of them. Paragraphs
/// stay.
fn plain(text: &str, max_chars: usize) -> String {
    let mut clean = String::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let length = tag(rest);
        rest = rest.get(length.unwrap_or(character.len_utf8())..).unwrap_or_default();
        if length.is_some() {
            continue;
        }
        match character {
            '\n' => clean.push('\n'),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{e0000}'..='\u{e007f}' => {}
            character if character.is_control() => clean.push(' '),
            character => {
                // Of a tag without an end, or of two that were one in the other, what makes it one goes.
                if clean.ends_with('<') && begins_tag(character) {
                    clean.pop();
                    clean.push(' ');
                }
                clean.push(character);
            }
        }
    }
    first(clean.trim(), max_chars).trim_end().to_owned()
}

/// `< 5 years` is no tag.
fn begins_tag(after: char) -> bool {
    after.is_ascii_alphabetic() || matches!(after, '/' | '!' | '?')
}

/// Length in bytes of the tag that `text` begins with.
fn tag(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('<').filter(|inside| inside.starts_with(begins_tag))?;
    let end = inside.char_indices().take(MAX_TAG_CHARS).find(|(_, c)| matches!(c, '<' | '>'));
    end.filter(|(_, c)| *c == '>').map(|(at, _)| at + 2)
}

/// Lower-case words joined by `_`, with a number where they are taken: `C++` and `C#` are two.
fn id_of(name: &str, taken: &mut HashSet<String>) -> String {
    let words: Vec<String> =
        name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
    let words = if words.is_empty() { "category".to_owned() } else { words.join("_") };
    let mut id = words.clone();
    let mut number = 1;
    while !taken.insert(id.clone()) {
        number += 1;
        id = format!("{words}_{number}");
    }
    id
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn rubric_json() -> Value {
        let category =
            |name: &str| json!({"name": name, "importance": 3, "description": "d", "examples_of_evidence": ["e"]});
        json!({
            "seniority_level": "senior", "role_summary": "s", "core_responsibilities": ["r"],
            "categories": (["C++", "C#", "Team <b>work</b>", "日本語"].map(category)),
            "desired_background_patterns": {"minimum_years": 900, "titles": [], "industries": [], "certifications": []},
            "education_preferences": {"degrees": [], "fields": [], "required": false},
        })
    }

    fn known() -> Rubric {
        rubric(&rubric_json().to_string(), "Engineer").unwrap()
    }

    fn grade(id: &str, score: impl Into<Value>) -> Value {
        json!({"category_id": id, "reasoning": "r", "quotes": ["q"], "score": score.into()})
    }

    fn evaluation_json(grades: &[Value]) -> Value {
        json!({"categories": grades, "summary": "s", "pros": ["a", "b", "c"], "cons": ["a", "b", "c"],
            "interview_questions": ["a", "b", "c", "d"], "contact": null})
    }

    fn scores(answer: &str) -> Vec<(String, Option<u8>)> {
        let (evaluation, _) = evaluation(answer, &known()).unwrap();
        evaluation.categories.into_iter().map(|grade| (grade.category_id, grade.score.map(Score::points))).collect()
    }

    #[track_caller]
    fn refused(answer: &str) -> String {
        match evaluation(answer, &known()) {
            Err(LlmError::Unusable { reason }) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_rubric_gets_ids_of_its_own_and_clean_names() {
        let rubric = known();
        let ids: Vec<_> = rubric.categories.iter().map(|category| category.category_id.as_str()).collect();
        assert_eq!(ids, ["c", "c_2", "team_work", "日本語"]);
        assert_eq!(rubric.categories[2].name, "Team work");
        assert_eq!(rubric.desired_background_patterns.minimum_years, Some(MAX_YEARS));
    }

    #[test]
    fn a_rubric_by_other_rules_is_unusable() {
        let mut wrong = vec![];
        for importance in [json!(0), json!(6), json!(2.5), json!(1e308), json!(null), json!("3")] {
            let mut answer = rubric_json();
            answer["categories"][0]["importance"] = importance;
            wrong.push(answer);
        }
        let mut few = rubric_json();
        few["categories"].as_array_mut().unwrap().truncate(3);
        let mut twice = rubric_json();
        twice["categories"][1]["name"] = json!("c++");
        let mut nameless = rubric_json();
        nameless["categories"][1]["name"] = json!("<i></i>");
        wrong.extend([few, twice, nameless, json!([]), json!({})]);
        for answer in wrong {
            let outcome = rubric(&answer.to_string(), "t");
            assert!(matches!(outcome, Err(LlmError::Unusable { .. })), "{answer}");
        }
    }

    #[test]
    fn a_grade_that_is_not_as_asked_for_is_as_good_as_missing() {
        for wrong in [json!(250), json!(-5), json!(1e308), json!(85.5), json!("90"), json!([90]), json!(101)] {
            let answer = evaluation_json(&[grade("c", wrong.clone()), grade("c_2", json!(85.0))]);
            assert_eq!(scores(&answer.to_string()), [("c_2".to_owned(), Some(85))], "{wrong}");
        }
        let others = [
            grade("unknown", json!(99)),
            grade("c", json!(null)),
            grade("c_2", json!(10)),
            grade("c_2", json!(90)),
            json!({"category_id": "team_work", "score": 50}),
            json!("日本語"),
        ];
        assert_eq!(scores(&evaluation_json(&others).to_string()), [("c".to_owned(), None)]);
    }

    #[test]
    fn a_key_given_twice_spoils_what_it_stands_in() {
        let answer = evaluation_json(&[grade("c", json!(11)), grade("c_2", json!(22))]).to_string();
        let in_grade = answer.replacen("\"score\":11", "\"score\":11,\"score\":99", 1);
        assert_eq!(scores(&in_grade), [("c_2".to_owned(), Some(22))]);
        let outside = answer.replacen("\"summary\":\"s\"", "\"summary\":\"s\",\"summary\":\"t\"", 1);
        assert!(refused(&outside).contains("breaks the schema"));
    }

    #[test]
    fn few_strengths_gaps_and_questions_and_no_summary_are_no_fault() {
        let few = evaluation_json(&[grade("c", json!(11))]).to_string();
        let few = few.replace("[\"a\",\"b\",\"c\"]", "[\"a\"]").replace("\"summary\":\"s\"", "\"summary\":\"\"");
        let (evaluation, _) = evaluation(&few, &known()).unwrap();
        assert_eq!((evaluation.pros.len(), evaluation.cons.len(), evaluation.interview_questions.len()), (1, 1, 3));
        assert_eq!((evaluation.categories.len(), evaluation.summary.as_str()), (1, ""));
    }

    #[test]
    fn what_is_broken_as_a_whole_is_unusable_and_its_values_are_not_told() {
        let answer = evaluation_json(&[grade("c", json!(11))]).to_string();
        for broken in [
            answer.replace("11", "NaN"),
            answer.replace("11", "1e999"),
            answer.get(..answer.len() / 2).unwrap().to_owned(),
            format!("Here it is: {answer}"),
            format!("{answer}{answer}"),
            String::new(),
            "[".repeat(100_000),
        ] {
            refused(&broken);
        }
        let told = refused(&answer.replace("\"summary\":\"s\"", "\"summary\":[\"Ada Lovelace\"]"));
        assert!(!told.contains("Ada"), "{told}");
    }

    #[test]
    fn texts_are_capped_and_lose_their_markup() {
        assert_eq!(plain("a <script>alert(1)</script> b<br/>c <!-- d -->", 99), "a alert(1) bc");
        assert_eq!(plain("needs < 5 years, x<y and <b unclosed", 99), "needs < 5 years, x y and  b unclosed");
        let nested = plain("<<b>i>x</<b>i><scr<b>ipt>", 99);
        assert!(!nested.contains("<i") && !nested.contains("<s") && !nested.contains("</"), "{nested}");
        assert_eq!(plain("one\n\ntwo\u{0}\u{202e}three", 99), "one\n\ntwo three");
        assert_eq!(plain("ééééé", 3), "ééé");
        let mut answer = evaluation_json(&[grade("c", json!(50))]);
        answer["categories"][0]["reasoning"] = json!("<b>x</b>".repeat(10_000));
        answer["categories"][0]["quotes"] = json!(vec!["é".repeat(1_000); 100]);
        answer["pros"] = json!(vec!["p".repeat(9_000); 100]);
        let (evaluation, _) = evaluation(&answer.to_string(), &known()).unwrap();
        let grade = &evaluation.categories[0];
        assert_eq!((grade.reasoning.len(), grade.evidence.len()), (MAX_SENTENCE_CHARS, MAX_QUOTES));
        assert_eq!(grade.evidence[0].quote.chars().count(), MAX_QUOTE_CHARS);
        assert_eq!((evaluation.pros.len(), evaluation.pros[0].len()), (MAX_LIST, MAX_SENTENCE_CHARS));
        assert_eq!(evaluation.interview_questions.len(), 3);
    }

    #[test]
    fn contact_data_has_to_be_able_to_be_what_it_says() {
        let mut answer = evaluation_json(&[]);
        answer["contact"] = json!({"first_name": "Ada", "last_name": "x".repeat(5_000), "email": "not an address",
            "phone": "call me", "location": "", "linkedin_url": "javascript:alert(1).x", "github_url": "github.com/ada",
            "portfolio_url": "https://ada.example/a b", "other_urls": ["https://ada.example/?q=1", "file:///etc/passwd"]});
        let (_, contact) = evaluation(&answer.to_string(), &known()).unwrap();
        let expected = Contact {
            first_name: Some("Ada".to_owned()),
            github_url: Some("github.com/ada".to_owned()),
            other_urls: vec!["https://ada.example/?q=1".to_owned()],
            ..Contact::default()
        };
        assert_eq!(contact, expected);
        answer["contact"] = json!({"first_name": 7});
        assert_eq!(evaluation(&answer.to_string(), &known()).unwrap().1, Contact::default());
    }
}
