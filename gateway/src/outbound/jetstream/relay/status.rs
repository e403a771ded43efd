//! What the relay tells operators: how far it is, and what stands in its way.

use chrono::{DateTime, Utc};

/// What keeps the relay from publishing, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocker {
    /// NATS is down, or does not answer in time.
    Unreachable,
    /// NATS has no room for the stream.
    Space,
    /// NATS refuses something: the user may not, a setting is not possible.
    Refused,
    /// The stream is not as it should be; most of it mends itself.
    Stream,
    /// The log cannot be read.
    Log,
}

impl Blocker {
    pub const ALL: [Self; 5] = [Self::Unreachable, Self::Space, Self::Refused, Self::Stream, Self::Log];

    /// Of its name.
    pub fn called(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|blocker| blocker.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Space => "space",
            Self::Refused => "refused",
            Self::Stream => "stream",
            Self::Log => "log",
        }
    }
}

/// For metrics and `doctor`. The counters only grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RelayStatus {
    /// Newest position that the stream is known to hold.
    pub published: u64,
    /// Newest position of the log when it was last looked at.
    pub head: u64,
    /// When the oldest event that is not published yet was recorded.
    pub oldest_waiting: Option<DateTime<Utc>>,
    /// Since when nothing can be published.
    pub blocked_since: Option<DateTime<Utc>>,
    pub blocked_by: Option<Blocker>,
    pub last_error: Option<String>,
    /// Alarm: how often content was found on the stream that is not the log's.
    pub foreign_found: u64,
    /// How often the stream was made, for the first time or again.
    pub streams_made: u64,
    /// Positions that were published again because the stream had lost them.
    pub republished: u64,
}

impl RelayStatus {
    pub fn lag_positions(&self) -> u64 {
        self.head.saturating_sub(self.published)
    }

    /// How long the oldest unpublished event has been waiting.
    pub fn lag_seconds(&self, now: DateTime<Utc>) -> f64 {
        let waiting = self.oldest_waiting.map_or(chrono::TimeDelta::zero(), |since| now - since);
        waiting.as_seconds_f64().max(0.0)
    }
}
