//! What may this process use? Answered by reading `/proc` and cgroupfs, and by nothing else.
//!
//! Most runtimes count the host's CPUs where they should read the quota of their cgroup. This crate
//! reads it, keeps it exact, and says which file it came from. It writes nothing, takes its root
//! directory as an argument (so that a capture from another machine replays), and never fails: what
//! cannot be read or understood becomes a warning that names the file and its content.
//!
//! ```
//! use headcount_limits::{Limits, Report, Sizing};
//!
//! let limits = Limits::read(std::path::Path::new("/"));
//! let workers = headcount_limits::workers(&limits, &Sizing::default());
//! println!("{}", Report::new(&limits, &workers));
//! ```
//!
//! The rules are those of the kernel's `Documentation/admin-guide/cgroup-v2.rst` and
//! `Documentation/admin-guide/cgroup-v1/`, of `cgroups(7)`, `cgroup_namespaces(7)` and `proc(5)`.

mod affinity;
mod capture;
mod cpu;
mod cpus;
mod hierarchy;
mod limit_file;
mod memory;
mod mounts;
mod oom;
mod pids;
mod quota;
mod report;
mod shown;
mod sizing;
mod source;

use std::path::{Path, PathBuf};

pub use capture::Capture;
pub use cpu::{Cpu, LimitKind, LimitedBy};
pub use cpus::Cpus;
pub use limit_file::SetBy;
pub use memory::Memory;
pub use mounts::Kind;
pub use oom::OomCounter;
pub use pids::Pids;
pub use report::Report;
pub use shown::Bytes;
pub use sizing::{MAX_WORKERS, Rule, Sizing, Workers, workers};

use hierarchy::{Cgroups, Place, Unknown};
use shown::Warnings;
use source::Source;

/// What a process may use, and where that is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Which cgroup hierarchies are mounted with controllers on them.
    pub cgroup: Kind,
    /// CPUs, by quota and by affinity.
    pub cpu: Cpu,
    /// Memory, in bytes.
    pub memory: Memory,
    /// Processes and threads.
    pub pids: Pids,
    /// What could not be read or understood, one sentence each. Empty where all is known.
    pub warnings: Vec<String>,
    /// The cgroup directories that were visited for CPU and memory, each leaf before its ancestors,
    /// as the machine that was read names them (without the root argument). A change of a limit
    /// shows in one of these, so they are what a watcher watches.
    pub visited_dirs: Vec<PathBuf>,
}

impl Limits {
    /// Reads the limits of the calling process from `root` (`/`, or the directory of a capture that
    /// holds `proc/self/cgroup` and so on).
    ///
    /// Infallible: an unknown limit is no limit plus a warning. `cpu.cpus` is always above zero.
    #[must_use]
    pub fn read(root: &Path) -> Limits {
        Limits::read_from(&mut Source::new(root))
    }

    fn read_from(source: &mut Source) -> Limits {
        let mut warnings = Warnings::default();
        let cgroups = Cgroups::read(source, &mut warnings);
        let places = Places {
            cpu: cgroups.place("cpu", source),
            memory: cgroups.place("memory", source),
            pids: cgroups.place("pids", source),
        };
        places.warn_of_unknown(&mut warnings);

        let cpu = Cpu::read(places.cpu.as_ref().ok(), source, &mut warnings);
        let memory = Memory::read(places.memory.as_ref().ok(), source, &mut warnings);
        let pids = Pids::read(places.pids.as_ref().ok(), source, &mut warnings);
        let visited_dirs = places.visited_dirs();
        Limits {
            cgroup: cgroups.kind(),
            cpu,
            memory,
            pids,
            warnings: warnings.into_vec(),
            visited_dirs,
        }
    }
}

/// Where the limits of each controller are kept: v1 has a hierarchy per controller, and a hybrid
/// machine has both versions, so that each is looked up by itself.
struct Places {
    cpu: Result<Place, Unknown>,
    memory: Result<Place, Unknown>,
    pids: Result<Place, Unknown>,
}

impl Places {
    /// One warning per reason: the usual causes (no mount, another namespace) hit all three.
    fn warn_of_unknown(&self, warnings: &mut Warnings) {
        let [cpu, memory, pids] = [&self.cpu, &self.memory, &self.pids].map(|p| p.as_ref().err());
        if let Some(why) = cpu {
            let nor = match (memory == cpu, pids == cpu) {
                (true, true) => " (nor limits of memory and pids)",
                (true, false) => " (nor a memory limit)",
                (false, true) => " (nor a pids limit)",
                (false, false) => "",
            };
            warnings.push(format!("no quota visible{nor}: {why}; CPUs are counted by affinity"));
        }
        for (what, unknown) in [("memory", memory), ("pids", pids)] {
            if let Some(why) = unknown
                && unknown != cpu
                && *why != Unknown::NotListed
            {
                // NotListed is no news here: kernels are built or booted without these two.
                warnings.push(format!("no {what} limit visible: {why}"));
            }
        }
    }

    fn visited_dirs(&self) -> Vec<PathBuf> {
        let mut dirs: Vec<PathBuf> = Vec::new();
        for place in [&self.cpu, &self.memory].into_iter().flatten() {
            if dirs.first().is_none_or(|leaf| leaf != place.leaf()) {
                dirs.extend(place.dirs().map(Path::to_path_buf));
            }
        }
        dirs
    }
}
