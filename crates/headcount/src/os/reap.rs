//! Reaping: every child that has ended, and as PID 1 or subreaper every orphan below. The one place
//! that waits for any child.

use crate::os::sys::{self, Pid, Reaped};

/// Reaps all that have ended. `ending` is called while the process still holds its pid, so that its
/// group may be signalled; `ended` when the pid is free.
///
/// SIGCHLD is coalesced: one may stand for any number of children, so this never stops at the first.
pub fn reap_all(mut ending: impl FnMut(Pid), mut ended: impl FnMut(Reaped)) {
    while let Some(pid) = sys::ended_child() {
        ending(pid);
        match sys::reap(pid) {
            Ok(reaped) => ended(reaped),
            // Nobody else reaps, so this cannot happen; if it does, do not ask for ever.
            Err(_) => return,
        }
    }
}
