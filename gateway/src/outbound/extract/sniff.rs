//! Decides what kind of file an upload is, by its first bytes and its name together.
//!
//! One alone is not enough: a name is a claim, and bytes can be a valid start of something nobody meant to upload.

use std::fmt;

/// A PDF may start late: viewers look for the mark this far.
const PDF_MARK_WITHIN_BYTES: usize = 1024;
const PDF_MARK: &[u8] = b"%PDF-";
const ZIP_MARK: &[u8] = b"PK\x03\x04";
/// Container of Office files before 2007, and of encrypted ones of any age.
pub const OLE_MARK: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";
/// Folder that a ZIP has when it is a Word document; entry names are readable in the raw bytes.
const WORD_FOLDER: &[u8] = b"word/";
/// Entry in UTF-16 that an OLE container has when it is a DOCX with a password.
const ENCRYPTED_PACKAGE: &[u8] = b"E\0n\0c\0r\0y\0p\0t\0e\0d\0P\0a\0c\0k\0a\0g\0e\0";

/// Kind of file, decided by content (magic bytes) and extension together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    Pdf,
    Docx,
    /// Word before 2007: recognised, and refused with advice by the extractor.
    Doc,
}

/// Why an upload is not taken in; each text is a sentence for the person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefusedFile {
    #[error("The file is empty.")]
    Empty,
    #[error("Only PDF and DOCX files can be read. Save the resume in one of these formats and upload it again.")]
    UnsupportedType,
    #[error(
        "The file is named .{extension}, but its content is {content}. Save the resume as PDF or DOCX and upload it \
         again."
    )]
    ContentMismatch { extension: FileKind, content: Content },
}

/// What the first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    Pdf,
    WordDocument,
    LegacyOffice,
    EncryptedOffice,
    OtherZip,
    Unknown,
}

/// Detects the kind of a file from its name and content.
///
/// # Errors
/// A [`RefusedFile`] when the file is empty, of no kind that we read, or not what its name says.
pub fn sniff(file_name: &str, bytes: &[u8]) -> Result<FileKind, RefusedFile> {
    let extension = extension(file_name).ok_or(RefusedFile::UnsupportedType)?;
    if bytes.is_empty() {
        return Err(RefusedFile::Empty);
    }
    match (extension, content(bytes)) {
        (FileKind::Pdf, Content::Pdf)
        | (FileKind::Docx, Content::WordDocument | Content::EncryptedOffice)
        | (FileKind::Doc, Content::LegacyOffice | Content::EncryptedOffice) => Ok(extension),
        (_, content) => Err(RefusedFile::ContentMismatch { extension, content }),
    }
}

fn extension(file_name: &str) -> Option<FileKind> {
    let (_, extension) = file_name.rsplit_once('.')?;
    match extension.to_ascii_lowercase().as_str() {
        "pdf" => Some(FileKind::Pdf),
        "docx" => Some(FileKind::Docx),
        "doc" => Some(FileKind::Doc),
        _ => None,
    }
}

fn content(bytes: &[u8]) -> Content {
    if bytes.starts_with(ZIP_MARK) {
        return if contains(bytes, WORD_FOLDER) { Content::WordDocument } else { Content::OtherZip };
    }
    if bytes.starts_with(OLE_MARK) {
        return if contains(bytes, ENCRYPTED_PACKAGE) { Content::EncryptedOffice } else { Content::LegacyOffice };
    }
    let start = &bytes[..bytes.len().min(PDF_MARK_WITHIN_BYTES)];
    if contains(start, PDF_MARK) { Content::Pdf } else { Content::Unknown }
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pdf => "pdf",
            Self::Docx => "docx",
            Self::Doc => "doc",
        })
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pdf => "a PDF",
            Self::WordDocument => "a Word document",
            Self::LegacyOffice => "an Office file of the format before 2007",
            Self::EncryptedOffice => "an Office file with a password",
            Self::OtherZip => "an archive without a Word document",
            Self::Unknown => "neither PDF nor Word",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_and_content_agree() {
        assert_eq!(sniff("cv.PDF", b"\xef\xbb\xbf%PDF-1.7"), Ok(FileKind::Pdf));
        assert_eq!(sniff("c.v.docx", b"PK\x03\x04....word/document.xml"), Ok(FileKind::Docx));
        assert_eq!(sniff("cv.doc", OLE_MARK), Ok(FileKind::Doc));
    }

    #[test]
    fn a_docx_with_a_password_is_still_a_docx() {
        assert_eq!(sniff("cv.docx", &[OLE_MARK, b"....", ENCRYPTED_PACKAGE].concat()), Ok(FileKind::Docx));
    }

    #[test]
    fn a_wrong_name_is_refused_with_both_sides() {
        let refused = sniff("cv.docx", b"%PDF-1.7").unwrap_err();
        assert_eq!(
            refused.to_string(),
            "The file is named .docx, but its content is a PDF. Save the resume as PDF or DOCX and upload it again."
        );
        for (name, bytes) in [
            ("sheet.docx", b"PK\x03\x04....xl/workbook.xml".as_slice()),
            ("cv.pdf", b"hello"),
            ("cv.docx", OLE_MARK),
            ("cv.doc", b"PK\x03\x04....word/document.xml"),
        ] {
            assert!(matches!(sniff(name, bytes), Err(RefusedFile::ContentMismatch { .. })), "{name}");
        }
    }

    #[test]
    fn other_types_are_refused_whatever_they_hold() {
        assert_eq!(sniff("cv.txt", b"%PDF-1.7"), Err(RefusedFile::UnsupportedType));
        assert_eq!(sniff("cv", b"%PDF-1.7"), Err(RefusedFile::UnsupportedType));
        assert_eq!(sniff("cv.pdf", b""), Err(RefusedFile::Empty));
    }

    #[test]
    fn a_mark_far_into_the_file_does_not_make_a_pdf() {
        let late = [vec![b' '; PDF_MARK_WITHIN_BYTES], PDF_MARK.to_vec()].concat();
        assert!(sniff("cv.pdf", &late).is_err());
    }
}
