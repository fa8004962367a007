//! The control socket of a real headcount, from outside: what it answers, what it changes, and that
//! nobody who connects to it can make it wait or grow.

#![allow(clippy::unwrap_used, clippy::panic, reason = "to panic is how a test fails")]
#![allow(clippy::indexing_slicing, reason = "a missing field of JSON is null, and fails the test")]
#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]
#![allow(clippy::disallowed_methods, reason = "those of PID 1; a test starts processes and waits")]

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

const HEADCOUNT: &str = env!("CARGO_BIN_EXE_headcount");

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long headcount gives a client.
const CLIENTS_TIME: Duration = Duration::from_secs(2);

/// Waits for a condition.
fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
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
struct Running {
    child: Child,
    directory: TempDir,
}

/// A command with none of the environment that would change what it does.
fn headcount() -> Command {
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
    fn start(workers: u32) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), workers)
    }

    fn start_in(directory: TempDir, workers: u32) -> Self {
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

    fn socket(&self) -> PathBuf {
        self.directory.path().join("s")
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn ask(&self, request: &str) -> Value {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        answer(&mut stream)
    }

    /// The status; `None` while nobody listens, or if there is an error.
    fn try_status(&self) -> Option<Value> {
        let mut stream = UnixStream::connect(self.socket()).ok()?;
        let _ = stream.write_all(b"{\"command\":\"status\"}\n");
        Some(answer(&mut stream)).filter(|answer| answer["ok"] == true)
    }

    fn status(&self) -> Value {
        self.try_status().unwrap()
    }

    /// Runs one of headcount's own commands against it.
    fn command(&self, words: &[&str]) -> Output {
        headcount().args(words).arg("--control").arg(self.socket()).output().unwrap()
    }

    /// The workers, as the kernel has them.
    fn children(&self) -> Vec<u32> {
        let pid = self.child.id();
        let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        list.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
    }

    fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// Waits for its end.
    fn end(&mut self) -> ExitStatus {
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
fn answer(stream: &mut UnixStream) -> Value {
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
fn time_to_end(stream: &mut UnixStream, since: Instant) -> Duration {
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    since.elapsed()
}

fn error_of(answer: &Value) -> &str {
    assert_eq!(answer["ok"], false, "{answer}");
    answer["error"].as_str().unwrap()
}

#[test]
fn status_says_what_is_so() {
    let running = Running::start(2);
    let status = running.status();
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["pid"], running.child.id());
    assert_eq!(status["state"], "running");
    assert_eq!((&status["desired"], &status["ready"]), (&json!(2), &json!(2)));
    assert_eq!(status["scale"], "auto");
    assert_eq!((&status["last_resize"], &status["last_restart"]), (&Value::Null, &Value::Null));
    assert!(status["uptime_seconds"].as_f64().unwrap() > 0.0);
    assert!(status["limits"]["cpus"].as_f64().unwrap() > 0.0);
    assert!(status["limits"]["cpus_from"].is_string());
    let workers = status["workers"].as_array().unwrap();
    let pids: Vec<u32> =
        workers.iter().map(|w| u32::try_from(w["pid"].as_u64().unwrap()).unwrap()).collect();
    let mut children = running.children();
    children.sort_by_key(|child| pids.iter().position(|pid| pid == child));
    assert_eq!(pids, children);
    for (slot, worker) in workers.iter().enumerate() {
        assert_eq!(worker["slot"], slot);
        assert_eq!((&worker["state"], &worker["generation"]), (&json!("ready"), &json!(1)));
        assert_eq!(
            (&worker["restarts"], &worker["heartbeat_seconds_ago"]),
            (&json!(0), &Value::Null)
        );
        assert!(worker["memory_bytes"].as_u64().unwrap() > 0);
        assert!(worker["cpu_seconds"].as_f64().unwrap() < 60.0);
        assert!(worker["uptime_seconds"].as_f64().unwrap() < 60.0);
    }
}

#[test]
fn status_is_a_table() {
    let running = Running::start(2);
    let output = running.command(&["status"]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let expected =
        format!("headcount {}, pid {}, up ", env!("CARGO_PKG_VERSION"), running.child.id());
    assert!(text.starts_with(&expected), "{text}");
    assert!(text.contains("\nworkers    2 of 2 ready (auto)\nlimits     "), "{text}");
    let rows: Vec<Vec<&str>> = text
        .lines()
        .skip_while(|line| !line.starts_with("SLOT"))
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(rows.len(), 3, "{text}");
    assert_eq!(rows[0][..4], ["SLOT", "PID", "STATE", "GENERATION"]);
    for (slot, row) in rows[1..].iter().enumerate() {
        assert_eq!((row[0], row[2], row[3]), (slot.to_string().as_str(), "ready", "1"), "{text}");
        assert!(running.children().contains(&row[1].parse().unwrap()), "{text}");
    }
}

#[test]
fn status_json_is_one_object_on_one_line() {
    let running = Running::start(1);
    let output = running.command(&["status", "--json"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1);
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["desired"], 1);
}

#[test]
fn watch_goes_on_until_headcount_has_ended() {
    let mut running = Running::start(1);
    let mut watch = headcount()
        .args(["status", "--watch", "--json", "--control"])
        .arg(running.socket())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut uptime = || {
        let status: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        status["uptime_seconds"].as_f64().unwrap()
    };
    let (first, second) = (uptime(), uptime());
    assert!(second - first > 0.9, "{first} {second}");
    running.command(&["stop"]);
    assert_eq!(running.end().code(), Some(0));
    let end = eventually("the watch ends", || watch.try_wait().unwrap());
    assert_eq!(end.code(), Some(0));
}

#[test]
fn scale_goes_up_and_down_and_back() {
    let running = Running::start(2);
    let first = running.children();
    let output = running.command(&["scale", "4"]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "4 workers wanted\n");
    eventually("four workers", || (running.children().len() == 4).then_some(()));
    let status = running.status();
    assert_eq!((&status["desired"], &status["scale"]), (&json!(4), &json!("manual")));
    let resize = &status["last_resize"];
    assert_eq!((&resize["from"], &resize["to"]), (&json!(2), &json!(4)));
    assert_eq!(resize["because"], "headcount scale");

    assert_eq!(running.ask("{\"command\":\"scale\",\"workers\":1}\n")["workers"], 1);
    eventually("one worker", || (running.children().len() == 1).then_some(()));
    assert!(first.contains(&running.children()[0]), "the oldest stays");

    assert_eq!(running.ask("{\"command\":\"scale\",\"workers\":\"auto\"}\n")["workers"], 2);
    eventually("two workers", || (running.children().len() == 2).then_some(()));
    assert_eq!(running.status()["scale"], "auto");
}

#[test]
fn scale_refuses_what_is_no_number_of_workers() {
    let running = Running::start(1);
    for workers in ["0", "4097", "-1", "2.5", "many"] {
        let output = running.command(&["scale", workers]);
        assert_eq!(output.status.code(), Some(64), "{workers}: {output:?}");
        let answer = running.ask(&format!("{{\"command\":\"scale\",\"workers\":\"{workers}\"}}\n"));
        assert!(error_of(&answer).contains("is not a number of workers"), "{answer}");
    }
    assert_eq!(running.status()["desired"], 1);
}

#[test]
fn reload_raises_the_generation_and_undoes_scale() {
    let running = Running::start(2);
    let before = running.children();
    running.ask("{\"command\":\"scale\",\"workers\":1}\n");
    let output = running.command(&["reload"]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "rolling over to generation 2\n");
    eventually("two workers of generation 2", || {
        let status = running.status();
        let workers = status["workers"].as_array().unwrap();
        (status["last_restart"]["state"] == "done"
            && workers.len() == 2
            && workers.iter().all(|w| w["generation"] == 2 && w["state"] == "ready"))
        .then_some(())
    });
    assert!(running.children().iter().all(|child| !before.contains(child)));
    assert_eq!(running.status()["scale"], "auto");
}

#[test]
fn a_reload_that_cannot_be_says_why() {
    let running = Running::start(1);
    fs::write(running.directory.path().join("headcount.yaml"), "wokers: 5\n").unwrap();
    let output = running.command(&["reload"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("line 1: unknown key `wokers`: did you mean `workers`?"), "{said}");
    assert_eq!(running.status()["last_restart"], Value::Null);
}

#[test]
fn stop_ends_it_cleanly_and_removes_the_socket() {
    let mut running = Running::start(2);
    let output = running.command(&["stop"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "stopping\n");
    assert_eq!(running.end().code(), Some(0));
    assert!(!running.socket().exists());
    let output = running.command(&["status"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("headcount: no headcount answers at /"), "{said}");
    assert_eq!(said.lines().count(), 1);
}

#[test]
fn the_socket_is_its_owner_s_and_no_worker_inherits_it() {
    let running = Running::start(1);
    let mode = fs::metadata(running.socket()).unwrap().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let held = |pid: u32| {
        let sockets = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
        sockets
            .filter_map(|fd| fs::read_link(fd.path()).ok())
            .filter(|to| to.to_string_lossy().starts_with("socket:"))
            .collect::<Vec<_>>()
    };
    let own = held(running.child.id());
    assert!(own.len() >= 2, "{own:?}");
    assert!(held(running.children()[0]).iter().all(|socket| !own.contains(socket)));
}

#[test]
fn a_line_that_is_too_long_is_refused() {
    let running = Running::start(1);
    let mut stream = running.connect();
    // It may be refused before all of it is written.
    let _ = stream.write_all(&vec![b'x'; 1 << 20]);
    assert!(error_of(&answer(&mut stream)).contains("longer than 4096 bytes"));
}

#[test]
fn garbage_gets_an_error_line() {
    let running = Running::start(1);
    for garbage in
        ["\n", "status\n", "{\"command\":\n", "[[[[\n", "\u{0}\u{1}\n", "GET / HTTP/1.1\r\n"]
    {
        assert!(error_of(&running.ask(garbage)).contains("no request"), "{garbage:?}");
    }
    assert!(error_of(&running.ask("{\"command\":\"fork\"}\n")).contains("`fork` is no command"));
}

#[test]
fn a_silent_client_is_dropped_while_another_is_served_at_once() {
    let running = Running::start(1);
    let since = Instant::now();
    let mut silent = running.connect();
    let mut slow = running.connect();
    slow.write_all(b"{\"command\":").unwrap();
    running.status();
    assert!(since.elapsed() < CLIENTS_TIME, "{:?}", since.elapsed());
    for stream in [&mut silent, &mut slow] {
        let took = time_to_end(stream, since);
        assert!(took >= CLIENTS_TIME && took < CLIENTS_TIME * 3, "{took:?}");
    }
}

#[test]
fn one_that_does_not_read_its_answer_is_dropped() {
    let running = Running::start(1);
    let before = running.descriptors();
    let since = Instant::now();
    let stalled: Vec<UnixStream> = (0..3)
        .map(|_| {
            let mut stream = running.connect();
            stream.write_all(b"{\"command\":\"status\"}\n").unwrap();
            stream
        })
        .collect();
    running.status();
    assert!(since.elapsed() < CLIENTS_TIME);
    eventually("they are gone", || (running.descriptors() == before).then_some(()));
    drop(stalled);
}

#[test]
fn further_clients_are_turned_away_at_once() {
    let running = Running::start(1);
    let since = Instant::now();
    let mut held: Vec<UnixStream> = (0..8).map(|_| running.connect()).collect();
    let mut further = running.connect();
    assert!(error_of(&answer(&mut further)).contains("busy"));
    assert!(since.elapsed() < CLIENTS_TIME);
    // The first who goes makes room.
    held.remove(0);
    eventually("there is room", || running.try_status());
    assert!(since.elapsed() < CLIENTS_TIME, "{:?}", since.elapsed());
}

#[test]
fn half_open_clients_leave_nothing_behind() {
    let running = Running::start(1);
    let before = running.descriptors();
    let half_open: Vec<UnixStream> = (0..50)
        .map(|i| {
            let mut stream = running.connect();
            // Those that were turned away have gone already.
            let _ = match i % 3 {
                0 => stream.shutdown(Shutdown::Write),
                1 => stream.write_all(b"{\"com").and_then(|()| stream.shutdown(Shutdown::Write)),
                _ => stream.shutdown(Shutdown::Read),
            };
            stream
        })
        .collect();
    eventually("they are gone", || (running.descriptors() == before).then_some(()));
    drop(half_open);
    running.status();
}

#[test]
fn it_sleeps_though_clients_hang() {
    let running = Running::start(1);
    let held: Vec<UnixStream> = (0..8)
        .map(|i| {
            let mut stream = running.connect();
            // These have their answer to come, and close the way for it.
            if i % 2 == 0 {
                stream.write_all(b"{\"command\"").unwrap();
                stream.shutdown(Shutdown::Read).unwrap();
            }
            stream
        })
        .collect();
    let since = Instant::now();
    let wakes = switches(&running);
    eventually("their time is over", || (since.elapsed() > CLIENTS_TIME).then_some(()));
    let wakes = switches(&running) - wakes;
    assert!(wakes < 50, "it was awake {wakes} times");
    drop(held);
}

/// How often it went to sleep of its own accord, and was made to stop.
fn switches(running: &Running) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", running.child.id())).unwrap();
    let counts = status.lines().filter(|line| line.contains("ctxt_switches"));
    counts.map(|line| line.split_whitespace().last().unwrap().parse::<u64>().unwrap()).sum()
}

#[test]
fn another_user_is_refused() {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        eprintln!("skipped: to be another user takes root");
        return;
    }
    let running = Running::start(1);
    let stranger = |words: &[&str]| {
        // A copy that anybody may run.
        let copy = running.directory.path().join("headcount");
        fs::copy(HEADCOUNT, &copy).unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&copy);
        let output = command.args(words).arg("--control").arg(running.socket()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let open =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    open(running.directory.path(), 0o755);
    let said = stranger(&["stop"]);
    assert!(said.contains("permission denied at /"), "{said}");
    // Also where the file would let them in.
    open(&running.socket(), 0o666);
    let said = stranger(&["stop"]);
    assert!(said.contains("permission denied: this is for root"), "{said}");
    assert_eq!(running.status()["state"], "running");
}

#[test]
fn a_named_path_must_be_free() {
    let running = Running::start(1);
    let second = |path: &Path| {
        let mut command = headcount();
        command.args(["run", "-w", "1", "--control"]).arg(path).args(["--", "sleep", "1000"]);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(78), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let said = second(&running.socket());
    assert!(said.contains("address in use"), "{said}");
    running.status();
    let file = running.directory.path().join("file");
    fs::write(&file, "precious").unwrap();
    let said = second(&file);
    assert!(said.contains("a file that is no socket is there"), "{said}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    let said = second(Path::new("/nonexistent/s"));
    assert!(said.contains("the directory does not exist"), "{said}");
}

#[test]
fn a_stale_socket_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    drop(UnixListener::bind(directory.path().join("s")).unwrap());
    let running = Running::start_in(directory, 1);
    assert_eq!(fs::metadata(running.socket()).unwrap().mode() & 0o7777, 0o600);
}

#[test]
fn none_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = headcount()
        .args(["run", "-w", "1", "--control", "none", "--", "sleep", "0.1"])
        .current_dir(directory.path())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let status = headcount().args(["status", "--control", "none"]).output().unwrap();
    assert_eq!(status.status.code(), Some(1));
    let said = String::from_utf8(status.stderr).unwrap();
    assert!(said.contains("switched off"), "{said}");
    let _ = child.kill();
    let _ = child.wait();
}

#[test]
fn clients_look_where_the_configuration_says() {
    let running = Running::start(1);
    let mut asked = headcount();
    let output = asked.env("HEADCOUNT_CONTROL", running.socket()).arg("status").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let elsewhere = tempfile::tempdir().unwrap();
    let file = format!("control: {}\n", running.socket().display());
    fs::write(elsewhere.path().join("headcount.yaml"), file).unwrap();
    let mut asked = headcount();
    let output = asked.current_dir(elsewhere.path()).arg("status").output().unwrap();
    assert!(output.status.success(), "{output:?}");
}
