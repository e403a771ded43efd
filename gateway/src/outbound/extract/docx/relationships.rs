//! How the parts of a DOCX refer to each other.
//!
//! Word finds a part by its relationships and not by its name, so a part that nothing refers to is shown to nobody.

use super::super::ExtractionFailure;
use super::package::Package;
use super::xml::{self, Step, attribute};

#[derive(Debug)]
struct Relationship {
    id: String,
    /// Last segment of the type, such as `styles` or `header`.
    kind: String,
    target: String,
}

/// The parts that one part refers to.
#[derive(Debug, Default)]
pub struct Relationships(Vec<Relationship>);

impl Relationships {
    /// Relationships of a part, or those of the package itself for an empty name.
    pub fn of(package: &mut Package<'_>, part: &str) -> Result<Self, ExtractionFailure> {
        let (folder, file) = part.rsplit_once('/').unwrap_or(("", part));
        let name = if folder.is_empty() { format!("_rels/{file}.rels") } else { format!("{folder}/_rels/{file}.rels") };
        let mut relationships = Vec::new();
        if let Some(xml) = package.read(&name)? {
            xml::walk(&xml, |step| {
                if let Step::Start(element, _) = step
                    && let Some(kind) = attribute(element, "Type")
                    && let Some(target) = attribute(element, "Target")
                {
                    let kind = kind.rsplit('/').next().unwrap_or_default().to_owned();
                    let id = attribute(element, "Id").unwrap_or_default();
                    relationships.push(Relationship { id, kind, target: part_name(folder, &target) });
                }
            })?;
        }
        Ok(Self(relationships))
    }

    pub fn of_kind(&self, kind: &str) -> Option<&str> {
        self.0.iter().find(|relationship| relationship.kind == kind).map(|found| found.target.as_str())
    }

    pub fn by_id(&self, id: &str) -> Option<&str> {
        self.0.iter().find(|relationship| relationship.id == id).map(|found| found.target.as_str())
    }
}

/// Name of the part that a target means, seen from a folder. Only ever compared with names in the package.
fn part_name(folder: &str, target: &str) -> String {
    if let Some(absolute) = target.strip_prefix('/') {
        return absolute.to_owned();
    }
    let mut segments: Vec<&str> = folder.split('/').filter(|segment| !segment.is_empty()).collect();
    for segment in target.split('/') {
        match segment {
            "." => {}
            ".." => {
                segments.pop();
            }
            name => segments.push(name),
        }
    }
    segments.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_seen_from_the_folder_of_their_part() {
        assert_eq!(part_name("word", "header1.xml"), "word/header1.xml");
        assert_eq!(part_name("word", "/word/header1.xml"), "word/header1.xml");
        assert_eq!(part_name("word", "../docProps/app.xml"), "docProps/app.xml");
        assert_eq!(part_name("", "./word/document.xml"), "word/document.xml");
        assert_eq!(part_name("", "../../etc/passwd"), "etc/passwd");
    }
}
