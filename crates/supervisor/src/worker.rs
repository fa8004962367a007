//! One worker: what is so (its [`State`]) beside what is wanted of it (its [`Desired`]), dinit's
//! split. The two meet only when a process ends: wanted and gone means a successor, unwanted and
//! gone means that the worker is forgotten.

use core::fmt;

use crate::Time;

/// A worker's name: its slot, and the generation that tells it from its predecessor while a hand-over
/// lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId {
    /// 0-based; a replacement takes the slot of the worker that it replaces.
    pub slot: u32,
    /// 1-based; raised by each rolling restart. A replacement keeps the generation.
    pub generation: u32,
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.slot, self.generation)
    }
}

/// What is wanted of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Desired {
    /// To serve.
    Up,
    /// To leave, and not to come back.
    Down,
}

/// What a worker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The driver was asked for a process and has not answered.
    Spawning,
    /// The process runs and is not known to serve.
    Starting(Life),
    /// The process serves.
    Ready(Life),
    /// The process was told to finish and leave.
    Draining {
        /// It is killed then.
        deadline: Time,
    },
    /// The process hangs and was told to show where.
    Aborting {
        /// It is killed then.
        deadline: Time,
        /// When it was spawned.
        since: Time,
    },
    /// The process was killed and has not been reaped.
    Killed(Ending),
    /// There is no process; the next is started then.
    Backoff {
        /// When to try again.
        until: Time,
    },
}

/// What is known of a process that has not been told to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// When it was spawned.
    pub since: Time,
    /// When it last sent a heartbeat; `None` if it never did.
    pub heartbeat: Option<Time>,
    /// It has sent something on the notify socket.
    pub spoke: bool,
}

/// How the end of a killed process counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It had been told to leave: no failure.
    Drain,
    /// It never got ready.
    Boot,
    /// It had been serving since then.
    Crash {
        /// When it was spawned.
        since: Time,
    },
}

/// A worker, as the machine sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Worker {
    /// Its name.
    pub id: WorkerId,
    /// What it does.
    pub state: State,
    /// What is wanted of it.
    pub desired: Desired,
    /// Failures in a row, for the backoff.
    pub failures: u32,
    /// How often its process was replaced.
    pub restarts: u32,
}

impl Worker {
    pub(crate) fn new(id: WorkerId) -> Self {
        Self { id, state: State::Spawning, desired: Desired::Up, failures: 0, restarts: 0 }
    }

    /// Whether a process belongs to it now.
    #[must_use]
    pub fn has_process(&self) -> bool {
        match self.state {
            State::Starting(_)
            | State::Ready(_)
            | State::Draining { .. }
            | State::Aborting { .. }
            | State::Killed(_) => true,
            State::Spawning | State::Backoff { .. } => false,
        }
    }

    /// Whether it serves and is meant to go on.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready(_)) && self.desired == Desired::Up
    }
}
