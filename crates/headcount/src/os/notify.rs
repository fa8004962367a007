//! The notify socket: what workers say of themselves, by the protocol of `sd_notify(3)`. And the
//! other side of it: what headcount says to its own manager, if one gave it a socket.
//!
//! The socket is in the abstract namespace, with a name that the kernel chooses: it needs no
//! directory, so a read-only root is fine, and it is gone with the process. Anybody in the network
//! namespace may send to it; the kernel adds the sender's pid, and what does not come from a worker
//! or one of its descendants is dropped.

use std::ffi::{OsStr, OsString};
use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, bind, getsockname,
    recvmsg, setsockopt, socket, sockopt,
};

use crate::os::sys::Pid;

/// Longer messages than this are cut; systemd's own limit is 4096.
const LONGEST: usize = 4096;

/// The socket that workers send to.
pub struct NotifySocket {
    fd: OwnedFd,
    address: OsString,
}

/// One message, from a process whose pid the kernel vouches for.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    pub sender: Pid,
    pub ready: bool,
    pub heartbeat: bool,
    pub stopping: bool,
}

impl NotifySocket {
    pub fn open() -> Result<Self, Errno> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
        setsockopt(&fd, sockopt::PassCred, &true)?;
        // Autobind, unix(7): an unnamed address gets a free abstract name.
        bind(fd.as_raw_fd(), &UnixAddr::new_unnamed())?;
        let bound: UnixAddr = getsockname(fd.as_raw_fd())?;
        let mut address = OsString::from("@");
        address.push(OsStr::from_bytes(bound.as_abstract().unwrap_or_default()));
        Ok(Self { fd, address })
    }

    /// The value of `NOTIFY_SOCKET`.
    pub fn address(&self) -> &OsStr {
        &self.address
    }

    /// The next message; `None` when there is none.
    pub fn next(&self) -> Option<Message> {
        let mut buffer = [0; LONGEST];
        let mut space = nix::cmsg_space!(nix::sys::socket::UnixCredentials);
        let mut slices = [IoSliceMut::new(&mut buffer)];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
        let received =
            recvmsg::<UnixAddr>(self.fd.as_raw_fd(), &mut slices, Some(&mut space), flags).ok()?;
        let length = received.bytes;
        let sender = received.cmsgs().ok().and_then(|mut messages| {
            messages.find_map(|message| match message {
                ControlMessageOwned::ScmCredentials(credentials) => Some(credentials.pid()),
                _ => None,
            })
        });
        // A message without credentials, or one whose control data (descriptors that nobody asked
        // for) was too long, is from nobody, and nobody is process 0.
        let sender = sender.unwrap_or_default();
        Some(Message::parse(sender, buffer.get(..length).unwrap_or_default()))
    }
}

impl AsFd for NotifySocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Message {
    fn parse(sender: Pid, bytes: &[u8]) -> Self {
        let says = |line: &[u8]| bytes.split(|byte| *byte == b'\n').any(|said| said == line);
        Self {
            sender,
            ready: says(b"READY=1"),
            heartbeat: says(b"WATCHDOG=1"),
            stopping: says(b"STOPPING=1"),
        }
    }
}

/// Tells headcount's own manager, where there is one that listens; nobody waits for an answer.
pub fn tell_manager(message: &str) {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&name),
    };
    // A manager that has gone is no reason for anything to happen to the workers.
    if let (Ok(address), Ok(socket)) = (address, UnixDatagram::unbound()) {
        let _ = socket.set_nonblocking(true);
        let _ = socket.send_to_addr(message.as_bytes(), &address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(socket: &NotifySocket, message: &[u8]) {
        let name = socket.address().as_bytes().strip_prefix(b"@").unwrap();
        let address = SocketAddr::from_abstract_name(name).unwrap();
        UnixDatagram::unbound().unwrap().send_to_addr(message, &address).unwrap();
    }

    #[test]
    fn messages_come_with_their_sender() {
        let socket = NotifySocket::open().unwrap();
        assert_eq!(socket.next(), None);
        send(&socket, b"STATUS=up\nREADY=1\n");
        send(&socket, b"WATCHDOG=1");
        send(&socket, &[0xff; 9000]);
        let sender = Pid::try_from(std::process::id()).unwrap();
        let quiet = Message { sender, ready: false, heartbeat: false, stopping: false };
        assert_eq!(socket.next(), Some(Message { ready: true, ..quiet }));
        let quiet = Message { sender, ready: false, heartbeat: false, stopping: false };
        assert_eq!(socket.next(), Some(Message { heartbeat: true, ..quiet }));
        let quiet = Message { sender, ready: false, heartbeat: false, stopping: false };
        assert_eq!(socket.next(), Some(quiet));
        assert_eq!(socket.next(), None);
    }
}
