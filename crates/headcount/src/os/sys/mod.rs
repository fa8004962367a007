//! The system calls that Rust cannot call safe: the fork and what a fork must undo, waiting for any
//! child without losing one, and signals by number. This is the only module in which `unsafe` is
//! allowed, and the only place that forks or waits; everything it is told is prepared before.
//!
//! nix is not used for these. Its `Signal` has no real-time signals: its `kill` cannot send one, and
//! its `waitpid` reaps a child that died of one and then returns an error instead of the child.

#![allow(unsafe_code, reason = "see above: the one module")]
#![allow(clippy::disallowed_methods, reason = "the one place that they name")]

mod fork;
mod memory;
mod signals;
mod wait;

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use libc::{c_int, pid_t};

pub use fork::{ForkError, Image, spawn};
pub use memory::release_memory;
pub use signals::{Inherited, give_signals_back, send, send_group, take_over_signals};
pub use wait::{Exit, Reaped, ended_child, has_children, reap};

/// A child's process id, valid from the spawn until [`reap`] takes it.
pub type Pid = pid_t;

/// `listen(2)`. nix refuses a backlog above the C library's SOMAXCONN, which is 128 in musl and a
/// thing of the past: the kernel itself cuts it to `net.core.somaxconn`.
pub fn listen(socket: &OwnedFd, backlog: c_int) -> io::Result<()> {
    // SAFETY: listen takes no pointers.
    check(unsafe { libc::listen(socket.as_raw_fd(), backlog) })
}

fn check(result: c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
