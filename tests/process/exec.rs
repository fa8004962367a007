//! `exec`: tini's job. One child, whose end is headcount's own, and to which every signal goes.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;

use nix::sys::signal::Signal;

use crate::procfs;
use crate::support::{Setup, eventually, headcount, send_signal, wait_for};

#[test]
fn it_ends_as_its_child_ends() {
    for (line, code) in [
        ("exit 0", 0),
        ("exit 7", 7),
        ("exit 255", 255),
        ("kill -9 $$", 128 + 9),
        ("kill -TERM $$", 128 + 15),
        ("kill -37 $$", 128 + 37),
    ] {
        assert_eq!(headcount("exec").sh(line).exit_code(), Some(code), "{line}");
    }
}

#[test]
fn a_command_that_cannot_be_started_has_the_shell_s_exit_codes() {
    let mut missing = headcount("exec").runs(&["no-such-command"]);
    assert_eq!(missing.exit_code(), Some(127));
    missing.wait_for_log("`no-such-command` was not found in PATH");
    let mut missing = headcount("exec").runs(&["/no/such/file"]);
    assert_eq!(missing.exit_code(), Some(127));
    missing.wait_for_log("`/no/such/file` does not exist");
    let mut forbidden = headcount("exec").file("plain", "#!/bin/sh\n").runs(&["./plain"]);
    assert_eq!(forbidden.exit_code(), Some(126));
    forbidden.wait_for_log("`./plain` cannot be executed: Permission denied");
}

#[test]
fn the_short_form_needs_no_command_name() {
    assert_eq!(headcount("").sh("exit 7").exit_code(), Some(7));
    // Flags behind the command are the command's own.
    let mut echo = headcount("exec").arg("echo").arg("--version").arg("-w").start();
    assert_eq!((echo.exit_code(), echo.count_log("")), (Some(0), 0));
}

#[test]
fn it_is_transparent_in_between() {
    let cat = |line: &str| headcount("exec").under_sh(line).runs(&["cat"]);
    let mut copied = cat("echo hello | \"$@\"");
    assert_eq!(copied.exit_code(), Some(0));
    assert_eq!((copied.stdout().as_str(), copied.log().as_str()), ("hello\n", ""));
}

/// Records each signal by its number, and leaves on SIGTERM.
const RECORDER: &str = r#"
import os, signal, sys
record = lambda number, frame: print(number, file=open("heard", "a"))
for number in (1, 2, 3, 10, 12, 18, 28, 34, 37, 64):
    signal.signal(number, record)
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(5))
open("armed", "w")
while True: signal.pause()
"#;

#[test]
fn every_signal_goes_to_the_child() {
    let mut only = headcount("exec").python(RECORDER);
    eventually("the handlers are installed", || only.path("armed").exists());
    for number in [1, 2, 3, 10, 12, 18, 28, 34, 37, 64] {
        // nix has no real-time signals; the shell has.
        let kill = format!("kill -{number} {}", only.pid());
        let status = std::process::Command::new("sh").args(["-c", &kill]).status().unwrap();
        assert!(status.success());
        eventually(&format!("the child hears {number}"), || {
            only.read("heard").lines().any(|line| line == number.to_string())
        });
    }
    only.signal(Signal::SIGTERM);
    assert_eq!(only.exit_code(), Some(5));
    assert_eq!(only.read("heard").lines().count(), 10, "each of them once");
}

/// dumb-init loses half of the signals of its first 0.3 ms, `tini -g` a fifth.
#[test]
fn a_signal_right_after_the_start_is_never_lost() {
    let (mut of_headcount, mut of_child) = (0, 0);
    for round in 0..100 {
        let mut only = headcount("exec").runs(&["sleep", "1000"]);
        // In turns as soon as there is a headcount, as soon as it has blocked signals, and as soon
        // as there is a child.
        wait_for("the moment", || {
            let exists = true;
            let has_blocked = || procfs::signals(only.pid(), "SigBlk").is_some_and(|set| set > 1);
            let has_child = || !procfs::children(only.pid()).is_empty();
            [exists, round % 3 == 1 && has_blocked(), round % 3 == 2 && has_child()][round % 3]
                .then_some(())
        });
        only.signal(Signal::SIGTERM);
        let status = wait_for("the end", || only.has_ended());
        match (status.code(), status.signal()) {
            (Some(143), _) => of_child += 1,
            // Before its first instruction nobody can block a signal: the default action is right.
            (None, Some(15)) if round % 3 == 0 => of_headcount += 1,
            _ => panic!("round {round}: {status}"),
        }
    }
    assert_eq!(of_headcount + of_child, 100);
    assert!(of_child >= 66, "{of_child}");
}

