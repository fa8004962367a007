//! SIGTERM loses nothing: each test is a place where a plain server would.

use std::net::TcpStream;

use nix::sys::signal::Signal;

use crate::support::{Client, Demo, Manager};

/// A worker under a manager, ready, and where it serves.
fn ready() -> (Demo, Manager, String) {
    let manager = Manager::at_path();
    let mut demo = Demo::with_sockets(&["127.0.0.1"], &[("NOTIFY_SOCKET", &manager.address)]);
    manager.wait_for("READY=1");
    let address = demo.addresses().remove(0);
    (demo, manager, address)
}

fn stop(demo: &Demo, manager: &Manager) {
    demo.signal(Signal::SIGTERM);
    manager.wait_for("STOPPING=1");
}

/// The last response, then a proper end of the connection and of the process.
fn answered_and_gone(mut client: Client<TcpStream>, mut demo: Demo) {
    let response = client.receive();
    assert_eq!(response.status, "200");
    assert!(response.closes, "{response:?}");
    assert!(client.is_closed());
    drop(client);
    assert_eq!(demo.exit().code(), Some(0));
}

#[test]
fn a_request_in_flight_is_answered() {
    let (demo, manager, address) = ready();
    let mut client = Client::connect(&address);
    assert!(!client.get("/").closes);
    client.send("/sleep?ms=1500");
    // Connections are read in the order of their arrival, so that one is in flight by now.
    assert_eq!(Client::connect(&address).get("/sleep?ms=50").status, "200");
    stop(&demo, &manager);
    answered_and_gone(client, demo);
}

#[test]
fn a_connection_without_a_request_yet_is_answered() {
    let (demo, manager, address) = ready();
    let mut client = Client::connect(&address);
    // The queue is first in, first out: when this is answered, the other one was accepted.
    let mut other = Client::connect(&address);
    assert_eq!(other.get("/").status, "200");
    stop(&demo, &manager);
    // The other's request is the clock: the drain has gone on for a while when it is answered.
    assert_eq!(other.get("/sleep?ms=300").status, "200");
    client.send("/healthz");
    answered_and_gone(client, demo);
}

#[test]
fn connections_still_in_the_queue_are_answered() {
    let (mut demo, manager, address) = ready();
    demo.signal(Signal::SIGSTOP);
    // So many that the signal is heard while most of them are still queued.
    let mut clients: Vec<_> = (0..400).map(|_| Client::connect(&address)).collect();
    demo.signal(Signal::SIGTERM);
    demo.signal(Signal::SIGCONT);
    manager.wait_for("STOPPING=1");
    for client in &mut clients {
        let response = client.get("/healthz");
        assert_eq!((response.status.as_str(), response.closes), ("200", true));
    }
    drop(clients);
    assert_eq!(demo.exit().code(), Some(0));
}

#[test]
fn an_idle_connection_gets_a_last_answer() {
    let (demo, manager, address) = ready();
    let mut client = Client::connect(&address);
    assert!(!client.get("/").closes);
    let mut other = Client::connect(&address);
    assert_eq!(other.get("/").status, "200");
    stop(&demo, &manager);
    assert_eq!(other.get("/sleep?ms=300").status, "200");
    client.send("/sleep?ms=100");
    answered_and_gone(client, demo);
}

#[test]
fn readiness_ends_where_the_drain_starts() {
    let (demo, manager, address) = ready();
    let mut client = Client::connect(&address);
    assert_eq!(client.get("/readyz").status, "200");
    stop(&demo, &manager);
    let response = client.get("/readyz");
    assert_eq!((response.status.as_str(), response.closes), ("503", true));
}

#[test]
fn silent_connections_are_closed_in_the_end() {
    let (mut demo, manager, address) = ready();
    let mut idle = Client::connect(&address);
    assert_eq!(idle.get("/").status, "200");
    let mut silent = Client::connect(&address);
    assert_eq!(Client::connect(&address).get("/").status, "200");
    stop(&demo, &manager);
    assert!(idle.is_closed());
    assert!(silent.is_closed());
    assert_eq!(demo.exit().code(), Some(0));
}

#[test]
fn a_body_that_nobody_reads_does_not_become_a_reset() {
    let (demo, manager, address) = ready();
    let mut client = Client::connect(&address);
    assert_eq!(client.get("/").status, "200");
    stop(&demo, &manager);
    // Refused at once, with megabytes still on their way into a connection that closes.
    client.send_raw(b"POST /healthz HTTP/1.1\r\nHost: demo\r\nContent-Length: 8000000\r\n\r\n");
    client.send_raw(&vec![b'.'; 8_000_000]);
    let response = client.receive();
    assert_eq!((response.status.as_str(), response.closes), ("405", true));
    assert!(client.is_closed());
    drop((client, demo));
}
