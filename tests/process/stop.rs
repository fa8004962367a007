//! Stopping: gracefully, with what is in flight; by force, with all that is left; never twice.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::client::{InFlight, get, send, who};
use crate::procfs;
use crate::support::{Headcount, eventually, free_address, headcount};

/// Ignores SIGTERM, and so does the child that it has in its group.
const STUBBORN: &str = "trap '' TERM; sleep 1000 & touch stubborn; while :; do wait; done";

/// Sends a request that takes this long, and returns when a worker has accepted it.
fn in_flight(pool: &Headcount, address: &str, millis: u32) -> InFlight {
    let workers = pool.workers();
    let open = || workers.iter().map(|worker| procfs::descriptors(worker.pid).len()).sum::<usize>();
    let before = open();
    let request = send(address, &format!("/sleep?ms={millis}")).unwrap();
    eventually("a worker accepts the connection", || open() > before);
    request
}

#[test]
fn a_request_in_flight_is_answered_before_the_end() {
    let address = free_address();
    let mut pool = headcount("run -w 3").bind(&address).demo();
    pool.wait_until_ready();
    let request = in_flight(&pool, &address, 1000);

    pool.signal(Signal::SIGTERM);
    assert_eq!(request.answer().unwrap().status, 200);
    assert_eq!(pool.exit_code(), Some(0));
    pool.wait_for_log("stopped: 3 drained, 0 killed");
    pool.wait_until_nothing_is_left();
}

#[test]
fn a_second_sigterm_changes_nothing() {
    let address = free_address();
    let mut pool = headcount("run -w 1").bind(&address).demo();
    pool.wait_until_ready();
    let request = in_flight(&pool, &address, 1500);

    pool.signal(Signal::SIGTERM);
    pool.wait_for_log("stopping 1 worker");
    pool.signal(Signal::SIGTERM);
    assert_eq!(request.answer().unwrap().status, 200);
    assert_eq!(pool.exit_code(), Some(0));
    assert_eq!(pool.count_log("stopping"), 1);
    pool.wait_for_log("stopped: 1 drained, 0 killed");
}

#[test]
fn what_does_not_leave_in_time_is_killed_with_its_whole_group() {
    let mut pool = headcount("run -w 2 --graceful-timeout 1s --ready-after 10ms").sh(STUBBORN);
    pool.wait_until_ready();
    eventually("workers and their children run", || pool.processes().len() == 1 + 2 * 2);

    let start = Instant::now();
    pool.signal(Signal::SIGTERM);
    assert_eq!(pool.exit_code(), Some(0), "it did what it was asked");
    assert!(start.elapsed() >= Duration::from_secs(1), "after {:?}", start.elapsed());
    pool.wait_for_log_times("killing the worker: it did not leave in time", 2);
    pool.wait_for_log("stopped: 0 drained, 2 killed");
    pool.wait_until_nothing_is_left();
}

#[test]
fn a_worker_that_has_left_its_group_is_killed_too() {
    let program = "
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.setpgid(0, os.getpgid(os.getppid()))
open('moved', 'w').close()
while True:
    time.sleep(1000)
";
    let mut pool = headcount("run -w 1 --graceful-timeout 1s --ready-after 10ms").python(program);
    pool.wait_until_ready();
    eventually("the worker is in another group", || pool.path("moved").exists());
    pool.signal(Signal::SIGTERM);
    assert_eq!(pool.exit_code(), Some(0));
    pool.wait_for_log("stopped: 0 drained, 1 killed");
    pool.wait_until_nothing_is_left();
}

#[test]
fn sigint_and_sigquit_do_not_wait_for_the_grace_period() {
    for signal in [Signal::SIGINT, Signal::SIGQUIT] {
        let mut pool = headcount("run -w 1 --graceful-timeout 1h --ready-after 10ms").sh(STUBBORN);
        pool.wait_until_ready();
        eventually("the worker ignores SIGTERM", || pool.path("stubborn").exists());
        pool.signal(signal);
        assert_eq!(pool.exit_code(), Some(0), "{signal}");
        pool.wait_until_nothing_is_left();
    }
}

#[test]
fn sigint_hastens_a_stop_that_has_begun() {
    let mut pool = headcount("run -w 1 --graceful-timeout 1h --ready-after 10ms").sh(STUBBORN);
    pool.wait_until_ready();
    eventually("the worker ignores SIGTERM", || pool.path("stubborn").exists());
    pool.signal(Signal::SIGTERM);
    pool.wait_for_log("stopping 1 worker");
    pool.signal(Signal::SIGINT);
    assert_eq!(pool.exit_code(), Some(0));
    pool.wait_for_log("stopped: 0 drained, 1 killed");
}

#[test]
fn during_the_drain_delay_it_serves_on() {
    let address = free_address();
    let mut pool = headcount("run -w 2 --drain-delay 3s").bind(&address).demo();
    let workers = pool.wait_until_ready();

    let start = Instant::now();
    pool.signal(Signal::SIGTERM);
    pool.wait_for_log("stopping 2 workers");
    assert_eq!(get(&address, "/readyz").unwrap().status, 200, "after {:?}", start.elapsed());
    assert_eq!(pool.workers(), workers);
    assert_eq!(pool.exit_code(), Some(0));
    assert!(start.elapsed() >= Duration::from_secs(3), "after {:?}", start.elapsed());
}

#[test]
fn the_file_of_a_unix_socket_goes_with_it() {
    let mut pool = headcount("run -w 1").bind("unix:app.sock").demo();
    pool.wait_until_ready();
    let socket = pool.path("app.sock");
    who(&format!("unix:{}", socket.display()));
    pool.stop();
    assert!(!socket.exists());
}

#[test]
fn workers_that_are_not_up_yet_or_wait_for_their_next_try_do_not_delay_the_end() {
    let mut pool = headcount("run -w 2 --ready-after 10ms")
        .sh("[ $HEADCOUNT_WORKER = 0 ] || exit 1; exec sleep 1000");
    // From here on slot 1 has no process for most of the time.
    pool.wait_for_log("replacing the worker in 1.6s");
    pool.stop();
    pool.wait_until_nothing_is_left();
}

#[test]
fn a_worker_that_leaves_by_itself_while_the_pool_stops_is_not_replaced() {
    let mut pool = headcount("run -w 2 --ready-after 10ms")
        .sh("echo start; trap 'exit 9' TERM; sleep 1000 & wait");
    pool.wait_until_ready();
    pool.wait_for_file("stdout", "start\nstart\n");
    pool.stop();
    assert_eq!(pool.stdout(), "start\nstart\n");
    assert_eq!(pool.count_log("WARN"), 0, "{}", pool.log());
}
