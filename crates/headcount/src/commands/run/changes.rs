//! Changes to a pool that runs: its size, and its configuration. A signal asks for them, the control
//! socket, or a limit; all go through here, and what was changed last, and why, is kept for `status`.

use std::fmt;

use headcount_supervisor::{Event, Time, WorkerId};
use tracing::{error, info, warn};

use super::generation::Generation;
use super::{Pool, settings};
use crate::config::ConfigError;
use crate::os::sockets::SocketError;
use crate::os::sys;
use crate::plan::Plan;
use crate::protocol::Scale;

/// What was changed last.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// A person has said how many workers there are to be (`scale N`, TTIN, TTOU, WINCH): until
    /// `scale auto` or a reload, nothing else does.
    pub by_hand: bool,
    pub resized: Option<Resized>,
    pub restarted: Option<Restarted>,
}

/// The pool was resized.
#[derive(Debug)]
pub(super) struct Resized {
    pub when: Time,
    pub from: u32,
    pub to: u32,
    pub because: String,
}

/// A rolling restart was begun.
#[derive(Debug)]
pub(super) struct Restarted {
    pub when: Time,
    pub generation: u32,
    pub end: RestartEnd,
}

/// How a rolling restart ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum RestartEnd {
    /// Not yet.
    Runs,
    /// All workers are of its generation.
    Done,
    /// This worker did not get ready.
    GivenUp(WorkerId),
}

/// Why nothing was reloaded.
#[derive(Debug)]
pub(super) enum NotReloaded {
    Leaving,
    Config(ConfigError),
    Socket(SocketError),
}

impl fmt::Display for NotReloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leaving => f.write_str("headcount is stopping"),
            Self::Config(error) => error.fmt(f),
            Self::Socket(error) => error.fmt(f),
        }
    }
}

impl Pool {
    pub(super) fn resize(&mut self, workers: u32, because: String) {
        let (from, to) = (self.supervisor.desired(), workers.min(headcount_limits::MAX_WORKERS));
        info!(workers = to, was = from, "resizing: {because}");
        if from != to {
            self.changes.resized = Some(Resized { when: self.now(), from, to, because });
        }
        self.tell(Event::Resize(to));
    }

    /// Resizes because a person wants it.
    pub(super) fn resize_by_hand(&mut self, workers: u32, because: &str) {
        self.changes.by_hand = true;
        self.resize(workers, because.to_owned());
    }

    /// Carries out `headcount scale`; the answer is how many workers are wanted from here on.
    pub(super) fn scale(&mut self, scale: Scale) -> u32 {
        match scale {
            Scale::To(workers) => self.resize_by_hand(workers, "headcount scale"),
            Scale::Auto => {
                self.changes.by_hand = false;
                if let Some(newest) = self.generations.last() {
                    let plan = Plan::make(newest.plan.config.clone());
                    self.resize(plan.workers, format!("headcount scale auto: {}", plan.because));
                }
            }
        }
        self.supervisor.desired()
    }

    /// Reads the configuration again and rolls the workers over; the answer is their generation. A
    /// bad configuration changes nothing.
    pub(super) fn reload(&mut self) -> Result<u32, NotReloaded> {
        let reloaded = self.try_to_reload();
        if let Err(error) = &reloaded {
            error!("not reloading: {error}");
        }
        reloaded
    }

    fn try_to_reload(&mut self) -> Result<u32, NotReloaded> {
        if self.supervisor.is_leaving() {
            return Err(NotReloaded::Leaving);
        }
        let plan = self.source.plan().map_err(NotReloaded::Config)?;
        for warning in plan.warnings() {
            warn!("{warning}");
        }
        let settings = settings(&plan.config);
        let workers = plan.workers;
        let number = self.supervisor.latest_generation().saturating_add(1);
        let newest = self.generations.last();
        if newest.is_some_and(|newest| newest.plan.config.control != plan.config.control) {
            warn!("the control socket stays where it is until headcount is started again");
        }
        let generation = Generation::prepare(number, plan, newest, self.notify.address())
            .map_err(NotReloaded::Socket)?;
        info!(generation = number, workers, "reloading: {}", generation.plan.because);
        let because = format!("reload: {}", generation.plan.because);
        self.generations.push(generation);
        self.supervisor.reconfigure(settings);
        let when = self.now();
        self.changes.restarted =
            Some(Restarted { when, generation: number, end: RestartEnd::Runs });
        self.tell(Event::Restart);
        self.changes.by_hand = false;
        if workers != self.supervisor.desired() {
            self.resize(workers, because);
        }
        Ok(number)
    }

    /// A rolling restart has ended. Drops what no worker will be started from again, and with it the
    /// sockets that only it had.
    pub(super) fn restart_ended(&mut self, end: RestartEnd) {
        if let Some(restarted) = &mut self.changes.restarted {
            restarted.end = end;
        }
        let supervisor = &self.supervisor;
        self.generations.retain(|generation| supervisor.uses_generation(generation.number));
        sys::release_memory();
    }
}
