//! States of recently used aggregates: a decision loads only the events after them.

use std::{any::Any, collections::HashMap, sync::Arc};

use starscreen_domain::TenantId;
use uuid::Uuid;

/// States kept; the least used half goes when there are more.
const MAX_STATES: usize = 4_096;

/// Type, tenant and id: another tenant's aggregate is another stream, one without events.
pub type StreamId = (&'static str, Option<TenantId>, Uuid);

/// One aggregate after the event of this sequence.
pub struct Kept {
    pub stream: StreamId,
    pub sequence: u64,
    pub state: Arc<dyn Any + Send + Sync>,
}

#[derive(Default)]
pub struct States {
    kept: HashMap<StreamId, (u64, Arc<dyn Any + Send + Sync>, u64)>,
    clock: u64,
}

impl States {
    pub fn get<A: Send + Sync + 'static>(&mut self, stream: StreamId) -> Option<(u64, Arc<A>)> {
        self.clock += 1;
        let (sequence, state, used) = self.kept.get_mut(&stream)?;
        *used = self.clock;
        Some((*sequence, Arc::clone(state).downcast::<A>().ok()?))
    }

    /// Keeps a state unless a later one is known.
    pub fn put(&mut self, Kept { stream, sequence, state }: Kept) {
        self.clock += 1;
        if self.kept.get(&stream).is_none_or(|(known, ..)| *known < sequence) {
            self.kept.insert(stream, (sequence, state, self.clock));
        }
        if self.kept.len() > MAX_STATES {
            let middle = self.clock.saturating_sub(MAX_STATES as u64 / 2);
            self.kept.retain(|_, (.., used)| *used > middle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_states_used_least_go_first() {
        let mut states = States::default();
        let ids: Vec<Uuid> = (0..=MAX_STATES).map(|n| Uuid::from_u128(n as u128)).collect();
        for id in &ids {
            states.put(Kept { stream: ("job", None, *id), sequence: 1, state: Arc::new(7_u8) });
        }
        assert!(states.get::<u8>(("job", None, ids[0])).is_none());
        assert_eq!(states.get::<u8>(("job", None, ids[MAX_STATES])), Some((1, Arc::new(7))));
    }

    #[test]
    fn an_older_state_does_not_replace_a_later_one() {
        let mut states = States::default();
        let stream = ("job", None, Uuid::nil());
        for sequence in [2, 1] {
            states.put(Kept { stream, sequence, state: Arc::new(sequence) });
        }
        assert_eq!(states.get::<u64>(stream), Some((2, Arc::new(2))));
    }
}
