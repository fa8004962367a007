//! The listening sockets: opened once, before the first worker, and kept for as long as PID 1 lives.
//! Workers inherit them, so no crash, restart or resize ever closes the accept queue.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::rc::Rc;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, UnixAddr, bind, setsockopt, socket, sockopt,
};

use crate::config::Bind;
use crate::os::sys;

/// A listening socket.
#[derive(Debug)]
pub struct Socket {
    address: Bind,
    fd: OwnedFd,
}

/// Why an address cannot be listened on.
#[derive(Debug)]
pub struct SocketError {
    address: String,
    errno: Errno,
}

impl fmt::Display for SocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, errno } = self;
        let remedy = match errno {
            Errno::EADDRINUSE => "address in use: another process listens there",
            Errno::EACCES => "permission denied: ports below 1024 and this path need a right to it",
            Errno::EADDRNOTAVAIL => "no interface of this machine has that address",
            Errno::EAFNOSUPPORT => "this kernel has that address family switched off",
            Errno::ENOENT => "the directory does not exist",
            Errno::EROFS => "the file system is read-only: use a directory that is not",
            Errno::ENAMETOOLONG => "the path is longer than the 107 bytes of a Unix socket's name",
            Errno::EEXIST => "a file that is no socket is there",
            other => other.desc(),
        };
        write!(f, "cannot listen on {address}: {remedy}")
    }
}

impl SocketError {
    pub fn new(address: impl fmt::Display, errno: Errno) -> Self {
        Self { address: address.to_string(), errno }
    }
}

/// Opens all of them, or none. One that is open already is used again, so that a reload never closes
/// an accept queue that it keeps.
pub fn open_all(
    addresses: &[Bind],
    backlog: i32,
    open: &[Rc<Socket>],
) -> Result<Vec<Rc<Socket>>, SocketError> {
    addresses
        .iter()
        .map(|address| {
            match open.iter().find(|socket| socket.address == *address) {
                Some(socket) => sys::listen(&socket.fd, backlog)
                    .map(|()| Rc::clone(socket))
                    .map_err(|error| errno_of(&error)),
                None => Socket::open(address, backlog).map(Rc::new),
            }
            .map_err(|errno| SocketError::new(address, errno))
        })
        .collect()
}

/// Their names, for `LISTEN_FDNAMES`, joined by colons.
pub fn names(sockets: &[Rc<Socket>]) -> String {
    sockets.iter().map(|socket| socket.name()).collect::<Vec<_>>().join(":")
}

impl Socket {
    fn open(address: &Bind, backlog: i32) -> Result<Self, Errno> {
        let fd = match address {
            Bind::Tcp(address) => tcp(*address),
            Bind::Unix(path) => unix(path),
        }?;
        let socket = Self { address: address.clone(), fd };
        sys::listen(&socket.fd, backlog).map_err(|error| errno_of(&error))?;
        Ok(socket)
    }

    /// The descriptor, for the children.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// `tcp-8000`, or the name of the file: no colon may stand in it.
    fn name(&self) -> String {
        match &self.address {
            Bind::Tcp(address) => format!("tcp-{}", address.port()),
            Bind::Unix(path) => {
                path.file_name().unwrap_or_default().to_string_lossy().replace(':', "-")
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Bind::Unix(path) = &self.address {
            // A leftover is taken over by the next start anyway.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn tcp(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    // A restart must not wait for connections of the last life in TIME_WAIT. IPV6_V6ONLY is left to
    // the system (net.ipv6.bindv6only): `[::]` takes IPv4 as well unless the administrator says no.
    setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    bind(fd.as_raw_fd(), &SockaddrStorage::from(address))?;
    Ok(fd)
}

fn unix(path: &Path) -> Result<OwnedFd, Errno> {
    remove_stale(path)?;
    let fd = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    bind(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(fd)
}

/// The number of an error of the standard library.
pub fn errno_of(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or_default())
}

/// A socket file that nobody listens on is left over from a process that was killed.
pub fn remove_stale(path: &Path) -> Result<(), Errno> {
    let kind = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(_) => return Ok(()),
    };
    if !kind.is_socket() {
        return Err(Errno::EEXIST);
    }
    match connect(path) {
        // EAGAIN: so many wait to be accepted that there is no place to wait.
        Ok(_) | Err(Errno::EAGAIN) => Err(Errno::EADDRINUSE),
        Err(Errno::ECONNREFUSED) => std::fs::remove_file(path).map_err(|error| errno_of(&error)),
        // It is somebody else's, alive or not.
        Err(Errno::EACCES) => Err(Errno::EACCES),
        // It may be alive: bind says what is wrong.
        Err(_) => Ok(()),
    }
}

/// Connects to a Unix socket, without ever waiting: whoever listens there may be stuck.
pub fn connect(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    nix::sys::socket::connect(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(fd)
}
