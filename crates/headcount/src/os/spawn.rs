//! Starting a program: from a command, an environment and sockets to a child process, or to an error
//! that says what a person can do about it.

use std::ffi::{CString, OsStr, OsString};
use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::os::sys::{self, ForkError, Image, Inherited, Pid};

/// Where `execvp(3)` looks when there is no PATH.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A child's environment.
pub type Environment = Vec<(OsString, OsString)>;

/// What to start.
pub struct Request<'a> {
    pub command: &'a [OsString],
    pub environment: &'a Environment,
    /// Variables that hold the child's own pid.
    pub pid_variables: &'a [&'a str],
    pub passed: Vec<BorrowedFd<'a>>,
    /// Whether the child gets the terminal.
    pub foreground: bool,
}

/// Why nothing was started.
#[derive(Debug)]
pub enum SpawnError {
    NotFound {
        program: String,
        searched: Option<String>,
    },
    NotExecutable {
        program: String,
        error: io::Error,
    },
    /// A NUL cannot be passed to a program.
    Nul {
        value: String,
    },
    /// The kernel makes no process now.
    Fork(io::Error),
    Prepare(io::Error),
}

impl SpawnError {
    /// Whether another try can only end the same way.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::NotFound { .. } | Self::NotExecutable { .. } | Self::Nul { .. } => true,
            Self::Fork(_) | Self::Prepare(_) => false,
        }
    }
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { program, searched: Some(path) } => {
                write!(f, "`{program}` was not found in PATH ({path})")
            }
            Self::NotFound { program, searched: None } => {
                write!(f, "`{program}` does not exist, or the interpreter that it names does not")
            }
            Self::NotExecutable { program, error } => {
                write!(f, "`{program}` cannot be executed: {error}")
            }
            Self::Nul { value } => write!(f, "`{value}` has a NUL byte"),
            Self::Fork(error) => write!(
                f,
                "the kernel makes no process: {error} (a limit of pids or memory, see \
                 `headcount limits`)"
            ),
            Self::Prepare(error) => write!(f, "the process could not be prepared: {error}"),
        }
    }
}

/// Starts it, in a process group of its own.
pub fn spawn(request: Request<'_>, inherited: &Inherited) -> Result<Pid, SpawnError> {
    let program = request.command.first().map(OsString::as_os_str).unwrap_or_default();
    let path = request
        .environment
        .iter()
        .find(|(name, _)| name == "PATH")
        .map_or(OsStr::new(DEFAULT_PATH), |(_, value)| value);
    let searched = !program.as_bytes().contains(&b'/');
    let paths = if searched {
        path.as_bytes().split(|byte| *byte == b':').map(|dir| join(dir, program)).collect()
    } else {
        vec![program.to_owned()]
    };
    let image = Image {
        paths: c_strings(paths)?,
        arguments: c_strings(request.command.to_vec())?,
        environment: c_strings(request.environment.iter().map(|(name, value)| {
            let mut entry = name.clone();
            entry.push("=");
            entry.push(value);
            entry
        }))?,
        pid_variables: request.pid_variables,
        passed: request.passed,
        foreground: request.foreground,
    };
    sys::spawn(&image, inherited).map_err(|error| {
        let program = program.to_string_lossy().into_owned();
        match error {
            ForkError::Fork(error) => SpawnError::Fork(error),
            ForkError::Prepare(error) => SpawnError::Prepare(error),
            ForkError::Exec(error) if error.kind() == io::ErrorKind::NotFound => {
                let searched = searched.then(|| path.to_string_lossy().into_owned());
                SpawnError::NotFound { program, searched }
            }
            ForkError::Exec(error) => SpawnError::NotExecutable { program, error },
        }
    })
}

/// An empty place of PATH is the working directory.
fn join(dir: &[u8], program: &OsStr) -> OsString {
    let mut path = dir.to_vec();
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(program.as_bytes());
    OsString::from_vec(path)
}

fn c_strings(strings: impl IntoIterator<Item = OsString>) -> Result<Vec<CString>, SpawnError> {
    strings
        .into_iter()
        .map(|string| {
            CString::new(string.into_vec()).map_err(|error| SpawnError::Nul {
                value: String::from_utf8_lossy(&error.into_vec()).into_owned(),
            })
        })
        .collect()
}
