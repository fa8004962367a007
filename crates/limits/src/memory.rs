//! The memory limit: the smallest `memory.max` (cgroup-v2.rst), or v1's `memory.limit_in_bytes`,
//! over the ancestors. Not `memory.high`: that throttles, it does not kill.
//!
//! v1 once knew cgroups that did not inherit (`memory.use_hierarchy` 0). Linux 5.11 removed them, and
//! systemd and Docker never used them, so ancestors count there as well.

use serde::Serialize;

use crate::hierarchy::{Place, Version};
use crate::limit_file::{self, Found, Malformed, number, only_field};
use crate::oom::OomCounter;
use crate::shown::Warnings;
use crate::source::Source;

/// What v1 prints for "no limit": `PAGE_COUNTER_MAX`, which is `LONG_MAX` in whole pages, so that
/// its low digits depend on the page size (4 to 64 KiB). No machine has memory of that size.
const V1_NO_LIMIT: u64 = 0x7FFF_FFFF_FFFF_0000;

/// How much memory may be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// In bytes; `None` where no limit is visible.
    pub limit_bytes: Option<u64>,
    /// The file that holds it.
    pub file: Option<String>,
    /// Where the kernel counts whom it kills for want of memory; `None` without a memory cgroup.
    #[serde(skip)]
    pub oom_counter: Option<OomCounter>,
}

impl Memory {
    pub(crate) fn read(
        place: Option<&Place>,
        source: &mut Source,
        warnings: &mut Warnings,
    ) -> Memory {
        let found: Option<Found<u64>> = place.and_then(|place| {
            limit_file::smallest(place, source, warnings, |source, dir| match place.version {
                Version::V2 => limit_file::parsed(source, &dir.join("memory.max"), v2),
                Version::V1 => limit_file::parsed(source, &dir.join("memory.limit_in_bytes"), v1),
            })
        });
        let oom_counter = place.map(OomCounter::of);
        match found {
            Some(Found { limit, set_by }) => {
                Memory { limit_bytes: Some(limit), file: Some(set_by.file), oom_counter }
            }
            None => Memory { limit_bytes: None, file: None, oom_counter },
        }
    }
}

/// Zero is a limit: the cgroup may not hold a page.
fn v2(content: &[u8]) -> Result<Option<u64>, Malformed> {
    match only_field(content)? {
        b"max" => Ok(None),
        field => number(field).map(Some),
    }
}

fn v1(content: &[u8]) -> Result<Option<u64>, Malformed> {
    match only_field(content)? {
        // What one writes to lift the limit. Kernels print the large number instead.
        b"-1" => Ok(None),
        field => number(field).map(|limit| (limit < V1_NO_LIMIT).then_some(limit)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        assert_eq!(v2(b"max\n"), Ok(None));
        assert_eq!(v2(b"0\n"), Ok(Some(0)));
        assert_eq!(v2(b"536870912\n"), Ok(Some(536_870_912)));
        assert_eq!(v2(b"-1\n"), Err(Malformed::Negative));
        assert_eq!(v2(b"1 2\n"), Err(Malformed::FieldCount));
        assert_eq!(v1(b"9223372036854771712\n"), Ok(None), "4 KiB pages");
        assert_eq!(v1(b"9223372036854710272\n"), Ok(None), "64 KiB pages");
        assert_eq!(v1(b"-1\n"), Ok(None));
        assert_eq!(v1(b"9223372036854710271\n"), Ok(Some(9_223_372_036_854_710_271)));
        assert_eq!(v1(b"max\n"), Err(Malformed::NotANumber));
    }
}
