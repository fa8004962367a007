//! What /proc and cgroupfs tell of processes and of the container at this moment: whose child, what it
//! does, what it uses. A few lines for each question, and "not known" where they do not tell.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use nix::unistd::{SysconfVar, sysconf};

use crate::os::sys::Pid;

/// Enough for any of these files.
const LONGEST: usize = 2048;

/// What a process uses, without its children.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Its resident memory, what it shares with others included.
    pub memory_bytes: Option<u64>,
    /// CPU time since it was started.
    pub cpu: Option<Duration>,
}

/// What a process uses now.
pub fn of_process(pid: Pid) -> Usage {
    Usage {
        memory_bytes: read(Path::new(&format!("/proc/{pid}/statm")), |text| {
            resident_pages(text)?.checked_mul(system(SysconfVar::PAGE_SIZE)?)
        }),
        cpu: read(Path::new(&format!("/proc/{pid}/stat")), |text| {
            let millis = ticks(text)?.checked_mul(1000)?;
            millis.checked_div(system(SysconfVar::CLK_TCK)?).map(Duration::from_millis)
        }),
    }
}

/// The parent of a process.
pub fn parent_of(pid: Pid) -> Option<Pid> {
    read(Path::new(&format!("/proc/{pid}/stat")), parent)
}

/// What a process does at this moment: `running`, `sleeping in futex_wait`. The kernel function is the
/// top of its kernel stack, which only root may read, or its wait channel.
pub fn doing(pid: Pid) -> Option<String> {
    let state = read(Path::new(&format!("/proc/{pid}/stat")), state)?;
    let function = read(Path::new(&format!("/proc/{pid}/stack")), top_of_stack)
        .or_else(|| read(Path::new(&format!("/proc/{pid}/wchan")), wait_channel));
    Some(match function {
        Some(function) => format!("{state} in {function}"),
        None => state.to_owned(),
    })
}

/// How often a cgroup was throttled: it had used up its quota before the period was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttling {
    /// How many periods there were.
    pub periods: u64,
    /// In how many of them it was throttled.
    pub throttled: u64,
}

impl Throttling {
    /// The share of the throttled periods, in percent.
    pub fn percent(self) -> Option<f64> {
        let per_mille = self.throttled.saturating_mul(1000).checked_div(self.periods)?;
        u32::try_from(per_mille).ok().map(|per_mille| f64::from(per_mille) / 10.0)
    }
}

/// The throttling of the cgroup at `directory` since it was made: its `cpu.stat`, in v1 as in v2.
pub fn throttling(directory: &Path) -> Option<Throttling> {
    read(&directory.join("cpu.stat"), |text| {
        let value = |name: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once(' '));
            lines.find(|(key, _)| *key == name)?.1.parse().ok()
        };
        Some(Throttling { periods: value("nr_periods")?, throttled: value("nr_throttled")? })
    })
}

/// The share of the last ten seconds, in percent, in which some task of the cgroup at `directory`
/// had to wait for `what` (`cpu`, `memory`): PSI, cgroup v2 only.
pub fn pressure(directory: &Path, what: &str) -> Option<f64> {
    read(&directory.join(format!("{what}.pressure")), some_avg10)
}

fn read<T>(path: &Path, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
    let mut buffer = [0; LONGEST];
    let length = File::open(path).ok()?.read(&mut buffer).ok()?;
    // A process may have any name, also one that is no UTF-8; what is asked for stands behind it.
    parse(&String::from_utf8_lossy(buffer.get(..length)?))
}

fn system(variable: SysconfVar) -> Option<u64> {
    sysconf(variable).ok()?.and_then(|value| u64::try_from(value).ok())
}

/// The second field of statm, proc(5).
fn resident_pages(statm: &str) -> Option<u64> {
    statm.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The fields of stat, proc(5), from the third on. The name in parentheses before them may hold
/// anything, parentheses included: it ends at the last one.
fn fields(stat: &str) -> Option<std::str::SplitAsciiWhitespace<'_>> {
    stat.rsplit_once(')').map(|(_, rest)| rest.split_ascii_whitespace())
}

