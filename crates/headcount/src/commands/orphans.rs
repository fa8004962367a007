//! Orphans: adopted while all runs, so that they are reaped, and ended when it is over.
//!
//! What is left when the workers, or `exec`'s child, have ended: daemons, background jobs, whatever
//! escaped from a process group. They are told to leave, given a moment, and killed; the kernel would
//! do only the last when PID 1 ends, and nothing at all where headcount is not PID 1.
//!
//! Only our own children are touched: as PID 1 or subreaper we adopt every orphan below us, so they
//! all come by here, and nothing else in the pid namespace does.

use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::os::proc::parent_of;
use crate::os::reap::reap_all;
use crate::os::signals::Signals;
use crate::os::sleep::{Sleeper, Wake};
use crate::os::sys::{self, Pid};

/// How long orphans have between SIGTERM and SIGKILL.
pub const ORPHAN_TIMEOUT: Duration = Duration::from_secs(3);

/// Between SIGKILL and giving up: a process in uninterruptible sleep ends when its disk answers,
/// which may be never.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// As PID 1 of its namespace a process gets every orphan; any other has to ask.
pub fn adopt() {
    if std::process::id() != 1
        && let Err(error) = nix::sys::prctl::set_child_subreaper(true)
    {
        warn!("orphans of the workers will not be reaped: {error}");
    }
}

/// Ends all children that are left, and returns when they have gone.
pub fn end(signals: &Signals, timeout: Duration) {
    // 0 is tini's way: the kernel ends them with PID 1.
    if timeout.is_zero() || !sys::has_children() {
        return;
    }
    // A sleeper of its own: what else was waited for may have things to read that nobody reads now.
    let sleeper = match Sleeper::new().and_then(|sleeper| {
        sleeper.watch(signals, Wake::Signal)?;
        Ok(sleeper)
    }) {
        Ok(sleeper) => sleeper,
        Err(error) => {
            warn!("orphans are left to the kernel: {error}");
            return;
        }
    };
    let mut told: Vec<Pid> = Vec::new();
    let started = Instant::now();
    let mut killing = false;
    while sys::has_children() {
        let children = children();
        let signal = if killing { libc::SIGKILL } else { libc::SIGTERM };
        if children.is_empty() && std::process::id() == 1 {
            // Without /proc nobody is known by name. In PID 1's own namespace all is ours.
            let _ = sys::send(-1, signal);
        }
        for pid in &children {
            // Once each: a second SIGTERM means "hurry" to some programs.
            if killing || !told.contains(pid) {
                let _ = sys::send(*pid, signal);
            }
        }
        if told.is_empty() && !children.is_empty() && !killing {
            info!(processes = children.len(), "orphans are left: telling them to leave");
        }
        told = children;
        let patience = if killing { timeout.saturating_add(LAST_WAIT) } else { timeout };
        let left = patience.saturating_sub(started.elapsed());
        if left.is_zero() {
            if killing {
                warn!("orphans that cannot be killed are left to the kernel");
                return;
            }
            warn!(processes = told.len(), "killing orphans that did not leave in time");
            killing = true;
            continue;
        }
        sleeper.sleep(Some(left));
        while let Some(signal) = signals.next() {
            killing |= matches!(signal.number, libc::SIGINT | libc::SIGQUIT);
        }
        reap_all(|_| {}, |_| {});
    }
}

/// Our children, as /proc lists them; none where it cannot be read. Each is alive or unreaped: only
/// this thread reaps.
fn children() -> Vec<Pid> {
    let own = Pid::try_from(std::process::id()).unwrap_or_default();
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| parent_of(*pid) == Some(own))
        .collect()
}
