//! `cargo xtask lab`: the virtual machine of the `vm` tier, built once and kept.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use e2e::lab::Lab;

/// Build the virtual machine that the vm tests boot, unless it is there already
#[derive(Args)]
pub(crate) struct Arguments {
    /// Then boot it with this folder at /payload (its init.sh is PID 1), and show its console
    #[arg(long, value_name = "FOLDER")]
    boot: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let lab = Lab::ready()?;
    println!("{}", lab.folder().display());
    let Some(payload) = &arguments.boot else { return Ok(ExitCode::SUCCESS) };
    let boot = lab.boot(payload, Duration::from_secs(600))?;
    println!("{}\nafter {:?}", boot.console, boot.took);
    Ok(if boot.status == Some(0) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
