//! What is said on the control socket: a line of JSON there, a line of JSON back. It is described
//! in docs/control.md for whoever speaks it without this program.
//!
//! Both ends are in here, so that `headcount scale` and PID 1 agree on what a number of workers is.

use std::fmt::{self, Write as _};
use std::str::FromStr;
use std::time::Duration;

use serde_json::Value;

use crate::config::Workers;

/// The longest request: far more than any that means something.
pub const LONGEST_REQUEST: usize = 4096;

/// What PID 1 is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    Status,
    Scale(Scale),
    Reload,
    Stop,
}

/// How many workers somebody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// This many, until somebody says otherwise.
    To(u32),
    /// What the configuration and the limits say.
    Auto,
}

/// Why a request is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// It is no JSON object with a command.
    Malformed,
    /// There is no such command.
    Unknown(String),
    /// `scale` without a number that makes sense.
    Workers(String),
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str(r#"no request: write one line, {"command":"status"}"#),
            Self::Unknown(name) => {
                write!(f, "`{name}` is no command: status, scale, reload, stop are")
            }
            Self::Workers(message) => f.write_str(message),
        }
    }
}

impl FromStr for Scale {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(|workers| match workers {
            Workers::Fixed(count) => Self::To(count),
            Workers::Auto(_) => Self::Auto,
        })
    }
}

impl Request {
    /// Reads a request, without its newline.
    pub fn parse(line: &[u8]) -> Result<Self, RequestError> {
        let line = std::str::from_utf8(line).map_err(|_| RequestError::Malformed)?;
        let request: Value = serde_json::from_str(line).map_err(|_| RequestError::Malformed)?;
        match request.get("command").and_then(Value::as_str).ok_or(RequestError::Malformed)? {
            "status" => Ok(Self::Status),
            "scale" => scale(request.get("workers")).map(Self::Scale),
            "reload" => Ok(Self::Reload),
            "stop" => Ok(Self::Stop),
            other => Err(RequestError::Unknown(other.to_owned())),
        }
    }

    /// The request as it is sent.
    pub fn line(self) -> String {
        match self {
            Self::Status => "{\"command\":\"status\"}\n".to_owned(),
            Self::Scale(Scale::To(count)) => {
                format!("{{\"command\":\"scale\",\"workers\":{count}}}\n")
            }
            Self::Scale(Scale::Auto) => "{\"command\":\"scale\",\"workers\":\"auto\"}\n".to_owned(),
            Self::Reload => "{\"command\":\"reload\"}\n".to_owned(),
            Self::Stop => "{\"command\":\"stop\"}\n".to_owned(),
        }
    }
}

/// A number or a string: a shell script that puts its `$1` in quotes means the same.
fn scale(workers: Option<&Value>) -> Result<Scale, RequestError> {
    match workers {
        Some(Value::String(text)) => text.parse(),
        Some(other) => other.to_string().parse(),
        None => "".parse(),
    }
    .map_err(RequestError::Workers)
}

/// The response to a request that was not carried out.
pub fn refusal(error: &str) -> Vec<u8> {
    response(object(&[("ok", false.into()), ("error", error.into())]))
}

/// A response, as it is sent: an object that holds its own `ok`.
pub fn response(mut object: String) -> Vec<u8> {
    object.push('\n');
    object.into_bytes()
}

/// A value of an object. Plain data, so that an object is a table: serde's derive, or a tree of
/// `Value`s, takes three times the code, which every image would carry.
#[derive(Clone, Copy, Debug)]
pub enum Field<'a> {
    Null,
    Bool(bool),
    Number(u64),
    Float(f64),
    Text(&'a str),
    /// JSON already.
    Json(&'a str),
}

impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => value.fmt(f),
            Self::Number(value) => value.fmt(f),
            // Milliseconds, and hundredths of a percent, are enough.
            Self::Float(value) => write!(f, "{value:.3}"),
            Self::Text(value) => Value::from(*value).fmt(f),
            Self::Json(value) => f.write_str(value),
        }
    }
}