#[test]
fn inherited_as_ignored_sigchld_does_not_hang_it() {
    let mut only = headcount("exec").under(&["env", "--ignore-signal=CHLD"]).sh("exit 7");
    assert_eq!(only.exit_code(), Some(7));
}

#[test]
fn ignored_and_blocked_signals_belong_to_the_child() {
    let launcher = ["env", "--default-signal", "--ignore-signal=PIPE", "--block-signal=USR1"];
    let only = headcount("exec").under(&launcher).runs(&["sleep", "1000"]);
    let child = only.wait_for_child();
    let has = |field, signal: Signal| {
        procfs::signals(child, field).unwrap() & (1 << (signal as i32 - 1)) != 0
    };
    assert!(has("SigIgn", Signal::SIGPIPE) && has("SigBlk", Signal::SIGUSR1));
    assert!(!has("SigIgn", Signal::SIGCHLD) && !has("SigBlk", Signal::SIGTERM));

    let only = headcount("exec").under(&["env", "--default-signal"]).runs(&["sleep", "1000"]);
    let child = only.wait_for_child();
    assert_eq!(procfs::signals(child, "SigBlk"), Some(0));
    assert_eq!(procfs::signals(child, "SigIgn").unwrap() & (1 << 12), 0, "SIGPIPE");
}

#[test]
fn closed_descriptors_are_survived() {
    for closed in ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"] {
        let line = format!("exec \"$@\" {closed}");
        assert_eq!(headcount("exec").under_sh(&line).sh("exit 5").exit_code(), Some(5), "{closed}");
    }
}

#[test]
fn a_script_without_a_first_line_is_run_by_the_shell() {
    let script = |command: &[&str]| {
        let setup = headcount("exec").file("script", "echo $1 $2; exit 9\n");
        let path = setup.path("script");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut only = setup.runs(command);
        (only.exit_code(), only.stdout())
    };
    assert_eq!(script(&["./script", "a", "b"]), (Some(9), "a b\n".to_owned()));
}

/// The value that a child finds.
fn value(setup: Setup, name: &str) -> String {
    let mut only = setup.sh(&format!("echo ${name}"));
    assert_eq!(only.exit_code(), Some(0));
    only.stdout().trim_end().to_owned()
}

#[test]
fn a_variable_that_is_set_is_left_alone() {
    for name in ["WEB_CONCURRENCY", "GOMAXPROCS", "PYTHON_CPU_COUNT", "OMP_NUM_THREADS"] {
        assert_eq!(value(headcount("exec").env(name, "41"), name), "41");
        assert!(value(headcount("exec"), name).parse::<u32>().is_ok_and(|count| count > 0));
    }
}

/// A manager that starts headcount with a socket means its child, which takes headcount's place.
#[test]
fn sockets_from_above_are_passed_on_with_the_child_s_own_pid() {
    let above = "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\"";
    let mut only = headcount("exec").under_sh(above).sh("echo $LISTEN_FDS; [ $LISTEN_PID = $$ ]");
    assert_eq!((only.exit_code(), only.stdout().as_str()), (Some(0), "1\n"));
}

#[test]
fn a_child_that_stops_and_goes_on_is_no_end() {
    let mut only = headcount("exec").sh("until [ -e go ]; do sleep 0.02; done; exit 6");
    let child = only.wait_for_child();
    let state = |expected: bool| {
        eventually("the child's state", || (procfs::stat(child).unwrap().state == 'T') == expected);
    };
    send_signal(child, Signal::SIGSTOP);
    state(true);
    assert_eq!(only.has_ended(), None);
    send_signal(child, Signal::SIGCONT);
    state(false);
    only.write("go", "");
    assert_eq!(only.exit_code(), Some(6));
}
