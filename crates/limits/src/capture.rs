//! What was read, as one JSON object that replays on another machine: `headcount limits --capture`.
//! A user sends it in, it becomes a case of the tests, and `--root` shows what they saw. It holds the
//! files verbatim, so also the process's name and its table of mounts.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::source::{SMALL, Source};
use crate::{Limits, affinity};

/// Files beside the limits that help whoever reads the capture. No decision hangs on them.
const NEIGHBOURS: [&str; 9] = [
    "cgroup.controllers",
    "cgroup.subtree_control",
    "cgroup.type",
    "cpuset.cpus.effective",
    "cpuset.effective_cpus",
    "cpu.weight",
    "cpu.max.burst",
    "cpu.shares",
    "memory.high",
];

/// A machine, as far as its limits go, in the form of the cases under `tests/captures`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Capture {
    /// Whatever the caller calls it.
    pub name: String,
    /// `full`: every file that was read is here.
    pub kind: &'static str,
    /// Content by absolute path. Bytes that are not UTF-8 are replaced.
    pub files: BTreeMap<String, String>,
    /// What was made of it: the smallest quota, in CPUs. To be corrected by hand where wrong.
    pub expected_quota_cpus: Option<f64>,
    /// The warnings: they also tell of files that could not be read, and so are not in `files`.
    pub note: String,
    /// How many CPUs the process may run on.
    pub affinity_cpus: u32,
    /// How many CPUs the machine has online, where it says so.
    pub online_cpus: Option<u32>,
    /// The kernel's release.
    pub kernel: Option<String>,
}

impl Capture {
    /// Reads the limits under `root` as [`Limits::read`] does, and keeps what was read.
    #[must_use]
    pub fn take(root: &Path, name: &str) -> Capture {
        let mut source = Source::recording(root);
        let limits = Limits::read_from(&mut source);
        for dir in &limits.visited_dirs {
            for neighbour in NEIGHBOURS {
                // Not there, or not for us: then it does not help.
                let _ = source.read(&dir.join(neighbour), SMALL);
            }
        }
        let mut read = |path: &str| source.read(Path::new(path), SMALL).ok();
        let online = read(affinity::ONLINE);
        let kernel = read("/proc/sys/kernel/osrelease");
        Capture {
            name: name.to_owned(),
            kind: "full",
            expected_quota_cpus: limits.cpu.quota.map(crate::Cpus::as_f64),
            note: limits.warnings.join("\n"),
            affinity_cpus: limits.cpu.affinity,
            online_cpus: online
                .and_then(|list| affinity::ranges(list.trim_ascii()))
                .map(|ranges| affinity::count(&ranges)),
            kernel: kernel.map(|text| String::from_utf8_lossy(text.trim_ascii()).into_owned()),
            files: source.into_recorded(),
        }
    }
}
