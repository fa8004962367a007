//! The duties of PID 1: to adopt and to reap what others have left, to pass on signals that the
//! kernel would not deliver to a PID 1 without a handler, and to end as its child ends. Where it is
//! not PID 1, it is a subreaper and does the same.

use nix::sys::signal::Signal;

use crate::client::who;
use crate::procfs;
use crate::support::{Headcount, eventually, free_address, headcount, wait_for};

/// Leaves 200 grandchildren behind, which end when somebody opens the gate.
const ORPHANS: &str = "
    mkfifo gate
    i=0
    while [ $i -lt 200 ]; do
        ( : <gate & )
        i=$((i+1))
    done
    exec sleep 1000";

/// Every orphan is headcount's, and when all have ended none of them is left.
fn sees_orphans_come_and_go(pool: &Headcount, own_children: usize) {
    eventually("200 orphans, and all of them are headcount's children", || {
        procfs::children(pool.pid()).len() == 200 + own_children
    });
    pool.write("gate", "");
    eventually("all of them have ended, and none is a zombie", || {
        procfs::children(pool.pid()).len() == own_children
    });
}

fn namespace_pid(pid: u32) -> String {
    procfs::status(pid, "NSpid").unwrap().split_whitespace().last().unwrap().to_owned()
}

#[test]
fn as_pid_1_run_reaps_every_orphan() {
    let mut pool = headcount("run -w 1 --ready-after 10ms").pid_1().sh(ORPHANS);
    assert_eq!(namespace_pid(pool.pid()), "1");
    let worker = pool.wait_until_ready();
    sees_orphans_come_and_go(&pool, 1);
    assert_eq!(pool.workers(), worker);
    pool.stop();
}

#[test]
fn as_pid_1_exec_reaps_every_orphan() {
    let mut only = headcount("exec").pid_1().sh(ORPHANS);
    assert_eq!(namespace_pid(only.pid()), "1");
    sees_orphans_come_and_go(&only, 1);
    only.signal(Signal::SIGTERM);
    assert_eq!(only.exit_code(), Some(128 + 15));
}

#[test]
fn as_any_other_process_run_and_exec_are_subreapers() {
    for command in ["run -w 1", "exec"] {
        let pool = headcount(command).sh(ORPHANS);
        sees_orphans_come_and_go(&pool, 1);
    }
}

/// What orphans do counts for nothing: gunicorn as PID 1 was once stopped by one that exited with 3.
#[test]
fn how_an_orphan_ends_is_nobody_s_failure() {
    for (command, code) in [("run -w 1 --ready-after 10ms", 0), ("exec", 5)] {
        let line = "
            trap 'exit 5' TERM
            (sh -c 'until [ -e go ]; do sleep 0.05; done; touch gone; exit 3' & )
            sleep 1000 & touch armed; wait";
        let mut pool = headcount(command).pid_1().sh(line);
        eventually("the trap is set", || pool.path("armed").exists());
        pool.write("go", "");
        eventually("the orphan has ended", || {
            pool.path("gone").exists() && pool.processes().len() == 1 + 2 + 1
        });
        assert_eq!(pool.has_ended(), None, "{command}");
        pool.signal(Signal::SIGTERM);
        assert_eq!(pool.exit_code(), Some(code), "{command}");
    }
}

#[test]
fn as_pid_1_a_pool_serves_replaces_and_stops() {
    let address = free_address();
    let mut pool = headcount("run -w 3").pid_1().bind(&address).demo();
    let before = pool.wait_until_ready();
    assert_eq!(namespace_pid(pool.pid()), "1");
    crate::support::send_signal(before[1].pid, Signal::SIGKILL);
    wait_for("a replacement", || {
        Some(pool.workers()).filter(|now| now.len() == 3 && now[1] != before[1])
    });
    assert_eq!(who(&address).workers, 3);
    pool.stop();
}

#[test]
fn as_pid_1_a_child_that_does_not_handle_sigterm_still_dies_of_it() {
    let mut only = headcount("exec").pid_1().runs(&["sleep", "1000"]);
    only.wait_for_child();
    only.signal(Signal::SIGTERM);
    assert_eq!(only.exit_code(), Some(143));
}

/// Writes down that it was told to leave, and leaves.
const POLITE: &str = "trap 'touch told; exit' TERM; touch armed; while :; do sleep 0.02; done";

/// Waits for its last word in vain.
const DEAF: &str = "trap '' TERM; touch armed; while :; do sleep 0.02; done";

/// Starts a program in a session of its own, as daemons do, and ends when it is under way.
fn leaves(program: &str) -> String {
    format!("setsid sh -c \"{program}\" & until [ -e armed ]; do sleep 0.02; done")
}

#[test]
fn what_is_left_at_the_end_is_told_to_leave() {
    for setup in [headcount("exec"), headcount("exec").pid_1()] {
        let mut only = setup.sh(&format!("{}; exit 4", leaves(POLITE)));
        assert_eq!(only.exit_code(), Some(4));
        assert!(only.path("told").exists());
        only.wait_until_nothing_is_left();
    }
    let mut pool = headcount("run -w 1").sh(&format!("{}; exec sleep 1000", leaves(POLITE)));
    eventually("the daemon runs", || pool.path("armed").exists());
    pool.stop();
    assert!(pool.path("told").exists());
    pool.wait_until_nothing_is_left();
}

#[test]
fn what_is_left_and_does_not_listen_is_killed() {
    let mut only = headcount("exec --orphan-timeout 1s").sh(&format!("{}; exit 4", leaves(DEAF)));
    assert_eq!(only.exit_code(), Some(4));
    only.wait_for_log("killing orphans that did not leave in time");
    only.wait_until_nothing_is_left();
}

#[test]
fn without_time_for_orphans_they_are_left_alone() {
    let line = format!("{}; exit 4", leaves(POLITE));
    let mut only = headcount("exec --orphan-timeout 0").sh(&line);
    assert_eq!(only.exit_code(), Some(4));
    assert!(!only.processes().is_empty() && !only.path("told").exists());

    // In a namespace of its own the kernel sees to it.
    let mut only = headcount("exec --orphan-timeout 0").pid_1().sh(&line);
    assert_eq!(only.exit_code(), Some(4));
    only.wait_until_nothing_is_left();
    assert!(!only.path("told").exists());
}
