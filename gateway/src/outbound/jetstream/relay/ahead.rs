//! Reads the log and makes its messages, a page ahead of what is being published.

use async_nats::jetstream::message::PublishMessage;
use chrono::{DateTime, Utc};
use starscreen_commands::store::{Log, RawEvent};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::{PAGE, RelayError};
use crate::outbound::jetstream::message::EventMessage;

/// Pages behind a position, in order, one at most ready before it is asked for. The reading ends when this is dropped.
pub(super) struct Ahead {
    pages: mpsc::Receiver<Result<Page, RelayError>>,
    _reading: AbortOnDropHandle<()>,
}

/// Some positions in order and without a gap; never none.
pub(super) struct Page {
    pub messages: Vec<Message>,
    /// When its first event was recorded.
    pub oldest: DateTime<Utc>,
}

/// One position, ready to be published on condition that the stream ends before it.
pub(super) struct Message {
    pub position: u64,
    pub subject: String,
    pub publish: PublishMessage,
}

/// What messages are made for.
#[derive(Clone)]
pub(super) struct Stream {
    pub name: String,
    pub subjects: String,
    pub max_bytes: usize,
}

impl Ahead {
    pub(super) fn of(log: Log, after: u64, stream: Stream) -> Self {
        let (ready, pages) = mpsc::channel(1);
        let reading = AbortOnDropHandle::new(tokio::spawn(async move {
            if let Err(error) = read(&log, after, &stream, &ready).await {
                let _ = ready.send(Err(error)).await; // who does not listen any more has failed by itself
            }
        }));
        Self { pages, _reading: reading }
    }

    /// # Errors
    /// When the log cannot be read, or has a gap; nothing comes after that.
    pub(super) async fn next(&mut self) -> Result<Page, RelayError> {
        self.pages.recv().await.unwrap_or(Err(RelayError::Log(sqlx::Error::WorkerCrashed)))
    }
}

/// Ends when nobody listens any more.
async fn read(
    log: &Log,
    mut after: u64,
    stream: &Stream,
    ready: &mpsc::Sender<Result<Page, RelayError>>,
) -> Result<(), RelayError> {
    while let Ok(place) = ready.reserve().await {
        let events = loop {
            let events = log.read_raw(after, PAGE).await?;
            if !events.is_empty() {
                break events;
            }
            log.wait(after).await;
        };
        let oldest = events[0].recorded_at;
        let whole = events.iter().zip(after + 1..).take_while(|(event, position)| event.position == *position).count();
        let messages: Vec<Message> = events[..whole].iter().map(|event| message(event, stream)).collect();
        after += messages.len() as u64;
        if whole > 0 {
            place.send(Ok(Page { messages, oldest }));
        }
        if let Some(event) = events.get(whole) {
            return Err(RelayError::Gap { expected: after + 1, found: event.position });
        }
    }
    Ok(())
}

fn message(event: &RawEvent, stream: &Stream) -> Message {
    let EventMessage { subject, headers, payload } = EventMessage::new(&stream.subjects, event, stream.max_bytes);
    let publish = PublishMessage::build()
        .headers(headers)
        .payload(payload.into())
        .expected_stream(&stream.name)
        .expected_last_sequence(event.position - 1);
    Message { position: event.position, subject, publish }
}
