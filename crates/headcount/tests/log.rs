//! The log of a real headcount must not decide over its workers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "to panic is how a test fails")]
#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]
#![allow(clippy::disallowed_methods, reason = "those of PID 1; a test starts processes and waits")]

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Waits for as many workers; the pids of those that there are in the end.
fn workers(of: u32, wanted: usize) -> Vec<String> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let list = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap();
        let workers: Vec<String> = list.split_whitespace().map(str::to_owned).collect();
        if workers.len() == wanted || Instant::now() > deadline {
            return workers;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A write to a pipe without readers sends SIGPIPE to the writer, and headcount passes on what it is
/// sent.
#[test]
fn a_log_that_nobody_reads_costs_no_worker() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_headcount"))
        .args(["run", "-w", "2", "--control", "none", "--", "sleep", "1000"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let before = workers(child.id(), 2);
    drop(child.stderr.take());
    for wanted in 3..6 {
        // Each is a line in the log.
        let signalled = Command::new("kill").args(["-TTIN", &child.id().to_string()]).status();
        assert!(signalled.unwrap().success());
        let now = workers(child.id(), wanted);
        assert_eq!(now.len(), wanted);
        assert!(before.iter().all(|worker| now.contains(worker)), "{before:?} {now:?}");
    }
    let stopped = Command::new("kill").arg(child.id().to_string()).status();
    assert!(stopped.unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
