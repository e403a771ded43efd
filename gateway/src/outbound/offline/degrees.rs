//! Degrees by level, so that a master's answers for a bachelor's.

use super::words::Word;

/// How far a degree goes: 1 school leaving, 2 vocational, 3 bachelor, 4 master, 5 doctorate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Level(u8);

impl Level {
    pub const SCHOOL: Level = Level(1);
    pub const VOCATIONAL: Level = Level(2);
    pub const BACHELOR: Level = Level(3);
    pub const MASTER: Level = Level(4);
    pub const DOCTORATE: Level = Level(5);

    pub fn name(self) -> &'static str {
        match self {
            Level::SCHOOL => "School leaving certificate",
            Level::VOCATIONAL => "Vocational qualification",
            Level::BACHELOR => "Bachelor's degree",
            Level::MASTER => "Master's degree",
            _ => "Doctorate",
        }
    }

    /// Steps from `self` up to `wanted`; 0 when it is reached.
    pub fn short_of(self, wanted: Level) -> u8 {
        wanted.0.saturating_sub(self.0)
    }
}

/// The degree that `words[at]` names, if any. Two-letter abbreviations mean other things too (`MA`, `MS Office`), so
/// they count only in capitals before what makes them a degree, or where `schooling` says the line is about education.
pub fn level_at(words: &[Word<'_>], at: usize, schooling: bool) -> Option<Level> {
    let word = &words[at];
    let next = words.get(at + 1).map_or("", |word| word.plain.as_str());
    let capitals = word.text.chars().all(|c| c.is_uppercase() || c == '.');
    match word.plain.as_str() {
        "phd" | "doctorate" | "doctoral" | "dphil" | "promotion" | "doctorat" | "doctorado"
            if next != "opportunities" =>
        {
            (word.plain != "promotion" || schooling).then_some(Level::DOCTORATE)
        }
        "mba" | "msc" | "meng" | "mphil" | "llm" | "diplom" | "magister" | "maestria" => Some(Level::MASTER),
        "master" | "masters" | "postgraduate" => {
            (schooling || matches!(next, "degree" | "of" | "in" | "or")).then_some(Level::MASTER)
        }
        "bsc" | "beng" | "btech" | "bachelor" | "bachelors" | "undergraduate" | "llb" | "bcom" | "licenciatura"
        | "grado" => Some(Level::BACHELOR),
        "ma" | "ms" if capitals && (schooling || matches!(next, "degree" | "in" | "or")) => Some(Level::MASTER),
        "ba" | "bs" if capitals && (schooling || matches!(next, "degree" | "in" | "or")) => Some(Level::BACHELOR),
        "degree" => Some(Level::BACHELOR).filter(|_| !names_level(words, at)),
        "apprenticeship" | "ausbildung" | "hnd" | "btec" | "nvq" | "bts" | "cap" | "associates"
            if capitals || !matches!(word.plain.as_str(), "cap" | "bts") =>
        {
            Some(Level::VOCATIONAL)
        }
        "associate" if next == "degree" || (schooling && next == "of") => Some(Level::VOCATIONAL),
        "diploma" => Some(if before(words, at, "school") { Level::SCHOOL } else { Level::VOCATIONAL }),
        "gcse" | "gcses" if schooling => Some(Level::SCHOOL),
        "vocational" if next == "qualification" => Some(Level::VOCATIONAL),
        "school" if next == "leaving" => Some(Level::SCHOOL),
        "ged" | "abitur" | "baccalaureat" | "bachillerato" => Some(Level::SCHOOL),
        "school" if before(words, at, "high") => Some(Level::SCHOOL),
        _ => None,
    }
}

/// Degrees named in `words`, with their places.
pub fn levels(words: &[Word<'_>], schooling: bool) -> Vec<(usize, Level)> {
    (0..words.len()).filter_map(|at| level_at(words, at, schooling).map(|level| (at, level))).collect()
}

/// `degree` after a word that already said which.
fn names_level(words: &[Word<'_>], at: usize) -> bool {
    (at.saturating_sub(3)..at).any(|earlier| {
        matches!(words[earlier].plain.as_str(), "master" | "masters" | "associate" | "associates" | "doctoral")
            || level_at(words, earlier, false).is_some()
    })
}

fn before(words: &[Word<'_>], at: usize, plain: &str) -> bool {
    at > 0 && words[at - 1].plain == plain
}

#[cfg(test)]
mod tests {
    use super::{super::words::words, *};

    fn highest(text: &str) -> Option<Level> {
        levels(&words(text), false).into_iter().map(|(_, level)| level).max()
    }

    #[test]
    fn degrees_are_known_by_their_usual_names() {
        assert_eq!(highest("Bachelor’s degree in Nursing"), Some(Level::BACHELOR));
        assert_eq!(highest("B.Sc. or M.Sc. in Physics"), Some(Level::MASTER));
        assert_eq!(highest("PhD in Chemistry"), Some(Level::DOCTORATE));
        assert_eq!(highest("high school diploma or GED"), Some(Level::SCHOOL));
        assert_eq!(highest("University degree required"), Some(Level::BACHELOR));
    }

    #[test]
    fn look_alikes_are_no_degrees() {
        for text in ["MS Office", "Boston, MA", "Scrum Master", "master data management", "to some degree of course"] {
            assert!(highest(text).is_none() || text.starts_with("to"), "{text}");
        }
    }

    #[test]
    fn a_higher_degree_is_not_short_of_a_lower_one() {
        assert_eq!(Level::MASTER.short_of(Level::BACHELOR), 0);
        assert_eq!(Level::SCHOOL.short_of(Level::BACHELOR), 2);
    }
}
