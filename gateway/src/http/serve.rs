//! Connections and their ends: accepts within bounds, parts with clients that are too slow, and drains when it is asked
//! to stop.
//!
//! What counts is waiting for the client: a timer runs only while the server would read and nothing has come, or would
//! write and nothing is taken. A slow handler never costs a client its connection.

use std::{
    convert::Infallible,
    io::{self, IoSlice},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, header},
};
use hyper::{
    Request, Response,
    body::{Body as HttpBody, Frame, Incoming, SizeHint},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{Notify, Semaphore},
    time::{Instant, Sleep, sleep, sleep_until, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use super::{Listener, Service};

/// Connections that are open at the same time; the next waits to be accepted.
const MAX_CONNECTIONS: u64 = 1_024;
/// File descriptors that are left for everything else.
const OTHER_FILES: u64 = 512;
/// From the first byte of a request, or from the beginning of the connection, to the end of its header.
const HEAD: Duration = Duration::from_secs(10);
/// Between an answer and the next request; longer than the usual minute of a proxy in front.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// What the server waits for a client in the middle of a request or an answer. What comes or is taken gives it back.
const PATIENCE: Duration = Duration::from_secs(10);
/// Gives back a second of patience. Who is slower on average is parted with.
const BYTES_A_SECOND: u32 = 4 * 1024;
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// An answer that waits in the system's memory; more would hide for how long a client takes nothing.
const SEND_BUFFER_BYTES: usize = 128 * 1024;
/// After a stop is asked for, for requests that are on their way: they are answered with `Connection: close`.
const LAST_REQUESTS: Duration = Duration::from_millis(200);
/// The same where others go on: then nobody waits for the end, and no client may notice it.
const LAST_REQUESTS_SHARED: Duration = Duration::from_secs(1);
/// For connections that wait while all places are taken.
const LAST_CONNECTIONS: Duration = Duration::from_secs(5);
/// After an answer, for the rest of a request that nobody reads.
const LINGER: Duration = Duration::from_secs(2);
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(1);

/// Serves until `stop`, then until all that had begun is answered, for at most `drain`.
pub async fn serve(listener: Listener, service: Service, stop: CancellationToken, drain: Duration) {
    let connections = Connections {
        service,
        places: Arc::new(Semaphore::new(places())),
        wanted: Arc::new(Notify::new()),
        stop,
        cut: CancellationToken::new(),
        open: TaskTracker::new(),
        last_requests: if listener.is_shared() { LAST_REQUESTS_SHARED } else { LAST_REQUESTS },
    };
    connections.stop.run_until_cancelled(connections.accept(&listener.accepts)).await;
    if timeout(LAST_CONNECTIONS, connections.accept_last(&listener)).await.is_err() {
        tracing::warn!("connections that were not accepted in time are reset");
    }
    drop(listener);
    connections.open.close();
    if timeout(drain, connections.open.wait()).await.is_err() {
        tracing::warn!(waited_ms = drain.as_millis(), connections = connections.open.len(), "open connections are cut");
        connections.cut.cancel();
        connections.open.wait().await;
    }
}

/// As many connections as there may be file descriptors for.
fn places() -> usize {
    let files = rlimit::increase_nofile_limit(MAX_CONNECTIONS + OTHER_FILES).unwrap_or(MAX_CONNECTIONS);
    let places = files.saturating_sub(OTHER_FILES).max(files / 2).min(MAX_CONNECTIONS);
    usize::try_from(places).unwrap_or(Semaphore::MAX_PERMITS)
}

struct Connections {
    service: Service,
    places: Arc<Semaphore>,
    /// Somebody waits for a place: connections between two requests are to leave theirs.
    wanted: Arc<Notify>,
    stop: CancellationToken,
    cut: CancellationToken,
    open: TaskTracker,
    last_requests: Duration,
}

impl Connections {
    async fn accept(&self, listener: &TcpListener) {
        loop {
            let Some(place) = self.place().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => self.open(stream, place),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::error!(error = %error, "no connection can be accepted; trying again");
                    self.wanted.notify_waiters();
                    sleep(PAUSE_AFTER_ERROR).await;
                }
            }
        }
    }

    /// `None` never comes: nobody closes the places.
    async fn place(&self) -> Option<tokio::sync::OwnedSemaphorePermit> {
        match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => Some(place),
            Err(_) => self.next_place().await,
        }
    }

    async fn next_place(&self) -> Option<tokio::sync::OwnedSemaphorePermit> {
        loop {
            self.wanted.notify_waiters();
            let next = Arc::clone(&self.places).acquire_owned();
            if let Ok(place) = timeout(PAUSE_AFTER_ERROR, next).await {
                return place.ok();
            }
            tracing::warn!(connections = self.open.len(), "all connections are taken; the next waits");
        }
    }

    /// Those that the system has accepted already would be reset when the listener goes.
    async fn accept_last(&self, listener: &Listener) {
        let quiet = listener.turn_away();
        while let Some(place) = self.place().await {
            match timeout(quiet, listener.accepts.accept()).await {
                Ok(Ok((stream, _))) => self.open(stream, place),
                Ok(Err(error)) if is_of_one_connection(&error) => {}
                Ok(Err(_)) | Err(_) => return,
            }
        }
    }

    fn open(&self, stream: TcpStream, place: tokio::sync::OwnedSemaphorePermit) {
        let connection = Connection {
            service: self.service.clone(),
            wanted: Arc::clone(&self.wanted),
            stop: self.stop.clone(),
            last_requests: self.last_requests,
            stage: Arc::new(Stage::default()),
        };
        let cut = self.cut.clone();
        self.open.spawn(async move {
            cut.run_until_cancelled(connection.run(stream)).await;
            drop(place);
        });
    }
}

