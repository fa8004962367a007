//! Listening: opened once, by PID 1, and open for as long as it lives.

use std::net::Ipv6Addr;
use std::os::unix::net::UnixListener;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::client::{get, send, who};
use crate::procfs;
use crate::support::{eventually, free_address, free_port, headcount, send_signal};

fn needs_ipv6() {
    let loopback = std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0));
    assert!(loopback.is_ok(), "IPv6 is needed on the loopback interface: {loopback:?}");
}

#[test]
fn it_listens_on_ipv4_ipv6_and_unix_sockets_at_once() {
    needs_ipv6();
    let (v4, v6) = (free_address(), format!("[::1]:{}", free_port()));
    let pool = headcount("run -w 1").bind(&v4).bind(&v6).bind("unix:app.sock").demo();
    let unix = format!("unix:{}", pool.path("app.sock").display());
    let worker = pool.wait_until_ready()[0];
    for address in [&v4, &v6, &unix] {
        assert_eq!(who(address).pid, worker.pid, "{address}");
    }
}

#[test]
fn every_ipv6_address_takes_ipv4_as_well_unless_the_system_says_no() {
    needs_ipv6();
    let only = std::fs::read_to_string("/proc/sys/net/ipv6/bindv6only").unwrap();
    let port = free_port();
    let pool = headcount("run -w 1").bind(&format!("[::]:{port}")).demo();
    pool.wait_until_ready();
    who(&format!("[::1]:{port}"));
    let v4 = get(&format!("127.0.0.1:{port}"), "/");
    assert_eq!(v4.is_ok(), only.trim() == "0", "{v4:?}, net.ipv6.bindv6only is {only}");
}

#[test]
fn addresses_may_stand_in_one_flag_and_port_in_the_environment() {
    let (one, other) = (free_address(), free_address());
    let pool = headcount("run -w 1").bind(&format!("{one},{other}")).demo();
    pool.wait_until_ready();
    assert_eq!(who(&one), who(&other));

    let port = free_port();
    let pool = headcount("run -w 1").env("PORT", &port.to_string()).demo();
    pool.wait_until_ready();
    who(&format!("127.0.0.1:{port}"));
}

#[test]
fn a_socket_file_that_nobody_listens_on_is_replaced() {
    let setup = headcount("run -w 1").bind("unix:app.sock");
    let path = setup.path("app.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "left over, as by a process that was killed");

    let pool = setup.demo();
    pool.wait_until_ready();
    who(&format!("unix:{}", path.display()));
}

#[test]
fn a_socket_file_that_somebody_listens_on_is_left_to_them() {
    let setup = headcount("run -w 1").bind("unix:app.sock");
    let path = setup.path("app.sock");
    let _somebody = UnixListener::bind(&path).unwrap();

    let mut refused = setup.demo();
    assert_eq!(refused.exit_code(), Some(78));
    refused.wait_for_log("cannot listen on unix:app.sock: address in use");
    assert!(std::os::unix::net::UnixStream::connect(&path).is_ok(), "it still works");
}

#[test]
fn a_file_that_is_no_socket_is_never_removed() {
    let mut refused = headcount("run -w 1").bind("unix:notes.txt").file("notes.txt", "mine").demo();
    assert_eq!(refused.exit_code(), Some(78));
    refused.wait_for_log("cannot listen on unix:notes.txt: a file that is no socket is there");
    assert_eq!(refused.read("notes.txt"), "mine");
}

/// `ss` shows a listening socket's backlog as its Send-Q.
fn backlog(address: &str) -> u32 {
    let mut ss = Command::new("ss");
    ss.args(["-ltnH", "src", address]);
    let shown = e2e::program::output(&mut ss)
        .unwrap_or_else(|error| panic!("ss (iproute2) is needed: {error:#}"));
    shown.split_whitespace().nth(2).unwrap_or_else(|| panic!("{shown:?}")).parse().unwrap()
}

#[test]
fn the_backlog_is_2048_or_what_was_asked_for() {
    let most = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
    let most: u32 = most.trim().parse().unwrap();
    for (flags, expected) in [("run -w 1", 2048), ("run -w 1 --backlog 17", 17)] {
        let address = free_address();
        let pool = headcount(flags).bind(&address).demo();
        pool.wait_until_ready();
        assert_eq!(backlog(&address), expected.min(most), "{flags}");
    }
}

/// headcount is held while its worker dies, so that the request surely comes when there is none.
#[test]
fn who_knocks_while_there_is_no_worker_is_served_by_the_next_one() {
    let address = free_address();
    let pool = headcount("run -w 1").bind(&address).demo();
    let dead = pool.wait_until_ready()[0].pid;

    pool.signal(Signal::SIGSTOP);
    eventually("headcount is stopped", || procfs::stat(pool.pid()).unwrap().state == 'T');
    send_signal(dead, Signal::SIGKILL);
    eventually("its worker is dead", || !procfs::is_alive(dead));
    let requests: Vec<_> = (0..20).map(|_| send(&address, "/").unwrap()).collect();
    pool.signal(Signal::SIGCONT);

    for request in requests {
        assert_eq!(request.answer().unwrap().status, 200);
    }
    assert_ne!(who(&address).pid, dead);
}

#[test]
fn a_stopped_pool_can_be_started_again_at_once_on_the_same_address() {
    let address = free_address();
    for _ in 0..3 {
        let mut pool = headcount("run -w 1").bind(&address).demo();
        pool.wait_until_ready();
        who(&address);
        pool.stop();
    }
}
