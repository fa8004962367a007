//! Was it the kernel, for want of memory? SIGKILL looks the same whoever sent it; the cgroup's own
//! count of such kills tells, and nothing else does. It is never guessed.

use headcount_limits::{Memory, OomCounter};

use crate::os::sys::{Exit, Reaped};

/// The count, as it was when we last looked.
pub struct OomWatch {
    counter: Option<OomCounter>,
    seen: u64,
    limit: Option<u64>,
}

impl OomWatch {
    pub fn start(memory: &Memory) -> Self {
        let counter = memory.oom_counter.clone();
        let seen = counter.as_ref().and_then(OomCounter::read).unwrap_or_default();
        Self { counter, seen, limit: memory.limit_bytes }
    }

    /// The limit has changed.
    pub fn limit_is(&mut self, memory: &Memory) {
        self.limit = memory.limit_bytes;
    }

    /// The explanation of an end, if want of memory is one. Asked for each process that was killed:
    /// each accounts for one of the kills, so that of two that end together neither is forgotten.
    pub fn explain(&mut self, reaped: &Reaped) -> Option<String> {
        if !matches!(reaped.exit, Exit::Signal { number: libc::SIGKILL, .. }) {
            return None;
        }
        let counter = self.counter.as_ref()?;
        let kills = counter.read().filter(|kills| *kills > self.seen)?;
        self.seen = self.seen.saturating_add(1);
        let file = counter.file().display();
        let peak = mib(reaped.peak_memory);
        let limit = self.limit.map_or("no limit of our own".to_owned(), |limit| {
            format!("the limit is {}", mib(limit))
        });
        Some(format!("out of memory: it had {peak}, {limit} (oom_kill in {file} is {kills})"))
    }

    /// After all that ended together have been explained: what is left of the count was somebody
    /// else's, and must not explain the next one.
    pub fn settle(&mut self) {
        if let Some(kills) = self.counter.as_ref().and_then(OomCounter::read) {
            self.seen = kills;
        }
    }
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}
