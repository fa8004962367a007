//! What should a pool of workers do next?
//!
//! [`Supervisor`] is the policy of `headcount run`, and nothing else: which worker is started, told
//! to leave, killed, replaced after how long, and when PID 1 itself ends. It touches no clock, no
//! descriptor, no pid and no signal number, so that every situation, also the rare ones, is a short
//! script in a test.
//!
//! # The driver's contract
//!
//! 1. Tell it what happened: [`Supervisor::handle`], with the time. Time never goes backwards.
//! 2. Take every [`Action`] that [`Supervisor::poll_action`] hands out, and carry it out. An
//!    [`Action::Spawn`] is answered at once by [`Event::Spawned`] or [`Event::SpawnFailed`].
//! 3. Sleep until something happens, or until [`Supervisor::poll_timeout`], whichever is first; in
//!    the second case say [`Event::Tick`].
//!
//! A worker is named by its [`WorkerId`], never by a pid: the driver keeps the pids, from the spawn
//! to the moment before it reaps, so a signal cannot reach a process that is gone.

#![forbid(unsafe_code)]
#![no_std]

extern crate alloc;

mod machine;
mod protocol;
mod settings;
mod worker;

pub use machine::Supervisor;
pub use protocol::{Action, Event, Outcome, Reason, Signal, Time, Urgency};
pub use settings::Settings;
pub use worker::{Desired, State, Worker, WorkerId};
