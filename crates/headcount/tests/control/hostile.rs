//! Clients that are slow, silent, hostile or half gone.

use std::fs;
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Instant;

use crate::support::{CLIENTS_TIME, Running, answer, error_of, eventually, time_to_end};

#[test]
fn a_line_that_is_too_long_is_refused() {
    let running = Running::start(1);
    let mut stream = running.connect();
    // It may be refused before all of it is written.
    let _ = stream.write_all(&vec![b'x'; 1 << 20]);
    assert!(error_of(&answer(&mut stream)).contains("longer than 4096 bytes"));
}

#[test]
fn garbage_gets_an_error_line() {
    let running = Running::start(1);
    for garbage in
        ["\n", "status\n", "{\"command\":\n", "[[[[\n", "\u{0}\u{1}\n", "GET / HTTP/1.1\r\n"]
    {
        assert!(error_of(&running.ask(garbage)).contains("no request"), "{garbage:?}");
    }
    assert!(error_of(&running.ask("{\"command\":\"fork\"}\n")).contains("`fork` is no command"));
}

#[test]
fn a_silent_client_is_dropped_while_another_is_served_at_once() {
    let running = Running::start(1);
    let since = Instant::now();
    let mut silent = running.connect();
    let mut slow = running.connect();
    slow.write_all(b"{\"command\":").unwrap();
    running.status();
    assert!(since.elapsed() < CLIENTS_TIME, "{:?}", since.elapsed());
    for stream in [&mut silent, &mut slow] {
        let took = time_to_end(stream, since);
        assert!(took >= CLIENTS_TIME && took < CLIENTS_TIME * 3, "{took:?}");
    }
}

#[test]
fn one_that_does_not_read_its_answer_is_dropped() {
    let running = Running::start(1);
    let before = running.descriptors();
    let since = Instant::now();
    let stalled: Vec<UnixStream> = (0..3)
        .map(|_| {
            let mut stream = running.connect();
            stream.write_all(b"{\"command\":\"status\"}\n").unwrap();
            stream
        })
        .collect();
    running.status();
    assert!(since.elapsed() < CLIENTS_TIME);
    eventually("they are gone", || (running.descriptors() == before).then_some(()));
    drop(stalled);
}

#[test]
fn further_clients_are_turned_away_at_once() {
    let running = Running::start(1);
    let since = Instant::now();
    let mut held: Vec<UnixStream> = (0..8).map(|_| running.connect()).collect();
    let mut further = running.connect();
    assert!(error_of(&answer(&mut further)).contains("busy"));
    assert!(since.elapsed() < CLIENTS_TIME);
    // The first who goes makes room.
    held.remove(0);
    eventually("there is room", || running.try_status());
    assert!(since.elapsed() < CLIENTS_TIME, "{:?}", since.elapsed());
}

#[test]
fn half_open_clients_leave_nothing_behind() {
    let running = Running::start(1);
    let before = running.descriptors();
    let half_open: Vec<UnixStream> = (0..50)
        .map(|i| {
            let mut stream = running.connect();
            // Those that were turned away have gone already.
            let _ = match i % 3 {
                0 => stream.shutdown(Shutdown::Write),
                1 => stream.write_all(b"{\"com").and_then(|()| stream.shutdown(Shutdown::Write)),
                _ => stream.shutdown(Shutdown::Read),
            };
            stream
        })
        .collect();
    eventually("they are gone", || (running.descriptors() == before).then_some(()));
    drop(half_open);
    running.status();
}

#[test]
fn it_sleeps_though_clients_hang() {
    let running = Running::start(1);
    let held: Vec<UnixStream> = (0..8)
        .map(|i| {
            let mut stream = running.connect();
            // These have their answer to come, and close the way for it.
            if i % 2 == 0 {
                stream.write_all(b"{\"command\"").unwrap();
                stream.shutdown(Shutdown::Read).unwrap();
            }
            stream
        })
        .collect();
    let since = Instant::now();
    let wakes = switches(&running);
    eventually("their time is over", || (since.elapsed() > CLIENTS_TIME).then_some(()));
    let wakes = switches(&running) - wakes;
    assert!(wakes < 50, "it was awake {wakes} times");
    drop(held);
}

#[test]
fn without_descriptors_it_waits_for_some() {
    let running = Running::start(1);
    let limit = |descriptors: usize| {
        let mut prlimit = Command::new("prlimit");
        prlimit.args(["--pid", &running.child.id().to_string()]);
        let status = prlimit.arg(format!("--nofile={descriptors}:")).status().unwrap();
        assert!(status.success());
    };
    limit(running.descriptors());
    let since = Instant::now();
    let wakes = switches(&running);
    let mut waiting = running.connect();
    waiting.write_all(b"{\"command\":\"status\"}\n").unwrap();
    eventually("some time is over", || (since.elapsed() > CLIENTS_TIME).then_some(()));
    let wakes = switches(&running) - wakes;
    assert!(wakes < 50, "it was awake {wakes} times");
    limit(1024);
    assert_eq!(answer(&mut waiting)["ok"], true);
}

#[test]
fn it_does_not_grow() {
    let running = Running::start(1);
    let resident = || {
        let status = running.status();
        assert_eq!(status["ready"], 1);
        let statm = fs::read_to_string(format!("/proc/{}/statm", running.child.id())).unwrap();
        statm.split(' ').nth(5).unwrap().parse::<u64>().unwrap()
    };
    let round = || {
        for _ in 0..50 {
            running.ask("{\"command\":\"status\"}\n");
            running.ask("garbage\n");
            running.ask("{\"command\":\"scale\",\"workers\":1}\n");
            let mut endless = running.connect();
            let _ = endless.write_all(&[b'x'; 5000]);
            drop(running.connect());
        }
    };
    round();
    let before = (resident(), running.descriptors());
    for _ in 0..10 {
        round();
    }
    assert_eq!((resident(), running.descriptors()), before, "pages of data, and descriptors");
}

/// How often it went to sleep of its own accord, and was made to stop.
fn switches(running: &Running) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", running.child.id())).unwrap();
    let counts = status.lines().filter(|line| line.contains("ctxt_switches"));
    counts.map(|line| line.split_whitespace().last().unwrap().parse::<u64>().unwrap()).sum()
}
