//! Leaving: from the first request to stop to [`Action::Exit`], gracefully or quickly, and after a
//! failed boot.

use alloc::vec::Vec;

use super::{Phase, Supervisor};
use crate::protocol::{Action, Outcome, Reason, Time, Urgency};
use crate::worker::{State, WorkerId};

impl Supervisor {
    pub(super) fn stop(&mut self, urgency: Urgency, now: Time) {
        match (self.phase, urgency) {
            (Phase::Running, Urgency::Graceful) if !self.settings.drain_delay.is_zero() => {
                let until = now.saturating_add(self.settings.drain_delay);
                self.phase = Phase::Lingering { until };
            }
            (Phase::Running, Urgency::Graceful) => self.leave(Outcome::Stopped, now),
            (Phase::Running | Phase::Lingering { .. }, Urgency::Quick) => {
                self.hasten(now);
                self.leave(Outcome::Stopped, now);
            }
            (Phase::Stopping(_), Urgency::Quick) => self.hasten(now),
            (Phase::Lingering { .. } | Phase::Stopping(_), Urgency::Graceful)
            | (Phase::Over, Urgency::Graceful | Urgency::Quick) => {}
        }
    }

    pub(super) fn leave(&mut self, outcome: Outcome, now: Time) {
        self.phase = Phase::Stopping(outcome);
        self.restarting_to = None;
        let all: Vec<WorkerId> = self.workers.iter().map(|worker| worker.id).collect();
        for id in all {
            self.send_away(id, Reason::Stop, now);
        }
    }

    /// Shortens every grace period, also those that have begun.
    fn hasten(&mut self, now: Time) {
        self.grace = self.grace.min(self.settings.quick_timeout);
        let latest = now.saturating_add(self.grace);
        for worker in &mut self.workers {
            if let State::Draining { deadline } = &mut worker.state {
                *deadline = latest.min(*deadline);
            }
        }
    }

    pub(super) fn finish(&mut self) {
        if let Phase::Stopping(outcome) = self.phase
            && self.workers.is_empty()
        {
            self.phase = Phase::Over;
            self.actions.push_back(Action::Exit(outcome));
        }
    }
}
