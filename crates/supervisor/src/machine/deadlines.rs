//! Deadlines: when something must happen to a worker though nobody says anything, and what that is.
//! Each state has one deadline or none, so the machine's timer is their minimum.

use alloc::vec::Vec;

use super::{Phase, Supervisor};
use crate::protocol::{Outcome, Reason, Signal, Time};
use crate::worker::{Ending, Life, State, Worker, WorkerId};

impl Supervisor {
    /// When something must happen to this worker though it does nothing.
    pub(super) fn deadline(&self, worker: &Worker) -> Option<Time> {
        match worker.state {
            State::Starting(life) => {
                let boot = life.since.saturating_add(self.settings.boot_timeout);
                let presumed = life.since.saturating_add(self.settings.ready_after);
                Some(if self.presumes_ready(life) { presumed.min(boot) } else { boot })
            }
            State::Ready(life) => {
                let clean = (worker.failures > 0)
                    .then_some(life.since.saturating_add(self.settings.backoff_reset));
                self.silence_ends(life).into_iter().chain(clean).min()
            }
            State::Draining { deadline } | State::Aborting { deadline, .. } => Some(deadline),
            State::Backoff { until } => Some(until),
            State::Spawning | State::Killed(_) => None,
        }
    }

    /// Whether living for `ready_after` is proof enough: not for a worker that speaks, nor in a pool
    /// whose workers have shown that they announce themselves.
    fn presumes_ready(&self, life: Life) -> bool {
        !life.spoke && !self.announces_ready
    }

    /// When a worker that says nothing counts as hanging.
    fn silence_ends(&self, life: Life) -> Option<Time> {
        Some(life.heartbeat?.saturating_add(self.settings.timeout?))
    }

    /// Whether a worker has lived long enough to be no part of a crash loop.
    pub(super) fn is_steady(&self, worker: &Worker, now: Time) -> bool {
        match worker.state {
            State::Ready(life) => now.saturating_sub(life.since) >= self.settings.backoff_reset,
            State::Spawning
            | State::Starting(_)
            | State::Draining { .. }
            | State::Aborting { .. }
            | State::Killed(_)
            | State::Backoff { .. } => false,
        }
    }

    /// When the pool gives up, unless a worker is steady before.
    pub(super) fn patience_with_crashes(&self) -> Option<Time> {
        let window = self.settings.crash_window?;
        self.all_keep_failing().then(|| self.last_steady.saturating_add(window))
    }

    pub(super) fn give_up_on_crash_loop(&mut self, now: Time) {
        if self.phase == Phase::Running
            && self.patience_with_crashes().is_some_and(|until| until <= now)
        {
            self.leave(Outcome::CrashLoop, now);
        }
    }

    pub(super) fn tick(&mut self, now: Time) {
        if let Phase::Lingering { until } = self.phase
            && until <= now
        {
            self.leave(Outcome::Stopped, now);
        }
        let due: Vec<WorkerId> = self
            .workers
            .iter()
            .filter(|worker| self.deadline(worker).is_some_and(|deadline| deadline <= now))
            .map(|worker| worker.id)
            .collect();
        for id in due {
            self.expired(id, now);
        }
    }

    /// A worker's deadline has come.
    fn expired(&mut self, id: WorkerId, now: Time) {
        let settings = self.settings;
        let Some(worker) = self.workers.iter().find(|worker| worker.id == id).copied() else {
            return;
        };
        match worker.state {
            State::Starting(life) if self.presumes_ready(life) => self.ready(id, now),
            State::Starting(_) => self.kill(id, Ending::Boot, Reason::BootTimeout),
            State::Ready(life) if self.silence_ends(life).is_none_or(|end| end > now) => {
                if let Some(worker) = self.find(id) {
                    worker.failures = 0;
                }
            }
            State::Ready(life) => {
                let silent = now.saturating_sub(life.heartbeat.unwrap_or(life.since));
                let deadline = now.saturating_add(settings.abort_grace);
                self.signal(id, Signal::Abort, Reason::Silent(silent));
                if let Some(worker) = self.find(id) {
                    worker.state = State::Aborting { deadline, since: life.since };
                }
            }
            State::Draining { .. } => self.kill(id, Ending::Drain, Reason::GraceOver),
            State::Aborting { since, .. } => {
                self.kill(id, Ending::Crash { since }, Reason::AbortIgnored);
            }
            State::Backoff { .. } => self.start(id),
            State::Spawning | State::Killed(_) => {}
        }
    }

    fn kill(&mut self, id: WorkerId, ending: Ending, reason: Reason) {
        if let Some(worker) = self.find(id) {
            worker.state = State::Killed(ending);
            self.signal(id, Signal::Kill, reason);
        }
    }
}
