//! The machine: a list of workers, a phase, and the rules that turn events and deadlines into
//! actions. One function takes events apart by what they concern, one matches a worker's state when
//! its process ends, one when its deadline has come; each match is exhaustive, so that a new state
//! makes the compiler ask what to do there.

mod deadlines;
mod leaving;
mod restart;

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::protocol::{Action, Event, Outcome, Reason, Signal, Time};
use crate::settings::Settings;
use crate::worker::{Desired, Ending, Life, State, Worker, WorkerId};

/// Where the pool as a whole is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Serving.
    Running,
    /// Told to stop, and serving until then (`drain_delay`).
    Lingering { until: Time },
    /// Every worker is on its way out.
    Stopping(Outcome),
    /// [`Action::Exit`] was handed out.
    Over,
}

/// The state machine of one pool. See the crate's documentation for the driver's contract.
///
/// Invariants, held by `tests/random.rs`: no slot has more than two processes, and two only during a
/// hand-over; at most one hand-over at a time; every process that is told to leave is killed when it
/// does not; a worker that has no process is never signalled; after a stop the machine ends.
#[derive(Debug)]
pub struct Supervisor {
    settings: Settings,
    phase: Phase,
    /// Sorted by id: a successor stands right behind the worker that it is to replace.
    workers: Vec<Worker>,
    /// How many slots are wanted.
    desired: u32,
    /// What a new slot starts with: the generation of the last rolling restart that succeeded.
    generation: u32,
    /// The generation that a rolling restart is moving to.
    restarting_to: Option<u32>,
    /// The highest generation ever used, so that none is used twice.
    latest: u32,
    /// How long a worker may take to leave: `graceful_timeout`, until somebody is in a hurry.
    grace: Time,
    /// Some worker has been ready: from here on, failures are crashes and not a failed boot.
    has_been_ready: bool,
    /// [`Action::PoolUp`] was handed out.
    has_been_up: bool,
    /// Some worker of this pool has said `READY=1`: the others are waited for.
    announces_ready: bool,
    /// When a worker was last seen that has lived for `backoff_reset`; at first, the start.
    last_steady: Time,
    actions: VecDeque<Action>,
}

impl Supervisor {
    /// A pool that wants this many workers; the first actions start them.
    #[must_use]
    pub fn new(settings: Settings, desired: u32, now: Time) -> Self {
        let mut supervisor = Self {
            settings,
            phase: Phase::Running,
            workers: Vec::new(),
            desired: 0,
            generation: 1,
            restarting_to: None,
            latest: 1,
            grace: settings.graceful_timeout,
            has_been_ready: false,
            has_been_up: false,
            announces_ready: false,
            last_steady: now,
            actions: VecDeque::new(),
        };
        supervisor.handle(Event::Resize(desired), now);
        supervisor
    }

    /// Tells the machine what happened, and when. An event that no longer applies (a heartbeat that
    /// crossed the worker's end on its way) changes nothing.
    pub fn handle(&mut self, event: Event, now: Time) {
        if self.workers.iter().any(|worker| self.is_steady(worker, now)) {
            self.last_steady = now;
        }
        match event {
            Event::Spawned(id) => self.spawned(id, now),
            Event::SpawnFailed { worker, permanent } => self.spawn_failed(worker, permanent, now),
            Event::Ready(id) => {
                if self.spoke(id, None) {
                    self.announces_ready = true;
                    self.ready(id, now);
                }
            }
            Event::Heartbeat(id) => {
                self.spoke(id, Some(now));
            }
            Event::Spoke(id) => {
                self.spoke(id, None);
            }
            Event::Exited(id) => self.exited(id, now),
            Event::Resize(desired) => self.resize(desired, now),
            Event::Restart => self.restart(),
            Event::Stop(urgency) => self.stop(urgency, now),
            Event::Tick => self.tick(now),
        }
        self.give_up_on_crash_loop(now);
        self.advance_restart();
        self.finish();
    }

