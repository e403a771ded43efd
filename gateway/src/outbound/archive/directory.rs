//! The directory at the end of an archive, read strictly: what programs could read in two ways is refused.
//!
//! Ours and not a library's, because a library reads what the archive asks it to: all 200,000 names, a second
//! directory hidden in the comment, the last of two entries of one name. Here the directory has a bound, lies directly
//! before the end record, and has as many entries as that says. ZIP64 is for more than 4 GB, which is too large anyway.

use std::io::{Read, Seek, SeekFrom};

use super::{MAX_ENTRIES, RefusedArchive, names};

const FIRST_MARK: &[u8] = b"PK\x03\x04";
const ENTRY_MARK: &[u8] = b"PK\x01\x02";
const END_MARK: &[u8] = b"PK\x05\x06";
const LOCAL_BYTES: usize = 30;
const ENTRY_BYTES: usize = 46;
const END_BYTES: usize = 22;
const MAX_COMMENT_BYTES: u64 = 65_535;
/// Names of files are short.
const MAX_DIRECTORY_BYTES: u64 = MAX_ENTRIES as u64 * 1_024;

const FLAG_ENCRYPTED: u64 = 1;
const KIND_OF_FILE: u64 = 0o170_000;
const REGULAR: u64 = 0o100_000;

/// How the bytes of an entry are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    Stored,
    Deflated,
}

/// One entry of the directory that is a file; not a byte of it was looked at.
#[derive(Debug)]
pub(super) struct Listed {
    pub name: String,
    /// Or the sentence that says why it cannot be unpacked.
    pub packing: Result<Packing, &'static str>,
    pub data_at: u64,
    pub packed_bytes: u64,
    /// As the archive claims.
    pub bytes: u64,
    pub checksum: u32,
}

/// Where the directory is and how many entries it has.
struct End {
    entries: usize,
    at: u64,
    bytes: usize,
}

pub(super) fn read(file: &mut (impl Read + Seek)) -> Result<Vec<Listed>, RefusedArchive> {
    let End { entries, at, bytes } = find_end(file)?;
    let mut directory = vec![0; bytes];
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut directory)?;
    let mut rest = directory.as_slice();
    let mut listed = Vec::with_capacity(entries);
    let mut taken = Vec::with_capacity(entries);
    for _ in 0..entries {
        let entry = Header::split_off(&mut rest)?;
        let (data_at, end) = entry.extent(file)?;
        if end > at {
            return Err(RefusedArchive::Invalid);
        }
        taken.push((entry.local_at, end));
        listed.extend(entry.listed(data_at));
    }
    if !rest.is_empty() || overlap(taken) {
        return Err(RefusedArchive::Invalid);
    }
    Ok(listed)
}

/// Finds the end record, whose comment must be the last of the file.
fn find_end(file: &mut (impl Read + Seek)) -> Result<End, RefusedArchive> {
    let size = file.seek(SeekFrom::End(0))?;
    let mut mark = [0; 4];
    file.rewind()?;
    file.read_exact(&mut mark)?;
    if mark != FIRST_MARK && mark != END_MARK {
        return Err(RefusedArchive::Invalid);
    }
    let from = size.saturating_sub(END_BYTES as u64 + MAX_COMMENT_BYTES);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.take(END_BYTES as u64 + MAX_COMMENT_BYTES).read_to_end(&mut tail)?;
    let ends_the_file = |at: &usize| {
        let record = tail.get(*at..).unwrap_or_default();
        record.starts_with(END_MARK) && number(record, 20, 2) + END_BYTES as u64 == record.len() as u64
    };
    let found = (0..(tail.len() + 1).saturating_sub(END_BYTES)).rev().find(ends_the_file);
    let at_in_tail = found.ok_or(RefusedArchive::Invalid)?;
    let record = tail.get(at_in_tail..).unwrap_or_default();
    let (entries, bytes, at) = (number(record, 10, 2), number(record, 12, 4), number(record, 16, 4));
    let one_disk = number(record, 4, 4) == 0 && number(record, 8, 2) == entries;
    if entries > MAX_ENTRIES as u64 {
        return Err(RefusedArchive::TooManyEntries);
    }
    if !one_disk || bytes > MAX_DIRECTORY_BYTES || at + bytes != from + at_in_tail as u64 {
        return Err(RefusedArchive::Invalid);
    }
    let as_size = |number| usize::try_from(number).map_err(|_| RefusedArchive::Invalid);
    Ok(End { entries: as_size(entries)?, at, bytes: as_size(bytes)? })
}

