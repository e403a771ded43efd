//! Of several processes with the same projector one leads, and the others stand by.
//!
//! On PostgreSQL a leader holds a session lock for each of its projectors, on a connection of its own that it pings all
//! the time and that the server ends after [`SILENCE`]. A leader that is killed loses it at once, one that is stopped
//! within that time, and nobody has to compare clocks, write while there is nothing to do, or have the right to end
//! another's session. What a leader that wakes up again still wants to write, the checkpoint refuses: leading saves
//! double work and is what a consumer of a stream needs, but the rows are right without it.
//!
//! An embedded store has one server, which holds a lock on its directory; what operators do beside it keeps to the
//! checkpoint alone.

use std::{convert::Infallible, time::Duration};

use sqlx::{Connection, PgConnection};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use crate::db::{Db, Session, lead_no_more, try_to_lead};

/// The server ends a leader's session that it has not heard of for so long.
const SILENCE: Duration = Duration::from_millis(1_500);
/// Between two pings of a leader, and between two tries of who stands by.
const BEAT: Duration = Duration::from_millis(250);
/// A ping without an answer for so long ends leading here before the server does it there.
const UNANSWERED: Duration = Duration::from_millis(1_000);

/// A projector's side of its seat: whether this process leads it, and whether it wants to.
pub(crate) struct Leading(Option<Candidacy>);

struct Candidacy {
    leads: watch::Receiver<bool>,
    stands: watch::Sender<bool>,
}

impl Leading {
    /// Nobody else can be there.
    pub(crate) fn alone() -> Self {
        Self(None)
    }

    /// Stands for the lead until this process has it.
    pub(crate) async fn begins(&mut self) {
        self.stand(true);
        self.until(true).await;
    }

    pub(crate) async fn ends(&mut self) {
        self.until(false).await;
    }

    /// Leaves the lead to others.
    pub(crate) fn resign(&self) {
        self.stand(false);
    }

    fn stand(&self, stands: bool) {
        if let Some(candidacy) = &self.0 {
            candidacy.stands.send_replace(stands);
        }
    }

    async fn until(&mut self, leads: bool) {
        let reached = match &mut self.0 {
            None if leads => return,
            None => false,
            Some(candidacy) => candidacy.leads.wait_for(|known| *known == leads).await.is_ok(),
        };
        if !reached {
            std::future::pending::<()>().await; // alone for ever, or the election is over with the process
        }
    }
}

/// A seat for each projector of this process.
pub(crate) struct Election {
    session: Session,
    seats: Vec<Seat>,
}

struct Seat {
    name: &'static str,
    leads: watch::Sender<bool>,
    stands: watch::Receiver<bool>,
}

impl Election {
    /// `None`: there is nothing to elect.
    pub(crate) fn new(db: &Db) -> Option<Self> {
        match db {
            Db::Sqlite { .. } => None,
            Db::Postgres(server) => Some(Self { session: server.session().clone(), seats: vec![] }),
        }
    }

    pub(crate) fn stand(&mut self, name: &'static str) -> Leading {
        let ((leads, known), (stand, stands)) = (watch::channel(false), watch::channel(false));
        self.seats.push(Seat { name, leads, stands });
        Leading(Some(Candidacy { leads: known, stands: stand }))
    }

    /// Leads whatever nobody else leads, until `shutdown` is true or its sender is gone.
    pub(crate) async fn run(self, mut shutdown: watch::Receiver<bool>) {
        tokio::select! {
            () = self.lead_for_ever() => {}
            _ = shutdown.wait_for(|stop| *stop) => {}
        }
    }

    async fn lead_for_ever(&self) {
        loop {
            let Err(error) = self.lead().await;
            for Seat { name, leads, .. } in &self.seats {
                if leads.send_replace(false) {
                    tracing::warn!(projector.name = name, %error, "leads no more: its session with the database is over");
                }
            }
            sleep(BEAT).await;
        }
    }

    async fn lead(&self) -> Result<Infallible, sqlx::Error> {
        let mut session = answered(self.session.start(SILENCE)).await?;
        loop {
            answered(self.beat(&mut session)).await?;
            sleep(BEAT).await;
        }
    }

    async fn beat(&self, session: &mut PgConnection) -> Result<(), sqlx::Error> {
        session.ping().await?;
        for Seat { name, leads, stands } in &self.seats {
            let (stands, leading) = (*stands.borrow(), *leads.borrow());
            if stands && !leading && try_to_lead(session, name).await? {
                tracing::info!(projector.name = name, "leads");
                leads.send_replace(true);
            } else if leading && !stands {
                lead_no_more(session, name).await?;
                leads.send_replace(false);
            }
        }
        Ok(())
    }
}

async fn answered<T>(answer: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    timeout(UNANSWERED, answer).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}
