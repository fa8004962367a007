//! What the worker tells its manager: that it serves, that it stops, that it lives.
//!
//! sd-notify knows the messages and whether a watchdog is wanted; sending is done here, because its
//! 0.5 takes an abstract address (`@name`, what a manager on a read-only root has to use) for the
//! path of a file, and because it blocks the thread for as long as the manager's queue is full.
//! That queue holds ten datagrams by default (`net.unix.max_dgram_qlen`), and all workers share it.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval, sleep};

/// How long to wait for room in the manager's queue before the next attempt. A timed wait, since
/// writability of an unconnected datagram socket says nothing about the receiver.
const RETRY: Duration = Duration::from_millis(20);

/// The way to the manager, or nothing, where there is none.
#[derive(Debug)]
pub(crate) struct Notifier {
    manager: Option<(UnixDatagram, SocketAddr)>,
}

impl Notifier {
    /// Follows `NOTIFY_SOCKET`. One that cannot be used is a warning: better served than ready.
    pub(crate) fn from_env() -> Self {
        let Some(name) = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Self { manager: None };
        };
        let manager = open(&name);
        if let Err(error) = &manager {
            tracing::warn!("NOTIFY_SOCKET={} cannot be used: {error}", name.display());
        }
        Self { manager: manager.ok() }
    }

    /// `READY=1`, then `WATCHDOG=1` for ever if the manager wants that.
    ///
    /// Belongs in a task of the runtime that serves: when all of the runtime's threads are stuck,
    /// this is stuck with them, and the manager hears nothing.
    pub(crate) async fn ready_and_beat(&self) {
        self.send(NotifyState::Ready).await;
        // Zero is systemd's way to say "no watchdog", and would make `interval` panic.
        let Some(period) = watchdog_period() else { return };
        let mut ticks = interval(period);
        // After a pause one beat says what there is to say.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.send(NotifyState::Watchdog).await;
        }
    }

    /// `STOPPING=1`.
    pub(crate) async fn stopping(&self) {
        self.send(NotifyState::Stopping).await;
    }

    /// Returns when the manager has it in its queue, or cannot be reached.
    async fn send(&self, state: NotifyState<'_>) {
        let Some((socket, manager)) = &self.manager else { return };
        let message = state.to_string();
        loop {
            match socket.send_to_addr(message.as_bytes(), manager) {
                Ok(_) => return,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(RETRY).await,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    tracing::warn!("cannot send {message} to the manager: {error}");
                    return;
                }
            }
        }
    }
}

fn open(name: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let manager = address(name)?;
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    Ok((socket, manager))
}

fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes().split_first() {
        Some((b'@', rest)) => SocketAddr::from_abstract_name(rest),
        Some((b'/', _)) => SocketAddr::from_pathname(name),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "neither a path nor an @name")),
    }
}

/// Half of `WATCHDOG_USEC`, as `sd_watchdog_enabled(3)` advises, if `WATCHDOG_PID` is this process
/// or unset.
fn watchdog_period() -> Option<Duration> {
    sd_notify::watchdog_enabled()?.checked_div(2).filter(|period| !period.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_paths_or_abstract_names() {
        let address = |name: &str| super::address(OsStr::new(name));
        assert_eq!(address("@a").unwrap().as_abstract_name(), Some(&b"a"[..]));
        assert_eq!(address("/run/n").unwrap().as_pathname().unwrap().to_str(), Some("/run/n"));
        assert!(address("vsock:2:1").is_err());
    }
}
