//! The system calls that Rust cannot call safe: the fork and what a fork must undo, waiting for any
//! child without losing one, and signals by number. This is the only module in which `unsafe` is
//! allowed, and the only place that forks or waits; everything it is told is prepared before.
//!
//! nix is not used for these. Its `Signal` has no real-time signals: its `kill` cannot send one, and
//! its `waitpid` reaps a child that died of one and then returns an error instead of the child.

#![allow(unsafe_code, reason = "see above: the one module")]
#![allow(clippy::disallowed_methods, reason = "the one place that they name")]

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use libc::{c_char, c_int, pid_t};
use nix::sys::signal::SigSet;

/// A child's process id, valid from the spawn until [`reap`] takes it.
pub type Pid = pid_t;

/// The descriptor of the first socket that is passed: `SD_LISTEN_FDS_START` of `sd_listen_fds(3)`.
pub const FIRST_PASSED: RawFd = 3;

// ---- signals ------------------------------------------------------------------------------------

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
pub fn inherited() -> Inherited {
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
    unsafe fn restore(&self) {
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

// ---- sockets ------------------------------------------------------------------------------------

/// `listen(2)`. nix refuses a backlog above the C library's SOMAXCONN, which is 128 in musl and a
/// thing of the past: the kernel itself cuts it to `net.core.somaxconn`.
pub fn listen(socket: &OwnedFd, backlog: c_int) -> io::Result<()> {
    // SAFETY: listen takes no pointers.
    check(unsafe { libc::listen(socket.as_raw_fd(), backlog) })
}

// ---- children -----------------------------------------------------------------------------------

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

/// A program to start, prepared so far that the child only makes system calls with it.
pub struct Image<'a> {
    /// The paths to try in turn, as `execvp(3)` does.
    pub paths: Vec<CString>,
    pub arguments: Vec<CString>,
    pub environment: Vec<CString>,
    /// Variables whose value is the child's own pid (`LISTEN_PID`, `WATCHDOG_PID`).
    pub pid_variables: &'a [&'a str],
    /// Sockets, which become descriptors 3, 4, … of the child.
    pub passed: Vec<BorrowedFd<'a>>,
    /// Make the child's group the foreground group of the terminal on standard input, if that is
    /// its controlling terminal.
    pub foreground: bool,
}

/// Why there is no child.
#[derive(Debug)]
pub enum ForkError {
    /// No process could be made: EAGAIN is a limit of pids, ENOMEM of memory.
    Fork(io::Error),
    /// The child could not be prepared.
    Prepare(io::Error),
    /// The program could not be executed.
    Exec(io::Error),
}

/// What the child writes when it fails: which half failed, and errno.
const PREPARE: u8 = 1;
const EXEC: u8 = 2;

/// Forks, and executes the image in the child, in a process group of its own. Returns when the child
/// is the new program, or is not to be.
pub fn spawn(image: &Image<'_>, inherited: &Inherited) -> Result<Pid, ForkError> {
    let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)
        .map_err(|errno| ForkError::Fork(errno.into()))?;
    // SAFETY: this process has one thread, so the child may do anything that the parent may.
    let pid = unsafe { libc::fork() };
    match pid {
        -1 => return Err(ForkError::Fork(io::Error::last_os_error())),
        0 => {
            // SAFETY: in the child; both calls end in exec or _exit.
            let (step, error) = unsafe { become_image(image, inherited) };
            let mut report = [0; 5];
            let errno = error.raw_os_error().unwrap_or(libc::EINVAL).to_ne_bytes();
            for (to, from) in report.iter_mut().zip([step].iter().chain(&errno)) {
                *to = *from;
            }
            // SAFETY: a valid buffer of that length. _exit and not exit: what the parent registered
            // to run at its end is not the child's to run.
            unsafe {
                libc::write(writer.as_raw_fd(), report.as_ptr().cast(), report.len());
                libc::_exit(127)
            }
        }
        _ => {}
    }
    // In parent and child: whoever is first, the group exists before anybody may signal it. In vain
    // when the child has called exec already, and then the child has done it.
    // SAFETY: no pointers.
    unsafe { libc::setpgid(pid, pid) };
    drop(writer);
    let failed = read_report(reader);
    match failed {
        None => Ok(pid),
        Some((step, error)) => {
            // It has called _exit, and nobody else waits for children, so this cannot hang.
            let mut status = 0;
            // SAFETY: a valid pointer to an int.
            unsafe { libc::waitpid(pid, &raw mut status, 0) };
            Err(if step == EXEC { ForkError::Exec(error) } else { ForkError::Prepare(error) })
        }
    }
}

