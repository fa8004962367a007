//! How often the kernel has killed for want of memory in our cgroup. A process that died of SIGKILL
//! was killed by somebody; only this counter tells whether it was the kernel, and why.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::hierarchy::{Place, Version};

/// More than either file ever holds.
const LONGEST: u64 = 4096;

/// The counter of our own memory cgroup: `oom_kill` of `memory.events` (cgroup-v2.rst), or of v1's
/// `memory.oom_control` (since Linux 4.13).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OomCounter(PathBuf);

impl OomCounter {
    pub(crate) fn of(place: &Place) -> OomCounter {
        OomCounter(place.leaf().join(match place.version {
            Version::V2 => "memory.events",
            Version::V1 => "memory.oom_control",
        }))
    }

    /// The file, for the log.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.0
    }

    /// How many processes have been killed so far; `None` where the kernel does not say (the root
    /// cgroup of v2 has no such file).
    #[must_use]
    pub fn read(&self) -> Option<u64> {
        let mut text = String::new();
        File::open(&self.0).ok()?.take(LONGEST).read_to_string(&mut text).ok()?;
        parse(&text)
    }
}

fn parse(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions() {
        let v2 = "low 0\nhigh 0\nmax 97\noom 3\noom_kill 2\noom_group_kill 0\n";
        assert_eq!(parse(v2), Some(2));
        assert_eq!(parse("oom_kill_disable 0\nunder_oom 0\noom_kill 5\n"), Some(5));
        assert_eq!(parse("oom_kill_disable 0\nunder_oom 0\n"), None, "before Linux 4.13");
        assert_eq!(parse("oom_kill x\n"), None);
    }
}
