//! Which process is which worker: from the spawn to the moment before the reap, and never longer. A
//! pid that is not in here is not signalled.

use headcount_supervisor::{Time, WorkerId};

use crate::os::proc::parent_of;
use crate::os::sys::Pid;

/// The workers' processes.
#[derive(Debug, Default)]
pub struct Processes(Vec<Process>);

#[derive(Debug)]
struct Process {
    pid: Pid,
    id: WorkerId,
    since: Time,
}

/// How many parents are asked for: a chain of processes that is longer is no worker's.
const DEEPEST: usize = 64;

impl Processes {
    pub fn insert(&mut self, pid: Pid, id: WorkerId, since: Time) {
        self.0.push(Process { pid, id, since });
    }

    /// Forgets a process that has been reaped; who it was, and since when.
    pub fn remove(&mut self, pid: Pid) -> Option<(WorkerId, Time)> {
        let place = self.0.iter().position(|process| process.pid == pid)?;
        let process = self.0.swap_remove(place);
        Some((process.id, process.since))
    }

    /// A worker's process, and since when it runs.
    pub fn of(&self, id: WorkerId) -> Option<(Pid, Time)> {
        let process = self.0.iter().find(|process| process.id == id)?;
        Some((process.pid, process.since))
    }

    pub fn pid_of(&self, id: WorkerId) -> Option<Pid> {
        self.of(id).map(|(pid, _)| pid)
    }

    pub fn id_of(&self, pid: Pid) -> Option<WorkerId> {
        self.0.iter().find(|process| process.pid == pid).map(|process| process.id)
    }

    pub fn pids(&self) -> impl Iterator<Item = Pid> {
        self.0.iter().map(|process| process.pid)
    }

    pub fn len(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// The worker that a process belongs to: itself, or the nearest of its ancestors that is one.
    pub fn owner_of(&self, pid: Pid) -> Option<WorkerId> {
        std::iter::successors(Some(pid), |pid| parent_of(*pid).filter(|parent| *parent > 1))
            .take(DEEPEST)
            .find_map(|pid| self.id_of(pid))
    }
}
