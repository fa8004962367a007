//! How many CPUs may be used: the lesser of the quota and the affinity, and which of them it was.

use serde::Serialize;

use crate::affinity;
use crate::cpus::Cpus;
use crate::hierarchy::Place;
use crate::limit_file::{self, SetBy};
use crate::quota;
use crate::shown::{self, Warnings};
use crate::source::Source;

/// The CPUs that may be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cpu {
    /// `min(quota, affinity)`.
    pub cpus: Cpus,
    /// The smallest quota over the visible ancestors; `None` where there is none.
    pub quota: Option<Cpus>,
    /// How many CPUs the process may run on.
    pub affinity: u32,
    /// Which of the two is the lesser; the quota where they are equal.
    pub limited_by: LimitedBy,
    /// The file of `quota`, also where the affinity is the lesser.
    #[serde(skip)]
    pub quota_set_by: Option<SetBy>,
    /// Which CPUs these are, such as `0-3,8` (or `0-127, online 4` where the list holds more than
    /// are online); `None` where /proc did not tell.
    #[serde(skip)]
    pub affinity_list: Option<String>,
}

/// What decides how many CPUs may be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LimitedBy {
    /// Quota or affinity.
    pub kind: LimitKind,
    /// The file that says so; `None` for `sched_getaffinity`.
    pub file: Option<String>,
    /// Its content: quota and period in microseconds, or a list of CPUs (a count where it came
    /// from `sched_getaffinity`).
    pub value: String,
}

/// The two limits of CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LimitKind {
    /// CPU time per period, from a cgroup.
    Quota,
    /// The CPUs that may be run on, by cpuset or taskset or simply by their number.
    Affinity,
}

impl Cpu {
    pub(crate) fn read(place: Option<&Place>, source: &mut Source, warnings: &mut Warnings) -> Cpu {
        let quota = place.and_then(|place| {
            // Said of CPUs alone, which decide the number of workers: a capture has no directories
            // but those of its files, and need not hold any of memory or pids.
            if source.is_missing(place.leaf()) {
                let leaf = shown::path(place.leaf());
                warnings.push(format!("{leaf}: no such directory; its CPU quota is not visible"));
            }
            limit_file::smallest(place, source, warnings, |source, dir| {
                quota::read(place.version, source, dir)
            })
        });
        let affinity = affinity::read(source, warnings);
        // At least one by the contract of `affinity::read`.
        let allowed = Cpus::whole(affinity.count).unwrap_or(Cpus::ONE);

        let (quota, set_by) = match quota {
            Some(found) => (Some(found.limit), Some(found.set_by)),
            None => (None, None),
        };
        let (cpus, limited_by) = match (quota, &set_by) {
            (Some(quota), Some(SetBy { file, value })) if quota <= allowed => {
                let (file, value) = (Some(file.clone()), value.clone());
                (quota, LimitedBy { kind: LimitKind::Quota, file, value })
            }
            _ => {
                let file = affinity.list.is_some().then(|| affinity::STATUS.to_owned());
                let value = affinity.list.clone().unwrap_or_else(|| affinity.count.to_string());
                (allowed, LimitedBy { kind: LimitKind::Affinity, file, value })
            }
        };
        Cpu {
            cpus,
            quota,
            affinity: affinity.count,
            limited_by,
            quota_set_by: set_by,
            affinity_list: affinity.list,
        }
    }
}
