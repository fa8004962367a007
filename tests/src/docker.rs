//! A container engine, by its own command line.
//!
//! The command line is the one interface that every engine has, and what a person would type. A
//! [`Container`] is removed when it goes out of scope, also when its test fails.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::program;

/// How to run the tests that need an engine.
pub const HOW: &str = "run `cargo xtask test container`, which starts an engine of its own; or set \
    DOCKER_HOST; or set HEADCOUNT_TEST_ENGINE=default for the engine that `docker` finds by itself";

/// Whether the user has named an engine to test on.
#[must_use]
pub fn is_engine_named() -> bool {
    let engine = std::env::var("HEADCOUNT_TEST_ENGINE").unwrap_or_default();
    std::env::var_os("DOCKER_HOST").is_some() || engine == "default"
}

/// Makes sure that there is an engine and that it answers.
///
/// # Errors
/// If none is named, or it does not answer; and how to mend that.
pub fn ensure_engine() -> Result<()> {
    ensure!(is_engine_named(), "no container engine to test on: {HOW}");
    docker(&["version", "--format", "{{.Server.Version}}"])
        .map(drop)
        .with_context(|| format!("the engine does not answer; {HOW}"))
}

/// Runs `docker` and gives back its stdout.
///
/// # Errors
/// If it fails.
pub fn docker(arguments: &[&str]) -> Result<String> {
    let output = program::output(Command::new("docker").args(arguments))?;
    Ok(output.trim_end().to_owned())
}

/// Starts `docker` and leaves it running, its stdout to be read.
///
/// # Errors
/// If it cannot be started.
pub fn spawn(arguments: &[&str]) -> Result<Child> {
    let mut command = Command::new("docker");
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().context("cannot start docker")
}

/// A process in a container, seen from the engine's machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Process {
    /// Its id there.
    pub pid: u32,
    /// Its parent's id there.
    pub parent: u32,
    /// Its command line.
    pub command: String,
}

/// A running container, removed at the end.
#[derive(Debug)]
pub struct Container {
    id: String,
}

impl Container {
    /// `docker run --detach` with these arguments.
    ///
    /// # Errors
    /// If the engine refuses.
    pub fn start(arguments: &[&str]) -> Result<Self> {
        let id = docker(&[&["run", "--detach"], arguments].concat())?;
        Ok(Self { id })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// `--network` for another container that is to share its loopback interface.
    #[must_use]
    pub fn network(&self) -> String {
        format!("container:{}", self.id)
    }

    /// What it wrote, both streams.
    #[must_use]
    pub fn log(&self) -> String {
        let output = Command::new("docker").args(["logs", &self.id]).output();
        output.map_or_else(
            |error| error.to_string(),
            |output| String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
        )
    }

    /// Its processes, by `docker top`.
    ///
    /// # Errors
    /// If it does not run.
    pub fn processes(&self) -> Result<Vec<Process>> {
        let listing = docker(&["top", &self.id, "-eo", "pid,ppid,args"])?;
        listing.lines().skip(1).map(process).collect()
    }

    /// Its processes below PID 1: the workers.
    ///
    /// # Errors
    /// If it does not run.
    pub fn workers(&self) -> Result<Vec<Process>> {
        let first: u32 = docker(&["inspect", "--format", "{{.State.Pid}}", &self.id])?.parse()?;
        let mut processes = self.processes()?;
        processes.retain(|process| process.parent == first);
        Ok(processes)
    }

    /// Waits until it has exactly so many workers.
    ///
    /// # Errors
    /// If that takes longer than 20 s; then with what it wrote.
    pub fn wait_for_workers(&self, count: usize) -> Result<Vec<Process>> {
        let what = format!("{count} worker processes");
        let workers = program::wait_for(&what, Duration::from_secs(20), || {
            let workers = self.workers()?;
            Ok((workers.len() == count).then_some(workers))
        });
        workers.with_context(|| format!("{:?}\n{}", self.processes(), self.log()))
    }

    /// Its exit status, once it has ended.
    ///
    /// # Errors
    /// If it does not end.
    pub fn wait(&self) -> Result<i32> {
        Ok(docker(&["wait", &self.id])?.parse()?)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = docker(&["rm", "--force", "--volumes", &self.id]);
    }
}

fn process(line: &str) -> Result<Process> {
    let mut words = line.split_whitespace();
    let (Some(pid), Some(parent)) = (words.next(), words.next()) else {
        bail!("docker top printed {line:?}");
    };
    let command = words.collect::<Vec<_>>().join(" ");
    Ok(Process { pid: pid.parse()?, parent: parent.parse()?, command })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_docker_top() {
        let seen = process("  672   649  /demo --port 1").unwrap();
        assert_eq!(seen, Process { pid: 672, parent: 649, command: "/demo --port 1".into() });
        assert!(process("").is_err());
    }
}
