//! Rolling restarts: one hand-over after the other, each successor ready before its predecessor is
//! told to leave. Kept apart because this is the only part of the machine in which a slot has two
//! workers.

use super::{Phase, Supervisor};
use crate::protocol::{Action, Reason, Time};
use crate::worker::{Desired, Worker, WorkerId};

impl Supervisor {
    /// Begins a rolling restart. One that is under way is overtaken: what it has started is replaced
    /// in its turn.
    pub(super) fn restart(&mut self) {
        if self.phase == Phase::Running {
            self.latest = self.latest.saturating_add(1);
            self.restarting_to = Some(self.latest);
        }
    }

    /// Starts the next hand-over when the one before has ended, its predecessor's process included:
    /// so there is at most one process more than slots.
    pub(super) fn advance_restart(&mut self) {
        let Some(target) = self.restarting_to else { return };
        if self.phase != Phase::Running || self.hand_over_runs() {
            return;
        }
        let next = self
            .workers
            .iter()
            .find(|worker| worker.desired == Desired::Up && worker.id.generation < target);
        if let Some(predecessor) = next {
            self.add(predecessor.id.slot, target);
        } else {
            self.generation = target;
            self.restarting_to = None;
            self.actions.push_back(Action::RestartDone(target));
        }
    }

    fn hand_over_runs(&self) -> bool {
        self.workers.windows(2).any(|pair| match pair {
            [older, newer] => older.id.slot == newer.id.slot,
            _ => false,
        })
    }

    fn predecessor(&self, id: WorkerId) -> Option<&Worker> {
        self.workers
            .iter()
            .find(|worker| worker.id.slot == id.slot && worker.id.generation < id.generation)
    }

    /// Whether a predecessor still serves in its place.
    pub(super) fn is_successor(&self, id: WorkerId) -> bool {
        self.predecessor(id).is_some_and(|worker| worker.desired == Desired::Up)
    }

    pub(super) fn retire_predecessor(&mut self, id: WorkerId, now: Time) {
        if let Some(old) = self.predecessor(id).map(|worker| worker.id) {
            self.send_away(old, Reason::Restart, now);
        }
    }

    /// A successor did not get up: its predecessor stays, and so does everything behind it, unless a
    /// newer restart, which may be the remedy, has overtaken this one.
    pub(super) fn give_up_restart(&mut self, successor: WorkerId) {
        self.remove(successor);
        if self.restarting_to == Some(successor.generation) {
            self.restarting_to = None;
            self.actions.push_back(Action::RestartFailed(successor));
        }
    }
}
