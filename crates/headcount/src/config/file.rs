//! The configuration file: found, read, and turned into a [`Layer`]. This is the one module that
//! knows `serde_yaml`, behind one function, since the crate is archived upstream and may have to be
//! replaced (its successor costs 560 KB where this one costs 130).

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::interpolate::{InterpolateError, interpolate};
use super::layer::Layer;

/// Where the file is looked for without `-c`.
const PLACES: [&str; 2] = ["headcount.yaml", "/etc/headcount.yaml"];

/// The longest file that is read: a configuration is a page, not a disk.
const LONGEST: u64 = 1 << 20;

/// What is wrong with the file.
#[derive(Debug)]
pub enum FileError {
    /// It cannot be read.
    Read { path: PathBuf, error: io::Error },
    /// A variable in it cannot be replaced.
    Interpolate { path: PathBuf, error: InterpolateError },
    /// It is no YAML, or not of the right shape; the message says where and what.
    Content { path: PathBuf, line: Option<usize>, message: String },
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, error } => write!(f, "cannot read {}: {error}", path.display()),
            Self::Interpolate { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Content { path, line: Some(line), message } => {
                write!(f, "{}: line {line}: {message}", path.display())
            }
            Self::Content { path, line: None, message } => {
                write!(f, "{}: {message}", path.display())
            }
        }
    }
}

/// Reads the file that was named, or the first of the usual places that exists. No file is fine,
/// unless it was named.
pub fn load(named: Option<&Path>) -> Result<Option<(PathBuf, Layer)>, FileError> {
    let candidates: Vec<PathBuf> = match named {
        Some(path) => vec![path.to_owned()],
        None => PLACES.iter().map(PathBuf::from).collect(),
    };
    for path in candidates {
        match read(&path) {
            Ok(text) => return parse(&path, &text).map(|layer| Some((path, layer))),
            Err(error) if error.kind() == io::ErrorKind::NotFound && named.is_none() => {}
            Err(error) => return Err(FileError::Read { path, error }),
        }
    }
    Ok(None)
}

fn read(path: &Path) -> io::Result<String> {
    use io::Read as _;
    let mut text = String::new();
    let file = std::fs::File::open(path)?;
    let length = file.take(LONGEST.saturating_add(1)).read_to_string(&mut text)?;
    if u64::try_from(length).unwrap_or(u64::MAX) > LONGEST {
        return Err(io::Error::other("larger than 1 MiB: this is no configuration"));
    }
    Ok(text)
}

fn parse(path: &Path, text: &str) -> Result<Layer, FileError> {
    let text = interpolate(text, |name| std::env::var(name).ok())
        .map_err(|error| FileError::Interpolate { path: path.to_owned(), error })?;
    from_yaml(&text).map_err(|(line, message)| FileError::Content {
        path: path.to_owned(),
        line,
        message,
    })
}

/// The one function behind which the YAML library stands. An error has a line and a sentence.
fn from_yaml(text: &str) -> Result<Layer, (Option<usize>, String)> {
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(Layer::default());
    }
    serde_yaml::from_str(text).map_err(|error| {
        let line = error.location().map(|location| location.line());
        (line, explain(&error.to_string()))
    })
}

/// The library's message without its place, which stands at the front of ours, and with the nearest
/// key where one is unknown.
fn explain(message: &str) -> String {
    let message = match message.rfind(" at line ") {
        Some(place) => message.get(..place).unwrap_or(message),
        None => message,
    };
    if !message.contains("unknown field") {
        return message.to_owned();
    }
    // "unknown field `wokers`, expected one of `command`, `bind`": every other piece is a name.
    let mut names = message.split('`').skip(1).step_by(2);
    let Some(unknown) = names.next() else { return message.to_owned() };
    let known: Vec<&str> = names.collect();
    match nearest(unknown, known.iter().copied()) {
        Some(key) => format!("unknown key `{unknown}`: did you mean `{key}`?"),
        None => format!("unknown key `{unknown}`: the keys are {}", known.join(", ")),
    }
}

