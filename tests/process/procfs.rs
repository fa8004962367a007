//! Processes as everybody can see them: /proc. A process that has just ended has no properties, and
//! is no error.

use std::collections::BTreeMap;
use std::fs;

/// Every process id that is in use.
pub(crate) fn all() -> Vec<u32> {
    let names = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.file_name());
    names.filter_map(|name| name.to_str()?.parse().ok()).collect()
}

/// What stands in `/proc/PID/stat` behind the name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stat {
    /// `S` sleeps, `Z` is a zombie, `T` is stopped.
    pub(crate) state: char,
    pub(crate) parent: u32,
    pub(crate) group: u32,
}

pub(crate) fn stat(pid: u32) -> Option<Stat> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    Some(Stat {
        state: fields.next()?.chars().next()?,
        parent: fields.next()?.parse().ok()?,
        group: fields.next()?.parse().ok()?,
    })
}

/// Whether it runs: not ended, and no zombie either.
pub(crate) fn is_alive(pid: u32) -> bool {
    stat(pid).is_some_and(|stat| !matches!(stat.state, 'Z' | 'X'))
}

/// The children, zombies included.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    all().into_iter().filter(|child| stat(*child).is_some_and(|it| it.parent == pid)).collect()
}

/// The environment that it was started with.
pub(crate) fn environment(pid: u32) -> BTreeMap<String, String> {
    let block = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    String::from_utf8_lossy(&block)
        .split('\0')
        .filter_map(|entry| entry.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// A field of `/proc/PID/status`.
pub(crate) fn status(pid: u32, field: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    Some(value.trim().to_owned())
}

/// A set of signals of `/proc/PID/status`: `SigBlk`, `SigIgn`, `SigCgt`. Bit n - 1 is signal n.
pub(crate) fn signals(pid: u32, field: &str) -> Option<u64> {
    u64::from_str_radix(&status(pid, field)?, 16).ok()
}

/// The open descriptors, and what each one is.
pub(crate) fn descriptors(pid: u32) -> BTreeMap<u32, String> {
    let folder = format!("/proc/{pid}/fd");
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.parse().ok()?;
            Some((number, fs::read_link(entry.path()).ok()?.display().to_string()))
        })
        .collect()
}
