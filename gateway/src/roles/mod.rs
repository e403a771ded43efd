//! The composition root: which adapter stands behind which port, and which roles run in this process.

mod background;
pub mod broker;
mod opened;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use starscreen_commands::{db::OpenError, ports::Llm};
use starscreen_domain::work::Lane;
use starscreen_projections::ReadModelError;
use tokio_util::sync::CancellationToken;

use crate::{
    config::Settings,
    data_dir::{DataDir, DataDirError},
    http::{self, AppState, Port, UploadMemory},
    metrics::{self, Counted, Metrics, Source},
    outbound::{
        jetstream::ConnectError as ConnectToNatsError,
        offline::OfflineScorer,
        openai::{ConnectError, OpenAi, OpenAiOptions},
        stripe, temporary,
    },
    passwords::Passwords,
    tokens::Tokens,
};

pub use background::{BILLING_PLACES, Background, CLOCK_PLACES, WEBHOOK_PLACES, stripe_payments};
pub use opened::{Acting, Opened};

/// Name and version in every event.
pub const SOURCE: &str = concat!("starscreen@", env!("CARGO_PKG_VERSION"));
/// How long requests and workers may take to finish after a stop is asked for.
const DRAIN: Duration = Duration::from_secs(25);

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error(transparent)]
    WriteStore(#[from] OpenError),
    #[error("the read models cannot be opened")]
    ReadModels(#[from] ReadModelError),
    #[error("the object store cannot be opened")]
    Objects(#[from] starscreen_commands::ports::ObjectsError),
    #[error("the keys cannot be used")]
    Keys(#[from] starscreen_commands::ports::VaultError),
    #[error(
        "parts run apart only over PostgreSQL: set DATABASE_URL, or run `starscreen` alone, which is all parts in one process"
    )]
    NeedsPostgres,
    #[error(
        "the data in the database is sealed under another master key: give this process the same, by STARSCREEN_MASTER_KEY or the file master.key of the data directory"
    )]
    OtherMasterKey,
    #[error("NATS cannot be used; check NATS_URL")]
    Nats(#[from] ConnectToNatsError),
    #[error(
        "analytics clients need STARSCREEN_NATS_CALLOUT_SEED (an account's seed), STARSCREEN_NATS_CALLOUT_PASSWORD and STARSCREEN_NATS_SYS_PASSWORD together"
    )]
    IncompleteCallout,
    #[error("the schema cannot be brought up to date")]
    Schema(#[from] starscreen_commands::schema::SchemaError),
    #[error("the language model cannot be used")]
    Llm(#[from] ConnectError),
    #[error("the payment provider cannot be used")]
    Payments(#[source] stripe::ConnectError),
    #[error("the write store cannot be used")]
    Store(#[from] starscreen_commands::error::CommandError),
    #[error("port {} is taken by another program; stop it, or choose another address with STARSCREEN_LISTEN (now {address})", address.port())]
    PortTaken { address: SocketAddr },
    #[error("cannot listen on {address}; check STARSCREEN_LISTEN")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("cannot tell metrics on {address}; check STARSCREEN_METRICS_LISTEN")]
    Metrics { address: SocketAddr, source: io::Error },
    #[error("temporary files of a former server cannot be removed")]
    Temporary(#[source] io::Error),
    #[error("the program cannot find its own executable")]
    Executable(#[source] io::Error),
    #[error("the server failed")]
    Serve(#[source] io::Error),
}

/// A part of the product that may run in a process of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// HTTP.
    Gateway,
    /// All projectors, or only the one called so.
    Projectors(Option<String>),
    /// Gives history its order, and distributes it where there is somebody to distribute it.
    Relay,
    Workers(Vec<Lane>),
}

impl Part {
    /// All that the product is.
    pub fn all() -> Vec<Self> {
        vec![Self::Relay, Self::Projectors(None), Self::Workers(Lane::ALL.to_vec()), Self::Gateway]
    }
}

/// The model that is set up, or what stands in for one; the log says which.
fn language_model(settings: &Settings) -> Result<Arc<dyn Llm>, ConnectError> {
    let openai = &settings.openai;
    let Some(api_key) = openai.api_key.clone() else {
        tracing::info!("rubrics and scores are made offline, without a language model; OPENAI_API_KEY sets one up");
        return Ok(Arc::new(OfflineScorer));
    };
    let model = OpenAi::connect(OpenAiOptions {
        api_key,
        base_url: openai.base_url.clone(),
        model: openai.model.clone(),
        temperature: openai.temperature,
        timeout: Duration::from_secs(openai.timeout_seconds),
    })?;
    tracing::info!(
        llm.model = %openai.model,
        llm.host = model.host(),
        "rubrics and scores are made by a language model; job descriptions and resumes are sent to it"
    );
    Ok(Arc::new(model))
}

/// Runs these parts in this process until it is asked to stop.
///
/// # Errors
/// A [`StartError`] that says what is in the way.
pub async fn serve(settings: Arc<Settings>, parts: Vec<Part>) -> Result<(), StartError> {
    let alone = settings.database.url.is_none();
    if alone && parts != Part::all() {
        return Err(StartError::NeedsPostgres);
    }
    let works = parts.iter().any(|part| matches!(part, Part::Workers(_)));
    let measures = match settings.metrics_listen {
        Some(address) => Some(Port::own(address).await.map_err(|source| StartError::Metrics { address, source })?),
        None => None,
    };
    let metrics = Metrics::default();
    let llm = if works { Some(language_model(&settings)?) } else { None };
    let llm = llm.map(|llm| Arc::new(Counted::new(llm, metrics.clone())) as Arc<dyn Llm>);
    let dir = if alone { DataDir::lock(&settings.data_dir)? } else { DataDir::share(&settings.data_dir)? };
    if alone {
        temporary::clean(&settings.data_dir).map_err(StartError::Temporary)?;
    }
    let gateway = parts.contains(&Part::Gateway);
    // Another gateway goes on when this one is restarted; of a whole product there is one.
    let shared = parts == [Part::Gateway];
    let port = if gateway { Some(take_port(settings.listen, shared).await?) } else { None };
    let opened = open(&settings, &dir, &parts).await?;
    let mut stop_asked_for = StopAskedFor::listen().map_err(StartError::Serve)?;
    let background = Background::start(&settings, &dir, &opened, &parts, llm, &metrics).await?;
    let stopping = CancellationToken::new();
    let stopped = stopping.clone();
    tokio::spawn(async move {
        stop_asked_for.recv().await;
        tracing::info!("stop asked for: finishing what has begun; ask again to stop at once");
        stopped.cancel();
        stop_asked_for.recv().await;
        tracing::warn!("stopped at once; what had begun is taken up at the next start");
        std::process::exit(130);
    });
    if let Some(port) = measures {
        tell_metrics(port, metrics.clone(), stopping.clone()).map_err(StartError::Serve)?;
    }
    if let Some(port) = port {
        answer(&settings, &dir, &opened, port, metrics, stopping).await?;
    } else {
        metrics.add(of_the_stores(&opened, &parts));
        tracing::info!(parts = ?parts, "starscreen runs");
        stopping.cancelled().await;
    }
    background.stop().await;
    opened.close().await;
    tracing::info!("stopped");
    drop(dir);
    Ok(())
}

/// What the first part opens; the others act over the same signals and files.
async fn open(settings: &Settings, dir: &DataDir, parts: &[Part]) -> Result<Opened, StartError> {
    if settings.database.url.is_none() {
        return Opened::embedded(settings, dir).await;
    }
    let acting = if parts.contains(&Part::Gateway) {
        Acting::Gateway
    } else if parts.iter().any(|part| matches!(part, Part::Workers(_))) {
        Acting::Worker
    } else if parts.contains(&Part::Relay) {
        Acting::Relay
    } else {
        Acting::Projector
    };
    Opened::acting(settings, dir, acting).await
}

/// Answers over HTTP until it is told to stop.
async fn answer(
    settings: &Arc<Settings>,
    dir: &DataDir,
    opened: &Opened,
    port: Port,
    metrics: Metrics,
    stopping: CancellationToken,
) -> Result<(), StartError> {
    let secret = dir.token_secret(settings.tokens.secret.as_ref())?;
    let overseer = opened.also(settings, dir, Acting::Operator).await?;
    metrics.add(of_the_stores(&overseer, &Part::all()));
    let app = Arc::new(AppState {
        bus: opened.write.bus.clone(),
        log: opened.write.log.clone(),
        queue: overseer.write.queue.clone(),
        all_log: overseer.write.log.clone(),
        all_reads: overseer.reads.clone(),
        reads: opened.reads.clone(),
        vault: opened.vault.clone(),
        objects: opened.objects.clone(),
        files: opened.objects.clone(),
        passwords: Passwords::new(std::thread::available_parallelism().map_or(2, usize::from)),
        tokens: Tokens::new(&secret, &settings.tokens),
        settings: Arc::clone(settings),
        upload_memory: UploadMemory::default(),
        payments: background::payments(settings)?,
        catalog: Arc::new(settings.catalog()),
        metrics,
    });
    let listener = port.open().map_err(|error| cannot_listen(settings.listen, error))?;
    let address = listener.address().map_err(StartError::Serve)?;
    tracing::info!(
        http.address = %address,
        data_dir = %settings.data_dir.display(),
        "starscreen listens on http://{address}; its interface is described at http://{address}/docs"
    );
    http::serve(listener, http::service(app), stopping, DRAIN).await;
    if settings.database.url.is_some() {
        overseer.close().await;
    }
    Ok(())
}

/// What these parts may see of the stores: a gateway, which has an overseer, everything.
fn of_the_stores(opened: &Opened, parts: &[Part]) -> Vec<Source> {
    let (queue, log) = (opened.write.queue.clone(), opened.write.log.clone());
    let source = |part: &Part| match part {
        Part::Relay if opened.write.signals.is_none() => None, // an embedded store orders events itself
        Part::Relay => Some(Source::Order { queue: queue.clone(), log: log.clone() }),
        Part::Projectors(only) => {
            let only = only.clone();
            Some(Source::ReadModels { reads: opened.reads.clone(), queue: queue.clone(), only })
        }
        Part::Workers(_) => Some(Source::Work(queue.clone())),
        Part::Gateway => None,
    };
    parts.iter().filter_map(source).collect()
}

/// Beside everything else; it ends first.
fn tell_metrics(port: Port, metrics: Metrics, stopping: CancellationToken) -> io::Result<()> {
    let listener = port.open()?;
    let address = listener.address()?;
    tracing::info!(metrics.address = %address, "metrics are told on http://{address}/metrics");
    tokio::spawn(http::serve(listener, metrics::service(metrics), stopping, Duration::ZERO));
    Ok(())
}

async fn take_port(address: SocketAddr, shared: bool) -> Result<Port, StartError> {
    let port = if shared { Port::shared(address) } else { Port::own(address).await };
    port.map_err(|error| cannot_listen(address, error))
}

fn cannot_listen(address: SocketAddr, source: io::Error) -> StartError {
    match source.kind() {
        io::ErrorKind::AddrInUse => StartError::PortTaken { address },
        _ => StartError::Listen { address, source },
    }
}

/// Ctrl-C and SIGTERM, listened for from its making on.
#[cfg(unix)]
struct StopAskedFor {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl StopAskedFor {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn recv(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
