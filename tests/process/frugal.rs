//! What PID 1 costs: nothing while nothing happens, and no more after a bad day than before it.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use crate::procfs;
use crate::support::{Headcount, eventually, free_address, headcount, send_signal, wait_for};

/// What may grow where something is forgotten: the descriptors, and anonymous memory in KiB.
fn footprint(pool: &Headcount) -> (BTreeSet<u32>, u64) {
    let memory = procfs::status(pool.pid(), "RssAnon").unwrap();
    let memory = memory.split(' ').next().unwrap().parse().unwrap();
    (procfs::descriptors(pool.pid()).into_keys().collect(), memory)
}

/// A bad day for a pool of five: each worker is killed, and then all are rolled over.
fn crash_and_reload(pool: &Headcount) {
    let before = pool.wait_for_workers(5);
    for worker in &before {
        send_signal(worker.pid, Signal::SIGKILL);
    }
    wait_for("five replacements", || {
        let now = pool.workers();
        (now.len() == 5 && now.iter().all(|worker| !before.contains(worker))).then_some(())
    });
    let done = pool.count_log("rolling restart done");
    pool.signal(Signal::SIGHUP);
    pool.wait_for_log_times("rolling restart done", done + 1);
}

#[test]
fn a_hundred_crashes_and_twenty_reloads_leave_no_descriptor_and_no_memory_behind() {
    let config = "command: [sleep, 1000]\nworkers: 5\nready_after: 10ms\n";
    let mut pool = headcount("run")
        .bind(&free_address())
        .bind("unix:app.sock")
        .file("headcount.yaml", config)
        .start();
    pool.wait_until_ready();
    // What is freed leaves holes in the heap, and it takes an allocator a while to know them all:
    // musl's three of these days, glibc's twenty. Then it grows no more.
    for _ in 0..20 {
        crash_and_reload(&pool);
    }
    let (descriptors, memory) = footprint(&pool);

    for _ in 0..20 {
        crash_and_reload(&pool);
    }
    let after = footprint(&pool);
    assert_eq!(after.0, descriptors);
    // One forgotten environment for each reload would be a hundred.
    assert!(after.1 <= memory + 32, "{memory} KiB, then {} KiB", after.1);
    pool.stop();
}

#[test]
fn five_serving_workers_take_headcount_no_more_than_its_share_of_memory() {
    let mut pool = headcount("run -w 5").bind(&free_address()).demo();
    pool.wait_until_ready();
    let kib = |field| {
        let value = procfs::status(pool.pid(), field).unwrap();
        value.split(' ').next().unwrap().parse::<u64>().unwrap()
    };
    let (resident, anonymous) = (kib("VmRSS"), kib("RssAnon"));
    assert!(resident <= 1536, "{resident} KiB are resident");
    assert!(anonymous <= 256, "{anonymous} KiB are anonymous");
    pool.stop();
}

/// How often it has slept: each wake-up ends in another sleep.
fn sleeps(pool: &Headcount) -> String {
    procfs::status(pool.pid(), "voluntary_ctxt_switches").unwrap()
}

#[test]
fn an_idle_pool_makes_no_system_call() {
    let pool = headcount("run -w 5").bind(&free_address()).demo();
    pool.wait_until_ready();
    // Each worker's first heartbeat follows its READY=1; the next one is a minute away.
    let mut before = String::new();
    let mut since = std::time::Instant::now();
    eventually("it has come to rest", || {
        let now = sleeps(&pool);
        if now != before {
            (before, since) = (now, std::time::Instant::now());
        }
        since.elapsed().as_millis() > 500
    });

    let trace = pool.path("trace");
    let mut strace = Command::new("timeout");
    strace.args(["--signal=INT", "4", "strace", "-f", "-o"]).arg(&trace);
    strace.args(["-p", &pool.pid().to_string()]).stdin(Stdio::null()).stderr(Stdio::piped());
    let output = strace.output().unwrap_or_else(|error| panic!("timeout (coreutils): {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("attached"), "strace is needed, with the right to attach: {said}");

    let calls = pool.read("trace");
    // The one that it was found in, and left in.
    assert_eq!(calls.lines().count(), 1, "{calls}");
    assert!(calls.contains("epoll_") || calls.contains("restart_syscall"), "{calls}");
}
