//! What the machine below says: disk, permissions, and whether files can be written. For the doctor and the health pages.

use std::{io, path::Path};

use starscreen_commands::ports::{Objects, ObjectsError};
use uuid::Uuid;

/// Free disk space below which uploads are about to fail.
pub const LEAST_FREE_BYTES: u64 = 512 << 20;

/// Whether other users of this machine can look into it.
#[cfg(unix)]
pub fn others_may_look(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
pub fn others_may_look(_: &Path) -> bool {
    false
}

/// Bytes that may still be written beside `path`; `None` where the system does not say.
///
/// # Errors
/// When the file system cannot be asked.
#[cfg(unix)]
#[expect(clippy::useless_conversion, reason = "their width differs between systems")]
pub fn free_bytes(path: &Path) -> io::Result<Option<u64>> {
    let told = nix::sys::statvfs::statvfs(path)?;
    Ok(Some(u64::from(told.blocks_available()).saturating_mul(u64::from(told.fragment_size()))))
}

#[cfg(not(unix))]
pub fn free_bytes(_: &Path) -> io::Result<Option<u64>> {
    Ok(None)
}

/// Writes, reads and deletes a file of its own.
///
/// # Errors
/// When one of it cannot be done.
pub async fn probe(objects: &dyn Objects) -> Result<(), ObjectsError> {
    let key = format!("{}/{}/probe", Uuid::nil(), Uuid::now_v7());
    objects.put(&key, b"probe".to_vec()).await?;
    let read = objects.get(&key).await;
    objects.delete(&key).await?;
    read.map(drop)
}
