//! Waiting for any child, in two steps: who has ended, while it still holds its pid, and then its
//! reaping, which frees it.

use std::io;

use libc::c_int;

use super::{Pid, check};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this status.
    Code(u8),
    /// By a signal, perhaps with a core dump.
    Signal { number: c_int, core: bool },
}

/// Whether there is any child, ended or not.
pub fn has_children() -> bool {
    // SAFETY: siginfo_t is plain data, valid when zeroed.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        libc::waitid(libc::P_ALL, 0, &raw mut info, flags) == 0
    }
}

/// A child that has ended and still holds its pid, so that it can be signalled, and its group; or
/// `None` where no child has ended, or there is no child.
pub fn ended_child() -> Option<Pid> {
    // SAFETY: siginfo_t is plain data, valid when zeroed; si_pid is set for CLD_* codes, and stays
    // zero where WNOHANG found nothing.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        check(libc::waitid(libc::P_ALL, 0, &raw mut info, flags)).ok()?;
        Some(info.si_pid()).filter(|pid| *pid > 0)
    }
}

/// A process that has been reaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reaped {
    pub pid: Pid,
    pub exit: Exit,
    /// The most memory that it ever had resident, in bytes: `ru_maxrss` of getrusage(2).
    pub peak_memory: u64,
}

/// Reaps a child that [`ended_child`] named; its pid is free from here on.
pub fn reap(pid: Pid) -> io::Result<Reaped> {
    let mut status = 0;
    // SAFETY: rusage is plain data, valid when zeroed, and both pointers are valid.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        check(libc::wait4(pid, &raw mut status, libc::WNOHANG, &raw mut usage))?;
        usage
    };
    let exit = if libc::WIFSIGNALED(status) {
        Exit::Signal { number: libc::WTERMSIG(status), core: libc::WCOREDUMP(status) }
    } else {
        Exit::Code(u8::try_from(libc::WEXITSTATUS(status)).unwrap_or(u8::MAX))
    };
    let peak_memory = u64::try_from(usage.ru_maxrss).unwrap_or_default().saturating_mul(1024);
    Ok(Reaped { pid, exit, peak_memory })
}
