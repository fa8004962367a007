//! Workers that die: replaced in their slot, slower the more often it happens; and given up where
//! none of them ever gets up.

use nix::sys::signal::Signal;

use crate::client::who;
use crate::procfs;
use crate::support::{eventually, free_address, headcount, send_signal, wait_for};

#[test]
fn a_killed_worker_is_replaced_in_its_slot() {
    let address = free_address();
    let mut pool = headcount("run -w 3").bind(&address).demo();
    let before = pool.wait_until_ready();

    send_signal(before[1].pid, Signal::SIGKILL);
    let after = wait_for("a replacement", || {
        Some(pool.workers()).filter(|now| now.len() == 3 && now[1].pid != before[1].pid)
    });

    assert_eq!(after.iter().map(|worker| worker.slot).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!((after[0], after[2]), (before[0], before[2]), "the others stay");
    assert_eq!(after[1].generation, 1, "a replacement is of its predecessor's generation");
    pool.wait_for_log("was killed by SIGKILL");
    who(&address);
    pool.stop();
}

#[test]
fn a_pool_of_which_no_worker_gets_up_is_given_up_with_3() {
    let mut pool = headcount("run -w 2").sh("echo cannot import app >&2; exit 1");
    assert_eq!(pool.exit_code(), Some(3));
    assert_eq!(pool.count_log("cannot import app"), 6, "each slot has three tries");
    assert_eq!(pool.count_log("exited with status 1"), 6);
    assert_eq!(pool.count_log("no worker can boot: giving up"), 1);
}

#[test]
fn one_slot_that_keeps_failing_waits_longer_each_time_and_the_others_serve_on() {
    let mut pool = headcount("run -w 2 --ready-after 10ms")
        .sh("[ $HEADCOUNT_WORKER = 0 ] || exit 1; exec sleep 1000");
    let survivor = wait_for("the worker that lives", || {
        pool.workers().into_iter().find(|worker| worker.slot == 0)
    });

    for pause in ["0.1s", "0.2s", "0.4s", "0.8s"] {
        pool.wait_for_log(&format!("replacing the worker in {pause}"));
    }
    assert_eq!(pool.has_ended(), None);
    assert!(pool.workers().contains(&survivor));
    pool.stop();
}

#[test]
fn a_worker_that_had_been_ready_and_exits_by_itself_is_replaced_too() {
    let pool = headcount("run -w 1 --ready-after 10ms").sh("until [ -e go ]; do sleep 0.01; done");
    pool.wait_until_ready();
    pool.write("go", "");
    pool.wait_for_log_times("exited with status 0", 2);
}

/// A worker's helpers hold its sockets; without it they would serve nobody, and for ever.
#[test]
fn what_a_dead_worker_leaves_in_its_group_is_told_to_leave() {
    let helper = "trap 'echo told >told; exit' TERM; touch armed; while :; do sleep 0.01; done";
    let pool = headcount("run -w 1")
        .file("helper.sh", helper)
        .sh("[ -e armed ] || sh helper.sh & exec sleep 1000");
    pool.wait_until_ready();
    eventually("the helper is armed", || pool.path("armed").exists());

    let worker = pool.workers()[0];
    send_signal(worker.pid, Signal::SIGKILL);
    pool.wait_for_file("told", "told");
    eventually("the helper has gone, and was reaped", || {
        let children = procfs::children(pool.pid());
        children.len() == 1 && children[0] != worker.pid
    });
}

#[test]
fn a_worker_that_does_not_get_ready_in_time_is_killed() {
    // It speaks the protocol, so its READY=1 is waited for; and never says it.
    let program = r#"
import os, socket, time
address = "\0" + os.environ["NOTIFY_SOCKET"][1:]
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"STATUS=thinking", address)
time.sleep(1000)
"#;
    let mut pool = headcount("run -w 1 --boot-timeout 1s").python(program);
    assert_eq!(pool.exit_code(), Some(3));
    assert_eq!(pool.count_log("it did not get ready in time"), 3);
    pool.wait_until_nothing_is_left();
}
