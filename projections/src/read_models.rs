//! The read side as the gateway holds it: one cheap handle to run, ask, rebuild and watch.

use std::{path::Path, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use tokio::{
    sync::watch,
    task::{JoinError, JoinSet},
};

use crate::{
    AsOf, Feed, Opener, Parked, PostgresOptions, ProjectorStatus, ReadModelError, RebuildOptions, RebuildProgress,
    Rebuilt, Replayed, Whose,
    accounts::AccountsQuery,
    candidate_status::CandidateStatusQuery,
    db::Db,
    evaluations::EvaluationsQuery,
    jobs::JobsQuery,
    models::{model, models},
    monthly_usage::MonthlyUsageQuery,
    runtime::{
        Source, as_of, checkpoint,
        leader::{Election, Leading},
        parked,
        rebuild::Purpose,
        runner::Runner,
        waiting::Checkpoints,
    },
    subscriptions::SubscriptionsQuery,
    usage_entries::UsageEntriesQuery,
};

/// All read models. Clones share connections.
#[derive(Clone)]
pub struct ReadModels {
    pub(crate) db: Db,
    checkpoints: Arc<Checkpoints>,
}

/// How one projector is doing.
#[derive(Clone, Debug, PartialEq)]
pub struct ProjectionStatus {
    pub name: &'static str,
    pub status: ProjectorStatus,
    /// Last position that is in the table.
    pub position: u64,
    /// What it tries again and again, with status [`ProjectorStatus::Error`].
    pub error: Option<String>,
    /// Events set aside; `replay` tries them again.
    pub parked: u64,
    /// How far a rebuild beside it has come, while there is one.
    pub rebuilding: Option<u64>,
    /// When position or status last changed; `None`: it has never run.
    pub updated_at: Option<DateTime<Utc>>,
}

/// Projectors at work. Dropping it stops them at once, which loses nothing.
#[must_use]
pub struct Running {
    tasks: JoinSet<()>,
}

impl Running {
    /// Resolves when all of them have stopped, which `shutdown` asks for.
    ///
    /// # Errors
    /// When a task was ended by a panic, which is a bug in the runner.
    pub async fn stopped(mut self) -> Result<(), JoinError> {
        while let Some(task) = self.tasks.join_next().await {
            task?;
        }
        Ok(())
    }
}

impl ReadModels {
    /// Opens the read models in the SQLite file at `path`; creates it, and its directory, where there is none.
    ///
    /// # Errors
    /// When the file cannot be opened, or was written by a newer version of this program.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, ReadModelError> {
        let db = Db::open_sqlite(path.as_ref()).await?;
        Ok(Self { db, checkpoints: Arc::new(Checkpoints::new()) })
    }

    /// Connects to the read models on PostgreSQL. Never migrates: [`crate::schema::up`] does.
    ///
    /// # Errors
    /// [`ReadModelError::OlderSchema`] or [`ReadModelError::NewerSchema`], or when the database is out of reach or the
    /// login is no member of the role.
    pub async fn open_postgres(options: PostgresOptions) -> Result<Self, ReadModelError> {
        Ok(Self { db: Db::open_postgres(&options).await?, checkpoints: Arc::new(Checkpoints::new()) })
    }

    /// The same read models in another role, for a process that has both: what waits here is woken by projectors that
    /// are started there.
    ///
    /// # Errors
    /// As [`ReadModels::open_postgres`].
    pub async fn open_postgres_beside(&self, options: PostgresOptions) -> Result<Self, ReadModelError> {
        Ok(Self { db: Db::open_postgres(&options).await?, checkpoints: Arc::clone(&self.checkpoints) })
    }

    /// The same beside a server that may be of an older version, whose file is then refused and not upgraded.
    ///
    /// # Errors
    /// As [`ReadModels::open`], and when the file was written by an older version.
    pub async fn open_current(path: impl AsRef<Path>) -> Result<Self, ReadModelError> {
        let db = Db::open_current_sqlite(path.as_ref()).await?;
        Ok(Self { db, checkpoints: Arc::new(Checkpoints::new()) })
    }

    /// Closes all connections; for tidy ends, such as before the file is copied.
    pub async fn close(&self) {
        self.db.close().await;
    }

    /// Starts every projector, or only the one called so, each in a task of its own, until `shutdown` is true.
    ///
    /// # Errors
    /// [`ReadModelError::UnknownProjector`].
    pub fn start(
        &self,
        feed: Arc<dyn Feed>,
        opener: Arc<dyn Opener>,
        only: Option<&str>,
        shutdown: &watch::Receiver<bool>,
    ) -> Result<Running, ReadModelError> {
        let source = Source { feed, opener };
        let mut tasks = JoinSet::new();
        let mut election = Election::new(&self.db);
        for model in models(only)? {
            let runner = Runner {
                db: self.db.clone(),
                source: source.clone(),
                checkpoints: Arc::clone(&self.checkpoints),
                leading: election.as_mut().map_or_else(Leading::alone, |election| election.stand(model.name())),
            };
            tasks.spawn(model.run(runner, shutdown.clone()));
        }
        if let Some(election) = election {
            tasks.spawn(election.run(shutdown.clone()));
        }
        Ok(Running { tasks })
    }

    /// Whether all the read models of these names have seen `position` within `at_most`. For projectors of this process
    /// it wakes at once, for those of another it looks every 5 ms.
    pub async fn wait_for(&self, names: &[&'static str], position: u64, at_most: Duration) -> bool {
        self.checkpoints.wait_for(&self.db, names, position, at_most).await
    }

    /// # Errors
    /// When the database cannot be read.
    pub async fn status(&self) -> Result<Vec<ProjectionStatus>, ReadModelError> {
        let checkpoints = checkpoint::list(&self.db).await?;
        let parked = parked::counts(&self.db).await?;
        let find = |name: &str| checkpoints.iter().find(|checkpoint| checkpoint.name == name);
        let statuses = models(None)?.into_iter().map(|model| {
            let name = model.name();
            let live = find(name);
            ProjectionStatus {
                name,
                status: live.map_or(ProjectorStatus::Booting, |live| live.status),
                position: live.map_or(0, |live| live.position),
                error: live.and_then(|live| live.error.clone()),
                parked: parked.iter().find(|(parked, _)| parked == name).map_or(0, |(_, count)| count.unsigned_abs()),
                rebuilding: find(model.next_name()).map(|next| next.position),
                updated_at: live.map(|live| live.updated_at),
            }
        });
        Ok(statuses.collect())
    }

    /// At most `limit` events that `name` has set aside after position `after`, in order.
    ///
    /// # Errors
    /// [`ReadModelError::UnknownProjector`], or when the database cannot be read.
    pub async fn parked(&self, name: &str, after: u64, limit: u64) -> Result<Vec<Parked>, ReadModelError> {
        parked::list(&self.db, model(name)?.name(), after, limit).await
    }

    /// Folds the parked events of `name` again, after the fix, while its projector goes on.
    ///
    /// # Errors
    /// [`ReadModelError::UnknownProjector`], or when the history or the database is out of reach.
    pub async fn replay(
        &self,
        name: &str,
        feed: Arc<dyn Feed>,
        opener: Arc<dyn Opener>,
    ) -> Result<Replayed, ReadModelError> {
        model(name)?.replay(&self.db, &Source { feed, opener }).await
    }

    /// Builds the read model anew from the first event, beside the live one, and switches in one transaction.
    ///
    /// # Errors
    /// [`ReadModelError::UnknownProjector`], [`ReadModelError::RebuildRunning`], or when the history or the database is
    /// out of reach; the live table is then as it was.
    pub async fn rebuild(
        &self,
        name: &str,
        feed: Arc<dyn Feed>,
        opener: Arc<dyn Opener>,
        options: RebuildOptions,
        mut progress: impl FnMut(RebuildProgress) + Send,
    ) -> Result<Rebuilt, ReadModelError> {
        model(name)?.rebuild(&self.db, &Source { feed, opener }, options, Purpose::Switch, &mut progress).await
    }

    /// [`ReadModels::rebuild`] of all read models, one after the other.
    ///
    /// # Errors
    /// Of the first that fails; those before it are switched.
    pub async fn rebuild_all(
        &self,
        feed: Arc<dyn Feed>,
        opener: Arc<dyn Opener>,
        options: RebuildOptions,
        mut progress: impl FnMut(RebuildProgress) + Send,
    ) -> Result<Vec<Rebuilt>, ReadModelError> {
        let source = Source { feed, opener };
        let mut rebuilt = vec![];
        for model in models(None)? {
            rebuilt.push(model.rebuild(&self.db, &source, options, Purpose::Switch, &mut progress).await?);
        }
        Ok(rebuilt)
    }

    /// What the read models would have shown of `whose` at `time`, by folding the history up to there in memory.
    /// `progress` is told the position reached and the newest one.
    ///
    /// # Errors
    /// When the history or the keys are out of reach.
    pub async fn as_of(
        feed: Arc<dyn Feed>,
        opener: Arc<dyn Opener>,
        whose: Whose,
        time: DateTime<Utc>,
        mut progress: impl FnMut(u64, u64) + Send,
    ) -> Result<AsOf, ReadModelError> {
        as_of::as_of(&Source { feed, opener }, whose, time, &mut progress).await
    }

    /// Builds the read model anew from the first event, in its double, and compares it with the live one at the same
    /// position. The live table is left as it is.
    ///
    /// # Errors
    /// As [`ReadModels::rebuild`].
    pub async fn compare(
        &self,
        name: &str,
        feed: Arc<dyn Feed>,
        opener: Arc<dyn Opener>,
        batch: usize,
        mut progress: impl FnMut(RebuildProgress) + Send,
    ) -> Result<Rebuilt, ReadModelError> {
        let options = RebuildOptions { batch, diff: true };
        model(name)?.rebuild(&self.db, &Source { feed, opener }, options, Purpose::Audit, &mut progress).await
    }

    /// Stops a projector, wherever it runs, until [`ReadModels::resume`]; what it has is still served.
    ///
    /// # Errors
    /// [`ReadModelError::UnknownProjector`], or when the database cannot be written.
    pub async fn pause(&self, name: &str) -> Result<(), ReadModelError> {
        checkpoint::set_paused(&self.db, model(name)?.name(), true).await
    }

    /// # Errors
    /// [`ReadModelError::UnknownProjector`], or when the database cannot be written.
    pub async fn resume(&self, name: &str) -> Result<(), ReadModelError> {
        checkpoint::set_paused(&self.db, model(name)?.name(), false).await
    }

    pub fn candidate_status(&self) -> CandidateStatusQuery<'_> {
        CandidateStatusQuery(&self.db)
    }

    pub fn evaluations(&self) -> EvaluationsQuery<'_> {
        EvaluationsQuery(&self.db)
    }

    pub fn jobs(&self) -> JobsQuery<'_> {
        JobsQuery(&self.db)
    }

    pub fn accounts(&self) -> AccountsQuery<'_> {
        AccountsQuery(&self.db)
    }

    pub fn subscriptions(&self) -> SubscriptionsQuery<'_> {
        SubscriptionsQuery(&self.db)
    }

    pub fn monthly_usage(&self) -> MonthlyUsageQuery<'_> {
        MonthlyUsageQuery(&self.db)
    }
    pub fn usage_entries(&self) -> UsageEntriesQuery<'_> {
        UsageEntriesQuery(&self.db)
    }
}
