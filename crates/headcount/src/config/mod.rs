//! What `run` and `check` are to do: the settings of every source, merged.
//!
//! Precedence: a flag wins over a variable, a variable over the file, the file over the default.
//! Each setting has one variable, `HEADCOUNT_` and its name; besides, `WEB_CONCURRENCY` stands for
//! `workers` and `PORT` for `bind`, below headcount's own and above the file, because platforms set
//! them.

mod control;
mod file;
mod interpolate;
mod layer;
mod raw;
mod units;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

pub use control::{Control, default_places, places_of_client};
pub use file::FileError;
pub use layer::{
    Backlog, Bind, Binds, Layer, LogFormat, OnCrashLoop, Resize, Rule, Words, Workers,
};
pub use units::Span;

/// Where a setting was found, for the start line and for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Flag,
    Variable(&'static str),
    File(PathBuf),
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("--workers"),
            Self::Variable(name) => f.write_str(name),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// Every setting, decided.
#[derive(Clone, Debug)]
pub struct Config {
    pub command: Vec<String>,
    pub bind: Vec<Bind>,
    pub backlog: i32,
    pub workers: Workers,
    pub workers_from: Origin,
    /// `None` where heartbeats are not asked for (`timeout: 0`).
    pub timeout: Option<Span>,
    pub graceful_timeout: Span,
    pub drain_delay: Span,
    pub boot_timeout: Span,
    pub ready_after: Span,
    /// Follow limits that change.
    pub resize: bool,
    pub on_crash_loop: OnCrashLoop,
    pub log_format: LogFormat,
    /// `None` where nobody said anything: a default place.
    pub control: Option<Control>,
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// What a person should know though it is no error.
    pub warnings: Vec<String>,
}

/// What is wrong with the configuration.
#[derive(Debug)]
pub enum ConfigError {
    File(FileError),
    /// A variable's value is not what its setting takes.
    Variable {
        name: &'static str,
        message: String,
    },
    /// Nothing says what to run.
    NoCommand,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::Variable { name, message } => write!(f, "{name}: {message}"),
            Self::NoCommand => f.write_str(
                "no command: name it after `--`, or as `command:` in headcount.yaml \
                 (headcount run --bind 0.0.0.0:8000 -- /app/server)",
            ),
        }
    }
}

const PREFIX: &str = "HEADCOUNT_";
const VARIABLES: [&str; 14] = [
    "HEADCOUNT_CONFIG",
    "HEADCOUNT_COMMAND",
    "HEADCOUNT_BIND",
    "HEADCOUNT_WORKERS",
    "HEADCOUNT_BACKLOG",
    "HEADCOUNT_TIMEOUT",
    "HEADCOUNT_GRACEFUL_TIMEOUT",
    "HEADCOUNT_DRAIN_DELAY",
    "HEADCOUNT_BOOT_TIMEOUT",
    "HEADCOUNT_READY_AFTER",
    "HEADCOUNT_RESIZE",
    "HEADCOUNT_ON_CRASH_LOOP",
    "HEADCOUNT_LOG_FORMAT",
    "HEADCOUNT_CONTROL",
];

/// A variable that is set and not empty: Compose sets `WEB_CONCURRENCY=` for one that is not given.
fn variable(name: &str) -> Option<String> {
    std::env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(|value| value.to_string_lossy().into_owned())
}

fn typed<T: FromStr<Err = String>>(name: &'static str) -> Result<Option<T>, ConfigError> {
    variable(name)
        .map(|value| value.parse())
        .transpose()
        .map_err(|message| ConfigError::Variable { name, message })
}

fn own_variables() -> Result<Layer, ConfigError> {
    Ok(Layer {
        command: typed("HEADCOUNT_COMMAND")?,
        bind: typed("HEADCOUNT_BIND")?,
        workers: typed("HEADCOUNT_WORKERS")?,
        backlog: typed("HEADCOUNT_BACKLOG")?,
        timeout: typed("HEADCOUNT_TIMEOUT")?,
        graceful_timeout: typed("HEADCOUNT_GRACEFUL_TIMEOUT")?,
        drain_delay: typed("HEADCOUNT_DRAIN_DELAY")?,
        boot_timeout: typed("HEADCOUNT_BOOT_TIMEOUT")?,
        ready_after: typed("HEADCOUNT_READY_AFTER")?,
        resize: typed("HEADCOUNT_RESIZE")?,
        on_crash_loop: typed("HEADCOUNT_ON_CRASH_LOOP")?,
        log_format: typed("HEADCOUNT_LOG_FORMAT")?,
        control: typed("HEADCOUNT_CONTROL")?,
    })
}

