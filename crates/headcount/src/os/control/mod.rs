//! The control socket: where PID 1 takes questions and orders while it runs. Whoever connects may be
//! slow, silent, hostile or half gone; it costs PID 1 neither time nor memory:
//!
//! - nothing here ever waits: what a client sends is read, and what it is sent is written, as far as
//!   the socket takes it;
//! - at most [`MOST_CLIENTS`] are connected; more are told so and closed;
//! - a request is one line of limited length, and a client gets one answer;
//! - from the connection to the end of the answer, a client has [`PATIENCE`].
//!
//! The file is there for its owner alone, and the kernel says who connects: root, or the user that
//! headcount runs as.

mod client;

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, bind, getsockopt, socket, sockopt,
};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::geteuid;

use crate::os::sleep::{Interest, Sleeper, Wake};
use crate::os::sockets::{errno_of, remove_stale};
use crate::os::sys;
use crate::protocol::refusal;

use client::{Client, Progress};

/// How many clients are looked after at once.
const MOST_CLIENTS: usize = 8;

/// How long a client may take, from its connection to the end of its answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// How many connections wait to be accepted, and how many are accepted before something else is
/// done.
const BACKLOG: u8 = 16;

/// How long nobody is accepted after accepting has failed: what is short (descriptors, memory) does
/// not come back at once, and until then the socket would wake us for nothing.
const PAUSE: Duration = Duration::from_secs(1);

/// A moment, as the supervisor counts it: the time since the start.
type Time = Duration;

/// The listening socket and its clients.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode of the file, so that only our own is removed at the end.
    file: Option<(u64, u64)>,
    clients: Vec<Client>,
    /// Nobody is accepted before then.
    paused_until: Option<Time>,
}

impl ControlSocket {
    /// Listens at `path`. A file that nobody listens on any more is replaced.
    ///
    /// The mode is set before the file exists: on Linux a Unix socket's file gets the mode of its
    /// descriptor, less the umask. To change the umask for a moment would do as well, but it belongs
    /// to the process and not to us.
    pub fn open(path: &Path) -> Result<Self, Errno> {
        remove_stale(path)?;
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
        fchmod(&fd, Mode::S_IRUSR | Mode::S_IWUSR)?;
        bind(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
        let file = identity(path);
        sys::listen(&fd, BACKLOG.into()).map_err(|error| errno_of(&error))?;
        Ok(Self {
            listener: UnixListener::from(fd),
            path: path.to_owned(),
            file,
            clients: Vec::new(),
            paused_until: None,
        })
    }

    /// When [`Self::serve`] is to be called though nothing can be read or written.
    pub fn deadline(&self) -> Option<Time> {
        self.clients.iter().map(Client::deadline).chain(self.paused_until).min()
    }

    /// Does all that can be done without waiting: accepts, reads, answers, writes, and drops whoever
    /// has had its time.
    pub fn serve(
        &mut self,
        sleeper: &Sleeper,
        now: Time,
        mut answer: impl FnMut(&[u8]) -> Vec<u8>,
    ) {
        self.accept(sleeper, now);
        self.clients.retain_mut(|client| match client.proceed(&mut answer) {
            Progress::Over => false,
            _ if client.deadline() <= now => false,
            Progress::Reads => true,
            // Without this it would be woken for what the client sends besides, which nobody reads.
            Progress::Writes => sleeper.rewatch(&*client, Wake::Control, Interest::Write).is_ok(),
        });
    }

    fn accept(&mut self, sleeper: &Sleeper, now: Time) {
        if self.paused_until.is_some_and(|until| now < until) {
            return;
        }
        if self.paused_until.take().is_some()
            && sleeper.rewatch(&*self, Wake::Control, Interest::Read).is_err()
        {
            self.pause(sleeper, now);
            return;
        }
        for _ in 0..BACKLOG {
            match self.listener.accept() {
                Ok((stream, _)) => self.welcome(stream, sleeper, now),
                Err(error) => {
                    if !matches!(errno_of(&error), Errno::EAGAIN | Errno::ECONNABORTED) {
                        self.pause(sleeper, now);
                    }
                    return;
                }
            }
        }
    }

    fn pause(&mut self, sleeper: &Sleeper, now: Time) {
        let _ = sleeper.rewatch(&*self, Wake::Control, Interest::Nothing);
        self.paused_until = Some(now.saturating_add(PAUSE));
    }

    /// Looks after a new connection, or says why not and closes it.
    fn welcome(&mut self, stream: UnixStream, sleeper: &Sleeper, now: Time) {
        if stream.set_nonblocking(true).is_err() {
            return;
        }
        let fd = OwnedFd::from(stream);
        if !may_command(&fd) {
            client::say(&fd, &refusal("permission denied: this is for root and for my own user"));
        } else if self.clients.len() >= MOST_CLIENTS {
            client::say(&fd, &refusal("busy: too many clients"));
        } else if sleeper.watch(&fd, Wake::Control).is_ok() {
            // A descriptor that is closed leaves the epoll by itself: nobody else has it.
            self.clients.push(Client::new(fd, now.saturating_add(PATIENCE)));
        }
    }
}

impl AsFd for ControlSocket {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // Another headcount may have taken the place meanwhile.
        if self.file.is_some() && self.file == identity(&self.path) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

fn may_command(client: &OwnedFd) -> bool {
    getsockopt(client, sockopt::PeerCredentials)
        .is_ok_and(|peer| peer.uid() == 0 || peer.uid() == geteuid().as_raw())
}
