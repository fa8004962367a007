//! Without a manager: it binds a port itself and is an ordinary program.

use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::{Client, DEADLINE, Demo};

#[test]
fn every_route_answers() {
    let mut demo = Demo::alone(&[("PORT", "0")]);
    let mut client = Client::connect(&demo.addresses()[0]);
    let whoami = json!({"worker": null, "pid": demo.pid(), "generation": null, "workers": null});
    for path in ["/", "/cpu?ms=5", "/sleep?ms=5"] {
        let response = client.get(path);
        assert_eq!(response.status, "200", "{path}");
        assert_eq!(serde_json::from_str::<Value>(&response.body).unwrap(), whoami, "{path}");
        assert!(!response.closes, "{path}");
    }
    assert_eq!(client.get("/healthz").body, "ok");
    assert_eq!(client.get("/readyz").status, "200");
    assert_eq!(client.get("/nowhere").status, "404");
}

#[test]
fn a_bad_time_is_refused_with_a_reason() {
    let mut demo = Demo::alone(&[("PORT", "0")]);
    let mut client = Client::connect(&demo.addresses()[0]);
    for path in ["/cpu", "/sleep?ms=-1", "/sleep?ms=soon", "/cpu?ms=60001"] {
        let response = client.get(path);
        assert_eq!(response.status, "400", "{path}");
        assert!(response.body.starts_with("ms must be a whole number from 0 to 60000"), "{path}");
    }
}

#[test]
fn an_address_in_use_is_one_line_that_names_it() {
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let mut demo = Demo::alone(&[("PORT", &port)]);
    let line = demo.log_line();
    assert!(line.contains(&format!("cannot bind 0.0.0.0:{port}")), "{line}");
    assert_eq!(demo.log_line(), "");
    assert_eq!(demo.exit().code(), Some(1));
}

#[test]
fn a_port_that_is_none_is_refused() {
    let mut demo = Demo::alone(&[("PORT", "http")]);
    let line = demo.log_line();
    assert!(line.contains(r#"PORT="http""#), "{line}");
    assert_eq!(demo.exit().code(), Some(1));
}

#[test]
fn both_signals_stop_it() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut demo = Demo::alone(&[("PORT", "0")]);
        demo.addresses();
        demo.signal(signal);
        assert_eq!(demo.exit().code(), Some(0), "{signal}");
    }
}

#[test]
fn a_second_interrupt_does_not_wait() {
    let mut demo = Demo::alone(&[("PORT", "0")]);
    let address = demo.addresses().remove(0);
    let mut client = Client::connect(&address);
    assert_eq!(client.get("/").status, "200");
    client.send("/sleep?ms=60000");
    demo.signal(Signal::SIGINT);
    // Its listener is gone: the first one was heard.
    let start = Instant::now();
    while TcpStream::connect(&address).is_ok() {
        assert!(start.elapsed() < DEADLINE, "it does not stop listening");
    }
    demo.signal(Signal::SIGINT);
    assert_eq!(demo.exit().code(), Some(0));
}
