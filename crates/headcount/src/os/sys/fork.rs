//! The fork, and what the child does before it becomes another program.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use libc::{c_char, c_int};

use super::{Inherited, Pid, check};

/// The descriptor of the first socket that is passed: `SD_LISTEN_FDS_START` of `sd_listen_fds(3)`.
const FIRST_PASSED: RawFd = 3;

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