/// One header of the directory.
struct Header<'a> {
    flags: u64,
    method: u64,
    checksum: u32,
    packed_bytes: u64,
    bytes: u64,
    unix_mode: u64,
    local_at: u64,
    name: &'a [u8],
}

impl<'a> Header<'a> {
    fn split_off(rest: &mut &'a [u8]) -> Result<Self, RefusedArchive> {
        let (fixed, after) = rest.split_at_checked(ENTRY_BYTES).ok_or(RefusedArchive::Invalid)?;
        if !fixed.starts_with(ENTRY_MARK) {
            return Err(RefusedArchive::Invalid);
        }
        let length = |at| usize::try_from(number(fixed, at, 2)).map_err(|_| RefusedArchive::Invalid);
        let (name_length, others) = (length(28)?, length(30)? + length(32)?);
        let (name, after) = after.split_at_checked(name_length).ok_or(RefusedArchive::Invalid)?;
        let (_, after) = after.split_at_checked(others).ok_or(RefusedArchive::Invalid)?;
        *rest = after;
        Ok(Self {
            flags: number(fixed, 8, 2),
            method: number(fixed, 10, 2),
            checksum: u32::try_from(number(fixed, 16, 4)).map_err(|_| RefusedArchive::Invalid)?,
            packed_bytes: number(fixed, 20, 4),
            bytes: number(fixed, 24, 4),
            unix_mode: number(fixed, 40, 2),
            local_at: number(fixed, 42, 4),
            name,
        })
    }

    /// Where its data begins and ends.
    fn extent(&self, file: &mut (impl Read + Seek)) -> Result<(u64, u64), RefusedArchive> {
        let mut local = [0; LOCAL_BYTES];
        file.seek(SeekFrom::Start(self.local_at))?;
        file.read_exact(&mut local)?;
        if !local.starts_with(FIRST_MARK) {
            return Err(RefusedArchive::Invalid);
        }
        let data_at = self.local_at + LOCAL_BYTES as u64 + number(&local, 26, 2) + number(&local, 28, 2);
        Ok((data_at, data_at + self.packed_bytes))
    }

    /// `None` for a folder, and for what operating systems leave behind.
    fn listed(self, data_at: u64) -> Option<Listed> {
        let path = names::path(self.name);
        if path.ends_with('/') || names::is_leftover(&path) {
            return None;
        }
        let name = names::shown(&path);
        let kind = self.unix_mode & KIND_OF_FILE;
        let packing = if kind != 0 && kind != REGULAR {
            Err("The entry is a link or a device, not a file.")
        } else if self.flags & FLAG_ENCRYPTED != 0 {
            Err("The file is protected by a password.")
        } else if names::extension(&name) == "zip" {
            Err("ZIP archives inside a ZIP archive are not opened.")
        } else {
            match self.method {
                0 => Ok(Packing::Stored),
                8 => Ok(Packing::Deflated),
                _ => Err("The file is packed in a way that is not supported."),
            }
        };
        let Self { checksum, packed_bytes, bytes, .. } = self;
        Some(Listed { name, packing, data_at, packed_bytes, bytes, checksum })
    }
}

/// Entries of an honest archive share no byte; those of a bomb do, to inflate the same bytes again and again.
fn overlap(mut extents: Vec<(u64, u64)>) -> bool {
    extents.sort_unstable();
    extents.windows(2).any(|pair| matches!(pair, [(_, end), (next, _)] if next < end))
}

/// The number in `bytes` bytes at `at`, least significant first; 0 beyond the end.
fn number(record: &[u8], at: usize, bytes: usize) -> u64 {
    let raw = record.get(at..at + bytes).unwrap_or_default();
    raw.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}
