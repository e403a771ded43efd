//! Archives made byte by byte, so that every one of them can be a lie.

use std::io::Write;

use flate2::{Compression, Crc, write::DeflateEncoder};

/// One entry, honest until it is changed.
#[derive(Clone)]
pub struct Made {
    pub name: Vec<u8>,
    pub flags: u16,
    pub method: u16,
    pub checksum: u32,
    pub packed: Vec<u8>,
    pub claimed_packed: u32,
    pub claimed_bytes: u32,
    pub mode: u16,
    pub extra: Vec<u8>,
    pub local_name: Option<Vec<u8>>,
    /// Claims to lie where another entry does, so that the bytes are not written twice.
    pub local_at: Option<u32>,
}

pub fn size(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap()
}

pub fn checksum(content: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(content);
    crc.sum()
}

pub fn deflate(content: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(vec![], Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

impl Made {
    pub fn stored(name: impl AsRef<[u8]>, content: &[u8]) -> Self {
        Self {
            name: name.as_ref().to_vec(),
            flags: 0,
            method: 0,
            checksum: checksum(content),
            packed: content.to_vec(),
            claimed_packed: size(content.len()),
            claimed_bytes: size(content.len()),
            mode: 0o100_644,
            extra: vec![],
            local_name: None,
            local_at: None,
        }
    }

    pub fn deflated(name: impl AsRef<[u8]>, content: &[u8]) -> Self {
        let packed = deflate(content);
        Self { method: 8, claimed_packed: size(packed.len()), packed, ..Self::stored(name, content) }
    }

    /// So many zeros, without their being made: the deflate stream of a block, again and again.
    pub fn zeros(name: impl AsRef<[u8]>, bytes: usize) -> Self {
        Self::deflated(name, &vec![0; bytes])
    }

    fn numbers(&self) -> Vec<u8> {
        [
            &[20, 0][..],
            &self.flags.to_le_bytes(),
            &self.method.to_le_bytes(),
            &[0, 0, 0, 0],
            &self.checksum.to_le_bytes(),
            &self.claimed_packed.to_le_bytes(),
            &self.claimed_bytes.to_le_bytes(),
        ]
        .concat()
    }

    fn local(&self) -> Vec<u8> {
        let name = self.local_name.as_ref().unwrap_or(&self.name);
        let lengths = u16::try_from(name.len()).unwrap().to_le_bytes();
        [b"PK\x03\x04".as_slice(), &self.numbers(), &lengths, &[0, 0], name, &self.packed].concat()
    }

    fn header(&self, at: u32) -> Vec<u8> {
        [
            b"PK\x01\x02\x14\x03".as_slice(),
            &self.numbers(),
            &u16::try_from(self.name.len()).unwrap().to_le_bytes(),
            &u16::try_from(self.extra.len()).unwrap().to_le_bytes(),
            &[0; 6],
            &[0, 0],
            &self.mode.to_le_bytes(),
            &self.local_at.unwrap_or(at).to_le_bytes(),
            &self.name,
            &self.extra,
        ]
        .concat()
    }
}

/// An end record that claims what it is told to.
pub fn end(entries: u16, bytes: u32, at: u32, comment: &[u8]) -> Vec<u8> {
    let lengths = u16::try_from(comment.len()).unwrap().to_le_bytes();
    let entries = entries.to_le_bytes();
    let numbers = [&entries[..], &entries, &bytes.to_le_bytes(), &at.to_le_bytes(), &lengths].concat();
    [b"PK\x05\x06\0\0\0\0".as_slice(), &numbers, comment].concat()
}

/// Everything but the end record; the directory's place and size.
pub fn body(entries: &[Made]) -> (Vec<u8>, u32, u32) {
    let (mut file, mut directory) = (vec![], vec![]);
    for entry in entries {
        directory.extend(entry.header(size(file.len())));
        if entry.local_at.is_none() {
            file.extend(entry.local());
        }
    }
    let (at, bytes) = (size(file.len()), size(directory.len()));
    file.extend(directory);
    (file, at, bytes)
}

pub fn archive(entries: &[Made]) -> Vec<u8> {
    commented(entries, b"")
}

pub fn commented(entries: &[Made], comment: &[u8]) -> Vec<u8> {
    let (mut file, at, bytes) = body(entries);
    file.extend(end(u16::try_from(entries.len()).unwrap(), bytes, at, comment));
    file
}
