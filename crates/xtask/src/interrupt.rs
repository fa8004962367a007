//! Ctrl-C, as a question that is asked now and then, so that what was started is always stopped by
//! the code that started it.
//!
//! Children get process groups of their own: the terminal's Ctrl-C then reaches only this program,
//! which ends them in its own order.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

static ASKED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// From now on SIGINT, SIGTERM and SIGHUP only leave a note.
pub(crate) fn watch() -> Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&ASKED)).context("signal handler")?;
    }
    Ok(())
}

/// Whether one has come.
pub(crate) fn asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}

/// A child in a process group of its own, which does not outlive its owner.
#[derive(Debug)]
pub(crate) struct Group {
    child: Child,
    patience: Duration,
}

impl Group {
    /// Starts it. At the end it gets SIGTERM; and after `patience`, its whole group gets SIGKILL.
    pub(crate) fn spawn(command: &mut Command, patience: Duration) -> Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.process_group(0).spawn();
        Ok(Self { child: child.with_context(|| format!("cannot start {program}"))?, patience })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its status, if it has ended.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits for its end, or for Ctrl-C.
    pub(crate) fn wait(&mut self) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if asked() {
                bail!("interrupted");
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGTERM to the child alone, and its status if it ends in time.
    pub(crate) fn stop(&mut self) -> Result<Option<ExitStatus>> {
        if let Some(status) = self.ended()? {
            return Ok(Some(status));
        }
        kill(self.group(), Signal::SIGTERM)?;
        let start = Instant::now();
        while start.elapsed() < self.patience {
            if let Some(status) = self.ended()? {
                return Ok(Some(status));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(None)
    }

    fn group(&self) -> Pid {
        // A pid fits: the kernel's limit is 4 million.
        Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(i32::MAX))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if matches!(self.stop(), Ok(Some(_))) {
            return;
        }
        // It has not been waited for, so nobody else can have its id, nor its group's.
        let _ = killpg(self.group(), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}
