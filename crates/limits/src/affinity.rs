//! On which CPUs the kernel lets this process run: `Cpus_allowed_list` of `/proc/self/status`. It
//! covers cpusets and taskset alike, so that no cpuset file need be read.
//! `std::thread::available_parallelism` would not do: it has its own opinion on cgroups.
//!
//! The list has one trap. A task that nobody restricted is allowed all *possible* CPUs, and a
//! virtual machine that can be given more has many (`0-127` where 4 are online).
//! `sched_getaffinity` leaves out those that are not active, so the live machine is asked that as
//! well; in a capture, `/sys/devices/system/cpu/online` stands for it. Live, that file would not
//! do: lxcfs renumbers it.

use std::path::Path;

use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;

use crate::shown::{self, Warnings};
use crate::source::{self, Source};

pub(crate) const STATUS: &str = "/proc/self/status";
pub(crate) const ONLINE: &str = "/sys/devices/system/cpu/online";
const FIELD: &[u8] = b"Cpus_allowed_list:";

/// Beyond what any kernel can be built for (`CONFIG_NR_CPUS` ends at 8192).
const MAX_CPUS: u32 = 65_536;

/// The CPUs that may be run on.
pub(crate) struct Affinity {
    /// How many there are, at least 1.
    pub(crate) count: u32,
    /// The list as /proc has it, such as `0-3,8`, with a remark where some of it is not online;
    /// `None` if it did not come from there.
    pub(crate) list: Option<String>,
}

/// Reads the affinity, from /proc or else from the kernel, and never less than one CPU.
pub(crate) fn read(source: &mut Source, warnings: &mut Warnings) -> Affinity {
    let why = match source.read(Path::new(STATUS), source::SMALL) {
        Err(error) => format!("{STATUS}: {error}"),
        Ok(content) => match allowed_list(&content) {
            None => format!("{STATUS}: no Cpus_allowed_list"),
            Some(list) => match ranges(list) {
                Some(allowed) => return of_list(source, list, &allowed),
                None => format!("{STATUS}: malformed Cpus_allowed_list {}", shown::quoted(list)),
            },
        },
    };
    let whose = if source.is_this_machine() { "" } else { ", which is that of this machine" };
    let count = if let Some(count) = from_kernel() {
        warnings.push(format!("{why}; counted {count} CPUs by sched_getaffinity{whose}"));
        count
    } else {
        warnings.push(format!("{why}; sched_getaffinity failed too, one CPU is assumed"));
        1
    };
    Affinity { count, list: None }
}

fn allowed_list(status: &[u8]) -> Option<&[u8]> {
    status.split(|&b| b == b'\n').find_map(|line| line.strip_prefix(FIELD)).map(<[u8]>::trim_ascii)
}

/// The affinity by /proc's list, less what is not online.
fn of_list(source: &mut Source, list: &[u8], allowed: &[Range]) -> Affinity {
    let listed = count(allowed);
    let online = if source.is_this_machine() {
        from_kernel()
    } else {
        let online = source.read(Path::new(ONLINE), source::SMALL).ok();
        online.and_then(|text| ranges(text.trim_ascii())).map(|online| overlap(allowed, &online))
    };
    let mut list = String::from_utf8_lossy(list).into_owned();
    match online {
        Some(online) if (1..listed).contains(&online) => {
            list.push_str(", online ");
            list.push_str(&online.to_string());
            Affinity { count: online, list: Some(list) }
        }
        _ => Affinity { count: listed, list: Some(list) },
    }
}

/// CPU numbers from the first to the last, both included.
type Range = (u32, u32);

/// Parses a list such as `0-3,8,10-11`. The kernel prints it ascending, and whatever is not so is
/// malformed: counting a CPU twice would be worse than asking elsewhere.
pub(crate) fn ranges(text: &[u8]) -> Option<Vec<Range>> {
    let mut ranges = Vec::new();
    let mut next_free: u32 = 0;
    for range in text.split(|&b| b == b',') {
        let mut ends = range.splitn(2, |&b| b == b'-');
        let first = cpu_number(ends.next()?)?;
        let last = ends.next().map_or(Some(first), cpu_number)?;
        if first < next_free || last < first {
            return None;
        }
        next_free = last.checked_add(1)?;
        ranges.push((first, last));
    }
    Some(ranges)
}

pub(crate) fn count(ranges: &[Range]) -> u32 {
    overlap(ranges, &[(0, MAX_CPUS)])
}

/// How many CPUs are in both. At most `MAX_CPUS`, since ranges of one list do not overlap.
fn overlap(ours: &[Range], theirs: &[Range]) -> u32 {
    let mut total: u32 = 0;
    for &(first, last) in ours {
        for &(other_first, other_last) in theirs {
            let end = last.min(other_last).saturating_add(1);
            total = total.saturating_add(end.saturating_sub(first.max(other_first)));
        }
    }
    total
}

fn cpu_number(field: &[u8]) -> Option<u32> {
    let number = crate::limit_file::number(field).ok()?;
    u32::try_from(number).ok().filter(|&number| number < MAX_CPUS)
}

/// The affinity of the calling thread. Fails on machines of more than 1024 CPUs, where the kernel
/// rejects the set's size.
fn from_kernel() -> Option<u32> {
    let set = sched_getaffinity(Pid::from_raw(0)).ok()?;
    let count = (0..CpuSet::count()).filter(|&cpu| set.is_set(cpu).unwrap_or(false)).count();
    u32::try_from(count).ok().filter(|&count| count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        for (list, cpus) in [
            ("0", Some(1)),
            ("0-7", Some(8)),
            ("0-3,8,10-11", Some(7)),
            ("5", Some(1)),
            ("0-65535", Some(65_536)),
            ("", None),
            (",", None),
            ("0,", None),
            ("-3", None),
            ("3-", None),
            ("7-0", None),
            ("0-3,2", None),
            ("0,0", None),
            ("8,0", None),
            ("0-65536", None),
            ("0-4294967295", None),
            ("0-99999999999999999999", None),
            ("a-b", None),
            ("0-1-2", None),
            ("0 1", None),
        ] {
            assert_eq!(ranges(list.as_bytes()).map(|r| count(&r)), cpus, "{list:?}");
        }
    }

    #[test]
    fn what_two_lists_share() {
        let shared = |a: &str, b: &str| {
            overlap(&ranges(a.as_bytes()).unwrap(), &ranges(b.as_bytes()).unwrap())
        };
        assert_eq!(shared("0-127", "0-3"), 4);
        assert_eq!(shared("2-5,8", "0-3,8-9"), 3);
        assert_eq!(shared("4-7", "0-3"), 0);
        assert_eq!(shared("0", "0"), 1);
    }

    #[test]
    fn the_field_is_found_by_its_whole_name() {
        let status = b"Cpus_allowed:\tff\nCpus_allowed_list:\t0-7\nMems_allowed_list:\t0\n";
        assert_eq!(allowed_list(status), Some(&b"0-7"[..]));
        assert_eq!(allowed_list(b"Cpus_allowed:\tff\n"), None);
    }

    #[test]
    fn the_kernel_allows_at_least_one() {
        assert!(from_kernel().is_some_and(|count| count > 0));
    }
}
