//! `limits` where what it reads is broken or missing: it says what is wrong and answers all the same.

use std::fs::File;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::support::{Headcount, Setup, headcount};

const MOUNT: &str = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";

/// A machine whose cgroup is version 2, with this in its cpu.max.
fn machine(cpu_max: &str) -> Setup {
    let setup = headcount("limits --json --root .");
    for folder in ["proc/self", "sys/fs/cgroup"] {
        std::fs::create_dir_all(setup.path(folder)).unwrap();
    }
    setup
        .file("proc/self/cgroup", "0::/\n")
        .file("proc/self/mountinfo", MOUNT)
        .file("proc/self/status", "Cpus_allowed_list:\t0-7\n")
        .file("sys/fs/cgroup/cpu.max", cpu_max)
}

fn answer(limits: &mut Headcount) -> Value {
    assert_eq!(limits.exit_code(), Some(0), "{}", limits.log());
    assert!(!limits.log().contains("panicked"), "{}", limits.log());
    serde_json::from_str(&limits.stdout()).unwrap()
}

#[test]
fn a_captured_machine_is_read_as_if_it_were_this_one() {
    let said = answer(&mut machine("200000 100000\n").start());
    assert_eq!((&said["cpu"]["quota"], &said["workers"]["count"]), (&2.0.into(), &5.into()));
    assert_eq!(said["warnings"], Value::Array(Vec::new()));
}

#[test]
fn nonsense_in_cpu_max_is_a_warning_that_names_the_file_and_its_content() {
    for nonsense in
        ["banana\n", "", "-5 100000\n", "200000 0\n", "1 2 3\n", "99999999999999999999 1\n"]
    {
        let said = answer(&mut machine(nonsense).start());
        assert_eq!((&said["cpu"]["quota"], &said["cpu"]["cpus"]), (&Value::Null, &8.0.into()));
        let warnings = said["warnings"].to_string();
        assert!(warnings.contains("/sys/fs/cgroup/cpu.max"), "{nonsense:?}: {warnings}");
        assert!(warnings.contains(nonsense.trim()), "{nonsense:?}: {warnings}");
    }
}

#[test]
fn an_unreadable_cpu_max_is_a_warning_that_names_the_file() {
    // A folder cannot be read as a file, not even by root.
    let setup = machine("");
    std::fs::remove_file(setup.path("sys/fs/cgroup/cpu.max")).unwrap();
    std::fs::create_dir(setup.path("sys/fs/cgroup/cpu.max")).unwrap();
    let warnings = answer(&mut setup.start())["warnings"].to_string();
    assert!(warnings.contains("/sys/fs/cgroup/cpu.max"), "{warnings}");

    // And what root may read, others may not.
    let setup = machine("200000 100000\n");
    let forbid = |name, mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(setup.path(name), mode).unwrap();
    };
    forbid(".", 0o755);
    forbid("sys/fs/cgroup/cpu.max", 0o000);
    let setup = if e2e::program::is_root() {
        setup.under(&["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
    } else {
        setup
    };
    let warnings = answer(&mut setup.start())["warnings"].to_string();
    assert!(warnings.contains("/sys/fs/cgroup/cpu.max: "), "{warnings}");
}

#[test]
fn nothing_at_all_is_answered_too() {
    let mut limits = headcount("limits --json --root .").start();
    let said = answer(&mut limits);
    assert_eq!((&said["cgroup"], &said["cpu"]["quota"]), (&"none".into(), &Value::Null));
    assert!(said["warnings"].as_array().is_some_and(|warnings| !warnings.is_empty()), "{said}");
}

#[test]
fn a_capture_of_this_machine_replays_to_the_same_answer() {
    let mut capture = headcount("limits --capture").start();
    assert_eq!(capture.exit_code(), Some(0));
    let captured: Value = serde_json::from_str(&capture.stdout()).unwrap();
    let files = captured["files"].as_object().expect("files");
    assert!(files.keys().any(|name| name.ends_with("proc/self/cgroup")), "{captured}");

    let setup = headcount("limits --json --root .");
    for (name, content) in files {
        let path = setup.path(name.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content.as_str().unwrap()).unwrap();
    }
    let replayed = answer(&mut setup.start());
    assert_eq!(replayed, answer(&mut headcount("limits --json").start()));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    for command in ["limits", "limits --json", "limits --capture", "check -w 1 -- true"] {
        let mut limits = headcount(command).under_sh("\"$@\" | true").start();
        assert_eq!((limits.exit_code(), limits.log().as_str()), (Some(0), ""), "{command}");
    }
}

#[test]
fn a_full_disk_is_an_error_and_a_closed_stdout_no_panic() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut limits = headcount("limits").stdout(full).start();
    assert_eq!(limits.exit_code(), Some(71));
    limits.wait_for_log("cannot write: No space left on device");

    // Rust's runtime opens /dev/null where there is nothing.
    let mut limits = headcount("limits").under_sh("exec \"$@\" >&-").start();
    assert_eq!((limits.exit_code(), limits.log().as_str()), (Some(0), ""));
}
