//! Replays every capture: the files are laid out under a directory, and that is the root.

#![allow(
    clippy::disallowed_methods,
    reason = "the library writes nothing; its tests lay captures out"
)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "to panic is how a test fails"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use headcount_limits::{Capture, Cpus, LimitKind, Limits, Report, Sizing, workers};
use serde_json::Value;

const KERNEL: &str = include_str!("captures/kernel-captures.json");
const CONSTRUCTED: &str = include_str!("captures/constructed.json");

fn cases(text: &str) -> Vec<Value> {
    serde_json::from_str::<Vec<Value>>(text).unwrap()
}

fn lay_out(files: &Value) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, content) in files.as_object().unwrap() {
        let place = root.path().join(path.strip_prefix('/').unwrap());
        if path.ends_with('/') {
            fs::create_dir_all(place).unwrap();
        } else {
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::write(place, content.as_str().unwrap()).unwrap();
        }
    }
    root
}

/// What is wrong with the answer for a case, if anything.
fn complaints(case: &Value, limits: &Limits) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut expect = |key: &str, got: Value| {
        if case.get(key).is_some_and(|expected| *expected != got) {
            wrong.push(format!("{key}: expected {}, got {got}", case[key]));
        }
    };
    expect("expected_quota_cpus", limits.cpu.quota.map(Cpus::as_f64).into());
    expect("expected_cgroup", serde_json::to_value(limits.cgroup).unwrap());
    expect("expected_memory_bytes", limits.memory.limit_bytes.into());
    expect("expected_memory_file", limits.memory.file.clone().into());
    expect("expected_pids", limits.pids.limit.into());
    expect("expected_pids_file", limits.pids.file.clone().into());
    expect("expected_file", limits.cpu.limited_by.file.clone().into());
    if !case["affinity_cpus"].is_null() {
        expect("affinity_cpus", limits.cpu.affinity.into());
    }
    if let Some(parts) = case.get("expected_warnings").and_then(Value::as_array) {
        let matched = parts.len() == limits.warnings.len()
            && parts.iter().zip(&limits.warnings).all(|(p, w)| w.contains(p.as_str().unwrap()));
        if !matched {
            wrong.push(format!("warnings: expected {parts:?}, got {:?}", limits.warnings));
        }
    }
    let affinity = Cpus::whole(limits.cpu.affinity).unwrap();
    let least = limits.cpu.quota.map_or(affinity, |quota| quota.min(affinity));
    if limits.cpu.cpus != least {
        wrong.push(format!("cpus: expected {least}, got {}", limits.cpu.cpus));
    }
    wrong
}

