//! Draws up rubrics and grades resumes by comparing words, without a model and without a network.
//!
//! It stands in for an LLM until one is configured: the same text always gets the same grade, each grade names the
//! words it looked for and quotes the lines it found them in. What to look for comes from the job's own words; the
//! only lists here are of words that say nothing about a trade (function words, headings, degrees, month names).

mod chunks;
mod cues;
mod degrees;
mod demand;
mod evidence;
mod grade;
mod learning;
mod lexicon;
mod lines;
mod matching;
mod port;
mod posting;
mod report;
mod resume;
mod rubric;
mod sections;
mod stem;
mod tenure;
mod terms;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod trades;
mod words;
mod years;

pub use grade::grade;
pub use port::OfflineScorer;
pub use rubric::draw_up;

/// Named in every rubric and score, so that nobody takes them for an LLM's.
pub const MODEL: &str = "offline-lexical-1";
/// Version of the rules in this module; raised when the same texts would get another rubric or grade.
pub const PROMPT_VERSION: &str = "offline-1";
