//! The CPU bandwidth limit of one cgroup directory: `cpu.max` (cgroup-v2.rst, "CPU Interface
//! Files") or `cpu.cfs_quota_us` over `cpu.cfs_period_us` (scheduler/sched-bwc.rst). Weights and
//! shares divide what is contended, and a burst is repaid: none of them is a limit, none is read.

use std::path::Path;

use crate::cpus::Cpus;
use crate::hierarchy::Version;
use crate::limit_file::{self, Found, Malformed, Problem, fields, number, only_field};
use crate::source::{ReadError, Source};

/// The quota that `dir` sets, `None` where it sets none.
pub(crate) fn read(
    version: Version,
    source: &mut Source,
    dir: &Path,
) -> Result<Option<Found<Cpus>>, Problem> {
    match version {
        Version::V2 => limit_file::parsed(source, &dir.join("cpu.max"), cpu_max),
        Version::V1 => cfs_quota(source, dir),
    }
}

/// `$MAX $PERIOD` in microseconds, where `$MAX` may be `max`.
fn cpu_max(content: &[u8]) -> Result<Option<Cpus>, Malformed> {
    let mut fields = fields(content);
    let (quota, period) = (fields.next().ok_or(Malformed::Empty)?, fields.next());
    if fields.next().is_some() {
        return Err(Malformed::FieldCount);
    }
    let period = match period.map(number).transpose()? {
        Some(0) => return Err(Malformed::Zero),
        period => period,
    };
    if quota == b"max" {
        return Ok(None);
    }
    let quota = number(quota)?;
    // Writing a quota alone keeps the period, but the kernel always prints both.
    let period = period.ok_or(Malformed::FieldCount)?;
    Cpus::new(quota, period).map(Some).ok_or(Malformed::Zero)
}

/// Two files of microseconds. A quota of -1 is none; the period is looked at only where it counts.
fn cfs_quota(source: &mut Source, dir: &Path) -> Result<Option<Found<Cpus>>, Problem> {
    let quota_file = dir.join("cpu.cfs_quota_us");
    let Some(found) =
        limit_file::parsed(source, &quota_file, |content| match only_field(content)? {
            b"-1" => Ok(None),
            field => positive(field).map(Some),
        })?
    else {
        return Ok(None);
    };
    let file = dir.join("cpu.cfs_period_us");
    let Some(content) = limit_file::read(source, &file)? else {
        return Err(Problem::Unreadable { file, error: ReadError::Missing });
    };
    let cpus = only_field(&content)
        .and_then(number)
        .and_then(|period| Cpus::new(found.limit, period).ok_or(Malformed::Zero));
    match cpus {
        Ok(limit) => {
            let mut value = found.set_by.value.into_bytes();
            value.push(b' ');
            value.extend_from_slice(&content);
            Ok(Some(limit_file::found(limit, &quota_file, &value)))
        }
        Err(why) => Err(Problem::Malformed { file, content, why }),
    }
}

fn positive(field: &[u8]) -> Result<u64, Malformed> {
    match number(field)? {
        0 => Err(Malformed::Zero),
        number => Ok(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_max_values() {
        assert_eq!(cpu_max(b"max 100000\n"), Ok(None));
        assert_eq!(cpu_max(b"max"), Ok(None));
        assert_eq!(cpu_max(b"50000 100000\n"), Ok(Cpus::new(1, 2)));
        let max = u64::MAX.to_string();
        assert_eq!(cpu_max(format!("{max} 1").as_bytes()), Ok(Cpus::new(u64::MAX, 1)));
        for (content, why) in [
            ("", Malformed::Empty),
            ("\n", Malformed::Empty),
            ("banana", Malformed::NotANumber),
            ("banana 100000", Malformed::NotANumber),
            ("+5 100000", Malformed::NotANumber),
            ("- 100000", Malformed::NotANumber),
            ("0x10 100000", Malformed::NotANumber),
            ("1.5 1", Malformed::NotANumber),
            ("max banana", Malformed::NotANumber),
            ("MAX 100000", Malformed::NotANumber),
            ("-1 100000", Malformed::Negative),
            ("100000 -1", Malformed::Negative),
            ("0 100000", Malformed::Zero),
            ("100000 0", Malformed::Zero),
            ("max 0", Malformed::Zero),
            ("100000", Malformed::FieldCount),
            ("1 2 3", Malformed::FieldCount),
            ("200000 100000\n100000 100000", Malformed::FieldCount),
            ("18446744073709551616 100000", Malformed::Overflow),
        ] {
            assert_eq!(cpu_max(content.as_bytes()), Err(why), "{content:?}");
        }
    }
}
