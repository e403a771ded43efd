//! How a lane stands with the system that it calls. While that is down or refuses, the lane waits as a whole and one
//! item after another tries: an outage then costs one call and two commits a pause, however long the queue is.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use starscreen_domain::work::Lane;
use tokio::time::Instant;

use super::{Workers, spread};
use crate::ports::LlmError;

#[derive(Default)]
pub(super) struct Standing(Mutex<State>);

#[derive(Default)]
struct State {
    /// It answered since it last refused an item.
    answered: bool,
    hold: Hold,
    /// An item tries while the lane is held.
    trying: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Hold {
    #[default]
    No,
    /// For a moment, as far as this process knows.
    Until(Instant),
    /// By a pause in the store, for everybody to see.
    Paused,
}

impl Standing {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many of the free places may be filled.
    pub fn room(&self, free: usize) -> usize {
        let state = self.state();
        match state.hold {
            Hold::No => free,
            Hold::Until(until) if Instant::now() < until => 0,
            Hold::Until(_) | Hold::Paused => free.min(usize::from(!state.trying)),
        }
    }

    pub fn is_held(&self) -> bool {
        self.state().hold != Hold::No
    }

    /// Whether the item that is begun now is the one that tries.
    pub fn begin(&self) -> bool {
        let mut state = self.state();
        let tries = state.hold != Hold::No;
        state.trying |= tries;
        tries
    }

    pub fn end(&self) {
        self.state().trying = false;
    }

    /// Whether a refusal is the item's fault: others got an answer since the last one.
    pub fn answered_since_refusal(&self) -> bool {
        std::mem::take(&mut self.state().answered)
    }

    /// False when it was held already.
    fn hold_until(&self, until: Instant) -> bool {
        let mut state = self.state();
        let before = state.hold;
        state.hold = match before {
            Hold::No => Hold::Until(until),
            Hold::Until(other) => Hold::Until(until.max(other)),
            Hold::Paused => Hold::Paused,
        };
        before == Hold::No
    }

    /// False when it was paused already.
    pub fn pause(&self) -> bool {
        std::mem::replace(&mut self.state().hold, Hold::Paused) != Hold::Paused
    }
}

impl Workers {
    pub(super) fn standing(&self, lane: Lane) -> &Standing {
        &self.standings[lane as usize]
    }

    /// What the model says to an item of the lane. Whatever it says, a lane that was held for it goes on.
    pub(super) async fn answer<T>(
        &self,
        lane: Lane,
        call: impl Future<Output = Result<T, LlmError>>,
    ) -> Result<T, LlmError> {
        let answer = call.await;
        if let Ok(_) | Err(LlmError::Unusable { .. }) = &answer {
            self.has_answered(lane).await;
        }
        answer
    }

    /// What the lane calls has answered.
    pub(super) async fn has_answered(&self, lane: Lane) {
        self.standing(lane).state().answered = true;
        self.let_go(lane).await;
    }

    /// Takes over the pause that another process has left: without it, nobody would end it.
    pub(super) async fn take_over_pause(&self, lane: Lane) {
        if let Ok(Some(pause)) = self.queue.pause_of(lane).await
            && pause.until_ms.is_some()
        {
            self.standing(lane).pause();
        }
    }

    /// Ends a pause after which there is nothing left to try.
    pub(super) async fn let_go_if_empty(&self, lane: Lane) {
        if self.standing(lane).is_held() && self.queue.mended_if_empty(lane).await.unwrap_or_default() {
            self.let_go(lane).await;
        }
    }

    pub(super) async fn let_go(&self, lane: Lane) {
        let before = std::mem::take(&mut self.standing(lane).state().hold);
        match before {
            Hold::No => {}
            Hold::Until(_) => self.queue.wake(lane),
            Hold::Paused => {
                tracing::info!(lane = %lane, "the lane goes on");
                if let Err(error) = self.queue.mended(lane).await {
                    tracing::warn!(error = %error, "the pause of the lane could not be ended");
                }
            }
        }
    }

    /// Lets the lane wait for what has asked for a moment, which is no matter for a person.
    pub(super) fn hold_briefly(&self, lane: Lane, reason: &str, wait: Duration) {
        if self.standing(lane).hold_until(Instant::now() + spread(wait)) {
            tracing::info!(lane = %lane, reason, pause_ms = wait.as_millis(), "the lane waits");
        }
    }

    /// Lets the lane wait where everybody can see it; says whether that is new.
    pub(super) async fn pause_lane(&self, lane: Lane, reason: &str, wait: Duration) -> bool {
        let first = self.standing(lane).pause();
        if let Err(error) = self.queue.pause(lane, reason, Some(chrono::Utc::now() + wait)).await {
            tracing::warn!(error = %error, "the lane could not be paused");
        }
        first
    }
}
