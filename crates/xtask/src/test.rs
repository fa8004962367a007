//! `cargo xtask test`: every tier by one command, and one line for each at the end.
//!
//! A tier that cannot run here says so by name and why. It is never silently left out: with `--all`
//! that is an error.

use std::fmt;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use e2e::{docker, lab, program};

use crate::engine::{self, Engine};
use crate::interrupt::{self, Group};

/// Run the tests, tier by tier
#[derive(Args)]
pub(crate) struct Arguments {
    /// A tier that cannot run here is an error
    #[arg(long)]
    all: bool,
    /// Only these; all of them otherwise
    #[arg(value_enum)]
    tiers: Vec<Tier>,
}

/// Where a test runs what it tests.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Tier {
    /// Nowhere but in the test itself: each crate's own
    Unit,
    /// Real processes, as PID 1 of a new pid namespace
    Process,
    /// Containers of a real engine
    Container,
    /// Docker Compose on cgroup v2, in a virtual machine
    Vm,
}

/// How a tier went.
enum Outcome {
    Ok,
    Failed,
    Skipped(String),
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let tiers: &[Tier] =
        if arguments.tiers.is_empty() { Tier::value_variants() } else { &arguments.tiers };
    let mut outcomes = Vec::new();
    for tier in tiers {
        let start = Instant::now();
        let outcome = match tier.run() {
            Err(error) if interrupt::asked() => return Err(error),
            Err(error) => {
                eprintln!("{error:#}");
                Outcome::Failed
            }
            Ok(outcome) => outcome,
        };
        outcomes.push((*tier, outcome, start.elapsed()));
    }

    println!();
    for (tier, outcome, took) in &outcomes {
        println!("{tier} {outcome} ({} s)", took.as_secs());
    }
    let is_fine = outcomes.iter().all(|(_, outcome, _)| match outcome {
        Outcome::Ok => true,
        Outcome::Failed => false,
        Outcome::Skipped(_) => !arguments.all,
    });
    Ok(if is_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Tier {
    fn run(self) -> Result<Outcome> {
        println!("\n=== {self}");
        match self {
            Self::Unit => {
                let others = ["--workspace", "--exclude", "e2e"];
                let ours = ["--package", "e2e", "--lib", "--bins"];
                Ok(both(cargo_test(&others, None)?, cargo_test(&ours, None)?))
            }
            Self::Process => {
                let missing = missing_for_processes();
                if !missing.is_empty() {
                    return Ok(Outcome::Skipped(format!("it needs {}", missing.join(", "))));
                }
                self.end_to_end(None)
            }
            Self::Container if docker::is_engine_named() => self.end_to_end(None),
            Self::Container => {
                let missing = engine::missing();
                if !missing.is_empty() {
                    let missing = missing.join(", ");
                    let cure = "or HEADCOUNT_TEST_ENGINE=default for the engine `docker` finds";
                    return Ok(Outcome::Skipped(format!(
                        "an engine of its own needs {missing}; {cure}"
                    )));
                }
                let engine = Engine::start()?;
                self.end_to_end(Some(&engine))
            }
            Self::Vm => {
                let missing = lab::missing();
                if !missing.is_empty() {
                    return Ok(Outcome::Skipped(format!("the lab needs {}", missing.join(", "))));
                }
                self.end_to_end(None)
            }
        }
    }

    fn end_to_end(self, engine: Option<&Engine>) -> Result<Outcome> {
        cargo_test(&["--package", "e2e", "--test", &self.to_string()], engine)
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unit => "unit",
            Self::Process => "process",
            Self::Container => "container",
            Self::Vm => "vm",
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("ok"),
            Self::Failed => f.write_str("FAILED"),
            Self::Skipped(why) => write!(f, "skipped: {why}"),
        }
    }
}

/// What the process tier runs, or runs in.
fn missing_for_processes() -> Vec<String> {
    let mut missing = Vec::new();
    if !program::is_root() {
        missing.push("root, for cgroups and pid namespaces".to_owned());
    }
    missing.extend(program::missing(&[
        ("unshare", "util-linux"),
        ("strace", "strace"),
        ("ss", "iproute2"),
        ("python3", "python3-venv"),
        ("node", "nodejs"),
        ("wrk", "wrk"),
    ]));
    missing
}

fn both(one: Outcome, other: Outcome) -> Outcome {
    if matches!(one, Outcome::Ok) { other } else { one }
}

fn cargo_test(arguments: &[&str], engine: Option<&Engine>) -> Result<Outcome> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .arg("test")
        .args(arguments)
        .current_dir(program::workspace())
        .env("RUST_LIB_BACKTRACE", "0"); // an error says what it was doing by itself
    if let Some(engine) = engine {
        cargo.env("DOCKER_HOST", engine.host());
    }
    // Neither cargo nor a test does anything on SIGTERM but end: no patience is needed.
    let status = Group::spawn(&mut cargo, Duration::ZERO)?.wait()?;
    match status.code() {
        Some(0) => Ok(Outcome::Ok),
        Some(_) => Ok(Outcome::Failed),
        None => bail!("cargo test: {status}"),
    }
}
