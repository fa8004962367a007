//! A headcount that runs: what it says, who its workers are, how it ends; and that nothing of it is
//! left when the test is over.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::{DEADLINE, MARK, eventually, headcount_binary, wait_for};
use crate::procfs;

/// A running headcount. With everything that it has started it ends when the test does.
pub(crate) struct Headcount {
    pid: u32,
    child: Child,
    folder: TempDir,
}

/// A worker process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Worker {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
    pub(crate) pid: u32,
}

impl Headcount {
    /// `child` is headcount, or its parent where what starts it `forks`.
    pub(super) fn new(child: Child, folder: TempDir, forks: bool) -> Self {
        let mut started = Self { pid: child.id(), child, folder };
        if forks {
            started.pid = started.pid_of_the_namespace();
        }
        started
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// A file in its working directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The content of a file in its working directory; empty if there is none.
    pub(crate) fn read(&self, name: &str) -> String {
        let bytes = fs::read(self.path(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).unwrap();
    }

    pub(crate) fn stdout(&self) -> String {
        self.read("stdout")
    }

    /// Its standard error, and that of its workers.
    pub(crate) fn log(&self) -> String {
        self.read("stderr")
    }

    /// How many lines of the log contain this.
    pub(crate) fn count_log(&self, text: &str) -> usize {
        self.log().lines().filter(|line| line.contains(text)).count()
    }

    pub(crate) fn wait_for_log(&self, text: &str) {
        self.wait_for_log_times(text, 1);
    }

    pub(crate) fn wait_for_log_times(&self, text: &str, times: usize) {
        eventually(&format!("the log says {text:?} {times} times"), || {
            self.count_log(text) >= times
        });
    }

    /// Waits until a file in its working directory holds this.
    pub(crate) fn wait_for_file(&self, name: &str, content: &str) {
        eventually(&format!("{name} has {content:?}"), || self.read(name).contains(content));
    }

    /// The worker processes that run now, by slot: its children with a slot in their environment and
    /// a group of their own. Orphans of a worker have that environment too, and not the group.
    pub(crate) fn workers(&self) -> Vec<Worker> {
        let worker = |pid| {
            if procfs::stat(pid)?.group != pid {
                return None;
            }
            let environment = procfs::environment(pid);
            let number = |name| environment.get(name)?.parse().ok();
            let slot = number("HEADCOUNT_WORKER")?;
            Some(Worker { slot, generation: number("HEADCOUNT_GENERATION")?, pid })
        };
        let children = procfs::children(self.pid).into_iter();
        let mut workers: Vec<Worker> =
            children.filter(|pid| procfs::is_alive(*pid)).filter_map(worker).collect();
        workers.sort_unstable();
        workers
    }

    /// Waits until there are this many workers, neither more nor less.
    pub(crate) fn wait_for_workers(&self, count: usize) -> Vec<Worker> {
        wait_for(&format!("{count} workers"), || {
            Some(self.workers()).filter(|workers| workers.len() == count)
        })
    }

    /// Waits until every worker that is wanted is ready.
    pub(crate) fn wait_until_ready(&self) -> Vec<Worker> {
        self.wait_for_log("all workers are ready");
        self.workers()
    }

    /// Waits for the child of `exec`.
    pub(crate) fn wait_for_child(&self) -> u32 {
        let is_other = |pid: &u32| {
            fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe != headcount_binary())
        };
        wait_for("a child", || procfs::children(self.pid).into_iter().find(is_other))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send_signal(self.pid, signal);
    }

    /// Everything that this test has started and that runs, whoever its parent is by now.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let mark = format!("{MARK}={}\0", self.folder.path().display()).into_bytes();
        let is_marked = |pid: &u32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.windows(mark.len()).any(|window| window == mark)
        };
        procfs::all().into_iter().filter(is_marked).filter(|pid| procfs::is_alive(*pid)).collect()
    }

    /// Waits until nothing of it runs. What was killed may take a moment to be dead.
    pub(crate) fn wait_until_nothing_is_left(&self) {
        eventually("nothing is left", || self.processes().is_empty());
    }

    /// Whether it has ended, and how.
    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for its end. `None` if a signal killed it.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        wait_for("headcount ends", || self.child.try_wait().unwrap()).code()
    }

    /// Tells it to stop, and sees that it does so in order.
    pub(crate) fn stop(&mut self) {
        self.signal(Signal::SIGTERM);
        assert_eq!(self.exit_code(), Some(0));
    }

    fn pid_of_the_namespace(&mut self) -> u32 {
        let is_headcount = |pid: &u32| {
            fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == headcount_binary())
        };
        wait_for("headcount runs in the new namespace", || {
            let found = procfs::children(self.child.id()).into_iter().find(is_headcount);
            // A short one may be over before it is seen.
            found.or_else(|| self.has_ended().map(|_| self.child.id()))
        })
    }
}

/// Sends a signal to a process that this test knows to be its own.
pub(crate) fn send_signal(pid: u32, signal: Signal) {
    let target = Pid::from_raw(pid.try_into().unwrap());
    kill(target, signal).unwrap_or_else(|error| panic!("{signal} to {pid}: {error}"));
}

impl Drop for Headcount {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("---- log of headcount, and of its workers\n{}----", self.log());
        }
        // What is killed may have been just about to start something: look again.
        let deadline = Instant::now() + DEADLINE;
        while Instant::now() < deadline {
            let rest = self.processes();
            if rest.is_empty() {
                break;
            }
            for pid in rest {
                let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
            }
            thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
