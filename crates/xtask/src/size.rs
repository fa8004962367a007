//! `cargo xtask size`: what PID 1 weighs, against the limits that the design sets.
//!
//! Every image carries the binary and every container the process, so both have a limit that a
//! change must not pass unseen.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use e2e::binaries::{self, Libc, Program};
use e2e::program;

use crate::pool::Pool;

const KIB: u64 = 1024;
const MUSL_LIMIT: u64 = 1024 * KIB;
const GLIBC_LIMIT: u64 = 2048 * KIB;
const RESIDENT_LIMIT: u64 = 1536 * KIB;
const ANONYMOUS_LIMIT: u64 = 256 * KIB;
const WORKERS: usize = 5;
const IDLE_SECONDS: u64 = 4;

/// Print what the static binary weighs, at rest and with five workers, against the limits
#[derive(Args)]
pub(crate) struct Arguments {}

pub(crate) fn run(_arguments: &Arguments) -> Result<ExitCode> {
    let mut all_within = true;
    for libc in Libc::installed() {
        let headcount = binaries::build(Program::Headcount, libc)?;
        let app = binaries::build(Program::Demo, libc)?;
        println!("{}", libc.triple());
        for figure in weigh(libc, &headcount, &app)? {
            all_within &= figure.is_within();
            println!("{figure}");
        }
    }
    Ok(if all_within { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One measured number and its limit; none where it could not be measured.
struct Figure {
    what: &'static str,
    value: Result<u64, String>,
    limit: u64,
    unit: &'static str,
}

impl Figure {
    fn is_within(&self) -> bool {
        !self.value.as_ref().is_ok_and(|value| *value > self.limit)
    }
}

impl std::fmt::Display for Figure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { what, value, limit, unit } = self;
        match value {
            Ok(value) => {
                let verdict = if value <= limit { "ok" } else { "TOO MUCH" };
                write!(f, "  {what:24} {value:>9} {unit:8} limit {limit:>9}  {verdict}")
            }
            Err(why) => write!(f, "  {what:24} not measured: {why}"),
        }
    }
}

fn weigh(libc: Libc, headcount: &Path, app: &Path) -> Result<[Figure; 4]> {
    let limit = if libc == Libc::Musl { MUSL_LIMIT } else { GLIBC_LIMIT };
    let size = fs::metadata(headcount)?.len();

    let count = WORKERS.to_string();
    let mut pool = Pool::start(Command::new("env"), headcount, app, 0, &["--workers", &count])?;
    pool.census(WORKERS)?;
    let status = fs::read_to_string(format!("/proc/{}/status", pool.pid()))?;
    let resident = kib(&status, "VmRSS:")?.saturating_mul(KIB);
    let anonymous = kib(&status, "RssAnon:")?.saturating_mul(KIB);
    let wakes = wakes(pool.pid())?;
    let exit = pool.stop()?;
    ensure!(exit.success(), "headcount should have exited 0: {exit}");

    let bytes = "bytes";
    Ok([
        Figure { what: "binary", value: Ok(size), limit, unit: bytes },
        Figure {
            what: "resident, 5 workers",
            value: Ok(resident),
            limit: RESIDENT_LIMIT,
            unit: bytes,
        },
        Figure {
            what: "of it anonymous",
            value: Ok(anonymous),
            limit: ANONYMOUS_LIMIT,
            unit: bytes,
        },
        Figure { what: "wake-ups in 4 idle s", value: wakes, limit: 0, unit: "calls" },
    ])
}

fn kib(status: &str, key: &str) -> Result<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.with_context(|| format!("no {key} in /proc/PID/status"))?.parse().context("a number")
}

/// System calls that PID 1 makes while nothing happens. One that it has slept in all the time is
/// shown as cut off by strace's own end, and does not count.
fn wakes(pid: u32) -> Result<Result<u64, String>> {
    let Some(strace) = program::find("strace") else {
        return Ok(Err("no strace (apt-get install strace)".to_owned()));
    };
    let trace: PathBuf = binaries::target_dir()?.join("idle.strace");
    let _ = fs::remove_file(&trace);
    let mut command = Command::new("timeout");
    command.args(["--signal=INT", &IDLE_SECONDS.to_string()]).arg(strace);
    command.args(["-f", "-p", &pid.to_string(), "-o"]).arg(&trace);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let start = std::time::Instant::now();
    command.status().context("cannot start timeout")?;
    if start.elapsed() < Duration::from_secs(IDLE_SECONDS) {
        return Ok(Err("strace may not trace here".to_owned()));
    }
    let trace = fs::read_to_string(&trace)?;
    let calls = trace.lines().filter(|line| line.contains('(') && !line.contains("<detached"));
    Ok(Ok(u64::try_from(calls.count())?))
}
