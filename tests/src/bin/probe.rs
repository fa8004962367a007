//! What a test needs done from within a container, where there is no shell to do it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// What a test needs done from within a container.
#[derive(Parser)]
enum Probe {
    /// GETs `/`, then PATH on the same connection. Says "sent" in between: from then on the request
    /// is with a worker that has accepted it
    Get { address: String, path: String },
    /// Leaves so many orphans to PID 1, and fails if any of them is still to be seen after 10 s
    Orphans { count: u32 },
    /// Leaves one orphan
    Abandon,
    /// Does nothing, and ends: what an orphan does
    Nothing,
    /// Sends SIGKILL
    Kill { pid: i32 },
}

fn main() -> ExitCode {
    let result = match Probe::parse() {
        Probe::Get { address, path } => get(&address, &path),
        Probe::Orphans { count } => orphans(count),
        Probe::Abandon => abandon(),
        Probe::Nothing => Ok(()),
        Probe::Kill { pid } => kill(Pid::from_raw(pid), Signal::SIGKILL).map_err(Into::into),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("probe: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn get(address: &str, path: &str) -> Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(stream, "GET / HTTP/1.1\r\nHost: probe\r\n\r\n")?;
    let mut first = [0; 4096];
    let length = stream.read(&mut first)?;
    let first = String::from_utf8_lossy(first.get(..length).unwrap_or_default()).into_owned();
    ensure!(first.starts_with("HTTP/1.1 200"), "GET /: {first}");

    write!(stream, "GET {path} HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n")?;
    println!("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("the answer")?;
    println!("{answer}");
    ensure!(answer.starts_with("HTTP/1.1 200"), "GET {path} was not answered 200");
    Ok(())
}

fn orphans(count: u32) -> Result<()> {
    for _ in 0..count {
        ensure!(myself("abandon")?.status()?.success());
    }
    let seen = e2e::program::wait_for("PID 1 reaps", Duration::from_secs(10), || {
        let others = others()?;
        Ok((others == 0).then_some(others))
    });
    let left = others()?;
    println!("{count} orphans made, {left} left");
    seen.map(drop)
}

fn abandon() -> Result<()> {
    myself("nothing")?.spawn()?;
    Ok(())
}

/// How many processes of this program there are, zombies included, beside this one.
fn others() -> Result<usize> {
    let mut count: usize = 0;
    for entry in std::fs::read_dir("/proc")? {
        let path = entry?.path();
        let Ok(stat) = std::fs::read_to_string(path.join("stat")) else { continue };
        if stat.contains("(probe)") && !stat.starts_with(&format!("{} ", std::process::id())) {
            count = count.saturating_add(1);
        }
    }
    Ok(count)
}

fn myself(task: &str) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(task).stdin(Stdio::null());
    Ok(command)
}
