//! How long somebody has worked, and how much of it in jobs that have to do with this one.

use super::{
    demand::Phrase,
    grade::Finding,
    matching::{Hit, Strength, find_any},
    resume::{Entry, Resume, Style},
    years,
};

/// Time in other jobs counts for one part in this many: where any fitting work will do, and where the job names which.
const OTHER_TRADES: u32 = 4;
const OTHER_SUBJECTS: u32 = 8;
/// Years that are claimed without dates show a part at most.
const MOST_FOR_CLAIMS: u32 = 45;

pub struct Tenure<'a> {
    resume: &'a Resume<'a>,
    /// For each dated job, whether it names something the rubric asks for.
    fitting: Vec<bool>,
    pub total_months: u32,
    pub fitting_months: u32,
    claimed_years: Option<u32>,
}

impl<'a> Tenure<'a> {
    pub fn new<'h>(resume: &'a Resume<'a>, hits: impl Iterator<Item = &'h Hit>, styles: &[Style]) -> Self {
        let mut marked = vec![false; resume.statements.len()];
        for hit in hits.filter(|hit| styles[hit.statement] > Style::List) {
            marked[hit.statement] = true;
        }
        let fits = |entry: &Entry| marked[entry.first..entry.end].contains(&true);
        let told = resume.statements.iter().filter(|statement| statement.style > Style::List);
        Tenure {
            resume,
            fitting: resume.entries.iter().map(fits).collect(),
            total_months: resume.months(|_| true),
            fitting_months: resume.months(fits),
            claimed_years: told
                .filter_map(|statement| years::asked(&resume.words[statement.first_word..statement.end_word]))
                .map(|(count, _)| count)
                .max(),
        }
    }

    fn months_with(&self, subject: &[Phrase]) -> (u32, Vec<Hit>) {
        let found = find_any(self.resume, subject);
        let places: Vec<usize> =
            found.whole.iter().chain(found.part.iter().map(|(hit, _)| hit)).map(|hit| hit.statement).collect();
        let holds = |entry: &Entry| places.iter().any(|at| (entry.first..entry.end).contains(at));
        let hits = self.resume.entries.iter().filter(|entry| holds(entry)).map(|entry| self.opening(entry)).collect();
        (self.resume.months(holds), hits)
    }

    fn opening(&self, entry: &Entry) -> Hit {
        Hit { statement: entry.first, word: self.resume.statements[entry.first].first_word }
    }

    fn fitting_hits(&self) -> Vec<Hit> {
        let fitting = self.resume.entries.iter().zip(&self.fitting).filter(|(_, fits)| **fits);
        fitting.map(|(entry, _)| self.opening(entry)).collect()
    }
}

/// Compares the dated time with `count` years; `subject` narrows it to jobs that name it.
pub fn years_finding(tenure: &Tenure<'_>, label: &str, count: u32, subject: &[Phrase]) -> Finding {
    let (mut fitting, mut hits) = (tenure.fitting_months, tenure.fitting_hits());
    let mut part = OTHER_TRADES;
    if !subject.is_empty() {
        let (months, named) = tenure.months_with(subject);
        if months > 0 {
            (fitting, hits, part) = (months, named, OTHER_SUBJECTS);
        } else {
            fitting /= 2; // it may be named in other words
        }
    }
    let counted = fitting + tenure.total_months.saturating_sub(fitting) / part;
    let claimed = tenure.claimed_years.filter(|_| tenure.total_months == 0);
    let months = claimed.map_or(counted, |years| years * 12);
    let mut credit = credit(months * 100 / (count * 12).max(1));
    let note = match claimed {
        Some(years) => {
            credit = credit.min(MOST_FOR_CLAIMS);
            format!("{years} years are claimed but not dated")
        }
        None if tenure.total_months == 0 => "no dated work was found".to_owned(),
        None => format!("{} of {} dated years are in jobs that fit", tenths(fitting), tenths(tenure.total_months)),
    };
    let strength = match (credit, fitting) {
        (0, _) => Strength::Missing,
        (_, 0) => Strength::Partly,
        _ => Strength::Told,
    };
    Finding { label: label.to_owned(), strength, credit, hits, note: Some(note) }
}

fn credit(percent: u32) -> u32 {
    match percent {
        200.. => 95,
        130.. => 85,
        100.. => 75,
        75.. => 55,
        50.. => 35,
        1.. => 15,
        0 => 0,
    }
}

/// Years with one decimal.
pub fn tenths(months: u32) -> String {
    let tenths = (months * 10 + 6) / 12;
    if tenths.is_multiple_of(10) { format!("{}", tenths / 10) } else { format!("{}.{}", tenths / 10, tenths % 10) }
}
