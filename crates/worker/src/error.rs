//! What can keep a worker from serving. All of it happens at the start, and each message names the
//! variable or the address with the value that was wrong, because it is all that the log will show.

use std::fmt;
use std::io;
use std::net::SocketAddr;

/// Why a worker could not serve.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// An environment variable holds something else than a number in its range.
    Variable {
        /// Its name.
        name: &'static str,
        /// What it holds.
        value: String,
    },
    /// A descriptor that was passed is not a stream socket to listen on.
    Passed {
        /// The descriptor's number.
        descriptor: usize,
        /// Its name in `LISTEN_FDNAMES`, or `unknown`.
        name: String,
        /// What is wrong with it.
        source: io::Error,
    },
    /// The address cannot be bound.
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The runtime refuses the socket or the signal handlers.
    Runtime {
        /// What was refused: an address, or a signal.
        what: String,
        /// Why.
        source: io::Error,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable { name, value } => write!(f, "{name}={value:?} is not a valid number"),
            Self::Passed { descriptor, name, source } => {
                write!(f, "cannot listen on descriptor {descriptor} ({name}): {source}")
            }
            Self::Bind { address, source } => write!(f, "cannot bind {address}: {source}"),
            Self::Runtime { what, source } => write!(f, "cannot serve with {what}: {source}"),
        }
    }
}

// No `source()`: each message already ends with its cause, and reporters that walk the chain would
// say it twice.
impl std::error::Error for Error {}