/// `None` when the pipe was closed by a successful exec.
fn read_report(reader: OwnedFd) -> Option<(u8, io::Error)> {
    use io::Read as _;
    let mut report = [0; 5];
    std::fs::File::from(reader).read_exact(&mut report).ok()?;
    let [step, errno @ ..] = report;
    Some((step, io::Error::from_raw_os_error(c_int::from_ne_bytes(errno))))
}

/// The child's side: never returns if all goes well.
///
/// # Safety
/// Only in a freshly forked child.
unsafe fn become_image(image: &Image<'_>, inherited: &Inherited) -> (u8, io::Error) {
    let prepare = |error| (PREPARE, error);
    // SAFETY (of this function's blocks): system calls without pointers, or with pointers to C
    // strings and null-terminated arrays that live until exec.
    unsafe {
        let pid = libc::getpid();
        libc::setpgid(0, 0);
        if image.foreground {
            // SIGTTOU, which this sends to a background process, is blocked until the very end.
            libc::tcsetpgrp(0, pid);
        }
        if let Err(error) = place_descriptors(&image.passed) {
            return prepare(error);
        }
        let own: Vec<CString> = image
            .pid_variables
            .iter()
            .filter_map(|name| CString::new(format!("{name}={pid}")).ok())
            .collect();
        let environment = pointers(image.environment.iter().chain(&own).map(CString::as_c_str));
        let arguments = pointers(image.arguments.iter().map(CString::as_c_str));
        inherited.restore();
        let mut refused = None;
        for path in &image.paths {
            libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr());
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                // A script without `#!`: the shell runs it. So does glibc's execvp, and musl's does
                // not.
                Some(libc::ENOEXEC) => {
                    let mut with_shell = vec![c"sh".as_ptr(), path.as_ptr()];
                    with_shell.extend(arguments.iter().skip(1));
                    libc::execve(c"/bin/sh".as_ptr(), with_shell.as_ptr(), environment.as_ptr());
                    return (EXEC, error);
                }
                Some(libc::ENOENT | libc::ENOTDIR) => {}
                // A later place of PATH may have one that may be executed.
                Some(libc::EACCES) => refused = Some(error),
                _ => return (EXEC, error),
            }
        }
        (EXEC, refused.unwrap_or_else(|| io::Error::from_raw_os_error(libc::ENOENT)))
    }
}

/// Puts the sockets where `sd_listen_fds(3)` expects them. First out of the way of one another, then
/// to their places, which also clears their close-on-exec flag.
fn place_descriptors(passed: &[BorrowedFd<'_>]) -> io::Result<()> {
    let behind_the_last =
        FIRST_PASSED.saturating_add(RawFd::try_from(passed.len()).unwrap_or(RawFd::MAX));
    let mut moved = Vec::with_capacity(passed.len());
    for socket in passed {
        // SAFETY: no pointers; the new descriptor is nobody else's.
        let copy = unsafe {
            let copy = libc::fcntl(socket.as_raw_fd(), libc::F_DUPFD_CLOEXEC, behind_the_last);
            check(copy)?;
            OwnedFd::from_raw_fd(copy)
        };
        moved.push(copy);
    }
    for (place, socket) in (FIRST_PASSED..).zip(&moved) {
        // SAFETY: no pointers. What was at `place` was this child's copy, and nobody uses it again.
        check(unsafe { libc::dup2(socket.as_raw_fd(), place) })?;
    }
    Ok(())
}

fn pointers<'a>(strings: impl Iterator<Item = &'a CStr>) -> Vec<*const c_char> {
    strings.map(CStr::as_ptr).chain([std::ptr::null()]).collect()
}

// ---- memory -------------------------------------------------------------------------------------

unsafe extern "C" {
    // Set by the linker: the first byte of the file's mapping, and the first one after its code.
    static __executable_start: u8;
    static etext: u8;
}

/// What every x86-64 and most arm64 kernels use. With larger pages madvise refuses, and all stays.
const PAGE: usize = 4096;

/// Gives back what only the work of the moment needed, for the long sleep that follows: most of the
/// file is code that parses flags, YAML and mounts, and most of the heap was theirs. What is needed
/// again comes back from the page cache by itself.
pub fn release_memory() {
    // glibc keeps what is freed, and holes in between; musl gives it back by itself.
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes no pointers.
    unsafe {
        libc::malloc_trim(0);
    }
    // SAFETY: the range is this program's own code, mapped read-only from its file, so no page of it
    // can differ from what the kernel maps again; MADV_DONTNEED changes no content of such a mapping.
    unsafe {
        let start = (&raw const __executable_start) as usize;
        let end = (&raw const etext) as usize;
        // Whole pages within the code: what shares a page with data stays.
        let (first, last) = (start.next_multiple_of(PAGE), end & !(PAGE - 1));
        if let Some(length) = last.checked_sub(first) {
            libc::madvise(first as *mut libc::c_void, length, libc::MADV_DONTNEED);
        }
    }
}

fn check(result: c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
