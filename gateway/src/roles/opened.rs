//! The stores, opened in the role that a part of the product acts in.

use std::sync::Arc;

use secrecy::ExposeSecret;
use starscreen_commands::{CommandError, db, write_side::WriteSide};
use starscreen_projections::{self as projections, ReadModels};

use super::{SOURCE, StartError};
use crate::{
    config::Settings,
    data_dir::{DataDir, MasterKey, READ_DB, WRITE_DB, fingerprint},
    outbound::{feed::LogFeed, keys::Keys, objects::ObjectFiles},
};

/// Both sides, keys and files.
#[derive(Clone)]
pub struct Opened {
    pub write: WriteSide,
    pub reads: ReadModels,
    pub vault: Arc<Keys>,
    pub objects: Arc<ObjectFiles>,
    pub feed: Arc<LogFeed>,
}

/// As whom a part of the product acts in the database. An embedded store knows no roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acting {
    Gateway,
    Worker,
    Projector,
    /// Reads the log, and who may read it elsewhere.
    Relay,
    /// Sees everything, for operators' verbs and the health pages.
    Operator,
}

impl Acting {
    fn on_the_write_side(self) -> db::Role {
        match self {
            Self::Gateway => db::Role::Gateway,
            Self::Worker => db::Role::Worker,
            Self::Projector => db::Role::Projector,
            Self::Relay => db::Role::Sequencer,
            Self::Operator => db::Role::Operator,
        }
    }

    /// Workers and the relay read no read model; what they open is for nobody.
    fn on_the_read_side(self) -> projections::Role {
        match self {
            Self::Gateway | Self::Worker | Self::Relay => projections::Role::Gateway,
            Self::Projector => projections::Role::Projector,
            Self::Operator => projections::Role::Operator,
        }
    }

    /// Shares of a process's connections, of a hundred, for the write and the read side.
    fn shares(self) -> (u32, u32) {
        match self {
            Self::Gateway => (25, 20),
            Self::Worker => (20, 4),
            Self::Projector => (8, 20),
            Self::Relay => (12, 4),
            Self::Operator => (8, 4),
        }
    }
}

impl Opened {
    /// Everything, by whoever is at the keyboard: the embedded store, or PostgreSQL as the operator.
    ///
    /// # Errors
    /// A [`StartError`] that says what is in the way.
    pub async fn open(settings: &Settings, dir: &DataDir) -> Result<Self, StartError> {
        match &settings.database.url {
            // Beside a server that may be of an older version: a store that is not of this one is left as it is.
            None => Self::in_directory(settings, dir, false).await,
            Some(_) => Self::acting(settings, dir, Acting::Operator).await,
        }
    }

    /// The embedded store, brought up to date.
    ///
    /// # Errors
    /// A [`StartError`] that says what is in the way.
    pub async fn embedded(settings: &Settings, dir: &DataDir) -> Result<Self, StartError> {
        Self::in_directory(settings, dir, true).await
    }

    async fn in_directory(settings: &Settings, dir: &DataDir, upgrade: bool) -> Result<Self, StartError> {
        let master = dir.master_key(&settings.keys)?;
        // SQLite gives its side files the mode of the database.
        for database in [WRITE_DB, READ_DB] {
            dir.keep_private(database)?;
        }
        let (write, reads) = if upgrade {
            (WriteSide::open(&dir.write_db(), SOURCE).await?, ReadModels::open(dir.read_db()).await?)
        } else {
            (WriteSide::open_current(&dir.write_db(), SOURCE).await?, ReadModels::open_current(dir.read_db()).await?)
        };
        Self::over(write, reads, &master, Arc::new(ObjectFiles::open(&settings.objects, &dir.objects())?))
    }

    /// PostgreSQL, as somebody.
    ///
    /// # Errors
    /// A [`StartError`] that says what is in the way.
    pub async fn acting(settings: &Settings, dir: &DataDir, acting: Acting) -> Result<Self, StartError> {
        let master = dir.master_key(&settings.keys)?;
        let write = WriteSide::open_postgres(&write_options(settings, acting)?, SOURCE).await?;
        let known = write.registry.is_sealed_under(&fingerprint(&master)).await.map_err(CommandError::from)?;
        if !known {
            return Err(StartError::OtherMasterKey);
        }
        let reads = ReadModels::open_postgres(read_options(settings, acting)?).await?;
        Self::over(write, reads, &master, Arc::new(ObjectFiles::open(&settings.objects, &dir.objects())?))
    }

    /// The same as somebody else, in the same process.
    ///
    /// # Errors
    /// A [`StartError`] that says what is in the way.
    pub async fn also(&self, settings: &Settings, dir: &DataDir, acting: Acting) -> Result<Self, StartError> {
        if settings.database.url.is_none() {
            return Ok(self.clone());
        }
        let master = dir.master_key(&settings.keys)?;
        let write = self.write.in_role(&write_options(settings, acting)?, SOURCE).await?;
        let reads = self.reads.open_postgres_beside(read_options(settings, acting)?).await?;
        Self::over(write, reads, &master, Arc::clone(&self.objects))
    }

    fn over(
        write: WriteSide,
        reads: ReadModels,
        master: &MasterKey,
        objects: Arc<ObjectFiles>,
    ) -> Result<Self, StartError> {
        let vault = Arc::new(Keys::new(master, write.registry.clone())?);
        let feed = Arc::new(LogFeed(write.log.clone()));
        Ok(Self { write, reads, vault, objects, feed })
    }

    pub async fn close(&self) {
        self.write.close().await;
        self.reads.close().await;
    }
}

/// Connections for a share of all that the process may have; never none.
fn connections(settings: &Settings, share: u32) -> u32 {
    (settings.database.connections * share / 100).max(1)
}

fn url(settings: &Settings) -> Result<String, StartError> {
    let url = settings.database.url.as_ref().ok_or(StartError::NeedsPostgres)?;
    Ok(url.expose_secret().to_owned())
}

fn write_options(settings: &Settings, acting: Acting) -> Result<db::PostgresOptions, StartError> {
    let (share, _) = acting.shares();
    let role = acting.on_the_write_side();
    Ok(db::PostgresOptions { url: url(settings)?, role, max_connections: connections(settings, share) })
}

fn read_options(settings: &Settings, acting: Acting) -> Result<projections::PostgresOptions, StartError> {
    let (_, share) = acting.shares();
    let role = acting.on_the_read_side();
    Ok(projections::PostgresOptions { url: url(settings)?, role, max_connections: connections(settings, share) })
}

/// For the sequencer, which has one session of its own.
pub(super) fn sequencer_options(settings: &Settings) -> Result<db::PostgresOptions, StartError> {
    Ok(db::PostgresOptions { url: url(settings)?, role: db::Role::Sequencer, max_connections: 2 })
}
