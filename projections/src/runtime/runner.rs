//! Keeps one read model up to date: one task a projector, for as long as the process runs.

use std::{cmp::Ordering, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use tokio::{sync::watch, time::sleep};

use super::{
    Side, Source, batch,
    checkpoint::{self, Checkpoint, ProjectorStatus},
    leader::Leading,
    rebuild,
    waiting::Checkpoints,
};
use crate::{ReadModelError, db::Db, projector::Projector};

/// Events read at once. Rebuilding takes more; here a batch also bounds what a crash repeats.
const BATCH_EVENTS: usize = 1_000;
const PAUSE_POLL: Duration = Duration::from_millis(500);
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(5);

pub(crate) struct Runner {
    pub db: Db,
    pub source: Source,
    pub checkpoints: Arc<Checkpoints>,
    pub leading: Leading,
}

/// What a runner remembers between two steps.
#[derive(Default)]
struct Progress {
    /// `None`: to be loaded.
    checkpoint: Option<Checkpoint>,
    /// What the table says of this projector, as far as this process knows.
    reported: Option<(ProjectorStatus, Option<String>)>,
}

impl Progress {
    fn is_live(&self) -> bool {
        matches!(self.reported, Some((ProjectorStatus::Live, _)))
    }

    fn has_failed(&self) -> bool {
        matches!(self.reported, Some((ProjectorStatus::Error, _)))
    }
}

enum Step {
    /// There may be more at once.
    Advanced,
    /// Up to date with everything up to this position.
    CaughtUp(u64),
    Paused,
    /// The table belongs to a newer program.
    GivenWay,
}

/// Tells waiters that the projector no longer runs here, however its task ends.
struct Stopped<'a>(&'a Checkpoints, &'static str);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        self.0.publish(self.1, None);
    }
}

impl Runner {
    /// Runs projector `P` until `shutdown` is true or its sender is gone. Errors are reported in the table
    /// `projection` and tried again.
    pub(crate) async fn run<P: Projector>(mut self, mut shutdown: watch::Receiver<bool>) {
        let checkpoints = Arc::clone(&self.checkpoints);
        let _stopped = Stopped(&checkpoints, P::NAME);
        tokio::select! {
            () = self.lead_and_follow::<P>() => {}
            // An open transaction is rolled back as a whole when it is dropped.
            _ = shutdown.wait_for(|stop| *stop) => {}
        }
    }

    async fn lead_and_follow<P: Projector>(&mut self) {
        let mut leading = std::mem::replace(&mut self.leading, Leading::alone());
        loop {
            leading.begins().await;
            tokio::select! {
                () = self.follow::<P>() => {
                    leading.resign(); // who may lead a newer table must find the seat free
                    self.checkpoints.publish(P::NAME, None);
                    self.until_table_is_ours::<P>().await;
                }
                () = leading.ends() => self.checkpoints.publish(P::NAME, None),
            }
        }
    }

    async fn until_table_is_ours<P: Projector>(&self) {
        // Out of reach is not the other's: the next step reports it.
        while let Ok(Some(checkpoint)) = checkpoint::find(&self.db, P::NAME).await
            && checkpoint.version > P::VERSION
        {
            sleep(PAUSE_POLL).await;
        }
    }

    /// Ends when it gives way.
    async fn follow<P: Projector>(&self) {
        let mut progress = Progress::default();
        let mut retry = FIRST_RETRY;
        loop {
            // A projector must not end because of a bug in one step, and a panic has rolled back its transaction.
            let step = AssertUnwindSafe(self.step::<P>(&mut progress)).catch_unwind().await;
            match step.unwrap_or(Err(ReadModelError::Panicked)) {
                Ok(Step::Advanced) => retry = FIRST_RETRY,
                Ok(Step::CaughtUp(position)) => {
                    retry = FIRST_RETRY;
                    self.source.feed.wait(position).await;
                }
                Ok(Step::Paused) => sleep(PAUSE_POLL).await,
                Ok(Step::GivenWay) => return,
                Err(error) => {
                    progress.checkpoint = None;
                    self.report_error::<P>(&mut progress, &error).await;
                    sleep(retry).await;
                    retry = (retry * 2).min(LAST_RETRY);
                }
            }
        }
    }