/// Field 4.
fn parent(stat: &str) -> Option<Pid> {
    fields(stat)?.nth(1)?.parse().ok()
}

/// utime and stime, fields 14 and 15.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = fields(stat)?.skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    user.checked_add(fields.next()?.parse().ok()?)
}

/// Field 3, in words.
fn state(stat: &str) -> Option<&'static str> {
    Some(match fields(stat)?.next()?.chars().next()? {
        'R' => "running",
        'S' => "sleeping",
        'D' => "in uninterruptible sleep",
        'T' | 't' => "stopped",
        'Z' | 'X' => "dead",
        _ => "in an unknown state",
    })
}

/// `[<0>] do_epoll_wait+0x3a/0x90`: the function's name.
fn top_of_stack(stack: &str) -> Option<String> {
    let (name, _) = stack.lines().next()?.split_once("] ")?.1.split_once('+')?;
    Some(name.to_owned())
}

/// A name, or 0 where the process does not wait.
fn wait_channel(wchan: &str) -> Option<String> {
    Some(wchan.trim()).filter(|name| !name.is_empty() && *name != "0").map(str::to_owned)
}

fn some_avg10(pressure: &str) -> Option<f64> {
    let line = pressure.lines().find_map(|line| line.strip_prefix("some "))?;
    line.split(' ').find_map(|field| field.strip_prefix("avg10="))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_something() {
        let usage = of_process(Pid::try_from(std::process::id()).unwrap());
        assert!(usage.memory_bytes.unwrap() > 100_000, "{usage:?}");
        assert!(usage.cpu.is_some());
        assert_eq!(of_process(-5), Usage::default());
    }

    #[test]
    fn a_parent_is_found() {
        let own = Pid::try_from(std::process::id()).unwrap();
        let parent = Pid::try_from(std::os::unix::process::parent_id()).unwrap();
        assert_eq!(parent_of(own), Some(parent));
        assert_eq!(parent_of(-5), None);
    }

    #[test]
    fn names_may_hold_anything() {
        let stat = "7 (a) b) 1 2) S 1 7 7 0 -1 4194560 99 0 0 0 250 40 3 2 20 0 1 0 55 1 2 3";
        assert_eq!(ticks(stat), Some(290));
        assert_eq!(ticks("7 (sleep) S 1"), None);
        assert_eq!(ticks(""), None);
    }

    #[test]
    fn a_process_does_something() {
        let own = doing(Pid::try_from(std::process::id()).unwrap()).unwrap();
        assert!(own.starts_with("running") || own.starts_with("sleeping"), "{own}");
        assert_eq!(doing(-5), None);
        assert_eq!(state("7 (a) D) S 1 7"), Some("sleeping"));
        let stack = "[<0>] futex_wait_queue+0x60/0x90\n[<0>] do_futex+0x1/0x2\n";
        assert_eq!(top_of_stack(stack).as_deref(), Some("futex_wait_queue"));
        assert_eq!(top_of_stack(""), None);
        assert_eq!(wait_channel("0"), None);
        assert_eq!(wait_channel("do_sys_poll").as_deref(), Some("do_sys_poll"));
    }

    #[test]
    fn pressure_is_that_of_some() {
        let text = "some avg10=1.53 avg60=0.60 avg300=0.10 total=123\nfull avg10=9.00 avg60=0.0\n";
        assert_eq!(some_avg10(text), Some(1.53));
        assert_eq!(some_avg10("full avg10=9.00\n"), None);
    }

    #[test]
    fn throttling_is_read_from_cpu_stat() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(throttling(directory.path()), None);
        let stat = "usage_usec 5\nnr_periods 40\nnr_throttled 7\nthrottled_usec 900\n";
        std::fs::write(directory.path().join("cpu.stat"), stat).unwrap();
        assert_eq!(throttling(directory.path()), Some(Throttling { periods: 40, throttled: 7 }));
        std::fs::write(directory.path().join("cpu.stat"), "usage_usec 5\n").unwrap();
        assert_eq!(throttling(directory.path()), None);
    }
}
