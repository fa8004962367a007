//! What the files of all controllers have in common: a line of numbers, found in every directory
//! from the leaf to the root of the mount, of which the smallest counts. cgroups are hierarchical,
//! so a limit at any ancestor holds for us too.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::hierarchy::Place;
use crate::shown::{self, Warnings};
use crate::source::{self, ReadError, Source};

/// The file that set a limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SetBy {
    /// Its path on the machine that was read.
    pub file: String,
    /// Its content, without the newline.
    pub value: String,
}

/// A limit, and the file that it stands in.
pub(crate) struct Found<T> {
    pub(crate) limit: T,
    pub(crate) set_by: SetBy,
}

/// What is wrong with a file's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    Empty,
    NotANumber,
    Negative,
    Overflow,
    Zero,
    FieldCount,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Malformed::Empty => "empty",
            Malformed::NotANumber => "not a number",
            Malformed::Negative => "negative",
            Malformed::Overflow => "out of range",
            Malformed::Zero => "zero",
            Malformed::FieldCount => "unexpected number of fields",
        })
    }
}

/// A file that should hold a limit and does not tell it.
#[derive(Debug)]
pub(crate) enum Problem {
    Unreadable { file: PathBuf, error: ReadError },
    Malformed { file: PathBuf, content: Vec<u8>, why: Malformed },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Unreadable { file, error } => {
                write!(f, "{}: {error}; ignored", shown::path(file))
            }
            Problem::Malformed { file, content, why } => {
                let (file, content) = (shown::path(file), shown::quoted(content));
                write!(f, "{file}: malformed content {content} ({why}); ignored")
            }
        }
    }
}

/// Walks from the leaf to the root of the mount and returns the smallest limit. Of equal ones, the
/// one closest to the leaf. A file that tells nothing is a warning, and the walk goes on.
pub(crate) fn smallest<T: Ord>(
    place: &Place,
    source: &mut Source,
    warnings: &mut Warnings,
    read: impl Fn(&mut Source, &Path) -> Result<Option<Found<T>>, Problem>,
) -> Option<Found<T>> {
    let mut smallest: Option<Found<T>> = None;
    for dir in place.dirs() {
        match read(source, dir) {
            Ok(Some(found)) => {
                if smallest.as_ref().is_none_or(|known| found.limit < known.limit) {
                    smallest = Some(found);
                }
            }
            Ok(None) => {}
            Err(problem) => warnings.push(problem.to_string()),
        }
    }
    smallest
}

/// Reads one file of a cgroup. `None` where there is none, which is normal: the root cgroup has no
/// limits, a child has no files of controllers that its parent does not pass on (a threaded cgroup
/// none of memory), and a kernel may be built without a controller.
pub(crate) fn read(source: &mut Source, file: &Path) -> Result<Option<Vec<u8>>, Problem> {
    match source.read(file, source::SMALL) {
        Ok(content) => Ok(Some(content)),
        Err(ReadError::Missing) => Ok(None),
        Err(error) => Err(Problem::Unreadable { file: file.to_path_buf(), error }),
    }
}

/// Reads a limit from `file` as `parse` understands it.
pub(crate) fn parsed<T>(
    source: &mut Source,
    file: &Path,
    parse: impl Fn(&[u8]) -> Result<Option<T>, Malformed>,
) -> Result<Option<Found<T>>, Problem> {
    let Some(content) = read(source, file)? else { return Ok(None) };
    match parse(&content) {
        Ok(limit) => Ok(limit.map(|limit| found(limit, file, &content))),
        Err(why) => Err(Problem::Malformed { file: file.to_path_buf(), content, why }),
    }
}

/// A limit with its origin.
pub(crate) fn found<T>(limit: T, file: &Path, content: &[u8]) -> Found<T> {
    let value = String::from_utf8_lossy(content.trim_ascii()).into_owned();
    Found { limit, set_by: SetBy { file: file.to_string_lossy().into_owned(), value } }
}

/// The fields of a file, as many as a limit can have and one more.
pub(crate) fn fields(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    content.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty())
}

/// The only field of a file.
pub(crate) fn only_field(content: &[u8]) -> Result<&[u8], Malformed> {
    let mut fields = fields(content);
    let field = fields.next().ok_or(Malformed::Empty)?;
    if fields.next().is_some() { Err(Malformed::FieldCount) } else { Ok(field) }
}

/// A decimal number, digits alone.
pub(crate) fn number(field: &[u8]) -> Result<u64, Malformed> {
    let (negative, digits) = match field {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Malformed::NotANumber);
    }
    if negative {
        return Err(Malformed::Negative);
    }
    // ASCII digits are text, and the only other way to fail is the range.
    str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).ok_or(Malformed::Overflow)
}
