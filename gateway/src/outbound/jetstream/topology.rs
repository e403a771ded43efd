//! Streams and consumers that the product makes, upgrades and repairs by itself.

use std::{error::Error, fmt::Debug, time::Duration};

use async_nats::{
    Client, HeaderMap,
    jetstream::{
        self, Context, ErrorCode,
        consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
        context::{CreateStreamError, CreateStreamErrorKind, GetStreamErrorKind, PublishError},
        stream::{Config, ConsumerErrorKind, DirectGetErrorKind, DiscardPolicy, Info, RetentionPolicy, StorageType},
    },
};

/// A message that is not acknowledged comes again after this time.
const ACK_WAIT: Duration = Duration::from_secs(30);
/// Messages that may wait for their acknowledgement: several of the largest reads.
const MAX_ACK_PENDING: i64 = 20_000;
const UNLIMITED: i64 = -1;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The events stream. It is a copy of the newest part of history, so its bounds are a matter of disk, not of safety.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSettings {
    pub name: String,
    /// Root of its subjects, without a dot at the end.
    pub subjects: String,
    pub max_age: Duration,
    pub max_bytes: u64,
    pub replicas: usize,
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self {
            name: "EVENTS".to_owned(),
            subjects: "starscreen.events.v1".to_owned(),
            max_age: Duration::from_hours(90 * 24),
            max_bytes: 10 << 30,
            replicas: 1,
        }
    }
}

/// What a stream holds: sequences `first` to `last`; `first` is `last + 1` when it holds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamState {
    pub first: u64,
    pub last: u64,
    pub bytes: u64,
}

/// Where a consumer is, for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumer {
    pub name: String,
    /// Sequence up to which everything is acknowledged.
    pub acknowledged: u64,
    pub unacknowledged: usize,
    /// Messages not delivered yet.
    pub pending: u64,
}

/// What of a stream is not as the settings want it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub property: &'static str,
    pub found: String,
    pub wanted: String,
}

type Cause = Box<dyn Error + Send + Sync>;

#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    #[error("there is no stream {0}; the relay makes it")]
    NoStream(String),
    #[error("NATS does not answer: {asked}")]
    Unreachable { asked: &'static str, source: Cause },
    #[error("NATS refuses: {asked}")]
    Refused { asked: &'static str, source: Cause },
    /// A server sets aside what a stream may hold at most, and has not so much.
    #[error(
        "NATS has no room for the events: the stream {stream} may hold {max_bytes} bytes; lower \
         STARSCREEN_NATS_MAX_BYTES, or raise max_file_store in nats.conf or free disk space"
    )]
    NoRoom { stream: String, max_bytes: u64, source: Cause },
    #[error(
        "{name} has {property} {found} and cannot be given {wanted} while it exists; remove it, and it is made again \
         from the log (a stream: `starscreen relay rebuild-stream`)"
    )]
    Fixed { name: String, property: &'static str, found: String, wanted: String },
}

/// The server's streams and consumers, seen with one connection's rights.
#[derive(Clone, Debug)]
pub struct Topology {
    context: Context,
    settings: StreamSettings,
}

impl Topology {
    pub fn new(client: Client, settings: StreamSettings) -> Self {
        let mut context = jetstream::new(client);
        context.set_timeout(REQUEST_TIMEOUT);
        Self { context, settings }
    }

    pub fn settings(&self) -> &StreamSettings {
        &self.settings
    }

    pub fn client(&self) -> Client {
        self.context.client()
    }

    pub(super) fn context(&self) -> &Context {
        &self.context
    }

    /// The stream as the settings want it: made when it is missing, with `first_sequence` as its first, and upgraded
    /// when it differs.
    ///
    /// # Errors
    /// [`TopologyError::Fixed`] when it differs in what cannot be changed, otherwise when NATS cannot be asked.
    pub async fn ensure(&self, first_sequence: u64) -> Result<StreamState, TopologyError> {
        let Some(found) = self.found().await? else { return self.create(first_sequence).await };
        let wanted = self.wanted(found.config.clone());
        if wanted == found.config {
            return Ok(state(&found.state));
        }
        self.can_become(&found.config, &wanted)?;
        let updated = self.context.update_stream(wanted).await;
        let updated = updated.map_err(|error| self.not_made("upgrade the stream", error))?;
        tracing::info!(stream = %self.settings.name, "the events stream is upgraded");
        Ok(state(&updated.state))
    }

    /// Throws the stream away, consumers and all, and makes it again.
    ///
    /// # Errors
    /// When NATS refuses or cannot be asked.
    pub async fn recreate(&self, first_sequence: u64) -> Result<StreamState, TopologyError> {
        if self.state().await?.is_some() {
            let deleted = self.context.delete_stream(&self.settings.name).await;
            deleted.map_err(|error| refused("delete the stream", error))?;
        }
        self.create(first_sequence).await
    }

