//! headcount as its users meet it: the shipped static binary, real processes, real sockets, real
//! signals, and a real PID 1 in a new pid namespace. No mocks, and no waiting for a time: each test
//! waits for a condition, with a deadline.
//!
//! A test reads as a story: how headcount is started, what happens to it, what is then so. The
//! folder's other files are what the stories are told with:
//!
//! | module | is |
//! | --- | --- |
//! | [`support`] | starting headcount, waiting, and cleaning up, also after a test that failed |
//! | [`procfs`] | processes as everybody can see them |
//! | [`client`] | requests, each over a connection of its own |
//! | [`cgroup`] | a real quota |
//!
//! What is tested is what `cargo build --profile tiny` makes, statically linked. `HEADCOUNT_BIN` and
//! `DEMO_BIN` name other binaries to test instead. A machine that lacks what a test needs (root, to
//! make a cgroup; `strace`; pip) makes that test fail with a message that names it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that panics has failed, which is what it is for; helpers are tests too"
)]

mod cgroup;
mod client;
mod procfs;
mod pypi;
mod support;

mod crash;
mod errors;
mod exec;
mod foreign;
mod frugal;
mod gunicorn;
mod heartbeat;
mod limits;
mod live;
mod pid1;
mod pool;
mod quota;
mod reload;
mod signals;
mod sockets;
mod stop;
mod zero_loss;
