//! Reading files under a root, so that one code path serves the live machine and a capture of
//! another one; and remembering what was read, so that a capture is exactly what was looked at.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

/// Enough for any file that holds a limit: the kernel writes at most one page.
pub(crate) const SMALL: u64 = 64 * 1024;

/// mountinfo grows with the mounts of the namespace: a busy Kubernetes node has some MiB of it.
pub(crate) const MOUNTINFO: u64 = 16 * 1024 * 1024;

/// Why a file has no content for us.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// It does not exist, which for most cgroup files is normal.
    Missing,
    /// A directory, a pipe or the like stands there: reading could block for ever.
    NotAFile,
    /// It is longer than the limit, in bytes.
    TooLarge(u64),
    /// Anything else: EACCES, EIO, ENODEV of a cgroup that is gone.
    Io(io::Error),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Missing => f.write_str("no such file"),
            ReadError::NotAFile => f.write_str("not a regular file"),
            ReadError::TooLarge(limit) => write!(f, "longer than {limit} bytes"),
            ReadError::Io(error) => write!(f, "{error}"),
        }
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> ReadError {
        match error.kind() {
            io::ErrorKind::NotFound => ReadError::Missing,
            _ => ReadError::Io(error),
        }
    }
}

/// The machine that is read: `/`, or a directory that holds a capture.
pub(crate) struct Source {
    root: PathBuf,
    recorded: Option<BTreeMap<String, String>>,
}

impl Source {
    pub(crate) fn new(root: &Path) -> Source {
        Source { root: root.to_path_buf(), recorded: None }
    }

    /// A source that keeps every file it reads, by the path that the machine knows it by.
    pub(crate) fn recording(root: &Path) -> Source {
        Source { root: root.to_path_buf(), recorded: Some(BTreeMap::new()) }
    }

    pub(crate) fn into_recorded(self) -> BTreeMap<String, String> {
        self.recorded.unwrap_or_default()
    }

    /// Whether this is the machine that we run on, so that a system call answers for it too.
    pub(crate) fn is_this_machine(&self) -> bool {
        self.root == Path::new("/")
    }

    /// Reads a whole file of at most `limit` bytes.
    pub(crate) fn read(&mut self, path: &Path, limit: u64) -> Result<Vec<u8>, ReadError> {
        let place = self.locate(path);
        if !fs::metadata(&place)?.is_file() {
            return Err(ReadError::NotAFile);
        }
        // procfs and cgroupfs give every file the size 0, so only reading tells the length.
        let mut content = Vec::new();
        File::open(&place)?.take(limit.saturating_add(1)).read_to_end(&mut content)?;
        if u64::try_from(content.len()).is_ok_and(|length| length > limit) {
            return Err(ReadError::TooLarge(limit));
        }
        if let Some(recorded) = &mut self.recorded {
            let text = String::from_utf8_lossy(&content).into_owned();
            recorded.insert(path.to_string_lossy().into_owned(), text);
        }
        Ok(content)
    }

    /// Whether there is certainly nothing at `path`. One that we may not look at is not missing.
    pub(crate) fn is_missing(&self, path: &Path) -> bool {
        matches!(fs::metadata(self.locate(path)), Err(e) if e.kind() == io::ErrorKind::NotFound)
    }

    /// The path under the root. A `..` in a capture must not lead out of it.
    fn locate(&self, path: &Path) -> PathBuf {
        let inside = path.components().filter_map(|component| match component {
            Component::Normal(name) => Some(name),
            _ => None,
        });
        let mut place = self.root.clone();
        place.extend(inside.map(|name: &OsStr| Path::new(name)));
        place
    }
}
