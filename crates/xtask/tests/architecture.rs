//! The invariants of ARCHITECTURE.md that no compiler and no lint can hold: which crate may depend
//! on which, and that there is one module with `unsafe`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "to panic is how a test fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The names under `[dependencies]` of a crate's manifest.
fn dependencies(of: &str) -> BTreeSet<String> {
    let manifest = fs::read_to_string(crates().join(of).join("Cargo.toml")).unwrap();
    manifest
        .lines()
        .skip_while(|line| line.trim() != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

#[test]
fn the_supervisor_depends_on_nothing_and_not_on_the_standard_library() {
    assert_eq!(dependencies("supervisor"), BTreeSet::new());
    let lib = fs::read_to_string(crates().join("supervisor/src/lib.rs")).unwrap();
    assert!(lib.contains("\n#![no_std]\n"), "without std there is no clock and no descriptor");
}

#[test]
fn dependencies_run_downhill() {
    let ours = |of: &str| -> BTreeSet<String> {
        dependencies(of)
            .into_iter()
            .filter(|name| name.starts_with("headcount") || name == "demo" || name == "e2e")
            .collect()
    };
    let set = |names: &[&str]| names.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    assert_eq!(ours("limits"), set(&[]));
    assert_eq!(ours("worker"), set(&[]), "worker and headcount share a contract, not code");
    assert_eq!(ours("headcount"), set(&["headcount-limits", "headcount-supervisor"]));
    assert_eq!(ours("demo"), set(&["headcount-worker"]));
}

#[test]
fn pid_1_has_no_async_runtime() {
    let forbidden = ["tokio", "async-std", "smol", "mio", "futures"];
    for of in ["headcount", "limits", "supervisor"] {
        for name in dependencies(of) {
            assert!(!forbidden.contains(&name.as_str()), "{of} depends on {name}");
        }
    }
}

#[test]
fn unsafe_lives_in_one_module() {
    let mut found = BTreeSet::new();
    for path in sources(&crates()) {
        let text = fs::read_to_string(&path).unwrap();
        // In two halves, so that this file is none of them.
        if text.contains(concat!("allow(", "unsafe_code")) {
            found.insert(path.strip_prefix(crates()).unwrap().to_owned());
        }
    }
    assert_eq!(found, BTreeSet::from([PathBuf::from("headcount/src/os/sys/mod.rs")]));
}

#[test]
fn rooms_are_small() {
    for path in sources(&crates()) {
        let text = fs::read_to_string(&path).unwrap();
        let (lines, name) = (text.lines().count(), path.display());
        assert!(lines <= 400, "{name} has {lines} lines: what is it hiding?");
        assert!(text.starts_with("//!"), "{name} does not say why it exists");
    }
}
