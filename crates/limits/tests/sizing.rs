//! From CPUs to workers, by table, and by rules that hold for any numbers.

#![allow(
    clippy::disallowed_methods,
    reason = "the library writes nothing; its tests lay captures out"
)]
#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    reason = "to panic is how a test fails"
)]

use std::fs;

use headcount_limits::{Cpus, Limits, MAX_WORKERS, Rule, Sizing, workers};
use proptest::prelude::*;

/// The limits of some real directory, with numbers of our own.
fn limits(cpus: Cpus, memory: Option<u64>) -> Limits {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("proc/self")).unwrap();
    fs::write(root.path().join("proc/self/status"), "Cpus_allowed_list:\t0\n").unwrap();
    let mut limits = Limits::read(root.path());
    limits.cpu.cpus = cpus;
    limits.memory.limit_bytes = memory;
    limits
}

fn cpus(num: u64, den: u64) -> Cpus {
    Cpus::new(num, den).unwrap()
}

const MIB: u64 = 1 << 20;

#[test]
fn the_formula() {
    for (num, den, count, formula) in [
        (1, 4, 2, "ceil(2 * 0.25) + 1"),
        (1, 2, 2, "ceil(2 * 0.5) + 1"),
        (1, 1, 3, "ceil(2 * 1) + 1"),
        (3, 2, 4, "ceil(2 * 1.5) + 1"),
        (200_000, 100_000, 5, "ceil(2 * 2) + 1"),
        (5, 2, 6, "ceil(2 * 2.5) + 1"),
        (1, 3, 2, "ceil(2 * 0.33333) + 1"),
        // A hair above 2: a float would say 5.
        (200_000_000_000_000_001, 100_000_000_000_000_000, 6, "ceil(2 * 2) + 1"),
    ] {
        let workers = workers(&limits(cpus(num, den), None), &Sizing::default());
        assert_eq!((workers.count, workers.formula.as_str()), (count, formula), "{num}/{den}");
        assert_eq!(workers.limited_by, Rule::Cpu);
        assert_eq!(workers.arithmetic, format!("{formula} = {count}"));
    }
}

#[test]
fn the_bounds_in_their_order() {
    let plain = Sizing::default();
    let needs = |each, reserve| Sizing {
        memory_per_worker: Some(each),
        memory_reserve: reserve,
        ..Sizing::default()
    };
    let half_gib = Some(512 * MIB);
    for (name, sizing, memory, count, rule, steps) in [
        ("max", Sizing { max: Some(12), ..plain.clone() }, None, 12, Rule::Max, "; at most 12"),
        ("max not reached", Sizing { max: Some(17), ..plain.clone() }, None, 17, Rule::Cpu, ""),
        ("memory", needs(64 * MIB, 0), half_gib, 8, Rule::Memory, "; 512 MiB / 64 MiB = 8"),
        (
            "memory with a reserve, rounded down",
            needs(100 * MIB, 100 * MIB),
            half_gib,
            4,
            Rule::Memory,
            "; (512 MiB - 100 MiB) / 100 MiB = 4",
        ),
        ("memory in plenty", needs(MIB, 0), half_gib, 17, Rule::Cpu, ""),
        ("memory for just as many", needs(30 * MIB, 0), half_gib, 17, Rule::Cpu, ""),
        ("no memory limit", needs(MIB, 0), None, 17, Rule::Cpu, ""),
        ("nothing per worker", needs(0, 0), half_gib, 17, Rule::Cpu, ""),
        (
            "less memory than the reserve",
            needs(MIB, 1024 * MIB),
            half_gib,
            1,
            Rule::Min,
            "; (512 MiB - 1 GiB) / 1 MiB = 0; at least 1",
        ),
        (
            "min after max",
            Sizing { min: 6, max: Some(4), ..plain.clone() },
            None,
            6,
            Rule::Min,
            "; at most 4; at least 6",
        ),
        (
            "memory after max",
            Sizing { max: Some(10), ..needs(256 * MIB, 0) },
            half_gib,
            2,
            Rule::Memory,
            "; at most 10; 512 MiB / 256 MiB = 2",
        ),
    ] {
        let workers = workers(&limits(cpus(8, 1), memory), &sizing);
        assert_eq!((workers.count, workers.limited_by), (count, rule), "{name}");
        assert_eq!(workers.arithmetic, format!("ceil(2 * 8) + 1 = 17{steps}"), "{name}");
        assert_eq!(workers.formula, "ceil(2 * 8) + 1", "{name}");
    }
}

#[test]
fn never_none_and_never_too_many() {
    let none = Sizing { per_cpu: 0, plus: 0, min: 0, ..Sizing::default() };
    let one = workers(&limits(Cpus::ONE, None), &none);
    assert_eq!((one.count, one.limited_by), (1, Rule::Min));

    let all = Sizing { per_cpu: u32::MAX, plus: u32::MAX, ..Sizing::default() };
    let many = workers(&limits(cpus(u64::MAX, 1), None), &all);
    assert_eq!((many.count, many.limited_by), (MAX_WORKERS, Rule::Max));

    let max = Sizing { max: Some(u32::MAX), min: u32::MAX, ..all };
    assert_eq!(workers(&limits(cpus(u64::MAX, 1), None), &max).count, MAX_WORKERS);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn the_bounds_hold(
        num in 1..=u64::MAX, den in 1..=u64::MAX, per_cpu: u32, plus: u32, min: u32,
        max: Option<u32>, memory: Option<u64>, memory_per_worker: Option<u64>, memory_reserve: u64,
    ) {
        let sizing = Sizing { per_cpu, plus, min, max, memory_per_worker, memory_reserve };
        let workers = workers(&limits(cpus(num, den), memory), &sizing);
        prop_assert!((1..=MAX_WORKERS).contains(&workers.count));
        prop_assert!(workers.count >= min.min(MAX_WORKERS));
        if workers.limited_by != Rule::Min {
            prop_assert!(max.is_none_or(|max| workers.count <= max));
        }
    }
}
