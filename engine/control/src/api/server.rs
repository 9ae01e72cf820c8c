//! The server's end: a thread of its own, a unix socket, and optionally a loopback port that serves
//! metrics and nothing else.
//!
//! Whoever is not permitted is answered in one sentence and cut off before a byte of theirs is
//! parsed. Connections, requests at once, bytes and time are all bounded.

use super::model::ErrorReply;
use super::operations::Operations;
use super::peer::{Peer, Permitted};
use crate::config::Config;
use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use std::fs::Permissions;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

mod routes;

/// Connections at once; the next one waits in the kernel's queue.
const CONNECTIONS_MAX: usize = 64;
/// Requests being carried out at once; the next one is told to try again.
const REQUESTS_MAX: usize = 16;

/// What the server needs to know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerSettings {
    /// The socket's path.
    pub socket: PathBuf,
    /// Who may give orders.
    pub permitted: Permitted,
    /// Bytes of a request's body at most.
    pub body_max: usize,
    /// How long a request may take.
    pub timeout: Duration,
    /// Where else metrics are served.
    pub metrics: Option<SocketAddr>,
}

impl ServerSettings {
    /// As the configuration says.
    pub fn of(config: &Config) -> Self {
        ServerSettings {
            socket: config.socket_path(),
            permitted: Permitted {
                uids: config.control.uids.clone(),
                gids: config.control.gids.clone(),
            },
            body_max: usize::try_from(config.control.body_max).unwrap_or(usize::MAX),
            timeout: config.control.timeout,
            metrics: config.metrics.listen,
        }
    }
}

/// What the server counts.
#[derive(Debug, Default)]
pub struct ServerCounters {
    /// Requests that were parsed.
    pub requests: AtomicU64,
    /// Peers that were not permitted.
    pub unauthorised: AtomicU64,
    /// Requests that were refused because too many were being carried out.
    pub busy: AtomicU64,
    /// Requests that took too long; what they ordered may yet be carried out.
    pub timed_out: AtomicU64,
}

/// What every request handler shares.
struct Shared {
    operations: Arc<dyn Operations>,
    requests: Arc<Semaphore>,
    body_max: usize,
    timeout: Duration,
    counters: Arc<ServerCounters>,
}

