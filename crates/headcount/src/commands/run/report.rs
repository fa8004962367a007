//! What the log says of workers: lines for the person who is paged at night, so each has the worker,
//! its pid, what happened and after how long.

use std::time::Duration;

use headcount_supervisor::{Reason, Time, WorkerId};
use tracing::{debug, info, warn};

use crate::os::proc;
use crate::os::signals;
use crate::os::sys::{Exit, Pid, Reaped};

/// A pool on its way out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Leaving {
    pub since: Time,
    /// How many workers it had.
    pub workers: u32,
    /// How many of them had to be killed.
    pub killed: u32,
}

/// `1 worker`, `5 workers`.
pub fn count(workers: u32) -> String {
    format!("{workers} {}", if workers == 1 { "worker" } else { "workers" })
}

/// The last line.
pub fn stopped(leaving: Leaving, took: Duration) {
    let Leaving { workers, killed, .. } = leaving;
    let (drained, took) = (workers.saturating_sub(killed), took.as_secs_f64());
    info!(drained, killed, "stopped: {drained} drained, {killed} killed, in {took:.1}s");
}

/// A worker is about to be signalled.
pub fn signalled(id: WorkerId, pid: Pid, reason: Reason) {
    match reason {
        Reason::Resize | Reason::Restart | Reason::Stop => {
            debug!(worker = %id, pid, ?reason, "telling the worker to leave");
        }
        Reason::GraceOver => {
            warn!(worker = %id, pid, "killing the worker: it did not leave in time");
        }
        Reason::BootTimeout => {
            warn!(worker = %id, pid, "killing the worker: it did not get ready in time");
        }
        Reason::Silent(time) => {
            let doing = proc::doing(pid).unwrap_or_else(|| "not known".to_owned());
            let memory = proc::of_process(pid).memory_bytes.unwrap_or_default() >> 20;
            warn!(
                worker = %id, pid,
                "aborting the worker: it has been silent for {:.1}s (it is {doing}, with {memory} \
                 MiB)",
                time.as_secs_f64()
            );
        }
        Reason::AbortIgnored => {
            warn!(worker = %id, pid, "killing the worker: it ignores SIGABRT");
        }
    }
}

/// A worker's process has ended.
pub fn ended(id: WorkerId, reaped: &Reaped, lived: Duration, expected: bool, why: Option<&str>) {
    let pid = reaped.pid;
    let how = match reaped.exit {
        Exit::Code(code) => format!("exited with status {code}"),
        Exit::Signal { number, core } => {
            let dumped = if core { ", core dumped" } else { "" };
            format!("was killed by {}{dumped}", signals::name(number))
        }
    };
    let lived = lived.as_secs_f64();
    if let Some(why) = why {
        warn!(worker = %id, pid, "worker {how} after {lived:.1}s, {why}");
    } else if expected {
        debug!(worker = %id, pid, "worker {how} after {lived:.1}s, as it was told");
    } else {
        warn!(worker = %id, pid, "worker {how} after {lived:.1}s");
    }
}
