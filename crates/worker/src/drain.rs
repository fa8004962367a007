//! When to stop and how patient to be then.
//!
//! A drain loses requests in three places where plain servers do not look: connections that wait
//! in the accept queue, connections that were accepted and not yet heard of (hyper's graceful
//! shutdown closes those, hyperium/hyper#3261), and idle keep-alive connections on which the next
//! request is already on its way. So the queue is emptied once (`serve`), and both kinds of silent
//! connection are held for a while, to be answered with `Connection: close` (`connection`).

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::Error;

/// How long a drain waits for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For everything together; what is open then is cut. Keep it below the `graceful_timeout`
    /// after which headcount sends SIGKILL.
    pub total: Duration,
    /// For the next request on a connection that had one, since the last byte either way.
    pub idle: Duration,
    /// For the first request on a connection that was accepted and has not said anything yet. Its
    /// client has just connected, and most likely not for nothing.
    pub first_request: Duration,
}

impl Default for Patience {
    /// 28 s in total, which leaves 2 s of headcount's default `graceful_timeout`; 2 s for an idle
    /// connection and 5 s for a new one.
    fn default() -> Self {
        Self {
            total: Duration::from_secs(28),
            idle: Duration::from_secs(2),
            first_request: Duration::from_secs(5),
        }
    }
}

/// Tells whether the worker is draining; clones tell the same.
#[derive(Clone, Debug)]
pub struct Draining(watch::Receiver<bool>);

impl Draining {
    /// Both ends: the one that starts the drain, and the one that everybody else watches.
    pub(crate) fn channel() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    /// Whether the drain has started. Readiness probes should fail from then on.
    #[must_use]
    pub fn is_started(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits for the start of the drain: what streams without an end should come to one then.
    pub async fn started(&mut self) {
        // An error means that the worker is gone altogether.
        let _ = self.0.wait_for(|started| *started).await;
    }
}

/// SIGTERM is how headcount, systemd and Docker stop a worker; SIGINT is ^C in a terminal.
#[derive(Debug)]
pub(crate) struct StopSignals {
    term: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// From now on neither signal ends the process by itself.
    pub(crate) fn listen() -> Result<Self, Error> {
        let listen = || -> io::Result<Self> {
            Ok(Self {
                term: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
            })
        };
        listen().map_err(|source| Error::Runtime { what: "SIGTERM and SIGINT".to_owned(), source })
    }

    /// Waits for either.
    pub(crate) async fn stop(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Waits for ^C: who presses it a second time means now.
    pub(crate) async fn insist(&mut self) {
        self.interrupt.recv().await;
    }
}