/// The client gave up before it was accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

struct Connection {
    service: Service,
    wanted: Arc<Notify>,
    stop: CancellationToken,
    last_requests: Duration,
    stage: Arc<Stage>,
}

impl Connection {
    async fn run(self, stream: TcpStream) {
        // Both are for speed only.
        let _ = stream.set_nodelay(true);
        let _ = socket2::SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER_BYTES);
        let Self { service, wanted, stop, last_requests, stage } = self;
        let stopping = stop.clone();
        let answer = |request: Request<Incoming>| {
            let (service, stopping) = (service.clone(), stopping.clone());
            let answering = Answering::begin(&stage);
            async move {
                let stage = Arc::clone(&answering.0);
                let request = request.map(|body| Body::new(Arriving::new(body, stage)));
                let mut response = service.oneshot(request).await?;
                if stopping.is_cancelled() || answering.0.unread() {
                    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<Response<Leaving>, Infallible>(response.map(|body| Leaving { body, _answering: answering }))
            }
        };
        let io = TokioIo::new(Watched::new(stream, Arc::clone(&stage)));
        let served = http1::Builder::new()
            .header_read_timeout(None) // it would end what is kept alive, too
            .max_header_size(MAX_HEAD_BYTES)
            .serve_connection(io, service_fn(answer));
        let mut served = pin!(served);
        let mut asked_to_stop = pin!(async {
            stop.cancelled().await;
            sleep(last_requests).await;
        });
        let mut last = false;
        loop {
            tokio::select! {
                biased; // what has come is answered before anything ends
                ended = served.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(error = &error as &dyn std::error::Error, "a connection ended early");
                    }
                    return;
                }
                () = &mut asked_to_stop, if !last => {
                    last = true;
                    served.as_mut().graceful_shutdown();
                }
                () = wanted.notified(), if !last => {
                    if stage.get() == Stage::KEPT {
                        last = true;
                        served.as_mut().graceful_shutdown();
                    }
                }
            }
        }
    }
}

/// Where a connection is between two requests.
#[derive(Default)]
struct Stage {
    now: AtomicU8,
    /// A request was answered before all of it was read, so that no other can follow it.
    unread: AtomicBool,
}

impl Stage {
    /// Nothing has come yet.
    const NEW: u8 = 0;
    /// A header comes in.
    const HEAD: u8 = 1;
    /// A request is being answered.
    const ANSWERING: u8 = 2;
    /// The last answer is given.
    const KEPT: u8 = 3;

    fn get(&self) -> u8 {
        self.now.load(Ordering::Relaxed)
    }

    fn set(&self, stage: u8) {
        self.now.store(stage, Ordering::Relaxed);
    }

    fn unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }
}

/// Alive from the end of a request's header to the end of its answer.
struct Answering(Arc<Stage>);

impl Answering {
    fn begin(stage: &Arc<Stage>) -> Self {
        stage.set(Stage::ANSWERING);
        Self(Arc::clone(stage))
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.set(Stage::KEPT);
    }
}

