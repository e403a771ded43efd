//! A history in memory that can lose, spoil and withhold events, and an opener without keys.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use starscreen_domain::{Clear, Delivery, Event, Recorded, TenantId, envelope::Unreadable};
use tokio::{sync::Notify, time::timeout};
use uuid::Uuid;

use super::fixtures::recorded;
use crate::{Feed, FeedError, Opener};

/// What a destroyed key leaves: the test opener reads it as erased.
pub(crate) const DESTROYED: &str = "destroyed";
/// The test opener cannot open it.
pub(crate) const DAMAGED: &str = "damaged";

#[derive(Default)]
pub(crate) struct Log {
    events: Mutex<Vec<Recorded<Event>>>,
    sequences: Mutex<HashMap<Uuid, u64>>,
    unreadable: Mutex<HashSet<u64>>,
    missing: Mutex<HashSet<u64>>,
    failures: AtomicUsize,
    /// Answers of `head` that are out of date, and by how many events.
    head_lag: Mutex<(usize, usize)>,
    most_at_once: AtomicUsize,
    added: Notify,
}

impl Log {
    pub(crate) fn new() -> Arc<Self> {
        let log = Self::default();
        log.most_at_once.store(usize::MAX, Ordering::SeqCst);
        Arc::new(log)
    }

    pub(crate) fn of(events: impl IntoIterator<Item = (TenantId, Uuid, Event)>) -> Arc<Self> {
        let log = Self::new();
        for (tenant, aggregate, event) in events {
            log.add(tenant, aggregate, event);
        }
        log
    }

    /// Appends an event and answers its position.
    pub(crate) fn add(&self, tenant: TenantId, aggregate: Uuid, event: impl Into<Event>) -> u64 {
        let mut events = self.events.lock().unwrap();
        let position = events.len() as u64 + 1;
        let mut sequences = self.sequences.lock().unwrap();
        let sequence = sequences.entry(aggregate).or_default();
        *sequence += 1;
        events.push(recorded(position, tenant, aggregate, *sequence, event.into()));
        drop(events);
        self.added.notify_waiters();
        position
    }

    pub(crate) fn events(&self) -> Vec<Recorded<Event>> {
        self.events.lock().unwrap().clone()
    }

    pub(crate) fn truncate(&self, to: usize) {
        self.events.lock().unwrap().truncate(to);
    }

    pub(crate) fn spoil(&self, position: u64) {
        self.unreadable.lock().unwrap().insert(position);
    }

    pub(crate) fn mend(&self) {
        self.unreadable.lock().unwrap().clear();
        self.missing.lock().unwrap().clear();
    }

    /// From now on, reads jump over `position`.
    pub(crate) fn lose(&self, position: u64) {
        self.missing.lock().unwrap().insert(position);
    }

    /// The next `reads` reads fail.
    pub(crate) fn fail(&self, reads: usize) {
        self.failures.store(reads, Ordering::SeqCst);
    }

    /// The next `answers` of `head` are so many events old.
    pub(crate) fn let_head_lag(&self, answers: usize, events: usize) {
        *self.head_lag.lock().unwrap() = (answers, events);
    }

    /// Reads give at most so many, and give way to others first.
    pub(crate) fn slow_down(&self, most_at_once: usize) {
        self.most_at_once.store(most_at_once, Ordering::SeqCst);
    }
}

#[async_trait]
impl Feed for Log {
    async fn read(&self, after: u64, limit: usize) -> Result<Vec<Delivery>, FeedError> {
        let failing = self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if failing.is_ok() {
            return Err(FeedError::new("the log is closed for cleaning"));
        }
        let most = self.most_at_once.load(Ordering::SeqCst);
        if most < usize::MAX {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let unreadable = self.unreadable.lock().unwrap().clone();
        let missing = self.missing.lock().unwrap().clone();
        let events = self.events.lock().unwrap();
        let rest = events.iter().skip(usize::try_from(after).unwrap());
        let deliveries = rest.filter(|event| !missing.contains(&event.position)).take(limit.min(most));
        Ok(deliveries.map(|event| deliver(event, unreadable.contains(&event.position))).collect())
    }

    async fn wait(&self, after: u64) {
        let added = self.added.notified();
        if self.head().await.is_ok_and(|head| head > after) {
            return;
        }
        let _ = timeout(Duration::from_millis(250), added).await;
    }

    async fn head(&self) -> Result<u64, FeedError> {
        let mut lag = self.head_lag.lock().unwrap();
        let head = self.events.lock().unwrap().len();
        if lag.0 == 0 {
            return Ok(head as u64);
        }
        lag.0 -= 1;
        Ok(head.saturating_sub(lag.1) as u64)
    }
}

fn deliver(event: &Recorded<Event>, unreadable: bool) -> Delivery {
    let position = event.position;
    if !unreadable {
        return Delivery { position, event: Ok(event.clone()) };
    }
    let unreadable = Unreadable {
        aggregate_type: event.aggregate_type.clone(),
        aggregate_id: event.aggregate_id,
        event_type: event.payload.event_type(),
        reason: "written by a program of next year".to_owned(),
    };
    Delivery { position, event: Err(unreadable) }
}

/// Takes the sealed bytes for the text.
pub(crate) struct TestOpener;

#[async_trait]
impl Opener for TestOpener {
    async fn open(&self, events: &mut [Recorded<Event>]) -> Result<Vec<Option<String>>, FeedError> {
        Ok(events.iter_mut().map(|event| open(&mut event.payload)).collect())
    }
}

pub(crate) fn open(event: &mut Event) -> Option<String> {
    for (field, sealed) in event.sealed_mut() {
        let text = String::from_utf8(sealed.data.clone()).unwrap();
        match text.as_str() {
            DESTROYED => sealed.open_with(Clear::Erased),
            DAMAGED => return Some(format!("{field} cannot be opened")),
            _ => sealed.open_with(Clear::Open(text)),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contracts::fixtures::{sealed, uploaded_with};

    #[test]
    fn the_test_opener_knows_damage_from_destruction() {
        let open = |text| open(&mut uploaded_with(sealed(text), None));
        assert!(open(DAMAGED).is_some() && open(DESTROYED).is_none());
    }
}
