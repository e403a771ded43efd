//! Files for the time of one request. They have no name, so they are gone with the request however it ends.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use uuid::Uuid;

use crate::data_dir::create_dir;

fn directory(data_dir: &Path) -> PathBuf {
    data_dir.join("tmp")
}

/// A file to write and read, gone when it is closed.
///
/// # Errors
/// When it cannot be made.
pub fn file(data_dir: &Path) -> io::Result<File> {
    let directory = directory(data_dir);
    create_dir(&directory)?;
    unnamed(&directory.join(Uuid::new_v4().to_string()))
}

#[cfg(unix)]
fn unnamed(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    fs::remove_file(path)?;
    Ok(file)
}

#[cfg(windows)]
fn unnamed(path: &Path) -> io::Result<File> {
    const DELETE_ON_CLOSE: u32 = 0x0400_0000;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    std::os::windows::fs::OpenOptionsExt::custom_flags(&mut options, DELETE_ON_CLOSE);
    options.open(path)
}

/// Removes what a killed server may have left between making a file and taking its name away.
///
/// # Errors
/// When it cannot be removed.
pub fn clean(data_dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory(data_dir)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, Write};

    use super::*;
    use crate::data_dir::ScratchDir;

    #[test]
    fn a_temporary_file_has_no_name_and_what_is_left_of_others_is_cleaned_away() {
        let scratch = ScratchDir::new();
        let mut temporary = file(scratch.path()).unwrap();
        temporary.write_all(b"resume").unwrap();
        temporary.rewind().unwrap();
        let mut text = String::new();
        temporary.read_to_string(&mut text).unwrap();
        assert_eq!(text, "resume");
        let directory = scratch.path().join("tmp");
        if cfg!(unix) {
            assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
        }
        fs::write(directory.join("left behind"), "resume").unwrap();
        clean(scratch.path()).unwrap();
        assert!(!directory.exists());
        clean(scratch.path()).unwrap();
    }
}