    #[tracing::instrument(name = "projector.step", level = "debug", skip_all, fields(projector.name = P::NAME))]
    async fn step<P: Projector>(&self, progress: &mut Progress) -> Result<Step, ReadModelError> {
        let mut checkpoint = match progress.checkpoint.take() {
            Some(checkpoint) => checkpoint,
            None => self.load::<P>(progress).await?,
        };
        if checkpoint.status == ProjectorStatus::Paused {
            return Ok(Step::Paused);
        }
        match checkpoint.version.cmp(&P::VERSION) {
            Ordering::Equal => {}
            Ordering::Less => {
                self.upgrade::<P>(&checkpoint).await?;
                return Ok(Step::Advanced); // and loads the checkpoint of the new table
            }
            Ordering::Greater => {
                give_way::<P>(&checkpoint);
                return Ok(Step::GivenWay);
            }
        }
        // Read before the events: who reaches it has caught up, however much came in meanwhile.
        let head = if progress.is_live() { 0 } else { self.source.feed.head().await? };
        let batch = batch::gather::<P>(&self.source, checkpoint.position, BATCH_EVENTS).await?;
        if batch.last == 0 {
            return self.idle::<P>(progress, checkpoint).await;
        }
        if !batch::store::<P>(&self.db, Side::Live, &mut checkpoint, &batch).await? {
            return Ok(Step::Advanced); // somebody else moved it: load it again
        }
        self.checkpoints.publish(P::NAME, Some(checkpoint.position));
        tracing::debug!(event.position = checkpoint.position, "projected a batch");
        if checkpoint.position >= head {
            self.report::<P>(progress, ProjectorStatus::Live, None).await?;
        } else if progress.has_failed() {
            self.report::<P>(progress, ProjectorStatus::Booting, None).await?;
        }
        progress.checkpoint = Some(checkpoint);
        Ok(Step::Advanced)
    }

    async fn load<P: Projector>(&self, progress: &mut Progress) -> Result<Checkpoint, ReadModelError> {
        let checkpoint = checkpoint::load::<P>(&self.db).await?;
        if checkpoint.status == ProjectorStatus::Paused {
            progress.reported = None;
        } else if progress.reported.is_none() {
            rebuild::sweep::<P>(&self.db).await?;
            self.report::<P>(progress, ProjectorStatus::Booting, None).await?;
        }
        self.checkpoints.publish(P::NAME, Some(checkpoint.position));
        Ok(checkpoint)
    }

    /// There was nothing to read: either the table is up to date, or the history is shorter than the table remembers.
    async fn idle<P: Projector>(
        &self,
        progress: &mut Progress,
        checkpoint: Checkpoint,
    ) -> Result<Step, ReadModelError> {
        let position = checkpoint.position;
        let head = self.source.feed.head().await?;
        if head < position {
            return Err(ReadModelError::AheadOfHistory { position, head });
        }
        if head == position {
            self.report::<P>(progress, ProjectorStatus::Live, None).await?;
        }
        // Pauses and switches by other processes are noticed here when nothing comes in.
        let now = checkpoint::find(&self.db, P::NAME).await?;
        if now.as_ref().is_none_or(|now| now.status != ProjectorStatus::Live) {
            progress.reported = None; // somebody else has written over it: say it again
        }
        progress.checkpoint = now.filter(|now| now.position == position && now.status != ProjectorStatus::Paused);
        Ok(Step::CaughtUp(position))
    }

    /// The table was made by another version of this projector: builds the new one beside it.
    async fn upgrade<P: Projector>(&self, checkpoint: &Checkpoint) -> Result<(), ReadModelError> {
        tracing::info!(
            projector.name = P::NAME,
            from = checkpoint.version,
            to = P::VERSION,
            "rebuilding a read model whose projector has changed"
        );
        let options = rebuild::RebuildOptions::default();
        rebuild::rebuild::<P>(&self.db, &self.source, options, rebuild::Purpose::Switch, &mut |_| {}).await?;
        Ok(())
    }

    async fn report<P: Projector>(
        &self,
        progress: &mut Progress,
        status: ProjectorStatus,
        error: Option<String>,
    ) -> Result<(), ReadModelError> {
        let report = (status, error);
        if progress.reported.as_ref() == Some(&report) {
            return Ok(());
        }
        checkpoint::report(&self.db, P::NAME, status, report.1.as_deref()).await?;
        if status == ProjectorStatus::Live {
            tracing::info!(projector.name = P::NAME, "read model is up to date");
        }
        progress.reported = Some(report);
        Ok(())
    }

    /// Logged when it changes, not every time it is tried.
    async fn report_error<P: Projector>(&self, progress: &mut Progress, error: &ReadModelError) {
        let text = error.with_causes();
        let report = (ProjectorStatus::Error, Some(text.clone()));
        if progress.reported.as_ref() == Some(&report) {
            return;
        }
        tracing::error!(projector.name = P::NAME, error = text, "read model cannot be brought up to date; will retry");
        // Where the database itself is out of reach, only the log can say so.
        let _ = checkpoint::report(&self.db, P::NAME, ProjectorStatus::Error, Some(&text)).await;
        progress.reported = Some(report);
    }
}

/// A newer program has rebuilt the table for its own projector, as in a rolling upgrade: leaves it to that one. After
/// going back to the older program for good, an operator's rebuild makes the table its own again.
fn give_way<P: Projector>(checkpoint: &Checkpoint) {
    tracing::warn!(
        projector.name = P::NAME,
        table.version = checkpoint.version,
        projector.version = P::VERSION,
        "read model belongs to a newer version of this program and is left to it; `rebuild` takes it back"
    );
}
