//! A driver in virtual time: it answers spawns, keeps the processes that run, and checks after every
//! action what must hold in every situation. Both the scripts and the random sequences run on it.

#![allow(
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a failed check is a failed test"
)]
#![allow(unreachable_pub, reason = "each test file is a crate of its own")]
#![allow(dead_code, reason = "each test file uses its own part of the model")]

use std::collections::BTreeMap;
use std::time::Duration;

use headcount_supervisor::{
    Action, Event, Outcome, Settings, Signal, Supervisor, Time, Urgency, WorkerId,
};

/// What the model knows of a process.
#[derive(Debug, Default)]
pub struct Process {
    pub terminated: bool,
    pub killed: bool,
}

/// How the next spawns go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spawning {
    Works,
    Fails { permanent: bool },
}

pub struct Model {
    pub machine: Supervisor,
    pub now: Time,
    pub processes: BTreeMap<WorkerId, Process>,
    pub spawning: Spawning,
    pub log: Vec<(Time, Action)>,
    pub ended: Option<Outcome>,
}

pub fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub fn id(slot: u32, generation: u32) -> WorkerId {
    WorkerId { slot, generation }
}

impl Model {
    pub fn new(settings: Settings, desired: u32) -> Self {
        // Time may begin anywhere.
        let now = Duration::from_secs(1_000);
        let mut model = Self {
            machine: Supervisor::new(settings, desired, now),
            now,
            processes: BTreeMap::new(),
            spawning: Spawning::Works,
            log: Vec::new(),
            ended: None,
        };
        model.drive();
        model
    }

    /// An event from outside, now.
    pub fn tell(&mut self, event: Event) {
        self.machine.handle(event, self.now);
        self.drive();
    }

    /// The worker's process ends.
    pub fn exit(&mut self, id: WorkerId) {
        assert!(self.processes.remove(&id).is_some(), "the test ends {id}, which does not run");
        self.tell(Event::Exited(id));
    }

    pub fn ready(&mut self, id: WorkerId) {
        assert!(self.processes.contains_key(&id), "the test readies {id}, which does not run");
        self.tell(Event::Ready(id));
    }

    /// Lets time pass, with a tick at every deadline on the way.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.machine.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.tell(Event::Tick);
            if let Some(next) = self.machine.poll_timeout() {
                assert!(next > self.now, "a tick at {:?} left its deadline {next:?}", self.now);
            }
        }
        self.now = end;
    }

    /// What was done since the last look, without the times.
    pub fn take(&mut self) -> Vec<Action> {
        self.log.drain(..).map(|(_, action)| action).collect()
    }

    pub fn ready_workers(&self) -> usize {
        self.machine.workers().iter().filter(|worker| worker.is_ready()).count()
    }

    pub fn running(&self) -> Vec<WorkerId> {
        self.processes.keys().copied().collect()
    }

    /// Stops the pool the quick way, with processes that ignore everything but SIGKILL.
    pub fn end(&mut self) -> Outcome {
        self.tell(Event::Stop(Urgency::Quick));
        self.pass(Duration::from_secs(10));
        for id in self.running() {
            assert!(self.processes[&id].killed, "{id} ignores SIGTERM and was not killed");
            self.exit(id);
        }
        let ended = self.ended.expect("everything has gone, and the machine goes on");
        self.tell(Event::Tick);
        self.tell(Event::Resize(3));
        self.tell(Event::Restart);
        assert!(self.processes.is_empty(), "a spawn after the end");
        assert_eq!(self.machine.poll_timeout(), None, "a deadline after the end");
        ended
    }

    fn drive(&mut self) {
        while let Some(action) = self.machine.poll_action() {
            assert!(self.ended.is_none(), "{action:?} after the end");
            self.log.push((self.now, action));
            match action {
                Action::Spawn(id) => self.spawn(id),
                Action::Signal { worker, signal, .. } => {
                    let Some(process) = self.processes.get_mut(&worker) else {
                        panic!("{signal:?} to {worker}, which does not run");
                    };
                    assert!(!process.killed, "{signal:?} to {worker}, which was killed before");
                    match signal {
                        Signal::Terminate => {
                            assert!(!process.terminated, "{worker} was told to leave twice");
                            process.terminated = true;
                        }
                        Signal::Abort => {}
                        Signal::Kill => process.killed = true,
                    }
                }
                Action::Exit(outcome) => {
                    assert!(self.processes.is_empty(), "ended before {:?}", self.running());
                    self.ended = Some(outcome);
                }
                Action::Ready(_)
                | Action::Replace { .. }
                | Action::PoolUp
                | Action::RestartDone(_)
                | Action::RestartFailed(_) => {}
            }
        }
        self.check();
    }

    fn spawn(&mut self, id: WorkerId) {
        assert!(!self.processes.contains_key(&id), "{id} runs already");
        let event = match self.spawning {
            Spawning::Works => {
                self.processes.insert(id, Process::default());
                Event::Spawned(id)
            }
            Spawning::Fails { permanent } => Event::SpawnFailed { worker: id, permanent },
        };
        self.machine.handle(event, self.now);
    }

    fn check(&self) {
        let mut per_slot: BTreeMap<u32, usize> = BTreeMap::new();
        for id in self.processes.keys() {
            *per_slot.entry(id.slot).or_default() += 1;
        }
        let hand_overs = per_slot.values().filter(|count| **count > 1).count();
        assert!(per_slot.values().all(|count| *count <= 2), "three in one slot: {per_slot:?}");
        assert!(hand_overs <= 1, "two hand-overs at once: {per_slot:?}");
        let machine: Vec<WorkerId> = self
            .machine
            .workers()
            .iter()
            .filter(|worker| worker.has_process())
            .map(|worker| worker.id)
            .collect();
        assert_eq!(machine, self.running(), "the machine's view of what runs");
    }
}
