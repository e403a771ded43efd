//! Grades a resume by a rubric: what was looked for, what was found and how firmly.

use std::collections::HashSet;

use starscreen_domain::{
    candidate::{CategoryGrade, Evaluation},
    job::{Category, Rubric},
    score::Score,
};

use super::{
    demand::{Demand, demands},
    evidence,
    learning::degree_finding,
    lexicon::{is_frame, is_function},
    matching::{Hit, Match, Strength, credit, find_any, strength, told_styles},
    report,
    resume::{Resume, Style},
    tenure::{Tenure, years_finding},
    words::stems,
};

/// Points for a category by the percentage of it that was found. Kept apart are weak (21–50), partly (51–75), strong
/// (76–90) and outstanding (91–100).
const SCALE: &[(u32, u32)] = &[(0, 20), (15, 36), (30, 50), (55, 75), (78, 90), (95, 100), (100, 100)];
/// Pieces of phrases alone are weak evidence.
const MOST_FOR_PARTS: u32 = 50;
/// Words in lists alone show a part at most.
const MOST_FOR_LISTS: u32 = 75;
/// An honest resume has words of its own: at least this many different ones for each hundred of the rubric's.
const MIN_OWN_PERCENT: usize = 25;
/// Too few words to tell.
const MIN_PARROTED_WORDS: usize = 15;
/// Percent of a term that is only listed: where the resume tells of work, and where it is lists alone.
const CLAIM: u32 = 55;
const BARE_CLAIM: u32 = 30;
/// A licence is held, not done, so a list is its place.
const HELD: u32 = 85;
/// Below this a category says how one works, not what one did.
const MIN_WEIGHT_OF_TRADE: u8 = 2;

/// What came of one demand.
pub struct Finding {
    pub label: String,
    pub strength: Strength,
    /// Percent of the demand that is met.
    pub credit: u32,
    pub hits: Vec<Hit>,
    /// In words, where the label does not say it.
    pub note: Option<String>,
}

/// A category with all that was looked for.
pub struct Graded<'a> {
    pub category: &'a Category,
    pub score: Option<Score>,
    pub findings: Vec<Finding>,
}

/// Grades `resume_text` in each category of `rubric`, in its order. A category has no score only where it gives
/// nothing to look for.
pub fn grade(rubric: &Rubric, resume_text: &str) -> Evaluation {
    let resume = Resume::read(resume_text);
    let sought: Vec<(&Category, Vec<(Demand, Match)>)> =
        rubric.categories.iter().map(|category| (category, look_for(&resume, category))).collect();
    let styles = styles(rubric, &resume, &sought);
    let tenure = Tenure::new(&resume, trade_hits(&sought), &styles);
    let bare = !resume.tells() || styles.iter().all(|style| *style == Style::List);
    let claim = |category: &Category| {
        if is_held(category) {
            HELD
        } else if bare {
            BARE_CLAIM
        } else {
            CLAIM
        }
    };

    let graded: Vec<Graded<'_>> = sought
        .iter()
        .map(|(category, sought)| {
            let findings: Vec<Finding> = sought
                .iter()
                .map(|(demand, found)| match demand {
                    Demand::Term { label, .. } => term_finding(label, found, &styles, claim(category)),
                    Demand::Years { label, count, subject } => years_finding(&tenure, label, *count, subject),
                    Demand::Degree { label, level, fields } => degree_finding(&resume, label, *level, fields, found),
                })
                .collect();
            Graded { category, score: score(&findings, is_held(category)), findings }
        })
        .collect();

    Evaluation {
        summary: report::summary(&graded, &tenure),
        pros: report::pros(&graded, &resume),
        cons: report::cons(&graded),
        interview_questions: report::interview_questions(&graded),
        categories: graded.iter().map(|graded| category_grade(graded, &resume, &styles)).collect(),
    }
}

fn look_for(resume: &Resume<'_>, category: &Category) -> Vec<(Demand, Match)> {
    let look = |demand: Demand| {
        let found = match &demand {
            Demand::Term { choices, .. } => find_any(resume, choices),
            Demand::Degree { fields, .. } => find_any(resume, fields),
            Demand::Years { .. } => Match::default(),
        };
        (demand, found)
    };
    demands(category).into_iter().map(look).collect()
}

