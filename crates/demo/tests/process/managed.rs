//! Under a manager: sockets, readiness, heartbeat, identity.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::{Client, Demo, Manager};

#[test]
fn every_socket_that_was_passed_is_served() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.sock");
    let manager = Manager::at_path();
    let mut demo = Demo::with_sockets(
        &["127.0.0.1", path.to_str().unwrap(), "::1"],
        &[("NOTIFY_SOCKET", &manager.address)],
    );
    manager.wait_for("READY=1");
    let addresses = demo.addresses();
    assert_eq!(addresses[1], format!("unix:{}", path.display()));
    assert_eq!(Client::connect(&addresses[0]).get("/healthz").body, "ok");
    assert_eq!(Client::connect(&addresses[2]).get("/healthz").body, "ok");
    assert_eq!(Client::new(UnixStream::connect(&path).unwrap()).get("/healthz").body, "ok");
}

#[test]
fn sockets_of_another_process_are_left_alone() {
    let env = [("LISTEN_PID", "1"), ("PORT", "0")];
    let mut demo = Demo::with_sockets(&["::1"], &env);
    let addresses = demo.addresses();
    assert!(addresses[0].starts_with("127.0.0.1:"), "{addresses:?}");
    assert_eq!(Client::connect(&addresses[0]).get("/healthz").body, "ok");
}

#[test]
fn it_tells_who_it_is() {
    let env = [
        ("PORT", "0"),
        ("HEADCOUNT_WORKER", "3"),
        ("HEADCOUNT_WORKERS", "5"),
        ("HEADCOUNT_GENERATION", "17"),
    ];
    let mut demo = Demo::alone(&env);
    let response = Client::connect(&demo.addresses()[0]).get("/");
    let whoami = json!({"worker": 3, "pid": demo.pid(), "generation": 17, "workers": 5});
    assert_eq!(serde_json::from_str::<Value>(&response.body).unwrap(), whoami);
}

#[test]
fn ready_then_beats_then_stopping() {
    for manager in [Manager::at_path(), Manager::at_abstract_name("life")] {
        let env = [("NOTIFY_SOCKET", manager.address.as_str()), ("WATCHDOG_USEC", "100000")];
        let mut demo = Demo::with_sockets(&["127.0.0.1"], &env);
        let next = || manager.next(crate::support::DEADLINE).unwrap();
        assert_eq!(next(), "READY=1");
        for _ in 0..5 {
            assert_eq!(next(), "WATCHDOG=1");
        }
        demo.signal(Signal::SIGTERM);
        manager.wait_for("STOPPING=1");
        assert_eq!(demo.exit().code(), Some(0));
    }
}

#[test]
fn no_heartbeat_unless_it_is_wanted_of_this_process() {
    let manager = Manager::at_path();
    let env = [
        ("NOTIFY_SOCKET", manager.address.as_str()),
        ("WATCHDOG_USEC", "1000"),
        ("WATCHDOG_PID", "1"),
    ];
    let mut demo = Demo::with_sockets(&["127.0.0.1"], &env);
    manager.wait_for("READY=1");
    // A request that outlasts many intervals would have brought many beats.
    assert_eq!(Client::connect(&demo.addresses()[0]).get("/sleep?ms=100").status, "200");
    demo.signal(Signal::SIGTERM);
    assert_eq!(manager.next(crate::support::DEADLINE).as_deref(), Some("STOPPING=1"));
}

#[test]
fn a_blocked_runtime_goes_silent() {
    let manager = Manager::at_path();
    let env = [
        ("NOTIFY_SOCKET", manager.address.as_str()),
        ("WATCHDOG_USEC", "100000"),
        ("TOKIO_WORKER_THREADS", "1"),
    ];
    let mut demo = Demo::with_sockets(&["127.0.0.1"], &env);
    let mut client = Client::connect(&demo.addresses()[0]);
    manager.wait_for("WATCHDOG=1");
    client.send("/cpu?ms=2000");
    // The beats before it, then none for twenty intervals.
    while manager.next(Duration::from_secs(1)).is_some() {}
    assert_eq!(client.receive().status, "200");
    manager.wait_for("WATCHDOG=1");
}