/// The name that was probably meant.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .min()
        .filter(|(distance, _)| *distance <= name.len().div_ceil(3))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::layer::Workers;

    fn error(text: &str) -> String {
        let (line, message) = from_yaml(text).unwrap_err();
        format!("{}: {message}", line.map_or_else(|| "?".to_owned(), |line| line.to_string()))
    }

    #[test]
    fn the_design_s_example_is_read() {
        let layer = from_yaml(
            "command: [\"/app/server\"]\nbind: [\"0.0.0.0:8000\", \"unix:/run/app.sock\"]\n\
             workers: auto\ntimeout: 120s\ngraceful_timeout: 30s\ndrain_delay: 0s\n\
             boot_timeout: 60s\n",
        )
        .unwrap();
        assert_eq!(layer.command.unwrap().0, ["/app/server"]);
        assert_eq!(layer.bind.unwrap().0.len(), 2);
        assert_eq!(layer.timeout.unwrap().0.as_secs(), 120);
    }

    #[test]
    fn workers_may_be_a_rule() {
        let layer = from_yaml("workers: {per_cpu: 3, max: 64, memory_per_worker: 256Mi}").unwrap();
        let Some(Workers::Auto(rule)) = layer.workers else { panic!("{layer:?}") };
        assert_eq!((rule.per_cpu, rule.max), (Some(3), Some(64)));
        assert_eq!(rule.memory_per_worker.unwrap().0, 256 << 20);
    }

    #[test]
    fn nothing_is_a_configuration_too() {
        assert_eq!(from_yaml("").unwrap(), Layer::default());
        assert_eq!(from_yaml("# workers: 5\n\n").unwrap(), Layer::default());
    }

    #[test]
    fn errors_name_line_and_culprit() {
        for (text, expected) in [
            ("bind: a\nwokers: 5\n", "1: bind: `a` is not an address"),
            ("\nwokers: 5\n", "2: unknown key `wokers`: did you mean `workers`?"),
            ("frobnicate: 5\n", "1: unknown key `frobnicate`: the keys are command, bind"),
            ("workers: {per_cpus: 2}\n", "1: unknown key `per_cpus`: did you mean `per_cpu`?"),
            ("workers: -1\n", "1: workers: `-1` is not a number of workers"),
            ("workers: 100000\n", "1: workers: `100000` is not a number of workers"),
            ("workers: 2.5\n", "1: workers: `2.5` is not a number of workers"),
            ("workers: {min: 5, max: 2}\n", "1: workers: `min` is 5 and `max` is 2"),
            ("timeout: soon\n", "1: timeout: `soon` is not a duration"),
            ("command: []\n", "1: command: the command is empty"),
            ("backlog: 0\n", "1: backlog: `0` is not a backlog"),
            ("\nbind: [a]\n", "2: bind: `a` is not an address"),
            ("\n\ntimeout: {a: 1}\n", "3: timeout: invalid type: map"),
            ("backlog: 5\ntimeout: soon\n", "2: timeout: `soon` is not a duration"),
            ("workers: [1]\n", "1: workers: invalid type: sequence, expected auto"),
            ("bind: [\n", "did not find expected node content"),
        ] {
            let error = error(text);
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }

    // The YAML library is archived upstream: nobody mends it for us.
    proptest::proptest! {
        #[test]
        fn no_text_is_a_panic(text in "\\PC*") {
            let _ = from_yaml(&text);
            let _ = interpolate(&text, |name| Some(name.to_owned()));
        }

        #[test]
        fn no_yaml_is_a_panic(text in "([a-z_]{1,9}|[-:{}\\[\\]&*!|>'\"%@,#? \n0-9~]){0,60}") {
            let _ = from_yaml(&text);
            let _ = from_yaml(&format!("workers: {text}"));
            let _ = from_yaml(&format!("bind: [{text}]\ncommand: {text}"));
        }
    }

    #[test]
    fn a_bomb_of_aliases_is_an_error_and_no_outage() {
        let mut lines = vec!["a: &a [x, x, x, x, x, x]".to_owned()];
        for pair in b"abcdefghij".windows(2) {
            let (of, name) = (char::from(pair[0]), char::from(pair[1]));
            lines.push(format!("{name}: &{name} [*{of}, *{of}, *{of}, *{of}, *{of}, *{of}]"));
        }
        lines.push("bind: *j".to_owned());
        let text = lines.join("\n");
        assert!(from_yaml(&text).is_err());
    }
}
