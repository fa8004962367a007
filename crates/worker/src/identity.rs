//! Which worker of how many this is. Only for logs, metrics and work that one worker of the pool
//! should do; nothing that serves may depend on it, since a program that runs on its own has none.

use std::env;
use std::str::FromStr;

/// What headcount told this worker about itself. Every field is `None` for one that runs on its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Identity {
    /// The slot, counted from 0. A successor takes over the slot of its predecessor, and for a
    /// moment both run.
    pub worker: Option<u32>,
    /// How many workers there should be.
    pub workers: Option<u32>,
    /// Tells apart those who held the slot one after the other.
    pub generation: Option<u64>,
}

impl Identity {
    /// Reads `HEADCOUNT_WORKER`, `HEADCOUNT_WORKERS` and `HEADCOUNT_GENERATION`.
    #[must_use]
    pub fn from_env() -> Self {
        Self {
            worker: number("HEADCOUNT_WORKER"),
            workers: number("HEADCOUNT_WORKERS"),
            generation: number("HEADCOUNT_GENERATION"),
        }
    }
}

/// A variable that is no number is as good as none: no reason to refuse to serve.
fn number<T: FromStr>(name: &str) -> Option<T> {
    let value = env::var(name).ok()?;
    let number = value.parse().ok();
    if number.is_none() {
        tracing::warn!("{name}={value:?} is not a number: ignored");
    }
    number
}