fn platform_variables() -> Result<Layer, ConfigError> {
    let name = "PORT";
    let bind = variable(name)
        .map(|port| match port.parse::<u16>() {
            Ok(_) => format!("0.0.0.0:{port}").parse::<Binds>(),
            Err(_) => Err(format!("`{port}` is not a port: write a number up to 65535")),
        })
        .transpose()
        .map_err(|message| ConfigError::Variable { name, message })?;
    Ok(Layer { bind, workers: typed("WEB_CONCURRENCY")?, ..Layer::default() })
}

/// A misspelt variable would be ignored in silence; one that merely begins alike (Kubernetes sets
/// `HEADCOUNT_SERVICE_HOST` where a service has that name) is none of our business.
fn misspelt_variables() -> Vec<String> {
    std::env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| name.starts_with(PREFIX) && !VARIABLES.contains(&name.as_str()))
        .filter(|name| {
            !matches!(name.as_str(), "HEADCOUNT_WORKER" | "HEADCOUNT_GENERATION" | "HEADCOUNT_CPUS")
        })
        .filter_map(|name| {
            let short = name.strip_prefix(PREFIX)?;
            let known = VARIABLES.iter().filter_map(|known| known.strip_prefix(PREFIX));
            let meant = file::nearest(short, known)?;
            Some(format!("{name} is no setting: did you mean {PREFIX}{meant}?"))
        })
        .collect()
}

impl Config {
    /// The addresses to listen on, for a person.
    pub fn addresses(&self) -> String {
        match self.bind.as_slice() {
            [] => "none".to_owned(),
            binds => binds.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        }
    }

    /// The configuration file that somebody named, by flag or by variable.
    fn named_file(flag: Option<&Path>) -> Option<PathBuf> {
        flag.map(Path::to_owned).or_else(|| variable("HEADCOUNT_CONFIG").map(PathBuf::from))
    }

    /// Merges the flags with the environment and the file.
    pub fn load(flags: Layer, named_file: Option<&Path>) -> Result<Self, ConfigError> {
        let own = own_variables()?;
        let platform = platform_variables()?;
        let named = Self::named_file(named_file);
        let (path, from_file) = match file::load(named.as_deref()).map_err(ConfigError::File)? {
            Some((path, layer)) => (Some(path), layer),
            None => (None, Layer::default()),
        };
        let workers_from = if flags.workers.is_some() {
            Origin::Flag
        } else if own.workers.is_some() {
            Origin::Variable("HEADCOUNT_WORKERS")
        } else if platform.workers.is_some() {
            Origin::Variable("WEB_CONCURRENCY")
        } else if let (Some(_), Some(path)) = (from_file.workers, &path) {
            Origin::File(path.clone())
        } else {
            Origin::Default
        };
        // `--workers auto` asks for the rule of the file, where there is one.
        let rule = match from_file.workers {
            Some(Workers::Auto(rule)) => rule,
            Some(Workers::Fixed(_)) | None => Rule::default(),
        };
        let all = flags.over(own).over(platform).over(from_file);
        let seconds = |n| Span(std::time::Duration::from_secs(n));
        Ok(Self {
            command: all.command.ok_or(ConfigError::NoCommand)?.0,
            bind: all.bind.map(|binds| binds.0).unwrap_or_default(),
            backlog: all.backlog.map_or(2048, |backlog| backlog.0),
            workers: match all.workers {
                Some(Workers::Fixed(count)) => Workers::Fixed(count),
                Some(Workers::Auto(_)) | None => Workers::Auto(rule),
            },
            workers_from,
            timeout: Some(all.timeout.unwrap_or(seconds(120))).filter(|span| !span.0.is_zero()),
            graceful_timeout: all.graceful_timeout.unwrap_or(seconds(30)),
            drain_delay: all.drain_delay.unwrap_or(seconds(0)),
            boot_timeout: all.boot_timeout.unwrap_or(seconds(60)),
            ready_after: all.ready_after.unwrap_or(seconds(1)),
            resize: all.resize.is_none_or(|resize| resize.0),
            on_crash_loop: all.on_crash_loop.unwrap_or_default(),
            log_format: all.log_format.unwrap_or_default(),
            control: all.control,
            file: path,
            warnings: misspelt_variables(),
        })
    }
}