/// The running server. Dropping it ends it, after the requests that are being carried out.
pub struct ControlServer {
    socket: PathBuf,
    permitted: Arc<ArcSwap<Permitted>>,
    counters: Arc<ServerCounters>,
    metrics: Option<SocketAddr>,
    stop: watch::Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl ControlServer {
    /// Takes the socket (and the port) and starts to serve.
    pub fn start(settings: &ServerSettings, operations: Arc<dyn Operations>) -> io::Result<Self> {
        let counters = Arc::new(ServerCounters::default());
        let permitted = Arc::new(ArcSwap::from_pointee(settings.permitted.clone()));
        let shared = Arc::new(Shared {
            operations,
            requests: Arc::new(Semaphore::new(REQUESTS_MAX)),
            body_max: settings.body_max,
            timeout: settings.timeout,
            counters: Arc::clone(&counters),
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(REQUESTS_MAX)
            .thread_name("control-request")
            .build()?;
        let listener = {
            let _inside = runtime.enter();
            GuardedListener {
                socket: bind(&settings.socket, &settings.permitted)?,
                permitted: Arc::clone(&permitted),
                own: rustix::process::getuid().as_raw(),
                connections: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
                counters: Arc::clone(&counters),
            }
        };
        let port = settings.metrics.map(std::net::TcpListener::bind).transpose()?;
        let metrics = port.as_ref().map(std::net::TcpListener::local_addr).transpose()?;
        if let Some(port) = &port {
            port.set_nonblocking(true)?;
        }
        let (stop, stopped) = watch::channel(());
        let thread = std::thread::Builder::new()
            .name("control".into())
            .spawn(move || runtime.block_on(serve(listener, port, shared, stopped)))?;
        Ok(ControlServer {
            socket: settings.socket.clone(),
            permitted,
            counters,
            metrics,
            stop,
            thread: Some(thread),
        })
    }

    /// Changes who may give orders; holds for connections from now on. A socket that was opened
    /// for root alone stays so until a restart.
    pub fn permit(&self, permitted: Permitted) {
        self.permitted.store(Arc::new(permitted));
    }

    /// What the server counts.
    pub fn counters(&self) -> &Arc<ServerCounters> {
        &self.counters
    }

    /// Where metrics are served beside the socket.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        let _ = self.stop.send(());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = std::fs::remove_file(&self.socket);
    }
}

async fn serve(
    listener: GuardedListener,
    port: Option<std::net::TcpListener>,
    shared: Arc<Shared>,
    stopped: watch::Receiver<()>,
) {
    let ended = |mut stopped: watch::Receiver<()>| async move {
        let _ = stopped.changed().await;
    };
    let router = routes::control(Arc::clone(&shared));
    let orders = axum::serve(listener, router.into_make_service_with_connect_info::<Connection>())
        .with_graceful_shutdown(ended(stopped.clone()));
    let metrics = async {
        let Some(port) = port else { return Ok(()) };
        let port = tokio::net::TcpListener::from_std(port)?;
        let router: Router = routes::metrics_only(shared);
        axum::serve(port, router).with_graceful_shutdown(ended(stopped)).await
    };
    let (orders, metrics) = tokio::join!(orders.into_future(), metrics);
    for (what, result) in [("control socket", orders), ("metrics port", metrics)] {
        if let Err(e) = result {
            tracing::error!("the {what} is closed: {e}; restart the engine to open it again");
        }
    }
}

/// Takes the socket's path. A socket that nobody answers is a dead engine's and is replaced; the
/// new one appears under its name with its rights already set.
fn bind(path: &Path, permitted: &Permitted) -> io::Result<UnixListener> {
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        let message = format!(
            "{} is in use: an engine is running; stop it, or give this one another \
             control.socket",
            path.display()
        );
        return Err(io::Error::new(io::ErrorKind::AddrInUse, message));
    }
    let fresh = path.with_extension("new");
    match std::fs::remove_file(&fresh) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let listener = UnixListener::bind(&fresh)?;
    let mode = if permitted.is_shared() { 0o666 } else { 0o600 };
    std::fs::set_permissions(&fresh, Permissions::from_mode(mode))?;
    std::fs::rename(&fresh, path)?;
    Ok(listener)
}

/// Lets in who is permitted, [`CONNECTIONS_MAX`] at once.
struct GuardedListener {
    socket: UnixListener,
    permitted: Arc<ArcSwap<Permitted>>,
    own: u32,
    connections: Arc<Semaphore>,
    counters: Arc<ServerCounters>,
}

/// One connection: who it is, and its place among [`CONNECTIONS_MAX`].
#[derive(Clone, Debug)]
struct Connection {
    peer: Arc<Peer>,
    _place: Arc<OwnedSemaphorePermit>,
}

impl Listener for GuardedListener {
    type Io = UnixStream;
    type Addr = Connection;

    async fn accept(&mut self) -> (UnixStream, Connection) {
        loop {
            let place = Arc::clone(&self.connections).acquire_owned().await;
            let place = Arc::new(place.expect("the semaphore is never closed"));
            let stream = match self.socket.accept().await {
                Ok((stream, _)) => stream,
                Err(e) => {
                    // Out of descriptors, most likely: wait rather than spin.
                    tracing::warn!("a control connection was lost: {e}");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    continue;
                }
            };
            let Ok(peer) = Peer::of(&stream) else { continue };
            if self.permitted.load().allows(&peer, self.own) {
                return (stream, Connection { peer: Arc::new(peer), _place: place });
            }
            self.counters.unauthorised.fetch_add(1, Ordering::Relaxed);
            turn_away(&stream, &peer);
        }
    }

    fn local_addr(&self) -> io::Result<Connection> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Connected<IncomingStream<'_, GuardedListener>> for Connection {
    fn connect_info(stream: IncomingStream<'_, GuardedListener>) -> Self {
        stream.remote_addr().clone()
    }
}

/// One sentence, as far as the socket's buffer takes it, and no reading.
fn turn_away(stream: &UnixStream, peer: &Peer) {
    let reply = ErrorReply {
        error: format!("{peer} (uid {}, gid {}) may not give orders", peer.uid, peer.gid),
        remedy: "ask as root, or have control.uids or control.gids name you".into(),
    };
    let body = serde_json::to_string(&reply).unwrap_or_default();
    let response = format!(
        "HTTP/1.1 403 Forbidden\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.try_write(response.as_bytes());
}
