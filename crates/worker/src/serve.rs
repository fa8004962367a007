//! The worker's life: take the sockets, accept, say ready, and, once told to stop, drain.
//!
//! The accept loop is our own, since `axum::serve` leaves no way to reach a connection between its
//! acceptance and its first byte. When the drain starts, each listener's queue is emptied once and
//! then left alone; it is never shut down, because it is the siblings' too. Emptying it matters
//! where nobody comes after us: when the worker runs on its own, or when the whole pool stops and
//! headcount closes the socket, the kernel resets what was queued. In a rolling restart it does no
//! harm: a connection is served a little earlier by the one who leaves, and told to close.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::drain::StopSignals;
use crate::notify::Notifier;
use crate::sockets::{self, Socket};
use crate::{Draining, Error, Identity, Patience, connection};

/// How long a listener rests after an error that will not go away by itself, most likely EMFILE:
/// `accept` would fail again at once and spin. Siblings take from the same queue meanwhile.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// No more is taken off a queue when the drain starts: the largest queue that Linux keeps by
/// default (net.core.somaxconn). Under load there is always one more.
const QUEUE: usize = 4096;

/// How long the goodbye to the manager may hold up a drain.
const STOPPING_LIMIT: Duration = Duration::from_secs(1);

/// A worker that has its sockets and does not serve yet.
#[derive(Debug)]
pub struct Worker {
    /// How long a drain waits.
    pub patience: Patience,
    identity: Identity,
    sockets: Vec<Socket>,
    notifier: Notifier,
    drain: watch::Sender<bool>,
    draining: Draining,
}

impl Worker {
    /// Takes the sockets that were passed to this process; without any, binds `default`, with the
    /// port of `PORT` if that is set.
    ///
    /// Call it once, and before any thread exists: `LISTEN_FDS` and `LISTEN_PID` are removed from
    /// the environment.
    ///
    /// # Errors
    ///
    /// If a variable holds nonsense, a descriptor is no listening socket, or the address cannot be
    /// bound.
    pub fn from_env(default: SocketAddr) -> Result<Self, Error> {
        let (drain, draining) = Draining::channel();
        Ok(Self {
            patience: Patience::from_env()?,
            identity: Identity::from_env(),
            sockets: sockets::take(default)?,
            notifier: Notifier::from_env(),
            drain,
            draining,
        })
    }

    /// Which worker of how many this is.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// For handlers that should know when the worker drains.
    #[must_use]
    pub fn draining(&self) -> Draining {
        self.draining.clone()
    }

    /// Serves `app` until SIGTERM or SIGINT, drains, and returns.
    ///
    /// What is still open when [`Patience::total`] is over (or at a second SIGINT) ends with the
    /// runtime: leave the process then.
    ///
    /// # Errors
    ///
    /// If the runtime refuses a socket or a signal handler. Nothing that happens later is an error.
    pub async fn serve(self, app: Router) -> Result<(), Error> {
        let mut signals = StopSignals::listen()?;
        let (open, watch_open) = watch::channel(());
        let serving =
            Serving { app, patience: self.patience, draining: self.draining, open: watch_open };

        let mut addresses = Vec::new();
        let mut accepting = Vec::new();
        for socket in self.sockets {
            let address = socket.address();
            let listener = Listener::try_from(socket)
                .map_err(|source| Error::Runtime { what: address.clone(), source })?;
            accepting.push(tokio::spawn(accept(listener, serving.clone())));
            addresses.push(address);
        }
        drop(serving);
        tracing::info!("serving on {}", addresses.join(", "));
        let notifier = Arc::new(self.notifier);
        let beating = tokio::spawn({
            let notifier = Arc::clone(&notifier);
            async move { notifier.ready_and_beat().await }
        });

        signals.stop().await;
        self.drain.send_replace(true);
        tracing::debug!("draining");
        let _ = timeout(STOPPING_LIMIT, notifier.stopping()).await;
        let drained = async {
            for listener in accepting {
                let _ = listener.await;
            }
            open.closed().await;
        };
        tokio::select! {
            () = drained => {}
            () = sleep(self.patience.total) => {
                tracing::warn!("{} connections are cut: time is up", open.receiver_count());
            }
            () = signals.insist() => {}
        }
        // To the last: a worker that drains is alive, and held to its heartbeat.
        beating.abort();
        Ok(())
    }
}

