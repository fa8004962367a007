//! One source of settings: what a person typed on the command line, in the environment, or in the
//! file, before anything is decided. A setting that a source does not mention is `None`.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;

use super::control::Control;
use super::raw::{Raw, Setting, read_from_file};
use super::units::{Bytes, Span};
use headcount_limits::MAX_WORKERS;

/// The settings, each as one source gives it. The names are the keys of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    pub command: Option<Words>,
    pub bind: Option<Binds>,
    pub workers: Option<Workers>,
    pub backlog: Option<Backlog>,
    pub timeout: Option<Span>,
    pub graceful_timeout: Option<Span>,
    pub drain_delay: Option<Span>,
    pub boot_timeout: Option<Span>,
    pub ready_after: Option<Span>,
    pub resize: Option<Resize>,
    pub on_crash_loop: Option<OnCrashLoop>,
    pub log_format: Option<LogFormat>,
    pub control: Option<Control>,
}

impl Layer {
    /// This layer, and below it another one for what it does not mention.
    pub fn over(self, lower: Self) -> Self {
        Self {
            command: self.command.or(lower.command),
            bind: self.bind.or(lower.bind),
            workers: self.workers.or(lower.workers),
            backlog: self.backlog.or(lower.backlog),
            timeout: self.timeout.or(lower.timeout),
            graceful_timeout: self.graceful_timeout.or(lower.graceful_timeout),
            drain_delay: self.drain_delay.or(lower.drain_delay),
            boot_timeout: self.boot_timeout.or(lower.boot_timeout),
            ready_after: self.ready_after.or(lower.ready_after),
            resize: self.resize.or(lower.resize),
            on_crash_loop: self.on_crash_loop.or(lower.on_crash_loop),
            log_format: self.log_format.or(lower.log_format),
            control: self.control.or(lower.control),
        }
    }
}

/// A command: its program and its arguments, never a shell's line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words(pub Vec<String>);

impl FromStr for Words {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self(text.split_ascii_whitespace().map(str::to_owned).collect()).checked()
    }
}

impl Words {
    fn checked(self) -> Result<Self, String> {
        match self.0.first() {
            Some(program) if !program.is_empty() => Ok(self),
            _ => Err("the command is empty: name a program, as in [\"/app/server\"]".to_owned()),
        }
    }
}

/// The addresses to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binds(pub Vec<Bind>);

/// One address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bind {
    /// `0.0.0.0:8000`, `[::]:8000`, `localhost:8000`, `:8000`.
    Tcp(SocketAddr),
    /// `unix:/run/app.sock`.
    Unix(PathBuf),
}

impl FromStr for Bind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            // gunicorn takes both spellings.
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() {
                return Err(format!("`{text}` has no path: write unix:/run/app.sock"));
            }
            return Ok(Self::Unix(PathBuf::from(path)));
        }
        let wrong = || {
            format!(
                "`{text}` is not an address: write 0.0.0.0:8000, [::]:8000 or unix:/run/app.sock \
                 (names are not looked up: PID 1 starts before the network is sure to work)"
            )
        };
        // gunicorn's shorthands: no host is every IPv4 address.
        let full = match text.split_once(':') {
            Some(("" | "*", port)) => format!("0.0.0.0:{port}"),
            Some(("localhost", port)) => format!("127.0.0.1:{port}"),
            _ => text.to_owned(),
        };
        full.parse().map(Self::Tcp).map_err(|_| wrong())
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl FromStr for Binds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split(',').map(|address| address.trim().parse()).collect::<Result<_, _>>().map(Self)
    }
}

/// How many connections wait to be accepted, as `listen(2)` takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backlog(pub i32);

impl FromStr for Backlog {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim().parse() {
            Ok(backlog) if backlog > 0 => Ok(Self(backlog)),
            _ => Err(format!("`{text}` is not a backlog: write a number from 1, such as 2048")),
        }
    }
}

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// A line that people read.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(format!("`{text}` is not a log format: write text or json")),
        }
    }
}

/// Whether the pool follows limits that change while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resize(pub bool);