    async fn create(&self, first_sequence: u64) -> Result<StreamState, TopologyError> {
        let config = Config { first_sequence: Some(first_sequence.max(1)), ..self.wanted(Config::default()) };
        let stream = self.context.create_stream(config).await;
        let stream = stream.map_err(|error| self.not_made("make the stream", error))?;
        tracing::info!(stream = %self.settings.name, event.position = first_sequence, "the events stream is made");
        Ok(state(&stream.cached_info().state))
    }

    fn not_made(&self, asked: &'static str, error: CreateStreamError) -> TopologyError {
        match error.kind() {
            CreateStreamErrorKind::JetStream(refusal) if is_of_space(&refusal) => self.no_room(refusal),
            CreateStreamErrorKind::TimedOut => unreachable(asked, error),
            _ => refused(asked, error),
        }
    }

    /// What a refused message says of the stream, when it is not of the message: it is full and cannot make room.
    pub(super) fn refused_for_space(&self, error: &PublishError) -> Option<TopologyError> {
        let refusal = error.source()?.downcast_ref::<jetstream::Error>()?;
        is_of_space(refusal).then(|| self.no_room(refusal.clone()))
    }

    fn no_room(&self, refusal: jetstream::Error) -> TopologyError {
        let StreamSettings { name, max_bytes, .. } = &self.settings;
        TopologyError::NoRoom { stream: name.clone(), max_bytes: *max_bytes, source: refusal.into() }
    }

    fn wanted(&self, base: Config) -> Config {
        Config {
            name: self.settings.name.clone(),
            subjects: vec![format!("{}.>", self.settings.subjects)],
            storage: StorageType::File,
            retention: RetentionPolicy::Limits,
            discard: DiscardPolicy::Old,
            max_age: self.settings.max_age,
            max_bytes: i64::try_from(self.settings.max_bytes).unwrap_or(i64::MAX),
            // Bounds of somebody else's would go on making gaps.
            max_messages: UNLIMITED,
            max_messages_per_subject: UNLIMITED,
            num_replicas: self.settings.replicas,
            deny_delete: true,
            deny_purge: true,
            allow_direct: true,
            ..base
        }
    }

    fn can_become(&self, found: &Config, wanted: &Config) -> Result<(), TopologyError> {
        let fixed = |property, found: &dyn Debug, wanted: &dyn Debug| TopologyError::Fixed {
            name: format!("stream {}", self.settings.name),
            property,
            found: format!("{found:?}"),
            wanted: format!("{wanted:?}"),
        };
        if found.storage != wanted.storage {
            return Err(fixed("storage", &found.storage, &wanted.storage));
        }
        if found.retention != wanted.retention {
            return Err(fixed("retention", &found.retention, &wanted.retention));
        }
        Ok(())
    }

    /// Where the stream stands, with what of it is not as the settings want it.
    ///
    /// # Errors
    /// When NATS cannot be asked.
    pub async fn look(&self) -> Result<Option<(StreamState, Vec<Difference>)>, TopologyError> {
        let Some(info) = self.found().await? else { return Ok(None) };
        let (found, wanted) = (&info.config, self.wanted(info.config.clone()));
        let properties: [(_, &dyn Debug, &dyn Debug); 10] = [
            ("subjects", &found.subjects, &wanted.subjects),
            ("storage", &found.storage, &wanted.storage),
            ("retention", &found.retention, &wanted.retention),
            ("discard", &found.discard, &wanted.discard),
            ("max_age", &found.max_age, &wanted.max_age),
            ("max_bytes", &found.max_bytes, &wanted.max_bytes),
            ("replicas", &found.num_replicas, &wanted.num_replicas),
            ("deny_delete", &found.deny_delete, &wanted.deny_delete),
            ("deny_purge", &found.deny_purge, &wanted.deny_purge),
            ("allow_direct", &found.allow_direct, &wanted.allow_direct),
        ];
        let differing = properties.into_iter().filter_map(|(property, found, wanted)| {
            let (found, wanted) = (format!("{found:?}"), format!("{wanted:?}"));
            (found != wanted).then_some(Difference { property, found, wanted })
        });
        Ok(Some((state(&info.state), differing.collect())))
    }

    /// `None` when there is no stream.
    ///
    /// # Errors
    /// When NATS cannot be asked.
    pub async fn state(&self) -> Result<Option<StreamState>, TopologyError> {
        Ok(self.found().await?.map(|info| state(&info.state)))
    }