/// How much longer a client that is slow is waited for.
struct Patience {
    left: Duration,
    /// Since when it has been waited for, and the end of all waiting.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Patience {
    fn new() -> Self {
        Self { left: PATIENCE, waiting: None }
    }

    /// Something came, or was taken.
    fn regain(&mut self, bytes: usize) {
        let waited = self.waiting.take().map_or(Duration::ZERO, |(since, _)| since.elapsed());
        let gained = Duration::from_secs(bytes as u64) / BYTES_A_SECOND;
        self.left = (self.left.saturating_sub(waited) + gained).min(PATIENCE);
    }

    /// Ready when it is at its end.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let left = self.left;
        let (_, end) = self.waiting.get_or_insert_with(|| {
            let now = Instant::now();
            (now, Box::pin(sleep_until(now + left)))
        });
        end.as_mut().poll(context)
    }
}

fn too_slow() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the client is too slow")
}

/// The body of a request.
struct Arriving {
    body: Incoming,
    ended: bool,
    stage: Arc<Stage>,
    patience: Patience,
}

impl Arriving {
    fn new(body: Incoming, stage: Arc<Stage>) -> Self {
        Self { body, ended: false, stage, patience: Patience::new() }
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        if !self.ended && !self.body.is_end_stream() {
            self.stage.unread.store(true, Ordering::Relaxed);
        }
    }
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(frame) => {
                match &frame {
                    Some(Ok(frame)) => self.patience.regain(frame.data_ref().map_or(0, Bytes::len)),
                    Some(Err(_)) => {}
                    None => self.ended = true,
                }
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending => {
                ready!(self.patience.poll_end(context));
                Poll::Ready(Some(Err(too_slow().into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer.
struct Leaving {
    body: Body,
    _answering: Answering,
}

impl HttpBody for Leaving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream that fails when the client lets it wait for too long.
struct Watched {
    stream: TcpStream,
    stage: Arc<Stage>,
    /// The end of waiting for a header, and the stage it is the end of.
    head: (u8, Pin<Box<Sleep>>),
    writing: Patience,
    /// The end of lingering for what the client still sends.
    linger: Option<Pin<Box<Sleep>>>,
}

impl Watched {
    fn new(stream: TcpStream, stage: Arc<Stage>) -> Self {
        Self { stream, stage, head: (Stage::NEW, Box::pin(sleep(HEAD))), writing: Patience::new(), linger: None }
    }

    /// Passes over the rest of a request that is answered already: the system would reset the connection, and the
    /// client lose its answer.
    fn poll_pass_over(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let end = self.linger.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        let mut rest = [0; 4 * 1024];
        while end.as_mut().poll(context).is_pending() {
            let mut buffer = ReadBuf::new(&mut rest);
            let read = ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                break;
            }
        }
        Poll::Ready(())
    }

    /// Ready when the next header has been waited for long enough.
    fn poll_head_end(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let stage = self.stage.get();
        if stage == Stage::ANSWERING {
            self.head.0 = stage;
            return Poll::Pending; // a body has its own patience
        }
        let (of, end) = &mut self.head;
        if *of != stage {
            *of = stage;
            let limit = if stage == Stage::KEPT { KEEP_ALIVE } else { HEAD };
            end.as_mut().reset(Instant::now() + limit);
        }
        end.as_mut().poll(context)
    }

    fn first_byte_came(&mut self) {
        match self.stage.get() {
            Stage::NEW => {
                self.stage.set(Stage::HEAD);
                self.head.0 = Stage::HEAD; // the time of the first header runs from the connection's beginning
            }
            Stage::KEPT => self.stage.set(Stage::HEAD),
            _ => {}
        }
    }

    fn written(&mut self, context: &mut Context<'_>, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match polled {
            Poll::Ready(Ok(bytes)) => {
                self.writing.regain(bytes);
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                ready!(self.writing.poll_end(context));
                Poll::Ready(Err(too_slow()))
            }
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if polled.is_pending() {
            ready!(self.poll_head_end(context));
            return Poll::Ready(Err(too_slow()));
        }
        if buffer.filled().len() > before {
            self.first_byte_came();
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(context, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.written(context, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
        }
        if self.stage.unread() {
            ready!(self.poll_pass_over(context));
        }
        Poll::Ready(Ok(()))
    }
}
