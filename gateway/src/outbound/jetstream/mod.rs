//! NATS JetStream: the events' second home, where sequence is position, for readers in other processes.
//!
//! The database is the truth. The [`Relay`] publishes every position at the sequence of the same number, so that a
//! reader sees a loss as a jump in a number it already has; a [`JetStreamFeed`] mends it from the log, and goes on
//! from the log alone while NATS is down.

pub mod analytics;
mod connect;
mod feed;
mod message;
mod outage;
mod relay;
mod topology;
mod wakes;

pub use connect::{ConnectError, Credentials, Refusals, connect, connect_now};
pub use feed::{FeedCounters, JetStreamFeed, consumer_name};
pub use message::{EventMessage, MessageError, event};
pub use relay::{Blocker, Relay, RelayError, RelaySettings, RelayStatus};
pub use topology::{Consumer, Difference, StreamSettings, StreamState, Topology, TopologyError};
pub use wakes::wake_workers;