    async fn found(&self) -> Result<Option<Info>, TopologyError> {
        match self.context.get_stream(&self.settings.name).await {
            Ok(stream) => Ok(Some(stream.cached_info().clone())),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => Ok(None),
                _ => Err(unreachable("where does the stream stand", error)),
            },
        }
    }

    /// The headers of the message at `sequence`; `None` when there is none.
    ///
    /// # Errors
    /// When NATS cannot be asked.
    pub async fn headers_at(&self, sequence: u64) -> Result<Option<HeaderMap>, TopologyError> {
        const ASKED: &str = "what is in this place of the stream";
        let stream = self.context.get_stream_no_info(&self.settings.name).await;
        let stream = stream.map_err(|error| unreachable(ASKED, error))?;
        match stream.direct_get(sequence).await {
            Ok(message) => Ok(Some(message.headers)),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
            Err(error) => Err(unreachable(ASKED, error)),
        }
    }

    /// The durable consumer called so, made when it is missing; it then begins after position `after`.
    ///
    /// # Errors
    /// [`TopologyError::Fixed`] when it differs in what cannot be changed, [`TopologyError::NoStream`], otherwise when
    /// NATS cannot be asked.
    pub async fn consumer(&self, name: &str, after: u64, filter: &str) -> Result<PullConsumer, TopologyError> {
        const ASKED: &str = "make the consumer";
        let stream = &self.settings.name;
        let found: Result<PullConsumer, _> = self.context.get_consumer_from_stream(name, stream).await;
        let wanted = |base: pull::Config| pull::Config {
            durable_name: Some(name.to_owned()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            max_deliver: UNLIMITED,
            max_ack_pending: MAX_ACK_PENDING,
            filter_subject: filter.to_owned(),
            ..base
        };
        let config = match found {
            Ok(consumer) => {
                let found = &consumer.cached_info().config;
                if found.ack_policy != AckPolicy::Explicit {
                    return Err(TopologyError::Fixed {
                        name: format!("consumer {name}"),
                        property: "acknowledgement",
                        found: format!("{:?}", found.ack_policy),
                        wanted: format!("{:?}", AckPolicy::Explicit),
                    });
                }
                let is_wanted = found.ack_wait == ACK_WAIT
                    && found.max_deliver == UNLIMITED
                    && found.max_ack_pending == MAX_ACK_PENDING
                    && found.filter_subject == filter;
                if is_wanted {
                    return Ok(consumer);
                }
                wanted(pull::Config { deliver_policy: found.deliver_policy, ..pull::Config::default() })
            }
            Err(error) => match error.kind() {
                ConsumerErrorKind::JetStream(error) if error.error_code() == ErrorCode::CONSUMER_NOT_FOUND => {
                    let deliver_policy = DeliverPolicy::ByStartSequence { start_sequence: after + 1 };
                    wanted(pull::Config { deliver_policy, ..pull::Config::default() })
                }
                ConsumerErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                    return Err(TopologyError::NoStream(stream.clone()));
                }
                _ => return Err(unreachable("where does the consumer stand", error)),
            },
        };
        let made = self.context.create_consumer_on_stream(config, stream).await;
        let made = made.map_err(|error| refused(ASKED, error))?;
        tracing::info!(stream = %stream, consumer = name, event.position = after, "a consumer is made or upgraded");
        Ok(made)
    }

    /// # Errors
    /// When NATS refuses or cannot be asked; that there is none is no error.
    pub async fn delete_consumer(&self, name: &str) -> Result<(), TopologyError> {
        match self.context.delete_consumer_from_stream(name, &self.settings.name).await {
            Ok(_) => Ok(()),
            Err(error) => match error.kind() {
                ConsumerErrorKind::JetStream(error)
                    if [ErrorCode::CONSUMER_NOT_FOUND, ErrorCode::STREAM_NOT_FOUND].contains(&error.error_code()) =>
                {
                    Ok(())
                }
                _ => Err(refused("delete the consumer", error)),
            },
        }
    }

    /// All consumers of the stream.
    ///
    /// # Errors
    /// When NATS cannot be asked.
    pub async fn consumers(&self) -> Result<Vec<Consumer>, TopologyError> {
        use futures::TryStreamExt;
        const ASKED: &str = "which consumers are there";
        let stream = self.context.get_stream_no_info(&self.settings.name).await;
        let consumers = stream.map_err(|error| unreachable(ASKED, error))?.consumers();
        let consumers = consumers.map_ok(|info| Consumer {
            acknowledged: info.ack_floor.stream_sequence,
            unacknowledged: info.num_ack_pending,
            pending: info.num_pending,
            name: info.name,
        });
        consumers.try_collect().await.map_err(|error| unreachable(ASKED, error))
    }
}

fn state(state: &jetstream::stream::State) -> StreamState {
    StreamState { first: state.first_sequence.max(1), last: state.last_sequence, bytes: state.bytes }
}

/// Of the server's disk, or of what an account may use of it.
fn is_of_space(refusal: &jetstream::Error) -> bool {
    let codes = [
        ErrorCode::STORAGE_RESOURCES_EXCEEDED,
        ErrorCode::ACCOUNT_RESOURCES_EXCEEDED,
        ErrorCode::INSUFFICIENT_RESOURCES,
    ];
    codes.contains(&refusal.error_code())
}

fn unreachable(asked: &'static str, source: impl Into<Cause>) -> TopologyError {
    TopologyError::Unreachable { asked, source: source.into() }
}

fn refused(asked: &'static str, source: impl Into<Cause>) -> TopologyError {
    TopologyError::Refused { asked, source: source.into() }
}
