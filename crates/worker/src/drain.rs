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

impl Patience {
    /// What fits into a grace period: all of it but 2 s, or but a tenth of a short one; 2 s for an
    /// idle connection and 5 s for a new one, if there is so much.
    #[must_use]
    pub fn within(grace: Duration) -> Self {
        let margin = grace.div_f64(10.0).min(Duration::from_secs(2));
        let total = grace.saturating_sub(margin);
        Self {
            total,
            idle: Duration::from_secs(2).min(total),
            first_request: Duration::from_secs(5).min(total),
        }
    }

    /// What fits into `HEADCOUNT_GRACEFUL_TIMEOUT`, in seconds, or into headcount's default of 30.
    pub(crate) fn from_env() -> Result<Self, Error> {
        let name = "HEADCOUNT_GRACEFUL_TIMEOUT";
        let Some(value) = std::env::var_os(name) else { return Ok(Self::default()) };
        let value = value.to_string_lossy().into_owned();
        let grace = value.parse().ok().and_then(|grace| Duration::try_from_secs_f64(grace).ok());
        grace.map(Self::within).ok_or(Error::Variable { name, value })
    }
}

impl Default for Patience {
    /// What fits into headcount's default `graceful_timeout` of 30 s.
    fn default() -> Self {
        Self::within(Duration::from_secs(30))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_ends_before_the_grace_period() {
        let millis = |patience: Patience| {
            [patience.total, patience.idle, patience.first_request].map(|time| time.as_millis())
        };
        assert_eq!(millis(Patience::default()), [28_000, 2_000, 5_000]);
        assert_eq!(millis(Patience::within(Duration::from_secs(1))), [900, 900, 900]);
        assert_eq!(millis(Patience::within(Duration::ZERO)), [0, 0, 0]);
    }
}
