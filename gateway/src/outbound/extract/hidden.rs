//! What was kept out of the text because no person would see it: by which technique, and how much.
//!
//! The hidden text itself never leaves the child: it was written to reach a reader who is not a person.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Invisible code points that honest programs leave behind, too few to be reported.
const HONEST_CODE_POINTS: usize = 3;

/// A way to hide text from a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Technique {
    /// Drawn with a mode that leaves no ink, or marked as hidden by Word.
    Invisible,
    /// Drawn, but next to transparent.
    Transparent,
    /// Smaller than anybody can read.
    Tiny,
    /// Outside of the page.
    OffPage,
    /// In the colour of what is behind it.
    BackgroundColour,
    /// Under a box or a picture, or clipped away.
    Covered,
    /// In a layer that is switched off.
    HiddenLayer,
    /// In a note that is not printed on the page.
    Annotation,
    /// In the properties of the file.
    Metadata,
    /// A replacement text that says something else than the glyphs it stands for.
    ActualText,
    /// Code points without width.
    ZeroWidth,
    /// Code points that turn the direction of the text around them.
    BidiControl,
    /// Code points that spell out text invisibly.
    TagCharacters,
    /// In markup that a word processor leaves out.
    IgnoredMarkup,
}

impl Technique {
    /// As events and the API spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Invisible => "invisible",
            Self::Transparent => "transparent",
            Self::Tiny => "tiny",
            Self::OffPage => "off_page",
            Self::BackgroundColour => "background_colour",
            Self::Covered => "covered",
            Self::HiddenLayer => "hidden_layer",
            Self::Annotation => "annotation",
            Self::Metadata => "metadata",
            Self::ActualText => "actual_text",
            Self::ZeroWidth => "zero_width",
            Self::BidiControl => "bidi_control",
            Self::TagCharacters => "tag_characters",
            Self::IgnoredMarkup => "ignored_markup",
        }
    }
}

/// How much was hidden by one technique.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HiddenText {
    pub technique: Technique,
    pub characters: usize,
}

/// Counts hidden characters while a file is read.
#[derive(Debug, Default)]
pub struct HiddenTally(BTreeMap<Technique, usize>);

impl HiddenTally {
    pub fn add(&mut self, technique: Technique, characters: usize) {
        if characters > 0 {
            *self.0.entry(technique).or_default() += characters;
        }
    }

    /// Counts the characters of `text` that would have left ink.
    pub fn add_text(&mut self, technique: Technique, text: &str) {
        self.add(technique, text.chars().filter(|c| !c.is_whitespace()).count());
    }

    pub fn into_report(self) -> Vec<HiddenText> {
        let telling = |(technique, characters): &(Technique, usize)| match technique {
            Technique::ZeroWidth | Technique::BidiControl => *characters > HONEST_CODE_POINTS,
            _ => true,
        };
        let report = |(technique, characters)| HiddenText { technique, characters };
        self.0.into_iter().filter(telling).map(report).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stray_zero_width_space_is_not_reported() {
        let mut tally = HiddenTally::default();
        tally.add(Technique::ZeroWidth, 3);
        tally.add(Technique::TagCharacters, 1);
        let reported: Vec<_> = tally.into_report().iter().map(|hidden| hidden.technique).collect();
        assert_eq!(reported, [Technique::TagCharacters]);
    }

    #[test]
    fn blanks_are_not_hidden_text() {
        let mut tally = HiddenTally::default();
        tally.add_text(Technique::Tiny, " \t ");
        tally.add_text(Technique::Covered, "a b");
        assert_eq!(tally.into_report(), [HiddenText { technique: Technique::Covered, characters: 2 }]);
    }
}
