//! The control socket of a real headcount, from outside: what it answers, what it changes, and that
//! nobody who connects to it can make it wait or grow.

#![allow(clippy::unwrap_used, clippy::panic, reason = "to panic is how a test fails")]
#![allow(clippy::indexing_slicing, reason = "a missing field of JSON is null, and fails the test")]
#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]
#![allow(clippy::disallowed_methods, reason = "those of PID 1; a test starts processes and waits")]
#![allow(unreachable_pub, reason = "a test has no public items; `pub` marks a module's own face")]

mod commands;
mod hostile;
mod socket;
mod support;
