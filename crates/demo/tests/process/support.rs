//! A manager, a client and a worker process, each with a deadline on everything it waits for.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

pub(crate) const DEADLINE: Duration = Duration::from_secs(15);

/// Opens the sockets of its arguments, puts them at 3 and up as systemd does, and becomes the demo:
/// `exec` keeps the pid, which is what `LISTEN_PID` is about, and safe Rust cannot do either.
const MANAGER: &str = r#"
import fcntl, os, socket, sys
sockets = []
for spec in sys.argv[2:]:
    if spec.startswith("/"):
        s = socket.socket(socket.AF_UNIX); s.bind(spec); s.listen()
    else:
        family = socket.AF_INET6 if ":" in spec else socket.AF_INET
        s = socket.create_server((spec, 0), family=family, backlog=1024)
    sockets.append(fcntl.fcntl(s, fcntl.F_DUPFD, 50))
for i, s in enumerate(sockets):
    os.dup2(s, 3 + i)
    os.close(s)
os.environ["LISTEN_FDS"] = str(len(sockets))
os.environ.setdefault("LISTEN_PID", str(os.getpid()))
os.execv(sys.argv[1], sys.argv[1:2])
"#;

/// The demo, running; killed at the end of the test if it still is.
pub(crate) struct Demo {
    child: Child,
    stderr: BufReader<ChildStderr>,
}

impl Demo {
    pub(crate) fn alone(env: &[(&str, &str)]) -> Self {
        Self::spawn(Command::new(env!("CARGO_BIN_EXE_demo")), env)
    }

    pub(crate) fn with_sockets(sockets: &[&str], env: &[(&str, &str)]) -> Self {
        let mut command = Command::new("python3");
        command.args(["-c", MANAGER, env!("CARGO_BIN_EXE_demo")]).args(sockets);
        Self::spawn(command, env)
    }

    fn spawn(mut command: Command, env: &[(&str, &str)]) -> Self {
        for inherited in ["LISTEN_PID", "LISTEN_FDS", "NOTIFY_SOCKET", "WATCHDOG_USEC", "PORT"] {
            command.env_remove(inherited);
        }
        command.envs(env.iter().copied()).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stderr }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log_line(&mut self) -> String {
        let mut line = String::new();
        self.stderr.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// What it says that it serves on.
    pub(crate) fn addresses(&mut self) -> Vec<String> {
        let line = self.log_line();
        let (_, addresses) = line.split_once("serving on ").unwrap_or_else(|| panic!("{line}"));
        addresses.split(", ").map(|a| a.replace("0.0.0.0", "127.0.0.1")).collect()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid().try_into().unwrap()), signal).unwrap();
    }

    pub(crate) fn exit(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < DEADLINE, "the demo does not exit");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The other end of `NOTIFY_SOCKET`.
pub(crate) struct Manager {
    pub(crate) address: String,
    socket: UnixDatagram,
    _directory: Option<TempDir>,
}

impl Manager {
    pub(crate) fn at_path() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let address = path.to_str().unwrap().to_owned();
        Self { address, socket: UnixDatagram::bind(path).unwrap(), _directory: Some(directory) }
    }

    pub(crate) fn at_abstract_name(name: &str) -> Self {
        let name = format!("headcount-demo-{name}-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        Self { address: format!("@{name}"), socket, _directory: None }
    }

    /// The next message, if one comes within `limit`.
    pub(crate) fn next(&self, limit: Duration) -> Option<String> {
        let mut buffer = [0; 256];
        self.socket.set_read_timeout(Some(limit)).unwrap();
        let length = self.socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).trim_end().to_owned())
    }

    pub(crate) fn wait_for(&self, message: &str) {
        let start = Instant::now();
        while start.elapsed() < DEADLINE {
            if self.next(DEADLINE).as_deref() == Some(message) {
                return;
            }
        }
        panic!("no {message}");
    }
}

/// One connection, over whatever stream.
pub(crate) struct Client<S>(BufReader<S>);

impl Client<TcpStream> {
    pub(crate) fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        Self::new(stream)
    }
}

impl<S: Read + Write> Client<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self(BufReader::new(stream))
    }

    pub(crate) fn send(&mut self, path: &str) {
        self.send_raw(format!("GET {path} HTTP/1.1\r\nHost: demo\r\n\r\n").as_bytes());
    }

    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    pub(crate) fn receive(&mut self) -> Response {
        let mut line = || {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            line.trim_end().to_ascii_lowercase()
        };
        let status = line();
        let (mut length, mut closes) = (0, false);
        for header in std::iter::from_fn(|| Some(line()).filter(|line| !line.is_empty())) {
            closes |= header == "connection: close";
            if let Some(value) = header.strip_prefix("content-length: ") {
                length = value.parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        let status = status.split(' ').nth(1).unwrap_or("connection closed").to_owned();
        Response { status, closes, body: String::from_utf8(body).unwrap() }
    }

    pub(crate) fn get(&mut self, path: &str) -> Response {
        self.send(path);
        self.receive()
    }

    /// Whether the server closes now, and properly: a reset panics.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.0.read(&mut [0]).unwrap() == 0
    }
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: String,
    /// Whether it says `Connection: close`.
    pub(crate) closes: bool,
    pub(crate) body: String,
}
