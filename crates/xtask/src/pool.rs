//! headcount with the demo as its workers, on this machine: what `demo` shows and `size` weighs.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use e2e::binaries;
use e2e::census::{self, Census};

use crate::interrupt::Group;

/// Longer than headcount's own `graceful_timeout`.
const PATIENCE: Duration = Duration::from_secs(35);

/// A running pool. Stopped at the latest when its owner goes.
#[derive(Debug)]
pub(crate) struct Pool {
    headcount: Group,
    address: SocketAddr,
    log: PathBuf,
}

impl Pool {
    /// Starts `headcount run FLAGS --bind ADDRESS -- APP`, by `start` (a cgroup's command, say).
    pub(crate) fn start(
        mut start: Command,
        headcount: &Path,
        app: &Path,
        port: u16,
        flags: &[&str],
    ) -> Result<Self> {
        let address = free_address(port)?;
        let log = binaries::target_dir()?.join("pool.log");
        let output = File::create(&log).with_context(|| log.display().to_string())?;
        start
            .arg(headcount)
            .arg("run")
            .args(flags)
            .args(["--bind", &address.to_string(), "--"])
            .arg(app)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let headcount = Group::spawn(&mut start, PATIENCE)?;
        Ok(Self { headcount, address, log })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.headcount.pid()
    }

    /// Where it writes what it has to say.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// Its status, if it has ended by itself.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.headcount.ended()
    }

    /// Meets its workers; fails, with its log, unless there are exactly so many.
    pub(crate) fn census(&mut self, expected: usize) -> Result<Census> {
        let census = census::take(&self.url(), expected, Duration::from_secs(20));
        if census.count() == expected {
            return Ok(census);
        }
        let ended =
            self.ended()?.map_or_else(String::new, |status| format!("headcount: {status}\n"));
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        bail!("met {} workers instead of {expected}\n{ended}{log}", census.count());
    }

    /// Stops it with SIGTERM.
    pub(crate) fn stop(mut self) -> Result<ExitStatus> {
        self.headcount.stop()?.with_context(|| format!("still running {PATIENCE:?} after SIGTERM"))
    }
}

/// This port of the loopback interface, or any other if somebody has it.
fn free_address(port: u16) -> Result<SocketAddr> {
    let wanted = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let listener = wanted.or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
    Ok(listener.local_addr()?)
}