    /// The next thing to do, or `None` when there is nothing more until the next event.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to say [`Event::Tick`] if nothing happens before; `None` means that only an event can
    /// change anything.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        let phase = match self.phase {
            Phase::Running => self.patience_with_crashes(),
            Phase::Lingering { until } => Some(until),
            Phase::Stopping(_) | Phase::Over => None,
        };
        self.workers.iter().filter_map(|worker| self.deadline(worker)).chain(phase).min()
    }

    /// The workers, in the order of their slots.
    #[must_use]
    pub fn workers(&self) -> &[Worker] {
        &self.workers
    }

    /// How many workers are wanted.
    #[must_use]
    pub fn desired(&self) -> u32 {
        self.desired
    }

    /// Takes other times from here on. What has begun keeps the deadline that it was given.
    pub fn reconfigure(&mut self, settings: Settings) {
        self.settings = settings;
        if self.phase == Phase::Running {
            self.grace = settings.graceful_timeout;
        }
    }

    /// Whether a worker is, or may yet be, started with this generation.
    #[must_use]
    pub fn uses_generation(&self, generation: u32) -> bool {
        generation == self.generation
            || self.restarting_to == Some(generation)
            || self.workers.iter().any(|worker| worker.id.generation == generation)
    }

    /// Whether this worker is meant to end: its end is no crash.
    #[must_use]
    pub fn is_told_to_leave(&self, id: WorkerId) -> bool {
        self.workers.iter().any(|worker| {
            worker.id == id
                && (worker.desired == Desired::Down
                    || matches!(worker.state, State::Draining { .. }))
        })
    }

    /// The newest generation: after [`Event::Restart`], the one that the restart moves to.
    #[must_use]
    pub fn latest_generation(&self) -> u32 {
        self.latest
    }

    /// Whether the pool has been told to leave.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.phase != Phase::Running
    }

    // ---- what happens to one worker -------------------------------------------------------------

    fn find(&mut self, id: WorkerId) -> Option<&mut Worker> {
        self.workers.iter_mut().find(|worker| worker.id == id)
    }

    fn remove(&mut self, id: WorkerId) {
        self.workers.retain(|worker| worker.id != id);
    }

    fn add(&mut self, slot: u32, generation: u32) {
        let id = WorkerId { slot, generation };
        let place = self.workers.partition_point(|worker| worker.id < id);
        self.workers.insert(place, Worker::new(id));
        self.actions.push_back(Action::Spawn(id));
    }

    fn signal(&mut self, worker: WorkerId, signal: Signal, reason: Reason) {
        self.actions.push_back(Action::Signal { worker, signal, reason });
    }

    fn spawned(&mut self, id: WorkerId, now: Time) {
        let Some(worker) = self.find(id).filter(|worker| worker.state == State::Spawning) else {
            return;
        };
        worker.state = State::Starting(Life { since: now, heartbeat: None, spoke: false });
        // It was told to leave between the request for its process and the answer.
        if worker.desired == Desired::Down {
            self.send_away(id, Reason::Stop, now);
        }
    }

    fn spawn_failed(&mut self, id: WorkerId, permanent: bool, now: Time) {
        if self.find(id).is_none_or(|worker| worker.state != State::Spawning) {
            return;
        }
        if permanent && !self.has_been_ready && !self.is_successor(id) {
            self.remove(id);
            self.leave(Outcome::BootFailed, now);
        } else {
            self.ended(id, Ending::Boot, now);
        }
    }

    /// Notes that a worker has said something; false if it is on its way out, or was never there.
    fn spoke(&mut self, id: WorkerId, beat: Option<Time>) -> bool {
        let Some(Worker { state: State::Starting(life) | State::Ready(life), .. }) = self.find(id)
        else {
            return false;
        };
        life.spoke = true;
        life.heartbeat = beat.or(life.heartbeat);
        true
    }

    fn ready(&mut self, id: WorkerId, now: Time) {
        let Some(worker) = self.find(id) else { return };
        let State::Starting(life) = worker.state else { return };
        worker.state = State::Ready(life);
        self.has_been_ready = true;
        self.actions.push_back(Action::Ready(id));
        self.retire_predecessor(id, now);
        let ready = self.workers.iter().filter(|worker| worker.is_ready()).count();
        if !self.has_been_up && ready >= usize::try_from(self.desired).unwrap_or(usize::MAX) {
            self.has_been_up = true;
            self.actions.push_back(Action::PoolUp);
        }
    }

    /// Its process has ended: what that means depends on what it was doing.
    fn exited(&mut self, id: WorkerId, now: Time) {
        let Some(worker) = self.find(id) else { return };
        let ending = match worker.state {
            State::Starting(_) => Ending::Boot,
            State::Ready(life) => Ending::Crash { since: life.since },
            State::Draining { .. } => Ending::Drain,
            State::Aborting { since, .. } => Ending::Crash { since },
            State::Killed(ending) => ending,
            // There is no process that could have ended.
            State::Spawning | State::Backoff { .. } => return,
        };
        self.ended(id, ending, now);
    }

    /// A worker is without a process: replace it if it is wanted, forget it if it is not.
    fn ended(&mut self, id: WorkerId, ending: Ending, now: Time) {
        let settings = self.settings;
        let Some(worker) = self.find(id) else { return };
        if worker.desired == Desired::Down {
            self.remove(id);
            return;
        }
        let after = match ending {
            Ending::Drain => Time::ZERO,
            Ending::Boot => {
                worker.failures = worker.failures.saturating_add(1);
                settings.backoff(worker.failures, false)
            }
            Ending::Crash { since } => {
                let lived = now.saturating_sub(since);
                let before = if lived >= settings.backoff_reset { 0 } else { worker.failures };
                worker.failures = before.saturating_add(1);
                settings.backoff(worker.failures, true)
            }
        };
        worker.restarts = worker.restarts.saturating_add(1);
        if ending == Ending::Boot {
            if self.is_successor(id) {
                self.give_up_restart(id);
                return;
            }
            if !self.has_been_ready && self.all_keep_failing() {
                self.remove(id);
                self.leave(Outcome::BootFailed, now);
                return;
            }
        }
        self.actions.push_back(Action::Replace { worker: id, after });
        if after.is_zero() {
            self.start(id);
        } else if let Some(worker) = self.find(id) {
            worker.state = State::Backoff { until: now.saturating_add(after) };
        }
    }

    fn start(&mut self, id: WorkerId) {
        if let Some(worker) = self.find(id) {
            worker.state = State::Spawning;
            self.actions.push_back(Action::Spawn(id));
        }
    }

    /// Every slot has failed too often in a row.
    fn all_keep_failing(&self) -> bool {
        let mut wanted =
            self.workers.iter().filter(|worker| worker.desired == Desired::Up).peekable();
        wanted.peek().is_some()
            && wanted.all(|worker| worker.failures >= self.settings.boot_attempts)
    }

    /// Wants a worker to leave, and tells it so if there is anybody to tell.
    fn send_away(&mut self, id: WorkerId, reason: Reason, now: Time) {
        let deadline = now.saturating_add(self.grace);
        let Some(worker) = self.find(id) else { return };
        worker.desired = Desired::Down;
        match worker.state {
            State::Starting(_) | State::Ready(_) => {
                worker.state = State::Draining { deadline };
                self.signal(id, Signal::Terminate, reason);
            }
            State::Backoff { .. } => self.remove(id),
            State::Spawning => self.unask(id),
            State::Draining { .. } | State::Aborting { .. } | State::Killed(_) => {}
        }
    }

    /// Takes a spawn back that the driver has not seen. One that it is carrying out right now ends
    /// in `spawned`.
    fn unask(&mut self, id: WorkerId) {
        let asked = self.actions.len();
        self.actions.retain(|action| *action != Action::Spawn(id));
        if self.actions.len() < asked {
            self.remove(id);
        }
    }

    // ---- the size of the pool -------------------------------------------------------------------

    fn resize(&mut self, desired: u32, now: Time) {
        if self.phase != Phase::Running {
            return;
        }
        self.desired = desired;
        let surplus: Vec<WorkerId> =
            self.workers.iter().map(|worker| worker.id).filter(|id| id.slot >= desired).collect();
        for id in surplus {
            self.send_away(id, Reason::Resize, now);
        }
        for slot in 0..desired {
            self.fill(slot);
        }
    }

    /// Makes sure that a wanted slot has a worker. One that is still leaving is wanted again: its
    /// successor starts when it has gone, so that the pool never has more processes than slots.
    fn fill(&mut self, slot: u32) {
        let generation = self.generation;
        let mut holders = self.workers.iter_mut().filter(|worker| worker.id.slot == slot);
        if holders.any(|worker| worker.desired == Desired::Up) {
            return;
        }
        match self.workers.iter_mut().rfind(|worker| worker.id.slot == slot) {
            Some(newest) => newest.desired = Desired::Up,
            None => self.add(slot, generation),
        }
    }
}