impl FromStr for Resize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "true" | "yes" => Ok(Self(true)),
            "false" | "no" => Ok(Self(false)),
            _ => Err(format!("`{text}` is neither true nor false")),
        }
    }
}

/// What to do when no worker can be kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnCrashLoop {
    /// End with status 3, so that the orchestrator sees it.
    #[default]
    Exit,
    /// Go on trying.
    Retry,
}

impl FromStr for OnCrashLoop {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "exit" => Ok(Self::Exit),
            "retry" => Ok(Self::Retry),
            _ => Err(format!("`{text}` is no answer to a crash loop: write exit or retry")),
        }
    }
}

impl fmt::Display for OnCrashLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exit => "exit",
            Self::Retry => "retry",
        })
    }
}

/// How many workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    /// This many.
    Fixed(u32),
    /// What the limits say, by this rule.
    Auto(Rule),
}

/// The rule of `workers: auto`, where the file changes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub per_cpu: Option<u32>,
    pub plus: Option<u32>,
    pub min: Option<u32>,
    pub max: Option<u32>,
    pub memory_per_worker: Option<Bytes>,
    pub memory_reserve: Option<Bytes>,
}

impl Rule {
    fn checked(self) -> Result<Self, String> {
        if self.min.is_some_and(|min| min == 0 || min > MAX_WORKERS) {
            return Err(format!("`min` must be from 1 to {MAX_WORKERS}"));
        }
        if self.max == Some(0) {
            return Err("`max` must be at least 1".to_owned());
        }
        if let (Some(min), Some(max)) = (self.min, self.max)
            && min > max
        {
            return Err(format!("`min` is {min} and `max` is {max}: min must not be above max"));
        }
        if self.memory_per_worker == Some(Bytes(0)) {
            return Err("`memory_per_worker` must not be 0".to_owned());
        }
        Ok(self)
    }
}

impl FromStr for Workers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text == "auto" {
            return Ok(Self::Auto(Rule::default()));
        }
        match text.parse() {
            Ok(count) if (1..=MAX_WORKERS).contains(&count) => Ok(Self::Fixed(count)),
            _ => Err(format!(
                "`{text}` is not a number of workers: write auto, or a number from 1 to {MAX_WORKERS}"
            )),
        }
    }
}

impl Setting for Workers {
    const WANTED: &'static str = "auto, a number of workers, or a map with per_cpu, plus, min, …";

    const MAY_BE_RULE: bool = true;

    fn from_compound(raw: Raw) -> Result<Self, String> {
        match raw {
            Raw::Rule(rule) => rule.checked().map(Self::Auto),
            Raw::One(_) | Raw::Many(_) => Err(format!("expected {}", Self::WANTED)),
        }
    }
}

impl Setting for Words {
    const WANTED: &'static str = "a command such as [\"/app/server\"]";

    const MAY_BE_LIST: bool = true;

    fn from_compound(raw: Raw) -> Result<Self, String> {
        match raw {
            Raw::Many(words) => Self(words).checked(),
            Raw::One(_) | Raw::Rule(_) => Err(format!("expected {}", Self::WANTED)),
        }
    }
}

impl Setting for Binds {
    const WANTED: &'static str = "an address, or a list of addresses";

    const MAY_BE_LIST: bool = true;

    fn from_compound(raw: Raw) -> Result<Self, String> {
        match raw {
            Raw::Many(words) => {
                words.iter().map(|word| word.parse()).collect::<Result<_, _>>().map(Self)
            }
            Raw::One(_) | Raw::Rule(_) => Err(format!("expected {}", Self::WANTED)),
        }
    }
}

impl Setting for Backlog {
    const WANTED: &'static str = "a number of connections";
}

impl Setting for Resize {
    const WANTED: &'static str = "true or false";
}

impl Setting for OnCrashLoop {
    const WANTED: &'static str = "exit or retry";
}

impl Setting for LogFormat {
    const WANTED: &'static str = "text or json";
}

read_from_file!(Workers, Words, Binds, Backlog, Resize, OnCrashLoop, LogFormat);
