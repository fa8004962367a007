//! The worker contract as a manager and a client see it: real processes, real sockets, no mocks.
//! The subject is `crates/worker`; the demo is the smallest program that speaks it, so the tests
//! live where Cargo hands out its path.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod alone;
mod drain;
mod managed;
mod support;
