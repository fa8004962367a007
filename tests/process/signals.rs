//! What `run` does with the signals that are sent to it, and what workers find of those that it was
//! started with.

use nix::sys::signal::Signal;

use crate::client::who;
use crate::procfs;
use crate::support::{Headcount, Worker, eventually, free_address, headcount, send_signal};

fn bit(signal: Signal) -> u64 {
    1 << (signal as i32 - 1)
}

/// glibc's own. Its `posix_spawn`, by which this test starts programs, leaves them ignored.
const INTERNAL: u64 = 0b11 << 31;

/// The sets of ignored and blocked signals of a worker that does nothing about them.
fn sets_of_a_worker(launcher: &[&str]) -> (u64, u64) {
    let pool = headcount("run -w 1").under(launcher).runs(&["sleep", "1000"]);
    let worker = pool.wait_for_workers(1)[0];
    let set = |field| procfs::signals(worker.pid, field).unwrap();
    (set("SigIgn") & !INTERNAL, set("SigBlk"))
}

#[test]
fn a_worker_starts_with_every_signal_at_its_default() {
    // Rust's own runtime ignores SIGPIPE, and headcount blocks all: neither may be passed on.
    assert_eq!(sets_of_a_worker(&["env", "--default-signal"]), (0, 0));
}

#[test]
fn what_headcount_was_told_to_ignore_or_to_block_is_passed_on() {
    let launcher = ["env", "--default-signal", "--ignore-signal=PIPE,USR2", "--block-signal=HUP"];
    let expected = (bit(Signal::SIGPIPE) | bit(Signal::SIGUSR2), bit(Signal::SIGHUP));
    assert_eq!(sets_of_a_worker(&launcher), expected);

    let launcher = ["env", "--default-signal", "--ignore-signal=HUP,INT,QUIT,TERM"];
    let nohup = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM];
    let expected = nohup.into_iter().map(bit).fold(0, |set, bit| set | bit);
    assert_eq!(sets_of_a_worker(&launcher), (expected, 0));
}

#[test]
fn signals_that_were_ignored_or_blocked_when_it_started_reach_headcount_all_the_same() {
    for launcher in ["--ignore-signal=TERM,CHLD", "--block-signal"] {
        let mut pool = headcount("run -w 1 --ready-after 10ms --graceful-timeout 1s")
            .under(&["env", launcher])
            .runs(&["sleep", "1000"]);
        let before = pool.wait_until_ready()[0];
        send_signal(before.pid, Signal::SIGKILL);
        eventually("a replacement", || {
            pool.workers().first().is_some_and(|worker| worker.pid != before.pid)
        });
        pool.stop();
    }
}

fn slots(pool: &Headcount) -> Vec<u32> {
    pool.workers().iter().map(|worker| worker.slot).collect()
}

fn wait_for_slots(pool: &Headcount, expected: &[u32]) -> Vec<Worker> {
    eventually(&format!("slots {expected:?}"), || slots(pool) == expected);
    pool.workers()
}

#[test]
fn ttin_is_one_worker_more_and_ttou_one_less_but_never_none() {
    let mut pool = headcount("run -w 2 --ready-after 10ms").runs(&["sleep", "1000"]);
    let first = pool.wait_until_ready();
    pool.signal(Signal::SIGTTIN);
    let more = wait_for_slots(&pool, &[0, 1, 2]);
    assert_eq!(more[..2], first, "those that run stay");

    for expected in [&[0, 1][..], &[0]] {
        pool.signal(Signal::SIGTTOU);
        wait_for_slots(&pool, expected);
    }
    pool.signal(Signal::SIGTTOU);
    pool.wait_for_log_times("resizing: SIGTTOU", 3);
    pool.signal(Signal::SIGTTIN);
    let last = wait_for_slots(&pool, &[0, 1]);
    assert_eq!(last[0], first[0], "the last one is never sent away");
    pool.stop();
    assert_eq!(pool.count_log("WARN"), 0, "{}", pool.log());
}

#[test]
fn winch_drains_the_pool_and_ttin_brings_it_back() {
    let address = free_address();
    let mut pool = headcount("run -w 2").bind(&address).demo();
    pool.wait_until_ready();
    pool.signal(Signal::SIGWINCH);
    wait_for_slots(&pool, &[]);
    assert_eq!(pool.has_ended(), None);

    pool.signal(Signal::SIGTTIN);
    wait_for_slots(&pool, &[0]);
    assert_eq!(who(&address).worker, 0);
    pool.stop();
}

#[test]
fn a_drained_pool_can_be_stopped() {
    let mut pool = headcount("run -w 2 --ready-after 10ms").runs(&["sleep", "1000"]);
    pool.wait_until_ready();
    pool.signal(Signal::SIGWINCH);
    wait_for_slots(&pool, &[]);
    pool.stop();
}

#[test]
fn usr1_and_whatever_headcount_has_no_use_for_goes_to_every_worker() {
    let line = "
        trap 'echo usr1 >>said-$HEADCOUNT_WORKER' USR1
        trap 'echo usr2 >>said-$HEADCOUNT_WORKER' USR2
        sleep 1000 & touch armed-$HEADCOUNT_WORKER; while :; do wait; done";
    let mut pool = headcount("run -w 2 --ready-after 10ms --graceful-timeout 1s").sh(line);
    let before = pool.wait_until_ready();
    for slot in 0..2 {
        eventually("its traps are set", || pool.path(&format!("armed-{slot}")).exists());
    }
    for (signal, name) in [(Signal::SIGUSR1, "usr1"), (Signal::SIGUSR2, "usr2")] {
        pool.signal(signal);
        for slot in 0..2 {
            pool.wait_for_file(&format!("said-{slot}"), name);
        }
    }
    assert_eq!(pool.workers(), before);
    pool.stop();
}
