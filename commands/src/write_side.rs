//! The write side as one thing to open and close: what the composition root, the contract suites and operator verbs
//! work with.

use std::path::Path;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    append::{Writer, read_head},
    bus::Bus,
    db::{Db, OpenError, PostgresOptions},
    signals::Signals,
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
    /// Only over PostgreSQL, which other processes use too.
    pub signals: Option<Signals>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl WriteSide {
    /// Opens the embedded store. `source` names program and version in every event, such as `starscreen@0.1.0`.
    ///
    /// # Errors
    /// When the file cannot be opened, or was written by a newer version of this program.
    pub async fn open(path: &Path, source: &str) -> Result<Self, OpenError> {
        Self::over(Db::open_sqlite(path).await?, source, None, CancellationToken::new(), TaskTracker::new()).await
    }

    /// The same beside a server that may be of an older version, whose store is then refused and not upgraded.
    ///
    /// # Errors
    /// As [`WriteSide::open`], and when the file was written by an older version.
    pub async fn open_current(path: &Path, source: &str) -> Result<Self, OpenError> {
        let db = Db::open_current_sqlite(path).await?;
        Self::over(db, source, None, CancellationToken::new(), TaskTracker::new()).await
    }

    /// Connects to PostgreSQL.
    ///
    /// # Errors
    /// When it cannot be reached, or its schema is not this program's.
    pub async fn open_postgres(options: &PostgresOptions, source: &str) -> Result<Self, OpenError> {
        let db = Db::open_postgres(options).await?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let signals = Signals::start(options, read_head(&db).await?, stop.clone(), &tasks)?;
        Self::over(db, source, Some(signals), stop, tasks).await
    }

    /// The same database in another role of this process, hearing the same signals; close it before this one.
    ///
    /// # Errors
    /// As [`WriteSide::open_postgres`].
    pub async fn in_role(&self, options: &PostgresOptions, source: &str) -> Result<Self, OpenError> {
        let db = Db::open_postgres(options).await?;
        Self::over(db, source, self.signals.clone(), CancellationToken::new(), TaskTracker::new()).await
    }

    async fn over(
        db: Db,
        source: &str,
        signals: Option<Signals>,
        stop: CancellationToken,
        tasks: TaskTracker,
    ) -> Result<Self, OpenError> {
        let writer = Writer::start(db.clone(), signals.clone()).await?;
        let registry = Registry::new(db.clone());
        let bus = Bus::new(EventRepository::new(db.clone()), registry.clone(), writer.clone(), source);
        let log = Log::new(db.clone(), writer.head());
        let queue = WorkQueue::new(db.clone(), writer.wakes());
        Ok(Self { bus, log, registry, queue, writer, db, signals, stop, tasks })
    }

    /// Writes out what is waiting, then lets go of the database. Later commands are refused as stopped.
    pub async fn close(&self) {
        self.writer.stop().await;
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.db.close().await;
    }
}
