//! Real containers of a real engine: how many workers a limit gives, counted from outside and by who
//! answers, and what becomes of requests, workers and orphans.
//!
//! Every container has a loopback interface and no other network (`--network none`), and whoever asks
//! it joins that (`--network container:ID`): so it works on any engine, with no bridge, no firewall
//! rule and no published port.

mod control;
mod images;
mod limits;
mod process_1;

use anyhow::Result;
use e2e::docker::{Container, docker};

use crate::images::images;

/// The demo, as its image has it, with these flags of `docker run`.
fn demo(flags: &[&str]) -> Result<Container> {
    Container::start(&[&["--network", "none"], flags, &[&images()?.demo]].concat())
}

/// Has `check` meet exactly so many workers, and gives back what it saw.
fn check(app: &Container, expected: usize) -> Result<String> {
    let (network, expected) = (app.network(), expected.to_string());
    let flags = ["run", "--rm", "--network", &network, &images()?.check];
    let arguments = ["http://127.0.0.1:8000/", "--expect", &expected, "--timeout", "60s"];
    docker(&[&flags[..], &arguments[..]].concat())
}
