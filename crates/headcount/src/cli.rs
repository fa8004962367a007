//! The command line, as it was typed. gunicorn's short flags mean what they mean there.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::{
    Backlog, Binds, Control, Layer, LogFormat, OnCrashLoop, Resize, Span, Words, Workers,
};
use crate::protocol::Scale;

/// The first process in a container: the right number of workers, reaped, replaced, drained.
#[derive(Debug, Parser)]
#[command(
    name = "headcount",
    version,
    after_help = "headcount -- CMD is short for headcount exec -- CMD.\n\
                  Exit codes: exec ends with its child's status (128+n: killed by signal n, 127:\n\
                  not found, 126: not executable); run with 0 after a clean stop, 3 where workers\n\
                  cannot boot, 78 for a bad configuration; status, scale, reload and stop with 1\n\
                  where no headcount answers; 64 is bad usage."
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a pool of workers
    Run(RunArgs),
    /// Run one child, with an environment sized to the container
    Exec(ExecArgs),
    /// Say what this container may use, and why
    Limits(LimitsArgs),
    /// Validate the configuration, and print the plan that run would follow
    Check(RunArgs),
    /// Ask the running headcount what its pool does
    Status(StatusArgs),
    /// Tell the running headcount how many workers to run
    Scale(ScaleArgs),
    /// Tell the running headcount to read its configuration again and roll the workers over
    Reload(Place),
    /// Tell the running headcount to stop gracefully
    Stop(Place),
}

/// Where the running headcount listens.
#[derive(Args, Debug)]
pub struct Place {
    /// Its control socket [default: /run/headcount.sock]
    #[arg(long, value_name = "PATH")]
    pub control: Option<Control>,
}

#[derive(Args, Debug)]
pub struct StatusArgs {
    /// Print one JSON object, a stable interface
    #[arg(long)]
    pub json: bool,
    /// Again each second, until Ctrl-C or the end of headcount
    #[arg(long)]
    pub watch: bool,
    #[command(flatten)]
    pub place: Place,
}

#[derive(Args, Debug)]
pub struct ScaleArgs {
    /// How many; auto: what the configuration and the limits say
    #[arg(value_name = "N|auto", allow_negative_numbers = true)]
    pub workers: Scale,
    #[command(flatten)]
    pub place: Place,
}

#[derive(Args, Debug)]
pub struct RunArgs {
    /// The configuration file [default: headcount.yaml, /etc/headcount.yaml]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How many workers [default: auto, ceil(2 * cpus) + 1]
    #[arg(short, long, value_name = "N|auto", allow_negative_numbers = true)]
    pub workers: Option<Workers>,
    /// An address to listen on: `0.0.0.0:8000`, `[::]:8000`, `unix:/run/app.sock` (repeatable)
    #[arg(short, long, value_name = "ADDR")]
    pub bind: Vec<Binds>,
    /// Kill a worker that was heard once and is silent for this long; 0: never [default: 120s]
    #[arg(short, long, value_name = "TIME")]
    pub timeout: Option<Span>,
    /// Time for workers to finish requests when they are told to leave [default: 30s]
    #[arg(long, value_name = "TIME")]
    pub graceful_timeout: Option<Span>,
    /// Keep serving this long after SIGTERM, for load balancers to notice [default: 0s]
    #[arg(long, value_name = "TIME")]
    pub drain_delay: Option<Span>,
    /// A worker must be ready within this; 0: wait for ever [default: 60s]
    #[arg(long, value_name = "TIME")]
    pub boot_timeout: Option<Span>,
    /// A worker that never says READY=1 counts as ready after this [default: 1s]
    #[arg(long, value_name = "TIME")]
    pub ready_after: Option<Span>,
    /// How many connections may wait to be accepted [default: 2048]
    #[arg(long, value_name = "N")]
    pub backlog: Option<Backlog>,
    /// Follow limits that change while it runs: true or false [default: true]
    #[arg(long, value_name = "BOOL")]
    pub resize: Option<Resize>,
    /// When no worker can be kept for a minute: exit or retry [default: exit]
    #[arg(long, value_name = "WHAT")]
    pub on_crash_loop: Option<OnCrashLoop>,
    /// Write the log as text or as JSON [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// Where to listen for status, scale, reload, stop [default: /run/headcount.sock]
    #[arg(long, value_name = "PATH|none")]
    pub control: Option<Control>,
    /// The worker's program and its arguments
    #[arg(trailing_var_arg = true, value_name = "CMD")]
    pub command: Vec<String>,
}

impl RunArgs {
    /// The flags as a layer of settings, and the file that was named.
    pub fn into_layer(self) -> (Layer, Option<PathBuf>) {
        let binds: Vec<_> = self.bind.into_iter().flat_map(|binds| binds.0).collect();
        let layer = Layer {
            command: (!self.command.is_empty()).then_some(Words(self.command)),
            bind: (!binds.is_empty()).then_some(Binds(binds)),
            workers: self.workers,
            backlog: self.backlog,
            timeout: self.timeout,
            graceful_timeout: self.graceful_timeout,
            drain_delay: self.drain_delay,
            boot_timeout: self.boot_timeout,
            ready_after: self.ready_after,
            resize: self.resize,
            on_crash_loop: self.on_crash_loop,
            log_format: self.log_format,
            control: self.control,
        };
        (layer, self.config)
    }
}

#[derive(Args, Debug)]
pub struct ExecArgs {
    /// When the child has ended: time for orphans between SIGTERM and SIGKILL; 0: leave them
    #[arg(long, value_name = "TIME", default_value = "3s")]
    pub orphan_timeout: Span,
    /// Write the log as text or as JSON [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// The program and its arguments
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        required = true,
        value_name = "CMD"
    )]
    pub command: Vec<OsString>,
}

#[derive(Args, Debug)]
pub struct LimitsArgs {
    /// Print one JSON object, a stable interface
    #[arg(long)]
    pub json: bool,
    /// Read every file under DIR instead of /, to replay a capture
    #[arg(long, value_name = "DIR", default_value = "/", hide_default_value = true)]
    pub root: PathBuf,
    /// Print every file that was read, as a capture that replays elsewhere
    #[arg(long, conflicts_with = "json")]
    pub capture: bool,
}
