//! headcount: the first process in a container.
//!
//! This file takes the command line apart and hands over; the exit codes that it ends with are in
//! [`exit`].

#![deny(unsafe_code)]
#![allow(unreachable_pub, reason = "a binary has no public items; `pub` marks a module's own face")]

mod cli;
mod commands;
mod config;
mod environment;
mod exit;
mod log;
mod os;
mod plan;
mod protocol;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command, RunArgs};
use commands::{ask, check, exec, limits, run, status};
use config::ConfigError;
use os::signals::Signals;
use protocol::Request;

fn main() -> ExitCode {
    let mut words: Vec<OsString> = std::env::args_os().collect();
    // `headcount -- CMD` is `headcount exec -- CMD`.
    if words.get(1).is_some_and(|word| word == "--") {
        words.insert(1, "exec".into());
    }
    ExitCode::from(match Cli::try_parse_from(words) {
        Ok(cli) => dispatch(cli.command),
        Err(error) => {
            // Help and version are errors to clap, and none to us. To a closed terminal nothing can
            // be said.
            let _ = error.print();
            if error.use_stderr() { exit::USAGE } else { exit::OK }
        }
    })
}

fn dispatch(command: Command) -> u8 {
    if !matches!(command, Command::Run(_) | Command::Exec(_)) {
        os::sys::give_signals_back();
    }
    match command {
        Command::Run(args) => run(args),
        Command::Exec(args) => {
            log::start(args.log_format.unwrap_or_default());
            exec::run(&args.command, args.orphan_timeout.0)
        }
        Command::Limits(args) => print(|out| limits::print(&args, out)),
        Command::Check(args) => match source(args).plan() {
            Ok(plan) => print(|out| check::print(&plan, out)),
            Err(error) => refuse(&error),
        },
        Command::Status(args) => status::run(&args),
        Command::Scale(args) => ask::order(Request::Scale(args.workers), args.place.control),
        Command::Reload(place) => ask::order(Request::Reload, place.control),
        Command::Stop(place) => ask::order(Request::Stop, place.control),
    }
}

fn source(args: RunArgs) -> run::Source {
    let (flags, file) = args.into_layer();
    run::Source { flags, file }
}

fn run(args: RunArgs) -> u8 {
    let signals = match Signals::take_over() {
        Ok(signals) => signals,
        Err(error) => {
            return complain(&format!("cannot take over the signals: {error}"), exit::OS_ERROR);
        }
    };
    let source = source(args);
    match source.plan() {
        Ok(plan) => {
            log::start(plan.config.log_format);
            run::run(source, plan, signals)
        }
        Err(error) => refuse(&error),
    }
}

fn refuse(error: &ConfigError) -> u8 {
    let code = match error {
        ConfigError::NoCommand => exit::USAGE,
        ConfigError::File(_) | ConfigError::Variable { .. } => exit::CONFIG,
    };
    complain(&error.to_string(), code)
}

fn complain(message: &str, code: u8) -> u8 {
    let _ = writeln!(io::stderr(), "headcount: {message}");
    code
}

/// Prints to standard output. A reader that has seen enough (`| head`) is no error.
fn print(write: impl FnOnce(&mut io::BufWriter<io::StdoutLock<'_>>) -> io::Result<()>) -> u8 {
    let mut out = io::BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Ok(()) => exit::OK,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => exit::OK,
        Err(error) => complain(&format!("cannot write: {error}"), exit::OS_ERROR),
    }
}
