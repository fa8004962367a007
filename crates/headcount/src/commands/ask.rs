//! The other end of the control socket: one question to the headcount that runs, and its answer.
//! `docker exec app /headcount status` does this in an image that holds nothing else.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use nix::errno::Errno;
use serde_json::Value;

use crate::config::{Control, places_of_client};
use crate::exit;
use crate::os::sockets;
use crate::protocol::{Request, Scale};
use crate::{complain, print};

/// Longer than headcount gives a client: it answers within that, or it is stuck.
const PATIENCE: Duration = Duration::from_secs(5);

/// An answer to a request that was carried out.
pub struct Answer {
    /// As it came, without the newline.
    pub line: String,
    pub content: Value,
}

/// Why there is no answer, or none that helps.
#[derive(Debug)]
pub enum AskError {
    /// It was told to have no control socket.
    SwitchedOff,
    /// Nobody listens in any of these places.
    NotRunning(Vec<PathBuf>),
    /// The socket is somebody else's.
    Denied(PathBuf),
    /// It was there, and then the connection failed.
    Lost(PathBuf, io::Error),
    /// What it says is no answer.
    Garbage(PathBuf),
    /// It says why not.
    Refused(String),
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SwitchedOff => {
                f.write_str("the control socket is switched off: set --control to a path")
            }
            Self::NotRunning(places) => {
                f.write_str("no headcount answers at ")?;
                for (i, place) in places.iter().enumerate() {
                    write!(f, "{}{}", if i == 0 { "" } else { " or " }, place.display())?;
                }
                f.write_str(": --control PATH says where it listens")
            }
            Self::Denied(path) => write!(
                f,
                "permission denied at {}: only root and the user that headcount runs as may ask",
                path.display()
            ),
            Self::Lost(path, error)
                if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) =>
            {
                write!(f, "the headcount at {} does not answer", path.display())
            }
            Self::Lost(path, error) => write!(f, "no answer from {}: {error}", path.display()),
            Self::Garbage(path) => write!(f, "no headcount answers at {}", path.display()),
            Self::Refused(why) => f.write_str(why),
        }
    }
}

/// Asks the headcount that runs.
pub fn ask(request: Request, control: Option<Control>) -> Result<Answer, AskError> {
    let (path, stream) = find(places_of_client(control))?;
    let line = exchange(stream, request).map_err(|error| AskError::Lost(path.clone(), error))?;
    let content: Value = serde_json::from_str(&line).map_err(|_| AskError::Garbage(path))?;
    if content.get("ok").and_then(Value::as_bool) == Some(true) {
        return Ok(Answer { line, content });
    }
    let why = content.get("error").and_then(Value::as_str).unwrap_or("refused");
    Err(AskError::Refused(why.to_owned()))
}

/// The first place where somebody listens.
fn find(places: Vec<PathBuf>) -> Result<(PathBuf, OwnedFd), AskError> {
    let mut denied = None;
    for place in &places {
        match sockets::connect(place) {
            Ok(stream) => return Ok((place.clone(), stream)),
            Err(Errno::ENOENT | Errno::ECONNREFUSED | Errno::ENOTDIR) => {}
            Err(Errno::EACCES | Errno::EPERM) => denied = denied.or_else(|| Some(place.clone())),
            Err(errno) => return Err(AskError::Lost(place.clone(), errno.into())),
        }
    }
    Err(match denied {
        Some(path) => AskError::Denied(path),
        None if places.is_empty() => AskError::SwitchedOff,
        None => AskError::NotRunning(places),
    })
}

fn exchange(stream: OwnedFd, request: Request) -> io::Result<String> {
    let mut stream = UnixStream::from(stream);
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // One that refuses at once may have closed by now, and its reason can still be read.
    let written = stream.write_all(request.line().as_bytes());
    let mut line = String::new();
    match stream.read_to_string(&mut line) {
        // It closes with our request unread; what it said came before.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset && !line.is_empty() => {}
        other => drop(other?),
    }
    if line.is_empty() {
        written?;
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    line.truncate(line.trim_end().len());
    Ok(line)
}

/// `headcount scale`, `reload` and `stop`: the answer is the exit code.
pub fn order(request: Request, control: Option<Control>) -> u8 {
    let answer = match ask(request, control) {
        Ok(answer) => answer.content,
        Err(error) => return complain(&error.to_string(), exit::NO_ANSWER),
    };
    let number = |key| answer.get(key).and_then(Value::as_u64).unwrap_or_default();
    print(|out| match request {
        Request::Scale(Scale::To(_)) => writeln!(out, "{} workers wanted", number("workers")),
        Request::Scale(Scale::Auto) => writeln!(out, "{} workers wanted (auto)", number("workers")),
        Request::Reload => writeln!(out, "rolling over to generation {}", number("generation")),
        Request::Stop => writeln!(out, "stopping"),
        Request::Status => Ok(()),
    })
}

/// Whether an error means that there is nobody to ask.
impl AskError {
    pub fn is_not_running(&self) -> bool {
        match self {
            Self::NotRunning(_) => true,
            // It was on its way out.
            Self::Lost(_, error) => error.kind() == io::ErrorKind::UnexpectedEof,
            Self::SwitchedOff | Self::Denied(_) | Self::Garbage(_) | Self::Refused(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_one_clear_line() {
        let missing = vec![PathBuf::from("/nowhere/a"), PathBuf::from("/nowhere/b")];
        let error = find(missing).unwrap_err();
        assert!(error.is_not_running());
        assert_eq!(
            error.to_string(),
            "no headcount answers at /nowhere/a or /nowhere/b: --control PATH says where it listens"
        );
        assert!(matches!(find(Vec::new()), Err(AskError::SwitchedOff)));
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(find(vec![file.path().to_owned()]).unwrap_err().is_not_running());
        assert!(file.path().exists(), "a client removes nothing");
    }
}
