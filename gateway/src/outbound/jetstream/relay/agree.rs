//! Agreeing with the stream on where it ends, and mending it where it holds what the log does not.

use futures::{StreamExt, TryStreamExt, stream};

use super::{Relay, RelayError};
use crate::outbound::jetstream::{StreamState, message};

/// Places asked for at once.
const PARALLEL: usize = 64;

impl Relay {
    /// The position behind which to publish. Every place from `doubted` on, and the last ones anyway (whoever published
    /// them may be gone without having looked), holds what the log has there.
    pub(super) async fn agree(&self, doubted: u64) -> Result<u64, RelayError> {
        let head = self.log.head().await?;
        let existed = self.topology.state().await?;
        let state = self.topology.ensure(self.first_to_fill(head)).await?;
        match existed {
            None => self.made(),
            Some(_) => self.note_lost_tail(state.last),
        }
        let state = match self.foreign_place(state, doubted).await? {
            None => state,
            Some(place) => {
                tracing::error!(
                    event.position = place,
                    stream = %self.topology.settings().name,
                    "alarm: the events stream holds what the log does not; it is made again from the log"
                );
                self.status.send_modify(|status| status.foreign_found += 1);
                self.recreate(state.first.min(place).min(head + 1)).await?
            }
        };
        self.status.send_modify(|status| status.published = state.last);
        Ok(state.last)
    }

    /// The first place whose message is not the log's; places that were trimmed are no matter.
    async fn foreign_place(&self, state: StreamState, doubted: u64) -> Result<Option<u64>, RelayError> {
        let looked_back = u64::try_from(self.settings.window).unwrap_or(u64::MAX).saturating_mul(2);
        let mut from = (state.last + 1).saturating_sub(looked_back).min(doubted).max(state.first);
        while from <= state.last {
            let page = usize::try_from(state.last + 1 - from).unwrap_or(usize::MAX).min(512);
            let events = self.log.read_raw(from - 1, page).await?;
            if events.first().is_none_or(|event| event.position != from) {
                return Ok(Some(from)); // the stream goes on where the log has ended
            }
            let places = stream::iter(from..from + events.len() as u64);
            let mut headers = places.map(|place| self.topology.headers_at(place)).buffered(PARALLEL);
            for event in &events {
                if let Some(Some(headers)) = headers.try_next().await?
                    && !message::stands_for(&headers, event)
                {
                    return Ok(Some(event.position));
                }
            }
            from += events.len() as u64;
        }
        Ok(None)
    }

    pub(super) async fn recreate(&self, first: u64) -> Result<StreamState, RelayError> {
        let state = self.topology.recreate(first).await?;
        self.made();
        Ok(state)
    }

    /// The first position to publish on a stream that is made now.
    pub(super) fn first_to_fill(&self, head: u64) -> u64 {
        self.settings.refill.map_or(1, |refill| (head + 1).saturating_sub(refill).max(1))
    }

    fn made(&self) {
        self.status.send_modify(|status| status.streams_made += 1);
    }

    fn note_lost_tail(&self, last: u64) {
        let published = self.status.borrow().published;
        if last < published {
            tracing::warn!(
                event.position = last,
                lost = published - last,
                "the events stream has lost its newest messages; they are published again"
            );
            self.status.send_modify(|status| status.republished += published - last);
        }
    }
}
