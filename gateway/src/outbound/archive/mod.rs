//! Reading a ZIP of resumes that may have been made to hurt: everything is counted while it is inflated.
//!
//! Sizes that an archive claims are never believed, names of entries never become paths, and what is refused is
//! refused before anything of it is kept.

mod directory;
mod names;
#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

use flate2::{Crc, read::DeflateDecoder};

use directory::{Listed, Packing};

/// Entries of an archive, folders included.
pub const MAX_ENTRIES: usize = 1_000;
/// Inflated bytes of one entry before it is called a bomb, which refuses the archive.
const MAX_ENTRY_BYTES: u64 = 20 << 20;
/// Inflated bytes of all entries together.
const MAX_TOTAL_BYTES: u64 = 200 << 20;
const CHUNK_BYTES: usize = 64 << 10;

const DAMAGED: &str = "The file is damaged in the archive.";
const TOO_LARGE: &str = "The file is too large for a resume.";

/// Why an archive is refused as a whole; each text is a sentence for the person.
#[derive(Debug, thiserror::Error)]
pub enum RefusedArchive {
    #[error("Invalid ZIP file. Pack the resumes into a new ZIP archive and upload that.")]
    Invalid,
    #[error("The ZIP archive has more than {MAX_ENTRIES} entries. Split it into several archives.")]
    TooManyEntries,
    #[error(
        "The ZIP archive unpacks to more than it may (20 MB for one file, 200 MB in all). Split it, or leave out what \
         is no resume."
    )]
    TooLarge,
    #[error("the file of the archive cannot be read")]
    Unavailable(#[source] io::Error),
}

impl From<io::Error> for RefusedArchive {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::UnexpectedEof => Self::Invalid,
            _ => Self::Unavailable(error),
        }
    }
}

/// One file of an archive.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// To ask for its content again.
    pub index: usize,
    /// To be shown, and nothing else.
    pub name: &'a str,
    /// Or the sentence that says why there is none.
    pub content: Result<&'a [u8], &'static str>,
}

/// An archive whose directory was read and found in order.
pub struct Archive<F> {
    file: F,
    entries: Vec<Listed>,
    max_file_bytes: u64,
}

impl<F: Read + Seek> Archive<F> {
    /// Reads the directory, and inflates nothing. Folders and what operating systems leave behind are left out.
    ///
    /// # Errors
    /// A [`RefusedArchive`] when the directory is not that of an honest archive.
    pub fn open(mut file: F, max_file_bytes: u64) -> Result<Self, RefusedArchive> {
        let entries = directory::read(&mut file)?;
        Ok(Self { file, entries, max_file_bytes })
    }

    /// Shows every file, one at a time, in the archive's order. Nothing should be kept before this has come to its end:
    /// the last entry may be the bomb.
    ///
    /// # Errors
    /// [`RefusedArchive::TooLarge`], or when the file cannot be read.
    pub fn look_through(&mut self, mut look: impl FnMut(Entry<'_>)) -> Result<(), RefusedArchive> {
        let mut left = MAX_TOTAL_BYTES;
        let mut content = Vec::new();
        for (index, listed) in self.entries.iter().enumerate() {
            let found = inflate(&mut self.file, listed, self.max_file_bytes, &mut left, &mut content)?;
            look(Entry { index, name: &listed.name, content: found.map(|()| content.as_slice()) });
        }
        Ok(())
    }

    /// The content of one file.
    ///
    /// # Errors
    /// [`RefusedArchive::Invalid`] when it has none, or when the file cannot be read.
    pub fn content(&mut self, index: usize) -> Result<Vec<u8>, RefusedArchive> {
        let listed = self.entries.get(index).ok_or(RefusedArchive::Invalid)?;
        let mut content = Vec::new();
        let mut left = MAX_ENTRY_BYTES;
        let found = inflate(&mut self.file, listed, self.max_file_bytes, &mut left, &mut content)?;
        found.map(|()| content).map_err(|_| RefusedArchive::Invalid)
    }
}

/// Inflates one entry into `content`, of which no more is kept than a resume may have. The inner error is that of this
/// one file.
fn inflate(
    file: &mut (impl Read + Seek),
    listed: &Listed,
    max_file_bytes: u64,
    left: &mut u64,
    content: &mut Vec<u8>,
) -> Result<Result<(), &'static str>, RefusedArchive> {
    content.clear();
    let packing = match listed.packing {
        Ok(packing) => packing,
        Err(reason) => return Ok(Err(reason)),
    };
    file.seek(SeekFrom::Start(listed.data_at))?;
    let packed = file.take(listed.packed_bytes);
    let mut stored;
    let mut deflated;
    let source: &mut dyn Read = match packing {
        Packing::Stored => {
            stored = packed;
            &mut stored
        }
        Packing::Deflated => {
            deflated = DeflateDecoder::new(packed);
            &mut deflated
        }
    };
    let mut checksum = Crc::new();
    let mut bytes = 0_u64;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = match source.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if is_damage(&error) => return Ok(Err(DAMAGED)),
            Err(error) => return Err(RefusedArchive::Unavailable(error)),
        };
        let Some(read) = chunk.get(..read) else { break };
        bytes += read.len() as u64;
        if bytes > MAX_ENTRY_BYTES || read.len() as u64 > *left {
            return Err(RefusedArchive::TooLarge);
        }
        *left -= read.len() as u64;
        checksum.update(read);
        if bytes <= max_file_bytes {
            content.extend_from_slice(read);
        }
    }
    Ok(if bytes != listed.bytes || checksum.sum() != listed.checksum {
        Err(DAMAGED)
    } else if bytes > max_file_bytes {
        Err(TOO_LARGE)
    } else {
        Ok(())
    })
}

/// What the inflater says of bytes that are no deflate stream, or of one that is cut off.
fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::InvalidData | ErrorKind::UnexpectedEof)
}
