//! `headcount exec`: one child, in an environment sized to the container. It passes on every signal,
//! reaps every orphan, and ends as the child ends.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use headcount_limits::{Limits, Sizing, workers};
use tracing::{debug, error, warn};

use crate::commands::orphans;
use crate::environment;
use crate::exit;
use crate::os::reap::reap_all;
use crate::os::signals::{self, Signals};
use crate::os::sleep::{Sleeper, Wake};
use crate::os::spawn::{Request, SpawnError, spawn};
use crate::os::sys::{self, Exit, Pid};

/// Runs the command to its end; the answer is the exit code.
pub fn run(command: &[OsString], orphan_timeout: Duration) -> u8 {
    let (signals, sleeper) = match prepare() {
        Ok(prepared) => prepared,
        Err(error) => {
            error!("cannot prepare signals: {error}");
            return exit::OS_ERROR;
        }
    };
    let limits = Limits::read(Path::new("/"));
    for warning in &limits.warnings {
        warn!("{warning}");
    }
    let sized = workers(&limits, &Sizing::default());
    let mut child_environment = environment::for_exec(limits.cpu.cpus, sized.count);
    let pid_variables = environment::hand_over_pid(&mut child_environment);
    let request = Request {
        command,
        environment: &child_environment,
        pid_variables: &pid_variables,
        passed: Vec::new(),
        foreground: true,
    };
    // From here on nothing ends this process but the end of its child.
    match spawn(request, &signals.inherited) {
        Ok(child) => {
            sys::release_memory();
            let code = follow(child, &signals, &sleeper);
            orphans::end(&signals, orphan_timeout);
            code
        }
        Err(error) => {
            error!("{error}");
            match error {
                SpawnError::NotFound { .. } => exit::NOT_FOUND,
                SpawnError::NotExecutable { .. } | SpawnError::Nul { .. } => exit::NOT_EXECUTABLE,
                SpawnError::Fork(_) | SpawnError::Prepare(_) => exit::OS_ERROR,
            }
        }
    }
}

fn prepare() -> std::io::Result<(Signals, Sleeper)> {
    let signals = Signals::take_over()?;
    let sleeper = Sleeper::new()?;
    sleeper.watch(&signals, Wake::Signal)?;
    orphans::adopt();
    Ok((signals, sleeper))
}

fn follow(child: Pid, signals: &Signals, sleeper: &Sleeper) -> u8 {
    debug!(child, "started");
    loop {
        sleeper.sleep(None);
        while let Some(signal) = signals.next() {
            if signal.number != libc::SIGCHLD {
                debug!(child, signal = signals::name(signal.number), "forwarding");
                // It may have ended, but it has not been reaped: that happens below, in this thread.
                let _ = sys::send(child, signal.number);
            }
        }
        let mut status = None;
        reap_all(
            |_| {},
            |reaped| {
                if reaped.pid == child {
                    status = Some(reaped.exit);
                }
            },
        );
        match status {
            Some(Exit::Code(code)) => return code,
            Some(Exit::Signal { number, .. }) => {
                let number = u8::try_from(number).unwrap_or_default();
                return exit::SIGNALLED.saturating_add(number);
            }
            None => {}
        }
    }
}