/// A JSON object, in the order of the fields.
pub fn object(fields: &[(&str, Field<'_>)]) -> String {
    let mut json = String::from("{");
    for (i, (key, value)) in fields.iter().enumerate() {
        // Writing to a String cannot fail. Our keys need no escapes.
        let _ = write!(json, "{}\"{key}\":{value}", if i == 0 { "" } else { "," });
    }
    json.push('}');
    json
}

/// A JSON list of what is JSON already.
pub fn list(elements: impl Iterator<Item = String>) -> String {
    let mut json = String::new();
    for element in elements {
        json.push(if json.is_empty() { '[' } else { ',' });
        json.push_str(&element);
    }
    json.push_str(if json.is_empty() { "[]" } else { "]" });
    json
}

macro_rules! fields_from {
    ($($from:ty: |$value:pat_param| $field:expr),+ $(,)?) => {$(
        impl<'a> From<$from> for Field<'a> {
            fn from($value: $from) -> Self {
                $field
            }
        }
    )+};
}

fields_from! {
    bool: |value| Self::Bool(value),
    u32: |value| Self::Number(value.into()),
    u64: |value| Self::Number(value),
    f64: |value| Self::Float(value),
    Duration: |value| Self::Float(value.as_secs_f64()),
    &'a str: |value| Self::Text(value),
}

impl<'a, T: Into<Field<'a>>> From<Option<T>> for Field<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_understood() {
        for request in [
            Request::Status,
            Request::Scale(Scale::To(7)),
            Request::Scale(Scale::Auto),
            Request::Reload,
            Request::Stop,
        ] {
            let line = request.line();
            assert_eq!(Request::parse(line.trim_end().as_bytes()), Ok(request), "{line}");
        }
    }

    #[test]
    fn other_ways_to_say_it() {
        let seven = Ok(Request::Scale(Scale::To(7)));
        assert_eq!(Request::parse(br#" {"workers":"7", "command":"scale", "x":[]} "#), seven);
        assert_eq!(Request::parse(b"{\"command\":\"stop\"}\r"), Ok(Request::Stop));
    }

    #[test]
    fn nonsense_is_refused_with_a_reason() {
        for (line, expected) in [
            (&b""[..], "no request"),
            (b"status", "no request"),
            (b"\xff\xfe", "no request"),
            (b"[]", "no request"),
            (b"{}", "no request"),
            (br#"{"command":5}"#, "no request"),
            (br#"{"command":"frobnicate"}"#, "`frobnicate` is no command"),
            (br#"{"command":"scale"}"#, "not a number of workers"),
            (br#"{"command":"scale","workers":0}"#, "`0` is not a number of workers"),
            (br#"{"command":"scale","workers":4097}"#, "`4097` is not a number of workers"),
            (br#"{"command":"scale","workers":-1}"#, "`-1` is not a number of workers"),
            (br#"{"command":"scale","workers":2.5}"#, "`2.5` is not a number of workers"),
            (br#"{"command":"scale","workers":[1]}"#, "`[1]` is not a number of workers"),
        ] {
            let error = Request::parse(line).unwrap_err().to_string();
            assert!(error.contains(expected), "{}: {error}", String::from_utf8_lossy(line));
        }
        // Deep nesting must not exhaust the stack.
        assert_eq!(Request::parse(&[b'['; LONGEST_REQUEST]), Err(RequestError::Malformed));
    }

    #[test]
    fn objects_are_json() {
        let inner = list(["{}".to_owned(), "5".to_owned()].into_iter());
        let written = object(&[
            ("text", "\u{1b}\"\u{fffd}".into()),
            ("none", None::<u32>.into()),
            ("some", Some(u64::MAX).into()),
            ("time", Duration::from_millis(1250).into()),
            ("inner", Field::Json(&inner)),
            ("empty", Field::Json(&list(std::iter::empty()))),
        ]);
        let read: Value = serde_json::from_str(&written).unwrap();
        let expected = serde_json::json!({
            "text": "\u{1b}\"\u{fffd}", "none": null, "some": u64::MAX, "time": 1.25,
            "inner": [{}, 5], "empty": [],
        });
        assert_eq!(read, expected, "{written}");
    }

    #[test]
    fn a_refusal_is_one_line_of_json() {
        let line = refusal("no \"such\"\nthing");
        assert_eq!(line, b"{\"ok\":false,\"error\":\"no \\\"such\\\"\\nthing\"}\n");
    }
}
