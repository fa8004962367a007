//! One client of the control socket: its request as far as it has come, then its answer as far as it
//! has gone. It has no time of its own; whoever holds it drops it when its time is over.

use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};

use crate::protocol::{LONGEST_REQUEST, refusal};

/// A connection.
#[derive(Debug)]
pub(super) struct Client {
    fd: OwnedFd,
    deadline: Duration,
    state: State,
}

#[derive(Debug)]
enum State {
    /// What has come of the request.
    Reading(Vec<u8>),
    /// The answer, and how much of it has gone.
    Writing(Vec<u8>, usize),
}

/// How far a client has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Its request is not complete.
    Reads,
    /// It takes its answer slowly.
    Writes,
    /// It has its answer, or has gone.
    Over,
}

impl Client {
    pub(super) fn new(fd: OwnedFd, deadline: Duration) -> Self {
        Self { fd, deadline, state: State::Reading(Vec::new()) }
    }

    /// When it has had its time.
    pub(super) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Reads and writes what can be read and written now.
    pub(super) fn proceed(&mut self, answer: &mut impl FnMut(&[u8]) -> Vec<u8>) -> Progress {
        if let State::Reading(request) = &mut self.state {
            let response = match read_line(&self.fd, request) {
                Line::Complete => answer(request),
                Line::TooLong => refusal("the request is longer than 4096 bytes"),
                Line::Incomplete => return Progress::Reads,
                Line::Never => return Progress::Over,
            };
            self.state = State::Writing(response, 0);
        }
        match &mut self.state {
            State::Writing(response, sent) => write(&self.fd, response, sent),
            State::Reading(_) => Progress::Reads,
        }
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// What has come of a line.
enum Line {
    Complete,
    Incomplete,
    TooLong,
    /// The client has gone.
    Never,
}

/// Reads on, up to the first newline, which is left out with all behind it.
fn read_line(fd: &OwnedFd, line: &mut Vec<u8>) -> Line {
    let mut buffer = [0; 512];
    // Enough to see that the longest line has no end, and no more: a client that sends without end
    // is not read without end.
    while line.len() <= LONGEST_REQUEST {
        let read = match recv(fd.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
            Ok(0) => return Line::Never,
            Ok(read) => buffer.get(..read).unwrap_or_default(),
            Err(Errno::EAGAIN | Errno::EINTR) => return Line::Incomplete,
            Err(_) => return Line::Never,
        };
        let mut pieces = read.splitn(2, |byte| *byte == b'\n');
        line.extend_from_slice(pieces.next().unwrap_or_default());
        if line.len() <= LONGEST_REQUEST && pieces.next().is_some() {
            return Line::Complete;
        }
    }
    mem::take(line);
    Line::TooLong
}

/// Writes on. `MSG_NOSIGNAL`, because a blocked SIGPIPE is not ignored but kept for the signalfd,
/// where it would look like one that somebody sent.
fn write(fd: &OwnedFd, response: &[u8], sent: &mut usize) -> Progress {
    loop {
        let rest = response.get(*sent..).unwrap_or_default();
        if rest.is_empty() {
            return Progress::Over;
        }
        match send(fd.as_raw_fd(), rest, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL) {
            Ok(count) => *sent = sent.saturating_add(count),
            Err(Errno::EAGAIN | Errno::EINTR) => return Progress::Writes,
            Err(_) => return Progress::Over,
        }
    }
}

/// Says one line to somebody who is not listened to. A fresh connection takes it at once.
pub(super) fn say(fd: &OwnedFd, line: &[u8]) {
    write(fd, line, &mut 0);
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    fn pair() -> (UnixStream, Client) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        (ours, Client::new(theirs.into(), Duration::from_secs(2)))
    }

    fn echo(request: &[u8]) -> Vec<u8> {
        [b"<", request, b">\n"].concat()
    }

    fn all_of(mut stream: UnixStream) -> Vec<u8> {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        all
    }

    #[test]
    fn a_request_may_come_in_pieces() {
        let (mut stream, mut client) = pair();
        assert_eq!(client.proceed(&mut echo), Progress::Reads);
        stream.write_all(b"sta").unwrap();
        assert_eq!(client.proceed(&mut echo), Progress::Reads);
        stream.write_all(b"tus\n").unwrap();
        assert_eq!(client.proceed(&mut echo), Progress::Over);
        drop(client);
        assert_eq!(all_of(stream), b"<status>\n");
    }

    #[test]
    fn the_longest_line_is_read_and_a_longer_one_is_not() {
        for (length, expected) in [
            (LONGEST_REQUEST, [b"<", [b'x'; LONGEST_REQUEST].as_slice(), b">\n"].concat()),
            (LONGEST_REQUEST + 1, refusal("the request is longer than 4096 bytes")),
        ] {
            let (mut stream, mut client) = pair();
            stream.write_all(&vec![b'x'; length]).unwrap();
            stream.write_all(b"\n").unwrap();
            assert_eq!(client.proceed(&mut echo), Progress::Over, "{length}");
            drop(client);
            let said = all_of(stream);
            assert!(said == expected, "{length}: {}", String::from_utf8_lossy(&said));
        }
    }

    #[test]
    fn an_endless_line_is_not_read_to_its_end() {
        let (mut stream, mut client) = pair();
        stream.write_all(&vec![b'x'; 100_000]).unwrap();
        assert_eq!(client.proceed(&mut echo), Progress::Over);
        assert!(matches!(&client.state, State::Writing(..)));
    }

    #[test]
    fn whoever_goes_is_gone() {
        let (stream, mut client) = pair();
        drop(stream);
        assert_eq!(client.proceed(&mut echo), Progress::Over);
        let (mut stream, mut client) = pair();
        stream.write_all(b"status\n").unwrap();
        drop(stream);
        assert_eq!(client.proceed(&mut echo), Progress::Over);
    }

    #[test]
    fn whoever_only_stops_sending_gets_an_answer() {
        let (mut stream, mut client) = pair();
        stream.write_all(b"status\n").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(client.proceed(&mut echo), Progress::Over);
        drop(client);
        assert_eq!(all_of(stream), b"<status>\n");
    }

    #[test]
    fn a_long_answer_waits_for_its_reader() {
        let long = vec![b'y'; 4 << 20];
        let (mut stream, mut client) = pair();
        stream.write_all(b"status\n").unwrap();
        let mut answers = 0;
        let mut answer = |_: &[u8]| {
            answers += 1;
            long.clone()
        };
        assert_eq!(client.proceed(&mut answer), Progress::Writes);
        assert_eq!(client.proceed(&mut answer), Progress::Writes);
        let mut read = 0;
        let mut buffer = vec![0; 1 << 16];
        while client.proceed(&mut answer) == Progress::Writes {
            read += stream.read(&mut buffer).unwrap();
        }
        drop(client);
        read += all_of(stream).len();
        assert_eq!((read, answers), (long.len(), 1));
    }
}
