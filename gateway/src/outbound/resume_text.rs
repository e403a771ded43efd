//! The text extractor's port over the child processes, with the contact data found in the text.

use async_trait::async_trait;
use starscreen_commands::ports::{ExtractorUnavailable, ResumeText, TextExtractor};
use starscreen_domain::candidate::{Failure, HiddenText};

use super::{
    contact,
    extract::{ExtractError, Extractor, FileKind},
};

#[async_trait]
impl TextExtractor for Extractor {
    async fn extract(
        &self,
        file_kind: &str,
        content: &[u8],
    ) -> Result<Result<ResumeText, Failure>, ExtractorUnavailable> {
        let kind = match file_kind {
            "pdf" => FileKind::Pdf,
            "docx" => FileKind::Docx,
            _ => FileKind::Doc,
        };
        match Extractor::extract(self, kind, content).await {
            Ok(found) => {
                let contact = contact::find(&found.text);
                let hidden = found
                    .hidden
                    .iter()
                    .map(|hidden| HiddenText {
                        technique: hidden.technique.name().to_owned(),
                        characters: hidden.characters as u64,
                    })
                    .collect();
                let (pages, cut_short) = (found.pages, found.truncated);
                Ok(Ok(ResumeText { text: found.text, pages, contact, cut_short, hidden }))
            }
            Err(ExtractError::File(failure)) => {
                Ok(Err(Failure { code: failure.code().to_owned(), sentence: failure.sentence().to_owned() }))
            }
            Err(error @ ExtractError::Unavailable(_)) => Err(ExtractorUnavailable(Box::new(error))),
        }
    }
}
