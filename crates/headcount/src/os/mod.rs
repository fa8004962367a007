//! The kernel's side of things, one matter a room. What needs `unsafe` is in `sys` and nowhere
//! else; nothing in here knows what a worker is.

pub mod control;
pub mod notify;
pub mod proc;
pub mod reap;
pub mod signals;
pub mod sleep;
pub mod sockets;
pub mod spawn;
pub mod sys;
pub mod watch;
