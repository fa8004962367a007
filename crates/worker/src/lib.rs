//! The worker's side of headcount's contract, for tokio and axum.
//!
//! headcount, like systemd, opens the listening sockets and keeps them; a worker takes them, says
//! when it serves, beats its heart while it does, and leaves without losing a request when told to.
//! Each of these is a convention that exists (see `sd_listen_fds(3)`, `sd_notify(3)`,
//! `sd_watchdog_enabled(3)`), so the same program runs under systemd, and on its own in a terminal.
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
//!     // Before the runtime: what it takes from the environment, no thread should be reading.
//!     let worker = headcount_worker::Worker::from_env(([0, 0, 0, 0], 8000).into())?;
//!     // Its threads are TOKIO_WORKER_THREADS, which headcount sets to this worker's share.
//!     let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
//!     let app = axum::Router::new();
//!     runtime.block_on(worker.serve(app))?;
//!     // Not `drop`, which would wait for whatever outlived the drain.
//!     runtime.shutdown_background();
//!     Ok(ExitCode::SUCCESS)
//! }
//! ```
//!
//! | what | from | module |
//! | --- | --- | --- |
//! | listening sockets | `LISTEN_FDS`, `LISTEN_PID`, `LISTEN_FDNAMES`; else `PORT` | `sockets` |
//! | ready, stopping, heartbeat | `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID` | `notify` |
//! | identity | `HEADCOUNT_WORKER`, `HEADCOUNT_WORKERS`, `HEADCOUNT_GENERATION` | `identity` |
//! | stop | SIGTERM, or SIGINT in a terminal | `drain`, `serve`, `connection` |
//!
//! It speaks HTTP/1.1. Connections that were upgraded (`WebSocket`) belong to the handler from then
//! on: have it watch [`Draining::started`], as should any response that streams without an end.

mod connection;
mod drain;
mod error;
mod identity;
mod notify;
mod serve;
mod sockets;
mod watched;

pub use drain::{Draining, Patience};
pub use error::Error;
pub use identity::Identity;
pub use serve::Worker;
