//! Whatever the files hold, there is an answer, and it is above zero CPUs.

#![allow(
    clippy::disallowed_methods,
    reason = "the library writes nothing; its tests lay captures out"
)]
#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    reason = "to panic is how a test fails"
)]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use headcount_limits::{Capture, Limits, Report, Sizing, workers};
use proptest::prelude::*;

const FILES: [&str; 10] = [
    "proc/self/cgroup",
    "proc/self/mountinfo",
    "proc/self/status",
    "cg/cpu.max",
    "cg/a/cpu.max",
    "cg/a/memory.max",
    "cg/a/pids.max",
    "v1/a/cpu.cfs_quota_us",
    "v1/a/cpu.cfs_period_us",
    "v1/a/memory.limit_in_bytes",
];

/// What a valid file holds, so that mutations of it get past the first check.
const VALID: [&str; 10] = [
    "2:cpu,memory:/a\n0::/a\n",
    "1 2 0:1 / /cg rw - cgroup2 c rw\n1 2 0:1 / /v1 rw - cgroup c rw,cpu,memory\n",
    "Name:\tx\nCpus_allowed_list:\t0-3,8\n",
    "max 100000\n",
    "50000 100000\n",
    "1000\n",
    "max\n",
    "50000\n",
    "100000\n",
    "9223372036854771712\n",
];

/// Arbitrary bytes, or the valid file with a part replaced by bytes that mean something to parsers.
fn content(valid: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let bytes = valid.as_bytes();
    let spice = prop::sample::select(b"0123456789-:/, \t\n\\.max\xff\0\x1b".to_vec());
    prop_oneof![
        2 => prop::collection::vec(any::<u8>(), 0..200),
        2 => Just(bytes.to_vec()),
        4 => (0..=bytes.len(), 0..4_usize, prop::collection::vec(spice, 0..24)).prop_map(
            move |(at, cut, new)| {
                let mut mutated = bytes.to_vec();
                mutated.splice(at..(at + cut).min(bytes.len()), new);
                mutated
            }
        ),
    ]
}

fn answer(files: &[Vec<u8>]) -> Result<(), TestCaseError> {
    let root = tempfile::tempdir().unwrap();
    for (path, content) in FILES.iter().zip(files) {
        let place = root.path().join(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, content).unwrap();
    }
    let limits = Limits::read(root.path());
    prop_assert!(limits.cpu.cpus.as_f64() > 0.0);
    prop_assert!(limits.cpu.affinity > 0);
    prop_assert!(limits.warnings.len() < 40);
    let control = |text: &str| text.chars().any(|c| c.is_control() && c != '\n');
    prop_assert!(!limits.warnings.iter().any(|w| control(w) || w.contains('\n')));

    let workers = workers(&limits, &Sizing::default());
    let report = Report::new(&limits, &workers);
    prop_assert!(!control(&report.to_string()));
    prop_assert!(serde_json::to_string(&report).is_ok());
    prop_assert!(serde_json::to_string(&Capture::take(root.path(), "x")).is_ok());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn any_bytes_in_any_file(files in VALID.map(content).into_iter().collect::<Vec<_>>()) {
        answer(&files)?;
    }
}

/// The strategy above is of use only if its unharmed files lead to the limits.
#[test]
fn the_valid_files_are_valid() {
    let root = tempfile::tempdir().unwrap();
    for (path, content) in FILES.iter().zip(VALID) {
        let place = root.path().join(OsStr::from_bytes(path.as_bytes()));
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, content).unwrap();
    }
    let limits = Limits::read(root.path());
    assert_eq!(limits.cpu.quota.map(|quota| quota.to_string()), Some("0.5".to_owned()));
    assert_eq!(limits.cpu.affinity, 5);
    assert_eq!(limits.memory.limit_bytes, None);
    assert!(limits.warnings.is_empty(), "{:?}", limits.warnings);
}
