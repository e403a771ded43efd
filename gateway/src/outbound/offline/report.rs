//! Puts a grade into words: reasons, strong and weak points, and what to ask.
//!
//! Speaks of the resume and never of the person: what is not written may still be there.

use starscreen_domain::score::Score;

use super::{
    MODEL,
    grade::{Finding, Graded},
    matching::Strength,
    resume::Resume,
    tenure::{Tenure, tenths},
};

/// Labels named in one sentence; the rest is counted.
const MAX_NAMED: usize = 6;
/// Things one question asks about.
const MAX_ASKED: usize = 3;
const LEAST_POINTS: usize = 3;
const MOST_POINTS: usize = 6;
const QUESTIONS: usize = 3;
/// Percent of years or a degree that count as given.
const MET: u32 = 50;
/// From here on a category is partly shown.
const FAIR: u8 = 51;
/// Up to here there is no evidence.
const NO_EVIDENCE: u8 = 20;

pub fn reasoning(graded: &Graded<'_>) -> String {
    if graded.findings.is_empty() {
        return "The rubric gives no words to look for here; a person should judge it.".to_owned();
    }
    let told = labels(graded, |strength| strength >= Strength::Told);
    let listed = labels(graded, |strength| strength == Strength::Listed);
    let partly = labels(graded, |strength| strength == Strength::Partly);
    let missing = labels(graded, |strength| strength == Strength::Missing);
    let mut found = Vec::new();
    for (labels, how) in [(&told, "Found"), (&listed, "only in lists"), (&partly, "only in part")] {
        if !labels.is_empty() {
            found.push(format!("{how}: {}", enumerated(labels)));
        }
    }
    let mut text = capitalised(&found.join("; "));
    if !missing.is_empty() {
        let lead = if text.is_empty() { "No evidence; looked for and not found" } else { ". Not found" };
        text.push_str(lead);
        text.push_str(": ");
        text.push_str(&enumerated(&missing));
    }
    text.push('.');
    text
}

