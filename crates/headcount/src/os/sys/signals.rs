//! Signals: blocked before `main`, given back before exec, and sent by number.

use std::io;

use libc::c_int;
use nix::sys::signal::SigSet;

use super::{Pid, check};

/// What was inherited, noted before `main`. Written once, by the only thread there is.
static mut AT_START: Option<Inherited> = None;

/// What the child gets back before it becomes another program.
#[derive(Clone, Copy)]
pub struct Inherited {
    mask: libc::sigset_t,
    sigpipe_ignored: bool,
}

/// Runs before `main`, for two reasons. A signal that reaches PID 1 before it is blocked is lost: the
/// kernel gives the first process of a namespace no default actions. And Rust's runtime sets SIGPIPE
/// to ignore, which survives exec, though what was inherited belongs to the child.
extern "C" fn block_signals() {
    // SAFETY: plain data is written through valid pointers, and nothing else runs yet.
    unsafe {
        let all = every_signal();
        let mut mask: libc::sigset_t = std::mem::zeroed();
        libc::sigprocmask(libc::SIG_SETMASK, &raw const all, &raw mut mask);
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(libc::SIGPIPE, std::ptr::null(), &raw mut action);
        let sigpipe_ignored = action.sa_sigaction == libc::SIG_IGN;
        AT_START = Some(Inherited { mask, sigpipe_ignored });
    }
}

// SAFETY: the section holds pointers to functions that the C library calls once, before main. Not in
// unit tests, whose harness is none of this.
#[cfg(not(test))]
#[used]
#[unsafe(link_section = ".init_array")]
static BLOCK_SIGNALS: extern "C" fn() = block_signals;

/// All ones, and not `sigfillset`, because musl's leaves out 32 to 34, of which 34 is SIGRTMIN to
/// everybody else.
fn every_signal() -> libc::sigset_t {
    // SAFETY: sigset_t is plain data, for which any bytes are valid.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        std::ptr::write_bytes((&raw mut all).cast::<u8>(), 0xff, size_of::<libc::sigset_t>());
        all
    }
}

/// What was inherited.
fn inherited() -> Inherited {
    // SAFETY: written before main, and by nobody since.
    let at_start = unsafe { AT_START };
    at_start.unwrap_or_else(|| {
        block_signals();
        // SAFETY: as above; this is the same thread.
        unsafe { AT_START }.unwrap_or(Inherited { mask: every_signal(), sigpipe_ignored: false })
    })
}

/// Every signal is blocked already, save 33 and 34 under musl: its `sigaction` unblocks them when the
/// first handler is installed, which Rust's runtime has done since (for stack overflows). So they are
/// blocked once more. And SIGCHLD must be sent at all: inherited as ignored it makes the kernel reap
/// children by itself, and whoever waits for one waits for ever.
///
/// Returns the set for the signalfd, and what was inherited.
pub fn take_over_signals() -> io::Result<(SigSet, Inherited)> {
    let inherited = inherited();
    // SAFETY: plain data behind valid pointers.
    unsafe {
        let mut default: libc::sigaction = std::mem::zeroed();
        default.sa_sigaction = libc::SIG_DFL;
        check(libc::sigaction(libc::SIGCHLD, &raw const default, std::ptr::null_mut()))?;
        let all = every_signal();
        check(libc::sigprocmask(libc::SIG_SETMASK, &raw const all, std::ptr::null_mut()))?;
        Ok((SigSet::from_sigset_t_unchecked(all), inherited))
    }
}

/// For the commands that look after nobody: Ctrl-C ends them.
pub fn give_signals_back() {
    let inherited = inherited();
    // SAFETY: plain data behind a valid pointer.
    unsafe {
        libc::sigprocmask(libc::SIG_SETMASK, &raw const inherited.mask, std::ptr::null_mut());
    }
}

impl Inherited {
    /// Gives the signals back, for this process's next program.
    ///
    /// # Safety
    /// Only in a child that has no threads and is about to call exec.
    pub(super) unsafe fn restore(&self) {
        // SAFETY: plain data behind valid pointers.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = if self.sigpipe_ignored { libc::SIG_IGN } else { libc::SIG_DFL };
            libc::sigaction(libc::SIGPIPE, &raw const action, std::ptr::null_mut());
            libc::sigprocmask(libc::SIG_SETMASK, &raw const self.mask, std::ptr::null_mut());
        }
    }
}

/// Sends a signal to one process.
pub fn send(pid: Pid, signal: c_int) -> io::Result<()> {
    // SAFETY: kill takes no pointers.
    check(unsafe { libc::kill(pid, signal) })
}

/// Sends a signal to a process group, by the pid of its leader.
pub fn send_group(leader: Pid, signal: c_int) -> io::Result<()> {
    // SAFETY: killpg takes no pointers.
    check(unsafe { libc::killpg(leader, signal) })
}