/// Sentences copied from the job are lists: they show that the job was read.
fn styles(rubric: &Rubric, resume: &Resume<'_>, sought: &[(&Category, Vec<(Demand, Match)>)]) -> Vec<Style> {
    let duties: HashSet<Vec<String>> = rubric.core_responsibilities.iter().map(|duty| stems(duty)).collect();
    let copied = |at: usize| {
        let statement = &resume.statements[at];
        let own: Vec<String> =
            resume.words[statement.first_word..statement.end_word].iter().map(|word| word.stem.clone()).collect();
        own.len() > 3 && duties.contains(&own)
    };
    let terms =
        sought.iter().flat_map(|(_, sought)| sought).filter(|(demand, _)| matches!(demand, Demand::Term { .. }));
    let mut labels = HashSet::new();
    let once: Vec<&Match> = terms.filter(|(demand, _)| labels.insert(demand.label())).map(|(_, found)| found).collect();
    if parrots(resume, sought) {
        return vec![Style::List; resume.statements.len()];
    }
    told_styles(resume, &once, copied)
}

/// Whether the resume is made of the rubric's words and hardly anything else.
fn parrots(resume: &Resume<'_>, sought: &[(&Category, Vec<(Demand, Match)>)]) -> bool {
    let mut wanted: HashSet<&str> = HashSet::new();
    for (demand, _) in sought.iter().flat_map(|(_, sought)| sought) {
        if let Demand::Term { choices, .. } = demand {
            wanted.extend(choices.iter().flat_map(|phrase| &phrase.stems).map(|(stem, _)| stem.as_str()));
        }
    }
    let telling = resume.words.iter().filter(|word| !is_function(word) && !is_frame(&word.plain) && !word.is_number());
    let (mut own, mut theirs) = (HashSet::new(), 0_usize);
    for word in telling {
        if wanted.contains(word.stem.as_str()) {
            theirs += 1;
        } else {
            own.insert(word.stem.as_str());
        }
    }
    theirs > MIN_PARROTED_WORDS && own.len() * 100 < theirs * MIN_OWN_PERCENT
}

/// Places of what belongs to the trade, for telling which jobs count.
fn trade_hits<'a>(sought: &'a [(&Category, Vec<(Demand, Match)>)]) -> impl Iterator<Item = &'a Hit> {
    sought
        .iter()
        .filter(|(category, _)| category.importance.weight() >= MIN_WEIGHT_OF_TRADE)
        .flat_map(|(_, sought)| sought)
        .filter(|(demand, _)| matches!(demand, Demand::Term { .. }))
        .flat_map(|(_, found)| &found.whole)
}

fn is_held(category: &Category) -> bool {
    let name = category.name.to_lowercase();
    ["licen", "certif", "educat", "qualif", "degree"].iter().any(|cue| name.contains(cue))
}

fn term_finding(label: &str, found: &Match, styles: &[Style], claim: u32) -> Finding {
    let hits =
        if found.whole.is_empty() { found.part.iter().map(|(hit, _)| *hit).collect() } else { found.whole.clone() };
    Finding {
        label: label.to_owned(),
        strength: strength(found, styles),
        credit: credit(found, styles, claim),
        hits,
        note: None,
    }
}

/// Points by the mean of what was found; what was only listed or found in pieces cannot be strong.
fn score(findings: &[Finding], held: bool) -> Option<Score> {
    let count = u32::try_from(findings.len()).ok().filter(|count| *count > 0)?;
    let best = findings.iter().map(|finding| finding.strength).max()?;
    let mean = findings.iter().map(|finding| finding.credit).sum::<u32>() / count;
    let most = match best {
        Strength::Missing => 0,
        Strength::Partly => MOST_FOR_PARTS,
        Strength::Listed if !held => MOST_FOR_LISTS,
        _ => 100,
    };
    let points = scaled(mean).min(most);
    Score::try_new(u8::try_from(points).ok()?).ok()
}

fn scaled(percent: u32) -> u32 {
    for pair in SCALE.windows(2) {
        let ((from, low), (to, high)) = (pair[0], pair[1]);
        if percent <= to {
            return low + (high - low) * (percent - from) / (to - from);
        }
    }
    100
}

fn category_grade(graded: &Graded<'_>, resume: &Resume<'_>, styles: &[Style]) -> CategoryGrade {
    CategoryGrade {
        category_id: graded.category.category_id.clone(),
        name: graded.category.name.clone(),
        score: graded.score,
        reasoning: report::reasoning(graded),
        evidence: evidence::quotes(resume, &graded.findings, styles),
    }
}
