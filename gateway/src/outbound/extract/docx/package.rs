//! Opens the ZIP package of a DOCX within limits.
//!
//! Sizes that a ZIP declares are claims, so the limits count the bytes that really come out. Entry names are only
//! compared, never used as paths.

use std::io::{Cursor, Read};

use zip::ZipArchive;
use zip::result::ZipError;

use super::super::ExtractionFailure;

const MAX_ENTRIES: usize = 2_000;
/// Text of a long resume takes 100 kB, the styles of Word another 500 kB.
const MAX_PART_BYTES: u64 = 16 << 20;
const MAX_TOTAL_BYTES: u64 = 48 << 20;

pub struct Package<'a> {
    archive: ZipArchive<Cursor<&'a [u8]>>,
    bytes_left: u64,
}

impl<'a> Package<'a> {
    pub fn open(bytes: &'a [u8]) -> Result<Self, ExtractionFailure> {
        let archive = ZipArchive::new(Cursor::new(bytes)).map_err(|_| ExtractionFailure::BrokenFile)?;
        if archive.len() > MAX_ENTRIES {
            return Err(ExtractionFailure::TooComplex);
        }
        Ok(Self { archive, bytes_left: MAX_TOTAL_BYTES })
    }

    /// Inflates one part; `None` when the package has none of this name.
    pub fn read(&mut self, name: &str) -> Result<Option<Vec<u8>>, ExtractionFailure> {
        let entry = match self.archive.by_name(name) {
            Ok(entry) => entry,
            Err(ZipError::FileNotFound) => return Ok(None),
            Err(ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED)) => {
                return Err(ExtractionFailure::PasswordProtected);
            }
            Err(_) => return Err(ExtractionFailure::BrokenFile),
        };
        let limit = MAX_PART_BYTES.min(self.bytes_left);
        let mut bytes = Vec::new();
        entry.take(limit + 1).read_to_end(&mut bytes).map_err(|_| ExtractionFailure::BrokenFile)?;
        let inflated = bytes.len() as u64;
        if inflated > limit {
            return Err(ExtractionFailure::TooComplex);
        }
        self.bytes_left -= inflated;
        Ok(Some(bytes))
    }

    pub fn has_pictures(&self) -> bool {
        self.archive.file_names().flatten().any(|name| name.starts_with("word/media/"))
    }
}