/// What every connection needs.
#[derive(Clone)]
struct Serving {
    app: Router,
    patience: Patience,
    draining: Draining,
    /// Dropped with the connection; when all are, the drain is over.
    open: watch::Receiver<()>,
}

impl Serving {
    fn spawn(&self, stream: Stream) {
        let Self { app, patience, draining, open } = self.clone();
        tokio::spawn(async move {
            match stream {
                Stream::Tcp(stream) => {
                    // Fails only if the peer is gone, which the first read will tell.
                    let _ = stream.set_nodelay(true);
                    connection::serve(stream, app, draining, patience).await;
                }
                Stream::Unix(stream) => connection::serve(stream, app, draining, patience).await,
            }
            drop(open);
        });
    }
}

/// Accepts until the drain starts, then what is queued at that moment.
async fn accept(listener: Listener, serving: Serving) {
    let mut draining = serving.draining.clone();
    let mut resting = false;
    loop {
        let accepted = tokio::select! {
            biased;
            () = draining.started() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(stream) => {
                resting = false;
                serving.spawn(stream);
            }
            Err(error) if is_about_the_peer(&error) => {}
            Err(error) => {
                if !resting {
                    tracing::warn!("cannot accept connections for now: {error}");
                }
                resting = true;
                let _ = timeout(ACCEPT_REST, draining.started()).await;
            }
        }
    }
    if let Err(error) = listener.take_queued(|stream| serving.spawn(stream)) {
        tracing::warn!("cannot accept what is queued: {error}");
    }
}

/// A connection that died before it was accepted is no reason to rest.
fn is_about_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl TryFrom<Socket> for Listener {
    type Error = io::Error;

    fn try_from(socket: Socket) -> io::Result<Self> {
        Ok(match socket {
            Socket::Tcp(listener) => Self::Tcp(TcpListener::from_std(listener)?),
            Socket::Unix(listener) => Self::Unix(UnixListener::from_std(listener)?),
        })
    }
}

impl Listener {
    async fn accept(&self) -> io::Result<Stream> {
        Ok(match self {
            Self::Tcp(listener) => Stream::Tcp(listener.accept().await?.0),
            Self::Unix(listener) => Stream::Unix(listener.accept().await?.0),
        })
    }

    /// Hands over what the queue holds, and closes our descriptor of it. Taken out of the runtime
    /// for that, since tokio asks the kernel only after epoll has told it of a connection.
    fn take_queued(self, mut found: impl FnMut(Stream)) -> io::Result<()> {
        match self {
            Self::Tcp(listener) => {
                let listener = listener.into_std()?;
                queued(
                    || listener.accept(),
                    |(stream, _)| {
                        stream.set_nonblocking(true)?;
                        found(Stream::Tcp(TcpStream::from_std(stream)?));
                        Ok(())
                    },
                )
            }
            Self::Unix(listener) => {
                let listener = listener.into_std()?;
                queued(
                    || listener.accept(),
                    |(stream, _)| {
                        stream.set_nonblocking(true)?;
                        found(Stream::Unix(UnixStream::from_std(stream)?));
                        Ok(())
                    },
                )
            }
        }
    }
}

fn queued<T>(
    accept: impl Fn() -> io::Result<T>,
    mut found: impl FnMut(T) -> io::Result<()>,
) -> io::Result<()> {
    for _ in 0..QUEUE {
        match accept() {
            Ok(stream) => found(stream)?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if is_about_the_peer(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
