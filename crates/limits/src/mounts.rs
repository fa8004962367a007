//! Where cgroup hierarchies are mounted. `/sys/fs/cgroup` is a habit, not a promise: the truth is
//! `/proc/self/mountinfo` (`proc(5)`), which lists every mount with the directory of the file
//! system that it shows (its *root*, which for a bind mount into a container is not `/`).
//!
//! procfs parses the lines, one at a time, so that an odd line costs a warning and not the file.
//! Two things it leaves to us: it takes text where the kernel gives bytes, and it leaves the octal
//! escapes of spaces in place.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use procfs::process::MountInfo;
use serde::Serialize;

use crate::shown::{self, Warnings};
use crate::source::{self, ReadError, Source};

const MOUNTINFO: &str = "/proc/self/mountinfo";

/// Controllers that a v1 hierarchy can hold (`kernel/cgroup`, `SUBSYS`). Mounts without any, such as
/// `name=systemd`, `name=openrc` or `name=elogind`, only group processes and limit nothing.
const V1_CONTROLLERS: [&str; 14] = [
    "cpu",
    "cpuacct",
    "cpuset",
    "memory",
    "pids",
    "blkio",
    "devices",
    "freezer",
    "net_cls",
    "net_prio",
    "perf_event",
    "hugetlb",
    "rdma",
    "misc",
];

/// Which cgroup hierarchies with controllers a process sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// cgroup2 alone; v1 hierarchies without controllers may be beside it.
    V2,
    /// v1 controllers alone.
    V1,
    /// v1 controllers, and cgroup2 mounted beside them.
    Hybrid,
    /// No cgroup file system that could hold a limit.
    None,
}

/// A cgroup mount that is not covered by another one.
pub(crate) struct Mount {
    /// The directory of the hierarchy that is seen at `point`.
    pub(crate) root: PathBuf,
    pub(crate) point: PathBuf,
    pub(crate) hierarchy: Hierarchy,
}

/// What a cgroup mount shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hierarchy {
    V2,
    /// With the controllers that it holds.
    V1(Vec<String>),
}

impl Mount {
    /// Whether this is the v1 hierarchy of `controller`.
    pub(crate) fn is_v1_of(&self, controller: &str) -> bool {
        match &self.hierarchy {
            Hierarchy::V2 => false,
            Hierarchy::V1(controllers) => controllers.iter().any(|c| c == controller),
        }
    }
}

/// The cgroup mounts of this process, in the order of mountinfo. `None` if that cannot be read.
pub(crate) fn read(source: &mut Source, warnings: &mut Warnings) -> Option<Vec<Mount>> {
    let content = match source.read(Path::new(MOUNTINFO), source::MOUNTINFO) {
        Ok(content) => content,
        // No /proc at all says itself in the warning about the missing quota.
        Err(ReadError::Missing) => return None,
        Err(error) => {
            warnings.push(format!("{MOUNTINFO}: {error}"));
            return None;
        }
    };
    let mut mounts: Vec<Mount> = Vec::new();
    for line in content.split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
        let Ok(info) = MountInfo::from_line(&escape(line, false)) else {
            warnings.push(format!("{MOUNTINFO}: malformed line {}", shown::quoted(line)));
            continue;
        };
        let point = unescape(info.mount_point.as_os_str());
        // Whatever is mounted later at the same place, a tmpfs that hides the cgroups included,
        // is what a path there reaches.
        mounts.retain(|earlier| earlier.point != point);
        let hierarchy = match info.fs_type.as_str() {
            "cgroup2" => Hierarchy::V2,
            "cgroup" => Hierarchy::V1(
                info.super_options
                    .into_keys()
                    .filter(|option| V1_CONTROLLERS.contains(&option.as_str()))
                    .collect(),
            ),
            _ => continue,
        };
        let root = unescape(OsStr::new(&info.root));
        // Other file systems may have a root such as `net:[4026531992]`; a cgroup's is a path.
        if root.is_absolute() && point.is_absolute() {
            mounts.push(Mount { root, point, hierarchy });
        } else {
            warnings.push(format!("{MOUNTINFO}: malformed line {}", shown::quoted(line)));
        }
    }
    Some(mounts)
}

/// Which kinds of hierarchies are among the mounts.
pub(crate) fn kind(mounts: &[Mount]) -> Kind {
    let v2 = mounts.iter().any(|mount| mount.hierarchy == Hierarchy::V2);
    let v1 = mounts.iter().any(|mount| match &mount.hierarchy {
        Hierarchy::V2 => false,
        Hierarchy::V1(controllers) => !controllers.is_empty(),
    });
    match (v1, v2) {
        (false, true) => Kind::V2,
        (true, false) => Kind::V1,
        (true, true) => Kind::Hybrid,
        (false, false) => Kind::None,
    }
}

/// Makes text of a line: every byte that is not printable ASCII becomes `\ooo`, as the kernel does
/// with spaces. With `backslash`, that one too: for files where the kernel escapes nothing.
pub(crate) fn escape(line: &[u8], backslash: bool) -> String {
    let mut text = String::with_capacity(line.len());
    for &byte in line {
        if (byte == b' ' || byte.is_ascii_graphic()) && !(backslash && byte == b'\\') {
            text.push(char::from(byte));
        } else {
            text.push('\\');
            for shift in [6, 3, 0] {
                text.push(char::from(b'0' | ((byte >> shift) & 7)));
            }
        }
    }
    text
}

/// Undoes the octal escapes of `escape` and of the kernel's `mangle_path` (space, tab, newline and
/// backslash). What only looks like one stays as it is.
pub(crate) fn unescape(text: &OsStr) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if let [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] = rest {
            bytes.push(((a & 3) << 6) | ((b & 7) << 3) | (c & 7));
            rest = after;
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn octal_escapes() {
        let un = |s: &str| unescape(OsStr::new(s)).into_os_string().into_vec();
        assert_eq!(un(r"/a\040b\011c\012d\134e"), b"/a b\tc\nd\\e");
        assert_eq!(un(r"/\303\251"), "/é".as_bytes());
        assert_eq!(un(r"/a\04"), br"/a\04");
        assert_eq!(un(r"/a\0"), br"/a\0");
        assert_eq!(un(r"\777\089\"), br"\777\089\");
        assert_eq!(un(r"\134040"), br"\040", "one pass only");
    }

    proptest! {
        #[test]
        fn escaping_loses_nothing(bytes: Vec<u8>) {
            let text = escape(&bytes, true);
            prop_assert!(text.is_ascii());
            prop_assert_eq!(unescape(OsStr::new(&text)).into_os_string().into_vec(), bytes);
        }
    }
}
