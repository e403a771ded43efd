//! A body as it comes in: as slowly as the network has it, but not slower, and on disk instead of in memory, so that a
//! client that takes its time takes nobody else's room.

use std::{
    io::{self, SeekFrom},
    path::Path,
    time::Duration,
};

use axum::body::{Body, Bytes};
use futures::{StreamExt, stream};
use tokio::{
    fs::File,
    io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt},
    time::{Instant, timeout},
};

use super::error::ApiError;
use crate::outbound::temporary;

/// A body must not stop coming for longer.
const MAX_SILENCE: Duration = Duration::from_secs(10);
/// What a body may be waited for in all, beside the time that its bytes take at the least speed.
const GRACE: Duration = Duration::from_secs(30);
const LEAST_BYTES_A_SECOND: u32 = 32 * 1024;
/// Bytes over the limit that are read and thrown away, so that the client is there to read the answer.
pub const MAX_DRAIN_BYTES: usize = 64 << 20;
/// Of each body; the rest goes to a file. Most resumes are smaller.
const IN_MEMORY_BYTES: usize = 64 * 1024;
const READ_BYTES: usize = 64 * 1024;

/// How long a body has been waited for, and how much of it has come.
#[derive(Default)]
pub struct Pace {
    waited: Duration,
    bytes: usize,
}

impl Pace {
    /// Waits for what comes next, within reason.
    pub async fn next<T>(&mut self, part: impl Future<Output = T>) -> Result<T, ApiError> {
        let allowed = GRACE + Duration::from_secs(self.bytes as u64) / LEAST_BYTES_A_SECOND;
        let left = allowed.saturating_sub(self.waited);
        let begun = Instant::now();
        let came = timeout(MAX_SILENCE.min(left), part).await.map_err(|_| {
            ApiError::invalid("body", "", if left < MAX_SILENCE { "came too slowly" } else { "stopped coming" })
        })?;
        self.waited += begun.elapsed();
        Ok(came)
    }

    pub fn came(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// A body that has come whole.
pub struct Arrived {
    memory: Vec<u8>,
    file: Option<File>,
    pub bytes: usize,
}

impl Arrived {
    /// The body, or `None` when it is larger than `max_bytes`.
    pub async fn whole(
        body: Body,
        declared: Option<usize>,
        max_bytes: usize,
        data_dir: &Path,
    ) -> Result<Option<Self>, ApiError> {
        let mut over = declared.is_some_and(|bytes| bytes > max_bytes);
        let (mut arrived, mut pace) = (Self { memory: vec![], file: None, bytes: 0 }, Pace::default());
        let mut chunks = body.into_data_stream();
        while let Some(chunk) = pace.next(chunks.next()).await? {
            let chunk = chunk.map_err(|_| ApiError::invalid("body", "", "was cut off"))?;
            pace.came(chunk.len());
            over |= pace.bytes > max_bytes;
            if !over {
                arrived.keep(&chunk, data_dir).await.map_err(|error| ApiError::unavailable(&error))?;
            } else if pace.bytes > max_bytes.saturating_add(MAX_DRAIN_BYTES) {
                break;
            } else {
                arrived = Self { memory: vec![], file: None, bytes: 0 };
            }
        }
        if let Some(file) = &mut arrived.file {
            file.flush().await.map_err(|error| ApiError::unavailable(&error))?;
        }
        Ok((!over).then_some(arrived))
    }

    async fn keep(&mut self, chunk: &[u8], data_dir: &Path) -> io::Result<()> {
        self.bytes += chunk.len();
        match &mut self.file {
            Some(file) => file.write_all(chunk).await,
            None if self.bytes <= IN_MEMORY_BYTES => {
                self.memory.extend_from_slice(chunk);
                Ok(())
            }
            None => {
                let mut file = temporary_file(data_dir).await?;
                file.write_all(&std::mem::take(&mut self.memory)).await?;
                file.write_all(chunk).await?;
                self.file = Some(file);
                Ok(())
            }
        }
    }

    /// To be read again, piece by piece.
    pub async fn into_body(self) -> Result<Body, ApiError> {
        let Some(mut file) = self.file else { return Ok(Body::from(self.memory)) };
        file.seek(SeekFrom::Start(0)).await.map_err(|error| ApiError::unavailable(&error))?;
        let pieces = stream::try_unfold(file, |mut file| async {
            let mut piece = Vec::with_capacity(READ_BYTES);
            let read = (&mut file).take(READ_BYTES as u64).read_to_end(&mut piece).await?;
            Ok::<_, io::Error>((read > 0).then(|| (Bytes::from(piece), file)))
        });
        Ok(Body::from_stream(pieces))
    }
}

pub async fn temporary_file(data_dir: &Path) -> io::Result<File> {
    let data_dir = data_dir.to_owned();
    let made = tokio::task::spawn_blocking(move || temporary::file(&data_dir)).await;
    Ok(File::from_std(made.unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_dir::ScratchDir;

    async fn whole(bytes: usize, declared: Option<usize>, max_bytes: usize) -> Option<Vec<u8>> {
        let scratch = ScratchDir::new();
        let body: Vec<u8> = (0_u8..251).cycle().take(bytes).collect();
        let chunks = body.chunks(50_000).map(|chunk| Ok::<_, io::Error>(Bytes::copy_from_slice(chunk)));
        let body = Body::from_stream(stream::iter(chunks.collect::<Vec<_>>()));
        let arrived = Arrived::whole(body, declared, max_bytes, scratch.path()).await.ok().unwrap()?;
        assert_eq!(arrived.file.is_some(), bytes > IN_MEMORY_BYTES);
        assert!(arrived.memory.len() <= IN_MEMORY_BYTES && arrived.bytes == bytes);
        Some(axum::body::to_bytes(arrived.into_body().await.ok().unwrap(), usize::MAX).await.unwrap().to_vec())
    }

    #[tokio::test]
    async fn a_body_comes_as_it_was_sent_and_a_large_one_is_not_in_memory() {
        for bytes in [0, 100, IN_MEMORY_BYTES, IN_MEMORY_BYTES + 1, 1_000_000] {
            let expected: Vec<u8> = (0_u8..251).cycle().take(bytes).collect();
            assert!(whole(bytes, Some(bytes), 1_000_000).await.unwrap() == expected, "{bytes}");
        }
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_read_to_its_end_and_not_kept() {
        assert!(whole(100, Some(100), 100).await.is_some());
        assert!(whole(101, Some(101), 100).await.is_none());
        assert!(whole(101, None, 100).await.is_none());
        assert!(whole(200_000, None, 100_000).await.is_none());
    }

    #[tokio::test]
    async fn who_is_slower_than_the_least_speed_is_waited_for_no_longer() {
        let waited = |seconds: u64, bytes| Pace { waited: Duration::from_secs(seconds), bytes };
        let drop = async |mut pace: Pace| pace.next(tokio::time::sleep(Duration::from_millis(10))).await.is_ok();
        assert!(drop(waited(29, 0)).await);
        assert!(!drop(waited(30, 0)).await);
        assert!(drop(waited(300, 10 << 20)).await, "10 MB at 35 KB/s");
        assert!(!drop(waited(600, 5 << 20)).await, "5 MB at 8 KB/s");
    }
}
