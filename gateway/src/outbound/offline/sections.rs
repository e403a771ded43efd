//! Parts of a resume, by their headings.

use std::{collections::HashMap, sync::LazyLock};

use super::{cues::each, words::plain};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    Experience,
    Education,
    Skills,
    Other,
}

/// Last words of a heading for work.
const EXPERIENCE_ENDINGS: &str =
    "experience|experiences|history|berufserfahrung|werdegang|erfahrung|laboral|experiencia|
professionnelle|professionnelles|profesional";
const EXPERIENCE: &str = "employment|career|work|projects|internships|positions|volunteering";
const EDUCATION: &str =
    "education|education and training|academic background|studies|ausbildung|bildung|studium|formation|
formacion|educacion|qualifications|academic qualifications|education and qualifications|training";
const SKILLS_ENDINGS: &str = "skills|kenntnisse|competences|competencias|competencies|technologies|tools";
const SKILLS: &str = "languages|sprachen|langues|idiomas|certifications|certificates|licences|licenses|expertise";
const OTHER: &str =
    "summary|profile|about|about me|objective|profil|perfil|resume|curriculum vitae|cv|personal statement|
professional summary|career objective|contact|personal information|interests|hobbies|references|awards|publications|
personal details";
const MAX_HEADING_WORDS: usize = 4;

static WHOLE: LazyLock<HashMap<&'static str, Section>> = LazyLock::new(|| {
    sections(&[
        (OTHER, Section::Other),
        (SKILLS, Section::Skills),
        (EDUCATION, Section::Education),
        (EXPERIENCE, Section::Experience),
    ])
});
static ENDINGS: LazyLock<HashMap<&'static str, Section>> =
    LazyLock::new(|| sections(&[(SKILLS_ENDINGS, Section::Skills), (EXPERIENCE_ENDINGS, Section::Experience)]));

fn sections(lists: &[(&'static str, Section)]) -> HashMap<&'static str, Section> {
    lists.iter().flat_map(|(names, section)| each(names).map(|name| (name, *section))).collect()
}

impl Section {
    /// The section that `line` opens, if it is a heading.
    pub fn named(line: &str) -> Option<Section> {
        let name = plain(line.trim_matches(|c: char| !c.is_alphanumeric()));
        let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
        if name.split(' ').count() > MAX_HEADING_WORDS {
            return None;
        }
        let last = name.rsplit(' ').next().filter(|_| !line.contains(','));
        WHOLE.get(name.as_str()).or_else(|| ENDINGS.get(last?)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::Section;

    #[test]
    fn headings_are_known_in_any_case_and_with_marks() {
        for (line, section) in [
            ("## WORK EXPERIENCE:", Some(Section::Experience)),
            ("Berufserfahrung", Some(Section::Experience)),
            ("Technical Skills", Some(Section::Skills)),
            ("Formation", Some(Section::Education)),
            ("References", Some(Section::Other)),
            ("Cook with five years of experience", None),
            ("Rust, Go", None),
        ] {
            assert_eq!(Section::named(line), section, "{line}");
        }
    }
}
