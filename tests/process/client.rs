//! Requests, each over a connection of its own: by TCP or by a Unix socket, with a deadline, and in
//! two halves where a test wants something to happen in between.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;

use serde::Deserialize;

use crate::support::DEADLINE;

/// An answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// What the demo says of the worker that answers.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub(crate) struct Whoami {
    pub(crate) worker: u32,
    pub(crate) workers: u32,
    pub(crate) pid: u32,
    pub(crate) generation: u64,
}

trait Stream: Read + Write {}
impl Stream for TcpStream {}
impl Stream for UnixStream {}

/// A request that was sent and is not answered yet.
pub(crate) struct InFlight(Box<dyn Stream>);

/// Sends a GET to `127.0.0.1:8000`, `[::1]:8000` or `unix:/run/app.sock`.
pub(crate) fn send(address: &str, path: &str) -> io::Result<InFlight> {
    let mut stream: Box<dyn Stream> = if let Some(file) = address.strip_prefix("unix:") {
        let stream = UnixStream::connect(file)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        Box::new(stream)
    } else {
        let address: SocketAddr = address.parse().expect("an address");
        let stream = TcpStream::connect_timeout(&address, DEADLINE)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        Box::new(stream)
    };
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    Ok(InFlight(stream))
}

impl InFlight {
    /// Waits for the answer.
    pub(crate) fn answer(mut self) -> io::Result<Answer> {
        let mut text = String::new();
        self.0.read_to_string(&mut text)?;
        let broken = || io::Error::other(format!("no whole answer: {text:?}"));
        let (head, body) = text.split_once("\r\n\r\n").ok_or_else(broken)?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        });
        // gunicorn's and the demo's answers both say how long they are.
        if length != Some(body.len()) {
            return Err(broken());
        }
        Ok(Answer { status: status.ok_or_else(broken)?, body: body.to_owned() })
    }
}

/// Sends a request and waits for its answer.
pub(crate) fn get(address: &str, path: &str) -> io::Result<Answer> {
    send(address, path)?.answer()
}

/// Which worker of the demo answers at this address.
pub(crate) fn who(address: &str) -> Whoami {
    let answer = get(address, "/").unwrap_or_else(|error| panic!("{address}: {error}"));
    assert_eq!(answer.status, 200, "{answer:?}");
    serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}
