//! The words that the machine and its driver exchange: events in, actions out. They are kept apart
//! from the machine because they are all that a driver, or a test, has to know.

use core::time::Duration;

use crate::WorkerId;

/// A moment: the time since any fixed point, from a clock that never goes backwards
/// (`CLOCK_MONOTONIC`).
pub type Time = Duration;

/// Something that has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The process that [`Action::Spawn`] asked for runs.
    Spawned(WorkerId),
    /// The process that [`Action::Spawn`] asked for could not be started.
    SpawnFailed {
        /// The worker that has no process.
        worker: WorkerId,
        /// Trying again is pointless: the command does not exist or may not be executed.
        permanent: bool,
    },
    /// The worker said that it serves (`READY=1`, `sd_notify(3)`).
    Ready(WorkerId),
    /// The worker said that it is alive (`WATCHDOG=1`). Only a worker that has said so once is held
    /// to it.
    Heartbeat(WorkerId),
    /// The worker said anything else: it knows the protocol, so its `READY=1` is worth waiting for.
    Spoke(WorkerId),
    /// The worker's process has ended and is about to be reaped.
    Exited(WorkerId),
    /// This many workers are wanted from now on. Nought drains the pool, which stays up.
    Resize(u32),
    /// Replace every worker by one of a new generation, successor first.
    Restart,
    /// Leave.
    Stop(Urgency),
    /// Nothing, but time has passed: the answer to [`crate::Supervisor::poll_timeout`].
    Tick,
}

/// How fast to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// Serve for `drain_delay`, then finish what is in flight within `graceful_timeout` (SIGTERM).
    Graceful,
    /// Leave within `quick_timeout` (SIGINT, SIGQUIT).
    Quick,
}

/// Something to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start a process for this worker, and answer at once.
    Spawn(WorkerId),
    /// Signal this worker's process.
    Signal {
        /// To whom.
        worker: WorkerId,
        /// What.
        signal: Signal,
        /// Why, for the log.
        reason: Reason,
    },
    /// For the log: this worker is ready.
    Ready(WorkerId),
    /// For the log: this worker is replaced after this long.
    Replace {
        /// Who has gone.
        worker: WorkerId,
        /// The backoff; nought for a worker that is replaced at once.
        after: Duration,
    },
    /// All workers that are wanted are ready, for the first time.
    PoolUp,
    /// A rolling restart has ended; every worker is of this generation.
    RestartDone(u32),
    /// A rolling restart was given up: this successor did not get ready. What is left of the old
    /// generation stays.
    RestartFailed(WorkerId),
    /// All workers have gone: end the process. Nothing follows.
    Exit(Outcome),
}

/// What a worker is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Finish what is in flight and leave: SIGTERM to the worker itself, which looks after its own
    /// children.
    Terminate,
    /// Show where you hang: SIGABRT to the worker itself.
    Abort,
    /// SIGKILL to the worker's whole process group.
    Kill,
}

/// Why a worker is signalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Fewer workers are wanted.
    Resize,
    /// Its successor of a new generation is ready, or its own rolling restart was given up.
    Restart,
    /// The pool is leaving.
    Stop,
    /// It was told to leave and has not left in time.
    GraceOver,
    /// It did not get ready within `boot_timeout`.
    BootTimeout,
    /// It has sent no heartbeat for this long.
    Silent(Duration),
    /// It did not end after [`Signal::Abort`].
    AbortIgnored,
}

/// How the pool ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was told to stop, and everything has gone.
    Stopped,
    /// No worker ever got up.
    BootFailed,
    /// Workers did get up, and for `crash_window` none could be kept.
    CrashLoop,
}