pub fn summary(graded: &[Graded<'_>], tenure: &Tenure<'_>) -> String {
    let terms = || graded.iter().flat_map(|graded| &graded.findings);
    let found = terms().filter(|finding| effective(finding) >= Strength::Listed).count();
    let mut ranked: Vec<&Graded<'_>> = graded.iter().filter(|graded| graded.score.is_some()).collect();
    ranked.sort_by_key(|graded| std::cmp::Reverse((graded.score, graded.category.importance)));
    let mut first = format!("The resume shows {found} of {} things the rubric looks for.", terms().count());
    if let (Some(best), Some(worst)) = (ranked.first(), ranked.last())
        && best.score > worst.score
    {
        for part in [" It is strongest in ", &named_points(best), " and weakest in ", &named_points(worst), "."] {
            first.push_str(part);
        }
    }
    let worked = match (tenure.total_months, tenure.fitting_months) {
        (0, _) => "No dated work was found.".to_owned(),
        (total, fitting) => {
            let (total, fitting) = (tenths(total), tenths(fitting));
            format!("Its dates cover {total} years of work, {fitting} of them in jobs that name what is asked for.")
        }
    };
    format!(
        "{first}\n\n{worked} Words were compared, and not the quality of the work: skills described in other words \
         can be missed. Made by the offline lexical scorer ({MODEL}), which is no language model."
    )
}

pub fn pros(graded: &[Graded<'_>], resume: &Resume<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for graded in by_weight(graded).filter(|graded| graded.score.is_some_and(|score| score.points() >= FAIR)) {
        let shown = labels(graded, |strength| strength >= Strength::Listed);
        found.push(format!("{}: shows {}", graded.category.name, enumerated(&shown)));
    }
    let single = by_weight(graded).filter(|graded| graded.score.is_some_and(|score| score.points() < FAIR));
    let told = |finding: &&Finding| finding.strength >= Strength::Told && finding.note.is_none();
    for finding in single.flat_map(|graded| &graded.findings).filter(told) {
        found.push(format!("Mentions {} in a sentence", finding.label));
    }
    found.truncate(MOST_POINTS);
    let mut general = Vec::new();
    if !resume.entries.is_empty() {
        general.push(format!("Gives dates for {} of its positions", resume.entries.len()));
    }
    if resume.tells() {
        general.push("Describes work in sentences, so that claims can be followed up".to_owned());
    }
    general.push(format!("All {} words of the text could be read and searched", resume.words.len()));
    general.push("Each category was looked for on its own, so a weak one hides no strong one".to_owned());
    general.push("What is missing here can be asked for in a short call".to_owned());
    fill(found, general.into_iter())
}

pub fn cons(graded: &[Graded<'_>]) -> Vec<String> {
    let mut found = Vec::new();
    for graded in by_weight(graded) {
        let missing = labels(graded, |strength| strength == Strength::Missing);
        let listed = labels(graded, |strength| strength == Strength::Listed);
        let partly = labels(graded, |strength| strength == Strength::Partly);
        let name = &graded.category.name;
        if !missing.is_empty() {
            found.push(format!("{name}: no mention of {}", enumerated(&missing)));
        } else if !partly.is_empty() {
            found.push(format!("{name}: only partly {}", enumerated(&partly)));
        } else if !listed.is_empty() {
            found.push(format!("{name}: {} only listed, without work that used it", enumerated(&listed)));
        } else if graded.score.is_some_and(|score| score.points() < FAIR) {
            found.push(format!("{name}: only weakly shown"));
        }
    }
    found.truncate(MOST_POINTS);
    let general = [
        "The quality of the work behind the words cannot be read from them",
        "Skills described in other words than the job's may have been missed",
        "Dates, degrees and licences are as stated; nothing was verified",
    ];
    fill(found, general.into_iter().map(str::to_owned))
}

/// Three questions about what is weakest, heaviest categories first.
pub fn interview_questions(graded: &[Graded<'_>]) -> Vec<String> {
    let mut weakest: Vec<&Graded<'_>> = by_weight(graded).collect();
    weakest.sort_by_key(|graded| graded.score.map_or(0, |score| score.points() / 25)); // stable within a quarter
    let mut found: Vec<String> = weakest.iter().take(QUESTIONS).map(|graded| question(graded)).collect();
    let general = [
        "Which piece of work of the last two years are you most satisfied with, and what was your own part in it?",
        "Which of this job's tasks would be new to you, and how would you learn them?",
        "What would your last colleagues say you should do more of?",
    ];
    found.dedup();
    found = fill(found, general.into_iter().map(str::to_owned));
    found.truncate(QUESTIONS);
    found
}

fn question(graded: &Graded<'_>) -> String {
    let name = &graded.category.name;
    let missing = labels(graded, |strength| strength <= Strength::Partly);
    let listed = labels(graded, |strength| strength == Strength::Listed);
    let evidence = graded.score.map_or(0, Score::points);
    match (missing.as_slice(), listed.as_slice()) {
        ([], []) => format!("{name}: please describe a recent example. What did you do yourself, and what came of it?"),
        ([], listed) => {
            format!("{name}: your resume lists {}. Where did you use it, and for how long?", first_few(listed))
        }
        (missing, _) if evidence <= NO_EVIDENCE => {
            format!("{name}: your resume does not speak of {}. What have you done there, and when?", first_few(missing))
        }
        (missing, _) => format!("{name}: how far do you know {}, and from which work?", first_few(missing)),
    }
}

fn first_few(labels: &[String]) -> String {
    labels.iter().take(MAX_ASKED).map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn by_weight<'a, 'b>(graded: &'a [Graded<'b>]) -> impl Iterator<Item = &'a Graded<'b>> {
    let mut sorted: Vec<&Graded<'b>> = graded.iter().collect();
    sorted.sort_by_key(|graded| std::cmp::Reverse(graded.category.importance));
    sorted.into_iter()
}

fn labels(graded: &Graded<'_>, wanted: impl Fn(Strength) -> bool) -> Vec<String> {
    graded.findings.iter().filter(|finding| wanted(effective(finding))).map(spoken).collect()
}

/// Years and degrees are met or not by how far they go, wherever they stand.
fn effective(finding: &Finding) -> Strength {
    match (&finding.note, finding.credit) {
        (None, _) => finding.strength,
        (Some(_), MET..) => Strength::Told,
        (Some(_), 1..) => Strength::Partly,
        (Some(_), 0) => Strength::Missing,
    }
}

fn spoken(finding: &Finding) -> String {
    match &finding.note {
        Some(note) => format!("{} ({note})", finding.label),
        None => finding.label.clone(),
    }
}

fn enumerated(labels: &[String]) -> String {
    match labels.len().saturating_sub(MAX_NAMED) {
        0 => labels.join(", "),
        more => format!("{} and {more} more", labels[..MAX_NAMED].join(", ")),
    }
}

fn fill(mut found: Vec<String>, general: impl Iterator<Item = String>) -> Vec<String> {
    let missing = LEAST_POINTS.saturating_sub(found.len());
    found.extend(general.take(missing));
    found
}

fn named_points(graded: &Graded<'_>) -> String {
    format!("{} ({})", graded.category.name, graded.score.map_or(0, Score::points))
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}
