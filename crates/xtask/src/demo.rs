//! `cargo xtask demo`: the main job in front of a person's eyes, with no engine and no image.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use e2e::binaries::{self, Program};
use e2e::census::Census;
use e2e::program;
use serde_json::Value;

use crate::cgroup::TwoCpus;
use crate::interrupt;
use crate::pool::Pool;

/// Run headcount and its demo app in a cgroup of two CPUs, and show which workers answer
#[derive(Args)]
pub(crate) struct Arguments {
    /// End after having shown it
    #[arg(long)]
    once: bool,
    /// The port to serve on; another is taken if it is not free
    #[arg(long, default_value_t = 8000)]
    port: u16,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let (headcount, app) = build()?;
    let cgroup = TwoCpus::make();
    let limits = limits(&cgroup, &headcount)?;
    let expected = usize::try_from(number(&limits, "/workers/count")?)?;
    let formula = limits.pointer("/workers/formula").and_then(Value::as_str).unwrap_or_default();
    let cpus = thread::available_parallelism().map_or(1, std::num::NonZero::get);

    println!();
    println!("  this machine   {cpus} CPUs");
    println!("  the cgroup     {}", cgroup.described());
    println!("  headcount      {formula} = {expected} workers");

    let mut pool = Pool::start(cgroup.command(), &headcount, &app, arguments.port, &[])?;
    let census = pool.census(expected)?;
    println!();
    show(&census);
    println!();

    let log = pool.log().to_owned();
    if !arguments.once {
        println!("  Ask it yourself: curl {}", pool.url());
        println!("  Kill a worker, and another takes its place. The log is {}.", log.display());
        println!("  Ctrl-C stops it.");
        wait(&mut pool)?;
        println!();
    }
    let start = Instant::now();
    let status = pool.stop()?;
    let took = start.elapsed().as_millis();
    println!("  SIGTERM: headcount and its workers ended after {took} ms, {status}");
    println!();
    if !status.success() {
        bail!("headcount should have exited 0; its log is {}", log.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn build() -> Result<(PathBuf, PathBuf)> {
    eprintln!("building headcount and the demo (the first time takes a minute or two)");
    let libc = binaries::preferred()?;
    Ok((binaries::build(Program::Headcount, libc)?, binaries::build(Program::Demo, libc)?))
}

/// What headcount itself says about the cgroup.
fn limits(cgroup: &TwoCpus, headcount: &Path) -> Result<Value> {
    let mut command: Command = cgroup.command();
    command.arg(headcount).args(["limits", "--json"]).stdin(Stdio::null());
    Ok(serde_json::from_str(&program::output(&mut command)?)?)
}

fn number(limits: &Value, pointer: &str) -> Result<u64> {
    let number = limits.pointer(pointer).and_then(Value::as_u64);
    number.with_context(|| format!("no {pointer} in {limits}"))
}

fn show(census: &Census) {
    println!("  worker      pid   answers");
    let most = census.workers.values().map(|seen| seen.answers).max().unwrap_or(1);
    for (pid, seen) in census.by_slot() {
        let width = seen.answers.saturating_mul(30).div_ceil(most.max(1));
        let bar = "█".repeat(usize::try_from(width).unwrap_or(0));
        let slot = seen.slot.unwrap_or_default();
        println!("  {slot:6}  {pid:7}   {:<7} {bar}", seen.answers);
    }
    println!();
    let seconds = census.took.as_secs_f32();
    println!("  {} workers gave {} answers in {seconds:.1} s", census.count(), census.answers);
}

fn wait(pool: &mut Pool) -> Result<()> {
    while !interrupt::asked() {
        if let Some(status) = pool.ended()? {
            bail!("headcount ended by itself, {status}; its log is {}", pool.log().display());
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
