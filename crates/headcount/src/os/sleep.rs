//! The one place where headcount sleeps: an epoll over its descriptors, until one has something or
//! the next deadline comes.
//!
//! The deadline is epoll's own timeout and not a timerfd: it is one descriptor and two system calls
//! less, and there is nothing to disarm.

use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

/// What woke us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    Signal,
    Notify,
    Control,
    Limits,
}

impl Wake {
    const ALL: [Self; 4] = [Self::Signal, Self::Notify, Self::Control, Self::Limits];

    fn token(self) -> u64 {
        match self {
            Self::Signal => 0,
            Self::Notify => 1,
            Self::Control => 2,
            Self::Limits => 3,
        }
    }
}

/// What of a descriptor is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// It has something to read.
    Read,
    /// It takes something again.
    Write,
    /// Nothing, for now.
    Nothing,
}

/// The descriptors that are waited for.
pub struct Sleeper(Epoll);

impl Sleeper {
    pub fn new() -> Result<Self, Errno> {
        Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map(Self)
    }

    pub fn watch(&self, fd: impl AsFd, wake: Wake) -> Result<(), Errno> {
        self.0.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, wake.token()))
    }

    /// Waits for something else of a descriptor from here on.
    pub fn rewatch(&self, fd: impl AsFd, wake: Wake, interest: Interest) -> Result<(), Errno> {
        let flags = match interest {
            Interest::Read => EpollFlags::EPOLLIN,
            Interest::Write => EpollFlags::EPOLLOUT,
            Interest::Nothing => EpollFlags::empty(),
        };
        self.0.modify(fd, &mut EpollEvent::new(flags, wake.token()))
    }

    /// Sleeps for at most `timeout`, or for as long as it takes, and says what has something to
    /// read. Never early: a deadline in 0.3 ms is slept for 1 ms, not polled for 0 three times.
    pub fn sleep(&self, timeout: Option<Duration>) -> Vec<Wake> {
        let timeout = match timeout {
            None => EpollTimeout::NONE,
            Some(time) => {
                let millis = time.as_micros().div_ceil(1000);
                // A deadline beyond 24 days is slept for in pieces.
                EpollTimeout::try_from(i32::try_from(millis).unwrap_or(i32::MAX))
                    .unwrap_or(EpollTimeout::MAX)
            }
        };
        // Several descriptors may share a `Wake`. Those that find no room are the first of the next
        // time, since epoll goes round.
        let mut events = [EpollEvent::empty(); Wake::ALL.len()];
        // Interrupted is the only error that a valid epoll can give, and no reason to stop.
        let count = self.0.wait(&mut events, timeout).unwrap_or(0);
        events
            .iter()
            .take(count)
            .filter_map(|event| Wake::ALL.into_iter().find(|wake| wake.token() == event.data()))
            .collect()
    }
}
