//! When a feed that gets nothing from JetStream tries again, and when it says so.

use std::time::{Duration, Instant};

/// A server that was down is tried again after this.
const PAUSE: Duration = Duration::from_secs(1);
/// The first connection of a process may take so long before it is worth a warning.
const FIRST_CONNECTION: Duration = Duration::from_secs(5);

/// JetStream gives nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outage {
    since: Instant,
    retry_at: Instant,
    told: bool,
}

impl Outage {
    /// NATS is not asked yet.
    pub(super) fn lasts(&self, now: Instant) -> bool {
        now < self.retry_at
    }

    /// A warning was given, so that it is over is news too.
    pub(super) fn was_told(&self) -> bool {
        self.told
    }

    /// Begins or goes on with a failure at `now`. True when it is to be told: once, and of a connection that never was
    /// only when it takes longer than a start does.
    pub(super) fn failed(outage: &mut Option<Self>, starting: bool, now: Instant) -> bool {
        let outage = outage.get_or_insert(Self { since: now, retry_at: now, told: false });
        outage.retry_at = now + PAUSE;
        let news = !outage.told && (!starting || now.duration_since(outage.since) >= FIRST_CONNECTION);
        outage.told |= news;
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_was_lost_is_told_at_once_and_once() {
        let (mut outage, now) = (None, Instant::now());
        assert!(Outage::failed(&mut outage, false, now));
        assert!(!Outage::failed(&mut outage, false, now + FIRST_CONNECTION));
        assert!(outage.unwrap().was_told());
    }

    #[test]
    fn a_first_connection_is_given_time_and_told_once_when_it_does_not_come() {
        let (mut outage, now) = (None, Instant::now());
        for seconds in 0..FIRST_CONNECTION.as_secs() {
            assert!(!Outage::failed(&mut outage, true, now + Duration::from_secs(seconds)), "{seconds} s");
            assert!(!outage.unwrap().was_told(), "that it comes after {seconds} s is no news");
        }
        assert!(Outage::failed(&mut outage, true, now + FIRST_CONNECTION));
        assert!(!Outage::failed(&mut outage, true, now + 2 * FIRST_CONNECTION));
    }

    #[test]
    fn what_fails_in_another_way_while_it_starts_is_told_at_once() {
        let (mut outage, now) = (None, Instant::now());
        assert!(!Outage::failed(&mut outage, true, now));
        assert!(Outage::failed(&mut outage, false, now + PAUSE));
    }

    #[test]
    fn nats_is_not_asked_again_before_the_pause_is_over() {
        let (mut outage, now) = (None, Instant::now());
        Outage::failed(&mut outage, false, now);
        assert!(outage.unwrap().lasts(now + PAUSE / 2));
        assert!(!outage.unwrap().lasts(now + PAUSE));
    }
}