fn replay(cases: &[Value]) {
    let mut wrong = Vec::new();
    for case in cases {
        let root = lay_out(&case["files"]);
        for complaint in complaints(case, &Limits::read(root.path())) {
            wrong.push(format!("{}: {complaint}", case["name"]));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn case(text: &str, name: &str) -> Value {
    cases(text).into_iter().find(|case| case["name"] == name).unwrap()
}

#[test]
fn captures_from_kernels() {
    let cases = cases(KERNEL);
    assert_eq!(cases.len(), 17);
    replay(&cases);
}

#[test]
fn constructed_captures() {
    let cases = cases(CONSTRUCTED);
    assert!(cases.len() > 60);
    replay(&cases);
}

/// v1 captures lack the directories of memory, which is what their warnings are about.
#[test]
fn captures_from_kernels_are_read_without_complaint() {
    for case in cases(KERNEL) {
        let limits = Limits::read(lay_out(&case["files"]).path());
        let unknown = case["name"] == "real-v2-no-cgroup-mount";
        let cpu = |w: &String| w.contains("quota") || w.contains("cpu") || w.contains("malformed");
        assert_eq!(limits.warnings.iter().any(cpu), unknown, "{}: {limits:?}", case["name"]);
    }
}

/// What `--capture` prints is a case, and replays to the same answer.
#[test]
fn a_capture_of_a_capture_is_the_same() {
    for case in cases(KERNEL).iter().chain(&cases(CONSTRUCTED)) {
        let root = lay_out(&case["files"]);
        let first = Capture::take(root.path(), "again");
        let second = lay_out(&serde_json::to_value(&first.files).unwrap());
        let (a, b) = (Limits::read(root.path()), Limits::read(second.path()));
        assert_eq!(a.cpu, b.cpu, "{}", case["name"]);
        assert_eq!((a.cgroup, a.memory, a.pids), (b.cgroup, b.memory, b.pids), "{}", case["name"]);
        assert_eq!(first.expected_quota_cpus, a.cpu.quota.map(Cpus::as_f64));
        assert_eq!(first.affinity_cpus, a.cpu.affinity);
    }
}

#[test]
fn a_capture_has_the_neighbours() {
    let root = lay_out(&case(KERNEL, "real-v2-leaf-2")["files"]);
    fs::create_dir_all(root.path().join("proc/sys/kernel")).unwrap();
    fs::write(root.path().join("proc/sys/kernel/osrelease"), "6.1.0\n").unwrap();
    let capture = serde_json::to_value(Capture::take(root.path(), "mine")).unwrap();
    for file in ["/proc/self/status", "/sys/fs/cgroup/a/b/cpu.weight", "/sys/fs/cgroup/a/cpu.max"] {
        assert!(capture["files"][file].is_string(), "{file}");
    }
    assert_eq!(capture["name"], "mine");
    assert_eq!(capture["kind"], "full");
    assert_eq!(capture["kernel"], "6.1.0");
    assert_eq!(capture["expected_quota_cpus"], 2.0);
    assert_eq!(capture["affinity_cpus"], 8);
}

#[test]
fn the_directories_to_watch() {
    let dirs = |text, name| {
        let visited = Limits::read(lay_out(&case(text, name)["files"]).path()).visited_dirs;
        visited.iter().map(|dir| dir.display().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(
        dirs(KERNEL, "real-v2-leaf-2"),
        ["/sys/fs/cgroup/a/b", "/sys/fs/cgroup/a", "/sys/fs/cgroup"]
    );
    assert_eq!(
        dirs(KERNEL, "real-v1-docker-bind-root"),
        ["/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/memory"]
    );
}

#[test]
fn the_json_is_the_interface() {
    let root = lay_out(&case(KERNEL, "real-v2-private-cgroupns")["files"]);
    fs::write(root.path().join("sys/fs/cgroup/memory.max"), "536870912\n").unwrap();
    let limits = Limits::read(root.path());
    let workers = workers(&limits, &Sizing::default());
    let json = serde_json::to_string(&Report::new(&limits, &workers)).unwrap();
    assert_eq!(
        json,
        r#"{"cgroup":"v2","cpu":{"cpus":2.0,"quota":2.0,"affinity":8,"limited_by":{"kind":"quota","file":"/sys/fs/cgroup/cpu.max","value":"200000 100000"}},"memory":{"limit_bytes":536870912,"file":"/sys/fs/cgroup/memory.max"},"pids":{"limit":null,"file":null},"workers":{"count":5,"formula":"ceil(2 * 2) + 1","limited_by":"cpu"},"warnings":[]}"#
    );
}

#[test]
fn v1_names_the_quota_file_and_both_numbers() {
    let limits = Limits::read(lay_out(&case(KERNEL, "real-v1-leaf-2")["files"]).path());
    assert_eq!(
        serde_json::to_value(&limits.cpu.limited_by).unwrap(),
        serde_json::json!({"kind": "quota", "value": "200000 100000",
            "file": "/sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_quota_us"})
    );
}

#[test]
fn the_text_explains() {
    let root = lay_out(&case(KERNEL, "real-v2-private-cgroupns")["files"]);
    fs::write(root.path().join("sys/fs/cgroup/memory.max"), "536870912\n").unwrap();
    fs::write(root.path().join("sys/fs/cgroup/pids.max"), "\x1b[2J\n").unwrap();
    let limits = Limits::read(root.path());
    let workers = workers(&limits, &Sizing::default());
    let expected = "\
cpu      2 CPUs      quota 200000 100000 in /sys/fs/cgroup/cpu.max (affinity allows 8: 0-7)
memory   512 MiB     /sys/fs/cgroup/memory.max
pids     no limit
workers  5           ceil(2 * 2) + 1 = 5, decided by cpu
cgroup   v2
warning: /sys/fs/cgroup/pids.max: malformed content \"\\u{1b}[2J\" (not a number); ignored
";
    assert_eq!(Report::new(&limits, &workers).to_string(), expected);

    let text = |name: &str| {
        let limits = Limits::read(lay_out(&case(KERNEL, name)["files"]).path());
        let workers = headcount_limits::workers(&limits, &Sizing::default());
        Report::new(&limits, &workers).to_string()
    };
    assert!(text("real-v2-affinity-1-quota-4").starts_with(
        "cpu      1 CPU       affinity allows 1: 0 (quota 400000 100000 in \
         /sys/fs/cgroup/a/b/cpu.max is more)\n"
    ));
    assert!(
        text("real-v2-max").starts_with("cpu      8 CPUs      affinity allows 8: 0-7 (no quota)\n")
    );
}

/// Bytes that are not UTF-8, in a cgroup's name and in a mount point, cannot stand in JSON.
#[test]
fn paths_that_are_not_utf8() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("proc/self")).unwrap();
    let dir = root.path().join(OsStr::from_bytes(b"cg\xff/a\xfe:b"));
    fs::create_dir_all(&dir).unwrap();
    fs::write(root.path().join("proc/self/cgroup"), b"0::/a\xfe:b\n").unwrap();
    let mountinfo = b"34 27 0:28 / /cg\xff rw - cgroup2 cgroup2 rw\n";
    fs::write(root.path().join("proc/self/mountinfo"), mountinfo).unwrap();
    fs::write(root.path().join("proc/self/status"), "Cpus_allowed_list:\t0-3\n").unwrap();
    fs::write(dir.join("cpu.max"), "100000 100000\n").unwrap();

    let limits = Limits::read(root.path());
    assert_eq!(limits.cpu.quota, Cpus::whole(1));
    assert_eq!(limits.cpu.limited_by.kind, LimitKind::Quota);
    assert!(limits.warnings.is_empty(), "{:?}", limits.warnings);
    serde_json::to_string(&Capture::take(root.path(), "x")).unwrap();
}

/// A pipe in a capture would block whoever opens it.
#[test]
fn a_pipe_is_not_read() {
    let root = lay_out(&case(KERNEL, "real-v2-leaf-2")["files"]);
    let file = root.path().join("sys/fs/cgroup/a/cpu.max");
    fs::remove_file(&file).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&file).status().unwrap().success());
    let limits = Limits::read(root.path());
    assert_eq!(limits.cpu.quota, Cpus::whole(2));
    assert!(limits.warnings.iter().any(|w| w.contains("a/cpu.max: not a regular file")));
}

/// A capture may not reach for the files of the machine that replays it.
#[test]
fn a_mount_point_does_not_lead_out_of_the_root() {
    let outer = tempfile::tempdir().unwrap();
    fs::write(outer.path().join("cpu.max"), "100000 100000\n").unwrap();
    let root = outer.path().join("root");
    fs::create_dir_all(root.join("proc/self")).unwrap();
    fs::write(root.join("proc/self/cgroup"), "0::/\n").unwrap();
    let mountinfo = "34 27 0:28 / /.. rw - cgroup2 cgroup2 rw\n";
    fs::write(root.join("proc/self/mountinfo"), mountinfo).unwrap();
    assert_eq!(Limits::read(&root).cpu.quota, None);
}

#[test]
fn this_machine() {
    let limits = Limits::read(Path::new("/"));
    let zero = |cpus: Cpus| cpus.as_f64() <= 0.0;
    assert!(!zero(limits.cpu.cpus), "{limits:?}");
    assert!(limits.cpu.cpus <= Cpus::whole(limits.cpu.affinity).unwrap(), "{limits:?}");
    let capture = Capture::take(Path::new("/"), "here");
    let files: &BTreeMap<String, String> = &capture.files;
    assert_eq!(files.contains_key("/proc/self/status"), Path::new("/proc/self/status").exists());
}

#[test]
fn a_root_that_does_not_exist() {
    let limits = Limits::read(Path::new("/nonexistent/headcount"));
    assert!(limits.cpu.cpus >= Cpus::ONE);
    assert!(limits.warnings.iter().any(|w| w.contains("no quota visible")));
    assert!(limits.warnings.iter().any(|w| w.contains("that of this machine")));
}
