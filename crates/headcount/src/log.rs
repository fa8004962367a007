//! The log: lines on standard error, as text or as JSON. PID 1 must outlive its log: a reader that
//! has gone, or one that is stuck and lets the pipe fill, costs lines and never time.

use std::io::{self, Write};
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tracing_subscriber::fmt::MakeWriter;

use crate::config::LogFormat;

/// A pipe that poll says is writable takes this much at once: `PIPE_BUF`, pipe(7).
const ATOMIC: usize = 4096;

/// Starts logging.
pub fn start(format: LogFormat) {
    let builder = tracing_subscriber::fmt()
        .with_writer(Stderr)
        .with_target(false)
        // It would be written by eprintln, which panics where standard error is gone.
        .log_internal_errors(false);
    // Both fail only when logging has been started before.
    let _ = match format {
        LogFormat::Text => builder.compact().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}

/// Standard error, without ever waiting for it.
struct Stderr;

impl MakeWriter<'_> for Stderr {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self
    }
}

impl Write for Stderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let stderr = io::stderr();
        // O_NONBLOCK would do, but it belongs to the open file, which the workers share.
        let mut waiting = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
        if poll(&mut waiting, PollTimeout::ZERO) == Ok(1) {
            let _ = stderr.lock().write(line.get(..ATOMIC).unwrap_or(line));
        }
        // A line that cannot be written is lost: nobody is left to tell.
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
