//! Signals: all blocked, first thing, and read from a descriptor. No handlers: a child that has not
//! called exec yet would inherit them and swallow a signal that was meant for the program (dumb-init
//! loses half of those sent in its first 0.3 ms).

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use libc::c_int;
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::os::sys::{self, Inherited};

/// Every signal that is sent to this process, in order.
pub struct Signals {
    fd: SignalFd,
    /// What a child gets back.
    pub inherited: Inherited,
}

/// A signal that was sent to this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    pub number: c_int,
    /// The kernel sent it (a terminal was resized or has gone), and no person or program.
    pub by_kernel: bool,
}

/// `si_code` of what the kernel itself sends, sigaction(2); libc does not have it for musl.
const SI_KERNEL: i32 = 0x80;

impl Signals {
    /// Reads what `os::sys` has blocked since before `main`: nothing that was sent is lost.
    pub fn take_over() -> io::Result<Self> {
        let (all, inherited) = sys::take_over_signals()?;
        let fd = SignalFd::with_flags(&all, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Self { fd, inherited })
    }

    /// The next signal; `None` when there is none.
    ///
    /// Not among them is the SIGPIPE that we get for a log line to a pipe whose reader has gone: it is
    /// ignored, but a blocked signal is kept all the same, and passed on it would end the workers.
    pub fn next(&self) -> Option<Received> {
        loop {
            // An error other than "none" cannot happen to a valid signalfd; to stop reading is right
            // for any.
            let info = self.fd.read_signal().ok().flatten()?;
            let number = c_int::try_from(info.ssi_signo).ok()?;
            if number != libc::SIGPIPE || info.ssi_pid != std::process::id() {
                return Some(Received { number, by_kernel: info.ssi_code == SI_KERNEL });
            }
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A signal's name, for the log.
pub fn name(number: c_int) -> String {
    match nix::sys::signal::Signal::try_from(number) {
        Ok(signal) => signal.as_str().to_owned(),
        Err(_) => format!("signal {number}"),
    }
}
