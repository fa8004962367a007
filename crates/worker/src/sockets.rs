//! Where the listening sockets come from. headcount (or systemd) opened them before this process
//! existed and keeps them open after it is gone, so that no restart closes the accept queue; a
//! program that was started without them binds its own, so that `cargo run` simply works.

use std::env;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::process;

use listenfd::ListenFd;

use crate::Error;

/// A listening socket, not yet known to a runtime.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Socket {
    /// Where it listens, for people to read.
    pub(crate) fn address(&self) -> String {
        match self {
            Self::Tcp(listener) => {
                listener.local_addr().map_or_else(|error| error.to_string(), |a| a.to_string())
            }
            Self::Unix(listener) => match listener.local_addr() {
                Ok(address) => address
                    .as_pathname()
                    .map_or("unix:unnamed".to_owned(), |path| format!("unix:{}", path.display())),
                Err(error) => error.to_string(),
            },
        }
    }
}

/// The sockets that were passed to this very process, else one bound to `default`, with the port
/// from `PORT` where that is set.
pub(crate) fn take(default: SocketAddr) -> Result<Vec<Socket>, Error> {
    let passed = passed()?;
    if passed.is_empty() { Ok(vec![bind(default)?]) } else { Ok(passed) }
}

/// listenfd turns a number into a descriptor that is owned (the one unsafe step), checks that it is
/// a socket of the right kind and marks it close-on-exec. sd-notify and libsystemd stop at the
/// number. Two things it does are not the convention's: it takes a missing `LISTEN_PID` for a match,
/// so that is checked here first; and it removes the variables, which is welcome, as no descendant
/// can mistake them for its own, but a reason to be called before other threads run.
fn passed() -> Result<Vec<Socket>, Error> {
    let Some(pid) = env::var_os("LISTEN_PID") else { return Ok(Vec::new()) };
    let Some(pid) = pid.to_str().and_then(|pid| pid.parse::<u32>().ok()) else {
        return Err(invalid("LISTEN_PID", &pid.to_string_lossy()));
    };
    if pid != process::id() {
        return Ok(Vec::new()); // Meant for an ancestor: these descriptors are something else here.
    }
    let count = env::var("LISTEN_FDS").unwrap_or_default();
    if count.parse::<u16>().is_err() {
        return Err(invalid("LISTEN_FDS", &count));
    }
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':').filter(|name| !name.is_empty());

    let mut descriptors = ListenFd::from_env();
    let mut sockets = Vec::new();
    for index in 0..descriptors.len() {
        let name = names.next().unwrap_or("unknown");
        let socket = claim(&mut descriptors, index).map_err(|source| Error::Passed {
            descriptor: index.saturating_add(3),
            name: name.to_owned(),
            source,
        })?;
        tracing::debug!("took {} ({name})", socket.address());
        sockets.push(socket);
    }
    Ok(sockets)
}

fn claim(descriptors: &mut ListenFd, index: usize) -> io::Result<Socket> {
    if let Ok(Some(listener)) = descriptors.take_tcp_listener(index) {
        listener.set_nonblocking(true)?;
        return Ok(Socket::Tcp(listener));
    }
    match descriptors.take_unix_listener(index) {
        Ok(Some(listener)) => {
            listener.set_nonblocking(true)?;
            Ok(Socket::Unix(listener))
        }
        // Its own words would say "not a unix socket" of what may as well have been meant for TCP.
        Ok(None) | Err(_) => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "neither a TCP nor a Unix stream socket",
        )),
    }
}

fn bind(mut address: SocketAddr) -> Result<Socket, Error> {
    if let Some(port) = env::var_os("PORT").filter(|port| !port.is_empty()) {
        let parsed = port.to_str().and_then(|port| port.parse().ok());
        address.set_port(parsed.ok_or_else(|| invalid("PORT", &port.to_string_lossy()))?);
    }
    let listener = TcpListener::bind(address)
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
        .map_err(|source| Error::Bind { address, source })?;
    Ok(Socket::Tcp(listener))
}

fn invalid(name: &'static str, value: &str) -> Error {
    Error::Variable { name, value: value.to_owned() }
}
