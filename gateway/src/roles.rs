//! The composition root: which adapter stands behind which port, and which roles run in this process.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use starscreen_commands::{
    db::OpenError,
    ports::Llm,
    workers::{LaneSettings, Ports, Workers},
    write_side::WriteSide,
};
use starscreen_domain::work::Lane;
use starscreen_projections::{ReadModelError, ReadModels, Running};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::Settings,
    data_dir::{DataDir, DataDirError, READ_DB, WRITE_DB},
    http::{self, AppState, UploadMemory},
    outbound::{
        extract::Extractor,
        feed::LogFeed,
        keys::Keys,
        objects::ObjectFiles,
        offline::OfflineScorer,
        openai::{ConnectError, OpenAi, OpenAiOptions},
        temporary,
    },
    passwords::Passwords,
    sweep,
    tokens::Tokens,
};

/// Name and version in every event.
pub const SOURCE: &str = concat!("starscreen@", env!("CARGO_PKG_VERSION"));
/// How long requests and workers may take to finish after a stop is asked for.
const DRAIN: Duration = Duration::from_secs(25);
/// A work item is given away again after this time without a report.
const LEASE: Duration = Duration::from_mins(2);

/// Calls that one work item may make, one after the other.
const CALLS_AN_ITEM: u32 = 2;

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
    #[error("the language model cannot be used")]
    Llm(#[from] ConnectError),
    #[error("the write store cannot be used")]
    Store(#[from] starscreen_commands::error::CommandError),
    #[error("port {} is taken by another program; stop it, or choose another address with STARSCREEN_LISTEN (now {address})", address.port())]
    PortTaken { address: SocketAddr },
    #[error("cannot listen on {address}; check STARSCREEN_LISTEN")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("temporary files of a former server cannot be removed")]
    Temporary(#[source] io::Error),
    #[error("the program cannot find its own executable")]
    Executable(#[source] io::Error),
    #[error("the server failed")]
    Serve(#[source] io::Error),
}

/// The embedded store, opened: both sides, keys and files.
pub struct Opened {
    pub write: WriteSide,
    pub reads: ReadModels,
    pub vault: Arc<Keys>,
    pub objects: Arc<ObjectFiles>,
    pub feed: Arc<LogFeed>,
}

impl Opened {
    /// # Errors
    /// A [`StartError`] that says what is in the way.
    pub async fn open(settings: &Settings, dir: &DataDir) -> Result<Self, StartError> {
        Self::opened(settings, dir, true).await
    }

    /// For verbs, beside a server that may be of an older version: what is not of this one is refused and left as it is.
    ///
    /// # Errors
    /// A [`StartError`] that says what is in the way.
    pub async fn open_current(settings: &Settings, dir: &DataDir) -> Result<Self, StartError> {
        Self::opened(settings, dir, false).await
    }

    async fn opened(settings: &Settings, dir: &DataDir, upgrade: bool) -> Result<Self, StartError> {
        let master = dir.master_key(&settings.keys)?;
        // SQLite gives its side files the mode of the database.
        for database in [WRITE_DB, READ_DB] {
            dir.keep_private(database)?;
        }
        let (write, reads) = if upgrade {
            (WriteSide::open(&dir.write_db(), SOURCE).await?, ReadModels::open(dir.read_db()).await?)
        } else {
            (WriteSide::open_current(&dir.write_db(), SOURCE).await?, ReadModels::open_current(dir.read_db()).await?)
        };
        let vault = Arc::new(Keys::new(&master, write.registry.clone())?);
        let objects = Arc::new(ObjectFiles::in_directory(&dir.objects())?);
        let feed = Arc::new(LogFeed(write.log.clone()));
        Ok(Self { write, reads, vault, objects, feed })
    }

    pub async fn close(&self) {
        self.write.close().await;
        self.reads.close().await;
    }
}

/// Projectors and workers at work.
pub struct Background {
    projectors: Running,
    stop_projectors: watch::Sender<bool>,
    stop_workers: CancellationToken,
    workers: TaskTracker,
}

impl Background {
    /// Starts all projectors and all lanes over an opened store whose only server this process is.
    ///
    /// # Errors
    /// A [`StartError`] that says what is in the way.
    pub async fn start(settings: &Settings, opened: &Opened, llm: Arc<dyn Llm>) -> Result<Self, StartError> {
        let executable = std::env::current_exe().map_err(StartError::Executable)?;
        opened.write.queue.end_all_leases().await.map_err(starscreen_commands::CommandError::from)?;
        let (stop_projectors, stop) = watch::channel(false);
        let projectors = opened.reads.start(opened.feed.clone(), opened.vault.clone(), None, &stop)?;
        let ports = Ports {
            vault: opened.vault.clone(),
            objects: opened.objects.clone(),
            extractor: Arc::new(Extractor::new(executable, settings.workers.extract_parallel)),
            llm,
        };
        let workers = Workers::new(opened.write.bus.clone(), opened.write.queue.clone(), ports);
        let stop_workers = CancellationToken::new();
        let tracker = TaskTracker::new();
        let (objects, registry) = (opened.objects.clone(), opened.write.registry.clone());
        let stop_sweep = stop_workers.clone();
        tracker.spawn(async move { stop_sweep.run_until_cancelled(sweep::run(&objects, &registry)).await });
        for lane in Lane::ALL {
            // The lease of what waits for the model is longer than the model may take.
            let answers = Duration::from_secs(settings.openai.timeout_seconds) * CALLS_AN_ITEM;
            let (parallel, lease) = match lane {
                Lane::Extract => (settings.workers.extract_parallel, LEASE),
                Lane::Rubric => (settings.workers.rubric_parallel, LEASE + answers),
                Lane::Score => (settings.workers.score_parallel, LEASE + answers),
                Lane::React => (settings.workers.react_parallel, LEASE),
            };
            workers.start(lane, LaneSettings { parallel, lease }, stop_workers.clone(), &tracker);
        }
        Ok(Self { projectors, stop_projectors, stop_workers, workers: tracker })
    }

    /// Lets what has begun come to its end, for a bounded time; what does not is taken up at the next start.
    pub async fn stop(self) {
        self.stop_workers.cancel();
        self.workers.close();
        if tokio::time::timeout(DRAIN, self.workers.wait()).await.is_err() {
            tracing::warn!(
                waited_ms = DRAIN.as_millis(),
                "workers did not finish; their items are taken up again later"
            );
        }
        let _ = self.stop_projectors.send(true); // nobody listens any more: they have stopped already
        if let Err(error) = self.projectors.stopped().await {
            tracing::error!(error = %error, "a projector ended by a panic");
        }
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

/// Runs every role in this process until it is asked to stop.
///
/// # Errors
/// A [`StartError`] that says what is in the way.
pub async fn serve(settings: Arc<Settings>) -> Result<(), StartError> {
    let llm = language_model(&settings)?;
    let dir = DataDir::lock(&settings.data_dir)?;
    temporary::clean(&settings.data_dir).map_err(StartError::Temporary)?;
    let listener = listen(settings.listen).await?;
    let address = listener.local_addr().map_err(StartError::Serve)?;
    let opened = Opened::open(&settings, &dir).await?;
    let secret = dir.token_secret(settings.tokens.secret.as_ref())?;
    let background = Background::start(&settings, &opened, llm).await?;
    let app = Arc::new(AppState {
        bus: opened.write.bus.clone(),
        queue: opened.write.queue.clone(),
        reads: opened.reads.clone(),
        vault: opened.vault.clone(),
        objects: opened.objects.clone(),
        passwords: Passwords::new(std::thread::available_parallelism().map_or(2, usize::from)),
        tokens: Tokens::new(&secret, &settings.tokens),
        settings: Arc::clone(&settings),
        upload_memory: UploadMemory::default(),
    });
    let mut stop_asked_for = StopAskedFor::listen().map_err(StartError::Serve)?;
    tracing::info!(
        http.address = %address,
        data_dir = %settings.data_dir.display(),
        "starscreen listens on http://{address}; its interface is described at http://{address}/docs"
    );
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
    http::serve(listener, app, stopping, DRAIN).await;
    background.stop().await;
    opened.close().await;
    tracing::info!("stopped");
    drop(dir);
    Ok(())
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => StartError::PortTaken { address },
        _ => StartError::Listen { address, source },
    })
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
