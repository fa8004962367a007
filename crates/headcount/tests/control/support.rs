//! A headcount to talk to, and an end to it whatever the test does.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

pub const HEADCOUNT: &str = env!("CARGO_BIN_EXE_headcount");

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long headcount gives a client.
pub const CLIENTS_TIME: Duration = Duration::from_secs(2);

/// Waits for a condition.
pub fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A headcount with a control socket, and an end to it.
pub struct Running {
    pub child: Child,
    pub directory: TempDir,
}

/// A command with none of the environment that would change what it does.
pub fn headcount() -> Command {
    let mut command = Command::new(HEADCOUNT);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("HEADCOUNT_") || name == "WEB_CONCURRENCY" || name == "PORT" {
            command.env_remove(&*name);
        }
    }
    command
}

impl Running {
    /// Starts it with as many workers, and waits until they are ready.
    pub fn start(workers: u32) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), workers)
    }

    pub fn start_in(directory: TempDir, workers: u32) -> Self {
        let mut command = headcount();
        command.current_dir(directory.path()).stderr(Stdio::null());
        command.args(["run", "--ready-after", "10ms", "--control", "s", "-w"]);
        command.arg(workers.to_string());
        command.args(["--", "sleep", "1000"]);
        let child = command.spawn().unwrap();
        let running = Self { child, directory };
        eventually("all workers are ready", || {
            let status = running.try_status()?;
            (status["ready"] == workers).then_some(())
        });
        running
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("s")
    }

    pub fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    pub fn ask(&self, request: &str) -> Value {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        answer(&mut stream)
    }

    /// The status; `None` while nobody listens, or if there is an error.
    pub fn try_status(&self) -> Option<Value> {
        let mut stream = UnixStream::connect(self.socket()).ok()?;
        let _ = stream.write_all(b"{\"command\":\"status\"}\n");
        Some(answer(&mut stream)).filter(|answer| answer["ok"] == true)
    }

    pub fn status(&self) -> Value {
        self.try_status().unwrap()
    }

    /// Runs one of headcount's own commands against it.
    pub fn command(&self, words: &[&str]) -> Output {
        headcount().args(words).arg("--control").arg(self.socket()).output().unwrap()
    }

    /// The workers, as the kernel has them.
    pub fn children(&self) -> Vec<u32> {
        let pid = self.child.id();
        let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        list.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
    }

    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// Waits for its end.
    pub fn end(&mut self) -> ExitStatus {
        eventually("headcount ends", || self.child.try_wait().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let workers = self.children();
            let _ = self.child.kill();
            let _ = self.child.wait();
            // Killed itself, it cannot stop them.
            for worker in workers {
                let _ = Command::new("kill").arg(worker.to_string()).status();
            }
        }
    }
}

/// One line of JSON, and the end.
pub fn answer(stream: &mut UnixStream) -> Value {
    let mut line = String::new();
    // It may close with a part of the request unread.
    match stream.read_to_string(&mut line) {
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        other => drop(other.unwrap()),
    }
    assert_eq!(line.matches('\n').count(), 1, "{line:?}");
    serde_json::from_str(&line).unwrap()
}

/// Waits until the other end has closed; how long that took.
pub fn time_to_end(stream: &mut UnixStream, since: Instant) -> Duration {
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    since.elapsed()
}

pub fn error_of(answer: &Value) -> &str {
    assert_eq!(answer["ok"], false, "{answer}");
    answer["error"].as_str().unwrap()
}
