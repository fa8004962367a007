//! Limits that change while the pool runs (`docker update --cpus`, a resize in place by Kubernetes).
//!
//! A write to one of our cgroup's files is a hint; what counts is what is read some time later, and
//! only if it is still so after the same time again: an engine writes several files one after the
//! other, and nobody wants a pool that flaps. A number of workers that was set, in the configuration
//! or by hand, follows nothing; the budget that a new worker finds in its environment always does.
//!
//! No event comes when a limit changes above what is visible, or when a cpuset shrinks.

use std::time::Duration;

use headcount_limits::Limits;
use headcount_supervisor::Time;
use tracing::{debug, warn};

use super::Pool;
use crate::os::sleep::{Sleeper, Wake};
use crate::os::watch::Watch;
use crate::plan::Plan;

/// How long a value must hold, and how long after a hint it is read: the first event can precede the
/// value that it is about.
const DEBOUNCE: Duration = Duration::from_millis(300);

/// What is known of changes to come.
#[derive(Default)]
pub(super) struct Live {
    watch: Option<Watch>,
    /// When to read the limits, after a hint.
    look_at: Option<Time>,
    /// What was read last, if the pool has not followed it yet.
    candidate: Option<Limits>,
}

impl Live {
    /// Watches the cgroups that the plan was made by.
    pub(super) fn start(plan: &Plan, sleeper: &Sleeper) -> Self {
        if !plan.config.resize {
            return Self::default();
        }
        let watch = Watch::directories(&plan.limits.visited_dirs).and_then(|watch| {
            sleeper.watch(&watch, Wake::Limits)?;
            Ok(watch)
        });
        if let Err(error) = &watch {
            warn!("limits that change while headcount runs will not be seen: inotify: {error}");
        }
        Self { watch: watch.ok(), ..Self::default() }
    }
}

impl Pool {
    /// Something was written to the cgroup.
    pub(super) fn limits_may_have_changed(&mut self) {
        if let Some(watch) = &self.live.watch {
            watch.drain();
            let now = self.now();
            self.live.look_at.get_or_insert(now.saturating_add(DEBOUNCE));
        }
    }

    pub(super) fn live_deadline(&self) -> Option<Time> {
        self.live.look_at
    }

    /// Reads the limits when the time for that has come, and follows what has held.
    pub(super) fn follow_limits(&mut self) {
        let now = self.now();
        if self.live.look_at.is_none_or(|at| at > now) {
            return;
        }
        self.live.look_at = None;
        let Some(newest) = self.generations.last_mut() else { return };
        let plan = Plan::make(newest.plan.config.clone());
        let held = self.live.candidate.take();
        if plan.limits == newest.plan.limits || self.supervisor.is_leaving() {
            debug!("the limits are as they were");
        } else if held.as_ref() == Some(&plan.limits) {
            for warning in &plan.limits.warnings {
                warn!("{warning}");
            }
            let (workers, because) = (plan.workers, plan.because.clone());
            newest.replan(plan, self.notify.address());
            self.oom.limit_is(&newest.plan.limits.memory);
            if !self.changes.by_hand && workers != self.supervisor.desired() {
                self.resize(workers, because);
            }
        } else {
            self.live.candidate = Some(plan.limits);
            self.live.look_at = Some(now.saturating_add(DEBOUNCE));
        }
    }
}
