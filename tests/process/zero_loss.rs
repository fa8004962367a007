//! No request is lost, by the count of a published client: wrk, on keep-alive and on fresh
//! connections, while workers are rolled over and the pool is resized.

use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;

use crate::support::{free_address, headcount};

/// Long enough for all that happens meanwhile.
const SECONDS: &str = "15";

fn wrk(address: &str, flags: &[&str]) -> Child {
    Command::new("wrk")
        .args(["--threads", "1", "--connections", "16", "--duration", SECONDS])
        .args(flags)
        .arg(format!("http://{address}/healthz"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("wrk is needed (apt-get install wrk): {error}"))
}

/// wrk mentions errors only if there are any.
fn no_request_failed(wrk: Child) {
    let output = wrk.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains(" requests in "), "{said}");
    assert!(!said.contains("Socket errors") && !said.contains("Non-2xx"), "{said}");
}

#[test]
fn rolling_restarts_and_resizes_lose_no_request() {
    let address = free_address();
    let mut pool = headcount("run -w 3").bind(&address).demo();
    pool.wait_until_ready();
    let clients = [wrk(&address, &[]), wrk(&address, &["--header", "Connection: close"])];

    for restart in 1..=5 {
        pool.signal(Signal::SIGHUP);
        pool.wait_for_log_times("rolling restart done", restart);
    }
    for resize in 1..=5 {
        pool.signal(Signal::SIGTTIN);
        pool.wait_for_log_times("workers=4 was=3", resize);
        pool.signal(Signal::SIGTTOU);
        pool.wait_for_log_times("workers=3 was=4", resize);
    }
    for client in clients {
        no_request_failed(client);
    }
    pool.stop();
    assert_eq!(pool.count_log("rolling restart done"), 5, "{}", pool.log());
}
