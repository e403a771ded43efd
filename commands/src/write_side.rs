//! The write side as one thing to open and close: what the composition root, the contract suites and operator verbs
//! work with.

use std::path::Path;

use crate::{
    append::Writer,
    bus::Bus,
    db::{Db, OpenError},
    store::{EventRepository, Log, Registry},
    work::WorkQueue,
};

/// All parts of the write side over one database, with one writer task.
#[derive(Clone)]
pub struct WriteSide {
    pub bus: Bus,
    pub log: Log,
    pub registry: Registry,
    pub queue: WorkQueue,
    pub writer: Writer,
    pub db: Db,
}

impl WriteSide {
    /// Opens the embedded store. `source` names program and version in every event, such as `starscreen@0.1.0`.
    ///
    /// # Errors
    /// When the file cannot be opened, or was written by a newer version of this program.
    pub async fn open(path: &Path, source: &str) -> Result<Self, OpenError> {
        Self::over(Db::open_sqlite(path).await?, source).await
    }

    /// The same beside a server that may be of an older version, whose store is then refused and not upgraded.
    ///
    /// # Errors
    /// As [`WriteSide::open`], and when the file was written by an older version.
    pub async fn open_current(path: &Path, source: &str) -> Result<Self, OpenError> {
        Self::over(Db::open_current_sqlite(path).await?, source).await
    }

    /// The same over a database that is open already.
    ///
    /// # Errors
    /// When the log's head cannot be read.
    pub async fn over(db: Db, source: &str) -> Result<Self, OpenError> {
        let writer = Writer::start(db.clone()).await?;
        let registry = Registry::new(db.clone());
        let bus = Bus::new(EventRepository::new(db.clone()), registry.clone(), writer.clone(), source);
        let log = Log::new(db.clone(), writer.head());
        let queue = WorkQueue::new(db.clone(), writer.wakes());
        Ok(Self { bus, log, registry, queue, writer, db })
    }

    /// Writes out what is waiting, then lets go of the database. Later commands are refused as stopped.
    pub async fn close(&self) {
        self.writer.stop().await;
        self.db.close().await;
    }
}
