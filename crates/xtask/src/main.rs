//! The project's own chores, one command each: `cargo xtask demo | test | image | lab | size`.
//!
//! A chore belongs here, in Rust, rather than in a script, because the tests need the same parts
//! (static binaries, images, the lab): those are the library of the `e2e` package, and this is the
//! command line on it.

mod cgroup;
mod demo;
mod engine;
mod image;
mod interrupt;
mod lab;
mod pool;
mod size;
mod test;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

/// The project's own chores.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
enum Chore {
    Demo(demo::Arguments),
    Test(test::Arguments),
    Image(image::Arguments),
    Lab(lab::Arguments),
    Size(size::Arguments),
}

fn main() -> ExitCode {
    match run(Chore::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(chore: Chore) -> Result<ExitCode> {
    interrupt::watch()?;
    match chore {
        Chore::Demo(arguments) => demo::run(&arguments),
        Chore::Test(arguments) => test::run(&arguments),
        Chore::Image(arguments) => image::run(&arguments),
        Chore::Lab(arguments) => lab::run(&arguments),
        Chore::Size(arguments) => size::run(&arguments),
    }
}
